//! D1 to D8: batches of datagrams.

use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use nix::poll::PollFlags;
use nix::sys::socket::SockType;
use unisend::{Address, Datagram, DatagramBuffer, Message, ReceiveFlags, SendAllError, SendFlags, SocketRef};

use crate::case::{Case, Stop, Topic};
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Datagrams;
    vec![
        topic
            .case("D1", "UDP, three datagrams, the second is too long; the rest of them", error_midway)
            .kernels("1, EMSGSIZE")
            .promise("MessageTooLong after 1, done, received 2"),
        topic
            .case("D2", "no datagrams on a descriptor that is no socket", nothing)
            // OpenBSD: sys_sendmmsg() of uipc_syscalls.c looks at the descriptor for a message only.
            .kernel("ENOTSOCK", "0")
            .promise("done, 0"),
        topic.case("D3", "UDP, 1100 empty datagrams", many).kernels("1024").promise("done"),
        topic
            .case("D4", "UDP, batches to a port on which nobody listens, until it is told", refused)
            // Linux: each refusal comes while the next datagram of the same call is sent, and is dropped. OpenBSD: its icmp
            // input runs later.
            .kernel("never told", "ECONNREFUSED")
            .promise("Refused"),
        topic
            .case(
                "D4b",
                "unix datagrams, a batch that fills its receiver, which then closes; what it or the next send says",
                closes_during_a_batch,
            )
            // Linux: the sendmmsg(2) that waits for room drops the error. OpenBSD's does not wait.
            .kernel("ENOTCONN", "ECONNRESET")
            .promise("Reset"),
        topic
            .case(
                "D5",
                "UDP, room for three and two are there; room for 70 and as many are there",
                what_is_there,
            )
            .kernels("2, 70")
            .promise("2, 64, 6"),
        topic
            .case(
                "D6",
                "unix datagrams: one that is longer than its room, an empty one, one that fits",
                told_apart,
            )
            .kernels("2 TRUNC, 0, 2")
            .promise("2 truncated from s, 0, 2"),
        topic
            .case("D7", "UDP, room for two, one is there, a signal comes; the next receive", interrupted)
            // OpenBSD: sys_recvmmsg() of uipc_syscalls.c stores the error in so_error.
            .kernel("1, an unknown errno", "1, EINTR")
            .promise("1, WouldBlock"),
        topic
            .case("D8", "unix datagrams with descriptors; how many are open afterwards", descriptors)
            .kernel("1 CTRUNC, none", "1, none")
            .differs("1 lost, none", "1, none", "OpenBSD does not report the loss"),
    ]
}

fn note_batch(trial: &mut Trial, outcome: Result<(), SendAllError>) {
    match outcome {
        Ok(()) => trial.note("done"),
        Err(stopped) => trial.note(format!("{} after {}", stopped.kind(), stopped.accepted())),
    }
}

/// Returns how many datagrams are there and, if the socket is UDP, come within a moment.
fn count_of(socket: &UdpSocket) -> Result<usize, Stop> {
    let mut count = 0;
    while scene::wait_for(socket, PollFlags::POLLIN, 200)? {
        socket.recv(&mut [0; 10])?;
        count += 1;
    }
    Ok(count)
}

fn error_midway(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::udp_pair()?;
    let long = vec![0; 70_000];
    let messages = [&b"x"[..], &long, b"x"];
    match trial.route() {
        Route::Kernel => {
            let first = raw::send_messages(ours.as_fd(), &messages);
            trial.note_raw(first);
            trial.note_raw(raw::send_messages(ours.as_fd(), &messages[1..]));
        }
        Route::Portable => {
            let slices = messages.map(|message| [IoSlice::new(message)]);
            let batch = [0, 1, 2].map(|index| Datagram::new(&slices[index]));
            let socket = SocketRef::udp_v4(&ours);
            note_batch(trial, socket.send_batch(&batch, SendFlags::empty()));
            note_batch(trial, socket.send_batch(&batch[2..], SendFlags::empty()));
            trial.note(format!("received {}", count_of(&theirs)?));
        }
    }
    Ok(())
}

