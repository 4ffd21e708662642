//! The numbers of a kernel, under their names in C.

use std::ffi::c_int;

use crate::platform::contract::{ReceiveFlags, SendFlags};

/// The number for a flag that a kernel does not have.
pub(in crate::platform) const ABSENT: c_int = 0;

/// The type for a control message that a kernel does not have. No message has this type.
pub(in crate::platform) const NEVER_SENT: c_int = -1;

/// A kernel's numbers. Each is checked against libc's when this is compiled for that kernel.
#[allow(non_snake_case, reason = "the names that C gives them")]
#[allow(dead_code, reason = "some are only one kernel's to use")]
pub(crate) struct Numbers {
    pub(in crate::platform) AF_UNIX: c_int,
    pub(in crate::platform) AF_INET: c_int,
    pub(in crate::platform) AF_INET6: c_int,
    pub(in crate::platform) SOCK_STREAM: c_int,
    pub(in crate::platform) SOCK_DGRAM: c_int,
    pub(in crate::platform) SOCK_SEQPACKET: c_int,
    pub(in crate::platform) SOCK_CLOEXEC: c_int,
    pub(in crate::platform) SOCK_NONBLOCK: c_int,
    pub(in crate::platform) IPPROTO_TCP: c_int,
    pub(in crate::platform) IPPROTO_UDP: c_int,
    pub(in crate::platform) IPPROTO_IP: c_int,
    pub(in crate::platform) IPPROTO_IPV6: c_int,
    pub(in crate::platform) IP_PKTINFO: c_int,
    pub(in crate::platform) IP_RECVDSTADDR: c_int,
    pub(in crate::platform) IP_RECVIF: c_int,
    pub(in crate::platform) IP_TOS: c_int,
    pub(in crate::platform) IP_RECVTOS: c_int,
    pub(in crate::platform) IP_TTL: c_int,
    pub(in crate::platform) IP_RECVTTL: c_int,
    pub(in crate::platform) IPV6_TCLASS: c_int,
    pub(in crate::platform) IPV6_RECVTCLASS: c_int,
    pub(in crate::platform) IPV6_HOPLIMIT: c_int,
    pub(in crate::platform) IPV6_RECVHOPLIMIT: c_int,
    pub(in crate::platform) IPV6_RECVPKTINFO: c_int,
    pub(in crate::platform) IPV6_PKTINFO: c_int,
    pub(in crate::platform) TCP_CORK: c_int,
    pub(in crate::platform) TCP_NOPUSH: c_int,
    pub(in crate::platform) UDP_SEGMENT: c_int,
    pub(in crate::platform) UDP_GRO: c_int,
    pub(in crate::platform) SOL_SOCKET: c_int,
    pub(in crate::platform) SO_DOMAIN: c_int,
    pub(in crate::platform) SO_TYPE: c_int,
    pub(in crate::platform) SO_PROTOCOL: c_int,
    pub(in crate::platform) SO_SNDBUF: c_int,
    pub(in crate::platform) SO_ERROR: c_int,
    pub(in crate::platform) SO_ACCEPTCONN: c_int,
    pub(in crate::platform) MSG_OOB: c_int,
    pub(in crate::platform) MSG_PEEK: c_int,
    pub(in crate::platform) MSG_DONTROUTE: c_int,
    pub(in crate::platform) MSG_DONTWAIT: c_int,
    pub(in crate::platform) MSG_EOR: c_int,
    pub(in crate::platform) MSG_NOSIGNAL: c_int,
    pub(in crate::platform) MSG_MORE: c_int,
    pub(in crate::platform) MSG_CONFIRM: c_int,
    pub(in crate::platform) MSG_TRUNC: c_int,
    pub(in crate::platform) MSG_CTRUNC: c_int,
    pub(in crate::platform) MSG_CMSG_CLOEXEC: c_int,
    pub(in crate::platform) MSG_WAITFORONE: c_int,
    pub(in crate::platform) SCM_RIGHTS: c_int,
    pub(in crate::platform) SCM_PIDFD: c_int,
    pub(in crate::platform) SO_PEERCRED: c_int,
    pub(in crate::platform) O_PATH: c_int,
}

/// Flags in the kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawFlags(pub(in crate::platform) c_int);

impl Numbers {
    /// Returns the number for each combination of flags, indexed by the bits of the combination.
    pub(in crate::platform) const fn of_all_send_flags(&self) -> [c_int; SendFlags::COMBINATIONS] {
        let mut numbers = [0; SendFlags::COMBINATIONS];
        let mut bits = 0;
        while bits < SendFlags::COMBINATIONS {
            numbers[bits] = self.of_send_flags(SendFlags::from_bits_retain(bits as u32));
            bits += 1;
        }
        numbers
    }

    /// Returns the number for a set of flags, with `MSG_NOSIGNAL`: no send of unisend raises a signal.
    const fn of_send_flags(&self, flags: SendFlags) -> c_int {
        self.MSG_NOSIGNAL
            | number_if(flags.contains(SendFlags::OUT_OF_BAND), self.MSG_OOB)
            | number_if(flags.contains(SendFlags::DONT_ROUTE), self.MSG_DONTROUTE)
            | number_if(flags.contains(SendFlags::DONT_WAIT), self.MSG_DONTWAIT)
            | number_if(flags.contains(SendFlags::END_OF_RECORD), self.MSG_EOR)
            | number_if(flags.contains(SendFlags::MORE), self.MSG_MORE)
            | number_if(flags.contains(SendFlags::CONFIRM), self.MSG_CONFIRM)
    }

    /// Returns the number for a set of flags, with `MSG_CMSG_CLOEXEC`: descriptors are close-on-exec from the start
    /// (clause R27).
    #[inline]
    pub(in crate::platform) const fn of_receive_flags(&self, flags: ReceiveFlags) -> c_int {
        self.MSG_CMSG_CLOEXEC
            | number_if(flags.contains(ReceiveFlags::DONT_WAIT), self.MSG_DONTWAIT)
            | number_if(flags.contains(ReceiveFlags::PEEK), self.MSG_PEEK)
            | number_if(flags.contains(ReceiveFlags::OUT_OF_BAND), self.MSG_OOB)
    }
}

#[inline]
const fn number_if(wanted: bool, number: c_int) -> c_int {
    if wanted { number } else { 0 }
}

/// Checks the `NUMBERS` of a kernel against libc's, when compiled for that kernel.
macro_rules! held_to_libc {
    ($os:literal, [$($name:ident)*]) => {
        #[cfg(target_os = $os)]
        mod held_to_libc {
            $(static_assertions::const_assert_eq!(super::NUMBERS.$name, libc::$name);)*
        }
    };
}
pub(in crate::platform) use held_to_libc;
