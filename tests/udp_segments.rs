//! Clauses D9 to D12: one buffer that leaves as datagrams of one size.

mod sockets;

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rstest::rstest;
use sockets::{NO_FLAGS, OPENBSD, pattern, polled, wait_readable};
use unisend::{
    Address, ControlBuffer, DatagramBuffer, ErrorKind, ReceiveFlags, SegmentOffload, Segments, SendFlags,
    SocketRef, limits,
};

fn udp() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// The ways that segments can leave by.
fn offloads() -> [SegmentOffload; 2] {
    [SegmentOffload::new(), SegmentOffload::never()]
}

/// The datagrams that are there, or come within a moment, up to this many.
fn arrived(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 70_000];
    let mut all = Vec::new();
    while all.len() < count {
        wait_readable(socket);
        let length = socket.recv(&mut buffer).unwrap();
        all.push(buffer[..length].to_vec());
    }
    all
}

fn is_empty(socket: &UdpSocket) -> bool {
    polled(socket, nix::poll::PollFlags::POLLIN, Duration::from_millis(10)).is_empty()
}

/// Sends while a thread receives, and compares the datagrams one by one, so that no limit on a queue matters but
/// that of one call.
fn assert_leaves_whole(bytes: &[u8], size: usize) {
    for mut offload in offloads() {
        let (ours, theirs) = (udp(), udp());
        sockets::set_buffer(&theirs, libc::SO_RCVBUF, 200_000);
        let (socket, to) = (SocketRef::udp_v4(&ours), theirs.local_addr().unwrap().into());
        // No more at once than a small queue takes.
        for part in bytes.chunks((32 * 1024 / size).max(1) * size) {
            Segments::new(part, size).to(&to).send(&socket, &mut offload, NO_FLAGS).unwrap();
            let expected: Vec<_> = part.chunks(size).collect();
            assert_eq!(arrived(&theirs, expected.len()), expected, "{offload:?}");
        }
        assert!(is_empty(&theirs), "more came");
    }
}

#[rstest]
#[case::less_than_one(10, 1200)]
#[case::exactly_one(1200, 1200)]
#[case::the_last_is_shorter(3000, 1200)]
#[case::all_are_alike(3600, 1200)]
#[case::one_byte_each(40, 1)]
#[case::as_many_as_one_call_takes(64 * 100, 100)]
#[case::one_more(64 * 100 + 1, 100)]
#[case::several_calls(64 * 3 * 100, 100)]
#[case::two_large_ones(17_000, 9000)]
#[case::more_than_one_datagram_has(100_000, 1400)]
fn d9_d10_the_datagrams_are_those_of_a_loop(#[case] length: usize, #[case] size: usize) {
    assert_leaves_whole(&pattern(length), size);
}

/// Larger than the headers of a route leave room for: the kernel refuses to divide, and the datagrams are fragmented, as
/// those of a loop.
#[test]
fn d11_what_is_longer_than_the_route_carries_is_sent_all_the_same() {
    if OPENBSD {
        return sockets::skipped(format_args!(
            "a socket sends 9216 bytes at most, unless it is told otherwise (B1)"
        ));
    }
    let (ours, theirs) = (udp(), udp());
    for fd in [&ours, &theirs] {
        sockets::set_buffer(fd, libc::SO_SNDBUF, 400_000);
        sockets::set_buffer(fd, libc::SO_RCVBUF, 400_000);
    }
    let (socket, to) = (SocketRef::udp_v4(&ours), theirs.local_addr().unwrap().into());
    let mut offload = SegmentOffload::new();
    // No two of these fit into one call of the kernel's.
    let bytes = pattern(2 * 65_000);
    Segments::new(&bytes, 65_000).to(&to).send(&socket, &mut offload, NO_FLAGS).unwrap();
    assert_eq!(arrived(&theirs, 2), bytes.chunks(65_000).collect::<Vec<_>>());
}

#[test]
fn d9_no_bytes_are_no_datagram() {
    let (ours, theirs) = (udp(), udp());
    let to = theirs.local_addr().unwrap().into();
    for mut offload in offloads() {
        Segments::new(b"", 1200).to(&to).send(&SocketRef::udp_v4(&ours), &mut offload, NO_FLAGS).unwrap();
    }
    assert!(is_empty(&theirs));
}

