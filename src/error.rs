use std::os::fd::BorrowedFd;
use std::{fmt, io};

use crate::platform::contract::{Errno, ErrorKind, Operation, Refusal, SocketKind};
use crate::platform::{Calls, Failure, Kernel, Native, RawErrno};

/// Why a call failed. It is small, `Copy`, `Send` and `Sync`.
///
/// Its [kind](Self::kind) means the same on both systems. The kernel's own errno is kept for logs.
///
/// An [`io::Error`] can be made of it. A kernel's failure becomes one with the kind's canonical errno, so that code
/// that matches on `raw_os_error` or on [`io::ErrorKind`] is portable too. A call that unisend refused becomes one
/// that holds this error and its text, with the same [`io::ErrorKind`]; its errno, for those who need one, is
/// [`ErrorKind::canonical_errno`].
///
/// ```
/// use std::io;
/// use std::net::UdpSocket;
/// use unisend::{ErrorKind, SendFlags, SocketRef};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let udp = UdpSocket::bind("127.0.0.1:0")?;
/// let nowhere = "127.0.0.1:0".parse::<std::net::SocketAddr>()?.into();
///
/// let error = SocketRef::udp_v4(&udp).send_to(b"x", &nowhere, SendFlags::empty()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::AddressNotAvailable);
/// assert_eq!(error.kernel_errno(), None); // unisend refused it
///
/// let error = io::Error::from(error);
/// assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
/// assert!(error.to_string().contains("port 0 is no destination"));
/// let error = error.downcast::<unisend::Error>()?; // and back again
/// assert_eq!(error.kind(), ErrorKind::AddressNotAvailable);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Error {
    /// The [`Parts`] in one integer, so that a call's result is returned in two registers, and a success
    /// costs no more than the count.
    packed: u64,
}

/// What an error is made of.
#[derive(Clone, Copy)]
struct Parts {
    kind: ErrorKind,
    operation: Operation,
    cause: Cause,
    hides_count: bool,
}

#[derive(Clone, Copy)]
enum Cause {
    Kernel(RawErrno),
    Refused(Refusal),
}

impl Parts {
    fn pack(self) -> Error {
        let (refused, detail) = match self.cause {
            Cause::Kernel(errno) => (false, errno.number()),
            Cause::Refused(refusal) => (true, i32::from(refusal as u8)),
        };
        let [a, b, c, d] = detail.to_ne_bytes();
        let bytes = [
            self.kind as u8,
            self.operation as u8,
            u8::from(refused),
            u8::from(self.hides_count),
            a,
            b,
            c,
            d,
        ];
        Error { packed: u64::from_ne_bytes(bytes) }
    }

    fn unpack(error: Error) -> Self {
        let [kind, operation, refused, hides_count, a, b, c, d] = error.packed.to_ne_bytes();
        let detail = i32::from_ne_bytes([a, b, c, d]);
        let cause = match refused {
            0 => Cause::Kernel(RawErrno::from_number(detail)),
            _ => Cause::Refused(Refusal::ALL[detail as usize]),
        };
        Self {
            kind: ErrorKind::ALL[usize::from(kind)],
            operation: Operation::ALL[usize::from(operation)],
            cause,
            hides_count: hides_count != 0,
        }
    }
}

impl Error {
    /// What the kernel's failure means for this socket: the only place from which it is asked.
    ///
    /// It takes what it needs by value: a reference would keep the socket in memory on the success path.
    #[cold]
    pub(crate) fn of_kernel(
        fd: BorrowedFd<'_>,
        kind: SocketKind,
        operation: Operation,
        errno: RawErrno,
    ) -> Self {
        let judged = Native::judge(Failure { errno, kind, operation }, Native::witness(&fd));
        let sends = operation != Operation::Receive;
        let hides_count = sends && Native::hides_count(kind, judged.kind);
        Parts { kind: judged.kind, operation, cause: Cause::Kernel(judged.errno), hides_count }.pack()
    }

