//! The kind of the socket that a descriptor refers to.

use std::os::fd::BorrowedFd;

use crate::platform::Native;
use crate::platform::contract::SocketKind;
use crate::platform::kernel::{Kernel, RawErrno};
use crate::platform::posix::option::get_int;

/// Returns the kind of a socket and the size of its send buffer. It makes four calls of getsockopt(2): for the
/// family, the type, the protocol and the size.
pub(crate) fn probe(fd: BorrowedFd<'_>) -> Result<(SocketKind, usize), RawErrno> {
    let numbers = &Native::NUMBERS;
    let option = |name| get_int(fd, numbers.SOL_SOCKET, name);
    let domain = option(numbers.SO_DOMAIN)?;
    let kind = option(numbers.SO_TYPE)?;
    let protocol = option(numbers.SO_PROTOCOL)?;
    let send_buffer = option(numbers.SO_SNDBUF)?;
    Ok((Native::socket_kind(domain, kind, protocol), usize::try_from(send_buffer).unwrap_or(0)))
}
