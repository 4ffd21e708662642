//! The standard calls, made by unisend: send(2) and the others, for a program that was not written for unisend.
//!
//! The kind of the socket is probed at each call: the descriptor may have been closed, and its number be another socket's
//! by now. What unisend's types can say is said to unisend, also if it will refuse it. For what they cannot say, the
//! functions return the [`Reason`] and have done nothing. The caller can then pass the call on to libc.
//!
//! No function is inlined into another crate: a crate that defines `send` itself must not have a call of it in its own
//! code.

#![allow(clippy::unnecessary_cast, reason = "counts have other types in other C libraries")]

use std::ffi::{c_int, c_uint};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, IntoRawFd};

use arrayvec::ArrayVec;
use libc::{c_void, iovec, mmsghdr, msghdr, sockaddr, socklen_t};
use unisend::{
    Address, ControlBuffer, Error, Message, Offset, Output, ReceiveFlags, Received, SendFlags, SocketKind,
    SocketRef, limits,
};

use crate::caller::is_set;
use crate::send::datagram;
use crate::{Caller, Descriptors, Failure, Refusal, address, control, flags};

/// Messages of so few slices need little of the stack, which matters in a signal handler.
const FEW_SLICES: usize = 16;

/// Why a call cannot be made by unisend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Reason {
    /// The descriptor is not open or, for all calls but `sendfile`, not that of a socket; or one that is to be passed is
    /// negative. unisend's callers have an open descriptor (clause G4), and the kernel says what this is.
    Descriptor,
    /// A flag is none of unisend's. This includes `MSG_WAITALL` and `MSG_TRUNC` (clauses F6, F9).
    Flags,
    /// An address goes with a stream or with records (clauses A1 to A3), or does not have the length of its family (A6, A9).
    Address,
    /// A control message is not one of descriptors, or there are several (clauses C1, R1, R2, R5); or the socket may
    /// receive others.
    Control,
    /// A length or a count is over `SSIZE_MAX` (clauses L1, L2).
    Length,
    /// A pointer is null or not aligned (clause G4).
    Memory,
    /// An offset is negative (X4).
    Offset,
}

impl Reason {
    /// All reasons, each at its number.
    pub const ALL: [Self; 7] = [
        Self::Descriptor,
        Self::Flags,
        Self::Address,
        Self::Control,
        Self::Length,
        Self::Memory,
        Self::Offset,
    ];
}

/// Why a call was not made, or failed.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// unisend refused it, or made it and it failed.
    Failed(Failure),
    /// unisend cannot make it, and nothing was done.
    PassedOn(Reason),
}

impl Stop {
    /// Returns the errno of a failure, or `None` if nothing was done.
    ///
    /// It is the canonical one. But what the kernel says of memory that cannot be read stays `EFAULT`: no call of
    /// unisend has such memory, so that its contract has nothing to say of it (clause G4).
    #[must_use]
    pub fn errno(self) -> Option<c_int> {
        match self {
            Self::Failed(Failure::Unisend(error)) if error.kernel_errno() == Some(libc::EFAULT) => {
                Some(libc::EFAULT)
            }
            Self::Failed(failure) => Some(failure.errno()),
            Self::PassedOn(_) => None,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::PassedOn(reason)
    }
}

impl From<Refusal> for Stop {
    /// What unisend would refuse for the same reason is a failure. The rest has no words in it.
    fn from(refusal: Refusal) -> Self {
        use Refusal::{AddressOfPeer, NegativeDescriptor, ShortAddress, TooManyDescriptors, TooManySlices};

        Self::PassedOn(match refusal {
            TooManySlices | TooManyDescriptors => return Self::Failed(refusal.into()),
            AddressOfPeer | ShortAddress => Reason::Address,
            NegativeDescriptor => Reason::Descriptor,
            Refusal::Null | Refusal::Misaligned => Reason::Memory,
            _ => Reason::Length,
        })
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            failure @ Failure::Unisend(_) => Self::Failed(failure),
        }
    }
}

/// The flags of sending that unisend knows. It always sets `MSG_NOSIGNAL`.
const SEND_FLAGS: &[(c_int, SendFlags)] = &[
    (libc::MSG_NOSIGNAL, SendFlags::empty()),
    (libc::MSG_OOB, SendFlags::OUT_OF_BAND),
    (libc::MSG_DONTROUTE, SendFlags::DONT_ROUTE),
    (libc::MSG_DONTWAIT, SendFlags::DONT_WAIT),
    (libc::MSG_EOR, SendFlags::END_OF_RECORD),
    #[cfg(target_os = "linux")]
    (libc::MSG_MORE, SendFlags::MORE),
    #[cfg(target_os = "linux")]
    (libc::MSG_CONFIRM, SendFlags::CONFIRM),
];

