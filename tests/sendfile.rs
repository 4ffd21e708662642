//! Clauses X1 to X15: one table for both ways to send a file, by the kernel and by copying. They must do the
//! same, except where a test says otherwise. On a kernel without sendfile(2) both copy, through different
//! buffers.

mod sockets;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use rstest::rstest;
use sockets::channel::{
    Channel, LONG, TCP, To, UNIX, file_with, full, long, output, position, wait_writable,
};
use sockets::signals::{install_handler, signal};
use sockets::{
    Pair, close_with_reset, differs, finished, pattern, set_nonblocking, set_send_timeout, shutdown,
    transfer, transfer_all, unconnected, wait_readable,
};
use unisend::ErrorKind::{self, *};
use unisend::SocketKind::{self, *};
use unisend::{Error, Offset, Output, SendAllError, limits, sendfile};

/// The ways to send a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As the system does it best.
    Best,
    /// By copying, through a buffer of so many bytes.
    Copying(usize),
}
use Way::{Best, Copying};

const COPYING: Way = Copying(64 << 10);

impl Way {
    fn send<'fd>(
        self,
        output: impl Into<Output<'fd>>,
        input: impl AsFd,
        offset: Offset<'_>,
        count: u64,
    ) -> Result<u64, Error> {
        match self {
            Best => sendfile(output, input, offset, count),
            Copying(bytes) => transfer(output, input, offset, count, Some(&mut vec![0; bytes])),
        }
    }

    fn send_all<'fd>(
        self,
        output: impl Into<Output<'fd>>,
        input: impl AsFd,
        offset: Offset<'_>,
        count: u64,
    ) -> Result<u64, SendAllError<u64>> {
        match self {
            Best => transfer_all(output, input, offset, count, None),
            Copying(bytes) => transfer_all(output, input, offset, count, Some(&mut vec![0; bytes])),
        }
    }

    /// Whether the kernel does it.
    fn is_kernel(self) -> bool {
        self == Best && differs(true, false)
    }
}

// What is sent, and what moves.

#[rstest]
fn x1_the_files_own_position_moves_by_what_was_sent(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(7))] way: Way,
) {
    let bytes = pattern(1000);
    let mut file = file_with(&bytes);
    file.seek(SeekFrom::Start(100)).unwrap();
    let channel = Channel::new(to);
    assert_eq!(way.send(channel.output(), &file, Offset::Position, 300), Ok(300));
    assert_eq!(position(&file), 400);
    assert_eq!(channel.read_exactly(300), bytes[100..400]);
    assert_eq!(way.send(channel.output(), &file, Offset::Position, 0), Ok(0));
    assert_eq!(way.send_all(channel.output(), &file, Offset::Position, 9999), Ok(600));
    assert_eq!(position(&file), 1000);
    assert_eq!(channel.read_exactly(600), bytes[400..]);
}

#[rstest]
fn x1_and_by_no_more_when_only_a_part_was(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    let file = file_with(&long()[..LONG]);
    let channel = Channel::nonblocking(to);
    let sent = way.send(channel.output(), &file, Offset::Position, LONG as u64).unwrap();
    assert!(sent > 0 && sent < LONG as u64, "{sent}");
    assert_eq!(position(&file), sent);
}

#[rstest]
fn x2_an_offset_that_is_given_moves_and_the_position_does_not(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(7))] way: Way,
) {
    let bytes = pattern(1000);
    let mut file = file_with(&bytes);
    file.seek(SeekFrom::Start(5)).unwrap();
    let channel = Channel::new(to);
    let mut offset = 990;
    assert_eq!(way.send(channel.output(), &file, Offset::At(&mut offset), 4), Ok(4));
    assert_eq!((offset, position(&file)), (994, 5));
    assert_eq!(way.send_all(channel.output(), &file, Offset::At(&mut offset), 100), Ok(6));
    assert_eq!((offset, position(&file)), (1000, 5));
    assert_eq!(channel.read_exactly(10), bytes[990..]);
}

/// Every length around those at which something changes.
#[rstest]
fn any_number_of_bytes(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(1000), Copying(256 << 10))] way: Way,
    #[values(false, true)] nonblocking: bool,
) {
    let bytes = pattern((1 << 20) + 3);
    let file = file_with(&bytes);
    for length in [0, 1, 2, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, (1 << 20) + 3] {
        let channel = Channel::new(to);
        set_nonblocking(&channel.ours, nonblocking);
        let reader = channel.reader();
        let mut offset = 0;
        while offset < length {
            let left = length - offset;
            match way.send(channel.output(), &file, Offset::At(&mut offset), left) {
                Ok(sent) => assert!(sent > 0 && sent <= left, "{sent} of {left}"),
                Err(error) if error.kind() == WouldBlock && nonblocking => wait_writable(&channel.ours),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(offset, length);
        assert!(channel.end(reader) == bytes[..length as usize], "{length} bytes, to {to:?}");
    }
}

/// A part of a part, at offsets that are no multiple of anything.
#[rstest]
fn a_range_in_the_middle(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(4097))] way: Way,
) {
    let bytes = pattern(300_001);
    let file = file_with(&bytes);
    let channel = Channel::new(to);
    let reader = channel.reader();
    let mut offset = 12_345;
    assert_eq!(way.send_all(channel.output(), &file, Offset::At(&mut offset), 234_567), Ok(234_567));
    assert_eq!(offset, 12_345 + 234_567);
    assert!(channel.end(reader) == bytes[12_345..][..234_567]);
}

