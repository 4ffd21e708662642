use std::fs::File;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::ChildStdin;

use crate::error::{Error, SendAllError};
use crate::platform::contract::{ErrorKind, Operation, Refusal, SocketKind};
use crate::platform::{FileSender, Method, Sink, Stopped, Why};
use crate::send_all::TimeLimit;
use crate::socket::{BorrowFd, SocketRef};

/// Where [`sendfile()`] sends: a socket, or a file, which says which it is.
///
/// ```
/// use std::fs::File;
/// use std::os::unix::net::UnixStream;
/// use unisend::{Output, SocketRef};
///
/// # fn main() -> std::io::Result<()> {
/// let (stream, _peer) = UnixStream::pair()?;
/// let null = File::options().write(true).open("/dev/null")?;
///
/// let outputs = [Output::from(&stream), SocketRef::unix_stream(&stream).into(), Output::file(&null)];
/// assert!(matches!(outputs[0], Output::Socket(_)));
/// assert!(matches!(outputs[2], Output::File(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Output<'fd> {
    /// A stream socket. One that sends records or datagrams is refused (clause X15).
    Socket(SocketRef<'fd>),
    /// What is no socket: a pipe, a regular file, a device. A regular file's own position moves.
    File(BorrowedFd<'fd>),
}

impl<'fd> Output<'fd> {
    /// What is no socket: a pipe, a regular file, a device.
    #[must_use]
    pub fn file(fd: impl BorrowFd<'fd>) -> Self {
        Self::File(fd.borrow_fd())
    }

    #[inline]
    fn sink(self) -> Sink<'fd> {
        match self {
            Self::Socket(socket) => Sink { fd: socket.fd(), socket: Some(socket.kind()) },
            Self::File(fd) => Sink { fd, socket: None },
        }
    }
}

impl AsFd for Output<'_> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sink().fd
    }
}

impl<'fd> From<SocketRef<'fd>> for Output<'fd> {
    #[inline]
    fn from(socket: SocketRef<'fd>) -> Self {
        Self::Socket(socket)
    }
}

impl<'fd> From<&'fd TcpStream> for Output<'fd> {
    #[inline]
    fn from(stream: &'fd TcpStream) -> Self {
        Self::Socket(stream.into())
    }
}

impl<'fd> From<&'fd UnixStream> for Output<'fd> {
    #[inline]
    fn from(stream: &'fd UnixStream) -> Self {
        Self::Socket(stream.into())
    }
}

impl<'fd> From<&'fd File> for Output<'fd> {
    #[inline]
    fn from(file: &'fd File) -> Self {
        Self::file(file)
    }
}

impl<'fd> From<&'fd ChildStdin> for Output<'fd> {
    #[inline]
    fn from(pipe: &'fd ChildStdin) -> Self {
        Self::file(pipe)
    }
}

/// Where in the file [`sendfile()`] begins, and what it moves on by what was sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum Offset<'a> {
    /// At this many bytes from the start of the file. It is advanced by what was accepted, and the file's own
    /// position stays where it is (clause X2).
    At(&'a mut u64),
    /// At the file's own position, as read(2) would, which is moved (clause X1). By copying it is set once, at
    /// the end: let nobody else use it meanwhile.
    Position,
}

impl<'a> Offset<'a> {
    #[inline]
    fn given(self) -> Option<&'a mut u64> {
        match self {
            Self::At(offset) => Some(offset),
            Self::Position => None,
        }
    }
}

