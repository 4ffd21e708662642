//! A send is one system call and nothing else, as strace(1) shows for a loop of sends.
//!
//! Linux only, and only if strace(1) is installed. Each case runs in its own process, which is this test
//! program with one test, `child`. The child writes a mark before and after the calls.
#![cfg(target_os = "linux")]

mod sockets;

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Seek, Write};
use std::net::{Ipv4Addr, Shutdown, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rstest::rstest;
use sockets::{Call, NO_FLAGS, Pair, fill, shutdown, transfer, transfer_all, unconnected};
use unisend::SocketKind::{self, *};
use unisend::{
    Address, ControlBuffer, Datagram, DatagramBuffer, Message, Offset, Outcome, Output, ReceiveFlags,
    SegmentOffload, Segments, SendFlags, SigpipeGuard, SocketRef, Transfer, sendfile,
};

const CASE: &str = "UNISEND_SYSTEM_CALLS_CASE";
const ROUNDS: usize = 50;
const BEGIN: &str = "here the calls begin";
const END: &str = "here the calls end";

/// The calls between the marks. Everything they need was made before, so that nothing else is seen.
fn between_marks(work: impl FnOnce()) {
    let null = null();
    let mark = |text: &str| nix::unistd::write(&null, text.as_bytes()).unwrap();
    mark(BEGIN);
    work();
    mark(END);
}

fn null() -> File {
    File::options().write(true).open("/dev/null").unwrap()
}

fn repeat(mut send: impl FnMut()) {
    between_marks(|| (0..ROUNDS).for_each(|_| send()));
}

fn kind_named(name: &str) -> SocketKind {
    *sockets::CONNECTED_KINDS.iter().find(|kind| format!("{kind:?}") == name).unwrap()
}

fn call_named(name: &str) -> Call {
    *Call::ALL.iter().find(|call| call.name() == name).unwrap()
}

#[test]
#[ignore = "the other tests start it, each under strace"]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    match *case.split(' ').collect::<Vec<_>>() {
        ["success", kind, call] => {
            let (pair, call) = (Pair::new(kind_named(kind)), call_named(call));
            let socket = pair.socket();
            repeat(|| assert_eq!(call.run(&socket, b"data", NO_FLAGS), Ok(4)));
        }
        ["flags", kind, call] => {
            let (pair, call) = (Pair::new(kind_named(kind)), call_named(call));
            let socket = pair.socket();
            let more = if pair.kind.is_stream() { SendFlags::MORE } else { NO_FLAGS }; // F4b
            let flags = SendFlags::DONT_WAIT | SendFlags::CONFIRM | more;
            repeat(|| assert_eq!(call.run(&socket, b"data", flags), Ok(4)));
        }
        ["probed", kind, call] => {
            let (pair, call) = (Pair::new(kind_named(kind)), call_named(call));
            let socket = SocketRef::probe(&pair.ours).unwrap();
            repeat(|| assert_eq!(call.run(&socket, b"data", NO_FLAGS), Ok(4)));
        }
        ["probing"] => {
            let pair = Pair::new(Tcp);
            repeat(|| assert_eq!(SocketRef::probe(&pair.ours).unwrap().kind(), Tcp));
        }
        ["send_to", "udp"] => {
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = receiver.local_addr().unwrap();
            repeat(|| {
                let socket = SocketRef::udp_v4(&sender);
                assert_eq!(socket.send_to(b"data", &Address::from(address), NO_FLAGS), Ok(4));
            });
        }
        ["send_to", "unix"] => {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("dead");
            drop(UnixDatagram::bind(&path).unwrap());
            let sender = UnixDatagram::unbound().unwrap();
            repeat(|| {
                let to = Address::unix(&path).unwrap();
                SocketRef::unix_datagram(&sender).send_to(b"data", &to, NO_FLAGS).unwrap_err();
            });
        }
        ["slices", count] => {
            let pair = Pair::new(UnixStream);
            let mut slices = vec![IoSlice::new(b"x"); count.parse().unwrap()];
            let mut rest = &mut slices[..];
            let socket = pair.socket();
            between_marks(|| socket.send_all_vectored(&mut rest, NO_FLAGS).unwrap());
        }
        ["message"] => {
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            let (mut slices, descriptors) = ([IoSlice::new(b"data")], [theirs.as_fd(); 3]);
            let message = Message::new(&mut slices).with_descriptors(&descriptors);
            repeat(|| assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS), Ok(4)));
        }
        ["batch", how] => {
            let (ours, theirs) = sockets::udp_pair();
            let (slices, long) = ([IoSlice::new(b"data")], [0; 70_000]);
            let too_long = [IoSlice::new(&long)];
            let (theirs_is, foreign) = (theirs.local_addr().unwrap().into(), Ipv4Addr::new(192, 0, 2, 1));
            let mut batch = [Datagram::new(&slices); 100];
            match how {
                "too-long" => batch[70] = Datagram::new(&too_long),
                "unreachable" => batch[70] = batch[70].to(&theirs_is).from_source(foreign.into()),
                _ => {}
            }
            let batch = if how == "none" { &[][..] } else { &batch[..] };
            let mut rooms = [[0; 8]; 100];
            let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
            let socket = SocketRef::udp_v4(&ours);
            if how == "received" {
                socket.send_batch(batch, NO_FLAGS).unwrap();
                sockets::wait_readable(&theirs);
            }
            between_marks(|| match how {
                "received" => {
                    let received =
                        SocketRef::udp_v4(&theirs).receive_batch(&mut buffers, ReceiveFlags::empty());
                    assert_eq!(received, Ok(64));
                }
                "too-long" | "unreachable" => {
                    assert_eq!(socket.send_batch(batch, NO_FLAGS).unwrap_err().accepted(), 70)
                }
                _ => socket.send_batch(batch, NO_FLAGS).unwrap(),
            });
        }
        ["segments", how] => {
            let (ours, _theirs) = sockets::udp_pair();
            let mut offload = SegmentOffload::new();
            match how {
                "never" => offload = SegmentOffload::never(),
                "refused" => sockets::set_buffer(&ours, libc::SO_NO_CHECK, 1),
                _ => {}
            }
            let bytes = vec![0; 100 * 100];
            let socket = SocketRef::udp_v4(&ours);
            between_marks(|| Segments::new(&bytes, 100).send(&socket, &mut offload, NO_FLAGS).unwrap());
        }
        ["received"] => {
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            let (mut slices, descriptors) = ([IoSlice::new(b"data")], [theirs.as_fd()]);
            let message = Message::new(&mut slices).with_descriptors(&descriptors);
            (0..ROUNDS).for_each(|_| assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS), Ok(4)));
            let (mut control, mut buffer) = (ControlBuffer::new(), [0; 4]);
            // They are kept: to close one is a call of std's own, or two.
            let mut kept = Vec::with_capacity(ROUNDS);
            repeat(|| {
                let mut slices = [IoSliceMut::new(&mut buffer)];
                let socket = SocketRef::from(&theirs);
                let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
                kept.extend(received.into_descriptors());
            });
            assert_eq!(kept.len(), ROUNDS);
        }
        ["nothing", "received"] => {
            let pair = Pair::nonblocking(Tcp);
            let (mut control, mut buffer) = (ControlBuffer::new(), [0; 4]);
            repeat(|| {
                let mut slices = [IoSliceMut::new(&mut buffer)];
                pair.socket().receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap_err();
            });
        }
        ["peeked"] => {
            let pair = Pair::new(Tcp);
            pair.socket().send(b"xu", SendFlags::OUT_OF_BAND).unwrap();
            let theirs = SocketRef::tcp(&pair.theirs);
            let (mut control, mut buffer) = (ControlBuffer::new(), [0; 4]);
            repeat(|| {
                for flags in [ReceiveFlags::PEEK, ReceiveFlags::PEEK | ReceiveFlags::OUT_OF_BAND] {
                    let mut slices = [IoSliceMut::new(&mut buffer)];
                    assert_eq!(theirs.receive(&mut slices, &mut control, flags).unwrap().bytes(), 1);
                }
            });
        }
        ["credentials"] => {
            let pair = Pair::new(UnixStream);
            let own = std::process::id();
            repeat(|| assert_eq!(pair.socket().peer_credentials().unwrap().process, Some(own)));
        }
        ["refused"] => {
            let pair = Pair::new(Tcp);
            let slices = vec![IoSlice::new(b"x"); 1025];
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let nowhere = Address::from("127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap());
            repeat(|| {
                pair.socket().send(b"x", SendFlags::END_OF_RECORD).unwrap_err();
                pair.socket().send_vectored(&slices, NO_FLAGS).unwrap_err();
                pair.socket().send_all(b"x", SendFlags::OUT_OF_BAND).unwrap_err();
                SocketRef::udp_v4(&udp).send_to(b"x", &nowhere, NO_FLAGS).unwrap_err();
                Address::unix("").unwrap_err();
            });
        }
        ["sendfile", to, how] => {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"data").unwrap();
            let null = null();
            let pair = Pair::new(UnixStream);
            let to = if to == "socket" { pair.socket().into() } else { Output::file(&null) };
            let mut buffer = [0; 4];
            let _guard = (how == "guarded").then(SigpipeGuard::new);
            repeat(|| {
                let (mut start, count) = (0, 4);
                let at = Offset::At(&mut start);
                let sent = match how {
                    "whole" | "guarded" => sendfile(to, &file, at, count),
                    "more" => sendfile(to, &file, at, count + 1),
                    "nothing" => sendfile(to, &file, at, 0).map(|none| none + count),
                    "position" => {
                        (&file).rewind().unwrap();
                        sendfile(to, &file, Offset::Position, count)
                    }
                    "all" => transfer_all(to, &file, at, count + 1, None).map_err(|stopped| stopped.error()),
                    "copied" => transfer(to, &file, at, count, Some(&mut buffer)),
                    "halves" => transfer(to, &file, at, count, Some(&mut buffer[..2])),
                    "all-copied" => transfer_all(to, &file, at, count + 1, Some(&mut buffer))
                        .map_err(|stopped| stopped.error()),
                    _ => panic!("no such way: {how}"),
                };
                assert_eq!(sent, Ok(count));
            });
        }
        ["transfer", to, file, ref rest @ ..] => {
            let (tcp, unix, null) = (Pair::new(Tcp), Pair::new(UnixStream), null());
            let (reader, pipe) = nix::unistd::pipe().unwrap();
            let to = match to {
                "tcp" => tcp.socket().into(),
                "unix" => unix.socket().into(),
                "pipe" => Output::file(&pipe),
                _ => Output::file(&null),
            };
            let length = if file == "large" { 9000 } else { 4 };
            let input = tempfile::tempfile().unwrap();
            input.set_len(length).unwrap();
            let has = |what: &str| rest.contains(&what);
            let part = |has| [IoSlice::new(if has { b"part" } else { b"" })];
            let (head, tail) = (part(!has("alone")), part(has("trailer")));
            let (mut buffer, descriptors) = ([0; 16_384], [input.as_fd()]);
            let _guard = SigpipeGuard::new();
            // Once: there is room for that, whatever the page size is.
            between_marks(|| {
                let mut transfer = Transfer::new(&input).with_header(&head).with_trailer(&tail);
                if !has("position") {
                    transfer = transfer.at(0);
                }
                if !has("all") {
                    transfer = transfer.count(length + if has("more") { 1 } else { 0 });
                }
                if has("copied") {
                    transfer = transfer.by_copying(&mut buffer);
                }
                let outcome = match has("descriptor") {
                    true => transfer.with_descriptors(&descriptors).send_all(to).unwrap(),
                    false => transfer.send_all(to).unwrap(),
                };
                assert_eq!(outcome == Outcome::Whole, !has("more"));
            });
            drop(reader);
        }
        ["sendfile", "unreadable"] => {
            // Long where the kernel has it: one read gives a page at most.
            let file = File::open("/proc/self/smaps").or_else(|_| File::open("/proc/self/maps")).unwrap();
            let null = null();
            between_marks(|| {
                transfer_all(Output::file(&null), &file, Offset::At(&mut 0), 1 << 40, None).unwrap();
            });
        }
        ["sendfile", "full"] => {
            let (_reader, pipe) = nix::unistd::pipe().unwrap();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&[7; 65_536]).unwrap();
            sockets::set_nonblocking(&pipe, true);
            while sendfile(Output::file(&pipe), &file, Offset::At(&mut 0), 65_536).is_ok() {}
            repeat(|| {
                let full = sendfile(Output::file(&pipe), &file, Offset::At(&mut 0), 65_536);
                assert!(full.unwrap_err().would_block());
            });
        }
        ["sendfile", "gone"] => {
            let pair = Pair::new(Tcp);
            shutdown(&pair.ours, Shutdown::Write).unwrap();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"data").unwrap();
            repeat(|| {
                sendfile(pair.socket(), &file, Offset::At(&mut 0), 4).unwrap_err();
            });
        }
        ["unconnected", kind, call] => {
            let (kind, call) = (kind_named(kind), call_named(call));
            let fd = unconnected(kind);
            let socket = sockets::declared(kind, &fd);
            repeat(|| {
                call.run(&socket, b"x", NO_FLAGS).unwrap_err();
            });
        }
        ["ended", kind, call] => {
            let (pair, call) = (Pair::new(kind_named(kind)), call_named(call));
            shutdown(&pair.ours, Shutdown::Write).unwrap();
            let socket = pair.socket();
            repeat(|| {
                call.run(&socket, b"x", NO_FLAGS).unwrap_err();
            });
        }
        ["full", kind, call] => {
            let (pair, call) = (Pair::nonblocking(kind_named(kind)), call_named(call));
            let socket = pair.socket();
            fill(&socket, &[7; 500]);
            repeat(|| {
                call.run(&socket, &[7; 500], NO_FLAGS).unwrap_err();
            });
        }
        _ => panic!("no such case: {case}"),
    }
}

