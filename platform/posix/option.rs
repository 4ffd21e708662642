//! getsockopt(2).

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::last_errno;
use crate::platform::RawErrno;

/// Reads an option into a buffer; how many bytes of it the kernel wrote.
pub(in crate::platform) fn get(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &mut [u8],
) -> Result<usize, RawErrno> {
    let mut length = value.len() as libc::socklen_t;
    // SAFETY: the pointer and the length are of one slice, which outlives the call and is ours to write.
    let returned =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length) };
    if returned < 0 { Err(last_errno()) } else { Ok(length as usize) }
}

/// Reads an option that is an int.
pub(in crate::platform) fn get_int(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> Result<c_int, RawErrno> {
    let mut value = [0; size_of::<c_int>()];
    get(fd, level, name, &mut value)?;
    Ok(c_int::from_ne_bytes(value))
}
