//! Clauses A1 to A12: the addresses that a datagram can be sent to.

mod sockets;

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use rstest::rstest;
use sockets::{CONNECTED_KINDS, NO_FLAGS, Pair, differs};
use unisend::ErrorKind::{self, *};
use unisend::{Address, Error, Operation, SocketKind, SocketRef, limits};

fn internet(address: &str) -> Address {
    address.parse::<SocketAddr>().unwrap().into()
}

/// Refused in plain arithmetic, with the same words on both systems.
fn refused_as(error: Error, kind: ErrorKind) {
    assert_eq!((error.kind(), error.kernel_errno()), (kind, None), "{error}");
    assert_eq!(error.operation(), Operation::SendTo);
    assert!(!error.peer_gone() && !error.would_block() && !error.may_have_sent());
}

/// A destination on a socket that has no use for one does not compile: only a `DatagramSocket` has `send_to`.
#[test]
fn a1_a2_a3_only_datagram_sockets_have_destinations() {
    for kind in CONNECTED_KINDS {
        let pair = Pair::new(kind);
        let is_datagram = matches!(kind, SocketKind::UdpV4 | SocketKind::UnixDatagram);
        assert_eq!(pair.socket().as_datagram().is_some(), is_datagram, "{kind:?}");
        assert_eq!(SocketRef::probe(&pair.ours).unwrap().as_datagram().is_some(), is_datagram, "{kind:?}");
    }
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(SocketRef::other(&udp).as_datagram().is_none());
}

/// "Differs": Linux overrides the peer, OpenBSD refuses, even the peer's own address.
#[rstest]
#[case::a4_another_receiver(false)]
#[case::a4_the_peer_itself(true)]
fn a_destination_on_connected_udp(#[case] to_the_peer: bool) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let another = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(peer.local_addr().unwrap()).unwrap();
    let receiver = if to_the_peer { &peer } else { &another };
    let to = Address::from(receiver.local_addr().unwrap());

    let outcome = SocketRef::udp_v4(&sender).send_to(b"x", &to, NO_FLAGS);
    assert_eq!(outcome.map_err(|error| error.kind()), differs(Ok(1), Err(AlreadyConnected)));
    if outcome.is_ok() {
        sockets::wait_readable(receiver);
        assert_eq!(sockets::received(receiver).unwrap(), b"x");
    }
}

#[test]
fn a4_a_destination_on_a_connected_unix_datagram_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("another");
    let another = UnixDatagram::bind(&path).unwrap();
    let (sender, _peer) = UnixDatagram::pair().unwrap();
    let outcome = SocketRef::from(&sender).send_to(b"x", &Address::unix(&path).unwrap(), NO_FLAGS);
    assert_eq!(outcome.map_err(|error| error.kind()), differs(Ok(1), Err(AlreadyConnected)));
    assert_eq!(sockets::received(&another), differs(Some(b"x".to_vec()), None));
}

/// Which addresses each kind of socket can send to; what they are declared as is enough to refuse the others.
#[rstest]
#[case::a5_v4_from_unix("127.0.0.1:9", SocketKind::UnixDatagram, AddressFamily)]
#[case::a8_v4_from_v6("127.0.0.1:9", SocketKind::UdpV6, AddressFamily)]
#[case::a5_v6_from_v4("[::1]:9", SocketKind::UdpV4, AddressFamily)]
#[case::a5_v6_from_unix("[::1]:9", SocketKind::UnixDatagram, AddressFamily)]
#[case::a5_unix_from_v4("/a/path", SocketKind::UdpV4, AddressFamily)]
#[case::a5_unix_from_v6("/a/path", SocketKind::UdpV6, AddressFamily)]
#[case::a7_port_0_v4("127.0.0.1:0", SocketKind::UdpV4, AddressNotAvailable)]
#[case::a7_port_0_v6("[::1]:0", SocketKind::UdpV6, AddressNotAvailable)]
#[case::a5_unspecified_v4("0.0.0.0:9", SocketKind::UdpV4, AddressNotAvailable)]
#[case::a5_unspecified_v6("[::]:9", SocketKind::UdpV6, AddressNotAvailable)]
#[case::a7_unspecified_and_port_0("0.0.0.0:0", SocketKind::UdpV4, AddressNotAvailable)]
#[case::a8_mapped("[::ffff:127.0.0.1]:9", SocketKind::UdpV6, AddressNotAvailable)]
#[case::a8_mapped_unspecified("[::ffff:0.0.0.0]:9", SocketKind::UdpV6, AddressNotAvailable)]
#[case::a8_mapped_and_port_0("[::ffff:127.0.0.1]:0", SocketKind::UdpV6, AddressNotAvailable)]
#[case::a5_family_comes_before_port("127.0.0.1:0", SocketKind::UdpV6, AddressFamily)]
#[case::a5_family_comes_before_unspecified("[::]:9", SocketKind::UdpV4, AddressFamily)]
fn an_address_is_refused(#[case] to: &str, #[case] kind: SocketKind, #[case] expected: ErrorKind) {
    let to = if to.starts_with('/') { Address::unix(to).unwrap() } else { internet(to) };
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixDatagram::unbound().unwrap();
    let socket = match kind {
        SocketKind::UdpV4 => SocketRef::udp_v4(&udp),
        SocketKind::UdpV6 => SocketRef::udp_v6(&udp),
        _ => SocketRef::unix_datagram(&unix),
    };
    for bytes in [&b"x"[..], b""] {
        refused_as(socket.send_to(bytes, &to, NO_FLAGS).unwrap_err(), expected);
    }
}

