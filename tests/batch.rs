//! Clauses D1 to D8: many datagrams in one call.

mod sockets;

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::poll::PollFlags;
use rstest::rstest;
use sockets::signals::{install_handler, signal};
use sockets::{NO_FLAGS, PATIENCE, differs, finished, polled, wait_readable};
use unisend::{
    Address, ControlBuffer, Datagram, DatagramBuffer, DatagramSocket, Error, ErrorKind, Message,
    ReceiveFlags, SegmentOffload, Segments, SendAllError, SendFlags, SocketKind, SocketRef, limits,
};

fn udp() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

fn address(socket: &UdpSocket) -> Address {
    socket.local_addr().unwrap().into()
}

/// More than one call takes, and not a multiple of it.
const MANY: usize = limits::DATAGRAMS_PER_CALL + 6;

/// A socket that receives, with its own storage: as many buffers as one call fills, and one more.
struct Receiver<'fd> {
    socket: SocketRef<'fd, DatagramSocket>,
    rooms: Vec<[u8; 64]>,
}

impl<'fd> Receiver<'fd> {
    fn new(socket: SocketRef<'fd, DatagramSocket>) -> Self {
        Self { socket, rooms: vec![[0; 64]; limits::DATAGRAMS_PER_CALL + 1] }
    }

    /// What one call receives.
    fn batch(&mut self, flags: ReceiveFlags) -> Result<Vec<Vec<u8>>, Error> {
        let mut buffers: Vec<_> = self.rooms.iter_mut().map(|room| DatagramBuffer::new(room)).collect();
        let count = self.socket.receive_batch(&mut buffers, flags)?;
        Ok(buffers[..count].iter().map(|datagram| datagram.bytes().to_vec()).collect())
    }

    /// So many datagrams, by as many calls as it takes.
    fn receive(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while all.len() < count {
            wait_readable(&self.socket);
            all.extend(self.batch(ReceiveFlags::DONT_WAIT).unwrap());
        }
        all
    }
}

/// Different lengths, so that one cannot be taken for another.
fn texts(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{index}{}", "x".repeat(index % 7))).collect()
}

#[test]
fn d1_d3_all_arrive_in_order_whatever_one_call_takes() {
    let (ours, theirs) = (udp(), udp());
    let (texts, to) = (texts(MANY), address(&theirs));
    let data: Vec<_> = texts.iter().map(|text| [IoSlice::new(text.as_bytes())]).collect();
    let batch: Vec<_> = data.iter().map(|slices| Datagram::new(slices).to(&to)).collect();
    SocketRef::udp_v4(&ours).send_batch(&batch, NO_FLAGS).unwrap();
    let expected: Vec<_> = texts.iter().map(|text| text.as_bytes()).collect();
    assert_eq!(Receiver::new(SocketRef::udp_v4(&theirs)).receive(MANY), expected);
}

#[test]
fn d1_each_has_its_own_slices_address_and_source() {
    let (ours, one, other) = (UdpSocket::bind("0.0.0.0:0").unwrap(), udp(), udp());
    let addresses = [address(&one), address(&other)];
    let (two, none) = ([IoSlice::new(b"to "), IoSlice::new(b"one")], [IoSlice::new(b"")]);
    let batch = [
        Datagram::new(&two).to(&addresses[0]).from_source(Ipv4Addr::LOCALHOST.into()),
        Datagram::new(&none).to(&addresses[1]),
        Datagram::new(&two[1..]).to(&addresses[1]),
    ];
    SocketRef::udp_v4(&ours).send_batch(&batch, NO_FLAGS).unwrap();
    assert_eq!(Receiver::new(SocketRef::udp_v4(&one)).receive(1), [b"to one"]);
    assert_eq!(Receiver::new(SocketRef::udp_v4(&other)).receive(2), [&b""[..], b"one"]);
}

/// What is wrong with one datagram of a batch.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Family,
    Port,
    Slices,
    TooLong,
    Source,
    SourceOfAnother,
    SourceWithoutAddress,
    NoAddress,
}

