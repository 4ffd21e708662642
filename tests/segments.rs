//! Clauses T2 and T10: what leaves in one segment, and that nothing is kept back.
//!
//! Linux counts the segments, and says what was not sent yet. Where it does not, a test says so. No test waits for
//! a time to pass: what is kept back is not sent when the call returns. All that is sent fits into the first
//! window, so that no acknowledgement is waited for; Nagle's algorithm, which waits for one, is switched off.

mod sockets;

use std::fs::File;
use std::io::{IoSlice, Seek, SeekFrom};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rstest::rstest;
use sockets::channel::file_with;
use sockets::{NO_FLAGS, Pair, accepted, close_with_reset, pattern, read_exactly, tcp_connected};
use unisend::ErrorKind::{self, *};
use unisend::SocketKind::{self, *};
use unisend::{Cork, Outcome, Output, SocketRef, Transfer};

/// The option that keeps back what does not fill a segment.
#[cfg(target_os = "linux")]
const CORK: libc::c_int = libc::TCP_CORK;
#[cfg(not(target_os = "linux"))]
const CORK: libc::c_int = libc::TCP_NOPUSH;

fn set(fd: &impl AsFd, option: libc::c_int, value: libc::c_int) {
    let length = size_of_val(&value) as libc::socklen_t;
    let start = (&raw const value).cast();
    // SAFETY: the pointer and the length are of one int that outlives the call and is only read.
    let returned =
        unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), libc::IPPROTO_TCP, option, start, length) };
    assert_eq!(returned, 0, "{}", std::io::Error::last_os_error());
}

fn is_corked(fd: &impl AsFd) -> bool {
    let mut value: libc::c_int = 0;
    let mut length = size_of_val(&value) as libc::socklen_t;
    let start = (&raw mut value).cast();
    // SAFETY: the pointers are to one int and to its length, which are ours to write.
    let returned =
        unsafe { libc::getsockopt(fd.as_fd().as_raw_fd(), libc::IPPROTO_TCP, CORK, start, &raw mut length) };
    assert_eq!(returned, 0, "{}", std::io::Error::last_os_error());
    value != 0
}

/// What a connection has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    /// How many bytes a segment holds.
    segment: u64,
    /// How many segments with data were sent, each counted once.
    segments: u64,
    /// How many bytes were accepted and not sent.
    unsent: u64,
}

/// Says so if this system does not count.
#[cfg(target_os = "linux")]
fn counts(fd: &impl AsFd) -> Option<Counts> {
    // Where `struct tcp_info` has these: the kernel's is longer than that of the C libraries.
    const SEGMENT: usize = 16; // tcpi_snd_mss
    const SENT_AGAIN: usize = 100; // tcpi_total_retrans
    const UNSENT: usize = 144; // tcpi_notsent_bytes
    const SEGMENTS: usize = 156; // tcpi_data_segs_out
    let mut info = [0_u8; SEGMENTS + 4];
    let mut length = size_of_val(&info) as libc::socklen_t;
    let (start, fd) = (info.as_mut_ptr().cast(), fd.as_fd().as_raw_fd());
    // SAFETY: the pointers are to an array and to its length, which are ours to write.
    let returned = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, start, &raw mut length) };
    if returned != 0 || (length as usize) < info.len() {
        sockets::skipped(format_args!("TCP_INFO has {length} bytes here ({returned})"));
        return None;
    }
    let number = |at: usize| u64::from(u32::from_ne_bytes(info[at..at + 4].try_into().unwrap()));
    let segments = number(SEGMENTS).saturating_sub(number(SENT_AGAIN));
    Some(Counts { segment: number(SEGMENT), segments, unsent: number(UNSENT) })
}

#[cfg(not(target_os = "linux"))]
fn counts(_: &impl AsFd) -> Option<Counts> {
    sockets::skipped(format_args!("this system does not count segments"));
    None
}

