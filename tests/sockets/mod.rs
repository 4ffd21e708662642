//! Sockets in every state that one machine can bring them to, and the calls as a table.

#![allow(dead_code, reason = "each file of tests takes what it needs")]

pub(crate) mod channel;
#[cfg(target_os = "linux")]
pub(crate) mod network;
pub(crate) mod signals;

use std::io::{self, ErrorKind as StdErrorKind, IoSlice, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket as raw;
use unisend::{Error, Offset, Outcome, Output, SendAllError, SendFlags, SocketKind, SocketRef, Transfer};

/// Whether this is OpenBSD: where the systems differ, a test says how.
pub(crate) const OPENBSD: bool = cfg!(target_os = "openbsd");

/// How long anything is waited for before it counts as never happening. Nothing takes nearly as long, on a slow and
/// busy machine neither.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const NO_FLAGS: SendFlags = SendFlags::empty();

/// The value for this system of what differs between the two.
pub(crate) fn differs<T>(on_linux: T, on_openbsd: T) -> T {
    if OPENBSD { on_openbsd } else { on_linux }
}

/// The calls to a peer: they share one contract, so most tables run through them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Send,
    SendVectored,
    SendAll,
    SendAllVectored,
}

impl Call {
    pub(crate) const ALL: [Self; 4] = [Self::Send, Self::SendVectored, Self::SendAll, Self::SendAllVectored];

    /// How many bytes were accepted. A failed loop must not have accepted any: see [`Self::to_the_end`].
    pub(crate) fn run(
        self,
        socket: &SocketRef<'_, impl Sized>,
        bytes: &[u8],
        flags: SendFlags,
    ) -> Result<usize, Error> {
        self.to_the_end(socket, bytes, flags).map_err(|stopped| {
            assert_eq!(stopped.accepted(), 0, "{self:?} accepted a part before {stopped}");
            stopped.error()
        })
    }

    /// As [`Self::run`], with what a loop accepted before it failed.
    pub(crate) fn to_the_end(
        self,
        socket: &SocketRef<'_, impl Sized>,
        bytes: &[u8],
        flags: SendFlags,
    ) -> Result<usize, Stopped> {
        // Two slices, so that the calls that take slices have something to put together.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut slices = [IoSlice::new(first), IoSlice::new(second)];
        match self {
            Self::Send => socket.send(bytes, flags).map_err(Stopped::from),
            Self::SendVectored => socket.send_vectored(&slices, flags).map_err(Stopped::from),
            Self::SendAll => socket.send_all(bytes, flags).map(|()| bytes.len()).map_err(Stopped::from),
            Self::SendAllVectored => socket
                .send_all_vectored(&mut &mut slices[..], flags)
                .map(|()| bytes.len())
                .map_err(Stopped::from),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::SendVectored => "send_vectored",
            Self::SendAll => "send_all",
            Self::SendAllVectored => "send_all_vectored",
        }
    }
}

/// A failure of any of the calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopped {
    accepted: usize,
    error: Error,
}

impl Stopped {
    pub(crate) fn accepted(self) -> usize {
        self.accepted
    }

    pub(crate) fn error(self) -> Error {
        self.error
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self { accepted: 0, error }
    }
}

impl From<SendAllError> for Stopped {
    fn from(error: SendAllError) -> Self {
        Self { accepted: error.accepted(), error: error.error() }
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} after {} bytes", self.error, self.accepted)
    }
}

/// The kinds that two connected sockets can be made of without a network: all but IPv6, which a machine may
/// lack.
pub(crate) const CONNECTED_KINDS: [SocketKind; 5] = [
    SocketKind::Tcp,
    SocketKind::UdpV4,
    SocketKind::UnixStream,
    SocketKind::UnixDatagram,
    SocketKind::UnixSeqpacket,
];

/// Two sockets that are connected to each other.
pub(crate) struct Pair {
    pub(crate) kind: SocketKind,
    pub(crate) ours: OwnedFd,
    pub(crate) theirs: OwnedFd,
}

impl Pair {
    pub(crate) fn new(kind: SocketKind) -> Self {
        let (ours, theirs) = match kind {
            SocketKind::Tcp => {
                let (ours, theirs) = tcp_pair();
                (ours.into(), theirs.into())
            }
            SocketKind::UdpV4 => {
                let (ours, theirs) = udp_pair();
                (ours.into(), theirs.into())
            }
            SocketKind::UnixStream => unix_pair(raw::SockType::Stream),
            SocketKind::UnixDatagram => unix_pair(raw::SockType::Datagram),
            SocketKind::UnixSeqpacket => unix_pair(raw::SockType::SeqPacket),
            kind => panic!("no pair of {kind:?}"),
        };
        Self { kind, ours, theirs }
    }

