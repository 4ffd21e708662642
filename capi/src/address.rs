//! `struct sockaddr`, which is bytes here: of any length, and in the layout that libc knows for this system.

use std::ffi::{OsStr, c_int};
use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;

use libc::{sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_un, socklen_t};
use unisend::{Address, Received, SocketKind};

use crate::{Failure, Refusal};

/// Converts a `struct sockaddr` to an address for a socket of this kind.
///
/// It can be longer than the structure of its family. A path ends at its first NUL or with the bytes. The kernel decides
/// about an address for a socket of kind [`Other`](SocketKind::Other), so that it is given the bytes as they are.
///
/// An IPv4-mapped address goes to IPv4 from a dual-stack socket of Linux. It is one to which nothing can be sent, unless
/// `mapped` says that the caller means it.
///
/// # Errors
///
/// Those of the constructors of [`Address`], and [`Refusal::ShortAddress`].
pub fn from_sockaddr(bytes: &[u8], kind: SocketKind, mapped: bool) -> Result<Address, Failure> {
    if kind == SocketKind::Other {
        return Ok(Address::from_sockaddr_bytes(bytes)?);
    }
    match family(bytes)? {
        libc::AF_INET => Ok(v4(bytes)?.into()),
        libc::AF_INET6 => {
            let address = v6(bytes)?;
            match address.ip().to_ipv4_mapped() {
                Some(plain) if mapped => Ok(Address::v4_mapped(SocketAddrV4::new(plain, address.port()))?),
                _ => Ok(address.into()),
            }
        }
        libc::AF_UNIX => unix(bytes),
        _ => Ok(Address::from_sockaddr_bytes(bytes)?),
    }
}

/// Converts a `struct sockaddr_in` or `sockaddr_in6` to the address in it. Its port is not looked at.
///
/// # Errors
///
/// [`Refusal::ShortAddress`], and [`Refusal::SourceOfOther`] for another family.
pub fn ip_from_sockaddr(bytes: &[u8]) -> Result<IpAddr, Refusal> {
    match family(bytes)? {
        libc::AF_INET => Ok((*v4(bytes)?.ip()).into()),
        libc::AF_INET6 => Ok((*v6(bytes)?.ip()).into()),
        _ => Err(Refusal::SourceOfOther),
    }
}

/// Copies the address of the sender, as far as there is room, and returns its size: 0 if the sender has none.
pub(crate) fn copy_sender(came: &Received<'_>, room: &mut [u8]) -> socklen_t {
    let sender = came.sender();
    let sender = sender.as_ref().map_or(&[][..], Address::as_sockaddr_bytes);
    let fits = sender.len().min(room.len());
    room[..fits].copy_from_slice(&sender[..fits]);
    sender.len() as socklen_t
}

fn family(bytes: &[u8]) -> Result<c_int, Refusal> {
    Ok(sa_family_t::from_ne_bytes(part(bytes, offset_of!(sockaddr, sa_family))?).into())
}

fn v4(bytes: &[u8]) -> Result<SocketAddrV4, Refusal> {
    require(bytes, size_of::<sockaddr_in>())?;
    let address = Ipv4Addr::from(part::<4>(bytes, offset_of!(sockaddr_in, sin_addr))?);
    let port = u16::from_be_bytes(part(bytes, offset_of!(sockaddr_in, sin_port))?);
    Ok(SocketAddrV4::new(address, port))
}

fn v6(bytes: &[u8]) -> Result<SocketAddrV6, Refusal> {
    require(bytes, size_of::<sockaddr_in6>())?;
    let address = Ipv6Addr::from(part::<16>(bytes, offset_of!(sockaddr_in6, sin6_addr))?);
    let port = u16::from_be_bytes(part(bytes, offset_of!(sockaddr_in6, sin6_port))?);
    let flow_information = u32::from_ne_bytes(part(bytes, offset_of!(sockaddr_in6, sin6_flowinfo))?);
    let scope = u32::from_ne_bytes(part(bytes, offset_of!(sockaddr_in6, sin6_scope_id))?);
    Ok(SocketAddrV6::new(address, port, flow_information, scope))
}