// The end of the file, and the limits.

#[rstest]
fn x3_the_end_of_the_file_is_no_error(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING)] way: Way,
    #[values(100, 101, 5000, 1 << 41, limits::FILE_OFFSET - 10)] beyond: u64,
) {
    let file = file_with(&[1; 100]);
    let channel = Channel::new(to);
    let mut offset = beyond;
    assert_eq!(way.send(channel.output(), &file, Offset::At(&mut offset), 10), Ok(0));
    assert_eq!(way.send_all(channel.output(), &file, Offset::At(&mut offset), 10), Ok(0));
    assert_eq!(offset, beyond);
}

/// Nothing is said of an output that could not take a byte: it is not asked.
#[rstest]
fn x3_no_bytes_are_accepted_by_an_output_that_takes_none(
    #[values(Tcp, UnixStream)] kind: SocketKind,
    #[values(Best, COPYING)] way: Way,
    #[values((0, 0), (100, 5), (5000, 1))] (at, count): (u64, u64),
) {
    let file = file_with(&[1; 100]);
    let ended = Channel::new(To::Socket(kind));
    shutdown(&ended.ours, std::net::Shutdown::Write).unwrap();
    let alone = unconnected(kind);
    let full = Channel::nonblocking(To::Socket(kind));
    while sendfile(full.output(), &file, Offset::At(&mut 0), 100).is_ok() {}
    for fd in [&ended.ours, &alone, &full.ours] {
        let mut offset = at;
        assert_eq!(way.send(output(To::Socket(kind), fd), &file, Offset::At(&mut offset), count), Ok(0));
        assert_eq!(offset, at);
    }
}

/// Linux's kernel asks a pipe for room first.
#[rstest]
fn x3_no_bytes_are_accepted_by_a_pipe_without_room_or_reader(
    #[values(Best, COPYING)] way: Way,
    #[values((0, 0), (100, 5), (5000, 1))] (at, count): (u64, u64),
) {
    let mut file = file_with(&[1; 100]);
    let full = full(To::Pipe);
    let Channel { ours: broken, theirs, .. } = Channel::new(To::Pipe);
    drop(theirs);
    for fd in [&full.ours, &broken] {
        let mut offset = at;
        assert_eq!(way.send(Output::file(fd), &file, Offset::At(&mut offset), count), Ok(0));
        assert_eq!(way.send_all(Output::file(fd), &file, Offset::At(&mut offset), count), Ok(0));
        file.seek(SeekFrom::Start(at)).unwrap();
        assert_eq!(way.send(Output::file(fd), &file, Offset::Position, count), Ok(0));
        assert_eq!((offset, position(&file)), (at, at));
    }
}

/// Nor does it wait for room that it does not need.
#[rstest]
fn x3_the_end_of_the_file_is_not_waited_for(#[values(Best, COPYING)] way: Way) {
    let Channel { ours, theirs, .. } = full(To::Pipe);
    set_nonblocking(&ours, false);
    let file = file_with(&[1; 100]);
    let sender = thread::spawn(move || way.send(Output::file(&ours), &file, Offset::At(&mut 100), 10));
    assert_eq!(finished(sender, |_| {}), Ok(0));
    drop(theirs);
}

/// As much as the pipe takes, and then the end.
#[rstest]
fn x3_the_end_of_the_file_is_found_by_a_loop_that_filled_the_pipe(#[values(Best, COPYING)] way: Way) {
    let full = full(To::Pipe);
    let capacity = full.arrived().len();
    set_nonblocking(&full.ours, false);
    let file = file_with(&vec![1; capacity]);
    let sender = thread::spawn(move || {
        let sent = way.send_all(full.output(), &file, Offset::At(&mut 0), capacity as u64 + 1000);
        (sent, full)
    });
    assert_eq!(finished(sender, |_| {}).0, Ok(capacity as u64));
}