    /// A failure of which nothing has to be found out.
    #[cold]
    pub(crate) fn plain(operation: Operation, errno: RawErrno) -> Self {
        let kind = Native::plain_meaning(errno);
        Parts { kind, operation, cause: Cause::Kernel(errno), hides_count: false }.pack()
    }

    /// A failure of a file.
    #[cold]
    pub(crate) fn of_file(operation: Operation, errno: RawErrno) -> Self {
        let kind = Native::meaning_for_file(errno);
        Parts { kind, operation, cause: Cause::Kernel(errno), hides_count: false }.pack()
    }

    /// A call that unisend refused.
    #[cold]
    pub(crate) fn refused(operation: Operation, refusal: Refusal) -> Self {
        Parts { kind: refusal.kind(), operation, cause: Cause::Refused(refusal), hides_count: false }.pack()
    }

    /// A time limit that has passed between two calls of a loop: what the kernel says when it passes in one.
    #[cold]
    pub(crate) fn time_limit(operation: Operation) -> Self {
        Self::plain(operation, Native::raw_errno(Errno::EAGAIN))
    }

    /// The same failure, as that of the call that the user made.
    pub(crate) fn during(self, operation: Operation) -> Self {
        Parts { operation, ..Parts::unpack(self) }.pack()
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        Parts::unpack(*self).kind
    }

    /// The call that failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        Parts::unpack(*self).operation
    }

    /// The kernel's own errno, which can differ from system to system: for logs. It is `None` if unisend refused the
    /// call, which then had no effect, or ended a loop (clause L4c). The errno that is the same on both systems is
    /// [`ErrorKind::canonical_errno`].
    ///
    /// Where OpenBSD says `EPIPE` and keeps the reason pending on the socket (clause S8), it is the reason. That takes
    /// it away, so that a later `take_error` finds nothing.
    #[must_use]
    pub fn kernel_errno(&self) -> Option<i32> {
        match Parts::unpack(*self).cause {
            Cause::Kernel(errno) => Some(errno.number()),
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
        Parts::unpack(*self).hides_count
    }
}

impl ErrorKind {
    /// The number that this system gives to the kind's canonical errno: what `raw_os_error` of the
    /// [`io::Error`] says. `None` for [`ErrorKind::Other`], whose errno is whatever the kernel gave.
    ///
    /// ```
    /// use unisend::ErrorKind;
    ///
    /// let refused = ErrorKind::Refused.canonical_errno().unwrap();
    /// let error = std::io::Error::from_raw_os_error(refused);
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    /// ```
    #[must_use]
    pub fn canonical_errno(self) -> Option<i32> {
        self.canonical().map(|name| Native::raw_errno(name).number())
    }
}

impl From<ErrorKind> for io::ErrorKind {
    /// What std makes of the kind's canonical errno on this system.
    fn from(kind: ErrorKind) -> Self {
        kind.canonical_errno().map_or(Self::Other, |errno| io::Error::from_raw_os_error(errno).kind())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { kind, operation, cause, .. } = Parts::unpack(*self);
        match cause {
            Cause::Refused(refusal) => write!(f, "{operation} refused: {}", refusal.text()),
            Cause::Kernel(errno) => write!(f, "{operation} failed: {kind}: {errno}"),
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
    /// Of a kernel's failure an error with the kind's canonical errno or, for [`ErrorKind::Other`], the kernel's own.
    /// Of a refusal an error that holds it: `get_ref` and `downcast` give it back.
    fn from(error: Error) -> Self {
        match error.kernel_errno() {
            Some(errno) => Self::from_raw_os_error(error.kind().canonical_errno().unwrap_or(errno)),
            None => Self::new(error.kind().into(), error),
        }
    }
}

/// Why a call that sends everything stopped, and how much was accepted before it did.
///
/// The first [`accepted`](Self::accepted) bytes of the data are on their way, and no others, unless
/// [`Error::may_have_sent`] says that the failed call may have sent more. Converted to an [`Error`] or an
/// [`io::Error`] it loses the count: take [`accepted`](Self::accepted) first.
///
/// `Count` is `u64` where it is a file that is sent, which can be longer than memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SendAllError<Count = usize> {
    pub(crate) accepted: Count,
    pub(crate) error: Error,
}

impl<Count: Copy + Default> SendAllError<Count> {
    /// A failure before anything was accepted.
    pub(crate) fn at_once(error: Error) -> Self {
        Self { accepted: Count::default(), error }
    }
}

impl<Count: Copy> SendAllError<Count> {
    /// How many bytes were accepted before the failure.
    #[must_use]
    pub fn accepted(&self) -> Count {
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

    /// Whether waiting for the socket to be writable and going on can help: see [`Error::would_block`].
    #[must_use]
    pub fn would_block(&self) -> bool {
        self.error.would_block()
    }

    /// Whether the other side went away: see [`Error::peer_gone`].
    #[must_use]
    pub fn peer_gone(&self) -> bool {
        self.error.peer_gone()
    }

    /// Whether more than was accepted may have been sent: see [`Error::may_have_sent`].
    #[must_use]
    pub fn may_have_sent(&self) -> bool {
        self.error.may_have_sent()
    }
}

impl<Count: fmt::Display> fmt::Display for SendAllError<Count> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {} bytes were accepted", self.error, self.accepted)
    }
}

