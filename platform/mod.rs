//! Everything that knows a kernel.
//!
//! [`Kernel`] is what a kernel must supply, and [`Native`] is the one this is compiled for. The pure half of
//! each kernel (numbers, and what an errno means in which situation) compiles on every system, so that it
//! can be tested on any; only the calls themselves belong to one system. A raw number does not leave this
//! folder but in the opaque [`RawErrno`] and [`RawFlags`].
//!
//! To add a system, add a folder with the files that `linux/` and `openbsd/` have, implement [`Kernel`] in
//! it, and name it in the `cfg_if` below.

pub(crate) mod contract;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "its pure half is tested on every system"))]
mod linux;
mod numbers;
#[cfg_attr(not(target_os = "openbsd"), allow(dead_code, reason = "its pure half is tested on every system"))]
mod openbsd;
mod posix;

#[cfg(test)]
mod tests;

use std::ffi::c_int;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

use contract::{Errno, ErrorKind, Operation, SendFlags, SocketKind};
use numbers::Numbers;
pub(crate) use posix::control::ControlLayout;
pub(crate) use posix::socket_name::{Family, SocketName};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        use linux::Linux as Native;
        use linux::calls::{SomebodysSigpipe, sendfile, take_pending_sigpipe};
        pub(crate) use linux::calls::send_timeout;
    } else if #[cfg(target_os = "openbsd")] {
        use openbsd::OpenBsd as Native;
        use openbsd::calls::{SomebodysSigpipe, sendfile, take_pending_sigpipe};
        pub(crate) use openbsd::calls::send_timeout;
    } else {
        compile_error!("unisend supports Linux and OpenBSD; to add a system, see platform/mod.rs");
    }
}

/// What a kernel must supply: its numbers, what it cannot do, and what its errors mean.
pub(crate) trait Kernel {
    /// Its numbers for flags, families, types and options.
    const NUMBERS: Numbers;

    /// Its number for each errno that the contract knows.
    const ERRNOS: &'static [(Errno, c_int)];

    /// How it lays out control messages.
    const CONTROL: ControlLayout;

    /// The flags it has; the others are refused, or dropped if they are hints.
    const FLAGS: SendFlags;

    /// Whether unix sockets can have names that are no paths.
    const ABSTRACT_NAMES: bool;

    /// Whether a hard error on a stream hides how much was accepted before it (clauses I5, A13).
    const HARD_ERROR_HIDES_COUNT: bool;

    /// Whether a stream can deliver descriptors without a byte (clause R3).
    const STREAMS_DELIVER_NO_BYTES: bool;

    /// The most bytes that the first part of a stream can have beside descriptors and still be sure of room, if
    /// there is such a limit (clause R13).
    const FIRST_PART_WITH_DESCRIPTORS: Option<usize>;

    /// What a record with so many descriptors takes of the send buffer besides its bytes, where a record for
    /// which there never is room waits for ever and is not refused (clause R13b).
    fn room_for_descriptors(layout: ControlLayout, count: usize) -> Option<usize>;

    /// The credentials in the three numbers that `SO_PEERCRED` gives; `None` where they are those of nobody.
    fn credentials(numbers: [u32; 3]) -> Option<Credentials>;

    /// Whether a listener has credentials too, which are its own (clause C4b).
    const LISTENERS_HAVE_CREDENTIALS: bool;

    /// The number of /dev/null, where sendfile(2) has to be kept from it (clause X7).
    const NULL_DEVICE: Option<libc::dev_t>;

    /// Whether it has sendfile(2).
    const HAS_SENDFILE: bool;

    /// Whether a call can return a count and raise SIGPIPE (clauses X12, I7).
    const SIGNALS_WITH_COUNT: bool;

    /// The two bytes that stand before every socket address.
    fn socket_name_header(family: c_int, length: u8) -> [u8; 2];

    /// What the kernel can be asked about a socket after a failure, without a side effect that matters and
    /// without a promise that the failed call did not need (pledge).
    type Witness<'a>: ?Sized;

