//! fcntl(2), as far as it is needed to know what calls on a descriptor do.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::last_errno;
use crate::platform::RawErrno;

/// Whether calls on this descriptor wait. pledge's "stdio" is enough.
pub(crate) fn is_blocking(fd: BorrowedFd<'_>) -> bool {
    flags(fd).is_ok_and(|flags| flags & libc::O_NONBLOCK == 0)
}

/// How a file was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::platform) struct Status {
    pub(in crate::platform) writable: bool,
    pub(in crate::platform) appends: bool,
}

pub(in crate::platform) fn of(fd: BorrowedFd<'_>) -> Result<Status, RawErrno> {
    let flags = flags(fd)?;
    Ok(Status {
        writable: matches!(flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR),
        appends: flags & libc::O_APPEND != 0,
    })
}

fn flags(fd: BorrowedFd<'_>) -> Result<libc::c_int, RawErrno> {
    // SAFETY: F_GETFL takes no argument and changes nothing.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 { Err(last_errno()) } else { Ok(flags) }
}
