//! The control messages with the destination of a datagram.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Kernel;
use super::control::first_message;
use crate::platform::contract::Destination;

/// Returns the destination in received control messages. OpenBSD reports an IPv4 address and its interface in
/// two messages.
pub(in crate::platform) fn destination_in<K: Kernel>(mut messages: &[u8]) -> Option<Destination> {
    let numbers = K::NUMBERS;
    let (v4, v6) = (numbers.IPPROTO_IP, numbers.IPPROTO_IPV6);
    let (mut address, mut interface) = (None, None);
    while let Some((message, rest)) = first_message(K::CONTROL, messages) {
        messages = rest;
        let data = message.data;
        match (message.level, message.kind) {
            // struct in_pktinfo: the interface, the address of this host, the destination.
            sort if sort == (v4, numbers.IP_PKTINFO) => {
                interface = part(data, 0).map(u32::from_ne_bytes);
                address = part::<4>(data, 8).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
            }
            sort if sort == (v4, numbers.IP_RECVDSTADDR) => {
                address = part::<4>(data, 0).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
            }
            // struct sockaddr_dl: its length, its family, the interface.
            sort if sort == (v4, numbers.IP_RECVIF) => {
                interface = part(data, 2).map(|index| u32::from(u16::from_ne_bytes(index)));
            }
            // struct in6_pktinfo: the destination, the interface.
            sort if sort == (v6, numbers.IPV6_PKTINFO) => {
                address = part::<16>(data, 0).map(|octets| IpAddr::from(Ipv6Addr::from(octets)));
                interface = part(data, 16).map(u32::from_ne_bytes);
            }
            _ => {}
        }
    }
    Some(Destination { address: address?, interface: interface? })
}

fn part<const COUNT: usize>(data: &[u8], start: usize) -> Option<[u8; COUNT]> {
    data.get(start..)?.first_chunk().copied()
}
