//! Clauses O1 to O4: sockets that are declared as other, and the addresses that the kernel decides about.

mod sockets;

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use rstest::rstest;
use sockets::{NO_FLAGS, differs};
use unisend::ErrorKind::{self, *};
use unisend::{
    Address, ControlBuffer, DatagramSocket, Message, Operation, ReceiveFlags, SocketKind, SocketRef, limits,
};

/// What came, and from whom.
fn received(socket: &SocketRef<'_, DatagramSocket>) -> (Vec<u8>, Option<Address>) {
    sockets::wait_readable(socket);
    let (mut control, mut buffer) = (ControlBuffer::new(), [0; 1500]);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let received = socket.receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT).unwrap();
    assert!(!received.is_end_of_file() && !received.is_truncated());
    let (bytes, sender) = (received.bytes(), received.sender());
    (buffer[..bytes].to_vec(), sender)
}

/// Two sockets send to each other: the one to an address, the other to the sender that it was told.
fn there_and_back(ours: &impl AsFd, theirs: &impl AsFd, to: &Address) -> (Address, Address) {
    let (ours, theirs) = (SocketRef::other_datagram(ours), SocketRef::other_datagram(theirs));
    assert_eq!((ours.kind(), ours.send_buffer()), (SocketKind::Other, None));
    assert_eq!(ours.send_to(b"question", to, NO_FLAGS), Ok(8));
    let (question, asker) = received(&theirs);
    assert_eq!(question, b"question");
    let asker = asker.expect("a sender");
    let mut slices = [IoSlice::new(b"ans"), IoSlice::new(b"wer")];
    assert_eq!(Message::new(&mut slices).send_to(&theirs, &asker, NO_FLAGS), Ok(6));
    let (answer, answerer) = received(&ours);
    assert_eq!(answer, b"answer");
    (asker, answerer.expect("a sender"))
}

/// A socket of numbers that nix has no names for; says so if this machine has none.
fn socket(what: &str, domain: i32, kind: i32, protocol: i32) -> Option<OwnedFd> {
    // SAFETY: it takes integers, and makes a descriptor.
    let number = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) };
    if number < 0 {
        let why = std::io::Error::last_os_error();
        sockets::skipped(format_args!("this machine has no {what}, or not for us: {why}"));
        return None;
    }
    // SAFETY: it has just been made for us.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

#[test]
fn o3_udp_as_another() {
    let [ours, theirs] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let [from, to] = [&ours, &theirs].map(|udp| Address::from(udp.local_addr().unwrap()));
    assert_eq!(there_and_back(&ours, &theirs, &to), (from, to));
}

#[test]
fn o3_unix_as_another() {
    let directory = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
    let [ours, theirs] = [&from, &to].map(|path| UnixDatagram::bind(path).unwrap());
    let [from, to] = [&from, &to].map(|path| Address::unix(path).unwrap());
    assert_eq!(there_and_back(&ours, &theirs, &to), (from, to));

    // A sender without a name has none here either.
    let unnamed = UnixDatagram::unbound().unwrap();
    SocketRef::other_datagram(&unnamed).send_to(b"x", &to, NO_FLAGS).unwrap();
    assert_eq!(received(&SocketRef::other_datagram(&theirs)), (b"x".to_vec(), None));
}

/// The bytes of an address are what the kernel takes, whatever they were made of.
#[test]
fn o2_the_bytes_of_a_known_family() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let known = Address::from(receiver.local_addr().unwrap());
    let of_bytes = Address::from_sockaddr_bytes(known.as_sockaddr_bytes()).unwrap();
    assert_eq!(of_bytes.as_sockaddr_bytes(), known.as_sockaddr_bytes());
    assert_eq!(
        (of_bytes.as_socket_addr(), of_bytes.as_path(), of_bytes.as_abstract_name()),
        (None, None, None)
    );
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(SocketRef::other_datagram(&sender).send_to(b"data", &of_bytes, NO_FLAGS), Ok(4));
    sockets::wait_readable(&receiver);
    assert_eq!(sockets::received(&receiver).unwrap(), b"data");
}

