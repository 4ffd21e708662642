//! D9 to D12: one buffer that leaves as datagrams of one size.
//!
//! Each script sends twice: as the kernel can, and as a batch. The lengths of the datagrams that arrive are noted.

use std::net::UdpSocket;

use nix::poll::PollFlags;
use unisend::{DatagramBuffer, ErrorKind, ReceiveFlags, SegmentOffload, Segments, SendFlags, SocketRef};

use crate::case::{Case, Stop, Topic};
use crate::scene;
use crate::trial::{NO_CALL, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Datagrams;
    vec![
        topic
            .case("D9", "3000 bytes in segments of 1200; of 3000; no bytes; segments of no bytes", sizes)
            .kernels(NO_CALL)
            .promise(
                "1200+1200+600, 3000, nothing, InvalidInput, 1200+1200+600, 3000, nothing, InvalidInput",
            ),
        topic
            .case("D10", "130 segments of 1 byte; 3 of 4000 bytes", limits)
            .kernels(NO_CALL)
            .promise("130 of 1, 3 of 4000, 130 of 1, 3 of 4000"),
        topic
            .case(
                "D11",
                "a socket whose datagrams the kernel does not divide; again; a smaller size",
                refused,
            )
            .kernels(NO_CALL)
            .promise("1000+1000+500, not by the kernel, 1000+1000+500"),
        topic
            .case("D12", "3 segments to a socket that joins them; a unix socket", joined)
            .kernels(NO_CALL)
            .promise("1000+1000+500, Unsupported"),
    ]
}

/// Receives so many bytes, and returns the length of each datagram.
fn lengths(socket: &UdpSocket, mut bytes: usize) -> Result<Vec<usize>, Stop> {
    let mut all = Vec::new();
    while bytes > 0 && scene::wait_for(socket, PollFlags::POLLIN, 5000)? {
        let length = socket.recv(&mut [0; 10_000])?;
        bytes = bytes.saturating_sub(length);
        all.push(length);
    }
    if scene::wait_for(socket, PollFlags::POLLIN, 0)? {
        return Err(Stop::Broken("more came than was sent".to_owned()));
    }
    Ok(all)
}

fn sum(lengths: &[usize]) -> String {
    match lengths {
        [] => "nothing".to_owned(),
        _ => lengths.iter().map(usize::to_string).collect::<Vec<_>>().join("+"),
    }
}

fn send(
    socket: &UdpSocket,
    offload: &mut SegmentOffload,
    bytes: &[u8],
    size: usize,
) -> Result<(), ErrorKind> {
    let segments = Segments::new(bytes, size);
    segments.send(&SocketRef::udp_v4(socket), offload, SendFlags::empty()).map_err(|stopped| stopped.kind())
}

/// Sends, and notes the datagrams that arrive, or the error.
fn note_sizes(
    trial: &mut Trial,
    (ours, theirs): &(UdpSocket, UdpSocket),
    offload: &mut SegmentOffload,
    bytes: &[u8],
    size: usize,
) -> Result<(), Stop> {
    match send(ours, offload, bytes, size) {
        Ok(()) => trial.note(sum(&lengths(theirs, bytes.len())?)),
        Err(kind) => trial.note(kind),
    }
    Ok(())
}

fn sizes(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let pair = scene::udp_pair()?;
    let bytes = [7; 3000];
    for mut offload in [SegmentOffload::new(), SegmentOffload::never()] {
        for (length, size) in [(3000, 1200), (3000, 3000), (0, 1200), (3000, 0)] {
            note_sizes(trial, &pair, &mut offload, &bytes[..length], size)?;
        }
    }
    Ok(())
}

fn limits(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let (ours, theirs) = scene::udp_pair()?;
    let bytes = [7; 12_000];
    for mut offload in [SegmentOffload::new(), SegmentOffload::never()] {
        for (count, size) in [(130, 1), (3, 4000)] {
            send(&ours, &mut offload, &bytes[..count * size], size).map_err(broken)?;
            let came = lengths(&theirs, count * size)?;
            let alike = came.iter().all(|&length| length == size);
            trial.note(if alike { format!("{} of {size}", came.len()) } else { sum(&came) });
        }
    }
    Ok(())
}

fn broken(kind: ErrorKind) -> Stop {
    Stop::Broken(kind.to_string())
}

/// Linux divides nothing for a socket that sends no checksums.
fn refused(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let pair = scene::udp_pair()?;
    #[cfg(target_os = "linux")]
    crate::raw::set_option(std::os::fd::AsFd::as_fd(&pair.0), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)?;
    let mut offload = SegmentOffload::new();
    note_sizes(trial, &pair, &mut offload, &[7; 2500], 1000)?;
    trial.note(if offload.takes(1000) { "by the kernel" } else { "not by the kernel" });
    note_sizes(trial, &pair, &mut offload, &[7; 2500], 1000)
}

fn joined(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let (ours, theirs) = scene::udp_pair()?;
    let receiver = SocketRef::udp_v4(&theirs);
    receiver.receive_joined()?;
    send(&ours, &mut SegmentOffload::new(), &[7; 2500], 1000).map_err(broken)?;
    let (mut room, mut came) = (vec![0; 65_536], Vec::new());
    while came.iter().sum::<usize>() < 2500 {
        scene::wait_until(&theirs, PollFlags::POLLIN)?;
        let mut buffers = [DatagramBuffer::new(&mut room)];
        receiver.receive_batch(&mut buffers, ReceiveFlags::DONT_WAIT)?;
        let bytes = buffers[0].bytes();
        let size = buffers[0].segment_size().unwrap_or(bytes.len());
        came.extend(bytes.chunks(size).map(<[u8]>::len));
    }
    trial.note(sum(&came));
    let unix = scene::unbound_datagram()?;
    let outcome = SocketRef::unix_datagram(&unix).receive_joined();
    trial.note(outcome.map_or_else(|error| error.kind().to_string(), |()| "done".to_owned()));
    Ok(())
}