/// A directory and a file that are open in the wrong way, with a count or without.
#[rstest]
fn x6_descriptors_are_checked(#[values(Best, COPYING)] way: Way, #[values(0, 1, 5000)] count: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, [1; 100]).unwrap();
    let (reads, writes) = (File::open(&path).unwrap(), OpenOptions::new().write(true).open(&path).unwrap());
    let kind_of = |outcome: Result<u64, Error>| outcome.map_err(|error| error.kind());

    for to in [TCP, UNIX, To::Pipe, To::File] {
        let channel = Channel::new(to);
        let sent = way.send(channel.output(), &writes, Offset::At(&mut 0), count);
        assert_eq!(kind_of(sent), Err(BadDescriptor), "an input for writing, to {to:?}");
        let sent = way.send(channel.output(), &writes, Offset::Position, count);
        assert_eq!(kind_of(sent), Err(BadDescriptor), "an input for writing, to {to:?}");
        assert!(channel.arrived().is_empty());
    }
    for at in [0, 5000] {
        let sent = way.send(&reads, &reads, Offset::At(&mut { at }), count);
        assert_eq!(kind_of(sent), Err(BadDescriptor), "an output for reading, at {at}");
    }
    let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
    let (tcp, _peer) = sockets::tcp_pair();
    let sent = way.send(&tcp, &null, Offset::Position, count);
    assert_eq!(kind_of(sent), Err(BadDescriptor), "a device for writing as input");

    // OpenBSD opens both ends of a pipe for both.
    #[cfg(target_os = "linux")]
    {
        let (read_end, write_end) = nix::unistd::pipe().unwrap();
        for at in [0, 5000] {
            let sent = way.send(Output::file(&read_end), &reads, Offset::At(&mut { at }), count);
            assert_eq!(kind_of(sent), Err(BadDescriptor), "the end of a pipe that is for reading, at {at}");
        }
        let sent = way.send(&tcp, &write_end, Offset::Position, count);
        assert_eq!(kind_of(sent), Err(BadDescriptor), "the end of a pipe that is for writing as input");
        let directory = sockets::open_path_only(directory.path());
        let sent = way.send(&tcp, &directory, Offset::Position, count);
        assert_eq!(kind_of(sent), Err(BadDescriptor), "a directory that is only a path");
        let path_only = sockets::open_path_only(&path);
        let sent = way.send(&tcp, &path_only, Offset::At(&mut 0), count);
        assert_eq!(kind_of(sent), Err(BadDescriptor), "an input that is only a path");
        for at in [0, 5000] {
            let sent = way.send(&path_only, &reads, Offset::At(&mut { at }), count);
            assert_eq!(kind_of(sent), Err(BadDescriptor), "an output that is only a path, at {at}");
        }
    }
}

#[rstest]
#[case::offset(u64::MAX, 0)]
#[case::offset_of_minus_one(u64::MAX, 1)]
#[case::offset_over_the_signed(1 << 63, 0)]
#[case::sum(limits::FILE_OFFSET, 1)]
#[case::sum_by_one(limits::FILE_OFFSET - 9, 10)]
#[case::sum_that_wraps(1, u64::MAX)]
#[case::count(0, 1 << 63)]
fn x4_what_no_file_has_is_refused(
    #[case] at: u64,
    #[case] count: u64,
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    let file = file_with(&[1; 100]);
    let channel = Channel::new(to);
    let mut offset = at;
    let error = way.send(channel.output(), &file, Offset::At(&mut offset), count).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (InvalidInput, None));
    let stopped = way.send_all(channel.output(), &file, Offset::At(&mut offset), count).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (InvalidInput, 0));
    assert_eq!(offset, at);
    if count > limits::FILE_OFFSET {
        let error = way.send(channel.output(), &file, Offset::Position, count).unwrap_err();
        assert_eq!((error.kind(), position(&file)), (InvalidInput, 0));
    }
    assert!(channel.arrived().is_empty());
}

/// The largest count that there is, at a position that makes the range end where no file does.
#[rstest]
fn x4_the_position_counts_too(#[values(Best, COPYING)] way: Way) {
    let mut file = file_with(&[1; 100]);
    let (tcp, peer) = sockets::tcp_pair();
    file.seek(SeekFrom::Start(50)).unwrap();
    let error = way.send(&tcp, &file, Offset::Position, limits::FILE_OFFSET - 49).unwrap_err();
    assert_eq!((error.kind(), position(&file)), (InvalidInput, 50));
    assert_eq!(way.send(&tcp, &file, Offset::Position, limits::FILE_OFFSET - 50), Ok(50));
    drop(peer);
}

/// A file of `length` bytes, all zero but for a mark at its end, that takes no room.
fn sparse(length: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(length).unwrap();
    file.write_at(b"mark", length - 4).unwrap();
    file
}

const FOUR_GIB: u64 = 1 << 32;

/// One for the tests that read it all, so that its pages are made once.
fn huge() -> &'static File {
    static HUGE: LazyLock<File> = LazyLock::new(|| sparse(FOUR_GIB + 10));
    &HUGE
}

#[rstest]
fn x5_one_call_sends_so_much_and_a_loop_all(#[values(Best, Copying(1 << 20))] way: Way) {
    // Linux sends whole pages.
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap().unwrap() as u64;
    let most =
        if way.is_kernel() { limits::BYTES_PER_SENDFILE / page * page } else { limits::BYTES_PER_SENDFILE };
    let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
    let mut offset = 0;
    let sent = way.send(&null, huge(), Offset::At(&mut offset), limits::FILE_OFFSET);
    assert_eq!((sent, offset), (Ok(most), most));
    let sent = way.send_all(&null, huge(), Offset::At(&mut offset), most + 4096);
    assert_eq!((sent, offset), (Ok(most + 4096), 2 * most + 4096));
}

