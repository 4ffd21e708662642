//! SIGPIPE at its default disposition, which ends the process: no call lets it reach the process, on
//! any socket.
//!
//! Each case runs in its own process, which is this test program with one test, `child`, and the case in its
//! environment. A plain write(2) kills such a process, which shows that the other children could die.

mod sockets;

use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use rstest::rstest;
use sockets::{CONNECTED_KINDS, Call, NO_FLAGS, Pair, close_with_reset, declared, shutdown, unconnected};
use unisend::SocketKind::{self, *};
use unisend::{Address, DatagramSocket, SocketRef};

const CASE: &str = "UNISEND_SIGPIPE_CASE";
const SURVIVED: &str = "survived SIGPIPE at its default";

/// How the socket came to be one on which nothing can be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    OwnShutdown,
    PeerClosed,
    PeerReset,
    NeverConnected,
}

const STATES: [State; 4] = [State::OwnShutdown, State::PeerClosed, State::PeerReset, State::NeverConnected];

impl State {
    /// The socket, if this kind can be in this state.
    fn socket(self, kind: SocketKind) -> Option<OwnedFd> {
        let connected = || Pair::new(kind);
        match self {
            Self::OwnShutdown => {
                let pair = connected();
                shutdown(&pair.ours, Shutdown::Write).unwrap();
                Some(pair.ours)
            }
            // UDP does not know its peer's end; a datagram that is refused is clause S19's.
            Self::PeerClosed if kind == UdpV4 => None,
            Self::PeerClosed => {
                let pair = connected();
                drop(pair.theirs);
                Some(pair.ours)
            }
            Self::PeerReset if kind != Tcp => None,
            Self::PeerReset => {
                let pair = connected();
                close_with_reset(pair.theirs);
                sockets::wait_readable(&pair.ours);
                Some(pair.ours)
            }
            Self::NeverConnected => Some(unconnected(kind)),
        }
    }
}

fn named<T: Copy + std::fmt::Debug>(all: &[T], name: &str) -> T {
    *all.iter().find(|item| format!("{item:?}") == name).unwrap()
}

/// As a program finds it that was started without Rust's runtime, which ignores SIGPIPE.
fn set_to_default() {
    // SAFETY: the default disposition has no handler that could do anything wrong.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGPIPE);
    mask.thread_unblock().unwrap();
}

#[test]
#[ignore = "the other tests start it, each in a process of its own"]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    set_to_default();
    match *case.split(' ').collect::<Vec<_>>() {
        ["write"] => {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            drop(theirs);
            let outcome = nix::unistd::write(&ours, b"x");
            println!("write returned {outcome:?}");
        }
        ["send", kind, state, call] => {
            let kind = named(&CONNECTED_KINDS, kind);
            let state = named(&STATES, state);
            let call = named(&Call::ALL, call);
            let fd = state.socket(kind).unwrap();
            let socket = declared(kind, &fd);
            // TCP learns of its peer's end only by sending; then once more, since the first failure may take
            // a pending error and only the second be EPIPE.
            sockets::first_failure(call, &socket);
            sockets::first_failure(call, &socket);
            call.run(&socket, b"x", NO_FLAGS).unwrap_err();
        }
        ["send_to", kind] => send_to_after_shutdown(named(&CONNECTED_KINDS, kind)),
        _ => panic!("no such case: {case}"),
    }
    println!("{SURVIVED}");
}

fn send_to_after_shutdown(kind: SocketKind) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("receiver");
    let fd = unconnected(kind);
    let _ = shutdown(&fd, Shutdown::Write); // Linux says that UDP's failed, and does it
    let (socket, to): (SocketRef<'_, DatagramSocket>, Address) = match kind {
        UdpV4 => {
            let to = "127.0.0.1:9".parse::<std::net::SocketAddr>().unwrap();
            (SocketRef::udp_v4(&fd), to.into())
        }
        _ => {
            drop(std::os::unix::net::UnixDatagram::bind(&path).unwrap());
            (SocketRef::unix_datagram(&fd), Address::unix(&path).unwrap())
        }
    };
    for _ in 0..3 {
        socket.send_to(b"x", &to, NO_FLAGS).unwrap_err();
    }
}

fn run_child(case: &str) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"]);
    child.env(CASE, case).output().unwrap()
}

fn survives(case: &str) {
    let output = run_child(case);
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {}\n{said}\n{complained}", output.status);
    assert!(said.contains(SURVIVED), "{case} did not run\n{said}\n{complained}");
}

/// Otherwise the other tests would show nothing.
#[test]
fn a_plain_write_does_kill() {
    let output = run_child("write");
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(SURVIVED));
}

#[rstest]
fn no_call_lets_it_out(
    #[values(Tcp, UdpV4, UnixStream, UnixDatagram, UnixSeqpacket)] kind: SocketKind,
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let mut ran = 0;
    for state in STATES {
        if state.socket(kind).is_some() {
            survives(&format!("send {kind:?} {state:?} {call:?}"));
            ran += 1;
        }
    }
    assert!(ran >= 2);
}

#[rstest]
#[case::s20_udp(UdpV4)]
#[case::s20_unix_datagram(UnixDatagram)]
fn a_destination_does_not_let_it_out(#[case] kind: SocketKind) {
    survives(&format!("send_to {kind:?}"));
}
