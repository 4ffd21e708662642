//! X1 to X17, L13, L14 and I7: files, and the pipes that they are sent to.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{self, SigSet, Signal};
use nix::sys::socket::SockType;
use unisend::{Error, Offset, Output, SigpipeGuard, SocketRef, Transfer, sendfile};

use super::ways::{self, Bench, Way};
use crate::case::{Case, Stop, Topic};
use crate::expected::{always, since};
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

// Two changes of Linux's sendfile can be seen here. Since 5.12 (commit b964bf53e540) the input itself fills a
// pipe that is the output: the pipe may append, the input need not be a file, and each call is a part of its
// own. Since 6.5 (commits 2dc334f1a63a and b0072734ffaa) a socket is given all pages at once, and character
// devices can be read.

/// The observation on a kernel without sendfile(2).
const NONE: &str = "no sendfile";

/// More bytes than any buffer takes.
const LONG: u64 = 8 << 20;

/// More bytes than Linux sends in one call.
const HUGE: u64 = 2_415_919_104;

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Sendfile;
    vec![
        topic
            .case(
                "X1",
                "without an offset: 4 bytes from the file's position, 3; the position after",
                at_position,
            )
            .kernel("4, at 7", NONE)
            .promise("4, at 7"),
        topic
            .case("X2", "with the offset 3: 4 bytes; the offset and the file's position after", at_offset)
            .kernel("4, offset 7, at 0", NONE)
            .promise("4, offset 7, at 0"),
        topic
            .case(
                "X3",
                "more than is left; at the end; past it; no bytes, after sending was shut down",
                at_end,
            )
            .kernel("7, 0, 0, 0", NONE)
            .promise("7, 0, 0, 0"),
        topic
            .case("X4", "an offset of -1; offset and count over 2^63 - 1", over_the_limit)
            .kernel("EINVAL, EINVAL", NONE)
            .promise("InvalidInput, InvalidInput"),
        topic
            .case(
                "X4b",
                "a count over 2^63 - 1, by itself and with the file's position",
                count_over_the_limit,
            )
            .kernel("EINVAL, EINVAL", NONE)
            .promise("InvalidInput, InvalidInput"),
        topic
            .case("X5", "a file of 2.25 GiB to /dev/null, with a count of SSIZE_MAX", largest)
            .kernel("{most}", NONE)
            .differs(
                "{most} (by copying: 2147479552)",
                "2147479552",
                "Linux's sendfile takes whole pages, and so less if they are larger than 4 KiB",
            ),
        topic
            .case(
                "X6",
                "an input open for writing, an output open for reading; the same with no bytes",
                wrong_way,
            )
            .kernel("EBADF, EBADF, EBADF, EBADF", NONE)
            .promise("BadDescriptor, BadDescriptor, BadDescriptor, BadDescriptor"),
        topic
            .case("X7", "inputs: a directory, /dev/null, a socket, a pipe, a pipe with an offset", no_offsets)
            .kernel("EINVAL, EINVAL, EINVAL, EINVAL, ESPIPE", NONE)
            .promise("InvalidInput, InvalidInput, InvalidInput, InvalidInput, InvalidInput"),
        topic
            .case("X7b", "inputs: /dev/zero, and a socket with a pipe as output", read_once)
            .kernel([always("EINVAL, EINVAL"), since(5, 12, "EINVAL, 5"), since(6, 5, "5, 5")], NONE)
            .differs(
                [
                    always("InvalidInput, InvalidInput"),
                    since(5, 12, "InvalidInput, 5 (by copying: InvalidInput, InvalidInput)"),
                    since(6, 5, "5, 5 (by copying: InvalidInput, InvalidInput)"),
                ],
                "InvalidInput, InvalidInput",
                "copying must read again the bytes that were not accepted, and the kernel need not",
            ),
        topic
            .case("X8", "a file that Linux's sendfile cannot read, if there is one", unreadable)
            .kernel("EINVAL", NONE)
            .promise("all of it"),
        topic
            .case("X9", "outputs: a file; one that appends; a pipe that appends; /dev/null", outputs)
            .kernel([always("4, at 4, EINVAL, EINVAL, 4"), since(5, 12, "4, at 4, EINVAL, 4, 4")], NONE)
            .promise("4, at 4, InvalidInput, 4, 4"),
        topic
            .case("X10", "non-blocking unix stream and pipe: 8 MiB, twice", would_block)
            .kernel("partial, exact, EAGAIN, exact, partial, exact, EAGAIN, exact", NONE)
            .promise("partial, exact, WouldBlock, exact, partial, exact, WouldBlock, exact"),
        topic
            .case(
                "X11",
                "a signal after some bytes, and before any; SO_SNDTIMEO after some, and before any",
                interrupted,
            )
            .kernel("partial, EINTR, partial, EAGAIN", NONE)
            .promise("partial, Interrupted, partial, WouldBlock"),
        topic
            .case(
                "X11b",
                "a signal with SA_RESTART, after 64 KiB to a pipe that is then read",
                interrupted_and_restarted,
            )
            .kernel("partial", NONE)
            .differs(
                "partial (by copying: all)",
                "all",
                "by copying, the kernel restarts the call that finds no room",
            ),
        topic
            .case("X12", "unix stream and TCP, the peer reads 2 MiB and closes: two calls", closed_midway)
            .kernel("partial, peer gone+SIGPIPE, partial, peer gone+SIGPIPE", NONE)
            .promise("partial, peer gone, partial, peer gone"),
        topic
            .case("X12b", "TCP, the peer has closed: 73 pages, until a call accepts a part", closed_before)
            .kernel("partial+SIGPIPE", NONE)
            .differs(
                "partial",
                "Reset (may have sent)",
                "OpenBSD does not say how much was accepted before a hard error",
            ),
        topic
            .case(
                "X13",
                "a file that is truncated while the call waits for room, and the next call",
                truncated,
            )
            .kernel("what is left, 0", NONE)
            .promise("what is left, 0"),
        topic
            .case(
                "X14",
                "unix stream and TCP, a file that is overwritten after sending and before receiving",
                overwritten,
            )
            .kernel("new, new", NONE)
            .differs(
                "new, new (by copying: old, old)",
                "old, old",
                "Linux sends the pages of the file; to avoid copying them is the purpose of sendfile",
            ),
        topic
            .case("X15", "seqpacket: 100000 bytes, and what is received; UDP: 70000 bytes", records)
            .kernel(
                [
                    always("100000, received a page, whole pages"),
                    always("100000, received a page, EMSGSIZE").only("a page is larger than a datagram"),
                    since(6, 5, "100000, received 16 pages, EMSGSIZE"),
                ],
                NONE,
            )
            .promise("Unsupported, received EAGAIN, Unsupported"),
        topic
            .case("X16", "an input that cannot be read", fails_to_be_read)
            .kernel("EINVAL", NONE)
            .promise("Io"),
        topic
            .case(
                "X17",
                "with SIGPIPE kept away: a pipe without a reader; the same, and a signal from outside",
                under_a_guard,
            )
            .kernel("EPIPE, SIGPIPE at the end, EPIPE, SIGPIPE at the end", NONE)
            .promise("Disconnected, no SIGPIPE, Disconnected, SIGPIPE at the end"),
        topic
            .case("L13", "a pipe that does not wait: how much it takes, 4096 bytes at a time", capacity)
            .kernel("{pipe}", "16384")
            .differs(
                [always("{pipe}"), since(5, 12, "65536 (by copying: {pipe})")],
                "16384",
                "the kernel decides how much a pipe takes",
            ),
        topic
            .case(
                "L13b",
                "the same, a byte at a time for 256 calls, then 256 bytes at a time",
                capacity_for_single_bytes,
            )
            .kernel("{pipe}", "16384")
            .differs(
                [always("{pipe}"), since(5, 12, "16 (by copying: {pipe})")],
                "16384",
                "with Linux's sendfile, each call takes one of the 16 parts that a pipe holds",
            ),
        topic
            .case("L14", "no bytes to a pipe without a reader", nothing_to_nobody)
            .kernel("0", "EPIPE+SIGPIPE")
            .promise("0"),
        topic
            .case("I7", "a pipe whose reader closes while 4 MiB are being sent", reader_closes)
            .kernel("partial+SIGPIPE", "EPIPE+SIGPIPE")
            .differs(
                "partial",
                "Disconnected (may have sent)",
                "OpenBSD does not say how much was accepted before a hard error",
            ),
    ]
}

