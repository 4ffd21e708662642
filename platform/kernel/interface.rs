use std::ffi::c_int;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::{Cause, ControlLayout, Failure, FileKind, Numbers, RawErrno, RawFlags, Status, Why};
use crate::platform::contract::{Errno, ErrorKind, PeerCredentials, Refusal, SendFlags, SocketKind};

/// What a kernel must supply: its numbers, what it cannot do, and what its errors mean. What follows from these is
/// the same for every kernel, and is provided.
pub(crate) trait Kernel: Sized {
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

    /// The number of /dev/null, where sendfile(2) has to be kept from it (clause X7).
    const NULL_DEVICE: Option<libc::dev_t>;

    /// Whether it has sendfile(2).
    const HAS_SENDFILE: bool;

    /// Whether a call can return a count and raise SIGPIPE (clauses X12, I7).
    const SIGNALS_WITH_COUNT: bool;

    /// What a record with so many descriptors takes of the send buffer besides its bytes, where a record for
    /// which there never is room waits for ever and is not refused (clause R13b).
    fn room_for_descriptors(layout: ControlLayout, count: usize) -> Option<usize>;

    /// The two bytes that stand before every socket address.
    fn socket_name_header(family: c_int, length: u8) -> [u8; 2];

    /// What the kernel can be asked about a socket after a failure, without a side effect that matters and
    /// without a promise that the failed call did not need (pledge).
    type Witness<'a>: ?Sized;

