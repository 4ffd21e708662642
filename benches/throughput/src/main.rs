//! Sending a file, with unisend and by hand, as ratios of throughput: above 1 unisend is faster. It prints the table of
//! docs/costs.md.
//!
//! Each ratio is the median of pairs that are run in turn, so that what the machine does besides meets both. A
//! reader in another thread drains the socket; a run ends when it has everything. On Linux both threads share one
//! processor: what is measured is the work of both, and not how well two processors happen to take turns, which
//! makes the same code a fifth faster or slower.
//!
//!     cargo run --release --package unisend-throughput [PAIRS]

use std::fs::File;
use std::io::{IoSlice, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use unisend::{Offset, SigpipeGuard, sendfile};
use unisend::{Outcome, SendFlags, SocketRef, Transfer};
use unisend_throughput::median_of_pairs;

/// The file, which stays in the page cache.
const LENGTH: u64 = 64 << 20;

/// The header of a web server's reply.
const HEADER: [u8; 200] = [b'h'; 200];

/// A socket whose other end reads as much as it is told, and says when it has it.
struct Sink<'a> {
    socket: SocketRef<'a>,
    copy: &'a dyn Fn(&File) -> std::io::Result<u64>,
    expect: Sender<u64>,
    arrived: Receiver<()>,
}

impl<'a> Sink<'a> {
    fn new(
        socket: SocketRef<'a>,
        copy: &'a dyn Fn(&File) -> std::io::Result<u64>,
        mut theirs: impl Read + Send + 'static,
    ) -> Self {
        let (expect, expected) = channel();
        let (tell, arrived) = channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 256 << 10];
            for mut left in expected {
                while left > 0 {
                    left -= theirs.read(&mut buffer).expect("it is sent") as u64;
                }
                let _ = tell.send(());
            }
        });
        Self { socket, copy, expect, arrived }
    }

    /// How long it takes to send this many bytes and to have them read.
    fn time(&self, bytes: u64, send: impl FnOnce()) -> Duration {
        let start = Instant::now();
        self.expect.send(bytes).expect("the reader is there");
        send();
        self.arrived.recv().expect("the reader is there");
        start.elapsed()
    }
}

