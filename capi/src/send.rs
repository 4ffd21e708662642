use std::ffi::{c_int, c_uchar, c_uint, c_void};

use libc::{iovec, sockaddr, socklen_t, ssize_t};
use unisend::{Address, DatagramSocket, Message, SendAllError, SendFlags, SocketKind, SocketRef};

use crate::failure::{count, status};
use crate::socket::socket;
use crate::{Caller, Failure, Refusal, Slices, address, us_socket};

/// Sending and receiving: the urgent byte of TCP (MSG_OOB).
pub const US_OOB: c_uint = 1;
/// Sending: only to directly attached networks; UDP over IPv4 on Linux
/// (MSG_DONTROUTE).
pub const US_DONTROUTE: c_uint = 1 << 1;
/// Sending and receiving: do not wait, whatever O_NONBLOCK says (MSG_DONTWAIT).
pub const US_DONTWAIT: c_uint = 1 << 2;
/// Sending: this message ends a record, on a seqpacket socket.  Set in
/// us_received if the kernel reports such an end, which Linux never does (MSG_EOR).
pub const US_EOR: c_uint = 1 << 3;
/// Sending on a stream: a hint that more follows at once (MSG_MORE).
pub const US_MORE: c_uint = 1 << 4;
/// Sending: a hint that the peer has answered recently (MSG_CONFIRM).
pub const US_CONFIRM: c_uint = 1 << 5;
/// Receiving: leave the data where it is; TCP and UDP (MSG_PEEK).
pub const US_PEEK: c_uint = 1 << 6;
/// Sending: an IPv4-mapped IPv6 address is meant, and this is a dual-stack socket
/// of Linux.  Without it such an address is refused, because OpenBSD has none.
pub const US_V4MAPPED: c_uint = 1 << 7;

// These bits are unisend's, which refuses all that it does not know.
const _: () = {
    assert!(US_OOB == SendFlags::OUT_OF_BAND.bits());
    assert!(US_DONTROUTE == SendFlags::DONT_ROUTE.bits());
    assert!(US_DONTWAIT == SendFlags::DONT_WAIT.bits());
    assert!(US_EOR == SendFlags::END_OF_RECORD.bits());
    assert!(US_MORE == SendFlags::MORE.bits());
    assert!(US_CONFIRM == SendFlags::CONFIRM.bits());
    assert!((US_PEEK | US_V4MAPPED) & SendFlags::all().bits() == 0);
};

/// A message, in the form of a struct msghdr.  Clear it with memset(3) or = { 0 },
/// and set what the message has; what is NULL or 0 is left out.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct us_message {
    /// Where a datagram is sent to; NULL for the peer.
    pub name: *const sockaddr,
    /// The size of the address.
    pub namelen: socklen_t,
    /// The buffers.
    pub iov: *const iovec,
    /// How many there are, at most 1024.
    pub iovcnt: c_int,
    /// Descriptors that go with the first byte, on a unix socket.  They stay open
    /// here.
    pub fds: *const c_int,
    /// How many there are, at most 126.
    pub nfds: usize,
    /// The address of this host that a UDP datagram is sent from; NULL for the
    /// kernel's choice.  Its port is not used.
    pub source: *const sockaddr,
    /// The size of the source.
    pub sourcelen: socklen_t,
    /// The traffic class of a UDP datagram; NULL for that of the socket.
    pub traffic_class: *const c_uchar,
}

fn send_flags(flags: c_uint) -> SendFlags {
    SendFlags::from_bits_retain(flags & !US_V4MAPPED)
}

/// Send bytes to the peer: send(2).
///
/// Returns how many bytes were accepted, which can be fewer on a stream, or -1 and
/// errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_send(
    socket: *const us_socket,
    data: *const c_void,
    length: usize,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    count(send(caller, socket, data, length, flags))
}

#[inline]
fn send(
    caller: Caller<'_>,
    to: *const us_socket,
    data: *const c_void,
    length: usize,
    flags: c_uint,
) -> Result<usize, Failure> {
    let socket = socket(caller, to)?;
    Ok(socket.send(caller.bytes(data, length)?, send_flags(flags))?)
}

