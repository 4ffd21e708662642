use std::fmt;

use super::Errno;

/// What went wrong, told apart by what a caller can do about it. It means the same on both systems.
///
/// Each kind has one canonical errno, which [`io::Error::from`](std::io::Error::from) gives, so that code that
/// matches on `raw_os_error` is portable too. The whole table, with each system's own errnos, is in
/// [the contract](https://docs.rs/crate/unisend/latest/source/docs/contract.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ErrorKind {
    /// There is no room now (or, receiving, no data), and waiting was not wanted or lasted too long
    /// (`SO_SNDTIMEO`). The system call that said so accepted nothing. It can be said although poll says writable
    /// (clauses B3, B5, R13), and on OpenBSD when two threads send on one socket (B10): poll again, retry.
    WouldBlock,
    /// A TCP socket whose connection is still being made (clause S3), or that a send with Linux's
    /// `TCP_FASTOPEN_CONNECT` has just begun to make (S3c; `EINPROGRESS`, `EALREADY`). As an
    /// [`io::Error`](std::io::Error) it is a "would block", but waiting for it may never end: give it a time limit.
    Connecting,
    /// A signal came before anything was accepted (clause I2). Call again.
    Interrupted,
    /// The socket was never connected, or is listening (clauses S1, S2, S12).
    NotConnected,
    /// The peer is gone, or this side has shut down sending (clauses S7, S9, S13, S14, S20).
    Disconnected,
    /// The peer went away and dropped what it had not read (clauses S8, S9, S17).
    Reset,
    /// Nobody listens there: a connection was refused (clause S5), an earlier datagram was (clause S19), or
    /// a unix path is not one of a living socket (clause A10).
    Refused,
    /// The connection was given up for want of an answer (`ETIMEDOUT`).
    TimedOut,
    /// The connection was ended on this side, by the network stack (`ECONNABORTED`, `ENETRESET`).
    Aborted,
    /// A datagram socket without a peer, and no destination given (clauses S16, S18).
    DestinationRequired,
    /// A destination given on a socket that has a peer (clause A4; OpenBSD's datagram sockets).
    AlreadyConnected,
    /// A message longer than this socket, or its receiver, can ever take (clauses B1, B2).
    MessageTooLong,
    /// More than [`limits::SLICES_PER_MESSAGE`](crate::limits::SLICES_PER_MESSAGE) slices in one message
    /// (clause L5).
    TooManySlices,
    /// More than [`limits::BYTES_PER_CALL`](crate::limits::BYTES_PER_CALL) bytes in one call (clauses L1 to
    /// L3).
    LengthOverflow,
    /// A record of no bytes, which OpenBSD never shows to the receiver and which on Linux looks like the end
    /// of file (clause B7).
    EmptyRecord,
    /// More than [`limits::DESCRIPTORS_PER_MESSAGE`](crate::limits::DESCRIPTORS_PER_MESSAGE) descriptors in one
    /// message (clause L11).
    TooManyDescriptors,
    /// Descriptors without a byte to go with on a stream: Linux drops them in silence, and OpenBSD delivers what looks
    /// like end of file (clause R3).
    DescriptorsWithoutData,
    /// The limit on descriptors that were sent and not yet received was met: the user's on Linux
    /// (`ETOOMANYREFS`), the whole system's on OpenBSD (`EMFILE`; clause R10). Others fill it too: retry later.
    DescriptorsInFlight,
    /// Descriptors that came with a record could not be received, and the kernel took the record too (clauses
    /// R20, R22; OpenBSD alone).
    DescriptorsLost,
    /// The kernel is out of network buffers (`ENOBUFS`, but not from a unix socket on OpenBSD, whose
    /// receiver is full: that is [`WouldBlock`](Self::WouldBlock)). Retry later.
    NoBufferSpace,
    /// The kernel is out of memory (`ENOMEM`).
    OutOfMemory,
    /// No way to that host: no route, a rejecting route, or no answer on the link (clauses I8, I8b; `EHOSTUNREACH`,
    /// `ENETUNREACH`, `EHOSTDOWN`, Linux's `EINVAL` on UDP: the kernels do not agree on which, so it is one kind).
    Unreachable,
    /// The interface is down (`ENETDOWN`).
    NetworkDown,
    /// An address that cannot be sent to: port 0, the unspecified address, an IPv4-mapped IPv6 address
    /// (clauses A5, A7, A8).
    AddressNotAvailable,
    /// An address of another family than the socket's (clauses A5, A8), or abstract names on OpenBSD.
    AddressFamily,
    /// Refused by permissions, a packet filter or the receiver (clauses A10 to A12; `EACCES`, `EPERM`).
    PermissionDenied,
    /// No such path (`ENOENT`, `ENOTDIR`; clause A10).
    NotFound,
    /// A path that cannot be followed or is too long (`ELOOP`, `ENAMETOOLONG`).
    BadPath,
    /// The path is of a socket of another type (`EPROTOTYPE`; clause A10).
    WrongSocketType,
    /// The descriptor is not a socket.
    NotSocket,
    /// The descriptor is not open, or not for this (`EBADF`).
    BadDescriptor,
    /// This socket, or this system, cannot do that: a flag (clauses F1 to F3), an option, a call (`EOPNOTSUPP`,
    /// `ENOPROTOOPT`, `ENOSYS`).
    Unsupported,
    /// An argument that the kernel cannot use (`EINVAL`, `EFAULT`), or a file that has no offsets, or not such
    /// ones (`ESPIPE`, `EOVERFLOW`; clauses X4, X7, X9).
    InvalidInput,
    /// An input or output error below the socket (`EIO`).
    Io,
    /// An errno that the contract has no word for: see [`Error::kernel_errno`](crate::Error::kernel_errno). Without
    /// an errno it is what ends a loop that the kernel neither moves on nor fails (clause L4c).
    Other,
}

