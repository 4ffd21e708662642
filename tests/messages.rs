//! Messages with descriptors: which are refused, what arrives, and what is left after a part was sent (L11,
//! L12, R3 to R31).

mod sockets;

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::fstat;
use rstest::rstest;
use sockets::{NO_FLAGS, Pair, differs};
use unisend::SocketKind::{self, *};
use unisend::{Address, ControlBuffer, ErrorKind, Message, ReceiveFlags, SendFlags, SocketRef, limits};

fn seqpacket_pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::empty()).expect("a pair")
}

fn null() -> File {
    File::open("/dev/null").expect("/dev/null")
}

/// What tells one open file from another.
fn identity(descriptor: impl AsFd) -> (u64, u64) {
    let status = fstat(descriptor).expect("a descriptor that is open");
    (status.st_dev as u64, status.st_ino as u64)
}

/// Receives into so many bytes without waiting: the bytes, the descriptors, and whether it is the end.
fn receive(
    socket: &SocketRef<'_, impl Sized>,
    room: usize,
) -> Result<(Vec<u8>, Vec<OwnedFd>, bool), ErrorKind> {
    let mut control = ControlBuffer::new();
    let mut bytes = vec![0; room];
    let received = socket.receive(&mut [IoSliceMut::new(&mut bytes)], &mut control, ReceiveFlags::DONT_WAIT);
    let received = received.map_err(|error| error.kind())?;
    let (count, end) = (received.bytes(), received.is_end_of_file());
    let descriptors = received.into_descriptors().collect();
    bytes.truncate(count);
    Ok((bytes, descriptors, end))
}

#[rstest]
#[case::l11_too_many(b"x", 127, ErrorKind::TooManyDescriptors, "126")]
#[case::l11_far_too_many(b"x", 2000, ErrorKind::TooManyDescriptors, "126")]
fn refused_on_every_unix_socket(
    #[case] bytes: &[u8],
    #[case] count: usize,
    #[case] kind: ErrorKind,
    #[case] says: &str,
) {
    let (stream, stream_peer) = UnixStream::pair().expect("a pair");
    let (datagram, datagram_peer) = UnixDatagram::pair().expect("a pair");
    let (seqpacket, seqpacket_peer) = seqpacket_pair();
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(bytes)], vec![null.as_fd(); count]);
    let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
    for (socket, peer) in [
        (SocketRef::from(&stream), SocketRef::from(&stream_peer)),
        (SocketRef::from(&datagram).into(), SocketRef::from(&datagram_peer).into()),
        (SocketRef::unix_seqpacket(&seqpacket), SocketRef::unix_seqpacket(&seqpacket_peer)),
    ] {
        let error = message.send(&socket, NO_FLAGS).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (kind, None));
        assert!(error.to_string().contains(says), "{error}");
        let stopped = message.send_all(&socket, NO_FLAGS).unwrap_err();
        assert_eq!((stopped.kind(), stopped.accepted()), (kind, 0));
        assert_eq!(receive(&peer, 4).unwrap_err(), ErrorKind::WouldBlock, "nothing was sent");
    }
}

#[rstest]
fn l12_refused_on_internet_sockets() {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(b"x")], [null.as_fd()]);
    let message = Message::new(&mut slices).with_descriptors(&descriptors);
    for socket in [SocketRef::tcp(&tcp), SocketRef::udp_v4(&udp).into(), SocketRef::other(&udp)] {
        let error = message.send(&socket, NO_FLAGS).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None));
    }
}

