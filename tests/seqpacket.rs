//! Clauses K1 to K9, as far as a program can go that the suite's cases do not: other addresses, threads, signals, and what
//! std does with the same sockets.

mod sockets;

use std::fs::File;
use std::io::IoSliceMut;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rstest::rstest;
use sockets::signals::{install_handler, signal};
use sockets::{NO_FLAGS, finished, wait_readable};
use unisend::ErrorKind::*;
use unisend::{
    Address, ControlBuffer, ErrorKind, Message, Operation, ReceiveFlags, SocketKind, SocketRef,
    UnixSeqpacket, UnixSeqpacketListener, limits,
};

/// A listener in a directory of its own.
struct Server {
    listener: UnixSeqpacketListener,
    name: Address,
    _directory: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = Address::unix(directory.path().join("server")).unwrap();
        let listener = UnixSeqpacketListener::bind(&name).unwrap();
        Self { listener, name, _directory: directory }
    }

    fn connected(&self) -> (UnixSeqpacket, UnixSeqpacket) {
        let client = UnixSeqpacket::connect(&self.name).unwrap();
        (client, self.listener.accept().unwrap())
    }
}

/// The record that comes next, or `None` at the end.
fn record(socket: &UnixSeqpacket) -> Result<Option<Vec<u8>>, ErrorKind> {
    let (mut control, mut room) = (ControlBuffer::new(), [0; 1000]);
    let mut slices = [IoSliceMut::new(&mut room)];
    let received = SocketRef::from(socket).receive(&mut slices, &mut control, ReceiveFlags::empty());
    let received = received.map_err(|error| error.kind())?;
    let (bytes, ended) = (received.bytes(), received.is_end_of_file());
    drop(received);
    Ok((!ended).then(|| room[..bytes].to_vec()))
}

#[test]
fn records_go_both_ways_with_their_boundaries() {
    let server = Server::new();
    let (client, accepted) = server.connected();
    for (from, to) in [(&client, &accepted), (&accepted, &client)] {
        assert_eq!(SocketRef::from(from).kind(), SocketKind::UnixSeqpacket);
        for bytes in [&b"one"[..], b"three"] {
            SocketRef::from(from).send(bytes, NO_FLAGS).unwrap();
        }
        assert_eq!(record(to), Ok(Some(b"one".to_vec())));
        assert_eq!(record(to), Ok(Some(b"three".to_vec())));
    }
    drop(client);
    assert_eq!(record(&accepted), Ok(None));
    let error = SocketRef::from(&accepted).send(b"late", NO_FLAGS).unwrap_err();
    assert!(error.peer_gone(), "{error}");
}

#[test]
fn descriptors_go_with_a_record() {
    let (ours, theirs) = UnixSeqpacket::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    let (mut slices, descriptors) = ([std::io::IoSlice::new(b"log")], [file.as_fd()]);
    let message = Message::new(&mut slices).with_descriptors(&descriptors);
    assert_eq!(message.send(&SocketRef::from(&ours), NO_FLAGS), Ok(3));

    let (mut control, mut room) = (ControlBuffer::new(), [0; 10]);
    let mut slices = [IoSliceMut::new(&mut room)];
    let received = SocketRef::from(&theirs).receive(&mut slices, &mut control, ReceiveFlags::empty());
    let came: Vec<_> = received.unwrap().into_descriptors().map(File::from).collect();
    let [came] = &came[..] else { panic!("{} came", came.len()) };
    assert_eq!(came.metadata().unwrap().ino(), file.metadata().unwrap().ino());
}

#[rstest]
#[case::k9_bytes_that_are_not_text(b"\xff\xfe \n\t".to_vec())]
#[case::k9_one_byte(b"s".to_vec())]
#[case::k9_as_long_as_can_be(vec![b'x'; 0])]
fn every_byte_of_a_path(#[case] name: Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let mut path = directory.path().join(std::ffi::OsStr::from_bytes(&name)).into_os_string();
    if name.is_empty() {
        let missing = limits::UNIX_PATH_BYTES - path.len();
        path.push("x".repeat(missing));
    }
    let path = PathBuf::from(path);
    let address = Address::unix(&path).unwrap();
    let listener = UnixSeqpacketListener::bind(&address).unwrap();
    assert!(path.exists(), "no byte is lost");
    assert_eq!(listener.local_address().unwrap().as_ref(), Some(&address));

    let client = UnixSeqpacket::connect(&address).unwrap();
    let accepted = listener.accept().unwrap();
    assert_eq!(client.peer_address().unwrap().unwrap().as_path(), Some(&*path));
    assert_eq!(accepted.local_address().unwrap().unwrap().as_path(), Some(&*path));
    assert_eq!((client.local_address(), accepted.peer_address()), (Ok(None), Ok(None)));
}

#[cfg(target_os = "linux")]
#[test]
fn k2_abstract_names() {
    let name = format!("unisend seqpacket\0{}", std::process::id());
    let address = Address::unix_abstract(name.as_bytes()).unwrap();
    let listener = UnixSeqpacketListener::bind(&address).unwrap();
    assert_eq!(listener.local_address().unwrap().as_ref(), Some(&address));
    assert_eq!(UnixSeqpacketListener::bind(&address).unwrap_err().kind(), AddressInUse);

    let client = UnixSeqpacket::connect(&address).unwrap();
    drop(listener);
    assert_eq!(record(&client), Err(Reset), "it was never accepted");
    assert_eq!(UnixSeqpacket::connect(&address).unwrap_err().kind(), Refused);
    let _again = UnixSeqpacketListener::bind(&address).unwrap();
}

