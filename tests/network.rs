//! Datagrams between hosts that are linked by a router: what the network tells of them, and what it changes.
//!
//! Linux only, and only as root, because the hosts are network namespaces.
#![cfg(target_os = "linux")]

mod sockets;

use std::collections::HashSet;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use rstest::rstest;
use sockets::network::{Host, Network, Version, address};
use sockets::signals::{install_handler, signal};
use sockets::{NO_FLAGS, PATIENCE, bounded, finished, polled, set_option, wait_readable};
use unisend::{
    Address, ControlBuffer, Datagram, DatagramBuffer, DatagramSocket, Destination, Error, ErrorKind, Message,
    ReceiveFlags, SegmentOffload, Segments, SocketRef,
};

/// The calls that send datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Send,
    Message,
    Batch,
    Segments,
    /// Segments that are not left to the kernel.
    SegmentsByBatch,
}

impl How {
    /// Sends so many datagrams of these bytes, to the peer if no address is given. Returns how many were accepted before
    /// the one that failed.
    fn run(
        self,
        socket: &SocketRef<'_, DatagramSocket>,
        to: Option<&Address>,
        bytes: &[u8],
        count: usize,
    ) -> Result<(), (usize, ErrorKind)> {
        let slices = [IoSlice::new(bytes)];
        let single = |send: &dyn Fn() -> Result<usize, Error>| {
            (0..count).try_for_each(|index| match send() {
                Ok(sent) => {
                    assert_eq!(sent, bytes.len());
                    Ok(())
                }
                Err(error) => Err((index, error.kind())),
            })
        };
        match self {
            Self::Send => single(&|| match to {
                Some(to) => socket.send_to(bytes, to, NO_FLAGS),
                None => socket.send(bytes, NO_FLAGS),
            }),
            Self::Message => single(&|| {
                let mut slices = slices;
                let message = Message::new(&mut slices);
                match to {
                    Some(to) => message.send_to(socket, to, NO_FLAGS),
                    None => message.send(socket, NO_FLAGS),
                }
            }),
            Self::Batch => {
                let datagram = Datagram::new(&slices);
                let batch = vec![to.map_or(datagram, |to| datagram.to(to)); count];
                socket.send_batch(&batch, NO_FLAGS).map_err(|stopped| (stopped.accepted(), stopped.kind()))
            }
            Self::Segments | Self::SegmentsByBatch => {
                let mut offload = match self {
                    Self::Segments => SegmentOffload::new(),
                    _ => SegmentOffload::never(),
                };
                let all = bytes.repeat(count);
                let segments = Segments::new(&all, bytes.len());
                let segments = to.map_or(segments, |to| segments.to(to));
                segments.send(socket, &mut offload, NO_FLAGS).map_err(|stopped| {
                    assert_eq!(stopped.accepted() % bytes.len(), 0, "a part of a segment");
                    (stopped.accepted() / bytes.len(), stopped.kind())
                })
            }
        }
    }
}

/// The socket declared as what it is.
fn declared(socket: &UdpSocket) -> SocketRef<'_, DatagramSocket> {
    match socket.local_addr().unwrap().is_ipv4() {
        true => SocketRef::udp_v4(socket),
        false => SocketRef::udp_v6(socket),
    }
}

/// A socket of the near host and one of the far host, the first connected to the second.
fn connected(network: &Network, version: Version) -> (UdpSocket, UdpSocket) {
    let (ours, theirs) = unconnected(network, version);
    let to = theirs.local_addr().unwrap();
    network.near.run(|| ours.connect(to).unwrap());
    (ours, theirs)
}

fn unconnected(network: &Network, version: Version) -> (UdpSocket, UdpSocket) {
    let ours = network.near.udp(Network::near_address(version));
    let theirs = network.far.udp(Network::far_address(version));
    (ours, theirs)
}

/// The next datagram, once it is there.
fn arriving(socket: &UdpSocket) -> Vec<u8> {
    wait_readable(socket);
    let mut buffer = vec![0; 70_000];
    let length = socket.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// What the path carries, of the headers and the data: the least that IPv6 allows.
const NARROW: usize = 1280;

/// Fits into the first link and not into the path.
const LONG: &[u8] = &[7; 1400];

/// How long something must not come.
const MOMENT: Duration = Duration::from_millis(100);

/// Whether the network has reported an earlier datagram on this socket, within so long. The report stays.
fn is_reported(socket: &UdpSocket, within: Duration) -> bool {
    polled(socket, PollFlags::empty(), within).contains(PollFlags::POLLERR)
}

fn wait_for_a_report(socket: &UdpSocket) {
    assert!(is_reported(socket, PATIENCE), "no report came");
}

fn is_empty(socket: &UdpSocket) -> bool {
    polled(socket, PollFlags::POLLIN, MOMENT).is_empty()
}

/// Whether datagrams that are longer than the path carries leave in fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fragments {
    Never,
    /// As the path is known: so the kernel does it.
    Known,
    /// Routers may make them too, which only those of IPv4 do.
    Always,
}

