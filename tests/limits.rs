//! Clauses L1 to L7: the maximum number of bytes and slices of one call.
//!
//! Some lengths are longer than any safe slice (L1, L2 and, on 64 bits, L3). A unit test in `src/send.rs`
//! covers them.

mod sockets;

use std::io::IoSlice;
use std::os::unix::net::UnixDatagram;

use rstest::rstest;
use sockets::{NO_FLAGS, Pair, pattern, read_exactly, unconnected};
use unisend::ErrorKind::*;
use unisend::SocketKind::{self, *};
use unisend::{Operation, SendFlags, SocketRef, limits};

/// Four GiB that overlap, so that they take four MiB.
fn four_gib(part: &[u8]) -> Vec<IoSlice<'_>> {
    assert_eq!(part.len(), 4 << 20);
    vec![IoSlice::new(part); 1024]
}

/// A sum that is over SSIZE_MAX is refused, where it can be reached: Linux would clamp it.
#[cfg(target_pointer_width = "32")]
#[test]
fn l3_a_sum_over_ssize_max() {
    for kind in sockets::CONNECTED_KINDS {
        let pair = Pair::nonblocking(kind);
        let part = pattern(4 << 20);
        let error = pair.socket().send_vectored(&four_gib(&part), NO_FLAGS).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (LengthOverflow, None));
        assert_eq!(pair.received(), None);
    }
}

/// A sum over what Linux takes at once is not over the limit: it is accepted in part.
#[cfg(target_pointer_width = "64")]
#[rstest]
#[case::l4_tcp(Tcp)]
#[case::l4_unix_stream(UnixStream)]
fn four_gib_are_accepted_in_part(#[case] kind: SocketKind) {
    let pair = Pair::nonblocking(kind);
    let part = pattern(4 << 20);
    let slices = four_gib(&part);
    let accepted = pair.socket().send_vectored(&slices, NO_FLAGS).unwrap();
    assert!(accepted > 0 && accepted < 0x7fff_f001, "{accepted} bytes");
    let arrived = read_exactly(&pair.theirs, accepted);
    assert!(arrived.chunks(part.len()).all(|chunk| chunk == &part[..chunk.len()]), "not the same bytes");
    assert_eq!(pair.received(), None);
}

/// To a datagram socket it is a message that no system can take.
#[cfg(target_pointer_width = "64")]
#[rstest]
#[case::l4_udp(UdpV4)]
#[case::l4_unix_datagram(UnixDatagram)]
#[case::l4_unix_seqpacket(UnixSeqpacket)]
fn four_gib_are_no_message(#[case] kind: SocketKind) {
    let pair = Pair::nonblocking(kind);
    let part = pattern(4 << 20);
    let error = pair.socket().send_vectored(&four_gib(&part), NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), MessageTooLong, "{error}");
    assert_eq!(pair.received(), None);
}

#[test]
fn l1_the_limits_are_the_same_everywhere() {
    assert_eq!(limits::SLICES_PER_MESSAGE, 1024);
    assert_eq!(limits::BYTES_PER_CALL, isize::MAX as usize);
    assert_eq!(limits::UNIX_PATH_BYTES, 103);
    assert_eq!(limits::ABSTRACT_NAME_BYTES, 107);
}

#[rstest]
#[case::l5_tcp(Tcp)]
#[case::l5_udp(UdpV4)]
#[case::l5_unix_stream(UnixStream)]
#[case::l5_unix_datagram(UnixDatagram)]
#[case::l5_unix_seqpacket(UnixSeqpacket)]
fn as_many_slices_as_a_message_can_have(#[case] kind: SocketKind) {
    let pair = Pair::new(kind);
    let data = pattern(2 * limits::SLICES_PER_MESSAGE);
    let slices: Vec<_> = data.chunks(2).map(IoSlice::new).collect();
    assert_eq!(slices.len(), limits::SLICES_PER_MESSAGE);
    assert_eq!(pair.socket().send_vectored(&slices, NO_FLAGS), Ok(data.len()));
    let arrived = match kind {
        Tcp | UnixStream => read_exactly(&pair.theirs, data.len()),
        _ => pair.arriving(),
    };
    assert_eq!(arrived, data);
}

#[rstest]
#[case::l5_one_too_many(limits::SLICES_PER_MESSAGE + 1, b"x")]
#[case::l5_one_too_many_and_empty(limits::SLICES_PER_MESSAGE + 1, b"")]
#[case::l5_far_too_many(1 << 20, b"x")]
fn more_slices_than_a_message_can_have(#[case] count: usize, #[case] slice: &[u8]) {
    let slices = vec![IoSlice::new(slice); count];
    for kind in sockets::CONNECTED_KINDS {
        let pair = Pair::new(kind);
        let error = pair.socket().send_vectored(&slices, NO_FLAGS).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (TooManySlices, None), "{kind:?}");
        assert_eq!(error.operation(), Operation::SendVectored);
        assert_eq!(pair.received(), None, "{kind:?}");
        // It comes before whatever is wrong with the socket, and after a flag that is refused.
        let fd = unconnected(kind);
        let alone = sockets::declared(kind, &fd);
        assert_eq!(alone.send_vectored(&slices, NO_FLAGS).unwrap_err().kind(), TooManySlices);
        let unknown = SendFlags::from_bits_retain(0x40);
        assert_eq!(alone.send_vectored(&slices, unknown).unwrap_err().kind(), Unsupported);
    }
}

/// No slices are no bytes: nothing on a stream, an empty message on a datagram socket (B6, B7).
#[rstest]
#[case::l7_tcp(Tcp, None)]
#[case::l7_unix_stream(UnixStream, None)]
#[case::l7_udp(UdpV4, Some(vec![]))]
#[case::l7_unix_datagram(UnixDatagram, Some(vec![]))]
fn no_slices(#[case] kind: SocketKind, #[case] arrives: Option<Vec<u8>>) {
    let pair = Pair::new(kind);
    assert_eq!(pair.socket().send_vectored(&[], NO_FLAGS), Ok(0));
    if arrives.is_some() {
        sockets::wait_readable(&pair.theirs);
    }
    assert_eq!(pair.received(), arrives);
}

#[test]
fn l7_no_slices_on_a_seqpacket_socket() {
    let pair = Pair::new(UnixSeqpacket);
    let error = pair.socket().send_vectored(&[], NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (EmptyRecord, None));
}

/// No slices do not hide what is wrong with the socket.
#[test]
fn l7_no_slices_on_a_socket_without_a_peer() {
    let fd = unconnected(Tcp);
    assert_eq!(SocketRef::tcp(&fd).send_vectored(&[], NO_FLAGS).unwrap_err().kind(), NotConnected);
    let datagram = UnixDatagram::unbound().unwrap();
    let error = SocketRef::from(&datagram).send_vectored(&[], NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), DestinationRequired);
}