#[rstest]
#[case::nothing(0, false)]
#[case::half_a_header(1, false)]
#[case::header_alone(2, true)]
#[case::longest(limits::SOCKADDR_BYTES, true)]
#[case::too_long(limits::SOCKADDR_BYTES + 1, false)]
#[case::far_too_long(70_000, false)]
fn o2_the_length_of_bytes(#[case] length: usize, #[case] fits: bool) {
    let bytes = vec![7; length];
    match Address::from_sockaddr_bytes(&bytes) {
        Ok(address) => assert_eq!(address.as_sockaddr_bytes(), bytes),
        Err(error) => assert_eq!((error.kind(), error.operation()), (InvalidInput, Operation::Address)),
    }
    assert_eq!(Address::from_sockaddr_bytes(&bytes).is_ok(), fits);
}

/// On a socket of a kind that unisend knows, even if the bytes are those of its family.
#[rstest]
#[case::udp_v4(SocketKind::UdpV4)]
#[case::udp_v6(SocketKind::UdpV6)]
#[case::unix_datagram(SocketKind::UnixDatagram)]
fn o2_bytes_are_for_another_socket(
    #[case] kind: SocketKind,
    #[values("127.0.0.1:9", "[::1]:9")] of: SocketAddr,
) {
    let null = File::open("/dev/null").unwrap(); // the kernel is not asked
    let socket = sockets::declared(kind, &null).as_datagram().unwrap();
    let to = Address::from_sockaddr_bytes(Address::from(of).as_sockaddr_bytes()).unwrap();
    let error = socket.send_to(b"x", &to, NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (AddressFamily, None));
    let error = Message::new(&mut [IoSlice::new(b"x")]).send_to(&socket, &to, NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (AddressFamily, None));
}

#[test]
fn o2_bytes_are_shown() {
    let header = differs(77_u16.to_ne_bytes(), [5, 77]);
    let address = Address::from_sockaddr_bytes(&[&header[..], &[0, 0x2a, 0xff]].concat()).unwrap();
    assert_eq!(address.to_string(), "family 77 [00, 2a, ff]");
    assert_eq!(format!("{address:?}"), "Address(family 77 [00, 2a, ff])");
}

/// What is refused on a UDP socket is here the kernel's to refuse, in its own words: nothing is reconciled.
#[rstest]
#[case::a7_port_0("127.0.0.1:0", Err((InvalidInput, libc::EINVAL)), Err((AddressNotAvailable, libc::EADDRNOTAVAIL)))]
#[case::a5_unspecified("0.0.0.0:9", Ok(1), Err((AddressNotAvailable, libc::EADDRNOTAVAIL)))]
#[case::a5_ipv6("[::1]:9", Err((AddressFamily, libc::EAFNOSUPPORT)), Err((AddressFamily, libc::EAFNOSUPPORT)))]
#[case::a5_path("/a/path", Err((InvalidInput, libc::EINVAL)), Err((AddressFamily, libc::EAFNOSUPPORT)))]
fn o1_the_kernel_decides(
    #[case] to: &str,
    #[case] on_linux: Result<usize, (ErrorKind, i32)>,
    #[case] on_openbsd: Result<usize, (ErrorKind, i32)>,
) {
    let to = match to.parse::<SocketAddr>() {
        Ok(address) => address.into(),
        Err(_) => Address::unix(to).unwrap(),
    };
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let outcome = SocketRef::other_datagram(&udp).send_to(b"x", &to, NO_FLAGS);
    assert!(!outcome.is_err_and(|error| error.may_have_sent()), "a datagram is sent whole or not at all");
    let outcome = outcome.map_err(|error| (error.kind(), error.kernel_errno().expect("the kernel's")));
    assert_eq!(outcome, differs(on_linux, on_openbsd));
}

