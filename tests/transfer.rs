//! Clauses T1 and T3 to T8: one table for both ways to send a transfer, the best of the system and copying. What
//! leaves in one segment (T2, T10) is in `tests/segments.rs`.

mod sockets;

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, IoSliceMut, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use std::thread;
use std::time::Instant;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rstest::rstest;
use sockets::channel::{Channel, TCP, To, UNIX, file_with, full, long, output, position, wait_writable};
use sockets::signals::{install_handler, signal};
use sockets::{OPENBSD, Pair, close_with_reset, differs, finished, pattern, set_nonblocking, wait_readable};
use unisend::ErrorKind::{self, *};
use unisend::SocketKind::{self, *};
use unisend::{ControlBuffer, Error, Outcome, Output, ReceiveFlags, Sent, SocketRef, Transfer, limits};

/// The ways to send the file.
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
    fn buffer(self) -> Option<Vec<u8>> {
        match self {
            Best => None,
            Copying(bytes) => Some(vec![0; bytes]),
        }
    }
}

/// Where the file begins, and how much of it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    at: Option<u64>,
    count: Option<u64>,
}

const ALL: Range = Range { at: Some(0), count: None };

impl Range {
    fn first(count: u64) -> Self {
        Self { at: Some(0), count: Some(count) }
    }

    fn of<'a>(self, input: &'a impl AsFd, buffer: &'a mut Option<Vec<u8>>) -> Transfer<'a> {
        let mut transfer = Transfer::new(input);
        if let Some(at) = self.at {
            transfer = transfer.at(at);
        }
        if let Some(count) = self.count {
            transfer = transfer.count(count);
        }
        match buffer {
            Some(buffer) => transfer.by_copying(buffer),
            None => transfer,
        }
    }
}

/// How a header or a trailer is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slices {
    One,
    /// Of up to 100,000 bytes more than one message takes, with empty ones among them.
    Many,
}

fn slices(bytes: &[u8], how: Slices) -> Vec<IoSlice<'_>> {
    match how {
        Slices::One => vec![IoSlice::new(bytes)],
        Slices::Many => {
            // Each message goes through all slices. With many messages this takes minutes under an emulator.
            let count = if bytes.len() > 100_000 { 100 } else { 1100 };
            let part = bytes.len().div_ceil(count).max(1);
            let parts = bytes.chunks(part).flat_map(|part| [IoSlice::new(&[]), IoSlice::new(part)]);
            parts.chain([IoSlice::new(&[])]).collect()
        }
    }
}

fn sent(header: usize, file: u64, trailer: usize) -> Sent {
    let mut sent = Sent::default();
    (sent.header, sent.file, sent.trailer) = (header, file, trailer);
    sent
}

/// The call that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Send,
    SendAll,
}

impl Call {
    /// Calls once: how many bytes were accepted, and why not all. What the value says of itself is compared with it.
    fn once<Descriptor: AsFd>(
        self,
        transfer: &mut Transfer<'_, Descriptor>,
        output: Output<'_>,
    ) -> (u64, Option<Error>) {
        let (before, left) = (transfer.sent().total(), transfer.left());
        let (told, error) = match self {
            Self::Send => match transfer.send(output) {
                Ok(count) => (Some(count), None),
                Err(error) => (None, Some(error)),
            },
            Self::SendAll => match transfer.send_all(output) {
                Ok(outcome) => {
                    assert_eq!(Some(outcome), transfer.outcome());
                    (None, None)
                }
                Err(stopped) => (Some(stopped.accepted()), Some(stopped.error())),
            },
        };
        let accepted = transfer.sent().total() - before;
        assert!(told.is_none_or(|told| told == accepted), "{told:?} of {accepted}");
        if self == Self::Send && error.is_some() {
            assert_eq!(accepted, 0, "{error:?}");
        }
        match transfer.outcome() {
            None => assert_ne!(transfer.left(), Some(0)),
            Some(Outcome::Whole) => assert_eq!(transfer.left(), Some(0)),
            Some(_) => assert_eq!(transfer.left(), Some(0), "nothing more is sent"),
        }
        if let (Some(before), Some(after), None | Some(Outcome::Whole)) =
            (left, transfer.left(), transfer.outcome())
        {
            assert_eq!(before - after, accepted);
        }
        (accepted, error)
    }
}

/// Calls until all was sent, with a reader at the other end.
fn to_the_end(call: Call, transfer: &mut Transfer<'_>, channel: &Channel) -> Outcome {
    let deadline = Instant::now() + sockets::PATIENCE;
    while transfer.outcome().is_none() {
        assert!(Instant::now() < deadline, "it never ends");
        match call.once(transfer, channel.output()) {
            (accepted, None) => assert!(accepted > 0 || transfer.outcome().is_some(), "it stalls"),
            (_, Some(error)) => {
                assert_eq!(error.kind(), WouldBlock, "{error}");
                wait_writable(&channel.ours);
            }
        }
    }
    transfer.outcome().unwrap()
}

// T1: the order.

