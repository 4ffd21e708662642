//! What the suite needs from the machine. It is checked once, before the first case. If something is missing,
//! the cases that need it are skipped, and their reason says how to provide it.

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

/// The limit on descriptors for a run.
pub(crate) const DESCRIPTOR_LIMIT: u64 = 1024;

/// How long loopback may take to deliver a packet before it counts as missing.
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
    /// A second thread in a process.
    Thread,
    /// As many descriptors as the limit for a run.
    Descriptors,
}

/// Returns whether the kernel has 64 bits. A 32-bit program cannot tell by itself: uname(1) names the
/// processor.
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

/// The checks, each with the name of what is missing if it fails, and the remedy.
const CHECKS: [(Need, Check, &str, &str); 7] = [
    (Need::Loopback, loopback, "IPv4 over the loopback interface", BRING_UP),
    (Need::LoopbackV6, loopback_v6, "IPv6 over the loopback interface", TURN_ON_V6),
    (Need::UnixStream, || pair(SockType::Stream), "unix stream sockets", ALLOW),
    (Need::UnixDatagram, || pair(SockType::Datagram), "unix datagram sockets", ALLOW),
    (Need::UnixSeqpacket, || pair(SockType::SeqPacket), "unix seqpacket sockets", ALLOW),
    (Need::Thread, thread, "a second thread", "raise ulimit -u"),
    (Need::Descriptors, descriptors, "1024 descriptors", "raise ulimit -n"),
];

const ALLOW: &str = "allow them in the sandbox or in the kernel's configuration";

/// Returns whether the error means that the socket cannot be made at all.
fn kept_back(errno: Errno) -> bool {
    matches!(errno, Errno::EPERM | Errno::EACCES | Errno::ENOSYS) || no_such_socket(errno)
}

fn no_such_socket(errno: Errno) -> bool {
    matches!(errno, Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT)
}

static LACKS: OnceLock<Vec<(Need, String)>> = OnceLock::new();

/// Checks this machine, once, and returns what it lacks, each with the remedy.
///
/// # Errors
///
/// No case can run without a process for each run and a directory for the files of the runs. The error says
/// what is wrong, and what would be right.
pub fn prepare() -> Result<Vec<String>, String> {
    // With SIGXFSZ ignored, a file that is too large for ulimit -f is an error, here and in each run.
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

/// Whether this process, which runs one case, has left the machine's network.
static OWN_LOOPBACK: AtomicBool = AtomicBool::new(false);

/// Records that loopback is now that of a network that this process has made.
pub(crate) fn has_loopback_of_its_own() {
    OWN_LOOPBACK.store(true, Ordering::Relaxed);
}

/// Skips a case that needs something that this machine lacks.
pub(crate) fn need(need: Need) -> Result<(), Stop> {
    if need == Need::Loopback && OWN_LOOPBACK.load(Ordering::Relaxed) {
        return Ok(());
    }
    match lacks().iter().find(|(lacking, _)| *lacking == need) {
        Some((_, reason)) => Err(Stop::Skip(reason.clone())),
        None => Ok(()),
    }
}

/// Returns why something that a case only needs has failed: the machine has too little of it, or the error was
/// not expected.
pub(crate) fn why(errno: Errno) -> Stop {
    let lacking = match errno {
        Errno::EMFILE if descriptors().is_err() => {
            return need(Need::Descriptors).err().unwrap_or_else(|| broken(errno));
        }
        Errno::ENFILE => "has no free descriptors (system-wide limit)",
        Errno::ENOSPC | Errno::EDQUOT => "has no space left in the directory for temporary files (TMPDIR)",
        Errno::EFBIG => {
            "allows no file of that size in the directory for temporary files (TMPDIR; ulimit -f)"
        }
        Errno::ENOMEM => "has too little memory (ulimit -v)",
        errno if no_such_socket(errno) => "does not have this kind of socket",
        _ => return broken(errno),
    };
    Stop::Skip(format!("this machine {lacking}: {}", errno.desc()))
}

/// Returns why no process or thread was started.
pub(crate) fn no_process(errno: Errno) -> Stop {
    match errno {
        Errno::EAGAIN => Stop::Skip(format!(
            "this machine allows no more processes or threads ({}): raise ulimit -u",
            errno.desc()
        )),
        errno => why(errno),
    }
}

fn broken(errno: Errno) -> Stop {
    Stop::Broken(errno.to_string())
}

/// Returns the errno of a failed call of std.
pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Checks that the directory for temporary files can hold a socket and a file of 1 MiB.
fn directory() -> Result<(), String> {
    let place = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix("unisend-").tempdir().and_then(|directory| {
        std::fs::write(directory.path().join("file"), vec![0; 1 << 20])?;
        UnixDatagram::bind(directory.path().join("a-name-of-twenty-bytes"))
    });
    match made {
        Ok(_) => Ok(()),
        // Without such sockets, the cases that need them are skipped.
        Err(error) if errno_of(&error) == Errno::EAFNOSUPPORT || pair(SockType::Datagram).is_err() => Ok(()),
        Err(error) => Err(format!(
            "{} cannot hold a socket and a file of 1 MiB: {error}; set TMPDIR to a directory that can",
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

/// Sends from a UDP socket to itself.
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

/// Starts a thread in a child process, so that this process keeps only one.
fn thread() -> nix::Result<()> {
    // SAFETY: this process has one thread, so the child can use everything that the parent had.
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
    // SAFETY: it ends the child without running the exit handlers of the parent.
    unsafe { libc::_exit(code) }
}

fn descriptors() -> nix::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if most < DESCRIPTOR_LIMIT as _ { Err(Errno::EMFILE) } else { Ok(()) }
}
