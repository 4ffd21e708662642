use std::fmt;
use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::address::Address;
use crate::datagram_options::Asked;
use crate::error::{Error, SendAllError};
use crate::platform::contract::{Operation, Refusal, SendFlags, SocketKind, limits};
use crate::platform::{self, Ancillary, Kernel, Native};
use crate::send::checked_length;
use crate::socket::{DatagramSocket, SocketRef};

/// Data, with descriptors that are sent with its first byte.
///
/// The receiver gets its own descriptors of the same open files. The file offset and flags such as
/// `O_NONBLOCK` are shared (clause R31). Closing a descriptor on one side does not close it on the other.
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use std::io::{IoSlice, IoSliceMut};
/// use std::os::unix::net::UnixStream;
/// use unisend::{ControlBuffer, Message, ReceiveFlags, SendFlags, SocketRef};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (ours, theirs) = UnixStream::pair()?;
/// let file = File::open("/dev/null")?;
///
/// let mut data = [IoSlice::new(b"here is a file")];
/// Message::new(&mut data).with_descriptor(&file).send(&SocketRef::from(&ours), SendFlags::empty())?;
///
/// let mut control = ControlBuffer::new();
/// let mut buffer = [0; 64];
/// let mut received = SocketRef::from(&theirs).receive(
///     &mut [IoSliceMut::new(&mut buffer)],
///     &mut control,
///     ReceiveFlags::empty(),
/// )?;
/// assert_eq!(received.bytes(), 14);
/// let file = File::from(received.take_descriptor().expect("one descriptor"));
/// # Ok(())
/// # }
/// ```
pub struct Message<'a, 'data, Descriptor = BorrowedFd<'a>> {
    /// The data that is left to send.
    slices: &'a mut [IoSlice<'data>],
    /// The descriptors that go with its first byte.
    descriptors: &'a [Descriptor],
    /// Whether a part was accepted already.
    is_rest: bool,
    /// What it asks of the headers of a datagram.
    asked: Asked<'a>,
}

impl<'a, 'data> Message<'a, 'data> {
    /// Creates a message of these slices, in this order.
    ///
    /// The slices are advanced when a part of the message was accepted. Do not create a second message from
    /// the same array: continue with this one, or with its [rest](Self::into_rest).
    #[must_use]
    #[inline]
    pub const fn new(slices: &'a mut [IoSlice<'data>]) -> Self {
        Self { slices, descriptors: &[], is_rest: false, asked: Asked::NOTHING }
    }

    /// Returns the message with this descriptor.
    #[must_use]
    #[inline]
    pub const fn with_descriptor<Descriptor: AsFd>(
        self,
        descriptor: &'a Descriptor,
    ) -> Message<'a, 'data, Descriptor> {
        self.with_descriptors(std::slice::from_ref(descriptor))
    }

    /// Returns the message with these descriptors, in this order.
    ///
    /// There can be at most [`limits::DESCRIPTORS_PER_MESSAGE`]. Descriptors of several types are borrowed
    /// first: `[file.as_fd(), stream.as_fd()]`.
    #[must_use]
    #[inline]
    pub const fn with_descriptors<Descriptor: AsFd>(
        self,
        descriptors: &'a [Descriptor],
    ) -> Message<'a, 'data, Descriptor> {
        Message { slices: self.slices, descriptors, is_rest: self.is_rest, asked: self.asked }
    }
}

