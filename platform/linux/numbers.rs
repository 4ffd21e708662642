//! Linux's numbers. They are the same on every architecture that unisend supports, except one.

use crate::platform::kernel::{ABSENT, NEVER_SENT, Numbers, held_to_libc};

pub(super) const NUMBERS: Numbers = Numbers {
    AF_UNIX: 1,
    AF_INET: 2,
    AF_INET6: 10,
    SOCK_STREAM: 1,
    SOCK_DGRAM: 2,
    SOCK_SEQPACKET: 5,
    IPPROTO_TCP: 6,
    IPPROTO_UDP: 17,
    IPPROTO_IP: 0,
    IPPROTO_IPV6: 41,
    IP_PKTINFO: 8,
    IP_RECVDSTADDR: NEVER_SENT,
    IP_RECVIF: NEVER_SENT,
    IPV6_RECVPKTINFO: 49,
    IPV6_PKTINFO: 50,
    TCP_CORK: 3,
    TCP_NOPUSH: ABSENT,
    UDP_SEGMENT: 103,
    UDP_GRO: 104,
    SOL_SOCKET: 1,
    SO_DOMAIN: 39,
    SO_TYPE: 3,
    SO_PROTOCOL: 38,
    SO_SNDBUF: 7,
    SO_ERROR: 4,
    SO_ACCEPTCONN: 30,
    MSG_OOB: 0x1,
    MSG_PEEK: 0x2,
    MSG_DONTROUTE: 0x4,
    MSG_DONTWAIT: 0x40,
    MSG_EOR: 0x80,
    MSG_NOSIGNAL: 0x4000,
    MSG_MORE: 0x8000,
    MSG_CONFIRM: 0x800,
    MSG_TRUNC: 0x20,
    MSG_CTRUNC: 0x8,
    MSG_CMSG_CLOEXEC: 0x4000_0000,
    MSG_WAITFORONE: 0x1_0000,
    SCM_RIGHTS: 1,
    // The libc crate does not have it. Since Linux 6.5.
    SCM_PIDFD: 4,
    // powerpc has its own numbers from the low-water marks on.
    SO_PEERCRED: if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) { 21 } else { 17 },
    O_PATH: 0x20_0000,
};

held_to_libc!("linux", [
    AF_UNIX AF_INET AF_INET6 SOCK_STREAM SOCK_DGRAM SOCK_SEQPACKET IPPROTO_TCP IPPROTO_UDP
    IPPROTO_IP IPPROTO_IPV6 IP_PKTINFO IPV6_RECVPKTINFO IPV6_PKTINFO TCP_CORK UDP_SEGMENT UDP_GRO
    SOL_SOCKET SO_DOMAIN SO_TYPE SO_PROTOCOL SO_SNDBUF SO_ERROR SO_ACCEPTCONN
    MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_DONTWAIT MSG_EOR MSG_NOSIGNAL MSG_MORE MSG_CONFIRM
    MSG_TRUNC MSG_CTRUNC MSG_CMSG_CLOEXEC MSG_WAITFORONE SCM_RIGHTS SO_PEERCRED O_PATH
]);
