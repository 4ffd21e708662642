//! Hosts in network namespaces of their own, and the links between them.
//!
//! A namespace ends with the descriptor that holds it, and with it its interfaces, routes and links: nothing is left
//! behind, however the tests end. Tests in one process do not disturb each other.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, setns, unshare};

use super::skipped;

/// A host: a network namespace.
pub(crate) struct Host {
    namespace: File,
}

impl Host {
    /// Makes a host that has a loopback interface; says so if it cannot.
    pub(crate) fn new() -> Option<Self> {
        let made = std::thread::scope(|scope| scope.spawn(enter_new_namespace).join().unwrap());
        let namespace = match made {
            Ok(namespace) => namespace,
            Err(errno) => {
                skipped(format_args!("needs a network namespace, which root can make (unshare: {errno})"));
                return None;
            }
        };
        let host = Self { namespace };
        // An address is used at once, and each error of the network is told.
        let settings = [
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/accept_ra", "0"),
            ("ipv4/icmp_ratelimit", "0"),
            ("ipv6/icmp/ratelimit", "0"),
        ];
        settings.iter().all(|&(name, value)| host.set(name, value)).then_some(())?;
        host.ip("link set lo up").then_some(host)
    }

    /// Runs something on this host, in a thread of its own. A socket that it makes is this host's for ever.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let there = || {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(there).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs ip(8) on this host with these arguments; says so if there is no such program, or if it fails.
    pub(crate) fn ip(&self, words: &str) -> bool {
        self.administer("ip", words)
    }

    /// What ip(8) tells of this host.
    pub(crate) fn told_by_ip(&self, words: &str) -> String {
        let output = self.run(|| Command::new("ip").args(words.split_whitespace()).output().unwrap());
        String::from_utf8(output.stdout).unwrap()
    }

    /// The number of an interface.
    pub(crate) fn interface(&self, name: &str) -> u32 {
        self.run(|| nix::net::if_::if_nametoindex(name).unwrap())
    }

    /// Has an interface leave checksums, and so the dividing of data, to the kernel; says so if it cannot.
    pub(crate) fn computes_no_checksums(&self, name: &str) -> bool {
        /// `ETHTOOL_STXCSUM`, which the libc crate does not have.
        const SET_CHECKSUMS: u32 = 0x17;
        let mut value = [SET_CHECKSUMS, 0];
        // SAFETY: a structure of bytes, integers and pointers, for which zero is valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        let socket = self.udp(std::net::Ipv4Addr::LOCALHOST.into());
        // SAFETY: the request and the value that it points to outlive the call, and have the sizes that it is made for.
        let returned = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if returned != 0 {
            skipped(format_args!("needs to set checksums: {}", std::io::Error::last_os_error()));
        }
        returned == 0
    }

    /// Runs a program for administration on this host; says so if there is no such program, or if it fails. The PATH of
    /// an ordinary user may lack its directory.
    pub(crate) fn administer(&self, program: &str, words: &str) -> bool {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = Command::new(program);
        command.args(words.split_whitespace()).env("PATH", path).stdin(Stdio::null());
        match self.run(|| command.output()) {
            Ok(output) if output.status.success() => return true,
            Ok(output) => {
                let complaint = String::from_utf8_lossy(&output.stderr);
                skipped(format_args!("needs `{program} {words}`, which failed: {}", complaint.trim()));
            }
            Err(error) => skipped(format_args!("needs {program}(8), which cannot be run: {error}")),
        }
        false
    }

    /// Sets a parameter of this host's network, named as below /proc/sys/net; says so if it may not. A machine without
    /// IPv6 has none of its parameters, which then do not matter.
    pub(crate) fn set(&self, name: &str, value: &str) -> bool {
        match self.run(|| std::fs::write(format!("/proc/sys/net/{name}"), value)) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => {
                skipped(format_args!("needs to set {name}: {error}"));
                false
            }
        }
    }

    /// Links this host to another. Each has an interface of the name given, which is up.
    pub(crate) fn link(&self, name: &str, other: &Self, others_name: &str) -> bool {
        let (process, fd) = (std::process::id(), other.namespace.as_raw_fd());
        self.ip(&format!("link add {name} type veth peer name {others_name} netns /proc/{process}/fd/{fd}"))
            && self.ip(&format!("link set {name} up"))
            && other.ip(&format!("link set {others_name} up"))
    }

    /// Gives an interface an address, which is used at once.
    pub(crate) fn has(&self, address: &str, name: &str) -> bool {
        let at_once = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!("addr add {address} dev {name} {at_once}"))
    }

    /// A UDP socket of this host that is bound to this address and to a port of the kernel's choice.
    pub(crate) fn udp(&self, address: IpAddr) -> UdpSocket {
        self.run(|| UdpSocket::bind(SocketAddr::new(address, 0)).unwrap())
    }
}

fn enter_new_namespace() -> nix::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    // The namespace of this thread. That of the process is another.
    Ok(File::open("/proc/thread-self/ns/net").unwrap())
}

/// The request by which an interface is told what to leave to the kernel. The libc crate does not have it.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// The version of the internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

/// Two hosts with a router between their networks.
pub(crate) struct Network {
    pub(crate) near: Host,
    pub(crate) router: Host,
    pub(crate) far: Host,
}

impl Network {
    /// Makes the hosts and their routes; says so if it cannot, or if this machine has no IPv6 and that is asked for.
    pub(crate) fn new(version: Version) -> Option<Self> {
        let network = Self { near: Host::new()?, router: Host::new()?, far: Host::new()? };
        let Self { near, router, far } = &network;
        let linked = near.link("near", router, "inner") && far.link("far", router, "outer");
        let routed = match version {
            Version::V4 => {
                near.has("10.9.0.1/24", "near")
                    && router.has("10.9.0.2/24", "inner")
                    && router.has("10.8.0.2/24", "outer")
                    && far.has("10.8.0.1/24", "far")
                    && near.ip("route add default via 10.9.0.2")
                    && far.ip("route add default via 10.8.0.2")
                    && router.set("ipv4/ip_forward", "1")
            }
            Version::V6 => {
                near.has("fd00:9::1/64", "near")
                    && router.has("fd00:9::2/64", "inner")
                    && router.has("fd00:8::2/64", "outer")
                    && far.has("fd00:8::1/64", "far")
                    && near.ip("-6 route add default via fd00:9::2")
                    && far.ip("-6 route add default via fd00:8::2")
                    && router.set("ipv6/conf/all/forwarding", "1")
            }
        };
        (linked && routed).then_some(network)
    }

    /// The address of the near host.
    pub(crate) fn near_address(version: Version) -> IpAddr {
        address(version, "10.9.0.1", "fd00:9::1")
    }

    /// The address of the far host.
    pub(crate) fn far_address(version: Version) -> IpAddr {
        address(version, "10.8.0.1", "fd00:8::1")
    }

    /// Makes such a network, in which the link from the router to the far host carries so many bytes; says so if it
    /// cannot.
    pub(crate) fn narrow(version: Version, bytes: usize) -> Option<Self> {
        let network = Self::new(version)?;
        let set = network.router.ip(&format!("link set outer mtu {bytes}"))
            && network.far.ip(&format!("link set far mtu {bytes}"));
        set.then_some(network)
    }
}

/// One of two addresses.
pub(crate) fn address(version: Version, v4: &str, v6: &str) -> IpAddr {
    match version {
        Version::V4 => v4.parse().unwrap(),
        Version::V6 => v6.parse().unwrap(),
    }
}
