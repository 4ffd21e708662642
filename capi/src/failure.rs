use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::fmt::{self, Write};

use errno::{Errno, set_errno};
use libc::ssize_t;
use unisend::{Error, ErrorKind};

use crate::{Caller, Refusal};

/// The kind of an error, by what a caller can do about it.  It means the same on
/// both systems, and says more than errno: several kinds share one.
///
/// The numbers never change.  A later version can add kinds.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum us_error {
    /// No call of this thread has failed.
    None = 0,
    /// An errno that has no kind: see us_last_errno().
    Other = 1,
    /// EAGAIN.  There is no room now, or no data.  Wait with poll(2), and call again.
    WouldBlock = 2,
    /// EAGAIN.  The TCP connection is still being made.  Wait as above.
    Connecting = 3,
    /// EINTR.  A signal came before anything was accepted.  Call again.
    Interrupted = 4,
    /// ENOTCONN.  The socket was never connected, or is listening.
    NotConnected = 5,
    /// EPIPE.  The peer is gone, or this side has shut sending down.
    Disconnected = 6,
    /// ECONNRESET.  The peer is gone, and had not read all data.
    Reset = 7,
    /// ECONNREFUSED.  Nobody listens there.
    Refused = 8,
    /// ETIMEDOUT.  The peer did not answer, and the connection was given up.
    TimedOut = 9,
    /// ECONNABORTED.  This host ended the connection.
    Aborted = 10,
    /// EDESTADDRREQ.  A datagram socket has no peer, and no address was given.
    DestinationRequired = 11,
    /// EISCONN.  An address was given on a socket that has a peer (OpenBSD).
    AlreadyConnected = 12,
    /// EMSGSIZE.  A message is longer than the limit of the socket.
    MessageTooLong = 13,
    /// EMSGSIZE.  A message has more than 1024 iovecs.
    TooManySlices = 14,
    /// EINVAL.  A call has more than SSIZE_MAX bytes.
    LengthOverflow = 15,
    /// EINVAL.  A record has no bytes: its receiver would not see it.
    EmptyRecord = 16,
    /// E2BIG.  A message has more than 126 descriptors.
    TooManyDescriptors = 17,
    /// EINVAL.  A message on a stream has descriptors and no byte to carry them.
    DescriptorsWithoutData = 18,
    /// EMFILE.  Too many descriptors were sent and not yet received.  Retry later.
    DescriptorsInFlight = 19,
    /// EMSGSIZE.  The descriptors of a record could not be received, and the record
    /// is lost with them (OpenBSD).
    DescriptorsLost = 20,
    /// EMFILE.  There is no room for another descriptor.  Close some, and retry.
    TooManyOpenFiles = 21,
    /// ENOBUFS.  The kernel has no network buffers.  Retry later.
    NoBufferSpace = 22,
    /// ENOMEM.  The kernel has no memory.
    OutOfMemory = 23,
    /// EHOSTUNREACH.  There is no way to the host.
    Unreachable = 24,
    /// ENETDOWN.  The network interface is down.
    NetworkDown = 25,
    /// EADDRNOTAVAIL.  Nothing can be sent to the address: port 0, the unspecified
    /// address, or an IPv4-mapped address without US_V4MAPPED.
    AddressNotAvailable = 26,
    /// EADDRINUSE.  The path or name exists.
    AddressInUse = 27,
    /// EAFNOSUPPORT.  The address is of another family than the socket.
    AddressFamily = 28,
    /// EACCES.  Permissions, a packet filter or the receiver forbid it.
    PermissionDenied = 29,
    /// ENOENT.  The path does not exist.
    NotFound = 30,
    /// ELOOP.  The path cannot be followed, or is too long.
    BadPath = 31,
    /// EPROTOTYPE.  A socket of another type has the path.
    WrongSocketType = 32,
    /// ENOTSOCK.  The descriptor is not a socket.
    NotSocket = 33,
    /// EBADF.  The descriptor is not open, or not for this use.
    BadDescriptor = 34,
    /// EOPNOTSUPP.  This socket or this system does not support a flag or the call.
    Unsupported = 35,
    /// EINVAL.  An argument cannot be used.
    InvalidInput = 36,
    /// EIO.  An input or output error below the socket.
    Io = 37,
}

