//! Cases that are not run under an emulator of user-mode programs, because it does not behave as a kernel does.

use std::path::Path;

/// A row for each clause and for each test of the library, with the reason. `ci/matrix` reads it too.
const TABLE: &str = include_str!("../emulation.txt");

/// Returns whether an emulator runs between this program and the kernel.
///
/// `/proc/self/exe` is the program's path under an emulator, and the emulator's path for the kernel. Without an
/// emulator both are the same. Emulators do not know `thread-self`, which is another name for `self`.
pub(crate) fn is_emulated() -> bool {
    let shown = std::env::current_exe().ok();
    let kernels = Path::new("/proc/thread-self/exe").read_link().ok();
    kernels.is_some_and(|kernels| shown.is_some_and(|shown| shown != kernels))
}

/// Returns why a clause is not run under an emulator, if it is not.
pub(crate) fn not_faithful(clause: &str) -> Option<&'static str> {
    clauses().find(|row| row.0 == clause).map(|row| row.1)
}

/// Returns the clauses in the table, and their reasons.
pub fn clauses() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("clause "));
    rows.filter_map(|row| row.trim_start().split_once(' '))
        .map(|(clause, reason)| (clause, reason.trim_start()))
}
