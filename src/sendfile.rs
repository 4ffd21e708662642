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

/// The output of [`sendfile()`]: a stream socket, or a descriptor that is not a socket.
///
/// # Examples
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
    /// A stream socket. A socket of records or datagrams is refused (clause X15).
    Socket(SocketRef<'fd>),
    /// A pipe, a regular file or a device. The file position of a regular file moves.
    File(BorrowedFd<'fd>),
}

impl<'fd> Output<'fd> {
    /// Declares a descriptor that is not a socket: a pipe, a regular file or a device.
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

/// Where [`sendfile()`] begins in the file. It is advanced by the number of bytes accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Offset<'a> {
    /// This number of bytes from the start of the file. The number is advanced, and the file position does not
    /// change (clause X2).
    At(&'a mut u64),
    /// The file position, as in read(2), which is advanced (clause X1). When a call copies, it sets the file
    /// position once, at the end. Nothing else may use the file position during the call.
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

/// Sends a range of a file, with the semantics of Linux's sendfile(2) on both systems, and returns the number of
/// bytes accepted.
///
/// The range begins at the offset and has `count` bytes. One call sends at most
/// [`limits::BYTES_PER_SENDFILE`](crate::limits::BYTES_PER_SENDFILE) bytes (clause X5). A short count is not an
/// error: the file can end, the output can be full, a signal can come, or the peer can go away. A count of 0 means
/// the end of the file (clause X3). The offset, or the file position, is advanced by the number of bytes accepted, so
/// the next call continues where this one stopped. [`sendfile_all`] makes these calls.
///
/// On Linux the kernel sends the file without a copy to user space. Files that the kernel cannot send (clause X8:
/// some files of /proc) are copied through a buffer of 64 KiB on the stack. On OpenBSD, which has no sendfile, all
/// files are. The same clauses hold for both ways.
///
/// The input must be a regular file or a block device, open for reading. The output is a stream socket, a pipe, or
/// another file that was not opened for appending. The call waits if the output is blocking.
///
/// # Changes to the file after the call
///
/// **On Linux the kernel sends the pages of the file, not a copy of them (clause X14: "differs").** If another
/// program writes to the file after this call has returned and before the peer has received the data, the peer
/// receives the new data. If others can write to the file, data that was checked or signed can differ from data that
/// arrives. [`sendfile_by_copying`] sends the data as it was when it was read, on both systems.
///
/// # System calls
///
/// On Linux, `sendfile` between two `rt_sigprocmask`, because sendfile(2) has no flag that prevents SIGPIPE. Under a
/// [`SigpipeGuard`](crate::SigpipeGuard), `sendfile` alone. Some cases need more:
///
/// | when | calls |
/// |---|---|
/// | SIGPIPE was blocked already | `rt_sigpending` |
/// | after a short count or `EPIPE` | `rt_sigtimedwait`, to take back a SIGPIPE that this call raised, and `getpid` |
/// | the SIGPIPE that was taken came from elsewhere | `rt_sigqueueinfo` or `rt_tgsigqueueinfo`, to send it again |
/// | the output is not a socket | `poll` before the call |
/// | it is not a socket, and it is full | `fstat`; without an offset `lseek`; at the end of the file, and for a file that says that it has no length, `pread` |
/// | the kernel cannot send the file (clause X8), or `count` is 0 | those of [`sendfile_by_copying`] |
///
/// On OpenBSD, those of [`sendfile_by_copying`].
///
/// # Errors
///
/// Before the call: [`InvalidInput`](ErrorKind::InvalidInput) if the range ends after
/// [`limits::FILE_OFFSET`](crate::limits::FILE_OFFSET) (clause X4), and [`Unsupported`](ErrorKind::Unsupported) for a
/// socket of records or datagrams (clause X15). From the kernel, on both systems as Linux's returns them: those of
/// [`SocketRef::send`] on a stream, and
///
/// | kind | when | clauses |
/// |---|---|---|
/// | `WouldBlock` | the output is full, and the call does not wait | X10 |
/// | `Interrupted` | a signal came before the first byte | X11 |
/// | `Disconnected` | the reader of the pipe, or the peer of the socket, is gone | X12, I7 |
/// | `InvalidInput` | the input has no offsets: a pipe, a socket, a directory | X7 |
/// | `InvalidInput` | the output was opened for appending (`O_APPEND`), and is not a pipe | X9 |
/// | `BadDescriptor` | the input is not open for reading, or the output is not open for writing | X6 |
/// | `Io`, `Other` | the file could not be read, or the disk is full | X16 |
///
/// If an error occurs after the first byte, the call returns the count, and the next call returns the error (clause
/// X12). There is one exception, on OpenBSD (clause A13): if [`Error::may_have_sent`] is true, a part may have been
/// queued on a connection that continues. The offset was advanced by the number of bytes that are known to be
/// accepted.
///
/// If the file position cannot be set after bytes were accepted, the call returns the error of lseek(2), and the number
/// of bytes accepted is not known. No regular file and no block device is known to do this.
///
/// # Special cases
///
/// - A file that is sent to itself reads what it has just written, and grows until `count` is reached.
/// - If a regular file as output would become longer than `RLIMIT_FSIZE` allows, SIGXFSZ is raised, as in write(2).
///   Only SIGPIPE is prevented.
/// - On Linux a socket can be sent to a pipe (clause X7b). If the socket has no data, the call fails with
///   `WouldBlock`. The program must then wait until the input is readable, because the output stays writable.
/// - A file that was opened with `O_DIRECT` requires alignment of offsets and counts and, if it is copied, of the buffer.
///   Otherwise the call fails with `InvalidInput`.
/// - A file that loses its data when it is read (/proc/kmsg) loses data that was read and not accepted.
///
/// # SIGPIPE from elsewhere
///
/// A SIGPIPE that others send during the call is delivered when the call returns. In these cases the kernel does not
/// tell it from the call's own:
///
/// - On Linux, the process sends SIGPIPE to itself by kill(2) during a call that returns a short count or fails with
///   `Disconnected`. It is taken back with the call's own.
/// - On Linux, another thread sends SIGPIPE to this thread by pthread_kill(3) while the call's own is pending. The
///   kernel keeps one of them.
/// - On Linux, SIGPIPE was blocked and pending for the process before the call. Then the call's own can stay pending for
///   the thread.
/// - On OpenBSD, for pipes, a SIGPIPE that is sent to the process during a call that fails with `Disconnected` is taken
///   back.
///
/// Sources: sendfile(2) of Linux, and runs on its kernel.
///
/// # Examples
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
/// assert_eq!(sendfile(&ours, &file, Offset::At(&mut offset), 1000)?, 4); // the rest
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

/// Sends a range of a file by reading and sending it through the caller's buffer, and returns the number of bytes
/// accepted.
///
/// It keeps the clauses of [`sendfile()`], with these differences:
///
/// - It sends the data as it was when it was read. The data cannot change any more (clause X14).
/// - It can continue to wait after a signal that came before the output was full (clause X11b).
/// - The input must be a regular file or a block device. Linux's sendfile accepts some others, which cannot be read twice
///   (clause X7b: /dev/zero, a socket to a pipe).
///
/// At most the length of the buffer is read at once. 64 KiB are enough on both systems. 256 KiB are faster on Linux; on
/// OpenBSD more than the socket's send buffer is not faster on unix sockets.
///
/// # System calls
///
/// `fstat`; for an output that is not a socket `fcntl(F_GETFL)` and `fstat`; for [`Offset::Position`] two `lseek`; then, in
/// turn, `pread` and either `sendto` with `MSG_NOSIGNAL` or `write`. `write` needs the calls that prevent SIGPIPE: see
/// [`sendfile()`]. On OpenBSD these are `sigprocmask`, `sigpending` and `sigwait`. pledge(2) needs "stdio".
///
/// # Errors
///
/// Those of [`sendfile()`], and [`InvalidInput`](ErrorKind::InvalidInput) for an empty buffer.
///
/// # Examples
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

/// Sends all of a range of a file, and returns the number of bytes sent. It is less than `count` only if the file ends
/// before.
///
/// It calls [`sendfile()`] again after a short count and after an interruption, so the range can have any length. SIGPIPE
/// stays blocked on this thread until it returns. `SO_SNDTIMEO` limits each part, as in [`SocketRef::send_all`].
///
/// **It waits if the output does.** If the output is non-blocking, or after `SO_SNDTIMEO`, it stops with "would block" and
/// returns the number of bytes accepted. Wait until the output is writable, and call it again for the rest. The offset, or the
/// file position, is advanced by the number of bytes accepted, whether the call succeeds or fails.
///
/// # Errors
///
/// Those of [`sendfile()`] but `Interrupted`, with the number of bytes that were accepted before.
///
/// # Examples
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
/// assert_eq!(stopped.accepted(), offset); // continue here when the output is writable
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

/// Sends all of a range of a file by reading and sending it through the caller's buffer, and returns the number of bytes
/// sent.
///
/// It calls [`sendfile_by_copying`] again, as [`sendfile_all`] calls [`sendfile()`].
///
/// # Errors
///
/// Those of [`sendfile_by_copying`] but `Interrupted`, with the number of bytes that were accepted before.
///
/// # Examples
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

/// What is refused before any call.
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
        Why::Descriptor(errno) => Error::of_file(operation, errno),
        Why::Output(errno) => {
            Error::of_kernel(sink.fd, sink.socket.unwrap_or(SocketKind::Other), operation, errno)
        }
    }
}
