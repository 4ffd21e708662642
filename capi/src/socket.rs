use std::ffi::c_int;

use unisend::{Output, SocketKind, SocketRef};

use crate::failure::status;
use crate::{Caller, Failure, Refusal};

/// The kind of a descriptor.  It decides which flags are honoured, which
/// addresses can be sent to, and what an errno means.
///
/// No kind is 0, so that a us_socket that was never filled in is refused.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum us_kind {
    /// TCP, over IPv4 or IPv6.
    Tcp = 1,
    /// UDP over IPv4.
    UdpV4 = 2,
    /// UDP over IPv6.
    UdpV6 = 3,
    /// A unix stream socket.
    UnixStream = 4,
    /// A unix datagram socket.
    UnixDatagram = 5,
    /// A unix socket of sequenced packets.
    UnixSeqpacket = 6,
    /// A stream of another family or protocol: each errno has its plain meaning.
    OtherStream = 7,
    /// Any other socket: each errno has its plain meaning.
    Other = 8,
    /// Not a socket, but a pipe, a regular file or a device.  Only us_sendfile()
    /// and us_transfer() take it.
    File = 9,
}

/// The kinds of sockets, which are all but one.
const SOCKETS: &[(us_kind, SocketKind)] = &[
    (us_kind::Tcp, SocketKind::Tcp),
    (us_kind::UdpV4, SocketKind::UdpV4),
    (us_kind::UdpV6, SocketKind::UdpV6),
    (us_kind::UnixStream, SocketKind::UnixStream),
    (us_kind::UnixDatagram, SocketKind::UnixDatagram),
    (us_kind::UnixSeqpacket, SocketKind::UnixSeqpacket),
    (us_kind::OtherStream, SocketKind::OtherStream),
    (us_kind::Other, SocketKind::Other),
];

/// A descriptor and what is known about it.  Fill it in once, with us_probe() or
/// us_declare(), and use it for every call.  It owns nothing: copy it freely, and
/// close the descriptor yourself.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct us_socket {
    /// The descriptor.
    pub fd: c_int,
    /// One of enum us_kind.
    pub kind: c_int,
    /// SO_SNDBUF in bytes, or 0 if it is not known.  With it, a message that never
    /// fits beside its descriptors is refused.
    pub send_buffer: usize,
}

/// What a us_socket stands for.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    Socket(SocketKind),
    File,
}

impl Known {
    fn of(kind: c_int) -> Result<Self, Refusal> {
        if kind == us_kind::File as c_int {
            return Ok(Self::File);
        }
        match SOCKETS.iter().find(|row| row.0 as c_int == kind) {
            Some(row) => Ok(Self::Socket(row.1)),
            None => Err(Refusal::UnknownKind),
        }
    }
}

/// Converts a us_socket to a socket.
pub(crate) fn socket<'call>(
    caller: Caller<'call>,
    pointer: *const us_socket,
) -> Result<SocketRef<'call>, Failure> {
    match output(caller, pointer)? {
        Output::Socket(socket) => Ok(socket),
        _ => Err(Refusal::FileIsNoSocket.into()),
    }
}

/// Converts a us_socket to an output for files.
pub(crate) fn output<'call>(
    caller: Caller<'call>,
    pointer: *const us_socket,
) -> Result<Output<'call>, Failure> {
    let us_socket { fd, kind, send_buffer } = *caller.object(pointer)?;
    let known = Known::of(kind)?;
    let fd = caller.descriptor(fd)?;
    Ok(match known {
        Known::Socket(kind) => SocketRef::new(fd, kind).with_send_buffer(send_buffer).into(),
        Known::File => Output::file(fd),
    })
}

/// Ask the kernel for the kind of a socket and the size of its send buffer.
///
/// Four getsockopt(2).  On OpenBSD, call it before pledge(2), or keep "inet" or
/// "unix"; or declare the socket instead.
///
/// Returns 0, or -1 and errno: ENOTSOCK if the descriptor is not a socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_probe(socket: *mut us_socket, fd: c_int) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    status(probe(caller, socket, fd))
}

fn probe(caller: Caller<'_>, socket: *mut us_socket, fd: c_int) -> Result<(), Failure> {
    let socket = caller.object_mut(socket)?;
    let probed = SocketRef::probe(caller.descriptor(fd)?)?;
    // A kind that is newer than this library is a socket of which nothing more is known.
    let kind = SOCKETS.iter().find(|row| row.1 == probed.kind()).map_or(us_kind::Other, |row| row.0);
    *socket = us_socket { fd, kind: kind as c_int, send_buffer: probed.send_buffer().unwrap_or(0) };
    Ok(())
}

/// Declare the kind of a descriptor, which is one of enum us_kind.
///
/// No system call.  A wrong kind leads to wrong errors, and to nothing worse.
///
/// Returns 0, or -1 and errno: EBADF if the descriptor is negative, EINVAL if the
/// kind is unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_declare(socket: *mut us_socket, fd: c_int, kind: c_int) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    status(declare(caller, socket, fd, kind))
}

fn declare(caller: Caller<'_>, socket: *mut us_socket, fd: c_int, kind: c_int) -> Result<(), Failure> {
    let socket = caller.object_mut(socket)?;
    Known::of(kind)?;
    caller.descriptor(fd)?;
    *socket = us_socket { fd, kind, send_buffer: 0 };
    Ok(())
}