/// The kinds, unisend's and their names in C.
const KINDS: &[(us_error, Option<ErrorKind>, &CStr)] = &[
    (us_error::None, None, c"None"),
    (us_error::WouldBlock, Some(ErrorKind::WouldBlock), c"WouldBlock"),
    (us_error::Connecting, Some(ErrorKind::Connecting), c"Connecting"),
    (us_error::Interrupted, Some(ErrorKind::Interrupted), c"Interrupted"),
    (us_error::NotConnected, Some(ErrorKind::NotConnected), c"NotConnected"),
    (us_error::Disconnected, Some(ErrorKind::Disconnected), c"Disconnected"),
    (us_error::Reset, Some(ErrorKind::Reset), c"Reset"),
    (us_error::Refused, Some(ErrorKind::Refused), c"Refused"),
    (us_error::TimedOut, Some(ErrorKind::TimedOut), c"TimedOut"),
    (us_error::Aborted, Some(ErrorKind::Aborted), c"Aborted"),
    (us_error::DestinationRequired, Some(ErrorKind::DestinationRequired), c"DestinationRequired"),
    (us_error::AlreadyConnected, Some(ErrorKind::AlreadyConnected), c"AlreadyConnected"),
    (us_error::MessageTooLong, Some(ErrorKind::MessageTooLong), c"MessageTooLong"),
    (us_error::TooManySlices, Some(ErrorKind::TooManySlices), c"TooManySlices"),
    (us_error::LengthOverflow, Some(ErrorKind::LengthOverflow), c"LengthOverflow"),
    (us_error::EmptyRecord, Some(ErrorKind::EmptyRecord), c"EmptyRecord"),
    (us_error::TooManyDescriptors, Some(ErrorKind::TooManyDescriptors), c"TooManyDescriptors"),
    (us_error::DescriptorsWithoutData, Some(ErrorKind::DescriptorsWithoutData), c"DescriptorsWithoutData"),
    (us_error::DescriptorsInFlight, Some(ErrorKind::DescriptorsInFlight), c"DescriptorsInFlight"),
    (us_error::DescriptorsLost, Some(ErrorKind::DescriptorsLost), c"DescriptorsLost"),
    (us_error::TooManyOpenFiles, Some(ErrorKind::TooManyOpenFiles), c"TooManyOpenFiles"),
    (us_error::NoBufferSpace, Some(ErrorKind::NoBufferSpace), c"NoBufferSpace"),
    (us_error::OutOfMemory, Some(ErrorKind::OutOfMemory), c"OutOfMemory"),
    (us_error::Unreachable, Some(ErrorKind::Unreachable), c"Unreachable"),
    (us_error::NetworkDown, Some(ErrorKind::NetworkDown), c"NetworkDown"),
    (us_error::AddressNotAvailable, Some(ErrorKind::AddressNotAvailable), c"AddressNotAvailable"),
    (us_error::AddressInUse, Some(ErrorKind::AddressInUse), c"AddressInUse"),
    (us_error::AddressFamily, Some(ErrorKind::AddressFamily), c"AddressFamily"),
    (us_error::PermissionDenied, Some(ErrorKind::PermissionDenied), c"PermissionDenied"),
    (us_error::NotFound, Some(ErrorKind::NotFound), c"NotFound"),
    (us_error::BadPath, Some(ErrorKind::BadPath), c"BadPath"),
    (us_error::WrongSocketType, Some(ErrorKind::WrongSocketType), c"WrongSocketType"),
    (us_error::NotSocket, Some(ErrorKind::NotSocket), c"NotSocket"),
    (us_error::BadDescriptor, Some(ErrorKind::BadDescriptor), c"BadDescriptor"),
    (us_error::Unsupported, Some(ErrorKind::Unsupported), c"Unsupported"),
    (us_error::InvalidInput, Some(ErrorKind::InvalidInput), c"InvalidInput"),
    (us_error::Io, Some(ErrorKind::Io), c"Io"),
    (us_error::Other, Some(ErrorKind::Other), c"Other"),
];

impl us_error {
    /// Returns what unisend calls this kind, or `None` for no error.
    #[must_use]
    pub fn kind(self) -> Option<ErrorKind> {
        KINDS.iter().find(|row| row.0 == self).and_then(|row| row.1)
    }
}

impl From<ErrorKind> for us_error {
    /// Converts a kind. One that is newer than this library is `Other`.
    fn from(kind: ErrorKind) -> Self {
        KINDS.iter().find(|row| row.1 == Some(kind)).map_or(Self::Other, |row| row.0)
    }
}

