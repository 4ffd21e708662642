//! Clauses F7 to F8h and R26: a flag for receiving is honoured, or refused before the call.

mod sockets;

use std::io::{IoSliceMut, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::poll::PollFlags;
use nix::sys::socket as raw;
use rstest::rstest;
use sockets::{NO_FLAGS, PATIENCE, Pair, declared, differs, unconnected};
use unisend::SocketKind::{self, *};
use unisend::{
    Address, ControlBuffer, Error, ErrorKind, Message, ReceiveFlags, SendFlags, SocketRef, limits,
};

const NONE: ReceiveFlags = ReceiveFlags::empty();
const PEEK: ReceiveFlags = ReceiveFlags::PEEK;
const URGENT: ReceiveFlags = ReceiveFlags::OUT_OF_BAND;
const DONT_WAIT: ReceiveFlags = ReceiveFlags::DONT_WAIT;

/// What a call showed.
#[derive(Debug, PartialEq)]
struct Shown {
    data: Vec<u8>,
    truncated: bool,
    end: bool,
    sender: Option<Address>,
}

fn data(data: &[u8]) -> Shown {
    Shown { data: data.to_vec(), truncated: false, end: false, sender: None }
}

const END: Shown = Shown { data: Vec::new(), truncated: false, end: true, sender: None };

#[derive(Debug, Clone, Copy)]
enum With {
    Descriptors,
    NoDescriptors,
}

/// Receives by one of the calls into slices with this much room each.
fn received(
    with: With,
    socket: &SocketRef<'_, impl Sized>,
    rooms: &[usize],
    flags: ReceiveFlags,
) -> Result<Shown, Error> {
    let mut data: Vec<Vec<u8>> = rooms.iter().map(|&room| vec![0; room]).collect();
    let mut slices: Vec<_> = data.iter_mut().map(|room| IoSliceMut::new(room)).collect();
    let mut control = ControlBuffer::new();
    let received = match with {
        With::Descriptors => socket.receive(&mut slices, &mut control, flags),
        With::NoDescriptors => socket.receive_without_descriptors(&mut slices, flags),
    }?;
    assert!(!received.descriptors_lost() && !received.ends_record());
    let (bytes, truncated, end) = (received.bytes(), received.is_truncated(), received.is_end_of_file());
    let sender = received.sender();
    drop(received);
    let mut data = data.concat();
    data.truncate(bytes);
    Ok(Shown { data, truncated, end, sender })
}

fn kind_of(outcome: Result<Shown, Error>) -> ErrorKind {
    outcome.expect_err("nothing was to be received").kind()
}

/// Any number of peeks, in any slices, see the same bytes, and then a receive gets them.
#[rstest]
fn f7_a_stream_is_left_as_it_was(
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(NONE, DONT_WAIT)] more: ReceiveFlags,
) {
    let pair = Pair::new(Tcp);
    let sent = sockets::pattern(100_000);
    let (ours, all) = (TcpStream::from(pair.ours), sent.clone());
    let writer = std::thread::spawn(move || (&ours).write_all(&all).map(|()| ours));
    let theirs = SocketRef::tcp(&pair.theirs);
    let mut gone = 0;
    while gone < sent.len() {
        sockets::wait_readable(&pair.theirs);
        for rooms in [&[1][..], &[0, 7, 0, 20], &[5000], &[1; limits::SLICES_PER_MESSAGE]] {
            let shown = received(with, &theirs, rooms, PEEK | more).unwrap();
            let least = rooms.iter().sum::<usize>().min(sent.len() - gone);
            assert_eq!(shown, data(&sent[gone..][..shown.data.len()]));
            assert!((1..=least).contains(&shown.data.len()));
        }
        let first = received(with, &theirs, &[9000], PEEK | more).unwrap();
        let taken = received(with, &theirs, &[9000], more).unwrap();
        assert!(taken.data.starts_with(&first.data), "more can have come");
        gone += taken.data.len();
    }
    let ours = sockets::finished(writer, |_| ()).unwrap();
    drop(ours);
    sockets::wait_readable(&pair.theirs);
    for flags in [PEEK | more, PEEK | more, more, PEEK | more] {
        assert_eq!(received(with, &theirs, &[4], flags), Ok(END), "F7d");
    }
}