/// The loop that a batch replaces: one message after the other, until one fails.
fn one_by_one(
    socket: &SocketRef<'_, DatagramSocket>,
    batch: &[(&[IoSlice<'_>], Option<Address>, Option<IpAddr>)],
) -> Result<(), (usize, ErrorKind, Option<i32>)> {
    for (index, &(slices, to, source)) in batch.iter().enumerate() {
        let mut slices = slices.to_vec();
        let message = Message::new(&mut slices);
        let message = match source {
            Some(source) => message.from_source(source),
            None => message,
        };
        let outcome = match to {
            Some(to) => message.send_to(socket, &to, NO_FLAGS),
            None => message.send(socket, NO_FLAGS),
        };
        outcome.map_err(|error| (index, error.kind(), error.kernel_errno()))?;
    }
    Ok(())
}

#[rstest]
fn d1_a_batch_is_the_loop_that_it_replaces(
    #[values(
        Wrong::Family,
        Wrong::Port,
        Wrong::Slices,
        Wrong::TooLong,
        Wrong::Source,
        Wrong::SourceOfAnother,
        Wrong::SourceWithoutAddress,
        Wrong::NoAddress
    )]
    wrong: Wrong,
    #[values(0, 1, 5, limits::DATAGRAMS_PER_CALL - 1, limits::DATAGRAMS_PER_CALL, MANY - 1)] place: usize,
) {
    let (ours, theirs) = (UdpSocket::bind("0.0.0.0:0").unwrap(), udp());
    let long = vec![0; limits::DATAGRAM_BYTES + 1];
    let (good, too_long) = ([IoSlice::new(b"good")], [IoSlice::new(&long)]);
    let too_many = vec![IoSlice::new(b""); limits::SLICES_PER_MESSAGE + 1];
    let to = Some(address(&theirs));
    let v6 = Some(SocketAddr::from((Ipv6Addr::LOCALHOST, 9)).into());
    let port_zero = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into());
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    let foreign = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));

    let mut batch = vec![(&good[..], to, None); MANY];
    batch[place] = match wrong {
        Wrong::Family => (&good, v6, None),
        Wrong::Port => (&good, port_zero, None),
        Wrong::Slices => (&too_many, to, None),
        Wrong::TooLong => (&too_long, to, None),
        Wrong::Source => (&good, to, Some(IpAddr::from(Ipv4Addr::BROADCAST))),
        Wrong::SourceOfAnother => (&good, to, Some(foreign)),
        Wrong::SourceWithoutAddress => (&good, None, Some(local)),
        Wrong::NoAddress => (&good, None, None),
    };
    let socket = SocketRef::udp_v4(&ours);
    let mut receiver = Receiver::new(SocketRef::udp_v4(&theirs));

    let expected = one_by_one(&socket, &batch).unwrap_err();
    assert_eq!(expected.0, place);
    assert_eq!(receiver.receive(place).len(), place);

    let datagrams: Vec<_> = batch
        .iter()
        .map(|(slices, to, source)| {
            let datagram = to.as_ref().map_or(Datagram::new(slices), |to| Datagram::new(slices).to(to));
            source.map_or(datagram, |source| datagram.from_source(source))
        })
        .collect();
    let stopped = socket.send_batch(&datagrams, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.accepted(), stopped.kind(), stopped.error().kernel_errno()), expected);
    assert_eq!(receiver.receive(place), vec![b"good"; place]);

    // It goes on without it.
    socket.send_batch(&datagrams[place + 1..], NO_FLAGS).unwrap();
    assert_eq!(receiver.receive(MANY - place - 1).len(), MANY - place - 1);
}

/// Linux looks at the descriptor even if there is nothing to send, and OpenBSD does not.
#[test]
fn d2_an_empty_batch_is_no_call() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let socket = SocketRef::udp_v4(&file);
    socket.send_batch(&[], NO_FLAGS).unwrap();
    assert_eq!(socket.receive_batch(&mut [], ReceiveFlags::empty()), Ok(0));
    let refused = socket.send_batch(&[], SendFlags::MORE).unwrap_err();
    assert_eq!((refused.accepted(), refused.kind()), (0, ErrorKind::Unsupported));
    let slices = [IoSlice::new(b"x")];
    let failed = socket.send_batch(&[Datagram::new(&slices)], NO_FLAGS).unwrap_err();
    assert_eq!((failed.accepted(), failed.kind()), (0, ErrorKind::NotSocket));
}

/// A pair of unix datagram sockets, whose receiver never loses one.
fn pair() -> (UnixDatagram, UnixDatagram) {
    UnixDatagram::pair().unwrap()
}