/// Send buffers to the peer as one message: writev(2), with flags.
///
/// Returns as us_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_sendv(
    socket: *const us_socket,
    iov: *const iovec,
    iovcnt: c_int,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    count(send_vectored(caller, socket, iov, iovcnt, flags))
}

fn send_vectored(
    caller: Caller<'_>,
    to: *const us_socket,
    iov: *const iovec,
    iovcnt: c_int,
    flags: c_uint,
) -> Result<usize, Failure> {
    let socket = socket(caller, to)?;
    let mut slices = Slices::new();
    caller.slices(iov, iovcnt, &mut slices)?;
    Ok(socket.send_vectored(&slices, send_flags(flags))?)
}

/// Send bytes to an address as one datagram: sendto(2).  Without an address (NULL)
/// this is us_send().
///
/// Returns as us_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_sendto(
    socket: *const us_socket,
    data: *const c_void,
    length: usize,
    flags: c_uint,
    to: *const sockaddr,
    tolen: socklen_t,
) -> ssize_t {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    count(send_to(caller, socket, data, length, flags, to, tolen))
}

fn send_to(
    caller: Caller<'_>,
    from: *const us_socket,
    data: *const c_void,
    length: usize,
    flags: c_uint,
    to: *const sockaddr,
    tolen: socklen_t,
) -> Result<usize, Failure> {
    let socket = socket(caller, from)?;
    let data = caller.bytes(data, length)?;
    let Some(to) = destination(caller, &socket, to, tolen, flags)? else {
        return Ok(socket.send(data, send_flags(flags))?);
    };
    Ok(datagram(&socket)?.send_to(data, &to, send_flags(flags))?)
}

/// Send a message: sendmsg(2).  The buffers, an address, descriptors, a source and
/// a traffic class are sent in one call.
///
/// Returns as us_send().  After a short count the descriptors have gone: send the
/// rest without them, or call us_sendallmsg().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_sendmsg(
    socket: *const us_socket,
    message: *const us_message,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    count(send_message(caller, socket, message, flags))
}

fn send_message(
    caller: Caller<'_>,
    from: *const us_socket,
    message: *const us_message,
    flags: c_uint,
) -> Result<usize, Failure> {
    let socket = socket(caller, from)?;
    let parts = caller.object(message)?;
    let to = destination(caller, &socket, parts.name, parts.namelen, flags)?;
    let mut slices = Slices::new();
    caller.slices(parts.iov, parts.iovcnt, &mut slices)?;
    let descriptors = caller.descriptors(parts.fds, parts.nfds)?;
    let message = with_headers(caller, parts, Message::new(&mut slices).with_descriptors(&descriptors))?;
    match to {
        Some(to) => Ok(message.send_to(&datagram(&socket)?, &to, send_flags(flags))?),
        None => Ok(message.send(&socket, send_flags(flags))?),
    }
}

/// Send all bytes.  After a short count and after a signal, the rest is sent; on a
/// socket that does not wait, it stops with EAGAIN where the socket is full.
///
/// accepted, which may be NULL, is set to how many bytes were accepted, whether the
/// call succeeds or fails.
///
/// Returns 0, or -1 and errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_sendall(
    socket: *const us_socket,
    data: *const c_void,
    length: usize,
    flags: c_uint,
    accepted: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    status(send_all(caller, socket, data, length, flags, accepted))
}

fn send_all(
    caller: Caller<'_>,
    to: *const us_socket,
    data: *const c_void,
    length: usize,
    flags: c_uint,
    accepted: *mut usize,
) -> Result<(), Failure> {
    let accepted = none_yet(caller, accepted)?;
    let data = caller.bytes(data, length)?;
    let socket = socket(caller, to)?;
    say(accepted, length, socket.send_all(data, send_flags(flags)))
}

/// Send all bytes of some buffers: as us_sendall().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_sendallv(
    socket: *const us_socket,
    iov: *const iovec,
    iovcnt: c_int,
    flags: c_uint,
    accepted: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    status(send_all_vectored(caller, socket, iov, iovcnt, flags, accepted))
}

