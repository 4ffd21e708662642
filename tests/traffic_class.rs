//! Clauses N6 to N8: the traffic class and the hop limit of datagrams, by every call that sends or receives them.

mod sockets;

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixDatagram;

use rstest::rstest;
use sockets::{NO_FLAGS, OPENBSD, wait_readable};
use unisend::{
    Address, ControlBuffer, Datagram, DatagramBuffer, DatagramSocket, ErrorKind, Message, ReceiveFlags,
    SegmentOffload, Segments, SocketRef,
};

/// The calls that give a datagram its traffic class.
#[derive(Debug, Clone, Copy)]
enum Sends {
    Message,
    MessageTo,
    Batch,
    Segments,
    Divided,
}

impl Sends {
    fn run(self, socket: &SocketRef<'_, DatagramSocket>, to: &Address, class: u8) -> Result<(), ErrorKind> {
        let bytes = [7; 20];
        let mut slices = [IoSlice::new(&bytes)];
        let segments = Segments::new(&bytes, 10).with_traffic_class(class);
        match self {
            Self::Message => Message::new(&mut slices)
                .with_traffic_class(class)
                .send(socket, NO_FLAGS)
                .map(drop)
                .map_err(|error| error.kind()),
            Self::MessageTo => Message::new(&mut slices)
                .with_traffic_class(class)
                .send_to(socket, to, NO_FLAGS)
                .map(drop)
                .map_err(|error| error.kind()),
            Self::Batch => socket
                .send_batch(&[Datagram::new(&slices).to(to).with_traffic_class(class)], NO_FLAGS)
                .map_err(|stopped| stopped.kind()),
            Self::Segments => segments
                .to(to)
                .send(socket, &mut SegmentOffload::new(), NO_FLAGS)
                .map_err(|stopped| stopped.kind()),
            Self::Divided => segments
                .to(to)
                .send(socket, &mut SegmentOffload::never(), NO_FLAGS)
                .map_err(|stopped| stopped.kind()),
        }
    }
}

/// The traffic class and the hop limit of the next datagram.
fn told(socket: &SocketRef<'_, DatagramSocket>) -> (Option<u8>, Option<u8>) {
    wait_readable(socket);
    let (mut control, mut buffer) = (ControlBuffer::new(), [0; 64]);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
    (received.traffic_class(), received.hop_limit())
}

/// The same by a batch.
fn told_by_batch(socket: &SocketRef<'_, DatagramSocket>) -> (Option<u8>, Option<u8>) {
    wait_readable(socket);
    let mut room = [0; 64];
    let mut buffers = [DatagramBuffer::new(&mut room)];
    assert_eq!(socket.receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(1));
    (buffers[0].traffic_class(), buffers[0].hop_limit())
}

/// Every value, all eight bits of it, by every call.
#[rstest]
fn n6_n7_over_ipv6(
    #[values(Sends::Message, Sends::MessageTo, Sends::Batch, Sends::Segments, Sends::Divided)] sends: Sends,
    #[values(0, 1, 2, 3, 0xb8, 0xff)] class: u8,
) {
    let (Some(ours), Some(theirs)) = (sockets::udp_v6(), sockets::udp_v6()) else {
        return sockets::skipped(format_args!("no IPv6 here"));
    };
    let to = theirs.local_addr().unwrap();
    if matches!(sends, Sends::Message) {
        ours.connect(to).unwrap();
    }
    let receiver = SocketRef::udp_v6(&theirs);
    assert_eq!(told_after(&receiver, &ours, to.into()), (None, None), "nobody asked");
    receiver.receive_traffic_classes().unwrap();
    sends.run(&SocketRef::udp_v6(&ours), &to.into(), class).unwrap();
    assert_eq!(told(&receiver), (Some(class), None));
}

/// What is told of an ordinary datagram.
fn told_after(
    receiver: &SocketRef<'_, DatagramSocket>,
    ours: &UdpSocket,
    to: Address,
) -> (Option<u8>, Option<u8>) {
    match ours.peer_addr() {
        Ok(_) => SocketRef::udp_v6(ours).send(b"x", NO_FLAGS).unwrap(),
        Err(_) => SocketRef::udp_v6(ours).send_to(b"x", &to, NO_FLAGS).unwrap(),
    };
    told(receiver)
}

