use std::fmt;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};

use crate::error::{Error, SendAllError};
use crate::message::refusal_of_descriptors;
use crate::output::Output;
use crate::platform::contract::{ErrorKind, Operation, Refusal};
use crate::platform::{FileSender, Method, Progress, Whole, length};
use crate::send::checked_length;
use crate::send_all::TimeLimit;
use crate::socket::BorrowFd;

/// A range of a file, with data before it and after it.
///
/// It is sent in this order: the header, the file, the trailer. Each part may be empty. On TCP the header and the first
/// bytes of the file leave in one segment, and so do the last bytes of the file and the trailer (clause T2).
///
/// It counts what was accepted. After "would block", the same value continues where it stopped, in whichever part that
/// is. A program that cannot keep the value keeps a copy of [`sent`](Self::sent) instead, and makes the transfer again with
/// [`resume`](Self::resume).
///
/// # The file
///
/// The range begins [`at`](Self::at) an offset, or at the file's own position, which then moves (clauses X1, X2). It has
/// [`count`](Self::count) bytes, or goes to the end of the file. If the file ends before the count, the trailer is not sent,
/// and the [outcome](Self::outcome) says how many bytes are missing (clause T5). The clauses of
/// [`sendfile`](crate::sendfile()) hold for the file. Two things are different after a header:
///
/// - The input must be a regular file or a block device. Anything else is refused before the header is sent (clause T6).
/// - On Linux a small file, which has at most 8 KiB together with the header, is copied, because that is faster than
///   sendfile(2). It is sent as it was when it was read (clause X14).
///
/// [`by_copying`](Self::by_copying) sends the whole file as it was when it was read.
///
/// # Examples
///
/// A reply of a web server:
///
/// ```
/// use std::fs::File;
/// use std::io::{IoSlice, Read};
/// use std::net::{TcpListener, TcpStream};
/// use unisend::{Outcome, Transfer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("page.html");
/// # std::fs::write(&path, "<p>Hello</p>")?;
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let mut client = TcpStream::connect(listener.local_addr()?)?;
/// # let (stream, _) = listener.accept()?;
/// let page = File::open(&path)?;
/// let length = page.metadata()?.len();
/// let header = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
/// let header = [IoSlice::new(header.as_bytes())];
///
/// match Transfer::new(&page).at(0).count(length).with_header(&header).send_all(&stream)? {
///     Outcome::Whole => {} // the connection can be used again
///     Outcome::FileEnded { missing } => eprintln!("the file was truncated: {missing} bytes are missing"),
///     _ => {}
/// }
/// # drop(stream);
/// # let mut received = String::new();
/// # client.read_to_string(&mut received)?;
/// # assert_eq!(received, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n<p>Hello</p>");
/// # Ok(())
/// # }
/// ```
///
/// On a non-blocking output:
///
/// ```
/// use std::fs::File;
/// use std::os::unix::net::UnixStream;
/// use unisend::{ErrorKind, Outcome, Transfer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("image");
/// File::create(&path)?.set_len(10_000_000)?;
/// let file = File::open(&path)?;
/// let (ours, mut theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
///
/// let mut transfer = Transfer::new(&file).at(0);
/// let outcome = loop {
///     match transfer.send_all(&ours) {
///         Ok(outcome) => break outcome,
///         Err(stopped) if stopped.would_block() => {
///             // Wait here until the output is writable.
///             # std::io::Read::read(&mut theirs, &mut vec![0; 1 << 20])?;
///         }
///         Err(stopped) => return Err(stopped.into()),
///     }
/// };
/// assert_eq!((outcome, transfer.sent().file), (Outcome::Whole, 10_000_000));
/// # Ok(())
/// # }
/// ```
#[must_use = "a transfer does nothing until it is sent"]
pub struct Transfer<'a, Descriptor = BorrowedFd<'a>> {
    input: BorrowedFd<'a>,
    whole: Whole<'a, Descriptor>,
    buffer: Option<&'a mut [u8]>,
    progress: Progress,
}

/// How many bytes of each part of a [`Transfer`] were accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Sent {
    /// The bytes of the header.
    pub header: usize,
    /// The bytes of the file.
    pub file: u64,
    /// The bytes of the trailer.
    pub trailer: usize,
}

