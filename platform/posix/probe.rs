//! What kind of socket a descriptor is.

use std::ffi::c_int;
use std::os::fd::BorrowedFd;

use super::option::get_int;
use crate::platform::contract::SocketKind;
use crate::platform::{Kernel, RawErrno};

/// Asks for family, type, protocol and the size of the send buffer: four calls to getsockopt(2).
pub(in crate::platform) fn probe<K: Kernel>(fd: BorrowedFd<'_>) -> Result<(SocketKind, usize), RawErrno> {
    let option = |name| get_int(fd, K::NUMBERS.SOL_SOCKET, name);
    let domain = option(K::NUMBERS.SO_DOMAIN)?;
    let kind = option(K::NUMBERS.SO_TYPE)?;
    let protocol = option(K::NUMBERS.SO_PROTOCOL)?;
    let send_buffer = option(K::NUMBERS.SO_SNDBUF)?;
    Ok((socket_kind::<K>(domain, kind, protocol), usize::try_from(send_buffer).unwrap_or(0)))
}

/// The kind that a family, type and protocol make. The protocol matters: a datagram socket of the internet
/// family can be ICMP's, and a stream multipath TCP's.
pub(in crate::platform) fn socket_kind<K: Kernel>(domain: c_int, kind: c_int, protocol: c_int) -> SocketKind {
    let n = K::NUMBERS;
    let kinds = [
        (n.AF_UNIX, n.SOCK_STREAM, None, SocketKind::UnixStream),
        (n.AF_UNIX, n.SOCK_DGRAM, None, SocketKind::UnixDatagram),
        (n.AF_UNIX, n.SOCK_SEQPACKET, None, SocketKind::UnixSeqpacket),
        (n.AF_INET, n.SOCK_STREAM, Some(n.IPPROTO_TCP), SocketKind::Tcp),
        (n.AF_INET6, n.SOCK_STREAM, Some(n.IPPROTO_TCP), SocketKind::Tcp),
        (n.AF_INET, n.SOCK_DGRAM, Some(n.IPPROTO_UDP), SocketKind::UdpV4),
        (n.AF_INET6, n.SOCK_DGRAM, Some(n.IPPROTO_UDP), SocketKind::UdpV6),
    ];
    kinds
        .iter()
        .find(|row| (row.0, row.1) == (domain, kind) && row.2.is_none_or(|wanted| wanted == protocol))
        .map_or_else(|| other::<K>(kind, protocol), |row| row.3)
}

/// SCTP, which keeps the boundaries of messages on what it calls a stream: the number that IANA gave it.
const SCTP: c_int = 132;

fn other<K: Kernel>(kind: c_int, protocol: c_int) -> SocketKind {
    match kind == K::NUMBERS.SOCK_STREAM && protocol != SCTP {
        true => SocketKind::OtherStream,
        false => SocketKind::Other,
    }
}
