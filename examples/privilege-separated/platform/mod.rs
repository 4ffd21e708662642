//! What each half may do after it has started: its `PARENT` and `CHILD`, which README.md shows as a table.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
#[path = "linux.rs"]
mod native;
#[cfg(target_os = "openbsd")]
#[path = "openbsd.rs"]
mod native;
#[cfg(all(
    target_os = "linux",
    not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))
))]
#[path = "unlimited.rs"]
mod native;

pub(crate) use native::{CHILD, PARENT, allow, show_only};