/// Why a call of the C library failed.
#[derive(Debug, Clone, Copy)]
pub enum Failure {
    /// unisend or the kernel says so.
    Unisend(Error),
    /// This library refused it.
    Refused(Refusal),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unisend(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Failure {
    /// Returns its kind.
    #[must_use]
    pub fn kind(self) -> us_error {
        match self {
            Self::Unisend(error) => error.kind().into(),
            Self::Refused(refusal) => refusal.kind(),
        }
    }

    /// Returns the canonical errno of its kind. A failure that has none has the kernel's own, or EIO if the kernel gave
    /// none.
    #[must_use]
    pub fn errno(self) -> c_int {
        let canonical = self.kind().kind().and_then(ErrorKind::canonical_errno);
        canonical.or(self.kernel_errno()).unwrap_or(libc::EIO)
    }

    fn kernel_errno(self) -> Option<c_int> {
        match self {
            Self::Unisend(error) => error.kernel_errno(),
            Self::Refused(_) => None,
        }
    }

    /// Sets errno, and keeps the failure for `us_last_error` and the others.
    #[cold]
    pub fn report(self) {
        LAST.set(Some(self));
        set_errno(Errno(self.errno()));
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unisend(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

thread_local! {
    /// Why the last call of this thread that failed did. It is constant at first and has no destructor, so that no
    /// thread has to prepare it or clean up after it.
    static LAST: Cell<Option<Failure>> = const { Cell::new(None) };
}

/// Returns a count to C, or -1.
pub(crate) fn count(result: Result<usize, Failure>) -> ssize_t {
    match result {
        // No call accepts more than SSIZE_MAX bytes.
        Ok(count) => count as ssize_t,
        Err(failure) => {
            failure.report();
            -1
        }
    }
}

/// Returns a number that is not negative to C, or -1.
pub(crate) fn number(result: Result<c_int, Failure>) -> c_int {
    result.unwrap_or_else(|failure| {
        failure.report();
        -1
    })
}

/// Returns 0 to C, or -1.
pub(crate) fn status(result: Result<(), Failure>) -> c_int {
    number(result.map(|()| 0))
}

/// Return the kind of the last error of this thread.
///
/// As errno, it is set by a call that fails, and left alone by one that succeeds.
#[unsafe(no_mangle)]
pub extern "C" fn us_last_error() -> us_error {
    LAST.get().map_or(us_error::None, Failure::kind)
}

/// Return the errno that the kernel itself gave for the last error of this
/// thread, for logs: it differs from system to system.
///
/// 0 if the call was refused before the kernel saw it.
#[unsafe(no_mangle)]
pub extern "C" fn us_last_errno() -> c_int {
    LAST.get().and_then(Failure::kernel_errno).unwrap_or(0)
}

/// Return 1 if the call of the last error of this thread may have sent a part of
/// its data, otherwise 0.
///
/// After a hard error in the middle of a stream, OpenBSD does not say how much it
/// accepted.  Never send that data again on the same connection.
#[unsafe(no_mangle)]
pub extern "C" fn us_may_have_sent() -> c_int {
    match LAST.get() {
        Some(Failure::Unisend(error)) => error.may_have_sent().into(),
        _ => 0,
    }
}

/// Write what went wrong in the last error of this thread, and what would be
/// right if the call was refused, as one line without a newline.
///
/// As snprintf(3), it writes at most size bytes with the NUL, and returns the
/// length that the whole text has.  100 bytes are enough for most, 256 for all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_error_text(text: *mut c_char, size: usize) -> usize {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    let Ok(room) = caller.bytes_mut(text.cast(), size) else { return 0 };
    let mut line = Line { room, length: 0 };
    // It never fails.
    let _ = match LAST.get() {
        Some(failure) => write!(line, "{failure}"),
        None => write!(line, "no error"),
    };
    line.end()
}

/// Return the name of a kind, such as "WouldBlock".  It is a constant.
///
/// "unknown" if the number is that of no kind.
#[unsafe(no_mangle)]
pub extern "C" fn us_error_name(error: c_int) -> *const c_char {
    KINDS.iter().find(|row| row.0 as c_int == error).map_or(c"unknown", |row| row.2).as_ptr()
}

/// Return the errno of a kind, or 0 if it has none.
#[unsafe(no_mangle)]
pub extern "C" fn us_error_errno(error: c_int) -> c_int {
    let row = KINDS.iter().find(|row| row.0 as c_int == error);
    row.and_then(|row| row.1).and_then(ErrorKind::canonical_errno).unwrap_or(0)
}

/// A text in the room that C gave, which may be too small.
struct Line<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Line<'_> {
    /// Ends the text with a NUL, and returns its whole length.
    fn end(self) -> usize {
        if let Some(last) = self.room.len().checked_sub(1) {
            self.room[self.length.min(last)] = 0;
        }
        self.length
    }
}

impl Write for Line<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.room.get_mut(self.length..).unwrap_or_default();
        let fits = room.len().min(part.len());
        room[..fits].copy_from_slice(&part.as_bytes()[..fits]);
        self.length += part.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// unisend's kinds, each with a kind of its own here that has the same name.
    #[test]
    fn every_kind_has_one_of_its_own_with_its_name() {
        for kind in ErrorKind::all() {
            let ours = us_error::from(kind);
            assert_eq!((ours.kind(), format!("{ours:?}")), (Some(kind), kind.to_string()));
        }
        assert_eq!(KINDS.len(), ErrorKind::all().len() + 1);
        assert_eq!(KINDS.iter().map(|row| row.0 as c_int).collect::<HashSet<_>>(), (0..38).collect());
        for (kind, _, name) in KINDS {
            assert_eq!(format!("{kind:?}"), name.to_str().unwrap());
        }
    }

    #[test]
    fn a_text_that_does_not_fit_is_cut_and_ends() {
        for size in 0..8 {
            let mut room = [b'x'; 8];
            let mut line = Line { room: &mut room[..size], length: 0 };
            write!(line, "no {}", String::from("way")).unwrap();
            assert_eq!(line.end(), 6);
            let expected: &[u8] = if size == 0 { b"" } else { &b"no way"[..(size - 1).min(6)] };
            assert_eq!(&room[..expected.len()], expected);
            if size > 0 {
                assert_eq!(room[expected.len()], 0);
            }
            assert!(room[size..].iter().all(|&byte| byte == b'x'));
        }
    }
}
