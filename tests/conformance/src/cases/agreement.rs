//! G1 to G6: what all ways to send have in common.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Shutdown, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::PollFlags;
use nix::sys::select::{FdSet, select};
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::time::TimeVal;
use unisend::{
    Address, DatagramSocket, Error, ErrorKind, Message, ReceiveFlags, SendAllError, SendFlags, SocketRef,
};

use crate::case::{Case, Stop, Topic};
use crate::raw;
use crate::scene;
use crate::trial::{Destination, Route, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Agreement;
    vec![
        topic
            .case(
                "G1",
                "write, send without flags, sendmsg: the same bytes are accepted on a stream",
                same_bytes,
            )
            .kernels("5, 5, 5, received 15")
            .promise("5, 5, 5, received 15"),
        topic
            .case("G1b", "write, send without flags, sendmsg: the same datagrams are sent", same_datagrams)
            .kernels("5, 5, 5, received 5, received 5, received 5")
            .promise("5, 5, 5, received 5, received 5, received 5"),
        topic
            .case("G2", "poll and select: writable when empty, not when full, again when read", readiness)
            .kernels("writable, not writable, EAGAIN, writable")
            .promise("writable, not writable, WouldBlock, writable"),
        topic
            .case("G3", "a descriptor that is not a socket: a pipe, a file", no_socket)
            .kernels("ENOTSOCK, ENOTSOCK")
            .promise("NotSocket, NotSocket"),
        topic
            .case("G4", "pointers that cannot be read, descriptors that are closed", bad_memory)
            .kernels("EFAULT, EBADF")
            .unrepresentable("a slice can be read, and a borrowed descriptor is open"),
        topic
            .case(
                "G5",
                "every pair of mistakes in every call: the first in the order is returned (raw: 1025 slices to a wrong family)",
                pairs_of_mistakes,
            )
            .kernels("EMSGSIZE")
            .promise("send 1, send_to 1, send_vectored 3, Message::send 10, Message::send_to 10, \
                 send_all 1, send_all_vectored 3, Message::send_all 10, receive 1"),
        topic
            .case(
                "G6",
                "two reasons to fail: UDP, 65536 bytes without a peer, and after a shutdown; unix datagram, too long and to a \
                 missing path; seqpacket, after a shutdown and a close with data that was not read",
                two_reasons,
            )
            .kernel(
                "EMSGSIZE, EMSGSIZE, EMSGSIZE, ECONNRESET",
                "EDESTADDRREQ, EPIPE+SIGPIPE, EMSGSIZE, EPIPE+SIGPIPE",
            )
            .differs(
                "MessageTooLong, MessageTooLong, MessageTooLong, Reset",
                "DestinationRequired, Disconnected, MessageTooLong, Disconnected",
                "each kernel looks at the state, the address and the length in its own order",
            ),
    ]
}

fn three_ways(trial: &mut Trial, socket: &SocketRef<'_, impl Sized>) {
    match trial.route() {
        Route::Kernel => trial.note_raw(raw::write(socket.as_fd(), b"first")),
        Route::Portable => trial.send_all(socket, b"first"),
    }
    trial.send(socket, b"again");
    trial.send_vectored(socket, &[IoSlice::new(b"th"), IoSlice::new(b"ird")]);
}

fn same_bytes(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    three_ways(trial, &SocketRef::unix_stream(&ours));
    trial.receive(&theirs);
    Ok(())
}

fn same_datagrams(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
    three_ways(trial, &SocketRef::unix_datagram(&ours));
    trial.receive(&theirs);
    trial.receive(&theirs);
    trial.receive(&theirs);
    Ok(())
}

fn readiness(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let socket = SocketRef::unix_stream(&ours);
    note_writable(trial, &ours)?;
    scene::fill(&ours)?;
    note_writable(trial, &ours)?;
    trial.send_flags(&socket, b"x", SendFlags::DONT_WAIT);
    let mut buffer = vec![0; 1 << 20];
    while raw::receive(theirs.as_fd(), &mut buffer, libc::MSG_DONTWAIT).is_ok() {}
    note_writable(trial, &ours)?;
    Ok(())
}