#[rstest]
fn they_arrive_in_order_and_are_the_same_files(#[values(1, 2, 3, 126)] count: usize) {
    if count > 3 && !sockets::room_for_descriptors() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let files: Vec<File> = (0..count)
        .map(|index| File::create(directory.path().join(index.to_string())).expect("a file"))
        .collect();
    let descriptors: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut slices = [IoSlice::new(b"fi"), IoSlice::new(b""), IoSlice::new(b"les")];
    let message = Message::new(&mut slices).with_descriptors(&descriptors);
    assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS), Ok(5));

    let (bytes, received, end) = receive(&SocketRef::from(&theirs), 64).expect("a message");
    assert_eq!((bytes.as_slice(), end), (b"files".as_slice(), false));
    let sent: Vec<_> = files.iter().map(identity).collect();
    assert_eq!(received.iter().map(identity).collect::<Vec<_>>(), sent);
}

/// What is left of a large message in a buffer is not taken for descriptors of the next one.
/// They are owned: nothing has to be borrowed one by one.
#[rstest]
fn the_length_says_how_many_are_left(#[values(0, 1, 2, 126)] count: usize) {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    let files: Vec<File> = (0..count).map(|_| null()).collect();
    let mut slices = [IoSlice::new(b"x")];
    let message = Message::new(&mut slices).with_descriptors(&files);
    assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS), Ok(1));

    let (mut control, mut buffer) = (ControlBuffer::new(), [0; 1]);
    let mut data = [IoSliceMut::new(&mut buffer)];
    let mut received =
        SocketRef::from(&theirs).receive(&mut data, &mut control, ReceiveFlags::empty()).expect("a message");
    let descriptors = received.descriptors();
    for left in (0..count).rev() {
        assert_eq!(descriptors.len(), left + 1);
        drop(descriptors.next().expect("one more"));
        assert_eq!(descriptors.size_hint(), (left, Some(left)));
    }
    assert!(descriptors.next().is_none());
    assert_eq!(descriptors.len(), 0);
}

/// It is taken if it is the only one: of several, the first would be as good as any, and the others lost.
#[rstest]
#[case::none(0, false, 0)]
#[case::one(1, true, 0)]
#[case::several(3, false, 3)]
fn one_descriptor_is_taken(#[case] count: usize, #[case] is_taken: bool, #[case] left: usize) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let file = null();
    let mut slices = [IoSlice::new(b"x")];
    let socket = SocketRef::from(&ours);
    let sent = match count {
        1 => Message::new(&mut slices).with_descriptor(&file).send(&socket, NO_FLAGS),
        _ => Message::new(&mut slices).with_descriptors(&vec![&file; count]).send(&socket, NO_FLAGS),
    };
    assert_eq!(sent, Ok(1));

    let (mut control, mut buffer) = (ControlBuffer::new(), [0; 1]);
    let mut data = [IoSliceMut::new(&mut buffer)];
    let mut received =
        SocketRef::from(&theirs).receive(&mut data, &mut control, ReceiveFlags::empty()).expect("a message");
    let taken = received.take_descriptor();
    assert_eq!(taken.map(identity), is_taken.then(|| identity(&file)));
    assert_eq!(received.descriptors().len(), left);
}

#[test]
fn a_control_buffer_is_used_again() {
    if !sockets::room_for_descriptors() {
        return;
    }
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (null, zero) = (null(), File::open("/dev/zero").expect("/dev/zero"));
    let mut control = ControlBuffer::new();
    let mut bytes = [0; 8];
    for (count, descriptor) in [(126, &null), (0, &null), (1, &zero), (0, &zero), (2, &null)] {
        let (mut slices, descriptors) = ([IoSlice::new(b"x")], vec![descriptor.as_fd(); count]);
        let message = Message::new(&mut slices).with_descriptors(&descriptors);
        message.send(&SocketRef::from(&ours), NO_FLAGS).expect("room");
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let received = SocketRef::from(&theirs).receive(&mut slices, &mut control, ReceiveFlags::empty());
        let received: Vec<OwnedFd> = received.expect("a message").into_descriptors().collect();
        assert_eq!(received.len(), count);
        assert!(received.iter().all(|each| identity(each) == identity(descriptor)));
    }
}

