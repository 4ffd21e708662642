//! The options that have the kernel report what a datagram came with.

use std::ffi::c_int;
use std::os::fd::BorrowedFd;

use crate::platform::Native;
use crate::platform::contract::SocketKind;
use crate::platform::kernel::{Kernel, RawErrno};
use crate::platform::posix::option;

/// What can be reported of a datagram of UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    Destination,
    TrafficClass,
    HopLimit,
}

impl Report {
    /// The options at the level of IPv4, if the kernel has one.
    fn options_v4(self) -> &'static [c_int] {
        const CLASS: Option<c_int> = Native::TRAFFIC_CLASSES_V4;
        match self {
            Self::Destination => Native::DESTINATIONS_V4,
            Self::TrafficClass => CLASS.as_slice(),
            Self::HopLimit => &[Native::NUMBERS.IP_RECVTTL],
        }
    }

    fn option_v6(self) -> c_int {
        match self {
            Self::Destination => Native::NUMBERS.IPV6_RECVPKTINFO,
            Self::TrafficClass => Native::NUMBERS.IPV6_RECVTCLASS,
            Self::HopLimit => Native::NUMBERS.IPV6_RECVHOPLIMIT,
        }
    }
}

/// Sets the options for this kind of socket, or returns `None` if there are none.
pub(crate) fn receive_report(
    fd: BorrowedFd<'_>,
    kind: SocketKind,
    report: Report,
) -> Option<Result<(), RawErrno>> {
    let numbers = Native::NUMBERS;
    let set = |level, name| option::set_int(fd, level, name, 1);
    let set_v4 = || report.options_v4().iter().try_for_each(|&name| set(numbers.IPPROTO_IP, name));
    match kind {
        SocketKind::UdpV4 if !report.options_v4().is_empty() => Some(set_v4()),
        SocketKind::UdpV6 => {
            // Over IPv4 a dual-stack socket reports the destination by the option of IPv6, and the rest by those of IPv4.
            let also_v4 = Native::DUAL_STACK && report != Report::Destination;
            let set_v6 = set(numbers.IPPROTO_IPV6, report.option_v6());
            Some(set_v6.and_then(|()| if also_v4 { set_v4() } else { Ok(()) }))
        }
        _ => None,
    }
}
