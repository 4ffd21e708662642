//! Clauses N1 to N4: the sender and the destination of a datagram, as a server uses them.

mod sockets;

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rstest::rstest;
use sockets::{NO_FLAGS, Pair};
use unisend::SocketKind::{self, *};
use unisend::{Address, ControlBuffer, DatagramSocket, Destination, ErrorKind, ReceiveFlags, SocketRef};

/// What a receiver with this much room is told: how much, whether that is all, and the sender.
fn received(socket: &SocketRef<'_, DatagramSocket>, room: usize) -> (usize, bool, Option<Address>) {
    let (mut control, mut buffer) = (ControlBuffer::new(), vec![0; room]);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
    (received.bytes(), !received.is_truncated(), received.sender())
}

fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// A datagram that was cut and an empty one have a sender too.
#[rstest]
#[case::whole(b"four", 10, 4, true)]
#[case::truncated(b"four", 2, 2, false)]
#[case::no_room(b"four", 0, 0, false)]
#[case::empty(b"", 10, 0, true)]
fn n1_every_datagram_has_its_sender(
    #[case] sent: &[u8],
    #[case] room: usize,
    #[case] bytes: usize,
    #[case] is_whole: bool,
) {
    let (ours, theirs) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    theirs.send_to(sent, local(&ours)).unwrap();
    let expected = (bytes, is_whole, Some(Address::from(local(&theirs))));
    assert_eq!(received(&SocketRef::udp_v4(&ours), room), expected);
}

/// One buffer for all calls: what was there before does not stay.
#[test]
fn n3_the_sender_before_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let [to, from] = ["to", "from"].map(|name| directory.path().join(name));
    let ours = UnixDatagram::bind(&to).unwrap();
    let socket = SocketRef::from(&ours);
    let mut control = ControlBuffer::new();
    let mut sender = |theirs: UnixDatagram| {
        theirs.send_to(b"x", &to).unwrap();
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap().sender()
    };
    let named = || UnixDatagram::bind(&from).unwrap();
    assert_eq!(sender(named()), Some(Address::unix(&from).unwrap()));
    assert_eq!(sender(UnixDatagram::unbound().unwrap()), None);
}

/// The room for the longest names is there, whatever Linux writes: a path of 108 bytes has no NUL after it.
#[test]
fn n2_the_longest_path_can_be_answered() {
    let directory = tempfile::tempdir().unwrap();
    let longest = if sockets::OPENBSD { 103 } else { 108 };
    let taken = directory.path().as_os_str().len() + 1;
    if taken >= longest {
        return sockets::skipped(format_args!("the path of the temporary folder is too long"));
    }
    let path = directory.path().join("p".repeat(longest - taken));
    let sender = bound_to(&path);
    let to = directory.path().join("r");
    let ours = UnixDatagram::bind(&to).unwrap();
    sender.send_to(b"x", &to).unwrap();
    let (_, _, told) = received(&SocketRef::from(&ours), 10);
    let told = told.expect("it has a path");
    assert_eq!(told.as_path(), Some(&*path));
    SocketRef::from(&ours).send_to(b"answer", &told, NO_FLAGS).unwrap();
    assert_eq!(sender.recv(&mut [0; 10]).unwrap(), 6);
}

/// std and nix bind to 107 bytes at most, so that a NUL follows.
fn bound_to(path: &Path) -> UnixDatagram {
    let bound = UnixDatagram::unbound().unwrap();
    // SAFETY: zero is valid for every member.
    let mut name: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    name.sun_family = libc::AF_UNIX as _;
    for (room, &byte) in name.sun_path.iter_mut().zip(path.as_os_str().as_bytes()) {
        *room = byte as _;
    }
    let length = size_of_val(&name) as libc::socklen_t;
    // SAFETY: the pointer and the length are of one name, which outlives the call and is only read.
    let returned = unsafe { libc::bind(bound.as_raw_fd(), (&raw const name).cast(), length) };
    assert_eq!(returned, 0, "{}", std::io::Error::last_os_error());
    bound
}

