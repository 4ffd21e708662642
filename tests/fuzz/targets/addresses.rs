//! Addresses: as a kernel writes them, as the library's constructors write them, and read again.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use arbitrary::Arbitrary;
use unisend::{Address, ErrorKind, limits};

use super::received::sender_of_name;

/// The bytes of an address, as a kernel may write them.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Name<'a> {
    Raw(&'a [u8]),
    Of { family: Family, rest: &'a [u8] },
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Family {
    V4,
    V6,
    Unix,
    Any(u8),
}

/// Of `struct sockaddr_un`, which is longest on Linux, without the family.
const LONGEST_PATH: usize = 108;

fn header(family: u8, length: usize) -> [u8; 2] {
    match cfg!(target_os = "linux") {
        true => u16::from(family).to_ne_bytes(),
        false => [length as u8, family],
    }
}

impl Name<'_> {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Of { family, rest } => {
                let family = match family {
                    Family::V4 => libc::AF_INET as u8,
                    Family::V6 => libc::AF_INET6 as u8,
                    Family::Unix => libc::AF_UNIX as u8,
                    Family::Any(number) => number,
                };
                [&header(family, 2 + rest.len())[..], rest].concat()
            }
        }
    }

    /// Reads the address in a plain way.
    pub(super) fn read(&self) -> Option<Address> {
        let mut bytes = self.bytes();
        bytes.truncate(limits::SOCKADDR_BYTES);
        let family = match (&bytes[..], cfg!(target_os = "linux")) {
            ([low, high, ..], true) => u16::from_ne_bytes([*low, *high]).into(),
            ([_, family, ..], false) => i32::from(*family),
            _ => return None,
        };
        let port = || u16::from_be_bytes([bytes[2], bytes[3]]);
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        match family {
            libc::AF_INET if bytes.len() < 16 => None,
            libc::AF_INET => {
                let octets: [u8; 4] = bytes[4..8].try_into().unwrap();
                Some(SocketAddrV4::new(octets.into(), port()).into())
            }
            libc::AF_INET6 if bytes.len() < 28 => None,
            libc::AF_INET6 => {
                let octets: [u8; 16] = bytes[8..24].try_into().unwrap();
                let address = SocketAddrV6::new(octets.into(), port(), word(4), word(24));
                let v4 = address.ip().to_ipv4_mapped().map(|ip| SocketAddrV4::new(ip, address.port()));
                let is_plain = (address.flowinfo(), address.scope_id()) == (0, 0);
                match v4.and_then(|v4| Address::v4_mapped(v4).ok()) {
                    Some(mapped) if is_plain => Some(mapped),
                    // No constructor makes it, so it is read again.
                    Some(_) => sender_of_name(&bytes),
                    None => Some(address.into()),
                }
            }
            libc::AF_UNIX => {
                let rest = &bytes[2..bytes.len().min(2 + LONGEST_PATH)];
                let is_abstract = cfg!(target_os = "linux") && rest.first() == Some(&0);
                if is_abstract {
                    return Some(Address::unix_abstract(&rest[1..]).expect("it fits"));
                }
                let path: Vec<u8> = rest.iter().copied().take_while(|&byte| byte != 0).collect();
                match path.len() {
                    0 => None,
                    1..=limits::UNIX_PATH_BYTES => Some(Address::unix(as_path(&path)).expect("it fits")),
                    // A path that a kernel reports can be longer than one that is sent to.
                    _ => sender_of_name(&bytes),
                }
            }
            _ => Some(Address::from_sockaddr_bytes(&bytes).expect("it fits")),
        }
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[derive(Debug, Arbitrary)]
pub(super) enum Case<'a> {
    OfKernel(Name<'a>),
    Bytes(&'a [u8]),
    Path(&'a [u8]),
    Abstract(&'a [u8]),
    V4(SocketAddrV4),
    V6 { ip: Ipv6Addr, port: u16, flow: u32, scope: u32 },
    Mapped(SocketAddrV4),
}

pub(super) fn run(case: &Case<'_>) {
    match *case {
        Case::OfKernel(name) => of_kernel(name),
        Case::Bytes(bytes) => {
            let made = Address::from_sockaddr_bytes(bytes);
            assert_eq!(made.is_ok(), (2..=limits::SOCKADDR_BYTES).contains(&bytes.len()));
            if let Ok(address) = made {
                assert_eq!(address.as_sockaddr_bytes(), bytes);
                is_printed(&address);
            }
        }
        Case::Path(path) => {
            let made = Address::unix(as_path(path));
            let fits = (1..=limits::UNIX_PATH_BYTES).contains(&path.len()) && !path.contains(&0);
            assert_eq!(made.is_ok(), fits);
            let Ok(address) = made else { return };
            let bytes = [&header(libc::AF_UNIX as u8, path.len() + 3)[..], path, &[0]].concat();
            assert_eq!(address.as_sockaddr_bytes(), bytes);
            assert_eq!(address.as_path(), Some(as_path(path)));
            assert_eq!(address.as_abstract_name(), None);
            is_read_again(&address);
        }
        Case::Abstract(name) => {
            let made = Address::unix_abstract(name);
            let fits = cfg!(target_os = "linux") && name.len() <= limits::ABSTRACT_NAME_BYTES;
            assert_eq!(made.is_ok(), fits);
            let Ok(address) = made else { return };
            let bytes = [&header(libc::AF_UNIX as u8, name.len() + 3)[..], &[0], name].concat();
            assert_eq!(address.as_sockaddr_bytes(), bytes);
            assert_eq!(address.as_abstract_name(), Some(name));
            assert_eq!(address.as_path(), None);
            is_read_again(&address);
        }
        Case::V4(address) => internet(address.into(), Address::from(address)),
        Case::V6 { ip, port, flow, scope } => {
            let address = SocketAddrV6::new(ip, port, flow, scope);
            internet(address.into(), Address::from(address));
        }
        Case::Mapped(address) => match Address::v4_mapped(address) {
            Ok(mapped) => {
                let ip = address.ip().to_ipv6_mapped();
                internet(SocketAddrV6::new(ip, address.port(), 0, 0).into(), mapped);
                is_read_again(&mapped);
            }
            Err(error) => {
                let expected = if cfg!(target_os = "linux") { None } else { Some(ErrorKind::AddressFamily) };
                assert_eq!(Some(error.kind()), expected);
            }
        },
    }
}

/// An address that a kernel wrote is what it says, and is written as it was read.
fn of_kernel(name: Name<'_>) {
    let found = sender_of_name(&name.bytes());
    assert_eq!(found, name.read());
    let Some(address) = found else { return };
    is_printed(&address);
    let (said, given) = (name.bytes(), address.as_sockaddr_bytes());
    assert!(given.len() <= limits::SOCKADDR_BYTES);
    let family = if cfg!(target_os = "linux") { 0..2 } else { 1..2 };
    assert_eq!(given[family.clone()], said[family]);
    // A length is exact, a path ends in a NUL, and what follows an address is left out.
    let end = match address.as_socket_addr() {
        Some(SocketAddr::V4(_)) => 8,
        Some(SocketAddr::V6(_)) => 28,
        None => address.as_path().map_or(given.len(), |path| 2 + path.as_os_str().len()),
    };
    assert_eq!(given[2..end], said[2..end]);
    assert!(given[end..].iter().all(|&byte| byte == 0), "{given:?}");
    is_read_again(&address);
}

fn internet(expected: SocketAddr, address: Address) {
    assert_eq!(address.as_socket_addr(), Some(expected));
    assert_eq!(address.to_string(), expected.to_string());
    assert_eq!(address.as_path(), None);
    let again = sender_of_name(address.as_sockaddr_bytes()).expect("it is an address");
    assert_eq!(again.as_sockaddr_bytes(), address.as_sockaddr_bytes());
    assert_eq!(again.as_socket_addr(), Some(expected));
}

/// What the library gives a kernel, it reads again as the same address.
fn is_read_again(address: &Address) {
    assert_eq!(sender_of_name(address.as_sockaddr_bytes()).as_ref(), Some(address));
    is_printed(address);
}

fn is_printed(address: &Address) {
    let (shown, debugged) = (address.to_string(), format!("{address:?}"));
    assert!(!shown.is_empty() && debugged.starts_with("Address("), "{debugged}");
}
