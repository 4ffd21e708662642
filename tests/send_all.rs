//! `send_all` and `send_all_vectored`: short counts, "would block" and how to continue, and any number of
//! slices.

mod sockets;

use std::io::IoSlice;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use sockets::{
    CONNECTED_KINDS, Call, NO_FLAGS, OPENBSD, PATIENCE, Pair, bounded, differs, fill, finished, is_writable,
    narrow, pattern, read_exactly, reader, received, set_nonblocking, set_send_timeout, wait_readable,
};
use unisend::ErrorKind::*;
use unisend::SocketKind::{self, *};
use unisend::{Operation, SendFlags, SocketRef, limits};

fn bytes_in(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

/// Slices of all lengths, empty ones among them, at the ends too.
fn uneven<'data>(data: &'data [u8]) -> Vec<IoSlice<'data>> {
    let empty: &'data [u8] = &[];
    let mut slices = vec![IoSlice::new(empty), IoSlice::new(empty)];
    let mut rest = data;
    let mut length = 0;
    while !rest.is_empty() {
        length = (length * 5 + 3) % 1_999;
        let (slice, after) = rest.split_at(length.min(rest.len()));
        slices.push(IoSlice::new(slice));
        if length % 3 == 0 {
            slices.push(IoSlice::new(empty));
        }
        rest = after;
    }
    slices.push(IoSlice::new(empty));
    slices
}

/// Where "would block" ended it, exactly that much was accepted; the next call goes on from there.
#[rstest]
#[case::b5_tcp(Tcp)]
#[case::b5_unix_stream(UnixStream)]
fn would_block_loses_nothing_and_repeats_nothing(
    #[case] kind: SocketKind,
    #[values(false, true)] by_flag: bool,
) {
    let pair = narrow(kind);
    set_nonblocking(&pair.ours, !by_flag);
    let flags = if by_flag { SendFlags::DONT_WAIT } else { NO_FLAGS };
    let data = pattern(1 << 20);
    let mut sent = 0;
    let mut stops = 0;
    while let Err(stopped) = pair.socket().send_all(&data[sent..], flags) {
        assert_eq!(stopped.kind(), WouldBlock, "{stopped}");
        assert_eq!(stopped.error().operation(), Operation::SendAll);
        assert!(!stopped.error().may_have_sent());
        stops += 1;
        let arrived = read_exactly(&pair.theirs, stopped.accepted());
        assert!(arrived == data[sent..sent + stopped.accepted()], "not the same bytes");
        assert_eq!(pair.received(), None, "more than was said");
        sent += stopped.accepted();
        assert!(is_writable(&pair.ours, PATIENCE), "it was read");
    }
    assert!(stops > 1 && sent < data.len());
    assert!(read_exactly(&pair.theirs, data.len() - sent) == data[sent..], "not the same bytes");
    assert_eq!(pair.received(), None);
}

/// The same for slices, which are advanced by what was accepted, in the middle of one if need be.
#[rstest]
#[case::b5_tcp(Tcp)]
#[case::b5_unix_stream(UnixStream)]
fn would_block_advances_the_slices(#[case] kind: SocketKind) {
    let pair = narrow(kind);
    set_nonblocking(&pair.ours, true);
    let data = pattern(1 << 20);
    let mut slices = uneven(&data);
    assert!(slices.len() > limits::SLICES_PER_MESSAGE);
    let mut rest = &mut slices[..];
    let mut sent = 0;
    let mut stops = 0;
    while let Err(stopped) = pair.socket().send_all_vectored(&mut rest, NO_FLAGS) {
        assert_eq!(stopped.kind(), WouldBlock, "{stopped}");
        assert_eq!(stopped.error().operation(), Operation::SendAllVectored);
        stops += 1;
        let arrived = read_exactly(&pair.theirs, stopped.accepted());
        assert!(arrived == data[sent..sent + stopped.accepted()], "not the same bytes");
        assert_eq!(pair.received(), None, "more than was said");
        sent += stopped.accepted();
        assert!(is_writable(&pair.ours, PATIENCE), "it was read");
        assert_eq!(bytes_in(rest), data.len() - sent, "advanced by what was accepted");
    }
    assert!(stops > 1 && sent < data.len());
    assert!(rest.is_empty(), "empty slices at the end are done with too");
    assert!(read_exactly(&pair.theirs, data.len() - sent) == data[sent..], "not the same bytes");
    assert_eq!(pair.received(), None);
}