impl Fragments {
    fn set(self, socket: &UdpSocket) {
        let (v4, v6) = match self {
            Self::Never => (libc::IP_PMTUDISC_DO, libc::IPV6_PMTUDISC_DO),
            Self::Known => (libc::IP_PMTUDISC_WANT, libc::IPV6_PMTUDISC_WANT),
            Self::Always => (libc::IP_PMTUDISC_DONT, libc::IPV6_PMTUDISC_DONT),
        };
        match socket.local_addr().unwrap().is_ipv4() {
            true => set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, v4),
            false => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, v6),
        }
    }
}

/// The router says that an earlier datagram was too long for the path. The next ones fit, and are sent. (Each first call
/// of the kernel fails with EMSGSIZE, and says nothing of the datagram that is sent.)
#[rstest]
fn s19b_a_report_of_the_path_is_blamed_on_no_other_datagram(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Send, How::Message, How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
    #[values(false, true)] addressed: bool,
) {
    let Some(network) = Network::narrow(version, NARROW) else { return };
    bounded(move || {
        let (ours, theirs) = connected(&network, version);
        Fragments::Never.set(&ours);
        let socket = declared(&ours);
        assert_eq!(socket.send(LONG, NO_FLAGS), Ok(LONG.len()));
        wait_for_a_report(&ours);
        let to = Address::from(theirs.local_addr().unwrap());
        assert_eq!(how.run(&socket, addressed.then_some(&to), b"fits", 3), Ok(()));
        for _ in 0..3 {
            assert_eq!(arriving(&theirs), b"fits");
        }
        // One that does not fit is still told, and those before it are counted.
        let (short, long) = ([IoSlice::new(b"fits")], [IoSlice::new(LONG)]);
        let batch = [Datagram::new(&short), Datagram::new(&long), Datagram::new(&short)];
        let stopped = socket.send_batch(&batch, NO_FLAGS).unwrap_err();
        assert_eq!((stopped.accepted(), stopped.kind()), (1, ErrorKind::MessageTooLong));
        assert_eq!(arriving(&theirs), b"fits");
        assert!(is_empty(&theirs));
    });
}

/// Linux looks at the length before it looks for a report, which stays: a datagram that is too long is told, and those after
/// it are not blamed either.
#[rstest]
fn d4_a_datagram_that_is_too_long_beside_a_report(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
) {
    let Some(network) = Network::narrow(version, NARROW) else { return };
    bounded(move || {
        let (ours, theirs) = connected(&network, version);
        Fragments::Never.set(&ours);
        let socket = declared(&ours);
        assert_eq!(socket.send(LONG, NO_FLAGS), Ok(LONG.len()));
        wait_for_a_report(&ours);
        for _ in 0..2 {
            assert_eq!(how.run(&socket, None, LONG, 2), Err((0, ErrorKind::MessageTooLong)));
        }
        assert_eq!(how.run(&socket, None, b"fits", 2), Ok(()));
        assert_eq!((arriving(&theirs), arriving(&theirs)), (b"fits".to_vec(), b"fits".to_vec()));
        assert!(is_empty(&theirs));
    });
}

/// A receive, or a peek, is told of the path, once.
#[rstest]
fn f7e_a_receive_is_told_of_the_path_once(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(ReceiveFlags::empty(), ReceiveFlags::PEEK)] flags: ReceiveFlags,
) {
    let Some(network) = Network::narrow(version, NARROW) else { return };
    bounded(move || {
        let (ours, theirs) = connected(&network, version);
        Fragments::Never.set(&ours);
        let socket = declared(&ours);
        assert_eq!(socket.send(LONG, NO_FLAGS), Ok(LONG.len()));
        wait_for_a_report(&ours);
        let (mut control, mut room) = (ControlBuffer::new(), [0; 10]);
        let mut receive = || {
            let mut slices = [IoSliceMut::new(&mut room)];
            let received = socket.receive(&mut slices, &mut control, flags | ReceiveFlags::DONT_WAIT);
            received.map(|received| received.bytes()).map_err(|error| error.kind())
        };
        assert_eq!(receive(), Err(ErrorKind::MessageTooLong));
        assert_eq!(receive(), Err(ErrorKind::WouldBlock));
        assert_eq!(socket.send(b"fits", NO_FLAGS), Ok(4));
        assert_eq!(arriving(&theirs), b"fits");
    });
}

