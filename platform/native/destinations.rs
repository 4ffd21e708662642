//! The options that have the kernel report the destinations of datagrams.

use std::os::fd::BorrowedFd;

use crate::platform::Native;
use crate::platform::contract::SocketKind;
use crate::platform::kernel::{Kernel, RawErrno};
use crate::platform::posix::option;

/// Sets the options for this kind of socket, or returns `None` if there are none.
pub(crate) fn receive_destinations(fd: BorrowedFd<'_>, kind: SocketKind) -> Option<Result<(), RawErrno>> {
    let numbers = Native::NUMBERS;
    let (level, options) = match kind {
        SocketKind::UdpV4 => (numbers.IPPROTO_IP, Native::DESTINATIONS_V4),
        SocketKind::UdpV6 => (numbers.IPPROTO_IPV6, &[numbers.IPV6_RECVPKTINFO][..]),
        _ => return None,
    };
    Some(options.iter().try_for_each(|&name| option::set_int(fd, level, name, 1)))
}