/// An address that was converted, and not made by `Address::v4_mapped`, on a dual-stack socket.
#[test]
fn o1_a_mapped_address_is_not_refused() {
    let Some(ours) = sockets::dual_stack() else { return };
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = receiver.local_addr().unwrap().port();
    let socket = SocketRef::other_datagram(&ours);
    for to in [Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()] {
        let to: std::net::IpAddr = to;
        assert_eq!(socket.send_to(b"x", &SocketAddr::from((to, port)).into(), NO_FLAGS), Ok(1));
        sockets::wait_readable(&receiver);
        assert_eq!(sockets::received(&receiver).unwrap(), b"x");
    }
}

#[test]
fn o4_what_only_known_sockets_have() {
    let null = File::open("/dev/null").unwrap(); // the kernel is not asked
    let socket = SocketRef::other_datagram(&null);
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9)).into();
    let from = Message::new(&mut [IoSlice::new(b"x")])
        .from_source(Ipv4Addr::LOCALHOST.into())
        .send_to(&socket, &to, NO_FLAGS);
    let with = Message::new(&mut [IoSlice::new(b"x")]).with_descriptor(&null).send_to(&socket, &to, NO_FLAGS);
    for error in [from.unwrap_err(), with.unwrap_err(), socket.receive_destinations().unwrap_err()] {
        assert_eq!((error.kind(), error.kernel_errno()), (Unsupported, None), "{error}");
    }
    let error = socket.send_to(b"x", &to, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), NotSocket, "{error}");
}