#[test]
fn no_bytes_are_the_end_only_when_the_peer_has_gone() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let socket = SocketRef::from(&theirs);
    assert_eq!(receive(&socket, 4).unwrap_err(), ErrorKind::WouldBlock);
    SocketRef::from(&ours).send(b"x", NO_FLAGS).expect("room");
    let no_room = receive(&socket, 0).expect("a message");
    assert_eq!((no_room.0.len(), no_room.2), (0, false), "there was no room for a byte");
    drop(ours);
    assert!(!receive(&socket, 4).expect("the byte").2);
    assert!(receive(&socket, 4).expect("the end").2);
}

#[test]
fn an_empty_datagram_is_no_end() {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    SocketRef::from(&ours).send(b"", NO_FLAGS).expect("room");
    let (bytes, _, end) = receive(&SocketRef::from(&theirs), 4).expect("a datagram");
    assert_eq!((bytes.len(), end), (0, false));
}

#[rstest]
#[case::one_part(100)]
#[case::r8_parts(3_000_000)]
fn r8_the_rest_goes_without_them(#[case] length: usize) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a flag");
    let data: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
    let (first, second) = data.split_at(length / 3);
    let mut slices = [IoSlice::new(first), IoSlice::new(&[]), IoSlice::new(second)];
    let null = null();
    let descriptors = [null.as_fd(); 3];
    let mut message = Message::new(&mut slices).with_descriptors(&descriptors);

    let (mut read, mut arrived, mut accepted, mut done) = (Vec::new(), 0, 0, false);
    while !done {
        match message.send_all(&SocketRef::from(&ours), NO_FLAGS) {
            Ok(()) => done = true,
            Err(stopped) => {
                assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
                // It is full: a second try accepts nothing, and must not begin again.
                let again = message.send_all(&SocketRef::from(&ours), NO_FLAGS).unwrap_err();
                accepted += stopped.accepted() + again.accepted();
            }
        }
        while let Ok((bytes, descriptors, _)) = receive(&SocketRef::from(&theirs), 1 << 20) {
            arrived += descriptors.len();
            read.extend(bytes);
        }
    }
    assert_eq!(arrived, 3);
    assert!(accepted <= length, "no byte was counted twice");
    assert!(read == data, "the bytes are those that were sent, in order");
}

#[test]
fn more_slices_than_one_message_takes() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let data: Vec<u8> = (0..5000_usize).map(|index| (index % 251) as u8).collect();
    let mut slices: Vec<IoSlice<'_>> = data.chunks(1).map(IoSlice::new).collect();
    let null = null();
    let descriptors = [null.as_fd()];
    let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
    assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS).unwrap_err().kind(), ErrorKind::TooManySlices);
    let reader = std::thread::spawn(move || {
        let (mut read, mut arrived) = (Vec::<u8>::new(), 0);
        loop {
            let mut control = ControlBuffer::new();
            let mut bytes = [0; 4096];
            let mut slices = [IoSliceMut::new(&mut bytes)];
            let received = SocketRef::from(&theirs).receive(&mut slices, &mut control, ReceiveFlags::empty());
            let received = received.expect("data");
            let (count, end) = (received.bytes(), received.is_end_of_file());
            arrived += received.into_descriptors().count();
            if end {
                return (read, arrived);
            }
            assert!(count > 0, "no bytes, and not the end");
            read.extend(&bytes[..count]);
        }
    });
    message.send_all(&SocketRef::from(&ours), NO_FLAGS).expect("a reader");
    drop(ours);
    let (read, arrived) = reader.join().expect("a reader");
    assert_eq!(arrived, 1);
    assert!(read == data);
}

