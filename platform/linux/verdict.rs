//! What Linux means by its errors: the exceptions to the plain meanings, clause by clause.
//!
//! `openbsd/verdict.rs` is the other half of each clause.

use super::Linux;
use crate::platform::contract::{Errno, ErrorKind, Operation, SocketKind};
use crate::platform::kernel::{Cause, Failure, Kernel};

/// What Linux can be asked about a socket after a failure.
pub(crate) trait Witness {
    /// Whether getpeername(2) names a peer. It costs a third of `TCP_INFO`, but says the same of a socket that
    /// was never connected, of one that is connecting, and of one that is dead.
    fn has_peer(&self) -> bool;

    /// Whether UDP was told to cut what is sent into segments (`UDP_SEGMENT`, since 4.18).
    fn has_segments(&self) -> bool;

    /// `TCP_INFO`, as far as the kernel filled it in. It has no side effects.
    fn tcp_info(&self) -> Option<TcpInfo>;
}

/// The fields of Linux's `struct tcp_info` that tell a connection's past.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TcpInfo {
    pub(crate) state: u8,
    /// Segments sent and received, ever. `None` from a kernel older than 4.2, which does not count them.
    pub(crate) segments: Option<u64>,
}

impl TcpInfo {
    const SYN_SENT: u8 = 2;
    const CLOSE: u8 = 7;
    const LISTEN: u8 = 10;

    fn is_connecting(self) -> bool {
        self.state == Self::SYN_SENT
    }

    fn never_connected(self) -> bool {
        self.state == Self::LISTEN || self.state == Self::CLOSE && self.segments == Some(0)
    }
}

pub(super) fn judge(failure: Failure, witness: &dyn Witness) -> Cause {
    use Errno::{EAGAIN, ECONNREFUSED, EINVAL, ENOTCONN, EPIPE};
    use SocketKind::{Tcp, UdpV4, UdpV6, UnixDatagram, UnixStream};

    let plain = Linux::plain_meaning(failure.errno);
    let tcp_info = |is: fn(TcpInfo) -> bool| witness.tcp_info().is_some_and(is);
    let sends = failure.operation != Operation::Receive;
    let kind = match (failure.kind, Linux::errno_name(failure.errno)) {
        // S1, S2: EPIPE is also what a socket gets that was never connected, or that listens.
        (Tcp, Some(EPIPE)) if tcp_info(TcpInfo::never_connected) => ErrorKind::NotConnected,
        // S3: EAGAIN is also what a socket gets that is still connecting. One with a peer is not.
        (Tcp, Some(EAGAIN)) if sends && !witness.has_peer() && tcp_info(TcpInfo::is_connecting) => {
            ErrorKind::Connecting
        }
        // S16: a datagram socket that lacks a peer lacks a destination, as it does on OpenBSD and for UDP.
        (UnixDatagram, Some(ENOTCONN)) => ErrorKind::DestinationRequired,
        // S17: the receiver that this socket was connected to has closed. A destination that is named and
        // has closed is refused on both systems (A10).
        (UnixDatagram, Some(ECONNREFUSED)) if !failure.operation.names_destination() => ErrorKind::Reset,
        // I8b: a blackhole route, and a destination that can be nobody's. With UDP_SEGMENT it can be a matter of size.
        (UdpV4 | UdpV6, Some(EINVAL)) if sends && !witness.has_segments() => ErrorKind::Unreachable,
        // B9: receiving from a stream that was never connected.
        (UnixStream, Some(EINVAL)) if failure.operation == Operation::Receive => ErrorKind::NotConnected,
        _ => plain,
    };
    Cause { kind, errno: failure.errno }
}
