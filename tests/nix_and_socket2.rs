//! What nix and socket2 test of the calls that unisend makes, as tests of unisend.
//!
//! The tables name each test of nix 0.31 (`test/sys/test_socket.rs`, and those of `test/sys/test_sockopt.rs` whose option
//! unisend sets) and of socket2 0.6 (`tests/socket.rs`), and the test here that checks the same fact, or why there is none.
//!
//! | nix | here |
//! |---|---|
//! | `test_path_to_sock_addr`, `test_addr_equality_path` | `addresses_of_paths_are_compared_by_their_bytes` |
//! | `test_abstract_sun_path_too_long`, `test_addr_equality_abstract`, `test_abstract_uds_addr` | `linux::abstract_names_are_compared_by_all_their_bytes` |
//! | `test_unnamed_uds_addr`, `test_unnamed_unixdomain` | `a_sender_without_a_name_is_none` |
//! | `test_unnamed_unixdomain_autobind` | `linux::a_name_that_the_kernel_chose_is_told_and_answered` |
//! | `test_recvmsg_sockaddr_un`, `test_named_unixdomain` | `a_path_is_told_and_answered` |
//! | `test_std_conversions` | `an_address_of_std_and_the_way_back` |
//! | `recvfrom::stream`, `recvfrom::udp`, `recvfrom::udp_inet6` | `a_message_has_its_sender` |
//! | `recvfrom::udp_offload::gso` | `thirteen_bytes_are_seven_datagrams` |
//! | `recvfrom::udp_offload::gro` | `joining_is_allowed_and_nothing_has_to_be_joined` |
//! | `recvfrom::udp_sendmmsg` | `a_batch_to_two_receivers` |
//! | `recvfrom::udp_recvmmsg`, `recvfrom::udp_recvmmsg_dontwait_short_read` | `a_batch_that_fills_its_buffers_or_not` |
//! | `test_recvmsg_ebadf` | none: a descriptor that is not open is unrepresentable (G4, R6) |
//! | `test_scm_rights` | `a_descriptor_that_was_passed_works` |
//! | `test_scm_rights_single_cmsg_multiple_fds` | `two_descriptors_in_one_datagram` |
//! | `test_sendmsg_empty_cmsgs` | `a_message_without_descriptors_has_none` |
//! | `test_scm_credentials` | `the_credentials_of_a_peer`: as a message they are unrepresentable (C1) |
//! | `test_scm_credentials_and_rights`, `test_too_large_cmsgspace` | `linux::credentials_do_not_displace_a_descriptor` |
//! | `test_too_small_cmsgspace` | `without_room_for_descriptors_they_are_lost`: other room is unrepresentable (R20) |
//! | `test_sendmsg_ipv4packetinfo`, `test_sendmsg_ipv6packetinfo`, `test_sendmsg_ipv4sendsrcaddr` | `a_source_that_is_the_socket_s_own` |
//! | `test_recv_ipv4pktinfo`, `test_recv_ipv6pktinfo`, `test_recvif`, `test_recvif_ipv4`, `test_recvif_ipv6` | `the_destination_and_the_interface_are_told` |
//! | `test_recvmsg_timestampns`, `test_recvmmsg_timestampns`, `test_recvmsg_rxq_ovfl`, `test_recvmsg_so_mark`, `test_recvmm2` | `linux::what_others_asked_for_displaces_nothing` |
//! | `test_ip_tos_udp`, `test_ipv6_tclass_udp`, `test_ip_tos`, `test_ipv6_tclass`, `test_ipv4_recv_tos_opts`, `test_ipv6_recv_traffic_class_opts` | `the_traffic_class_of_a_socket_arrives` |
//! | `test_ttl_opts`, `test_ipv4_recv_ttl_opts`, `test_ipv6_recv_hop_limit_opts` | `the_hop_limit_of_a_socket_arrives` |
//! | `test_recverr_v4`, `test_recverr_v6` | `linux::an_error_that_is_queued_is_told_too`: the queue itself is not read by unisend |
//! | `test_local_peercred_seqpacket`, `test_local_peercred_stream`, `can_get_peercred_on_unix_socket` | `the_credentials_of_a_peer` |
//! | `test_getsockname`, `test_socketpair`, `test_listen_maxbacklog`, `test_listen_wrongbacklog` | none: unisend makes no sockets, and does not listen |
//! | `test_timestamping`, `test_timestamping_realtime`, `test_timestamping_monotonic`, `test_txtime` | none: unisend has no times |
//! | `test_af_alg_cipher`, `test_af_alg_aead`, `test_syscontrol`, `test_vsock` | none: unisend has no control messages or addresses of these families |
//! | `test_icmp_protocol` | none: unisend makes no sockets; `tests/others.rs` sends on one of ICMP |
//!
//! | socket2 | here |
//! |---|---|
//! | `socket_address_unix`, `socket_address_unix_unnamed` | `addresses_of_paths_are_compared_by_their_bytes`, `a_sender_without_a_name_is_none` |
//! | `socket_address_unix_abstract_namespace` | `linux::abstract_names_are_compared_by_all_their_bytes` |
//! | `out_of_band`, `out_of_band_inline` | `an_urgent_byte_is_taken_before_the_data`, `an_urgent_byte_stays_in_the_stream` |
//! | `udp_peek_sender` | `the_sender_is_peeked_at` |
//! | `send_recv_vectored`, `send_from_recv_to_vectored`, `sendmsg` | `slices_are_gathered_and_scattered` |
//! | `recv_vectored_truncated`, `recv_from_vectored_truncated` | `what_has_no_room_is_cut_and_said_to_be` |
//! | `set_passcred` | `linux::credentials_do_not_displace_a_descriptor` |
//! | `tos_v4`, `tclass_v6`, `recv_tos_v4`, `recv_tclass_v6` | `the_traffic_class_of_a_socket_arrives` |
//! | `ttl_v4`, `unicast_hops_v6`, `recv_hoplimit_v6` | `the_hop_limit_of_a_socket_arrives` |
//! | `broadcast` | `a_broadcast_needs_permission` |
//! | `only_v6` | `tests/addresses.rs`: `a8c_a_mapped_address_on_a_socket_of_ipv6_alone` |
//! | `sendfile` | `tests/sendfile.rs` |
//! | `device`, `device_v6`, `join_leave_multicast_v4_n`, `join_leave_ssm_v4` | none: unisend does not choose interfaces; `tests/network.rs` receives from groups |
//! | `socket_address_vsock`, `vsock`, `dccp`, `header_included`, `header_included_ipv6` | none: they are sockets that unisend does not know |
//! | the others | none: they make, connect, accept, describe or close sockets, or set options, which unisend does not |

