//! What kind of socket a descriptor is.

use std::os::fd::BorrowedFd;

use crate::platform::Native;
use crate::platform::contract::SocketKind;
use crate::platform::kernel::{Kernel, RawErrno};
use crate::platform::posix::option::get_int;

/// The kind of a socket, and the size of its send buffer: by family, type, protocol and size, four calls to
/// getsockopt(2).
pub(crate) fn probe(fd: BorrowedFd<'_>) -> Result<(SocketKind, usize), RawErrno> {
    let numbers = &Native::NUMBERS;
    let option = |name| get_int(fd, numbers.SOL_SOCKET, name);
    let domain = option(numbers.SO_DOMAIN)?;
    let kind = option(numbers.SO_TYPE)?;
    let protocol = option(numbers.SO_PROTOCOL)?;
    let send_buffer = option(numbers.SO_SNDBUF)?;
    Ok((Native::socket_kind(domain, kind, protocol), usize::try_from(send_buffer).unwrap_or(0)))
}
