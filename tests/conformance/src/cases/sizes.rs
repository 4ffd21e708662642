//! B1 to B10: sizes of messages and buffers.

use std::io::IoSlice;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::SockType;
use unisend::{Message, SendFlags, SocketRef};

use crate::case::{Case, Stop, Topic};
use crate::machine::{self, Need};
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Sizes;
    vec![
        topic
            .case("B1", "UDP: 65507 bytes and one more, with the default send buffer", udp_default)
            .kernel("65507, EMSGSIZE", "EMSGSIZE, EMSGSIZE")
            .differs(
                "65507, MessageTooLong",
                "MessageTooLong, MessageTooLong",
                "OpenBSD's limit is the send buffer, 9216 bytes unless it is set",
            ),
        topic
            .case("B1b", "UDP: 65507 bytes and one more, with a send buffer of 65535", udp_large)
            .kernels("65507, EMSGSIZE")
            .promise("65507, MessageTooLong"),
        topic
            .case("B1c", "UDP over IPv6: 65507 bytes in fragments, with a send buffer of 4096", udp_fragments)
            .kernel("ENOBUFS", "EMSGSIZE")
            .differs(
                "NoBufferSpace",
                "MessageTooLong",
                "Linux has no limit by the send buffer, but does not wait for room for fragments",
            ),
        topic
            .case("B2", "unix datagram: as long as the send buffer allows, and one byte more", datagram_limit)
            .kernels("fits, EMSGSIZE")
            .promise("fits, MessageTooLong"),
        topic
            .case("B3", "unix datagram, the receiver is full: a non-blocking send", datagram_full)
            .kernel("EAGAIN", "ENOBUFS")
            .promise("WouldBlock"),
        topic
            .case(
                "B3b",
                "unix datagram, the receiver is full and reads after 100 ms: send_all waits",
                datagram_waits,
            )
            .kernel("1", "ENOBUFS")
            .promise("1"),
        topic
            .case("B4", "UDP to a receiver that does not read: 2000 datagrams", udp_slow_reader)
            .kernels("all sent")
            .promise("all sent"),
        topic
            .case(
                "B5",
                "unix stream, full, then 500 bytes read: a send of 60000 bytes, then of 50",
                nearly_full,
            )
            .kernel("EAGAIN, EAGAIN", "EAGAIN, 50")
            .differs(
                "WouldBlock, WouldBlock",
                "WouldBlock, 50",
                "Linux counts free space in pages, OpenBSD in bytes above a low-water mark",
            ),
        topic
            .case("B6", "a send of no bytes: TCP, full TCP, unix stream, full unix stream", no_bytes)
            .kernels("0, 0, 0, 0")
            .promise("0, 0, 0, 0"),
        topic
            .case("B7", "an empty seqpacket record, and what the receiver sees", empty_record)
            .kernel("0, received 0", "0, received EAGAIN")
            .promise("EmptyRecord, received EAGAIN"),
        topic
            .case("B7c", "an empty record of one slice, and of two", empty_record_of_slices)
            .kernel("0, received 0, 0, received 0", "0, received EAGAIN, 0, received EAGAIN")
            .promise("EmptyRecord, received EAGAIN, EmptyRecord, received EAGAIN"),
        topic
            .case(
                "B7b",
                "unix datagram and UDP, an empty datagram, and what the receiver sees",
                empty_datagram,
            )
            .kernels("0, received 0, 0, received 0")
            .promise("0, received 0, 0, received 0"),
        topic
            .case("B8", "the size of the send buffer after it was set to 100000", send_buffer)
            .kernel("200000", "100000")
            .differs(
                "200000",
                "100000",
                "Linux reports twice the size that was set, because its own bookkeeping is included",
            ),
        topic
            .case(
                "B10",
                "two threads send on one non-blocking UDP socket, and try again if it would block",
                two_threads,
            )
            .kernels("4000 sent")
            .promise("4000 sent"),
    ]
}

fn udp_default(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::udp_pair()?;
    send_largest_udp(trial, &ours);
    Ok(())
}

fn udp_large(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::udp_pair()?;
    raw::set_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 65_535)?;
    send_largest_udp(trial, &ours);
    Ok(())
}

fn udp_fragments(trial: &mut Trial) -> Result<(), Stop> {
    /// `IPV6_MTU`: the size of Linux's fragments.
    const LINUX_MTU: libc::c_int = 24;
    let theirs = scene::udp_v6()?;
    let ours = scene::udp_v6()?;
    ours.connect(theirs.local_addr()?)?;
    if cfg!(target_os = "linux") {
        raw::set_option(ours.as_fd(), libc::IPPROTO_IPV6, LINUX_MTU, 1280)?;
    }
    raw::set_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 4096)?;
    trial.send(&SocketRef::udp_v6(&ours), &[0; 65_507]);
    Ok(())
}

fn send_largest_udp(trial: &mut Trial, socket: &std::net::UdpSocket) {
    let bytes = vec![0; 65_508];
    trial.send(&SocketRef::udp_v4(socket), &bytes[..65_507]);
    trial.send(&SocketRef::udp_v4(socket), &bytes);
}

fn datagram_limit(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Datagram)?;
    let send_buffer = raw::get_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF)? as usize;
    let limit = if cfg!(target_os = "linux") { send_buffer - 32 } else { send_buffer };
    let bytes = vec![0; limit + 1];
    trial.send_whole(&SocketRef::unix_datagram(&ours), &bytes[..limit], "fits");
    trial.send(&SocketRef::unix_datagram(&ours), &bytes);
    Ok(())
}