/// All sizes around those at which something changes, from both kinds of place and with both kinds of end.
#[rstest]
fn t1_header_file_trailer(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, Copying(1), Copying(7), Copying(4096), COPYING)] way: Way,
    #[values(false, true)] nonblocking: bool,
) {
    // A small buffer makes a call for each few bytes.
    let few = matches!(way, Copying(1 | 7));
    let files: &[usize] = if few { &[0, 1, 50] } else { &[0, 1, 7991, 7992, 7993, 20_000] };
    let [headers, trailers]: [&[usize]; 2] =
        if few { [&[0, 1, 20], &[0, 1, 15]] } else { [&[0, 1, 200, 1500], &[0, 1, 1500]] };
    let bytes = pattern(200 + 20_000 + 3000);
    let mut round = 0;
    for &header in headers {
        for &file in files {
            for &trailer in trailers {
                round += 1;
                let own_position = round % 2 == 0;
                let range = Range {
                    at: (!own_position).then_some(3),
                    count: (round % 3 == 0).then_some(file as u64),
                };
                let how = if round % 5 == 0 { Slices::Many } else { Slices::One };
                arrives(to, way, nonblocking, [header, file, trailer], &bytes, range, how);
            }
        }
    }
}

#[rstest]
#[case::of_a_large_file([200, 2 << 20, 200])]
#[case::with_a_header_of_some_messages([70_000, 20_000, 9000])]
#[case::with_a_header_of_one_message([9000, 30_000, 70_000])]
#[case::of_an_empty_file([70_000, 0, 70_000])]
#[case::of_as_much_as_one_message([65_536, 0, 1])]
#[case::of_a_megabyte_around([1 << 20, 100_000, 1 << 20])]
fn t1_what_is_more_than_one_message(
    #[case] parts: [usize; 3],
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, Copying(4096), COPYING)] way: Way,
    #[values(Slices::One, Slices::Many)] how: Slices,
) {
    let range = Range { at: None, count: Some(parts[1] as u64) };
    arrives(to, way, false, parts, long(), range, how);
    arrives(to, way, true, parts, long(), ALL, how);
}

/// Sends the parts from these bytes, and compares what came out.
fn arrives(to: To, way: Way, nonblocking: bool, parts: [usize; 3], bytes: &[u8], range: Range, how: Slices) {
    let [header, file, trailer] = parts;
    let begins = range.at.unwrap_or(3) as usize;
    // What is not sent of the file is before the range, and after it if there is a count.
    let (head, tail) = (&bytes[bytes.len() - header..], &bytes[bytes.len() - trailer..]);
    let after = if range.count.is_some() { 10 } else { 0 };
    let content = &bytes[..(begins + file + after).min(bytes.len())];
    let mut input = file_with(content);
    input.seek(SeekFrom::Start(3)).unwrap();

    let channel = Channel::new(to);
    set_nonblocking(&channel.ours, nonblocking);
    let reader = channel.reader();
    let (head_slices, tail_slices) = (slices(head, how), slices(tail, how));
    let mut buffer = way.buffer();
    let mut transfer = range.of(&input, &mut buffer).with_header(&head_slices).with_trailer(&tail_slices);
    let call = if nonblocking { Call::SendAll } else { Call::Send };
    let outcome = to_the_end(call, &mut transfer, &channel);
    let expected = [head, &content[begins..begins + file], tail].concat();
    assert_eq!((outcome, transfer.sent()), (Outcome::Whole, sent(header, file as u64, trailer)));
    assert_eq!(transfer.send(channel.output()), Ok(0), "nothing is left");
    drop(transfer);
    let moved = if range.at.is_none() { file as u64 } else { 0 };
    assert_eq!(position(&input), 3 + moved, "X1, X2");
    let arrived = channel.end(reader);
    assert!(arrived == expected, "{parts:?}, {range:?}, {how:?}: {} bytes", arrived.len());
}

// T3: an output that takes no more.

/// The places at which an output can be full, in a transfer of three parts of 100 bytes.
const PLACES: [(usize, u64, usize); 6] =
    [(0, 0, 0), (50, 0, 0), (100, 0, 0), (100, 50, 0), (100, 100, 0), (100, 100, 50)];

#[rstest]
fn t3_would_block_at_every_place(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING, Copying(7))] way: Way,
    #[values(Call::Send, Call::SendAll)] call: Call,
) {
    let bytes = pattern(300);
    let (head, rest) = bytes.split_at(100);
    let (content, tail) = rest.split_at(100);
    let (head, tail) = ([IoSlice::new(head)], [IoSlice::new(tail)]);
    let mut input = file_with(content);
    let channel = full(to);
    for (header, file, trailer) in PLACES {
        let resumed = sent(header, file, trailer);
        for range in [ALL, Range::first(100), Range { at: None, count: Some(100) }] {
            input.seek(SeekFrom::Start(file)).unwrap();
            let mut buffer = way.buffer();
            let mut transfer = range.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
            transfer = transfer.resume(resumed);
            for _ in 0..2 {
                let (accepted, error) = call.once(&mut transfer, channel.output());
                let error = error.expect("it is full");
                assert_eq!((accepted, error.kind()), (0, WouldBlock), "{error}");
                assert_eq!((transfer.sent(), transfer.outcome()), (resumed, None));
                assert_eq!(position(&input), file);
            }
        }
    }
    // With room all of them come.
    for (header, file, trailer) in PLACES {
        let channel = Channel::new(to);
        let mut buffer = way.buffer();
        let transfer = ALL.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
        let mut transfer = transfer.resume(sent(header, file, trailer));
        assert_eq!(to_the_end(call, &mut transfer, &channel), Outcome::Whole);
        let begins = header + file as usize + trailer;
        assert!(channel.end(None) == bytes[begins..], "from {begins}");
    }
}

