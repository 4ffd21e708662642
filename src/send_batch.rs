use std::fmt;
use std::io::IoSlice;
use std::net::IpAddr;

use crate::address::Address;
use crate::datagram_options::Asked;
use crate::error::{Error, SendAllError};
use crate::platform;
use crate::platform::contract::{ErrorKind, Operation, Refusal, SendFlags, SocketKind, limits};
use crate::send::checked_length;
use crate::socket::{DatagramSocket, SocketRef};

/// A datagram of a [batch](SocketRef::send_batch): its data, where it goes to, and where it is sent from.
#[derive(Clone, Copy)]
pub struct Datagram<'a, 'data> {
    slices: &'a [IoSlice<'data>],
    asked: Asked<'a>,
}

impl<'a, 'data> Datagram<'a, 'data> {
    /// Creates a datagram of these slices, in this order. It goes to the socket's peer.
    #[must_use]
    #[inline]
    pub const fn new(slices: &'a [IoSlice<'data>]) -> Self {
        Self { slices, asked: Asked::NOTHING }
    }

    /// Returns the datagram with this address to go to.
    #[must_use]
    #[inline]
    pub const fn to(self, address: &'a Address) -> Self {
        Self { asked: Asked { to: Some(address), ..self.asked }, ..self }
    }

    /// Returns the datagram with this source, as [`Message::from_source`](crate::Message::from_source) has it
    /// (clauses N5, N5b).
    #[must_use]
    #[inline]
    #[allow(clippy::wrong_self_convention, reason = "it says where the datagram is from")]
    pub const fn from_source(self, address: IpAddr) -> Self {
        Self { asked: Asked { source: Some(address), ..self.asked }, ..self }
    }

    /// Returns the datagram with this traffic class, as
    /// [`Message::with_traffic_class`](crate::Message::with_traffic_class) has it (clause N6).
    #[must_use]
    #[inline]
    pub const fn with_traffic_class(self, class: u8) -> Self {
        Self { asked: Asked { traffic_class: Some(class), ..self.asked }, ..self }
    }

    /// Makes the checks of clause G5.
    fn check(&self, socket: &SocketRef<'_, DatagramSocket>) -> Result<(), Error> {
        let operation = self.asked.operation();
        if let Some(refusal) = self.asked.refusal(socket.kind()) {
            return Err(Error::refused(operation, refusal));
        }
        if self.slices.len() > limits::SLICES_PER_MESSAGE {
            return Err(Error::refused(operation, Refusal::TooManySlices));
        }
        checked_length(operation, self.slices).map(drop)
    }
}

impl fmt::Debug for Datagram<'_, '_> {
    /// Shows the size only, because the data can be long, and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.slices.iter().fold(0_usize, |bytes, slice| bytes.saturating_add(slice.len()));
        f.debug_struct("Datagram")
            .field("bytes", &bytes)
            .field("to", &self.asked.to)
            .field("source", &self.asked.source)
            .finish_non_exhaustive()
    }
}