/// Sends a part of a file, with the meaning of Linux's sendfile(2) on both systems; how many bytes were
/// accepted.
///
/// `count` bytes are asked for, from the offset on, and
/// [`limits::BYTES_PER_SENDFILE`](crate::limits::BYTES_PER_SENDFILE) at most are sent by one call (clause X5). Fewer than were asked for are no error: the file can end before, the output can have no
/// more room, a signal can come, the peer can go away. None at all are the end of the file (clause X3). What
/// was accepted is what the offset, or the file's own position, moves on by, and nothing is lost: the next call
/// goes on where this one stopped. [`sendfile_all`] makes these calls.
///
/// On Linux the kernel does it, without a copy to user space. What its sendfile cannot read (clause X8: some
/// files of /proc) and all of OpenBSD, which has no sendfile, is copied through 64 KiB on the stack. Both keep
/// to the same clauses; tests run one table over both.
///
/// The input is a regular file or a block device, open for reading. The output is a stream socket, a pipe, or
/// another file that is not open for appending. Both can be blocking or not: it waits as the output does.
///
/// # What was sent may still change
///
/// **On Linux the kernel sends the file's pages, not a copy of them (clause X14: "differs").** Who writes to
/// the file after this has returned, and before the peer has received, changes what the peer receives. If others
/// can write to the file, what was checked or signed is not what arrives. [`sendfile_by_copying`] sends what the
/// file had when it was read, on both systems.
///
/// # System calls
///
/// Linux: `sendfile`, between two `rt_sigprocmask`, for no flag of sendfile(2) keeps SIGPIPE away. If SIGPIPE was
/// blocked already, `rt_sigpending`; after a short count or EPIPE `rt_sigtimedwait`, to take back a SIGPIPE that
/// this call raised, and `getpid` to know it; if it took another's, `rt_sigqueueinfo` or `rt_tgsigqueueinfo` to
/// send that one again. An output that is no socket is asked for room first, by `poll`. If it has none, the input is
/// asked whether it has something, by `fstat` and, without an offset, `lseek`; one that says that it has no length, and
/// one at its end, by `pread` too. Where the kernel cannot (clause X8), for a count of 0, and on OpenBSD:
/// those of [`sendfile_by_copying`].
///
/// # Errors
///
/// Before the call: [`InvalidInput`](ErrorKind::InvalidInput) for an offset and a count that are together over
/// [`limits::FILE_OFFSET`](crate::limits::FILE_OFFSET) (clause X4),
/// [`Unsupported`](ErrorKind::Unsupported) for a socket of records or datagrams (clause X15). From the kernel, or as it would say: those of [`SocketRef::send`] on a stream, and
///
/// | kind | when | clauses |
/// |---|---|---|
/// | `WouldBlock` | no room at all, and not to wait for it | X10 |
/// | `Interrupted` | a signal before the first byte | X11 |
/// | `Disconnected` | the reader of the pipe is gone; the peer of a socket too | X12, I7 |
/// | `InvalidInput` | an input that has no offsets: a pipe, a socket, a directory | X7 |
/// | `InvalidInput` | an output that was opened for appending (`O_APPEND`) and is no pipe | X9 |
/// | `BadDescriptor` | an input that is not open for reading, an output not for writing | X6 |
/// | `Io`, `Other` | the file could not be read, or the disk is full | X16 |
///
/// After the first byte no error is returned but a count, and the next call says what is wrong (clause X12).
/// OpenBSD's exception is clause A13's: if [`Error::may_have_sent`] is true, a part may have been queued on a
/// connection that goes on; the offset has been moved by what is known to be accepted.
///
/// If the file's own position cannot be set after bytes were accepted, the error of lseek(2) is returned, and how many
/// they were is not known. No regular file and no block device is known to do so.
///
/// # What else to know
///
/// A file that is sent onto itself reads what it has just written, and grows until the count is reached.
///
/// An output that is a regular file and would become longer than `RLIMIT_FSIZE` allows raises SIGXFSZ, as write(2)
/// does. SIGPIPE alone is kept away.
///
/// On Linux a socket can be sent into a pipe (clause X7b). If the socket has nothing to read it is that which would
/// block: wait for the input to be readable too, or the output will be said to be writable again and again.
///
/// A file that was opened with `O_DIRECT` wants its own alignment of offsets and counts and, if it is copied, of
/// the buffer: otherwise it is `InvalidInput`. One that is used up by being read (/proc/kmsg) loses what was read
/// and not accepted.
///
/// A SIGPIPE that others send meanwhile is delivered when the call returns. Not told apart are, on Linux, one that
/// this very process sends to itself by kill(2) in a call that is cut short or fails with `Disconnected`, which is
/// taken back with the call's own; one that another thread sends to this thread (pthread_kill(3)) while the call's own
/// is pending, for the kernel keeps one of them; and one that was pending for the whole process before, while SIGPIPE was
/// blocked, beside which the call's own may stay pending for the thread. On OpenBSD, for pipes, any that is sent to
/// the whole process in a call that fails with `Disconnected` is taken back.
///
/// Sources: sendfile(2) of Linux, and runs on its kernel.
///
/// ```
/// use std::fs::File;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use unisend::{Offset, sendfile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("page.html");
/// File::create(&path)?.write_all(b"<p>Hello</p>")?;
/// let file = File::open(&path)?;
/// let (ours, mut theirs) = UnixStream::pair()?;
///
/// let mut offset = 3;
/// assert_eq!(sendfile(&ours, &file, Offset::At(&mut offset), 5)?, 5);
/// assert_eq!(offset, 8);
/// assert_eq!(sendfile(&ours, &file, Offset::At(&mut offset), 1000)?, 4); // all that is left
/// assert_eq!(sendfile(&ours, &file, Offset::At(&mut offset), 1000)?, 0); // the end
///
/// let mut received = [0; 9];
/// theirs.read_exact(&mut received)?;
/// assert_eq!(&received, b"Hello</p>");
/// # Ok(())
/// # }
/// ```
#[inline]
pub fn sendfile<'fd>(
    output: impl Into<Output<'fd>>,
    input: impl AsFd,
    offset: Offset<'_>,
    count: u64,
) -> Result<u64, Error> {
    once(output.into(), input.as_fd(), offset, count, Method::Kernel)
}

