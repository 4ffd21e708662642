use std::os::fd::AsFd;

use crate::error::Error;
use crate::output::Output;
use crate::platform::contract::Operation;
use crate::platform::{FileSender, Method};

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
/// the next call continues where this one stopped. A [`Transfer`](crate::Transfer) makes these calls.
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
/// arrives. [`Transfer::by_copying`](crate::Transfer::by_copying) sends the data as it was when it was read, on both systems.
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
/// | the kernel cannot send the file (clause X8), or `count` is 0 | those of OpenBSD |
///
/// On OpenBSD, those of [`Transfer::send`](crate::Transfer::send) without a header.
///
/// # Errors
///
/// Before the call: [`InvalidInput`](crate::ErrorKind::InvalidInput) if the range ends after
/// [`limits::FILE_OFFSET`](crate::limits::FILE_OFFSET) (clause X4), and [`Unsupported`](crate::ErrorKind::Unsupported) for a
/// socket of records or datagrams (clause X15). From the kernel, on both systems as Linux's returns them: those of
/// [`SocketRef::send`](crate::SocketRef::send) on a stream, and
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
/// - If `count` goes beyond the end of the file, Linux before 6.5 can keep back the last segment on TCP for up to 200 ms.
///   [`Transfer`](crate::Transfer) sends it at once (clause T2b).
/// - On Linux `SO_SNDTIMEO` limits each wait inside the call, and not the call: a reader that goes on reading slowly can keep
///   it going for longer.
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
    const OPERATION: Operation = Operation::Sendfile;
    let output = output.into();
    if let Some(refusal) = output.refusal() {
        return Err(Error::refused(OPERATION, refusal));
    }
    let mut sender = FileSender::new(output.sink(), input.as_fd(), Method::Kernel);
    let mut given = offset.given();
    let (accepted, outcome) = match sender.send(given.as_deref().copied(), count) {
        Ok(accepted) => (accepted, Ok(accepted)),
        Err(stopped) => (stopped.accepted, Err(output.error(OPERATION, stopped.why))),
    };
    if let Some(offset) = &mut given {
        **offset += accepted;
    }
    outcome
}
