//! Errors are small, mean the same on both systems, and have texts that say what to do.

mod sockets;

use std::error::Error as StdError;
use std::io::{self, ErrorKind as Std, IoSlice};
use std::net::{Shutdown, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};

use rstest::rstest;
use sockets::{NO_FLAGS, Pair, shutdown};
use static_assertions::{assert_impl_all, const_assert};
use unisend::ErrorKind::*;
use unisend::{
    Address, Datagram, DatagramSocket, Error, ErrorKind, Operation, SendAllError, SendFlags, SocketKind,
    SocketRef, limits,
};

assert_impl_all!(Error: Send, Sync, Unpin, Copy, StdError, Eq, std::hash::Hash);
assert_impl_all!(SendAllError: Send, Sync, Unpin, Copy, StdError, Eq, std::hash::Hash);
assert_impl_all!(SocketRef<'static>: Send, Sync, Copy);
assert_impl_all!(SocketRef<'static, DatagramSocket>: Send, Sync, Copy);
assert_impl_all!(Address: Send, Sync, Copy);
const_assert!(size_of::<Error>() <= 16);
const_assert!(size_of::<Result<usize, Error>>() <= 16);

/// The table of the contract: each kind, the errno that an io::Error of it has, and what std calls that where
/// std has a stable word for it.
const TABLE: &[(ErrorKind, Option<i32>, Option<Std>)] = &[
    (WouldBlock, Some(libc::EAGAIN), Some(Std::WouldBlock)),
    (Connecting, Some(libc::EAGAIN), Some(Std::WouldBlock)),
    (Interrupted, Some(libc::EINTR), Some(Std::Interrupted)),
    (NotConnected, Some(libc::ENOTCONN), Some(Std::NotConnected)),
    (Disconnected, Some(libc::EPIPE), Some(Std::BrokenPipe)),
    (Reset, Some(libc::ECONNRESET), Some(Std::ConnectionReset)),
    (Refused, Some(libc::ECONNREFUSED), Some(Std::ConnectionRefused)),
    (TimedOut, Some(libc::ETIMEDOUT), Some(Std::TimedOut)),
    (Aborted, Some(libc::ECONNABORTED), Some(Std::ConnectionAborted)),
    (DestinationRequired, Some(libc::EDESTADDRREQ), None),
    (AlreadyConnected, Some(libc::EISCONN), None),
    (MessageTooLong, Some(libc::EMSGSIZE), None),
    (TooManySlices, Some(libc::EMSGSIZE), None),
    (LengthOverflow, Some(libc::EINVAL), Some(Std::InvalidInput)),
    (EmptyRecord, Some(libc::EINVAL), Some(Std::InvalidInput)),
    (TooManyDescriptors, Some(libc::E2BIG), Some(Std::ArgumentListTooLong)),
    (DescriptorsWithoutData, Some(libc::EINVAL), Some(Std::InvalidInput)),
    (DescriptorsInFlight, Some(libc::EMFILE), None),
    (DescriptorsLost, Some(libc::EMSGSIZE), None),
    (TooManyOpenFiles, Some(libc::EMFILE), None),
    (NoBufferSpace, Some(libc::ENOBUFS), None),
    (OutOfMemory, Some(libc::ENOMEM), Some(Std::OutOfMemory)),
    (Unreachable, Some(libc::EHOSTUNREACH), Some(Std::HostUnreachable)),
    (NetworkDown, Some(libc::ENETDOWN), Some(Std::NetworkDown)),
    (AddressNotAvailable, Some(libc::EADDRNOTAVAIL), Some(Std::AddrNotAvailable)),
    (AddressInUse, Some(libc::EADDRINUSE), Some(Std::AddrInUse)),
    (AddressFamily, Some(libc::EAFNOSUPPORT), None),
    (PermissionDenied, Some(libc::EACCES), Some(Std::PermissionDenied)),
    (NotFound, Some(libc::ENOENT), Some(Std::NotFound)),
    (BadPath, Some(libc::ELOOP), None),
    (WrongSocketType, Some(libc::EPROTOTYPE), None),
    (NotSocket, Some(libc::ENOTSOCK), None),
    (BadDescriptor, Some(libc::EBADF), None),
    (Unsupported, Some(libc::EOPNOTSUPP), None),
    (InvalidInput, Some(libc::EINVAL), Some(Std::InvalidInput)),
    (Io, Some(libc::EIO), None),
    (Other, None, Some(Std::Other)),
];

#[test]
fn every_kind_has_its_errno_and_what_std_calls_it() {
    let kinds: Vec<_> = TABLE.iter().map(|row| row.0).collect();
    assert_eq!(kinds, ErrorKind::all().collect::<Vec<_>>());
    for &(kind, errno, std) in TABLE {
        assert_eq!(kind.canonical_errno(), errno, "{kind}");
        let expected = match (std, errno) {
            (Some(std), _) => std,
            (None, Some(errno)) => io::Error::from_raw_os_error(errno).kind(),
            (None, None) => unreachable!("a kind without errno has a word"),
        };
        assert_eq!(Std::from(kind), expected, "{kind}");
        assert_eq!(kind.to_string(), format!("{kind:?}"));
    }
}

/// An error that was refused before the call, by how it comes about.
fn refused(how: &str) -> Error {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixDatagram::unbound().unwrap();
    let to = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().unwrap());
    let send_to =
        |datagram: SocketRef<'_, DatagramSocket>, to| datagram.send_to(b"x", &to, NO_FLAGS).unwrap_err();
    match how {
        "slices" => SocketRef::udp_v4(&udp).send_vectored(&[IoSlice::new(b""); 1025], NO_FLAGS).unwrap_err(),
        "empty record" => Pair::new(SocketKind::UnixSeqpacket).socket().send(b"", NO_FLAGS).unwrap_err(),
        "flag" => SocketRef::udp_v4(&udp).send(b"x", SendFlags::OUT_OF_BAND).unwrap_err(),
        "urgent loop" => {
            Pair::new(SocketKind::Tcp).socket().send_all(b"x", SendFlags::OUT_OF_BAND).unwrap_err().error()
        }
        "v6 from v4" => send_to(SocketRef::udp_v4(&udp), to("[::1]:9")),
        "v4 from v6" => send_to(SocketRef::udp_v6(&udp), to("127.0.0.1:9")),
        "v4 from unix" => send_to(SocketRef::unix_datagram(&unix), to("127.0.0.1:9")),
        "port 0" => send_to(SocketRef::udp_v4(&udp), to("127.0.0.1:0")),
        "unspecified" => send_to(SocketRef::udp_v4(&udp), to("0.0.0.0:9")),
        "mapped" => send_to(SocketRef::udp_v6(&udp), to("[::ffff:127.0.0.1]:9")),
        "sockaddr" => Address::from_sockaddr_bytes(&[7]).unwrap_err(),
        "bytes" => send_to(SocketRef::udp_v4(&udp), Address::from_sockaddr_bytes(&[7; 12]).unwrap()),
        "no path" => Address::unix("").unwrap_err(),
        "long path" => Address::unix("x".repeat(limits::UNIX_PATH_BYTES + 1)).unwrap_err(),
        "NUL in path" => Address::unix("a\0b").unwrap_err(),
        "abstract" => Address::unix_abstract(&[7; limits::ABSTRACT_NAME_BYTES + 1]).unwrap_err(),
        how => panic!("{how}?"),
    }
}

/// A refusal names the call and what would be right, not just what was wrong.
#[rstest]
#[case::l5_slices("slices", TooManySlices, Operation::SendVectored, &["1024", "send_all_vectored"])]
#[case::b7_empty_record("empty record", EmptyRecord, Operation::Send, &["a byte", "OpenBSD", "Linux"])]
#[case::f2_flag("flag", Unsupported, Operation::Send, &["flag", "tables in SendFlags"])]
#[case::f2_urgent_loop("urgent loop", Unsupported, Operation::SendAll, &["OUT_OF_BAND", "with send"])]
#[case::a5_v6_from_v4("v6 from v4", AddressFamily, Operation::SendTo, &["IPv4"])]
#[case::a8_v4_from_v6("v4 from v6", AddressFamily, Operation::SendTo, &["IPv6"])]
#[case::a5_v4_from_unix("v4 from unix", AddressFamily, Operation::SendTo, &["unix"])]
#[case::a7_port_0("port 0", AddressNotAvailable, Operation::SendTo, &["port 0", "receiver's port"])]
#[case::a5_unspecified("unspecified", AddressNotAvailable, Operation::SendTo, &["loopback"])]
#[case::a8_mapped("mapped", AddressNotAvailable, Operation::SendTo, &["from an IPv4 socket", "Address::v4_mapped"])]
#[case::o2_length("sockaddr", InvalidInput, Operation::Address, &["2 to 128 bytes", "length"])]
#[case::o2_known_kind("bytes", AddressFamily, Operation::SendTo, &["bytes", "declared as other"])]
#[case::a6_no_path("no path", InvalidInput, Operation::Address, &["empty path"])]
#[case::a6_long_path("long path", InvalidInput, Operation::Address, &["103 bytes", "shorter"])]
#[case::a6_nul("NUL in path", InvalidInput, Operation::Address, &["NUL"])]
fn a_refusal_says_what_would_be_right(
    #[case] how: &str,
    #[case] kind: ErrorKind,
    #[case] operation: Operation,
    #[case] words: &[&str],
) {
    let error = refused(how);
    assert_eq!((error.kind(), error.operation()), (kind, operation));
    assert_eq!(error.kernel_errno(), None);
    let text = error.to_string();
    assert!(text.starts_with(&format!("{operation} refused: ")), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    assert_eq!(format!("{error:?}"), format!("Error({kind:?}, {text})"));
    // As an io::Error it keeps its text, and can be had back.
    let converted = io::Error::from(error);
    assert_eq!((converted.kind(), converted.raw_os_error()), (Std::from(kind), None));
    assert_eq!(converted.to_string(), text);
    let inner = converted.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    assert_eq!(inner, Some(&error));
    assert_eq!(converted.downcast::<Error>().unwrap(), error);
}

#[test]
fn a6_an_abstract_name_is_refused_in_words() {
    let text = refused("abstract").to_string();
    let expected = sockets::differs("107 bytes", "OpenBSD has no abstract names; use a path");
    assert!(text.contains(expected), "{text}");
}

/// One error that a kernel gave.
fn failed(how: &str) -> Error {
    match how {
        "shut down" => {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            shutdown(&ours, Shutdown::Write).unwrap();
            SocketRef::from(&ours).send(b"x", NO_FLAGS).unwrap_err()
        }
        "no peer" => {
            let alone = UnixDatagram::unbound().unwrap();
            SocketRef::from(&alone).send_vectored(&[IoSlice::new(b"x")], NO_FLAGS).unwrap_err()
        }
        "no path" => {
            let alone = UnixDatagram::unbound().unwrap();
            let to = Address::unix("/nonexistent/unisend").unwrap();
            SocketRef::unix_datagram(&alone).send_to(b"x", &to, NO_FLAGS).unwrap_err()
        }
        "no socket" => {
            let file = tempfile::tempfile().unwrap();
            SocketRef::tcp(&file).send(b"x", NO_FLAGS).unwrap_err()
        }
        "probed" => {
            let file = tempfile::tempfile().unwrap();
            SocketRef::probe(&file).unwrap_err()
        }
        "full" => {
            let pair = Pair::nonblocking(SocketKind::UnixStream);
            sockets::fill(&pair.socket(), &[7; 1000]);
            pair.socket().send_all(&[7; 1000], NO_FLAGS).unwrap_err().error()
        }
        how => panic!("{how}?"),
    }
}

/// A failure names the call, the kind, and the kernel's own errno for the log.
#[rstest]
#[case::s7_shut_down("shut down", Disconnected, Operation::Send, ("EPIPE", libc::EPIPE))]
#[case::s16_no_peer(
    "no peer", DestinationRequired, Operation::SendVectored,
    sockets::differs(("ENOTCONN", libc::ENOTCONN), ("EDESTADDRREQ", libc::EDESTADDRREQ))
)]
#[case::a10_no_path("no path", NotFound, Operation::SendTo, ("ENOENT", libc::ENOENT))]
#[case::not_a_socket("no socket", NotSocket, Operation::Send, ("ENOTSOCK", libc::ENOTSOCK))]
#[case::not_a_socket_either("probed", NotSocket, Operation::Probe, ("ENOTSOCK", libc::ENOTSOCK))]
#[case::b5_full("full", WouldBlock, Operation::SendAll, ("EAGAIN", libc::EAGAIN))]
fn a_failure_says_what_the_kernel_said(
    #[case] how: &str,
    #[case] kind: ErrorKind,
    #[case] operation: Operation,
    #[case] errno: (&str, i32),
) {
    let error = failed(how);
    assert_eq!((error.kind(), error.operation()), (kind, operation));
    assert_eq!(error.kernel_errno(), Some(errno.1));
    let text = error.to_string();
    let described = io::Error::from_raw_os_error(errno.1);
    assert_eq!(text, format!("{operation} failed: {kind}: {}, {described}", errno.0));
    assert_eq!(format!("{error:?}"), format!("Error({kind:?}, {text})"));

    // The io::Error has the canonical errno, which need not be the kernel's.
    let converted = io::Error::from(error);
    assert_eq!(converted.raw_os_error(), kind.canonical_errno());
    assert_eq!(converted.kind(), Std::from(kind));
}

