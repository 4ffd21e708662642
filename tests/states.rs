//! Clauses S1 to S20: what each call returns in each state of its socket.

mod sockets;

use std::net::{Shutdown, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use nix::sys::socket as raw;
use rstest::rstest;
use sockets::{
    Call, NO_FLAGS, Pair, accepted, bounded, close_with_reset, declared, differs, first_failure, is_writable,
    port_that_refuses, set_nonblocking, shutdown, start_connecting, tcp_connected, tcp_pair, unconnected,
};
use unisend::ErrorKind::{self, *};
use unisend::SocketKind::{self, *};
use unisend::{Address, Error, SocketRef};

/// Every call, with a byte and with none, fails so.
fn fails_in_every_call(socket: &SocketRef<'_, impl Sized>, expected: ErrorKind) {
    for call in Call::ALL {
        for bytes in [&b"x"[..], b""] {
            if bytes.is_empty() && socket.kind() == UnixSeqpacket {
                continue; // refused for another reason: clause B7
            }
            let error = call.run(socket, bytes, NO_FLAGS).unwrap_err();
            assert_eq!(error.kind(), expected, "{call:?} of {} bytes: {error}", bytes.len());
            assert_eq!(error.operation().name(), call.name());
            assert!(error.kernel_errno().is_some(), "the kernel was asked");
        }
    }
}

fn peer_is_gone(error: Error) {
    assert!(error.peer_gone(), "{error}");
}

#[rstest]
#[case::s1_tcp(Tcp, NotConnected)]
#[case::s12_unix_stream(UnixStream, NotConnected)]
#[case::s12_unix_seqpacket(UnixSeqpacket, NotConnected)]
#[case::s16_unix_datagram(UnixDatagram, DestinationRequired)]
#[case::s18_udp(UdpV4, DestinationRequired)]
fn a_socket_that_was_never_connected(#[case] kind: SocketKind, #[case] expected: ErrorKind) {
    let fd = unconnected(kind);
    fails_in_every_call(&declared(kind, &fd), expected);
    set_nonblocking(&fd, true);
    fails_in_every_call(&declared(kind, &fd), expected);
}

#[test]
fn s1_tcp_bound_and_never_connected() {
    let fd = unconnected(Tcp);
    raw::bind(fd.as_raw_fd(), &raw::SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    fails_in_every_call(&SocketRef::tcp(&fd), NotConnected);
    assert!(!SocketRef::tcp(&fd).send(b"x", NO_FLAGS).unwrap_err().peer_gone());
}

/// "Differs": shutdown of a socket that was never connected fails on Linux and ends it on OpenBSD.
#[rstest]
#[case::s1_tcp(Tcp)]
#[case::s12_unix_stream(UnixStream)]
#[case::s12_unix_seqpacket(UnixSeqpacket)]
fn a_socket_that_was_never_connected_and_is_shut_down(#[case] kind: SocketKind) {
    for how in [Shutdown::Write, Shutdown::Both] {
        let fd = unconnected(kind);
        if kind == Tcp && how == Shutdown::Both {
            // Linux's fails, and closes the receiving side all the same: poll and peek are wrong about it.
            assert_eq!(shutdown(&fd, how).is_ok(), differs(false, true));
        } else {
            let _ = shutdown(&fd, how);
        }
        fails_in_every_call(&declared(kind, &fd), differs(NotConnected, Disconnected));
    }
}

#[test]
fn s1_tcp_shut_down_for_receiving_alone() {
    let fd = unconnected(Tcp);
    let _ = shutdown(&fd, Shutdown::Read);
    fails_in_every_call(&SocketRef::tcp(&fd), NotConnected);
}

#[rstest]
#[case::s2_nobody_waits(false)]
#[case::s2_a_connection_waits(true)]
fn a_tcp_listener(#[case] waiting: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _waiting = waiting.then(|| tcp_connected(listener.local_addr().unwrap()));
    fails_in_every_call(&SocketRef::tcp(&listener), NotConnected);

    shutdown(&listener, Shutdown::Both).unwrap();
    fails_in_every_call(&SocketRef::tcp(&listener), differs(NotConnected, Disconnected));
}

#[rstest]
#[case::s12_unix_stream(UnixStream)]
#[case::s12_unix_seqpacket(UnixSeqpacket)]
fn a_unix_listener(#[case] kind: SocketKind) {
    let directory = tempfile::tempdir().unwrap();
    let fd = unconnected(kind);
    raw::bind(fd.as_raw_fd(), &raw::UnixAddr::new(&directory.path().join("listener")).unwrap()).unwrap();
    raw::listen(&fd, raw::Backlog::new(1).unwrap()).unwrap();
    fails_in_every_call(&declared(kind, &fd), NotConnected);
}

/// Sockets that are still connecting.
#[cfg(target_os = "linux")]
mod connecting {
    use std::net::SocketAddr;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::{Duration, Instant};

    use nix::errno::Errno;
    use nix::sys::socket as raw;
    use unisend::ErrorKind::{Connecting, Disconnected, TimedOut, WouldBlock};
    use unisend::{SendFlags, SocketKind, SocketRef};

    use super::fails_in_every_call;
    use super::sockets::{
        NO_FLAGS, is_writable, set_nonblocking, set_send_timeout, start_connecting, unconnected,
        wait_readable,
    };

    /// A socket that is connecting, and the listener that does not answer it.
    struct Unanswered {
        _listener: OwnedFd,
        connecting: OwnedFd,
    }

    impl Unanswered {
        /// The listener drops what comes with a smaller time to live than 255, which is more than packets start with.
        fn new() -> Self {
            let listener = unconnected(SocketKind::Tcp);
            set_int(&listener, libc::IPPROTO_IP, libc::IP_MINTTL, 255);
            raw::bind(listener.as_raw_fd(), &raw::SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
            raw::listen(&listener, raw::Backlog::new(1).unwrap()).unwrap();
            let name: raw::SockaddrIn = raw::getsockname(listener.as_raw_fd()).unwrap();
            let connecting = unconnected(SocketKind::Tcp);
            set_int(&connecting, libc::IPPROTO_IP, libc::IP_TTL, 64);
            let started = start_connecting(&connecting, SocketAddr::V4(name.into()));
            assert_eq!(started, Err(Errno::EINPROGRESS));
            assert!(!is_writable(&connecting, Duration::from_millis(50)), "the listener has answered");
            Self { _listener: listener, connecting }
        }
    }

    fn set_int(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
        let (pointer, length) = ((&raw const value).cast(), size_of_val(&value) as libc::socklen_t);
        // SAFETY: the pointer and the length are of one int that outlives the call and is only read.
        let returned = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, pointer, length) };
        assert_eq!(returned, 0);
    }

    #[test]
    fn s3_every_call() {
        let unanswered = Unanswered::new();
        let socket = SocketRef::tcp(&unanswered.connecting);
        fails_in_every_call(&socket, Connecting);
        let error = socket.send(b"x", NO_FLAGS).unwrap_err();
        assert!(error.would_block() && !error.peer_gone());
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::WouldBlock);
        // Declared as something else it gets the kernel's own answer.
        let other = SocketRef::other(&unanswered.connecting);
        assert_eq!(other.send(b"x", NO_FLAGS).unwrap_err().kind(), WouldBlock);
    }

    /// A connection that was never answered has sent segments and received none: it has a past, as TCP_INFO says.
    #[test]
    fn s8_a_connection_that_was_given_up() {
        const GIVES_UP: libc::c_int = 500; // milliseconds
        let unanswered = Unanswered::new();
        let fd = &unanswered.connecting;
        set_int(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, GIVES_UP);
        wait_readable(fd);
        let error = SocketRef::tcp(fd).send(b"x", NO_FLAGS).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (TimedOut, Some(libc::ETIMEDOUT)));
        assert!(error.peer_gone() && !error.would_block());
        fails_in_every_call(&SocketRef::tcp(fd), Disconnected);
    }

    /// A blocking send waits for the connection on Linux ("differs"), here for as long as it may.
    #[test]
    fn s4_a_blocking_send_waits_for_the_connection() {
        const TIMEOUT: Duration = Duration::from_millis(20);
        let unanswered = Unanswered::new();
        let fd = &unanswered.connecting;
        set_nonblocking(fd, false);
        set_send_timeout(fd, TIMEOUT);
        let started = Instant::now();
        assert_eq!(SocketRef::tcp(fd).send(b"x", NO_FLAGS).unwrap_err().kind(), Connecting);
        assert!(started.elapsed() >= TIMEOUT);

        set_send_timeout(fd, Duration::ZERO);
        assert_eq!(SocketRef::tcp(fd).send(b"x", SendFlags::DONT_WAIT).unwrap_err().kind(), Connecting);
    }
}

