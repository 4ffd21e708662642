//! Emulation is no kernel: what an emulator of user-mode programs cannot do faithfully is not run under one.

use std::path::Path;

/// One row for each clause, and each test of the library, with the reason. `ci/matrix` reads it too.
const TABLE: &str = include_str!("../emulation.txt");

/// Whether an emulator stands between this program and the kernel.
///
/// An emulator shows a program its own path as `/proc/self/exe`, and the kernel shows the emulator's. They agree
/// where there is none. `thread-self` is another name for the same that emulators do not know.
pub(crate) fn is_emulated() -> bool {
    let shown = std::env::current_exe().ok();
    let kernels = Path::new("/proc/thread-self/exe").read_link().ok();
    kernels.is_some_and(|kernels| shown.is_some_and(|shown| shown != kernels))
}

/// Why a clause is not run under an emulator, if it is not.
pub(crate) fn not_faithful(clause: &str) -> Option<&'static str> {
    clauses().find(|row| row.0 == clause).map(|row| row.1)
}

/// The clauses in the table, and why they are there.
pub fn clauses() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix("clause "));
    rows.filter_map(|row| row.trim_start().split_once(' '))
        .map(|(clause, reason)| (clause, reason.trim_start()))
}
