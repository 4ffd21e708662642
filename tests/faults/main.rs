//! Faults: every system call that the library makes fails with every errno, is interrupted, is cut short at every byte,
//! accepts nothing, and is slow.
//!
//! Each run is a process of its own, which this program supervises by ptrace(2); nothing in the library knows of it.
//! After each run no byte was lost or doubled against what the call said, the descriptors, the signal mask and the
//! pending signals are as they were, no descriptor was closed twice, and the error is of the kind that the contract
//! says. The table of calls and faults is printed: run it with `--nocapture`.

#[path = "../sockets/mod.rs"]
mod sockets;

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
))]
mod linux;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64"
)))]
#[test]
fn every_call_with_every_fault() {
    sockets::skipped(format_args!("system calls are followed on Linux on x86_64 and aarch64 only"));
}