/// An empty slice is nothing to send, and must not be all that a call is given.
#[rstest]
#[case::none(0)]
#[case::one_call_of_them(1024)]
#[case::more(3000)]
fn l4c_empty_slices_before_the_data(#[case] empty: usize, #[values(0, 1)] count: usize) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let null = null();
    let mut slices = vec![IoSlice::new(&[]); empty];
    slices.extend([IoSlice::new(b"da"), IoSlice::new(&[]), IoSlice::new(b"ta")]);
    let descriptors = vec![null.as_fd(); count];
    let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
    assert_eq!(message.send_all(&SocketRef::from(&ours), NO_FLAGS), Ok(()));
    let (bytes, received, _) = receive(&SocketRef::from(&theirs), 64).expect("a message");
    assert_eq!((bytes.as_slice(), received.len()), (b"data".as_slice(), count));
}

/// A part of a message, and a message that was sent, are sent nowhere but on a stream: neither what is left nor, if
/// nothing is, an empty datagram.
#[rstest]
fn r8c_nothing_is_sent_of_the_rest_of_a_record(
    #[values("unix datagram", "seqpacket", "udp", "other")] what: &str,
    #[values(1, 2, 3, 4)] accepted: usize,
) {
    let (unix, unix_peer) = UnixDatagram::pair().expect("a pair");
    let (packet, packet_peer) = seqpacket_pair();
    let (udp, udp_peer) = sockets::udp_pair();
    let (socket, peer) = match what {
        "unix datagram" => (SocketRef::from(&unix).into(), SocketRef::from(&unix_peer).into()),
        "seqpacket" => (SocketRef::unix_seqpacket(&packet), SocketRef::unix_seqpacket(&packet_peer)),
        "udp" => (SocketRef::udp_v4(&udp).into(), SocketRef::udp_v4(&udp_peer).into()),
        _ => (SocketRef::other(&unix), SocketRef::from(&unix_peer).into()),
    };
    let mut slices = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
    let mut message = Message::new(&mut slices);
    message.advance(accepted);
    let error = message.send(&socket, NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::InvalidInput, None));
    let stopped = message.send_all(&socket, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (ErrorKind::InvalidInput, 0));
    assert_eq!(receive(&peer, 8).unwrap_err(), ErrorKind::WouldBlock, "nothing was sent");
}

/// Nothing was accepted: it is the whole message still, on every kind of socket, with its descriptors.
#[test]
fn r8c_a_message_that_was_advanced_by_nothing_is_whole() {
    let null = null();
    for kind in [UnixStream, UnixDatagram, UnixSeqpacket] {
        let pair = Pair::new(kind);
        let (mut slices, descriptors) = ([IoSlice::new(b"whole")], [null.as_fd()]);
        let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
        message.advance(0);
        assert_eq!(message.send_all(&pair.socket(), NO_FLAGS), Ok(()));
        let (bytes, received, _) = receive(&sockets::declared(kind, &pair.theirs), 8).expect("a message");
        assert_eq!((bytes.as_slice(), received.len()), (b"whole".as_slice(), 1));
    }
}

#[test]
fn r8c_a_datagram_is_not_sent_twice() {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    let mut slices = [IoSlice::new(b"once")];
    let mut message = Message::new(&mut slices);
    assert_eq!(message.send_all(&SocketRef::from(&ours), NO_FLAGS), Ok(()));
    let stopped = message.send_all(&SocketRef::from(&ours), NO_FLAGS).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::InvalidInput);
    assert_eq!(receive(&SocketRef::from(&theirs), 8).expect("a datagram").0, b"once");
    assert_eq!(receive(&SocketRef::from(&theirs), 8).unwrap_err(), ErrorKind::WouldBlock);
}

/// A message without a byte was sent like any other: neither its descriptors nor an empty datagram go again.
#[rstest]
fn r8c_a_datagram_without_a_byte_is_not_sent_twice(#[values(0, 2)] count: usize) {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(b"")], vec![null.as_fd(); count]);
    let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
    assert_eq!(message.send_all(&SocketRef::from(&ours), NO_FLAGS), Ok(()));
    let stopped = message.send_all(&SocketRef::from(&ours), NO_FLAGS).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::InvalidInput);
    assert_eq!(receive(&SocketRef::from(&theirs), 8).expect("a datagram").1.len(), count);
    assert_eq!(receive(&SocketRef::from(&theirs), 8).unwrap_err(), ErrorKind::WouldBlock);
}