/// Whether a transfer is kept between calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Value,
    Count,
}

/// The reader takes a little, or all, and what the value says is compared with what came.
#[rstest]
#[case::t3_in_the_header([1_200_000, 1000, 10])]
#[case::t3_in_the_file([200, 1_200_000, 10])]
#[case::t3_in_the_trailer([200, 1000, 1_200_000])]
#[case::t3_in_all([500_000, 500_000, 500_000])]
fn parts_with_would_block_between_them(
    #[case] parts: [usize; 3],
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING, Copying(5000))] way: Way,
    #[values(Call::Send, Call::SendAll)] call: Call,
    #[values(Kept::Value, Kept::Count)] kept: Kept,
) {
    let [header, file, trailer] = parts;
    let bytes = &long()[..header + file + trailer];
    let (head, rest) = bytes.split_at(header);
    let (content, tail) = rest.split_at(file);
    let how = if kept == Kept::Value { Slices::Many } else { Slices::One };
    let (head, tail) = (slices(head, how), slices(tail, how));
    let input = file_with(content);
    let channel = narrow(to);
    let range = if kept == Kept::Value { Range { at: None, count: None } } else { ALL };
    let mut buffers = [way.buffer(), way.buffer()];
    let [first, second] = &mut buffers;
    let mut transfer = range.of(&input, first).with_header(&head).with_trailer(&tail);
    let (mut received, mut stops) = (Vec::new(), 0);
    let deadline = Instant::now() + sockets::PATIENCE;
    while transfer.outcome().is_none() {
        assert!(Instant::now() < deadline, "it never ends");
        let error = match kept {
            Kept::Value => call.once(&mut transfer, channel.output()).1,
            Kept::Count => {
                let again = range.of(&input, second).with_header(&head).with_trailer(&tail);
                let mut again = again.resume(transfer.sent());
                let (_, error) = call.once(&mut again, channel.output());
                let (sent, outcome) = (again.sent(), again.outcome());
                drop(again);
                transfer = transfer.resume(sent);
                match outcome {
                    Some(outcome) => {
                        assert_eq!(outcome, Outcome::Whole);
                        break;
                    }
                    None => error,
                }
            }
        };
        let Some(error) = error else { continue };
        assert_eq!(error.kind(), WouldBlock, "{error}");
        stops += 1;
        let begins = received.len();
        let there = transfer.sent().total() as usize - begins;
        match there {
            0 => wait_writable(&channel.ours),
            _ if stops % 3 == 0 => received.extend(channel.read_exactly(there)),
            _ => received.extend(take(&channel, there.min(20_000))),
        }
        assert!(received[begins..] == bytes[begins..received.len()], "other bytes, after {stops} stops");
    }
    assert_eq!(transfer.sent(), sent(header, file as u64, trailer));
    assert!(stops >= 2, "it was never full");
    received.extend(channel.read_exactly(bytes.len() - received.len()));
    assert!(received == bytes);
}

/// An output with little room, which is not waited for.
fn narrow(to: To) -> Channel {
    let To::Socket(kind) = to else { return Channel::nonblocking(to) };
    let Pair { ours, theirs, .. } = sockets::narrow(kind);
    set_nonblocking(&ours, true);
    Channel { to, ours, theirs }
}

/// At most so many bytes, once there are some.
fn take(channel: &Channel, most: usize) -> Vec<u8> {
    wait_readable(&channel.theirs);
    let mut bytes = vec![0; most];
    let count = nix::unistd::read(&channel.theirs, &mut bytes).unwrap();
    bytes.truncate(count);
    bytes
}

// T4 and T5: the end of the file.

/// A file of some megabytes, of which a part was sent when the output was full.
fn sent_in_part(transfer: &mut Transfer<'_>, channel: &Channel) {
    while !matches!(transfer.send(channel.output()), Err(error) if error.would_block()) {}
    assert_eq!((transfer.sent().header, transfer.outcome()), (5, None));
    assert!(transfer.sent().file > 0);
}

#[rstest]
#[case::t4_a_file_that_grows(None, 5 << 20, Outcome::Whole)]
#[case::t4_a_file_that_shrinks(None, 3 << 20, Outcome::Whole)]
#[case::t4_a_file_that_grows_past_the_count(Some(4 << 20), 5 << 20, Outcome::Whole)]
#[case::t5_a_file_that_shrinks(Some(4 << 20), 3 << 20, Outcome::FileEnded { missing: 1 << 20 })]
#[case::t5_a_file_that_grows_too_little(
    Some(6 << 20), 5 << 20, Outcome::FileEnded { missing: 1 << 20 }
)]
fn a_file_that_changes_between_calls(
    #[case] count: Option<u64>,
    #[case] length: usize,
    #[case] expected: Outcome,
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
    #[values(Call::Send, Call::SendAll)] call: Call,
) {
    let bytes = &long()[..5 << 20];
    let input = file_with(&bytes[..4 << 20]);
    let channel = narrow(to);
    let (head, tail) = ([IoSlice::new(b"first")], [IoSlice::new(b"last")]);
    let mut buffer = way.buffer();
    let range = Range { at: Some(0), count };
    let mut transfer = range.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
    sent_in_part(&mut transfer, &channel);
    assert!(transfer.sent().file < 3 << 20, "it is to be changed after what was sent");
    input.set_len(length as u64).unwrap();
    if length > 4 << 20 {
        input.write_all_at(&bytes[4 << 20..], 4 << 20).unwrap();
    }
    let reader = channel.reader();
    assert_eq!(to_the_end(call, &mut transfer, &channel), expected);
    drop(transfer);
    let length = count.map_or(length, |count| length.min(count as usize));
    let end: &[u8] = if expected == Outcome::Whole { b"last" } else { b"" };
    assert!(channel.end(reader) == [b"first", &bytes[..length], end].concat());
}