#[rstest]
#[case::ipv4("127.0.0.1:80")]
#[case::ipv6("[::1]:80")]
fn addresses_of_others_are_refused(#[case] other: SocketAddr) {
    let address = Address::from(other);
    let errors =
        [UnixSeqpacket::connect(&address).unwrap_err(), UnixSeqpacketListener::bind(&address).unwrap_err()];
    for (error, operation) in errors.into_iter().zip([Operation::Connect, Operation::Bind]) {
        assert_eq!((error.kind(), error.kernel_errno()), (AddressFamily, None));
        assert_eq!(error.operation(), operation);
    }
}

#[test]
fn k2_a_path_that_is_taken_is_std_s_error_too() {
    let directory = tempfile::tempdir().unwrap();
    let taken = Address::unix(directory.path().join("taken")).unwrap();
    let _listener = UnixSeqpacketListener::bind(&taken).unwrap();
    let error = std::io::Error::from(UnixSeqpacketListener::bind(&taken).unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn k7_a_listener_waits_for_a_connection() {
    let server = Server::new();
    let name = server.name;
    let client = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        UnixSeqpacket::connect(&name).unwrap()
    });
    let accepted = thread::spawn(move || server.listener.accept().unwrap());
    let (_client, _accepted) = (finished(client, |_| {}), finished(accepted, |_| {}));
}

#[test]
fn i2_a_signal_ends_the_wait_of_a_listener() {
    install_handler();
    let server = Server::new();
    let worker = thread::spawn(move || server.listener.accept().map(drop));
    let error = finished(worker, signal).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (Interrupted, Operation::Accept));
}

#[test]
fn options_are_those_of_std() {
    let clone = Server::new().listener.try_clone().unwrap();
    clone.set_nonblocking(true).unwrap();
    assert_eq!(clone.accept().unwrap_err().kind(), WouldBlock);

    let (ours, theirs) = UnixSeqpacket::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    assert_eq!(record(&ours), Err(WouldBlock));
    ours.set_nonblocking(false).unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    assert_eq!(record(&ours), Err(WouldBlock));
    ours.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
    let full = (0..10_000).map(|_| SocketRef::from(&ours).send(&[0; 1000], NO_FLAGS)).find_map(Result::err);
    assert_eq!(full.map(|error| error.kind()), Some(WouldBlock));

    let same = ours.try_clone().unwrap();
    assert_ne!(same.as_fd().as_raw_fd(), ours.as_fd().as_raw_fd());
    drop(ours);
    same.shutdown(Shutdown::Write).unwrap();
    while record(&theirs).unwrap().is_some() {}
    SocketRef::from(&theirs).send(b"x", NO_FLAGS).unwrap();
    assert_eq!(record(&same), Ok(Some(b"x".to_vec())));
}

#[test]
fn a_listener_that_does_not_wait() {
    let server = Server::new();
    server.listener.set_nonblocking(true).unwrap();
    assert_eq!(server.listener.accept().unwrap_err().kind(), WouldBlock);
    let _client = UnixSeqpacket::connect(&server.name).unwrap();
    wait_readable(&server.listener);
    let accepted = server.listener.accept().unwrap();
    accepted.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(record(&accepted), Err(WouldBlock), "K6: it waited for its time limit");
}

#[test]
fn a_descriptor_of_another_kind() {
    let null = File::open("/dev/null").unwrap();
    let socket = UnixSeqpacket::from(OwnedFd::from(null));
    assert_eq!(socket.local_address().unwrap_err().kind(), NotSocket);
    assert_eq!(socket.peer_address().unwrap_err().kind(), NotSocket);
    let (ours, _theirs) = UnixSeqpacket::pair().unwrap();
    let listener = UnixSeqpacketListener::from(OwnedFd::from(ours));
    assert_eq!(listener.accept().unwrap_err().kind(), InvalidInput, "it does not listen");
}

#[test]
fn a_socket_without_a_peer() {
    let server = Server::new();
    let socket = UnixSeqpacket::from(OwnedFd::from(server.listener));
    assert_eq!(socket.peer_address().unwrap_err().kind(), NotConnected);
}

#[test]
fn what_is_shown_is_the_descriptor() {
    let (ours, _theirs) = UnixSeqpacket::pair().unwrap();
    let fd = ours.as_fd().as_raw_fd();
    assert_eq!(format!("{ours:?}"), format!("UnixSeqpacket {{ fd: {fd}, .. }}"));
    assert!(format!("{:?}", Server::new().listener).starts_with("UnixSeqpacketListener { fd: "));
}

/// The first program of the kind that std's own example is: a thread for each client.
#[test]
fn many_clients_at_once() {
    const CLIENTS: u8 = 20;
    let server = Server::new();
    let name = server.name;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            thread::spawn(move || {
                let client = UnixSeqpacket::connect(&name).unwrap();
                SocketRef::from(&client).send(&[number], NO_FLAGS).unwrap();
                record(&client)
            })
        })
        .collect();
    let server = thread::spawn(move || {
        for _ in 0..CLIENTS {
            let accepted = server.listener.accept().unwrap();
            let number = record(&accepted).unwrap().unwrap();
            SocketRef::from(&accepted).send(&[number[0], number[0]], NO_FLAGS).unwrap();
        }
    });
    finished(server, |_| {});
    for (number, client) in (0..CLIENTS).zip(clients) {
        assert_eq!(finished(client, |_| {}), Ok(Some(vec![number, number])));
    }
}

#[test]
fn relative_paths() {
    // Another test's directory must not change: nothing is made here.
    let error = UnixSeqpacket::connect(&Address::unix(Path::new("nonexistent/server")).unwrap()).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (NotFound, Operation::Connect));
}
