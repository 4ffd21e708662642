//! T1 to T11: a header, a file and a trailer.
//!
//! The kernels have no such call. Their route does by hand what a program would do: one send for each part, and for the
//! file sendfile(2) on Linux and a pread(2) before a send on OpenBSD.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::thread;

use nix::poll::PollFlags;
use nix::sys::socket::SockType;
use unisend::{Cork, Outcome, Output, Sent, SocketKind, SocketRef, Transfer, limits};

use super::ways::{Bench, Way, by_each_way};
use crate::case::{Case, Stop, Topic};
use crate::raw;
use crate::scene;
use crate::trial::{NO_CALL, Trial};

const HEADER: &[u8] = b"header ";
const DIGITS: &[u8] = b"0123456789";
const TRAILER: &[u8] = b" trailer";
const ALL: &[u8] = b"header 0123456789 trailer";

/// More bytes than any buffer takes.
const LONG: usize = 8 << 20;

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Transfer;
    vec![
        topic
            .case("T1", "7 bytes, a file of 10, and 8 bytes; to a unix stream, TCP, a pipe, a file", in_order)
            .kernels("25, all arrived, 25, all arrived, 25, all arrived, 25, all arrived")
            .promise("25, all arrived, 25, all arrived, 25, all arrived, 25, all arrived"),
        topic
            .case(
                "T2",
                "the same to TCP; with 20000 bytes; without the trailer: segments, and what waits",
                segments,
            )
            .kernel("3, nothing waits, 3, nothing waits, 2, nothing waits", "")
            .promise("1, nothing waits, 1, nothing waits, 1, nothing waits"),
        topic
            .case(
                "T2b",
                "TCP: a header; a file that has none, or half, of the 20000 bytes that it is to send; what waits",
                nothing_follows,
            )
            .kernels(NO_CALL)
            .promise("nothing waits, nothing waits"),
        topic
            .case("T3", "3 times 8 MiB to a non-blocking unix stream; by one value, and resumed", in_steps)
            .kernels(NO_CALL)
            .promise("all arrived, all arrived"),
        topic
            .case("T4", "to the end, from the file's position 3; the position after", to_the_end)
            .kernels("22, at 10")
            .promise("22, at 10"),
        topic
            .case("T5", "20 bytes of a file of 10; what arrives", too_short)
            .kernels("25, all arrived")
            .promise("10 missing, all but the trailer arrived"),
        topic
            .case(
                "T6",
                "inputs: a directory, a pipe, one open for writing; a range over 2^63 - 1; what arrives",
                refused_inputs,
            )
            .kernel(
                "EINVAL, ESPIPE, EBADF, EINVAL, the header arrived",
                "EISDIR, ESPIPE, EBADF, EINVAL, the header arrived",
            )
            .promise("InvalidInput, InvalidInput, BadDescriptor, InvalidInput, nothing arrived"),
        topic
            .case("T6b", "outputs: a file that appends; a seqpacket socket; what arrives", refused_outputs)
            .kernels(NO_CALL)
            .promise("InvalidInput, nothing arrived, Unsupported, nothing arrived"),
        topic
            .case("T7", "a descriptor with the header; without one; to TCP", descriptors)
            .kernel(
                "received 7+1, received 18+0, 0, received EAGAIN, 7",
                "received 7+1, received 18+0, 0, received 0+1, EINVAL",
            )
            .promise("received 7+1, received 18+0, DescriptorsWithoutData, received WouldBlock, Unsupported"),
        topic
            .case("T8", "unix stream: the peer has closed; it closes in the middle of 8 MiB", peer_gone)
            .kernels("EPIPE+SIGPIPE, partial, peer gone")
            .promise("Disconnected, partial, peer gone"),
        topic
            .case("T9", "a file of 10 bytes that is overwritten after it was sent with a header", overwritten)
            .kernel("header overwritte trailer", "all arrived")
            .promise("all arrived"),
        topic
            .case("T10", "TCP: two sends under a cork; a cork on a connection that is corked", corked)
            .kernels(NO_CALL)
            .promise("held until the end, corked as before"),
        topic
            .case(
                "T10b",
                "a cork on a unix stream, a unix datagram socket, a file declared as TCP",
                cork_of_others,
            )
            .kernels(NO_CALL)
            .promise("no effect, Unsupported, NotSocket"),
        topic
            .case(
                "T11",
                "resumed with a byte more than the header, the file, the trailer; what arrives",
                beyond,
            )
            .kernels(NO_CALL)
            .promise("InvalidInput, InvalidInput, InvalidInput, nothing arrived"),
    ]
}