#[rstest]
fn offsets_over_4_gib_are_exact(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(3))] way: Way,
) {
    let mut file = sparse(FOUR_GIB + 10);
    let channel = Channel::new(to);
    let mut offset = FOUR_GIB + 4;
    assert_eq!(way.send_all(channel.output(), &file, Offset::At(&mut offset), 100), Ok(6));
    assert_eq!(offset, FOUR_GIB + 10);
    file.seek(SeekFrom::Start(FOUR_GIB - 2)).unwrap();
    assert_eq!(way.send_all(channel.output(), &file, Offset::Position, 100), Ok(12));
    assert_eq!(position(&file), FOUR_GIB + 10);
    assert_eq!(channel.read_exactly(18), b"\0\0mark\0\0\0\0\0\0\0\0mark");
}

/// All of a file over 4 GiB, through a socket that waits.
#[rstest]
fn over_4_gib_through_a_stream(#[values(Best, Copying(1 << 20))] way: Way) {
    let channel = Channel::new(UNIX);
    let mut from = File::from(channel.theirs.try_clone().unwrap());
    let reader = thread::spawn(move || {
        let (mut buffer, mut total, mut last) = (vec![0; 1 << 20], 0, Vec::new());
        while total < FOUR_GIB {
            let wanted = (buffer.len() as u64).min(FOUR_GIB - total) as usize;
            match from.read(&mut buffer[..wanted]).unwrap() {
                0 => break,
                count => total += count as u64,
            }
        }
        from.read_to_end(&mut last).unwrap();
        (total, last)
    });
    let mut offset = 0;
    let sent = way.send_all(channel.output(), huge(), Offset::At(&mut offset), limits::FILE_OFFSET);
    assert_eq!((sent, offset), (Ok(FOUR_GIB + 10), FOUR_GIB + 10));
    drop(channel);
    assert_eq!(reader.join().unwrap(), (FOUR_GIB, b"\0\0\0\0\0\0mark".to_vec()));
}

// What cannot be an input or an output.

#[rstest]
fn x7_an_input_without_offsets_is_refused(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    let (pipe, mut pipe_end) = nix::unistd::pipe().map(|(read, write)| (read, File::from(write))).unwrap();
    pipe_end.write_all(b"data").unwrap();
    let pair = Pair::new(UnixStream);
    pair.socket().send(b"data", sockets::NO_FLAGS).unwrap();
    let directory = File::open(tempfile::tempdir().unwrap().path()).unwrap();
    let null = File::open("/dev/null").unwrap();

    for (name, input) in [
        ("pipe", pipe.as_fd()),
        ("socket", pair.theirs.as_fd()),
        ("directory", directory.as_fd()),
        ("/dev/null", null.as_fd()),
    ] {
        let channel = Channel::new(to);
        if (name, to) == ("socket", To::Pipe) && way.is_kernel() {
            continue; // clause X7b: Linux can
        }
        for count in [1, 10] {
            let error = way.send(channel.output(), input, Offset::Position, count).unwrap_err();
            assert_eq!(error.kind(), InvalidInput, "{name} to {to:?}");
            let error = way.send(channel.output(), input, Offset::At(&mut 0), count).unwrap_err();
            assert_eq!(error.kind(), InvalidInput, "{name} to {to:?}, with an offset");
        }
        assert!(channel.arrived().is_empty());
    }
    // What they had is still there.
    assert_eq!(sockets::received(&pair.theirs).as_deref(), Some(&b"data"[..]));
    let mut left = [0; 4];
    File::from(pipe).read_exact(&mut left).unwrap();
    assert_eq!(&left, b"data");
}

/// Clause X7b: what Linux's kernel can read since 6.5, and copying cannot, for it could not read it again.
#[rstest]
fn x7b_a_device_without_an_end(#[values(Best, COPYING)] way: Way) {
    let zero = File::open("/dev/zero").unwrap();
    let (tcp, _peer) = sockets::tcp_pair();
    let sent = way.send(&tcp, &zero, Offset::At(&mut 0), 1000).map_err(|error| error.kind());
    let is_sent = way.is_kernel() && kernel_sends(&tcp, &zero);
    assert_eq!(sent, if is_sent { Ok(1000) } else { Err(InvalidInput) });
}