#[rstest]
#[case::size_of_nothing(0, true, None, NO_FLAGS, ErrorKind::InvalidInput)]
#[case::flag(0, true, None, SendFlags::MORE, ErrorKind::Unsupported)]
#[case::family(1200, false, None, NO_FLAGS, ErrorKind::AddressFamily)]
#[case::source(0, true, Some(IpAddr::V4(Ipv4Addr::BROADCAST)), NO_FLAGS, ErrorKind::AddressNotAvailable)]
#[case::source_of_another(
    1200,
    true,
    Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    NO_FLAGS,
    ErrorKind::Unreachable
)]
fn d9_a_mistake_is_reported_and_nothing_is_sent(
    #[case] size: usize,
    #[case] is_right_address: bool,
    #[case] source: Option<IpAddr>,
    #[case] flags: SendFlags,
    #[case] expected: ErrorKind,
) {
    let (ours, theirs) = (UdpSocket::bind("0.0.0.0:0").unwrap(), udp());
    let to = match is_right_address {
        true => Address::from(theirs.local_addr().unwrap()),
        false => SocketAddr::from((Ipv6Addr::LOCALHOST, 9)).into(),
    };
    let bytes = pattern(3000);
    for mut offload in offloads() {
        let segments = Segments::new(&bytes, size).to(&to);
        let segments = source.map_or(segments, |source| segments.from_source(source));
        let stopped = segments.send(&SocketRef::udp_v4(&ours), &mut offload, flags).unwrap_err();
        assert_eq!((stopped.accepted(), stopped.kind()), (0, expected));
        assert_eq!(stopped.error().operation().name(), "Segments::send");
        // The mistake is not one of the size.
        assert_eq!(offload.takes(1200), SegmentOffload::new().takes(1200) && offload.takes(1));
    }
    assert!(is_empty(&theirs));
}

#[test]
fn d9_a_source_goes_with_every_segment() {
    let (ours, theirs) = (UdpSocket::bind("0.0.0.0:0").unwrap(), udp());
    let (to, bytes) = (theirs.local_addr().unwrap().into(), pattern(250));
    for mut offload in offloads() {
        Segments::new(&bytes, 100)
            .to(&to)
            .from_source(Ipv4Addr::LOCALHOST.into())
            .send(&SocketRef::udp_v4(&ours), &mut offload, NO_FLAGS)
            .unwrap();
        for segment in bytes.chunks(100) {
            let mut buffer = [0; 200];
            wait_readable(&theirs);
            let (length, from) = theirs.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from.ip()), (segment, IpAddr::from(Ipv4Addr::LOCALHOST)));
        }
    }
}

#[test]
fn d9_ipv6_and_a_peer() {
    let (Some(ours), Some(theirs)) = (sockets::udp_v6(), sockets::udp_v6()) else {
        return sockets::skipped(format_args!("no IPv6 here"));
    };
    ours.connect(theirs.local_addr().unwrap()).unwrap();
    let bytes = pattern(2500);
    for mut offload in offloads() {
        Segments::new(&bytes, 1000).send(&SocketRef::udp_v6(&ours), &mut offload, NO_FLAGS).unwrap();
        assert_eq!(arrived(&theirs, 3), bytes.chunks(1000).collect::<Vec<_>>());
    }
}

/// A unix socket sends them as a batch, and says how far it came.
#[test]
fn d9_what_would_block_goes_on_where_it_stopped() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let bytes = pattern(300 * 100 + 50);
    let (mut rest, mut buffer, mut blocked) = (&bytes[..], [0; 200], 0);
    let mut offload = SegmentOffload::new();
    let mut expected = bytes.chunks(100);
    let mut receive_one = || {
        let length = theirs.recv(&mut buffer).unwrap();
        assert_eq!(Some(&buffer[..length]), expected.next());
    };
    while !rest.is_empty() {
        let outcome = Segments::new(rest, 100).send(&SocketRef::from(&ours), &mut offload, NO_FLAGS);
        let accepted = outcome.map_or_else(
            |stopped| {
                assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
                blocked += 1;
                stopped.accepted()
            },
            |()| rest.len(),
        );
        (0..accepted.div_ceil(100)).for_each(|_| receive_one());
        rest = &rest[accepted..];
    }
    assert!(blocked > 0, "it never blocked");
}