#[rstest]
fn t5_a_file_that_ends_early(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, Copying(1), COPYING)] way: Way,
    #[values(0, 500, 8187, 20_000)] length: usize,
    #[values(5, 9000, 70_000)] header: usize,
    #[values("", "last")] trailer: &str,
    #[values(false, true)] own_position: bool,
) {
    if way == Copying(1) && length + header > 10_000 {
        return; // this takes long
    }
    let bytes = pattern(header + length);
    let (head, content) = bytes.split_at(header);
    // From its own position the library does not know how much is left.
    let before = if own_position { 50_000 } else { 0 };
    let mut input = file_with(&[&vec![7; before][..], content].concat());
    input.seek(SeekFrom::Start(before as u64)).unwrap();
    let channel = Channel::new(to);
    let reader = channel.reader();
    let (head, tail) = ([IoSlice::new(head)], [IoSlice::new(trailer.as_bytes())]);
    let range = Range { at: (!own_position).then_some(0), count: Some(length as u64 + 11) };
    let mut buffer = way.buffer();
    let mut transfer = range.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
    assert_eq!(
        (transfer.outcome(), transfer.left()),
        (None, Some((header + length + 11 + trailer.len()) as u64))
    );
    assert_eq!(to_the_end(Call::Send, &mut transfer, &channel), Outcome::FileEnded { missing: 11 });
    assert_eq!(transfer.sent(), sent(header, length as u64, 0));
    assert_eq!(transfer.send_all(channel.output()), Ok(Outcome::FileEnded { missing: 11 }));
    drop(transfer);
    assert_eq!(position(&input), (before + if own_position { length } else { 0 }) as u64);
    assert!(channel.end(reader) == bytes, "the header and what there was");
}

/// Where no file has a byte, and where none can have one.
#[rstest]
fn t4_the_end_of_the_largest_file(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(7))] way: Way,
    #[values(3, 100, 1 << 41, limits::FILE_OFFSET - 10, limits::FILE_OFFSET)] at: u64,
    #[values("", "first")] header: &str,
    #[values(Call::Send, Call::SendAll)] call: Call,
) {
    let input = file_with(b"abc");
    let channel = Channel::new(to);
    let (head, tail) = ([IoSlice::new(header.as_bytes())], [IoSlice::new(b"last")]);
    let mut buffer = way.buffer();
    let range = Range { at: Some(at), count: None };
    let mut transfer = range.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
    assert_eq!(to_the_end(call, &mut transfer, &channel), Outcome::Whole);
    drop(transfer);
    assert_eq!(channel.end(None), [header.as_bytes(), b"last"].concat());
}

// T6: what cannot be sent.

/// Headers that go out with the file, before it, and in several messages.
const HEADERS: [usize; 4] = [0, 5, 9000, 70_000];

/// It is refused, and nothing comes out.
fn refused(channel: Channel, mut transfer: Transfer<'_>, expected: ErrorKind, what: &str) {
    let before = transfer.sent();
    for call in [Call::Send, Call::SendAll] {
        let (accepted, error) = call.once_refused(&mut transfer, channel.output());
        assert_eq!((error.kind(), accepted), (expected, 0), "{what}: {error}");
        assert_eq!(transfer.sent(), before, "{what}");
    }
    drop(transfer);
    let to = channel.to;
    let reader = channel.reader();
    assert_eq!(channel.end(reader).len(), 0, "{what}, to {to:?}");
}

impl Call {
    fn once_refused(self, transfer: &mut Transfer<'_>, output: Output<'_>) -> (u64, Error) {
        match self {
            Self::Send => (0, transfer.send(output).unwrap_err()),
            Self::SendAll => {
                let stopped = transfer.send_all(output).unwrap_err();
                (stopped.accepted(), stopped.error())
            }
        }
    }
}

#[rstest]
fn t6_an_input_that_cannot_be_sent(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(7))] way: Way,
    #[values(None, Some(10))] count: Option<u64>,
) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, [1; 100]).unwrap();
    let writes = OpenOptions::new().write(true).open(&path).unwrap();
    let empty = File::create(directory.path().join("empty")).unwrap();
    let (pipe, mut pipe_end) = nix::unistd::pipe().map(|(read, write)| (read, File::from(write))).unwrap();
    pipe_end.write_all(b"data").unwrap();
    let pair = Pair::new(UnixStream);
    pair.socket().send(b"data", sockets::NO_FLAGS).unwrap();
    let folder = File::open(directory.path()).unwrap();
    let null = File::open("/dev/null").unwrap();
    let inputs = [
        ("a directory", folder.as_fd(), InvalidInput),
        ("a pipe", pipe.as_fd(), InvalidInput),
        ("a socket", pair.theirs.as_fd(), InvalidInput),
        ("/dev/null", null.as_fd(), InvalidInput),
        ("a file for writing", writes.as_fd(), BadDescriptor),
        ("an empty file for writing", empty.as_fd(), BadDescriptor),
    ];
    let data = vec![1; 70_000];
    for (name, input, expected) in inputs {
        for header in HEADERS {
            if (name, to, header) == ("a socket", To::Pipe, 0) && way == Best && differs(true, false) {
                continue; // clause X7b: Linux's kernel can
            }
            for at in [Some(0), None] {
                let (head, mut buffer) = ([IoSlice::new(&data[..header])], way.buffer());
                let transfer = Range { at, count }.of(&input, &mut buffer).with_header(&head);
                refused(Channel::new(to), transfer.with_trailer(&[IoSlice::new(b"last")]), expected, name);
            }
        }
    }
    // What they had is still there.
    assert_eq!(sockets::received(&pair.theirs).as_deref(), Some(&b"data"[..]));
    assert_eq!(nix::unistd::read(&pipe, &mut [0; 9]), Ok(4));
}

