//! libFuzzer's program. `FUZZ_TARGET` in the environment says which of the targets it runs.

#![no_main]

#[path = "../tests/fuzz/targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use targets::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    TARGETS.iter().find(|row| row.0 == name).expect("there is a target of this name").1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
