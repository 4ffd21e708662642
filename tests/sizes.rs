//! Clauses B1 to B8: the maximum size of a message, and what a send on a full socket returns.

mod sockets;

use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rstest::rstest;
use sockets::{
    Call, NO_FLAGS, OPENBSD, Pair, declared, differs, fill, is_writable, pattern, read_exactly, set_buffer,
    set_nonblocking,
};
use unisend::ErrorKind::{self, *};
use unisend::SocketKind::{self, *};
use unisend::{Address, SendFlags, SocketRef};

/// The most that UDP over IPv4 can carry.
const UDP_V4_BYTES: usize = 65_507;

/// With room for it in the buffers, the longest datagram passes on both systems, and arrives as it was.
#[rstest]
fn b1_the_longest_udp_datagram(
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let pair = Pair::new(UdpV4);
    set_buffer(&pair.ours, libc::SO_SNDBUF, 65_535);
    set_buffer(&pair.theirs, libc::SO_RCVBUF, 200_000);
    let data = pattern(UDP_V4_BYTES + 1);
    assert_eq!(call.run(&pair.socket(), &data[..UDP_V4_BYTES], NO_FLAGS), Ok(UDP_V4_BYTES));
    assert!(pair.arriving() == data[..UDP_V4_BYTES], "not the same bytes");

    let error = call.run(&pair.socket(), &data, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), MessageTooLong, "{error}");
    assert_eq!(error.kernel_errno(), Some(libc::EMSGSIZE));
    assert!(!error.may_have_sent(), "a datagram goes whole or not at all");
    assert_eq!(pair.received(), None);
}

#[test]
fn b1_the_longest_udp_datagram_to_an_address() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    set_buffer(&sender, libc::SO_SNDBUF, 65_535);
    set_buffer(&receiver, libc::SO_RCVBUF, 200_000);
    let to = Address::from(receiver.local_addr().unwrap());
    let data = pattern(UDP_V4_BYTES + 1);
    let socket = SocketRef::udp_v4(&sender);
    assert_eq!(socket.send_to(&data[..UDP_V4_BYTES], &to, NO_FLAGS), Ok(UDP_V4_BYTES));
    sockets::wait_readable(&receiver);
    assert!(sockets::received(&receiver).unwrap() == data[..UDP_V4_BYTES], "not the same bytes");
    assert_eq!(socket.send_to(&data, &to, NO_FLAGS).unwrap_err().kind(), MessageTooLong);
}

/// "Differs": the default buffer is OpenBSD's limit, and not Linux's.
#[rstest]
#[case::b1_openbsd_default(9_216, Ok(9_216))]
#[case::b1_over_openbsd_default(9_217, differs(Ok(9_217), Err(MessageTooLong)))]
fn udp_with_default_buffers(#[case] length: usize, #[case] expected: Result<usize, ErrorKind>) {
    let pair = Pair::new(UdpV4);
    let outcome = pair.socket().send(&vec![7; length], NO_FLAGS);
    assert_eq!(outcome.map_err(|error| error.kind()), expected);
}

#[test]
fn b1_udp_over_ipv6_that_is_too_long() {
    let (Some(receiver), Some(sender)) = (sockets::udp_v6(), sockets::udp_v6()) else { return };
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    set_buffer(&sender, libc::SO_SNDBUF, 65_535);
    let error = SocketRef::udp_v6(&sender).send(&vec![7; 65_536], NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), MessageTooLong, "{error}");
}

/// The buffer that was asked for is room enough for as much; twice as much is too long for either system.
#[rstest]
#[case::b2_unix_datagram(UnixDatagram)]
#[case::b2_unix_seqpacket(UnixSeqpacket)]
fn the_longest_unix_message(#[case] kind: SocketKind) {
    const BUFFER: usize = 8_192;
    for call in Call::ALL {
        let pair = Pair::nonblocking(kind);
        set_buffer(&pair.ours, libc::SO_SNDBUF, BUFFER as libc::c_int);
        let data = pattern(2 * BUFFER);
        assert_eq!(call.run(&pair.socket(), &data[..BUFFER], NO_FLAGS), Ok(BUFFER), "{call:?}");
        assert!(pair.received().unwrap() == data[..BUFFER], "not the same bytes");

        let error = call.run(&pair.socket(), &data, NO_FLAGS).unwrap_err();
        assert_eq!(error.kind(), MessageTooLong, "{call:?}: {error}");
        assert!(!error.would_block() && !error.may_have_sent(), "waiting does not help");
        assert_eq!(pair.received(), None);
    }
}

