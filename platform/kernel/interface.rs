use std::ffi::c_int;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::{Cause, ControlLayout, Failure, FileKind, Numbers, RawErrno, RawFlags, Status, Why};
use crate::platform::contract::{
    Errno, ErrorKind, PeerCredentials, ReceiveFlags, Refusal, SendFlags, SocketKind,
};

/// What a kernel must supply: its numbers, what it cannot do, and what its errors mean. The methods with a body
/// follow from these, and are the same for every kernel.
pub(crate) trait Kernel: Sized {
    /// The numbers for flags, families, types and options.
    const NUMBERS: Numbers;

    /// The number for each errno that the contract knows.
    const ERRNOS: &'static [(Errno, c_int)];

    /// The layout of control messages.
    const CONTROL: ControlLayout;

    /// The flags that the kernel has. Other flags are refused, or dropped if they are hints.
    const FLAGS: SendFlags;

    /// Whether unix sockets can have names that are not paths.
    const ABSTRACT_NAMES: bool;

    /// Whether an IPv6 socket can also send and receive over IPv4, with IPv4-mapped addresses (clause A8b).
    const DUAL_STACK: bool;

    /// Whether a hard error on a stream hides how much was accepted before it (clauses I5, A13).
    const HARD_ERROR_HIDES_COUNT: bool;

    /// Whether a stream can deliver descriptors without a byte (clause R3).
    const STREAMS_DELIVER_NO_BYTES: bool;

    /// Whether the pending error that fails a peek stays pending (clause F7e).
    const PEEK_LEAVES_ERROR: bool;

    /// The most bytes that the first part of a stream can have together with descriptors and still be sure of
    /// room, if there is such a limit (clause R13).
    const FIRST_PART_WITH_DESCRIPTORS: Option<usize>;

    /// The device number of /dev/null, if it must be kept away from sendfile(2) (clause X7).
    const NULL_DEVICE: Option<libc::dev_t>;

    /// The option by which TCP keeps back a segment that is not full (clause T10).
    const CORK: c_int;

    /// The options by which UDP over IPv4 reports destinations (clause N4).
    const DESTINATIONS_V4: &'static [c_int];

    /// The control message by which UDP over IPv4 is given a source: its type, how many words it has, and which of
    /// them is the address (clause N5).
    const SOURCE_V4: (c_int, usize, usize);

    /// The control message by which a datagram over IPv4 is given its traffic class, if there is one (clause N6).
    const TRAFFIC_CLASS_V4: Option<c_int>;

    /// The option by which traffic classes over IPv4 are reported, if there is one (clause N7).
    const TRAFFIC_CLASSES_V4: Option<c_int>;

    /// The control message with the hop limit of a datagram over IPv4 (clause N8).
    const HOP_LIMIT_V4: c_int;

    /// The option and control message by which UDP cuts data into datagrams, and the one by which it joins them
    /// (clauses D9, D12).
    const SEGMENTS: Option<Segmentation>;

    /// Whether the kernel has sendfile(2).
    const HAS_SENDFILE: bool;

    /// Whether a call can return a count and raise SIGPIPE (clauses X12, I7).
    const SIGNALS_WITH_COUNT: bool;

    /// Returns the room that this many descriptors take in the send buffer, beside the bytes of their record.
    /// `None` if the kernel itself refuses a record that never fits, and does not wait for ever (clause R13b).
    fn room_for_descriptors(layout: ControlLayout, count: usize) -> Option<usize>;

    /// Returns the two bytes at the start of every socket address.
    fn socket_name_header(family: c_int, length: u8) -> [u8; 2];

    /// Returns the family in the two bytes at the start of a socket address.
    fn family_of_socket_name(header: [u8; 2]) -> c_int;

    /// What the kernel can be asked about a socket after a failure. Asking has no side effect that matters, and
    /// needs no pledge(2) promise that the failed call did not need.
    type Witness<'a>: ?Sized;

