//! Promises, and what is visible of the files.
//!
//! Sources: pledge(2), unveil(2) and sys/kern/kern_pledge.c. This has not run on OpenBSD yet.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// openat(2) needs "rpath", a file that is sent needs "sendfd", and kill(2) of another process needs "proc".
pub(crate) const PARENT: &str = "stdio rpath sendfd proc";

/// accept4(2) and the timeouts of a socket need "inet", and a file that is received needs "recvfd".
pub(crate) const CHILD: &str = "stdio inet recvfd";

/// Hides all but this folder. Promises without "unveil" then make this final.
pub(crate) fn show_only(folder: &Path) -> io::Result<()> {
    unveil::unveil(folder.as_os_str().as_bytes(), "r").map_err(io::Error::other)
}

pub(crate) fn allow(promises: &str) -> io::Result<()> {
    pledge::pledge(promises, None).map_err(|error| io::Error::other(error.to_string()))
}