impl<'a, 'data, Descriptor: AsFd> Message<'a, 'data, Descriptor> {
    /// Returns the message with this source: the address of this host that the datagram is sent from (clause N5).
    ///
    /// A server that is bound to all addresses of its host answers from the one that was asked:
    /// [`Received::destination`](crate::Received::destination). Without a source the route decides, and a client
    /// that checks where the answer comes from drops it.
    ///
    /// The message is sent by [`send_to`](Self::send_to) on UDP. Anything else refuses it with
    /// [`Unsupported`](crate::ErrorKind::Unsupported): OpenBSD ignores the source on a connected socket.
    ///
    /// An IPv4-mapped source, which only a dual-stack socket of Linux reports, goes with an IPv4-mapped
    /// address: the sender of the datagram that was asked, or [`Address::v4_mapped`]. One of them alone is
    /// refused with [`AddressNotAvailable`](crate::ErrorKind::AddressNotAvailable) (clause N5c).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use std::net::UdpSocket;
    /// use unisend::{ControlBuffer, Message, ReceiveFlags, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = UdpSocket::bind("0.0.0.0:0")?;
    /// let socket = SocketRef::udp_v4(&server);
    /// socket.receive_destinations()?;
    /// # let client = UdpSocket::bind("127.0.0.1:0")?;
    /// # client.connect(("127.0.0.1", server.local_addr()?.port()))?;
    /// # client.send(b"ping")?;
    ///
    /// let mut control = ControlBuffer::new();
    /// let mut buffer = [0; 1500];
    /// let mut slices = [IoSliceMut::new(&mut buffer)];
    /// let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty())?;
    /// if let (Some(sender), Some(asked)) = (received.sender(), received.destination()) {
    ///     let mut answer = [IoSlice::new(b"pong")];
    ///     Message::new(&mut answer).from_source(asked.address).send_to(&socket, &sender, SendFlags::empty())?;
    /// }
    /// # assert_eq!(client.recv(&mut [0; 10])?, 4);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    #[allow(clippy::wrong_self_convention, reason = "it says where the message is from")]
    pub fn from_source(mut self, address: IpAddr) -> Self {
        self.asked.source = Some(address);
        self
    }