    /// What a failure means. A plain errno has its plain meaning ([`ErrorKind::of`]); the exceptions, and
    /// what they take to be told apart, are the kernel's `verdict.rs`.
    fn judge(failure: Failure, witness: &Self::Witness<'_>) -> Cause;

    /// The name of an errno, if the contract knows it.
    fn errno_name(errno: RawErrno) -> Option<Errno> {
        Self::ERRNOS.iter().find(|row| row.1 == errno.number()).map(|row| row.0)
    }

    /// The errno of that name.
    fn raw_errno(name: Errno) -> RawErrno {
        let row = Self::ERRNOS.iter().find(|row| row.0 == name);
        RawErrno::from_number(row.expect("every errno that a user can see has a number on every kernel").1)
    }

    /// What an errno means that no socket's state can change.
    fn plain_meaning(errno: RawErrno) -> ErrorKind {
        Self::errno_name(errno).map_or(ErrorKind::Other, ErrorKind::of)
    }

    /// What an errno means of a file. Those of a connection, which a file system that works over one can give, do
    /// not mean here what they mean of a socket (clause X16).
    fn meaning_for_file(errno: RawErrno) -> ErrorKind {
        use ErrorKind::{BadDescriptor, Interrupted, InvalidInput, Io, Other, OutOfMemory, PermissionDenied};

        match Self::plain_meaning(errno) {
            kind @ (BadDescriptor | Interrupted | InvalidInput | Io | OutOfMemory | PermissionDenied) => kind,
            _ => Other,
        }
    }

    /// Whether a failure leaves open how much of the data was accepted (clauses I5, A13): a hard error on what
    /// may be a stream, where the kernel drops the count.
    fn hides_count(kind: SocketKind, error: ErrorKind) -> bool {
        use ErrorKind::{
            BadDescriptor, Connecting, DescriptorsInFlight, Interrupted, InvalidInput, NotConnected,
            NotSocket, TooManyDescriptors, Unsupported, WouldBlock,
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
        Self::HARD_ERROR_HIDES_COUNT && accepts_parts && !before_the_first_byte
    }

    /// Whether this errno is a kernel's way to say that a receiver is full without waiting for it (clauses B3,
    /// R13): where it means "would block", a blocking socket ought to have waited.
    fn is_full_receiver(errno: RawErrno) -> bool {
        Self::errno_name(errno) == Some(Errno::ENOBUFS)
    }

    /// Whether so many bytes that cannot be divided, with so many descriptors, never fit into a send buffer of
    /// that size, and the kernel would not say so (clause R13b).
    fn never_fits(layout: ControlLayout, bytes: usize, descriptors: usize, send_buffer: usize) -> bool {
        Self::room_for_descriptors(layout, descriptors)
            .is_some_and(|room| bytes.saturating_add(room) > send_buffer)
    }

    /// The kernel's numbers for these flags on this kind of socket, `MSG_NOSIGNAL` among them; `None` if one of
    /// them must be refused.
    #[inline]
    fn raw_flags(kind: SocketKind, mut flags: SendFlags) -> Option<RawFlags> {
        if flags.intersects(SendFlags::DEPENDS_ON_KIND) {
            let honoured = Self::FLAGS.intersection(SendFlags::honoured_on(kind));
            if !honoured.union(SendFlags::hints_on(kind)).contains(flags) {
                return None;
            }
            flags = flags.intersection(honoured);
        }
        let numbers = FlagTable::<Self>::NUMBERS;
        Some(RawFlags(numbers[flags.bits() as usize % SendFlags::COMBINATIONS]))
    }

    /// The kind that a family, type and protocol make. The protocol matters: a datagram socket of the internet
    /// family can be ICMP's, and a stream multipath TCP's.
    fn socket_kind(domain: c_int, kind: c_int, protocol: c_int) -> SocketKind {
        let n = Self::NUMBERS;
        let kinds = [
            (n.AF_UNIX, n.SOCK_STREAM, None, SocketKind::UnixStream),
            (n.AF_UNIX, n.SOCK_DGRAM, None, SocketKind::UnixDatagram),
            (n.AF_UNIX, n.SOCK_SEQPACKET, None, SocketKind::UnixSeqpacket),
            (n.AF_INET, n.SOCK_STREAM, Some(n.IPPROTO_TCP), SocketKind::Tcp),
            (n.AF_INET6, n.SOCK_STREAM, Some(n.IPPROTO_TCP), SocketKind::Tcp),
            (n.AF_INET, n.SOCK_DGRAM, Some(n.IPPROTO_UDP), SocketKind::UdpV4),
            (n.AF_INET6, n.SOCK_DGRAM, Some(n.IPPROTO_UDP), SocketKind::UdpV6),
        ];
        let other = match kind == n.SOCK_STREAM && protocol != SCTP {
            true => SocketKind::OtherStream,
            false => SocketKind::Other,
        };
        kinds
            .iter()
            .find(|row| (row.0, row.1) == (domain, kind) && row.2.is_none_or(|wanted| wanted == protocol))
            .map_or(other, |row| row.3)
    }

    /// The kind of a file that has this mode and, if it is a device, this number.
    fn file_kind(mode: libc::mode_t, device: libc::dev_t) -> FileKind {
        match mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFBLK => FileKind::Seekable,
            libc::S_IFIFO => FileKind::Pipe,
            libc::S_IFSOCK => FileKind::Socket,
            libc::S_IFCHR if Self::NULL_DEVICE != Some(device) => FileKind::Device,
            _ => FileKind::Other,
        }
    }

    /// What Linux's sendfile checks of its descriptors, whatever it finds in the file (clauses X3, X6, X7, X9).
    fn admit(input: FileKind, output: Option<(Status, FileKind)>, count: u64) -> Result<(), Why> {
        if let Some((status, kind)) = output {
            if !status.writable {
                return Err(Why::File(Self::raw_errno(Errno::EBADF)));
            }
            if status.appends && kind != FileKind::Pipe {
                return Err(Why::Refused(Refusal::AppendingOutput));
            }
        }
        match input {
            FileKind::Seekable => Ok(()),
            FileKind::Device | FileKind::Other if count == 0 => Ok(()),
            _ => Err(Why::Refused(Refusal::InputNotSeekable)),
        }
    }

    /// Whether a failure of the kernel's sendfile, which sent nothing, may be of what only the kernel cannot do
    /// (X8): then copying is tried, which rules out what nobody can do (X4, X7, X9).
    fn copying_may_do(errno: RawErrno) -> bool {
        use Errno::{EINVAL, ENOSYS, EOVERFLOW, ESPIPE};

        // ESPIPE is a pipe as input (X7). EOVERFLOW is an offset past what its file system can have, where there
        // is nothing to read (X3).
        matches!(Self::errno_name(errno), Some(EINVAL | ENOSYS | EOVERFLOW | ESPIPE))
    }

    /// Whether a failure must be returned although bytes were accepted before it. A count would have the caller
    /// send again what the failed call may have queued on a connection that goes on (clause A13); on one that is
    /// dead it does no harm, and is what Linux says (X12).
    fn must_be_told(socket: Option<SocketKind>, why: Why) -> bool {
        use ErrorKind::{Aborted, Disconnected, Reset, TimedOut};

        let (Some(kind), Why::Output(errno)) = (socket, why) else { return false };
        let error = Self::plain_meaning(errno);
        Self::hides_count(kind, error) && !matches!(error, Disconnected | Reset | TimedOut | Aborted)
    }

    /// Whether a call may have raised a SIGPIPE: with EPIPE and, where the kernel does both at once (clauses X12,
    /// I7), with a count that is less than was asked for.
    fn may_have_signalled(outcome: Result<u64, RawErrno>, asked: u64) -> bool {
        match outcome {
            Ok(count) => Self::SIGNALS_WITH_COUNT && count < asked,
            Err(errno) => Self::errno_name(errno) == Some(Errno::EPIPE),
        }
    }
}

/// SCTP, which keeps the boundaries of messages on what it calls a stream: the number that IANA gave it.
const SCTP: c_int = 132;

/// A kernel's number for each combination of flags: one load where flags are known only at run time.
struct FlagTable<K>(PhantomData<K>);

impl<K: Kernel> FlagTable<K> {
    const NUMBERS: &'static [c_int; SendFlags::COMBINATIONS] = &K::NUMBERS.of_all_send_flags();
}

/// What a kernel must supply besides, and which only it can run: the calls that only it has, or that it needs in a
/// way of its own.
pub(crate) trait Calls: Kernel {
    /// The socket itself, as the one to be asked about a failure.
    fn witness<'a>(fd: &'a BorrowedFd<'a>) -> &'a Self::Witness<'a>;