/// Sends a part of a file by reading and sending it, through the caller's buffer; how many bytes were accepted.
///
/// As [`sendfile()`], clause by clause, but for a few things. What it sent is what the file had when it was read,
/// and cannot change any more (clause X14). It may wait on after a signal that came before its output was full
/// (clause X11b). And the input must be a regular file or a block device, where Linux's sendfile takes some others
/// that cannot be read twice (clause X7b: /dev/zero, a socket into a pipe).
///
/// The buffer is what is read at once. 64 KiB do well everywhere, 256 KiB better on Linux; on OpenBSD more than
/// the socket's send buffer takes is no gain on unix sockets.
///
/// # System calls
///
/// `fstat`; for a file or pipe as output `fcntl(F_GETFL)` and `fstat`; for [`Offset::Position`] two `lseek`; then
/// `pread` and `sendto` with `MSG_NOSIGNAL`, or `write`, in turn. Only `write` needs the guard against SIGPIPE:
/// see [`sendfile()`]; on OpenBSD it is `sigprocmask`, `sigpending` and `sigwait`. pledge(2) needs "stdio" for it
/// all.
///
/// # Errors
///
/// Those of [`sendfile()`], and [`InvalidInput`](ErrorKind::InvalidInput) for a buffer of no bytes.
///
/// ```
/// use std::fs::File;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use unisend::{Offset, sendfile_by_copying};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("draft");
/// std::fs::write(&path, "as it was checked")?;
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let mut buffer = [0; 65536];
/// sendfile_by_copying(&ours, File::open(&path)?, Offset::Position, 100, &mut buffer)?;
///
/// std::fs::write(&path, "as it was changed")?;
/// let mut received = [0; 17];
/// theirs.read_exact(&mut received)?;
/// assert_eq!(&received, b"as it was checked");
/// # Ok(())
/// # }
/// ```
pub fn sendfile_by_copying<'fd>(
    output: impl Into<Output<'fd>>,
    input: impl AsFd,
    offset: Offset<'_>,
    count: u64,
    buffer: &mut [u8],
) -> Result<u64, Error> {
    once(output.into(), input.as_fd(), offset, count, Method::CopyingThrough(buffer))
}

/// Sends a range of a file; how many bytes that was, which is fewer than were asked for only if the file ends
/// before.
///
/// It calls again as [`sendfile()`] does it, after a short count, an interruption, and the most that one call
/// sends, so that the range can be of any length. The guard against SIGPIPE is put up once: SIGPIPE stays blocked
/// on this thread until it returns. `SO_SNDTIMEO` limits each part, as in [`SocketRef::send_all`].
///
/// **It waits as the output does.** On a non-blocking one, or after `SO_SNDTIMEO`, it stops at "would block" and
/// says how much was accepted: wait until the output is writable, and call it again for the rest. The offset, or
/// the file's own position, has been moved by what was accepted, whether it succeeds or fails.
///
/// # Errors
///
/// Those of [`sendfile()`] but `Interrupted`, with what was accepted before them.
///
/// ```
/// use std::fs::File;
/// use std::os::unix::net::UnixStream;
/// use unisend::{ErrorKind, Offset, sendfile_all};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("image");
/// File::create(&path)?.set_len(10_000_000)?;
/// let file = File::open(&path)?;
/// let (ours, theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
///
/// let mut offset = 0;
/// let stopped = sendfile_all(&ours, &file, Offset::At(&mut offset), 10_000_000).unwrap_err();
/// assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
/// assert_eq!(stopped.accepted(), offset); // from here on, once poll says writable
/// # drop(theirs);
/// # Ok(())
/// # }
/// ```
pub fn sendfile_all<'fd>(
    output: impl Into<Output<'fd>>,
    input: impl AsFd,
    offset: Offset<'_>,
    count: u64,
) -> Result<u64, SendAllError<u64>> {
    all(output.into(), input.as_fd(), offset, count, Method::Kernel)
}