/// OpenBSD would ignore it in silence.
#[rstest]
fn n6_n7_over_ipv4(
    #[values(Sends::Message, Sends::MessageTo, Sends::Batch, Sends::Segments, Sends::Divided)] sends: Sends,
) {
    let (ours, theirs) = sockets::udp_pair();
    let (socket, receiver) = (SocketRef::udp_v4(&ours), SocketRef::udp_v4(&theirs));
    let to = theirs.local_addr().unwrap().into();
    if OPENBSD {
        assert_eq!(receiver.receive_traffic_classes().unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(sends.run(&socket, &to, 2), Err(ErrorKind::Unsupported));
        assert_eq!(sockets::received(&theirs), None, "nothing was sent");
        return;
    }
    receiver.receive_traffic_classes().unwrap();
    sends.run(&socket, &to, 0xba).unwrap();
    assert_eq!(told_by_batch(&receiver), (Some(0xba), None));
}

#[rstest]
fn n8_over_ipv4(#[values(false, true)] by_batch: bool) {
    let (ours, theirs) = sockets::udp_pair();
    ours.set_ttl(33).unwrap();
    let receiver = SocketRef::udp_v4(&theirs);
    receiver.receive_hop_limits().unwrap();
    SocketRef::udp_v4(&ours).send(b"x", NO_FLAGS).unwrap();
    let told = if by_batch { told_by_batch(&receiver) } else { told(&receiver) };
    assert_eq!(told, (None, Some(33)));
}

/// A dual-stack socket receives over both.
#[test]
fn n7_n8_a_dual_stack_socket_is_told_over_ipv4_too() {
    let Ok(theirs) = UdpSocket::bind("[::]:0") else {
        return sockets::skipped(format_args!("no IPv6 here"));
    };
    if OPENBSD {
        return sockets::skipped(format_args!("no socket is dual-stack"));
    }
    let receiver = SocketRef::udp_v6(&theirs);
    receiver.receive_traffic_classes().unwrap();
    receiver.receive_hop_limits().unwrap();
    let ours = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    ours.set_ttl(33).unwrap();
    let to = (Ipv4Addr::LOCALHOST, theirs.local_addr().unwrap().port());
    Sends::MessageTo.run(&SocketRef::udp_v4(&ours), &std::net::SocketAddr::from(to).into(), 3).unwrap();
    assert_eq!(told(&receiver), (Some(3), Some(33)));
}

/// It goes with a source, and each datagram of a batch has its own.
#[test]
fn n6_with_a_source_in_one_message() {
    let Some(theirs) = sockets::udp_v6() else {
        return sockets::skipped(format_args!("no IPv6 here"));
    };
    let ours = UdpSocket::bind("[::]:0").unwrap();
    let to = Address::from(theirs.local_addr().unwrap());
    let receiver = SocketRef::udp_v6(&theirs);
    receiver.receive_traffic_classes().unwrap();
    receiver.receive_hop_limits().unwrap();
    let slices = [IoSlice::new(b"x")];
    let one = Datagram::new(&slices).to(&to);
    let source = std::net::Ipv6Addr::LOCALHOST.into();
    let batch = [one.from_source(source).with_traffic_class(1), one.with_traffic_class(2), one];
    SocketRef::udp_v6(&ours).send_batch(&batch, NO_FLAGS).unwrap();
    for expected in [1, 2, 0] {
        let (class, limit) = told(&receiver);
        assert_eq!((class, limit.is_some()), (Some(expected), true));
    }
}

#[test]
fn n6_n7_n8_a_unix_socket_has_none() {
    let (ours, _theirs) = UnixDatagram::pair().unwrap();
    let socket = SocketRef::from(&ours);
    let mut slices = [IoSlice::new(b"x")];
    let refused = [
        Message::new(&mut slices).with_traffic_class(1).send(&socket, NO_FLAGS).unwrap_err(),
        socket.receive_traffic_classes().unwrap_err(),
        socket.receive_hop_limits().unwrap_err(),
    ];
    for error in refused {
        assert_eq!((error.kind(), error.kernel_errno()), (ErrorKind::Unsupported, None), "{error}");
        assert!(error.to_string().contains("only the datagrams of UDP"), "{error}");
    }
}