/// Whether the kernel's own sendfile sends a byte of a file.
#[cfg(target_os = "linux")]
fn kernel_sends(to: &impl AsFd, from: &File) -> bool {
    nix::sys::sendfile::sendfile(to, from, None, 1).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn kernel_sends(_: &impl AsFd, _: &File) -> bool {
    false
}

/// Files that the kernel's sendfile cannot read, and some that it can.
#[cfg(target_os = "linux")]
#[rstest]
fn x8_files_that_the_kernels_sendfile_cannot_read(
    #[values("/proc/self/environ", "/proc/self/cmdline", "/proc/self/limits", "/proc/version")] path: &str,
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(10))] way: Way,
) {
    let wanted = std::fs::read(path).unwrap();
    let file = File::open(path).unwrap();
    let channel = Channel::new(to);
    let reader = channel.reader();
    let mut offset = 3;
    assert_eq!(way.send(channel.output(), &file, Offset::At(&mut offset), 5), Ok(5));
    assert_eq!((offset, position(&file)), (8, 0));
    assert_eq!(way.send_all(channel.output(), &file, Offset::Position, 1 << 40), Ok(wanted.len() as u64));
    assert_eq!(position(&file), wanted.len() as u64);
    let received = channel.end(reader);
    assert_eq!(received[..5], wanted[3..8]);
    assert_eq!(received[5..], wanted);
}

/// It is not tried again by the kernel in the same loop, nor does it hide what is wrong with the output.
#[cfg(target_os = "linux")]
#[rstest]
fn x8_copying_does_not_hide_an_error(#[values(Best, COPYING)] way: Way) {
    let file = File::open("/proc/self/status").unwrap();
    let channel = Channel::new(UNIX);
    drop(channel.theirs);
    let error = way.send(output(UNIX, &channel.ours), &file, Offset::Position, 10).unwrap_err();
    assert_eq!((error.kind(), position(&file)), (Disconnected, 0));
    let alone = unconnected(Tcp);
    let error = way.send(output(TCP, &alone), &file, Offset::Position, 10).unwrap_err();
    assert_eq!(error.kind(), NotConnected);
}

#[rstest]
fn x9_an_output_that_appends_is_refused_unless_it_is_a_pipe(
    #[values(Best, COPYING)] way: Way,
    #[values(0, 1, 5000)] count: u64,
) {
    let file = file_with(&[1; 100]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let log = OpenOptions::new().append(true).create(true).open(&path).unwrap();
    let null = OpenOptions::new().append(true).open("/dev/null").unwrap();
    for output in [&log, &null] {
        let error = way.send(output, &file, Offset::At(&mut 0), count).unwrap_err();
        assert_eq!(error.kind(), InvalidInput);
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);

    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
    let writer = OpenOptions::new().append(true).open(&fifo).unwrap();
    assert_eq!(way.send(&writer, &file, Offset::At(&mut 0), count), Ok(count.min(100)));
}

#[rstest]
fn x9_a_regular_files_position_moves_and_it_is_overwritten_there(
    #[values(Best, COPYING, Copying(3))] way: Way,
) {
    let mut to = file_with(&[b'.'; 20]);
    to.seek(SeekFrom::Start(5)).unwrap();
    let from = file_with(b"0123456789");
    assert_eq!(way.send(&to, &from, Offset::At(&mut 2), 6), Ok(6));
    assert_eq!(position(&to), 11);
    assert_eq!(way.send(&to, &from, Offset::Position, 2), Ok(2));
    let mut all = String::new();
    to.rewind().unwrap();
    to.read_to_string(&mut all).unwrap();
    assert_eq!(all, ".....23456701.......");
}

#[rstest]
fn x15_sockets_of_records_and_datagrams_are_refused(
    #[values(UdpV4, UnixDatagram, UnixSeqpacket)] kind: SocketKind,
    #[values(Best, COPYING)] way: Way,
    #[values(0, 10)] count: u64,
) {
    let file = file_with(&[1; 100]);
    let pair = Pair::new(kind);
    let error = way.send(pair.socket(), &file, Offset::Position, count).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (Unsupported, None));
    assert!(way.send_all(pair.socket(), &file, Offset::Position, count).is_err());
    assert_eq!((position(&file), pair.received()), (0, None));
}

#[test]
fn a_buffer_of_no_bytes_is_refused() {
    let (tcp, _peer) = sockets::tcp_pair();
    let error = Copying(0).send(&tcp, file_with(b"x"), Offset::Position, 1).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (InvalidInput, None));
}

// An output that takes no more.

/// What was read and not accepted is not lost, and nothing is sent twice, whatever the reader does.
#[rstest]
fn x10_a_part_then_would_block_then_the_rest(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING, Copying(1 << 20), Copying(5000))] way: Way,
    #[values(true, false)] given: bool,
) {
    let bytes = &long()[..LONG];
    let file = file_with(bytes);
    let channel = Channel::nonblocking(to);
    let mut offset = 0;
    let mut send_all = |left: usize| match given {
        true => way.send_all(channel.output(), &file, Offset::At(&mut offset), left as u64),
        false => way.send_all(channel.output(), &file, Offset::Position, left as u64),
    };
    let mut received = Vec::new();
    let (mut accepted, mut stops) = (0, 0);
    loop {
        let outcome = send_all(LONG - accepted);
        match outcome {
            Ok(sent) => {
                accepted += sent as usize;
                break;
            }
            Err(stopped) => {
                assert_eq!(stopped.kind(), WouldBlock, "{stopped}");
                accepted += stopped.accepted() as usize;
                stops += 1;
            }
        }
        if !given {
            assert_eq!(position(&file), accepted as u64);
        }
        wait_readable(&channel.theirs);
        received.extend(channel.arrived());
        wait_writable(&channel.ours);
    }
    assert_eq!(accepted, LONG);
    assert!(stops >= 2, "it was never full");
    if given {
        assert_eq!((offset, position(&file)), (LONG as u64, 0));
    }
    let rest = LONG - received.len();
    received.extend(channel.read_exactly(rest));
    assert!(received == bytes);
}

