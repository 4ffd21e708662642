//! Sockets in a given state, made in the same way on both systems.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
#[cfg(target_os = "linux")]
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, UnixAddr, setsockopt,
    socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{Gid, Uid, setgid, setuid};

use crate::case::Stop;
#[cfg(target_os = "linux")]
use crate::expected::Release;
use crate::machine::{self, Need};
use crate::raw;
#[cfg(target_os = "linux")]
use crate::report::Host;

/// How long to wait for something that must happen.
const PATIENCE: u16 = 2000;

/// The loopback address with a free port, even if the interface of this machine is not up.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Returns the loopback address of this machine, with a free port.
pub(crate) fn loopback() -> Result<SocketAddr, Stop> {
    machine::need(Need::Loopback)?;
    Ok(LOOPBACK)
}

/// Returns a UDP socket that is bound to the IPv6 loopback address.
pub(crate) fn udp_v6() -> Result<UdpSocket, Stop> {
    machine::need(Need::LoopbackV6)?;
    Ok(UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))?)
}

/// Returns a UDP socket that is bound to all addresses, of IPv6 alone or of IPv4 too. Without a dual-stack socket
/// on this system, it is of IPv6 alone. The option is set because a machine chooses its default.
pub(crate) fn udp_at_all(only_v6: bool) -> Result<UdpSocket, Stop> {
    machine::need(Need::LoopbackV6)?;
    let fd = new_socket(AddressFamily::Inet6, SockType::Datagram)?;
    let set = raw::set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only_v6.into());
    if only_v6 || cfg!(target_os = "linux") {
        set?;
    }
    let all = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0);
    socket::bind(fd.as_raw_fd(), &SockaddrIn6::from(all))?;
    Ok(fd.into())
}

/// Returns a dual-stack UDP socket that is bound to all addresses.
pub(crate) fn dual_stack() -> Result<UdpSocket, Stop> {
    match cfg!(target_os = "linux") {
        true => udp_at_all(false),
        false => skip("this system has no dual-stack sockets"),
    }
}

/// Returns the two ends of a TCP connection over loopback.
pub(crate) fn tcp_pair() -> Result<(TcpStream, TcpStream), Stop> {
    let listener = TcpListener::bind(loopback()?)?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let (theirs, _) = listener.accept()?;
    Ok((ours, theirs))
}

/// Returns a TCP socket that was never connected.
pub(crate) fn tcp() -> Result<OwnedFd, Stop> {
    new_socket(AddressFamily::Inet, SockType::Stream)
}

/// Returns a new socket.
pub(crate) fn new_socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd, Stop> {
    if family == AddressFamily::Unix {
        need_unix(kind)?;
    }
    Ok(socket::socket(family, kind, SockFlag::empty(), None)?)
}

/// Binds an IPv4 socket to a free port of the loopback address.
pub(crate) fn bind_to_loopback(socket: &impl AsRawFd) -> Result<(), Stop> {
    machine::need(Need::Loopback)?;
    Ok(socket::bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))?)
}

/// Binds a unix socket to a path.
pub(crate) fn bind_to_path(socket: &impl AsRawFd, path: &Path) -> Result<(), Stop> {
    Ok(socket::bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?)
}

/// Binds a unix socket to a name in the abstract namespace.
pub(crate) fn bind_to_abstract(socket: &impl AsFd, name: &[u8]) -> nix::Result<()> {
    raw::bind(socket.as_fd(), crate::trial::Destination::Abstract(name))
}

/// Returns a unix socket whose peer has closed, with an unread byte if `unread` is set.
pub(crate) fn abandoned(kind: SockType, unread: bool) -> Result<OwnedFd, Stop> {
    let (ours, _theirs) = unix_pair(kind)?;
    if unread {
        raw::send(ours.as_fd(), b"u", 0)?;
    }
    Ok(ours)
}

/// Returns two connected unix sockets.
pub(crate) fn unix_pair(kind: SockType) -> Result<(OwnedFd, OwnedFd), Stop> {
    need_unix(kind)?;
    Ok(socketpair(AddressFamily::Unix, kind, None, SockFlag::empty())?)
}

