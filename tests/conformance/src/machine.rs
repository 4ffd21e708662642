//! What the suite needs of the machine that it runs on. It is looked at once, before the first case: what is
//! lacking is the machine's set-up, and the cases that need it are skipped, with the remedy as their reason.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{self, SigHandler, Signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use crate::case::Stop;

/// How many descriptors a run may have.
pub(crate) const DESCRIPTOR_LIMIT: u64 = 1024;

/// How long loopback may take to deliver, before it is one that does not.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that a machine can lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// TCP and UDP from the IPv4 loopback address to itself.
    Loopback,
    /// UDP from the IPv6 loopback address to itself.
    LoopbackV6,
    UnixStream,
    UnixDatagram,
    UnixSeqpacket,
    /// A thread beside the one that a process has.
    Thread,
    /// As many descriptors as a run may have.
    Descriptors,
}

/// Whether the kernel has 64 bits, which a program of 32 cannot tell by itself: uname(1) names the processor for it.
pub(crate) fn has_kernel_of_64_bits() -> bool {
    nix::sys::utsname::uname().is_ok_and(|system| {
        let processor = system.machine().to_string_lossy();
        processor.contains("64") || processor == "s390x"
    })
}

const BRING_UP: &str =
    if cfg!(target_os = "openbsd") { "ifconfig lo0 inet 127.0.0.1/8 up" } else { "ip link set lo up" };

const TURN_ON_V6: &str = if cfg!(target_os = "openbsd") {
    "ifconfig lo0 inet6 ::1"
} else {
    "ip link set lo up; sysctl -w net.ipv6.conf.lo.disable_ipv6=0"
};

type Check = fn() -> nix::Result<()>;

/// What is looked at: what is missing if it fails, and what would mend it.
const CHECKS: [(Need, Check, &str, &str); 7] = [
    (Need::Loopback, loopback, "IPv4 over the loopback interface", BRING_UP),
    (Need::LoopbackV6, loopback_v6, "IPv6 over the loopback interface", TURN_ON_V6),
    (Need::UnixStream, || pair(SockType::Stream), "unix stream sockets", ALLOW),
    (Need::UnixDatagram, || pair(SockType::Datagram), "unix datagram sockets", ALLOW),
    (Need::UnixSeqpacket, || pair(SockType::SeqPacket), "unix seqpacket sockets", ALLOW),
    (Need::Thread, thread, "a second thread", "raise ulimit -u"),
    (Need::Descriptors, descriptors, "1024 descriptors", "raise ulimit -n"),
];

const ALLOW: &str = "let the sandbox, or the kernel's configuration, have them";

/// Whether a socket is not made at all.
fn kept_back(errno: Errno) -> bool {
    matches!(errno, Errno::EPERM | Errno::EACCES | Errno::ENOSYS) || no_such_socket(errno)
}

fn no_such_socket(errno: Errno) -> bool {
    matches!(errno, Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT)
}

static LACKS: OnceLock<Vec<(Need, String)>> = OnceLock::new();

/// Looks at this machine, once, and says what it lacks, each with the remedy.
///
/// # Errors
///
/// Without a process for each run, or a directory for what they make, no case can run: this says what is wrong,
/// and what would be right.
pub fn prepare() -> Result<Vec<String>, String> {
    // A file that may not be so large is an error then (ulimit -f), here and in each run.
    // SAFETY: no handler is installed.
    let _ = unsafe { signal::signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
    directory()?;
    // SAFETY: the child ends at once.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => end_child(0),
        Ok(ForkResult::Parent { child }) => drop(waitpid(child, None)),
        Err(errno) => return Err(format!("no process can be started: {}; raise ulimit -u", errno.desc())),
    }
    Ok(lacks().iter().map(|(_, reason)| reason.clone()).collect())
}

fn lacks() -> &'static [(Need, String)] {
    LACKS.get_or_init(|| {
        let failed = CHECKS.iter().filter_map(|&(need, check, what, remedy)| {
            let errno = check().err()?;
            let remedy = if kept_back(errno) { ALLOW } else { remedy };
            Some((need, format!("this machine lacks {what} ({}): {remedy}", errno.desc())))
        });
        failed.collect()
    })
}

/// Whether this process, a case's own, has left the machine's network.
static OWN_LOOPBACK: AtomicBool = AtomicBool::new(false);