#[rstest]
fn x10_a_full_output_would_block_and_moves_nothing(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    let file = file_with(&long()[..LONG]);
    let channel = full(to);
    let mut offset = 7;
    for _ in 0..3 {
        let error = way.send(channel.output(), &file, Offset::At(&mut offset), 100_000).unwrap_err();
        assert_eq!((error.kind(), error.would_block(), offset), (WouldBlock, true, 7));
        let error = way.send(channel.output(), &file, Offset::Position, 100_000).unwrap_err();
        assert_eq!((error.kind(), position(&file)), (WouldBlock, 0));
        let stopped = way.send_all(channel.output(), &file, Offset::At(&mut offset), 100_000).unwrap_err();
        assert_eq!((stopped.kind(), stopped.accepted(), offset), (WouldBlock, 0, 7));
    }
}

// Signals.

#[rstest]
fn x11_a_signal_before_the_first_byte(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    install_handler();
    let file = file_with(&long()[..LONG]);
    let Channel { ours, theirs, .. } = full(to);
    set_nonblocking(&ours, false);
    let worker = thread::spawn(move || {
        let mut offset = 7;
        let outcome = way.send(output(to, &ours), &file, Offset::At(&mut offset), 100_000);
        (outcome.map_err(|error| error.kind()), offset)
    });
    assert_eq!(finished(worker, signal), (Err(Interrupted), 7));
    drop(theirs);
}

#[rstest]
fn x11_a_signal_after_some_bytes(#[values(TCP, UNIX, To::Pipe)] to: To, #[values(Best, COPYING)] way: Way) {
    install_handler();
    let bytes = &long()[..LONG];
    let file = file_with(bytes);
    let Channel { ours, theirs, .. } = Channel::new(to);
    let worker = thread::spawn(move || {
        let mut offset = 0;
        // The kernel's way to a pipe ends by itself when the pipe is full: nothing was sent by the next call.
        let sent = way.send(output(to, &ours), &file, Offset::At(&mut offset), LONG as u64);
        (sent, offset, ours)
    });
    wait_readable(&theirs);
    thread::sleep(Duration::from_millis(20));
    let (sent, offset, ours) = finished(worker, signal);
    let sent = sent.unwrap();
    assert!(sent > 0 && sent < LONG as u64, "{sent}");
    assert_eq!(offset, sent);
    let channel = Channel { to, ours, theirs };
    assert!(channel.read_exactly(sent as usize) == bytes[..sent as usize]);
}

#[rstest]
fn x11_a_loop_goes_on_after_signals(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    install_handler();
    let bytes = pattern(4 << 20);
    let file = file_with(&bytes);
    let channel = Channel::new(to);
    let (ours, theirs) = (channel.ours, channel.theirs);
    let length = bytes.len() as u64;
    let worker = thread::spawn(move || {
        let mut offset = 0;
        let sent = way.send_all(output(to, &ours), &file, Offset::At(&mut offset), length);
        (sent, offset)
    });
    let mut received = Vec::new();
    let mut from = File::from(theirs);
    let mut part = vec![0; 100_000];
    let deadline = Instant::now() + sockets::PATIENCE;
    while received.len() < bytes.len() {
        assert!(Instant::now() < deadline, "it does not go on");
        if !worker.is_finished() {
            signal(&worker);
        }
        let count = from.read(&mut part).unwrap();
        assert!(count > 0, "the end after {} bytes", received.len());
        received.extend_from_slice(&part[..count]);
    }
    assert_eq!(worker.join().unwrap(), (Ok(length), length));
    assert!(received == bytes);
}

#[rstest]
fn x11_a_time_limit(#[values(TCP, UNIX)] to: To, #[values(Best, COPYING)] way: Way) {
    let file = file_with(&long()[..LONG]);
    let channel = Channel::new(to);
    if to == TCP {
        sockets::set_buffer(&channel.ours, libc::SO_SNDBUF, 65_536);
        sockets::set_buffer(&channel.theirs, libc::SO_RCVBUF, 65_536);
    }
    set_send_timeout(&channel.ours, Duration::from_millis(600));
    let mut offset = 0;
    let sent = way.send(channel.output(), &file, Offset::At(&mut offset), LONG as u64).unwrap();
    assert!(sent > 0 && sent < LONG as u64 && offset == sent, "{sent}");
    // TCP can still have moved something to the receiver.
    let error = loop {
        let before = offset;
        match way.send(channel.output(), &file, Offset::At(&mut offset), LONG as u64 - before) {
            Ok(more) => assert!(more > 0 && offset == before + more && offset < LONG as u64, "{more}"),
            Err(error) => {
                assert_eq!(offset, before);
                break error;
            }
        }
    };
    assert_eq!(error.kind(), WouldBlock);
    assert!(channel.read_exactly(offset as usize) == long()[..offset as usize]);
}

