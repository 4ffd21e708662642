//! Clauses N1 to N5b: the sender, the destination and the source of a datagram, as a server uses them.

mod sockets;

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rstest::rstest;
use sockets::{NO_FLAGS, Pair};
use unisend::SocketKind::{self, *};
use unisend::{
    Address, ControlBuffer, DatagramBuffer, DatagramSocket, Destination, Error, ErrorKind, Message,
    ReceiveFlags, SocketRef,
};

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

/// A relative path is told as it was bound, with every byte: it names the same socket only from the same directory.
#[test]
fn n2_a_relative_path_is_told_as_it_was_bound() {
    let directory = tempfile::tempdir().unwrap();
    let before = std::env::current_dir().unwrap();
    // For all threads. The other tests of this file have absolute paths.
    std::env::set_current_dir(directory.path()).unwrap();
    let longest = if sockets::OPENBSD { 103 } else { 108 };
    let paths = ["s".to_owned(), "./s2".to_owned(), "p".repeat(longest - 1), "q".repeat(longest)];
    let ours = UnixDatagram::bind("receiver").unwrap();
    for path in paths.map(PathBuf::from) {
        let sender = bound_to(&path);
        for by_batch in [false, true] {
            sender.send_to(b"x", "receiver").unwrap();
            let socket = SocketRef::from(&ours);
            let told = if by_batch { sender_by_batch(&socket) } else { received(&socket, 10).2 };
            let told = told.expect("it has a path");
            assert_eq!(told.as_path(), Some(&*path));
            socket.send_to(b"answer", &told, NO_FLAGS).unwrap();
            assert_eq!(sender.recv(&mut [0; 10]).unwrap(), 6);
        }
    }
    std::env::set_current_dir(before).unwrap();
}

/// What a batch of one is told of its sender.
fn sender_by_batch(socket: &SocketRef<'_, DatagramSocket>) -> Option<Address> {
    let mut room = [0; 10];
    let mut buffers = [DatagramBuffer::new(&mut room)];
    assert_eq!(socket.receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(1));
    buffers[0].sender()
}

/// An abstract name can have any bytes: zeros at its beginning, in it and at its end, and as many as there is room for.
#[cfg(target_os = "linux")]
#[rstest]
#[case::begins_with_zero(b"\0", b"")]
#[case::has_a_zero(b"", b"\0a")]
#[case::ends_with_zero(b"", b"\0")]
#[case::zeros(b"\0\0", b"\0\0")]
#[case::longest(b"", &[0; 107])]
fn n3b_an_abstract_name_has_every_byte(#[case] before: &[u8], #[case] after: &[u8]) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr as UnixSocketAddr;

    // Of this process and case alone.
    let own = format!("unisend n3b {} {} {}", std::process::id(), before.len(), after.len());
    let mut name = [before, own.as_bytes(), after].concat();
    name.truncate(107);
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("to");
    let ours = UnixDatagram::bind(&to).unwrap();
    let sender = UnixDatagram::bind_addr(&UnixSocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    for by_batch in [false, true] {
        sender.send_to(b"x", &to).unwrap();
        let socket = SocketRef::from(&ours);
        let told = if by_batch { sender_by_batch(&socket) } else { received(&socket, 10).2 };
        let told = told.expect("it has a name");
        assert_eq!((told.as_abstract_name(), told.as_path()), (Some(&*name), None));
        socket.send_to(b"answer", &told, NO_FLAGS).unwrap();
        assert_eq!(sender.recv(&mut [0; 10]).unwrap(), 6);
    }
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

/// The sender of an IPv4 datagram is an IPv4-mapped address on a dual-stack socket, and can be answered.
#[test]
fn n1b_a_mapped_sender_is_told_and_answered() {
    let Some(ours) = sockets::dual_stack() else { return };
    let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
    theirs.send_to(b"x", ("127.0.0.1", local(&ours).port())).unwrap();
    let socket = SocketRef::udp_v6(&ours);
    let (_, _, told) = received(&socket, 1);
    let told = told.expect("a sender");
    let SocketAddr::V4(sender) = local(&theirs) else { unreachable!("bound to IPv4") };
    assert_eq!(Ok(told), Address::v4_mapped(sender));
    let shown = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), sender.port()));
    assert_eq!((told.as_socket_addr(), told.to_string()), (Some(shown), shown.to_string()));
    assert_eq!(socket.send_to(b"answer", &told, NO_FLAGS), Ok(6));
    sockets::wait_readable(&theirs);
    assert_eq!(sockets::received(&theirs).unwrap(), b"answer");
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

