use std::ffi::c_int;
use std::os::fd::{IntoRawFd, OwnedFd};

use libc::{sockaddr, socklen_t};
use unisend::{Address, SocketKind, UnixSeqpacket, UnixSeqpacketListener};

use crate::failure::{number, status};
use crate::{Caller, Failure, Refusal, address};

/// Make two unix sockets of sequenced packets that are connected to each other:
/// socketpair(2).  They are close-on-exec, as all descriptors that this library
/// makes.  Declare them as US_KIND_UNIX_SEQPACKET.
///
/// Returns 0, or -1 and errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_seqpacket_pair(fds: *mut c_int) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    status(pair(caller, fds))
}

fn pair(caller: Caller<'_>, fds: *mut c_int) -> Result<(), Failure> {
    let fds: &mut [c_int; 2] = caller.object_mut(fds.cast())?;
    let (one, other) = UnixSeqpacket::pair()?;
    *fds = [one, other].map(raw);
    Ok(())
}

/// Make a socket that listens at a unix address.  A path that exists is not
/// replaced: remove it first.
///
/// Returns the descriptor, or -1 and errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_seqpacket_listen(name: *const sockaddr, namelen: socklen_t) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    number(unix(caller, name, namelen).and_then(|name| Ok(raw(UnixSeqpacketListener::bind(&name)?))))
}

/// Accept a connection: accept(2).
///
/// Returns the descriptor, or -1 and errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_seqpacket_accept(listener: c_int) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    number(accept(caller, listener))
}

fn accept(caller: Caller<'_>, listener: c_int) -> Result<c_int, Failure> {
    Ok(raw(caller.lent::<UnixSeqpacketListener>(listener)?.accept()?))
}

/// Connect to a listener: connect(2).  It does not wait: if the queue of the
/// listener is full, it fails with ECONNREFUSED.
///
/// Returns the descriptor, or -1 and errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_seqpacket_connect(name: *const sockaddr, namelen: socklen_t) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    number(unix(caller, name, namelen).and_then(|name| Ok(raw(UnixSeqpacket::connect(&name)?))))
}

fn unix(caller: Caller<'_>, name: *const sockaddr, length: socklen_t) -> Result<Address, Failure> {
    let bytes = caller.sockaddr(name, length)?.ok_or(Refusal::Null)?;
    address::from_sockaddr(bytes, SocketKind::UnixSeqpacket, false)
}

fn raw(socket: impl Into<OwnedFd>) -> c_int {
    socket.into().into_raw_fd()
}