/// A receiver that is full is "would block" on both systems, whatever the errno; and there is room again as
/// soon as it takes one.
#[rstest]
#[case::b3_empty(0)]
#[case::b3_short(1)]
#[case::b3_long(1_000)]
fn a_full_unix_datagram_receiver(#[case] length: usize) {
    let pair = Pair::nonblocking(UnixDatagram);
    let datagram = vec![7; length];
    fill(&pair.socket(), &datagram);
    for call in Call::ALL {
        let error = call.run(&pair.socket(), &datagram, NO_FLAGS).unwrap_err();
        assert_eq!(error.kind(), WouldBlock, "{call:?}: {error}");
        assert_eq!(error.kernel_errno(), Some(differs(libc::EAGAIN, libc::ENOBUFS)));
        assert_eq!(std::io::Error::from(error).raw_os_error(), Some(libc::EAGAIN));
    }
    assert_eq!(pair.received().unwrap().len(), length);
    assert_eq!(pair.socket().send(&datagram, NO_FLAGS), Ok(length));
}

#[test]
fn b3_a_full_unix_datagram_receiver_with_an_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("receiver");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    let socket = SocketRef::unix_datagram(&sender);
    let to = Address::unix(&path).unwrap();
    let send = || socket.send_to(b"x", &to, SendFlags::DONT_WAIT);
    let error = (0..10_000).find_map(|_| send().err()).expect("never full");
    assert_eq!(error.kind(), WouldBlock, "{error}");
    assert_eq!(sockets::received(&receiver).unwrap(), b"x");
    assert_eq!(send(), Ok(1));
}

/// "Differs": OpenBSD does not wait for a receiver that is full, though the socket is a blocking one.
#[test]
fn b3_a_blocking_unix_datagram_socket() {
    const TIMEOUT: Duration = Duration::from_millis(30);
    let outcome = sockets::bounded(|| {
        let pair = Pair::new(UnixDatagram);
        fill(&pair.socket(), b"x");
        sockets::set_send_timeout(&pair.ours, TIMEOUT);
        let started = std::time::Instant::now();
        let error = pair.socket().send(b"x", NO_FLAGS).unwrap_err();
        (error, started.elapsed())
    });
    assert_eq!(outcome.0.kind(), WouldBlock);
    // The kernel counts ticks of up to 10 ms, and the first is not a whole one.
    assert!(OPENBSD || outcome.1 >= TIMEOUT / 2, "Linux waits");
}

/// Datagrams that nobody reads are dropped, which is not the sender's to know.
#[test]
fn b4_a_udp_receiver_that_does_not_read() {
    let pair = Pair::nonblocking(UdpV4);
    for _ in 0..5_000 {
        assert_eq!(pair.socket().send(&[7; 500], NO_FLAGS), Ok(500));
    }
}

