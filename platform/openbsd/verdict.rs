//! What OpenBSD's errors mean: the exceptions to the plain meanings, clause by clause.
//!
//! `linux/verdict.rs` has the same clauses for Linux.

use super::OpenBsd;
use crate::platform::contract::{Errno, ErrorKind, Operation, SocketKind};
use crate::platform::kernel::{Cause, Failure, Kernel, RawErrno};

/// What OpenBSD can be asked about a socket after a failure. Neither question needs more than pledge(2)'s
/// "stdio". `TCP_INFO` and `SO_TYPE` would kill a process that pledged no more.
pub(crate) trait Witness {
    /// Returns `SO_ERROR`, the pending error of the socket, and clears it.
    fn pending_error(&self) -> Option<RawErrno>;

    /// Returns the result of recv(2) with `MSG_PEEK` and `MSG_DONTWAIT`. On OpenBSD this clears nothing, not
    /// even a pending error.
    fn peek(&self) -> Result<usize, RawErrno>;
}

pub(super) fn judge(failure: Failure, witness: &dyn Witness) -> Cause {
    use Errno::{EADDRNOTAVAIL, EMSGSIZE, ENOBUFS, ENOTCONN, ENOTSOCK, EPIPE};
    use SocketKind::{Tcp, UdpV4, UdpV6, UnixDatagram, UnixSeqpacket, UnixStream};

    let plain = Cause { kind: OpenBsd::plain_meaning(failure.errno), errno: failure.errno };
    let means = |kind| Cause { kind, ..plain };
    let sends = !failure.operation.receives();
    if failure.kind == Tcp && sends && plain.kind.ends_a_connection() {
        // S8, S9: a send can return the last error of a connection itself, if the error arrives while the send
        // is in the kernel. The same error then stays pending, and would be returned a second time.
        witness.pending_error();
    }
    match (failure.kind, OpenBsd::errno_name(failure.errno)) {
        // S5, S8, S9: EPIPE comes first, and its cause is left pending.
        (Tcp, Some(EPIPE)) => witness
            .pending_error()
            .map_or(plain, |errno| Cause { kind: OpenBsd::plain_meaning(errno), errno }),
        // S3: ENOTCONN is also the errno of a socket that is connecting.
        (Tcp, Some(ENOTCONN)) if sends && is_connecting(witness) => means(ErrorKind::Connecting),
        // B3: a full receiver is reported at once as a lack of buffers, even on a blocking socket.
        (UnixDatagram, Some(ENOBUFS)) => means(ErrorKind::WouldBlock),
        // R13: the same for a receiver without room for descriptors, if the send buffer was raised.
        (UnixStream | UnixSeqpacket, Some(ENOBUFS)) if failure.operation != Operation::Connect => {
            means(ErrorKind::WouldBlock)
        }
        // A10, K3: the path is not that of a socket. Linux returns the same errno as for a closed socket.
        (UnixDatagram | UnixSeqpacket, Some(ENOTSOCK)) if failure.operation.names_destination() => {
            means(ErrorKind::Refused)
        }
        // I8: without a route there is no address to send from. The destinations that can never be sent to were
        // refused before the call (A5, A7, A8).
        (UdpV4 | UdpV6, Some(EADDRNOTAVAIL)) => means(ErrorKind::Unreachable),
        // R20, R22: the kernel closed the descriptors of a message, because the table of descriptors has no
        // room.
        (UnixStream | UnixDatagram | UnixSeqpacket, Some(EMSGSIZE)) if !sends => {
            means(ErrorKind::DescriptorsLost)
        }
        _ => plain,
    }
}

/// Returns whether a socket that fails with ENOTCONN is connecting, or has just connected (S3). End of file
/// means neither: a socket that was shut down without ever being connected returns it too (S1).
fn is_connecting(witness: &dyn Witness) -> bool {
    match witness.peek() {
        Ok(bytes) => bytes > 0,
        Err(errno) => OpenBsd::errno_name(errno) == Some(Errno::EAGAIN),
    }
}