/// What a transfer is made of.
#[derive(Clone, Copy)]
struct Parts<'a> {
    header: &'a [u8],
    descriptors: &'a [BorrowedFd<'a>],
    offset: Option<u64>,
    count: Option<u64>,
    trailer: &'a [u8],
}

const SMALL: Parts<'_> =
    Parts { header: HEADER, descriptors: &[], offset: Some(0), count: Some(10), trailer: TRAILER };

/// Runs a script that only unisend has a call for.
fn by_unisend(trial: &mut Trial, script: impl Fn(&mut Bench) -> Result<(), Stop>) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    by_each_way(trial, script)
}

impl Bench {
    /// Sends, and notes how many bytes were accepted, or the failure.
    fn show_parts(&mut self, output: Output<'_>, input: &impl AsFd, parts: Parts<'_>) {
        let input = input.as_fd();
        match self.way {
            Way::Raw => match by_hand(output, input, parts) {
                Ok(sent) => self.note(sent),
                Err(errno) => {
                    self.note(format!("{errno:?}{}", if raw::take_sigpipe() { "+SIGPIPE" } else { "" }));
                }
            },
            Way::Best | Way::Copying => {
                let header = [IoSlice::new(parts.header)];
                let trailer = [IoSlice::new(parts.trailer)];
                let mut buffer = vec![0; 65_536];
                let mut transfer = self.transfer(input, parts, &header, &trailer, &mut buffer);
                match transfer.send_all(output) {
                    Ok(Outcome::FileEnded { missing }) => self.note(format!("{missing} missing")),
                    Ok(_) => self.note(transfer.sent().total()),
                    Err(stopped) if stopped.accepted() > 0 && stopped.peer_gone() => {
                        self.note("partial, peer gone");
                    }
                    Err(stopped) => self.note(stopped.kind()),
                }
            }
        }
    }

    fn transfer<'a>(
        &self,
        input: BorrowedFd<'a>,
        parts: Parts<'a>,
        header: &'a [IoSlice<'a>],
        trailer: &'a [IoSlice<'a>],
        buffer: &'a mut [u8],
    ) -> Transfer<'a> {
        let mut transfer = Transfer::new(input)
            .with_header(header)
            .with_descriptors(parts.descriptors)
            .with_trailer(trailer);
        if let Some(offset) = parts.offset {
            transfer = transfer.at(offset);
        }
        if let Some(count) = parts.count {
            transfer = transfer.count(count);
        }
        match self.way {
            Way::Copying => transfer.by_copying(buffer),
            Way::Raw | Way::Best => transfer,
        }
    }

    /// Notes which parts arrived, as the names of `SMALL` have them.
    fn note_arrived(&mut self, bytes: &[u8]) {
        let body = &ALL[..ALL.len() - TRAILER.len()];
        match bytes {
            ALL => self.note("all arrived"),
            HEADER => self.note("the header arrived"),
            b"" => self.note("nothing arrived"),
            _ if bytes == body => self.note("all but the trailer arrived"),
            _ => self.note(String::from_utf8_lossy(bytes)),
        }
    }
}

/// Sends each part in a call of its own, and returns how many bytes were accepted.
fn by_hand(output: Output<'_>, input: BorrowedFd<'_>, parts: Parts<'_>) -> nix::Result<u64> {
    let mut sent = put(output, parts.header, parts.descriptors)?;
    let mut offset = parts.offset;
    let mut left = parts.count.unwrap_or(LONG as u64);
    while left > 0 {
        match file_by_hand(output, input, offset.as_mut(), left)? {
            0 => break,
            count => {
                sent += count;
                left -= count;
            }
        }
    }
    if !parts.trailer.is_empty() {
        sent += put(output, parts.trailer, &[])?;
    }
    Ok(sent)
}

