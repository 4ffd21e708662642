//! poll(2) and select(2) behave as their manuals say, and write(2) agrees with send. A program that waits
//! relies on this.

mod sockets;

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::select::{FdSet, select};
use nix::sys::time::TimeVal;
use rstest::rstest;
use sockets::{
    CONNECTED_KINDS, Call, NO_FLAGS, OPENBSD, PATIENCE, Pair, fill, is_writable, narrow, pattern,
    read_exactly, set_buffer, set_nonblocking,
};
use unisend::ErrorKind::WouldBlock;
use unisend::SendFlags;
use unisend::SocketKind::{self, *};

/// How a program asks whether a socket can be written to.
#[derive(Debug, Clone, Copy)]
enum Asking {
    Poll,
    Select,
}

impl Asking {
    fn writable(self, fd: &OwnedFd, timeout: Duration) -> bool {
        match self {
            Self::Poll => is_writable(fd, timeout),
            Self::Select => {
                let mut writable = FdSet::new();
                writable.insert(fd.as_fd());
                let mut timeout = TimeVal::new(
                    timeout.as_secs() as libc::time_t,
                    timeout.subsec_micros() as libc::suseconds_t,
                );
                select(None, None, Some(&mut writable), None, Some(&mut timeout)).unwrap();
                writable.contains(fd.as_fd())
            }
        }
    }
}

/// A message that fits wherever there is room at all.
const MESSAGE: [u8; 64] = [7; 64];

#[rstest]
fn a_writable_socket_accepts(#[values(Asking::Poll, Asking::Select)] asking: Asking) {
    for kind in CONNECTED_KINDS {
        for call in Call::ALL {
            let pair = Pair::nonblocking(kind);
            assert!(asking.writable(&pair.ours, PATIENCE), "{kind:?}");
            assert_eq!(call.run(&pair.socket(), &MESSAGE, NO_FLAGS), Ok(64), "{call:?} on {kind:?}");
        }
    }
}

/// What was said to be full is full, and when it was read there is room again.
#[rstest]
#[case::b5_tcp(Tcp)]
#[case::b5_unix_stream(UnixStream)]
#[case::b5_unix_seqpacket(UnixSeqpacket)]
#[case::b3_unix_datagram(UnixDatagram)]
fn a_full_socket(#[case] kind: SocketKind, #[values(Asking::Poll, Asking::Select)] asking: Asking) {
    let pair = Pair::nonblocking(kind);
    set_buffer(&pair.ours, libc::SO_SNDBUF, 16_384);
    set_buffer(&pair.theirs, libc::SO_RCVBUF, 16_384);
    let accepted = fill(&pair.socket(), &MESSAGE);

    // "Differs": OpenBSD always calls a unix datagram socket writable, whatever its receiver.
    let always = OPENBSD && kind == UnixDatagram;
    assert_eq!(asking.writable(&pair.ours, Duration::ZERO), always);
    for call in Call::ALL {
        assert_eq!(call.run(&pair.socket(), &MESSAGE, NO_FLAGS).unwrap_err().kind(), WouldBlock, "{call:?}");
    }

    let mut arrived = 0;
    while arrived < accepted {
        arrived += pair.arriving().len();
    }
    assert_eq!((arrived, pair.received()), (accepted, None));
    assert!(asking.writable(&pair.ours, PATIENCE), "it was read");
    assert_eq!(pair.socket().send(&MESSAGE, NO_FLAGS), Ok(64));
}

/// The loop that a program writes around "would block": wait until writable, go on with the rest.
#[rstest]
#[case::b5_tcp(Tcp)]
#[case::b5_unix_stream(UnixStream)]
fn sending_as_it_gets_writable(
    #[case] kind: SocketKind,
    #[values(Asking::Poll, Asking::Select)] asking: Asking,
) {
    let pair = Pair::nonblocking(kind);
    set_buffer(&pair.ours, libc::SO_SNDBUF, 16_384);
    set_buffer(&pair.theirs, libc::SO_RCVBUF, 16_384);
    let data = pattern(1 << 20);
    let Pair { ours, theirs, .. } = pair;
    let expected = data.clone();
    let length = data.len();
    let sender = std::thread::spawn(move || {
        let socket = sockets::declared(kind, &ours);
        let deadline = Instant::now() + PATIENCE;
        let mut sent = 0;
        while let Err(stopped) = socket.send_all(&data[sent..], NO_FLAGS) {
            assert_eq!(stopped.kind(), WouldBlock, "{stopped}");
            assert!(Instant::now() < deadline, "it waits for ever");
            sent += stopped.accepted();
            assert!(asking.writable(&ours, PATIENCE), "never writable again");
        }
    });
    assert!(read_exactly(&theirs, length) == expected, "not the same bytes");
    sockets::finished(sender, |_| {});
}