mod sockets;

use std::collections::HashSet;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use rstest::rstest;
use sockets::{NO_FLAGS, OPENBSD, Pair, set_option, wait_readable};
use unisend::{
    Address, ControlBuffer, Datagram, DatagramBuffer, DatagramSocket, ErrorKind, Message, ReceiveFlags,
    SegmentOffload, Segments, SendFlags, SocketKind, SocketRef,
};

/// A pair of UDP sockets on the loopback interface, of this version of the internet protocol, and how they are declared;
/// `None` if this machine has no IPv6, which is said.
struct Udp {
    ours: UdpSocket,
    theirs: UdpSocket,
    is_v6: bool,
}

impl Udp {
    fn new(is_v6: bool) -> Option<Self> {
        let make = || match is_v6 {
            true => sockets::udp_v6(),
            false => Some(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()),
        };
        Some(Self { ours: make()?, theirs: make()?, is_v6 })
    }

    fn connected(is_v6: bool) -> Option<Self> {
        let pair = Self::new(is_v6)?;
        pair.ours.connect(pair.theirs.local_addr().unwrap()).unwrap();
        pair.theirs.connect(pair.ours.local_addr().unwrap()).unwrap();
        Some(pair)
    }

    fn declared<'fd>(&self, socket: &'fd UdpSocket) -> SocketRef<'fd, DatagramSocket> {
        if self.is_v6 { SocketRef::udp_v6(socket) } else { SocketRef::udp_v4(socket) }
    }

    fn sender(&self) -> SocketRef<'_, DatagramSocket> {
        self.declared(&self.ours)
    }

    fn receiver(&self) -> SocketRef<'_, DatagramSocket> {
        self.declared(&self.theirs)
    }

    fn to(&self) -> Address {
        self.theirs.local_addr().unwrap().into()
    }
}

/// What is told of a datagram.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    bytes: Vec<u8>,
    is_whole: bool,
    sender: Option<Address>,
    destination: Option<(IpAddr, u32)>,
    traffic_class: Option<u8>,
    hop_limit: Option<u8>,
}