/// On a socket without room nothing was accepted, and nothing is advanced but what is empty.
#[rstest]
#[case::b5_tcp(Tcp)]
#[case::b5_unix_stream(UnixStream)]
#[case::b3_unix_datagram(UnixDatagram)]
#[case::b5_unix_seqpacket(UnixSeqpacket)]
fn would_block_at_once(#[case] kind: SocketKind) {
    let pair = Pair::nonblocking(kind);
    fill(&pair.socket(), &[7; 500]);
    let data = [8; 500];
    let stopped = pair.socket().send_all(&data, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (WouldBlock, 0));

    let mut slices = [IoSlice::new(&data[..200]), IoSlice::new(&data[200..])];
    let mut rest = &mut slices[..];
    let stopped = pair.socket().send_all_vectored(&mut rest, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (WouldBlock, 0));
    assert_eq!((rest.len(), bytes_in(rest)), (2, 500));
}

/// A blocking socket waits for its reader until everything was accepted.
#[rstest]
fn a_blocking_stream_gets_everything_through(
    #[values(Tcp, UnixStream)] kind: SocketKind,
    #[values(Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let pair = narrow(kind);
    let data = pattern(3 << 20);
    let expected = data.clone();
    let reader = match kind {
        Tcp => reader(TcpStream::from(pair.theirs)),
        _ => reader(UnixStream::from(pair.theirs)),
    };
    let ours = pair.ours;
    bounded(move || call.to_the_end(&sockets::declared(kind, &ours), &data, NO_FLAGS)).unwrap();
    assert!(finished(reader, |_| {}) == expected, "not the same bytes");
}

/// A stream takes any number of slices.
#[rstest]
#[case::l5_as_many_as_a_message(limits::SLICES_PER_MESSAGE, 1)]
#[case::l5_one_more(limits::SLICES_PER_MESSAGE + 1, 1)]
#[case::l5_two_messages(2 * limits::SLICES_PER_MESSAGE, 3)]
#[case::l5_two_messages_and_one(2 * limits::SLICES_PER_MESSAGE + 1, 3)]
#[case::l5_a_hundred_thousand(100_000, 7)]
fn any_number_of_slices(
    #[case] count: usize,
    #[case] length: usize,
    #[values(Tcp, UnixStream)] kind: SocketKind,
) {
    let pair = Pair::new(kind);
    let data = pattern(count * length);
    let expected = data.clone();
    let reader = match kind {
        Tcp => reader(TcpStream::from(pair.theirs)),
        _ => reader(UnixStream::from(pair.theirs)),
    };
    let ours = pair.ours;
    let left = bounded(move || {
        let mut slices: Vec<_> = data.chunks(length).map(IoSlice::new).collect();
        assert_eq!(slices.len(), count);
        let mut rest = &mut slices[..];
        sockets::declared(kind, &ours).send_all_vectored(&mut rest, NO_FLAGS).map(|()| rest.len())
    });
    assert_eq!(left, Ok(0));
    assert!(finished(reader, |_| {}) == expected, "not the same bytes");
}

/// Empty slices, more of them than a message can have, neither end the loop nor keep it going.
#[rstest]
#[case::b6_before(3_000, 0)]
#[case::b6_after(0, 3_000)]
#[case::b6_around(1_024, 1_024)]
fn empty_slices(#[case] before: usize, #[case] after: usize, #[values(Tcp, UnixStream)] kind: SocketKind) {
    let pair = Pair::new(kind);
    let (left, pair) = bounded(move || {
        let mut slices = vec![IoSlice::new(b""); before + 1 + after];
        slices[before] = IoSlice::new(b"data");
        let mut rest = &mut slices[..];
        let outcome = pair.socket().send_all_vectored(&mut rest, NO_FLAGS);
        (outcome.map(|()| rest.len()), pair)
    });
    assert_eq!(left, Ok(0));
    assert_eq!(read_exactly(&pair.theirs, 4), b"data");
    assert_eq!(pair.received(), None);
}