/// Once the path is known, what is longer is told to be, or leaves in fragments.
#[rstest]
fn d11_what_is_longer_than_the_path_carries(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Send, How::Message, How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
    #[values(Fragments::Never, Fragments::Known, Fragments::Always)] fragments: Fragments,
    #[values(false, true)] with_address: bool,
) {
    let Some(network) = Network::narrow(version, NARROW) else { return };
    bounded(move || {
        // The other socket finds out.
        let (ours, theirs) = connected(&network, version);
        fragments.set(&ours);
        let by_router = (version, fragments) == (Version::V4, Fragments::Always);
        assert_eq!(declared(&ours).send(LONG, NO_FLAGS), Ok(LONG.len()));
        match (by_router, fragments) {
            (true, _) => assert_eq!(arriving(&theirs), LONG),
            // It is not reported where the kernel is to ignore what it is told.
            (_, Fragments::Always) => wait_until_known(&network, &ours),
            _ => wait_for_a_report(&ours),
        }
        let _ = ours.take_error().unwrap();

        let to = theirs.local_addr().unwrap();
        let ours = if with_address { unconnected(&network, version).0 } else { ours };
        fragments.set(&ours);
        let to = with_address.then_some(Address::from(to));
        let outcome = how.run(&declared(&ours), to.as_ref(), LONG, 2);
        if fragments == Fragments::Never {
            assert_eq!(outcome, Err((0, ErrorKind::MessageTooLong)));
            assert!(is_empty(&theirs));
        } else {
            assert_eq!(outcome, Ok(()));
            assert_eq!((arriving(&theirs), arriving(&theirs)), (LONG.to_vec(), LONG.to_vec()));
        }
    });
}

/// Waits until the near host knows the path of this IPv6 socket.
fn wait_until_known(network: &Network, socket: &UdpSocket) {
    let deadline = Instant::now() + PATIENCE;
    let to = socket.peer_addr().unwrap().ip();
    while !network.near.told_by_ip(&format!("-6 route get {to}")).contains("mtu") {
        assert!(Instant::now() < deadline, "it never knows the path");
    }
}

/// What keeps datagrams from a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Unreachable,
    Prohibit,
    Blackhole,
    /// There is none.
    Throw,
}

impl Route {
    /// Adds the route to the network of [`nowhere`].
    fn add(self, host: &Host, version: Version) -> bool {
        let kind = match self {
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Blackhole => "blackhole",
            Self::Throw => "throw",
        };
        match version {
            Version::V4 => host.ip(&format!("route add {kind} 10.7.0.0/24")),
            Version::V6 => host.ip(&format!("-6 route add {kind} fd00:7::/64")),
        }
    }
}

/// An address that nobody has, behind the router.
fn nowhere(version: Version) -> SocketAddr {
    SocketAddr::new(address(version, "10.7.0.1", "fd00:7::1"), 9)
}

const ALL: [How; 5] = [How::Send, How::Message, How::Batch, How::Segments, How::SegmentsByBatch];

/// A route of the sender's own host is looked at in the call.
#[rstest]
fn i8_i8b_a_destination_that_the_routes_reject(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(Route::Unreachable, Route::Prohibit, Route::Blackhole, Route::Throw)] route: Route,
    #[values(false, true)] is_connected: bool,
) {
    let Some(network) = Network::new(version) else { return };
    bounded(move || {
        let ours = network.near.udp(Network::near_address(version));
        let to = nowhere(version);
        if is_connected {
            // Before: connect(2) looks for a route too.
            network.near.run(|| ours.connect(to).unwrap());
        }
        if !route.add(&network.near, version) {
            return;
        }
        let expected = match route {
            Route::Prohibit => ErrorKind::PermissionDenied,
            _ => ErrorKind::Unreachable,
        };
        let to = (!is_connected).then_some(Address::from(to));
        for how in ALL {
            let outcome = how.run(&declared(&ours), to.as_ref(), b"data", 3);
            assert_eq!(outcome, Err((0, expected)), "{how:?}");
        }
    });
}

/// What a router says of a datagram is told by a later call on a connected socket, or never.
#[rstest]
#[case::unreachable(Route::Unreachable, None, None)]
#[case::prohibited(Route::Prohibit, Some(ErrorKind::Unreachable), Some(ErrorKind::PermissionDenied))]
#[case::dropped(Route::Blackhole, None, None)]
fn s19_what_a_router_says(
    #[case] route: Route,
    #[case] told_v4: Option<ErrorKind>,
    #[case] told_v6: Option<ErrorKind>,
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Send, How::Message, How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
) {
    let Some(network) = Network::new(version) else { return };
    if !route.add(&network.router, version) {
        return;
    }
    bounded(move || {
        let ours = network.near.udp(Network::near_address(version));
        network.near.run(|| ours.connect(nowhere(version)).unwrap());
        let told = match version {
            Version::V4 => told_v4,
            Version::V6 => told_v6,
        };
        is_told_once(&ours, how, told);
        // Who is not connected is not told.
        let ours = network.near.udp(Network::near_address(version));
        let to = nowhere(version).into();
        assert_eq!(how.run(&declared(&ours), Some(&to), b"data", 1), Ok(()));
        assert!(!is_reported(&ours, MOMENT));
        assert_eq!(how.run(&declared(&ours), Some(&to), b"data", 3), Ok(()));
    });
}