fn note_writable(trial: &mut Trial, socket: &impl AsFd) -> Result<(), Stop> {
    let polled = scene::wait_for(socket, PollFlags::POLLOUT, 0)?;
    let mut set = FdSet::new();
    set.insert(socket.as_fd());
    let selected = select(None, None, Some(&mut set), None, Some(&mut TimeVal::new(0, 0)))? == 1;
    trial.note(match (polled, selected) {
        (true, true) => "writable",
        (false, false) => "not writable",
        _ => "poll and select disagree",
    });
    Ok(())
}

fn no_socket(trial: &mut Trial) -> Result<(), Stop> {
    let (_reader, writer) = nix::unistd::pipe()?;
    trial.send(&SocketRef::unix_stream(&writer), b"x");
    let file = std::fs::File::create(trial.path("file"))?;
    trial.send(&SocketRef::tcp(&file), b"x");
    Ok(())
}

fn bad_memory(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    trial.note_raw(raw::send_memory(ours.as_fd(), std::ptr::without_provenance(8), 1, 0));
    let number = std::os::fd::AsRawFd::as_raw_fd(&scene::new_socket(AddressFamily::Unix, SockType::Stream)?);
    trial.note_raw(raw::send_number(number));
    Ok(())
}

/// The mistakes that a call can have, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Flag,
    Address,
    Rest,
    Slices,
    Descriptors,
    Empty,
}

impl Mistake {
    fn kind(self) -> ErrorKind {
        match self {
            Self::Flag => ErrorKind::Unsupported,
            Self::Address => ErrorKind::AddressFamily,
            Self::Rest => ErrorKind::InvalidInput,
            Self::Slices => ErrorKind::TooManySlices,
            Self::Descriptors => ErrorKind::TooManyDescriptors,
            Self::Empty => ErrorKind::EmptyRecord,
        }
    }
}

/// Sockets without a peer, so that their state is wrong too.
struct Alone {
    seqpacket: OwnedFd,
    datagram: OwnedFd,
}

impl Alone {
    fn seqpacket(&self) -> SocketRef<'_> {
        SocketRef::unix_seqpacket(&self.seqpacket)
    }

    fn datagram(&self) -> SocketRef<'_, DatagramSocket> {
        SocketRef::unix_datagram(&self.datagram)
    }
}

/// Arguments with these mistakes.
struct Arguments<'a> {
    mistakes: &'a [Mistake],
    alone: &'a Alone,
}

impl<'a> Arguments<'a> {
    fn has(&self, mistake: Mistake) -> bool {
        self.mistakes.contains(&mistake)
    }

    fn flags(&self) -> SendFlags {
        if self.has(Mistake::Flag) { SendFlags::from_bits_retain(0x80) } else { SendFlags::empty() }
    }

    fn bytes(&self) -> &'static [u8] {
        if self.has(Mistake::Empty) { b"" } else { b"x" }
    }

    fn address(&self) -> Address {
        match self.has(Mistake::Address) {
            true => scene::LOOPBACK.into(),
            false => Address::unix("nowhere").expect("a path that is right"),
        }
    }

    fn slices(&self) -> Vec<IoSlice<'static>> {
        vec![IoSlice::new(self.bytes()); if self.has(Mistake::Slices) { 1025 } else { 1 }]
    }

    fn with_message<T>(&self, call: impl FnOnce(&mut Message<'_, '_>) -> T) -> T {
        let mut slices = self.slices();
        slices.insert(0, IoSlice::new(if self.has(Mistake::Rest) { b"r" } else { b"" }));
        let slices = if self.has(Mistake::Rest) { &mut slices[..] } else { &mut slices[1..] };
        let descriptors =
            vec![self.alone.datagram.as_fd(); if self.has(Mistake::Descriptors) { 127 } else { 0 }];
        let mut message = Message::new(slices);
        if self.has(Mistake::Rest) {
            message.advance(1);
        }
        call(&mut message.with_descriptors(&descriptors))
    }
}

