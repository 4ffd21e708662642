use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::error::{Error, SendAllError};
use crate::platform::contract::{ErrorKind, Operation, Refusal, SendFlags, limits};
use crate::platform::{self, Accepted, Calls, Kernel, Native, RawErrno};
use crate::send::checked_length;
use crate::socket::SocketRef;

impl<Sort> SocketRef<'_, Sort> {
    /// Sends all the bytes to the socket's peer.
    ///
    /// On a stream it calls send(2) again after a short count and after an interruption, until every byte is
    /// accepted. A datagram or record is one message, and is accepted whole or not at all.
    ///
    /// **It waits if the socket does.** On a blocking socket it returns when every byte was accepted. On a
    /// non-blocking socket, with [`SendFlags::DONT_WAIT`], or after `SO_SNDTIMEO`, it fails with
    /// [`WouldBlock`](ErrorKind::WouldBlock), and [`accepted`](SendAllError::accepted) says how many bytes
    /// were accepted. Wait until the socket is writable, then send the rest. Nothing is lost, and nothing is
    /// sent twice.
    ///
    /// `SO_SNDTIMEO` limits each part, and begins again when a part was accepted. A reader that is slow but
    /// goes on reading can therefore keep the call going for longer than the limit. If signals interrupt a
    /// part, the limit on Linux runs from the first signal on; on OpenBSD each signal begins it again (clause
    /// I4b: "differs").
    ///
    /// On OpenBSD a blocking unix datagram socket does not wait if its receiver is full, but fails (clause
    /// B3). This call then tries again for about a second, whatever `SO_SNDTIMEO` is, before it fails with
    /// `WouldBlock` (clause B3b).
    ///
    /// # System calls
    ///
    /// One send(2) for each part that is accepted, and after a failure those of [`send`](Self::send). On
    /// Linux, after an interruption, getsockopt(2) and, if there is a time limit, fcntl(2) and poll(2). On
    /// OpenBSD, if the receiver of a unix socket is full, fcntl(2), and nanosleep(2) before the next try.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send) but `Interrupted`, with the number of bytes that were accepted before.
    /// Also [`Unsupported`](ErrorKind::Unsupported) for `OUT_OF_BAND`: the flag marks the last byte of one
    /// call, and this makes several (clause F2b). [`Other`](ErrorKind::Other), without an errno, if the
    /// kernel accepts no byte, or a part of a datagram or record, and gives no error (clause L4c). No socket
    /// that the suite knows does so.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{ErrorKind, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let socket = SocketRef::from(&ours);
    ///
    /// let data = vec![7; 10_000_000];
    /// let stopped = socket.send_all(&data, SendFlags::empty()).unwrap_err();
    /// assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
    /// let rest = &data[stopped.accepted()..]; // send this when the socket is writable
    /// assert!(rest.len() < data.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all(&self, bytes: &[u8], flags: SendFlags) -> Result<(), SendAllError> {
        const OPERATION: Operation = Operation::SendAll;
        self.check_loop(OPERATION, flags)?;
        self.send_parts(OPERATION, flags, bytes.len(), |accepted| {
            self.send(&bytes[accepted..], flags).map(|count| self.accepted(count))
        })
    }

    /// Sends all the slices to the socket's peer.
    ///
    /// It differs from [`send_all`](Self::send_all) in that it takes slices, and calls sendmsg(2). On a
    /// stream there can be any number of slices: each message has at most [`limits::SLICES_PER_MESSAGE`] of
    /// them. A datagram or record is one message, which cannot be divided, so that more slices are refused.
    ///
    /// The slices are advanced by the number of bytes accepted, like [`IoSlice::advance_slices`] does. After
    /// "would block", the same call therefore continues where it stopped.
    ///
    /// # Errors
    ///
    /// Those of [`send_vectored`](Self::send_vectored) but `Interrupted`, with the number of bytes that were
    /// accepted before, and those that [`send_all`](Self::send_all) adds.
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
    /// let mut slices = [IoSlice::new(b"header "), IoSlice::new(b"body")];
    /// let mut rest = &mut slices[..];
    /// SocketRef::from(&ours).send_all_vectored(&mut rest, SendFlags::empty())?;
    /// assert!(rest.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all_vectored(
        &self,
        slices: &mut &mut [IoSlice<'_>],
        flags: SendFlags,
    ) -> Result<(), SendAllError> {
        const OPERATION: Operation = Operation::SendAllVectored;
        self.check_loop(OPERATION, flags)?;
        let total = self.check_slices(OPERATION, slices)?;
        self.skip_empty(slices, total);
        self.send_parts(OPERATION, flags, total, |_| {
            let part = &slices[..slices.len().min(limits::SLICES_PER_MESSAGE)];
            let count = self.send_vectored(part, flags)?;
            IoSlice::advance_slices(slices, count);
            Ok(self.accepted(count))
        })
    }

    /// Checks the flags of a loop before its first call.
    pub(crate) fn check_loop(&self, operation: Operation, flags: SendFlags) -> Result<(), SendAllError> {
        if flags.contains(SendFlags::OUT_OF_BAND) {
            return Err(SendAllError::at_once(Error::refused(operation, Refusal::UrgentInLoop)));
        }
        self.raw_flags(operation, flags).map(drop).map_err(SendAllError::at_once)
    }

    /// Checks the slices of a loop before its first call, and returns how many bytes they have together. On a
    /// socket that is not a stream they must fit into one message.
    pub(crate) fn check_slices(
        &self,
        operation: Operation,
        slices: &[IoSlice<'_>],
    ) -> Result<usize, SendAllError> {
        if !self.kind().is_stream() && slices.len() > limits::SLICES_PER_MESSAGE {
            return Err(SendAllError::at_once(Error::refused(operation, Refusal::TooManySlices)));
        }
        checked_length(operation, slices).map_err(SendAllError::at_once)
    }

    /// Removes the empty slices at the front, on a stream: a message of these alone would make no progress.
    /// If all slices are empty, they are the message.
    pub(crate) fn skip_empty(&self, slices: &mut &mut [IoSlice<'_>], total: usize) {
        if self.kind().is_stream() && total > 0 {
            IoSlice::advance_slices(slices, 0);
        }
    }

    /// Returns that so many bytes of one message were accepted, which only a stream divides.
    pub(crate) fn accepted(&self, count: usize) -> Accepted {
        Accepted { count, is_cut: !self.kind().is_stream() }
    }

    /// Sends part after part until all bytes, or all datagrams of a batch, are accepted. Each part has at least one
    /// of them if there is one left, so that a part that is accepted without progress ends the loop.
    pub(crate) fn send_parts(
        &self,
        operation: Operation,
        flags: SendFlags,
        total: usize,
        mut send_part: impl FnMut(usize) -> Result<Accepted, Error>,
    ) -> Result<(), SendAllError> {
        let mut accepted = 0;
        let mut time = TimeLimit::default();
        let mut pauses = PAUSES.iter();
        loop {
            let error = match send_part(accepted) {
                Ok(part) => {
                    accepted += part.count;
                    if accepted == total {
                        return Ok(());
                    }
                    if part.count > 0 && !part.is_cut {
                        time = TimeLimit::default();
                        pauses = PAUSES.iter();
                        continue;
                    }
                    Error::refused(operation, Refusal::Stalled)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    if flags.contains(SendFlags::DONT_WAIT) || time.is_left_for(self.fd()) {
                        continue;
                    }
                    Error::time_limit(operation)
                }
                Err(error) => match pauses.next().filter(|_| self.pretends_to_block(error, flags)) {
                    Some(&milliseconds) => {
                        std::thread::sleep(Duration::from_millis(milliseconds));
                        continue;
                    }
                    None => error.during(operation),
                },
            };
            return Err(SendAllError { accepted, error });
        }
    }

    /// Returns whether this "would block" comes from a socket that is blocking (clauses B3, R13).
    fn pretends_to_block(&self, error: Error, flags: SendFlags) -> bool {
        error.kind() == ErrorKind::WouldBlock
            && error.kernel_errno().map(RawErrno::from_number).is_some_and(Native::is_full_receiver)
            && !flags.contains(SendFlags::DONT_WAIT)
            && platform::is_blocking(self.fd())
    }
}

/// The `SO_SNDTIMEO` of a call that is made again after signals. The limit runs from the first signal on,
/// and further signals do not extend it (clause I4b). The option is read only then.
#[derive(Default)]
pub(crate) struct TimeLimit(Option<Instant>);

impl TimeLimit {
    /// Returns whether there is time for one more call. It waits until there is room, through further
    /// signals, so that the call does not wait and does not begin a time limit of its own.
    #[cold]
    pub(crate) fn is_left_for(&mut self, output: BorrowedFd<'_>) -> bool {
        if self.0.is_none() {
            let limit = Native::send_timeout(output).filter(|_| platform::is_blocking(output));
            self.0 = limit.and_then(|limit| Instant::now().checked_add(limit));
        }
        let Some(end) = self.0 else { return true };
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || platform::wait_for_room(output, left) {
                return !left.is_zero();
            }
        }
    }
}

