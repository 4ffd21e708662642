use std::fmt;

use crate::address::Address;
use crate::error::Error;
use crate::platform::contract::{Destination, Operation, ReceiveFlags, Refusal};
use crate::platform::{self, DatagramBuffer};
use crate::socket::{DatagramSocket, SocketRef};

impl<'a> DatagramBuffer<'a> {
    /// Creates a buffer with this room for the bytes of a datagram. A longer datagram is truncated.
    #[must_use]
    pub const fn new(room: &'a mut [u8]) -> Self {
        Self::in_room(room)
    }

    /// Returns the bytes of the datagram, which can be none.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.filled()
    }

    /// Returns the address of the sender, as [`Received::sender`](crate::Received::sender) does (clauses N1 to N3).
    #[must_use]
    pub fn sender(&self) -> Option<Address> {
        self.came().sender().map(Address::from_kernel)
    }

    /// Returns the address that the datagram was sent to, and the interface that it came in through, as
    /// [`Received::destination`](crate::Received::destination) does (clause N4).
    #[must_use]
    pub fn destination(&self) -> Option<Destination> {
        self.came().destination()
    }

    /// Returns the traffic class, as [`Received::traffic_class`](crate::Received::traffic_class) does (clause N7).
    #[must_use]
    pub fn traffic_class(&self) -> Option<u8> {
        self.came().traffic_class()
    }

    /// Returns the hop limit, as [`Received::hop_limit`](crate::Received::hop_limit) does (clause N8).
    #[must_use]
    pub fn hop_limit(&self) -> Option<u8> {
        self.came().hop_limit()
    }

    /// Returns the size of the datagrams that were joined, as
    /// [`Received::segment_size`](crate::Received::segment_size) does (clause D12).
    #[must_use]
    pub fn segment_size(&self) -> Option<usize> {
        self.came().segment_size()
    }

    /// Returns `true` if the datagram was longer than the room, and the rest of it was dropped.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.came().is_truncated()
    }

    /// Returns `true` if something that came with the datagram was dropped: descriptors that were sent to a unix
    /// socket, which only Linux reports (clause D8), or control messages that the program asked the kernel for and
    /// that have no room here.
    #[must_use]
    pub fn descriptors_lost(&self) -> bool {
        self.came().is_control_truncated()
    }
}

impl fmt::Debug for DatagramBuffer<'_> {
    /// Shows the size only, because the data can be long, and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramBuffer")
            .field("bytes", &self.bytes().len())
            .field("sender", &self.sender())
            .finish_non_exhaustive()
    }
}

impl SocketRef<'_, DatagramSocket> {
    /// Receives datagrams, each into a buffer of its own, and returns how many came.
    ///
    /// It waits for the first, if the socket does, and then takes those that are there, up to
    /// [`limits::DATAGRAMS_PER_CALL`](crate::limits::DATAGRAMS_PER_CALL) (clause D5). Without buffers it returns 0 at
    /// once.
    ///
    /// Descriptors that are sent to a unix socket are closed by the kernel, as by
    /// [`receive_without_descriptors`](SocketRef::receive_without_descriptors) (clause D8).
    ///
    /// # System calls
    ///
    /// One recvmmsg(2), with `MSG_WAITFORONE`. A signal can interrupt it before the first datagram only. Both kernels
    /// interrupt a call that waits for more, and then return the error from the **next** call on the socket, whatever
    /// it is; on Linux with errno 512, which no program knows (clause D7). On OpenBSD pledge(2) needs "stdio".
    ///
    /// # Errors
    ///
    /// Those of [`receive`](SocketRef::receive). Any flag but [`DONT_WAIT`](ReceiveFlags::DONT_WAIT) is refused with
    /// [`Unsupported`](crate::ErrorKind::Unsupported): a batch of peeks would be one datagram several times. An error after the first datagram is returned by the next call.
    ///
    /// Sources: recvmmsg(2) of both systems, the source of OpenBSD, and runs on Linux.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{DatagramBuffer, ReceiveFlags, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = UdpSocket::bind("127.0.0.1:0")?;
    /// let client = UdpSocket::bind("127.0.0.1:0")?;
    /// client.send_to(b"ping", server.local_addr()?)?;
    ///
    /// let socket = SocketRef::udp_v4(&server);
    /// let mut bytes = [[0; 1500]; 8];
    /// let mut buffers = bytes.each_mut().map(|room| DatagramBuffer::new(room)); // for all calls
    /// let count = socket.receive_batch(&mut buffers, ReceiveFlags::empty())?;
    /// for datagram in &buffers[..count] {
    ///     let sender = datagram.sender().expect("a UDP datagram has one");
    ///     socket.send_to(datagram.bytes(), &sender, SendFlags::empty())?;
    /// }
    /// # let mut answer = [0; 10];
    /// # assert_eq!(client.recv(&mut answer)?, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_batch(
        &self,
        buffers: &mut [DatagramBuffer<'_>],
        flags: ReceiveFlags,
    ) -> Result<usize, Error> {
        const OPERATION: Operation = Operation::ReceiveBatch;
        if !ReceiveFlags::DONT_WAIT.contains(flags) {
            return Err(Error::refused(OPERATION, Refusal::UnsupportedFlag));
        }
        if buffers.is_empty() {
            return Ok(0);
        }
        platform::receive_messages(self.fd(), buffers, self.kind().is_udp(), flags)
            .map_err(|errno| self.failed(OPERATION, errno))
    }
}