/// The next datagram, by a single call with this much room.
fn received(socket: &SocketRef<'_, DatagramSocket>, room: usize, flags: ReceiveFlags) -> Told {
    wait_readable(socket);
    let (mut control, mut buffer) = (ControlBuffer::new(), vec![0; room]);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let received = socket.receive(&mut slices, &mut control, flags).unwrap();
    let told = Told {
        bytes: vec![0; received.bytes()],
        is_whole: !received.is_truncated(),
        sender: received.sender(),
        destination: received.destination().map(|to| (to.address, to.interface)),
        traffic_class: received.traffic_class(),
        hop_limit: received.hop_limit(),
    };
    Told { bytes: buffer[..told.bytes.len()].to_vec(), ..told }
}

/// The next datagram, by a batch.
fn received_by_batch(socket: &SocketRef<'_, DatagramSocket>) -> Told {
    wait_readable(socket);
    let mut room = [0; 64];
    let mut buffers = [DatagramBuffer::new(&mut room)];
    assert_eq!(socket.receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(1));
    let [buffer] = &buffers;
    assert!(!buffer.descriptors_lost(), "control messages had no room");
    Told {
        bytes: buffer.bytes().to_vec(),
        is_whole: !buffer.is_truncated(),
        sender: buffer.sender(),
        destination: buffer.destination().map(|to| (to.address, to.interface)),
        traffic_class: buffer.traffic_class(),
        hop_limit: buffer.hop_limit(),
    }
}

const WHOLE: ReceiveFlags = ReceiveFlags::empty();

#[test]
fn addresses_of_paths_are_compared_by_their_bytes() {
    let [one, same, other] = ["/foo/bar", "/foo/bar", "/foo/baz"].map(|path| Address::unix(path).unwrap());
    assert_eq!((one, one.as_path()), (same, Some(Path::new("/foo/bar"))));
    assert_ne!(one, other);
    assert_eq!(HashSet::from([one, same, other]).len(), 2);
    assert_eq!((one.as_socket_addr(), one.as_abstract_name()), (None, None));
    // A path that is the beginning of another is another.
    assert_ne!(Address::unix("/foo/ba").unwrap(), one);
}

#[rstest]
#[case("127.0.0.1:1")]
#[case("[2001:db8::1]:443")]
#[case("[fe80::1%3]:65535")]
fn an_address_of_std_and_the_way_back(#[case] text: &str) {
    let address: SocketAddr = text.parse().unwrap();
    let converted = Address::from(address);
    assert_eq!((converted.as_socket_addr(), converted.as_path()), (Some(address), None));
}

#[test]
fn a_sender_without_a_name_is_none() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    assert_eq!(SocketRef::from(&ours).send(b"hello", NO_FLAGS), Ok(5));
    let told = received(&SocketRef::from(&theirs), 10, WHOLE);
    assert_eq!((&told.bytes[..], told.sender), (&b"hello"[..], None));
}

#[test]
fn a_path_is_told_and_answered() {
    let directory = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
    let [ours, theirs] = [&from, &to].map(|path| UnixDatagram::bind(path).unwrap());
    let to = Address::unix(&to).unwrap();
    assert_eq!(SocketRef::from(&ours).send_to(b"hello", &to, NO_FLAGS), Ok(5));
    let told = received(&SocketRef::from(&theirs), 10, WHOLE);
    let sender = told.sender.unwrap();
    assert_eq!(sender.as_path(), Some(&*from));
    assert_eq!(SocketRef::from(&theirs).send_to(b"back", &sender, NO_FLAGS), Ok(4));
    assert_eq!(received(&SocketRef::from(&ours), 10, WHOLE).sender, Some(to));
}

#[rstest]
#[case::stream(None)]
#[case::udp(Some(false))]
#[case::udp_inet6(Some(true))]
fn a_message_has_its_sender(#[case] udp: Option<bool>) {
    const TEXT: &[u8] = b"Hello, World!";
    let Some(is_v6) = udp else {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(SocketRef::from(&ours).send(TEXT, NO_FLAGS), Ok(13));
        let mut arrived = [0; 13];
        theirs.read_exact(&mut arrived).unwrap();
        assert_eq!(arrived, TEXT);
        return;
    };
    let Some(pair) = Udp::new(is_v6) else { return };
    assert_eq!(pair.sender().send_to(TEXT, &pair.to(), NO_FLAGS), Ok(13));
    let told = received(&pair.receiver(), 20, WHOLE);
    let sender = pair.ours.local_addr().unwrap();
    assert_eq!((&told.bytes[..], told.sender), (TEXT, Some(sender.into())));
    assert_eq!(told.sender.unwrap().as_socket_addr(), Some(sender));
}