/// Runs a script in each way of its route, on a kernel that has sendfile(2).
fn by_each_way(trial: &mut Trial, script: impl Fn(&mut Bench) -> Result<(), Stop>) -> Result<(), Stop> {
    by_ways(trial, true, script)
}

/// The same, by copying too only if `copying` is set.
fn by_ways(
    trial: &mut Trial,
    copying: bool,
    script: impl Fn(&mut Bench) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if trial.route() == Route::Kernel && !cfg!(target_os = "linux") {
        trial.note(NONE);
        return Ok(());
    }
    ways::by_ways(trial, copying, script)
}

/// The result of a call.
struct Outcome {
    result: Result<u64, Failure>,
    /// `+SIGPIPE` if it raised one.
    signal: &'static str,
}

struct Failure {
    name: String,
    peer_gone: bool,
    may_have_sent: bool,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        let peer_gone = matches!(errno, Errno::EPIPE | Errno::ECONNRESET);
        Self { name: format!("{errno:?}"), peer_gone, may_have_sent: false }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (peer_gone, may_have_sent) = (error.peer_gone(), error.may_have_sent());
        Self { name: error.kind().to_string(), peer_gone, may_have_sent }
    }
}

impl Bench {
    fn send(&self, output: Output<'_>, input: &impl AsFd, offset: Option<&mut u64>, count: u64) -> Outcome {
        match self.way {
            Way::Raw => {
                let result = raw::sendfile(output.as_fd(), input.as_fd(), offset, count);
                let signal = if raw::take_sigpipe() { "+SIGPIPE" } else { "" };
                Outcome { result: result.map_err(Failure::from), signal }
            }
            Way::Best => portably(sendfile(output, input, from(offset), count)),
            Way::Copying => portably(copied(output, input, offset, count)),
        }
    }