fn count_of(stopped: SendAllError) -> usize {
    assert_eq!(stopped.kind(), ErrorKind::WouldBlock, "{stopped}");
    stopped.accepted()
}

/// On a socket that is full in the middle of a batch nothing is lost, and nothing is sent twice.
#[rstest]
fn d1_what_would_block_goes_on_where_it_stopped(#[values(true, false)] by_flag: bool) {
    let (ours, theirs) = pair();
    ours.set_nonblocking(!by_flag).unwrap();
    let flags = if by_flag { SendFlags::DONT_WAIT } else { NO_FLAGS };
    let texts = texts(5 * MANY);
    let data: Vec<_> = texts.iter().map(|text| [IoSlice::new(text.as_bytes())]).collect();
    let batch: Vec<_> = data.iter().map(|slices| Datagram::new(slices)).collect();
    let (socket, mut receiver) = (SocketRef::from(&ours), Receiver::new(SocketRef::from(&theirs)));
    let (mut sent, mut arrived, mut blocked) = (0, Vec::new(), 0);
    while sent < batch.len() {
        match socket.send_batch(&batch[sent..], flags) {
            Ok(()) => sent = batch.len(),
            Err(stopped) => {
                sent += count_of(stopped);
                blocked += 1;
                arrived.extend(receiver.batch(ReceiveFlags::DONT_WAIT).unwrap());
            }
        }
    }
    arrived.extend(receiver.receive(batch.len() - arrived.len()));
    assert!(blocked > 0, "it never blocked");
    assert_eq!(arrived, texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
}

#[test]
fn d1_a_blocking_socket_waits() {
    let (ours, theirs) = pair();
    let texts = texts(5 * MANY);
    let expected: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let count = expected.len();
    let worker = std::thread::spawn(move || {
        let data: Vec<_> = texts.iter().map(|text| [IoSlice::new(text.as_bytes())]).collect();
        let batch: Vec<_> = data.iter().map(|slices| Datagram::new(slices)).collect();
        SocketRef::from(&ours).send_batch(&batch, NO_FLAGS).map_err(|stopped| stopped.to_string())
    });
    let arrived = Receiver::new(SocketRef::from(&theirs)).receive(count);
    assert_eq!(worker.join().unwrap(), Ok(()));
    assert_eq!(arrived, expected);
}

/// More than the kernels take at once, and say nothing of.
#[test]
fn d3_more_than_the_kernels_take() {
    const COUNT: usize = 1024 + 2 * limits::DATAGRAMS_PER_CALL + 1;
    let (ours, theirs) = pair();
    let texts = texts(COUNT);
    let expected: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let worker = std::thread::spawn(move || {
        let data: Vec<_> = texts.iter().map(|text| [IoSlice::new(text.as_bytes())]).collect();
        let batch: Vec<_> = data.iter().map(|slices| Datagram::new(slices)).collect();
        SocketRef::from(&ours).send_batch(&batch, NO_FLAGS).map_err(|stopped| stopped.to_string())
    });
    // As many buffers, of which one call fills no more than it promises (D5).
    let mut rooms = vec![[0; 64]; COUNT];
    let mut buffers: Vec<_> = rooms.iter_mut().map(|room| DatagramBuffer::new(room)).collect();
    let (socket, mut arrived) = (SocketRef::from(&theirs), Vec::new());
    while arrived.len() < COUNT {
        wait_readable(&theirs);
        let count = socket.receive_batch(&mut buffers, ReceiveFlags::DONT_WAIT).unwrap();
        assert!((1..=limits::DATAGRAMS_PER_CALL).contains(&count), "{count}");
        arrived.extend(buffers[..count].iter().map(|datagram| datagram.bytes().to_vec()));
    }
    assert_eq!(worker.join().unwrap(), Ok(()));
    assert_eq!(arrived, expected);
}

/// Signals do not end a batch that waits for room, and nothing is lost or sent twice.
#[rstest]
fn i2b_signals_do_not_end_a_batch(#[values(None, Some(PATIENCE))] limit: Option<Duration>) {
    install_handler();
    let (ours, theirs) = pair();
    if let Some(limit) = limit {
        sockets::set_send_timeout(&ours, limit);
    }
    let texts = texts(5 * MANY);
    let expected: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let worker = std::thread::spawn(move || {
        let data: Vec<_> = texts.iter().map(|text| [IoSlice::new(text.as_bytes())]).collect();
        let batch: Vec<_> = data.iter().map(|slices| Datagram::new(slices)).collect();
        SocketRef::from(&ours).send_batch(&batch, NO_FLAGS).map_err(|stopped| stopped.to_string())
    });
    // First it has no room.
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_millis(100) {
        assert!(!worker.is_finished(), "it did not wait");
        signal(&worker);
        std::thread::sleep(Duration::from_millis(1));
    }
    let arrived = std::cell::RefCell::new(Vec::new());
    let mut rooms = [[0; 64]; 3];
    let buffers =
        std::cell::RefCell::new(rooms.iter_mut().map(|room| DatagramBuffer::new(room)).collect::<Vec<_>>());
    let receive_some = || {
        let mut buffers = buffers.borrow_mut();
        let some = SocketRef::from(&theirs).receive_batch(&mut buffers, ReceiveFlags::DONT_WAIT).unwrap_or(0);
        arrived.borrow_mut().extend(buffers[..some].iter().map(|datagram| datagram.bytes().to_vec()));
        some
    };
    let outcome = finished(worker, |worker| {
        signal(worker);
        receive_some();
    });
    assert_eq!(outcome, Ok(()));
    while receive_some() > 0 {}
    assert_eq!(arrived.into_inner(), expected);
}

/// The time limit ends a batch that finds no room, and those before it are counted. Signals do not extend it on Linux.
#[rstest]
fn i4b_a_time_limit_ends_a_batch(#[values(false, true)] with_signals: bool) {
    const LIMIT: Duration = Duration::from_millis(100);
    install_handler();
    let (ours, theirs) = pair();
    sockets::set_send_timeout(&ours, LIMIT);
    let worker = std::thread::spawn(move || {
        let slices = [IoSlice::new(b"x")];
        let batch = vec![Datagram::new(&slices); 20 * MANY];
        let started = std::time::Instant::now();
        let stopped = SocketRef::from(&ours).send_batch(&batch, NO_FLAGS).unwrap_err();
        (count_of(stopped), started.elapsed())
    });
    let (accepted, elapsed) = finished(worker, |worker| {
        if with_signals {
            signal(worker);
        }
    });
    assert!(elapsed >= LIMIT, "it did not wait: {elapsed:?}");
    let mut receiver = Receiver::new(SocketRef::from(&theirs));
    assert!(accepted > 0);
    assert_eq!(receiver.receive(accepted).len(), accepted);
    assert_eq!(receiver.batch(ReceiveFlags::DONT_WAIT).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// The network's report of an earlier datagram may be lost in a batch. The next datagrams bring it again.
#[test]
fn d4_a_refusal_comes_again() {
    let (_reserved, to) = sockets::port_that_refuses();
    let ours = udp();
    ours.connect(to).unwrap();
    let (socket, slices) = (SocketRef::udp_v4(&ours), [IoSlice::new(b"x")]);
    let batch = [Datagram::new(&slices); 3];
    let refused = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        socket.send_batch(&batch, NO_FLAGS).err()
    });
    assert_eq!(refused.expect("it is told within 100 batches").kind(), ErrorKind::Refused);
}

#[test]
fn d5_it_takes_what_is_there_and_waits_for_no_more() {
    let (ours, theirs) = (udp(), udp());
    for text in texts(3) {
        ours.send_to(text.as_bytes(), theirs.local_addr().unwrap()).unwrap();
    }
    let mut receiver = Receiver::new(SocketRef::udp_v4(&theirs));
    assert_eq!(receiver.receive(3).len(), 3);
    let nothing = receiver.batch(ReceiveFlags::DONT_WAIT).unwrap_err();
    assert_eq!((nothing.kind(), nothing.operation().name()), (ErrorKind::WouldBlock, "receive_batch"));

    // A blocking call returns with the first.
    ours.send_to(b"x", theirs.local_addr().unwrap()).unwrap();
    assert_eq!(receiver.batch(ReceiveFlags::empty()).unwrap(), [b"x"]);
}

/// The receiver closes while the sender waits for room: sendmmsg(2) of Linux drops the error that says so.
#[rstest]
fn d4b_a_receiver_that_closes_during_the_call(#[values(false, true)] by_segments: bool) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let worker = std::thread::spawn(move || {
        let (socket, bytes) = (SocketRef::from(&ours), vec![7; 1000 * 500]);
        let outcome = match by_segments {
            true => Segments::new(&bytes, 500).send(&socket, &mut SegmentOffload::new(), NO_FLAGS),
            false => {
                let slices = [IoSlice::new(&bytes[..500])];
                socket.send_batch(&[Datagram::new(&slices); 1000], NO_FLAGS)
            }
        };
        (outcome, socket.send(b"x", NO_FLAGS))
    });
    wait_readable(&theirs);
    drop(theirs);
    let (outcome, next) = finished(worker, |_| {});
    let stopped = outcome.unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Reset, "{stopped}");
    assert!(stopped.accepted() > 0, "{stopped}");
    assert_eq!(next.unwrap_err().kind(), ErrorKind::DestinationRequired, "S17: it is said once");
}

