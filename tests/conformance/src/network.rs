//! Routes and packet filters, and two hosts with a gateway between their networks, in network namespaces that
//! this process makes. Everything that is made here ends with the processes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use crate::case::Stop;
use crate::machine;
use crate::raw;
use crate::scene;
use crate::trial::Destination;

/// How long the far host waits for data that must arrive.
const PATIENCE_SECONDS: u8 = 5;
/// How long it waits for data that must not arrive.
const MOMENT: Duration = Duration::from_millis(300);

/// Runs ip(8) with these arguments.
pub(crate) fn ip(words: &str) -> Result<(), Stop> {
    match administer("ip", words) {
        Ran::Done => Ok(()),
        Ran::Missing(error) => scene::skip(format!("needs ip(8), of iproute2: {error}")),
        Ran::Failed(said) => {
            scene::skip(format!("needs a network of its own, and `ip {words}` failed: {said}"))
        }
    }
}

/// How a program for administration ended.
enum Ran {
    Done,
    Missing(std::io::Error),
    /// It printed this.
    Failed(String),
}

/// Runs a program with these arguments. The PATH of an ordinary user may lack its directory.
fn administer(program: &str, words: &str) -> Ran {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new(program);
    let ran = command.args(words.split_whitespace()).env("PATH", path).stdin(Stdio::null()).output();
    match ran {
        Err(error) => Ran::Missing(error),
        Ok(output) if output.status.success() => Ran::Done,
        Ok(output) => Ran::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Returns an address that a route rejects. On Linux the address is in a network of this process's own. On
/// OpenBSD it is in 127/8, which the start script of an installed machine rejects.
pub(crate) fn rejected() -> Result<SocketAddr, Stop> {
    if cfg!(target_os = "openbsd") {
        return Ok(([127, 0, 0, 2], 9).into());
    }
    scene::enter_own_network()?;
    ip("route add prohibit 192.0.2.0/24")?;
    Ok(([192, 0, 2, 1], 9).into())
}

/// Reports to a UDP socket on loopback, as a router does by ICMP, that the path is too narrow for a datagram that it sent. It
/// needs root, in a network of its own because the kernel remembers the path.
pub(crate) fn report_a_narrow_path(from: SocketAddr, to: SocketAddr) -> Result<(), Stop> {
    const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];
    const WIDTH: u16 = 1280;
    const HEADERS: u16 = 28;
    let loopback = Ipv4Addr::LOCALHOST.octets();
    let mut report = Vec::from(FRAGMENTATION_NEEDED);
    report.extend([0, 0, 0, 0]); // a checksum, and nothing
    report.extend(WIDTH.to_be_bytes());
    // The headers of the datagram that was too long: of IPv4, with "do not fragment", and of UDP.
    report.extend([0x45, 0]);
    report.extend((WIDTH + HEADERS).to_be_bytes());
    report.extend([0, 0, 0x40, 0, 64, libc::IPPROTO_UDP as u8, 0, 0]);
    report.extend([loopback, loopback].concat());
    for value in [from.port(), to.port(), WIDTH, 0] {
        report.extend(value.to_be_bytes());
    }
    let sum = checksum(&report);
    report[2..4].copy_from_slice(&sum.to_be_bytes());
    let socket = raw::icmp()?;
    raw::send_to(socket.as_fd(), &report, Destination::Internet((Ipv4Addr::LOCALHOST, 0).into()))?;
    Ok(())
}

/// The checksum of the internet: the complement of the sum, in ones' complement, of words of 16 bits.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let sum = words.fold(0_u32, |sum, word| sum + u32::from(word));
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// Makes the packet filter of this process's own network drop what is sent to these ports, with nft(8) or
/// iptables(8).
pub(crate) fn drop_what_is_sent_to(tcp: u16, udp: u16) -> Result<(), Stop> {
    let with_nft = format!(
        "add table inet unisend; \
         add chain inet unisend output {{ type filter hook output priority 0; }}; \
         add rule inet unisend output tcp dport {tcp} drop; \
         add rule inet unisend output udp dport {udp} drop"
    );
    let with_iptables = [("tcp", tcp), ("udp", udp)]
        .map(|(name, port)| format!("-A OUTPUT -p {name} --dport {port} -j DROP"));
    let by_iptables =
        || with_iptables.iter().map(|words| administer("iptables", words)).find(|ran| !ran.is_done());
    match (administer("nft", &with_nft), by_iptables) {
        (Ran::Done, _) => Ok(()),
        (no_nft, by_iptables) => match by_iptables() {
            None => Ok(()),
            Some(no_iptables) => {
                scene::skip(format!("needs a packet filter: nft (nftables) {no_nft}, iptables {no_iptables}"))
            }
        },
    }
}

impl Ran {
    fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done => f.write_str("works"),
            Self::Missing(error) => write!(f, "is missing ({error})"),
            Self::Failed(said) => write!(f, "failed with {said:?}"),
        }
    }
}

/// A host behind a gateway: a process in its own namespace, with a TCP listener and UDP sockets at addresses
/// that are reached only through the gateway.
pub(crate) struct FarHost {
    process: Pid,
    tell: UnixStream,
    pub(crate) tcp: SocketAddr,
    pub(crate) udp_v4: SocketAddr,
    pub(crate) udp_v6: SocketAddr,
}