    fn note_outcome(&mut self, outcome: Outcome) {
        let Outcome { result, signal } = outcome;
        match result {
            Ok(count) => self.note(format!("{count}{signal}")),
            Err(failure) if failure.may_have_sent => self.note(format!("{} (may have sent)", failure.name)),
            Err(failure) => self.note(format!("{}{signal}", failure.name)),
        }
    }

    /// Notes "partial" for a count that is neither 0 nor all, and returns the count.
    fn note_partly(&mut self, outcome: Outcome, length: u64) -> u64 {
        match outcome.result {
            Ok(count) if (1..length).contains(&count) => {
                self.note(format!("partial{}", outcome.signal));
                count
            }
            Ok(count) if count == length => {
                self.note("all");
                count
            }
            _ => {
                self.note_outcome(outcome);
                0
            }
        }
    }

    /// Sends, and notes the result.
    fn show(&mut self, output: Output<'_>, input: &impl AsFd, offset: Option<&mut u64>, count: u64) {
        let outcome = self.send(output, input, offset, count);
        self.note_outcome(outcome);
    }

    /// Returns a file of this many bytes that takes no space.
    fn sparse(&self, length: u64) -> Result<File, Stop> {
        let file = self.file(b"")?;
        file.set_len(length)?;
        Ok(file)
    }
}

fn from(offset: Option<&mut u64>) -> Offset<'_> {
    offset.map_or(Offset::Position, Offset::At)
}

/// Sends a range of a file by copying it.
fn copied(output: Output<'_>, input: &impl AsFd, offset: Option<&mut u64>, count: u64) -> Result<u64, Error> {
    let mut buffer = vec![0; 65_536];
    let mut transfer = Transfer::new(input).count(count).by_copying(&mut buffer);
    if let Some(at) = offset.as_deref() {
        transfer = transfer.at(*at);
    }
    let outcome = transfer.send(output);
    if let Some(at) = offset {
        *at += transfer.sent().file;
    }
    outcome
}

fn portably(result: Result<u64, Error>) -> Outcome {
    Outcome { result: result.map_err(Failure::from), signal: "" }
}

fn unix(fd: &OwnedFd) -> Output<'_> {
    SocketRef::unix_stream(fd).into()
}

fn position(file: &File) -> Result<u64, Stop> {
    let mut file = file;
    Ok(file.stream_position()?)
}

const DIGITS: &[u8] = b"0123456789";

fn at_position(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let mut file = bench.file(DIGITS)?;
        file.seek(SeekFrom::Start(3))?;
        bench.show(unix(&ours), &file, None, 4);
        bench.note(format!("at {}", position(&file)?));
        Ok(())
    })
}

