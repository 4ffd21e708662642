//! recv(2), as far as it is needed to look at a socket.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::count;
use crate::platform::RawErrno;

pub(in crate::platform) fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: c_int,
) -> Result<usize, RawErrno> {
    // SAFETY: the pointer and the length are of one slice, which outlives the call and is ours to write.
    count(unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}