    /// What a failure means. A plain errno has its plain meaning ([`ErrorKind::of`]); the exceptions, and
    /// what they take to be told apart, are the kernel's `verdict.rs`.
    fn judge(failure: Failure, witness: &Self::Witness<'_>) -> Cause;

    /// The name of an errno, if the contract knows it.
    fn errno_name(number: c_int) -> Option<Errno> {
        Self::ERRNOS.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// The number of an errno.
    fn errno_number(name: Errno) -> c_int {
        let row = Self::ERRNOS.iter().find(|row| row.0 == name);
        row.expect("every errno that a user can see has a number on every kernel").1
    }
}

/// An errno as the kernel gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RawErrno(c_int);

impl RawErrno {
    pub(crate) const fn number(self) -> c_int {
        self.0
    }

    pub(crate) const fn from_number(number: c_int) -> Self {
        Self(number)
    }
}

impl fmt::Display for RawErrno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = nix::errno::Errno::from_raw(self.0).desc();
        match Native::errno_name(self.0) {
            Some(name) => write!(f, "{name:?}, errno {}: {description}", self.0),
            None => write!(f, "errno {}: {description}", self.0),
        }
    }
}

/// A failed call: what the kernel said, of which kind of socket, in which operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) errno: RawErrno,
    pub(crate) kind: SocketKind,
    pub(crate) operation: Operation,
}

/// What a failure comes down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) kind: ErrorKind,
    pub(crate) errno: RawErrno,
}

/// What a failure means, from the kernel that knows.
pub(crate) fn judge(fd: BorrowedFd<'_>, failure: Failure) -> Cause {
    Native::judge(failure, &fd)
}

/// What an errno means that no socket's state can change.
pub(crate) fn plain_meaning(errno: RawErrno) -> ErrorKind {
    plain_meaning_on::<Native>(errno)
}

fn plain_meaning_on<K: Kernel>(errno: RawErrno) -> ErrorKind {
    K::errno_name(errno.0).map_or(ErrorKind::Other, ErrorKind::of)
}

/// What an errno means of a file. Those of a connection, which a file system that works over one can give, do not
/// mean here what they mean of a socket (clause X16).
pub(crate) fn meaning_for_file(errno: RawErrno) -> ErrorKind {
    meaning_for_file_on::<Native>(errno)
}

fn meaning_for_file_on<K: Kernel>(errno: RawErrno) -> ErrorKind {
    use ErrorKind::{BadDescriptor, Interrupted, InvalidInput, Io, Other, OutOfMemory, PermissionDenied};

    match plain_meaning_on::<K>(errno) {
        kind @ (BadDescriptor | Interrupted | InvalidInput | Io | OutOfMemory | PermissionDenied) => kind,
        _ => Other,
    }
}

/// Whether a failure leaves open how much of the data was accepted (clauses I5, A13): a hard error on what
/// may be a stream, where the kernel drops the count.
pub(crate) fn hides_count(kind: SocketKind, error: ErrorKind) -> bool {
    hides_count_on::<Native>(kind, error)
}

fn hides_count_on<K: Kernel>(kind: SocketKind, error: ErrorKind) -> bool {
    use ErrorKind::{
        BadDescriptor, Connecting, DescriptorsInFlight, Interrupted, InvalidInput, NotConnected, NotSocket,
        TooManyDescriptors, Unsupported, WouldBlock,
    };

    let accepts_parts = kind.is_stream() || kind == SocketKind::Other;
    let before_the_first_byte = matches!(
        error,
        WouldBlock
            | Connecting
            | Interrupted
            | NotConnected
            | NotSocket
            | BadDescriptor
            | InvalidInput
            | Unsupported
            | TooManyDescriptors
            | DescriptorsInFlight
    );
    K::HARD_ERROR_HIDES_COUNT && accepts_parts && !before_the_first_byte
}

