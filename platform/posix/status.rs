//! fcntl(2), as far as it is needed to know whether a call may wait.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether calls on this descriptor wait. pledge's "stdio" is enough.
pub(crate) fn is_blocking(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: F_GETFL takes no argument and changes nothing.
    let status = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    status >= 0 && status & libc::O_NONBLOCK == 0
}
