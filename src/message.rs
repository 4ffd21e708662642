use std::fmt;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};

use crate::address::Address;
use crate::error::{Error, SendAllError};
use crate::platform::contract::{Operation, Refusal, SendFlags, SocketKind, limits};
use crate::platform::{self, Kernel, Native};
use crate::send::checked_length;
use crate::socket::{DatagramSocket, SocketRef};

/// Data, and descriptors that go with its first byte.
///
/// The receiver gets descriptors of its own for the same open files: offsets and `O_NONBLOCK` are shared
/// (clause R31), and closing one side's does not close the other's.
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
    /// What is left to send.
    slices: &'a mut [IoSlice<'data>],
    /// What is left to send with its first byte.
    descriptors: &'a [Descriptor],
    /// Whether something was accepted, so that this is the rest of a message.
    is_rest: bool,
}

impl<'a, 'data> Message<'a, 'data> {
    /// A message of these slices, one after the other. They are advanced when a part of the message was accepted: do not
    /// make a second message of the same array, but go on with this one, or with its [rest](Self::into_rest).
    #[must_use]
    #[inline]
    pub const fn new(slices: &'a mut [IoSlice<'data>]) -> Self {
        Self { slices, descriptors: &[], is_rest: false }
    }

    /// The same message with this descriptor.
    #[must_use]
    #[inline]
    pub const fn with_descriptor<Descriptor: AsFd>(
        self,
        descriptor: &'a Descriptor,
    ) -> Message<'a, 'data, Descriptor> {
        self.with_descriptors(std::slice::from_ref(descriptor))
    }

    /// The same message with these descriptors, at most [`limits::DESCRIPTORS_PER_MESSAGE`], in this order. Those of
    /// several types are borrowed first: `[file.as_fd(), stream.as_fd()]`.
    #[must_use]
    #[inline]
    pub const fn with_descriptors<Descriptor: AsFd>(
        self,
        descriptors: &'a [Descriptor],
    ) -> Message<'a, 'data, Descriptor> {
        Message { slices: self.slices, descriptors, is_rest: self.is_rest }
    }
}