#[test]
fn a6_ipv4_arrives() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(v4) = receiver.local_addr().unwrap() else { unreachable!("bound to IPv4") };
    for to in [Address::from(v4), Address::from(SocketAddr::V4(v4)), internet(&v4.to_string())] {
        assert_eq!(SocketRef::udp_v4(&sender).send_to(b"data", &to, NO_FLAGS), Ok(4));
        let mut buffer = [0; 16];
        sockets::wait_readable(&receiver);
        assert_eq!(receiver.recv_from(&mut buffer).unwrap(), (4, sender.local_addr().unwrap()));
        assert_eq!(&buffer[..4], b"data");
    }
}

#[test]
fn a6_ipv6_arrives() {
    let (Some(receiver), Some(sender)) = (sockets::udp_v6(), sockets::udp_v6()) else { return };
    let SocketAddr::V6(v6) = receiver.local_addr().unwrap() else { unreachable!("bound to IPv6") };
    for to in [Address::from(v6), Address::from(SocketAddr::V6(v6)), internet(&v6.to_string())] {
        assert_eq!(SocketRef::udp_v6(&sender).send_to(b"data", &to, NO_FLAGS), Ok(4));
        let mut buffer = [0; 16];
        sockets::wait_readable(&receiver);
        assert_eq!(receiver.recv_from(&mut buffer).unwrap(), (4, sender.local_addr().unwrap()));
    }
}

/// A path of exactly so many bytes in a directory.
fn path_of(length: usize, directory: &Path) -> PathBuf {
    let name = length - directory.as_os_str().len() - 1;
    directory.join("p".repeat(name))
}

#[rstest]
#[case::a6_longest(limits::UNIX_PATH_BYTES)]
#[case::a6_one_less(limits::UNIX_PATH_BYTES - 1)]
#[case::a6_shorter(limits::UNIX_PATH_BYTES - 30)]
fn a_unix_path_that_fits(#[case] length: usize) {
    let directory = tempfile::tempdir().unwrap();
    let path = path_of(length, directory.path());
    let receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    let to = Address::unix(&path).unwrap();
    assert_eq!(SocketRef::unix_datagram(&sender).send_to(b"data", &to, NO_FLAGS), Ok(4));
    assert_eq!(sockets::received(&receiver).unwrap(), b"data");

    // One byte less names another.
    let shorter = Address::unix(path_of(length - 1, directory.path())).unwrap();
    let error = SocketRef::unix_datagram(&sender).send_to(b"data", &shorter, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), NotFound);
}

#[rstest]
#[case::a6_empty("")]
#[case::a6_too_long_by_one(&"x".repeat(104))]
#[case::a6_long_enough_for_linux(&"x".repeat(107))]
#[case::a6_far_too_long(&"x".repeat(10_000))]
#[case::a6_nul_inside("a\0b")]
#[case::a6_nul_at_the_end("a\0")]
#[case::a6_nul_at_the_beginning("\0abstract")]
fn a_unix_path_that_is_none(#[case] path: &str) {
    let error = Address::unix(path).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (InvalidInput, None));
    assert_eq!(error.operation(), Operation::Address);
}

