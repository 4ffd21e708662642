//! Clauses F1 to F4: a flag is honoured, refused before the call, or a hint that may be dropped.

mod sockets;

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::sys::socket as raw;
use rstest::rstest;
use sockets::{CONNECTED_KINDS, Call, NO_FLAGS, Pair, declared, differs, fill, unconnected};
use unisend::SocketKind::{self, *};
use unisend::{Address, ErrorKind, SendFlags, SocketRef};

/// Sends with the flag, and sees it arrive or be refused with nothing sent.
fn is_honoured(kind: SocketKind, flag: SendFlags, honoured: bool) {
    for call in Call::ALL {
        let pair = Pair::new(kind);
        match call.run(&pair.socket(), b"data", flag) {
            Ok(count) => {
                assert!(honoured, "{call:?} on {kind:?} took {flag:?}");
                assert_eq!(count, 4);
                assert_eq!(pair.arriving(), b"data");
            }
            Err(error) => {
                assert!(!honoured, "{call:?} on {kind:?}: {error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert_eq!(error.kernel_errno(), None, "the kernel was asked");
                assert_eq!(error.operation().name(), call.name());
                assert_eq!(pair.received(), None, "{call:?} on {kind:?} sent something");
            }
        }
    }
}

#[rstest]
#[case::f1_dont_wait(SendFlags::DONT_WAIT, &CONNECTED_KINDS)]
#[case::f1b_dont_route(SendFlags::DONT_ROUTE, differs(&[UdpV4][..], &[]))]
#[case::f3_end_of_record(SendFlags::END_OF_RECORD, &[UnixSeqpacket])]
#[case::f4_more(SendFlags::MORE, &[Tcp, UnixStream])]
#[case::f4c_confirm(SendFlags::CONFIRM, &CONNECTED_KINDS)]
#[case::f4_hints_together(SendFlags::MORE.union(SendFlags::CONFIRM), &[Tcp, UnixStream])]
#[case::f1_unknown_bit_0x40(SendFlags::from_bits_retain(0x40), &[])]
#[case::f1_unknown_bit_0x80(SendFlags::from_bits_retain(0x80), &[])]
#[case::f1_unknown_bit_among_known(
    SendFlags::DONT_WAIT.union(SendFlags::from_bits_retain(0x40)), &[]
)]
fn a_flag(#[case] flag: SendFlags, #[case] honoured_on: &[SocketKind]) {
    for kind in CONNECTED_KINDS {
        is_honoured(kind, flag, honoured_on.contains(&kind));
    }
}

#[rstest]
#[case::f2_udp(UdpV4)]
#[case::f2_unix_stream_though_linux_could(UnixStream)]
#[case::f2_unix_datagram(UnixDatagram)]
#[case::f2_unix_seqpacket(UnixSeqpacket)]
fn urgent_data_is_refused(#[case] kind: SocketKind) {
    is_honoured(kind, SendFlags::OUT_OF_BAND, false);
    is_honoured(kind, SendFlags::OUT_OF_BAND | SendFlags::DONT_WAIT, false);
}

