use std::io::IoSlice;

use crate::address::Address;
use crate::error::Error;
use crate::platform::contract::{Operation, Refusal, SendFlags, SocketKind, limits};
use crate::platform::{self, Kernel, Native, RawErrno, RawFlags};
use crate::socket::{DatagramSocket, SocketRef};

impl<Sort> SocketRef<'_, Sort> {
    /// Sends bytes to the socket's peer, and returns the number of bytes accepted.
    ///
    /// On a stream this can be less than the length of `bytes` (a short count). The caller then sends the
    /// rest, or calls [`send_all`](Self::send_all) instead. A datagram or record is accepted whole.
    ///
    /// If `bytes` is empty, a connected stream accepts 0 bytes at once and its peer sees nothing (clause B6),
    /// and a datagram socket sends an empty datagram (clause B7b).
    ///
    /// # System calls
    ///
    /// One send(2) (on Linux: `sendto`). It always has `MSG_NOSIGNAL`, so that `SIGPIPE` is never raised. On
    /// OpenBSD pledge(2) needs "stdio".
    ///
    /// Some failures need one or two calls more, to tell two meanings of an errno apart:
    ///
    /// | system | socket | failure | calls | clauses |
    /// |---|---|---|---|---|
    /// | Linux | TCP | `EPIPE` | `getsockopt(TCP_INFO)` | S1, S2 |
    /// | Linux | TCP | `EAGAIN` | `getpeername` and, if there is no peer, `getsockopt(TCP_INFO)` | S3 |
    /// | Linux | UDP | `EINVAL` | `getsockopt(UDP_SEGMENT)` | I8b |
    /// | OpenBSD | TCP | `EPIPE`, or an error that ends the connection | `getsockopt(SO_ERROR)` | S5, S8, S8b |
    /// | OpenBSD | TCP | `ENOTCONN` | `recvfrom(MSG_PEEK)` | S3 |
    ///
    /// On UDP, after `EMSGSIZE`, the call is made once more (clause S19b).
    ///
    /// On OpenBSD pledge(2) needs "stdio" for these calls too.
    ///
    /// # Errors
    ///
    /// Before the call: [`Unsupported`](crate::ErrorKind::Unsupported) for a flag that this socket or system
    /// does not honour (clauses F1 to F4b), and [`EmptyRecord`](crate::ErrorKind::EmptyRecord) for no bytes on
    /// a seqpacket socket (clause B7). From the kernel:
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `WouldBlock` | there is no room, and the call does not wait, or `SO_SNDTIMEO` has passed; on OpenBSD also a unix datagram socket that is blocking and whose receiver is full | B3, B3b, B5, I4 |
    /// | `Connecting` | the TCP connection is still being made (on Linux, if the call does not wait; S4: "differs") | S3 |
    /// | `Interrupted` | a signal came before the first byte was accepted | I2 |
    /// | `NotConnected` | the socket was never connected, or is listening | S1, S2, S12 |
    /// | `Disconnected`, `Reset` | the peer is gone, or sending was shut down on this side | S7 to S9, S13, S14, S17, S20 |
    /// | `Refused` | a connection or an earlier datagram was refused | S5, S19 |
    /// | `DestinationRequired` | a datagram socket has no peer | S16, S18 |
    /// | `MessageTooLong` | a datagram or record is longer than the socket's limit | B1, B2 |
    /// | `PermissionDenied` | a packet filter dropped it, or the peer is a broadcast address and `SO_BROADCAST` is not set | A12, A13 |
    /// | `Unreachable`, `NetworkDown`, `TimedOut`, `Aborted`, `NoBufferSpace`, `OutOfMemory`, `Io` | the network or the system reports it | I8 |
    /// | `NotSocket`, `BadDescriptor`, `InvalidInput` | the descriptor is not a socket of the declared kind | G3 |
    /// | `Other` | the kernel returned an errno that the contract does not name | |
    ///
    /// Sources: POSIX.1-2024 send(), send(2) of both systems, and runs on both kernels.
    ///
    /// # Examples
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
    #[inline(always)] // so that checks of a kind and flags that are constants fold away in the caller
    pub fn send(&self, bytes: &[u8], flags: SendFlags) -> Result<usize, Error> {
        const OPERATION: Operation = Operation::Send;
        let flags = self.raw_flags(OPERATION, flags)?;
        if bytes.is_empty() {
            self.refuse_empty_record(OPERATION)?;
        }
        self.send_again(|| platform::send(self.fd(), bytes, flags))
            .map_err(|errno| self.failed(OPERATION, errno))
    }

    /// Sends slices to the socket's peer as one message, and returns the number of bytes accepted.
    ///
    /// It differs from [`send`](Self::send) in that it takes slices, and calls sendmsg(2). A datagram or
    /// record consists of all the slices together. A stream can accept a part that ends in any of them.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send). Before the call also [`TooManySlices`](crate::ErrorKind::TooManySlices)
    /// for more than [`limits::SLICES_PER_MESSAGE`] slices (clause L5), and
    /// [`LengthOverflow`](crate::ErrorKind::LengthOverflow) for more than [`limits::BYTES_PER_CALL`] bytes
    /// together (clause L3; Linux would clamp the length).
    ///
    /// # Examples
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
        self.send_again(|| platform::send_slices(self.fd(), slices, flags))
            .map_err(|errno| self.failed(OPERATION, errno))
    }

    #[inline]
    pub(crate) fn raw_flags(&self, operation: Operation, flags: SendFlags) -> Result<RawFlags, Error> {
        Native::raw_flags(self.kind(), flags)
            .ok_or_else(|| Error::refused(operation, Refusal::UnsupportedFlag))
    }

    /// Makes a call that sends a datagram once more if it fails with what can be the network's report that the path is too
    /// narrow for an earlier one (clause S19b). The report comes once.
    #[inline(always)]
    pub(crate) fn send_again(&self, send: impl Fn() -> Result<usize, RawErrno>) -> Result<usize, RawErrno> {
        match send() {
            Err(errno) if self.kind().is_udp() && Native::may_be_of_an_earlier_one(errno) => send(),
            outcome => outcome,
        }
    }

    #[inline]
    pub(crate) fn failed(&self, operation: Operation, errno: RawErrno) -> Error {
        Error::of_kernel(self.fd(), self.kind(), operation, errno)
    }

    /// Refuses an empty record, which is invisible on OpenBSD and looks like the end of file on Linux (clause
    /// B7).
    #[cold]
    pub(crate) fn refuse_empty_record(self, operation: Operation) -> Result<(), Error> {
        match self.kind() {
            SocketKind::UnixSeqpacket => Err(Error::refused(operation, Refusal::EmptyRecord)),
            _ => Ok(()),
        }
    }
}

