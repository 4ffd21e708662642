use std::fmt;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use crate::address::Address;
use crate::error::{Error, SendAllError};
use crate::platform::contract::{Operation, Refusal, SendFlags, SocketKind, limits};
use crate::platform::{self, SocketName};
use crate::send::total_length;
use crate::socket::{Datagram, Socket};

/// Data, and descriptors that go with its first byte.
///
/// The receiver gets descriptors of its own for the same open files: offsets and `O_NONBLOCK` are shared
/// (clause R31), and closing one side's does not close the other's.
///
/// ```
/// use std::fs::File;
/// use std::io::{IoSlice, IoSliceMut};
/// use std::os::fd::AsFd;
/// use std::os::unix::net::UnixStream;
/// use unisend::{ControlBuffer, Message, ReceiveFlags, SendFlags, Socket};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (ours, theirs) = UnixStream::pair()?;
/// let file = File::open("/dev/null")?;
///
/// let data = [IoSlice::new(b"here is a file")];
/// let descriptors = [file.as_fd()];
/// Message::new(&data).with_descriptors(&descriptors).send(&Socket::from(&ours), SendFlags::empty())?;
///
/// let mut control = ControlBuffer::new();
/// let mut buffer = [0; 64];
/// let mut received = Socket::from(&theirs).receive(
///     &mut [IoSliceMut::new(&mut buffer)],
///     &mut control,
///     ReceiveFlags::empty(),
/// )?;
/// assert_eq!(received.bytes(), 14);
/// let file = File::from(received.descriptors().next().expect("one descriptor"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// What is left to send, from this byte of the first slice on.
    slices: &'a [IoSlice<'a>],
    start: usize,
    descriptors: &'a [BorrowedFd<'a>],
}

/// How many slices are copied for a part that begins or ends in the middle of one.
const WINDOW: usize = 64;