/// A way to send all of the file to this sink, in parts of this many bytes.
type Way = fn(&Sink<'_>, &File, usize);

/// What is compared: its name, that of the other, and both.
struct Comparison {
    ours: (&'static str, Way),
    theirs: (&'static str, Way),
    /// The sizes of the parts.
    kib: &'static [usize],
    /// Whether each part has a header.
    has_header: bool,
}

const SMALL: &[usize] = &[1, 4, 16, 64, 256, 1024];

const COMPARISONS: &[Comparison] = &[
    #[cfg(target_os = "linux")]
    Comparison {
        ours: ("`sendfile`,", in_calls),
        theirs: ("sendfile(2)", by_hand::sendfile),
        kib: SMALL,
        has_header: false,
    },
    #[cfg(target_os = "linux")]
    Comparison {
        ours: ("`sendfile` under a `SigpipeGuard`,", under_a_guard),
        theirs: ("sendfile(2)", by_hand::sendfile),
        kib: SMALL,
        has_header: false,
    },
    #[cfg(target_os = "linux")]
    Comparison {
        ours: ("`Transfer` with a header,", replies),
        theirs: ("send(2) with `MSG_MORE`, sendfile(2)", by_hand::replies),
        kib: SMALL,
        has_header: true,
    },
    Comparison {
        ours: ("`Transfer` with a header,", replies),
        theirs: ("one writev(2) of what pread(2) reads", by_hand::replies_by_writev),
        kib: SMALL,
        has_header: true,
    },
    #[cfg(target_os = "linux")]
    Comparison {
        ours: ("`Transfer` of the whole file, parts of", whole),
        theirs: ("a loop of sendfile(2)", by_hand::sendfile),
        kib: &[1024],
        has_header: false,
    },
    Comparison {
        ours: ("`Transfer` by copying, a buffer of", copying),
        theirs: ("pread(2) and send(2)", by_hand::copying),
        kib: &[16, 64, 256, 1024],
        has_header: false,
    },
    Comparison {
        ours: ("`Transfer` of the whole file", whole),
        theirs: ("`std::io::copy`", standard),
        kib: &[],
        has_header: false,
    },
    Comparison {
        ours: ("`Transfer` by copying, a buffer of 256 KiB", copying_well),
        theirs: ("`std::io::copy`", standard),
        kib: &[],
        has_header: false,
    },
];

fn main() -> std::io::Result<()> {
    let pairs = std::env::args().nth(1).and_then(|pairs| pairs.parse().ok()).unwrap_or(15).max(9);
    stay_on_one_processor()?;
    let mut file = tempfile::tempfile()?;
    file.write_all(&vec![7; LENGTH as usize])?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let tcp = TcpStream::connect(listener.local_addr()?)?;
    let (tcp_theirs, _) = listener.accept()?;
    let (unix, unix_theirs) = UnixStream::pair()?;
    let (copy_to_tcp, copy_to_unix) = (
        |mut file: &File| std::io::copy(&mut file, &mut &tcp),
        |mut file: &File| std::io::copy(&mut file, &mut &unix),
    );
    let sinks = [
        Sink::new(SocketRef::from(&tcp), &copy_to_tcp, tcp_theirs),
        Sink::new(SocketRef::from(&unix), &copy_to_unix, unix_theirs),
    ];
    println!("| | compared with | TCP | unix |\n|---|---|---|---|");
    for comparison in COMPARISONS {
        match comparison.kib {
            [] => compare(comparison, "", LENGTH as usize, &sinks, &file, pairs),
            sizes => {
                for kib in sizes {
                    compare(comparison, &format!(" {kib} KiB"), kib << 10, &sinks, &file, pairs);
                }
            }
        }
    }
    would_block(pairs)
}

fn compare(
    comparison: &Comparison,
    size_name: &str,
    size: usize,
    sinks: &[Sink<'_>],
    file: &File,
    pairs: usize,
) {
    let ratios: Vec<f64> = sinks
        .iter()
        .map(|sink| {
            let header = if comparison.has_header { HEADER.len() as u64 } else { 0 };
            let bytes = LENGTH + LENGTH / size as u64 * header;
            let timed = |way: Way| sink.time(bytes, || way(sink, file, size));
            median_of_pairs(pairs, || timed(comparison.ours.1), || timed(comparison.theirs.1))
        })
        .collect();
    row(&format!("{}{size_name}", comparison.ours.0), comparison.theirs.0, &ratios);
}

fn row(ours: &str, theirs: &str, ratios: &[f64]) {
    println!("| {ours} | {theirs} | {:.2} | {:.2} |", ratios[0], ratios[1]);
}

/// Returns where each part of the file begins.
fn offsets(size: usize) -> impl Iterator<Item = u64> {
    (0..LENGTH).step_by(size)
}

#[cfg(target_os = "linux")]
fn in_calls(sink: &Sink<'_>, file: &File, size: usize) {
    let mut offset = 0;
    while offset < LENGTH {
        sendfile(sink.socket, file, Offset::At(&mut offset), size as u64).expect("it is sent");
    }
}

#[cfg(target_os = "linux")]
fn under_a_guard(sink: &Sink<'_>, file: &File, size: usize) {
    let _guard = SigpipeGuard::new();
    in_calls(sink, file, size);
}

fn replies(sink: &Sink<'_>, file: &File, size: usize) {
    let header = [IoSlice::new(&HEADER)];
    for offset in offsets(size) {
        all(Transfer::new(file).at(offset).count(size as u64).with_header(&header), sink);
    }
}

fn whole(sink: &Sink<'_>, file: &File, _: usize) {
    all(Transfer::new(file).at(0).count(LENGTH), sink);
}

fn copying(sink: &Sink<'_>, file: &File, size: usize) {
    all(Transfer::new(file).at(0).count(LENGTH).by_copying(&mut vec![0; size]), sink);
}

fn copying_well(sink: &Sink<'_>, file: &File, _: usize) {
    copying(sink, file, 256 << 10);
}

fn all(mut transfer: Transfer<'_>, sink: &Sink<'_>) {
    assert_eq!(transfer.send_all(sink.socket), Ok(Outcome::Whole));
}

/// For sockets it reads and writes 8 KiB at a time, on Linux too (seen of Rust 1.95 by strace).
fn standard(sink: &Sink<'_>, file: &File, _: usize) {
    (&mut &*file).rewind().expect("it is a file");
    assert_eq!((sink.copy)(file).ok(), Some(LENGTH));
}

/// The same with raw calls.
mod by_hand {
    use super::*;

    #[cfg(target_os = "linux")]
    pub(super) fn sendfile(sink: &Sink<'_>, file: &File, size: usize) {
        range(sink, file, 0, LENGTH, size);
    }

    #[cfg(target_os = "linux")]
    pub(super) fn replies(sink: &Sink<'_>, file: &File, size: usize) {
        for offset in offsets(size) {
            send(sink.socket.as_fd(), &HEADER, libc::MSG_NOSIGNAL | libc::MSG_MORE);
            range(sink, file, offset, offset + size as u64, size);
        }
    }

    /// Sends a range of the file in calls of this many bytes.
    #[cfg(target_os = "linux")]
    fn range(sink: &Sink<'_>, file: &File, offset: u64, end: u64, size: usize) {
        #[cfg(not(target_env = "gnu"))]
        use libc::sendfile as sendfile64;
        #[cfg(target_env = "gnu")]
        use libc::sendfile64;

        let mut offset = offset as i64;
        while offset < end as i64 {
            let (output, most) = (sink.socket.as_fd().as_raw_fd(), size.min((end as i64 - offset) as usize));
            // SAFETY: the pointer is to an offset, which outlives the call and is ours to write.
            let sent = unsafe { sendfile64(output, file.as_raw_fd(), &raw mut offset, most) };
            assert!(sent > 0, "{}", std::io::Error::last_os_error());
        }
    }

    /// The best for a small file: header and file as one message.
    pub(super) fn replies_by_writev(sink: &Sink<'_>, file: &File, size: usize) {
        let mut buffer = vec![0; size];
        for offset in offsets(size) {
            file.read_exact_at(&mut buffer, offset).expect("it is read");
            let mut slices = [IoSlice::new(&HEADER), IoSlice::new(&buffer)];
            let mut left = &mut slices[..];
            while !left.is_empty() {
                // SAFETY: IoSlice is laid out as iovec, and the data outlives the call and is only read.
                let sent = unsafe {
                    libc::writev(
                        sink.socket.as_fd().as_raw_fd(),
                        left.as_ptr().cast(),
                        left.len() as libc::c_int,
                    )
                };
                IoSlice::advance_slices(&mut left, usize::try_from(sent).expect("it is sent"));
            }
        }
    }

    pub(super) fn copying(sink: &Sink<'_>, file: &File, size: usize) {
        let mut buffer = vec![0; size];
        let mut offset = 0;
        while offset < LENGTH {
            let read = file.read_at(&mut buffer, offset).expect("it is read");
            offset += send(sink.socket.as_fd(), &buffer[..read], libc::MSG_NOSIGNAL) as u64;
        }
    }

    fn send(fd: BorrowedFd<'_>, bytes: &[u8], flags: libc::c_int) -> usize {
        // SAFETY: the pointer and the length are of one slice, which outlives the call and is only read.
        let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
        usize::try_from(sent).expect("it is sent")
    }
}

/// What a server that does not wait meets most: a send that finds no room.
fn would_block(pairs: usize) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let tcp = TcpStream::connect(listener.local_addr()?)?;
    let (_theirs, _) = listener.accept()?;
    let (unix, _peer) = UnixStream::pair()?;
    let mut ratios = Vec::new();
    for socket in [SocketRef::from(&tcp), SocketRef::from(&unix)] {
        // Until nothing more goes for a while: for some time a retransmission still makes room in TCP's buffers.
        let mut last_accepted = Instant::now();
        while last_accepted.elapsed() < Duration::from_secs(1) {
            match socket.send(&[0; 4096], SendFlags::DONT_WAIT) {
                Ok(_) => last_accepted = Instant::now(),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        let timed = |send: &dyn Fn() -> bool| {
            let start = Instant::now();
            assert!((0..100_000).all(|_| send()), "there is no room");
            start.elapsed()
        };
        let ours = || socket.send(b"x", SendFlags::DONT_WAIT).is_err_and(|error| error.would_block());
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the pointer and the length are of one slice, which is only read.
        let by_hand =
            || unsafe { libc::send(socket.as_fd().as_raw_fd(), b"x".as_ptr().cast(), 1, flags) } < 0;
        ratios.push(median_of_pairs(pairs, || timed(&ours), || timed(&by_hand)));
    }
    row("`send` that finds no room", "send(2)", &ratios);
    Ok(())
}

/// For this thread and those it starts: the first of the processors that it may use.
#[cfg(target_os = "linux")]
fn stay_on_one_processor() -> nix::Result<()> {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread)?;
    let first = (0..CpuSet::count()).find(|&number| allowed.is_set(number).unwrap_or(false));
    let mut only = CpuSet::new();
    only.set(first.expect("it runs on one"))?;
    sched_setaffinity(this_thread, &only)
}

/// OpenBSD does not let a thread choose.
#[cfg(not(target_os = "linux"))]
fn stay_on_one_processor() -> std::io::Result<()> {
    Ok(())
}
