use std::io::IoSlice;

use crate::address::Address;
use crate::error::Error;
use crate::platform::contract::{Operation, Refusal, SendFlags, SocketKind, limits};
use crate::platform::{self, Kernel, Native, RawErrno, RawFlags};
use crate::socket::{DatagramSocket, SocketRef};

impl<Sort> SocketRef<'_, Sort> {
    /// Sends bytes to the socket's peer; how many were accepted.
    ///
    /// On a stream that can be fewer than were given: what follows is the caller's to send, or
    /// [`send_all`](Self::send_all)'s. A datagram or record is accepted whole. No bytes on a stream are
    /// accepted at once, and the peer sees nothing (clause B6); no bytes on a datagram socket are an empty
    /// datagram.
    ///
    /// # System calls
    ///
    /// One, send(2) (Linux: `sendto`), always with `MSG_NOSIGNAL`: no `SIGPIPE` is ever raised. After a
    /// failure on a TCP socket, one more to tell two meanings of an errno apart (clauses S1, S3, S8): on Linux
    /// `getsockopt(TCP_INFO)` after `EPIPE`, and `getpeername` after `EAGAIN`, with `TCP_INFO` if there is no peer; on
    /// OpenBSD `getsockopt(SO_ERROR)` or `recvfrom(MSG_PEEK)`. On OpenBSD pledge(2) needs "stdio" for it all.
    ///
    /// # Errors
    ///
    /// Before the call: [`Unsupported`](crate::ErrorKind::Unsupported) for a flag that this socket or system
    /// does not honour (clauses F1 to F3); [`EmptyRecord`](crate::ErrorKind::EmptyRecord) for no bytes on a
    /// seqpacket socket (clause B7). From the kernel:
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `WouldBlock` | no room, and not to wait for it | B3, B5, I4 |
    /// | `Connecting` | the TCP connection is still being made (Linux: if not to wait for it; S4 differs) | S3 |
    /// | `Interrupted` | a signal before the first byte | I2 |
    /// | `NotConnected` | never connected, or listening | S1, S2, S12 |
    /// | `Disconnected`, `Reset` | the peer is gone, or sending was shut down | S7 to S9, S13, S14, S17, S20 |
    /// | `Refused` | a connection or an earlier datagram was refused | S5, S19 |
    /// | `DestinationRequired` | a datagram socket without a peer | S16, S18 |
    /// | `MessageTooLong` | a datagram or record over the socket's limit | B1, B2 |
    /// | `PermissionDenied` | a packet filter, or broadcast without `SO_BROADCAST` | A12, A13 |
    /// | `Unreachable`, `NetworkDown`, `TimedOut`, `Aborted`, `NoBufferSpace`, `OutOfMemory`, `Io` | as the network says | I8 |
    /// | `NotSocket`, `BadDescriptor`, `InvalidInput` | the descriptor is not such a socket | |
    ///
    /// Sources: POSIX.1-2024 send(), send(2) of both systems, and runs on both kernels.
    ///
    /// ```
    /// use std::os::unix::net::UnixDatagram;
    /// use unisend::{ErrorKind, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// assert_eq!(SocketRef::from(&ours).send(b"ping", SendFlags::DONT_WAIT)?, 4);
    ///
    /// let alone = UnixDatagram::unbound()?;
    /// let error = SocketRef::from(&alone).send(b"ping", SendFlags::empty()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::DestinationRequired);
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)] // so that what is known of the socket and the flags folds away, at every call
    pub fn send(&self, bytes: &[u8], flags: SendFlags) -> Result<usize, Error> {
        const OPERATION: Operation = Operation::Send;
        let flags = self.raw_flags(OPERATION, flags)?;
        if bytes.is_empty() {
            self.refuse_empty_record(OPERATION)?;
        }
        platform::send(self.fd(), bytes, flags).map_err(|errno| self.failed(OPERATION, errno))
    }

    /// Sends slices to the socket's peer as one message; how many bytes were accepted.
    ///
    /// As [`send`](Self::send), with sendmsg(2): a datagram or record is made of all the slices together, and
    /// a stream can accept a part that ends in any of them.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send), and before the call
    /// [`TooManySlices`](crate::ErrorKind::TooManySlices) for more than [`limits::SLICES_PER_MESSAGE`] (clause
    /// L5) and [`LengthOverflow`](crate::ErrorKind::LengthOverflow) for more than
    /// [`limits::BYTES_PER_CALL`] bytes together (clause L3; Linux would clamp).
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let message = [IoSlice::new(b"header "), IoSlice::new(b"body")];
    /// assert_eq!(SocketRef::from(&ours).send_vectored(&message, SendFlags::empty())?, 11);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>], flags: SendFlags) -> Result<usize, Error> {
        const OPERATION: Operation = Operation::SendVectored;
        let flags = self.raw_flags(OPERATION, flags)?;
        if slices.len() > limits::SLICES_PER_MESSAGE {
            return Err(Error::refused(OPERATION, Refusal::TooManySlices));
        }
        if checked_length(OPERATION, slices)? == 0 {
            self.refuse_empty_record(OPERATION)?;
        }
        platform::send_slices(self.fd(), slices, flags).map_err(|errno| self.failed(OPERATION, errno))
    }

    #[inline]
    pub(crate) fn raw_flags(&self, operation: Operation, flags: SendFlags) -> Result<RawFlags, Error> {
        Native::raw_flags(self.kind(), flags)
            .ok_or_else(|| Error::refused(operation, Refusal::UnsupportedFlag))
    }

    #[inline]
    pub(crate) fn failed(&self, operation: Operation, errno: RawErrno) -> Error {
        Error::of_kernel(self.fd(), self.kind(), operation, errno)
    }

    /// An empty record is invisible on OpenBSD and looks like the end of file on Linux (clause B7).
    #[cold]
    pub(crate) fn refuse_empty_record(self, operation: Operation) -> Result<(), Error> {
        match self.kind() {
            SocketKind::UnixSeqpacket => Err(Error::refused(operation, Refusal::EmptyRecord)),
            _ => Ok(()),
        }
    }
}

