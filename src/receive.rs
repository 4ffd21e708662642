use std::fmt;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

use crate::address::Address;
use crate::error::Error;
pub use crate::platform::contract::ReceiveFlags;
use crate::platform::contract::{Destination, ErrorKind, Operation, Refusal, SocketKind, limits};
use crate::platform::{self, Arrival, ControlBytes, Descriptors, Kernel, Native, RawErrno};
use crate::socket::SocketRef;

/// A buffer for the control messages and the sender's address that come with data.
///
/// It has 6 KiB, and can be used for any number of calls. It has room for 253 descriptors, the most that
/// Linux lets a peer send in one message, and for all that Linux can add: credentials, a descriptor of the
/// sender's process, timestamps and a security label.
pub struct ControlBuffer(ControlBytes);

impl ControlBuffer {
    /// Creates a control buffer.
    ///
    /// It is cleared here once. Later calls do not clear it again.
    #[must_use]
    pub const fn new() -> Self {
        Self(ControlBytes::new())
    }
}

impl Default for ControlBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ControlBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlBuffer").finish_non_exhaustive()
    }
}

/// The result of a call that receives.
///
/// Descriptors come with the call that returns the first byte of their message. One call returns the
/// descriptors of one message at most (clause R28). They are owned, close-on-exec from the start (clause
/// R27), and in the order in which they were sent. Descriptors that are not taken are closed when this value
/// is dropped.
///
/// # Dropping can take time
///
/// A peer can pass a TCP socket that has unsent data and `SO_LINGER`, and close its own descriptor. Closing
/// the last descriptor of such a socket then waits for as long as the peer has set, whether or not the socket
/// is blocking. The drop of this value can therefore wait. So can a call in which the kernel closes
/// descriptors: [`SocketRef::receive_without_descriptors`], and [`SocketRef::receive`] if some are lost. A
/// program that must not wait takes the descriptors and drops them on another thread, or first sets their
/// `SO_LINGER` to zero.
#[derive(Debug)]
#[must_use = "it says how much was received, and dropping it closes the descriptors"]
pub struct Received<'buffer> {
    arrival: Arrival<'buffer>,
    end_of_file: bool,
}