/// Sends datagrams to a receiver until it is full.
fn fill_datagrams(socket: &impl AsFd) -> Result<(), Stop> {
    for _ in 0..100_000 {
        match raw::send(socket.as_fd(), b"f", libc::MSG_DONTWAIT) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Stop::Broken("the receiver was never full".to_owned()))
}

fn datagram_full(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Datagram)?;
    fill_datagrams(&ours)?;
    trial.send_flags(&SocketRef::unix_datagram(&ours), b"x", SendFlags::DONT_WAIT);
    Ok(())
}

fn datagram_waits(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
    fill_datagrams(&ours)?;
    let reader = scene::start(move || {
        thread::sleep(Duration::from_millis(100));
        while raw::receive(theirs.as_fd(), &mut [0], libc::MSG_DONTWAIT).is_ok() {}
        theirs
    })?;
    trial.send_all(&SocketRef::unix_datagram(&ours), b"x");
    drop(reader.join());
    Ok(())
}

fn udp_slow_reader(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::udp_pair()?;
    let datagram = [0; 1000];
    let socket = SocketRef::udp_v4(&ours);
    let sent = (0..2000).all(|_| match trial.route() {
        Route::Kernel => raw::send(ours.as_fd(), &datagram, 0) == Ok(datagram.len()),
        Route::Portable => socket.send(&datagram, SendFlags::empty()) == Ok(datagram.len()),
    });
    trial.note(if sent { "all sent" } else { "not all sent" });
    Ok(())
}

fn nearly_full(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    scene::fill(&ours)?;
    raw::receive(theirs.as_fd(), &mut [0; 500], 0)?;
    trial.send_flags(&SocketRef::unix_stream(&ours), &[0; 60_000], SendFlags::DONT_WAIT);
    trial.send_flags(&SocketRef::unix_stream(&ours), &[0; 50], SendFlags::DONT_WAIT);
    Ok(())
}

fn no_bytes(trial: &mut Trial) -> Result<(), Stop> {
    let (tcp, _tcp_peer) = scene::tcp_pair()?;
    trial.send(&SocketRef::tcp(&tcp), b"");
    let (full, _full_peer) = scene::full_tcp_pair()?;
    trial.send_flags(&SocketRef::tcp(&full), b"", SendFlags::DONT_WAIT);
    let (unix, _unix_peer) = scene::unix_pair(SockType::Stream)?;
    trial.send(&SocketRef::unix_stream(&unix), b"");
    scene::fill(&unix)?;
    trial.send_flags(&SocketRef::unix_stream(&unix), b"", SendFlags::DONT_WAIT);
    Ok(())
}

fn empty_record(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::SeqPacket)?;
    trial.send(&SocketRef::unix_seqpacket(&ours), b"");
    trial.receive(&theirs);
    Ok(())
}

/// Through unisend, the first is sent as a `Message` and the second with `send_vectored`.
fn empty_record_of_slices(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::SeqPacket)?;
    let socket = SocketRef::unix_seqpacket(&ours);
    let mut empty = [IoSlice::new(b"")];
    match trial.route() {
        Route::Kernel => trial.send_vectored(&socket, &empty),
        Route::Portable => {
            trial.note_portable(Message::new(&mut empty).send(&socket, SendFlags::empty()));
        }
    }
    trial.receive(&theirs);
    trial.send_vectored(&socket, &[IoSlice::new(b""); 2]);
    trial.receive(&theirs);
    Ok(())
}

fn empty_datagram(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
    trial.send(&SocketRef::unix_datagram(&ours), b"");
    trial.receive(&theirs);
    let (ours, theirs) = scene::udp_pair()?;
    trial.send(&SocketRef::udp_v4(&ours), b"");
    scene::wait_until(&theirs, nix::poll::PollFlags::POLLIN)?;
    trial.receive(&theirs);
    Ok(())
}

fn send_buffer(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    raw::set_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 100_000)?;
    match trial.route() {
        Route::Kernel => {
            let size = raw::get_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF)?;
            trial.note(size);
        }
        Route::Portable => {
            let probed = SocketRef::probe(&ours)?;
            trial.note(probed.send_buffer().unwrap_or(0));
        }
    }
    Ok(())
}

fn two_threads(trial: &mut Trial) -> Result<(), Stop> {
    const EACH: usize = 2000;
    const TRIES: usize = 100_000;
    machine::need(Need::Thread)?;
    let (ours, _theirs) = scene::udp_pair()?;
    let (route, datagram) = (trial.route(), [0; 9000]);
    let send = |length: usize| match route {
        Route::Kernel => raw::send(ours.as_fd(), &datagram[..length], libc::MSG_DONTWAIT).is_ok(),
        Route::Portable => SocketRef::udp_v4(&ours).send(&datagram[..length], SendFlags::DONT_WAIT).is_ok(),
    };
    let send_each = |length| (0..EACH).filter(|_| (0..TRIES).any(|_| send(length))).count();
    let sent = thread::scope(|scope| {
        let long = thread::Builder::new().spawn_scoped(scope, || send_each(9000));
        let long = long.map_err(|error| machine::no_process(machine::errno_of(&error)))?;
        Ok::<_, Stop>(send_each(1) + long.join().unwrap_or(0))
    })?;
    trial.note(format!("{sent} sent"));
    Ok(())
}