/// The flags of receiving that unisend knows. It always has descriptors close on execve(2), and no receive raises a signal.
const RECEIVE_FLAGS: &[(c_int, ReceiveFlags)] = &[
    (libc::MSG_NOSIGNAL, ReceiveFlags::empty()),
    (libc::MSG_CMSG_CLOEXEC, ReceiveFlags::empty()),
    (libc::MSG_OOB, ReceiveFlags::OUT_OF_BAND),
    (libc::MSG_DONTWAIT, ReceiveFlags::DONT_WAIT),
    (libc::MSG_PEEK, ReceiveFlags::PEEK),
];

/// The options by which a unix socket is given other control messages than those of descriptors. A kernel that does not
/// know one does not add its messages. OpenBSD has none for unix sockets.
#[cfg(target_os = "linux")]
const ADDITIONS: &[c_int] = &[
    libc::SO_PASSCRED,
    libc::SO_PASSSEC,
    SO_PASSPIDFD,
    libc::SO_TIMESTAMP,
    libc::SO_TIMESTAMPNS,
    libc::SO_RXQ_OVFL,
];
#[cfg(not(target_os = "linux"))]
const ADDITIONS: &[c_int] = &[];

/// Linux has it since 6.5, and libc does not.
#[cfg(target_os = "linux")]
const SO_PASSPIDFD: c_int = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x55 } else { 76 };

fn send_flags(flags: c_int) -> Result<SendFlags, Reason> {
    flags::translate(SEND_FLAGS, SendFlags::empty(), flags).ok_or(Reason::Flags)
}