impl SocketRef<'_, DatagramSocket> {
    /// Sends bytes as one datagram to an address; how many were accepted, which is all of them.
    ///
    /// On a socket that is connected Linux sends it there all the same and OpenBSD refuses it with
    /// [`AlreadyConnected`](crate::ErrorKind::AlreadyConnected), even if it is the peer's own address (clause
    /// A4: "differs"). A portable program sends to addresses from sockets without a peer.
    ///
    /// # System calls
    ///
    /// One, sendto(2), with `MSG_NOSIGNAL`, whether it succeeds or fails. On OpenBSD pledge(2) needs "inet",
    /// or "unix" for a path.
    ///
    /// # Errors
    ///
    /// Before the call: [`AddressFamily`](crate::ErrorKind::AddressFamily) for an address of another family,
    /// and for an IPv4 address on an IPv6 socket (clauses A5, A8);
    /// [`AddressNotAvailable`](crate::ErrorKind::AddressNotAvailable) for port 0 (A7), the unspecified
    /// address (A5), and an IPv4-mapped one (A8); a flag that is not honoured, as [`SocketRef::send`]. From the
    /// kernel, besides those of [`SocketRef::send`]:
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `NotFound`, `BadPath` | no such path | A10 |
    /// | `Refused` | no living socket has that path, or it is no socket | A10 |
    /// | `WrongSocketType` | a socket of another type has that path | A10 |
    /// | `PermissionDenied` | no permission on the path (A10), broadcast without `SO_BROADCAST` (A12), or a receiver that is connected to another (A11: Linux alone) | A10 to A12 |
    /// | `Unreachable` | no route | I8 |
    ///
    /// ```
    /// use std::os::unix::net::UnixDatagram;
    /// use unisend::{Address, ErrorKind, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sender = UnixDatagram::unbound()?;
    /// let missing = Address::unix("/nonexistent/log.sock")?;
    /// let error = SocketRef::unix_datagram(&sender)
    ///     .send_to(b"line", &missing, SendFlags::empty())
    ///     .unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)] // so that what is known of the socket and the flags folds away, at every call
    pub fn send_to(&self, bytes: &[u8], to: &Address, flags: SendFlags) -> Result<usize, Error> {
        const OPERATION: Operation = Operation::SendTo;
        let flags = self.raw_flags(OPERATION, flags)?;
        if let Some(refusal) = to.refusal_for(self.kind()) {
            return Err(Error::refused(OPERATION, refusal));
        }
        platform::send_to(self.fd(), bytes, flags, to.name()).map_err(|errno| self.failed(OPERATION, errno))
    }
}

/// How many bytes the slices have together.
#[inline]
pub(crate) fn checked_length(operation: Operation, slices: &[IoSlice<'_>]) -> Result<usize, Error> {
    total_length(slices.iter().map(|slice| slice.len()))
        .ok_or_else(|| Error::refused(operation, Refusal::LengthOverflow))
}

/// The sum of lengths, unless it is over `SSIZE_MAX`. Slices can overlap, so it can be, on 32 bits easily.
#[inline]
fn total_length(lengths: impl Iterator<Item = usize>) -> Option<usize> {
    let mut total = 0_usize;
    for length in lengths {
        total = total.checked_add(length).filter(|&total| total <= limits::BYTES_PER_CALL)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::total_length;

    const MAX: usize = isize::MAX as usize;

    /// Clauses L1 to L3, for lengths that no safe slice has.
    #[test]
    fn l3_a_sum_over_ssize_max_is_none() {
        assert_eq!(total_length([].into_iter()), Some(0));
        assert_eq!(total_length([MAX, 0].into_iter()), Some(MAX));
        assert_eq!(total_length([MAX - 4, 4].into_iter()), Some(MAX));
        assert_eq!(total_length([MAX, 1].into_iter()), None);
        assert_eq!(total_length([MAX + 1].into_iter()), None);
        assert_eq!(total_length([usize::MAX, 1].into_iter()), None);
        assert_eq!(total_length([MAX, MAX, 2].into_iter()), None);
    }
}
