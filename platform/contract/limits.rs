//! What one call can take, the same on both systems: where the kernels differ, the smaller number.

/// The most data slices one message can have (clause L5): `IOV_MAX`, 1024 on both systems.
///
/// [`SocketRef::send_vectored`](crate::SocketRef::send_vectored) refuses more with
/// [`ErrorKind::TooManySlices`](crate::ErrorKind::TooManySlices), as both kernels do.
pub const SLICES_PER_MESSAGE: usize = 1024;

/// The most bytes one call can be asked to send (clauses L1 to L3): `SSIZE_MAX`.
///
/// OpenBSD refuses more; Linux clamps silently. unisend refuses, with
/// [`ErrorKind::LengthOverflow`](crate::ErrorKind::LengthOverflow). A call may accept far less: Linux never
/// takes more than 0x7fff_f000 bytes at once (clause L4).
pub const BYTES_PER_CALL: usize = isize::MAX as usize;

/// The most descriptors that one message can carry (clause L11), on both systems.
///
/// Linux takes 253. OpenBSD takes 127 on 64 bits, but can say `EAGAIN` for 127 and deliver them all the same.
pub const DESCRIPTORS_PER_MESSAGE: usize = 126;

/// The most bytes that one call of [`sendfile`](crate::sendfile()) sends, on both systems (clause X5): Linux's limit
/// for any call. A range that is longer is no error, and gives a short count.
pub const BYTES_PER_SENDFILE: u64 = 0x7fff_f000;

/// The largest offset that a file can have, and the most at which a range may end (clause X4).
pub const FILE_OFFSET: u64 = i64::MAX as u64;

/// The longest path of a unix socket, in bytes without the terminating NUL (clause A6).
///
/// OpenBSD has room for 104 bytes and wants a NUL among them; Linux has room for 108. The smaller holds on
/// both, so that a path that works on one system works on the other.
pub const UNIX_PATH_BYTES: usize = 103;

/// The longest abstract name, in bytes without the leading NUL (clause A6). Linux alone has abstract names.
pub const ABSTRACT_NAME_BYTES: usize = 107;