/// From now on loopback is that of a network which this process has made.
pub(crate) fn has_loopback_of_its_own() {
    OWN_LOOPBACK.store(true, Ordering::Relaxed);
}

/// Skips a case that needs what this machine lacks.
pub(crate) fn need(need: Need) -> Result<(), Stop> {
    if need == Need::Loopback && OWN_LOOPBACK.load(Ordering::Relaxed) {
        return Ok(());
    }
    match lacks().iter().find(|(lacking, _)| *lacking == need) {
        Some((_, reason)) => Err(Stop::Skip(reason.clone())),
        None => Ok(()),
    }
}

/// Why something that a case only needs failed: for want of what the machine has too little of, or else unexpectedly.
pub(crate) fn why(errno: Errno) -> Stop {
    let lacking = match errno {
        Errno::EMFILE if descriptors().is_err() => {
            return need(Need::Descriptors).err().unwrap_or_else(|| broken(errno));
        }
        Errno::ENFILE => "has no more descriptors for anybody",
        Errno::ENOSPC | Errno::EDQUOT => "has no room in the directory for temporary files (TMPDIR)",
        Errno::EFBIG => {
            "allows no file of that size in the directory for temporary files (TMPDIR; ulimit -f)"
        }
        Errno::ENOMEM => "has no memory for it (ulimit -v)",
        errno if no_such_socket(errno) => "has no such socket",
        _ => return broken(errno),
    };
    Stop::Skip(format!("this machine {lacking}: {}", errno.desc()))
}

/// Why no process or thread was started.
pub(crate) fn no_process(errno: Errno) -> Stop {
    match errno {
        Errno::EAGAIN => Stop::Skip(format!(
            "this machine lets no more processes or threads be started ({}): raise ulimit -u",
            errno.desc()
        )),
        errno => why(errno),
    }
}

fn broken(errno: Errno) -> Stop {
    Stop::Broken(errno.to_string())
}

/// The error of a call of std, as the kernel gave it.
pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Whether the directory for temporary files holds a socket, and a file of some size.
fn directory() -> Result<(), String> {
    let place = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix("unisend-").tempdir().and_then(|directory| {
        std::fs::write(directory.path().join("file"), vec![0; 1 << 20])?;
        UnixDatagram::bind(directory.path().join("a-name-of-twenty-bytes"))
    });
    match made {
        Ok(_) => Ok(()),
        // Where there are no such sockets the cases that need them are skipped.
        Err(error) if errno_of(&error) == Errno::EAFNOSUPPORT || pair(SockType::Datagram).is_err() => Ok(()),
        Err(error) => Err(format!(
            "{} is no directory for a socket and a file of 1 MiB: {error}; let TMPDIR name one that is",
            place.display()
        )),
    }
}

fn loopback() -> nix::Result<()> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    to_itself(any_port)
        .and_then(|()| {
            let listener = TcpListener::bind(any_port)?;
            TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE).map(drop)
        })
        .map_err(|error| errno_of(&error))
}

fn loopback_v6() -> nix::Result<()> {
    to_itself((Ipv6Addr::LOCALHOST, 0).into()).map_err(|error| errno_of(&error))
}

/// Has a UDP socket send to itself.
fn to_itself(address: SocketAddr) -> std::io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    socket.send_to(b"x", socket.local_addr()?)?;
    let mut polled = [nix::poll::PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    match nix::poll::poll(&mut polled, PATIENCE.as_millis() as u16)? {
        0 => Err(Errno::ETIMEDOUT.into()),
        _ => Ok(()),
    }
}

fn pair(kind: SockType) -> nix::Result<()> {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::empty()).map(drop)
}

/// Starts a thread in a child, so that this process keeps to one.
fn thread() -> nix::Result<()> {
    // SAFETY: this process has one thread, so that the child can go on with all that it had.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let started = std::thread::Builder::new().spawn(|| ());
            end_child(i32::from(started.is_err()))
        }
        ForkResult::Parent { child } => match waitpid(child, None)? {
            WaitStatus::Exited(_, 0) => Ok(()),
            _ => Err(Errno::EAGAIN),
        },
    }
}

fn end_child(code: i32) -> ! {
    // SAFETY: ends the child without what the parent wants done at its own end.
    unsafe { libc::_exit(code) }
}

fn descriptors() -> nix::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if most < DESCRIPTOR_LIMIT as _ { Err(Errno::EMFILE) } else { Ok(()) }
}