/// A connection whose segments hold less than 2000 bytes, if it is so said, and of which nothing is kept back.
fn connected(small_segments: bool) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // OpenBSD's libc crate does not name the option, and its segments are not counted here.
    #[cfg(target_os = "linux")]
    if small_segments {
        set(&listener, libc::TCP_MAXSEG, 2000);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = small_segments;
    let ours = tcp_connected(listener.local_addr().unwrap());
    let theirs = accepted(&listener);
    ours.set_nodelay(true).unwrap();
    without_pacing(&ours);
    (ours, theirs)
}

/// Another algorithm could spread the segments over time.
#[cfg(target_os = "linux")]
fn without_pacing(stream: &TcpStream) {
    let (name, fd) = (b"reno", stream.as_raw_fd());
    // SAFETY: the pointer and the length are of one array, which is only read.
    unsafe {
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_ptr().cast(), 4);
    }
}

#[cfg(not(target_os = "linux"))]
fn without_pacing(_: &TcpStream) {}

/// Whether segments are counted, as far as these tests depend on it: two sends are two segments.
fn is_counted() -> bool {
    let (ours, _theirs) = connected(false);
    let Some(before) = counts(&ours) else { return false };
    for part in [b"one", b"two"] {
        SocketRef::from(&ours).send(part, NO_FLAGS).unwrap();
    }
    let after = counts(&ours).unwrap();
    let counted = (after.segments - before.segments, after.unsent) == (2, 0);
    if !counted {
        sockets::skipped(format_args!("two sends count as {before:?} and then {after:?}"));
    }
    counted
}

/// What is sent, and from what.
#[derive(Debug, Clone, Copy)]
struct Sending {
    header: usize,
    /// How many bytes the file has from where it is sent.
    file: usize,
    trailer: usize,
    /// How many more bytes are asked for than there are; to the end without.
    more: Option<u64>,
    /// From its own position, after more bytes than are copied.
    own_position: bool,
}

const SENDING: Sending = Sending { header: 100, file: 500, trailer: 0, more: Some(0), own_position: false };

impl Sending {
    fn run(self, copying: bool, output: Output<'_>) -> (Vec<u8>, Outcome) {
        let bytes = pattern(self.header + self.file + self.trailer);
        let (head, rest) = bytes.split_at(self.header);
        let (content, tail) = rest.split_at(self.file);
        let before = if self.own_position { vec![7; 100_000] } else { Vec::new() };
        let mut input = file_with(&[&before, content].concat());
        input.seek(SeekFrom::Start(before.len() as u64)).unwrap();
        let (head, tail) = ([IoSlice::new(head)], [IoSlice::new(tail)]);
        let mut buffer = vec![0; 64 << 10];
        let mut transfer = Transfer::new(&input).with_header(&head).with_trailer(&tail);
        if !self.own_position {
            transfer = transfer.at(0);
        }
        if let Some(more) = self.more {
            transfer = transfer.count(self.file as u64 + more);
        }
        if copying {
            transfer = transfer.by_copying(&mut buffer);
        }
        let outcome = transfer.send_all(output).unwrap();
        let all = transfer.sent().total() as usize;
        (bytes[..all].to_vec(), outcome)
    }
}