#[rstest]
fn t6_a_range_or_a_count_that_cannot_be(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING)] way: Way,
    #[values(0, 5, 9000, 70_000)] header: usize,
) {
    const MOST: u64 = limits::FILE_OFFSET;
    let data = vec![1; header];
    let (head, tail) = ([IoSlice::new(&data)], [IoSlice::new(b"last")]);
    let mut input = file_with(&[1; 100]);
    input.seek(SeekFrom::Start(50)).unwrap();
    let none = Sent::default();
    for (at, count, resumed) in [
        (Some(u64::MAX), None, none),
        (Some(1 << 63), None, none),
        (Some(u64::MAX), Some(0), none),
        (Some(MOST), Some(1), none),
        (Some(1), Some(u64::MAX), none),
        (None, Some(1 << 63), none),
        (None, Some(MOST - 49), none),
        (Some(0), Some(100), sent(header + 1, 0, 0)),
        (Some(0), Some(100), sent(header, 101, 0)),
        (Some(0), Some(100), sent(header, 100, 5)),
        (Some(0), None, sent(usize::MAX, u64::MAX, usize::MAX)),
        (Some(MOST), None, sent(header, 1, 0)),
        // What comes later was sent, and what comes before it was not.
        (Some(0), Some(100), sent(header, 99, 1)),
        (Some(0), Some(100), sent(header.saturating_sub(1), 100, 1)),
        (Some(0), None, sent(header.saturating_sub(1), 1, 0)),
        (Some(0), None, sent(header.saturating_sub(1), 0, 1)),
        (Some(0), Some(0), sent(header.saturating_sub(1), 0, 1)),
    ] {
        let row = format!("{at:?}, {count:?}, {resumed:?}");
        if header == 0 && resumed.file == 1 && at == Some(0) {
            continue; // nothing comes before it
        }
        if header == 0 && [sent(0, 100, 1), sent(0, 0, 1)].contains(&resumed) {
            continue;
        }
        let mut buffer = way.buffer();
        let transfer = Range { at, count }.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
        let transfer = transfer.resume(resumed);
        let _ = (transfer.left(), transfer.outcome());
        refused(Channel::new(to), transfer, InvalidInput, &row);
    }
    assert_eq!(position(&input), 50);
}

#[test]
fn debug_says_how_much_and_not_what() {
    let (file, head, tail) = (file_with(b"file"), [IoSlice::new(b"secret")], [IoSlice::new(b"last")]);
    let transfer = Transfer::new(&file).at(1).count(3).with_header(&head).with_trailer(&tail);
    let progress = "Progress { header: 6, file: 2, trailer: 0, ended: false }";
    let parts = "header: 6, descriptors: 0, offset: Some(1), count: Some(3), trailer: 4";
    assert_eq!(
        format!("{:?}", transfer.resume(sent(6, 2, 0))),
        format!("Transfer {{ {parts}, progress: {progress}, .. }}")
    );
}

#[rstest]
#[case::x15_udp(UdpV4)]
#[case::x15_unix_datagram(UnixDatagram)]
#[case::x15_unix_seqpacket(UnixSeqpacket)]
fn t6_an_output_of_records(#[case] kind: SocketKind, #[values(Best, COPYING)] way: Way) {
    let input = file_with(b"data");
    let pair = Pair::new(kind);
    let head = [IoSlice::new(b"first")];
    for range in [ALL, Range::first(0)] {
        let mut buffer = way.buffer();
        let mut transfer = range.of(&input, &mut buffer).with_header(&head);
        for call in [Call::Send, Call::SendAll] {
            let (accepted, error) = call.once_refused(&mut transfer, pair.socket().into());
            assert_eq!((error.kind(), error.kernel_errno(), accepted), (Unsupported, None, 0));
        }
    }
    assert_eq!(pair.received(), None);
}

#[rstest]
fn t6_a_buffer_of_no_bytes(#[values(TCP, UNIX, To::Pipe, To::File)] to: To) {
    let (input, head) = (file_with(b"data"), [IoSlice::new(b"first")]);
    let mut buffer = Some(Vec::new());
    refused(Channel::new(to), ALL.of(&input, &mut buffer).with_header(&head), InvalidInput, "empty");
}

