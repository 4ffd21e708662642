use std::io::IoSlice;
use std::time::Duration;

use crate::error::{Error, SendAllError};
use crate::platform;
use crate::platform::contract::{ErrorKind, Operation, Refusal, SendFlags, limits};
use crate::send::total_length;
use crate::socket::Socket;

impl Socket<'_> {
    /// Sends all the bytes to the socket's peer.
    ///
    /// It calls again after a short count (on streams) and after an interruption. A datagram or record is one
    /// message: it is accepted whole or not at all.
    ///
    /// **It waits as the socket does.** On a blocking socket it returns when everything was accepted. On a
    /// non-blocking one, with [`SendFlags::DONT_WAIT`], or after `SO_SNDTIMEO`, it stops at "would block" and
    /// says how much was accepted: wait until the socket is writable, and go on with the rest. Nothing is lost
    /// and nothing is sent twice. On a blocking unix datagram socket whose receiver is full OpenBSD does not
    /// wait but fails (clause B3); there this retries for about a second, whatever
    /// `SO_SNDTIMEO` says, and then says `WouldBlock`.
    ///
    /// # System calls
    ///
    /// One send(2) for each part that is accepted; see [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send) but `Interrupted`, with what was accepted before them. `OUT_OF_BAND` is
    /// [`Unsupported`](ErrorKind::Unsupported): it marks the last byte of one call, and this makes several.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{ErrorKind, SendFlags, Socket};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let socket = Socket::from(&ours);
    ///
    /// let data = vec![7; 10_000_000];
    /// let stopped = socket.send_all(&data, SendFlags::empty()).unwrap_err();
    /// assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
    /// let rest = &data[stopped.accepted()..]; // to be sent once poll says writable
    /// assert!(rest.len() < data.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all(&self, bytes: &[u8], flags: SendFlags) -> Result<(), SendAllError> {
        let mut accepted = 0;
        self.send_parts(Operation::SendAll, flags, &mut accepted, |accepted| {
            let rest = &bytes[accepted..];
            self.send(rest, flags).map(|count| (count, count == rest.len()))
        })
        .map_err(|error| SendAllError { accepted, error })
    }

    /// Sends all the slices to the socket's peer.
    ///
    /// As [`send_all`](Self::send_all), for slices. On a stream there can be any number of them: they go in
    /// messages of at most [`limits::SLICES_PER_MESSAGE`]. A datagram or record is one message, which cannot
    /// be divided, so more are refused.
    ///
    /// The slices are advanced by what was accepted, as [`IoSlice::advance_slices`] does, so that after "would
    /// block" the same call goes on where it stopped.
    ///
    /// # Errors
    ///
    /// Those of [`send_vectored`](Self::send_vectored) but `Interrupted`, with what was accepted before them.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{SendFlags, Socket};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let mut slices = [IoSlice::new(b"header "), IoSlice::new(b"body")];
    /// let mut rest = &mut slices[..];
    /// Socket::from(&ours).send_all_vectored(&mut rest, SendFlags::empty())?;
    /// assert!(rest.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_all_vectored(
        &self,
        slices: &mut &mut [IoSlice<'_>],
        flags: SendFlags,
    ) -> Result<(), SendAllError> {
        if total_length(slices.iter().map(|slice| slice.len())).is_none() {
            let error = Error::refused(Operation::SendAllVectored, Refusal::LengthOverflow);
            return Err(SendAllError { accepted: 0, error });
        }
        let mut accepted = 0;
        self.send_parts(Operation::SendAllVectored, flags, &mut accepted, |_| {
            let in_one = if self.kind().is_stream() { limits::SLICES_PER_MESSAGE } else { usize::MAX };
            let part = &slices[..slices.len().min(in_one)];
            let count = self.send_vectored(part, flags)?;
            IoSlice::advance_slices(slices, count);
            Ok((count, slices.is_empty()))
        })
        .map_err(|error| SendAllError { accepted, error })
    }

    /// Sends part after part until one was the last, and counts what was accepted.
    pub(crate) fn send_parts(
        &self,
        operation: Operation,
        flags: SendFlags,
        accepted: &mut usize,
        mut send_part: impl FnMut(usize) -> Result<(usize, bool), Error>,
    ) -> Result<(), Error> {
        if flags.contains(SendFlags::OUT_OF_BAND) {
            return Err(Error::refused(operation, Refusal::UrgentInLoop));
        }
        let mut pauses = PAUSES.iter();
        loop {
            match send_part(*accepted) {
                Ok((count, last)) => {
                    *accepted += count;
                    if last {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => match pauses.next().filter(|_| self.pretends_to_block(error, flags)) {
                    Some(&milliseconds) => std::thread::sleep(Duration::from_millis(milliseconds)),
                    None => return Err(error.during(operation)),
                },
            }
        }
    }

    /// Whether this "would block" comes from a socket that ought to have waited (clauses B3, R13).
    fn pretends_to_block(&self, error: Error, flags: SendFlags) -> bool {
        error.kind() == ErrorKind::WouldBlock
            && error.raw_os_error().is_some_and(platform::is_full_receiver)
            && !flags.contains(SendFlags::DONT_WAIT)
            && platform::is_blocking(self.fd())
    }
}

/// How long to wait for a receiver that the kernel does not wait for, in milliseconds: about a second in all.
/// A receiver that will never have room looks the same (clauses B2, S15), so it has to end.
const PAUSES: [u64; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 128, 128, 128, 128, 256];