/// What code relies on that retries: the groups of kinds.
#[test]
fn the_questions_about_an_error() {
    assert!(failed("full").would_block() && !failed("full").peer_gone());
    assert!(failed("shut down").peer_gone() && !failed("shut down").would_block());
    for how in ["no peer", "no path", "no socket", "probed"] {
        assert!(!failed(how).peer_gone() && !failed(how).would_block(), "{how}");
    }
    for how in ["slices", "flag", "port 0", "long path"] {
        let error = refused(how);
        assert!(!error.peer_gone() && !error.would_block() && !error.may_have_sent(), "{how}");
    }
    // A hard error on a stream leaves open what was sent where the kernel does not say; a soft one never.
    assert_eq!(failed("shut down").may_have_sent(), sockets::OPENBSD);
    assert!(!failed("full").may_have_sent());
}

/// Equal errors are equal, and different ones are not: the kind, the errno and the call all count.
#[test]
fn errors_compare_by_all_that_they_say() {
    assert_eq!(failed("shut down"), failed("shut down"));
    assert_ne!(failed("shut down"), failed("full"));
    assert_ne!(failed("no socket"), failed("probed"), "the same errno from another call");
    assert_ne!(refused("flag"), refused("urgent loop"), "the same kind for another reason");
    let set: std::collections::HashSet<_> =
        ["flag", "flag", "port 0", "mapped"].map(refused).into_iter().collect();
    assert_eq!(set.len(), 3);
}

