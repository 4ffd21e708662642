//! What all ways to send have in common.

use std::io::IoSlice;
use std::os::fd::AsFd;

use nix::poll::PollFlags;
use nix::sys::select::{FdSet, select};
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::time::TimeVal;
use unisend::{SendFlags, Socket};

use crate::case::{Case, Stop, Topic};
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Agreement;
    vec![
        topic
            .case(
                "G1",
                "write, send without flags, sendmsg: the same bytes are accepted, on a stream",
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
            .case("G3", "a descriptor that is no socket: a pipe, a file", no_socket)
            .kernels("ENOTSOCK, ENOTSOCK")
            .promise("NotSocket, NotSocket"),
        topic
            .case("G4", "pointers that cannot be read, descriptors that are closed", bad_memory)
            .kernels("EFAULT, EBADF")
            .unrepresentable("a slice can be read, and a borrowed descriptor is open"),
    ]
}

fn three_ways(trial: &mut Trial, socket: &Socket<'_>) {
    match trial.route() {
        Route::Kernel => trial.note_raw(raw::write(socket.as_fd(), b"first")),
        Route::Portable => trial.send_all(socket, b"first"),
    }
    trial.send(socket, b"again");
    trial.send_vectored(socket, &[IoSlice::new(b"th"), IoSlice::new(b"ird")]);
}

fn same_bytes(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    three_ways(trial, &Socket::unix_stream(&ours));
    trial.receive(&theirs);
    Ok(())
}

fn same_datagrams(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
    three_ways(trial, &Socket::unix_datagram(&ours));
    trial.receive(&theirs);
    trial.receive(&theirs);
    trial.receive(&theirs);
    Ok(())
}

fn readiness(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let socket = Socket::unix_stream(&ours);
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
    trial.send(&Socket::unix_stream(&writer), b"x");
    let file = std::fs::File::create(trial.path("file"))?;
    trial.send(&Socket::tcp(&file), b"x");
    Ok(())
}

fn bad_memory(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    trial.note_raw(raw::send_memory(ours.as_fd(), std::ptr::without_provenance(8), 1, 0));
    let number = std::os::fd::AsRawFd::as_raw_fd(&scene::new_socket(AddressFamily::Unix, SockType::Stream)?);
    trial.note_raw(raw::send_number(number));
    Ok(())
}
