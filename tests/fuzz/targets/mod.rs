//! What is fuzzed. Each target makes a case of the input's bytes, has the library run it on a kernel that the input is
//! too, and asserts what must hold.

mod addresses;
mod kernel;
mod messages;
mod received;
mod segments;
mod sent;
mod transfers;

use std::fmt::Debug;
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};

pub(crate) type Target = fn(&[u8]);

pub(crate) const TARGETS: [(&str, Target); 5] = [
    ("addresses", |bytes| run(bytes, |case| addresses::run(&case))),
    ("messages", |bytes| run(bytes, |case| messages::run(&case))),
    ("received", |bytes| run(bytes, received::run)),
    ("segments", |bytes| run(bytes, |case| segments::run(&case))),
    ("transfers", |bytes| run(bytes, |case| transfers::run(&case))),
];

/// Bytes that make no case are none. `FUZZ_SHOW=1` in the environment shows each case before it is run.
fn run<'a, Case: Arbitrary<'a> + Debug>(bytes: &'a [u8], run: impl FnOnce(Case)) {
    static IS_SHOWN: LazyLock<bool> = LazyLock::new(|| std::env::var_os("FUZZ_SHOW").is_some());
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    if *IS_SHOWN {
        eprintln!("{case:#?}");
    }
    run(case);
}