#[rstest]
fn thirteen_bytes_are_seven_datagrams(
    #[values(false, true)] is_v6: bool,
    #[values(false, true)] by_batch: bool,
) {
    let Some(pair) = Udp::new(is_v6) else { return };
    let mut offload = if by_batch { SegmentOffload::never() } else { SegmentOffload::new() };
    let to = pair.to();
    Segments::new(b"Hello, World!", 2).to(&to).send(&pair.sender(), &mut offload, NO_FLAGS).unwrap();
    for segment in b"Hello, World!".chunks(2) {
        assert_eq!(received(&pair.receiver(), 13, WHOLE).bytes, segment);
    }
}

#[rstest]
fn joining_is_allowed_and_nothing_has_to_be_joined(#[values(false, true)] is_v6: bool) {
    let Some(pair) = Udp::new(is_v6) else { return };
    pair.receiver().receive_joined().unwrap();
    pair.receiver().receive_joined().unwrap();
    assert_eq!(pair.sender().send_to(b"alone", &pair.to(), NO_FLAGS), Ok(5));
    assert_eq!(received(&pair.receiver(), 10, WHOLE).bytes, b"alone");
}

#[test]
fn a_batch_to_two_receivers() {
    const TO_OTHER: usize = 15;
    let (pair, other) = (Udp::new(false).unwrap(), Udp::new(false).unwrap());
    let (slices, to, to_other) = ([IoSlice::new(b"Hello, World!")], pair.to(), other.to());
    let mut batch = vec![Datagram::new(&slices).to(&to)];
    batch.resize(1 + TO_OTHER, Datagram::new(&slices).to(&to_other));
    pair.sender().send_batch(&batch, NO_FLAGS).unwrap();
    let sender = Some(pair.ours.local_addr().unwrap().into());
    for (receiver, count) in [(pair.receiver(), 1), (other.receiver(), TO_OTHER)] {
        for _ in 0..count {
            let told = received(&receiver, 20, WHOLE);
            assert_eq!((&told.bytes[..], told.sender), (&b"Hello, World!"[..], sender));
        }
        let mut none = [0];
        let mut buffers = [DatagramBuffer::new(&mut none)];
        let more = receiver.receive_batch(&mut buffers, ReceiveFlags::DONT_WAIT);
        assert_eq!(more.unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[rstest]
#[case::fills_them(2, ReceiveFlags::empty())]
#[case::leaves_some(4, ReceiveFlags::DONT_WAIT)]
#[case::leaves_some_and_does_not_wait_for_them(4, ReceiveFlags::empty())]
fn a_batch_that_fills_its_buffers_or_not(#[case] count: usize, #[case] flags: ReceiveFlags) {
    let pair = Udp::new(false).unwrap();
    for text in [b"1234", b"5678"] {
        assert_eq!(pair.sender().send_to(text, &pair.to(), NO_FLAGS), Ok(4));
    }
    wait_readable(&pair.theirs);
    // It would wait for ever for the others, if it did.
    sockets::bounded(move || {
        let mut rooms = vec![[9; 32]; count];
        let mut buffers: Vec<_> = rooms.iter_mut().map(|room| DatagramBuffer::new(room)).collect();
        assert_eq!(pair.receiver().receive_batch(&mut buffers, flags), Ok(2));
        let sender = Some(pair.ours.local_addr().unwrap().into());
        for (buffer, text) in buffers.iter().zip([b"1234", b"5678"]) {
            assert_eq!((buffer.bytes(), buffer.sender()), (&text[..], sender));
        }
        assert!(buffers[2..].iter().all(|buffer| buffer.bytes().is_empty() && buffer.sender().is_none()));
        drop(buffers);
        assert!(rooms[2..].iter().all(|room| *room == [9; 32]), "a buffer that was not filled was written");
    });
}

#[test]
fn a_descriptor_that_was_passed_works() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut slices = [IoSlice::new(b"hello")];
    let message = Message::new(&mut slices).with_descriptor(&reader);
    assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS), Ok(5));
    drop(reader);

    let (mut control, mut room) = (ControlBuffer::new(), [0; 5]);
    let mut slices = [IoSliceMut::new(&mut room)];
    let received = SocketRef::from(&theirs).receive(&mut slices, &mut control, WHOLE).unwrap();
    assert!(received.bytes() == 5 && !received.is_truncated() && !received.descriptors_lost());
    let mut descriptors: Vec<_> = received.into_descriptors().collect();
    assert_eq!(descriptors.len(), 1);
    File::from(writer).write_all(b"world").unwrap();
    let mut through = String::new();
    File::from(descriptors.remove(0)).read_to_string(&mut through).unwrap();
    assert_eq!((&room, &through[..]), (b"hello", "world"));
}