/// It has no source: its text says what [`error`](SendAllError::error) says.
impl<Count: fmt::Debug + fmt::Display> std::error::Error for SendAllError<Count> {}

impl<Count> From<SendAllError<Count>> for Error {
    fn from(error: SendAllError<Count>) -> Self {
        error.error
    }
}

impl<Count> From<SendAllError<Count>> for io::Error {
    fn from(error: SendAllError<Count>) -> Self {
        error.error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: ErrorKind) -> Error {
        Parts {
            kind,
            operation: Operation::Send,
            cause: Cause::Kernel(Native::raw_errno(Errno::EAGAIN)),
            hides_count: false,
        }
        .pack()
    }

    /// Of every kind: what those rely on who go on, or give up.
    #[test]
    fn s8_what_says_that_the_peer_is_gone_and_what_that_waiting_helps() {
        use ErrorKind::{Aborted, Connecting, Disconnected, Reset, TimedOut, WouldBlock};

        for &kind in ErrorKind::ALL {
            let error = of(kind);
            let stopped = SendAllError { accepted: 7, error };
            let gone = [Disconnected, Reset, TimedOut, Aborted].contains(&kind);
            assert_eq!((error.peer_gone(), stopped.peer_gone()), (gone, gone), "{kind}");
            let waits = [WouldBlock, Connecting].contains(&kind);
            assert_eq!((error.would_block(), stopped.would_block()), (waits, waits), "{kind}");
            assert_eq!((error.kind(), stopped.kind()), (kind, kind));
        }
    }

    /// Every part comes out as it went in, whatever the others are.
    #[test]
    fn an_error_keeps_all_its_parts() {
        for &kind in ErrorKind::ALL {
            for &operation in Operation::ALL {
                for hides_count in [false, true] {
                    let kernels =
                        [0, 1, -1, 512, i32::MAX].map(|number| Cause::Kernel(RawErrno::from_number(number)));
                    let refused = Refusal::ALL.iter().map(|&refusal| Cause::Refused(refusal));
                    for cause in kernels.into_iter().chain(refused) {
                        let error = Parts { kind, operation, cause, hides_count }.pack();
                        assert_eq!((error.kind(), error.operation()), (kind, operation));
                        let errno = match cause {
                            Cause::Kernel(errno) => Some(errno.number()),
                            Cause::Refused(_) => None,
                        };
                        assert_eq!((error.kernel_errno(), error.may_have_sent()), (errno, hides_count));
                        let stopped = SendAllError { accepted: 7, error };
                        assert_eq!((stopped.may_have_sent(), stopped.accepted()), (hides_count, 7));
                        let renamed = error.during(Operation::Probe);
                        assert_eq!(renamed.operation(), Operation::Probe);
                        assert_eq!((renamed.kind(), renamed.kernel_errno()), (kind, errno));
                    }
                }
            }
        }
    }
}
