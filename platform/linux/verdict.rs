//! What Linux's errors mean: the exceptions to the plain meanings, clause by clause.
//!
//! `openbsd/verdict.rs` has the same clauses for OpenBSD.

use super::Linux;
use crate::platform::contract::{Errno, ErrorKind, Operation, SocketKind};
use crate::platform::kernel::{Cause, Failure, Kernel};

/// What Linux can be asked about a socket after a failure.
pub(crate) trait Witness {
    /// Returns whether getpeername(2) names a peer. It costs a third of `TCP_INFO`, but cannot tell a socket
    /// that was never connected from one that is connecting or one that is dead.
    fn has_peer(&self) -> bool;

    /// Returns whether UDP cuts its data into segments (`UDP_SEGMENT`, since 4.18).
    fn has_segments(&self) -> bool;

    /// Returns `TCP_INFO`, as far as the kernel filled it in. Reading it has no side effects.
    fn tcp_info(&self) -> Option<TcpInfo>;
}

/// The fields of Linux's `struct tcp_info` that show the past of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TcpInfo {
    pub(crate) state: u8,
    /// The number of segments that were ever sent and received. `None` on a kernel older than 4.2, which does
    /// not count them.
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
    use SocketKind::{Tcp, UdpV4, UdpV6, UnixDatagram, UnixSeqpacket, UnixStream};

    let plain = Linux::plain_meaning(failure.errno);
    let tcp_info = |is: fn(TcpInfo) -> bool| witness.tcp_info().is_some_and(is);
    let sends = !failure.operation.receives();
    let kind = match (failure.kind, Linux::errno_name(failure.errno)) {
        // S1, S2: EPIPE is also the errno of a socket that was never connected, or that listens.
        (Tcp, Some(EPIPE)) if tcp_info(TcpInfo::never_connected) => ErrorKind::NotConnected,
        // S3: EAGAIN is also the errno of a socket that is connecting. A socket with a peer is not connecting.
        (Tcp, Some(EAGAIN)) if sends && !witness.has_peer() && tcp_info(TcpInfo::is_connecting) => {
            ErrorKind::Connecting
        }
        // S16: a datagram socket without a peer has no destination. OpenBSD and UDP return EDESTADDRREQ for
        // this.
        (UnixDatagram, Some(ENOTCONN)) => ErrorKind::DestinationRequired,
        // S17: the receiver that this socket was connected to has closed. If the call names a destination that
        // has closed, the kind is Refused on both systems (A10).
        (UnixDatagram, Some(ECONNREFUSED)) if !failure.operation.names_destination() => ErrorKind::Reset,
        // K5: the queue of the listener is full. OpenBSD does not tell this from a socket that does not listen.
        (UnixSeqpacket, Some(EAGAIN)) if failure.operation == Operation::Connect => ErrorKind::Refused,
        // I8b: a blackhole route, or a destination that no host can have. With UDP_SEGMENT the cause can be a
        // size.
        (UdpV4 | UdpV6, Some(EINVAL)) if sends && !witness.has_segments() => ErrorKind::Unreachable,
        // B9: receiving from a stream that was never connected.
        (UnixStream, Some(EINVAL)) if failure.operation.receives() => ErrorKind::NotConnected,
        _ => plain,
    };
    Cause { kind, errno: failure.errno }
}