/// A peek of any length tells as much as a receive of that length, and takes nothing.
#[rstest]
fn f7b_a_datagram_stays_whole(
    #[values(UdpV4, UdpV6)] kind: SocketKind,
    #[values(b"four", b"")] sent: &'static [u8],
    #[values(&[0], &[3], &[4], &[2, 2], &[0, 1, 9])] rooms: &[usize],
    #[values(NONE, DONT_WAIT)] more: ReceiveFlags,
) {
    let bind = || match kind {
        UdpV4 => Some(UdpSocket::bind("127.0.0.1:0").unwrap()),
        _ => sockets::udp_v6(),
    };
    let (Some(ours), Some(theirs)) = (bind(), bind()) else { return };
    ours.send_to(sent, theirs.local_addr().unwrap()).unwrap();
    ours.send_to(b"next", theirs.local_addr().unwrap()).unwrap();
    sockets::wait_readable(&theirs);
    let socket = declared(kind, &theirs);
    let room = rooms.iter().sum::<usize>();
    let sender = Some(Address::from(ours.local_addr().unwrap()));
    let shown = |sent: &[u8], room: usize, sender| Shown {
        sender,
        truncated: sent.len() > room,
        ..data(&sent[..sent.len().min(room)])
    };
    for _ in 0..3 {
        let peeked = received(With::Descriptors, &socket, rooms, PEEK | more);
        assert_eq!(peeked, Ok(shown(sent, room, sender)), "F7c: with its sender");
        let peeked = received(With::NoDescriptors, &socket, rooms, PEEK | more);
        assert_eq!(peeked, Ok(shown(sent, room, None)));
    }
    assert_eq!(received(With::Descriptors, &socket, &[9], more), Ok(shown(sent, 9, sender)));
    assert_eq!(received(With::Descriptors, &socket, &[9], PEEK | more), Ok(shown(b"next", 9, sender)));
    assert_eq!(received(With::Descriptors, &socket, rooms, more), Ok(shown(b"next", room, sender)));
    assert_eq!(kind_of(received(With::Descriptors, &socket, &[9], PEEK | DONT_WAIT)), ErrorKind::WouldBlock);
}

#[test]
fn f7c_a_peek_is_told_the_destination() {
    let (ours, theirs) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let socket = SocketRef::udp_v4(&theirs);
    socket.receive_destinations().unwrap();
    ours.send_to(b"x", theirs.local_addr().unwrap()).unwrap();
    let mut control = ControlBuffer::new();
    for flags in [PEEK, PEEK, NONE] {
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        let told = socket.receive(&mut slices, &mut control, flags).unwrap().destination().unwrap();
        assert_eq!(told.address, theirs.local_addr().unwrap().ip());
        assert_ne!(told.interface, 0);
    }
}

#[rstest]
fn f7d_a_peek_at_nothing(
    #[values(Tcp, UdpV4)] kind: SocketKind,
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(false, true)] by_flag: bool,
) {
    let pair = if by_flag { Pair::new(kind) } else { Pair::nonblocking(kind) };
    let flags = if by_flag { PEEK | DONT_WAIT } else { PEEK };
    let error = received(with, &declared(kind, &pair.theirs), &[4], flags).unwrap_err();
    assert_eq!((error.kind(), error.operation().name()), (ErrorKind::WouldBlock, "receive"));
    let alone = unconnected(Tcp);
    assert_eq!(kind_of(received(with, &SocketRef::tcp(&alone), &[4], PEEK)), ErrorKind::NotConnected);
}