impl<'a, 'data, Descriptor: AsFd> Message<'a, 'data, Descriptor> {
    /// Takes what was accepted off the message. What is left is, on a stream, what to send next. The descriptors went
    /// with the first byte, so unless it is 0 there are none any more (clause R8).
    ///
    /// Datagrams and records are sent whole: what is left of a message is refused there as
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), even if nothing is left (clause R8c).
    ///
    /// # Panics
    ///
    /// If more was accepted than there is, as [`IoSlice::advance_slices`] does.
    pub fn advance(&mut self, accepted: usize) {
        if accepted > 0 {
            self.become_rest();
        }
        IoSlice::advance_slices(&mut self.slices, accepted);
    }

    /// Whatever is sent from now on is the rest of a message, and goes without the descriptors.
    fn become_rest(&mut self) {
        self.descriptors = &[];
        self.is_rest = true;
    }

    /// The slices of what is left. The array that the message was made of is of no use afterwards: slices that were
    /// sent are still in it, and one that was sent in part has been shortened.
    #[must_use]
    pub fn into_rest(self) -> &'a mut [IoSlice<'data>] {
        self.slices
    }

    /// Sends to the socket's peer; how many bytes were accepted. On a stream that can be fewer than there are:
    /// [`advance`](Self::advance) by them, and send what is left.
    ///
    /// Once a byte was accepted the descriptors are on their way, all of them. On "would block" none is, and the
    /// same message can be sent again, unless `SO_SNDBUF` was set below 4096 or `SO_SNDLOWAT` was set (clause R7:
    /// OpenBSD can then deliver them and say "would block" all the same). Do not set them on a socket that carries
    /// descriptors.
    ///
    /// # System calls
    ///
    /// One, sendmsg(2), with `MSG_NOSIGNAL`; after a failure as [`SocketRef::send`]. On OpenBSD pledge(2) needs
    /// "stdio", and "sendfd" if there are descriptors, which then may not be of directories.
    ///
    /// # Errors
    ///
    /// Those of [`SocketRef::send_vectored`]. Before the call:
    ///
    /// | kind | when | clause |
    /// |---|---|---|
    /// | `TooManyDescriptors` | more than [`limits::DESCRIPTORS_PER_MESSAGE`] | L11 |
    /// | `DescriptorsWithoutData` | descriptors, and no byte, on a stream | R3 |
    /// | `InvalidInput` | what is left of a message, on a socket of datagrams or records | R8c |
    /// | `Unsupported` | descriptors on a socket that is not a unix one | L12 |
    /// | `MessageTooLong` | what never fits beside its descriptors, where the socket was [probed](SocketRef::probe) | R13b |
    ///
    /// From the kernel:
    ///
    /// | kind | when | clause |
    /// |---|---|---|
    /// | `DescriptorsInFlight` | too many are sent and not received: by this user (Linux), by all (OpenBSD) | R10 |
    /// | `PermissionDenied` | the receiver takes none (Linux `SO_PASSRIGHTS`), or pledge forbids this one (OpenBSD) | R9, R12 |
    /// | `InvalidInput` | a descriptor that cannot be passed: kqueue (OpenBSD), io_uring (Linux) | R9 |
    /// | `WouldBlock` | besides a full buffer, and even if the socket is blocking: a receiver without room for it, where the send buffer was raised on OpenBSD | R13 |
    ///
    /// Sources: POSIX.1-2024 sendmsg(), unix(7), sendmsg(2) and unix(4) of OpenBSD, and runs on both kernels.
    #[inline]
    pub fn send<Sort>(&self, socket: &SocketRef<'_, Sort>, flags: SendFlags) -> Result<usize, Error> {
        self.send_slices(Operation::SendMessage, socket, None, self.slices, flags)
    }

    /// Sends to an address, as one datagram; how many bytes were accepted, which is all of them.
    ///
    /// # System calls
    ///
    /// One, sendmsg(2), with `MSG_NOSIGNAL`. On OpenBSD pledge(2) needs what [`SocketRef::send_to`] needs, and
    /// "sendfd" if there are descriptors.
    ///
    /// # Errors
    ///
    /// Those of [`Message::send`] and of [`SocketRef::send_to`].
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

    /// Sends all of the message to the socket's peer: the descriptors with the first byte, and once.
    ///
    /// It waits as [`SocketRef::send_all`] does. After an error [`accepted`](SendAllError::accepted) says how much of
    /// this message is on its way; if that is not 0, so are the descriptors. The message is advanced by it: to go on
    /// after "would block", call this again.
    ///
    /// # System calls
    ///
    /// One sendmsg(2) for each part that is accepted. On OpenBSD the first part of a stream with descriptors has
    /// at most 16 KiB, so that it fits beside them (clause R13).
    ///
    /// # Errors
    ///
    /// Those of [`Message::send`] but `Interrupted`, with what was accepted before them, and those that
    /// [`SocketRef::send_all`] adds. On a stream there can be any number of slices, but of `SSIZE_MAX` bytes together.
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
    ///     // wait until poll says that it is writable
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
            Ok(count)
        })?;
        self.become_rest(); // also if it had no byte, but descriptors
        Ok(())
    }

    /// Sends as much of what is left as can go at once.
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

    /// Refuses what is left of a datagram or record.
    #[inline]
    fn check_rest<Sort>(&self, operation: Operation, socket: &SocketRef<'_, Sort>) -> Result<(), Error> {
        match self.is_rest && !socket.kind().is_stream() {
            true => Err(Error::refused(operation, Refusal::RecordInPart)),
            false => Ok(()),
        }
    }

    /// Checks all there is to check, in the order of clause G5, and sends.
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
        if let Some(refusal) = to.and_then(|to| to.refusal_for(socket.kind())) {
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
        platform::send_with(socket.fd(), slices, to.map(Address::name), self.descriptors, flags)
            .map_err(|errno| socket.failed(operation, errno))
    }
}

impl<Descriptor> fmt::Debug for Message<'_, '_, Descriptor> {
    /// How much it is: the data can be long, and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.slices.iter().fold(0_usize, |bytes, slice| bytes.saturating_add(slice.len()));
        f.debug_struct("Message")
            .field("bytes", &bytes)
            .field("descriptors", &self.descriptors.len())
            .finish_non_exhaustive()
    }
}

/// How many of the slices, from the first on, have no more than so many bytes together.
fn fitting(slices: &[IoSlice<'_>], most: usize) -> usize {
    let ends = slices.iter().scan(0_usize, |end, slice| {
        *end = end.saturating_add(slice.len());
        Some(*end)
    });
    ends.take_while(|&end| end <= most).count()
}

/// Why these descriptors cannot go with so many bytes on this socket.
#[inline]
fn refusal_of_descriptors<Sort>(
    socket: &SocketRef<'_, Sort>,
    length: usize,
    count: usize,
) -> Option<Refusal> {
    use SocketKind::{Other, OtherStream, Tcp, UdpV4, UdpV6};

    // A stream can send a part, but no less than a byte.
    let indivisible = if socket.kind().is_stream() { 1 } else { length };
    let never_fits = |send_buffer| Native::never_fits(Native::CONTROL, indivisible, count, send_buffer);
    match socket.kind() {
        Tcp | UdpV4 | UdpV6 | OtherStream | Other => Some(Refusal::DescriptorsNotCarried),
        _ if count > limits::DESCRIPTORS_PER_MESSAGE => Some(Refusal::TooManyDescriptors),
        // R3: Linux would drop them; R4: a datagram or record delivers them.
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