/// Whether this errno is a kernel's way to say that a receiver is full without waiting for it (clauses B3, R13):
/// where it means "would block", a blocking socket ought to have waited.
pub(crate) fn is_full_receiver(errno: c_int) -> bool {
    Native::errno_name(errno) == Some(Errno::ENOBUFS)
}

/// The most bytes that the first part of a stream should have beside descriptors (clause R13).
pub(crate) const FIRST_PART_WITH_DESCRIPTORS: Option<usize> = Native::FIRST_PART_WITH_DESCRIPTORS;

/// Whether so many bytes that cannot be divided, with so many descriptors, never fit into a send buffer of that
/// size, and the kernel would not say so (clause R13b).
pub(crate) fn never_fits(bytes: usize, descriptors: usize, send_buffer: usize) -> bool {
    never_fits_on::<Native>(Native::CONTROL, bytes, descriptors, send_buffer)
}

fn never_fits_on<K: Kernel>(
    layout: ControlLayout,
    bytes: usize,
    descriptors: usize,
    send_buffer: usize,
) -> bool {
    K::room_for_descriptors(layout, descriptors).is_some_and(|room| bytes.saturating_add(room) > send_buffer)
}

/// Whether a stream can deliver descriptors without a byte (clause R3).
pub(crate) const STREAMS_DELIVER_NO_BYTES: bool = Native::STREAMS_DELIVER_NO_BYTES;

/// What the kernel says when there is no room.
pub(crate) const EAGAIN: RawErrno = RawErrno(libc::EAGAIN);

/// The number that this system gives to an errno.
pub(crate) fn errno_number(name: Errno) -> c_int {
    Native::errno_number(name)
}

/// Whether this system's unix sockets can have names that are no paths.
pub(crate) const ABSTRACT_NAMES: bool = Native::ABSTRACT_NAMES;

/// The kernel's numbers for these flags on this kind of socket, `MSG_NOSIGNAL` among them; `None` if one of
/// them must be refused.
#[inline]
pub(crate) fn raw_flags(kind: SocketKind, flags: SendFlags) -> Option<RawFlags> {
    raw_flags_on::<Native>(kind, flags)
}

#[inline]
fn raw_flags_on<K: Kernel>(kind: SocketKind, mut flags: SendFlags) -> Option<RawFlags> {
    if flags.intersects(SendFlags::DEPENDS_ON_KIND) {
        let honoured = K::FLAGS.intersection(SendFlags::honoured_on(kind));
        if !honoured.union(SendFlags::hints_on(kind)).contains(flags) {
            return None;
        }
        flags = flags.intersection(honoured);
    }
    Some(RawFlags(FlagTable::<K>::NUMBERS[usize::from(flags.bits()) % SendFlags::COMBINATIONS]))
}

/// A kernel's number for each combination of flags: one load where flags are known only at run time.
struct FlagTable<K>(PhantomData<K>);

impl<K: Kernel> FlagTable<K> {
    const NUMBERS: &'static [c_int; SendFlags::COMBINATIONS] = &K::NUMBERS.of_all_send_flags();
}

/// A socket name, encoded as this kernel wants it.
pub(crate) fn socket_name(family: Family<'_>) -> SocketName {
    SocketName::encode::<Native>(family)
}

/// The kind of a socket, and the size of its send buffer.
pub(crate) fn probe(fd: BorrowedFd<'_>) -> Result<(SocketKind, usize), RawErrno> {
    posix::probe::probe::<Native>(fd)
}

pub(crate) use posix::credentials::{Credentials, peer_credentials};
pub use posix::receive::Descriptors;
pub(crate) use posix::receive::{Arrival, ControlBytes, receive_message};
pub(crate) use posix::send::{RawFlags, send, send_slices, send_to, send_with};
pub(crate) use posix::sendfile::{FileSender, Method, Sink, Stopped, Why};
pub(crate) use posix::status::{is_blocking, wait_for_room};