impl Sent {
    /// Returns how many bytes were accepted in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.file.saturating_add(self.header as u64).saturating_add(self.trailer as u64)
    }
}

/// How a [`Transfer`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use = "the file may have been shorter than what was promised to the peer"]
pub enum Outcome {
    /// Everything was accepted.
    Whole,
    /// The file ended before the count, and the trailer was not sent (clause T5).
    FileEnded {
        /// How many bytes the file had too few.
        missing: u64,
    },
}

impl<'a> Transfer<'a> {
    /// Creates a transfer of a file, from its own position to its end.
    pub fn new(input: impl BorrowFd<'a>) -> Self {
        let whole = Whole { header: &[], descriptors: &[], offset: None, count: None, trailer: &[] };
        Self { input: input.borrow_fd(), whole, buffer: None, progress: Progress::default() }
    }

    /// Returns the transfer with this descriptor, which goes with the first byte of the header.
    ///
    /// See [`with_descriptors`](Self::with_descriptors).
    pub fn with_descriptor<Descriptor: AsFd>(self, descriptor: &'a Descriptor) -> Transfer<'a, Descriptor> {
        self.with_descriptors(std::slice::from_ref(descriptor))
    }

    /// Returns the transfer with these descriptors, which go with the first byte of the header (clause T7).
    ///
    /// The output must be a unix stream socket, and the header must have a byte. The rules are those of
    /// [`Message`](crate::Message).
    pub fn with_descriptors<Descriptor: AsFd>(
        self,
        descriptors: &'a [Descriptor],
    ) -> Transfer<'a, Descriptor> {
        let Self { input, whole, buffer, progress } = self;
        let Whole { header, offset, count, trailer, .. } = whole;
        Transfer { input, whole: Whole { header, descriptors, offset, count, trailer }, buffer, progress }
    }
}

impl<'a, Descriptor: AsFd> Transfer<'a, Descriptor> {
    /// Begins at this number of bytes from the start of the file. The file's own position is not used, and does not
    /// move.
    pub fn at(mut self, offset: u64) -> Self {
        self.whole.offset = Some(offset);
        self
    }

    /// Sends this many bytes of the file. Without it, the file is sent to its end.
    pub fn count(mut self, bytes: u64) -> Self {
        self.whole.count = Some(bytes);
        self
    }

