//! Sending a file, with unisend and by hand, as ratios of throughput: above 1 unisend is faster.
//!
//! Each ratio is the median of pairs that are run in turn, so that what the machine does besides meets both. A
//! reader in another thread drains the socket; a run ends when it has everything. On Linux both threads share one
//! processor: what is measured is the work of both, and not how well two processors happen to take turns, which
//! makes the same code a fifth faster or slower.
//!
//!     cargo run --release --package unisend-throughput [PAIRS]

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use unisend::SigpipeGuard;
use unisend::{Offset, SendFlags, SocketRef, sendfile_all, sendfile_all_by_copying};

/// The file, which stays in the page cache.
const LENGTH: u64 = 64 << 20;

/// A socket whose other end is read to nowhere, and told of whenever it has a file's length more.
struct Sink<'fd> {
    name: &'static str,
    socket: SocketRef<'fd>,
    arrived: Receiver<()>,
}

impl<'fd> Sink<'fd> {
    fn new(name: &'static str, socket: SocketRef<'fd>, mut theirs: impl Read + Send + 'static) -> Self {
        let (tell, arrived) = channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 256 << 10];
            let mut total = 0;
            while let Ok(count @ 1..) = theirs.read(&mut buffer) {
                total += count as u64;
                if total == LENGTH {
                    total = 0;
                    let _ = tell.send(());
                }
            }
        });
        Self { name, socket, arrived }
    }

    /// How long it takes to send the file and to have it read.
    fn time(&self, send: impl FnOnce()) -> Duration {
        let start = Instant::now();
        send();
        self.arrived.recv().expect("the reader is there");
        start.elapsed()
    }

    /// The median of how many times faster the first is than the second.
    fn ratio(&self, pairs: usize, ours: impl Fn(), theirs: impl Fn()) -> f64 {
        median_of_pairs(pairs, || self.time(&ours), || self.time(&theirs))
    }
}

