//! Sockets are declared or probed, from any type that has their descriptor.

mod sockets;

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::rc::Rc;
use std::sync::Arc;

use rstest::rstest;
use sockets::{CONNECTED_KINDS, NO_FLAGS, Pair, read_exactly, tcp_pair, unconnected};
use unisend::ErrorKind::{AddressFamily, NotSocket};
use unisend::SocketKind::{self, Other, OtherStream, Tcp, UdpV4, UdpV6, UnixSeqpacket};
use unisend::{Operation, SocketRef};

/// Sends through the socket, so that it is seen to be of that descriptor.
fn reaches(socket: &SocketRef<'_, impl Sized>, theirs: &(impl AsFd + AsRawFd)) {
    assert_eq!(socket.send(b"data", NO_FLAGS), Ok(4));
    assert_eq!(read_exactly(theirs, 4), b"data");
}

/// Any type that is `AsFd` will do: what the sockets of other crates are.
#[test]
fn any_type_with_a_descriptor() {
    struct OfAnotherCrate(TcpStream);
    impl AsFd for OfAnotherCrate {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    let (ours, theirs) = tcp_pair();
    let owned: OwnedFd = ours.try_clone().unwrap().into();
    let borrowed = owned.as_fd();
    let (shared, local) = (Arc::new(ours.try_clone().unwrap()), Rc::new(ours.try_clone().unwrap()));
    let boxed = Box::new(ours.try_clone().unwrap());
    let other = OfAnotherCrate(ours.try_clone().unwrap());
    for socket in [
        SocketRef::tcp(&ours),
        SocketRef::from(&ours),
        SocketRef::tcp(&owned),
        SocketRef::tcp(borrowed),
        SocketRef::tcp(&shared),
        SocketRef::tcp(&local),
        SocketRef::tcp(&boxed),
        SocketRef::tcp(&other),
    ] {
        assert_eq!(socket.kind(), Tcp);
        reaches(&socket, &theirs);
        // And it is a descriptor in its turn.
        reaches(&SocketRef::tcp(&socket), &theirs);
    }
}

/// A shared socket serves several threads: what each sends arrives whole.
#[test]
fn one_socket_in_many_threads() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let socket = SocketRef::from(&ours);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            scope.spawn(move || {
                for _ in 0..20 {
                    socket.send_all(&[thread; 100], NO_FLAGS).unwrap();
                }
            });
        }
        let mut counts = [0; 4];
        for _ in 0..80 {
            sockets::wait_readable(&theirs);
            let datagram = sockets::received(&theirs).unwrap();
            assert_eq!(datagram, [datagram[0]; 100]);
            counts[usize::from(datagram[0])] += 1;
        }
        assert_eq!(counts, [20; 4]);
    });
}

#[test]
fn types_of_std_that_say_what_they_are() {
    let (tcp, _peer) = tcp_pair();
    let (stream, _peer) = UnixStream::pair().unwrap();
    let (datagram, _peer) = UnixDatagram::pair().unwrap();
    assert_eq!(SocketRef::from(&tcp).kind(), Tcp);
    assert_eq!(SocketRef::from(&stream).kind(), SocketKind::UnixStream);
    assert_eq!(SocketRef::from(&datagram).kind(), SocketKind::UnixDatagram);
    let any: SocketRef<'_> = SocketRef::from(&datagram).into();
    assert_eq!(any.kind(), SocketKind::UnixDatagram);
    assert_eq!(SocketRef::from(&datagram).as_fd().as_raw_fd(), datagram.as_raw_fd());
}

/// What is declared is what it is, and nobody asked the kernel.
#[rstest]
#[case::tcp(Tcp)]
#[case::udp_v4(UdpV4)]
#[case::udp_v6(UdpV6)]
#[case::unix_stream(SocketKind::UnixStream)]
#[case::unix_datagram(SocketKind::UnixDatagram)]
#[case::unix_seqpacket(UnixSeqpacket)]
#[case::other_stream(OtherStream)]
#[case::other(Other)]
fn a_declaration_is_taken_at_its_word(#[case] kind: SocketKind) {
    let file = tempfile::tempfile().unwrap();
    let socket = sockets::declared(kind, &file);
    assert_eq!((socket.kind(), socket.send_buffer()), (kind, None));
    let is_datagram = matches!(kind, UdpV4 | UdpV6 | SocketKind::UnixDatagram);
    assert_eq!(socket.as_datagram().map(|datagram| datagram.kind()), is_datagram.then_some(kind));
    assert_eq!(
        (kind.is_stream(), kind.is_datagram()),
        (matches!(kind, Tcp | SocketKind::UnixStream | OtherStream), is_datagram)
    );
    let error = socket.send(b"x", NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), NotSocket, "{error}");
    assert!(format!("{socket:?}").contains(&format!("{kind:?}")));
}

#[test]
fn a_probe_says_what_it_is() {
    for kind in CONNECTED_KINDS {
        let pair = Pair::new(kind);
        let alone = unconnected(kind);
        for fd in [&pair.ours, &alone] {
            let probed = SocketRef::probe(fd).unwrap();
            assert_eq!(probed.kind(), kind);
            assert!(probed.send_buffer().unwrap() > 1_000);
        }
        let probed = SocketRef::probe(&pair.ours).unwrap();
        assert_eq!(probed.send(b"data", NO_FLAGS), Ok(4));
        assert_eq!(pair.arriving(), b"data");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(SocketRef::probe(&listener).unwrap().kind(), Tcp);
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("listener")).unwrap();
    assert_eq!(SocketRef::probe(&listener).unwrap().kind(), SocketKind::UnixStream);
}

