use std::ffi::OsStr;
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Error;
use crate::platform::contract::{Operation, Refusal, SocketKind, limits};
use crate::platform::{Family, Kernel, Native, SocketName};

/// The destination of a datagram: an IPv4 or IPv6 address, a unix path or, on Linux, an abstract name.
///
/// For a socket that is declared as [`other`](crate::SocketRef::other_datagram), it can also be the bytes of
/// an address of any other family.
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
    Other,
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

    /// Creates the IPv4-mapped address by which a dual-stack socket sends to an IPv4 address (clause A8b).
    ///
    /// A dual-stack socket is an IPv6 socket of Linux that also sends and receives over IPv4: it is bound to
    /// `[::]` or not bound, and `IPV6_V6ONLY` is not set. [`Received::sender`](crate::Received::sender) of
    /// such a socket is an address of this sort already, and can be answered. On a socket that takes no
    /// IPv4, a send fails with [`Unreachable`](crate::ErrorKind::Unreachable) (clause A8c).
    ///
    /// [`as_socket_addr`](Self::as_socket_addr) and `Display` give the IPv6 address, such as
    /// `[::ffff:192.0.2.1]:53`. `IpAddr::to_canonical` of std turns it into the IPv4 address.
    ///
    /// An address that is converted from a `SocketAddr` is refused if it is mapped (clause A8), because it
    /// works on Linux only. This constructor says that the program means it.
    ///
    /// # Errors
    ///
    /// [`AddressFamily`](crate::ErrorKind::AddressFamily) on OpenBSD, which has no dual-stack sockets: bind
    /// one socket for each family. A send to port 0 or to the unspecified address is refused as for any
    /// address (clauses A5b, A7).
    ///
    /// Sources: ipv6(7) of Linux, ip6(4) of OpenBSD, RFC 3493 section 3.7, and runs on both kernels.
    ///
    /// # Examples
    ///
    /// ```
    /// use unisend::{Address, ErrorKind};
    ///
    /// match Address::v4_mapped("192.0.2.1:53".parse()?) {
    ///     Ok(mapped) => assert_eq!(mapped.to_string(), "[::ffff:192.0.2.1]:53"),
    ///     Err(error) => assert_eq!(error.kind(), ErrorKind::AddressFamily), // on OpenBSD
    /// }
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn v4_mapped(address: SocketAddrV4) -> Result<Self, Error> {
        if !Native::DUAL_STACK {
            return Err(Error::refused(Operation::Address, Refusal::NoDualStack));
        }
        Ok(Self::mapped(SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0)))
    }

    /// Creates an address from the bytes of the kernel's `struct sockaddr` of its family (clause O2).
    ///
    /// It is for the families that unisend does not know, such as netlink, vsock or packet, and only a socket
    /// that is declared by [`other_datagram`](crate::SocketRef::other_datagram) can send to it. The kernel is
    /// given these bytes and this length as they are. They begin with the family: two bytes in the machine's
    /// order on Linux, a length and one byte for the family on OpenBSD, whose kernel corrects the length.
    /// They have at most [`limits::SOCKADDR_BYTES`] bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if there are fewer than 2 bytes, or too many. A send
    /// on a socket of any other kind is refused with [`AddressFamily`](crate::ErrorKind::AddressFamily),
    /// whatever the bytes are.
    ///
    /// # Examples
    ///
    /// ```
    /// use unisend::Address;
    ///
    /// // struct sockaddr_nl of Linux: AF_NETLINK, padding, port 0 (the kernel), no groups.
    /// let mut bytes = [0; 12];
    /// bytes[..2].copy_from_slice(&16_u16.to_ne_bytes());
    /// let kernel = Address::from_sockaddr_bytes(&bytes)?;
    /// assert_eq!(kernel.as_sockaddr_bytes(), bytes);
    /// assert_eq!(kernel.as_socket_addr(), None);
    /// # Ok::<(), unisend::Error>(())
    /// ```
    pub fn from_sockaddr_bytes(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.len() {
            2..=limits::SOCKADDR_BYTES => Ok(Self::new(AddressFamily::Other, Family::Other(bytes), None)),
            _ => Err(Error::refused(Operation::Address, Refusal::SockaddrLength)),
        }
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
            // The sender of an IPv4 datagram, which a dual-stack socket can answer (clause N1b).
            Family::V6(address) if Native::DUAL_STACK && is_mapped(&address) => Self::mapped(address),
            Family::V6(address) => address.into(),
            Family::UnixPath(_) | Family::UnixAbstract(_) => Self::new(AddressFamily::Unix, family, None),
            Family::Other(_) => Self::new(AddressFamily::Other, family, None),
        }
    }

    /// Returns an IPv4-mapped address to which a dual-stack socket can send.
    fn mapped(address: SocketAddrV6) -> Self {
        let unspecified = address.ip().to_canonical().is_unspecified();
        Self::new(AddressFamily::V6, Family::V6(address), unreachable(address.port(), unspecified))
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
            Family::UnixPath(_) | Family::UnixAbstract(_) | Family::Other(_) => None,
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

    /// Returns the bytes of the `struct sockaddr` that the kernel is given, whatever the family is.
    ///
    /// They have the kernel's layout and exact length, and begin with the family.
    #[must_use]
    pub fn as_sockaddr_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// Returns whether it is an IPv4-mapped address.
    pub(crate) fn is_v4_mapped(&self) -> bool {
        self.family == AddressFamily::V6 && is_mapped(&self.name.as_v6())
    }

    fn family(&self) -> Family<'_> {
        match self.family {
            AddressFamily::V4 => Family::V4(self.name.as_v4()),
            AddressFamily::V6 => Family::V6(self.name.as_v6()),
            AddressFamily::Unix => self.name.as_unix(),
            AddressFamily::Other => Family::Other(self.name.as_bytes()),
        }
    }

    /// Returns why a socket of this kind cannot send there, if it cannot (clauses A5, A7, A8). For a socket that
    /// is declared as other, the kernel decides (clause O1).
    #[inline]
    pub(crate) fn refusal_for(&self, kind: SocketKind) -> Option<Refusal> {
        let wanted = match kind {
            SocketKind::UdpV4 => (AddressFamily::V4, Refusal::NotInternetV4),
            SocketKind::UdpV6 => (AddressFamily::V6, Refusal::NotInternetV6),
            SocketKind::Other => return None,
            _ => (AddressFamily::Unix, Refusal::NotUnix),
        };
        match self.family {
            family if family == wanted.0 => self.unreachable,
            AddressFamily::Other => Some(Refusal::BytesOfOther),
            _ => Some(wanted.1),
        }
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
        let unreachable = match is_mapped(&address) {
            true => Some(Refusal::MappedV4),
            false => unreachable(address.port(), address.ip().is_unspecified()),
        };
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

fn is_mapped(address: &SocketAddrV6) -> bool {
    address.ip().to_ipv4_mapped().is_some()
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
    /// before it, and its bytes are escaped. An address made of bytes is its family and the bytes after it:
    /// `family 16 [00, 00, 2a]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family() {
            Family::V4(address) => address.fmt(f),
            Family::V6(address) => address.fmt(f),
            Family::UnixPath(path) => Path::new(OsStr::from_bytes(path)).display().fmt(f),
            Family::UnixAbstract(name) => write!(f, "@{}", name.escape_ascii()),
            Family::Other(bytes) => match bytes.split_first_chunk() {
                Some((&header, rest)) => {
                    write!(f, "family {} {rest:02x?}", Native::family_of_socket_name(header))
                }
                None => write!(f, "{bytes:02x?}"),
            },
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.to_string().escape_debug())
    }
}