/// One row of the table kind, canonical errno, errnos that mean it.
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    pub(crate) canonical: Errno,
    /// The errnos that mean this kind, whatever the socket; what depends on the socket is each kernel's.
    pub(crate) errnos: &'static [Errno],
}

const fn meaning(kind: ErrorKind, canonical: Errno, errnos: &'static [Errno]) -> Meaning {
    Meaning { kind, canonical, errnos }
}

/// The table, in the order of [`ErrorKind`]. `Other` has no row: its errno is its own canonical one.
pub(crate) const MEANINGS: &[Meaning] = {
    use Errno::*;
    use ErrorKind::*;
    &[
        meaning(WouldBlock, EAGAIN, &[EAGAIN]),
        meaning(Connecting, EAGAIN, &[EALREADY, EINPROGRESS]),
        meaning(Interrupted, EINTR, &[EINTR, ERESTARTSYS]),
        meaning(NotConnected, ENOTCONN, &[ENOTCONN]),
        meaning(Disconnected, EPIPE, &[EPIPE]),
        meaning(Reset, ECONNRESET, &[ECONNRESET]),
        meaning(Refused, ECONNREFUSED, &[ECONNREFUSED]),
        meaning(TimedOut, ETIMEDOUT, &[ETIMEDOUT]),
        meaning(Aborted, ECONNABORTED, &[ECONNABORTED, ENETRESET]),
        meaning(DestinationRequired, EDESTADDRREQ, &[EDESTADDRREQ]),
        meaning(AlreadyConnected, EISCONN, &[EISCONN]),
        meaning(MessageTooLong, EMSGSIZE, &[EMSGSIZE]),
        meaning(TooManySlices, EMSGSIZE, &[]),
        meaning(LengthOverflow, EINVAL, &[]),
        meaning(EmptyRecord, EINVAL, &[]),
        meaning(TooManyDescriptors, E2BIG, &[E2BIG]),
        meaning(DescriptorsWithoutData, EINVAL, &[]),
        meaning(DescriptorsInFlight, EMFILE, &[EMFILE, ETOOMANYREFS]),
        meaning(DescriptorsLost, EMSGSIZE, &[]),
        meaning(NoBufferSpace, ENOBUFS, &[ENOBUFS]),
        meaning(OutOfMemory, ENOMEM, &[ENOMEM]),
        meaning(Unreachable, EHOSTUNREACH, &[EHOSTUNREACH, ENETUNREACH, EHOSTDOWN]),
        meaning(NetworkDown, ENETDOWN, &[ENETDOWN]),
        meaning(AddressNotAvailable, EADDRNOTAVAIL, &[EADDRNOTAVAIL]),
        meaning(AddressFamily, EAFNOSUPPORT, &[EAFNOSUPPORT]),
        meaning(PermissionDenied, EACCES, &[EACCES, EPERM]),
        meaning(NotFound, ENOENT, &[ENOENT, ENOTDIR]),
        meaning(BadPath, ELOOP, &[ELOOP, ENAMETOOLONG]),
        meaning(WrongSocketType, EPROTOTYPE, &[EPROTOTYPE]),
        meaning(NotSocket, ENOTSOCK, &[ENOTSOCK]),
        meaning(BadDescriptor, EBADF, &[EBADF]),
        meaning(Unsupported, EOPNOTSUPP, &[EOPNOTSUPP, ENOPROTOOPT, ENOSYS]),
        meaning(InvalidInput, EINVAL, &[EINVAL, EFAULT, ESPIPE, EOVERFLOW]),
        meaning(Io, EIO, &[EIO]),
    ]
};

impl ErrorKind {
    /// Every kind that there is, in no order that means anything.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        Self::ALL.iter().copied()
    }

    /// All of them, in order: the first is 0.
    pub(crate) const ALL: &'static [Self] = &[
        Self::WouldBlock,
        Self::Connecting,
        Self::Interrupted,
        Self::NotConnected,
        Self::Disconnected,
        Self::Reset,
        Self::Refused,
        Self::TimedOut,
        Self::Aborted,
        Self::DestinationRequired,
        Self::AlreadyConnected,
        Self::MessageTooLong,
        Self::TooManySlices,
        Self::LengthOverflow,
        Self::EmptyRecord,
        Self::TooManyDescriptors,
        Self::DescriptorsWithoutData,
        Self::DescriptorsInFlight,
        Self::DescriptorsLost,
        Self::NoBufferSpace,
        Self::OutOfMemory,
        Self::Unreachable,
        Self::NetworkDown,
        Self::AddressNotAvailable,
        Self::AddressFamily,
        Self::PermissionDenied,
        Self::NotFound,
        Self::BadPath,
        Self::WrongSocketType,
        Self::NotSocket,
        Self::BadDescriptor,
        Self::Unsupported,
        Self::InvalidInput,
        Self::Io,
        Self::Other,
    ];

    /// What an errno means by itself, without a look at the socket.
    pub(crate) fn of(errno: Errno) -> Self {
        MEANINGS.iter().find(|row| row.errnos.contains(&errno)).map_or(Self::Other, |row| row.kind)
    }

    /// The errno that stands for this kind; none for [`ErrorKind::Other`].
    pub(crate) fn canonical(self) -> Option<Errno> {
        MEANINGS.iter().find(|row| row.kind == self).map(|row| row.canonical)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