/// Whatever the moment, a send just after connect is accepted or says that it is connecting: never that the
/// socket is not connected. OpenBSD says ENOTCONN in that moment.
#[test]
fn s3_just_after_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..20 {
        let fd = unconnected(Tcp);
        let started = start_connecting(&fd, listener.local_addr().unwrap());
        assert!(matches!(started, Ok(()) | Err(nix::errno::Errno::EINPROGRESS)), "{started:?}");
        if let Err(error) = SocketRef::tcp(&fd).send(b"x", NO_FLAGS) {
            assert_eq!(error.kind(), Connecting, "{error}");
            assert!(is_writable(&fd, sockets::PATIENCE));
            assert_eq!(SocketRef::tcp(&fd).send(b"x", NO_FLAGS), Ok(1));
        }
        drop(accepted(&listener));
    }
}

#[rstest]
fn s5_a_connection_that_was_refused(
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let (_holder, address) = port_that_refuses();
    let fd = unconnected(Tcp);
    assert_eq!(start_connecting(&fd, address), Err(nix::errno::Errno::EINPROGRESS));
    sockets::wait_readable(&fd);

    let socket = SocketRef::tcp(&fd);
    let error = call.run(&socket, b"x", NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), Refused, "{error}");
    assert_eq!(error.kernel_errno(), Some(libc::ECONNREFUSED));
    assert!(!error.peer_gone());
    // The reason was told once.
    fails_in_every_call(&socket, Disconnected);
}

