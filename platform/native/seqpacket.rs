//! The calls that make unix sockets of sequenced packets, which std cannot make. Every descriptor is close-on-exec from
//! the start (clause K1).

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::batch::Aligned;
use super::receive::NAME_BYTES;
use crate::platform::Native;
use crate::platform::kernel::{Family, Kernel, Numbers, RawErrno, SocketName};
use crate::platform::posix::count;

const NUMBERS: &Numbers = &Native::NUMBERS;
const SEQPACKET: c_int = NUMBERS.SOCK_SEQPACKET | NUMBERS.SOCK_CLOEXEC;

/// The length of a listener's queue: the most that the system allows.
const AS_MANY_AS_CAN_BE: c_int = -1;

/// Returns two sockets that are connected to each other.
pub(crate) fn seqpacket_pair() -> Result<[OwnedFd; 2], RawErrno> {
    let mut fds = [-1; 2];
    // SAFETY: the pointer is to two ints, which are ours to write.
    let returned = unsafe { libc::socketpair(NUMBERS.AF_UNIX, SEQPACKET, 0, fds.as_mut_ptr()) };
    count(returned as isize)?;
    // SAFETY: the kernel has made them for this call, and nothing else knows them.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Returns a new socket. Its calls do not wait.
pub(crate) fn new_seqpacket() -> Result<OwnedFd, RawErrno> {
    // SAFETY: it takes no pointers.
    owned(unsafe { libc::socket(NUMBERS.AF_UNIX, SEQPACKET | NUMBERS.SOCK_NONBLOCK, 0) })
}

/// Gives a socket its name, and has it listen. Its calls then wait.
pub(crate) fn bind_and_listen(socket: &OwnedFd, name: &SocketName) -> Result<(), RawErrno> {
    let (fd, start, length) = (socket.as_raw_fd(), name.as_ptr().cast(), name.length());
    // SAFETY: the pointer and the length are of one name, which outlives the call and is only read.
    count(unsafe { libc::bind(fd, start, length) } as isize)?;
    // SAFETY: it takes no pointers.
    count(unsafe { libc::listen(fd, AS_MANY_AS_CAN_BE) } as isize)?;
    wait_again(socket)
}

/// Connects a socket to a listener. Its calls then wait.
///
/// The call itself must not wait: on Linux it would, for room in the queue of the listener (clause K5).
pub(crate) fn connect(socket: &OwnedFd, name: &SocketName) -> Result<(), RawErrno> {
    let (fd, start, length) = (socket.as_raw_fd(), name.as_ptr().cast(), name.length());
    // SAFETY: the pointer and the length are of one name, which outlives the call and is only read.
    count(unsafe { libc::connect(fd, start, length) } as isize)?;
    wait_again(socket)
}

/// Accepts a connection. The calls of the new socket wait, whether or not those of the listener do (clause K6).
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, RawErrno> {
    let (name, length) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: without room for a name, nothing is written.
    owned(unsafe { libc::accept4(listener.as_raw_fd(), name, length, NUMBERS.SOCK_CLOEXEC) })
}

/// The name of a socket, as the kernel wrote it.
pub(crate) struct Name {
    bytes: [u8; NAME_BYTES],
    length: usize,
}

impl Name {
    /// Returns the name, or `None` if the socket has none.
    pub(crate) fn decode(&self) -> Option<Family<'_>> {
        SocketName::decode::<Native>(&self.bytes[..self.length])
    }
}

/// Returns the name of a socket.
pub(crate) fn local_name(socket: BorrowedFd<'_>) -> Result<Name, RawErrno> {
    // SAFETY: the pointers are to room for any name, which is ours to write, and to its length.
    name_by(|bytes, length| unsafe { libc::getsockname(socket.as_raw_fd(), bytes, length) })
}

/// Returns the name of a socket's peer.
pub(crate) fn peer_name(socket: BorrowedFd<'_>) -> Result<Name, RawErrno> {
    // SAFETY: the pointers are to room for any name, which is ours to write, and to its length.
    name_by(|bytes, length| unsafe { libc::getpeername(socket.as_raw_fd(), bytes, length) })
}

fn name_by(call: impl Fn(*mut libc::sockaddr, *mut libc::socklen_t) -> c_int) -> Result<Name, RawErrno> {
    let mut room = Aligned([0; NAME_BYTES]);
    let mut length = NAME_BYTES as libc::socklen_t;
    count(call(room.0.as_mut_ptr().cast(), &raw mut length) as isize)?;
    Ok(Name { bytes: room.0, length: (length as usize).min(NAME_BYTES) })
}

/// Takes what a call has returned: the number of a new descriptor, or -1.
fn owned(returned: c_int) -> Result<OwnedFd, RawErrno> {
    count(returned as isize)?;
    // SAFETY: the kernel has made it for this call, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(returned) })
}

/// Has the calls of a new socket wait.
fn wait_again(socket: &OwnedFd) -> Result<(), RawErrno> {
    // SAFETY: F_SETFL takes a number, and changes only this socket.
    count(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, 0) } as isize).map(drop)
}