fn probe(caller: Caller<'_>, fd: c_int) -> Result<SocketRef<'_>, Stop> {
    SocketRef::probe(caller.descriptor(fd)?).map_err(|_| Reason::Descriptor.into())
}

/// send(2).
///
/// # Errors
///
/// Those of [`SocketRef::send`], and a [`Reason`].
#[inline(never)]
pub fn send(
    caller: Caller<'_>,
    fd: c_int,
    data: *const c_void,
    length: usize,
    flags: c_int,
) -> Result<usize, Stop> {
    let flags = send_flags(flags)?;
    let data = caller.bytes(data, length)?;
    Ok(probe(caller, fd)?.send(data, flags)?)
}

/// sendto(2). Without an address it is [`send`].
///
/// # Errors
///
/// Those of [`SocketRef::send_to`], and a [`Reason`].
#[inline(never)]
pub fn sendto(
    caller: Caller<'_>,
    fd: c_int,
    data: *const c_void,
    length: usize,
    flags: c_int,
    name: *const sockaddr,
    name_length: socklen_t,
) -> Result<usize, Stop> {
    let Some(name) = caller.sockaddr(name, name_length)? else {
        return send(caller, fd, data, length, flags);
    };
    let flags = send_flags(flags)?;
    let data = caller.bytes(data, length)?;
    let socket = probe(caller, fd)?;
    let to = destination(name, socket.kind())?;
    Ok(datagram(&socket)?.send_to(data, &to, flags)?)
}

/// sendmsg(2).
///
/// # Errors
///
/// Those of [`Message::send`] and [`Message::send_to`], and a [`Reason`].
#[inline(never)]
pub fn sendmsg(caller: Caller<'_>, fd: c_int, message: *const msghdr, flags: c_int) -> Result<usize, Stop> {
    let flags = send_flags(flags)?;
    let parts = Parts::of(caller, caller.object(message)?)?;
    send_message(caller, &probe(caller, fd)?, &parts, flags)
}

/// sendmmsg(2): returns how many messages were sent, and writes how many bytes of each were accepted.
///
/// It ends at the first message that fails. If one was sent before that, the failure is not told, as it is not by the
/// kernels. If unisend cannot send one of the messages, none is sent.
///
/// # Errors
///
/// Those of [`sendmsg`] for the first message, and a [`Reason`].
#[inline(never)]
pub fn sendmmsg(
    caller: Caller<'_>,
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> Result<usize, Stop> {
    /// Both kernels take no more at once.
    const MOST: usize = 1024;

    let flags = send_flags(flags)?;
    let messages = caller.array_mut(messages, (count as usize).min(MOST))?;
    for message in &*messages {
        Parts::of(caller, &message.msg_hdr)?;
    }
    let socket = probe(caller, fd)?;
    let mut sent = 0;
    for message in messages {
        let parts = Parts::of(caller, &message.msg_hdr)?;
        match send_message(caller, &socket, &parts, flags) {
            Ok(bytes) => message.msg_len = bytes as c_uint,
            Err(stop) if sent == 0 => return Err(stop),
            Err(_) => break,
        }
        sent += 1;
    }
    Ok(sent)
}

/// The parts of a message that unisend can send.
struct Parts<'call> {
    name: Option<&'call [u8]>,
    slices: *const iovec,
    count: usize,
    descriptors: &'call [u8],
}

impl<'call> Parts<'call> {
    fn of(caller: Caller<'call>, message: &msghdr) -> Result<Self, Stop> {
        let descriptors = match message.msg_controllen {
            0 => &[],
            length => {
                let bytes = caller.bytes(message.msg_control, length as usize)?;
                control::only_descriptors(bytes).ok_or(Reason::Control)?
            }
        };
        Ok(Self {
            name: caller.sockaddr(message.msg_name.cast(), message.msg_namelen)?,
            slices: message.msg_iov,
            count: message.msg_iovlen as usize,
            descriptors,
        })
    }
}

fn send_message(
    caller: Caller<'_>,
    socket: &SocketRef<'_>,
    parts: &Parts<'_>,
    flags: SendFlags,
) -> Result<usize, Stop> {
    match parts.count {
        0..=FEW_SLICES => send_slices::<FEW_SLICES>(caller, socket, parts, flags),
        _ => send_slices::<{ limits::SLICES_PER_MESSAGE }>(caller, socket, parts, flags),
    }
}

#[inline(never)]
fn send_slices<const ROOM: usize>(
    caller: Caller<'_>,
    socket: &SocketRef<'_>,
    parts: &Parts<'_>,
    flags: SendFlags,
) -> Result<usize, Stop> {
    let mut slices = ArrayVec::<IoSlice<'_>, ROOM>::new();
    caller.slices(parts.slices, count(parts.count), &mut slices)?;
    let descriptors = descriptors(caller, parts.descriptors)?;
    let message = Message::new(&mut slices).with_descriptors(&descriptors);
    let Some(name) = parts.name else { return Ok(message.send(socket, flags)?) };
    let to = destination(name, socket.kind())?;
    Ok(message.send_to(&datagram(socket)?, &to, flags)?)
}

/// Converts the number of slices. One that is too large stays too large.
fn count(slices: usize) -> c_int {
    c_int::try_from(slices).unwrap_or(c_int::MAX)
}

fn descriptors<'call>(caller: Caller<'call>, bytes: &[u8]) -> Result<Descriptors<'call>, Stop> {
    let mut descriptors = Descriptors::new();
    for number in control::numbers(bytes) {
        descriptors.try_push(caller.descriptor(number)?).map_err(|_| Refusal::TooManyDescriptors)?;
    }
    Ok(descriptors)
}

/// Converts the address that something is sent to. An IPv4-mapped one is meant: the program has written it.
fn destination(name: &[u8], kind: SocketKind) -> Result<Address, Stop> {
    match name.len() {
        1..=limits::SOCKADDR_BYTES => Ok(address::from_sockaddr(name, kind, true)?),
        _ => Err(Reason::Address.into()),
    }
}

/// recvmsg(2).
///
/// Control messages are received by unisend on a unix socket that is given none but those of descriptors. If there is
/// room for some on another socket, the call is passed on: the program may have asked for what unisend does not return.
///
/// # Errors
///
/// Those of [`SocketRef::receive`], and a [`Reason`].
#[inline(never)]
pub fn recvmsg(caller: Caller<'_>, fd: c_int, message: *mut msghdr, flags: c_int) -> Result<usize, Stop> {
    let flags = flags::translate(RECEIVE_FLAGS, ReceiveFlags::empty(), flags).ok_or(Reason::Flags)?;
    let message = caller.object_mut(message)?;
    let socket = probe(caller, fd)?;
    let has_room = !message.msg_control.is_null() && message.msg_controllen != 0;
    if has_room && !receives_descriptors_alone(&socket) {
        return Err(Reason::Control.into());
    }
    match message.msg_iovlen as usize {
        0..=FEW_SLICES => receive::<FEW_SLICES>(caller, &socket, message, flags),
        _ => receive::<{ limits::SLICES_PER_MESSAGE }>(caller, &socket, message, flags),
    }
}