fn at_offset(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let file = bench.file(DIGITS)?;
        let mut offset = 3;
        bench.show(unix(&ours), &file, Some(&mut offset), 4);
        bench.note(format!("offset {offset}"));
        bench.note(format!("at {}", position(&file)?));
        Ok(())
    })
}

fn at_end(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let file = bench.file(DIGITS)?;
        for start in [3, 10, 5000] {
            bench.show(unix(&ours), &file, Some(&mut { start }), 100);
        }
        scene::shutdown(&ours, Shutdown::Write)?;
        bench.show(unix(&ours), &file, Some(&mut 0), 0);
        Ok(())
    })
}

fn over_the_limit(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let file = bench.file(DIGITS)?;
        let most = i64::MAX as u64;
        bench.show(unix(&ours), &file, Some(&mut { u64::MAX }), 1);
        bench.show(unix(&ours), &file, Some(&mut { most - 5 }), 10);
        Ok(())
    })
}

fn count_over_the_limit(trial: &mut Trial) -> Result<(), Stop> {
    if trial.route() == Route::Kernel && usize::BITS < 64 {
        return scene::skip("a count has 32 bits here");
    }
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let mut file = bench.file(DIGITS)?;
        bench.show(unix(&ours), &file, None, 1 << 63);
        file.seek(SeekFrom::Start(1))?;
        bench.show(unix(&ours), &file, None, i64::MAX as u64);
        Ok(())
    })
}

fn largest(trial: &mut Trial) -> Result<(), Stop> {
    // Without sendfile(2) both ways copy, and copying gigabytes takes long.
    by_ways(trial, cfg!(target_os = "linux"), |bench| {
        let null = OpenOptions::new().write(true).open("/dev/null")?;
        let file = scene::holes(&bench.directory.join("input"), HUGE)?;
        bench.show((&null).into(), &file, None, isize::MAX as u64);
        Ok(())
    })
}

fn wrong_way(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let reads = bench.file(DIGITS)?;
        let writes = OpenOptions::new().write(true).open(bench.directory.join("input"))?;
        let output = File::open(bench.directory.join("input"))?;
        for count in [4, 0] {
            bench.show(unix(&ours), &writes, None, count);
            bench.show((&output).into(), &reads, None, count);
        }
        Ok(())
    })
}

fn no_offsets(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        raw::send(theirs.as_fd(), DIGITS, 0)?;
        let (pipe, writer) = nix::unistd::pipe()?;
        raw::write(writer.as_fd(), DIGITS)?;
        let output = unix(&theirs);
        bench.show(output, &File::open(&bench.directory)?, None, 4);
        bench.show(output, &scene::open("/dev/null")?, None, 4);
        bench.show(output, &ours, None, 4);
        bench.show(output, &pipe, None, 4);
        bench.show(output, &pipe, Some(&mut 0), 4);
        Ok(())
    })
}

fn read_once(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, theirs) = scene::tcp_pair()?;
        let (_pipe, writer) = nix::unistd::pipe()?;
        raw::send(ours.as_fd(), DIGITS, 0)?;
        bench.show((&ours).into(), &scene::open("/dev/zero")?, None, 5);
        scene::wait_until(&theirs, nix::poll::PollFlags::POLLIN)?;
        bench.show(Output::file(&writer), &theirs, None, 5);
        Ok(())
    })
}

fn unreadable(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let path = match cfg!(target_os = "linux") {
            true => PathBuf::from("/proc/self/limits"),
            false => bench.directory.join("input"),
        };
        bench.file(DIGITS)?;
        let mut bytes = Vec::new();
        let length = scene::open(&path)?.read_to_end(&mut bytes)? as u64;
        match bench.send(unix(&ours), &File::open(&path)?, None, length) {
            Outcome { result: Ok(count), .. } if count == length => bench.note("all of it"),
            outcome => bench.note_outcome(outcome),
        }
        Ok(())
    })
}

fn outputs(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let input = bench.file(DIGITS)?;
        let path = bench.directory.join("output");
        let file = File::create(&path)?;
        bench.show((&file).into(), &input, Some(&mut 0), 4);
        bench.note(format!("at {}", position(&file)?));
        let appending = OpenOptions::new().append(true).open(&path)?;
        bench.show((&appending).into(), &input, Some(&mut 0), 4);
        let fifo = bench.directory.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
        let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo)?;
        let pipe = OpenOptions::new().append(true).open(&fifo)?;
        bench.show((&pipe).into(), &input, Some(&mut 0), 4);
        let null = OpenOptions::new().write(true).open("/dev/null")?;
        bench.show((&null).into(), &input, Some(&mut 0), 4);
        Ok(())
    })
}