/// "Differs": Linux gives the socket back as new, OpenBSD's is at its end.
#[test]
fn s6_a_blocking_connect_that_was_refused() {
    let (_holder, address) = port_that_refuses();
    let std::net::SocketAddr::V4(address) = address else { unreachable!("bound to 127.0.0.1") };
    let fd = unconnected(Tcp);
    let (refused, fd) = bounded(move || (raw::connect(fd.as_raw_fd(), &raw::SockaddrIn::from(address)), fd));
    assert_eq!(refused, Err(nix::errno::Errno::ECONNREFUSED));
    fails_in_every_call(&SocketRef::tcp(&fd), differs(NotConnected, Disconnected));
}

#[rstest]
#[case::s7_tcp(Tcp)]
#[case::s7_unix_stream(UnixStream)]
#[case::s20_udp(UdpV4)]
#[case::s20_unix_datagram(UnixDatagram)]
#[case::s20_unix_seqpacket(UnixSeqpacket)]
fn own_shutdown(#[case] kind: SocketKind) {
    let pair = Pair::new(kind);
    shutdown(&pair.ours, Shutdown::Write).unwrap();
    fails_in_every_call(&pair.socket(), Disconnected);
    peer_is_gone(pair.socket().send(b"x", NO_FLAGS).unwrap_err());
}

/// Linux says that this shutdown failed, and does it.
#[test]
fn s20_own_shutdown_of_udp_without_a_peer() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let fd = unconnected(UdpV4);
    assert_eq!(shutdown(&fd, Shutdown::Write).is_ok(), differs(false, true));
    let to = Address::from(receiver.local_addr().unwrap());
    let error = SocketRef::udp_v4(&fd).send_to(b"x", &to, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), Disconnected, "{error}");
}

#[rstest]
fn s8_a_reset(
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
    #[values(false, true)] sent_before: bool,
    #[values(false, true)] accepted: bool,
) {
    let (connected, listened) = tcp_pair();
    // One that was accepted and sent nothing has sent no segment of its own, which Linux counts.
    let (ours, theirs) = if accepted { (listened, connected) } else { (connected, listened) };
    let socket = SocketRef::from(&ours);
    if sent_before {
        assert_eq!(socket.send(b"x", NO_FLAGS), Ok(1));
    }
    close_with_reset(theirs);
    sockets::wait_readable(&ours);

    let error = call.run(&socket, b"x", NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), Reset, "{error}");
    assert_eq!(error.kernel_errno(), Some(libc::ECONNRESET));
    assert_eq!(error.operation().name(), call.name());
    peer_is_gone(error);
    // It was told once; the socket stays dead, which is not what a new one is.
    fails_in_every_call(&socket, Disconnected);
}

#[rstest]
fn s9_the_end_and_then_a_reset(
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let (ours, theirs) = tcp_pair();
    drop(theirs);
    sockets::wait_readable(&ours);
    let socket = SocketRef::from(&ours);
    assert_eq!(call.run(&socket, b"x", NO_FLAGS), Ok(1), "the end of the peer's data is not ours");

    let error = first_failure(call, &socket);
    assert_eq!(error.kind(), differs(Disconnected, Reset), "{error}");
    peer_is_gone(error);
    fails_in_every_call(&socket, Disconnected);
}

/// connect(2) to no family: Linux's TCP forgets its connection, OpenBSD's refuses to; UDP loses its peer on
/// both, though OpenBSD calls that an error.
#[rstest]
#[case::s10_tcp(Tcp, differs(Some(NotConnected), None))]
#[case::s10_udp(UdpV4, Some(DestinationRequired))]
fn a_connection_that_was_dissolved(#[case] kind: SocketKind, #[case] expected: Option<ErrorKind>) {
    let pair = Pair::new(kind);
    let nowhere = [0_u64; 2];
    let (name, length) = (nowhere.as_ptr().cast(), size_of_val(&nowhere) as libc::socklen_t);
    // SAFETY: the pointer and the length are of one array that outlives the call and is only read.
    let returned = unsafe { libc::connect(pair.ours.as_raw_fd(), name, length) };
    assert_eq!(returned == 0, differs(true, false));

    match expected {
        None => assert_eq!(pair.socket().send(b"x", NO_FLAGS), Ok(1)),
        Some(expected) => {
            let first = pair.socket().send(b"x", NO_FLAGS).unwrap_err().kind();
            // Linux tells TCP about the lost connection once.
            assert!(first == expected || (kind == Tcp && first == Reset), "{first}");
            fails_in_every_call(&pair.socket(), expected);
        }
    }
}

