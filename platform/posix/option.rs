//! getsockopt(2) and setsockopt(2).

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::last_errno;
use crate::platform::kernel::RawErrno;

/// A type that an option can be read into.
///
/// # Safety
///
/// Any bytes that the kernel writes must be a valid value.
pub(in crate::platform) unsafe trait Value {}

// SAFETY: every byte is a valid value.
unsafe impl Value for u8 {}
// SAFETY: every number is a valid value.
unsafe impl Value for u32 {}
// SAFETY: every number is a valid value.
unsafe impl Value for c_int {}
// SAFETY: it consists of two integers, and padding on some systems.
unsafe impl Value for libc::timeval {}
// SAFETY: it consists of its elements only.
unsafe impl<T: Value, const COUNT: usize> Value for [T; COUNT] {}

/// Reads an option, and returns how many bytes of it the kernel wrote.
pub(in crate::platform) fn get<T: Value>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &mut T,
) -> Result<usize, RawErrno> {
    let mut length = size_of::<T>() as libc::socklen_t;
    let start = (&raw mut *value).cast();
    // SAFETY: the pointer and the length are of one value, which outlives the call and for which any bytes are valid.
    let returned = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, start, &raw mut length) };
    if returned < 0 { Err(last_errno()) } else { Ok(length as usize) }
}

/// Reads an option that is an int.
pub(in crate::platform) fn get_int(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> Result<c_int, RawErrno> {
    let mut value = 0;
    get(fd, level, name, &mut value)?;
    Ok(value)
}

/// Sets an option that is an int.
pub(in crate::platform) fn set_int(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> Result<(), RawErrno> {
    let (start, length) = ((&raw const value).cast(), size_of::<c_int>() as libc::socklen_t);
    // SAFETY: the pointer and the length are of one int, which outlives the call and is only read.
    let returned = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, start, length) };
    if returned < 0 { Err(last_errno()) } else { Ok(()) }
}