/// The sender that a dual-stack socket is told cannot be sent to from there on OpenBSD, and so nowhere (A8).
#[test]
fn n1_a_mapped_sender_is_told_and_refused() {
    if sockets::OPENBSD {
        return sockets::skipped(format_args!("no socket is dual-stack"));
    }
    let Ok(ours) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        return sockets::skipped(format_args!("there is no IPv6"));
    };
    let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
    theirs.send_to(b"x", ("127.0.0.1", local(&ours).port())).unwrap();
    let socket = SocketRef::udp_v6(&ours);
    let (_, _, told) = received(&socket, 1);
    let told = told.expect("a sender");
    assert_eq!(told.as_socket_addr().map(|address| address.port()), Some(local(&theirs).port()));
    let error = socket.send_to(b"answer", &told, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressNotAvailable);
}

/// What a receiver is told of the destinations, after it has asked or not.
fn destination(socket: &SocketRef<'_, DatagramSocket>) -> Option<Destination> {
    let (mut control, mut byte) = (ControlBuffer::new(), [0]);
    let mut slices = [IoSliceMut::new(&mut byte)];
    socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap().destination()
}

/// A socket that is bound to all addresses is told which one was asked.
#[test]
fn n4_the_address_that_was_asked() {
    let ours = UdpSocket::bind("0.0.0.0:0").unwrap();
    let socket = SocketRef::udp_v4(&ours);
    let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ask = |address: Ipv4Addr| theirs.send_to(b"x", (address, local(&ours).port())).unwrap();
    ask(Ipv4Addr::LOCALHOST);
    assert_eq!(destination(&socket), None, "it was not asked for");
    socket.receive_destinations().unwrap();
    ask(Ipv4Addr::LOCALHOST);
    let first = destination(&socket).unwrap();
    assert_eq!(first.address, Ipv4Addr::LOCALHOST);
    assert_ne!(first.interface, 0);
    if !sockets::OPENBSD {
        // All of 127.0.0.0/8 is this host.
        ask(Ipv4Addr::new(127, 1, 2, 3));
        assert_eq!(destination(&socket).map(|told| told.address), Some(Ipv4Addr::new(127, 1, 2, 3).into()));
    }
}

#[test]
fn n4_the_ipv6_address_that_was_asked() {
    let Ok(ours) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        return sockets::skipped(format_args!("there is no IPv6"));
    };
    let Ok(theirs) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        return sockets::skipped(format_args!("the loopback interface has no IPv6"));
    };
    let socket = SocketRef::udp_v6(&ours);
    socket.receive_destinations().unwrap();
    theirs.send_to(b"x", (Ipv6Addr::LOCALHOST, local(&ours).port())).unwrap();
    let told = destination(&socket).unwrap();
    assert_eq!(told.address, Ipv6Addr::LOCALHOST);
    assert_ne!(told.interface, 0);
}

#[test]
fn n4_a_unix_socket_and_what_is_no_socket_are_refused() {
    let (ours, _theirs) = UnixDatagram::pair().unwrap();
    let error = SocketRef::from(&ours).receive_destinations().unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
    let null = std::fs::File::open("/dev/null").unwrap();
    let error = SocketRef::udp_v4(&null).receive_destinations().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSocket);
}

#[rstest]
fn n3_a_stream_has_no_sender(#[values(Tcp, UnixStream)] kind: SocketKind) {
    let pair = Pair::new(kind);
    pair.socket().send(b"x", NO_FLAGS).unwrap();
    let (mut control, mut byte) = (ControlBuffer::new(), [0]);
    let theirs = sockets::declared(kind, &pair.theirs);
    let mut slices = [IoSliceMut::new(&mut byte)];
    let received = theirs.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
    assert_eq!((received.bytes(), received.sender()), (1, None));
}