/// The median of how many times as long the second takes as the first.
fn median_of_pairs(pairs: usize, ours: impl Fn() -> Duration, theirs: impl Fn() -> Duration) -> f64 {
    ours();
    theirs();
    let mut ratios: Vec<f64> = (0..pairs)
        .map(|pair| {
            // Which is first alternates too.
            let (ours, theirs) = if pair % 2 == 0 {
                let first = ours();
                (first, theirs())
            } else {
                let first = theirs();
                (ours(), first)
            };
            theirs.as_secs_f64() / ours.as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[pairs / 2]
}

fn main() -> std::io::Result<()> {
    let pairs = std::env::args().nth(1).and_then(|pairs| pairs.parse().ok()).unwrap_or(15).max(9);
    stay_on_one_processor()?;
    let mut file = tempfile::tempfile()?;
    file.write_all(&vec![7; LENGTH as usize])?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let tcp = TcpStream::connect(listener.local_addr()?)?;
    let (tcp_theirs, _) = listener.accept()?;
    let (unix, unix_theirs) = UnixStream::pair()?;
    let sinks = [
        Sink::new("TCP", SocketRef::from(&tcp), tcp_theirs),
        Sink::new("unix", SocketRef::from(&unix), unix_theirs),
    ];
    would_block(pairs)?;
    println!("ratios of throughput, median of {pairs} pairs, {} MiB each", LENGTH >> 20);
    for sink in &sinks {
        for kib in [4, 16, 64, 256, 1024] {
            kernel(sink, &file, kib << 10, pairs);
        }
        for kib in [16, 64, 128, 256, 1024] {
            copying(sink, &file, kib << 10, pairs);
        }
    }
    let [on_tcp, on_unix] = &sinks;
    standard(on_tcp, &file, pairs, |mut file| std::io::copy(&mut file, &mut &tcp));
    standard(on_unix, &file, pairs, |mut file| std::io::copy(&mut file, &mut &unix));
    Ok(())
}

/// What a server that does not wait meets most: a send that finds no room.
fn would_block(pairs: usize) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let tcp = TcpStream::connect(listener.local_addr()?)?;
    let (_theirs, _) = listener.accept()?;
    let (unix, _peer) = UnixStream::pair()?;
    println!("ratios of rates, median of {pairs} pairs of 100000 sends that find no room");
    for (name, socket) in [("TCP", SocketRef::from(&tcp)), ("unix", SocketRef::from(&unix))] {
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
        let ratio = median_of_pairs(pairs, || timed(&ours), || timed(&by_hand));
        println!("{name:5}send / send(2): {ratio:.3}");
    }
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

fn report(sink: &Sink<'_>, what: &str, size: usize, ratio: f64) {
    println!("{:5}{what:62}{:6} KiB  {ratio:.3}", sink.name, size >> 10);
}

/// The kernel's way: one call for each part, and one loop for all, whose guard is put up once.
#[cfg(target_os = "linux")]
fn kernel(sink: &Sink<'_>, file: &File, size: usize, pairs: usize) {
    #[cfg(not(target_env = "gnu"))]
    use libc::sendfile as sendfile64;
    #[cfg(target_env = "gnu")]
    use libc::sendfile64;

    let by_hand = || {
        let mut offset = 0;
        while offset < LENGTH as i64 {
            // SAFETY: the pointer is to an offset, which outlives the call and is ours to write.
            let sent = unsafe {
                sendfile64(sink.socket.as_fd().as_raw_fd(), file.as_raw_fd(), &raw mut offset, size)
            };
            assert!(sent > 0, "{}", std::io::Error::last_os_error());
        }
    };
    let each = || {
        let mut offset = 0;
        while offset < LENGTH {
            unisend::sendfile(sink.socket, file, Offset::At(&mut offset), size as u64).expect("it is sent");
        }
    };
    report(sink, "sendfile / sendfile(2), a call for each", size, sink.ratio(pairs, each, by_hand));
    let guarded = || {
        let _guard = SigpipeGuard::new();
        each();
    };
    report(sink, "the same under a SigpipeGuard", size, sink.ratio(pairs, guarded, by_hand));
    let all = || {
        let sent = sendfile_all(sink.socket, file, Offset::At(&mut 0), LENGTH);
        assert_eq!(sent, Ok(LENGTH));
    };
    if size == 1 << 20 {
        report(sink, "sendfile_all / a loop of sendfile(2), parts of", size, sink.ratio(pairs, all, by_hand));
    }
}

/// There is no sendfile(2) to compare with.
#[cfg(not(target_os = "linux"))]
fn kernel(_: &Sink<'_>, _: &File, _: usize, _: usize) {}

/// Copying, against pread(2) and send(2) with the same buffer.
fn copying(sink: &Sink<'_>, file: &File, size: usize, pairs: usize) {
    let ours = || {
        let mut buffer = vec![0; size];
        let sent = sendfile_all_by_copying(sink.socket, file, Offset::At(&mut 0), LENGTH, &mut buffer);
        assert_eq!(sent, Ok(LENGTH));
    };
    let by_hand = || {
        let mut buffer = vec![0; size];
        let mut offset = 0;
        while offset < LENGTH {
            let read = file.read_at(&mut buffer, offset).expect("it is read");
            offset += plain_send(sink.socket.as_fd(), &buffer[..read]) as u64;
        }
    };
    report(sink, "sendfile_all_by_copying / pread(2) and send(2)", size, sink.ratio(pairs, ours, by_hand));
}

fn plain_send(fd: BorrowedFd<'_>, bytes: &[u8]) -> usize {
    // SAFETY: the pointer and the length are of one slice, which outlives the call and is only read.
    let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    usize::try_from(sent).expect("it is sent")
}

/// Both ways against `std::io::copy`, which for sockets reads and writes 8 KiB at a time, on Linux too (seen of Rust
/// 1.95 by strace).
fn standard(sink: &Sink<'_>, file: &File, pairs: usize, copy: impl Fn(&File) -> std::io::Result<u64>) {
    let theirs = || {
        (&mut &*file).rewind().expect("it is a file");
        assert_eq!(copy(file).ok(), Some(LENGTH));
    };
    let best = || assert_eq!(sendfile_all(sink.socket, file, Offset::At(&mut 0), LENGTH), Ok(LENGTH));
    report(sink, "sendfile_all / std::io::copy", LENGTH as usize, sink.ratio(pairs, best, theirs));
    let copying = || {
        let mut buffer = vec![0; 256 << 10];
        let sent = sendfile_all_by_copying(sink.socket, file, Offset::At(&mut 0), LENGTH, &mut buffer);
        assert_eq!(sent, Ok(LENGTH));
    };
    let ratio = sink.ratio(pairs, copying, theirs);
    report(sink, "sendfile_all_by_copying / std::io::copy, a buffer of", 256 << 10, ratio);
}