/// A message that was advanced too far, and whose panic was caught, sends nothing that was not meant.
#[test]
fn r8c_after_a_panic_nothing_is_sent() {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(b"four")], [null.as_fd()]);
    let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
    let advanced = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| message.advance(5)));
    assert!(advanced.is_err());
    let error = message.send(&SocketRef::from(&ours), NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(receive(&SocketRef::from(&theirs), 8).unwrap_err(), ErrorKind::WouldBlock);
}

/// A second message goes on with the rest of the first, and not with its array.
#[test]
fn what_is_left_can_be_taken_out() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut slices = [IoSlice::new(b"first"), IoSlice::new(b"second")];
    let mut message = Message::new(&mut slices);
    message.advance(7);
    let rest = message.into_rest();
    assert_eq!(Message::new(rest).send_all(&SocketRef::from(&ours), NO_FLAGS), Ok(()));
    assert_eq!(receive(&SocketRef::from(&theirs), 64).expect("data").0, b"cond");
}

#[test]
fn what_is_left_goes_on_other_streams_too() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut slices = [IoSlice::new(b"first"), IoSlice::new(b"second")];
    let mut message = Message::new(&mut slices);
    message.advance(3);
    assert_eq!(message.send_all(&SocketRef::other_stream(&ours), NO_FLAGS), Ok(()));
    assert_eq!(receive(&SocketRef::from(&theirs), 64).expect("data").0, b"stsecond");
}

/// Descriptors without a byte: in a datagram or record they are delivered, and are not the end of file. On a stream
/// they are refused.
#[rstest]
fn r4_descriptors_without_a_byte(#[values(1, 3)] count: usize) {
    let (datagram, datagram_peer) = UnixDatagram::pair().expect("a pair");
    let (packet, packet_peer) = seqpacket_pair();
    let (stream, stream_peer) = UnixStream::pair().expect("a pair");
    let null = null();
    let descriptors = vec![null.as_fd(); count];
    for (socket, peer) in [
        (SocketRef::from(&datagram).into(), SocketRef::from(&datagram_peer).into()),
        (SocketRef::unix_seqpacket(&packet), SocketRef::unix_seqpacket(&packet_peer)),
    ] {
        let (mut slices, mut again) = ([IoSlice::new(b"")], [IoSlice::new(b"")]);
        let message = Message::new(&mut slices).with_descriptors(&descriptors);
        assert_eq!(message.send(&socket, NO_FLAGS), Ok(0));
        let mut message = Message::new(&mut again).with_descriptors(&descriptors);
        assert_eq!(message.send_all(&socket, NO_FLAGS), Ok(()));
        for _ in 0..2 {
            let (bytes, received, end) = receive(&peer, 4).expect("a message");
            assert_eq!((bytes.len(), received.len(), end), (0, count, false));
        }
    }
    let mut message = Message::new(&mut []).with_descriptors(&descriptors);
    let error = message.send(&SocketRef::from(&stream), NO_FLAGS).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::DescriptorsWithoutData, None));
    assert!(error.to_string().contains("at least one byte"), "{error}");
    let stopped = message.send_all(&SocketRef::from(&stream), NO_FLAGS).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (ErrorKind::DescriptorsWithoutData, 0));
    assert_eq!(
        receive(&SocketRef::from(&stream_peer), 4).unwrap_err(),
        ErrorKind::WouldBlock,
        "nothing was sent"
    );
}