impl<'buffer> Received<'buffer> {
    /// Returns the number of bytes received.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        self.arrival.bytes
    }

    /// Returns the address of the sender of a datagram, to which the answer is sent (clauses N1 to N3).
    ///
    /// It is `None` on a stream, and if the data was received
    /// [without descriptors](SocketRef::receive_without_descriptors). It is also `None` if the sender is a unix
    /// socket that is bound to no path and has no abstract name: nothing can be sent to it. A path has every byte that
    /// the sender bound, up to 108 on Linux, although
    /// [`Address::unix`] takes 103.
    ///
    /// On a dual-stack socket, which only Linux has, the sender of an IPv4 datagram is an IPv4-mapped address
    /// such as `[::ffff:192.0.2.1]:53` (clause N1b). On a socket of a family that unisend does not know, the
    /// address is made of the [bytes](Address::as_sockaddr_bytes) that the kernel wrote (clause O3).
    ///
    /// **A path is what the sender chose.** A path that does not begin with `/` begins at the sender's directory, and so may name
    /// another socket, or none, from here. Any path may name another socket by now. A server that does not trust its
    /// clients answers only to paths below a directory that it controls.
    ///
    /// It makes no system call. The kernel has written the address with the data.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSliceMut;
    /// use std::net::UdpSocket;
    /// use unisend::{ControlBuffer, ReceiveFlags, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = UdpSocket::bind("127.0.0.1:0")?;
    /// let client = UdpSocket::bind("127.0.0.1:0")?;
    /// client.send_to(b"ping", server.local_addr()?)?;
    ///
    /// let socket = SocketRef::udp_v4(&server);
    /// let mut control = ControlBuffer::new(); // one for all calls
    /// let mut buffer = [0; 1500];
    /// let mut slices = [IoSliceMut::new(&mut buffer)];
    /// let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty())?;
    /// if let Some(sender) = received.sender() {
    ///     socket.send_to(b"pong", &sender, SendFlags::empty())?;
    /// }
    /// # let mut answer = [0; 4];
    /// # client.recv(&mut answer)?;
    /// # assert_eq!(&answer, b"pong");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sender(&self) -> Option<Address> {
        self.arrival.came.sender().map(Address::from_kernel)
    }

    /// Returns the address that a UDP datagram was sent to, and the interface that it came in through.
    ///
    /// It is `None` unless the socket was told to report it, by
    /// [`receive_destinations`](SocketRef::receive_destinations), and if the datagram was received
    /// [without descriptors](SocketRef::receive_without_descriptors). It makes no system call.
    #[must_use]
    pub fn destination(&self) -> Option<Destination> {
        self.arrival.came.destination()
    }

    /// Returns the traffic class of a UDP datagram: differentiated services and congestion notification (clause N7).
    ///
    /// It is `None` unless the socket was told to report it, by
    /// [`receive_traffic_classes`](SocketRef::receive_traffic_classes), and after
    /// [`receive_without_descriptors`](SocketRef::receive_without_descriptors). It makes no system call.
    #[must_use]
    pub fn traffic_class(&self) -> Option<u8> {
        self.arrival.came.traffic_class()
    }

    /// Returns the hop limit of a UDP datagram as it arrived; over IPv4, its time to live (clause N8).
    ///
    /// It is `None` unless the socket was told to report it, by [`receive_hop_limits`](SocketRef::receive_hop_limits),
    /// and after [`receive_without_descriptors`](SocketRef::receive_without_descriptors). It makes no system call.
    #[must_use]
    pub fn hop_limit(&self) -> Option<u8> {
        self.arrival.came.hop_limit()
    }

    /// Returns the size of the datagrams that were joined, if several were (clause D12).
    ///
    /// They are of one sender, and all have this size but the last, which can be shorter. It is `None` unless the
    /// socket was told to join them, by [`receive_joined`](SocketRef::receive_joined). It makes no system call.
    /// After [`receive_without_descriptors`](SocketRef::receive_without_descriptors) it is always `None`, although
    /// datagrams can have been joined.
    #[must_use]
    pub fn segment_size(&self) -> Option<usize> {
        self.arrival.came.segment_size()
    }

    /// Returns `true` if the datagram or record was longer than the slices. The rest of it was dropped, unless it
    /// was [peeked](ReceiveFlags::PEEK) at.
    ///
    /// How long it was is not known (clause F6). On a stream it is always `false`.
    #[must_use]
    #[inline]
    pub fn is_truncated(&self) -> bool {
        self.arrival.came.is_truncated()
    }

    /// Returns `true` if the kernel reported the end of a record.
    ///
    /// OpenBSD reports it for a record that was sent with `END_OF_RECORD`. Linux never does (clause F3).
    #[must_use]
    #[inline]
    pub fn ends_record(&self) -> bool {
        self.arrival.came.ends_record()
    }

    /// Returns `true` if something that came with the data was dropped. The data itself was received.
    ///
    /// With a [`ControlBuffer`], descriptors were lost because this process has no room for all of them in
    /// its descriptor table. Those that could have been received were closed, so there are none (clauses R20,
    /// R22). Without one, it can also be a message that a Linux socket was asked to add (`SO_PASSCRED`,
    /// `SO_TIMESTAMP`, [`receive_destinations`](SocketRef::receive_destinations); clauses R23b and R23c).
    #[must_use]
    #[inline]
    pub fn descriptors_lost(&self) -> bool {
        self.arrival.came.is_control_truncated()
    }

    /// Returns `true` at the end of a stream or connection: no bytes were received although there was room
    /// for some, and no descriptors came.
    ///
    /// No bytes **with** descriptors are not the end of file (clause R3). It is always `false` for datagrams,
    /// and for a socket that was declared by [`other`](SocketRef::other), where the meaning of no bytes is
    /// the kernel's.
    ///
    /// It can be `true` without the end in two cases. On Linux, another program can send an empty record on a
    /// seqpacket socket (clause B7). On OpenBSD, a peer can send a descriptor without a byte to
    /// [`receive_without_descriptors`](SocketRef::receive_without_descriptors) (clause R3c): do not rely on
    /// it there if you do not trust the peer.
    #[must_use]
    #[inline]
    pub fn is_end_of_file(&self) -> bool {
        self.end_of_file
    }

    /// Returns the descriptor that came, or `None` if none or more than one is left.
    ///
    /// If there are several, none is taken: they are in [`descriptors`](Self::descriptors).
    #[must_use]
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        let descriptors = self.descriptors();
        (descriptors.len() == 1).then(|| descriptors.next()).flatten()
    }

    /// Returns an iterator over the descriptors that came. Its `len` is the number of descriptors that are
    /// left.
    #[inline]
    pub fn descriptors(&mut self) -> &mut Descriptors<'buffer> {
        &mut self.arrival.descriptors
    }

    /// Converts this into an iterator over the descriptors that came.
    #[must_use]
    #[inline]
    pub fn into_descriptors(self) -> Descriptors<'buffer> {
        self.arrival.descriptors
    }
}