fn nothing(trial: &mut Trial) -> Result<(), Stop> {
    let null = scene::open("/dev/null")?;
    match trial.route() {
        Route::Kernel => trial.note_raw(raw::send_messages(null.as_fd(), &[])),
        Route::Portable => {
            let socket = SocketRef::udp_v4(&null);
            note_batch(trial, socket.send_batch(&[], SendFlags::empty()));
            trial.note_portable(socket.receive_batch(&mut [], ReceiveFlags::empty()));
        }
    }
    Ok(())
}

/// They are more than a queue holds, and UDP drops those that have no room.
fn many(trial: &mut Trial) -> Result<(), Stop> {
    const COUNT: usize = 1100;
    let (ours, _theirs) = scene::udp_pair()?;
    match trial.route() {
        Route::Kernel => trial.note_raw(raw::send_messages(ours.as_fd(), &[&b""[..]; COUNT])),
        Route::Portable => {
            let slices = [IoSlice::new(b"")];
            let batch = [Datagram::new(&slices); COUNT];
            let outcome = SocketRef::udp_v4(&ours).send_batch(&batch, SendFlags::empty());
            note_batch(trial, outcome);
        }
    }
    Ok(())
}

fn refused(trial: &mut Trial) -> Result<(), Stop> {
    let ours = scene::udp_to_closed_port()?;
    let slices = [IoSlice::new(b"x")];
    for _ in 0..100 {
        let told = match trial.route() {
            Route::Kernel => {
                let failed = raw::send_messages(ours.as_fd(), &[&b"x"[..]; 3]).err();
                failed.map(|errno| trial.note_raw(Err(errno)))
            }
            Route::Portable => {
                let outcome =
                    SocketRef::udp_v4(&ours).send_batch(&[Datagram::new(&slices); 3], SendFlags::empty());
                outcome.err().map(|stopped| trial.note(stopped.kind()))
            }
        };
        if told.is_some() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    trial.note("never told");
    Ok(())
}

fn closes_during_a_batch(trial: &mut Trial) -> Result<(), Stop> {
    const MORE_THAN_WAIT: usize = 1000;
    let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
    let route = trial.route();
    let worker = scene::start(move || match route {
        Route::Kernel => {
            let sent = raw::send_messages(ours.as_fd(), &[&[0; 500][..]; MORE_THAN_WAIT]);
            (ours, sent.err(), None)
        }
        Route::Portable => {
            let slices = [IoSlice::new(&[0; 500])];
            let batch = [Datagram::new(&slices); MORE_THAN_WAIT];
            let outcome = SocketRef::unix_datagram(&ours).send_batch(&batch, SendFlags::empty());
            (ours, None, outcome.err().map(|stopped| stopped.kind()))
        }
    })?;
    scene::wait_until(&theirs, PollFlags::POLLIN)?;
    if route == Route::Kernel {
        // OpenBSD's sendmmsg(2) is to have returned.
        thread::sleep(Duration::from_millis(100));
    }
    drop(theirs);
    let (ours, kernels, portable) =
        worker.join().map_err(|_| Stop::Broken("the sender panicked".to_owned()))?;
    match (route, portable) {
        (Route::Portable, Some(kind)) => trial.note(kind),
        (Route::Portable, None) => trial.note("done"),
        (Route::Kernel, _) if kernels.is_some() => trial.note("at once"),
        (Route::Kernel, _) => trial.note_raw(raw::send(ours.as_fd(), b"x", 0)),
    }
    Ok(())
}

/// Sends datagrams, and waits until they have arrived: on OpenBSD that takes a moment.
fn send_and_wait(ours: &UdpSocket, theirs: &UdpSocket, count: usize) -> Result<(), Stop> {
    for _ in 0..count {
        ours.send(b"x")?;
    }
    scene::wait_until(theirs, PollFlags::POLLIN)?;
    thread::sleep(Duration::from_millis(200));
    Ok(())
}

fn what_is_there(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::udp_pair()?;
    let mut rooms = [[0; 2]; 70];
    let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
    for (count, most) in [(2, 3), (70, 70)] {
        send_and_wait(&ours, &theirs, count)?;
        match trial.route() {
            Route::Kernel => {
                let flags = libc::MSG_WAITFORONE;
                let received = raw::receive_messages(theirs.as_fd(), most, flags);
                trial.note_raw(received.map(|messages| messages.len()));
            }
            Route::Portable => {
                let mut left = count;
                while left > 0 {
                    let socket = SocketRef::udp_v4(&theirs);
                    let received = socket.receive_batch(&mut buffers[..most], ReceiveFlags::empty())?;
                    trial.note(received);
                    left = left.saturating_sub(received);
                }
            }
        }
    }
    Ok(())
}

/// Returns what came of a message, as the kernel's flags and unisend's have it.
fn describe(length: usize, said: &[(bool, &str)]) -> String {
    let words = said.iter().filter(|(is, _)| *is).map(|(_, word)| format!(" {word}"));
    format!("{length}{}", words.collect::<String>())
}

fn raw_messages(trial: &mut Trial, fd: &impl AsFd, most: usize) {
    match raw::receive_messages(fd.as_fd(), most, libc::MSG_DONTWAIT) {
        Ok(messages) => messages.iter().for_each(|&(length, flags)| {
            let said = [(flags & libc::MSG_TRUNC != 0, "TRUNC"), (flags & libc::MSG_CTRUNC != 0, "CTRUNC")];
            trial.note(describe(length, &said));
        }),
        Err(errno) => trial.note_raw(Err(errno)),
    }
}

fn told_apart(trial: &mut Trial) -> Result<(), Stop> {
    let (to, from) = (trial.path("r"), trial.path("s"));
    let theirs = scene::bound_datagram(&to)?;
    let (named, unnamed) = (scene::bound_datagram(&from)?, scene::unbound_datagram()?);
    named.send_to(b"long", &to)?;
    unnamed.send_to(b"", &to)?;
    unnamed.send_to(b"it", &to)?;
    if trial.route() == Route::Kernel {
        raw_messages(trial, &theirs, 3);
        return Ok(());
    }
    let from = Address::unix(&from)?;
    let mut rooms = [[0; 2]; 3];
    let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
    let count = SocketRef::from(&theirs).receive_batch(&mut buffers, ReceiveFlags::DONT_WAIT)?;
    for datagram in &buffers[..count] {
        let is_named = datagram.sender() == Some(from);
        let said = [
            (datagram.is_truncated(), "truncated"),
            (is_named, "from s"),
            (datagram.descriptors_lost(), "lost"),
        ];
        trial.note(describe(datagram.bytes().len(), &said));
    }
    Ok(())
}

fn interrupted(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::udp_pair()?;
    scene::catch_signal(false)?;
    send_and_wait(&ours, &theirs, 1)?;
    let signals = scene::Signals::each(100)?;
    match trial.route() {
        Route::Kernel => {
            let received = raw::receive_messages(theirs.as_fd(), 2, 0);
            signals.stop()?;
            trial.note_raw(received.map(|messages| messages.len()));
            trial.note_raw(raw::receive(theirs.as_fd(), &mut [0], libc::MSG_DONTWAIT));
        }
        Route::Portable => {
            let mut rooms = [[0; 2]; 2];
            let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
            let socket = SocketRef::udp_v4(&theirs);
            let received = socket.receive_batch(&mut buffers, ReceiveFlags::empty());
            signals.stop()?;
            trial.note_portable(received);
            trial.note_portable(socket.receive_batch(&mut buffers, ReceiveFlags::DONT_WAIT));
        }
    }
    Ok(())
}

/// A pipe is at its end when all descriptors for writing are closed.
fn descriptors(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
    let (reader, writer) = nix::unistd::pipe()?;
    let slices = &mut [IoSlice::new(b"x")];
    let message = Message::new(slices).with_descriptor(&writer);
    message.send(&SocketRef::unix_datagram(&ours), SendFlags::empty())?;
    drop(writer);
    match trial.route() {
        Route::Kernel => raw_messages(trial, &theirs, 1),
        Route::Portable => {
            let mut room = [0; 2];
            let mut buffers = [DatagramBuffer::new(&mut room)];
            SocketRef::unix_datagram(&theirs).receive_batch(&mut buffers, ReceiveFlags::DONT_WAIT)?;
            let [datagram] = &buffers;
            trial.note(describe(datagram.bytes().len(), &[(datagram.descriptors_lost(), "lost")]));
        }
    }
    let is_closed = scene::wait_for(&reader, PollFlags::POLLIN, 5000)?;
    trial.note(if is_closed { "none" } else { "a descriptor" });
    Ok(())
}
