//! Socket addresses in the layout of the kernels. Both have a header of two bytes, which differs, and the same
//! layout after it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use super::Kernel;
use crate::platform::contract::limits;

/// The size of the header, before a port or a path.
const HEADER: usize = 2;
/// `sizeof(struct sockaddr_in)` and `sizeof(struct sockaddr_in6)`. OpenBSD takes no other lengths (A6).
const V4_BYTES: usize = 16;
const V6_BYTES: usize = 28;
/// `sizeof(struct sockaddr_un)` on Linux, where it is larger.
const UNIX_BYTES: usize = 110;
/// The size of the longest name.
const CAPACITY: usize = limits::SOCKADDR_BYTES;

/// What an address is made from. The path or name is known to fit, and a path has no NUL byte. A path that a kernel
/// reported can take all of the room, without a NUL after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family<'a> {
    V4(SocketAddrV4),
    V6(SocketAddrV6),
    UnixPath(&'a [u8]),
    UnixAbstract(&'a [u8]),
    /// A whole name of another family, with its header.
    Other(&'a [u8]),
}

/// A socket address, encoded with its exact length.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub(crate) struct SocketName {
    bytes: [u8; CAPACITY],
    length: u8,
}

impl SocketName {
    /// The size of the longest name.
    pub(in crate::platform) const CAPACITY: usize = CAPACITY;

    pub(crate) fn encode<K: Kernel>(family: Family<'_>) -> Self {
        let mut name = Self { bytes: [0; CAPACITY], length: HEADER as u8 };
        let number = match family {
            Family::V4(address) => {
                name.push(&address.port().to_be_bytes());
                name.push(&address.ip().octets());
                name.length = V4_BYTES as u8;
                K::NUMBERS.AF_INET
            }
            Family::V6(address) => {
                name.push(&address.port().to_be_bytes());
                name.push(&address.flowinfo().to_ne_bytes());
                name.push(&address.ip().octets());
                name.push(&address.scope_id().to_ne_bytes());
                name.length = V6_BYTES as u8;
                K::NUMBERS.AF_INET6
            }
            Family::UnixPath(path) => {
                name.push(path);
                if HEADER + path.len() < UNIX_BYTES {
                    name.push(&[0]);
                }
                K::NUMBERS.AF_UNIX
            }
            Family::UnixAbstract(abstract_name) => {
                name.push(&[0]);
                name.push(abstract_name);
                K::NUMBERS.AF_UNIX
            }
            Family::Other(bytes) => return Self::of_bytes(bytes),
        };
        name.bytes[..HEADER].copy_from_slice(&K::socket_name_header(number, name.length));
        name
    }

    /// Reads a name that a kernel wrote. `None` is that of a socket without one.
    ///
    /// OpenBSD can leave padding after a path, and writes no NUL after one that needs all of the room.
    pub(crate) fn decode<K: Kernel>(bytes: &[u8]) -> Option<Family<'_>> {
        let (&header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let family = K::family_of_socket_name(header);
        let numbers = K::NUMBERS;
        if family == numbers.AF_UNIX {
            return match rest.get(..rest.len().min(UNIX_BYTES - HEADER))? {
                [] => None,
                [0, name @ ..] if K::ABSTRACT_NAMES => Some(Family::UnixAbstract(name)),
                path => match path.split(|&byte| byte == 0).next()? {
                    [] => None,
                    path => Some(Family::UnixPath(path)),
                },
            };
        }
        if family == numbers.AF_INET {
            return Some(Family::V4(Self::of_bytes(bytes.get(..V4_BYTES)?).as_v4()));
        }
        if family == numbers.AF_INET6 {
            return Some(Family::V6(Self::of_bytes(bytes.get(..V6_BYTES)?).as_v6()));
        }
        bytes.get(..bytes.len().min(CAPACITY)).map(Family::Other)
    }

    /// Returns the name that consists of these bytes, of which there are at most [`CAPACITY`].
    fn of_bytes(bytes: &[u8]) -> Self {
        let mut name = Self { bytes: [0; CAPACITY], length: 0 };
        name.push(bytes);
        name
    }

    /// Returns the IPv4 address that it was made from.
    pub(crate) fn as_v4(&self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(self.part::<4>(4)), u16::from_be_bytes(self.part(HEADER)))
    }

    /// Returns the IPv6 address that it was made from.
    pub(crate) fn as_v6(&self) -> SocketAddrV6 {
        let [flow_information, scope] = [4, 24].map(|at| u32::from_ne_bytes(self.part(at)));
        let (address, port) = (Ipv6Addr::from(self.part::<16>(8)), u16::from_be_bytes(self.part(HEADER)));
        SocketAddrV6::new(address, port, flow_information, scope)
    }

    /// Returns the path or the abstract name that it was made from.
    pub(crate) fn as_unix(&self) -> Family<'_> {
        match &self.as_bytes()[HEADER..] {
            [0, name @ ..] => Family::UnixAbstract(name),
            [path @ .., 0] | path => Family::UnixPath(path),
        }
    }

    fn part<const COUNT: usize>(&self, start: usize) -> [u8; COUNT] {
        std::array::from_fn(|at| self.bytes[start + at])
    }

    fn push(&mut self, part: &[u8]) {
        let start = usize::from(self.length);
        let end = start + part.len();
        self.bytes[start..end].copy_from_slice(part);
        self.length = end as u8;
    }

    /// Returns the bytes that the kernel is given.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    #[inline]
    pub(in crate::platform) fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    #[inline]
    pub(in crate::platform) fn length(&self) -> libc::socklen_t {
        libc::socklen_t::from(self.length)
    }
}

/// Checks the layout above against the C structures of the system that this is compiled for.
const _: () = {
    use static_assertions::const_assert_eq;
    use std::mem::offset_of;

    const_assert_eq!(size_of::<libc::sockaddr_in>(), V4_BYTES);
    const_assert_eq!(offset_of!(libc::sockaddr_in, sin_port), HEADER);
    const_assert_eq!(offset_of!(libc::sockaddr_in, sin_addr), 4);
    const_assert_eq!(size_of::<libc::sockaddr_in6>(), V6_BYTES);
    const_assert_eq!(offset_of!(libc::sockaddr_in6, sin6_port), HEADER);
    const_assert_eq!(offset_of!(libc::sockaddr_in6, sin6_flowinfo), 4);
    const_assert_eq!(offset_of!(libc::sockaddr_in6, sin6_addr), 8);
    const_assert_eq!(offset_of!(libc::sockaddr_in6, sin6_scope_id), 24);
    const_assert_eq!(offset_of!(libc::sockaddr_un, sun_path), HEADER);
    static_assertions::const_assert!(size_of::<libc::sockaddr_un>() <= UNIX_BYTES);
    static_assertions::const_assert!(UNIX_BYTES <= CAPACITY && CAPACITY <= u8::MAX as usize);
    static_assertions::const_assert!(CAPACITY <= size_of::<libc::sockaddr_storage>());
    static_assertions::const_assert!(align_of::<SocketName>() >= align_of::<libc::sockaddr_in6>());
};