    /// Returns the message with this traffic class: 6 bits of differentiated services and 2 of explicit congestion
    /// notification (clause N6). IPv4 calls it the type of service.
    ///
    /// On UDP over IPv6 both systems honour it, and over IPv4 Linux does. OpenBSD has no such control message over IPv4,
    /// so the message is refused there with [`Unsupported`](crate::ErrorKind::Unsupported), as it is on any other
    /// socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::net::UdpSocket;
    /// use unisend::{ErrorKind, Message, SendFlags, SocketRef};
    ///
    /// const ECT_0: u8 = 0b10; // the sender understands congestion notification
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = UdpSocket::bind("127.0.0.1:0")?;
    /// let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// let (mut data, to) = ([IoSlice::new(b"ping")], receiver.local_addr()?.into());
    /// let message = Message::new(&mut data).with_traffic_class(ECT_0);
    /// match message.send_to(&SocketRef::udp_v4(&sender), &to, SendFlags::empty()) {
    ///     Err(refused) if refused.kind() == ErrorKind::Unsupported => {} // OpenBSD, over IPv4
    ///     outcome => assert_eq!(outcome?, 4),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn with_traffic_class(mut self, class: u8) -> Self {
        self.asked.traffic_class = Some(class);
        self
    }

    /// Removes the bytes that were accepted from the front of the message.
    ///
    /// On a stream, send the message again to send the rest. The descriptors went with the first byte, so
    /// they are removed as well unless `accepted` is 0 (clause R8).
    ///
    /// A datagram or record is sent whole. On a socket that is not a stream, a message that was advanced is
    /// refused with [`InvalidInput`](crate::ErrorKind::InvalidInput), even if nothing is left of it (clause
    /// R8c).
    ///
    /// # Panics
    ///
    /// Panics if `accepted` is more than the bytes that are left, like [`IoSlice::advance_slices`] does.
    pub fn advance(&mut self, accepted: usize) {
        if accepted > 0 {
            self.become_rest();
        }
        IoSlice::advance_slices(&mut self.slices, accepted);
    }

    /// Makes this the rest of a message, which goes without the descriptors.
    fn become_rest(&mut self) {
        self.descriptors = &[];
        self.is_rest = true;
    }

    /// Returns the slices that are left.
    ///
    /// Do not use the array that the message was made of afterwards. It still contains the slices that were
    /// sent, and a slice that was sent in part has been shortened.
    #[must_use]
    pub fn into_rest(self) -> &'a mut [IoSlice<'data>] {
        self.slices
    }

    /// Sends the message to the socket's peer, and returns the number of bytes accepted.
    ///
    /// On a stream this can be less than the message has (a short count). [`advance`](Self::advance) the
    /// message by it, and send the rest.
    ///
    /// If a byte was accepted, all the descriptors are in flight. If the call fails with `WouldBlock`, none
    /// is, and the same message can be sent again. There is an exception: if `SO_SNDBUF` was set below 4096, or
    /// `SO_SNDLOWAT` was set, OpenBSD can deliver the descriptors although it fails with "would block" (clause
    /// R7). Do not set these options on a socket that carries descriptors.
    ///
    /// # System calls
    ///
    /// One sendmsg(2), with `MSG_NOSIGNAL`, and after a failure those of [`SocketRef::send`]. On OpenBSD
    /// pledge(2) needs "stdio", and "sendfd" if there are descriptors, which then must not be of directories.
    ///
    /// # Errors
    ///
    /// Those of [`SocketRef::send_vectored`]. Before the call:
    ///
    /// | kind | when | clause |
    /// |---|---|---|
    /// | `TooManyDescriptors` | there are more than [`limits::DESCRIPTORS_PER_MESSAGE`] | L11 |
    /// | `DescriptorsWithoutData` | there are descriptors and no byte, on a stream | R3 |
    /// | `InvalidInput` | the message was advanced, or sent by [`send_all`](Self::send_all), and the socket is not a stream | R8c |
    /// | `Unsupported` | there are descriptors, and the socket is not a unix socket | L12 |
    /// | `MessageTooLong` | the socket was [probed](SocketRef::probe), and the record (on a stream, one byte) and its descriptors never fit into its send buffer (OpenBSD; Linux's kernel returns this error itself) | R13b |
    ///
    /// From the kernel:
    ///
    /// | kind | when | clause |
    /// |---|---|---|
    /// | `DescriptorsInFlight` | too many descriptors are in flight: those of this user (Linux), or those of all users (OpenBSD) | R10 |
    /// | `PermissionDenied` | the receiver takes no descriptors (Linux: `SO_PASSRIGHTS`), or pledge(2) forbids this one (OpenBSD) | R9, R12 |
    /// | `InvalidInput` | a descriptor cannot be passed: kqueue (OpenBSD), io_uring (Linux) | R9, R9b |
    /// | `WouldBlock` | besides a full buffer: the receiver has no room for the message, even if the socket is blocking (OpenBSD, if the send buffer was raised) | R13 |
    ///
    /// Sources: POSIX.1-2024 sendmsg(), unix(7), sendmsg(2) and unix(4) of OpenBSD, and runs on both kernels.
    #[inline]
    pub fn send<Sort>(&self, socket: &SocketRef<'_, Sort>, flags: SendFlags) -> Result<usize, Error> {
        self.send_slices(Operation::SendMessage, socket, None, self.slices, flags)
    }

    /// Sends the message to an address as one datagram, and returns the number of bytes accepted, which is
    /// all of them.
    ///
    /// # System calls
    ///
    /// One sendmsg(2), with `MSG_NOSIGNAL`, and after a failure those of [`SocketRef::send_to`]. On OpenBSD
    /// pledge(2) needs what [`SocketRef::send_to`] needs, and "sendfd" if there are descriptors.
    ///
    /// # Errors
    ///
    /// Those of [`Message::send`] and of [`SocketRef::send_to`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::net::UdpSocket;
    /// use unisend::{Message, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = UdpSocket::bind("127.0.0.1:0")?;
    /// let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// let mut data = [IoSlice::new(b"header "), IoSlice::new(b"body")];
    /// let to = receiver.local_addr()?.into();
    /// assert_eq!(Message::new(&mut data).send_to(&SocketRef::udp_v4(&sender), &to, SendFlags::empty())?, 11);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn send_to(
        &self,
        socket: &SocketRef<'_, DatagramSocket>,
        to: &Address,
        flags: SendFlags,
    ) -> Result<usize, Error> {
        self.send_slices(Operation::SendMessageTo, socket, Some(to), self.slices, flags)
    }

    /// Sends all of the message to the socket's peer, and its descriptors once, with the first byte.
    ///
    /// It waits if the socket does, like [`SocketRef::send_all`]. After an error,
    /// [`accepted`](SendAllError::accepted) says how many bytes of this message were accepted. If it is not
    /// 0, the descriptors are in flight. The message is advanced by it: after "would block", call this again
    /// to send the rest.
    ///
    /// # System calls
    ///
    /// One sendmsg(2) for each part that is accepted, and otherwise those of [`SocketRef::send_all`]. On
    /// OpenBSD the first part of a stream with descriptors has at most 16 KiB, so that it fits beside them
    /// (clause R13).
    ///
    /// # Errors
    ///
    /// Those of [`Message::send`] but `Interrupted`, with the number of bytes that were accepted before, and
    /// those that [`SocketRef::send_all`] adds. On a stream there can be any number of slices, with
    /// `SSIZE_MAX` bytes together.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{IoSlice, Read};
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{Message, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let long = vec![0; 3_000_000];
    /// let mut data = [IoSlice::new(&long)];
    ///
    /// let mut message = Message::new(&mut data).with_descriptor(&ours);
    /// while let Err(stopped) = message.send_all(&SocketRef::from(&ours), SendFlags::empty()) {
    ///     if !stopped.would_block() {
    ///         return Err(stopped.into());
    ///     }
    ///     # theirs.read_exact(&mut vec![0; stopped.accepted()])?;
    ///     // wait here until the socket is writable
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all<Sort>(
        &mut self,
        socket: &SocketRef<'_, Sort>,
        flags: SendFlags,
    ) -> Result<(), SendAllError> {
        const OPERATION: Operation = Operation::SendMessageAll;
        socket.check_loop(OPERATION, flags)?;
        self.check_rest(OPERATION, socket).map_err(SendAllError::at_once)?;
        let total = socket.check_slices(OPERATION, self.slices)?;
        socket.skip_empty(&mut self.slices, total);
        socket.send_parts(OPERATION, flags, total, |_| {
            let count = self.send_part(OPERATION, socket, flags)?;
            self.advance(count);
            Ok(socket.accepted(count))
        })?;
        self.become_rest(); // here too: a message of descriptors without a byte was not advanced
        Ok(())
    }

    /// Sends as much of the rest as one call can take.
    fn send_part<Sort>(
        &self,
        operation: Operation,
        socket: &SocketRef<'_, Sort>,
        flags: SendFlags,
    ) -> Result<usize, Error> {
        let send = |slices: &[IoSlice<'_>]| self.send_slices(operation, socket, None, slices, flags);
        let slices = &self.slices[..self.slices.len().min(limits::SLICES_PER_MESSAGE)];
        match (Native::FIRST_PART_WITH_DESCRIPTORS, slices) {
            (Some(most), [first, ..]) if socket.kind().is_stream() && !self.descriptors.is_empty() => {
                match fitting(slices, most) {
                    0 => send(&[IoSlice::new(&first[..most])]),
                    count => send(&slices[..count]),
                }
            }
            _ => send(slices),
        }
    }

    /// Refuses the rest of a datagram or record.
    #[inline]
    fn check_rest<Sort>(&self, operation: Operation, socket: &SocketRef<'_, Sort>) -> Result<(), Error> {
        match self.is_rest && !socket.kind().is_stream() {
            true => Err(Error::refused(operation, Refusal::RecordInPart)),
            false => Ok(()),
        }
    }

    /// Makes all checks, in the order of clause G5, and sends.
    #[inline]
    fn send_slices<Sort>(
        &self,
        operation: Operation,
        socket: &SocketRef<'_, Sort>,
        to: Option<&Address>,
        slices: &[IoSlice<'_>],
        flags: SendFlags,
    ) -> Result<usize, Error> {
        let flags = socket.raw_flags(operation, flags)?;
        let asked = Asked { to, ..self.asked };
        if let Some(refusal) = asked.refusal(socket.kind()) {
            return Err(Error::refused(operation, refusal));
        }
        self.check_rest(operation, socket)?;
        if slices.len() > limits::SLICES_PER_MESSAGE {
            return Err(Error::refused(operation, Refusal::TooManySlices));
        }
        let length = checked_length(operation, slices)?;
        if !self.descriptors.is_empty() {
            if let Some(refusal) = refusal_of_descriptors(socket, length, self.descriptors.len()) {
                return Err(Error::refused(operation, refusal));
            }
        } else if length == 0 {
            socket.refuse_empty_record(operation)?;
        }
        let ancillary = match asked.has_no_options() {
            true => Ancillary::Descriptors(self.descriptors),
            false => Ancillary::Options(asked.options(socket.kind())),
        };
        let to = to.map(Address::name);
        socket
            .send_again(|| platform::send_with(socket.fd(), slices, to, &ancillary, flags))
            .map_err(|errno| socket.failed(operation, errno))
    }
}

impl<Descriptor> fmt::Debug for Message<'_, '_, Descriptor> {
    /// Shows the sizes only, because the data can be long, and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.slices.iter().fold(0_usize, |bytes, slice| bytes.saturating_add(slice.len()));
        f.debug_struct("Message")
            .field("bytes", &bytes)
            .field("descriptors", &self.descriptors.len())
            .finish_non_exhaustive()
    }
}

/// Returns how many of the slices, from the first on, have no more than `most` bytes together.
fn fitting(slices: &[IoSlice<'_>], most: usize) -> usize {
    let ends = slices.iter().scan(0_usize, |end, slice| {
        *end = end.saturating_add(slice.len());
        Some(*end)
    });
    ends.take_while(|&end| end <= most).count()
}

/// Returns why this number of descriptors cannot go with this number of bytes on this socket.
#[inline]
pub(crate) fn refusal_of_descriptors<Sort>(
    socket: &SocketRef<'_, Sort>,
    length: usize,
    count: usize,
) -> Option<Refusal> {
    use SocketKind::{Other, OtherStream, Tcp, UdpV4, UdpV6};

    // A stream can send a part, which has at least one byte.
    let indivisible = if socket.kind().is_stream() { 1 } else { length };
    let never_fits = |send_buffer| Native::never_fits(Native::CONTROL, indivisible, count, send_buffer);
    match socket.kind() {
        Tcp | UdpV4 | UdpV6 | OtherStream | Other => Some(Refusal::DescriptorsNotCarried),
        _ if count > limits::DESCRIPTORS_PER_MESSAGE => Some(Refusal::TooManyDescriptors),
        // R3: Linux would drop them. R4: a datagram or record delivers them.
        _ if length == 0 && socket.kind().is_stream() => Some(Refusal::DescriptorsWithoutData),
        _ if socket.send_buffer().is_some_and(never_fits) => Some(Refusal::RecordNeverFits),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{IoSlice, Message, fitting};
    use rstest::rstest;

    #[rstest]
    #[case::nothing(&[0], &["one", "two", "three"])]
    #[case::into_a_slice(&[1], &["ne", "two", "three"])]
    #[case::to_the_end_of_a_slice(&[3], &["two", "three"])]
    #[case::into_a_later_slice(&[7], &["hree"])]
    #[case::in_steps(&[1, 0, 3, 3], &["hree"])]
    #[case::slice_by_slice(&[3, 3, 1], &["hree"])]
    #[case::to_the_end(&[11], &[])]
    fn what_was_accepted_is_taken_off(#[case] steps: &[usize], #[case] expected: &[&str]) {
        let mut slices = ["one", "", "two", "three"].map(|text| IoSlice::new(text.as_bytes()));
        let mut message = Message::new(&mut slices);
        for &step in steps {
            message.advance(step);
        }
        let found: Vec<&[u8]> =
            message.slices.iter().map(|slice| &**slice).filter(|slice| !slice.is_empty()).collect();
        assert_eq!(found, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    }

    #[rstest]
    #[case::not_even_the_first(2, 0)]
    #[case::the_first_and_the_empty_one_after_it(3, 2)]
    #[case::a_part_of_the_next_does_not_count(5, 2)]
    #[case::two(6, 3)]
    #[case::all(11, 4)]
    fn r13_a_first_part_has_whole_slices(#[case] most: usize, #[case] expected: usize) {
        let slices = ["one", "", "two", "three"].map(|text| IoSlice::new(text.as_bytes()));
        assert_eq!(fitting(&slices, most), expected);
    }

    #[test]
    #[should_panic(expected = "beyond")]
    fn no_more_can_be_taken_off_than_there_is() {
        Message::new(&mut [IoSlice::new(b"two")]).advance(4);
    }

    #[test]
    fn debug_says_how_much_and_not_what() {
        let mut slices = [IoSlice::new(b"secret")];
        let mut message = Message::new(&mut slices);
        message.advance(2);
        assert_eq!(format!("{message:?}"), "Message { bytes: 4, descriptors: 0, .. }");
    }
}
