use std::os::fd::AsFd;
use std::{fmt, io};

use crate::platform::contract::{ErrorKind, Operation, Refusal};
use crate::platform::{self, Failure, RawErrno};
use crate::socket::Socket;

/// Why a call failed. It is eight bytes, `Copy`, `Send` and `Sync`.
///
/// Its [kind](Self::kind) means the same on both systems. The kernel's own errno is kept for logs. Converted
/// to an [`io::Error`] it has the kind's canonical errno, so that code that matches on `raw_os_error` or on
/// [`io::ErrorKind`] is portable too.
///
/// ```
/// use std::io;
/// use std::net::UdpSocket;
/// use unisend::{ErrorKind, SendFlags, Socket};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let udp = UdpSocket::bind("127.0.0.1:0")?;
/// let nowhere = "127.0.0.1:0".parse::<std::net::SocketAddr>()?.into();
///
/// let error = Socket::udp_v4(&udp).send_to(b"x", &nowhere, SendFlags::empty()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::AddressNotAvailable);
/// assert_eq!(error.raw_os_error(), None); // refused before the kernel was asked
/// assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AddrNotAvailable);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Error {
    operation: Operation,
    hides_count: bool,
    cause: Cause,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Cause {
    Kernel(ErrorKind, RawErrno),
    Refused(Refusal),
}

const _: () = assert!(size_of::<Error>() <= 16, "an error is to be returned in registers");

impl Error {
    /// What the kernel's failure means for this socket: the only place from which it is asked.
    #[cold]
    pub(crate) fn of_kernel(socket: &Socket<'_>, operation: Operation, errno: RawErrno) -> Self {
        let failure = Failure { errno, kind: socket.kind(), operation };
        let cause = platform::judge(socket.as_fd(), failure);
        Self {
            operation,
            hides_count: platform::hides_count(socket.kind(), cause.kind),
            cause: Cause::Kernel(cause.kind, cause.errno),
        }
    }

    /// A failure of which nothing has to be found out.
    #[cold]
    pub(crate) fn plain(operation: Operation, errno: RawErrno) -> Self {
        let cause = platform::plain_cause(errno);
        Self { operation, hides_count: false, cause: Cause::Kernel(cause.kind, cause.errno) }
    }

    /// A call that was refused before the kernel was asked.
    #[cold]
    pub(crate) fn refused(operation: Operation, refusal: Refusal) -> Self {
        Self { operation, hides_count: false, cause: Cause::Refused(refusal) }
    }

    /// The same failure, as that of the call that the user made.
    pub(crate) fn during(self, operation: Operation) -> Self {
        Self { operation, ..self }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::Kernel(kind, _) => kind,
            Cause::Refused(refusal) => refusal.kind(),
        }
    }

    /// The call that failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The kernel's own errno, which can differ from system to system; `None` if the call was refused before
    /// the kernel was asked. Where OpenBSD says `EPIPE` and keeps the reason pending on the socket (clause
    /// S8), it is the reason; that takes it away, so that a later `take_error` finds nothing.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        match self.cause {
            Cause::Kernel(_, errno) => Some(errno.number()),
            Cause::Refused(_) => None,
        }
    }

    /// Whether the other side went away, in any of the ways that the kernels have to say so: clauses S8, S9,
    /// S13, S14 and S17. Nothing more can be sent to this peer. It also says yes for a socket on which this
    /// side shut down sending (clause S7), which no kernel tells apart.
    #[must_use]
    pub fn peer_gone(&self) -> bool {
        use ErrorKind::{Aborted, Disconnected, Reset, TimedOut};

        matches!(self.kind(), Disconnected | Reset | TimedOut | Aborted)
    }

    /// Whether waiting for the socket to be writable and calling again can help: `WouldBlock` and
    /// `Connecting`.
    #[must_use]
    pub fn would_block(&self) -> bool {
        matches!(self.kind(), ErrorKind::WouldBlock | ErrorKind::Connecting)
    }

    /// Whether the failed call may have sent a part of the data all the same (clauses I5, A13): OpenBSD, on a
    /// hard error in the middle of a stream, does not say how much. Never send that data again on the same
    /// connection. Always `false` on Linux, which returns the count and fails the next call.
    #[must_use]
    pub fn may_have_sent(&self) -> bool {
        self.hides_count
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Refused(refusal) => write!(f, "{} refused: {}", self.operation, refusal.text()),
            Cause::Kernel(kind, errno) => {
                let (name, description) = errno.describe();
                write!(f, "{} failed: {kind:?} (errno {}", self.operation, errno.number())?;
                match name {
                    Some(name) => write!(f, ", {name:?}: {description})"),
                    None => write!(f, ": {description})"),
                }
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}, {self})", self.kind())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    /// An error with the kind's canonical errno or, for [`ErrorKind::Other`], the kernel's own.
    fn from(error: Error) -> Self {
        let errno = error.kind().canonical_errno().or(error.raw_os_error());
        errno.map_or_else(|| Self::other(error), Self::from_raw_os_error)
    }
}

/// Why a call that sends everything stopped, and how much was accepted before it did.
///
/// The first [`accepted`](Self::accepted) bytes of the data are on their way, and no others, unless
/// [`Error::may_have_sent`] says that the failed call may have sent more. Converted to an [`Error`] or an
/// [`io::Error`] it loses the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SendAllError {
    pub(crate) accepted: usize,
    pub(crate) error: Error,
}

impl SendAllError {
    /// How many bytes were accepted before the failure.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted
    }

    /// The failure.
    #[must_use]
    pub fn error(&self) -> Error {
        self.error
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

impl fmt::Display for SendAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {} bytes were accepted", self.error, self.accepted)
    }
}

impl std::error::Error for SendAllError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<SendAllError> for Error {
    fn from(error: SendAllError) -> Self {
        error.error
    }
}

impl From<SendAllError> for io::Error {
    fn from(error: SendAllError) -> Self {
        error.error.into()
    }
}
