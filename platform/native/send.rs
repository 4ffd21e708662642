//! send(2), sendto(2) and sendmsg(2), and nothing else.

use std::ffi::c_int;
use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::platform::Native;
use crate::platform::kernel::control::{ControlWords, RightsMessage};
use crate::platform::kernel::{Kernel, RawErrno, RawFlags, SocketName};
use crate::platform::posix::count;

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

/// Sends slices as one message, to the socket's peer, without ancillary data.
#[inline]
pub(crate) fn send_slices(
    fd: BorrowedFd<'_>,
    slices: &[IoSlice<'_>],
    flags: RawFlags,
) -> Result<usize, RawErrno> {
    send_message(fd, &message_of(slices), flags)
}

/// What goes with a message: the descriptors of a unix socket, or what the headers of a UDP datagram are to have.
pub(crate) enum Ancillary<'a, Descriptor> {
    /// There must be no more than `limits` allows.
    Descriptors(&'a [Descriptor]),
    Options(DatagramOptions),
}

/// What the headers of a UDP datagram are to have, if it is not what the socket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DatagramOptions {
    pub(crate) source: Option<IpAddr>,
    pub(crate) traffic_class: Option<u8>,
    /// Whether the socket is an IPv6 socket.
    pub(crate) is_v6: bool,
}

/// Sends slices as one message: to an address if there is one, with its ancillary data.
#[inline]
pub(crate) fn send_with<Descriptor: AsFd>(
    fd: BorrowedFd<'_>,
    slices: &[IoSlice<'_>],
    to: Option<&SocketName>,
    ancillary: &Ancillary<'_, Descriptor>,
    flags: RawFlags,
) -> Result<usize, RawErrno> {
    let mut message = message_to(slices, to);
    let mut rights = RightsMessage::unwritten();
    let written = match ancillary {
        Ancillary::Descriptors([]) => 0,
        Ancillary::Descriptors(descriptors) => {
            let sort = (Native::NUMBERS.SOL_SOCKET, Native::NUMBERS.SCM_RIGHTS);
            let numbers = descriptors.iter().map(|descriptor| descriptor.as_fd().as_raw_fd());
            rights.write(0, Native::CONTROL, sort, numbers)
        }
        Ancillary::Options(options) => write_options(&mut rights, options),
    };
    set_control(&mut message, &rights, written);
    send_message(fd, &message, flags)
}

/// Writes the control messages of these options, and returns how many bytes they have.
#[inline]
pub(super) fn write_options<const ROOM: usize>(
    control: &mut ControlWords<ROOM>,
    options: &DatagramOptions,
) -> usize {
    let mut written = 0;
    if let Some(source) = options.source {
        let (sort, words, count) = Native::source_message(source);
        written = control.write(written, Native::CONTROL, sort, words[..count].iter().copied());
    }
    if let Some(class) = options.traffic_class {
        for sort in Native::traffic_class_messages(options.is_v6) {
            written = control.write(written, Native::CONTROL, sort, std::iter::once(c_int::from(class)));
        }
    }
    written
}

/// Has the message point to its control messages, if there are any.
#[inline]
pub(super) fn set_control<const ROOM: usize>(
    message: &mut libc::msghdr,
    control: &ControlWords<ROOM>,
    written: usize,
) {
    if written > 0 {
        message.msg_control = control.as_ptr().cast_mut().cast();
        message.msg_controllen = written as _;
    }
}

/// Returns a message of slices, to an address if there is one, and without ancillary data. The pointer and the
/// length of what it does not have are both zero (clauses L8, L9).
#[inline]
pub(super) fn message_to(slices: &[IoSlice<'_>], to: Option<&SocketName>) -> libc::msghdr {
    let mut message = message_of(slices);
    if let Some(name) = to {
        message.msg_name = name.as_ptr().cast_mut().cast();
        message.msg_namelen = name.length();
    }
    message
}

/// Returns a message of slices, without a name and without ancillary data.
#[inline]
fn message_of(slices: &[IoSlice<'_>]) -> libc::msghdr {
    // SAFETY: a msghdr consists of integers and pointers, for which zero is valid. Some systems have padding in
    // it, so it has no literal.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
    message.msg_iovlen = slices.len() as _;
    message
}

/// The caller must keep alive what the message points to.
#[inline]
pub(super) fn send_message(
    fd: BorrowedFd<'_>,
    message: &libc::msghdr,
    flags: RawFlags,
) -> Result<usize, RawErrno> {
    // SAFETY: IoSlice is laid out as iovec; all that the message points to outlives the call, which only reads
    // it, each to its length.
    count(unsafe { libc::sendmsg(fd.as_raw_fd(), message, flags.0) })
}

/// Checks the kernel's layout of control messages against libc's arithmetic.
const _: () = {
    use static_assertions::const_assert_eq;

    // SAFETY: these are arithmetic on their argument.
    const_assert_eq!(Native::CONTROL.length(0), unsafe { libc::CMSG_LEN(0) } as usize);
    // SAFETY: as above.
    const_assert_eq!(Native::CONTROL.length(20), unsafe { libc::CMSG_LEN(20) } as usize);
    // SAFETY: as above.
    const_assert_eq!(Native::CONTROL.space(4), unsafe { libc::CMSG_SPACE(4) } as usize);
    // SAFETY: as above.
    const_assert_eq!(Native::CONTROL.space(504), unsafe { libc::CMSG_SPACE(504) } as usize);
};