/// The sockets of the far host.
struct Sockets {
    tcp: TcpListener,
    udp_v4: UdpSocket,
    udp_v6: UdpSocket,
}

impl FarHost {
    /// Enters a network of this process's own, and makes the far host.
    pub(crate) fn new() -> Result<Self, Stop> {
        scene::enter_own_network()?;
        let (mut ours, theirs) = UnixStream::pair()?;
        // SAFETY: this process has one thread, so the child can use everything that the parent had.
        match unsafe { fork() }.map_err(machine::no_process)? {
            ForkResult::Child => {
                drop(ours);
                let ended = far_host(theirs);
                // SAFETY: it ends the child without running the exit handlers of the parent.
                unsafe { libc::_exit(i32::from(ended.is_err())) }
            }
            ForkResult::Parent { child } => {
                ours.set_read_timeout(Some(3 * Duration::from_secs(PATIENCE_SECONDS.into())))?;
                let ports = connect_the_two(child, &mut ours);
                let [tcp, udp_v4, udp_v6] = ports.inspect_err(|_| end(child))?;
                let at = |host: &str, port| SocketAddr::new(host.parse().expect("an address"), port);
                Ok(Self {
                    process: child,
                    tell: ours,
                    tcp: at("10.8.0.1", tcp),
                    udp_v4: at("10.8.0.1", udp_v4),
                    udp_v6: at("fd00:8::1", udp_v6),
                })
            }
        }
    }

    /// Returns how many bytes arrived at the far host's socket: "t", "4" or "6". With "t" it accepts a
    /// connection first. It waits longer for data that must arrive, because the first packet over a new link
    /// takes a while.
    pub(crate) fn received(&mut self, socket: u8, must_come: bool) -> Result<u8, Stop> {
        self.tell.write_all(&[socket, if must_come { PATIENCE_SECONDS } else { 0 }])?;
        let mut count = [0];
        self.tell.read_exact(&mut count)?;
        Ok(count[0])
    }
}

impl Drop for FarHost {
    fn drop(&mut self) {
        end(self.process);
    }
}

fn end(process: Pid) {
    let _ = kill(process, Signal::SIGKILL);
    let _ = waitpid(process, None);
}

/// Makes the link to the far host, and returns the ports on which it listens.
fn connect_the_two(far: Pid, tell: &mut UnixStream) -> Result<[u16; 3], Stop> {
    tell.read_exact(&mut [0])?; // the far host has its namespace
    ip(&format!("link add near type veth peer name far netns {far}"))?;
    for words in [
        "addr add 10.9.0.1/24 dev near",
        "-6 addr add fd00:9::1/64 dev near nodad",
        "link set near up",
        "route add 10.8.0.0/24 via 10.9.0.2",
        "-6 route add fd00:8::/64 via fd00:9::2",
    ] {
        ip(words)?;
    }
    tell.write_all(b"l")?;
    let mut ports = [0; 6];
    tell.read_exact(&mut ports)?;
    Ok([0, 2, 4].map(|at| u16::from_be_bytes([ports[at], ports[at + 1]])))
}

fn far_host(mut near: UnixStream) -> Result<(), Stop> {
    scene::enter_own_network()?;
    near.write_all(b"n")?;
    near.read_exact(&mut [0])?;
    for words in [
        "addr add 10.9.0.2/24 dev far",
        "-6 addr add fd00:9::2/64 dev far nodad",
        "link set far up",
        "addr add 10.8.0.1/24 dev lo",
        "-6 addr add fd00:8::1/64 dev lo nodad",
    ] {
        ip(words)?;
    }
    let sockets = Sockets {
        tcp: TcpListener::bind("10.8.0.1:0")?,
        udp_v4: UdpSocket::bind("10.8.0.1:0")?,
        udp_v6: UdpSocket::bind("[fd00:8::1]:0")?,
    };
    let ports = [sockets.tcp.local_addr()?, sockets.udp_v4.local_addr()?, sockets.udp_v6.local_addr()?];
    near.write_all(&ports.map(|address| address.port().to_be_bytes()).concat())?;
    let mut asked = [0; 2];
    while near.read_exact(&mut asked).is_ok() {
        let [socket, seconds] = asked;
        let patience = MOMENT + Duration::from_secs(seconds.into());
        near.write_all(&[count_received(&sockets, socket, patience)?])?;
    }
    Ok(())
}

fn count_received(sockets: &Sockets, socket: u8, patience: Duration) -> Result<u8, Stop> {
    let mut buffer = [0; 16];
    let count = match socket {
        b't' => {
            let mut stream: TcpStream = sockets.tcp.accept()?.0;
            stream.set_read_timeout(Some(patience))?;
            stream.read(&mut buffer)
        }
        b'4' => {
            sockets.udp_v4.set_read_timeout(Some(patience))?;
            sockets.udp_v4.recv(&mut buffer)
        }
        _ => {
            sockets.udp_v6.set_read_timeout(Some(patience))?;
            sockets.udp_v6.recv(&mut buffer)
        }
    };
    Ok(count.unwrap_or(0) as u8)
}