/// A peek that waits is woken by what comes, and by a signal of its end.
#[rstest]
fn f7d_a_peek_waits(#[values(Tcp, UdpV4)] kind: SocketKind, #[values(false, true)] end: bool) {
    if end && kind == UdpV4 {
        return;
    }
    let Pair { ours, theirs, .. } = Pair::new(kind);
    let waiting = std::thread::spawn(move || {
        let shown = received(With::NoDescriptors, &declared(kind, &theirs), &[4], PEEK);
        (shown, theirs)
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    if !end {
        declared(kind, &ours).send(b"came", NO_FLAGS).unwrap();
    }
    drop(ours);
    let (shown, theirs) = sockets::finished(waiting, |_| ());
    assert_eq!(shown, Ok(if end { END } else { data(b"came") }));
    assert_eq!(received(With::NoDescriptors, &declared(kind, &theirs), &[4], NONE), shown);
}

/// It is returned once, whichever of the calls asks first.
#[rstest]
fn f7e_a_refusal_is_returned_once(
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(PEEK, NONE)] first: ReceiveFlags,
) {
    let (ours, theirs) = sockets::udp_pair();
    drop(theirs);
    ours.send(b"x").unwrap();
    sockets::wait_readable(&ours);
    let socket = SocketRef::udp_v4(&ours);
    assert_eq!(kind_of(received(with, &socket, &[4], first | DONT_WAIT)), ErrorKind::Refused);
    for flags in [PEEK, NONE] {
        assert_eq!(kind_of(received(with, &socket, &[4], flags | DONT_WAIT)), ErrorKind::WouldBlock);
    }
    assert!(ours.take_error().unwrap().is_none());
}

/// After the data that came before it, and then it is the end.
#[rstest]
fn f7e_a_reset_is_returned_once(
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(b"", b"data")] before: &[u8],
    #[values(PEEK, NONE)] first: ReceiveFlags,
) {
    let (ours, theirs) = sockets::tcp_pair();
    (&ours).write_all(before).unwrap();
    sockets::close_with_reset(&ours);
    drop(ours);
    sockets::polled(&theirs, PollFlags::POLLHUP, PATIENCE);
    let socket = SocketRef::tcp(&theirs);
    if !before.is_empty() {
        assert_eq!(received(with, &socket, &[9], PEEK), Ok(data(before)));
        assert_eq!(received(with, &socket, &[9], NONE), Ok(data(before)));
    }
    assert_eq!(kind_of(received(with, &socket, &[9], first)), ErrorKind::Reset);
    assert_eq!(received(with, &socket, &[9], PEEK), Ok(END));
    assert_eq!(received(with, &socket, &[9], NONE), Ok(END));
    assert!(theirs.take_error().unwrap().is_none());
}

/// What is refused takes nothing, and the kernel is not asked.
#[rstest]
#[case::f7f_unix_stream(UnixStream, PEEK)]
#[case::f7f_unix_datagram(UnixDatagram, PEEK)]
#[case::f7f_unix_seqpacket(UnixSeqpacket, PEEK)]
#[case::f8h_udp(UdpV4, URGENT)]
#[case::f8h_udp_with_peek(UdpV4, URGENT.union(PEEK))]
#[case::f8h_unix_stream(UnixStream, URGENT)]
#[case::f8h_unix_datagram(UnixDatagram, URGENT)]
#[case::f8h_unix_seqpacket(UnixSeqpacket, URGENT)]
fn a_flag_is_refused(
    #[case] kind: SocketKind,
    #[case] flag: ReceiveFlags,
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(NONE, DONT_WAIT)] more: ReceiveFlags,
) {
    let pair = Pair::new(kind);
    pair.socket().send(b"kept", NO_FLAGS).unwrap();
    sockets::wait_readable(&pair.theirs);
    for rooms in [&[4][..], &[]] {
        let error = received(with, &declared(kind, &pair.theirs), rooms, flag | more).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
        assert!(error.to_string().contains("ReceiveFlags"), "{error}");
    }
    assert_eq!(pair.received().unwrap(), b"kept");
}

#[rstest]
fn f7f_a_socket_of_another_kind_is_not_peeked_at(
    #[values(Tcp, UdpV4)] kind: SocketKind,
    #[values(Other, OtherStream)] declared_as: SocketKind,
    #[values(PEEK, URGENT)] flag: ReceiveFlags,
) {
    let pair = Pair::new(kind);
    let socket = declared(declared_as, &pair.theirs);
    let error = received(With::Descriptors, &socket, &[4], flag | DONT_WAIT).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
}