/// A bit that nobody knows is refused before anything else, even of the socket, is looked at.
#[rstest]
#[case::f1_unknown_bit(SendFlags::from_bits_retain(0x40))]
#[case::f1_another_unknown_bit(SendFlags::from_bits_retain(0x80))]
#[case::f3_end_of_record(SendFlags::END_OF_RECORD)]
#[case::f2_urgent(SendFlags::OUT_OF_BAND)]
#[case::f4b_more(SendFlags::MORE)]
fn a_flag_is_refused_in_send_to(#[case] flag: SendFlags) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = Address::from(receiver.local_addr().unwrap());
    let error = SocketRef::udp_v4(&sender).send_to(b"x", &to, flag).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
    assert_eq!(error.operation().name(), "send_to");
    assert!(receiver.recv(&mut [0]).is_err());

    // And it is the flag, not the port.
    let nowhere = Address::from("127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap());
    let error = SocketRef::udp_v4(&sender).send_to(b"x", &nowhere, flag).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[rstest]
#[case::f1_dont_wait(SendFlags::DONT_WAIT)]
#[case::f4c_confirm(SendFlags::CONFIRM)]
fn a_flag_is_honoured_in_send_to(#[case] flag: SendFlags) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = Address::from(receiver.local_addr().unwrap());
    assert_eq!(SocketRef::udp_v4(&sender).send_to(b"data", &to, flag), Ok(4));
    sockets::wait_readable(&receiver);
    assert_eq!(sockets::received(&receiver).unwrap(), b"data");
}

/// The urgent byte is the last one, and is not in the stream.
#[rstest]
#[case::f2_alone(SendFlags::OUT_OF_BAND)]
#[case::f2_with_dont_wait(SendFlags::OUT_OF_BAND.union(SendFlags::DONT_WAIT))]
fn urgent_data_on_tcp(#[case] flags: SendFlags, #[values(Call::Send, Call::SendVectored)] call: Call) {
    let pair = Pair::new(Tcp);
    assert_eq!(call.run(&pair.socket(), b"abc", flags), Ok(3));
    assert_eq!(sockets::read_exactly(&pair.theirs, 2), b"ab");
    let mut urgent = [0; 4];
    assert_eq!(raw::recv(pair.theirs.as_raw_fd(), &mut urgent, raw::MsgFlags::MSG_OOB), Ok(1));
    assert_eq!(urgent[0], b'c');
    assert_eq!(pair.received(), None);
}

/// On a blocking socket that is full it does not wait, and the socket stays a blocking one.
#[rstest]
#[case::f1_tcp(Tcp)]
#[case::f1_unix_stream(UnixStream)]
#[case::f1_unix_datagram(UnixDatagram)]
#[case::f1_unix_seqpacket(UnixSeqpacket)]
fn dont_wait_does_not_wait(#[case] kind: SocketKind) {
    let full = sockets::bounded(move || {
        let pair = Pair::new(kind);
        fill(&pair.socket(), &[0; 1000]);
        for call in Call::ALL {
            let error = call.run(&pair.socket(), &[0; 1000], SendFlags::DONT_WAIT).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{call:?}: {error}");
            assert!(error.would_block() && !error.peer_gone());
        }
        pair
    });
    let status = nix::fcntl::fcntl(&full.ours, nix::fcntl::FcntlArg::F_GETFL).unwrap();
    assert_eq!(status & libc::O_NONBLOCK, 0);
}

/// Linux would join UDP datagrams that are sent with MSG_MORE. What is refused leaves nothing behind to be joined.
#[test]
fn f4b_more_leaves_datagrams_apart() {
    for kind in [UdpV4, UnixDatagram, UnixSeqpacket] {
        let pair = Pair::new(kind);
        for socket in [pair.socket(), SocketRef::other(&pair.ours)] {
            let error = socket.send(b"one", SendFlags::MORE).unwrap_err();
            assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
        }
        assert_eq!(pair.socket().send(b"two", NO_FLAGS), Ok(3));
        assert_eq!(pair.arriving(), b"two", "{kind:?}");
    }
}

/// On TCP it is held back for more at most, and not lost.
#[test]
fn f4_more_on_tcp_is_followed_by_the_rest() {
    let pair = Pair::new(Tcp);
    assert_eq!(pair.socket().send(b"header ", SendFlags::MORE), Ok(7));
    assert_eq!(pair.socket().send(b"body", NO_FLAGS), Ok(4));
    assert_eq!(sockets::read_exactly(&pair.theirs, 11), b"header body");
}

/// What is not reconciled: declared as another kind, a socket gets the kernel's own answer to any flag it has.
#[test]
fn f2_the_kernel_answers_for_other_sockets() {
    let pair = Pair::new(UdpV4);
    let error = SocketRef::other(&pair.ours).send(b"x", SendFlags::OUT_OF_BAND).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.kernel_errno(), Some(libc::EOPNOTSUPP));

    let error = SocketRef::other(&pair.ours).send(b"x", SendFlags::from_bits_retain(0x40)).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
}

/// A refusal comes before whatever is wrong with the socket: OpenBSD would say EINVAL of a stream first, Linux
/// EPIPE.
#[test]
fn f3_a_refusal_comes_before_the_state_of_the_socket() {
    for kind in [Tcp, UnixStream] {
        let fd = unconnected(kind);
        let error = declared(kind, &fd).send(b"x", SendFlags::END_OF_RECORD).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
    }
}