impl<'a> Message<'a> {
    /// A message of these slices, one after the other.
    #[must_use]
    #[inline]
    pub const fn new(slices: &'a [IoSlice<'a>]) -> Self {
        Self { slices, start: 0, descriptors: &[] }
    }

    /// The same message with these descriptors, at most [`limits::DESCRIPTORS_PER_MESSAGE`], in this order.
    #[must_use]
    #[inline]
    pub const fn with_descriptors(self, descriptors: &'a [BorrowedFd<'a>]) -> Self {
        Self { descriptors, ..self }
    }

    /// What is left of this message when so many bytes of it were accepted: on a stream, what to send next. The
    /// descriptors went with the first byte, so unless it is 0 there are none any more (clause R8).
    ///
    /// It can be said again of what is left. Datagrams and records are sent whole: what is left of one is refused
    /// as [`InvalidInput`](crate::ErrorKind::InvalidInput), as is what is left after more than there was.
    #[must_use]
    pub fn after(self, accepted: usize) -> Self {
        if accepted == 0 {
            return self;
        }
        let (mut slices, mut start) = (self.slices, self.start.saturating_add(accepted));
        while let [first, rest @ ..] = slices {
            if start < first.len() {
                break;
            }
            start -= first.len();
            slices = rest;
        }
        Self { slices, start, descriptors: &[] }
    }

    /// Sends to the socket's peer; how many bytes were accepted. On a stream that can be fewer than there are: what
    /// is left is the message [after](Self::after) them.
    ///
    /// Once a byte was accepted the descriptors are on their way, all of them. On "would block" none is, and the
    /// same message can be sent again, unless `SO_SNDBUF` was set below 4096 or `SO_SNDLOWAT` was set (clause R7:
    /// OpenBSD can then deliver them and say "would block" all the same). Do not set them on a socket that carries
    /// descriptors.
    ///
    /// # System calls
    ///
    /// One, sendmsg(2), with `MSG_NOSIGNAL`; after a failure as [`Socket::send`]. On OpenBSD pledge(2) needs
    /// "stdio", and "sendfd" if there are descriptors, which then may not be of directories.
    ///
    /// # Errors
    ///
    /// Those of [`Socket::send_vectored`]. Before the call:
    ///
    /// | kind | when | clause |
    /// |---|---|---|
    /// | `TooManyDescriptors` | more than [`limits::DESCRIPTORS_PER_MESSAGE`] | L11 |
    /// | `DescriptorsWithoutData` | descriptors, and no byte | R3, R4 |
    /// | `Unsupported` | descriptors on a socket that is not a unix one | L12 |
    /// | `MessageTooLong` | what never fits beside its descriptors, where the socket was [probed](Socket::probe) | R13b |
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
    pub fn send(&self, socket: &Socket<'_>, flags: SendFlags) -> Result<usize, Error> {
        self.send_in(Operation::SendMessage, socket, None, flags)
    }

    /// Sends to an address, as one datagram; how many bytes were accepted, which is all of them.
    ///
    /// # System calls
    ///
    /// One, sendmsg(2), with `MSG_NOSIGNAL`. On OpenBSD pledge(2) needs what [`Datagram::send_to`] needs, and
    /// "sendfd" if there are descriptors.
    ///
    /// # Errors
    ///
    /// Those of [`Message::send`] and of [`Datagram::send_to`].
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::net::UdpSocket;
    /// use unisend::{Message, SendFlags, Socket};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = UdpSocket::bind("127.0.0.1:0")?;
    /// let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// let data = [IoSlice::new(b"header "), IoSlice::new(b"body")];
    /// let to = receiver.local_addr()?.into();
    /// assert_eq!(Message::new(&data).send_to(&Socket::udp_v4(&sender), &to, SendFlags::empty())?, 11);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn send_to(&self, socket: &Datagram<'_>, to: &Address, flags: SendFlags) -> Result<usize, Error> {
        const OPERATION: Operation = Operation::SendMessageTo;
        match to.refusal_for(socket.kind()) {
            Some(refusal) => Err(Error::refused(OPERATION, refusal)),
            None => self.send_in(OPERATION, socket, Some(to.name()), flags),
        }
    }

    /// Sends all of the message to the socket's peer: the descriptors with the first byte, and once.
    ///
    /// It waits as [`Socket::send_all`] does. After an error [`accepted`](SendAllError::accepted) says how much of
    /// this message is on its way; if that is not 0, so are the descriptors. To go on after "would block", send the
    /// message [after](Self::after) what was accepted.
    ///
    /// # System calls
    ///
    /// One sendmsg(2) for each part that is accepted. On OpenBSD the first part of a stream with descriptors has
    /// at most 16 KiB, so that it fits beside them (clause R13).
    ///
    /// # Errors
    ///
    /// Those of [`Message::send`] but `Interrupted`, with what was accepted before them. On a stream there can
    /// be any number of slices, but of `SSIZE_MAX` bytes together.
    ///
    /// ```
    /// use std::io::{IoSlice, Read};
    /// use std::os::fd::AsFd;
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{Message, SendFlags, Socket};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let long = vec![0; 3_000_000];
    /// let (data, descriptors) = ([IoSlice::new(&long)], [ours.as_fd()]);
    ///
    /// let mut message = Message::new(&data).with_descriptors(&descriptors);
    /// while let Err(stopped) = message.send_all(&Socket::from(&ours), SendFlags::empty()) {
    ///     if !stopped.would_block() {
    ///         return Err(stopped.into());
    ///     }
    ///     message = message.after(stopped.accepted());
    ///     # theirs.read_exact(&mut vec![0; stopped.accepted()])?;
    ///     // wait until poll says that it is writable
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all(&self, socket: &Socket<'_>, flags: SendFlags) -> Result<(), SendAllError> {
        const OPERATION: Operation = Operation::SendMessageAll;
        if self.total_length().is_none() {
            let error = Error::refused(OPERATION, Refusal::LengthOverflow);
            return Err(SendAllError { accepted: 0, error });
        }
        let mut accepted = 0;
        let mut rest = *self;
        socket
            .send_parts(OPERATION, flags, &mut accepted, |_| {
                let count = rest.send_first_part(OPERATION, socket, flags)?;
                rest = rest.after(count);
                Ok((count, rest.slices.iter().all(|slice| slice.is_empty())))
            })
            .map_err(|error| SendAllError { accepted, error })
    }

    /// Sends as much at once as can be.
    fn send_first_part(
        self,
        operation: Operation,
        socket: &Socket<'_>,
        flags: SendFlags,
    ) -> Result<usize, Error> {
        let most = platform::FIRST_PART_WITH_DESCRIPTORS.filter(|_| !self.descriptors.is_empty());
        match (socket.kind().is_stream(), most) {
            (true, Some(most)) => self.send_window(operation, socket, most, flags),
            (true, None) if self.start == 0 => {
                let slices = &self.slices[..self.slices.len().min(limits::SLICES_PER_MESSAGE)];
                Self { slices, ..self }.send(socket, flags)
            }
            _ => self.send(socket, flags),
        }
    }

    fn total_length(&self) -> Option<usize> {
        total_length(self.slices.iter().map(|slice| slice.len()))
    }

    #[inline]
    fn send_in(
        &self,
        operation: Operation,
        socket: &Socket<'_>,
        to: Option<&SocketName>,
        flags: SendFlags,
    ) -> Result<usize, Error> {
        if self.start != 0 {
            return self.send_window(operation, socket, limits::BYTES_PER_CALL, flags);
        }
        send_slices(operation, socket, to, self.slices, self.descriptors, flags)
    }

    /// Sends at most so many bytes of a stream, by a copy of some slices.
    #[cold]
    fn send_window(
        &self,
        operation: Operation,
        socket: &Socket<'_>,
        most: usize,
        flags: SendFlags,
    ) -> Result<usize, Error> {
        if self.slices.is_empty() && self.start != 0 {
            return Err(Error::refused(operation, Refusal::PastTheEnd));
        }
        if socket.kind().is_datagram() || socket.kind() == SocketKind::UnixSeqpacket {
            return Err(Error::refused(operation, Refusal::RecordInPart));
        }
        let mut window = [IoSlice::new(&[]); WINDOW];
        let slices = self.window(most, &mut window);
        send_slices(operation, socket, None, slices, self.descriptors, flags)
    }

    /// Copies slices of at most so many bytes together: not the data, and as many as there is room for.
    fn window<'w>(&self, mut most: usize, window: &'w mut [IoSlice<'a>; WINDOW]) -> &'w [IoSlice<'a>] {
        let mut used = 0;
        let mut start = self.start;
        for slice in self.slices {
            let rest = &slice[start..];
            start = 0;
            let part = &rest[..rest.len().min(most)];
            if part.is_empty() {
                continue;
            }
            if used == WINDOW {
                break;
            }
            window[used] = IoSlice::new(part);
            most -= part.len();
            used += 1;
        }
        &window[..used]
    }
}