/// What was accepted is what arrives, however little room there was.
#[rstest]
#[case::b5_tcp(Tcp)]
#[case::b5_unix_stream(UnixStream)]
fn a_stream_that_is_nearly_full(#[case] kind: SocketKind, #[values(1, 500, 60_000)] length: usize) {
    let pair = Pair::nonblocking(kind);
    set_buffer(&pair.ours, libc::SO_SNDBUF, 32_768);
    set_buffer(&pair.theirs, libc::SO_RCVBUF, 32_768);
    let data = pattern(8 << 20);
    let mut accepted = 0;
    let mut refused = 0;
    while refused < 2 {
        for length in [60_000, length] {
            let end = (accepted + length).min(data.len());
            match pair.socket().send(&data[accepted..end], NO_FLAGS) {
                Ok(count) => {
                    assert!(count > 0 && count <= length);
                    accepted += count;
                }
                Err(error) => {
                    assert_eq!(error.kind(), WouldBlock, "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(accepted < data.len(), "never full");
    assert!(read_exactly(&pair.theirs, accepted) == data[..accepted], "not the same bytes");
    assert_eq!(pair.received(), None);
}

/// A record that does not fit now is refused whole.
#[test]
fn b5_a_full_seqpacket_socket() {
    let pair = Pair::nonblocking(UnixSeqpacket);
    let accepted = fill(&pair.socket(), &[7; 1_000]);
    for call in Call::ALL {
        assert_eq!(call.run(&pair.socket(), &[8; 1_000], NO_FLAGS).unwrap_err().kind(), WouldBlock);
    }
    let mut arrived = 0;
    while let Some(record) = pair.received() {
        assert_eq!(record, [7; 1_000]);
        arrived += record.len();
    }
    assert_eq!(arrived, accepted);
}

/// No bytes on a stream are accepted even when there is no room, and the peer sees nothing.
#[rstest]
#[case::b6_tcp(Tcp)]
#[case::b6_unix_stream(UnixStream)]
fn no_bytes_on_a_stream(#[case] kind: SocketKind, #[values(false, true)] full: bool) {
    let pair = Pair::nonblocking(kind);
    let before = if full { fill(&pair.socket(), &[7; 10_000]) } else { 0 };
    for call in Call::ALL {
        assert_eq!(call.run(&pair.socket(), b"", NO_FLAGS), Ok(0), "{call:?}");
    }
    let empty = [IoSlice::new(b""); 7];
    assert_eq!(pair.socket().send_vectored(&empty, NO_FLAGS), Ok(0));
    assert_eq!(read_exactly(&pair.theirs, before).len(), before);
    assert_eq!(pair.received(), None, "neither data nor the end");
}

/// On a datagram socket no bytes are a message.
#[rstest]
#[case::b7_udp(UdpV4)]
#[case::b7_unix_datagram(UnixDatagram)]
fn no_bytes_are_an_empty_datagram(#[case] kind: SocketKind) {
    let pair = Pair::new(kind);
    for call in Call::ALL {
        assert_eq!(call.run(&pair.socket(), b"", NO_FLAGS), Ok(0), "{call:?}");
        assert_eq!(pair.arriving(), b"", "{call:?}");
        set_nonblocking(&pair.theirs, true);
        assert_eq!(pair.received(), None, "{call:?} sent one datagram");
    }
    assert_eq!(pair.socket().send_vectored(&[], NO_FLAGS), Ok(0));
    assert_eq!(pair.arriving(), b"");
}

/// An empty record is invisible on OpenBSD and looks like the end on Linux.
#[rstest]
#[case::b7_plain(NO_FLAGS)]
#[case::b7_with_end_of_record(SendFlags::END_OF_RECORD)]
fn no_bytes_are_no_record(#[case] flags: SendFlags) {
    let pair = Pair::new(UnixSeqpacket);
    let refused = |error: unisend::Error| (error.kind(), error.kernel_errno());
    for call in Call::ALL {
        let error = call.run(&pair.socket(), b"", flags).unwrap_err();
        assert_eq!(refused(error), (EmptyRecord, None), "{call:?}");
        assert_eq!(error.operation().name(), call.name());
    }
    for slices in [&[][..], &[IoSlice::new(b""); 3]] {
        let error = pair.socket().send_vectored(slices, flags).unwrap_err();
        assert_eq!(refused(error), (EmptyRecord, None));
    }
    assert_eq!(pair.received(), None);

    let around = [IoSlice::new(b""), IoSlice::new(b"x"), IoSlice::new(b"")];
    assert_eq!(pair.socket().send_vectored(&around, flags), Ok(1));
    assert_eq!(pair.arriving(), b"x");
}

/// "Differs": Linux says twice what was set.
#[rstest]
#[case::b8_tcp(Tcp)]
#[case::b8_udp(UdpV4)]
#[case::b8_unix_stream(UnixStream)]
#[case::b8_unix_datagram(UnixDatagram)]
#[case::b8_unix_seqpacket(UnixSeqpacket)]
fn the_size_of_the_send_buffer(#[case] kind: SocketKind) {
    let fd = sockets::unconnected(kind);
    assert_eq!(declared(kind, &fd).send_buffer(), None, "nobody asked");
    set_buffer(&fd, libc::SO_SNDBUF, 20_000);
    let probed = SocketRef::probe(&fd).unwrap();
    assert_eq!(probed.kind(), kind);
    assert_eq!(probed.send_buffer(), Some(differs(40_000, 20_000)));

    set_buffer(&fd, libc::SO_SNDBUF, 30_000);
    assert_eq!(probed.send_buffer(), Some(differs(40_000, 20_000)), "as it was when it was probed");
}

/// A socket with room says so, to whoever filled it.
#[test]
fn b5_a_stream_has_room_again_once_it_is_read() {
    let pair = Pair::nonblocking(UnixStream);
    let accepted = fill(&pair.socket(), &[7; 4_000]);
    assert!(!is_writable(&pair.ours, Duration::ZERO));
    read_exactly(&pair.theirs, accepted);
    assert!(is_writable(&pair.ours, sockets::PATIENCE));
    assert_eq!(pair.socket().send(&[7; 4_000], NO_FLAGS), Ok(4_000));
}

/// Linux says EINVAL both of more segments than it makes at once and of a blackhole route, which is `Unreachable` (I8b).
#[cfg(target_os = "linux")]
#[test]
fn i8b_too_many_segments_are_no_want_of_a_route() {
    let (ours, _theirs) = sockets::udp_pair();
    let one: libc::c_int = 1;
    // SAFETY: the pointer and the length are of one int, which is only read.
    let set = unsafe {
        libc::setsockopt(
            std::os::fd::AsRawFd::as_raw_fd(&ours),
            libc::IPPROTO_UDP,
            libc::UDP_SEGMENT,
            (&raw const one).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if set != 0 {
        println!("skipped: this kernel has no UDP_SEGMENT: {}", std::io::Error::last_os_error());
        return;
    }
    let error = SocketRef::udp_v4(&ours).send(&[0; 60_000], NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (InvalidInput, Some(libc::EINVAL)));
}
