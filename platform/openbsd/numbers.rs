//! OpenBSD's numbers: the same on every architecture.

use crate::platform::numbers::{ABSENT, Numbers, held_to_libc};

pub(super) const NUMBERS: Numbers = Numbers {
    AF_UNIX: 1,
    AF_INET: 2,
    AF_INET6: 24,
    SOCK_STREAM: 1,
    SOCK_DGRAM: 2,
    SOCK_SEQPACKET: 5,
    IPPROTO_TCP: 6,
    IPPROTO_UDP: 17,
    SOL_SOCKET: 0xffff,
    SO_DOMAIN: 0x1024,
    SO_TYPE: 0x1008,
    SO_PROTOCOL: 0x1025,
    SO_SNDBUF: 0x1001,
    SO_ERROR: 0x1007,
    MSG_OOB: 0x1,
    MSG_PEEK: 0x2,
    MSG_DONTROUTE: 0x4,
    MSG_DONTWAIT: 0x80,
    MSG_EOR: 0x8,
    MSG_NOSIGNAL: 0x400,
    MSG_MORE: ABSENT,
    MSG_CONFIRM: ABSENT,
};

held_to_libc!("openbsd", crate::platform::openbsd::numbers::NUMBERS, [
    AF_UNIX AF_INET AF_INET6 SOCK_STREAM SOCK_DGRAM SOCK_SEQPACKET IPPROTO_TCP IPPROTO_UDP
    SOL_SOCKET SO_DOMAIN SO_TYPE SO_PROTOCOL SO_SNDBUF SO_ERROR
    MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_DONTWAIT MSG_EOR MSG_NOSIGNAL
]);