impl fmt::Debug for Message<'_> {
    /// How much it is: the data can be long, and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.total_length().map(|length| length.saturating_sub(self.start));
        f.debug_struct("Message").field("bytes", &bytes).field("descriptors", &self.descriptors).finish()
    }
}

/// Checks all there is to check, and sends.
#[inline]
fn send_slices(
    operation: Operation,
    socket: &Socket<'_>,
    to: Option<&SocketName>,
    slices: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<usize, Error> {
    let flags = socket.raw_flags(operation, flags)?;
    if slices.len() > limits::SLICES_PER_MESSAGE {
        return Err(Error::refused(operation, Refusal::TooManySlices));
    }
    let Some(length) = total_length(slices.iter().map(|slice| slice.len())) else {
        return Err(Error::refused(operation, Refusal::LengthOverflow));
    };
    if !descriptors.is_empty() {
        if let Some(refusal) = refusal_of_descriptors(socket, length, descriptors.len()) {
            return Err(Error::refused(operation, refusal));
        }
    } else if length == 0 {
        socket.refuse_empty_record(operation)?;
    }
    platform::send_with(socket.fd(), slices, to, descriptors, flags)
        .map_err(|errno| socket.failed(operation, errno))
}

/// Why these descriptors cannot go with so many bytes on this socket.
#[inline]
fn refusal_of_descriptors(socket: &Socket<'_>, length: usize, count: usize) -> Option<Refusal> {
    use SocketKind::{Other, Tcp, UdpV4, UdpV6};

    // A stream can send a part, but no less than a byte.
    let indivisible = if socket.kind().is_stream() { 1 } else { length };
    let never_fits = |send_buffer| platform::never_fits(indivisible, count, send_buffer);
    match socket.kind() {
        Tcp | UdpV4 | UdpV6 | Other => Some(Refusal::DescriptorsNotCarried),
        _ if count > limits::DESCRIPTORS_PER_MESSAGE => Some(Refusal::TooManyDescriptors),
        _ if length == 0 => Some(Refusal::DescriptorsWithoutData),
        _ if socket.send_buffer().is_some_and(never_fits) => Some(Refusal::RecordNeverFits),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{IoSlice, Message, WINDOW};
    use rstest::rstest;

    #[rstest]
    #[case::all(0, usize::MAX, &["one", "two", "three"])]
    #[case::from_the_middle_of_a_slice(1, usize::MAX, &["ne", "two", "three"])]
    #[case::from_the_end_of_a_slice(3, usize::MAX, &["two", "three"])]
    #[case::from_a_later_slice(7, usize::MAX, &["hree"])]
    #[case::from_the_end(11, usize::MAX, &[])]
    #[case::r13_a_part_of_the_first(0, 2, &["on"])]
    #[case::r13_a_part_of_the_second(0, 4, &["one", "t"])]
    #[case::r13_a_part_of_the_middle(2, 3, &["e", "tw"])]
    #[case::nothing(0, 0, &[])]
    fn a_window_is_what_was_asked_for(#[case] start: usize, #[case] most: usize, #[case] expected: &[&str]) {
        let slices = ["one", "", "two", "three"].map(|text| IoSlice::new(text.as_bytes()));
        let message = Message::new(&slices).after(start);
        let mut window = [IoSlice::new(&[]); WINDOW];
        let found: Vec<&[u8]> = message.window(most, &mut window).iter().map(|slice| &**slice).collect();
        assert_eq!(found, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    }

    #[rstest]
    #[case::at_once(&[7])]
    #[case::in_steps(&[1, 0, 3, 3])]
    #[case::slice_by_slice(&[3, 3, 1])]
    fn after_can_be_said_again(#[case] steps: &[usize]) {
        let slices = ["one", "", "two", "three"].map(|text| IoSlice::new(text.as_bytes()));
        let rest = steps.iter().fold(Message::new(&slices), |message, &step| message.after(step));
        let mut window = [IoSlice::new(&[]); WINDOW];
        let found: Vec<&[u8]> = rest.window(usize::MAX, &mut window).iter().map(|slice| &**slice).collect();
        assert_eq!(found, [b"hree"]);
    }

    #[test]
    fn debug_says_how_much_and_not_what() {
        let slices = [IoSlice::new(b"secret")];
        let shown = format!("{:?}", Message::new(&slices).after(2));
        assert_eq!(shown, "Message { bytes: Some(4), descriptors: [] }");
    }

    #[test]
    fn a_window_ends_where_it_is_full() {
        let slices = [IoSlice::new(b"xy"); WINDOW + 1];
        let mut window = [IoSlice::new(&[]); WINDOW];
        let message = Message::new(&slices).after(1);
        assert_eq!(message.window(usize::MAX, &mut window).len(), WINDOW);
    }
}