#[rstest]
fn t6_an_output_that_appends(
    #[values(Best, COPYING)] way: Way,
    #[values(0, 5, 9000, 70_000)] header: usize,
    #[values(0, 4)] count: u64,
) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let ours = OpenOptions::new().append(true).create(true).open(&path).unwrap();
    let theirs = File::open(&path).unwrap();
    let channel = Channel { to: To::File, ours: ours.into(), theirs: theirs.into() };
    let (input, data, mut buffer) = (file_with(b"data"), vec![1; header], way.buffer());
    let head = [IoSlice::new(&data)];
    let transfer = Range::first(count).of(&input, &mut buffer).with_header(&head);
    refused(channel, transfer, InvalidInput, "appends (X9)");
}

/// A header that goes out in one message with the file is not sent if the file cannot be read.
#[cfg(target_os = "linux")]
#[rstest]
fn t6_a_file_whose_first_read_fails(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING)] way: Way,
    #[values(0, 5, 8000)] header: usize,
    #[values(None, Some(10))] count: Option<u64>,
) {
    let Some(memory) = memory() else { return };
    let data = vec![1; header];
    let (head, mut buffer) = ([IoSlice::new(&data)], way.buffer());
    let transfer = Range { at: Some(0), count }.of(&memory, &mut buffer).with_header(&head);
    refused(Channel::new(to), transfer.with_trailer(&[IoSlice::new(b"last")]), Io, "page 0");
}

/// The memory of this process, in which no page is at 0; says so if it cannot be read like that.
#[cfg(target_os = "linux")]
fn memory() -> Option<File> {
    let memory = File::open("/proc/self/mem").ok()?;
    let outcome = memory.read_at(&mut [0], 0);
    if outcome.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EIO)) {
        return Some(memory);
    }
    sockets::skipped(format_args!("the memory of this process cannot be read as a file: {outcome:?}"));
    None
}

/// An error is not the end of the file: it is returned, and the trailer is not sent.
#[cfg(target_os = "linux")]
#[rstest]
fn t6_a_file_that_cannot_be_read_to_its_end(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING, Copying(7))] way: Way,
    #[values(0, 5)] header: usize,
    #[values(false, true)] counted: bool,
    #[values("", "last")] trailer: &str,
) {
    let Some(memory) = memory() else { return };
    let half = Half::new();
    let there = half.page as u64 - 10;
    if memory.read_at(&mut [0; 20], half.start + there).ok() != Some(10) {
        return sockets::skipped(format_args!("what is mapped past the end of a file can be read"));
    }
    let data = vec![1; header];
    let (head, tail) = ([IoSlice::new(&data)], [IoSlice::new(trailer.as_bytes())]);
    let range = Range { at: Some(half.start), count: counted.then_some(2 * half.page as u64) };
    let channel = Channel::new(to);
    let reader = channel.reader();
    let mut buffer = way.buffer();
    let mut transfer = range.of(&memory, &mut buffer).with_header(&head).with_trailer(&tail);
    let deadline = Instant::now() + sockets::PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline && transfer.outcome().is_none(), "{transfer:?}");
        if let (_, Some(error)) = Call::Send.once(&mut transfer, channel.output()) {
            break error;
        }
    };
    assert_eq!(error.kind(), Io, "{error}");
    assert_eq!((transfer.sent(), transfer.outcome()), (sent(header, half.page as u64, 0), None));
    let stopped = transfer.send_all(channel.output()).unwrap_err();
    assert_eq!((stopped.kind(), stopped.accepted()), (Io, 0));
    drop(transfer);
    assert_eq!(channel.end(reader).len(), header + half.page);
}

/// Two pages of memory, of which the second is past the end of the file that they map.
#[cfg(target_os = "linux")]
struct Half {
    start: u64,
    page: usize,
}