#[test]
fn a_probe_tells_ipv6_from_ipv4() {
    let v4 = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(SocketRef::probe(&v4).unwrap().kind(), UdpV4);
    let Some(v6) = sockets::udp_v6() else { return };
    assert_eq!(SocketRef::probe(&v6).unwrap().kind(), UdpV6);
}

/// A socket that the contract does not know is another, and gets the kernel's answers.
#[cfg(target_os = "linux")]
#[test]
fn a_probe_of_another_family() {
    use nix::sys::socket as raw;

    let netlink = raw::socket(
        raw::AddressFamily::Netlink,
        raw::SockType::Datagram,
        raw::SockFlag::SOCK_CLOEXEC,
        raw::SockProtocol::NetlinkRoute,
    )
    .unwrap();
    let probed = SocketRef::probe(&netlink).unwrap();
    assert_eq!(probed.kind(), Other);
    assert!(probed.as_datagram().is_none());
    assert_eq!(SocketRef::other_datagram(&netlink).kind(), Other);
}

/// A socket that was probed is as long as the descriptor that was borrowed, and keeps what it learnt.
#[test]
fn a_probe_of_a_borrowed_descriptor_can_be_kept() {
    fn probed(fd: BorrowedFd<'_>) -> Result<SocketRef<'_>, unisend::Error> {
        SocketRef::probe(fd)
    }
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let socket = probed(ours.as_fd()).unwrap();
    assert_eq!(socket.send_buffer(), SocketRef::probe(&ours).unwrap().send_buffer());
    assert!(socket.send_buffer().is_some());
    assert_eq!(socket.send(b"x", NO_FLAGS), Ok(1));
    assert_eq!(SocketRef::unix_stream(ours.as_fd()).as_fd().as_raw_fd(), ours.as_raw_fd());
}

/// A stream of another protocol is a stream: its end is seen as the end, and it is sent in parts.
#[cfg(target_os = "linux")]
#[test]
fn a_probe_of_multipath_tcp() {
    use std::net::SocketAddr;
    use std::os::fd::FromRawFd;

    use nix::sys::socket as raw;
    use sockets::{accepted, set_nonblocking, start_connecting};
    use unisend::{ControlBuffer, ReceiveFlags};

    // SAFETY: it takes integers, and makes a descriptor.
    let number =
        unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, libc::IPPROTO_MPTCP) };
    if number < 0 {
        let why = std::io::Error::last_os_error();
        sockets::skipped(format_args!("this kernel has no multipath TCP: {why}"));
        return;
    }
    // SAFETY: it has just been made for us.
    let ours = unsafe { OwnedFd::from_raw_fd(number) };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("it is bound to IPv4") };
    let started = start_connecting(&ours, address.into());
    assert!(matches!(started, Ok(()) | Err(nix::errno::Errno::EINPROGRESS)), "{started:?}");
    let theirs = accepted(&listener);
    set_nonblocking(&ours, false);
    let reader = std::thread::spawn(move || std::io::copy(&mut &theirs, &mut std::io::sink()).unwrap());

    let socket = SocketRef::probe(&ours).unwrap();
    assert_eq!(socket.kind(), OtherStream);
    assert_eq!(socket.send_all(&vec![7; 3_000_000], NO_FLAGS), Ok(()));
    raw::shutdown(ours.as_raw_fd(), raw::Shutdown::Write).unwrap();
    assert_eq!(reader.join().unwrap(), 3_000_000);
    let mut buffer = [0; 4];
    let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
    let mut control = ControlBuffer::new();
    let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
    assert_eq!((received.bytes(), received.is_end_of_file()), (0, true));
}

#[test]
fn a_probe_of_no_socket() {
    let file = tempfile::tempfile().unwrap();
    let (pipe, _writer) = nix::unistd::pipe().unwrap();
    for fd in [file.as_fd(), pipe.as_fd()] {
        let error = SocketRef::probe(fd).unwrap_err();
        assert_eq!((error.kind(), error.operation()), (NotSocket, Operation::Probe));
        assert_eq!(error.kernel_errno(), Some(libc::ENOTSOCK));
    }
}

/// Linux has descriptors that are open for nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_descriptor_that_is_open_for_nothing() {
    let path = sockets::open_path_only("/".as_ref());
    assert_eq!(SocketRef::probe(&path).unwrap_err().kind(), unisend::ErrorKind::BadDescriptor);
    assert_eq!(
        SocketRef::tcp(&path).send(b"x", NO_FLAGS).unwrap_err().kind(),
        unisend::ErrorKind::BadDescriptor
    );
}

#[rstest]
#[case::v4("127.0.0.1:0", SocketKind::UdpV4)]
#[case::v6("[::1]:0", SocketKind::UdpV6)]
fn a_udp_socket_is_asked_for_its_family(#[case] address: &str, #[case] kind: SocketKind) {
    let udp = UdpSocket::bind(address).unwrap();
    assert_eq!(SocketRef::try_from(&udp).unwrap().kind(), kind);
}

/// std lets a UdpSocket be made of any descriptor.
#[test]
fn what_is_called_a_udp_socket_and_is_none() {
    let (unix, _peer) = UnixDatagram::pair().unwrap();
    let error = SocketRef::try_from(&UdpSocket::from(OwnedFd::from(unix))).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (AddressFamily, None));
    let file = File::open("/dev/null").unwrap();
    let error = SocketRef::try_from(&UdpSocket::from(OwnedFd::from(file))).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (NotSocket, Operation::Probe));
}