/// The next call after the one that the network reports fails with this kind, if it is told, and has sent nothing.
fn is_told_once(ours: &UdpSocket, how: How, told: Option<ErrorKind>) {
    let socket = declared(ours);
    assert_eq!(how.run(&socket, None, b"data", 1), Ok(()));
    match told {
        None => {
            assert!(!is_reported(ours, MOMENT));
            assert_eq!(how.run(&socket, None, b"data", 3), Ok(()));
        }
        Some(kind) => {
            wait_for_a_report(ours);
            assert_eq!(how.run(&socket, None, b"data", 3), Err((0, kind)));
            assert_eq!(how.run(&socket, None, b"data", 1), Ok(()), "it is told again");
        }
    }
}

#[rstest]
fn s19_nobody_listens_behind_the_router(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Send, How::Message, How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
) {
    let Some(network) = Network::new(version) else { return };
    bounded(move || {
        let ours = network.near.udp(Network::near_address(version));
        // A port that nobody had: a program that is being started by another test can keep one open for a moment.
        network.near.run(|| ours.connect((Network::far_address(version), 9)).unwrap());
        is_told_once(&ours, how, Some(ErrorKind::Refused));
    });
}

/// A datagram that a router drops because of its hop limit is dropped silently, and those after it are not.
#[rstest]
fn n8_a_hop_limit_that_ends_on_the_way(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Send, How::Message, How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
) {
    let Some(network) = Network::new(version) else { return };
    bounded(move || {
        let (ours, theirs) = connected(&network, version);
        let receiver = declared(&theirs);
        receiver.receive_hop_limits().unwrap();
        for (sent, told) in [(1, None), (2, Some(1)), (64, Some(63))] {
            match version {
                Version::V4 => set_option(&ours, libc::IPPROTO_IP, libc::IP_TTL, sent),
                Version::V6 => set_option(&ours, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, sent),
            }
            assert_eq!(how.run(&declared(&ours), None, &[sent as u8], 2), Ok(()));
            let Some(told) = told else {
                assert!(!is_reported(&ours, MOMENT), "it is told");
                continue;
            };
            for _ in 0..2 {
                wait_readable(&theirs);
                let (mut control, mut room) = (ControlBuffer::new(), [0; 10]);
                let mut slices = [IoSliceMut::new(&mut room)];
                let received = receiver.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
                assert_eq!(received.hop_limit(), Some(told));
                assert_eq!(room[0], sent as u8);
            }
        }
    });
}

/// A datagram and what is told of it.
struct Told {
    bytes: Vec<u8>,
    sender: SocketAddr,
    destination: Option<Destination>,
    traffic_class: Option<u8>,
}

/// What is told of the next datagram.
fn told(socket: &UdpSocket) -> Told {
    wait_readable(socket);
    let mut room = [0; 2000];
    let mut buffers = [DatagramBuffer::new(&mut room)];
    assert_eq!(declared(socket).receive_batch(&mut buffers, ReceiveFlags::empty()), Ok(1));
    let [datagram] = &buffers;
    Told {
        bytes: datagram.bytes().to_vec(),
        sender: datagram.sender().unwrap().as_socket_addr().unwrap(),
        destination: datagram.destination(),
        traffic_class: datagram.traffic_class(),
    }
}

/// A socket of this host for all its addresses, which is told destinations.
fn everywhere(host: &Host, version: Version) -> UdpSocket {
    let socket = host.udp(address(version, "0.0.0.0", "::"));
    declared(&socket).receive_destinations().unwrap();
    socket
}

/// The interface that a datagram came in through is told, and so is the address of the host that was asked.
#[rstest]
fn n4_the_interface_is_told(#[values(Version::V4, Version::V6)] version: Version) {
    let Some(network) = Network::new(version) else { return };
    bounded(move || {
        let server = everywhere(&network.router, version);
        let port = server.local_addr().unwrap().port();
        let inner = address(version, "10.9.0.2", "fd00:9::2");
        let outer = address(version, "10.8.0.2", "fd00:8::2");
        let (near, far) = unconnected(&network, version);
        let cases = [(&near, inner, "inner"), (&far, outer, "outer"), (&near, outer, "inner")];
        for (client, asked, interface) in cases {
            client.send_to(b"ping", (asked, port)).unwrap();
            let destination = told(&server).destination.unwrap();
            assert_eq!(destination.address, asked);
            assert_eq!(destination.interface, network.router.interface(interface));
        }
    });
}