/// Returns two connected unix streams of std.
pub(crate) fn unix_streams() -> Result<(UnixStream, UnixStream), Stop> {
    let (ours, theirs) = unix_pair(SockType::Stream)?;
    Ok((ours.into(), theirs.into()))
}

/// Returns a unix datagram socket without a name.
pub(crate) fn unbound_datagram() -> Result<UnixDatagram, Stop> {
    machine::need(Need::UnixDatagram)?;
    Ok(UnixDatagram::unbound()?)
}

pub(crate) fn need_unix(kind: SockType) -> Result<(), Stop> {
    machine::need(match kind {
        SockType::Datagram => Need::UnixDatagram,
        SockType::SeqPacket => Need::UnixSeqpacket,
        _ => Need::UnixStream,
    })
}

/// Returns a UDP socket that is connected to a second one.
pub(crate) fn udp_pair() -> Result<(UdpSocket, UdpSocket), Stop> {
    let ours = UdpSocket::bind(loopback()?)?;
    let theirs = UdpSocket::bind(loopback()?)?;
    ours.connect(theirs.local_addr()?)?;
    theirs.connect(ours.local_addr()?)?;
    Ok((ours, theirs))
}

/// Returns a UDP socket that is connected to a port on which nobody listens.
pub(crate) fn udp_to_closed_port() -> Result<UdpSocket, Stop> {
    let (ours, _theirs) = udp_pair()?;
    Ok(ours)
}

/// Returns the address of a TCP port that has just been closed.
pub(crate) fn closed_tcp_port() -> Result<SocketAddr, Stop> {
    Ok(TcpListener::bind(loopback()?)?.local_addr()?)
}

/// Returns a TCP socket that stays connecting, and the listener that keeps it so: the listener silently drops
/// every packet whose time to live is below 255.
pub(crate) fn connecting(blocking: bool) -> Result<(OwnedFd, OwnedFd), Stop> {
    let listener = tcp()?;
    bind_to_loopback(&listener)?;
    raw::set_option(listener.as_fd(), libc::IPPROTO_IP, raw::IP_MINTTL, 255)?;
    socket::listen(&listener, Backlog::new(1)?)?;
    let address: SockaddrIn = socket::getsockname(listener.as_raw_fd())?;
    let candidate = tcp()?;
    raw::set_option(candidate.as_fd(), libc::IPPROTO_IP, libc::IP_TTL, 64)?;
    set_nonblocking(&candidate, true)?;
    match socket::connect(candidate.as_raw_fd(), &address) {
        Err(Errno::EINPROGRESS) if !wait_for(&candidate, PollFlags::POLLOUT, 50)? => {}
        _ => {
            return skip(
                "IP_MINTTL does not keep a listener from answering here: no socket stayed connecting",
            );
        }
    }
    set_nonblocking(&candidate, !blocking)?;
    Ok((candidate, listener))
}

/// Returns a TCP socket whose non-blocking connect was refused, and that has seen the refusal.
pub(crate) fn refused_while_connecting() -> Result<OwnedFd, Stop> {
    let refused = tcp()?;
    set_nonblocking(&refused, true)?;
    match connect_to(&refused, closed_tcp_port()?) {
        Err(Errno::EINPROGRESS | Errno::ECONNREFUSED) => {}
        outcome => return Err(Stop::Broken(format!("connect to a closed port gave {outcome:?}"))),
    }
    wait_until(&refused, PollFlags::POLLIN)?;
    Ok(refused)
}

/// Calls connect(2) with an IPv4 address.
pub(crate) fn connect_to(socket: &impl AsRawFd, address: SocketAddr) -> nix::Result<()> {
    match address {
        SocketAddr::V4(address) => socket::connect(socket.as_raw_fd(), &SockaddrIn::from(address)),
        SocketAddr::V6(_) => Err(Errno::EAFNOSUPPORT),
    }
}

/// Makes a close of this connection send a reset.
pub(crate) fn reset_on_close(theirs: &TcpStream) -> Result<(), Stop> {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    Ok(setsockopt(theirs, sockopt::Linger, &at_once)?)
}