/// Datagrams that had addresses say nothing of a peer.
#[test]
fn d4b_a_datagram_without_an_address_and_without_a_peer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("receiver");
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let ours = UnixDatagram::unbound().unwrap();
    let (slices, to) = ([IoSlice::new(b"x")], Address::unix(&path).unwrap());
    let batch = [Datagram::new(&slices).to(&to), Datagram::new(&slices)];
    let stopped = SocketRef::from(&ours).send_batch(&batch, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (ErrorKind::DestinationRequired, 1));
}

#[test]
fn d5_one_call_fills_no_more_than_it_promises() {
    let (ours, theirs) = pair();
    theirs.set_nonblocking(true).unwrap();
    let mut sent = 0;
    ours.set_nonblocking(true).unwrap();
    while sent < MANY && ours.send(b"x").is_ok() {
        sent += 1;
    }
    let received = Receiver::new(SocketRef::from(&theirs)).batch(ReceiveFlags::empty()).unwrap().len();
    assert_eq!(received, sent.min(limits::DATAGRAMS_PER_CALL));
}

#[test]
fn d6_truncated_empty_and_unnamed_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let [to, from] = ["to", "from"].map(|name| directory.path().join(name));
    let theirs = UnixDatagram::bind(&to).unwrap();
    let (named, unnamed) = (UnixDatagram::bind(&from).unwrap(), UnixDatagram::unbound().unwrap());
    named.send_to(b"long", &to).unwrap();
    unnamed.send_to(b"", &to).unwrap();
    unnamed.send_to(b"it", &to).unwrap();
    let mut rooms = [[0; 2]; 4];
    let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
    assert_eq!(SocketRef::from(&theirs).receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(3));
    let told =
        |buffer: &DatagramBuffer<'_>| (buffer.bytes().to_vec(), buffer.is_truncated(), buffer.sender());
    assert_eq!(told(&buffers[0]), (b"lo".to_vec(), true, Some(Address::unix(&from).unwrap())));
    assert_eq!(told(&buffers[1]), (vec![], false, None));
    assert_eq!(told(&buffers[2]), (b"it".to_vec(), false, None));
    assert_eq!(told(&buffers[3]), (vec![], false, None), "it was not filled");
}

