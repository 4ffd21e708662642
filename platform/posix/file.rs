//! pread(2), write(2), lseek(2) and fstat(2), as far as sendfile needs them. Offsets have 64 bits, even if the
//! plain names of the C library have 32.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{count, last_errno};
use crate::platform::kernel::RawErrno;

#[cfg(not(target_env = "gnu"))]
use libc::{fstat, lseek, off_t, pread, stat};
#[cfg(target_env = "gnu")]
use libc::{fstat64 as fstat, lseek64 as lseek, off64_t as off_t, pread64 as pread, stat64 as stat};

const _: () = assert!(size_of::<off_t>() == size_of::<u64>(), "an offset has 64 bits");

/// The part of fstat(2) that is needed.
pub(in crate::platform) struct Attributes {
    pub(in crate::platform) mode: libc::mode_t,
    /// The number of a device.
    pub(in crate::platform) device: libc::dev_t,
    /// The size of a regular file. It is 0 for devices and for files that are generated when they are read
    /// (/proc).
    pub(in crate::platform) length: u64,
}

pub(in crate::platform) fn attributes(fd: BorrowedFd<'_>) -> Result<Attributes, RawErrno> {
    let mut status = MaybeUninit::<stat>::uninit();
    // SAFETY: the pointer is to room for one structure, which the kernel fills.
    if unsafe { fstat(fd.as_raw_fd(), status.as_mut_ptr()) } < 0 {
        return Err(last_errno());
    }
    // SAFETY: the call succeeded, so it is filled.
    let status = unsafe { status.assume_init() };
    let length = u64::try_from(status.st_size).unwrap_or(0);
    Ok(Attributes { mode: status.st_mode, device: status.st_rdev, length })
}

/// Reads at an offset into a buffer, and returns the bytes that were read. The offset must be at most
/// `i64::MAX`.
pub(in crate::platform) fn read_at<'buffer>(
    fd: BorrowedFd<'_>,
    buffer: &'buffer mut [MaybeUninit<u8>],
    offset: u64,
) -> Result<&'buffer [u8], RawErrno> {
    let start = buffer.as_mut_ptr();
    // SAFETY: the pointer and the length are of one slice, which outlives the call and is ours to write.
    let length = count(unsafe { pread(fd.as_raw_fd(), start.cast(), buffer.len(), offset as off_t) })?;
    // SAFETY: the kernel has written that many bytes from the start of the slice.
    Ok(unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

/// Returns a caller's buffer as uninitialized memory, to be written before it is read.
///
/// # Safety
///
/// No uninitialized byte may be written to it.
pub(in crate::platform) unsafe fn as_uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let buffer: *mut [u8] = buffer;
    // SAFETY: both are laid out alike, and the caller keeps every byte initialized.
    unsafe { &mut *(buffer as *mut [MaybeUninit<u8>]) }
}

pub(in crate::platform) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, RawErrno> {
    // SAFETY: the pointer and the length are of one slice, which outlives the call and is only read.
    count(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

/// Returns the file's own position.
pub(in crate::platform) fn position(fd: BorrowedFd<'_>) -> Result<u64, RawErrno> {
    seek(fd, 0, libc::SEEK_CUR)
}

/// Sets the file's own position.
pub(in crate::platform) fn set_position(fd: BorrowedFd<'_>, position: u64) -> Result<(), RawErrno> {
    seek(fd, position as off_t, libc::SEEK_SET).map(drop)
}

fn seek(fd: BorrowedFd<'_>, offset: off_t, whence: libc::c_int) -> Result<u64, RawErrno> {
    // SAFETY: it takes integers, and changes nothing but the position.
    let position = unsafe { lseek(fd.as_raw_fd(), offset, whence) };
    if position < 0 { Err(last_errno()) } else { Ok(position as u64) }
}