/// A server with several addresses answers from the one that was asked. Its host would choose another.
#[rstest]
fn n5_an_answer_comes_from_the_address_that_was_asked(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Message, How::Batch, How::Segments)] how: How,
) {
    let Some(network) = Network::new(version) else { return };
    let second = address(version, "10.9.0.3", "fd00:9::3");
    let length = if version == Version::V4 { 24 } else { 64 };
    if !network.router.has(&format!("{second}/{length}"), "inner") {
        return;
    }
    bounded(move || {
        let server = everywhere(&network.router, version);
        let client = network.near.udp(Network::near_address(version));
        let asked = SocketAddr::new(second, server.local_addr().unwrap().port());
        network.near.run(|| client.connect(asked).unwrap());
        client.send(b"ping").unwrap();
        let ping = told(&server);
        let (to, source) = (ping.sender.into(), ping.destination.unwrap().address);
        assert_eq!(source, second);
        assert_eq!(answer(how, &server, &to, source), Ok(()));
        // A connected socket receives from its peer alone.
        for _ in 0..if how == How::Segments { 2 } else { 1 } {
            assert_eq!(arriving(&client), b"pong");
        }

        // The address is taken from the host before the next answer.
        assert!(network.router.ip(&format!("addr del {second}/{length} dev inner")));
        assert_eq!(answer(how, &server, &to, source), Err(ErrorKind::Unreachable));
        assert!(is_empty(&client));
    });
}

fn answer(how: How, server: &UdpSocket, to: &Address, source: IpAddr) -> Result<(), ErrorKind> {
    let socket = declared(server);
    let mut slices = [IoSlice::new(b"pong")];
    match how {
        How::Message => {
            let message = Message::new(&mut slices).from_source(source);
            message.send_to(&socket, to, NO_FLAGS).map(drop).map_err(|error| error.kind())
        }
        How::Batch => {
            let batch = [Datagram::new(&slices).to(to).from_source(source)];
            socket.send_batch(&batch, NO_FLAGS).map_err(|stopped| stopped.kind())
        }
        _ => {
            let segments = Segments::new(b"pongpong", 4).to(to).from_source(source);
            let sent = segments.send(&socket, &mut SegmentOffload::new(), NO_FLAGS);
            sent.map_err(|stopped| stopped.kind())
        }
    }
}

/// The destination of a datagram to many is the address of the many, from which there is no answer.
#[rstest]
#[case::multicast("239.1.2.3", ErrorKind::AddressNotAvailable)]
#[case::broadcast("10.9.0.255", ErrorKind::Unreachable)]
#[case::broadcast_of_the_link("255.255.255.255", ErrorKind::AddressNotAvailable)]
#[case::multicast_of_the_link("ff02::4:5:6", ErrorKind::AddressNotAvailable)]
fn n4_n5b_the_destination_of_a_datagram_to_many(#[case] many: &'static str, #[case] from_there: ErrorKind) {
    let many: IpAddr = many.parse().unwrap();
    let version = if many.is_ipv4() { Version::V4 } else { Version::V6 };
    let Some(network) = Network::new(version) else { return };
    if version == Version::V4 && !network.near.ip("route add 224.0.0.0/4 dev near") {
        return;
    }
    if !network.near.ip("route add 255.255.255.255/32 dev near") {
        return;
    }
    bounded(move || {
        let server = everywhere(&network.router, version);
        let inner = network.router.interface("inner");
        network.router.run(|| match many {
            IpAddr::V4(many) if many.is_multicast() => {
                server.join_multicast_v4(&many, &"10.9.0.2".parse().unwrap()).unwrap();
            }
            IpAddr::V4(_) => {}
            IpAddr::V6(many) => server.join_multicast_v6(&many, inner).unwrap(),
        });
        let client = network.near.udp(Network::near_address(version));
        client.set_broadcast(true).unwrap();
        let port = server.local_addr().unwrap().port();
        let to = match many {
            IpAddr::V4(_) => SocketAddr::new(many, port),
            IpAddr::V6(many) => SocketAddrV6::new(many, port, 0, network.near.interface("near")).into(),
        };
        assert_eq!(declared(&client).send_to(b"ping", &to.into(), NO_FLAGS), Ok(4));
        let ping = told(&server);
        assert_eq!((&ping.bytes[..], ping.sender), (&b"ping"[..], client.local_addr().unwrap()));
        let destination = ping.destination.unwrap();
        assert_eq!((destination.address, destination.interface), (many, inner));
        let to = ping.sender.into();
        assert_eq!(answer(How::Message, &server, &to, many), Err(from_there));
        assert_eq!(declared(&server).send_to(b"pong", &to, NO_FLAGS), Ok(4));
        assert_eq!(arriving(&client), b"pong");
    });
}