#[test]
fn s11_tcp_peer_that_does_not_receive() {
    let pair = Pair::new(Tcp);
    shutdown(&pair.theirs, Shutdown::Read).unwrap();
    for call in Call::ALL {
        assert_eq!(call.run(&pair.socket(), b"x", NO_FLAGS), Ok(1), "{call:?}");
    }
}

#[rstest]
#[case::s13_unix_stream(UnixStream, false, Disconnected)]
#[case::s13_unix_stream_with_unread_data(UnixStream, true, Disconnected)]
#[case::s14_unix_seqpacket(UnixSeqpacket, false, Disconnected)]
#[case::s14_unix_seqpacket_with_unread_data(UnixSeqpacket, true, differs(Reset, Disconnected))]
#[case::s17_unix_datagram(UnixDatagram, false, Reset)]
#[case::s17_unix_datagram_with_unread_data(UnixDatagram, true, Reset)]
fn a_unix_peer_that_closed(#[case] kind: SocketKind, #[case] unread: bool, #[case] expected: ErrorKind) {
    for call in Call::ALL {
        let pair = Pair::new(kind);
        if unread {
            assert_eq!(pair.socket().send(b"unread", NO_FLAGS), Ok(6));
        }
        let Pair { ours, theirs, .. } = pair;
        drop(theirs);

        let socket = declared(kind, &ours);
        let error = call.run(&socket, b"x", NO_FLAGS).unwrap_err();
        assert_eq!(error.kind(), expected, "{call:?}: {error}");
        assert_eq!(error.operation().name(), call.name());
        peer_is_gone(error);
        let then = if kind == UnixDatagram { DestinationRequired } else { Disconnected };
        fails_in_every_call(&socket, then);
    }
}

#[test]
fn s17_a_named_receiver_that_closed_and_came_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("receiver");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(&path).unwrap();
    let socket = SocketRef::from(&sender);
    assert_eq!(socket.send(b"x", NO_FLAGS), Ok(1));

    drop(receiver);
    let error = socket.send(b"x", NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), Reset, "{error}");
    peer_is_gone(error);
    fails_in_every_call(&socket, DestinationRequired);

    std::fs::remove_file(&path).unwrap();
    let receiver = UnixDatagram::bind(&path).unwrap();
    sender.connect(&path).unwrap();
    assert_eq!(socket.send(b"again", NO_FLAGS), Ok(5));
    assert_eq!(sockets::received(&receiver).unwrap(), b"again");
}

/// "Differs": to Linux the peer is gone, to OpenBSD it has a buffer like any other.
#[rstest]
#[case::s15_unix_stream(UnixStream, None)]
#[case::s15_unix_seqpacket(UnixSeqpacket, None)]
#[case::s15_unix_datagram(UnixDatagram, Some(WouldBlock))]
fn a_unix_peer_that_does_not_receive(#[case] kind: SocketKind, #[case] on_openbsd: Option<ErrorKind>) {
    let pair = Pair::nonblocking(kind);
    shutdown(&pair.theirs, Shutdown::Read).unwrap();
    for call in Call::ALL {
        let outcome = call.run(&pair.socket(), b"x", NO_FLAGS);
        let expected = differs(Some(Disconnected), on_openbsd);
        assert_eq!(outcome.err().map(|error| error.kind()), expected, "{call:?}");
    }
}

/// A UDP port that nobody has: bound by a socket that is connected to itself and so hears nobody else.
#[rstest]
fn s19_an_earlier_datagram_was_refused(
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    deaf.connect(deaf.local_addr().unwrap()).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(deaf.local_addr().unwrap()).unwrap();

    let socket = SocketRef::udp_v4(&sender);
    let error = first_failure(call, &socket);
    assert_eq!(error.kind(), Refused, "{error}");
    assert_eq!(error.kernel_errno(), Some(libc::ECONNREFUSED));
    assert!(!error.peer_gone(), "the next datagram may find somebody");

    // Told once: with a receiver there, the next is accepted.
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    let mut outcomes = (0..50).map(|_| call.run(&socket, b"x", NO_FLAGS));
    assert!(outcomes.any(|outcome| outcome == Ok(1)));
}