    /// Sends these slices before the file. There can be any number of them.
    pub fn with_header(mut self, slices: &'a [IoSlice<'a>]) -> Self {
        self.whole.header = slices;
        self
    }

    /// Sends these slices after the file. There can be any number of them.
    pub fn with_trailer(mut self, slices: &'a [IoSlice<'a>]) -> Self {
        self.whole.trailer = slices;
        self
    }

    /// Reads the file into this buffer, and sends it from there, on both systems.
    ///
    /// The data is sent as it was when it was read (clause X14). At most the length of the buffer is sent at once, with the
    /// header and the trailer. 64 KiB are enough on both systems. 256 KiB are faster on Linux; on OpenBSD more than the
    /// socket's send buffer is not faster on unix sockets. An empty buffer is refused when the transfer is sent.
    pub fn by_copying(mut self, buffer: &'a mut [u8]) -> Self {
        self.buffer = Some(buffer);
        self
    }

    /// Continues a transfer that was made before in the same way, and of which this was sent.
    ///
    /// The offset, the count, the header, the trailer and the descriptors must be those that the transfer began with. A
    /// file that is sent from its own position must still have it.
    ///
    /// # Examples
    ///
    /// An event loop keeps the file, the header and a number, and no borrow:
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::IoSlice;
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{Outcome, SendAllError, Sent, Transfer};
    ///
    /// struct Reply {
    ///     header: String,
    ///     file: File,
    ///     sent: Sent,
    /// }
    ///
    /// impl Reply {
    ///     /// Called when the output is writable.
    ///     fn go_on(&mut self, output: &UnixStream) -> Result<Outcome, SendAllError<u64>> {
    ///         let header = [IoSlice::new(self.header.as_bytes())];
    ///         let mut transfer = Transfer::new(&self.file).at(0).with_header(&header).resume(self.sent);
    ///         let outcome = transfer.send_all(output);
    ///         self.sent = transfer.sent();
    ///         outcome
    ///     }
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let file = tempfile::tempfile()?;
    /// # file.set_len(3_000_000)?;
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// # let mut reply = Reply { header: "header".into(), file, sent: Sent::default() };
    /// # while let Err(stopped) = reply.go_on(&ours) {
    /// #     assert!(stopped.would_block());
    /// #     std::io::Read::read_exact(&mut theirs, &mut vec![0; stopped.accepted() as usize])?;
    /// # }
    /// # assert_eq!(reply.sent.total(), 3_000_006);
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(mut self, sent: Sent) -> Self {
        let Sent { header, file, trailer } = sent;
        self.progress = Progress { header, file, trailer, ended: false };
        self
    }

    /// Returns how much was accepted until now. It is exact after an error too, unless [`Error::may_have_sent`] says that
    /// there may be more.
    #[must_use]
    pub fn sent(&self) -> Sent {
        let Progress { header, file, trailer, .. } = self.progress;
        Sent { header, file, trailer }
    }

    /// Returns how many bytes are left, or `None` if this depends on where the file ends.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        let around = self.whole.header_left(&self.progress) + self.whole.trailer_left(&self.progress);
        let file = self.whole.file_left(&self.progress);
        (file == 0 || self.whole.count.is_some()).then(|| file.saturating_add(around as u64))
    }

    /// Returns how the transfer ended, or `None` if it is not finished.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.whole.is_finished(&self.progress).then(|| match self.whole.missing(&self.progress) {
            0 => Outcome::Whole,
            missing => Outcome::FileEnded { missing },
        })
    }

    /// Sends as much as one pass through the transfer can, and returns the number of bytes accepted.
    ///
    /// A short count is not an error: the output can be full, a signal can come, the file can end, or the peer can go away. If
    /// an error occurs after the first byte, the call returns the count, and the next call returns the error (clauses X12,
    /// T8). Call this until [`outcome`](Self::outcome) is not `None`, or call [`send_all`](Self::send_all), which does.
    /// One call sends at most [`limits::BYTES_PER_SENDFILE`](crate::limits::BYTES_PER_SENDFILE) bytes of the file.
    ///
    /// # System calls
    ///
    /// On OpenBSD, and by copying, those that prevent SIGPIPE if the output is not a socket, and
    ///
    /// | when | calls |
    /// |---|---|
    /// | a pass begins | `fstat` of the input; `fcntl(F_GETFL)` and `fstat` of an output that is not a socket; for the file's own position `lseek`, and another one at the end |
    /// | for each buffer | `pread`, until it is full or the file ends, and one `send` or `write`; one `sendmsg` for descriptors |
    ///
    /// On Linux a header, and with it a file that is small, are one such buffer. If the file is not small, there is
    /// `fcntl(F_GETFL)` of the input in place of `pread`, and then the calls of [`sendfile`](crate::sendfile()) follow. A trailer
    /// is one more `send`; on TCP one `getsockopt` and two `setsockopt` of `TCP_CORK` are around the file and the trailer. They
    /// are also made if the file ends, or fails to be read, where more was expected.
    ///
    /// On OpenBSD pledge(2) needs "stdio", and "sendfd" if there are descriptors.
    ///
    /// # Errors
    ///
    /// Those of [`sendfile`](crate::sendfile()). Before anything is sent (clause T6) also
    ///
    /// | kind | when | clause |
    /// |---|---|---|
    /// | `InvalidInput` | the buffer is empty | X15 |
    /// | `InvalidInput` | the transfer was [resumed](Self::resume), and what was sent is more than it has, or has a gap | T11 |
    /// | `LengthOverflow` | the header or the trailer has more than `SSIZE_MAX` bytes | L3 |
    /// | `Unsupported` | there are descriptors, and the output is not a unix stream | T7 |
    /// | `TooManyDescriptors`, `DescriptorsWithoutData`, `MessageTooLong` | as for [`Message`](crate::Message::send) | T7 |
    ///
    /// With descriptors also those that [`Message::send`](crate::Message::send) can return.
    pub fn send<'fd>(&mut self, output: impl Into<Output<'fd>>) -> Result<u64, Error> {
        const OPERATION: Operation = Operation::Transfer;
        let output = output.into();
        self.check(OPERATION, output)?;
        let Self { input, whole, buffer, progress } = self;
        let mut sender = FileSender::new(output.sink(), *input, method(buffer));
        sender.transfer(whole, progress).map_err(|why| output.error(OPERATION, why))
    }

    /// Sends all that is left.
    ///
    /// It calls [`send`](Self::send) again after a short count and after an interruption. SIGPIPE stays blocked on this thread
    /// until it returns, if a call needs that. `SO_SNDTIMEO` limits each part, as in
    /// [`SocketRef::send_all`](crate::SocketRef::send_all).
    ///
    /// **It waits if the output does.** If the output is non-blocking, or after `SO_SNDTIMEO`, it stops with "would block".
    /// Wait until the output is writable, and call it again for the rest.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send) but `Interrupted`, with the number of bytes that this call had sent before. Also
    /// [`Other`](ErrorKind::Other), without an errno, if the output accepts no byte and gives no error (clause L4c).
    pub fn send_all<'fd>(&mut self, output: impl Into<Output<'fd>>) -> Result<Outcome, SendAllError<u64>> {
        const OPERATION: Operation = Operation::TransferAll;
        let output = output.into();
        self.check(OPERATION, output).map_err(SendAllError::at_once)?;
        let before = self.progress.total();
        let error = match self.send_to_the_end(output) {
            Ok(()) => return Ok(self.outcome().expect("it is finished")),
            Err(error) => error,
        };
        Err(SendAllError { accepted: self.progress.total() - before, error })
    }

    fn send_to_the_end(&mut self, output: Output<'_>) -> Result<(), Error> {
        const OPERATION: Operation = Operation::TransferAll;
        let Self { input, whole, buffer, progress } = self;
        let mut sender = FileSender::new(output.sink(), *input, method(buffer));
        let mut time = TimeLimit::default();
        loop {
            match sender.transfer(whole, progress) {
                Ok(_) if whole.is_finished(progress) => return Ok(()),
                Ok(0) => return Err(Error::refused(OPERATION, Refusal::Stalled)),
                Ok(_) => time = TimeLimit::default(),
                Err(why) => {
                    let error = output.error(OPERATION, why);
                    if error.kind() != ErrorKind::Interrupted {
                        return Err(error);
                    }
                    if !time.is_left_for(output.as_fd()) {
                        return Err(Error::time_limit(OPERATION));
                    }
                }
            }
        }
    }

    /// Makes the checks that need no system call.
    fn check(&self, operation: Operation, output: Output<'_>) -> Result<(), Error> {
        let header = checked_length(operation, self.whole.header)?;
        let trailer = checked_length(operation, self.whole.trailer)?;
        match self.refusal(output, header, trailer) {
            Some(refusal) => Err(Error::refused(operation, refusal)),
            None => Ok(()),
        }
    }

    fn refusal(&self, output: Output<'_>, header: usize, trailer: usize) -> Option<Refusal> {
        let Whole { descriptors, count, .. } = self.whole;
        let sent = &self.progress;
        if let Some(refusal) = output.refusal() {
            return Some(refusal);
        }
        if self.buffer.as_ref().is_some_and(|buffer| buffer.is_empty()) {
            return Some(Refusal::EmptyBuffer);
        }
        let is_beyond =
            sent.header > header || sent.trailer > trailer || count.is_some_and(|count| sent.file > count);
        // What comes later was sent, and what comes before it was not.
        let has_gap = sent.header < header && (sent.file > 0 || sent.trailer > 0)
            || sent.trailer > 0 && count.is_some_and(|count| sent.file < count);
        if is_beyond || has_gap {
            return Some(Refusal::ResumedBeyond);
        }
        match output {
            _ if descriptors.is_empty() => None,
            Output::Socket(socket) => refusal_of_descriptors(&socket, header, descriptors.len()),
            Output::File(_) => Some(Refusal::DescriptorsNotCarried),
        }
    }
}

fn method<'buffer>(buffer: &'buffer mut Option<&mut [u8]>) -> Method<'buffer> {
    match buffer {
        Some(buffer) => Method::CopyingThrough(buffer),
        None => Method::Kernel,
    }
}

impl<Descriptor> fmt::Debug for Transfer<'_, Descriptor> {
    /// Shows the sizes only, because the data can be long, and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Whole { header, descriptors, offset, count, trailer } = self.whole;
        f.debug_struct("Transfer")
            .field("header", &length(header))
            .field("descriptors", &descriptors.len())
            .field("offset", &offset)
            .field("count", &count)
            .field("trailer", &length(trailer))
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