/// The destination of an IPv4 datagram too, and the answer comes from there.
#[test]
fn n4b_n5c_a_dual_stack_socket_is_told_and_answers_from_there() {
    let Some(ours) = sockets::dual_stack() else { return };
    let socket = SocketRef::udp_v6(&ours);
    socket.receive_destinations().unwrap();
    let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
    let asked = Ipv4Addr::new(127, 1, 2, 3); // not the one that the route would choose
    theirs.send_to(b"x", (asked, local(&ours).port())).unwrap();

    let (mut control, mut byte) = (ControlBuffer::new(), [0]);
    let mut slices = [IoSliceMut::new(&mut byte)];
    let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
    let (sender, told) = (received.sender().unwrap(), received.destination().unwrap());
    assert_eq!(told.address, asked.to_ipv6_mapped());
    assert_ne!(told.interface, 0);

    let mut slices = [IoSlice::new(b"answer")];
    let message = Message::new(&mut slices).from_source(told.address);
    assert_eq!(message.send_to(&socket, &sender, NO_FLAGS), Ok(6));
    sockets::wait_readable(&theirs);
    let mut answer = [0; 10];
    assert_eq!(theirs.recv_from(&mut answer).unwrap(), (6, (asked, local(&ours).port()).into()));
}

/// An IPv6 datagram on the same socket has the addresses of IPv6.
#[test]
fn n1b_a_dual_stack_socket_is_one_of_ipv6_too() {
    let (Some(ours), Some(theirs)) = (sockets::dual_stack(), sockets::udp_v6()) else { return };
    let socket = SocketRef::udp_v6(&ours);
    theirs.send_to(b"x", (Ipv6Addr::LOCALHOST, local(&ours).port())).unwrap();
    let (_, _, told) = received(&socket, 1);
    assert_eq!(told, Some(Address::from(local(&theirs))));
    assert_eq!(socket.send_to(b"answer", &told.unwrap(), NO_FLAGS), Ok(6));
}

/// One of the source and the address is mapped, or what is mapped is no source.
#[rstest]
#[case::mapped_to_ipv6("::ffff:127.0.0.1", "[::1]:9", "goes with")]
#[case::ipv6_to_mapped("::1", "127.0.0.1:9", "goes with")]
#[case::unspecified("::", "127.0.0.1:9", "goes with")]
#[case::mapped_unspecified("::ffff:0.0.0.0", "127.0.0.1:9", "of this host")]
#[case::mapped_broadcast("::ffff:255.255.255.255", "127.0.0.1:9", "of this host")]
#[case::mapped_multicast("::ffff:224.0.0.1", "127.0.0.1:9", "of this host")]
fn n5c_what_is_no_source_of_a_mapped_address(
    #[case] source: IpAddr,
    #[case] to: SocketAddr,
    #[case] words: &str,
) {
    let to = match to {
        SocketAddr::V4(to) => Address::v4_mapped(to),
        SocketAddr::V6(to) => Ok(to.into()),
    };
    let Ok(to) = to else { return };
    let null = std::fs::File::open("/dev/null").unwrap(); // the kernel is not asked
    let mut slices = [IoSlice::new(b"x")];
    let message = Message::new(&mut slices).from_source(source);
    let error = message.send_to(&SocketRef::udp_v6(&null), &to, NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::AddressNotAvailable, None));
    assert!(error.to_string().contains(words), "{error}");
}

/// An IPv4 source is of another family than the socket, whatever the address is.
#[test]
fn n5b_an_ipv4_source_of_a_mapped_address() {
    let Ok(to) = Address::v4_mapped("127.0.0.1:9".parse().unwrap()) else { return };
    let null = std::fs::File::open("/dev/null").unwrap();
    let mut slices = [IoSlice::new(b"x")];
    let message = Message::new(&mut slices).from_source(Ipv4Addr::LOCALHOST.into());
    let error = message.send_to(&SocketRef::udp_v6(&null), &to, NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::AddressFamily, None));
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

/// Sends a datagram from a source.
fn send_from(ours: &UdpSocket, source: IpAddr, to: SocketAddr) -> Result<usize, Error> {
    let mut slices = [IoSlice::new(b"from")];
    let socket = SocketRef::try_from(ours)?;
    Message::new(&mut slices).from_source(source).send_to(&socket, &to.into(), NO_FLAGS)
}