/// An address of a link says of which: each host has its own number for it, and here the two are different.
#[rstest]
fn n1_n5_addresses_of_a_link_have_their_scope(#[values(How::Message, How::Batch, How::Segments)] how: How) {
    let Some(network) = Network::new(Version::V6) else { return };
    let has = |host: &Host, address: &str, link: &str| host.has(&format!("{address}/64"), link);
    if !has(&network.far, "fe80::9", "far") || !has(&network.router, "fe80::8", "outer") {
        return;
    }
    // The same address on another link.
    if !has(&network.router, "fe80::8", "inner") {
        return;
    }
    bounded(move || {
        let (far, router) = (&network.far, &network.router);
        let (from_far, from_router) = (far.interface("far"), router.interface("outer"));
        assert_ne!(from_far, from_router);
        let server = everywhere(router, Version::V6);
        let port = server.local_addr().unwrap().port();
        let at = |host: &str, port, scope| SocketAddrV6::new(host.parse().unwrap(), port, 0, scope);
        let client = far.run(|| UdpSocket::bind(at("fe80::9", 0, from_far)).unwrap());
        let client_port = client.local_addr().unwrap().port();

        let to = SocketAddr::from(at("fe80::8", port, from_far));
        assert_eq!(declared(&client).send_to(b"ping", &to.into(), NO_FLAGS), Ok(4));
        let ping = told(&server);
        assert_eq!(ping.sender, at("fe80::9", client_port, from_router).into());
        let destination = ping.destination.unwrap();
        assert_eq!(destination.address, "fe80::8".parse::<IpAddr>().unwrap());
        assert_eq!(destination.interface, from_router);
        assert_eq!(answer(how, &server, &ping.sender.into(), destination.address), Ok(()));
        let pong = told(&client);
        assert_eq!((&pong.bytes[..], pong.sender), (&b"pong"[..], to));
    });
}

/// The traffic class is the one that the datagram arrives with. Its last two bits are of congestion (ECN).
#[rstest]
#[case::kept(None, 0b1011_1001, 0b1011_1001)]
#[case::kept_without_bits(None, 0, 0)]
#[case::another_class(Some("dscp set cs1"), 0b1011_1001, 0b0010_0001)]
#[case::congestion(Some("ecn set ce"), 0b1011_1010, 0b1011_1011)]
fn n6_n7_what_a_router_makes_of_the_traffic_class(
    #[case] rule: Option<&'static str>,
    #[case] sent: u8,
    #[case] arrives: u8,
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Message, How::Batch, How::Segments)] how: How,
) {
    let Some(network) = Network::new(version) else { return };
    if let Some(rule) = rule {
        let header = if version == Version::V4 { "ip" } else { "ip6" };
        let words = format!(
            "add table inet changed; \
             add chain inet changed forward {{ type filter hook forward priority -150; }}; \
             add rule inet changed forward {header} {rule}"
        );
        if !network.router.administer("nft", &words) {
            return;
        }
    }
    bounded(move || {
        let (ours, theirs) = connected(&network, version);
        declared(&theirs).receive_traffic_classes().unwrap();
        let socket = declared(&ours);
        let mut slices = [IoSlice::new(b"data")];
        match how {
            How::Message => {
                let message = Message::new(&mut slices).with_traffic_class(sent);
                assert_eq!(message.send(&socket, NO_FLAGS), Ok(4));
            }
            How::Batch => {
                let batch = [Datagram::new(&slices).with_traffic_class(sent)];
                socket.send_batch(&batch, NO_FLAGS).unwrap();
            }
            _ => {
                let segments = Segments::new(b"datadata", 4).with_traffic_class(sent);
                segments.send(&socket, &mut SegmentOffload::new(), NO_FLAGS).unwrap();
            }
        }
        let came = told(&theirs);
        assert_eq!((&came.bytes[..], came.traffic_class), (&b"data"[..], Some(arrives)));
    });
}