    /// A pair whose sockets do not wait.
    pub(crate) fn nonblocking(kind: SocketKind) -> Self {
        let pair = Self::new(kind);
        set_nonblocking(&pair.ours, true);
        set_nonblocking(&pair.theirs, true);
        pair
    }

    pub(crate) fn socket(&self) -> SocketRef<'_> {
        declared(self.kind, &self.ours)
    }

    /// The next message, or what a stream has; `None` if there is none now.
    pub(crate) fn received(&self) -> Option<Vec<u8>> {
        received(&self.theirs)
    }

    /// The next message, or what a stream has, once it is there.
    pub(crate) fn arriving(&self) -> Vec<u8> {
        wait_readable(&self.theirs);
        self.received().expect("poll said that there is something")
    }
}

/// A pair with little room. What a machine's settings give can be more than a test sends.
pub(crate) fn narrow(kind: SocketKind) -> Pair {
    let pair = Pair::new(kind);
    set_buffer(&pair.ours, libc::SO_SNDBUF, 32_768);
    set_buffer(&pair.theirs, libc::SO_RCVBUF, 32_768);
    pair
}

/// The socket declared as the kind that it is.
pub(crate) fn declared<'fd>(kind: SocketKind, fd: &'fd impl AsFd) -> SocketRef<'fd> {
    match kind {
        SocketKind::Tcp => SocketRef::tcp(fd),
        SocketKind::UdpV4 => SocketRef::udp_v4(fd).into(),
        SocketKind::UdpV6 => SocketRef::udp_v6(fd).into(),
        SocketKind::UnixStream => SocketRef::unix_stream(fd),
        SocketKind::UnixDatagram => SocketRef::unix_datagram(fd).into(),
        SocketKind::UnixSeqpacket => SocketRef::unix_seqpacket(fd),
        SocketKind::OtherStream => SocketRef::other_stream(fd),
        _ => SocketRef::other(fd),
    }
}

pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = tcp_connected(listener.local_addr().unwrap());
    let theirs = accepted(&listener);
    assert_eq!(theirs.peer_addr().unwrap(), ours.local_addr().unwrap());
    (ours, theirs)
}

/// A connection to a TCP port of this machine, made by calls that do not wait.
///
/// On OpenBSD a signal ends a connect(2) that waits, and std's second try fails with EALREADY. And its kernel can lose a
/// wake-up with two processors, after which a call that waits for a connection never ends.
pub(crate) fn tcp_connected(to: SocketAddr) -> TcpStream {
    let fd = unconnected(SocketKind::Tcp);
    let started = start_connecting(&fd, to);
    assert!(matches!(started, Ok(()) | Err(nix::errno::Errno::EINPROGRESS)), "{started:?}");
    assert!(is_writable(&fd, PATIENCE), "hung: the connection is never made");
    let stream = TcpStream::from(fd);
    assert!(stream.take_error().unwrap().is_none());
    stream.set_nonblocking(false).unwrap();
    stream
}

/// The next connection, once it is there.
pub(crate) fn accepted(listener: &TcpListener) -> TcpStream {
    wait_readable(listener);
    listener.accept().unwrap().0
}

pub(crate) fn udp_pair() -> (UdpSocket, UdpSocket) {
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
    ours.connect(theirs.local_addr().unwrap()).unwrap();
    theirs.connect(ours.local_addr().unwrap()).unwrap();
    (ours, theirs)
}

fn unix_pair(kind: raw::SockType) -> (OwnedFd, OwnedFd) {
    raw::socketpair(raw::AddressFamily::Unix, kind, None, raw::SockFlag::SOCK_CLOEXEC).unwrap()
}

/// A socket that was never connected.
pub(crate) fn unconnected(kind: SocketKind) -> OwnedFd {
    use raw::{AddressFamily, SockType};

    let (family, kind) = match kind {
        SocketKind::Tcp => (AddressFamily::Inet, SockType::Stream),
        SocketKind::UdpV4 => (AddressFamily::Inet, SockType::Datagram),
        SocketKind::UnixStream => (AddressFamily::Unix, SockType::Stream),
        SocketKind::UnixDatagram => (AddressFamily::Unix, SockType::Datagram),
        SocketKind::UnixSeqpacket => (AddressFamily::Unix, SockType::SeqPacket),
        kind => panic!("no socket of {kind:?}"),
    };
    raw::socket(family, kind, raw::SockFlag::SOCK_CLOEXEC, None).unwrap()
}

