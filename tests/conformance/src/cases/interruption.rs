//! I1 to I8: signals, timeouts, and errors in the middle of a call.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use nix::sys::socket::SockType;
use unisend::SocketRef;

use crate::case::{Case, Stop, Topic};
use crate::network;
use crate::raw;
use crate::scene;
use crate::trial::{Destination, Trial};

/// More bytes than any buffer takes.
const LONG: usize = 8 << 20;

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Interruption;
    vec![
        topic
            .case(
                "I1",
                "a signal after some bytes: unix stream, TCP, unix stream with SA_RESTART",
                signal_after_some,
            )
            .kernels("partial, partial, partial")
            .promise("partial, partial, partial"),
        topic
            .case("I2", "a signal before the first byte: unix stream, TCP", signal_before_any)
            .kernels("EINTR, EINTR")
            .promise("Interrupted, Interrupted"),
        topic
            .case(
                "I2b",
                "a signal before the first byte: send_all goes on, and finds room a second later",
                signal_outlasted,
            )
            .kernels("EINTR")
            .promise("100"),
        topic
            .case("I3", "a signal before the first byte, with SO_SNDTIMEO and SA_RESTART", signal_and_timeout)
            .kernel("EINTR", "EAGAIN")
            .differs(
                "Interrupted",
                "WouldBlock",
                "OpenBSD restarts the call and waits again; Linux does not restart a call with a time limit",
            ),
        topic
            .case("I4", "SO_SNDTIMEO: nothing accepted, something accepted", timeout)
            .kernels("EAGAIN, partial")
            .promise("WouldBlock, partial"),
        topic
            .case(
                "I4b",
                "send_all on a full unix stream, with SO_SNDTIMEO of 500 ms and a signal each 100 ms for 3 s",
                signals_and_timeout,
            )
            .kernels("EINTR while signals come")
            .differs(
                "WouldBlock while signals come",
                "WouldBlock after the last signal",
                "on OpenBSD, reading the option would need more of pledge(2) than the send",
            ),
        topic
            .case("I5", "TCP, reset after a blocking send has sent a part, and the next send", reset_midway)
            .kernel("partial, ECONNRESET", "EPIPE+SIGPIPE, EPIPE+SIGPIPE")
            .differs(
                "partial, Reset",
                "Reset (may have sent), Disconnected",
                "OpenBSD does not say how much was accepted before a hard error",
            ),
        topic
            .case(
                "I5b",
                "unix stream, closed after a blocking send has sent a part, and the next send",
                closed_midway,
            )
            .kernel("partial, EPIPE+SIGPIPE", "EPIPE+SIGPIPE, EPIPE+SIGPIPE")
            .differs(
                "partial, Disconnected",
                "Disconnected (may have sent), Disconnected",
                "OpenBSD does not say how much was accepted before a hard error",
            ),
        topic
            .case("I6", "unix stream, memory that ends after 256 KiB of 512 KiB", fault_midway)
            .kernel("partial", "EFAULT")
            .unrepresentable("a slice can be read to its end"),
        topic
            .case("I8", "UDP, no route to the destination", no_route)
            .kernel("ENETUNREACH", "EADDRNOTAVAIL")
            .promise("Unreachable"),
        topic
            .case("I8b", "UDP, a blackhole route", no_way)
            // OpenBSD: such a route leads to looutput() of if_loop.c. Only that source says so.
            .kernel("EINVAL", "1")
            .differs("Unreachable", "1", "OpenBSD accepts the datagram and drops it"),
    ]
}

fn interrupted(milliseconds: u64, call: impl FnOnce()) -> Result<(), Stop> {
    let signals = scene::Signals::each(milliseconds)?;
    call();
    signals.stop()
}

fn signal_after_some(trial: &mut Trial) -> Result<(), Stop> {
    let long = vec![0; LONG];
    let (unix, _unix_peer) = scene::unix_pair(SockType::Stream)?;
    let (tcp, _tcp_peer) = scene::tcp_pair()?;
    let (restarted, _restarted_peer) = scene::unix_pair(SockType::Stream)?;
    scene::catch_signal(false)?;
    interrupted(100, || trial.send_partly(&SocketRef::unix_stream(&unix), &long))?;
    interrupted(100, || trial.send_partly(&SocketRef::tcp(&tcp), &long))?;
    scene::catch_signal(true)?;
    interrupted(100, || trial.send_partly(&SocketRef::unix_stream(&restarted), &long))
}

fn signal_before_any(trial: &mut Trial) -> Result<(), Stop> {
    scene::catch_signal(false)?;
    let (unix, _unix_peer) = scene::unix_pair(SockType::Stream)?;
    scene::fill(&unix)?;
    let (tcp, _tcp_peer) = scene::full_tcp_pair()?;
    interrupted(100, || trial.send(&SocketRef::unix_stream(&unix), &[0; 100]))?;
    interrupted(100, || trial.send(&SocketRef::tcp(&tcp), &[0; 100]))
}