/// Another address of this host than the one that the route would choose.
#[test]
fn n5_a_datagram_is_sent_from_its_source() {
    let source = if sockets::OPENBSD { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(127, 1, 2, 3) };
    let ours = UdpSocket::bind("0.0.0.0:0").unwrap();
    let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(send_from(&ours, source.into(), local(&theirs)), Ok(4));
    let expected = SocketAddr::from((source, local(&ours).port()));
    let (bytes, _, sender) = received(&SocketRef::udp_v4(&theirs), 10);
    assert_eq!((bytes, sender), (4, Some(expected.into())));
}

#[test]
fn n5_a_datagram_is_sent_from_its_ipv6_source() {
    let Ok(ours) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        return sockets::skipped(format_args!("there is no IPv6"));
    };
    let Ok(theirs) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        return sockets::skipped(format_args!("the loopback interface has no IPv6"));
    };
    assert_eq!(send_from(&ours, Ipv6Addr::LOCALHOST.into(), local(&theirs)), Ok(4));
    let expected = SocketAddr::from((Ipv6Addr::LOCALHOST, local(&ours).port()));
    assert_eq!(received(&SocketRef::udp_v6(&theirs), 10).2, Some(expected.into()));
    // An address for documentation, which no host has.
    let foreign = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let error = send_from(&ours, foreign.into(), local(&theirs)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

/// Addresses that no datagram is sent from, and one that is not this host's.
#[rstest]
#[case::not_of_this_host("192.0.2.1", ErrorKind::Unreachable)]
#[case::unspecified("0.0.0.0", ErrorKind::AddressNotAvailable)]
#[case::broadcast("255.255.255.255", ErrorKind::AddressNotAvailable)]
#[case::multicast("224.0.0.1", ErrorKind::AddressNotAvailable)]
#[case::of_another_family("::1", ErrorKind::AddressFamily)]
fn n5b_what_is_no_source(#[case] source: IpAddr, #[case] kind: ErrorKind) {
    let ours = UdpSocket::bind("0.0.0.0:0").unwrap();
    let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = send_from(&ours, source, local(&theirs)).unwrap_err();
    assert_eq!(error.kind(), kind);
    assert_eq!(error.kernel_errno().is_some(), kind == ErrorKind::Unreachable, "{error}");
    theirs.set_nonblocking(true).unwrap();
    assert!(theirs.recv(&mut [0]).is_err(), "nothing was sent");
}

#[rstest]
#[case::unspecified("::")]
#[case::multicast("ff02::1")]
#[case::mapped("::ffff:127.0.0.1")]
#[case::of_another_family("127.0.0.1")]
fn n5b_what_is_no_ipv6_source(#[case] source: IpAddr) {
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = SocketRef::udp_v6(&ours); // the kernel is not asked
    let to = SocketAddr::from((Ipv6Addr::LOCALHOST, 9)).into();
    let mut slices = [IoSlice::new(b"x")];
    let error = Message::new(&mut slices).from_source(source).send_to(&socket, &to, NO_FLAGS).unwrap_err();
    let kind = if source.is_ipv4() { ErrorKind::AddressFamily } else { ErrorKind::AddressNotAvailable };
    assert_eq!((error.kind(), error.kernel_errno()), (kind, None));
}

/// A source is not ignored where it cannot be used.
#[rstest]
fn n5b_a_source_without_an_address_is_refused(
    #[values(Tcp, UdpV4, UnixStream, UnixDatagram, UnixSeqpacket)] kind: SocketKind,
    #[values(false, true)] all: bool,
) {
    let pair = Pair::new(kind);
    let mut slices = [IoSlice::new(b"x")];
    let mut message = Message::new(&mut slices).from_source(Ipv4Addr::LOCALHOST.into());
    let error = match all {
        false => message.send(&pair.socket(), NO_FLAGS).unwrap_err(),
        true => message.send_all(&pair.socket(), NO_FLAGS).unwrap_err().error(),
    };
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
    assert_eq!(pair.received(), None, "nothing was sent");
}

/// The address comes before the source, and the source before the slices (G5).
#[test]
fn n5b_the_source_in_the_order_of_mistakes() {
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = SocketRef::udp_v4(&ours);
    let nowhere = Address::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut slices = [IoSlice::new(b"x"); 1025];
    let message = Message::new(&mut slices).from_source(Ipv6Addr::LOCALHOST.into());
    let first = message.send_to(&socket, &nowhere, NO_FLAGS).unwrap_err();
    assert_eq!(first.kind(), ErrorKind::AddressNotAvailable, "the address has port 0");
    let next = message.send_to(&socket, &local(&ours).into(), NO_FLAGS).unwrap_err();
    assert_eq!(next.kind(), ErrorKind::AddressFamily, "the source");
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
