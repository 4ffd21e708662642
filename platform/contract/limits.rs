//! Limits of one call, the same on both systems. If the kernels differ, the limit is the lower one.

/// The maximum number of slices in one message (clause L5): `IOV_MAX`, which is 1024 on both systems.
///
/// [`SocketRef::send_vectored`](crate::SocketRef::send_vectored) refuses more slices with
/// [`ErrorKind::TooManySlices`](crate::ErrorKind::TooManySlices), as both kernels do.
pub const SLICES_PER_MESSAGE: usize = 1024;

/// The maximum number of bytes that one call can be asked to send (clauses L1 to L3): `SSIZE_MAX`.
///
/// More are refused with [`ErrorKind::LengthOverflow`](crate::ErrorKind::LengthOverflow). OpenBSD would
/// refuse them too. Linux would clamp the length without an error in some calls, and refuse it in others. A call can accept much less: Linux
/// never accepts more than 0x7fff_f000 bytes at once (clause L4).
pub const BYTES_PER_CALL: usize = isize::MAX as usize;

/// The maximum number of datagrams that one system call of a batch sends or receives (clauses D3, D5).
///
/// Both kernels would take 1024. The headers of a call are on the stack.
pub const DATAGRAMS_PER_CALL: usize = 64;

/// The maximum number of segments that one system call of [`Segments`](crate::Segments) sends (clause D10): Linux's
/// limit before 6.10, which made it 128.
pub const SEGMENTS_PER_CALL: usize = 64;

/// The maximum number of bytes in a UDP datagram over IPv4 (clause B1).
pub const DATAGRAM_BYTES: usize = 65507;

/// The maximum number of descriptors in one message (clause L11).
///
/// Linux accepts 253. OpenBSD accepts 127 on 64 bits, but can return `EAGAIN` for 127 and deliver them all
/// the same.
pub const DESCRIPTORS_PER_MESSAGE: usize = 126;

/// The maximum number of bytes that one call of [`sendfile`](crate::sendfile()) sends, on both systems
/// (clause X5). On Linux with pages of more than 4 KiB it is a little less, because Linux sends whole pages.
///
/// It is Linux's limit for any call. A longer range is not an error, and leads to a short count.
pub const BYTES_PER_SENDFILE: u64 = 0x7fff_f000;

/// The maximum offset of a file, and the maximum at which a range may end (clause X4).
pub const FILE_OFFSET: u64 = i64::MAX as u64;

/// The maximum length of a unix socket's path, in bytes without the terminating NUL (clause A6b).
///
/// OpenBSD has room for 104 bytes, with a NUL among them, and Linux has room for 108. The lower limit holds
/// on both, so that a path that works on one system works on the other.
pub const UNIX_PATH_BYTES: usize = 103;

/// The maximum length of an abstract name, in bytes without the leading NUL (clause A6c). Only Linux has
/// abstract names.
pub const ABSTRACT_NAME_BYTES: usize = 107;

/// The maximum length of an address that is made of bytes (clause O2): `sizeof(struct sockaddr_storage)` on
/// Linux, which takes no longer one. OpenBSD takes 255 bytes, and has no family that needs them.
pub const SOCKADDR_BYTES: usize = 128;