fn unix(bytes: &[u8]) -> Result<Address, Failure> {
    let address = match &bytes[offset_of!(sockaddr_un, sun_path)..] {
        [0, name @ ..] => Address::unix_abstract(name),
        path => {
            let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
            Address::unix(OsStr::from_bytes(&path[..end]))
        }
    };
    Ok(address?)
}

fn require(bytes: &[u8], length: usize) -> Result<(), Refusal> {
    (bytes.len() >= length).then_some(()).ok_or(Refusal::ShortAddress)
}

fn part<const LENGTH: usize>(bytes: &[u8], at: usize) -> Result<[u8; LENGTH], Refusal> {
    let rest = bytes.get(at..).ok_or(Refusal::ShortAddress)?;
    rest.first_chunk().copied().ok_or(Refusal::ShortAddress)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// Each address is the same after it was bytes, whether these are its own or more.
    #[test]
    fn an_address_is_the_same_after_it_was_bytes() {
        let internet = ["127.0.0.1:53", "[::1]:53", "[fe80::1%3]:9", "0.0.0.0:0"];
        let mut addresses: Vec<_> = internet.map(|text| text.parse::<SocketAddr>().unwrap().into()).into();
        addresses.extend([Address::unix("/tmp/x").unwrap(), Address::unix("x".repeat(103)).unwrap()]);
        for address in addresses {
            let mut bytes = address.as_sockaddr_bytes().to_vec();
            for more in [0, 20] {
                bytes.resize(bytes.len() + more, 0);
                assert_eq!(from_sockaddr(&bytes, SocketKind::UdpV4, false).unwrap(), address);
            }
        }
    }

    #[test]
    fn a6c_a_name_of_the_abstract_namespace_is_all_of_its_bytes() {
        if let Ok(address) = Address::unix_abstract(b"a\0b") {
            let bytes = address.as_sockaddr_bytes();
            assert_eq!(from_sockaddr(bytes, SocketKind::UnixDatagram, false).unwrap(), address);
        }
    }

    /// Bytes that end before the structure does are refused, wherever they end.
    #[test]
    fn what_is_too_short_is_refused() {
        for text in ["127.0.0.1:53", "[::1]:53"] {
            let address = Address::from(text.parse::<SocketAddr>().unwrap());
            let bytes = address.as_sockaddr_bytes();
            for length in 0..bytes.len() {
                let failure = from_sockaddr(&bytes[..length], SocketKind::UdpV6, false).unwrap_err();
                assert!(matches!(failure, Failure::Refused(Refusal::ShortAddress)), "{length} of {text}");
                assert_eq!(ip_from_sockaddr(&bytes[..length]), Err(Refusal::ShortAddress));
            }
            assert_eq!(ip_from_sockaddr(bytes).unwrap(), text.parse::<SocketAddr>().unwrap().ip());
        }
        let unix = Address::unix("/tmp/x").unwrap();
        assert_eq!(ip_from_sockaddr(unix.as_sockaddr_bytes()), Err(Refusal::SourceOfOther));
    }

    #[test]
    fn a8b_a_mapped_address_is_meant_or_not() {
        let address: SocketAddr = "[::ffff:192.0.2.1]:53".parse().unwrap();
        let bytes = Address::from(address);
        let of = |mapped| from_sockaddr(bytes.as_sockaddr_bytes(), SocketKind::UdpV6, mapped);
        assert_eq!(of(false).unwrap(), address.into());
        match Address::v4_mapped("192.0.2.1:53".parse().unwrap()) {
            Ok(meant) => assert_eq!(of(true).unwrap(), meant),
            Err(_) => assert!(of(true).is_err()),
        }
    }

    /// The kernel is given what the caller gave.
    #[test]
    fn o1_the_bytes_for_a_socket_of_another_kind_are_kept() {
        let v4 = Address::from("127.0.0.1:0".parse::<SocketAddr>().unwrap());
        let mut bytes = v4.as_sockaddr_bytes().to_vec();
        bytes.push(7);
        assert_eq!(from_sockaddr(&bytes, SocketKind::Other, false).unwrap().as_sockaddr_bytes(), bytes);
    }
}