/// OpenBSD has no abstract names and says so, whatever the name.
#[test]
fn a6_abstract_names() {
    let longest = [b'n'; limits::ABSTRACT_NAME_BYTES];
    let too_long = [b'n'; limits::ABSTRACT_NAME_BYTES + 1];
    let kinds =
        [&longest[..], &too_long].map(|name| Address::unix_abstract(name).map_err(|error| error.kind()));
    let [longest, too_long] = kinds.map(|made| made.err());
    assert_eq!(longest, differs(None, Some(AddressFamily)));
    assert_eq!(too_long, Some(differs(InvalidInput, AddressFamily)));
}

#[cfg(target_os = "linux")]
#[rstest]
#[case::a6_text(b"name")]
#[case::a6_any_bytes(b"\0\xff\0")]
fn an_abstract_name_arrives_and_answers(#[case] kind_of_name: &[u8]) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr as UnixSocketAddr;

    // Of this process and case alone, and gone with the socket.
    let own = [format!("unisend {} ", std::process::id()).as_bytes(), kind_of_name].concat();
    let bound = UnixSocketAddr::from_abstract_name(&own).unwrap();
    let receiver = UnixDatagram::bind_addr(&bound).unwrap();
    let sender_name = [&own[..], b" sender"].concat();
    let sender = UnixDatagram::bind_addr(&UnixSocketAddr::from_abstract_name(&sender_name).unwrap()).unwrap();

    let to = Address::unix_abstract(&own).unwrap();
    assert_eq!(SocketRef::unix_datagram(&sender).send_to(b"ping", &to, NO_FLAGS), Ok(4));

    let mut buffer = [0; 8];
    sockets::wait_readable(&receiver);
    let (length, from) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"ping");
    let back = Address::unix_abstract(from.as_abstract_name().unwrap()).unwrap();
    assert_eq!(SocketRef::unix_datagram(&receiver).send_to(b"pong", &back, NO_FLAGS), Ok(4));
    assert_eq!(sockets::received(&sender).unwrap(), b"pong");
}

/// An address is made once and stays what it is.
#[test]
fn a6_an_address_serves_many_sockets() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = Address::from(receiver.local_addr().unwrap());
    let copy = to;
    for text in ["one", "two", "three"] {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(SocketRef::udp_v4(&sender).send_to(text.as_bytes(), &copy, NO_FLAGS), Ok(text.len()));
        sockets::wait_readable(&receiver);
        assert_eq!(sockets::received(&receiver).unwrap(), text.as_bytes());
    }
    assert_eq!(format!("{to:?}"), format!("{copy:?}"));
}

/// What can be found at a path.
enum At {
    Nothing,
    FileInTheWay,
    SelfLink,
    DeadSocket,
    File,
    Directory,
    StreamListener,
}

impl At {
    fn put(&self, directory: &Path) -> (PathBuf, Option<UnixListener>) {
        let path = directory.join("destination");
        let mut listener = None;
        match self {
            Self::Nothing => {}
            Self::FileInTheWay => {
                std::fs::write(&path, "").unwrap();
                return (path.join("socket"), None);
            }
            Self::SelfLink => symlink(&path, &path).unwrap(),
            Self::DeadSocket => drop(UnixDatagram::bind(&path).unwrap()),
            Self::File => std::fs::write(&path, "").unwrap(),
            Self::Directory => std::fs::create_dir(&path).unwrap(),
            Self::StreamListener => listener = Some(UnixListener::bind(&path).unwrap()),
        }
        (path, listener)
    }
}

#[rstest]
#[case::a10_missing(At::Nothing, NotFound)]
#[case::a10_file_in_the_way(At::FileInTheWay, NotFound)]
#[case::a10_link_to_itself(At::SelfLink, BadPath)]
#[case::a10_dead_socket(At::DeadSocket, Refused)]
#[case::a10_regular_file(At::File, Refused)]
#[case::a10_directory(At::Directory, Refused)]
#[case::a10_stream_socket(At::StreamListener, WrongSocketType)]
fn a_path_that_does_not_receive(#[case] what: At, #[case] expected: ErrorKind) {
    let directory = tempfile::tempdir().unwrap();
    let (path, _listener) = what.put(directory.path());
    let sender = UnixDatagram::unbound().unwrap();
    let error = SocketRef::unix_datagram(&sender)
        .send_to(b"x", &Address::unix(&path).unwrap(), NO_FLAGS)
        .unwrap_err();
    assert_eq!(error.kind(), expected, "{error}");
    assert!(error.kernel_errno().is_some());
    assert!(!error.peer_gone(), "there never was a peer");
}

