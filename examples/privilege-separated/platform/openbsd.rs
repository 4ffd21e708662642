//! Promises, and what is visible of the files.
//!
//! Sources: pledge(2), unveil(2) and sys/kern/kern_pledge.c. They have not run on OpenBSD yet.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// openat(2) needs "rpath", kill(2) of another process needs "proc", and a file that is sent needs "sendfd".
pub(crate) const PARENT: &str = "stdio rpath sendfd proc";

/// accept4(2) and the timeouts of a socket need "inet", and a file that is received needs "recvfd".
pub(crate) const CHILD: &str = "stdio inet recvfd";

/// Shows the parent the folder and what is below it, and nothing else. pledge(2) then makes this final: there is no "unveil" in it.
pub(crate) fn limit_parent(folder: &Path) -> io::Result<()> {
    unveil::unveil(folder.as_os_str().as_bytes(), "r").map_err(io::Error::other)?;
    pledge::pledge(PARENT, None).map_err(io::Error::other)
}

pub(crate) fn limit_child() -> io::Result<()> {
    pledge::pledge(CHILD, None).map_err(io::Error::other)
}
