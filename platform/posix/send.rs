//! send(2), sendto(2) and sendmsg(2), and nothing else.

use std::ffi::c_int;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::count;
use super::socket_name::SocketName;
use crate::platform::RawErrno;

/// Flags as the kernel numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawFlags(pub(in crate::platform) c_int);

#[inline]
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8], flags: RawFlags) -> Result<usize, RawErrno> {
    // SAFETY: the pointer and the length are of one slice, which outlives the call and is only read.
    count(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags.0) })
}

#[inline]
pub(crate) fn send_to(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    flags: RawFlags,
    to: &SocketName,
) -> Result<usize, RawErrno> {
    let (name, name_length) = (to.as_ptr().cast(), to.length());
    // SAFETY: the data and the name are each a pointer and length of one object, which outlives the call and
    // is only read.
    count(unsafe {
        libc::sendto(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags.0, name, name_length)
    })
}

/// Sends slices as one message, to the socket's peer and without control data.
#[inline]
pub(crate) fn send_message(
    fd: BorrowedFd<'_>,
    slices: &[IoSlice<'_>],
    flags: RawFlags,
) -> Result<usize, RawErrno> {
    // SAFETY: a msghdr is integers and pointers, for all of which zero is a value: no name and, pointer and
    // length both (clauses L8, L9), no control data. Some systems have padding in it, so it has no literal.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
    message.msg_iovlen = slices.len() as _;
    // SAFETY: IoSlice is laid out as iovec; the slices outlive the call, which only reads them.
    count(unsafe { libc::sendmsg(fd.as_raw_fd(), ptr::from_ref(&message), flags.0) })
}