/// Closes a TCP connection with a reset, and waits until the other end has seen it.
pub(crate) fn reset(theirs: TcpStream, ours: &TcpStream) -> Result<(), Stop> {
    reset_on_close(&theirs)?;
    drop(theirs);
    wait_until(ours, PollFlags::POLLIN)
}

/// Closes a TCP connection, and waits until the other end has seen it.
pub(crate) fn finish(theirs: TcpStream, ours: &TcpStream) -> Result<(), Stop> {
    drop(theirs);
    wait_until(ours, PollFlags::POLLIN)
}

/// Opens a file of the system, or skips the case if this process may not.
pub(crate) fn open(path: impl AsRef<Path>) -> Result<File, Stop> {
    let path = path.as_ref();
    File::open(path).or_else(|error| skip(format!("needs {}: {error}", path.display())))
}

/// Returns a file of this many unwritten bytes. Its space on disk is freed when it is closed.
#[cfg(not(target_os = "linux"))]
pub(crate) fn holes(path: &Path, length: u64) -> Result<File, Stop> {
    holes_on_disk(path, length)
}

/// Returns a file of this many unwritten bytes. It is in memory, where it is read fast, because Linux leaves
/// holes there empty when they are sent (6.5, commit bd194b187115). An older Linux fills the holes, and keeps
/// them filled as long as the file exists.
#[cfg(target_os = "linux")]
pub(crate) fn holes(path: &Path, length: u64) -> Result<File, Stop> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

    if Release::parse(&Host::here().release) >= Release(6, 5)
        && let Ok(file) = memfd_create(c"unisend", MFdFlags::MFD_CLOEXEC)
    {
        let file = File::from(file);
        file.set_len(length)?;
        return Ok(file);
    }
    let file = holes_on_disk(path, length)?;
    let place = fstatfs(&file)?;
    let free = place.blocks_available() * place.block_size() as u64;
    if place.filesystem_type() == TMPFS_MAGIC && free < length {
        return skip(format!("needs {length} bytes in TMPDIR, which is in memory and has {free} free"));
    }
    Ok(file)
}

/// The name of the file is removed, so its space is freed when it is closed.
fn holes_on_disk(path: &Path, length: u64) -> Result<File, Stop> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    std::fs::remove_file(path)?;
    file.set_len(length)?;
    Ok(file)
}

/// Waits until data has arrived, up to a limit, and a moment more. Its sender then waits for room.
pub(crate) fn wait_for_a_sender(from: &impl AsFd) {
    let _ = wait_for(from, PollFlags::POLLIN, 10_000);
    thread::sleep(Duration::from_millis(150));
}