#[rstest]
#[case::b6_no_slices(0)]
#[case::b6_an_empty_slice(1)]
#[case::b6_very_many_empty_slices(5_000)]
fn nothing_at_all(#[case] count: usize, #[values(Tcp, UnixStream)] kind: SocketKind) {
    let pair = Pair::new(kind);
    let (left, pair) = bounded(move || {
        let mut slices = vec![IoSlice::new(b""); count];
        let mut rest = &mut slices[..];
        let outcome = pair.socket().send_all_vectored(&mut rest, NO_FLAGS);
        (outcome.map(|()| rest.len()), pair)
    });
    assert_eq!(left, Ok(0));
    assert_eq!(pair.socket().send_all(b"", NO_FLAGS), Ok(()));
    assert_eq!(pair.received(), None);
}

/// A datagram or record is one message, of all the slices.
#[rstest]
#[case::udp(UdpV4)]
#[case::unix_datagram(UnixDatagram)]
#[case::unix_seqpacket(UnixSeqpacket)]
fn a_message_is_sent_whole(#[case] kind: SocketKind) {
    let pair = Pair::new(kind);
    let data = pattern(5_000);
    assert_eq!(pair.socket().send_all(&data, NO_FLAGS), Ok(()));
    assert_eq!(pair.arriving(), data);

    let mut slices = uneven(&data);
    let mut rest = &mut slices[..];
    assert_eq!(pair.socket().send_all_vectored(&mut rest, NO_FLAGS), Ok(()));
    assert!(rest.is_empty());
    assert_eq!(pair.arriving(), data);
    assert_eq!(pair.received(), None, "one message");
}

/// It cannot be divided, so more slices than a message can have are refused, and are all still there.
#[rstest]
#[case::l5_udp(UdpV4)]
#[case::l5_unix_datagram(UnixDatagram)]
#[case::l5_unix_seqpacket(UnixSeqpacket)]
fn a_message_of_too_many_slices(#[case] kind: SocketKind) {
    let pair = Pair::new(kind);
    let mut slices = vec![IoSlice::new(b"x"); limits::SLICES_PER_MESSAGE + 1];
    let mut rest = &mut slices[..];
    let stopped = pair.socket().send_all_vectored(&mut rest, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (TooManySlices, 0));
    assert_eq!(stopped.error().operation(), Operation::SendAllVectored);
    assert_eq!(rest.len(), limits::SLICES_PER_MESSAGE + 1);
    assert_eq!(pair.received(), None);
}

#[test]
fn b7_an_empty_record_is_refused() {
    let pair = Pair::new(UnixSeqpacket);
    let stopped = pair.socket().send_all(b"", NO_FLAGS).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (EmptyRecord, 0));
    let mut slices = [IoSlice::new(b""); 3];
    let mut rest = &mut slices[..];
    let stopped = pair.socket().send_all_vectored(&mut rest, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (EmptyRecord, 0));
    assert_eq!(rest.len(), 3);
    assert_eq!(pair.received(), None);
}

/// Urgent data is the last byte of one call, which a loop cannot promise: refused on TCP too.
#[test]
fn f2_urgent_data_is_not_for_loops() {
    for kind in CONNECTED_KINDS {
        let pair = Pair::new(kind);
        for call in [Call::SendAll, Call::SendAllVectored] {
            for flags in [SendFlags::OUT_OF_BAND, SendFlags::OUT_OF_BAND | SendFlags::DONT_WAIT] {
                let stopped = call.to_the_end(&pair.socket(), b"x", flags).unwrap_err();
                assert_eq!((stopped.error().kind(), stopped.accepted()), (Unsupported, 0), "{kind:?}");
                assert_eq!(stopped.error().kernel_errno(), None);
                assert_eq!(stopped.error().operation().name(), call.name());
                assert!(stopped.error().to_string().contains("OUT_OF_BAND"), "{stopped}");
            }
        }
        assert_eq!(pair.received(), None, "{kind:?}");
    }
}

