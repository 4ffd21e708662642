//! Clauses C2 to C4c: the credentials of a unix socket's peer.

mod sockets;

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::sys::socket as raw;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, fork, getegid, geteuid, setgid, setuid};
use rstest::rstest;
use sockets::{NO_FLAGS, Pair, declared, unconnected, wait_readable};
use unisend::ErrorKind::{NotConnected, Unsupported};
use unisend::SocketKind::{self, *};
use unisend::{ControlBuffer, ErrorKind, Message, Operation, ReceiveFlags, SocketRef};

/// Process, user and group.
fn credentials(socket: &SocketRef<'_, impl Sized>) -> Result<[u32; 3], ErrorKind> {
    let answer = socket.peer_credentials();
    answer.map(|peer| [peer.process.expect("one that is seen"), peer.user, peer.group]).map_err(|error| {
        assert_eq!(error.operation(), Operation::PeerCredentials);
        error.kind()
    })
}

fn own() -> [u32; 3] {
    [std::process::id(), geteuid().as_raw(), getegid().as_raw()]
}

#[rstest]
fn c2_a_pair_is_of_who_made_it(#[values(UnixStream, UnixSeqpacket)] kind: SocketKind) {
    let pair = Pair::new(kind);
    assert_eq!(credentials(&pair.socket()), Ok(own()));
    assert_eq!(credentials(&declared(kind, &pair.theirs)), Ok(own()));
    assert_eq!(credentials(&SocketRef::probe(&pair.ours).unwrap()), Ok(own()));
}

/// Other numbers for each of the three, so that none can stand for another. The child makes a pair as somebody else, and
/// sends one end of it.
#[test]
fn c2_another_process_user_and_group() {
    const USER: u32 = 40_001;
    const GROUP: u32 = 40_002;

    if !geteuid().is_root() {
        return sockets::skipped(format_args!("only root can become another user"));
    }
    let channel = Pair::new(UnixStream);
    let as_another = || {
        setgid(Gid::from_raw(GROUP)).unwrap();
        setuid(Uid::from_raw(USER)).unwrap();
        let pair = Pair::new(UnixStream);
        let (mut slices, descriptors) = ([IoSlice::new(b"x")], [pair.ours.as_fd()]);
        Message::new(&mut slices).with_descriptors(&descriptors).send(&channel.socket(), NO_FLAGS).unwrap();
    };
    // SAFETY: the child ends without what the threads of this process hold.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(as_another));
            // SAFETY: it ends the child, and nothing that is the parent's.
            unsafe { libc::_exit(outcome.is_err().into()) }
        }
    };
    wait_readable(&channel.theirs);
    let (mut control, mut byte) = (ControlBuffer::new(), [0]);
    let mut slices = [IoSliceMut::new(&mut byte)];
    let receiver = SocketRef::unix_stream(&channel.theirs);
    let received = receiver.receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT).unwrap();
    let end: OwnedFd = received.into_descriptors().next().expect("one end of the pair");
    // The other end is closed by now, or soon: C4c.
    assert_eq!(credentials(&SocketRef::unix_stream(&end)), Ok([child.as_raw() as u32, USER, GROUP]));
    assert!(matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0))));
}

#[rstest]
#[case::never_connected(UnixStream)]
#[case::never_connected_seqpacket(UnixSeqpacket)]
#[case::never_connected_datagram(UnixDatagram)]
fn c4_without_a_peer(#[case] kind: SocketKind) {
    assert_eq!(credentials(&declared(kind, &unconnected(kind))), Err(NotConnected));
}

#[test]
fn c4_a_datagram_socket_that_was_connected_by_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("receiver");
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(&path).unwrap();
    assert_eq!(credentials(&SocketRef::from(&sender)), Err(NotConnected));
}

/// The kernel is not asked.
#[rstest]
fn c4_of_no_unix_socket(#[values(Tcp, UdpV4, UdpV6, OtherStream, Other)] kind: SocketKind) {
    let pair = Pair::new(UnixStream);
    let error = declared(kind, &pair.ours).peer_credentials().unwrap_err();
    assert_eq!((error.kind(), error.kernel_errno()), (Unsupported, None));
}

fn listener(kind: SocketKind, path: &Path) -> OwnedFd {
    let fd = unconnected(kind);
    raw::bind(fd.as_raw_fd(), &raw::UnixAddr::new(path).unwrap()).unwrap();
    raw::listen(&fd, raw::Backlog::new(1).unwrap()).unwrap();
    fd
}

/// Linux would give who made the listener, which is this process.
#[rstest]
fn c4b_of_a_listener(#[values(UnixStream, UnixSeqpacket)] kind: SocketKind) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("listener");
    let listener = listener(kind, &path);
    assert_eq!(credentials(&declared(kind, &listener)), Err(NotConnected));

    let client = unconnected(kind);
    raw::connect(client.as_raw_fd(), &raw::UnixAddr::new(&path).unwrap()).unwrap();
    assert_eq!(credentials(&declared(kind, &listener)), Err(NotConnected), "one waits to be accepted");
    assert_eq!(credentials(&declared(kind, &client)), Ok(own()));

    wait_readable(&listener);
    let number = raw::accept(listener.as_raw_fd()).unwrap();
    // SAFETY: it has just been made for us.
    let accepted: OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(number) };
    assert_eq!(credentials(&declared(kind, &accepted)), Ok(own()));
    assert_eq!(credentials(&declared(kind, &listener)), Err(NotConnected), "one was accepted");
}

#[rstest]
fn c4c_the_peer_has_closed(#[values(UnixStream, UnixSeqpacket)] kind: SocketKind) {
    let Pair { ours, theirs, .. } = Pair::new(kind);
    drop(theirs);
    assert_eq!(credentials(&declared(kind, &ours)), Ok(own()));
}
