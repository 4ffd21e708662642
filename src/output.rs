use std::fs::File;
use std::io::Stdout;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ChildStdin;

use crate::error::Error;
use crate::platform::contract::{ErrorKind, Operation, Refusal, SocketKind};
use crate::platform::{Sink, Why};
use crate::socket::{BorrowFd, SocketRef};

/// The output of [`sendfile`](crate::sendfile()) and of a [`Transfer`](crate::Transfer): a stream socket, or a descriptor that is not a socket.
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
    ///
    /// A `PipeWriter` of std is declared in this way: it is newer than the oldest Rust that this crate supports.
    #[must_use]
    pub fn file(fd: impl BorrowFd<'fd>) -> Self {
        Self::File(fd.borrow_fd())
    }

    /// Asks the kernel whether a descriptor is a socket, and of which kind.
    ///
    /// Standard output and a descriptor that another process passed can be either. Call it once, and keep the answer.
    ///
    /// # System calls
    ///
    /// Those of [`SocketRef::probe`], or one getsockopt(2) if the descriptor is not a socket. On OpenBSD pledge(2)
    /// must allow "inet" or "unix".
    ///
    /// # Errors
    ///
    /// Those of [`SocketRef::probe`] but `NotSocket`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::fd::OwnedFd;
    /// use std::os::unix::net::UnixStream;
    /// use unisend::{Output, SocketKind};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (stream, _peer) = UnixStream::pair()?;
    /// let passed = OwnedFd::from(stream);
    /// let output = Output::probe(&passed)?;
    /// assert!(matches!(output, Output::Socket(socket) if socket.kind() == SocketKind::UnixStream));
    ///
    /// let stdout = std::io::stdout();
    /// let output = Output::try_from(&stdout)?;
    /// # let _ = output;
    /// # Ok(())
    /// # }
    /// ```
    pub fn probe(fd: impl BorrowFd<'fd>) -> Result<Self, Error> {
        let fd = fd.borrow_fd();
        match SocketRef::probe(fd) {
            Err(error) if error.kind() == ErrorKind::NotSocket => Ok(Self::file(fd)),
            probed => probed.map(Self::Socket),
        }
    }

    /// Returns why nothing can be sent to this output.
    #[inline]
    pub(crate) fn refusal(self) -> Option<Refusal> {
        use SocketKind::{UdpV4, UdpV6, UnixDatagram, UnixSeqpacket};

        match self.sink().socket {
            Some(UdpV4 | UdpV6 | UnixDatagram | UnixSeqpacket) => Some(Refusal::RecordOutput),
            _ => None,
        }
    }

    #[cold]
    pub(crate) fn error(self, operation: Operation, why: Why) -> Error {
        match why {
            Why::Refused(refusal) => Error::refused(operation, refusal),
            Why::Descriptor(errno) | Why::Position(errno) => Error::of_file(operation, errno),
            Why::Output(errno) => {
                let Sink { fd, socket } = self.sink();
                Error::of_kernel(fd, socket.unwrap_or(SocketKind::Other), operation, errno)
            }
        }
    }

    #[inline]
    pub(crate) fn sink(self) -> Sink<'fd> {
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

impl<'fd> TryFrom<&'fd OwnedFd> for Output<'fd> {
    type Error = Error;

    /// [Probes](Output::probe) a descriptor.
    fn try_from(fd: &'fd OwnedFd) -> Result<Self, Error> {
        Self::probe(fd)
    }
}

impl<'fd> TryFrom<&'fd Stdout> for Output<'fd> {
    type Error = Error;

    /// [Probes](Output::probe) standard output, which can be a socket. What std has buffered is not flushed.
    fn try_from(stdout: &'fd Stdout) -> Result<Self, Error> {
        Self::probe(stdout)
    }
}