type Call = fn(&Arguments<'_>) -> Result<(), Error>;

fn calls() -> [(&'static str, &'static [Mistake], Call); 9] {
    use Mistake::{Address, Descriptors, Empty, Flag, Rest, Slices};

    [
        ("send", &[Flag, Empty], |with| with.alone.seqpacket().send(with.bytes(), with.flags()).map(drop)),
        ("send_to", &[Flag, Address], |with| {
            with.alone.datagram().send_to(with.bytes(), &with.address(), with.flags()).map(drop)
        }),
        ("send_vectored", &[Flag, Slices, Empty], |with| {
            with.alone.seqpacket().send_vectored(&with.slices(), with.flags()).map(drop)
        }),
        ("Message::send", &[Flag, Rest, Slices, Descriptors, Empty], |with| {
            with.with_message(|message| message.send(&with.alone.seqpacket(), with.flags()).map(drop))
        }),
        ("Message::send_to", &[Flag, Address, Rest, Slices, Descriptors], |with| {
            let to = with.address();
            with.with_message(|message| message.send_to(&with.alone.datagram(), &to, with.flags()).map(drop))
        }),
        ("send_all", &[Flag, Empty], |with| {
            with.alone.seqpacket().send_all(with.bytes(), with.flags()).map_err(SendAllError::into)
        }),
        ("send_all_vectored", &[Flag, Slices, Empty], |with| {
            let sent = with.alone.seqpacket().send_all_vectored(&mut &mut with.slices()[..], with.flags());
            sent.map_err(SendAllError::into)
        }),
        ("Message::send_all", &[Flag, Rest, Slices, Descriptors, Empty], |with| {
            let socket = with.alone.seqpacket();
            with.with_message(|message| message.send_all(&socket, with.flags()).map_err(SendAllError::into))
        }),
        ("receive", &[Flag, Slices], |with| {
            let flags = if with.has(Flag) { 0x80 } else { 0 };
            let mut empty: Vec<_> = with.slices().iter().map(|_| IoSliceMut::new(&mut [])).collect();
            let flags = ReceiveFlags::from_bits_retain(flags);
            with.alone.seqpacket().receive_without_descriptors(&mut empty, flags).map(drop)
        }),
    ]
}

fn pairs_of_mistakes(trial: &mut Trial) -> Result<(), Stop> {
    let alone = Alone {
        seqpacket: scene::new_socket(AddressFamily::Unix, SockType::SeqPacket)?,
        datagram: scene::new_socket(AddressFamily::Unix, SockType::Datagram)?,
    };
    if trial.route() == Route::Kernel {
        trial.note_raw(raw::send_message_to(alone.datagram.as_fd(), 1025, scene::LOOPBACK));
        return Ok(());
    }
    for (name, possible, call) in calls() {
        let mut right = 0;
        for (at, &first) in possible.iter().enumerate() {
            for &second in &possible[at + 1..] {
                let error = call(&Arguments { mistakes: &[first, second], alone: &alone }).err();
                match error.map(|error| error.kind()) {
                    Some(kind) if kind == first.kind() => right += 1,
                    other => trial.note(format!("{name} with {first:?} and {second:?}: {other:?}")),
                }
            }
        }
        trial.note(format!("{name} {right}"));
    }
    Ok(())
}

fn two_reasons(trial: &mut Trial) -> Result<(), Stop> {
    let too_long = [0; 65_536];
    let alone = UdpSocket::bind(scene::loopback()?)?;
    trial.send(&SocketRef::udp_v4(&alone), &too_long);
    let (ours, _theirs) = scene::udp_pair()?;
    scene::shutdown(&ours, Shutdown::Write)?;
    trial.send(&SocketRef::udp_v4(&ours), &too_long);
    let datagram = scene::unbound_datagram()?;
    let limit = raw::get_option(datagram.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF)?;
    let missing = trial.path("missing");
    trial.send_to(
        &SocketRef::unix_datagram(&datagram),
        &vec![0; limit as usize + 1],
        Destination::Path(&missing),
    );
    let (ours, theirs) = scene::unix_pair(SockType::SeqPacket)?;
    raw::send(ours.as_fd(), b"x", 0)?;
    scene::shutdown(&ours, Shutdown::Write)?;
    drop(theirs);
    trial.send(&SocketRef::unix_seqpacket(&ours), b"x");
    Ok(())
}
