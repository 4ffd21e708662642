//! N6 to N8: what the headers of a datagram have.

use std::ffi::c_int;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use nix::poll::PollFlags;
use nix::sys::socket::SockType;
use unisend::{ControlBuffer, DatagramSocket, Error, Message, ReceiveFlags, Received, SendFlags, SocketRef};

use crate::case::{Case, Stop, Topic};
use crate::raw;
use crate::scene;
use crate::trial::{NO_CALL, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Addresses;
    // OpenBSD: udp_output() of udp_usrreq.c, and ip_savecontrol() of ip_input.c.
    let reason = "OpenBSD has no traffic class in control messages over IPv4";
    vec![
        topic
            .case("N6", "sent with a traffic class over IPv6, IPv4; and from a unix socket", sent_with_class)
            .kernels(NO_CALL)
            .differs("186, 186, Unsupported", "186, Unsupported, Unsupported", reason),
        topic
            .case(
                "N7",
                "the traffic class of a socket over IPv6, over IPv4; asked of a unix socket",
                class_of_socket,
            )
            .kernels(NO_CALL)
            .differs("184, 184, Unsupported", "184, Unsupported, Unsupported", reason),
        topic
            .case("N8", "the hop limit over IPv6, over IPv4; asked of a unix socket", hop_limit)
            .kernels(NO_CALL)
            .promise("77, 77, Unsupported"),
    ]
}

/// Differentiated services EF, and a sender that understands congestion notification.
const CLASS: u8 = 46 << 2 | 2;

/// What is asked of the receiver, and what it is told then.
struct Report {
    ask: fn(&SocketRef<'_, DatagramSocket>) -> Result<(), Error>,
    told: fn(&Received<'_>) -> Option<u8>,
}

const TRAFFIC_CLASS: Report =
    Report { ask: |socket| socket.receive_traffic_classes(), told: |received| received.traffic_class() };
const HOP_LIMIT: Report =
    Report { ask: |socket| socket.receive_hop_limits(), told: |received| received.hop_limit() };

impl Report {
    /// Notes what the receiver is told of a datagram that is sent so, or why not.
    fn note(
        &self,
        trial: &mut Trial,
        ours: &SocketRef<'_, DatagramSocket>,
        theirs: &SocketRef<'_, DatagramSocket>,
        send: fn(&SocketRef<'_, DatagramSocket>) -> Result<usize, Error>,
    ) -> Result<(), Stop> {
        if let Err(error) = (self.ask)(theirs).and_then(|()| send(ours)) {
            trial.note(error.kind());
            return Ok(());
        }
        scene::wait_until(theirs, PollFlags::POLLIN)?;
        let (mut control, mut byte) = (ControlBuffer::new(), [0]);
        let mut slices = [IoSliceMut::new(&mut byte)];
        let received = theirs.receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT)?;
        trial.note((self.told)(&received).map_or_else(|| "nothing".to_owned(), |value| value.to_string()));
        Ok(())
    }

    /// Notes it over IPv6, over IPv4, and of unix sockets. Each sender over the internet has this value for an option of
    /// its protocol.
    fn note_all(
        &self,
        trial: &mut Trial,
        (option_v6, option_v4, value): (c_int, c_int, c_int),
        send: fn(&SocketRef<'_, DatagramSocket>) -> Result<usize, Error>,
    ) -> Result<(), Stop> {
        if trial.has_no_call() {
            return Ok(());
        }
        let (ours, theirs) = (scene::udp_v6()?, scene::udp_v6()?);
        ours.connect(theirs.local_addr()?)?;
        raw::set_option(ours.as_fd(), libc::IPPROTO_IPV6, option_v6, value)?;
        self.note(trial, &SocketRef::udp_v6(&ours), &SocketRef::udp_v6(&theirs), send)?;

        let (ours, theirs) = scene::udp_pair()?;
        raw::set_option(ours.as_fd(), libc::IPPROTO_IP, option_v4, value)?;
        self.note(trial, &SocketRef::udp_v4(&ours), &SocketRef::udp_v4(&theirs), send)?;

        let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
        self.note(trial, &SocketRef::unix_datagram(&ours), &SocketRef::unix_datagram(&theirs), send)
    }
}

fn send_with_class(socket: &SocketRef<'_, DatagramSocket>) -> Result<usize, Error> {
    let mut slices = [IoSlice::new(b"x")];
    Message::new(&mut slices).with_traffic_class(CLASS).send(socket, SendFlags::empty())
}

fn send(socket: &SocketRef<'_, DatagramSocket>) -> Result<usize, Error> {
    socket.send(b"x", SendFlags::empty())
}

fn sent_with_class(trial: &mut Trial) -> Result<(), Stop> {
    TRAFFIC_CLASS.note_all(trial, (libc::IPV6_TCLASS, libc::IP_TOS, 0), send_with_class)
}

fn class_of_socket(trial: &mut Trial) -> Result<(), Stop> {
    TRAFFIC_CLASS.note_all(trial, (libc::IPV6_TCLASS, libc::IP_TOS, 184), send)
}

fn hop_limit(trial: &mut Trial) -> Result<(), Stop> {
    HOP_LIMIT.note_all(trial, (libc::IPV6_UNICAST_HOPS, libc::IP_TTL, 77), send)
}