fn would_block(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (stream, _peer) = scene::unix_pair(SockType::Stream)?;
        let (_reader, pipe) = nix::unistd::pipe()?;
        let file = bench.sparse(LONG)?;
        for (fd, output) in [(&stream, unix(&stream)), (&pipe, Output::file(&pipe))] {
            scene::set_nonblocking(fd, true)?;
            let mut offset = 0;
            for _ in 0..2 {
                let before = offset;
                let outcome = bench.send(output, &file, Some(&mut offset), LONG - before);
                let moved = bench.note_partly(outcome, LONG);
                bench.note(if offset - before == moved { "exact" } else { "wrong" });
            }
        }
        Ok(())
    })
}

fn interrupted(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        scene::catch_signal(false)?;
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        let file = bench.sparse(LONG)?;
        // The first call fills the stream, so the second finds no room.
        for _ in 0..2 {
            let signals = scene::Signals::each(100)?;
            let outcome = bench.send(unix(&ours), &file, None, LONG);
            bench.note_partly(outcome, LONG);
            signals.stop()?;
        }
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        scene::set_send_timeout(&ours, 100)?;
        for _ in 0..2 {
            let outcome = bench.send(unix(&ours), &file, Some(&mut 0), LONG);
            bench.note_partly(outcome, LONG);
        }
        Ok(())
    })
}

fn interrupted_and_restarted(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        scene::catch_signal(true)?;
        let (reader, pipe) = nix::unistd::pipe()?;
        let file = bench.sparse(LONG)?;
        let signals = scene::Signals::each(100)?;
        // No signal is sent while the reader reads: a signal after some bytes of a copied part would cut the
        // part short.
        let reader = scene::start(move || {
            thread::sleep(Duration::from_secs(1));
            signals.stop()?;
            Ok::<_, Stop>(std::io::copy(&mut File::from(reader), &mut std::io::sink())?)
        })?;
        let outcome = bench.send(Output::file(&pipe), &file, None, LONG);
        bench.note_partly(outcome, LONG);
        drop(pipe);
        reader.join().map_err(|_| Stop::Broken("the reader panicked".to_owned()))??;
        Ok(())
    })
}

/// Reads this many bytes, waits a moment, and closes.
fn read_and_close(from: impl Into<OwnedFd>, bytes: u64) -> Result<thread::JoinHandle<()>, Stop> {
    let from = File::from(from.into());
    scene::start(move || {
        let _ = std::io::copy(&mut (&from).take(bytes), &mut std::io::sink());
        scene::wait_for_a_sender(&from);
    })
}

fn closed_midway(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (unix_ours, unix_theirs) = scene::unix_pair(SockType::Stream)?;
        let (tcp_ours, tcp_theirs) = scene::tcp_pair()?;
        let file = bench.sparse(8 * LONG)?;
        let ends = [(unix(&unix_ours), unix_theirs), ((&tcp_ours).into(), OwnedFd::from(tcp_theirs))];
        for (output, theirs) in ends {
            let reader = read_and_close(theirs, 2 << 20)?;
            let outcome = bench.send(output, &file, Some(&mut 0), 8 * LONG);
            // Whether SIGPIPE comes together with the count depends on timing: X12b.
            bench.note_partly(Outcome { signal: "", ..outcome }, 8 * LONG);
            reader.join().map_err(|_| Stop::Broken("the reader panicked".to_owned()))?;
            let outcome = bench.send(output, &file, Some(&mut 0), LONG);
            match outcome.result {
                Err(Failure { peer_gone: true, .. }) => bench.note(format!("peer gone{}", outcome.signal)),
                _ => bench.note_outcome(outcome),
            }
        }
        Ok(())
    })
}

fn closed_before(trial: &mut Trial) -> Result<(), Stop> {
    // More than the 16 pages that Linux's sendfile moves at once.
    let length = 73 * scene::page_size()?;
    by_each_way(trial, |bench| {
        let file = bench.sparse(length)?;
        // The reset that answers the first segment may arrive too late to cut the call short.
        for _ in 0..200 {
            let (ours, theirs) = scene::tcp_pair()?;
            scene::finish(theirs, &ours)?;
            let outcome = bench.send((&ours).into(), &file, Some(&mut 0), length);
            if !matches!(outcome.result, Ok(sent) if sent == length) {
                bench.note_partly(outcome, length);
                return Ok(());
            }
        }
        Err(Stop::Broken("every call was accepted whole".to_owned()))
    })
}