/// No copy of a descriptor is installed, and the descriptor still comes.
#[test]
fn r26_a_refused_peek_installs_no_descriptor() {
    let pair = Pair::new(UnixStream);
    let null = std::fs::File::open("/dev/null").unwrap();
    let mut slices = [std::io::IoSlice::new(b"x")];
    Message::new(&mut slices).with_descriptor(&null).send(&pair.socket(), NO_FLAGS).unwrap();
    let socket = declared(UnixStream, &pair.theirs);
    let (mut byte, mut control) = ([0], ControlBuffer::new());
    for flags in [PEEK, PEEK, NONE] {
        let mut slices = [IoSliceMut::new(&mut byte)];
        match socket.receive(&mut slices, &mut control, flags) {
            Ok(mut received) => assert!(flags == NONE && received.take_descriptor().is_some()),
            Err(error) => assert!(flags == PEEK && error.kind() == ErrorKind::Unsupported),
        }
    }
}

/// Sends bytes of which the last is urgent, and waits until it has come.
fn send_urgent(pair: &Pair, bytes: &[u8]) {
    assert_eq!(pair.socket().send(bytes, SendFlags::OUT_OF_BAND), Ok(bytes.len()));
    let last = data(&bytes[bytes.len() - 1..]);
    eventually(&pair.theirs, PEEK | URGENT, |shown| shown == Ok(&last));
}

fn eventually(theirs: &OwnedFd, flags: ReceiveFlags, is_it: impl Fn(Result<&Shown, ErrorKind>) -> bool) {
    let start = std::time::Instant::now();
    loop {
        let shown = received(With::NoDescriptors, &SocketRef::tcp(theirs), &[4], flags);
        if is_it(shown.as_ref().map_err(Error::kind)) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{shown:?}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The byte stays as long as it is peeked at, and is received once, apart from the stream.
#[rstest]
fn f8_the_urgent_byte(
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(NONE, DONT_WAIT)] more: ReceiveFlags,
    #[values(&[1], &[4], &[0, 1])] rooms: &[usize],
    #[values(false, true)] at_the_end: bool,
) {
    let pair = Pair::new(Tcp);
    send_urgent(&pair, b"xyz");
    let theirs = SocketRef::tcp(&pair.theirs);
    if at_the_end {
        sockets::shutdown(&pair.ours, std::net::Shutdown::Write).unwrap();
        sockets::polled(&pair.theirs, PollFlags::POLLIN, PATIENCE);
    }
    for flags in [PEEK | URGENT, PEEK | URGENT, URGENT] {
        assert_eq!(received(with, &theirs, rooms, flags | more), Ok(data(b"z")));
    }
    for flags in [URGENT, PEEK | URGENT] {
        assert_eq!(kind_of(received(with, &theirs, rooms, flags | more)), ErrorKind::InvalidInput, "F8b");
    }
    assert_eq!(received(with, &theirs, &[9], more), Ok(data(b"xy")));
}

/// On a socket that waits it does not, and the error says what the kernel said.
#[rstest]
#[case::none_was_sent(|_: &Pair| ())]
#[case::only_data(|pair: &Pair| {
    pair.socket().send(b"data", NO_FLAGS).unwrap();
    sockets::wait_readable(&pair.theirs);
})]
#[case::in_the_stream(|pair: &Pair| {
    raw::setsockopt(&pair.theirs, raw::sockopt::OobInline, &true).unwrap();
    pair.socket().send(b"u", SendFlags::OUT_OF_BAND).unwrap();
    sockets::wait_readable(&pair.theirs);
})]
#[case::receiving_is_shut_down(|pair: &Pair| {
    sockets::shutdown(&pair.theirs, std::net::Shutdown::Read).unwrap();
})]
#[case::behind_it(|pair: &Pair| {
    send_urgent(pair, b"u");
    pair.socket().send(b"d", NO_FLAGS).unwrap();
    sockets::wait_readable(&pair.theirs);
    assert_eq!(received(With::NoDescriptors, &SocketRef::tcp(&pair.theirs), &[4], NONE), Ok(data(b"d")));
})]
fn f8b_there_is_no_urgent_byte(
    #[case] prepare: fn(&Pair),
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(URGENT, URGENT.union(PEEK), URGENT.union(DONT_WAIT))] flags: ReceiveFlags,
) {
    let pair = Pair::new(Tcp);
    prepare(&pair);
    let (shown, _pair) = sockets::bounded(move || {
        let shown = received(with, &SocketRef::tcp(&pair.theirs), &[4], flags);
        (shown, pair)
    });
    let error = shown.unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::InvalidInput, Some(libc::EINVAL)));
    assert!(!error.peer_gone() && !error.would_block() && !error.may_have_sent());
}