#[cfg(target_os = "linux")]
impl Half {
    fn new() -> Self {
        let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap().unwrap() as usize;
        let file = file_with(&vec![7; page]);
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: it is a new mapping, in a place that the kernel chooses, and is never accessed as memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), 2 * page, protection, flags, fd, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Self { start: start as u64, page }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Half {
    fn drop(&mut self) {
        // SAFETY: it is the mapping that was made, which nothing refers to.
        unsafe { libc::munmap(self.start as *mut libc::c_void, 2 * self.page) };
    }
}

// T7: descriptors.

/// All that comes until the end: the bytes, and of each descriptor before which byte of its message it came and
/// which file it is.
fn received_with_descriptors(theirs: &OwnedFd) -> (Vec<u8>, Vec<(usize, u64)>) {
    let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
    let (mut control, mut part) = (ControlBuffer::new(), vec![0; 100_000]);
    loop {
        let socket = SocketRef::unix_stream(theirs);
        let mut slices = [IoSliceMut::new(&mut part)];
        wait_readable(theirs);
        let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
        if received.is_end_of_file() {
            return (bytes, descriptors);
        }
        let (before, count) = (bytes.len(), received.bytes());
        let files = received.into_descriptors().map(File::from);
        descriptors.extend(files.map(|file| (before, file.metadata().unwrap().ino())));
        bytes.extend_from_slice(&part[..count]);
    }
}

#[rstest]
fn t7_descriptors_come_with_the_first_byte_once(
    #[values(Best, COPYING, Copying(1))] way: Way,
    #[values((5, 500), (9000, 500), (200, 1 << 20), (1 << 20, 500))] (header, file): (usize, usize),
    #[values(1, 3, 126)] count: usize,
    #[values(false, true)] was_full: bool,
) {
    if way == Copying(1) && header + file > 10_000 {
        return; // this takes long
    }
    if !sockets::room_for_descriptors() {
        return;
    }
    let passed = file_with(b"passed");
    let descriptors = vec![passed.as_fd(); count];
    let bytes = &long()[..header + file];
    let (head, content) = bytes.split_at(header);
    let (head, input) = ([IoSlice::new(head)], file_with(content));
    let channel = if was_full { full(UNIX) } else { narrow(UNIX) };
    let mut buffer = way.buffer();
    let mut transfer = ALL.of(&input, &mut buffer).with_header(&head).with_descriptors(&descriptors);
    let before = if was_full {
        let error = transfer.send(channel.output()).unwrap_err();
        assert_eq!((error.kind(), transfer.sent()), (WouldBlock, Sent::default()), "{error}");
        channel.arrived().len()
    } else {
        0
    };
    let theirs = channel.theirs.try_clone().unwrap();
    // `full` leaves it to wait for nothing.
    set_nonblocking(&theirs, true);
    let reader = thread::spawn(move || received_with_descriptors(&theirs));
    let deadline = Instant::now() + sockets::PATIENCE;
    while transfer.outcome().is_none() {
        assert!(Instant::now() < deadline, "it never ends");
        match transfer.send_all(channel.output()) {
            Err(stopped) => {
                assert!(matches!(stopped.kind(), WouldBlock | DescriptorsInFlight), "{stopped}");
                wait_writable(&channel.ours);
            }
            Ok(outcome) => assert_eq!(outcome, Outcome::Whole),
        }
    }
    drop(transfer);
    drop(channel.ours);
    let (arrived, came) = finished(reader, |_| {});
    assert!(arrived == bytes, "after {before} that were there");
    assert_eq!(came, vec![(0, passed.metadata().unwrap().ino()); count]);
}

#[rstest]
fn t7_descriptors_that_cannot_go(
    #[values(TCP, UNIX, To::Pipe, To::File)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    let passed = file_with(b"passed");
    let input = file_with(b"data");
    for (header, count, on_unix) in
        [("first", 127, TooManyDescriptors), ("", 1, DescriptorsWithoutData), ("first", 1, Unsupported)]
    {
        if (to, on_unix) == (UNIX, Unsupported) {
            continue; // there they go
        }
        let expected = if to == UNIX { on_unix } else { Unsupported };
        let (descriptors, head) = (vec![passed.as_fd(); count], [IoSlice::new(header.as_bytes())]);
        let channel = Channel::new(to);
        let mut buffer = way.buffer();
        let transfer = ALL.of(&input, &mut buffer).with_header(&head);
        let mut transfer = transfer.with_descriptors(&descriptors);
        let error = transfer.send(channel.output()).unwrap_err();
        assert_eq!((error.kind(), error.kernel_errno()), (expected, None), "{error}");
        let stopped = transfer.send_all(channel.output()).unwrap_err();
        assert_eq!((stopped.kind(), transfer.sent()), (expected, Sent::default()));
        drop(transfer);
        assert_eq!(channel.end(None).len(), 0);
    }
}

// T8: a peer that goes away, and signals.

/// In which part the peer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    File,
    Trailer,
}

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closes,
    Resets,
}

const ENDS: [(To, End); 4] =
    [(TCP, End::Closes), (TCP, End::Resets), (UNIX, End::Closes), (To::Pipe, End::Closes)];

#[rstest]
#[case::tcp_closes(ENDS[0])]
#[case::tcp_resets(ENDS[1])]
#[case::unix_closes(ENDS[2])]
#[case::pipe_closes(ENDS[3])]
fn t8_a_peer_that_goes_away(
    #[case] end: (To, End),
    #[values(Part::Header, Part::File, Part::Trailer)] part: Part,
    #[values(Best, COPYING)] way: Way,
    #[values(Call::Send, Call::SendAll)] call: Call,
) {
    goes_away(end, part, way, call);
}

fn goes_away((to, end): (To, End), part: Part, way: Way, call: Call) {
    const MUCH: usize = 8 << 20;
    let [header, file, trailer] = match part {
        Part::Header => [MUCH, 1000, 1000],
        Part::File => [1000, MUCH, 1000],
        Part::Trailer => [1000, 1000, MUCH],
    };
    let Channel { ours, theirs, .. } = Channel::new(to);
    let worker = thread::spawn(move || {
        let (head, tail) = (vec![1; header], vec![2; trailer]);
        let (head, tail) = ([IoSlice::new(&head)], [IoSlice::new(&tail)]);
        let input = file_with(&vec![3; file]);
        let mut buffer = way.buffer();
        let mut transfer = ALL.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
        let mut accepted = 0;
        loop {
            let (more, error) = call.once(&mut transfer, output(to, &ours));
            accepted += more;
            if let Some(error) = error {
                return (error, accepted, transfer.sent(), transfer.outcome());
            }
            assert!(more > 0 && transfer.outcome().is_none(), "it goes on succeeding");
        }
    });
    // More than one message, so that one was accepted whole whatever the kernel says of a part.
    let mut theirs = File::from(theirs);
    std::io::Read::read_exact(&mut theirs, &mut vec![0; 2 << 20]).unwrap();
    if end == End::Resets {
        close_with_reset(&theirs);
    }
    drop(theirs);
    let (error, accepted, sent, outcome) = finished(worker, |_| {});
    assert!(error.peer_gone() && matches!(error.kind(), Disconnected | Reset), "{error}");
    if to != TCP {
        assert_eq!(error.kind(), Disconnected);
    }
    assert_eq!(error.may_have_sent(), OPENBSD, "{error}");
    assert_eq!((accepted, outcome), (sent.total(), None));
    let complete = match part {
        Part::Header => sent.header < header && (sent.file, sent.trailer) == (0, 0),
        Part::File => sent.header == header && sent.file < file as u64 && sent.trailer == 0,
        Part::Trailer => (sent.header, sent.file) == (header, file as u64) && sent.trailer < trailer,
    };
    assert!(complete && (OPENBSD || accepted >= 2 << 20), "{part:?}: {sent:?}");
}