/// Of send without flags, a plain write, and each of unisend's calls, none accepts more or less.
#[rstest]
#[case::unix_stream(UnixStream, 1 << 20)]
#[case::unix_datagram(UnixDatagram, 5_000)]
#[case::unix_seqpacket(UnixSeqpacket, 5_000)]
#[case::udp(UdpV4, 5_000)]
#[case::tcp(Tcp, 5_000)]
fn a_write_accepts_the_same_bytes(#[case] kind: SocketKind, #[case] length: usize) {
    let data = pattern(length);
    let pair_for = |kind| {
        let pair = if kind == UnixStream { narrow(kind) } else { Pair::new(kind) };
        set_nonblocking(&pair.ours, true);
        pair
    };
    let written = pair_for(kind);
    let by_write = nix::unistd::write(&written.ours, &data).unwrap();
    let sent = pair_for(kind);
    let flags = nix::sys::socket::MsgFlags::empty();
    let by_send = nix::sys::socket::send(sent.ours.as_raw_fd(), &data, flags).unwrap();
    assert_eq!(by_write, by_send);
    assert_eq!(by_write == length, kind != UnixStream, "a stream takes what it has room for");

    let arrived = |pair: &Pair| match kind {
        Tcp | UnixStream => read_exactly(&pair.theirs, by_write),
        _ => pair.arriving(),
    };
    assert!(arrived(&written) == data[..by_write] && arrived(&sent) == data[..by_write]);

    for call in Call::ALL {
        let pair = pair_for(kind);
        let accepted = call.to_the_end(&pair.socket(), &data, NO_FLAGS).unwrap_or_else(|stopped| {
            assert_eq!(stopped.error().kind(), WouldBlock);
            stopped.accepted()
        });
        // A loop tries to fill what one call leaves, and slices are put into buffers of their own.
        if call == Call::Send || kind != UnixStream {
            assert_eq!(accepted, by_write, "{call:?}");
        }
        let arrived = match kind {
            Tcp | UnixStream => read_exactly(&pair.theirs, accepted),
            _ => pair.arriving(),
        };
        assert!(arrived == data[..accepted], "{call:?}: not the same bytes");
        assert_eq!(pair.received(), None);
    }
}

/// writev(2) and `send_vectored` accept the same of the same slices.
#[test]
fn a_vectored_write_accepts_the_same_bytes() {
    let data = pattern(1 << 20);
    let slices: Vec<_> = data.chunks(data.len() / 64).map(IoSlice::new).collect();
    let written = narrow(UnixStream);
    set_nonblocking(&written.ours, true);
    let by_write = nix::sys::uio::writev(&written.ours, &slices).unwrap();
    let pair = narrow(UnixStream);
    set_nonblocking(&pair.ours, true);
    assert_eq!(pair.socket().send_vectored(&slices, NO_FLAGS), Ok(by_write));
    assert!(by_write < data.len());
    assert!(read_exactly(&written.theirs, by_write) == data[..by_write]);
    assert!(read_exactly(&pair.theirs, by_write) == data[..by_write]);
}

/// A blocking socket asked not to wait is as a non-blocking one is.
#[test]
fn f1_dont_wait_is_nonblocking_for_one_call() {
    for kind in [Tcp, UnixStream, UnixDatagram, UnixSeqpacket] {
        let pair = Pair::new(kind);
        let accepted = fill(&pair.socket(), &MESSAGE);
        assert!(accepted > 0);
        let error = pair.socket().send(&MESSAGE, SendFlags::DONT_WAIT).unwrap_err();
        assert!(error.would_block(), "{kind:?}: {error}");
    }
}