/// The error that ended it says what was accepted before it, to whoever reads it.
#[test]
fn b5_the_error_tells_how_much() {
    let pair = narrow(UnixStream);
    let stopped = pair.socket().send_all(&[7; 1 << 20], SendFlags::DONT_WAIT).unwrap_err();
    assert!(stopped.accepted() > 0);
    assert_eq!(stopped.kind(), stopped.error().kind());
    let text = stopped.to_string();
    assert!(text.starts_with("send_all failed: WouldBlock"), "{text}");
    assert!(text.contains(&format!("{} bytes", stopped.accepted())), "{text}");
}

/// A blocking unix datagram socket gets there on both systems, though OpenBSD does not wait for a receiver.
#[rstest]
fn b3_a_full_receiver_that_makes_room(#[values(Call::SendAll, Call::SendAllVectored)] call: Call) {
    let pair = Pair::new(UnixDatagram);
    fill(&pair.socket(), &[7; 500]);
    let Pair { ours, theirs, .. } = pair;
    let worker = thread::spawn(move || {
        let outcome = call.to_the_end(&SocketRef::unix_datagram(&ours), &[8; 500], NO_FLAGS);
        (outcome, ours)
    });
    // It waits now or is about to; either way there is room in time.
    thread::sleep(Duration::from_millis(40));
    let mut last = Vec::new();
    while last != [8; 500] {
        wait_readable(&theirs);
        last = received(&theirs).unwrap();
    }
    let (outcome, _ours) = finished(worker, |_| {});
    assert_eq!(outcome.unwrap(), 500);
    assert_eq!(received(&theirs), None, "sent once");
}

/// A receiver that makes no room ends it: on OpenBSD after about a second, on Linux after the socket's own
/// timeout.
#[test]
fn b3_a_full_receiver_that_stays_full() {
    let (stopped, elapsed) = bounded(|| {
        let pair = Pair::new(UnixDatagram);
        fill(&pair.socket(), &[7; 500]);
        set_send_timeout(&pair.ours, Duration::from_millis(30));
        let started = Instant::now();
        (pair.socket().send_all(&[8; 500], NO_FLAGS).unwrap_err(), started.elapsed())
    });
    assert_eq!((stopped.kind(), stopped.accepted()), (WouldBlock, 0));
    assert!(elapsed >= differs(Duration::from_millis(30), Duration::from_millis(900)), "{elapsed:?}");
}

/// Whoever does not want to wait does not.
#[rstest]
#[case::b3_nonblocking(true, NO_FLAGS)]
#[case::b3_by_flag(false, SendFlags::DONT_WAIT)]
fn a_full_receiver_and_no_waiting(#[case] nonblocking: bool, #[case] flags: SendFlags) {
    let elapsed = bounded(move || {
        let pair = Pair::new(UnixDatagram);
        fill(&pair.socket(), &[7; 500]);
        set_nonblocking(&pair.ours, nonblocking);
        let started = Instant::now();
        assert_eq!(pair.socket().send_all(&[8; 500], flags).unwrap_err().kind(), WouldBlock);
        started.elapsed()
    });
    assert!(!OPENBSD || elapsed < Duration::from_millis(900), "it was tried again: {elapsed:?}");
}

/// A failure that waiting does not cure is not waited for.
#[test]
fn b2_a_message_that_never_fits_is_an_error_at_once() {
    for kind in [UnixDatagram, UnixSeqpacket, UdpV4] {
        let pair = narrow(kind);
        let data = vec![7; 4 << 20];
        let stopped = bounded(move || pair.socket().send_all(&data, NO_FLAGS).unwrap_err());
        assert_eq!((stopped.kind(), stopped.accepted()), (MessageTooLong, 0), "{kind:?}");
    }
}
