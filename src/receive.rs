use std::fmt;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

use crate::error::Error;
use crate::platform::contract::{ErrorKind, Operation, Refusal, SocketKind, limits};
use crate::platform::{self, Arrival, ControlBytes, Descriptors, Kernel, Native};
use crate::socket::SocketRef;

bitflags::bitflags! {
    /// How to receive. There is no flag to peek: with descriptors it would install a copy of them each time on
    /// Linux, and hide them on OpenBSD (clause R26). There is none to wait for all: OpenBSD would wait even if it
    /// was told not to.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct ReceiveFlags: u32 {
        /// Do not wait for data, whatever the descriptor's `O_NONBLOCK` says (`MSG_DONTWAIT`).
        const DONT_WAIT = 1;
    }
}

/// Room for all that a peer can send beside data: 6 KiB, which the caller owns and uses again and again.
///
/// It takes 253 descriptors, the most that Linux lets a peer send, and what else Linux can add: credentials,
/// a process's descriptor, timestamps and a security label.
pub struct ControlBuffer(ControlBytes);

impl ControlBuffer {
    /// An empty one. It is cleared here, once, and never again.
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

/// What was received.
///
/// Descriptors come with the call that returns the first byte of their message, and at most one message's in a
/// call (clause R28). They are owned, close-on-exec from the start (R27), and in the order in which they were
/// sent. Those that nobody takes are closed when this is dropped.
///
/// # Dropping it can take time
///
/// A peer can pass a TCP socket that has unsent data and `SO_LINGER`, and close its own. Whoever closes the last
/// descriptor of such a socket waits for as long as the peer has set, whether or not the socket is blocking: so
/// does the drop of this value, and so does a call that has the kernel close descriptors
/// ([`SocketRef::receive_without_descriptors`], and [`SocketRef::receive`] where some are lost). A program that must not
/// wait takes the descriptors out and drops them on another thread, or sets `SO_LINGER` on them to zero first.
#[derive(Debug)]
pub struct Received<'buffer> {
    arrival: Arrival<'buffer>,
    end_of_file: bool,
}