fn send_all_vectored(
    caller: Caller<'_>,
    to: *const us_socket,
    iov: *const iovec,
    iovcnt: c_int,
    flags: c_uint,
    accepted: *mut usize,
) -> Result<(), Failure> {
    let accepted = none_yet(caller, accepted)?;
    let socket = socket(caller, to)?;
    let mut slices = Slices::new();
    caller.slices(iov, iovcnt, &mut slices)?;
    let length = length_of(&slices);
    say(accepted, length, socket.send_all_vectored(&mut &mut slices[..], send_flags(flags)))
}

/// Send all of a message to the peer, and its descriptors once: as us_sendall().
/// The message has no address and no source.
///
/// If some bytes were accepted, the descriptors have gone: send the rest without
/// them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_sendallmsg(
    socket: *const us_socket,
    message: *const us_message,
    flags: c_uint,
    accepted: *mut usize,
) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    status(send_all_of_message(caller, socket, message, flags, accepted))
}

fn send_all_of_message(
    caller: Caller<'_>,
    to: *const us_socket,
    message: *const us_message,
    flags: c_uint,
    accepted: *mut usize,
) -> Result<(), Failure> {
    let accepted = none_yet(caller, accepted)?;
    let socket = socket(caller, to)?;
    let parts = caller.object(message)?;
    if !parts.name.is_null() {
        return Err(Refusal::AddressInLoop.into());
    }
    let mut slices = Slices::new();
    caller.slices(parts.iov, parts.iovcnt, &mut slices)?;
    let length = length_of(&slices);
    let descriptors = caller.descriptors(parts.fds, parts.nfds)?;
    let message = Message::new(&mut slices).with_descriptors(&descriptors);
    let mut message = with_headers(caller, parts, message)?;
    say(accepted, length, message.send_all(&socket, send_flags(flags)))
}

/// Converts the address that something is sent to, if there is one.
fn destination(
    caller: Caller<'_>,
    socket: &SocketRef<'_>,
    name: *const sockaddr,
    length: socklen_t,
    flags: c_uint,
) -> Result<Option<Address>, Failure> {
    let Some(bytes) = caller.sockaddr(name, length)? else { return Ok(None) };
    address::from_sockaddr(bytes, socket.kind(), flags & US_V4MAPPED != 0).map(Some)
}

/// Returns the same socket as one that sends to addresses.
pub(crate) fn datagram<'a>(socket: &'a SocketRef<'_>) -> Result<SocketRef<'a, DatagramSocket>, Refusal> {
    match socket.kind() {
        SocketKind::Other => Ok(SocketRef::other_datagram(socket)),
        _ => socket.as_datagram().ok_or(Refusal::AddressOfPeer),
    }
}

/// Gives the message what it asks for of its headers.
fn with_headers<'a, 'data, Descriptor: std::os::fd::AsFd>(
    caller: Caller<'_>,
    parts: &us_message,
    mut message: Message<'a, 'data, Descriptor>,
) -> Result<Message<'a, 'data, Descriptor>, Refusal> {
    if let Some(source) = caller.sockaddr(parts.source, parts.sourcelen)? {
        message = message.from_source(address::ip_from_sockaddr(source)?);
    }
    if !parts.traffic_class.is_null() {
        message = message.with_traffic_class(*caller.object(parts.traffic_class)?);
    }
    Ok(message)
}

/// Returns how many bytes the slices have. unisend refuses a sum that is too large.
fn length_of(slices: &Slices<'_>) -> usize {
    slices.iter().fold(0, |length, slice| length.saturating_add(slice.len()))
}

/// Says that nothing was accepted until now.
fn none_yet(caller: Caller<'_>, accepted: *mut usize) -> Result<Option<&mut usize>, Refusal> {
    let mut accepted = caller.optional_mut(accepted)?;
    if let Some(accepted) = &mut accepted {
        **accepted = 0;
    }
    Ok(accepted)
}

/// Says how many bytes of a call that sends everything were accepted.
fn say(accepted: Option<&mut usize>, length: usize, sent: Result<(), SendAllError>) -> Result<(), Failure> {
    if let Some(accepted) = accepted {
        *accepted = sent.map_or_else(|stopped| stopped.accepted(), |()| length);
    }
    Ok(sent.map_err(|stopped| stopped.error())?)
}
