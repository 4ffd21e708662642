use std::os::fd::BorrowedFd;
use std::{fmt, io};

use crate::platform::contract::{Errno, ErrorKind, Operation, Refusal, SocketKind};
use crate::platform::{Calls, Failure, Kernel, Native, RawErrno};

/// The error of a call.
///
/// Its [kind](Self::kind) means the same on both systems. The kernel's own errno is kept for logs.
///
/// It converts to an [`io::Error`]. A failure of the kernel becomes one with the canonical errno of the kind,
/// so that code that matches on `raw_os_error` or on [`io::ErrorKind`] is portable too. A call that unisend
/// refused becomes one that holds this error and its text, with the same [`io::ErrorKind`]. It has no errno;
/// a program that needs one calls [`ErrorKind::canonical_errno`].
///
/// # Examples
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
/// assert!(error.to_string().contains("port 0 is not a destination"));
/// let error = error.downcast::<unisend::Error>()?; // converts back
/// assert_eq!(error.kind(), ErrorKind::AddressNotAvailable);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Error {
    /// The [`Parts`] in one integer, so that the result of a call is returned in two registers, and a success
    /// costs no more than the count.
    packed: u64,
}

/// The parts of an error.
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
    /// Asks the kernel module what a failure means for this socket. Nothing else asks it.
    ///
    /// The arguments are values: a reference would keep the socket in memory on the success path.
    #[cold]
    pub(crate) fn of_kernel(
        fd: BorrowedFd<'_>,
        kind: SocketKind,
        operation: Operation,
        errno: RawErrno,
    ) -> Self {
        let judged = Native::judge(Failure { errno, kind, operation }, Native::witness(&fd));
        let hides_count = operation.can_send_a_part() && Native::hides_count(kind, judged.kind);
        Parts { kind: judged.kind, operation, cause: Cause::Kernel(judged.errno), hides_count }.pack()
    }

    /// Creates the error of a failure whose errno has its plain meaning.
    #[cold]
    pub(crate) fn plain(operation: Operation, errno: RawErrno) -> Self {
        Self::of_meaning(operation, errno, Native::plain_meaning(errno))
    }

    /// Creates the error of a call that made no descriptor.
    #[cold]
    pub(crate) fn of_new_descriptor(operation: Operation, errno: RawErrno) -> Self {
        Self::of_meaning(operation, errno, Native::meaning_for_new_descriptor(errno))
    }

    /// Creates the error of a call that received no urgent byte.
    #[cold]
    pub(crate) fn of_urgent(operation: Operation, errno: RawErrno) -> Self {
        Self::of_meaning(operation, errno, Native::meaning_for_urgent(errno))
    }

    /// Creates the error of a failure of a file.
    #[cold]
    pub(crate) fn of_file(operation: Operation, errno: RawErrno) -> Self {
        Self::of_meaning(operation, errno, Native::meaning_for_file(errno))
    }

    fn of_meaning(operation: Operation, errno: RawErrno, kind: ErrorKind) -> Self {
        Parts { kind, operation, cause: Cause::Kernel(errno), hides_count: false }.pack()
    }

    /// Creates the error of a call that unisend refused.
    #[cold]
    pub(crate) fn refused(operation: Operation, refusal: Refusal) -> Self {
        Parts { kind: refusal.kind(), operation, cause: Cause::Refused(refusal), hides_count: false }.pack()
    }

    /// Creates the error of a time limit that passed between two calls of a loop. It is the kernel's error
    /// for one that passes within a call.
    #[cold]
    pub(crate) fn time_limit(operation: Operation) -> Self {
        Self::plain(operation, Native::raw_errno(Errno::EAGAIN))
    }

    /// Returns the same failure with another meaning, which follows from what came before it.
    #[cold]
    pub(crate) fn meaning(self, kind: ErrorKind) -> Self {
        Parts { kind, ..Parts::unpack(self) }.pack()
    }

    /// Returns the same failure, as that of the call that the user made.
    pub(crate) fn during(self, operation: Operation) -> Self {
        Parts { operation, ..Parts::unpack(self) }.pack()
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        Parts::unpack(*self).kind
    }

    /// Returns the call that failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        Parts::unpack(*self).operation
    }

    /// Returns the kernel's own errno, for logs.
    ///
    /// It can differ from system to system. The errno that is the same on both is
    /// [`ErrorKind::canonical_errno`]. It is `None` if unisend refused the call, which then had no effect, or
    /// ended a loop (clause L4c).
    ///
    /// If OpenBSD returns `EPIPE` and keeps the reason pending on the socket (clause S8), this is the reason.
    /// Reading it takes it from the socket, so that a later `take_error` finds none.
    #[must_use]
    pub fn kernel_errno(&self) -> Option<i32> {
        match Parts::unpack(*self).cause {
            Cause::Kernel(errno) => Some(errno.number()),
            Cause::Refused(_) => None,
        }
    }

    /// Returns `true` if the peer is gone, whichever way the kernel reports it (clauses S8, S9, S13, S14,
    /// S17).
    ///
    /// Nothing more can be sent to this peer. It is also `true` after this side has shut sending down
    /// (clauses S7, S20), which no kernel tells apart.
    #[must_use]
    pub fn peer_gone(&self) -> bool {
        use ErrorKind::{Aborted, Disconnected, Reset, TimedOut};

        matches!(self.kind(), Disconnected | Reset | TimedOut | Aborted)
    }

    /// Returns `true` for `WouldBlock` and `Connecting`: it can help to wait until the socket is writable and
    /// call again.
    #[must_use]
    pub fn would_block(&self) -> bool {
        matches!(self.kind(), ErrorKind::WouldBlock | ErrorKind::Connecting)
    }

    /// Returns `true` if the failed call may have sent a part of the data (clauses I5, A13).
    ///
    /// After a hard error in the middle of a stream, OpenBSD does not report how much was accepted. Never
    /// send that data again on the same connection. It is always `false` on Linux, which returns the count
    /// and fails the next call.
    #[must_use]
    pub fn may_have_sent(&self) -> bool {
        Parts::unpack(*self).hides_count
    }
}