#[test]
fn two_descriptors_in_one_datagram() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let mut slices = [IoSlice::new(&[1, 2, 3, 4, 5, 6, 7, 8])];
    let message = Message::new(&mut slices);
    let both = [ours.as_fd(), theirs.as_fd()];
    assert_eq!(message.with_descriptors(&both).send(&SocketRef::from(&ours), NO_FLAGS), Ok(8));
    let (mut control, mut room) = (ControlBuffer::new(), [0; 8]);
    let mut slices = [IoSliceMut::new(&mut room)];
    let received = SocketRef::from(&theirs).receive(&mut slices, &mut control, WHOLE).unwrap();
    assert!(!received.is_truncated() && !received.descriptors_lost());
    assert_eq!((received.bytes(), received.into_descriptors().count()), (8, 2));
    assert_eq!(room, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_message_without_descriptors_has_none() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut slices = [IoSlice::new(b"hello")];
    assert_eq!(Message::new(&mut slices).send(&SocketRef::from(&ours), NO_FLAGS), Ok(5));
    let (mut control, mut room) = (ControlBuffer::new(), [0; 5]);
    let mut slices = [IoSliceMut::new(&mut room)];
    let received = SocketRef::from(&theirs).receive(&mut slices, &mut control, WHOLE).unwrap();
    assert!(!received.is_truncated() && !received.descriptors_lost());
    assert_eq!((received.bytes(), received.into_descriptors().count()), (5, 0));
}

/// What the kernel then says differs (clause R23).
#[test]
fn without_room_for_descriptors_they_are_lost() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut slices = [IoSlice::new(b"hello")];
    let message = Message::new(&mut slices).with_descriptor(&reader);
    assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS), Ok(5));
    let mut room = [0; 5];
    let mut slices = [IoSliceMut::new(&mut room)];
    let received = SocketRef::from(&theirs).receive_without_descriptors(&mut slices, WHOLE).unwrap();
    assert_eq!((received.bytes(), received.descriptors_lost()), (5, !OPENBSD));
    assert_eq!(received.into_descriptors().count(), 0);
    // This process has no copy.
    drop(reader);
    assert_eq!(nix::unistd::write(&writer, b"x"), Err(nix::errno::Errno::EPIPE));
}

#[rstest]
fn the_credentials_of_a_peer(#[values(SocketKind::UnixStream, SocketKind::UnixSeqpacket)] kind: SocketKind) {
    let pair = Pair::new(kind);
    let peer = pair.socket().peer_credentials().unwrap();
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    assert_eq!((peer.user, peer.group), own);
    assert_eq!(peer.process, Some(std::process::id()));
}

#[rstest]
fn a_source_that_is_the_socket_s_own(
    #[values(false, true)] is_v6: bool,
    #[values(false, true)] bound_to_all: bool,
) {
    let Some(pair) = Udp::new(is_v6) else { return };
    let (all, local) = match is_v6 {
        true => (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::LOCALHOST)),
        false => (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::LOCALHOST)),
    };
    let itself = match bound_to_all {
        true => UdpSocket::bind((all, 0)).unwrap(),
        false => pair.ours.try_clone().unwrap(),
    };
    let to = SocketAddr::new(local, itself.local_addr().unwrap().port());
    let (socket, to) = (pair.declared(&itself), Address::from(to));
    let mut slices = [IoSlice::new(&[1, 2, 3, 4, 5, 6, 7, 8])];
    let message = Message::new(&mut slices).from_source(local);
    assert_eq!(message.send_to(&socket, &to, NO_FLAGS), Ok(8));
    let told = received(&socket, 10, WHOLE);
    assert_eq!((told.bytes.len(), told.sender), (8, Some(to)));
}

#[rstest]
fn the_destination_and_the_interface_are_told(#[values(false, true)] is_v6: bool) {
    let Some(pair) = Udp::new(is_v6) else { return };
    pair.receiver().receive_destinations().unwrap();
    let address = pair.theirs.local_addr().unwrap().ip();
    let loopback = nix::net::if_::if_nametoindex(sockets::differs("lo", "lo0")).unwrap();
    for by_batch in [false, true] {
        assert_eq!(pair.sender().send_to(b"hello", &pair.to(), NO_FLAGS), Ok(5));
        let receiver = pair.receiver();
        let told = if by_batch { received_by_batch(&receiver) } else { received(&receiver, 10, WHOLE) };
        assert_eq!((&told.bytes[..], told.destination), (&b"hello"[..], Some((address, loopback))));
    }
}

