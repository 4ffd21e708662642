use std::fmt;

use super::Errno;

/// The kind of an error, by what a caller can do about it. It means the same on both systems.
///
/// Each kind has one canonical errno, which [`io::Error::from`](std::io::Error::from) uses, so that code that
/// matches on `raw_os_error` is portable too. [The
/// contract](https://docs.rs/crate/unisend/latest/source/docs/contract.md) has the whole table, with the
/// errnos of each system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ErrorKind {
    /// There is no room now (when receiving, no data), and the call does not wait, or `SO_SNDTIMEO` has
    /// passed.
    ///
    /// The system call accepted nothing. It can fail so although poll(2) says "writable" (clauses B3, B5,
    /// R13), and on OpenBSD when two threads send on one socket (clause B10). Poll again, and retry.
    WouldBlock,
    /// The TCP connection is still being made (clause S3), or the send has just begun to make it, with
    /// Linux's `TCP_FASTOPEN_CONNECT` (clause S3c; `EINPROGRESS`, `EALREADY`).
    ///
    /// As an [`io::Error`](std::io::Error) it is a "would block". Waiting for the connection may never end:
    /// set a time limit.
    Connecting,
    /// A signal arrived before anything was accepted (clause I2). Call again.
    Interrupted,
    /// The socket was never connected, or is listening (clauses S1, S2, S12).
    NotConnected,
    /// The peer is gone, or this side has shut sending down (clauses S7, S9, S13, S14, S20).
    Disconnected,
    /// The peer is gone, and dropped data that it had not read (clauses S8, S9, S17).
    Reset,
    /// Nobody listens at the address: a connection was refused (clause S5), an earlier datagram was refused
    /// (clause S19), a unix path is not that of a living socket (clauses A10, K3), or the queue of the listener is full
    /// (clause K5).
    Refused,
    /// The connection was given up because the peer did not answer (`ETIMEDOUT`).
    TimedOut,
    /// The network stack of this side ended the connection (`ECONNABORTED`, `ENETRESET`).
    Aborted,
    /// A datagram socket has no peer, and no address was given (clauses S16, S18).
    DestinationRequired,
    /// An address was given on a datagram socket that has a peer (OpenBSD; clause A4).
    AlreadyConnected,
    /// A message is longer than the socket's limit (clauses B1, B2), or never fits into the send buffer
    /// beside its descriptors (clause R13b).
    MessageTooLong,
    /// One message has more than [`limits::SLICES_PER_MESSAGE`](crate::limits::SLICES_PER_MESSAGE) slices
    /// (clause L5).
    TooManySlices,
    /// One call has more than [`limits::BYTES_PER_CALL`](crate::limits::BYTES_PER_CALL) bytes (clauses L1 to
    /// L3).
    LengthOverflow,
    /// A record has no bytes. OpenBSD never shows it to the receiver, and on Linux it looks like the end of
    /// file (clause B7).
    EmptyRecord,
    /// One message has more than [`limits::DESCRIPTORS_PER_MESSAGE`](crate::limits::DESCRIPTORS_PER_MESSAGE)
    /// descriptors (clause L11).
    TooManyDescriptors,
    /// A message on a stream has descriptors and no byte. Linux would drop the descriptors without an error,
    /// and on OpenBSD the message would look like the end of file (clause R3).
    DescriptorsWithoutData,
    /// Too many descriptors are in flight, which means sent and not yet received (clause R10).
    ///
    /// The limit is that of the user on Linux (`ETOOMANYREFS`), and that of the whole system on OpenBSD
    /// (`EMFILE`). Other processes count too: retry later.
    DescriptorsInFlight,
    /// The descriptors of a record could not be received, and the kernel dropped the record too (OpenBSD;
    /// clauses R20, R22b).
    DescriptorsLost,
    /// This process has no room for another descriptor (`EMFILE`), or the system has none (`ENFILE`; clause K8). Close
    /// some, and retry.
    TooManyOpenFiles,
    /// The kernel has no network buffers left (`ENOBUFS`). Retry later.
    ///
    /// `ENOBUFS` from a unix socket on OpenBSD means that the receiver is full, and is
    /// [`WouldBlock`](Self::WouldBlock).
    NoBufferSpace,
    /// The kernel has no memory left (`ENOMEM`).
    OutOfMemory,
    /// The host cannot be reached: there is no route, a route rejects it, or nothing answers on the link
    /// (clauses I8, I8b).
    ///
    /// The kernels do not agree on the errno, so `EHOSTUNREACH`, `ENETUNREACH`, `EHOSTDOWN`, Linux's `EINVAL`
    /// on UDP and OpenBSD's `EADDRNOTAVAIL` on UDP are one kind.
    Unreachable,
    /// The network interface is down (`ENETDOWN`).
    NetworkDown,
    /// The address cannot be sent to: port 0, the unspecified address, or an IPv4-mapped IPv6 address that was
    /// not made by [`Address::v4_mapped`](crate::Address::v4_mapped) (clauses A5, A7, A8).
    AddressNotAvailable,
    /// Something has this path or this name already (clause K2). A path is not free when its socket is closed: remove it.
    AddressInUse,
    /// The address is of another family than the socket (clauses A5, A8, O2), or is an abstract name or an
    /// IPv4-mapped address on OpenBSD (clauses A6c, A8b).
    AddressFamily,
    /// Permissions, a packet filter or the receiver forbid it (`EACCES`, `EPERM`; clauses A10 to A13).
    PermissionDenied,
    /// The path does not exist (`ENOENT`, `ENOTDIR`; clause A10).
    NotFound,
    /// The path cannot be followed, or is too long (`ELOOP`, `ENAMETOOLONG`).
    BadPath,
    /// The path is that of a socket of another type (`EPROTOTYPE`; clause A10).
    WrongSocketType,
    /// The descriptor is not a socket (`ENOTSOCK`; clause G3).
    NotSocket,
    /// The descriptor is not open, or is not open for this use (`EBADF`; clause X6).
    BadDescriptor,
    /// This socket or this system does not support a flag (clauses F1 to F4b), an option or a call
    /// (`EOPNOTSUPP`, `ENOPROTOOPT`, `ENOSYS`).
    Unsupported,
    /// The kernel cannot use an argument (`EINVAL`, `EFAULT`), or a file has no offsets, or no such offset
    /// (`ESPIPE`, `EOVERFLOW`; clauses X4, X7, X9).
    InvalidInput,
    /// An input or output error below the socket (`EIO`).
    Io,
    /// An errno that the contract does not name: see [`Error::kernel_errno`](crate::Error::kernel_errno).
    ///
    /// Without an errno, the kernel accepted no byte in a loop, or a part of a datagram or record, and returned
    /// no error (clause L4c).
    Other,
}