impl SocketRef<'_, DatagramSocket> {
    /// Sends many datagrams, in order.
    ///
    /// It does what [`Message::send_to`](crate::Message::send_to) (or, without an address,
    /// [`Message::send`](crate::Message::send)) does for one datagram after the other, in fewer system calls. It
    /// ends at the first that fails: [`accepted`](SendAllError::accepted) says how many **datagrams** were accepted,
    /// and the error is that of the next one (clause D1). To go on without it, send
    /// `&batch[stopped.accepted() + 1..]`. But after [`Refused`](crate::ErrorKind::Refused) on a connected socket
    /// nothing is wrong with the next one: the network reports an earlier datagram (clause S19), and the rest begins at
    /// `&batch[stopped.accepted()..]`.
    ///
    /// It waits if the socket does, as [`send_all`](SocketRef::send_all) does. On a non-blocking socket, with
    /// [`SendFlags::DONT_WAIT`], or after `SO_SNDTIMEO`, it fails with [`WouldBlock`](crate::ErrorKind::WouldBlock):
    /// send `&batch[stopped.accepted()..]` when the socket is writable.
    ///
    /// One report can be lost. If the network refuses an earlier datagram while a batch is being sent on a connected
    /// socket, both kernels drop the report together with the error of the call (clause D4). The next datagram that
    /// is refused brings it again.
    ///
    /// # System calls
    ///
    /// One sendmmsg(2) for [`limits::DATAGRAMS_PER_CALL`] datagrams, with `MSG_NOSIGNAL`, and one more after a
    /// datagram that failed, which returns its error. If the kernel says that a datagram is too long, one more: this can
    /// be the network's report of an earlier datagram, which comes once (clause D4). None for an empty batch (clause D2).
    /// It is the kernel's call with musl too, which has a loop of sendmsg(2) in its place. On OpenBSD pledge(2) needs
    /// what [`send_to`](SocketRef::send_to) needs. A call takes 16 KiB of the stack.
    ///
    /// # Errors
    ///
    /// Those of [`Message::send_to`](crate::Message::send_to) and [`Message::send`](crate::Message::send) but
    /// `Interrupted`. A datagram that is refused before the call is refused when it is its turn: those before it are
    /// sent. Flags that the socket does not honour are refused at once. [`Other`](crate::ErrorKind::Other), without an
    /// errno, if a part of a datagram was accepted: the socket is a stream that was declared as what it is not (clause
    /// L4c).
    ///
    /// Sources: sendmmsg(2) of both systems, and runs on both kernels.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::net::UdpSocket;
    /// use unisend::{Address, Datagram, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// let receivers = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
    /// let data = [IoSlice::new(b"tick")];
    ///
    /// let addresses = [receivers[0].local_addr()?, receivers[1].local_addr()?].map(Address::from);
    /// let batch = [Datagram::new(&data).to(&addresses[0]), Datagram::new(&data).to(&addresses[1])];
    /// SocketRef::udp_v4(&sender).send_batch(&batch, SendFlags::empty())?;
    ///
    /// for receiver in &receivers {
    ///     let mut buffer = [0; 10];
    ///     assert_eq!(receiver.recv(&mut buffer)?, 4);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_batch(&self, batch: &[Datagram<'_, '_>], flags: SendFlags) -> Result<(), SendAllError> {
        const OPERATION: Operation = Operation::SendBatch;
        let raw_flags = self.raw_flags(OPERATION, flags).map_err(SendAllError::at_once)?;
        if batch.is_empty() {
            return Ok(());
        }
        self.send_parts(OPERATION, flags, batch.len(), |accepted| {
            let rest = &batch[accepted..];
            rest[0].check(self)?;
            let sendable = rest.iter().take_while(|datagram| datagram.check(self).is_ok());
            let outgoing = sendable.map(|datagram| datagram.asked.outgoing(datagram.slices, self.kind()));
            platform::send_messages(self.fd(), outgoing, raw_flags).map_err(|errno| {
                let error = self.failed(rest[0].asked.operation(), errno);
                self.after_accepted(error, batch[..accepted].iter().any(|earlier| earlier.asked.to.is_none()))
            })
        })
    }

    /// Returns what the error of a datagram means if others of its batch were accepted for the peer. If the receiver that a
    /// unix datagram socket is connected to closes meanwhile, the kernels drop the error that says so together with the
    /// rest of sendmmsg(2), and the next datagram finds no peer (clauses D4, S17).
    pub(crate) fn after_accepted(&self, error: Error, had_peer: bool) -> Error {
        match (self.kind(), error.kind()) {
            (SocketKind::UnixDatagram, ErrorKind::DestinationRequired) if had_peer => {
                error.meaning(ErrorKind::Reset)
            }
            _ => error,
        }
    }
}