#[test]
fn a10_seqpacket_socket() {
    use nix::sys::socket::{UnixAddr, bind};
    use std::os::fd::AsRawFd;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("destination");
    let fd = sockets::unconnected(SocketKind::UnixSeqpacket);
    bind(fd.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    let to = Address::unix(&path).unwrap();
    let error = SocketRef::unix_datagram(&sender).send_to(b"x", &to, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), WrongSocketType, "{error}");
}

/// The superuser may write to anything; anybody else needs the permission.
#[rstest]
#[case::a10_on_the_socket(0o444, 0o700)]
#[case::a10_on_the_directory(0o666, 0o600)]
fn a_path_without_permission(#[case] on_socket: u32, #[case] on_directory: u32) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("destination");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&path, on_socket);
    set(directory.path(), on_directory);
    let outcome = SocketRef::unix_datagram(&sender).send_to(b"x", &Address::unix(&path).unwrap(), NO_FLAGS);
    set(directory.path(), 0o700); // so that it can be removed

    // SAFETY: it has no arguments and cannot fail.
    let superuser = unsafe { libc::geteuid() } == 0;
    let expected = if superuser { Ok(1) } else { Err(PermissionDenied) };
    assert_eq!(outcome.map_err(|error| error.kind()), expected);
    assert_eq!(sockets::received(&receiver).is_some(), expected.is_ok());
}

/// "Differs": Linux keeps strangers from a receiver that has a peer, OpenBSD delivers.
#[test]
fn a11_a_receiver_that_is_connected_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let [path, elsewhere] = ["receiver", "elsewhere"].map(|name| directory.path().join(name));
    let receiver = UnixDatagram::bind(&path).unwrap();
    let _peer = UnixDatagram::bind(&elsewhere).unwrap();
    receiver.connect(&elsewhere).unwrap();

    let sender = UnixDatagram::unbound().unwrap();
    let outcome = SocketRef::unix_datagram(&sender).send_to(b"x", &Address::unix(&path).unwrap(), NO_FLAGS);
    assert_eq!(outcome.map_err(|error| error.kind()), differs(Err(PermissionDenied), Ok(1)));
    assert_eq!(sockets::received(&receiver), differs(None, Some(b"x".to_vec())));
}

/// OpenBSD's loopback interface has no broadcasts, so that there it is an address that no route leads to. It
/// says "address not available", which is clause I8's.
#[test]
fn a12_a_broadcast_without_permission() {
    // Not bound: a socket with an address of its own would not have to look for one.
    let sender = UdpSocket::from(sockets::unconnected(SocketKind::UdpV4));
    let to = internet("127.255.255.255:9");
    let error = SocketRef::udp_v4(&sender).send_to(b"x", &to, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), differs(PermissionDenied, Unreachable), "{error}");

    sender.set_broadcast(true).unwrap();
    let outcome = SocketRef::udp_v4(&sender).send_to(b"x", &to, NO_FLAGS);
    assert_eq!(outcome.map_err(|error| error.kind()), differs(Ok(1), Err(Unreachable)));
}

/// A wrong declaration gives the kernel's answer in place of ours, and nothing worse.
#[test]
fn a5_a_wrong_declaration_is_the_kernels_to_refuse() {
    let unix = UnixDatagram::unbound().unwrap();
    let error = SocketRef::udp_v4(&unix).send_to(b"x", &internet("127.0.0.1:9"), NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), differs(Unreachable, AddressFamily)); // I8 takes Linux's EINVAL on UDP for that
    assert_eq!(error.kernel_errno(), Some(differs(libc::EINVAL, libc::EAFNOSUPPORT)));
}

#[rstest]
#[case::v4("192.0.2.7:4660")]
#[case::v6("[2001:db8::7]:4660")]
#[case::v6_with_scope("[fe80::1%3]:53")]
fn an_internet_address_and_the_way_back(#[case] text: &str) {
    let address = internet(text);
    assert_eq!(address.as_socket_addr(), Some(text.parse().unwrap()));
    assert_eq!((address.as_path(), address.as_abstract_name()), (None, None));
    assert_eq!((address.to_string(), format!("{address:?}")), (text.to_owned(), format!("Address({text})")));
}