fn truncated(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        let file = bench.sparse(LONG)?;
        let cut = file.try_clone()?;
        let reader = scene::start(move || {
            thread::sleep(Duration::from_millis(150));
            cut.set_len(LONG - 100)?;
            std::io::copy(&mut File::from(theirs), &mut std::io::sink())
        })?;
        let mut offset = 0;
        match bench.send(unix(&ours), &file, Some(&mut offset), LONG) {
            Outcome { result: Ok(count), .. } if count == LONG - 100 => bench.note("what is left"),
            outcome => bench.note_outcome(outcome),
        }
        bench.show(unix(&ours), &file, Some(&mut offset), LONG);
        drop(ours);
        reader.join().map_err(|_| Stop::Broken("the reader panicked".to_owned()))??;
        Ok(())
    })
}

fn overwritten(trial: &mut Trial) -> Result<(), Stop> {
    by_each_way(trial, |bench| {
        let (unix_ours, unix_theirs) = scene::unix_pair(SockType::Stream)?;
        let (tcp_ours, tcp_theirs) = scene::tcp_pair()?;
        let ends = [(unix(&unix_ours), unix_theirs), ((&tcp_ours).into(), OwnedFd::from(tcp_theirs))];
        for (output, theirs) in ends {
            let file = bench.file(b"old")?;
            if bench.send(output, &file, Some(&mut 0), 3).result.ok() != Some(3) {
                return Err(Stop::Broken("it was not sent".to_owned()));
            }
            file.write_at(b"new", 0)?;
            let mut received = [0; 3];
            File::from(theirs).read_exact(&mut received)?;
            bench.note(String::from_utf8_lossy(&received));
        }
        Ok(())
    })
}

fn fails_to_be_read(trial: &mut Trial) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        return scene::skip("this system has no file that cannot be read");
    }
    by_each_way(trial, |bench| {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        // No memory is mapped at address 0.
        bench.show(unix(&ours), &scene::open("/proc/self/mem")?, Some(&mut 0), 10);
        Ok(())
    })
}

fn records(trial: &mut Trial) -> Result<(), Stop> {
    const LENGTH: u64 = 100_000;
    const UDP_LIMIT: u64 = 65_507;
    by_each_way(trial, |bench| {
        let (ours, theirs) = scene::unix_pair(SockType::SeqPacket)?;
        // Makes room for one record per page, because nobody reads them yet. With less room, as on some
        // machines, the call would wait.
        raw::set_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 20)?;
        let (udp, _udp_peer) = scene::udp_pair()?;
        let file = bench.sparse(LENGTH)?;
        let page = scene::page_size()?;
        bench.show(SocketRef::unix_seqpacket(&ours).into(), &file, Some(&mut 0), LENGTH);
        let mut record = vec![0; 200_000];
        match raw::receive(theirs.as_fd(), &mut record, libc::MSG_DONTWAIT) {
            Ok(length) if length as u64 == page => bench.note("received a page"),
            Ok(length) if length as u64 == LENGTH.min(16 * page) => bench.note("received 16 pages"),
            Ok(length) => bench.note(format!("received {length}")),
            Err(errno) => bench.note(format!("received {errno:?}")),
        }
        match bench.send(SocketRef::from(SocketRef::udp_v4(&udp)).into(), &file, Some(&mut 0), 70_000) {
            Outcome { result: Ok(count @ 1..), .. } if count == UDP_LIMIT / page * page => {
                bench.note("whole pages");
            }
            outcome => bench.note_outcome(outcome),
        }
        Ok(())
    })
}

/// Notes the result of write(2), on the kernel's route of a case about pipes.
fn note_write(trial: &mut Trial, pipe: &OwnedFd, bytes: &[u8]) {
    trial.note_raw_partly(raw::write(pipe.as_fd(), bytes), bytes.len());
}

fn capacity(trial: &mut Trial) -> Result<(), Stop> {
    capacity_in_parts(trial, |_| 4096)
}

/// Sends only some single bytes, which is enough to see how they fill the pipe: to fill it would take up to a
/// million calls.
fn capacity_for_single_bytes(trial: &mut Trial) -> Result<(), Stop> {
    capacity_in_parts(trial, |call| if call < 256 { 1 } else { 256 })
}