impl SocketRef<'_, DatagramSocket> {
    /// Sends bytes to an address as one datagram, and returns the number of bytes accepted, which is all of
    /// them.
    ///
    /// If the socket is connected, Linux sends to the address, and OpenBSD fails with
    /// [`AlreadyConnected`](crate::ErrorKind::AlreadyConnected), even if the address is that of the peer
    /// (clause A4: "differs"). A portable program sends to addresses from sockets that have no peer.
    ///
    /// # System calls
    ///
    /// One sendto(2), with `MSG_NOSIGNAL`. On Linux, if it fails with `EINVAL` on UDP, one
    /// `getsockopt(UDP_SEGMENT)` more (clause I8b). On OpenBSD pledge(2) needs "inet", or "unix" for a path.
    ///
    /// # Errors
    ///
    /// Before the call:
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `Unsupported` | the socket or the system does not honour a flag | F1 to F4b |
    /// | `AddressFamily` | the address is of another family than the socket, is an IPv4 address and the socket is IPv6, or is made of bytes | A5, A8, O2 |
    /// | `AddressNotAvailable` | the address has port 0, is unspecified, or was converted from an IPv4-mapped IPv6 address | A5b, A5c, A7, A8 |
    ///
    /// On a socket that was declared by [`other_datagram`](SocketRef::other_datagram), no address is refused: the
    /// kernel decides (clause O1).
    ///
    /// From the kernel, besides those of [`SocketRef::send`]:
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `AlreadyConnected` | the socket is connected (OpenBSD) | A4 |
    /// | `NotFound`, `BadPath` | the path does not exist, or cannot be followed | A10, A10c |
    /// | `Refused` | no living socket has the path, or the path is not that of a socket | A10 |
    /// | `WrongSocketType` | a socket of another type has the path | A10 |
    /// | `PermissionDenied` | the path may not be written to (A10b), the address is a broadcast address and `SO_BROADCAST` is not set (A12), or the receiver is connected to another socket (A11: Linux only) | A10b, A11, A12 |
    /// | `Unreachable` | there is no route, or the address is IPv4-mapped and the socket takes IPv6 only (Linux) | A8c, I8 |
    ///
    /// # Examples
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
    #[inline(always)] // so that checks of a kind and flags that are constants fold away in the caller
    pub fn send_to(&self, bytes: &[u8], to: &Address, flags: SendFlags) -> Result<usize, Error> {
        const OPERATION: Operation = Operation::SendTo;
        let flags = self.raw_flags(OPERATION, flags)?;
        if let Some(refusal) = to.refusal_for(self.kind()) {
            return Err(Error::refused(OPERATION, refusal));
        }
        self.send_again(|| platform::send_to(self.fd(), bytes, flags, to.name()))
            .map_err(|errno| self.failed(OPERATION, errno))
    }
}

/// Returns how many bytes the slices have together.
#[inline]
pub(crate) fn checked_length(operation: Operation, slices: &[IoSlice<'_>]) -> Result<usize, Error> {
    total_length(slices.iter().map(|slice| slice.len()))
        .ok_or_else(|| Error::refused(operation, Refusal::LengthOverflow))
}

/// Returns the sum of the lengths, or `None` if it is over `SSIZE_MAX`. Slices can overlap, so on 32 bits a
/// sum can easily be over it.
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

    /// Clauses L1 to L3, for lengths that no safe slice can have.
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