#[test]
fn a_datagram_with_a_descriptor_to_an_address() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("receiver");
    let receiver = UnixDatagram::bind(&path).expect("a socket");
    let sender = UnixDatagram::unbound().expect("a socket");
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(b"data"), IoSlice::new(b"gram")], [null.as_fd()]);
    let message = Message::new(&mut slices).with_descriptors(&descriptors);
    let to = Address::unix(&path).expect("a path");
    assert_eq!(message.send_to(&SocketRef::unix_datagram(&sender), &to, NO_FLAGS), Ok(8));
    let (bytes, received, _) = receive(&SocketRef::from(&receiver), 64).expect("a datagram");
    assert_eq!(bytes, b"datagram");
    assert_eq!(received.iter().map(identity).collect::<Vec<_>>(), [identity(&null)]);

    let elsewhere = Address::from("127.0.0.1:9".parse::<std::net::SocketAddr>().expect("an address"));
    let error = message.send_to(&SocketRef::unix_datagram(&sender), &elsewhere, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressFamily);
}

/// Clause S17 for the calls that name a destination, and for those that do not.
#[test]
fn s17_and_a10_by_message() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("stale");
    let receiver = UnixDatagram::bind(&path).expect("a socket");
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.connect(&path).expect("a receiver");
    drop(receiver);
    let mut slices = [IoSlice::new(b"x")];
    let message = Message::new(&mut slices);
    assert_eq!(message.send(&SocketRef::from(&sender), NO_FLAGS).unwrap_err().kind(), ErrorKind::Reset);
    let kind = message.send(&SocketRef::from(&sender), NO_FLAGS).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::DestinationRequired);
    let to = Address::unix(&path).expect("a path");
    let alone = UnixDatagram::unbound().expect("a socket");
    let error = message.send_to(&SocketRef::unix_datagram(&alone), &to, NO_FLAGS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[test]
fn r13b_a_record_that_never_fits_is_refused_where_the_buffer_is_known() {
    let (ours, _theirs) = seqpacket_pair();
    let probed = SocketRef::probe(&ours).expect("a socket");
    let bytes = vec![0; probed.send_buffer().expect("it was probed")];
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(&bytes)], [null.as_fd()]);
    let error = Message::new(&mut slices).with_descriptors(&descriptors).send(&probed, SendFlags::DONT_WAIT);
    let error = error.unwrap_err();
    // On Linux the kernel says so itself, of its own limit.
    let by_kernel = differs(true, false);
    assert_eq!((error.kind(), error.kernel_errno().is_some()), (ErrorKind::MessageTooLong, by_kernel));
}

#[rstest]
#[case::unknown_flag(1, 0x40)]
#[case::highest_flag(1, 1 << 31)]
#[case::l5_too_many_slices(limits::SLICES_PER_MESSAGE + 1, 0)]
fn receiving_is_refused_before_the_call(#[case] slices: usize, #[case] flags: u32) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    SocketRef::from(&ours).send(b"kept", NO_FLAGS).expect("room");
    let mut bytes = vec![0; slices];
    let mut slices: Vec<IoSliceMut<'_>> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
    let flags = ReceiveFlags::from_bits_retain(flags);
    let mut control = ControlBuffer::new();
    let error = SocketRef::from(&theirs).receive(&mut slices, &mut control, flags).unwrap_err();
    assert_eq!(error.kernel_errno(), None);
    let error = SocketRef::from(&theirs).receive_without_descriptors(&mut slices, flags).unwrap_err();
    assert_eq!(error.kernel_errno(), None);
    let mut kept = [0; 4];
    theirs.read_exact(&mut kept).expect("the data is there");
    assert_eq!(&kept, b"kept");
}

/// As many as are not too many.
#[test]
fn l5_receiving_into_1024_slices() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut bytes = [0; limits::SLICES_PER_MESSAGE];
    for without_descriptors in [false, true] {
        let data = sockets::pattern(limits::SLICES_PER_MESSAGE);
        SocketRef::from(&ours).send(&data, NO_FLAGS).expect("room");
        let mut slices: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
        let (socket, mut control) = (SocketRef::from(&theirs), ControlBuffer::new());
        let received = match without_descriptors {
            true => socket.receive_without_descriptors(&mut slices, ReceiveFlags::DONT_WAIT),
            false => socket.receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT),
        };
        assert_eq!(received.expect("data").bytes(), limits::SLICES_PER_MESSAGE);
        assert_eq!(bytes, data[..]);
    }
}

