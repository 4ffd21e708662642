//! Datagrams between hosts that are linked by a router: what the network tells of them, and what it changes.
//!
//! Linux only, and only as root, because the hosts are network namespaces.
#![cfg(target_os = "linux")]

mod sockets;

use std::io::IoSlice;
use std::net::UdpSocket;

use rstest::rstest;
use sockets::network::{Network, Version};
use sockets::{NO_FLAGS, PATIENCE, wait_readable};
use unisend::{Address, Datagram, DatagramSocket, ErrorKind, Message, SegmentOffload, Segments, SocketRef};

/// The calls that send datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    #[allow(dead_code)]
    Send,
    #[allow(dead_code)]
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
        let single = |send: &dyn Fn() -> Result<usize, unisend::Error>| {
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

/// Waits until the network has reported an earlier datagram on this socket. The report stays.
fn wait_for_a_report(socket: &UdpSocket) {
    use nix::poll::PollFlags;

    let found = sockets::polled(socket, PollFlags::empty(), PATIENCE);
    assert!(found.contains(PollFlags::POLLERR), "no report came");
}

/// The router says that an earlier datagram was too long for the path. The next ones fit, and are sent. (Each first call
/// of the kernel fails with EMSGSIZE, and says nothing of the datagram that is sent.)
#[rstest]
fn d4_a_report_of_the_path_is_blamed_on_no_other_datagram(
    #[values(Version::V4, Version::V6)] version: Version,
    #[values(How::Batch, How::Segments, How::SegmentsByBatch)] how: How,
) {
    let Some(network) = Network::new(version) else { return };
    if !network.narrow(NARROW) {
        return;
    }
    let (ours, theirs) = connected(&network, version);
    never_fragment(&ours);
    let socket = declared(&ours);
    assert_eq!(socket.send(LONG, NO_FLAGS), Ok(LONG.len()));
    wait_for_a_report(&ours);
    assert_eq!(how.run(&socket, None, b"fits", 3), Ok(()));
    for _ in 0..3 {
        assert_eq!(arriving(&theirs), b"fits");
    }
    // One that does not fit is still told, and those before it are counted.
    let (short, long) = ([IoSlice::new(b"fits")], [IoSlice::new(LONG)]);
    let batch = [Datagram::new(&short), Datagram::new(&long), Datagram::new(&short)];
    let stopped = socket.send_batch(&batch, NO_FLAGS).unwrap_err();
    assert_eq!((stopped.accepted(), stopped.kind()), (1, ErrorKind::MessageTooLong));
    assert_eq!(arriving(&theirs), b"fits");
}

/// Has the socket send no datagram in fragments.
fn never_fragment(socket: &UdpSocket) {
    match socket.local_addr().unwrap().is_ipv4() {
        true => {
            sockets::set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO);
        }
        false => {
            let option = libc::IPV6_MTU_DISCOVER;
            sockets::set_option(socket, libc::IPPROTO_IPV6, option, libc::IPV6_PMTUDISC_DO);
        }
    }
}