/// The link becomes narrower and wider while segments leave. Each arrives whole.
#[rstest]
fn d11_a_link_that_changes_while_segments_leave(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(1250, 1450)] size: usize,
) {
    let Some(network) = Network::new(version) else { return };
    bounded(move || {
        let ours = network.near.udp(Network::near_address(version));
        let theirs = network.router.udp(address(version, "10.9.0.2", "fd00:9::2"));
        let to = theirs.local_addr().unwrap().into();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    assert!(network.near.ip("link set near mtu 1300"));
                    assert!(network.near.ip("link set near mtu 1500"));
                }
            });
            let mut sizes_taken = HashSet::new();
            let mut offload = SegmentOffload::new();
            let bytes = sockets::pattern(10 * size - 100);
            let started = Instant::now();
            // Long enough for some changes.
            while started.elapsed() < 3 * MOMENT {
                Segments::new(&bytes, size).to(&to).send(&declared(&ours), &mut offload, NO_FLAGS).unwrap();
                for segment in bytes.chunks(size) {
                    assert!(arriving(&theirs) == segment, "a segment is another");
                }
                sizes_taken.insert(offload.takes(size));
            }
            is_done.store(true, Ordering::Relaxed);
            changing.join().unwrap();
            assert!(size > 1300 || sizes_taken == HashSet::from([true]), "it was refused though it fits");
        });
    });
}

/// A device that computes no checksums, and so divides nothing. Older kernels say that they cannot, and later ones do it
/// themselves.
#[rstest]
fn d11_a_device_that_divides_nothing(#[values(Version::V4, Version::V6)] version: Version) {
    let Some(network) = Network::new(version) else { return };
    if !network.near.computes_no_checksums("near") {
        return;
    }
    bounded(move || {
        let (ours, theirs) = connected(&network, version);
        let bytes = sockets::pattern(10 * 1000 - 1);
        let mut offload = SegmentOffload::new();
        for _ in 0..2 {
            Segments::new(&bytes, 1000).send(&declared(&ours), &mut offload, NO_FLAGS).unwrap();
            for segment in bytes.chunks(1000) {
                assert_eq!(arriving(&theirs), segment);
            }
        }
    });
}

/// The interface goes down while batches leave. The call ends, says how many were accepted, and goes on when the interface
/// is up again.
#[rstest]
fn d1_an_interface_that_goes_down(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Send, How::Message, How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
) {
    let Some(network) = Network::new(version) else { return };
    bounded(move || {
        let ours = network.near.udp(address(version, "0.0.0.0", "::"));
        let theirs = network.router.udp(address(version, "10.9.0.2", "fd00:9::2"));
        let to = Address::from(theirs.local_addr().unwrap());
        let is_going_down = AtomicBool::new(false);
        let down = || {
            is_going_down.store(true, Ordering::Relaxed);
            // Over IPv6 the addresses go too.
            assert!(network.near.ip("link set near down"));
        };
        std::thread::scope(|scope| {
            let going = scope.spawn(|| {
                std::thread::sleep(MOMENT / 5);
                down();
            });
            let stopped = loop {
                if let Err(stopped) = how.run(&declared(&ours), Some(&to), b"data", 300) {
                    break stopped;
                }
            };
            assert!(is_going_down.load(Ordering::Relaxed), "it failed before: {stopped:?}");
            assert!(stopped.0 < 300);
            assert!([ErrorKind::Unreachable, ErrorKind::NetworkDown].contains(&stopped.1), "{stopped:?}");
            going.join().unwrap();
        });
        // It has no room for more.
        theirs.set_nonblocking(true).unwrap();
        while theirs.recv(&mut [0; 10]).is_ok() {}
        assert!(network.near.ip("link set near up"));
        if version == Version::V6 {
            assert!(network.near.has("fd00:9::1/64", "near"));
        }
        let deadline = Instant::now() + PATIENCE;
        while how.run(&declared(&ours), Some(&to), b"again", 1).is_err() {
            assert!(Instant::now() < deadline, "it never goes on");
        }
        while arriving(&theirs) != b"again" {}
    });
}

/// How many bytes each datagram has that finds no room.
const PART: usize = 1000;

/// Two hosts of which one does not answer yet: what is sent to it waits for its link address, and takes room in the send
/// buffer.
struct Silent {
    network: Network,
    version: Version,
    ours: UdpSocket,
    to: Address,
}

impl Silent {
    fn new(version: Version) -> Option<Self> {
        let network = Network::new(version)?;
        let neighbours = if version == Version::V4 { "ipv4/neigh/near" } else { "ipv6/neigh/near" };
        // It is asked for soon, and for long.
        let is_set = network.near.set(&format!("{neighbours}/retrans_time_ms"), "100")
            && network.near.set(&format!("{neighbours}/mcast_solicit"), "1000")
            && network.near.set(&format!("{neighbours}/unres_qlen_bytes"), "1000000");
        is_set.then_some(())?;
        let ours = network.near.udp(Network::near_address(version));
        sockets::set_buffer(&ours, libc::SO_SNDBUF, 8 * PART as libc::c_int);
        let to = SocketAddr::new(Self::address(version), 4000).into();
        Some(Self { network, version, ours, to })
    }