    /// Returns what a failure means. Most errnos have their plain meaning ([`ErrorKind::of`]). The exceptions,
    /// and how to detect them, are in the kernel's `verdict.rs`.
    fn judge(failure: Failure, witness: &Self::Witness<'_>) -> Cause;

    /// Returns the name of an errno, if the contract knows it.
    fn errno_name(errno: RawErrno) -> Option<Errno> {
        Self::ERRNOS.iter().find(|row| row.1 == errno.number()).map(|row| row.0)
    }

    /// Returns the errno of this name.
    fn raw_errno(name: Errno) -> RawErrno {
        let row = Self::ERRNOS.iter().find(|row| row.0 == name);
        RawErrno::from_number(row.expect("every errno that a user can see has a number on every kernel").1)
    }

    /// Returns what an errno means whatever the state of the socket.
    fn plain_meaning(errno: RawErrno) -> ErrorKind {
        Self::errno_name(errno).map_or(ErrorKind::Other, ErrorKind::of)
    }

    /// Returns what an errno means for a call that makes a descriptor. `EMFILE` is then about this process, and not about
    /// descriptors in flight (clause K8).
    fn meaning_for_new_descriptor(errno: RawErrno) -> ErrorKind {
        match Self::errno_name(errno) {
            Some(Errno::EMFILE) => ErrorKind::TooManyOpenFiles,
            _ => Self::plain_meaning(errno),
        }
    }

    /// Returns what an errno means for a file. A network file system can return the errnos of a connection,
    /// which do not mean here what they mean for a socket (clause X16).
    fn meaning_for_file(errno: RawErrno) -> ErrorKind {
        use ErrorKind::{BadDescriptor, Interrupted, InvalidInput, Io, Other, OutOfMemory, PermissionDenied};

        match Self::plain_meaning(errno) {
            kind @ (BadDescriptor | Interrupted | InvalidInput | Io | OutOfMemory | PermissionDenied) => kind,
            _ => Other,
        }
    }

    /// Returns whether a failure leaves open how much of the data was accepted (clauses I5, A13). This is so
    /// after a hard error on a socket that may be a stream, if the kernel drops the count.
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

    /// Returns whether this errno can mean that the kernel, or the device of the route, cannot divide this buffer into
    /// datagrams (clause D11).
    fn is_refused_segment(errno: RawErrno) -> bool {
        Self::is_refused_size(errno) || Self::errno_name(errno) == Some(Errno::EIO)
    }

    /// Returns whether this errno can mean that datagrams of this size, with their headers, are longer than the route
    /// can carry. Linux says one or the other, by release. It says `EINVAL` of a socket without checksums, too.
    fn is_refused_size(errno: RawErrno) -> bool {
        matches!(Self::errno_name(errno), Some(Errno::EINVAL | Errno::EMSGSIZE))
    }

    /// Returns whether this errno can be the network's report of an earlier datagram, and can also mean that the one
    /// that is sent is too long (clauses B1, D4). The report comes once, so a second call tells them apart.
    fn may_be_of_an_earlier_one(errno: RawErrno) -> bool {
        Self::errno_name(errno) == Some(Errno::EMSGSIZE)
    }

    /// Returns whether the kernel returns this errno for a full receiver without waiting for room (clauses B3,
    /// R13). If it means "would block", a blocking socket should have waited.
    fn is_full_receiver(errno: RawErrno) -> bool {
        Self::errno_name(errno) == Some(Errno::ENOBUFS)
    }

    /// Returns whether this many bytes, which cannot be divided, never fit into the send buffer together with
    /// this many descriptors, and the kernel would not report it (clause R13b).
    fn never_fits(layout: ControlLayout, bytes: usize, descriptors: usize, send_buffer: usize) -> bool {
        Self::room_for_descriptors(layout, descriptors)
            .is_some_and(|room| bytes.saturating_add(room) > send_buffer)
    }

    /// Returns the kernel's numbers for these flags on this kind of socket, with `MSG_NOSIGNAL`, or `None` if
    /// one of the flags must be refused.
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

    /// Returns whether a receive with these flags failed with a pending error that is still pending (clause F7e).
    /// The other errors of a peek are about the call and not about what happened before it.
    fn peek_leaves(flags: ReceiveFlags, errno: RawErrno) -> bool {
        let peeks = flags.difference(ReceiveFlags::DONT_WAIT) == ReceiveFlags::PEEK;
        let was_pending = !matches!(
            Self::plain_meaning(errno),
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
        );
        Self::PEEK_LEAVES_ERROR && peeks && was_pending
    }

    /// Returns what it means if no urgent byte was received (clause F8b). Whatever the state of the connection is,
    /// there is none. The error that ended the connection is left for the next receive.
    fn meaning_for_urgent(errno: RawErrno) -> ErrorKind {
        match Self::plain_meaning(errno) {
            ErrorKind::NotConnected => ErrorKind::InvalidInput,
            kind if kind.ends_a_connection() => ErrorKind::InvalidInput,
            kind => kind,
        }
    }

    /// Returns the level, the type and the words of the control message that gives a datagram its source (clause N5).
    /// The interface is 0: the route decides.
    fn source_message(source: IpAddr) -> ((c_int, c_int), [c_int; 5], usize) {
        let (v4, v6) = (Self::NUMBERS.IPPROTO_IP, Self::NUMBERS.IPPROTO_IPV6);
        let mut words = [0; 5];
        match source {
            IpAddr::V4(address) => {
                let (kind, count, at) = Self::SOURCE_V4;
                words[at] = c_int::from_ne_bytes(address.octets());
                ((v4, kind), words, count)
            }
            IpAddr::V6(address) => {
                let octets = address.octets();
                for (at, word) in words[..4].iter_mut().enumerate() {
                    *word = c_int::from_ne_bytes(std::array::from_fn(|byte| octets[4 * at + byte]));
                }
                ((v6, Self::NUMBERS.IPV6_PKTINFO), words, 5)
            }
        }
    }

    /// Returns the levels and the types of the control messages that give a datagram its traffic class (clause N6). A
    /// dual-stack socket has both: each protocol ignores that of the other.
    fn traffic_class_messages(is_v6: bool) -> impl Iterator<Item = (c_int, c_int)> {
        let v6 = is_v6.then_some((Self::NUMBERS.IPPROTO_IPV6, Self::NUMBERS.IPV6_TCLASS));
        let v4 = Self::TRAFFIC_CLASS_V4.filter(|_| !is_v6 || Self::DUAL_STACK);
        v6.into_iter().chain(v4.map(|kind| (Self::NUMBERS.IPPROTO_IP, kind)))
    }

    /// Returns the kind for a family, a type and a protocol. The protocol matters: a datagram socket of an
    /// internet family can be ICMP's, and a stream multipath TCP's.
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

    /// Returns the kind of a file with this mode and, if it is a device, this number.
    fn file_kind(mode: libc::mode_t, device: libc::dev_t) -> FileKind {
        match mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFBLK => FileKind::Seekable,
            libc::S_IFIFO => FileKind::Pipe,
            libc::S_IFSOCK => FileKind::Socket,
            libc::S_IFCHR if Self::NULL_DEVICE != Some(device) => FileKind::Device,
            _ => FileKind::Other,
        }
    }