fn put(output: Output<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> nix::Result<u64> {
    let sent = match descriptors {
        [] => raw::write(output.as_fd(), bytes),
        _ => raw::send_rights(output.as_fd(), bytes, descriptors, 0),
    };
    sent.map(|count| count as u64)
}

#[cfg(target_os = "linux")]
fn file_by_hand(
    output: Output<'_>,
    input: BorrowedFd<'_>,
    offset: Option<&mut u64>,
    count: u64,
) -> nix::Result<u64> {
    raw::sendfile(output.as_fd(), input, offset, count)
}

#[cfg(not(target_os = "linux"))]
fn file_by_hand(
    output: Output<'_>,
    input: BorrowedFd<'_>,
    offset: Option<&mut u64>,
    count: u64,
) -> nix::Result<u64> {
    let mut buffer = [0; 65_536];
    let most = buffer.len().min(count as usize);
    let read = match &offset {
        Some(offset) => nix::sys::uio::pread(input, &mut buffer[..most], **offset as i64)?,
        None => nix::unistd::read(input, &mut buffer[..most])?,
    };
    let sent = raw::write(output.as_fd(), &buffer[..read])? as u64;
    if let Some(offset) = offset {
        *offset += sent;
    }
    Ok(sent)
}

fn unix(fd: &OwnedFd) -> Output<'_> {
    SocketRef::unix_stream(fd).into()
}

/// Reads until the end.
fn all_of(from: impl Into<OwnedFd>) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    File::from(from.into()).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn in_order(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let file = bench.file(DIGITS)?;
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        bench.show_parts(unix(&ours), &file, SMALL);
        drop(ours);
        bench.note_arrived(&all_of(theirs)?);

        let (ours, theirs) = scene::tcp_pair()?;
        bench.show_parts((&ours).into(), &file, SMALL);
        drop(ours);
        bench.note_arrived(&all_of(theirs)?);

        let (reader, pipe) = nix::unistd::pipe()?;
        bench.show_parts(Output::file(&pipe), &file, SMALL);
        drop(pipe);
        bench.note_arrived(&all_of(reader)?);

        let path = bench.directory.join("output");
        bench.show_parts(Output::file(&File::create(&path)?), &file, SMALL);
        bench.note_arrived(&std::fs::read(path)?);
        Ok(())
    })
}

fn counts(ours: &impl AsFd) -> Result<raw::TcpCounts, Stop> {
    match raw::tcp_counts(ours.as_fd()) {
        Some(counts) => Ok(counts),
        None => scene::skip("this kernel does not report the segments of a connection"),
    }
}

impl raw::TcpCounts {
    fn waits(&self) -> &'static str {
        if self.waiting == 0 { "nothing waits" } else { "some waits" }
    }
}

fn segments(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        for (length, trailer) in [(10, TRAILER), (20_000, TRAILER), (20_000, b"")] {
            let (ours, _theirs) = scene::tcp_pair()?;
            ours.set_nodelay(true)?;
            let file = bench.file(&vec![7; length])?;
            bench.show_parts((&ours).into(), &file, Parts { count: Some(length as u64), trailer, ..SMALL });
            bench.steps.pop();
            let counts = counts(&ours)?;
            // The fewest count as 1, whatever the size of a segment is.
            let fewest = ((HEADER.len() + length + trailer.len()) as u64).div_ceil(counts.segment_bytes);
            bench.note(u64::from(counts.segments) + 1 - fewest);
            bench.note(counts.waits());
        }
        Ok(())
    })
}

fn nothing_follows(trial: &mut Trial) -> Result<(), Stop> {
    by_unisend(trial, |bench| {
        for position in [20_000, 10_000] {
            let (ours, _theirs) = scene::tcp_pair()?;
            ours.set_nodelay(true)?;
            let mut file = bench.file(&[7; 20_000])?;
            file.seek(SeekFrom::Start(position))?;
            let parts = Parts { offset: None, count: Some(20_000), trailer: &[], ..SMALL };
            bench.show_parts((&ours).into(), &file, parts);
            bench.steps.pop();
            bench.note(counts(&ours)?.waits());
        }
        Ok(())
    })
}