impl<'buffer> Received<'buffer> {
    /// How many bytes were received.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        self.arrival.bytes
    }

    /// Whether the datagram or record was longer than the buffer, and the rest of it was dropped.
    #[must_use]
    #[inline]
    pub fn is_truncated(&self) -> bool {
        self.arrival.is_truncated()
    }

    /// Whether the kernel said that a record ends here: OpenBSD does for one that was sent with
    /// `END_OF_RECORD`, Linux never does (clause F3).
    #[must_use]
    #[inline]
    pub fn ends_record(&self) -> bool {
        self.arrival.ends_record()
    }

    /// Whether something that came beside the data was dropped. Received with a [`ControlBuffer`] it is descriptors
    /// that this process has no room for in its table; then there are none, those that could have been received
    /// were closed (clauses R20, R22). Without one it can also be what a Linux socket was asked to add
    /// (`SO_PASSCRED`, `SO_TIMESTAMP`; clause R23b). The data is here.
    #[must_use]
    #[inline]
    pub fn descriptors_lost(&self) -> bool {
        self.arrival.is_control_truncated()
    }

    /// Whether this is the end of a stream or connection: no bytes although there was room for some, and no
    /// descriptors. No bytes **with** descriptors are not the end of file (clause R3).
    ///
    /// Never said of datagrams, nor of a socket that was declared as [`other`](SocketRef::other): there no bytes are
    /// what the kernel makes of them. An empty record that
    /// a foreign program sends on a Linux seqpacket socket looks like the end (clause B7). So does, on OpenBSD, a
    /// descriptor without a byte to
    /// [`receive_without_descriptors`](SocketRef::receive_without_descriptors) (clause R3c): do not trust it there
    /// with a peer that you do not trust.
    #[must_use]
    #[inline]
    pub fn is_end_of_file(&self) -> bool {
        self.end_of_file
    }

    /// The descriptor that came, if it is one. Of several none is taken: they are in
    /// [`descriptors`](Self::descriptors).
    #[must_use]
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        let descriptors = self.descriptors();
        (descriptors.len() == 1).then(|| descriptors.next()).flatten()
    }

    /// The descriptors that came, to be taken one after the other; `len` says how many are left.
    #[inline]
    pub fn descriptors(&mut self) -> &mut Descriptors<'buffer> {
        &mut self.arrival.descriptors
    }

    /// The descriptors that came, without the rest.
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
    /// One, recvmsg(2), with `MSG_CMSG_CLOEXEC`. On OpenBSD pledge(2) needs "stdio" and, **when a peer has sent
    /// descriptors, "recvfd": without it the peer can have this process killed.** A program that takes none calls
    /// [`receive_without_descriptors`](Self::receive_without_descriptors). On OpenBSD a second call fetches the
    /// data of a stream when its descriptors were lost.
    ///
    /// # Errors
    ///
    /// Before the call: [`TooManySlices`](ErrorKind::TooManySlices) for more than
    /// [`limits::SLICES_PER_MESSAGE`]. From the kernel: `WouldBlock`, `Interrupted`, `NotConnected` (clause B9),
    /// `Reset`, `Refused`, `TimedOut`, and
    ///
    /// | kind | when | clause |
    /// |---|---|---|
    /// | `DescriptorsLost` | a record whose descriptors could not be received, and which OpenBSD dropped with them; elsewhere the data is received and [`Received::descriptors_lost`] says so | R20, R22 |
    ///
    /// Sources: POSIX.1-2024 recvmsg(), recvmsg(2) and unix(7) of Linux, recvmsg(2) of OpenBSD, and runs on both
    /// kernels.
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
    /// let mut control = ControlBuffer::new(); // once, for all calls
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
    ///         // ours: an OwnedFd
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
        check(slices, flags)?;
        let do_not_wait = flags.contains(ReceiveFlags::DONT_WAIT);
        match platform::receive_message(self.fd(), slices, Some(&mut control.0), do_not_wait) {
            Ok(arrival) => Ok(self.received(arrival, slices)),
            Err(errno) => self.receive_after_loss(errno, slices),
        }
    }

    /// Receives data into slices. Descriptors that come with it are closed by the kernel: Linux says so
    /// ([`Received::descriptors_lost`]), OpenBSD does not (clause R23: "differs"), and what was sent without a byte
    /// then looks like the [end of file](Received::is_end_of_file) (clause R3c).
    ///
    /// # System calls
    ///
    /// One, recvmsg(2), without room for control messages. On OpenBSD pledge(2) needs "stdio", whatever the peer
    /// sends.
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
        check(slices, flags)?;
        let do_not_wait = flags.contains(ReceiveFlags::DONT_WAIT);
        platform::receive_message(self.fd(), slices, None, do_not_wait)
            .map(|arrival| self.received(arrival, slices))
            .map_err(|errno| self.failed(Operation::Receive, errno))
    }

    #[inline]
    fn received<'buffer>(
        &self,
        mut arrival: Arrival<'buffer>,
        slices: &[IoSliceMut<'_>],
    ) -> Received<'buffer> {
        if arrival.is_control_truncated() {
            // Some of the descriptors may have been received: which of them, nobody can tell.
            arrival.close_descriptors();
        }
        let end_of_file = arrival.bytes == 0 && self.ends_with(&arrival, slices);
        Received { arrival, end_of_file }
    }

    /// Whether it is the end that gave no bytes.
    #[cold]
    fn ends_with(self, arrival: &Arrival<'_>, slices: &[IoSliceMut<'_>]) -> bool {
        let had_room = slices.iter().any(|slice| !slice.is_empty());
        let had_descriptors = || arrival.is_control_truncated() || arrival.descriptors.were_announced();
        had_room
            && match self.kind() {
                // Linux says at the end, too, that it had no room for the credentials that were asked for.
                kind if kind.is_stream() => !Native::STREAMS_DELIVER_NO_BYTES || !had_descriptors(),
                SocketKind::UnixSeqpacket => !had_descriptors(),
                _ => false,
            }
    }

    /// Where the descriptors were lost and the kernel kept the data (OpenBSD's streams), receives the data.
    #[cold]
    fn receive_after_loss<'buffer>(
        self,
        errno: platform::RawErrno,
        slices: &mut [IoSliceMut<'_>],
    ) -> Result<Received<'buffer>, Error> {
        let error = self.failed(Operation::Receive, errno);
        if error.kind() != ErrorKind::DescriptorsLost || !self.kind().is_stream() {
            return Err(error);
        }
        // A message without a byte, which only a foreign sender makes, has left nothing to wait for (R3).
        let bytes = match self.receive_without_descriptors(slices, ReceiveFlags::DONT_WAIT) {
            Ok(received) => received.bytes(),
            Err(error) if error.would_block() => 0,
            Err(error) => return Err(error),
        };
        Ok(Received { arrival: Arrival::without_its_descriptors(bytes), end_of_file: false })
    }
}

#[inline]
fn check(slices: &[IoSliceMut<'_>], flags: ReceiveFlags) -> Result<(), Error> {
    if !ReceiveFlags::all().contains(flags) {
        return Err(Error::refused(Operation::Receive, Refusal::UnsupportedFlag));
    }
    if slices.len() > limits::SLICES_PER_MESSAGE {
        return Err(Error::refused(Operation::Receive, Refusal::TooManySlices));
    }
    Ok(())
}