    /// `SO_SNDTIMEO`, if it is set and can be asked for.
    fn send_timeout(socket: BorrowedFd<'_>) -> Option<Duration>;

    /// Who made the other end of a unix connection; `Ok(None)` for a socket without a peer that the kernel does not
    /// call an error.
    fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Option<PeerCredentials>, RawErrno>;

    /// sendfile(2), from an offset or, without one, from the file's own position, which it moves; how many bytes it
    /// sent. It is not called where there is none ([`Kernel::HAS_SENDFILE`]).
    fn sendfile(
        output: BorrowedFd<'_>,
        input: BorrowedFd<'_>,
        offset: Option<u64>,
        length: u64,
    ) -> Result<u64, RawErrno>;

    /// A SIGPIPE that somebody else sent, and that was taken.
    type SomebodysSigpipe: SomebodysSigpipe;

    /// Takes a SIGPIPE that is pending, and gives it if it is known to be somebody else's.
    fn take_pending_sigpipe(only_sigpipe: &libc::sigset_t) -> Option<Self::SomebodysSigpipe>;
}

/// A SIGPIPE that somebody else sent, and that was taken.
pub(crate) trait SomebodysSigpipe {
    /// Whether it was meant for this thread, and not for the process.
    fn is_for_thread(&self) -> bool;

    /// Sends it again as it came: who takes it next sees who sent it.
    fn send_again(&self);
}