/// What is asked of a message that was received, by both calls.
#[derive(Debug, PartialEq)]
struct Said {
    bytes: usize,
    truncated: bool,
    ends_record: bool,
    end_of_file: bool,
}

fn said_of(socket: &SocketRef<'_, impl Sized>, room: usize, without_descriptors: bool) -> Said {
    let mut bytes = vec![0; room];
    let (mut slices, mut control) = ([IoSliceMut::new(&mut bytes)], ControlBuffer::new());
    let received = match without_descriptors {
        true => socket.receive_without_descriptors(&mut slices, ReceiveFlags::DONT_WAIT),
        false => socket.receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT),
    };
    let received = received.expect("a message, or the end");
    assert!(!received.descriptors_lost());
    Said {
        bytes: received.bytes(),
        truncated: received.is_truncated(),
        ends_record: received.ends_record(),
        end_of_file: received.is_end_of_file(),
    }
}

/// What is shorter than the room, as long, or longer, of 4 bytes; and then the end, where there is one.
#[rstest]
fn what_is_said_of_a_message(
    #[values(Tcp, UdpV4, UnixStream, UnixDatagram, UnixSeqpacket)] kind: SocketKind,
    #[values(3, 4, 5)] room: usize,
    #[values(false, true)] without_descriptors: bool,
    #[values(false, true)] with_end_of_record: bool,
) {
    let pair = Pair::new(kind);
    // Of a record of which only a part was received it is not promised.
    let marks = with_end_of_record && kind == UnixSeqpacket && room >= 4;
    let flags = if marks { SendFlags::END_OF_RECORD } else { NO_FLAGS };
    assert_eq!(pair.socket().send(b"data", flags), Ok(4));
    sockets::wait_readable(&pair.theirs);
    let receiver = sockets::declared(kind, &pair.theirs);
    let expected = Said {
        bytes: room.min(4),
        truncated: room < 4 && !kind.is_stream(),
        // F3: OpenBSD says so of a record that was received to its end, Linux never.
        ends_record: marks && sockets::OPENBSD,
        end_of_file: false,
    };
    assert_eq!(said_of(&receiver, room, without_descriptors), expected);
    if kind.is_stream() && room < 4 {
        assert_eq!(said_of(&receiver, 1, without_descriptors).bytes, 1, "the rest");
    }
    // Not one of those that have an end has it before its peer has closed.
    let nothing =
        receiver.receive_without_descriptors(&mut [IoSliceMut::new(&mut [0; 4])], ReceiveFlags::DONT_WAIT);
    assert_eq!(nothing.expect_err("nothing").kind(), ErrorKind::WouldBlock);
    if kind.is_stream() || kind == UnixSeqpacket {
        drop(pair.ours);
        sockets::wait_readable(&pair.theirs);
        let end = Said { bytes: 0, truncated: false, ends_record: false, end_of_file: true };
        assert_eq!(said_of(&receiver, 4, without_descriptors), end);
        assert_eq!(said_of(&receiver, 4, without_descriptors), end);
    }
}

#[rstest]
fn r27_descriptors_are_close_on_exec(#[values(1, 3)] count: usize) {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    let null = null();
    for kind in [UnixStream, UnixDatagram, UnixSeqpacket] {
        let pair = Pair::new(kind);
        let (mut slices, descriptors) = ([IoSlice::new(b"x")], vec![null.as_fd(); count]);
        // The sender's own is not, and makes no difference.
        fcntl(&null, FcntlArg::F_SETFD(FdFlag::empty())).expect("a flag");
        let message = Message::new(&mut slices).with_descriptors(&descriptors);
        assert_eq!(message.send(&pair.socket(), NO_FLAGS), Ok(1));
        let (_, received, _) = receive(&sockets::declared(kind, &pair.theirs), 4).expect("a message");
        assert_eq!(received.len(), count);
        for descriptor in &received {
            let flags = fcntl(descriptor, FcntlArg::F_GETFD).expect("it is open");
            assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::FD_CLOEXEC, "{kind:?}");
        }
    }
}

