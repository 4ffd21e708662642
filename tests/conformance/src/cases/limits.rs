//! L1 to L7: limits of a call.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::AsFd;

use nix::sys::socket::SockType;
use unisend::{Message, SendAllError, SendFlags, SocketRef};

use crate::case::{Case, Stop, Topic};
use crate::expected::always;
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

const SSIZE_MAX: usize = isize::MAX as usize;

/// More bytes than Linux takes in one call, and fewer than 64 bits can map.
const HUGE: usize = 2_415_919_104;

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Limits;
    vec![
        topic
            .case("L1", "UDP, a length over SSIZE_MAX", length_overflow)
            .kernel("EMSGSIZE", "EINVAL")
            .unrepresentable("a slice has at most isize::MAX bytes"),
        topic
            .case("L2", "one slice over SSIZE_MAX", slice_overflow)
            .kernels("EINVAL")
            .unrepresentable("a slice has at most isize::MAX bytes"),
        topic
            .case("L3", "slices with more than SSIZE_MAX bytes in total", sum_overflow)
            .kernel(
                [
                    always("EFAULT"),
                    always("a part").only("the kernel has an address space of its own (s390x)"),
                ],
                "EINVAL",
            )
            .unrepresentable(
                "no memory holds such slices, unless they overlap; the function that adds them up has its own tests",
            ),
        topic
            .case("L4", "unix stream, 2.25 GiB in one blocking call", huge)
            .kernel("{most}", "2415919104")
            .differs(
                "{most}",
                "2415919104",
                "Linux takes at most INT_MAX bytes a call, in whole pages: a short count",
            ),
        topic
            .case("L4b", "2.25 GiB with send_all, and what the reader received", huge_all)
            .kernel("{most}, read {most}", "2415919104, read 2415919104")
            .promise("2415919104, read 2415919104"),
        topic
            .case(
                "L4c",
                "unix stream, 1024 empty slices, then four bytes: send_all_vectored, Message::send_all",
                empty_slices_first,
            )
            .kernels("0, 0, received EAGAIN")
            .promise("4, 4, received 8"),
        topic
            .case("L5", "unix stream, 1024 slices and 1025", slices)
            .kernels("1024, EMSGSIZE")
            .promise("1024, TooManySlices"),
        topic
            .case("L6", "pipe, writev of no slices and of 1025", writev)
            .kernel("0, EINVAL", "EINVAL, EINVAL")
            .unrepresentable("writev(2) is never called on a socket: slices are sent with sendmsg(2)"),
        topic
            .case("L7", "unix stream and datagram, sendmsg of no slices and of an empty one", no_slices)
            .kernels("0, 0, 0, 0")
            .promise("0, 0, 0, 0"),
    ]
}

fn length_overflow(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::udp_pair()?;
    trial.note_raw(raw::send_memory(ours.as_fd(), b"x".as_ptr(), SSIZE_MAX + 1, libc::MSG_DONTWAIT));
    Ok(())
}

fn vector(length: usize) -> libc::iovec {
    libc::iovec { iov_base: b"xxxx".as_ptr().cast_mut().cast(), iov_len: length }
}

fn slice_overflow(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    trial.note_raw(raw::send_vectors(ours.as_fd(), [vector(SSIZE_MAX + 1)].as_ptr(), 1));
    Ok(())
}

fn sum_overflow(trial: &mut Trial) -> Result<(), Stop> {
    if usize::BITS < 64 {
        return scene::skip("on 32 bits, memory that Linux may read follows the slices");
    }
    let (ours, _theirs) = scene::tcp_pair()?;
    scene::set_nonblocking(&ours, true)?;
    match raw::send_vectors(ours.as_fd(), [vector(4), vector(SSIZE_MAX - 3)].as_ptr(), 2) {
        Ok(count) if count > 4 => trial.note("a part"),
        result => trial.note_raw(result),
    }
    Ok(())
}

/// Returns this many bytes that take little memory: they map one part again and again.
fn huge_bytes(trial: &Trial) -> Result<&'static [u8], Stop> {
    const PART: usize = 1 << 20;
    const _: () = assert!(HUGE.is_multiple_of(PART));
    if usize::BITS < 64 {
        return scene::skip("32 bits cannot map this many bytes");
    }
    let whole = File::create_new(trial.path("whole"))?;
    let part = File::create_new(trial.path("part"))?;
    whole.set_len(HUGE as u64)?;
    part.set_len(PART as u64)?;
    Ok(raw::map_again_and_again(&whole.into(), HUGE, &part.into(), PART)?)
}

fn huge(trial: &mut Trial) -> Result<(), Stop> {
    let bytes = huge_bytes(trial)?;
    let (ours, theirs) = scene::unix_streams()?;
    let reader = scene::drain(theirs)?;
    trial.send(&SocketRef::unix_stream(&ours), bytes);
    drop(ours);
    drop(reader.join());
    Ok(())
}

fn huge_all(trial: &mut Trial) -> Result<(), Stop> {
    let bytes = huge_bytes(trial)?;
    let (ours, theirs) = scene::unix_streams()?;
    let reader = scene::drain(theirs)?;
    trial.send_all(&SocketRef::unix_stream(&ours), bytes);
    drop(ours);
    let read = reader.join().map_err(|_| Stop::Broken("the reader panicked".to_owned()))?;
    trial.note(format!("read {read}"));
    Ok(())
}

fn slices(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    let slices = [IoSlice::new(b"x"); 1025];
    trial.send_vectored(&SocketRef::unix_stream(&ours), &slices[..1024]);
    trial.send_vectored(&SocketRef::unix_stream(&ours), &slices);
    Ok(())
}

/// Raw libc has no loop, so its route shows the first call only, with as many slices as one call takes.
fn empty_slices_first(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let socket = SocketRef::unix_stream(&ours);
    let mut slices = [IoSlice::new(b""); 1025];
    slices[1024] = IoSlice::new(b"four");
    let mut again = slices;
    match trial.route() {
        Route::Kernel => {
            trial.send_vectored(&socket, &slices[..1024]);
            trial.send_vectored(&socket, &slices[..1024]);
        }
        Route::Portable => {
            let sent = socket.send_all_vectored(&mut &mut slices[..], SendFlags::empty());
            trial.note_portable(sent.map(|()| 4).map_err(SendAllError::into));
            let sent = Message::new(&mut again).send_all(&socket, SendFlags::empty());
            trial.note_portable(sent.map(|()| 4).map_err(SendAllError::into));
        }
    }
    trial.receive(&theirs);
    Ok(())
}

fn writev(trial: &mut Trial) -> Result<(), Stop> {
    let (_reader, writer) = nix::unistd::pipe()?;
    trial.note_raw(raw::write_slices(writer.as_fd(), 0));
    trial.note_raw(raw::write_slices(writer.as_fd(), 1025));
    Ok(())
}

fn no_slices(trial: &mut Trial) -> Result<(), Stop> {
    let (stream, _stream_peer) = scene::unix_pair(SockType::Stream)?;
    let (datagram, _datagram_peer) = scene::unix_pair(SockType::Datagram)?;
    for socket in [SocketRef::unix_stream(&stream), SocketRef::unix_datagram(&datagram).into()] {
        trial.send_vectored(&socket, &[]);
        trial.send_vectored(&socket, &[IoSlice::new(b"")]);
    }
    Ok(())
}