/// A TCP port of this machine that refuses connections for as long as the sockets live: the client's end of a
/// connection. (One that is bound and does not listen would do on Linux; OpenBSD's drops what comes there.)
pub(crate) fn port_that_refuses() -> ((TcpStream, TcpStream), SocketAddr) {
    let (client, server) = tcp_pair();
    let address = client.local_addr().unwrap();
    ((client, server), address)
}

/// A connect(2) that does not wait, to an IPv4 address.
pub(crate) fn start_connecting(fd: &OwnedFd, to: SocketAddr) -> nix::Result<()> {
    let SocketAddr::V4(to) = to else { panic!("{to} is not IPv4") };
    set_nonblocking(fd, true);
    raw::connect(fd.as_raw_fd(), &raw::SockaddrIn::from(to))
}

pub(crate) fn shutdown(fd: &impl AsRawFd, how: Shutdown) -> nix::Result<()> {
    let how = match how {
        Shutdown::Read => raw::Shutdown::Read,
        Shutdown::Write => raw::Shutdown::Write,
        Shutdown::Both => raw::Shutdown::Both,
    };
    raw::shutdown(fd.as_raw_fd(), how)
}

/// Closes a TCP socket so that its peer is told by RST instead of FIN.
pub(crate) fn close_with_reset(socket: impl AsFd) {
    raw::setsockopt(&socket.as_fd(), raw::sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })
        .unwrap();
}

pub(crate) fn set_nonblocking(fd: &impl AsFd, nonblocking: bool) {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    let mut flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
    flags.set(OFlag::O_NONBLOCK, nonblocking);
    fcntl(fd, FcntlArg::F_SETFL(flags)).unwrap();
}

/// `SO_SNDBUF` or `SO_RCVBUF`, in bytes.
pub(crate) fn set_buffer(fd: &impl AsFd, option: libc::c_int, bytes: libc::c_int) {
    set_option(fd, libc::SOL_SOCKET, option, bytes);
}

/// An option that is an int.
pub(crate) fn set_option(fd: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let length = size_of_val(&value) as libc::socklen_t;
    let start = (&raw const value).cast();
    // SAFETY: the pointer and the length are of one int that outlives the call and is only read.
    let returned = unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, option, start, length) };
    assert_eq!(returned, 0, "{}", io::Error::last_os_error());
}

/// How long a blocking send waits.
pub(crate) fn set_send_timeout(fd: &impl AsFd, timeout: Duration) {
    let value = nix::sys::time::TimeVal::new(
        timeout.as_secs() as libc::time_t,
        timeout.subsec_micros() as libc::suseconds_t,
    );
    raw::setsockopt(&fd.as_fd(), raw::sockopt::SendTimeout, &value).unwrap();
}

pub(crate) fn received(fd: &impl AsRawFd) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 256 * 1024];
    match raw::recv(fd.as_raw_fd(), &mut buffer, raw::MsgFlags::MSG_DONTWAIT) {
        Ok(length) => {
            buffer.truncate(length);
            Some(buffer)
        }
        Err(nix::errno::Errno::EAGAIN) => None,
        Err(errno) => panic!("recv: {errno}"),
    }
}

/// Exactly so many bytes of a stream.
pub(crate) fn read_exactly(fd: &(impl AsFd + AsRawFd), length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        wait_readable(fd);
        let mut part = vec![0; (length - bytes.len()).min(256 * 1024)];
        let count = raw::recv(fd.as_raw_fd(), &mut part, raw::MsgFlags::MSG_DONTWAIT).unwrap();
        assert!(count > 0, "the end after {} of {length} bytes", bytes.len());
        bytes.extend_from_slice(&part[..count]);
    }
    bytes
}