/// A message of no bytes: nothing on a stream, an empty datagram, and no record (clauses B6, B7, B7b).
#[rstest]
#[case::b6_tcp(Tcp, Ok(0), None)]
#[case::b6_unix_stream(UnixStream, Ok(0), None)]
#[case::b7b_udp(UdpV4, Ok(0), Some(vec![]))]
#[case::b7b_unix_datagram(UnixDatagram, Ok(0), Some(vec![]))]
#[case::b7_unix_seqpacket(UnixSeqpacket, Err(ErrorKind::EmptyRecord), None)]
fn a_message_of_no_bytes(
    #[case] kind: SocketKind,
    #[case] expected: Result<usize, ErrorKind>,
    #[case] arrives: Option<Vec<u8>>,
    #[values(0, 1, 7)] count: usize,
) {
    let pair = Pair::new(kind);
    let socket = pair.socket();
    let arrived = || {
        if arrives.is_some() {
            sockets::wait_readable(&pair.theirs);
        }
        pair.received()
    };
    let mut slices = vec![IoSlice::new(b""); count];
    assert_eq!(Message::new(&mut slices).send(&socket, NO_FLAGS).map_err(|error| error.kind()), expected);
    assert_eq!(arrived(), arrives);
    let all = Message::new(&mut slices).send_all(&socket, NO_FLAGS);
    assert_eq!(all.map(|()| 0).map_err(|stopped| stopped.kind()), expected);
    assert_eq!(arrived(), arrives);
    // And one with a byte is sent.
    assert_eq!(Message::new(&mut [IoSlice::new(b"x")]).send(&socket, NO_FLAGS), Ok(1));
    assert_eq!(pair.arriving(), b"x");
}

/// Receiving sends nothing, whatever a hard error hides of what was sent before (I5).
#[test]
fn i5_an_error_of_receiving_has_sent_nothing() {
    let pair = Pair::new(Tcp);
    sockets::close_with_reset(pair.theirs);
    sockets::wait_readable(&pair.ours);
    let (mut byte, mut control) = ([0], ControlBuffer::new());
    let mut slices = [IoSliceMut::new(&mut byte)];
    let socket = SocketRef::tcp(&pair.ours);
    let error = socket.receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Reset, unisend::Operation::Receive));
    assert!(!error.may_have_sent() && error.peer_gone());
}

#[test]
fn a_truncated_datagram_says_so() {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    SocketRef::from(&ours).send(b"datagram", NO_FLAGS).expect("room");
    let mut bytes = [0; 4];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received = SocketRef::from(&theirs).receive_without_descriptors(&mut slices, ReceiveFlags::empty());
    let received = received.expect("a datagram");
    assert_eq!((received.bytes(), received.is_truncated(), received.descriptors_lost()), (4, true, false));
}

/// Linux says that it had no room for credentials, at the end too.
#[cfg(target_os = "linux")]
#[test]
fn r23b_what_a_socket_was_asked_to_add_is_not_missed_at_the_end() {
    use nix::sys::socket::{setsockopt, sockopt};

    let (ours, theirs) = UnixStream::pair().expect("a pair");
    setsockopt(&theirs, sockopt::PassCred, &true).expect("an option");
    SocketRef::from(&ours).send(b"x", NO_FLAGS).expect("room");
    drop(ours);
    let socket = SocketRef::from(&theirs);
    let mut bytes = [0; 4];
    for expected in [(1, false), (0, true), (0, true)] {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let received = socket.receive_without_descriptors(&mut slices, ReceiveFlags::empty());
        let received = received.expect("data, or the end");
        assert_eq!((received.bytes(), received.is_end_of_file()), expected);
    }
}