/// Whether or not it had come: the reset is for the next receive, once.
#[rstest]
fn f8b_a_reset_is_left_for_the_next_receive(
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(false, true)] had_come: bool,
    #[values(URGENT, URGENT.union(PEEK))] flags: ReceiveFlags,
) {
    let pair = Pair::new(Tcp);
    if had_come {
        send_urgent(&pair, b"u");
    }
    sockets::close_with_reset(&pair.ours);
    drop(pair.ours);
    sockets::polled(&pair.theirs, PollFlags::POLLHUP, PATIENCE);
    let theirs = SocketRef::tcp(&pair.theirs);
    for _ in 0..2 {
        assert_eq!(kind_of(received(with, &theirs, &[4], flags)), ErrorKind::InvalidInput);
    }
    assert_eq!(kind_of(received(with, &theirs, &[4], NONE)), ErrorKind::Reset);
    assert_eq!(kind_of(received(with, &theirs, &[4], flags)), ErrorKind::InvalidInput);
    assert_eq!(received(with, &theirs, &[4], NONE), Ok(END));
}

#[rstest]
fn f8b_a_socket_that_cannot_have_one(#[values(false, true)] listens: bool) {
    let alone = unconnected(Tcp);
    if listens {
        raw::bind(alone.as_raw_fd(), &raw::SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        raw::listen(&alone, raw::Backlog::new(1).unwrap()).unwrap();
    }
    let error = received(With::NoDescriptors, &SocketRef::tcp(&alone), &[4], URGENT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let kernels = differs(if listens { libc::ENOTCONN } else { libc::EINVAL }, libc::EINVAL);
    assert_eq!(error.kernel_errno(), Some(kernels));
    let null = std::fs::File::open("/dev/null").unwrap();
    let outcome = received(With::NoDescriptors, &SocketRef::tcp(&null), &[4], URGENT);
    assert_eq!(kind_of(outcome), ErrorKind::NotSocket, "G3");
}

/// The byte is not taken away by a call that could not return it.
#[rstest]
fn f8d_no_room_for_the_byte(
    #[values(With::Descriptors, With::NoDescriptors)] with: With,
    #[values(&[], &[0], &[0, 0])] rooms: &[usize],
    #[values(URGENT, URGENT.union(PEEK))] flags: ReceiveFlags,
) {
    let pair = Pair::new(Tcp);
    send_urgent(&pair, b"u");
    let theirs = SocketRef::tcp(&pair.theirs);
    let error = received(with, &theirs, rooms, flags).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::InvalidInput, None));
    assert!(error.to_string().contains("no room for the urgent byte"), "{error}");
    let too_many = received(with, &theirs, &[0; limits::SLICES_PER_MESSAGE + 1], flags);
    assert_eq!(
        kind_of(too_many),
        ErrorKind::TooManySlices,
        "G5: the number of slices comes before their bytes"
    );
    assert_eq!(received(with, &theirs, &[4], URGENT), Ok(data(b"u")));
}

/// With poll(2), as the documentation says: the urgent byte is announced by POLLPRI, and comes first.
#[test]
fn f8e_the_urgent_byte_is_received_before_the_data() {
    let pair = Pair::new(Tcp);
    send_urgent(&pair, b"abu");
    pair.socket().send(b"cd", NO_FLAGS).unwrap();
    assert!(sockets::polled(&pair.theirs, PollFlags::POLLPRI, PATIENCE).contains(PollFlags::POLLPRI));
    let theirs = SocketRef::tcp(&pair.theirs);
    assert_eq!(received(With::NoDescriptors, &theirs, &[9], PEEK), Ok(data(b"ab")), "the mark stops a peek");
    assert_eq!(received(With::NoDescriptors, &theirs, &[9], URGENT), Ok(data(b"u")));
    assert_eq!(sockets::read_exactly(&pair.theirs, 4), b"abcd");
    assert_eq!(kind_of(received(With::NoDescriptors, &theirs, &[9], URGENT)), ErrorKind::InvalidInput);
}
