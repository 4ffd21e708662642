//! What OpenBSD means by its errors: the exceptions to the plain meanings, clause by clause.
//!
//! `linux/verdict.rs` is the other half of each clause.

use super::OpenBsd;
use crate::platform::contract::{Errno, ErrorKind, Operation, SocketKind};
use crate::platform::kernel::{Cause, Failure, Kernel, RawErrno};

/// What OpenBSD can be asked about a socket after a failure. Neither needs more than pledge's "stdio":
/// `TCP_INFO` and `SO_TYPE` would kill the process that pledged no more.
pub(crate) trait Witness {
    /// `SO_ERROR`: the error that is pending on the socket, which this takes away.
    fn pending_error(&self) -> Option<RawErrno>;

    /// What `recv` with `MSG_PEEK` and `MSG_DONTWAIT` says. On OpenBSD it takes nothing away, no pending
    /// error either.
    fn peek(&self) -> Result<usize, RawErrno>;
}

pub(super) fn judge(failure: Failure, witness: &dyn Witness) -> Cause {
    use Errno::{EADDRNOTAVAIL, EMSGSIZE, ENOBUFS, ENOTCONN, ENOTSOCK, EPIPE};
    use SocketKind::{Tcp, UdpV4, UdpV6, UnixDatagram, UnixSeqpacket, UnixStream};

    let plain = Cause { kind: OpenBsd::plain_meaning(failure.errno), errno: failure.errno };
    let means = |kind| Cause { kind, ..plain };
    let sends = failure.operation != Operation::Receive;
    if failure.kind == Tcp && sends && ends_a_connection(plain.kind) {
        // S8, S9: the send itself can give a connection's last error, if that comes while it is in the kernel.
        // The same error is then left pending, and would be said a second time.
        witness.pending_error();
    }
    match (failure.kind, OpenBsd::errno_name(failure.errno)) {
        // S5, S8, S9: EPIPE comes first, and the reason is left pending.
        (Tcp, Some(EPIPE)) => witness
            .pending_error()
            .map_or(plain, |errno| Cause { kind: OpenBsd::plain_meaning(errno), errno }),
        // S3: ENOTCONN is also what a socket gets that is still connecting.
        (Tcp, Some(ENOTCONN)) if sends && is_connecting(witness) => means(ErrorKind::Connecting),
        // B3: a receiver that is full is said at once, even on a blocking socket, as a want of buffers.
        (UnixDatagram, Some(ENOBUFS)) => means(ErrorKind::WouldBlock),
        // R13: so is a receiver without room for descriptors, where the send buffer was raised.
        (UnixStream | UnixSeqpacket, Some(ENOBUFS)) => means(ErrorKind::WouldBlock),
        // A10: the path is of something that is no socket. Linux says the same as for a dead socket.
        (UnixDatagram, Some(ENOTSOCK)) if failure.operation.names_destination() => means(ErrorKind::Refused),
        // I8: no address to send from is what the want of a route looks like. The destinations that cannot
        // be sent to at all were refused before the call (A5, A7, A8).
        (UdpV4 | UdpV6, Some(EADDRNOTAVAIL)) => means(ErrorKind::Unreachable),
        // R20, R22: the descriptors of a message were closed, for want of room in the table.
        (UnixStream | UnixDatagram | UnixSeqpacket, Some(EMSGSIZE)) if !sends => {
            means(ErrorKind::DescriptorsLost)
        }
        _ => plain,
    }
}

/// Whether this is an error that a TCP connection can have pending.
fn ends_a_connection(kind: ErrorKind) -> bool {
    use ErrorKind::{Aborted, NetworkDown, Refused, Reset, TimedOut, Unreachable};

    matches!(kind, Reset | Refused | TimedOut | Aborted | Unreachable | NetworkDown)
}

/// Whether a socket that the kernel calls not connected is on its way there, or has just arrived (S3). End
/// of file says neither: it is also what a shut down socket gives that was never connected (S1).
fn is_connecting(witness: &dyn Witness) -> bool {
    match witness.peek() {
        Ok(bytes) => bytes > 0,
        Err(errno) => OpenBsd::errno_name(errno) == Some(Errno::EAGAIN),
    }
}
