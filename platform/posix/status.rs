//! fcntl(2) and poll(2), as far as they are needed to predict what calls on a descriptor do.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use super::last_errno;
use crate::platform::kernel::RawErrno;

/// Returns how a file was opened, in the kernel's numbers.
pub(in crate::platform) fn flags(fd: BorrowedFd<'_>) -> Result<libc::c_int, RawErrno> {
    // SAFETY: F_GETFL takes no argument and changes nothing.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 { Err(last_errno()) } else { Ok(flags) }
}

/// Returns whether calls on this descriptor wait. pledge(2) needs "stdio" only.
pub(crate) fn is_blocking(fd: BorrowedFd<'_>) -> bool {
    flags(fd).is_ok_and(|flags| flags & libc::O_NONBLOCK == 0)
}

/// Returns whether poll(2) reports room to write, and nothing else.
pub(in crate::platform) fn has_room(fd: BorrowedFd<'_>) -> bool {
    poll_for_room(fd, 0) == Ok(libc::POLLOUT)
}

/// Waits until poll(2) reports something for this descriptor, a signal arrives, or the time has passed. Returns
/// whether poll(2) reported something, or failed for another reason than a signal: asking again would not help.
pub(crate) fn wait_for_room(fd: BorrowedFd<'_>, longest: Duration) -> bool {
    let milliseconds = longest.as_nanos().div_ceil(1_000_000);
    match poll_for_room(fd, milliseconds.try_into().unwrap_or(libc::c_int::MAX)) {
        Ok(reported) => reported != 0,
        Err(errno) => errno.number() != libc::EINTR,
    }
}

fn poll_for_room(fd: BorrowedFd<'_>, milliseconds: libc::c_int) -> Result<libc::c_short, RawErrno> {
    let mut watched = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: the pointer is to one structure, whose events are filled.
    let returned = unsafe { libc::poll(&raw mut watched, 1, milliseconds) };
    if returned < 0 { Err(last_errno()) } else { Ok(watched.revents) }
}