    fn address(version: Version) -> IpAddr {
        address(version, "10.9.0.77", "fd00:9::77")
    }

    /// Makes the receiver, whose host then answers.
    fn answer(&self) -> UdpSocket {
        let router = &self.network.router;
        let address = Self::address(self.version);
        let length = if self.version == Version::V4 { 24 } else { 64 };
        // In this order nothing comes to a host that has no socket.
        assert!(router.set("ipv4/ip_nonlocal_bind", "1") && router.set("ipv6/ip_nonlocal_bind", "1"));
        let receiver = router.run(|| UdpSocket::bind((address, 4000)).unwrap());
        set_option(&receiver, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 8 << 20);
        assert!(router.has(&format!("{address}/{length}"), "inner"));
        receiver
    }
}

/// Checks that each part of the bytes arrives, and nothing else. Those that waited for the link address can come after others.
fn each_arrives_once(receiver: &UdpSocket, bytes: &[u8]) {
    let mut expected: Vec<&[u8]> = bytes.chunks(PART).collect();
    let mut arrived: Vec<Vec<u8>> = expected.iter().map(|_| arriving(receiver)).collect();
    expected.sort_unstable();
    arrived.sort_unstable();
    assert!(arrived == expected, "a part came that was not sent, or came twice");
    assert!(is_empty(receiver), "more came");
}

/// Sends parts of the bytes, and returns how many parts were accepted before one that was not.
fn send_parts(
    how: How,
    socket: &SocketRef<'_, DatagramSocket>,
    to: &Address,
    bytes: &[u8],
) -> Result<(), (usize, ErrorKind)> {
    if how == How::Batch {
        let slices: Vec<_> = bytes.chunks(PART).map(|part| [IoSlice::new(part)]).collect();
        let batch: Vec<_> = slices.iter().map(|slices| Datagram::new(slices).to(to)).collect();
        return socket.send_batch(&batch, NO_FLAGS).map_err(|stopped| (stopped.accepted(), stopped.kind()));
    }
    let mut offload = if how == How::Segments { SegmentOffload::new() } else { SegmentOffload::never() };
    Segments::new(bytes, PART).to(to).send(socket, &mut offload, NO_FLAGS).map_err(|stopped| {
        assert_eq!(stopped.accepted() % PART, 0, "a part of a segment");
        (stopped.accepted() / PART, stopped.kind())
    })
}

/// A send buffer that is full in the middle: what was accepted before is counted, and arrives once. The rest is sent when
/// there is room.
#[rstest]
fn d1_d9_a_full_send_buffer(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
) {
    const PARTS: usize = 200;
    let Some(silent) = Silent::new(version) else { return };
    bounded(move || {
        let (socket, bytes) = (declared(&silent.ours), sockets::pattern(PARTS * PART));
        silent.ours.set_nonblocking(true).unwrap();
        let (mut sent, kind) = send_parts(how, &socket, &silent.to, &bytes).unwrap_err();
        assert_eq!(kind, ErrorKind::WouldBlock);
        assert!((1..PARTS).contains(&sent), "{sent}");
        let again = send_parts(how, &socket, &silent.to, &bytes[sent * PART..]);
        assert_eq!(again, Err((0, ErrorKind::WouldBlock)));

        let receiver = silent.answer();
        while sent < PARTS {
            assert!(sockets::is_writable(&silent.ours, PATIENCE), "it never has room");
            match send_parts(how, &socket, &silent.to, &bytes[sent * PART..]) {
                Ok(()) => sent = PARTS,
                Err((count, kind)) => {
                    assert_eq!(kind, ErrorKind::WouldBlock);
                    sent += count;
                }
            }
        }
        each_arrives_once(&receiver, &bytes);
    });
}

/// A blocking socket waits for room, whatever signals come.
#[rstest]
fn i2b_a_full_send_buffer_and_signals(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
    #[values(None, Some(PATIENCE))] limit: Option<Duration>,
) {
    const PARTS: usize = 200;
    let Some(silent) = Silent::new(version) else { return };
    install_handler();
    if let Some(limit) = limit {
        sockets::set_send_timeout(&silent.ours, limit);
    }
    let (ours, to) = (silent.ours.try_clone().unwrap(), silent.to);
    let bytes = sockets::pattern(PARTS * PART);
    let expected = bytes.clone();
    let worker = std::thread::spawn(move || send_parts(how, &declared(&ours), &to, &bytes));
    let started = Instant::now();
    while started.elapsed() < MOMENT {
        assert!(!worker.is_finished(), "it did not wait");
        signal(&worker);
        std::thread::sleep(Duration::from_millis(1));
    }
    let receiver = silent.answer();
    assert_eq!(finished(worker, signal), Ok(()));
    each_arrives_once(&receiver, &expected);
}