#[test]
fn d11_what_is_refused_is_remembered_by_its_own_value() {
    let offload = SegmentOffload::new();
    assert_eq!(offload.takes(1200), !OPENBSD);
    assert!(!offload.takes(limits::DATAGRAM_BYTES + 1));
    assert!(!SegmentOffload::never().takes(1));
    assert_eq!(SegmentOffload::default().takes(1200), offload.takes(1200));
}

/// A socket that sends no checksums cannot have its datagrams divided: the kernel refuses any size.
#[cfg(target_os = "linux")]
#[test]
fn d11_a_kernel_that_cannot_divide_is_asked_once() {
    let (ours, theirs) = (udp(), udp());
    sockets::set_buffer(&ours, libc::SO_NO_CHECK, 1);
    let (socket, to, bytes) = (SocketRef::udp_v4(&ours), theirs.local_addr().unwrap().into(), pattern(2500));
    let mut offload = SegmentOffload::new();
    for takes in [true, false] {
        assert_eq!(offload.takes(1000), takes);
        Segments::new(&bytes, 1000).to(&to).send(&socket, &mut offload, NO_FLAGS).unwrap();
        assert_eq!(arrived(&theirs, 3), bytes.chunks(1000).collect::<Vec<_>>());
    }
    assert!(offload.takes(999), "a smaller size may do");
    assert!(SegmentOffload::new().takes(1000), "another socket's is its own");
}

/// Joined or not, they are the datagrams that were sent.
#[test]
fn d12_joined_datagrams_have_their_size() {
    let (ours, theirs) = (udp(), udp());
    let (socket, receiver) = (SocketRef::udp_v4(&ours), SocketRef::udp_v4(&theirs));
    receiver.receive_joined().unwrap();
    let (to, bytes) = (theirs.local_addr().unwrap().into(), pattern(2500));
    for by_batch in [false, true] {
        Segments::new(&bytes, 1000).to(&to).send(&socket, &mut SegmentOffload::new(), NO_FLAGS).unwrap();
        let mut came = Vec::new();
        while came.len() < 3 {
            wait_readable(&theirs);
            let mut buffer = vec![0; 65_536];
            let (length, size) = if by_batch {
                let mut buffers = [DatagramBuffer::new(&mut buffer)];
                receiver.receive_batch(&mut buffers, ReceiveFlags::empty()).unwrap();
                (buffers[0].bytes().len(), buffers[0].segment_size())
            } else {
                let mut control = ControlBuffer::new();
                let mut slices = [IoSliceMut::new(&mut buffer)];
                let received = receiver.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
                (received.bytes(), received.segment_size())
            };
            assert!(size.is_none_or(|size| size == 1000 && length > 1000), "{size:?} of {length}");
            came.extend(buffer[..length].chunks(size.unwrap_or(length)).map(<[u8]>::to_vec));
        }
        assert_eq!(came, bytes.chunks(1000).collect::<Vec<_>>());
    }
}

#[test]
fn d12_one_datagram_is_not_joined() {
    let (ours, theirs) = (udp(), udp());
    let receiver = SocketRef::udp_v4(&theirs);
    receiver.receive_joined().unwrap();
    ours.send_to(b"alone", theirs.local_addr().unwrap()).unwrap();
    let mut room = [0; 100];
    let mut buffers = [DatagramBuffer::new(&mut room)];
    assert_eq!(receiver.receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(1));
    assert_eq!((buffers[0].bytes(), buffers[0].segment_size()), (&b"alone"[..], None));

    let unix = UnixDatagram::unbound().unwrap();
    let refused = SocketRef::from(&unix).receive_joined().unwrap_err();
    assert_eq!((refused.kind(), refused.operation().name()), (ErrorKind::Unsupported, "receive_joined"));
}