const SURVIVED: &str = "survived SIGPIPE";
const CASE: &str = "UNISEND_TRANSFER_CASE";

#[test]
#[ignore = "another test starts it, in a process of its own"]
fn child() {
    if std::env::var_os(CASE).is_none() {
        return;
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition has no handler.
    unsafe { sigaction(Signal::SIGPIPE, &default) }.unwrap();
    for end in ENDS {
        for part in [Part::Header, Part::File, Part::Trailer] {
            for way in [Best, COPYING] {
                goes_away(end, part, way, Call::Send);
                goes_away(end, part, way, Call::SendAll);
            }
        }
    }
    println!("{SURVIVED}");
}

#[test]
fn t8_no_sigpipe_comes_where_it_would_end_the_process() {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CASE, "default")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains(SURVIVED), "{ended:?}");
}

#[rstest]
fn t8_a_signal_before_the_first_byte(
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
    #[values(sent(0, 0, 0), sent(5, 0, 0), sent(5, 4, 0))] resumed: Sent,
) {
    install_handler();
    let Channel { ours, theirs, .. } = full(to);
    set_nonblocking(&ours, false);
    let worker = thread::spawn(move || {
        let (head, tail) = ([IoSlice::new(b"first")], [IoSlice::new(b"last")]);
        let (input, mut buffer) = (file_with(b"file"), way.buffer());
        let transfer = Range::first(4).of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
        let mut transfer = transfer.resume(resumed);
        let outcome = transfer.send(output(to, &ours)).map_err(|error| error.kind());
        (outcome, transfer.sent())
    });
    assert_eq!(finished(worker, signal), (Err(Interrupted), resumed));
    drop(theirs);
}

#[rstest]
#[case::t8_in_the_header([8 << 20, 1000, 1000])]
#[case::t8_in_the_file([1000, 8 << 20, 1000])]
#[case::t8_in_the_trailer([1000, 1000, 8 << 20])]
fn a_signal_after_the_first_byte(
    #[case] parts: [usize; 3],
    #[values(TCP, UNIX, To::Pipe)] to: To,
    #[values(Best, COPYING)] way: Way,
) {
    install_handler();
    let [header, file, trailer] = parts;
    let bytes = &long()[..header + file + trailer];
    let Channel { ours, theirs, .. } = Channel::new(to);
    let worker = thread::spawn(move || {
        let (head, rest) = bytes.split_at(header);
        let (content, tail) = rest.split_at(file);
        let (head, tail) = ([IoSlice::new(head)], [IoSlice::new(tail)]);
        let (input, mut buffer) = (file_with(content), way.buffer());
        let mut transfer = ALL.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
        let outcome = transfer.send(output(to, &ours));
        (outcome, transfer.sent(), transfer.outcome(), ours)
    });
    wait_readable(&theirs);
    let (accepted, sent, outcome, ours) = finished(worker, signal);
    let accepted = accepted.unwrap();
    assert!(accepted > 0 && accepted < bytes.len() as u64, "{accepted}");
    assert_eq!((accepted, outcome), (sent.total(), None));
    let channel = Channel { to, ours, theirs };
    assert!(channel.read_exactly(accepted as usize) == bytes[..accepted as usize]);
    assert!(channel.arrived().is_empty());
}

#[rstest]
fn t8_a_loop_goes_on_after_signals(#[values(TCP, UNIX, To::Pipe)] to: To, #[values(Best, COPYING)] way: Way) {
    install_handler();
    const PART: usize = 2 << 20;
    let bytes = &long()[..3 * PART];
    let Channel { ours, theirs, .. } = Channel::new(to);
    let worker = thread::spawn(move || {
        let (head, rest) = bytes.split_at(PART);
        let (content, tail) = rest.split_at(PART);
        let (head, tail) = ([IoSlice::new(head)], [IoSlice::new(tail)]);
        let (input, mut buffer) = (file_with(content), way.buffer());
        let mut transfer = ALL.of(&input, &mut buffer).with_header(&head).with_trailer(&tail);
        (transfer.send_all(output(to, &ours)), transfer.sent(), ours)
    });
    let channel = Channel { to, ours: theirs.try_clone().unwrap(), theirs };
    let mut received = Vec::new();
    let deadline = Instant::now() + sockets::PATIENCE;
    while received.len() < bytes.len() {
        assert!(Instant::now() < deadline, "it does not go on");
        if !worker.is_finished() {
            signal(&worker);
        }
        received.extend(take(&channel, 100_000));
    }
    let (outcome, all, ours) = finished(worker, |_| {});
    assert_eq!((outcome, all), (Ok(Outcome::Whole), sent(PART, PART as u64, PART)));
    assert!(received == bytes);
    drop(ours);
    assert!(channel.arrived().is_empty(), "the end, and nothing before it");
}