/// Notes how many bytes a pipe takes if call n sends `length(n)` bytes.
fn capacity_in_parts(trial: &mut Trial, length: fn(u64) -> u64) -> Result<(), Stop> {
    if trial.route() == Route::Kernel {
        let (_reader, pipe) = nix::unistd::pipe()?;
        scene::set_nonblocking(&pipe, true)?;
        let bytes = [0; 4096];
        let write = |call| raw::write(pipe.as_fd(), &bytes[..length(call) as usize]).ok();
        let taken = (0..).map_while(write).sum::<usize>();
        trial.note(taken);
        return Ok(());
    }
    by_each_way(trial, |bench| {
        let (_reader, pipe) = nix::unistd::pipe()?;
        scene::set_nonblocking(&pipe, true)?;
        let file = bench.sparse(4096)?;
        let send = |call| bench.send(Output::file(&pipe), &file, Some(&mut 0), length(call)).result.ok();
        let taken = (0..).map_while(send).sum::<u64>();
        bench.note(taken);
        Ok(())
    })
}

/// By raw calls the signal is blocked by hand.
fn under_a_guard(trial: &mut Trial) -> Result<(), Stop> {
    let mut sigpipe = SigSet::empty();
    sigpipe.add(Signal::SIGPIPE);
    raw::note_sigpipes()?; // of which one is meant to come through unisend too
    by_each_way(trial, |bench| {
        let (reader, pipe) = nix::unistd::pipe()?;
        drop(reader);
        let file = bench.file(DIGITS)?;
        for comes_from_outside in [false, true] {
            let guard = match bench.way {
                Way::Raw => sigpipe.thread_block().map(|()| None)?,
                Way::Best | Way::Copying => Some(SigpipeGuard::new()),
            };
            bench.show(Output::file(&pipe), &file, Some(&mut 0), 4);
            if comes_from_outside {
                signal::raise(Signal::SIGPIPE)?;
            }
            let early = raw::take_sigpipe();
            if guard.is_none() {
                sigpipe.thread_unblock()?;
            }
            drop(guard);
            bench.note(match (early, raw::take_sigpipe()) {
                (true, _) => "SIGPIPE too early",
                (false, true) => "SIGPIPE at the end",
                (false, false) => "no SIGPIPE",
            });
        }
        Ok(())
    })
}

fn nothing_to_nobody(trial: &mut Trial) -> Result<(), Stop> {
    if trial.route() == Route::Kernel {
        let (reader, pipe) = nix::unistd::pipe()?;
        drop(reader);
        note_write(trial, &pipe, b"");
        return Ok(());
    }
    by_each_way(trial, |bench| {
        let (reader, pipe) = nix::unistd::pipe()?;
        drop(reader);
        let file = bench.file(DIGITS)?;
        bench.show(Output::file(&pipe), &file, None, 0);
        Ok(())
    })
}

fn reader_closes(trial: &mut Trial) -> Result<(), Stop> {
    // With pages of 64 KiB a pipe takes 1 MiB.
    const LENGTH: u64 = 4 << 20;
    if trial.route() == Route::Kernel {
        let (reader, pipe) = nix::unistd::pipe()?;
        let reader = read_and_close(reader, 0)?;
        let outcome = raw::write(pipe.as_fd(), &vec![0; LENGTH as usize]);
        let signal = if raw::take_sigpipe() { "+SIGPIPE" } else { "" };
        match outcome {
            Ok(count) if count < LENGTH as usize => trial.note(format!("partial{signal}")),
            Ok(count) => trial.note(format!("{count}{signal}")),
            Err(errno) => trial.note(format!("{errno:?}{signal}")),
        }
        return reader.join().map_err(|_| Stop::Broken("the reader panicked".to_owned()));
    }
    by_each_way(trial, |bench| {
        let (reader, pipe) = nix::unistd::pipe()?;
        let file = bench.sparse(LENGTH)?;
        // Makes the first copied part not fit.
        raw::write(pipe.as_fd(), &[0; 4096])?;
        let reader = read_and_close(reader, 0)?;
        let outcome = bench.send(Output::file(&pipe), &file, None, LENGTH);
        bench.note_partly(outcome, LENGTH);
        reader.join().map_err(|_| Stop::Broken("the reader panicked".to_owned()))
    })
}