#[test]
fn a_unix_address_and_the_way_back() {
    let path = Path::new("/tmp/a path");
    let address = Address::unix(path).unwrap();
    assert_eq!((address.as_path(), address.as_socket_addr()), (Some(path), None));
    assert_eq!(address.to_string(), "/tmp/a path");

    if let Ok(address) = Address::unix_abstract(b"\0name\xff") {
        assert_eq!((address.as_abstract_name(), address.as_path()), (Some(&b"\0name\xff"[..]), None));
        assert_eq!(address.to_string(), r"@\x00name\xff");
    }
}

/// OpenBSD has no dual-stack sockets, and says what to do instead.
#[test]
fn a8b_openbsd_has_no_mapped_addresses() {
    let made = Address::v4_mapped("127.0.0.1:9".parse().unwrap());
    assert_eq!(made.as_ref().err().map(Error::kind), differs(None, Some(AddressFamily)));
    if let Err(error) = made {
        assert_eq!((error.operation(), error.kernel_errno()), (Operation::Address, None));
        assert!(error.to_string().contains("bind one socket for each family"), "{error}");
    }
}

/// It shows what it is: an IPv6 address, and no other than the same address.
#[test]
fn a8b_a_mapped_address_and_the_way_back() {
    let Ok(address) = Address::v4_mapped("192.0.2.7:4660".parse().unwrap()) else { return };
    let text = "[::ffff:192.0.2.7]:4660";
    assert_eq!(address.as_socket_addr(), Some(text.parse().unwrap()));
    assert_eq!((address.as_path(), address.as_abstract_name()), (None, None));
    assert_eq!((address.to_string(), format!("{address:?}")), (text.to_owned(), format!("Address({text})")));
    assert_eq!(Address::v4_mapped("192.0.2.7:4660".parse().unwrap()), Ok(address));
    assert_ne!(internet(text), address, "the one that is refused");
}

/// What no address of IPv4 can have is refused of a mapped one too, and on other sockets it is of another family.
#[rstest]
#[case::a7_port_0("127.0.0.1:0", SocketKind::UdpV6, AddressNotAvailable)]
#[case::a5_unspecified("0.0.0.0:9", SocketKind::UdpV6, AddressNotAvailable)]
#[case::a5_on_ipv4("127.0.0.1:9", SocketKind::UdpV4, AddressFamily)]
#[case::a5_on_unix("127.0.0.1:9", SocketKind::UnixDatagram, AddressFamily)]
fn a_mapped_address_is_refused(#[case] to: &str, #[case] kind: SocketKind, #[case] expected: ErrorKind) {
    let Ok(to) = Address::v4_mapped(to.parse().unwrap()) else { return };
    let null = std::fs::File::open("/dev/null").unwrap(); // the kernel is not asked
    let socket = match kind {
        SocketKind::UdpV4 => SocketRef::udp_v4(&null),
        SocketKind::UdpV6 => SocketRef::udp_v6(&null),
        _ => SocketRef::unix_datagram(&null),
    };
    refused_as(socket.send_to(b"x", &to, NO_FLAGS).unwrap_err(), expected);
}

#[test]
fn a8b_a_dual_stack_socket_sends_first() {
    let Some(sender) = sockets::dual_stack() else { return };
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(to) = receiver.local_addr().unwrap() else { unreachable!("bound to IPv4") };
    let to = Address::v4_mapped(to).unwrap();
    assert_eq!(SocketRef::udp_v6(&sender).send_to(b"data", &to, NO_FLAGS), Ok(4));
    sockets::wait_readable(&receiver);
    assert_eq!(sockets::received(&receiver).unwrap(), b"data");
}

/// A socket that takes IPv6 only has no way to an IPv4 address.
#[test]
fn a8c_a_mapped_address_on_a_socket_of_ipv6_alone() {
    let Ok(to) = Address::v4_mapped("127.0.0.1:9".parse().unwrap()) else { return };
    let Some(sender) = sockets::udp_v6_only(true) else { return };
    let error = SocketRef::udp_v6(&sender).send_to(b"x", &to, NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (Unreachable, Some(libc::ENETUNREACH)));
}