/// Whether system calls can be watched here; says why not.
fn strace_works() -> bool {
    match Command::new("strace").args(["-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            sockets::skipped(format_args!("strace may not trace here: {complaint}"));
            false
        }
        Err(error) => {
            sockets::skipped(format_args!("strace cannot be run: {error}"));
            false
        }
    }
}

/// What the thread that wrote the marks called between them, argument lists and all; `None` if system calls
/// cannot be watched.
fn calls_in(case: &str) -> Option<Vec<String>> {
    if !strace_works() {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    // A file for each thread: in one for all, a call that another thread comes between takes two lines.
    let output = Command::new("strace")
        .args(["-ff", "-o"])
        .arg(directory.path().join("calls"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--test-threads=1"])
        .env(CASE, case)
        .output()
        .unwrap();
    assert!(output.status.success(), "{case}: {output:?}");

    let logs = std::fs::read_dir(directory.path()).unwrap();
    let mut logs = logs.map(|log| std::fs::read_to_string(log.unwrap().path()).unwrap());
    let marked = logs.find(|log| log.contains(BEGIN)).expect("it wrote its mark");
    let calls = marked.lines().skip_while(|call| !call.contains(BEGIN)).skip(1);
    Some(calls.take_while(|call| !call.contains(END)).map(str::to_owned).collect())
}

/// A call has other names on other processors: send(2) is sendto(2) without an address on most.
fn name_of(call: &str) -> &str {
    let name = call.split('(').next().unwrap();
    match name.strip_suffix("64").unwrap_or(name) {
        "send" => "sendto",
        "newfstatat" | "fstatat" => "fstat",
        "_llseek" => "lseek",
        "ppoll" | "ppoll_time" => "poll",
        "recvmmsg_time" => "recvmmsg",
        name => name,
    }
}

/// The case consists of so many rounds of these calls, and each that sends has MSG_NOSIGNAL.
fn is_made_of(case: &str, rounds: usize, names: &[&str]) {
    let Some(calls) = calls_in(case) else { return };
    let made: Vec<_> = calls.iter().map(|call| name_of(call)).collect();
    assert_eq!(made, names.repeat(rounds), "{case}");
    for call in calls.iter().filter(|call| ["sendto", "sendmsg"].contains(&name_of(call))) {
        assert!(call.contains("MSG_NOSIGNAL"), "{call}");
    }
}

/// How send(2) is called on Linux.
fn system_call_of(call: Call) -> &'static str {
    match call {
        Call::Send | Call::SendAll => "sendto",
        Call::SendVectored | Call::SendAllVectored => "sendmsg",
    }
}

#[rstest]
fn a_success_is_one_call(
    #[values(Tcp, UdpV4, UnixStream, UnixDatagram, UnixSeqpacket)] kind: SocketKind,
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let case = format!("success {kind:?} {}", call.name());
    is_made_of(&case, ROUNDS, &[system_call_of(call)]);
}

#[rstest]
fn flags_and_probing_cost_no_call(
    #[values("flags", "probed")] how: &str,
    #[values(Tcp, UdpV4, UnixStream)] kind: SocketKind,
    #[values(Call::Send, Call::SendAllVectored)] call: Call,
) {
    is_made_of(&format!("{how} {kind:?} {}", call.name()), ROUNDS, &[system_call_of(call)]);
}

/// What flags the kernel gets: clause F4's hints where it has a use for them, and no others.
#[rstest]
#[case::f4_tcp(Tcp, "MSG_DONTWAIT|MSG_NOSIGNAL|MSG_MORE")]
#[case::f4_udp(UdpV4, "MSG_CONFIRM|MSG_DONTWAIT|MSG_NOSIGNAL")]
#[case::f4_unix_stream(UnixStream, "MSG_DONTWAIT|MSG_NOSIGNAL")]
fn the_kernel_gets_these_flags(#[case] kind: SocketKind, #[case] flags: &str) {
    let Some(calls) = calls_in(&format!("flags {kind:?} send")) else { return };
    let expected: std::collections::BTreeSet<_> = flags.split('|').collect();
    for call in &calls {
        let given = call.split([',', ')']).nth(3).unwrap().trim();
        assert_eq!(given.split('|').collect::<std::collections::BTreeSet<_>>(), expected, "{call}");
    }
    assert_eq!(calls.len(), ROUNDS);
}

#[rstest]
#[case::udp("send_to udp")]
#[case::a10_unix_that_fails("send_to unix")]
fn send_to_is_one_call(#[case] case: &str) {
    is_made_of(case, ROUNDS, &["sendto"]);
}

#[rstest]
#[case::l5_one_message(1024, 1)]
#[case::l5_one_more(1025, 2)]
#[case::l5_three_messages(3072, 3)]
fn slices_are_as_many_calls_as_messages(#[case] slices: usize, #[case] messages: usize) {
    is_made_of(&format!("slices {slices}"), messages, &["sendmsg"]);
}

/// Credentials take a second one: a listener has its own, so it is asked first whether this is one.
#[rstest]
#[case::r8_a_message("message", &["sendmsg"])]
#[case::r27_a_descriptor_is_received("received", &["recvmsg"])]
#[case::would_block_is_asked_nothing("nothing received", &["recvmsg"])]
#[case::f7_peeks("peeked", &["recvmsg", "recvmsg"])]
#[case::c4b_credentials("credentials", &["getsockopt", "getsockopt"])]
fn descriptors_and_credentials_are_these_calls(#[case] case: &str, #[case] names: &[&str]) {
    is_made_of(case, ROUNDS, names);
}

/// A datagram that fails is asked for its error by a call that begins with it. If it is too long, another call asks
/// whether the error was that of an earlier one (D4).
#[rstest]
#[case::d2_none("none", &[])]
#[case::d3_a_hundred("sent", &["sendmmsg", "sendmmsg"])]
#[case::d1_one_that_fails("too-long", &["sendmmsg", "sendmmsg", "sendmmsg", "sendmmsg"])]
#[case::d1_one_that_fails_otherwise("unreachable", &["sendmmsg", "sendmmsg", "sendmmsg"])]
#[case::d5_what_is_there("received", &["recvmmsg"])]
fn a_batch_is_one_call_for_64_datagrams(#[case] how: &str, #[case] names: &[&str]) {
    is_made_of(&format!("batch {how}"), 1, names);
}

#[rstest]
#[case::d9_by_the_kernel("kernel", &["sendmsg", "sendmsg"])]
#[case::d11_by_a_batch("never", &["sendmmsg", "sendmmsg"])]
#[case::d11_refused("refused", &["sendmsg", "sendmsg", "sendmmsg", "sendmmsg"])]
fn segments_are_these_calls(#[case] how: &str, #[case] names: &[&str]) {
    is_made_of(&format!("segments {how}"), 1, names);
}

/// What keeps SIGPIPE away costs two calls, once for any number of parts, and nothing where a socket is copied to.
/// One that was taken is compared with this process, which the kernel says sent it.
#[rstest]
#[case::x2_all_of_it("socket whole", &[MASK, "sendfile", MASK])]
#[case::x17_under_a_guard("socket guarded", &["sendfile"])]
#[case::x3_less_is_left("socket more", &[MASK, "sendfile", TAKE, MASK])]
#[case::x1_from_the_position("socket position", &["lseek", MASK, "sendfile", MASK])]
#[case::until_the_end("socket all", &[MASK, "sendfile", TAKE, "sendfile", TAKE, MASK])]
#[case::to_a_file("file whole", &["poll", MASK, "sendfile", MASK])]
#[case::l14_nothing_to_a_file("file nothing", &["fstat", "fcntl", "fstat", "fcntl"])]
#[case::x10_a_full_pipe("full", &["poll", "fstat", MASK, "sendfile", MASK])]
#[case::a_failure_on_tcp("gone", &[MASK, "sendfile", TAKE, "getpid", "getsockopt", MASK])]
#[case::copying("socket copied", &["fstat", "pread", "sendto"])]
#[case::copying_in_parts("socket halves", &["fstat", "pread", "sendto", "pread", "sendto"])]
#[case::copying_until_the_end("socket all-copied", &["fstat", "pread", "sendto", "pread"])]
#[case::copying_to_a_file("file copied", &["fstat", "fcntl", "fstat", "pread", MASK, "write", MASK])]
fn sendfile_makes_these_calls(#[case] how: &str, #[case] names: &[&str]) {
    is_made_of(&format!("sendfile {how}"), ROUNDS, names);
}

/// Under a guard against SIGPIPE, whose calls are those of `sendfile`. TCP is corked around a file and a trailer that
/// the kernel sends, and uncorked where a hint was given for a file that then had nothing.
#[rstest]
#[case::t2_a_small_file("tcp small", &["fstat", "pread", "sendto"])]
#[case::t2_a_small_file_and_a_trailer("tcp small trailer", &["fstat", "pread", "sendto"])]
#[case::t2_to_the_end_of_a_small_file("tcp small all trailer", &["fstat", "pread", "pread", "sendto"])]
#[case::t5_a_small_file_that_ends_early("tcp small more", &["fstat", "pread", "pread", "sendto"])]
#[case::t2_a_large_file("tcp large", &["fstat", "fcntl", "sendto", "sendfile"])]
#[case::t2_a_large_file_and_a_trailer(
    "tcp large trailer",
    &["fstat", "fcntl", "sendto", GET, SET, "sendfile", "sendto", SET]
)]
#[case::t2_no_header("tcp large alone trailer", &[GET, SET, "sendfile", "sendto", SET])]
#[case::t5_a_large_file_that_ends_early(
    "tcp large more",
    &["fstat", "fcntl", "sendto", "sendfile", "getpid", TAKE, "sendfile", "getpid", TAKE, GET, SET, SET]
)]
#[case::t5_and_a_trailer(
    "tcp large more trailer",
    &["fstat", "fcntl", "sendto", GET, SET, "sendfile", "getpid", TAKE, "fstat", "pread", SET]
)]
#[case::t1_a_small_file_to_unix("unix small trailer", &["fstat", "pread", "sendto"])]
#[case::t1_a_large_file_to_unix("unix large trailer", &["fstat", "fcntl", "sendto", "sendfile", "sendto"])]
#[case::t7_a_descriptor("unix small descriptor", &["fstat", "pread", "sendmsg"])]
#[case::t1_a_small_file_to_a_pipe("pipe small trailer", &["fstat", "fcntl", "fstat", "pread", "write"])]
#[case::t1_a_large_file_to_a_pipe(
    "pipe large trailer",
    &["fstat", "fcntl", "fstat", "fcntl", "write", "poll", "sendfile", "write"]
)]
#[case::x1_from_the_position("tcp small position", &["fstat", "lseek", "pread", "sendto", "lseek"])]
#[case::x1_a_large_file_from_the_position(
    "tcp large position",
    &["fstat", "fcntl", "lseek", "sendto", "sendfile"]
)]
#[case::copying("tcp large copied trailer", &["fstat", "pread", "sendto"])]
#[case::copying_to_the_end("tcp large copied all trailer", &["fstat", "pread", "pread", "sendto"])]
fn a_transfer_makes_these_calls(#[case] how: &str, #[case] names: &[&str]) {
    is_made_of(&format!("transfer {how}"), 1, names);
}