impl<Sort> SocketRef<'_, Sort> {
    /// Receives data into slices, and the descriptors that come with it.
    ///
    /// # System calls
    ///
    /// One recvmsg(2), with `MSG_CMSG_CLOEXEC`. On OpenBSD, if the descriptors of a stream were lost, a
    /// second recvmsg(2) receives the data; and if [`PEEK`](ReceiveFlags::PEEK) fails with a pending error, one
    /// `getsockopt(SO_ERROR)` takes it (clause F7e). On OpenBSD pledge(2) needs "stdio" and, **if a peer sends
    /// descriptors, "recvfd": without it a peer can have this process killed.** A program that takes no
    /// descriptors calls [`receive_without_descriptors`](Self::receive_without_descriptors).
    ///
    /// # Errors
    ///
    /// Before the call: [`Unsupported`](ErrorKind::Unsupported) for a flag that this kind of socket does not
    /// honour (see the table in [`ReceiveFlags`]), [`TooManySlices`](ErrorKind::TooManySlices) for more than
    /// [`limits::SLICES_PER_MESSAGE`] slices, and [`InvalidInput`](ErrorKind::InvalidInput) for
    /// [`OUT_OF_BAND`](ReceiveFlags::OUT_OF_BAND) without room for a byte (clause F8d). From the kernel:
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `WouldBlock` | there is no data, and the call does not wait; with `OUT_OF_BAND`, the urgent byte was announced and has not come | F8c |
    /// | `Interrupted` | a signal came before any data | |
    /// | `NotConnected` | the socket was never connected | B9 |
    /// | `Reset`, `Refused`, `TimedOut` | the connection ended, or an earlier datagram was refused | |
    /// | `DescriptorsLost` | the descriptors of a record could not be received, and the record was dropped with them (OpenBSD); otherwise the data is received, and [`Received::descriptors_lost`] is `true` | R20, R22, R22b |
    /// | `InvalidInput` | with `OUT_OF_BAND`, there is no urgent byte | F8b |
    /// | `NotSocket`, `BadDescriptor`, `InvalidInput` | the descriptor is not a socket of the declared kind | |
    /// | `Other` | the kernel returned an errno that the contract does not name | |
    ///
    /// Sources: POSIX.1-2024 recvmsg(), recvmsg(2) and unix(7) of Linux, recvmsg(2) of OpenBSD, and runs on
    /// both kernels.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{IoSliceMut, Write};
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{ControlBuffer, ReceiveFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// theirs.write_all(b"hello")?;
    /// drop(theirs);
    ///
    /// let mut control = ControlBuffer::new(); // one for all calls
    /// let mut buffer = [0; 64];
    /// let mut bytes = 0;
    /// loop {
    ///     let mut slices = [IoSliceMut::new(&mut buffer)];
    ///     let mut received = SocketRef::from(&ours).receive(&mut slices, &mut control, ReceiveFlags::empty())?;
    ///     if received.is_end_of_file() {
    ///         break;
    ///     }
    ///     bytes += received.bytes();
    ///     for descriptor in received.descriptors() {
    ///         // an OwnedFd
    ///     }
    /// }
    /// assert_eq!(bytes, 5);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn receive<'buffer>(
        &self,
        slices: &mut [IoSliceMut<'_>],
        control: &'buffer mut ControlBuffer,
        flags: ReceiveFlags,
    ) -> Result<Received<'buffer>, Error> {
        check(self.kind(), slices, flags)?;
        let named = !self.kind().is_stream();
        match platform::receive_message(self.fd(), slices, Some(&mut control.0), named, flags) {
            Ok(arrival) => Ok(self.received(arrival, slices)),
            Err(errno) => self.receive_after_loss(flags, errno, slices),
        }
    }

    /// Receives data into slices, and has the kernel close the descriptors that come with it.
    ///
    /// Linux reports that there were some ([`Received::descriptors_lost`]), and OpenBSD does not (clause R23:
    /// "differs"). Descriptors that were sent without a byte look like the [end of
    /// file](Received::is_end_of_file) on OpenBSD (clause R3c).
    ///
    /// # System calls
    ///
    /// One recvmsg(2), without room for control messages. On OpenBSD, one `getsockopt(SO_ERROR)` more as in
    /// [`receive`](Self::receive), and pledge(2) needs "stdio", whatever the peer sends.
    ///
    /// # Errors
    ///
    /// Those of [`receive`](Self::receive) but `DescriptorsLost`.
    #[inline]
    pub fn receive_without_descriptors(
        &self,
        slices: &mut [IoSliceMut<'_>],
        flags: ReceiveFlags,
    ) -> Result<Received<'static>, Error> {
        check(self.kind(), slices, flags)?;
        platform::receive_message(self.fd(), slices, None, false, flags)
            .map(|arrival| self.received(arrival, slices))
            .map_err(|errno| self.failed_to_receive(flags, errno))
    }

    #[inline]
    fn received<'buffer>(
        &self,
        mut arrival: Arrival<'buffer>,
        slices: &[IoSliceMut<'_>],
    ) -> Received<'buffer> {
        if arrival.came.is_control_truncated() {
            // The kernel does not say which of the descriptors were received.
            arrival.close_descriptors();
        }
        let end_of_file = arrival.bytes == 0 && self.ends_with(&arrival, slices);
        Received { arrival, end_of_file }
    }

    /// Returns whether no bytes mean the end.
    #[cold]
    fn ends_with(self, arrival: &Arrival<'_>, slices: &[IoSliceMut<'_>]) -> bool {
        let had_descriptors = || arrival.came.is_control_truncated() || arrival.descriptors.were_announced();
        has_room(slices)
            && match self.kind() {
                // At the end, too, Linux reports that it had no room for the credentials that were asked for (R23b).
                kind if kind.is_stream() => !Native::STREAMS_DELIVER_NO_BYTES || !had_descriptors(),
                SocketKind::UnixSeqpacket => !had_descriptors(),
                _ => false,
            }
    }

    #[cold]
    fn failed_to_receive(self, flags: ReceiveFlags, errno: RawErrno) -> Error {
        match flags.contains(ReceiveFlags::OUT_OF_BAND) {
            true => Error::of_urgent(Operation::Receive, errno),
            false => self.failed(Operation::Receive, errno),
        }
    }

    /// Receives the data, if the descriptors were lost and the kernel kept the data (OpenBSD's streams).
    #[cold]
    fn receive_after_loss<'buffer>(
        self,
        flags: ReceiveFlags,
        errno: RawErrno,
        slices: &mut [IoSliceMut<'_>],
    ) -> Result<Received<'buffer>, Error> {
        let error = self.failed_to_receive(flags, errno);
        if error.kind() != ErrorKind::DescriptorsLost || !self.kind().is_stream() {
            return Err(error);
        }
        // A message without a byte, which only another program sends, leaves no data to wait for (R3).
        let bytes = match self.receive_without_descriptors(slices, ReceiveFlags::DONT_WAIT) {
            Ok(received) => received.bytes(),
            Err(error) if error.would_block() => 0,
            Err(error) => return Err(error),
        };
        Ok(Received { arrival: Arrival::without_its_descriptors(bytes), end_of_file: false })
    }
}

#[inline]
fn check(kind: SocketKind, slices: &[IoSliceMut<'_>], flags: ReceiveFlags) -> Result<(), Error> {
    if !ReceiveFlags::honoured_on(kind).contains(flags) {
        return Err(Error::refused(Operation::Receive, Refusal::UnsupportedFlag));
    }
    if slices.len() > limits::SLICES_PER_MESSAGE {
        return Err(Error::refused(Operation::Receive, Refusal::TooManySlices));
    }
    // Both kernels take the byte away, and only Linux says that it was dropped (F8d).
    if flags.contains(ReceiveFlags::OUT_OF_BAND) && !has_room(slices) {
        return Err(Error::refused(Operation::Receive, Refusal::NoRoomForUrgent));
    }
    Ok(())
}

fn has_room(slices: &[IoSliceMut<'_>]) -> bool {
    slices.iter().any(|slice| !slice.is_empty())
}