#[test]
fn a_question_mark_converts() {
    fn to_io(socket: &SocketRef<'_, impl Sized>) -> io::Result<usize> {
        socket.send_all(b"x", NO_FLAGS)?;
        Ok(socket.send(b"x", NO_FLAGS)?)
    }
    fn to_box(socket: &SocketRef<'_, impl Sized>) -> Result<usize, Box<dyn StdError + Send + Sync>> {
        Ok(socket.send(b"x", NO_FLAGS)?)
    }
    fn to_box_from_all(socket: &SocketRef<'_, impl Sized>) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(socket.send_all(b"x", NO_FLAGS)?)
    }
    fn to_ours(socket: &SocketRef<'_, impl Sized>) -> Result<(), Error> {
        Ok(socket.send_all(b"x", NO_FLAGS)?)
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = SocketRef::from(&ours);
    assert_eq!(to_io(&socket).unwrap(), 1);

    drop(theirs);
    let error = to_io(&socket).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (Std::BrokenPipe, Some(libc::EPIPE)));
    assert_eq!(to_ours(&socket).unwrap_err().kind(), Disconnected);
    let boxed = to_box(&socket).unwrap_err();
    assert_eq!(boxed.downcast_ref::<Error>().unwrap().kind(), Disconnected);
    assert!(boxed.source().is_none());
    let boxed = to_box_from_all(&socket).unwrap_err();
    assert_eq!(boxed.downcast_ref::<SendAllError>().unwrap().kind(), Disconnected);
}

/// The error of a loop says all itself: what follows the sources of an error says nothing twice.
#[test]
fn what_a_stopped_loop_says() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let stopped = SocketRef::from(&ours).send_all(b"x", NO_FLAGS).unwrap_err();
    assert!(stopped.source().is_none());
    assert_eq!(stopped.to_string(), format!("{}, after 0 bytes were accepted", stopped.error()));
    assert_eq!(Error::from(stopped), stopped.error());
    assert_eq!(io::Error::from(stopped).kind(), Std::BrokenPipe);
}

/// A batch is counted in datagrams.
#[test]
fn what_a_stopped_batch_says() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    drop(theirs);
    let slices = [IoSlice::new(b"two")];
    let stopped = SocketRef::from(&ours).send_batch(&[Datagram::new(&slices)], NO_FLAGS).unwrap_err();
    assert_eq!(stopped.to_string(), format!("{}, after 0 datagrams were accepted", stopped.error()));
}