impl ErrorKind {
    /// Returns the number of the kind's canonical errno on this system.
    ///
    /// It is the `raw_os_error` of an [`io::Error`] that was made of a kernel's failure. It is `None` for
    /// [`ErrorKind::Other`], whose errno is the one that the kernel returned.
    ///
    /// # Examples
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
    /// Returns what std makes of the kind's canonical errno on this system.
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
    /// Converts a failure of the kernel into an error with the canonical errno of its kind or, for
    /// [`ErrorKind::Other`], with the kernel's own. Converts a refusal into an error that holds it: `get_ref`
    /// and `downcast` give it back.
    fn from(error: Error) -> Self {
        match error.kernel_errno() {
            Some(errno) => Self::from_raw_os_error(error.kind().canonical_errno().unwrap_or(errno)),
            None => Self::new(error.kind().into(), error),
        }
    }
}

/// The error of a call that sends everything, with the number of bytes that were accepted before it, or of
/// [datagrams](crate::SocketRef::send_batch).
///
/// The first [`accepted`](Self::accepted) bytes of the data were sent, and no others, unless
/// [`Error::may_have_sent`] says that the failed call may have sent more. A conversion to [`Error`] or
/// [`io::Error`] loses the count: read [`accepted`](Self::accepted) first.
///
/// `Count` is `u64` for a file, which can be longer than memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SendAllError<Count = usize> {
    pub(crate) accepted: Count,
    pub(crate) error: Error,
}

impl<Count: Copy + Default> SendAllError<Count> {
    /// Creates the error of a failure before anything was accepted.
    pub(crate) fn at_once(error: Error) -> Self {
        Self { accepted: Count::default(), error }
    }
}

impl<Count: Copy> SendAllError<Count> {
    /// Returns the number of bytes that were accepted before the failure, or of the datagrams of a
    /// [batch](crate::SocketRef::send_batch).
    #[must_use]
    pub fn accepted(&self) -> Count {
        self.accepted
    }

    /// Returns the failure.
    #[must_use]
    pub fn error(&self) -> Error {
        self.error
    }

    /// Returns the kind of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    /// Returns `true` if it can help to wait until the socket is writable and to send the rest: see
    /// [`Error::would_block`].
    #[must_use]
    pub fn would_block(&self) -> bool {
        self.error.would_block()
    }

    /// Returns `true` if the peer is gone: see [`Error::peer_gone`].
    #[must_use]
    pub fn peer_gone(&self) -> bool {
        self.error.peer_gone()
    }

    /// Returns `true` if more than [`accepted`](Self::accepted) bytes may have been sent: see
    /// [`Error::may_have_sent`].
    #[must_use]
    pub fn may_have_sent(&self) -> bool {
        self.error.may_have_sent()
    }
}

impl<Count: fmt::Display> fmt::Display for SendAllError<Count> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.error.operation() {
            Operation::SendBatch => "datagrams",
            _ => "bytes",
        };
        write!(f, "{}, after {} {what} were accepted", self.error, self.accepted)
    }
}

/// It has no source, because its text includes that of [`error`](SendAllError::error).
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

    /// For every kind, so that a caller can rely on it to go on or to give up.
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

    /// Each part is unpacked as it was packed, with any other parts.
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