// A peer that goes away.

/// How the reader goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Closes,
    Resets,
}

/// The call that was on its way returns its count, and the next says that the peer is gone.
#[rstest]
#[case::tcp_closes(TCP, End::Closes)]
#[case::tcp_resets(TCP, End::Resets)]
#[case::unix_closes(UNIX, End::Closes)]
#[case::pipe_closes(To::Pipe, End::Closes)]
fn x12_a_peer_that_goes_away_midway(
    #[case] to: To,
    #[case] end: End,
    #[values(Best, COPYING, Copying(1 << 20))] way: Way,
    #[values(false, true)] all: bool,
) {
    let bytes = &long()[..LONG];
    let file = file_with(bytes);
    let Channel { ours, theirs, .. } = Channel::new(to);
    let worker = thread::spawn(move || {
        let mut offset = 0;
        let count = LONG as u64;
        if all {
            let stopped = way.send_all(output(to, &ours), &file, Offset::At(&mut offset), count).unwrap_err();
            return (stopped.accepted(), offset, stopped.error());
        }
        let mut sent = 0;
        loop {
            match way.send(output(to, &ours), &file, Offset::At(&mut offset), count) {
                Ok(accepted) => sent += accepted,
                Err(error) => return (sent, offset, error),
            }
        }
    });
    // More than the largest buffer, so that one was accepted whole whatever the kernel says of a part.
    let mut theirs = File::from(theirs);
    theirs.read_exact(&mut vec![0; 3 << 20]).unwrap();
    thread::sleep(Duration::from_millis(50));
    if end == End::Resets {
        close_with_reset(&theirs);
    }
    drop(theirs);
    let (sent, offset, error) = finished(worker, |_| {});
    assert!(sent > 0 && sent < LONG as u64, "{sent}");
    assert_eq!(offset, sent);
    assert!(error.peer_gone(), "{error}");
    assert!(matches!(error.kind(), Disconnected | Reset), "{error}");
    if to != TCP {
        assert_eq!(error.kind(), Disconnected);
    }
}

#[rstest]
fn x12_a_peer_that_was_gone_before(#[values(TCP, UNIX, To::Pipe)] to: To, #[values(Best, COPYING)] way: Way) {
    let file = file_with(&[1; 1000]);
    let Channel { ours, theirs, .. } = Channel::new(to);
    drop(theirs);
    // TCP learns of it by sending.
    let deadline = Instant::now() + sockets::PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "it goes on succeeding");
        let mut offset = 0;
        match way.send(output(to, &ours), &file, Offset::At(&mut offset), 1000) {
            Ok(sent) => assert_eq!((sent, offset), (1000, 1000)),
            Err(error) => {
                assert_eq!(offset, 0);
                break error;
            }
        }
    };
    assert!(error.peer_gone(), "{error}");
    let again = way.send(output(to, &ours), &file, Offset::Position, 1000).unwrap_err();
    assert_eq!((again.kind(), position(&file)), (Disconnected, 0));
}

/// The states of a socket mean what they mean to `send`.
#[rstest]
#[case::s1_tcp(Tcp, NotConnected)]
#[case::s12_unix_stream(UnixStream, NotConnected)]
fn a_socket_that_was_never_connected(
    #[case] kind: SocketKind,
    #[case] expected: ErrorKind,
    #[values(Best, COPYING)] way: Way,
) {
    let fd = unconnected(kind);
    let file = file_with(&[1; 1000]);
    let error = way.send(output(To::Socket(kind), &fd), &file, Offset::Position, 10).unwrap_err();
    assert_eq!(error.kind(), expected);
    let stopped = way.send_all(output(To::Socket(kind), &fd), &file, Offset::Position, 10).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted(), position(&file)), (expected, 0, 0));
}

// A file that changes meanwhile.

/// The file is cut while the sender waits for room, so that less comes than was asked for, and then its end.
#[rstest]
fn x13_a_file_that_is_truncated_meanwhile(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING, Copying(1000))] way: Way,
) {
    let bytes = &long()[..LONG];
    let file = file_with(bytes);
    let cut = file.try_clone().unwrap();
    let channel = Channel::new(to);
    let (ours, theirs) = (channel.ours, channel.theirs);
    let worker = thread::spawn(move || {
        let mut offset = 0;
        let sent = way.send_all(output(to, &ours), &file, Offset::At(&mut offset), LONG as u64).unwrap();
        assert_eq!(sent, offset);
        (sent, way.send(output(to, &ours), &file, Offset::At(&mut offset), 10), ours)
    });
    wait_readable(&theirs);
    thread::sleep(Duration::from_millis(50));
    let shorter = LONG as u64 - 100;
    cut.set_len(shorter).unwrap();
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        File::from(theirs).read_to_end(&mut received).unwrap();
        received
    });
    let (sent, next, ours) = finished(worker, |_| {});
    drop(ours);
    assert_eq!((sent, next), (shorter, Ok(0)));
    assert!(finished(reader, |_| {}) == bytes[..shorter as usize]);
}