/// Asks whether a connection is corked, and corks or uncorks it.
const GET: &str = "getsockopt";
const SET: &str = "setsockopt";

/// What the kernel cannot send (clause X8) it is asked for once in a loop, and not again for what is left of it.
#[test]
fn x8_the_kernel_is_asked_once_for_what_it_cannot_send() {
    let Some(calls) = calls_in("sendfile unreadable") else { return };
    let tried: Vec<_> = calls.iter().filter(|call| name_of(call) == "sendfile").collect();
    if !tried[0].contains("EINVAL") {
        return sockets::skipped(format_args!("this kernel's sendfile can read it: {}", tried[0]));
    }
    assert_eq!(tried.len(), 1, "{calls:?}");
    assert!(calls.iter().filter(|call| name_of(call) == "pread").count() >= 2, "{calls:?}");
}

/// Blocks SIGPIPE, or unblocks it again.
const MASK: &str = "rt_sigprocmask";
/// Takes back a SIGPIPE, if there is one.
const TAKE: &str = "rt_sigtimedwait";

#[test]
fn a_refusal_is_no_call() {
    is_made_of("refused", 0, &[]);
}

#[test]
fn probing_is_four_calls() {
    is_made_of("probing", ROUNDS, &["getsockopt"; 4]);
}

/// After a failure TCP is asked what it was, and no other socket is: one that is full for its peer, which costs
/// less than `TCP_INFO` and is what a server that does not wait asks again and again.
#[rstest]
#[case::s1_tcp("unconnected", Tcp, &["getsockopt"])]
#[case::s7_tcp("ended", Tcp, &["getsockopt"])]
#[case::b5_tcp("full", Tcp, &["getpeername"])]
#[case::s12_unix_stream("unconnected", UnixStream, &[])]
#[case::s7_unix_stream("ended", UnixStream, &[])]
#[case::b5_unix_stream("full", UnixStream, &[])]
#[case::s16_unix_datagram("unconnected", UnixDatagram, &[])]
#[case::s18_udp("unconnected", UdpV4, &[])]
#[case::s20_udp("ended", UdpV4, &[])]
#[case::b5_unix_seqpacket("full", UnixSeqpacket, &[])]
fn a_failure_is_one_call_and_on_tcp_a_question(
    #[case] state: &str,
    #[case] kind: SocketKind,
    #[case] question: &[&str],
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let names = [&[system_call_of(call)], question].concat();
    is_made_of(&format!("{state} {kind:?} {}", call.name()), ROUNDS, &names);
}