/// Everything until the sender closes; in a thread of its own, so that a blocking sender has a reader.
pub(crate) fn reader(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// What poll says of these events, after at most so long. It is asked again after a signal, and every second, should
/// the kernel have lost a wake-up.
pub(crate) fn polled(fd: &impl AsFd, events: PollFlags, timeout: Duration) -> PollFlags {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(fd.as_fd(), events)];
        let outcome = poll(&mut fds, PollTimeout::try_from(left.min(Duration::from_secs(1))).unwrap());
        assert!(matches!(outcome, Ok(_) | Err(nix::errno::Errno::EINTR)), "{outcome:?}");
        let found = fds[0].revents().unwrap();
        if outcome.is_ok() && !found.is_empty() || left.is_zero() {
            return found;
        }
    }
}

pub(crate) fn wait_readable(fd: &impl AsFd) {
    assert!(!polled(fd, PollFlags::POLLIN, PATIENCE).is_empty(), "hung: nothing came");
}

pub(crate) fn is_writable(fd: &impl AsFd, timeout: Duration) -> bool {
    polled(fd, PollFlags::POLLOUT, timeout).contains(PollFlags::POLLOUT)
}

/// Fills a connected socket until it has no room that comes back by itself, with messages of so many bytes;
/// returns how many bytes were accepted.
pub(crate) fn fill(socket: &SocketRef<'_, impl Sized>, message: &[u8]) -> usize {
    let deadline = Instant::now() + PATIENCE;
    let mut accepted = 0;
    let mut quiet = false;
    loop {
        assert!(Instant::now() < deadline, "never full");
        match socket.send(message, SendFlags::DONT_WAIT) {
            Ok(count) => {
                accepted += count;
                quiet = false;
            }
            Err(error) => {
                assert_eq!(error.kind(), unisend::ErrorKind::WouldBlock, "{error}");
                // TCP goes on moving data to the receiver, who may take 200 ms to acknowledge it.
                if quiet || socket.kind() != SocketKind::Tcp {
                    return accepted;
                }
                quiet = !is_writable(socket, Duration::from_millis(300));
            }
        }
    }
}