#[test]
fn d6_each_has_its_destination_and_its_sender() {
    let theirs = UdpSocket::bind("0.0.0.0:0").unwrap();
    let socket = SocketRef::udp_v4(&theirs);
    socket.receive_destinations().unwrap();
    let to = (Ipv4Addr::LOCALHOST, theirs.local_addr().unwrap().port());
    let senders = [udp(), udp()];
    for sender in &senders {
        sender.send_to(b"ping", to).unwrap();
        wait_readable(&theirs);
    }
    let (mut rooms, mut count) = ([[0; 10]; 2], 0);
    let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
    while count < 2 {
        count += socket.receive_batch(&mut buffers[count..], ReceiveFlags::empty()).unwrap();
    }
    for (sender, datagram) in senders.iter().zip(&buffers) {
        assert_eq!(datagram.sender(), Some(address(sender)));
        assert_eq!(datagram.destination().unwrap().address, Ipv4Addr::LOCALHOST);
        assert!(!datagram.descriptors_lost());
    }
}

/// A buffer that is used again says what came last.
#[test]
fn d6_what_was_there_before_is_forgotten() {
    let (ours, theirs) = (udp(), udp());
    let mut room = [0; 4];
    let mut buffers = [DatagramBuffer::new(&mut room)];
    for (sent, expected, truncated) in [(&b"longer"[..], &b"long"[..], true), (b"x", b"x", false)] {
        ours.send_to(sent, theirs.local_addr().unwrap()).unwrap();
        SocketRef::udp_v4(&theirs).receive_batch(&mut buffers, ReceiveFlags::empty()).unwrap();
        assert_eq!((buffers[0].bytes(), buffers[0].is_truncated()), (expected, truncated));
    }
}

