use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Error;
use crate::platform::contract::{Operation, Refusal, SocketKind, limits};
use crate::platform::{Family, Kernel, Native, SocketName};

/// The destination of a datagram: an IPv4 or IPv6 address, a unix path or, on Linux, an abstract name.
///
/// It is created once, in the layout and with the exact length that the kernel takes (clause A6), and can be
/// used for any number of sends. Creating one makes no system call and does not allocate.
///
/// # No conversion from std's unix address
///
/// There is none, because it could name another socket. On OpenBSD std's
/// [`SocketAddr`](std::os::unix::net::SocketAddr) loses the last byte of a path: for a socket that is bound
/// to `/tmp/ours`, `as_pathname` returns `/tmp/our`, whether the address comes from `recv_from`, `local_addr`
/// or `peer_addr`. This was seen with Rust 1.96. The fault dates from 2024, when std began to remove the
/// padding that OpenBSD leaves after a path. rust-lang/rust#160416, merged in August 2026, corrects it. Older
/// releases left the padding there, and [`Address::unix`] refuses its NUL bytes. On OpenBSD, let the peer
/// send its path in the datagram.
///
/// # Examples
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
    /// Why no socket can send there, if none can.
    unreachable: Option<Refusal>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum AddressFamily {
    V4,
    V6,
    Unix,
}

impl Address {
    /// Creates an address from the path of a unix socket.
    ///
    /// The path has 1 to [`limits::UNIX_PATH_BYTES`] bytes, the same on both systems.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the path is empty, too long, or has a NUL byte in
    /// it (clause A6b).
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

    /// Creates an address from a name in Linux's abstract namespace.
    ///
    /// The name has at most [`limits::ABSTRACT_NAME_BYTES`] bytes, without the leading NUL. It can have any
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`AddressFamily`](crate::ErrorKind::AddressFamily) on OpenBSD, which has no abstract names (clause
    /// A6c), and [`InvalidInput`](crate::ErrorKind::InvalidInput) if the name is too long.
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

    /// Returns an address that the kernel reported. It may be one to which nothing can be sent.
    pub(crate) fn from_kernel(family: Family<'_>) -> Self {
        match family {
            Family::V4(address) => address.into(),
            Family::V6(address) => address.into(),
            Family::UnixPath(_) | Family::UnixAbstract(_) => Self::new(AddressFamily::Unix, family, None),
        }
    }

    fn new(family: AddressFamily, encoded: Family<'_>, unreachable: Option<Refusal>) -> Self {
        Self { name: SocketName::encode::<Native>(encoded), family, unreachable }
    }

    /// Returns the address if it is an IPv4 or IPv6 address, otherwise `None`.
    #[must_use]
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        match self.family() {
            Family::V4(address) => Some(address.into()),
            Family::V6(address) => Some(address.into()),
            Family::UnixPath(_) | Family::UnixAbstract(_) => None,
        }
    }

    /// Returns the path if this is the path of a unix socket, otherwise `None`.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match self.family() {
            Family::UnixPath(path) => Some(Path::new(OsStr::from_bytes(path))),
            _ => None,
        }
    }

    /// Returns the name, without its leading NUL, if it is in Linux's abstract namespace, otherwise `None`.
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

    /// Returns why a socket of this kind cannot send there, if it cannot (clauses A5, A7, A8).
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

/// Returns why nothing can be sent to an internet address on both systems, if it cannot. Linux sends to the
/// loopback address instead of the unspecified one (A5), and returns "invalid argument" for port 0 (A7).
fn unreachable(port: u16, unspecified: bool) -> Option<Refusal> {
    match (port, unspecified) {
        (0, _) => Some(Refusal::PortZero),
        (_, true) => Some(Refusal::Unspecified),
        _ => None,
    }
}

impl fmt::Display for Address {
    /// Writes the address as std does: `127.0.0.1:53`, `[::1]:53`, or the path. An abstract name has an `@`
    /// before it, and its bytes are escaped.
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
        write!(f, "Address({})", self.to_string().escape_debug())
    }
}