/// As [`fill`], until a blocking socket has no room for sendfile(2) either. Before Linux 6.5 a unix stream that is full for
/// send still takes parts of a file, each as a piece of the last buffer in the queue, until that has 17 of them
/// (`unix_stream_sendpage`).
pub(crate) fn fill_for_sendfile(socket: &SocketRef<'_>, message: &[u8]) {
    const MANY: usize = 100;
    fill(socket, message);
    if socket.kind() != SocketKind::UnixStream {
        return;
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(message).unwrap();
    set_nonblocking(socket, true);
    let more = || unisend::sendfile(*socket, &file, Offset::At(&mut 0), message.len() as u64);
    let error = (0..MANY).find_map(|_| more().err()).expect("never full");
    assert_eq!(error.kind(), unisend::ErrorKind::WouldBlock, "{error}");
    set_nonblocking(socket, false);
}

/// Sends bytes until that fails, as it soon must: a peer's end takes a moment to arrive.
pub(crate) fn first_failure(call: Call, socket: &SocketRef<'_, impl Sized>) -> Error {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call.run(socket, b"x", SendFlags::DONT_WAIT) {
            Err(error) => return error,
            Ok(_) => assert!(Instant::now() < deadline, "{call:?} goes on succeeding"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs something that may wait for ever in a thread, and panics if it does not end. What it waits for is
/// gone with the test process.
pub(crate) fn bounded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let worker = std::thread::spawn(work);
    finished(worker, |_| {})
}

/// The result of a thread, to which something is done every millisecond until it has one.
pub(crate) fn finished<T>(worker: JoinHandle<T>, meanwhile: impl Fn(&JoinHandle<T>)) -> T {
    let deadline = Instant::now() + PATIENCE;
    while !worker.is_finished() {
        assert!(Instant::now() < deadline, "hung: it waits for ever");
        meanwhile(&worker);
        std::thread::sleep(Duration::from_millis(1));
    }
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Bytes in which a missing, doubled or swapped part shows, wherever it is.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut bytes = Vec::with_capacity(length + 4);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes.extend_from_slice(&state.to_ne_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Whether this machine has IPv6 on its loopback interface; says so if it has not.
pub(crate) fn udp_v6() -> Option<UdpSocket> {
    match UdpSocket::bind("[::1]:0") {
        Ok(socket) => Some(socket),
        Err(error) if error.kind() == StdErrorKind::AddrNotAvailable || no_such_family(&error) => {
            skipped(format_args!("this machine has no IPv6 loopback address ({error})"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A socket that is bound to all addresses of IPv6 and of IPv4; says so if there is none.
pub(crate) fn dual_stack() -> Option<UdpSocket> {
    if OPENBSD {
        skipped(format_args!("no socket is dual-stack"));
        return None;
    }
    udp_v6_only(false)
}

/// A socket that is bound to all addresses, of IPv6 alone or not; says so if this machine has no IPv6. The option
/// is set, because a machine chooses its default.
pub(crate) fn udp_v6_only(only: bool) -> Option<UdpSocket> {
    let made =
        raw::socket(raw::AddressFamily::Inet6, raw::SockType::Datagram, raw::SockFlag::SOCK_CLOEXEC, None);
    let fd = match made {
        Ok(fd) => fd,
        Err(errno) => {
            skipped(format_args!("this machine has no IPv6 sockets ({errno})"));
            return None;
        }
    };
    set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, libc::c_int::from(only));
    let all = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0);
    raw::bind(fd.as_raw_fd(), &raw::SockaddrIn6::from(all)).unwrap();
    Some(fd.into())
}

/// More descriptors than any test has.
pub(crate) const DESCRIPTORS: libc::rlim_t = 512;

/// Whether this process can have `DESCRIPTORS`, for which its limit is raised if need be; says so if it may not.
/// OpenBSD's class "daemon" has 128.
pub(crate) fn room_for_descriptors() -> bool {
    use nix::sys::resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit};

    let (soft, hard) = getrlimit(RLIMIT_NOFILE).unwrap();
    let raised = soft >= DESCRIPTORS || setrlimit(RLIMIT_NOFILE, DESCRIPTORS, hard.max(DESCRIPTORS)).is_ok();
    if !raised {
        skipped(format_args!("this process may have {hard} descriptors, and {DESCRIPTORS} are needed"));
    }
    raised
}

/// Says that a test was not run, and why: past what is kept of a test that passes.
pub(crate) fn skipped(why: std::fmt::Arguments<'_>) {
    use std::io::Write;

    io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap();
}

fn no_such_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// A descriptor that is open for nothing. std's options for opening a file drop the flag where musl counts it to
/// the mode.
#[cfg(target_os = "linux")]
pub(crate) fn open_path_only(path: &std::path::Path) -> std::fs::File {
    use nix::fcntl::OFlag;
    use nix::sys::stat::Mode;

    nix::fcntl::open(path, OFlag::O_PATH, Mode::empty()).unwrap().into()
}

/// Sends a range of a file as one pass of a transfer, by copying if there is a buffer. The offset moves as
/// that of `sendfile` does.
pub(crate) fn transfer<'fd>(
    output: impl Into<Output<'fd>>,
    input: impl AsFd,
    offset: Offset<'_>,
    count: u64,
    buffer: Option<&mut [u8]>,
) -> Result<u64, Error> {
    moving(offset, |at| {
        let mut transfer = of_range(input.as_fd(), at, count, buffer);
        let outcome = transfer.send(output);
        (transfer.sent().file, outcome)
    })
}

/// Sends all of a range of a file by a transfer, and returns how much there was.
pub(crate) fn transfer_all<'fd>(
    output: impl Into<Output<'fd>>,
    input: impl AsFd,
    offset: Offset<'_>,
    count: u64,
    buffer: Option<&mut [u8]>,
) -> Result<u64, SendAllError<u64>> {
    moving(offset, |at| {
        let mut transfer = of_range(input.as_fd(), at, count, buffer);
        let outcome = transfer.send_all(output);
        let sent = transfer.sent().file;
        if let Ok(outcome) = outcome {
            let expected = match count - sent {
                0 => Outcome::Whole,
                missing => Outcome::FileEnded { missing },
            };
            assert_eq!(outcome, expected);
        }
        (sent, outcome.map(|_| sent))
    })
}

fn of_range<'a>(
    input: BorrowedFd<'a>,
    at: Option<u64>,
    count: u64,
    buffer: Option<&'a mut [u8]>,
) -> Transfer<'a> {
    let mut transfer = Transfer::new(input).count(count);
    if let Some(at) = at {
        transfer = transfer.at(at);
    }
    match buffer {
        Some(buffer) => transfer.by_copying(buffer),
        None => transfer,
    }
}

/// Calls with an offset, and advances it by the first result.
fn moving<T>(offset: Offset<'_>, call: impl FnOnce(Option<u64>) -> (u64, T)) -> T {
    let Offset::At(at) = offset else { return call(None).1 };
    let (sent, outcome) = call(Some(*at));
    *at += sent;
    outcome
}