#[rstest]
fn the_traffic_class_of_a_socket_arrives(#[values(false, true)] is_v6: bool) {
    if OPENBSD && !is_v6 {
        return sockets::skipped(format_args!(
            "OpenBSD does not tell the traffic class over IPv4 (clause N7)"
        ));
    }
    let Some(pair) = Udp::connected(is_v6) else { return };
    pair.receiver().receive_traffic_classes().unwrap();
    for class in [0, 0xb8, 0x64] {
        match is_v6 {
            true => set_option(&pair.ours, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class),
            false => set_option(&pair.ours, libc::IPPROTO_IP, libc::IP_TOS, class),
        }
        for by_batch in [false, true] {
            assert_eq!(pair.sender().send(b"x", NO_FLAGS), Ok(1));
            let receiver = pair.receiver();
            let told = if by_batch { received_by_batch(&receiver) } else { received(&receiver, 10, WHOLE) };
            assert_eq!((told.traffic_class, told.hop_limit), (Some(class as u8), None));
        }
    }
}

#[rstest]
fn the_hop_limit_of_a_socket_arrives(#[values(false, true)] is_v6: bool, #[values(1, 2, 255)] limit: i32) {
    let Some(pair) = Udp::connected(is_v6) else { return };
    pair.receiver().receive_hop_limits().unwrap();
    match is_v6 {
        true => set_option(&pair.ours, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, limit),
        false => set_option(&pair.ours, libc::IPPROTO_IP, libc::IP_TTL, limit),
    }
    assert_eq!(pair.sender().send(b"x", NO_FLAGS), Ok(1));
    let told = received(&pair.receiver(), 10, WHOLE);
    assert_eq!((told.hop_limit, told.traffic_class), (Some(limit as u8), None));
}

/// OpenBSD has no broadcast on the loopback interface (clause A12).
#[test]
fn a_broadcast_needs_permission() {
    let pair = Udp::new(false).unwrap();
    let to = SocketAddr::from((Ipv4Addr::new(127, 255, 255, 255), 9)).into();
    let refused = pair.sender().send_to(b"x", &to, NO_FLAGS).unwrap_err();
    let expected = sockets::differs(ErrorKind::PermissionDenied, ErrorKind::Unreachable);
    assert_eq!(refused.kind(), expected);
    if !OPENBSD {
        pair.ours.set_broadcast(true).unwrap();
        assert_eq!(pair.sender().send_to(b"x", &to, NO_FLAGS), Ok(1));
    }
}

/// What one receive returns of a TCP socket.
fn received_of_tcp(pair: &Pair, flags: ReceiveFlags) -> Result<Vec<u8>, ErrorKind> {
    let (mut control, mut room) = (ControlBuffer::new(), [0; 32]);
    let mut slices = [IoSliceMut::new(&mut room)];
    let theirs = SocketRef::tcp(&pair.theirs);
    let received = theirs.receive(&mut slices, &mut control, flags).map_err(|error| error.kind())?;
    let length = received.bytes();
    Ok(room[..length].to_vec())
}

#[test]
fn an_urgent_byte_is_taken_before_the_data() {
    let pair = Pair::new(SocketKind::Tcp);
    assert_eq!(pair.socket().send(b"hello world!", NO_FLAGS), Ok(12));
    assert_eq!(pair.socket().send(b"?", SendFlags::OUT_OF_BAND), Ok(1));
    let urgent = eventually(|| received_of_tcp(&pair, ReceiveFlags::OUT_OF_BAND));
    assert_eq!(urgent, b"?");
    assert_eq!(sockets::read_exactly(&pair.theirs, 12), b"hello world!");
}

#[test]
fn an_urgent_byte_stays_in_the_stream() {
    let pair = Pair::new(SocketKind::Tcp);
    set_option(&pair.theirs, libc::SOL_SOCKET, libc::SO_OOBINLINE, 1);
    assert_eq!(pair.socket().send(b"hello", NO_FLAGS), Ok(5));
    assert_eq!(pair.socket().send(b"?", SendFlags::OUT_OF_BAND), Ok(1));
    assert_eq!(sockets::read_exactly(&pair.theirs, 6), b"hello?");
    assert_eq!(received_of_tcp(&pair, ReceiveFlags::OUT_OF_BAND), Err(ErrorKind::InvalidInput));
}

