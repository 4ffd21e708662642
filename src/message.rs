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
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    slices: &'a [IoSlice<'a>],
    descriptors: &'a [BorrowedFd<'a>],
    start: usize,
}

/// How many slices are sent at once by a message that starts in the middle of its data.
const WINDOW: usize = 64;

impl<'a> Message<'a> {
    /// A message of these slices, one after the other.
    #[must_use]
    #[inline]
    pub const fn new(slices: &'a [IoSlice<'a>]) -> Self {
        Self { slices, descriptors: &[], start: 0 }
    }

    /// The same message with these descriptors, at most [`limits::DESCRIPTORS_PER_MESSAGE`], in this order.
    #[must_use]
    #[inline]
    pub const fn with_descriptors(self, descriptors: &'a [BorrowedFd<'a>]) -> Self {
        Self { descriptors, ..self }
    }

    /// The same message from this byte of its data on: what is left to send on a stream after a short count. The
    /// descriptors went with the first byte, so unless it is 0 there are none any more (clause R8). Datagrams
    /// and records are sent whole: there any other than 0 is refused as
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput).
    #[must_use]
    #[inline]
    pub const fn starting_at(self, byte: usize) -> Self {
        Self { start: byte, ..self }
    }

    /// Sends to the socket's peer; how many bytes were accepted, counted from where the message
    /// [starts](Self::starting_at).
    ///
    /// Once a byte was accepted the descriptors are on their way, all of them. On "would block" none is (clause
    /// R7), and the same message can be sent again.
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
    /// | `MessageTooLong` | a datagram or record that never fits, where the socket was [probed](Socket::probe) | R13b |
    ///
    /// From the kernel:
    ///
    /// | kind | when | clause |
    /// |---|---|---|
    /// | `DescriptorsInFlight` | too many are sent and not received: by this user (Linux), by all (OpenBSD) | R10 |
    /// | `PermissionDenied` | the receiver takes none (Linux `SO_PASSRIGHTS`), or pledge forbids this one (OpenBSD) | R9, R12 |
    /// | `InvalidInput` | a descriptor that cannot be passed: kqueue (OpenBSD), io_uring (Linux) | R9 |
    /// | `NoBufferSpace` | a stream whose send buffer was raised, on OpenBSD; [`send_all`](Self::send_all) avoids it | R13 |
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
    /// It waits as [`Socket::send_all`] does. After an error [`accepted`](SendAllError::accepted) says how much
    /// is on its way, counted from where the message starts; if that is not 0, so are the descriptors. To go on
    /// after "would block", send the message [starting at](Self::starting_at) what was accepted.
    ///
    /// # System calls
    ///
    /// One sendmsg(2) for each part that is accepted. On OpenBSD the first part of a stream with descriptors has
    /// at most 16 KiB, so that it always fits beside them (clause R13).
    ///
    /// # Errors
    ///
    /// Those of [`Message::send`] but `Interrupted`, with what was accepted before them. On a stream there can
    /// be any number of slices.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{ErrorKind, Message, SendFlags, Socket};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let long = vec![0; 10_000_000];
    /// let (data, descriptors) = ([IoSlice::new(&long)], [ours.as_fd()]);
    /// let message = Message::new(&data).with_descriptors(&descriptors);
    ///
    /// let stopped = message.send_all(&Socket::from(&ours), SendFlags::empty()).unwrap_err();
    /// assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
    /// let rest = message.starting_at(stopped.accepted()); // the descriptors are not in it any more
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all(&self, socket: &Socket<'_>, flags: SendFlags) -> Result<(), SendAllError> {
        const OPERATION: Operation = Operation::SendMessageAll;
        let end = total_length(self.slices.iter().map(|slice| slice.len())).unwrap_or(usize::MAX);
        let mut accepted = 0;
        socket
            .send_parts(OPERATION, flags, &mut accepted, |accepted| {
                let rest = self.starting_at(self.start.saturating_add(accepted));
                let count = match rest.first_part(socket.kind()) {
                    None => rest.send(socket, flags)?,
                    Some(bytes) => rest.send_window(OPERATION, socket, bytes, flags)?,
                };
                Ok((count, rest.start.saturating_add(count) >= end))
            })
            .map_err(|error| SendAllError { accepted, error })
    }

    /// How many bytes of a stream to send at once, if not all of them as they are.
    fn first_part(&self, kind: SocketKind) -> Option<usize> {
        if !kind.is_stream() {
            return None;
        }
        let too_many = self.slices.len() > limits::SLICES_PER_MESSAGE;
        let first = platform::FIRST_PART_WITH_DESCRIPTORS.filter(|_| !self.descriptors_left().is_empty());
        first.or(too_many.then_some(usize::MAX))
    }

    fn descriptors_left(&self) -> &'a [BorrowedFd<'a>] {
        if self.start == 0 { self.descriptors } else { &[] }
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
            return self.send_window(operation, socket, usize::MAX, flags);
        }
        send_slices(operation, socket, to, self.slices, self.descriptors, flags)
    }

    /// Sends at most so many bytes of a stream from where the message starts.
    #[cold]
    fn send_window(
        &self,
        operation: Operation,
        socket: &Socket<'_>,
        most: usize,
        flags: SendFlags,
    ) -> Result<usize, Error> {
        if !socket.kind().is_stream() {
            return Err(Error::refused(operation, Refusal::RecordInPart));
        }
        let mut window = [IoSlice::new(&[]); WINDOW];
        let slices = self.window(most, &mut window);
        send_slices(operation, socket, None, slices, self.descriptors_left(), flags)
    }

    /// Copies slices of at most so many bytes together from where the message starts: not the data, and as many
    /// as there is room for.
    fn window<'w>(&self, mut most: usize, window: &'w mut [IoSlice<'a>; WINDOW]) -> &'w [IoSlice<'a>] {
        let mut used = 0;
        let mut skip = self.start;
        for slice in self.slices {
            let rest = slice.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(slice.len());
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

    let is_record = !socket.kind().is_stream();
    let never_fits = |send_buffer| is_record && platform::never_fits(length, count, send_buffer);
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
    #[case::from_past_the_end(99, usize::MAX, &[])]
    #[case::r13_a_part_of_the_first(0, 2, &["on"])]
    #[case::r13_a_part_of_the_second(0, 4, &["one", "t"])]
    #[case::r13_a_part_of_the_middle(2, 3, &["e", "tw"])]
    #[case::nothing(0, 0, &[])]
    fn a_window_is_what_was_asked_for(#[case] start: usize, #[case] most: usize, #[case] expected: &[&str]) {
        let slices = ["one", "", "two", "three"].map(|text| IoSlice::new(text.as_bytes()));
        let message = Message::new(&slices).starting_at(start);
        let mut window = [IoSlice::new(&[]); WINDOW];
        let found: Vec<&[u8]> = message.window(most, &mut window).iter().map(|slice| &**slice).collect();
        assert_eq!(found, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn a_window_ends_where_it_is_full() {
        let slices = [IoSlice::new(b"xy"); WINDOW + 1];
        let mut window = [IoSlice::new(&[]); WINDOW];
        let message = Message::new(&slices).starting_at(1);
        assert_eq!(message.window(usize::MAX, &mut window).len(), WINDOW);
    }
}