/// All bytes leave at once, in as few segments as hold them, whatever the parts are, and however the file ends.
#[rstest]
#[case::with_a_small_file(SENDING)]
#[case::with_a_small_file_and_a_trailer(Sending { trailer: 50, ..SENDING })]
#[case::with_a_large_file(Sending { file: 9000, ..SENDING })]
#[case::with_a_large_file_and_a_trailer(Sending { file: 9000, trailer: 50, ..SENDING })]
#[case::a_large_file_and_a_trailer(Sending { header: 0, file: 9000, trailer: 50, ..SENDING })]
#[case::a_large_file(Sending { header: 0, file: 9000, ..SENDING })]
#[case::with_a_large_trailer(Sending { trailer: 9000, ..SENDING })]
#[case::with_a_large_header(Sending { header: 9000, trailer: 50, ..SENDING })]
#[case::with_an_empty_file(Sending { file: 0, ..SENDING })]
#[case::with_an_empty_file_and_a_trailer(Sending { file: 0, trailer: 50, ..SENDING })]
#[case::to_the_end(Sending { more: None, ..SENDING })]
#[case::to_the_end_of_as_much_as_is_copied(Sending { file: 8092, more: None, ..SENDING })]
#[case::to_the_end_of_a_large_file(Sending { file: 9000, more: None, ..SENDING })]
#[case::to_the_end_and_a_trailer(Sending { file: 9000, trailer: 50, more: None, ..SENDING })]
#[case::to_the_end_of_an_empty_file(Sending { file: 0, more: None, own_position: true, ..SENDING })]
#[case::to_the_end_of_an_empty_file_and_a_trailer(
    Sending { file: 0, more: None, trailer: 50, own_position: true, ..SENDING }
)]
#[case::a_file_that_ends_early(Sending { more: Some(9), trailer: 50, ..SENDING })]
#[case::a_large_file_that_ends_early(Sending { file: 9000, more: Some(9), ..SENDING })]
#[case::a_large_file_that_ends_early_before_a_trailer(
    Sending { file: 9000, more: Some(9), trailer: 50, ..SENDING }
)]
#[case::a_file_that_ends_at_once(Sending { file: 0, more: Some(9), own_position: true, ..SENDING })]
#[case::a_file_that_ends_at_once_before_a_trailer(
    Sending { file: 0, more: Some(9), own_position: true, trailer: 50, ..SENDING }
)]
#[case::from_the_position(Sending { own_position: true, ..SENDING })]
#[case::from_the_position_with_a_trailer(Sending { own_position: true, trailer: 50, ..SENDING })]
#[case::without_anything(Sending { header: 0, file: 0, ..SENDING })]
fn t2_together_and_at_once(
    #[case] sending: Sending,
    #[values(false, true)] copying: bool,
    #[values(false, true)] small_segments: bool,
    #[values(false, true)] declared_as_other: bool,
) {
    let (ours, theirs) = connected(small_segments);
    let output = match declared_as_other {
        false => Output::from(&ours),
        true => SocketRef::other_stream(&ours).into(),
    };
    let before = counts(&ours);
    let (bytes, outcome) = sending.run(copying, output);
    let after = counts(&ours);
    let missing = sending.more.unwrap_or(0);
    assert_eq!(outcome, if missing == 0 { Outcome::Whole } else { Outcome::FileEnded { missing } });
    assert!(!is_corked(&ours));
    if let (Some(before), Some(after), true) = (before, after, is_counted()) {
        // Before Linux 6.5, sendfile(2) of more than the file has keeps back its last segment for up to 200 ms. What is not
        // known to be TCP is not pushed.
        if declared_as_other && after.unsent > 0 {
            assert!(sending.more != Some(0), "the kernel had no reason to wait: {after:?}");
            assert!(read_exactly(&theirs, bytes.len()) == bytes);
            return;
        }
        assert_eq!(after.unsent, 0, "{after:?}");
        let (made, fewest) = (after.segments - before.segments, (bytes.len() as u64).div_ceil(after.segment));
        // What is not known to be TCP is not corked, and gets no hint. And an acknowledgement of a full segment has
        // the kernel send what it keeps back for a hint, if that is then not there yet.
        let is_acknowledged = small_segments && sending.header.max(sending.trailer) > 2000;
        let most = fewest + if declared_as_other { 2 } else { is_acknowledged.into() };
        assert!((fewest..=most).contains(&made), "{made} for {} bytes, {after:?}", bytes.len());
    }
    assert!(read_exactly(&theirs, bytes.len()) == bytes);
}