/// The result of a call, once it has one.
fn eventually<T>(call: impl Fn() -> Result<T, ErrorKind>) -> T {
    let started = std::time::Instant::now();
    loop {
        match call() {
            Ok(value) => return value,
            Err(kind) => assert!(started.elapsed() < sockets::PATIENCE, "{kind:?}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[rstest]
fn the_sender_is_peeked_at(#[values(false, true)] is_v6: bool, #[values(0, 20)] room: usize) {
    let Some(pair) = Udp::new(is_v6) else { return };
    assert_eq!(pair.sender().send_to(b"Hello, world!", &pair.to(), NO_FLAGS), Ok(13));
    let sender = Some(pair.ours.local_addr().unwrap().into());
    for _ in 0..2 {
        let told = received(&pair.receiver(), room, ReceiveFlags::PEEK);
        assert_eq!((told.sender, told.is_whole), (sender, room > 13));
    }
    let told = received(&pair.receiver(), 20, WHOLE);
    assert_eq!((&told.bytes[..], told.sender), (&b"Hello, world!"[..], sender));
}

#[rstest]
fn slices_are_gathered_and_scattered(
    #[values(false, true)] is_v6: bool,
    #[values(false, true)] with_address: bool,
) {
    let pair = if with_address { Udp::new(is_v6) } else { Udp::connected(is_v6) };
    let Some(pair) = pair else { return };
    let mut slices = [b"surgeon" as &[u8], b"has", b"", b"menswear"].map(IoSlice::new);
    let sent = match with_address {
        true => Message::new(&mut slices).send_to(&pair.sender(), &pair.to(), NO_FLAGS),
        false => pair.sender().send_vectored(&slices, NO_FLAGS),
    };
    assert_eq!(sent, Ok(18));

    let (mut control, mut rooms) =
        (ControlBuffer::new(), [vec![0; 7], vec![0; 3], vec![0; 3], vec![0; 5], vec![9; 2]]);
    let mut slices = rooms.each_mut().map(|room| IoSliceMut::new(room));
    wait_readable(&pair.theirs);
    let received = pair.receiver().receive(&mut slices, &mut control, WHOLE).unwrap();
    assert_eq!((received.bytes(), received.is_truncated(), received.ends_record()), (18, false, false));
    assert_eq!(received.sender(), Some(pair.ours.local_addr().unwrap().into()));
    assert_eq!(rooms, [&b"surgeon"[..], b"has", b"men", b"swear", &[9; 2]]);
}

#[rstest]
fn what_has_no_room_is_cut_and_said_to_be(
    #[values(false, true)] is_v6: bool,
    #[values(false, true)] with_address: bool,
    #[values(24, 39)] room: usize,
) {
    const TEXT: &[u8] = b"do not feed the gremlins after midnight";
    let pair = if with_address { Udp::new(is_v6) } else { Udp::connected(is_v6) };
    let Some(pair) = pair else { return };
    let sent = match with_address {
        true => pair.sender().send_to(TEXT, &pair.to(), NO_FLAGS),
        false => pair.sender().send(TEXT, NO_FLAGS),
    };
    assert_eq!(sent, Ok(39));
    let told = received(&pair.receiver(), room, WHOLE);
    assert_eq!((&told.bytes[..], told.is_whole), (&TEXT[..room], room == 39));
    assert_eq!(told.sender, Some(pair.ours.local_addr().unwrap().into()));
}

/// What only Linux has.
#[cfg(target_os = "linux")]
mod linux {
    use nix::sys::socket as raw;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn abstract_names_are_compared_by_all_their_bytes() {
        let names: [&[u8]; 4] = [b"name", b"name\0", b"\0name", b"na\0me"];
        let addresses = names.map(|name| Address::unix_abstract(name).unwrap());
        assert_eq!(HashSet::from(addresses).len(), 4);
        for (address, name) in addresses.iter().zip(names) {
            assert_eq!((address.as_abstract_name(), address.as_path()), (Some(name), None));
        }
        assert_eq!(addresses[0], Address::unix_abstract(b"name").unwrap());
        assert_ne!(addresses[0], Address::unix("name").unwrap());
        assert!(Address::unix_abstract(&[7; 107]).is_ok());
        assert_eq!(Address::unix_abstract(&[7; 108]).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    /// A socket that is bound to no name gets one.
    #[test]
    fn a_name_that_the_kernel_chose_is_told_and_answered() {
        let (ours, theirs) = (UnixDatagram::unbound().unwrap(), UnixDatagram::unbound().unwrap());
        for socket in [&ours, &theirs] {
            raw::bind(socket.as_raw_fd(), &raw::UnixAddr::new_unnamed()).unwrap();
        }
        let name: raw::UnixAddr = raw::getsockname(theirs.as_raw_fd()).unwrap();
        let to = Address::unix_abstract(name.as_abstract().unwrap()).unwrap();
        assert_eq!(SocketRef::from(&ours).send_to(b"hello", &to, NO_FLAGS), Ok(5));
        let sender = received(&SocketRef::from(&theirs), 10, WHOLE).sender.unwrap();
        let name: raw::UnixAddr = raw::getsockname(ours.as_raw_fd()).unwrap();
        assert_eq!(sender.as_abstract_name(), name.as_abstract());
        assert_eq!(SocketRef::from(&theirs).send_to(b"back", &sender, NO_FLAGS), Ok(4));
        assert_eq!(received(&SocketRef::from(&ours), 10, WHOLE).sender, Some(to));
    }

    #[test]
    fn credentials_do_not_displace_a_descriptor() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        raw::setsockopt(&theirs, raw::sockopt::PassCred, &true).unwrap();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let mut slices = [IoSlice::new(b"hello")];
        let message = Message::new(&mut slices).with_descriptor(&reader);
        assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS), Ok(5));
        let (mut control, mut room) = (ControlBuffer::new(), [0; 5]);
        let mut slices = [IoSliceMut::new(&mut room)];
        let received = SocketRef::from(&theirs).receive(&mut slices, &mut control, WHOLE).unwrap();
        assert!(!received.is_truncated() && !received.descriptors_lost());
        let mut descriptors: Vec<_> = received.into_descriptors().collect();
        assert_eq!(descriptors.len(), 1);
        File::from(writer).write_all(b"world").unwrap();
        let mut through = String::new();
        File::from(descriptors.remove(0)).read_to_string(&mut through).unwrap();
        assert_eq!(through, "world");
    }

    /// Options that unisend does not know add control messages to each datagram: times, how many were dropped, a mark.
    #[rstest]
    fn what_others_asked_for_displaces_nothing(
        #[values(false, true)] is_v6: bool,
        #[values(false, true)] by_batch: bool,
    ) {
        let Some(pair) = Udp::connected(is_v6) else { return };
        let receiver = pair.receiver();
        for option in [libc::SO_TIMESTAMPNS, libc::SO_RXQ_OVFL] {
            set_option(&pair.theirs, libc::SOL_SOCKET, option, 1);
        }
        receiver.receive_destinations().unwrap();
        receiver.receive_traffic_classes().unwrap();
        receiver.receive_hop_limits().unwrap();
        let mut slices = [IoSlice::new(b"hello")];
        assert_eq!(Message::new(&mut slices).with_traffic_class(0xb8).send(&pair.sender(), NO_FLAGS), Ok(5));
        let told = if by_batch { received_by_batch(&receiver) } else { received(&receiver, 10, WHOLE) };
        assert_eq!((&told.bytes[..], told.is_whole), (&b"hello"[..], true));
        assert_eq!(told.sender, Some(pair.ours.local_addr().unwrap().into()));
        let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
        assert_eq!(told.destination, Some((pair.theirs.local_addr().unwrap().ip(), loopback)));
        assert_eq!((told.traffic_class, told.hop_limit), (Some(0xb8), Some(64)));
    }

    /// With `IP_RECVERR` a socket is told of errors although it has no peer: once, and by the next call, whatever its
    /// destination is (clause S19).
    #[rstest]
    fn an_error_that_is_queued_is_told_too(#[values(false, true)] is_v6: bool) {
        let (Some(pair), Some(gone)) = (Udp::new(is_v6), Udp::new(is_v6)) else { return };
        match is_v6 {
            true => set_option(&pair.ours, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1),
            false => set_option(&pair.ours, libc::IPPROTO_IP, libc::IP_RECVERR, 1),
        }
        // A socket that is connected elsewhere takes nothing from here, and nobody else gets its port.
        gone.theirs.connect(gone.ours.local_addr().unwrap()).unwrap();
        assert_eq!(pair.sender().send_to(b"hello", &gone.to(), NO_FLAGS), Ok(5));
        let found = sockets::polled(&pair.ours, nix::poll::PollFlags::empty(), sockets::PATIENCE);
        assert!(found.contains(nix::poll::PollFlags::POLLERR), "nothing was reported");
        let told = pair.sender().send_to(b"lost", &pair.to(), NO_FLAGS).unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Refused);
        assert_eq!(pair.sender().send_to(b"hello", &pair.to(), NO_FLAGS), Ok(5));
        assert_eq!(received(&pair.receiver(), 10, WHOLE).bytes, b"hello");
    }
}