/// A signal ends a call that waits for the first, and no call after it knows.
#[test]
fn d7_an_interruption_is_told_once() {
    install_handler();
    let (ours, theirs) = (udp(), udp());
    let to = theirs.local_addr().unwrap();
    let worker = std::thread::spawn(move || {
        let interrupted = Receiver::new(SocketRef::udp_v4(&theirs)).batch(ReceiveFlags::empty());
        (theirs, interrupted.map_err(|error| error.kind()))
    });
    let (theirs, interrupted) = finished(worker, signal);
    assert_eq!(interrupted, Err(ErrorKind::Interrupted));
    let mut receiver = Receiver::new(SocketRef::udp_v4(&theirs));
    for _ in 0..2 {
        ours.send_to(b"x", to).unwrap();
        assert_eq!(receiver.receive(1), [b"x"]);
    }
    assert_eq!(SocketRef::udp_v4(&theirs).send_to(b"x", &address(&ours), NO_FLAGS), Ok(1));
}

/// The same with a time limit, which also ends the call.
#[rstest]
fn d7_a_time_limit_and_a_signal(#[values(false, true)] with_signals: bool) {
    install_handler();
    let (ours, theirs) = (udp(), udp());
    let limit = if with_signals { PATIENCE } else { Duration::from_millis(100) };
    theirs.set_read_timeout(Some(limit)).unwrap();
    let to = theirs.local_addr().unwrap();
    let worker = std::thread::spawn(move || {
        let ended = Receiver::new(SocketRef::udp_v4(&theirs)).batch(ReceiveFlags::empty());
        (theirs, ended.map_err(|error| error.kind()))
    });
    let started = std::time::Instant::now();
    let (theirs, ended) = finished(worker, |worker| {
        if with_signals {
            signal(worker);
        }
    });
    let expected = if with_signals { ErrorKind::Interrupted } else { ErrorKind::WouldBlock };
    assert_eq!(ended, Err(expected));
    assert!(!with_signals || started.elapsed() < PATIENCE);
    ours.send_to(b"x", to).unwrap();
    assert_eq!(
        Receiver::new(SocketRef::udp_v4(&theirs)).batch(ReceiveFlags::empty()),
        Ok(vec![b"x".to_vec()])
    );
}

/// The kernel closes descriptors, and so does the receiver if the socket was declared as what it is not: a pipe without
/// writers is at its end.
#[rstest]
fn d8_descriptors_are_closed(#[values(SocketKind::UnixDatagram, SocketKind::UdpV4)] declared: SocketKind) {
    let (ours, theirs) = pair();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let socket = match declared {
        SocketKind::UdpV4 => SocketRef::udp_v4(&theirs),
        _ => SocketRef::from(&theirs),
    };
    let mut room = [0; 10];
    let mut buffers = [DatagramBuffer::new(&mut room)];
    for _ in 0..3 {
        let mut slices = [IoSlice::new(b"x")];
        Message::new(&mut slices)
            .with_descriptors(&[writer.as_fd(); 3])
            .send(&SocketRef::from(&ours), NO_FLAGS)
            .unwrap();
        assert_eq!(socket.receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(1));
        assert_eq!(buffers[0].bytes(), b"x");
        if declared == SocketKind::UnixDatagram {
            assert_eq!(buffers[0].descriptors_lost(), differs(true, false));
        }
    }
    drop(writer);
    assert!(
        !polled(&reader, PollFlags::POLLIN | PollFlags::POLLHUP, PATIENCE).is_empty(),
        "a writer is left"
    );
    assert_eq!(nix::unistd::read(&reader, &mut [0]), Ok(0));
}

/// A batch and single calls can take turns.
#[test]
fn d5_single_receives_see_the_rest() {
    let (ours, theirs) = (udp(), udp());
    for text in ["one", "two", "three"] {
        ours.send_to(text.as_bytes(), theirs.local_addr().unwrap()).unwrap();
    }
    let socket = SocketRef::udp_v4(&theirs);
    let mut rooms = [[0; 10]; 1];
    let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
    assert_eq!(socket.receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(1));
    let (mut control, mut buffer) = (ControlBuffer::new(), [0; 10]);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    wait_readable(&theirs);
    assert_eq!(socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap().bytes(), 3);
    assert_eq!(socket.receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(1));
    assert_eq!(buffers[0].bytes(), b"three");
}

