//! send(2), sendto(2) and sendmsg(2), and nothing else.

use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::platform::Native;
use crate::platform::kernel::control::RightsMessage;
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

/// What goes with a message: the descriptors of a unix socket, or the source of a UDP datagram.
pub(crate) enum Ancillary<'a, Descriptor> {
    /// There must be no more than `limits` allows.
    Descriptors(&'a [Descriptor]),
    Source(IpAddr),
}

/// Sends slices as one message: to an address if there is one, with its ancillary data.
#[inline]
pub(crate) fn send_with<Descriptor: AsFd>(
    fd: BorrowedFd<'_>,
    slices: &[IoSlice<'_>],
    to: Option<&SocketName>,
    ancillary: Ancillary<'_, Descriptor>,
    flags: RawFlags,
) -> Result<usize, RawErrno> {
    let mut message = message_of(slices);
    if let Some(name) = to {
        message.msg_name = name.as_ptr().cast_mut().cast();
        message.msg_namelen = name.length();
    }
    let mut rights = RightsMessage::unwritten();
    let written = match ancillary {
        Ancillary::Descriptors([]) => None,
        Ancillary::Descriptors(descriptors) => {
            let sort = (Native::NUMBERS.SOL_SOCKET, Native::NUMBERS.SCM_RIGHTS);
            let numbers = descriptors.iter().map(|descriptor| descriptor.as_fd().as_raw_fd());
            Some(rights.write(Native::CONTROL, sort, numbers))
        }
        Ancillary::Source(source) => {
            let (sort, words, count) = Native::source_message(source);
            Some(rights.write(Native::CONTROL, sort, words[..count].iter().copied()))
        }
    };
    if let Some((control, length)) = written {
        message.msg_control = control.cast_mut().cast();
        message.msg_controllen = length as _;
    }
    send_message(fd, &message, flags)
}

/// Returns a message of slices, without a name and without ancillary data: each has a null pointer and a zero
/// length (clauses L8, L9).
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
fn send_message(fd: BorrowedFd<'_>, message: &libc::msghdr, flags: RawFlags) -> Result<usize, RawErrno> {
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