/// A row of the table: a kind, its canonical errno, and the errnos that mean it.
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    pub(crate) canonical: Errno,
    /// The errnos that mean this kind on any socket. Those that depend on the socket are in each kernel's
    /// `verdict.rs`.
    pub(crate) errnos: &'static [Errno],
}

const fn meaning(kind: ErrorKind, canonical: Errno, errnos: &'static [Errno]) -> Meaning {
    Meaning { kind, canonical, errnos }
}

/// The table, in the order of [`ErrorKind`]. `Other` has no row, because its errno is the kernel's own.
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
        meaning(TooManyOpenFiles, EMFILE, &[ENFILE]),
        meaning(NoBufferSpace, ENOBUFS, &[ENOBUFS]),
        meaning(OutOfMemory, ENOMEM, &[ENOMEM]),
        meaning(Unreachable, EHOSTUNREACH, &[EHOSTUNREACH, ENETUNREACH, EHOSTDOWN]),
        meaning(NetworkDown, ENETDOWN, &[ENETDOWN]),
        meaning(AddressNotAvailable, EADDRNOTAVAIL, &[EADDRNOTAVAIL]),
        meaning(AddressInUse, EADDRINUSE, &[EADDRINUSE]),
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
    /// Returns an iterator over all kinds. The order has no meaning.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        Self::ALL.iter().copied()
    }

    /// Returns whether this is an error that can be pending on a TCP connection, which it ended.
    pub(crate) const fn ends_a_connection(self) -> bool {
        use ErrorKind::{Aborted, NetworkDown, Refused, Reset, TimedOut, Unreachable};

        matches!(self, Reset | Refused | TimedOut | Aborted | Unreachable | NetworkDown)
    }

    /// All kinds, in order: the first is 0.
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
        Self::TooManyOpenFiles,
        Self::NoBufferSpace,
        Self::OutOfMemory,
        Self::Unreachable,
        Self::NetworkDown,
        Self::AddressNotAvailable,
        Self::AddressInUse,
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

    /// Returns the kind that an errno means on any socket.
    pub(crate) fn of(errno: Errno) -> Self {
        MEANINGS.iter().find(|row| row.errnos.contains(&errno)).map_or(Self::Other, |row| row.kind)
    }

    /// Returns the canonical errno of the kind, or `None` for [`ErrorKind::Other`].
    pub(crate) fn canonical(self) -> Option<Errno> {
        MEANINGS.iter().find(|row| row.kind == self).map(|row| row.canonical)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