/// A batch of peeks would be one datagram several times.
#[test]
fn d5_a_batch_does_not_peek() {
    let (ours, theirs) = (udp(), udp());
    ours.send_to(b"x", theirs.local_addr().unwrap()).unwrap();
    let mut receiver = Receiver::new(SocketRef::udp_v4(&theirs));
    for flags in [ReceiveFlags::PEEK, ReceiveFlags::OUT_OF_BAND, ReceiveFlags::from_bits_retain(0x40)] {
        let refused = receiver.batch(flags | ReceiveFlags::DONT_WAIT).unwrap_err();
        assert_eq!((refused.kind(), refused.kernel_errno()), (ErrorKind::Unsupported, None));
    }
    assert_eq!(receiver.receive(1), [b"x"]);
}

/// A stream that was declared as a socket of datagrams accepts a part of one. What follows it would leave a hole.
#[rstest]
fn l4c_a_stream_has_no_hole(#[values(false, true)] by_segments: bool) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    sockets::set_buffer(&ours, libc::SO_SNDBUF, 8192);
    sockets::set_send_timeout(&ours, Duration::from_millis(100));
    let socket = SocketRef::unix_datagram(&ours);
    let bytes = sockets::pattern(4 * 60_000);
    let stopped = if by_segments {
        Segments::new(&bytes, 60_000).send(&socket, &mut SegmentOffload::new(), NO_FLAGS)
    } else {
        let slices: Vec<_> = bytes.chunks(60_000).map(|chunk| [IoSlice::new(chunk)]).collect();
        let batch: Vec<_> = slices.iter().map(|slices| Datagram::new(slices)).collect();
        socket.send_batch(&batch, NO_FLAGS)
    };
    let stopped = stopped.unwrap_err();
    assert_eq!((stopped.accepted(), stopped.kind()), (0, ErrorKind::Other), "{stopped}");
    drop(ours);
    let mut arrived = Vec::new();
    std::io::Read::read_to_end(&mut { theirs }, &mut arrived).unwrap();
    assert!(arrived.len() < bytes.len() && bytes.starts_with(&arrived), "{} bytes", arrived.len());
}

#[test]
fn debug_says_how_much_and_not_what() {
    let (slices, mut room) = ([IoSlice::new(b"secret")], *b"secret");
    let buffer = DatagramBuffer::new(&mut room);
    assert_eq!(format!("{:?}", Datagram::new(&slices)), "Datagram { bytes: 6, to: None, source: None, .. }");
    assert_eq!(format!("{buffer:?}"), "DatagramBuffer { bytes: 0, sender: None, .. }");
    let segments = format!("{:?}", Segments::new(b"secret", 2));
    assert_eq!(segments, "Segments { bytes: 6, size: 2, to: None, source: None, .. }");
}

/// What was accepted whole before it is counted.
#[test]
fn l4c_a_stream_has_no_hole_behind_a_whole_datagram() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    sockets::set_buffer(&ours, libc::SO_SNDBUF, 8192);
    sockets::set_send_timeout(&ours, Duration::from_millis(100));
    let bytes = sockets::pattern(10 + 2 * 60_000);
    let slices = [&bytes[..10], &bytes[10..60_010], &bytes[60_010..]].map(|part| [IoSlice::new(part)]);
    let batch = slices.each_ref().map(|slices| Datagram::new(slices));
    let worker = std::thread::spawn(move || {
        // It makes room while the batch goes on.
        let mut arrived = Vec::new();
        std::thread::sleep(Duration::from_millis(300));
        std::io::Read::read_to_end(&mut { theirs }, &mut arrived).unwrap();
        arrived
    });
    let stopped = SocketRef::unix_datagram(&ours).send_batch(&batch, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.accepted(), stopped.kind()), (1, ErrorKind::Other), "{stopped}");
    drop(ours);
    let arrived = worker.join().unwrap();
    assert!(
        (10..bytes.len()).contains(&arrived.len()) && bytes.starts_with(&arrived),
        "{} bytes",
        arrived.len()
    );
}