    /// Makes the checks that Linux's sendfile makes of its descriptors, whatever the file contains (clauses X3,
    /// X6, X7, X9).
    fn admit(input: FileKind, output: Option<(Status, FileKind)>, count: u64) -> Result<(), Why> {
        if let Some((status, kind)) = output {
            if !status.writable {
                return Err(Why::Descriptor(Self::raw_errno(Errno::EBADF)));
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

    /// Returns whether copying may succeed after the kernel's sendfile failed and sent nothing (X8). Copying
    /// then refuses the calls that cannot succeed at all (X4, X7, X9).
    fn copying_may_do(errno: RawErrno) -> bool {
        use Errno::{EINVAL, ENOSYS, EOVERFLOW, ESPIPE};

        // ESPIPE: the input is a pipe (X7). EOVERFLOW: the offset is past the largest of the file system, where
        // there is nothing to read (X3).
        matches!(Self::errno_name(errno), Some(EINVAL | ENOSYS | EOVERFLOW | ESPIPE))
    }

    /// Returns whether a failure must be returned although bytes were accepted before it. If the connection
    /// goes on, a count would make the caller send again data that the failed call may have queued (clause
    /// A13). On a dead connection a count does no harm, and is what Linux returns (X12).
    fn must_be_told(socket: Option<SocketKind>, why: Why) -> bool {
        use ErrorKind::{Aborted, Disconnected, Reset, TimedOut};

        let (kind, errno) = match (socket, why) {
            (Some(kind), Why::Output(errno)) => (kind, errno),
            (_, why) => return matches!(why, Why::Position(_)),
        };
        let error = Self::plain_meaning(errno);
        Self::hides_count(kind, error) && !matches!(error, Disconnected | Reset | TimedOut | Aborted)
    }

    /// Returns whether a call may have raised SIGPIPE: if it failed with EPIPE, or if it returned a short count
    /// on a kernel that can do both at once (clauses X12, I7).
    fn may_have_signalled(outcome: Result<u64, RawErrno>, asked: u64) -> bool {
        match outcome {
            Ok(count) => Self::SIGNALS_WITH_COUNT && count < asked,
            Err(errno) => Self::errno_name(errno) == Some(Errno::EPIPE),
        }
    }
}

/// The types, at the level of UDP, of what cuts data into datagrams and of what joins them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segmentation {
    pub(in crate::platform) cut: c_int,
    pub(in crate::platform) join: c_int,
}

/// The protocol number of SCTP, assigned by IANA. SCTP keeps the boundaries of messages on what it calls a
/// stream.
const SCTP: c_int = 132;

/// A kernel's number for each combination of flags. If the flags are known only at run time, the lookup is one
/// load.
struct FlagTable<K>(PhantomData<K>);

impl<K: Kernel> FlagTable<K> {
    const NUMBERS: &'static [c_int; SendFlags::COMBINATIONS] = &K::NUMBERS.of_all_send_flags();
}

/// What a kernel must supply, and what only that kernel can run: the calls that only it has, or that it makes
/// in its own way.
pub(crate) trait Calls: Kernel {
    /// Returns the socket as its own witness.
    fn witness<'a>(fd: &'a BorrowedFd<'a>) -> &'a Self::Witness<'a>;

    /// Returns `SO_SNDTIMEO`, if it is set and can be read.
    fn send_timeout(socket: BorrowedFd<'_>) -> Option<Duration>;

    /// Returns the credentials of the process that made the other end of a unix connection. It returns
    /// `Ok(None)` for a socket without a peer if the kernel does not return an error for it.
    fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Option<PeerCredentials>, RawErrno>;

    /// Calls sendfile(2) and returns how many bytes it sent. Without an offset it begins at the file's own
    /// position and moves it. It must not be called on a kernel without sendfile(2) ([`Kernel::HAS_SENDFILE`]).
    fn sendfile(
        output: BorrowedFd<'_>,
        input: BorrowedFd<'_>,
        offset: Option<u64>,
        length: u64,
    ) -> Result<u64, RawErrno>;

    /// Calls sendmmsg(2) and returns how many messages it sent.
    ///
    /// # Safety
    ///
    /// All that the messages point to must be alive.
    unsafe fn send_messages(
        fd: BorrowedFd<'_>,
        messages: &mut [libc::mmsghdr],
        flags: RawFlags,
    ) -> Result<usize, RawErrno>;

    /// A SIGPIPE that another sender sent, and that was taken.
    type SomebodysSigpipe: SomebodysSigpipe;

    /// Takes a pending SIGPIPE, and returns it if another sender is known to have sent it.
    fn take_pending_sigpipe(only_sigpipe: &libc::sigset_t) -> Option<Self::SomebodysSigpipe>;
}

/// A SIGPIPE that another sender sent, and that was taken.
pub(crate) trait SomebodysSigpipe {
    /// Returns whether it was sent to this thread and not to the process.
    fn is_for_thread(&self) -> bool;

    /// Sends it again unchanged, so that its receiver sees the original sender.
    fn send_again(&self);
}