/// A third of what is sent in steps, with a period that no buffer has.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn in_steps(trial: &mut Trial) -> Result<(), Stop> {
    let all = pattern(3 * LONG);
    by_unisend(trial, |bench| {
        for resumes in [false, true] {
            let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
            scene::set_nonblocking(&ours, true)?;
            scene::set_nonblocking(&theirs, true)?;
            let mut theirs = File::from(theirs);
            let file = bench.file(&all[LONG..2 * LONG])?;
            let header = [IoSlice::new(&all[..LONG])];
            let trailer = [IoSlice::new(&all[2 * LONG..])];
            let parts = Parts { count: Some(LONG as u64), ..SMALL };
            let mut arrived = Vec::new();
            let mut sent = Sent::default();
            let (mut first, mut second) = (vec![0; 65_536], vec![0; 65_536]);
            let mut transfer = bench.transfer(file.as_fd(), parts, &header, &trailer, &mut first);
            loop {
                let outcome = match resumes {
                    false => transfer.send_all(unix(&ours)),
                    true => {
                        let again = bench.transfer(file.as_fd(), parts, &header, &trailer, &mut second);
                        let mut again = again.resume(sent);
                        let outcome = again.send_all(unix(&ours));
                        sent = again.sent();
                        outcome
                    }
                };
                let _ = theirs.read_to_end(&mut arrived); // until it would block
                match outcome {
                    Ok(_) => break,
                    Err(stopped) if stopped.would_block() => {}
                    Err(stopped) => return Err(Stop::Broken(stopped.to_string())),
                }
            }
            bench.note(if arrived == all { "all arrived" } else { "something else arrived" });
        }
        Ok(())
    })
}

fn to_the_end(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let mut file = bench.file(DIGITS)?;
        file.seek(SeekFrom::Start(3))?;
        bench.show_parts(unix(&ours), &file, Parts { offset: None, count: None, ..SMALL });
        bench.note(format!("at {}", file.stream_position()?));
        Ok(())
    })
}

fn too_short(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        bench.show_parts(unix(&ours), &bench.file(DIGITS)?, Parts { count: Some(20), ..SMALL });
        drop(ours);
        bench.note_arrived(&all_of(theirs)?);
        Ok(())
    })
}

fn refused_inputs(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let file = bench.file(DIGITS)?;
        let directory = File::open(&bench.directory)?;
        let (pipe, mut writer) = nix::unistd::pipe().map(|(reader, writer)| (reader, File::from(writer)))?;
        writer.write_all(DIGITS)?;
        let for_writing = File::create(bench.directory.join("for-writing"))?;
        let inputs = [
            (directory.as_fd(), SMALL),
            (pipe.as_fd(), SMALL),
            (for_writing.as_fd(), SMALL),
            (file.as_fd(), Parts { offset: Some(limits::FILE_OFFSET), ..SMALL }),
        ];
        let mut arrived = Vec::new();
        for (input, parts) in inputs {
            let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
            bench.show_parts(unix(&ours), &input, parts);
            drop(ours);
            arrived = all_of(theirs)?;
        }
        bench.note_arrived(&arrived);
        Ok(())
    })
}

fn refused_outputs(trial: &mut Trial) -> Result<(), Stop> {
    by_unisend(trial, |bench| {
        let file = bench.file(DIGITS)?;
        let path = bench.directory.join("output");
        let appending = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        bench.show_parts(Output::file(&appending), &file, SMALL);
        bench.note_arrived(&std::fs::read(path)?);

        let (ours, theirs) = scene::unix_pair(SockType::SeqPacket)?;
        bench.show_parts(SocketRef::unix_seqpacket(&ours).into(), &file, SMALL);
        drop(ours);
        bench.note_arrived(&all_of(theirs)?);
        Ok(())
    })
}

fn descriptors(trial: &mut Trial) -> Result<(), Stop> {
    let route = trial.route();
    let directory = trial.directory().to_owned();
    by_each_way(trial, |bench| {
        let file = bench.file(DIGITS)?;
        let passed = [file.as_fd()];
        let parts = Parts { descriptors: &passed, ..SMALL };
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        let mut received = Trial::new(route, directory.clone());
        let theirs = SocketRef::unix_stream(&theirs);
        bench.show_parts(unix(&ours), &file, parts);
        bench.steps.pop();
        received.receive_message(&theirs, HEADER.len(), 64);
        received.receive_message(&theirs, 100, 64);
        bench.note(received.into_observed());

        let nothing = Parts { header: &[], count: Some(0), trailer: &[], ..parts };
        bench.show_parts(unix(&ours), &file, nothing);
        let mut received = Trial::new(route, directory.clone());
        received.receive_message(&theirs, 100, 64);
        bench.note(received.into_observed());

        let (tcp, _peer) = scene::tcp_pair()?;
        bench.show_parts((&tcp).into(), &file, Parts { count: Some(0), trailer: &[], ..parts });
        Ok(())
    })
}