/// Sets `O_NONBLOCK`.
pub(crate) fn set_nonblocking(socket: &impl AsFd, nonblocking: bool) -> Result<(), Stop> {
    let mut flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, nonblocking);
    fcntl(socket, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

/// Shuts down sending or receiving.
pub(crate) fn shutdown(socket: &impl AsRawFd, how: Shutdown) -> nix::Result<()> {
    let how = match how {
        Shutdown::Read => socket::Shutdown::Read,
        Shutdown::Write => socket::Shutdown::Write,
        Shutdown::Both => socket::Shutdown::Both,
    };
    socket::shutdown(socket.as_raw_fd(), how)
}

/// Returns whether poll(2) reports one of these events, or an error, within this many milliseconds.
pub(crate) fn wait_for(socket: &impl AsFd, what: PollFlags, milliseconds: u16) -> Result<bool, Stop> {
    let mut polled = [PollFd::new(socket.as_fd(), what)];
    Ok(poll(&mut polled, milliseconds)? == 1)
}

/// Waits for an event that must happen.
pub(crate) fn wait_until(socket: &impl AsFd, what: PollFlags) -> Result<(), Stop> {
    let mut polled = [PollFd::new(socket.as_fd(), what)];
    match poll(&mut polled, PATIENCE)? {
        0 => Err(Stop::Broken(format!("poll(2) did not report {what:?} in time"))),
        _ => Ok(()),
    }
}

/// Returns a TCP connection on which nothing more can be sent. The sizes of its buffers are set, so they do not
/// grow.
pub(crate) fn full_tcp_pair() -> Result<(TcpStream, TcpStream), Stop> {
    let (ours, theirs) = tcp_pair()?;
    setsockopt(&ours, sockopt::SndBuf, &65_536)?;
    setsockopt(&theirs, sockopt::RcvBuf, &65_536)?;
    // For some time after the socket is full, a retransmission can still move data to the other buffer.
    fill_until_quiet_for(&ours, Duration::from_millis(700))?;
    Ok((ours, theirs))
}

/// Fills a unix stream until it takes no more, whatever the buffers of the two kernels are.
pub(crate) fn fill(socket: &impl AsFd) -> Result<(), Stop> {
    fill_until_quiet_for(socket, Duration::ZERO)
}

fn fill_until_quiet_for(socket: &impl AsFd, quiet: Duration) -> Result<(), Stop> {
    // Single bytes are slow over TCP, so few are sent.
    const LENGTHS: [usize; 5] = [65_536, 4096, 256, 16, 1];
    let bytes = [b'f'; LENGTHS[0]];
    let mut last_accepted = Instant::now();
    loop {
        let accepted =
            LENGTHS.iter().try_fold((), |(), &length| match send_without_waiting(socket, &bytes[..length]) {
                Err(Errno::EAGAIN) => ControlFlow::Continue(()),
                outcome => ControlFlow::Break(outcome),
            });
        match accepted.break_value().unwrap_or(Err(Errno::EAGAIN)) {
            Ok(_) => last_accepted = Instant::now(),
            Err(Errno::EAGAIN) if last_accepted.elapsed() >= quiet => return Ok(()),
            Err(Errno::EAGAIN) => thread::sleep(Duration::from_millis(20)),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn send_without_waiting(socket: &impl AsFd, bytes: &[u8]) -> nix::Result<usize> {
    raw::send(socket.as_fd(), bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
}

/// Sets the time limit, in milliseconds, of calls that wait for room on this socket.
pub(crate) fn set_send_timeout(socket: &impl AsFd, milliseconds: i64) -> Result<(), Stop> {
    Ok(setsockopt(socket, sockopt::SendTimeout, &TimeVal::milliseconds(milliseconds))?)
}

/// Reads and drops all data in a new thread, until the end or an error.
pub(crate) fn drain(mut from: impl Read + Send + 'static) -> Result<JoinHandle<u64>, Stop> {
    start(move || {
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            total += count as u64;
        }
        total
    })
}

/// Returns a unix datagram socket that is bound to this path.
pub(crate) fn bound_datagram(path: &Path) -> Result<UnixDatagram, Stop> {
    machine::need(Need::UnixDatagram)?;
    Ok(UnixDatagram::bind(path)?)
}

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// Installs a handler for SIGUSR1 that does nothing, with or without `SA_RESTART`.
pub(crate) fn catch_signal(restart: bool) -> Result<(), Stop> {
    let flags = if restart { SaFlags::SA_RESTART } else { SaFlags::empty() };
    let action = SigAction::new(SigHandler::Handler(do_nothing), flags, SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { signal::sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}

/// Returns the size of a page of memory.
pub(crate) fn page_size() -> Result<u64, Stop> {
    let bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
    Ok(bytes.map_or(4096, |bytes| bytes as u64))
}

/// Sends SIGUSR1 to a thread from another thread, repeatedly until it is stopped. On a busy machine the first
/// signal can arrive before the call that it should interrupt.
pub(crate) struct Signals {
    stop: Sender<()>,
    sender: JoinHandle<()>,
}

impl Signals {
    /// Sends a signal to this thread each time this many milliseconds have passed. The signals end after a
    /// while by themselves, because on OpenBSD each can restart a time limit.
    pub(crate) fn each(milliseconds: u64) -> Result<Self, Stop> {
        const MOST: usize = 15;
        // This is a number on one system and a pointer on another. It is only passed to the other thread.
        let target = nix::sys::pthread::pthread_self() as usize;
        let (stop, stopped) = mpsc::channel();
        let sender = start(move || {
            let pause = Duration::from_millis(milliseconds);
            for _ in 0..MOST {
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                // The target thread still exists: it waits for this thread to end.
                let _ = nix::sys::pthread::pthread_kill(target as _, Signal::SIGUSR1);
            }
        })?;
        Ok(Self { stop, sender })
    }

    pub(crate) fn stop(self) -> Result<(), Stop> {
        drop(self.stop);
        self.sender.join().map_err(|_| Stop::Broken("the signalling thread panicked".to_owned()))
    }
}

/// Sends SIGUSR1 to this thread from another thread, every so many milliseconds, this many times.
pub(crate) fn signal_every(milliseconds: u64, times: u32) -> Result<JoinHandle<()>, Stop> {
    let target = nix::sys::pthread::pthread_self() as usize;
    start(move || {
        for _ in 0..times {
            thread::sleep(Duration::from_millis(milliseconds));
            let _ = nix::sys::pthread::pthread_kill(target as _, Signal::SIGUSR1);
        }
    })
}

/// Starts a thread.
pub(crate) fn start<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Stop> {
    machine::need(Need::Thread)?;
    thread::Builder::new().spawn(work).map_err(|error| machine::no_process(machine::errno_of(&error)))
}

/// Changes this process, which runs one case, from root to an ordinary user.
pub(crate) fn leave_root(user: u32) -> Result<(), Stop> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    setuid(Uid::from_raw(user)).or_else(|errno| {
        skip(format!(
            "needs a user other than root, which this namespace does not have: setuid(2) failed with {errno:?}"
        ))
    })
}

/// Returns the result of a call, and how long it took.
pub(crate) fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let outcome = call();
    (outcome, start.elapsed())
}

/// Skips a case that needs something that this machine lacks.
pub(crate) fn skip<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Skip(reason.into()))
}

/// Leaves the machine's network for a new one that has no interface up, and so no routes.
#[cfg(target_os = "linux")]
pub(crate) fn enter_empty_network() -> Result<(), Stop> {
    unshare(CloneFlags::CLONE_NEWNET)
        .or_else(|_| enter_user_namespace(CloneFlags::CLONE_NEWNET, 0, 0))
        .or_else(|errno| {
            skip(format!("needs a network namespace of its own, and unshare(2) failed with {errno:?}"))
        })
}

/// A process on OpenBSD cannot leave the network without a change to the machine's routes.
#[cfg(not(target_os = "linux"))]
pub(crate) fn enter_empty_network() -> Result<(), Stop> {
    skip("needs a network of its own, which this system cannot make without changing the machine's network")
}

/// Enters such a network, with only the loopback interface up.
pub(crate) fn enter_own_network() -> Result<(), Stop> {
    enter_empty_network()?;
    #[cfg(target_os = "linux")]
    raw::bring_loopback_up()?;
    machine::has_loopback_of_its_own();
    Ok(())
}

/// Enters a user namespace in which this user and group have these numbers, together with other namespaces.
#[cfg(target_os = "linux")]
fn enter_user_namespace(others: CloneFlags, user: u32, group: u32) -> nix::Result<()> {
    let (own_user, own_group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER | others)?;
    for (file, line) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{user} {own_user} 1")),
        ("gid_map", format!("{group} {own_group} 1")),
    ] {
        std::fs::write(format!("/proc/self/{file}"), line).map_err(|error| machine::errno_of(&error))?;
    }
    Ok(())
}

/// Makes the user and the group of this process have different numbers, if they do not and can. Root takes
/// other numbers, and an ordinary user enters a user namespace if there are any. The process runs one case.
pub(crate) fn tell_user_from_group() {
    const USER: u32 = 32_764;
    const GROUP: u32 = 32_765;
    if Uid::effective().as_raw() != Gid::effective().as_raw() {
        return;
    }
    // A namespace may lack these numbers. Other machines then show the difference.
    let changed = match Uid::effective().is_root() {
        true => setgid(Gid::from_raw(GROUP)).and_then(|()| setuid(Uid::from_raw(USER))),
        false => Err(Errno::EPERM),
    };
    #[cfg(target_os = "linux")]
    let _ = changed.or_else(|_| enter_user_namespace(CloneFlags::empty(), USER, GROUP));
    #[cfg(not(target_os = "linux"))]
    let _ = changed;
}