/// The kernel asks for what cannot be read in the middle of a file that is open with `O_DIRECT`: what is left is
/// no multiple of a block.
#[cfg(target_os = "linux")]
#[rstest]
fn t2_at_once_before_an_error_of_the_input(
    #[values("", "last")] trailer: &str,
    #[values(0, 100)] header: usize,
) {
    use std::os::unix::fs::OpenOptionsExt;

    // Of the sources: /tmp may be in memory, which has no O_DIRECT.
    let Ok(directory) = tempfile::tempdir_in(".") else {
        return sockets::skipped(format_args!("the folder of the sources is not this user's to write to"));
    };
    let path = directory.path().join("direct");
    std::fs::write(&path, pattern(1 << 20)).unwrap();
    let direct = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
    let Ok(input) = direct else {
        return sockets::skipped(format_args!("this file system has no O_DIRECT"));
    };
    let (ours, theirs) = connected(false);
    let data = pattern(header);
    let (head, tail) = ([IoSlice::new(&data)], [IoSlice::new(trailer.as_bytes())]);
    // A pipe within the kernel has 16 pages; what follows them is less than a block.
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap().unwrap() as u64;
    let whole = Transfer::new(&input).at(0).count(16 * page + 100);
    let mut transfer = whole.with_header(&head).with_trailer(&tail);
    let Err(stopped) = transfer.send_all(&ours) else {
        return sockets::skipped(format_args!("this file system reads any part of a block"));
    };
    let sent = transfer.sent();
    if stopped.would_block() || sent.file == 0 {
        return sockets::skipped(format_args!("{stopped}"));
    }
    assert!(sent.trailer == 0 && transfer.outcome().is_none(), "{sent:?}");
    assert!(!is_corked(&ours));
    let arrived = read_exactly(&theirs, sent.total() as usize);
    assert!(arrived == [&data, &pattern(1 << 20)[..sent.file as usize]].concat());
}

/// How a transfer ends that does not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    WouldBlock,
    PeerIsGone,
    InputIsADirectory,
    Stays,
}

/// The option is as it was, whatever happens.
#[rstest]
fn t2_the_connection_is_left_as_it_was(
    #[values(Fails::WouldBlock, Fails::PeerIsGone, Fails::InputIsADirectory, Fails::Stays)] how: Fails,
    #[values(0, 100)] header: usize,
    #[values("", "last")] trailer: &str,
    #[values(false, true)] copying: bool,
    #[values(false, true)] corked: bool,
) {
    let (ours, theirs) = connected(false);
    set(&ours, CORK, corked.into());
    let data = pattern(header);
    let (head, tail) = ([IoSlice::new(&data)], [IoSlice::new(trailer.as_bytes())]);
    let input = match how {
        Fails::InputIsADirectory => File::open("/").unwrap(),
        _ => {
            let file = file_with(b"");
            file.set_len(64 << 20).unwrap();
            file
        }
    };
    let mut theirs = Some(theirs);
    match how {
        Fails::WouldBlock => ours.set_nonblocking(true).unwrap(),
        Fails::PeerIsGone => {
            close_with_reset(theirs.take().unwrap());
            sockets::wait_readable(&ours);
        }
        Fails::InputIsADirectory | Fails::Stays => {}
    }
    let count = if how == Fails::Stays { 9000 } else { 64 << 20 };
    let mut buffer = vec![0; 64 << 10];
    let mut transfer = Transfer::new(&input).at(0).count(count).with_header(&head).with_trailer(&tail);
    if copying {
        transfer = transfer.by_copying(&mut buffer);
    }
    let failed = transfer.send_all(&ours).map_err(|stopped| stopped.error());
    match how {
        Fails::WouldBlock => assert_eq!(failed.unwrap_err().kind(), ErrorKind::WouldBlock),
        Fails::PeerIsGone => assert!(failed.unwrap_err().peer_gone()),
        Fails::InputIsADirectory => assert_eq!(failed.unwrap_err().kind(), InvalidInput),
        Fails::Stays => assert_eq!(failed, Ok(Outcome::Whole)),
    }
    assert_eq!(is_corked(&ours), corked, "{how:?}");
}

/// What is sent while a connection is corked.
fn send_twice(ours: &TcpStream) {
    for part in [b"one", b"two"] {
        assert_eq!(SocketRef::from(ours).send(part, NO_FLAGS), Ok(3));
    }
}

/// How a cork ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Scope,
    Return,
    Panic,
    AfterAnother,
}