/// The pauses between tries, in milliseconds, for a receiver that the kernel does not wait for: about a
/// second together. A receiver that will never have room looks the same (clauses B2, S15), so the tries must
/// end.
const PAUSES: [u64; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 128, 128, 128, 128, 256];

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rstest::rstest;

    use super::*;
    use crate::platform::contract::SocketKind;

    /// Simulates a kernel that accepts these counts, one for each call. A call too many fails the test.
    fn sent(socket: &SocketRef<'_>, total: usize, counts: &[usize]) -> Result<(), SendAllError> {
        let mut counts = counts.iter();
        socket.send_parts(Operation::SendAll, SendFlags::empty(), total, |_| {
            Ok(socket.accepted(*counts.next().expect("a call for each count and no more")))
        })
    }

    #[rstest]
    #[case::all_at_once(10, &[10], Ok(()))]
    #[case::part_by_part(10, &[3, 6, 1], Ok(()))]
    #[case::nothing_to_send(0, &[0], Ok(()))]
    #[case::nothing_accepted(10, &[0], Err(0))]
    #[case::nothing_more_accepted(10, &[3, 0], Err(3))]
    fn l4c_a_loop_that_makes_no_progress_ends(
        #[case] total: usize,
        #[case] counts: &[usize],
        #[case] expected: Result<(), usize>,
    ) {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let outcome = sent(&SocketRef::from(&ours), total, counts);
        assert_eq!(outcome.map_err(|stopped| stopped.accepted()), expected);
        if let Err(stopped) = outcome {
            assert_eq!((stopped.kind(), stopped.error().kernel_errno()), (ErrorKind::Other, None));
        }
    }

    /// Returns a stream without room.
    fn full() -> (UnixStream, UnixStream) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        while std::io::Write::write(&mut ours, &[7; 1000]).is_ok() {}
        ours.set_nonblocking(false).unwrap();
        (ours, theirs)
    }

    /// Long enough that a test that waits for it is noticed.
    const LONG: Duration = Duration::from_secs(30);

    fn is_left_at_once(output: &UnixStream) -> bool {
        let (started, mut time) = (Instant::now(), TimeLimit::default());
        let is_left = (0..3).all(|_| time.is_left_for(output.as_fd()));
        assert!(started.elapsed() < LONG, "it waited");
        is_left
    }

    /// Where `SO_SNDTIMEO` cannot be read (OpenBSD), there is always time left.
    #[test]
    fn i4b_the_limit_runs_from_the_first_interruption_on() {
        let limit = Duration::from_millis(100);
        let (ours, _theirs) = full();
        ours.set_write_timeout(Some(limit)).unwrap();
        let is_asked_for = Native::send_timeout(ours.as_fd()).is_some();
        let (started, mut time) = (Instant::now(), TimeLimit::default());
        assert_eq!(time.is_left_for(ours.as_fd()), !is_asked_for);
        assert_eq!(time.is_left_for(ours.as_fd()), !is_asked_for, "it has passed");
        assert!(!is_asked_for || started.elapsed() >= limit, "{:?}", started.elapsed());
    }

    #[test]
    fn i4b_who_is_not_to_wait_does_not() {
        let (ours, _theirs) = full();
        ours.set_write_timeout(Some(LONG)).unwrap();
        ours.set_nonblocking(true).unwrap();
        assert!(is_left_at_once(&ours));
    }

    #[test]
    fn i4b_without_a_limit_the_call_waits_itself() {
        assert!(is_left_at_once(&full().0));
    }

    #[test]
    fn i4b_there_is_room_for_one_more_call() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        ours.set_write_timeout(Some(LONG)).unwrap();
        assert!(is_left_at_once(&ours));
    }

    #[rstest]
    fn l4c_what_is_no_stream_is_not_sent_in_parts(
        #[values(SocketKind::UdpV4, SocketKind::UnixDatagram, SocketKind::UnixSeqpacket, SocketKind::Other)]
        kind: SocketKind,
    ) {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let stopped = sent(&SocketRef::new(&ours, kind), 10, &[3]).unwrap_err();
        assert_eq!((stopped.accepted(), stopped.kind()), (3, ErrorKind::Other));
    }
}