fn receives_descriptors_alone(socket: &SocketRef<'_>) -> bool {
    use SocketKind::{UnixDatagram, UnixSeqpacket, UnixStream};

    let is_unix = matches!(socket.kind(), UnixStream | UnixDatagram | UnixSeqpacket);
    is_unix && !ADDITIONS.iter().any(|&option| is_set(socket.as_fd(), libc::SOL_SOCKET, option))
}

#[inline(never)]
fn receive<const ROOM: usize>(
    caller: Caller<'_>,
    socket: &SocketRef<'_>,
    message: &mut msghdr,
    flags: ReceiveFlags,
) -> Result<usize, Stop> {
    let mut slices = ArrayVec::<IoSliceMut<'_>, ROOM>::new();
    caller.slices_mut(message.msg_iov, count(message.msg_iovlen as usize), &mut slices)?;
    let mut room = Room::of(caller, message)?;
    match room.is_for_data_alone() {
        true => {
            let came = socket.receive_without_descriptors(&mut slices, flags)?;
            Ok(room.keep(came, message))
        }
        false => receive_with_room(socket, &mut slices, &mut room, message, flags),
    }
}

#[inline(never)] // its frame is large
fn receive_with_room(
    socket: &SocketRef<'_>,
    slices: &mut [IoSliceMut<'_>],
    room: &mut Room<'_>,
    message: &mut msghdr,
    flags: ReceiveFlags,
) -> Result<usize, Stop> {
    let mut control = ControlBuffer::new();
    let came = socket.receive(slices, &mut control, flags)?;
    Ok(room.keep(came, message))
}

/// The room that the caller gave for what comes with the data.
struct Room<'call> {
    name: Option<&'call mut [u8]>,
    control: &'call mut [u8],
}

impl<'call> Room<'call> {
    fn of(caller: Caller<'call>, message: &msghdr) -> Result<Self, Refusal> {
        let name_length = (message.msg_namelen as usize).min(limits::SOCKADDR_BYTES);
        let name = match message.msg_name.is_null() {
            true => None,
            false => Some(caller.bytes_mut(message.msg_name, name_length)?),
        };
        let control = match message.msg_control.is_null() {
            true => &mut [],
            false => caller.bytes_mut(message.msg_control, message.msg_controllen as usize)?,
        };
        Ok(Self { name, control })
    }

    fn is_for_data_alone(&self) -> bool {
        self.name.is_none() && self.control.is_empty()
    }

    /// Keeps what came, closes the descriptors for which there is no room, and returns the number of bytes.
    fn keep(&mut self, mut came: Received<'_>, message: &mut msghdr) -> usize {
        if let Some(name) = &mut self.name {
            message.msg_namelen = address::copy_sender(&came, name);
        }
        let fit = came.descriptors().len().min(control::room_for_descriptors(self.control.len()));
        message.msg_controllen = match fit {
            0 => 0,
            fit => {
                let descriptors = came.descriptors().by_ref().take(fit).map(IntoRawFd::into_raw_fd);
                control::write_descriptors(self.control, descriptors) as _
            }
        };
        let has_too_many = came.descriptors().len() > 0;
        message.msg_flags = flags::that_are_so(&[
            (came.is_truncated(), libc::MSG_TRUNC),
            (came.descriptors_lost() || has_too_many, libc::MSG_CTRUNC),
            (came.ends_record(), libc::MSG_EOR),
        ]);
        came.bytes()
    }
}

/// sendfile(2) of Linux. The offset is advanced by what was accepted, also if the call fails.
///
/// # Errors
///
/// Those of [`unisend::sendfile`], and a [`Reason`].
#[inline(never)]
pub fn sendfile(
    caller: Caller<'_>,
    to: c_int,
    from: c_int,
    offset: Option<&mut u64>,
    count: usize,
) -> Result<usize, Stop> {
    let input = caller.descriptor(from)?;
    let output = Output::probe(caller.descriptor(to)?).map_err(|_| Reason::Descriptor)?;
    let offset = offset.map_or(Offset::Position, Offset::At);
    // No more than limits::BYTES_PER_SENDFILE are accepted, which is less than SSIZE_MAX.
    Ok(unisend::sendfile(output, input, offset, count as u64)? as usize)
}