/// A raw socket has no ports: its addresses have port 0. The protocol is one for experiments (RFC 3692).
#[test]
fn o3_raw() {
    let Some(raw) = socket("raw sockets", libc::AF_INET, libc::SOCK_RAW, 253) else { return };
    let socket = SocketRef::other_datagram(&raw);
    let to = Address::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let question = format!("question of {}", std::process::id());
    assert_eq!(socket.send_to(question.as_bytes(), &to, NO_FLAGS), Ok(question.len()));
    // It has a header of IPv4. Another run of this test sends here too.
    let is_ours = |packet: &(Vec<u8>, _)| packet.0.ends_with(question.as_bytes());
    let (_, sender) = (0..100).map(|_| received(&socket)).find(is_ours).expect("what was sent");
    assert_eq!(sender, Some(to));
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::AsRawFd;

    use nix::sys::socket as nix_socket;

    use super::*;

    /// struct sockaddr_nl: the family, padding, the port, the groups.
    fn netlink_address(port: u32) -> Address {
        let family = (libc::AF_NETLINK as u16).to_ne_bytes();
        let bytes = [&family[..], &[0; 2], &port.to_ne_bytes(), &[0; 4]].concat();
        Address::from_sockaddr_bytes(&bytes).unwrap()
    }

    fn netlink(what: &str, protocol: i32) -> Option<(OwnedFd, u32)> {
        let fd = socket(what, libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
        nix_socket::bind(fd.as_raw_fd(), &nix_socket::NetlinkAddr::new(0, 0)).unwrap();
        let port = nix_socket::getsockname::<nix_socket::NetlinkAddr>(fd.as_raw_fd()).unwrap().pid();
        Some((fd, port))
    }

    #[test]
    fn o3_netlink_between_programs() {
        let what = "netlink for programs";
        let Some((ours, our_port)) = netlink(what, libc::NETLINK_USERSOCK) else { return };
        let Some((theirs, their_port)) = netlink(what, libc::NETLINK_USERSOCK) else { return };
        let [from, to] = [our_port, their_port].map(netlink_address);
        assert_eq!(there_and_back(&ours, &theirs, &to), (from, to));
        assert_eq!(from.as_socket_addr(), None);
        assert!(from.to_string().starts_with("family 16 [00, 00, "), "{from}");

        let error = SocketRef::other_datagram(&ours)
            .send_to(b"x", &netlink_address(u32::MAX - 7), NO_FLAGS)
            .unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (Refused, Some(libc::ECONNREFUSED)));
    }

    /// struct nlmsghdr: NLMSG_NOOP, of which the kernel is asked to say that it came.
    #[test]
    fn o3_netlink_to_the_kernel() {
        let Some((ours, _)) = netlink("netlink of routes", libc::NETLINK_ROUTE) else { return };
        let socket = SocketRef::other_datagram(&ours);
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let (kind, number) = (libc::NLMSG_NOOP as u16, 0x1234_5678_u32);
        let request = [
            &16_u32.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &number.to_ne_bytes(),
            &[0; 4],
        ]
        .concat();
        let kernel = netlink_address(0);
        assert_eq!(socket.send_to(&request, &kernel, NO_FLAGS), Ok(16));
        let (answer, sender) = received(&socket);
        assert_eq!(sender, Some(kernel));
        assert_eq!(answer[4..6], (libc::NLMSG_ERROR as u16).to_ne_bytes());
        assert_eq!(answer[16..20], [0; 4], "no error");
    }

    #[rstest]
    #[case::v4(libc::AF_INET, "127.0.0.1:0")]
    #[case::v6(libc::AF_INET6, "[::1]:0")]
    fn o3_udp_lite(#[case] family: i32, #[case] any: SocketAddr) {
        if any.is_ipv6() && sockets::udp_v6().is_none() {
            return;
        }
        let bound = || {
            let fd = socket("UDP-Lite", family, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)?;
            nix_socket::bind(fd.as_raw_fd(), &nix_socket::SockaddrStorage::from(any)).unwrap();
            // std's type asks for an internet address only.
            Some(UdpSocket::from(fd))
        };
        let (Some(ours), Some(theirs)) = (bound(), bound()) else { return };
        assert_eq!(SocketRef::probe(&ours).unwrap().kind(), SocketKind::Other);
        let [from, to] = [&ours, &theirs].map(|socket| Address::from(socket.local_addr().unwrap()));
        assert_eq!(there_and_back(&ours, &theirs, &to), (from, to));
    }

    /// An echo that this machine sends to itself. Which groups may have such a socket is set by a sysctl.
    #[test]
    fn o3_icmp_of_datagrams() {
        let Some(icmp) = socket("ICMP of datagrams", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)
        else {
            return;
        };
        if std::fs::read("/proc/sys/net/ipv4/icmp_echo_ignore_all").is_ok_and(|ignored| ignored != b"0\n") {
            return sockets::skipped(format_args!("this machine answers no echo"));
        }
        let socket = SocketRef::other_datagram(&icmp);
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
        let echo = [&[8, 0, 0, 0, 0, 0, 0, 1][..], b"question"].concat(); // the kernel adds the checksum
        assert_eq!(socket.send_to(&echo, &to, NO_FLAGS), Ok(echo.len()));
        let (answer, sender) = received(&socket);
        assert!(answer[0] == 0 && answer.ends_with(b"question"), "{answer:?}");
        assert_eq!(sender, Some(to));
    }

    /// A socket of vsock's records takes no address, and the error has its plain meaning. No loopback of vsock
    /// has datagrams.
    #[test]
    fn o1_vsock_refuses_an_address() {
        let Some(vsock) = socket("vsock", libc::AF_VSOCK, libc::SOCK_SEQPACKET, 0) else { return };
        // struct sockaddr_vm: the family, reserved, the port, the address of this host, zeroes.
        let family = (libc::AF_VSOCK as u16).to_ne_bytes();
        let bytes = [&family[..], &[0; 2], &1234_u32.to_ne_bytes(), &1_u32.to_ne_bytes(), &[0; 4]].concat();
        let to = Address::from_sockaddr_bytes(&bytes).unwrap();
        let error = SocketRef::other_datagram(&vsock).send_to(b"x", &to, NO_FLAGS).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (Unsupported, Some(libc::EOPNOTSUPP)));
    }
}