#[rstest]
fn t10_two_sends_under_a_cork_are_one_segment(
    #[values(Ends::Scope, Ends::Return, Ends::Panic, Ends::AfterAnother)] how: Ends,
) {
    let (ours, theirs) = connected(false);
    let before = counts(&ours);
    let corked = || -> Result<(), ()> {
        let _cork = Cork::new(&SocketRef::from(&ours)).unwrap();
        assert!(is_corked(&ours));
        if how == Ends::AfterAnother {
            drop(Cork::new(&SocketRef::from(&ours)).unwrap());
            assert!(is_corked(&ours), "by the first");
        }
        send_twice(&ours);
        if let (Some(before), Some(now), true) = (before, counts(&ours), is_counted()) {
            assert_eq!((now.segments - before.segments, now.unsent), (0, 6));
        }
        assert!(how != Ends::Panic, "this is the panic");
        if how == Ends::Return { Err(()) } else { Ok(()) }
    };
    let outcome = catch_unwind(AssertUnwindSafe(corked));
    assert_eq!((outcome.is_err(), is_corked(&ours)), (how == Ends::Panic, false));
    if let (Some(before), Some(after), true) = (before, counts(&ours), is_counted()) {
        assert_eq!((after.segments - before.segments, after.unsent), (1, 0));
    }
    assert_eq!(read_exactly(&theirs, 6), b"onetwo");
}

#[test]
fn t10_who_corked_before_is_left_corked() {
    let (ours, _theirs) = connected(false);
    set(&ours, CORK, 1);
    drop(Cork::new(&SocketRef::from(&ours)).unwrap());
    assert!(is_corked(&ours));
}

/// A transfer under a cork waits too.
#[test]
fn t10_a_transfer_under_a_cork() {
    let (ours, theirs) = connected(false);
    let before = counts(&ours);
    let cork = Cork::new(&SocketRef::from(&ours)).unwrap();
    let (bytes, _) = Sending { trailer: 50, ..SENDING }.run(false, (&ours).into());
    let (more, _) = Sending { file: 9000, more: Some(9), ..SENDING }.run(false, (&ours).into());
    assert!(is_corked(&ours));
    drop(cork);
    if let (Some(before), Some(after), true) = (before, counts(&ours), is_counted()) {
        let fewest = ((bytes.len() + more.len()) as u64).div_ceil(after.segment);
        assert_eq!((after.segments - before.segments, after.unsent), (fewest, 0));
    }
    let all = [bytes, more].concat();
    assert!(read_exactly(&theirs, all.len()) == all);
}

#[test]
fn t10_a_unix_stream_has_no_segments() {
    let pair = Pair::new(UnixStream);
    let _cork = Cork::new(&pair.socket()).unwrap();
    assert_eq!(pair.socket().send(b"data", NO_FLAGS), Ok(4));
    assert_eq!(pair.received().as_deref(), Some(&b"data"[..]));
}

#[rstest]
fn t10_only_streams_are_corked(#[values(UdpV4, UnixDatagram, UnixSeqpacket)] kind: SocketKind) {
    let pair = Pair::new(kind);
    let error = Cork::new(&pair.socket()).unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (Unsupported, None), "{error}");
    assert_eq!(pair.socket().send(b"data", NO_FLAGS), Ok(4));
    assert_eq!(pair.received().as_deref(), Some(&b"data"[..]));
}

#[test]
fn t10_what_is_declared_as_tcp_and_is_not() {
    let (pair, file) = (Pair::new(UnixStream), file_with(b"data"));
    let error = Cork::new(&SocketRef::tcp(&pair.ours)).unwrap_err();
    assert_eq!(error.kind(), Unsupported, "{error}");
    let error = Cork::new(&SocketRef::tcp(&file)).unwrap_err();
    assert_eq!(error.kind(), NotSocket, "{error}");
    // A transfer goes on without.
    let (bytes, outcome) =
        Sending { file: 9000, trailer: 50, ..SENDING }.run(false, SocketRef::tcp(&pair.ours).into());
    assert_eq!(outcome, Outcome::Whole);
    assert!(read_exactly(&pair.theirs, bytes.len()) == bytes);
}