fn signal_outlasted(trial: &mut Trial) -> Result<(), Stop> {
    scene::catch_signal(false)?;
    let (unix, peer) = scene::unix_pair(SockType::Stream)?;
    scene::fill(&unix)?;
    let reader = scene::start(move || {
        thread::sleep(Duration::from_secs(1));
        let mut buffer = vec![0; 1 << 20];
        while raw::receive(peer.as_fd(), &mut buffer, libc::MSG_DONTWAIT).is_ok() {}
        peer
    })?;
    interrupted(100, || trial.send_all(&SocketRef::unix_stream(&unix), &[0; 100]))?;
    drop(reader.join());
    Ok(())
}

fn signal_and_timeout(trial: &mut Trial) -> Result<(), Stop> {
    scene::catch_signal(true)?;
    let (unix, _unix_peer) = scene::unix_pair(SockType::Stream)?;
    scene::fill(&unix)?;
    scene::set_send_timeout(&unix, 1500)?;
    interrupted(100, || trial.send(&SocketRef::unix_stream(&unix), &[0; 100]))
}

fn timeout(trial: &mut Trial) -> Result<(), Stop> {
    let (full, _full_peer) = scene::unix_pair(SockType::Stream)?;
    scene::fill(&full)?;
    scene::set_send_timeout(&full, 100)?;
    trial.send(&SocketRef::unix_stream(&full), &[0; 100]);
    let (empty, _empty_peer) = scene::unix_pair(SockType::Stream)?;
    scene::set_send_timeout(&empty, 100)?;
    trial.send_partly(&SocketRef::unix_stream(&empty), &vec![0; LONG]);
    Ok(())
}

fn signals_and_timeout(trial: &mut Trial) -> Result<(), Stop> {
    scene::catch_signal(false)?;
    let (unix, _unix_peer) = scene::unix_pair(SockType::Stream)?;
    scene::fill(&unix)?;
    scene::set_send_timeout(&unix, 500)?;
    let signals = scene::signal_every(100, 30)?;
    trial.send_all(&SocketRef::unix_stream(&unix), &[0; 100]);
    let when = if signals.is_finished() { " after the last signal" } else { " while signals come" };
    trial.add_to_last(when);
    signals.join().map_err(|_| Stop::Broken("the signalling thread panicked".to_owned()))
}

fn reset_midway(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::tcp_pair()?;
    let resetter = scene::start(move || {
        scene::wait_for_a_sender(&theirs);
        scene::reset_on_close(&theirs).map(|()| drop(theirs))
    })?;
    trial.send_partly(&SocketRef::tcp(&ours), &vec![0; LONG]);
    trial.send(&SocketRef::tcp(&ours), b"x");
    resetter.join().map_err(|_| Stop::Broken("the resetting thread panicked".to_owned()))?
}

fn closed_midway(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let closer = scene::start(move || {
        scene::wait_for_a_sender(&theirs);
        drop(theirs);
    })?;
    trial.send_partly(&SocketRef::unix_stream(&ours), &vec![0; LONG]);
    trial.send(&SocketRef::unix_stream(&ours), b"x");
    closer.join().map_err(|_| Stop::Broken("the closing thread panicked".to_owned()))
}

fn fault_midway(trial: &mut Trial) -> Result<(), Stop> {
    const HALF: usize = 256 << 10;
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    raw::set_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 20)?;
    scene::set_send_timeout(&ours, 1000)?;
    let memory = raw::readable_then_not(HALF)?;
    trial.note_raw_partly(raw::send_memory(ours.as_fd(), memory, 2 * HALF, 0), 2 * HALF);
    Ok(())
}

fn no_way(trial: &mut Trial) -> Result<(), Stop> {
    scene::enter_own_network()?;
    network::ip("route add blackhole 192.0.2.0/24")?;
    let sender = UdpSocket::bind("0.0.0.0:0")?;
    let swallowed = "192.0.2.1:9".parse().expect("an address for documentation");
    trial.send_to(&SocketRef::udp_v4(&sender), b"x", Destination::Internet(swallowed));
    Ok(())
}

fn no_route(trial: &mut Trial) -> Result<(), Stop> {
    scene::enter_empty_network()?;
    let sender = UdpSocket::bind("0.0.0.0:0")?;
    let anywhere = "192.0.2.1:9".parse().expect("an address for documentation");
    trial.send_to(&SocketRef::udp_v4(&sender), b"x", Destination::Internet(anywhere));
    Ok(())
}