#[rstest]
fn x13_a_file_that_is_extended_meanwhile(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    let bytes = long();
    let file = file_with(&bytes[..LONG]);
    let longer = file.try_clone().unwrap();
    let channel = Channel::new(to);
    let (ours, theirs) = (channel.ours, channel.theirs);
    let worker = thread::spawn(move || {
        way.send_all(output(to, &ours), &file, Offset::At(&mut 0), 2 * LONG as u64).unwrap()
    });
    wait_readable(&theirs);
    longer.write_at(&bytes[LONG..], LONG as u64).unwrap();
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        File::from(theirs).read_to_end(&mut received).unwrap();
        received
    });
    assert_eq!(finished(worker, |_| {}), bytes.len() as u64);
    assert!(finished(reader, |_| {}) == bytes);
}

/// Clause X14 differs: by copying the peer gets what the file had when it was sent; Linux's kernel sends the
/// file's pages.
#[rstest]
fn x14_a_file_that_is_overwritten_after_it_was_sent(
    #[values(TCP, UNIX)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    let file = file_with(&[b'a'; 1000]);
    let channel = Channel::new(to);
    assert_eq!(way.send(channel.output(), &file, Offset::At(&mut 0), 1000), Ok(1000));
    file.write_at(&[b'b'; 1000], 0).unwrap();
    let received = channel.read_exactly(1000);
    let expected = if way.is_kernel() { b'b' } else { b'a' };
    assert!(received == [expected; 1000], "{:?} first", received[0]);
}

/// Cutting the file does not take back what was sent of it.
#[rstest]
fn x14_a_file_that_is_truncated_after_it_was_sent(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    let bytes = pattern(10_000);
    let file = file_with(&bytes);
    let channel = Channel::new(to);
    assert_eq!(way.send_all(channel.output(), &file, Offset::At(&mut 0), 10_000), Ok(10_000));
    file.set_len(0).unwrap();
    assert!(channel.read_exactly(10_000) == bytes);
}

// What a failure says.

#[test]
fn a_failure_names_its_call_and_how_far_it_got() {
    let file = file_with(&long()[..LONG]);
    let channel = Channel::nonblocking(UNIX);
    let stopped = transfer_all(channel.output(), &file, Offset::Position, LONG as u64, None).unwrap_err();
    assert!(stopped.accepted() > 0);
    let text = stopped.to_string();
    assert!(text.starts_with("Transfer::send_all failed: WouldBlock"), "{text}");
    assert!(text.ends_with(&format!("after {} bytes were accepted", stopped.accepted())), "{text}");
    assert_eq!(Error::from(stopped), stopped.error());
    assert_eq!(std::io::Error::from(stopped).kind(), std::io::ErrorKind::WouldBlock);

    let pipe = Channel::new(To::Pipe);
    let error = sendfile(pipe.output(), &pipe.theirs, Offset::Position, 1).unwrap_err();
    assert!(error.to_string().starts_with("sendfile refused: the input is not a regular file"), "{error}");
    assert_eq!(error.kernel_errno(), None);
    let _ = pipe.ours.as_raw_fd();
}

/// A file that is open with O_DIRECT cannot be read byte by byte: that the pipe is full says nothing of the file.
#[cfg(target_os = "linux")]
#[test]
fn x10_a_file_that_is_read_directly_into_a_full_pipe() {
    // Of the sources: /tmp may be in memory, which has no O_DIRECT.
    let Ok(directory) = tempfile::tempdir_in(".") else {
        println!("skipped: the folder of the sources is not this user's to write to");
        return;
    };
    let path = directory.path().join("direct");
    std::fs::write(&path, vec![7; 1 << 20]).unwrap();
    let direct = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path);
    let Ok(file) = direct else {
        println!("skipped: this file system has no O_DIRECT");
        return;
    };
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_NONBLOCK).unwrap();
    let (output, mut offset) = (Output::file(&writer), 0);
    let sent = unisend::sendfile(output, &file, Offset::At(&mut offset), 1 << 20);
    let Ok(sent) = sent else {
        println!("skipped: this file system cannot be sent from with O_DIRECT: {sent:?}");
        return;
    };
    assert!(sent < 1 << 20, "it is full");
    let again = unisend::sendfile(output, &file, Offset::At(&mut offset), 1 << 20).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::WouldBlock, "{again}");
    assert_eq!(offset, sent);
    drop(reader);
    let gone = unisend::sendfile(output, &file, Offset::At(&mut offset), 1 << 20).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Disconnected, "{gone}");
}