/// Sends a range of a file by reading and sending it, through the caller's buffer; how many bytes that was.
///
/// It is to [`sendfile_by_copying`] what [`sendfile_all`] is to [`sendfile()`].
///
/// # Errors
///
/// Those of [`sendfile_by_copying`] but `Interrupted`, with what was accepted before them.
///
/// ```
/// use std::fs::File;
/// use unisend::{Offset, sendfile_all_by_copying};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let (from, to) = (directory.path().join("from"), directory.path().join("to"));
/// std::fs::write(&from, "from file to file")?;
/// let copied =
///     sendfile_all_by_copying(&File::create(&to)?, File::open(&from)?, Offset::Position, 9, &mut [0; 4])?;
/// assert_eq!(copied, 9);
/// assert_eq!(std::fs::read(&to)?, b"from file");
/// # Ok(())
/// # }
/// ```
pub fn sendfile_all_by_copying<'fd>(
    output: impl Into<Output<'fd>>,
    input: impl AsFd,
    offset: Offset<'_>,
    count: u64,
    buffer: &mut [u8],
) -> Result<u64, SendAllError<u64>> {
    all(output.into(), input.as_fd(), offset, count, Method::CopyingThrough(buffer))
}

#[inline]
fn once(
    output: Output<'_>,
    input: BorrowedFd<'_>,
    offset: Offset<'_>,
    count: u64,
    method: Method<'_>,
) -> Result<u64, Error> {
    const OPERATION: Operation = Operation::Sendfile;
    let sink = output.sink();
    if let Some(refusal) = refusal(sink, &method) {
        return Err(Error::refused(OPERATION, refusal));
    }
    let mut sender = FileSender::new(sink, input, offset.given(), method);
    sender.send(count).map_err(|stopped| error(sink, OPERATION, stopped))
}

fn all(
    output: Output<'_>,
    input: BorrowedFd<'_>,
    offset: Offset<'_>,
    count: u64,
    method: Method<'_>,
) -> Result<u64, SendAllError<u64>> {
    const OPERATION: Operation = Operation::SendfileAll;
    let sink = output.sink();
    if let Some(refusal) = refusal(sink, &method) {
        return Err(SendAllError::at_once(Error::refused(OPERATION, refusal)));
    }
    let mut sender = FileSender::new(sink, input, offset.given(), method);
    let mut accepted = 0;
    let mut time = TimeLimit::default();
    loop {
        match sender.send(count - accepted) {
            Ok(0) => return Ok(accepted),
            Ok(sent) => {
                accepted += sent;
                if accepted == count {
                    return Ok(accepted);
                }
                time = TimeLimit::default();
            }
            Err(stopped) => {
                accepted += stopped.accepted;
                let error = error(sink, OPERATION, stopped);
                if error.kind() != ErrorKind::Interrupted {
                    return Err(SendAllError { accepted, error });
                }
                if !time.is_left_for(sink.fd) {
                    return Err(SendAllError { accepted, error: Error::time_limit(OPERATION) });
                }
            }
        }
    }
}

/// What no kernel need be asked about.
#[inline]
fn refusal(sink: Sink<'_>, method: &Method<'_>) -> Option<Refusal> {
    use SocketKind::{UdpV4, UdpV6, UnixDatagram, UnixSeqpacket};

    if let Some(UdpV4 | UdpV6 | UnixDatagram | UnixSeqpacket) = sink.socket {
        return Some(Refusal::RecordOutput);
    }
    match method {
        Method::CopyingThrough([]) => Some(Refusal::EmptyBuffer),
        _ => None,
    }
}

#[cold]
fn error(sink: Sink<'_>, operation: Operation, stopped: Stopped) -> Error {
    match stopped.why {
        Why::Refused(refusal) => Error::refused(operation, refusal),
        Why::File(errno) => Error::of_file(operation, errno),
        Why::Output(errno) => {
            Error::of_kernel(sink.fd, sink.socket.unwrap_or(SocketKind::Other), operation, errno)
        }
    }
}