fn peer_gone(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        drop(theirs);
        let file = bench.file(DIGITS)?;
        bench.show_parts(unix(&ours), &file, SMALL);

        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        file.set_len(LONG as u64)?;
        let reader: thread::JoinHandle<()> = scene::start(move || {
            let theirs = File::from(theirs);
            let _ = std::io::copy(&mut (&theirs).take(2 << 20), &mut std::io::sink());
            scene::wait_for_a_sender(&theirs);
        })?;
        bench.show_parts(unix(&ours), &file, Parts { count: Some(LONG as u64), ..SMALL });
        if bench.way == Way::Raw {
            let says_that_it_is_gone = bench.steps.pop().is_some_and(|step| step.starts_with("EPIPE"));
            bench.note(if says_that_it_is_gone { "partial, peer gone" } else { "not noticed" });
        }
        reader.join().map_err(|_| Stop::Broken("the reader panicked".to_owned()))
    })
}

fn overwritten(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        let file = bench.file(DIGITS)?;
        bench.show_parts(unix(&ours), &file, SMALL);
        bench.steps.pop();
        file.write_all_at(b"overwritte", 0)?;
        drop(ours);
        bench.note_arrived(&all_of(theirs)?);
        Ok(())
    })
}

fn corked(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    // On a busy machine the kernel's time limit can pass before this looks.
    let mut was_held = false;
    for _ in 0..20 {
        let (ours, mut theirs) = scene::tcp_pair()?;
        let cork = Cork::new(&SocketRef::from(&ours))?;
        raw::send(ours.as_fd(), HEADER, 0)?;
        raw::send(ours.as_fd(), TRAILER, 0)?;
        was_held |= !scene::wait_for(&theirs, PollFlags::POLLIN, 0)?;
        drop(cork);
        let mut arrived = vec![0; HEADER.len() + TRAILER.len()];
        theirs.read_exact(&mut arrived)?;
        if was_held {
            break;
        }
    }
    trial.note(if was_held { "held until the end" } else { "not held" });

    let (ours, _theirs) = scene::tcp_pair()?;
    raw::set_option(ours.as_fd(), libc::IPPROTO_TCP, raw::CORK, 1)?;
    drop(Cork::new(&SocketRef::from(&ours)));
    let is_corked = raw::get_option(ours.as_fd(), libc::IPPROTO_TCP, raw::CORK)? != 0;
    trial.note(if is_corked { "corked as before" } else { "not corked any more" });
    Ok(())
}

fn cork_of_others(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let file = File::open("/dev/null")?;
    let (stream, _peer) = scene::unix_pair(SockType::Stream)?;
    let (datagram, _datagram_peer) = scene::unix_pair(SockType::Datagram)?;
    let datagram = SocketRef::new(&datagram, SocketKind::UnixDatagram);
    for socket in [SocketRef::unix_stream(&stream), datagram, SocketRef::tcp(&file)] {
        match Cork::new(&socket) {
            Ok(_cork) => trial.note("no effect"),
            Err(error) => trial.note(error.kind()),
        }
    }
    Ok(())
}

fn beyond(trial: &mut Trial) -> Result<(), Stop> {
    by_unisend(trial, |bench| {
        let file = bench.file(DIGITS)?;
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        let (header, trailer) = ([IoSlice::new(HEADER)], [IoSlice::new(TRAILER)]);
        let mut too_much = [Sent::default(); 3];
        too_much[0].header = HEADER.len() + 1;
        too_much[1].file = 11;
        too_much[2].trailer = TRAILER.len() + 1;
        for sent in too_much {
            let mut buffer = vec![0; 65_536];
            let transfer = bench.transfer(file.as_fd(), SMALL, &header, &trailer, &mut buffer);
            let outcome = transfer.resume(sent).send_all(unix(&ours));
            bench.note(outcome.map_or_else(|stopped| stopped.kind().to_string(), |_| "sent".to_owned()));
        }
        drop(ours);
        bench.note_arrived(&all_of(theirs)?);
        Ok(())
    })
}
