use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Error;
use crate::platform::contract::{Operation, Refusal, SocketKind, limits};
use crate::platform::{Family, Kernel, Native, SocketName};

/// Where a datagram goes: an IPv4 or IPv6 address, a unix path or, on Linux, an abstract name.
///
/// It is made once, in the layout and with the exact length that the kernel wants (clause A6), and can be
/// used for any number of sends. Making one makes no system call and does not allocate.
///
/// # No conversion from std's unix address
///
/// There is none, for it could name another socket. On OpenBSD std's
/// [`SocketAddr`](std::os::unix::net::SocketAddr) loses the last byte of a path: `as_pathname` of a socket that is
/// bound to `/tmp/ours` says `/tmp/our`, whether it comes from `recv_from`, `local_addr` or `peer_addr`. This was
/// seen with Rust 1.96. std has the fault since it cuts the padding off that OpenBSD leaves after a path, which began
/// in 2024; rust-lang/rust#160416, merged in August 2026, mends it. Older releases left the padding there, whose NUL
/// bytes [`Address::unix`] refuses. On OpenBSD have the peer say its path in the datagram.
///
/// ```
/// use std::net::SocketAddr;
/// use unisend::{Address, ErrorKind};
///
/// let udp = Address::from("127.0.0.1:53".parse::<SocketAddr>()?);
/// let unix = Address::unix("/var/run/log.sock")?;
///
/// let too_long = Address::unix("x".repeat(104)).unwrap_err();
/// assert_eq!(too_long.kind(), ErrorKind::InvalidInput);
///
/// assert_eq!(udp.to_string(), "127.0.0.1:53");
/// assert_eq!(unix.as_path(), Some(std::path::Path::new("/var/run/log.sock")));
/// assert_eq!(unix.as_socket_addr(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    name: SocketName,
    family: AddressFamily,
    /// Why nothing can be sent there, whatever the socket.
    unreachable: Option<Refusal>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum AddressFamily {
    V4,
    V6,
    Unix,
}

impl Address {
    /// The path of a unix socket, of 1 to [`limits::UNIX_PATH_BYTES`] bytes, the same on both systems.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for an empty path, one that is too long, or one with a
    /// NUL byte in it.
    pub fn unix(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().as_os_str().as_bytes();
        let refusal = match path {
            [] => Some(Refusal::PathEmpty),
            _ if path.contains(&0) => Some(Refusal::PathWithNul),
            _ if path.len() > limits::UNIX_PATH_BYTES => Some(Refusal::PathTooLong),
            _ => None,
        };
        Self::unix_unless(refusal, Family::UnixPath(path))
    }

    /// A name in Linux's abstract namespace, of at most [`limits::ABSTRACT_NAME_BYTES`] bytes without the
    /// leading NUL. It can have any bytes.
    ///
    /// # Errors
    ///
    /// [`AddressFamily`](crate::ErrorKind::AddressFamily) on OpenBSD, which has no such names;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for one that is too long.
    pub fn unix_abstract(name: &[u8]) -> Result<Self, Error> {
        let refusal = match name.len() {
            _ if !Native::ABSTRACT_NAMES => Some(Refusal::AbstractName),
            length if length > limits::ABSTRACT_NAME_BYTES => Some(Refusal::AbstractNameTooLong),
            _ => None,
        };
        Self::unix_unless(refusal, Family::UnixAbstract(name))
    }

    fn unix_unless(refusal: Option<Refusal>, family: Family<'_>) -> Result<Self, Error> {
        match refusal {
            Some(refusal) => Err(Error::refused(Operation::Address, refusal)),
            None => Ok(Self::new(AddressFamily::Unix, family, None)),
        }
    }

    fn new(family: AddressFamily, encoded: Family<'_>, unreachable: Option<Refusal>) -> Self {
        Self { name: SocketName::encode::<Native>(encoded), family, unreachable }
    }

    /// The address, if it is of IPv4 or IPv6.
    #[must_use]
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        match self.family() {
            Family::V4(address) => Some(address.into()),
            Family::V6(address) => Some(address.into()),
            Family::UnixPath(_) | Family::UnixAbstract(_) => None,
        }
    }

    /// The path, if it is one of a unix socket.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match self.family() {
            Family::UnixPath(path) => Some(Path::new(OsStr::from_bytes(path))),
            _ => None,
        }
    }

    /// The name without its leading NUL, if it is one of Linux's abstract namespace.
    #[must_use]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match self.family() {
            Family::UnixAbstract(name) => Some(name),
            _ => None,
        }
    }

    fn family(&self) -> Family<'_> {
        match self.family {
            AddressFamily::V4 => Family::V4(self.name.as_v4()),
            AddressFamily::V6 => Family::V6(self.name.as_v6()),
            AddressFamily::Unix => self.name.as_unix(),
        }
    }

    /// Why a socket of this kind cannot send there (clauses A5, A7, A8).
    #[inline]
    pub(crate) fn refusal_for(&self, kind: SocketKind) -> Option<Refusal> {
        let wanted = match kind {
            SocketKind::UdpV4 => (AddressFamily::V4, Refusal::NotInternetV4),
            SocketKind::UdpV6 => (AddressFamily::V6, Refusal::NotInternetV6),
            _ => (AddressFamily::Unix, Refusal::NotUnix),
        };
        if self.family != wanted.0 { Some(wanted.1) } else { self.unreachable }
    }

    #[inline]
    pub(crate) fn name(&self) -> &SocketName {
        &self.name
    }
}

impl From<SocketAddrV4> for Address {
    fn from(address: SocketAddrV4) -> Self {
        let unreachable = unreachable(address.port(), address.ip().is_unspecified());
        Self::new(AddressFamily::V4, Family::V4(address), unreachable)
    }
}

impl From<SocketAddrV6> for Address {
    fn from(address: SocketAddrV6) -> Self {
        let mapped: Option<Ipv4Addr> = address.ip().to_ipv4_mapped();
        let unreachable = mapped.map_or_else(
            || unreachable(address.port(), address.ip().is_unspecified()),
            |_| Some(Refusal::MappedV4),
        );
        Self::new(AddressFamily::V6, Family::V6(address), unreachable)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => address.into(),
            SocketAddr::V6(address) => address.into(),
        }
    }
}

/// What makes an internet address one that nothing can be sent to on both systems: Linux takes the
/// unspecified address for the loopback one (A5) and calls port 0 an invalid argument (A7).
fn unreachable(port: u16, unspecified: bool) -> Option<Refusal> {
    match (port, unspecified) {
        (0, _) => Some(Refusal::PortZero),
        (_, true) => Some(Refusal::Unspecified),
        _ => None,
    }
}

impl fmt::Display for Address {
    /// As std has it: `127.0.0.1:53`, `[::1]:53`, or the path. An abstract name has an `@` before it, and its bytes are
    /// escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family() {
            Family::V4(address) => address.fmt(f),
            Family::V6(address) => address.fmt(f),
            Family::UnixPath(path) => Path::new(OsStr::from_bytes(path)).display().fmt(f),
            Family::UnixAbstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}
