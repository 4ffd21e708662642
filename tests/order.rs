//! Clause G5: every call checks for mistakes in one order, whatever the socket's state. Each call is made
//! with every set of the mistakes that it can have, and must report the first of them.

mod sockets;

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use rstest::rstest;
use sockets::{CONNECTED_KINDS, Pair, declared, unconnected};
use unisend::SocketKind::{self, *};
use unisend::{
    Address, ControlBuffer, Datagram, Error, ErrorKind, Message, Offset, ReceiveFlags, SendFlags, SocketRef,
    limits,
};

/// The mistakes, in the order of the clause. What has too many bytes does not fit into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mistake {
    Flag,
    Address,
    Rest,
    Slices,
    Descriptors,
    EmptyRecord,
}
use Mistake::{Descriptors, EmptyRecord, Flag, Rest, Slices};

impl Mistake {
    fn kind(self) -> ErrorKind {
        match self {
            Flag => ErrorKind::Unsupported,
            Self::Address => ErrorKind::AddressFamily,
            Rest => ErrorKind::InvalidInput,
            Slices => ErrorKind::TooManySlices,
            Descriptors => ErrorKind::TooManyDescriptors,
            EmptyRecord => ErrorKind::EmptyRecord,
        }
    }
}

/// A call that sends, and the mistakes that it can have on this socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Send,
    SendTo,
    SendVectored,
    SendAll,
    SendAllVectored,
    Message,
    MessageTo,
    MessageAll,
    Batch,
}
use Call::{Batch, MessageAll, MessageTo, Send, SendAll, SendAllVectored, SendTo, SendVectored};

impl Call {
    fn can_have(self, mistake: Mistake, kind: SocketKind) -> bool {
        match mistake {
            Flag => true,
            Mistake::Address => matches!(self, SendTo | MessageTo | Batch),
            Rest => matches!(self, Self::Message | MessageTo | MessageAll) && !kind.is_stream(),
            Slices => match self {
                Send | SendTo | SendAll => false,
                SendVectored | Self::Message | MessageTo | Batch => true,
                SendAllVectored | MessageAll => !kind.is_stream(),
            },
            Descriptors => {
                let is_unix = matches!(kind, UnixStream | UnixDatagram | UnixSeqpacket);
                matches!(self, Self::Message | MessageTo | MessageAll) && is_unix
            }
            EmptyRecord => kind == UnixSeqpacket,
        }
    }

    fn run(self, socket: &SocketRef<'_, impl Sized>, has: impl Fn(Mistake) -> bool) -> Error {
        let flags = SendFlags::from_bits_retain(if has(Flag) { 0x40 } else { 0 });
        let bytes: &[u8] = if has(EmptyRecord) { b"" } else { b"x" };
        // The first is what was accepted of the rest; of too many slices one alone has the byte.
        let mut slices = vec![IoSlice::new(b"accepted"), IoSlice::new(bytes)];
        slices.resize(if has(Slices) { limits::SLICES_PER_MESSAGE + 2 } else { 2 }, IoSlice::new(b""));
        let slices = if has(Rest) { &mut slices[..] } else { &mut slices[1..] };
        let elsewhere = if has(Mistake::Address) { "[::1]:9" } else { "127.0.0.1:9" };
        let to = Address::from(elsewhere.parse::<std::net::SocketAddr>().unwrap());
        let datagram = || socket.as_datagram().expect("it has addresses");
        let null = File::open("/dev/null").unwrap();
        let descriptors = vec![null.as_fd(); if has(Descriptors) { 127 } else { 0 }];
        match self {
            Send => socket.send(bytes, flags).unwrap_err(),
            SendTo => datagram().send_to(bytes, &to, flags).unwrap_err(),
            SendVectored => socket.send_vectored(slices, flags).unwrap_err(),
            SendAll => socket.send_all(bytes, flags).unwrap_err().error(),
            SendAllVectored => socket.send_all_vectored(&mut &mut *slices, flags).unwrap_err().error(),
            Batch => datagram().send_batch(&[Datagram::new(slices).to(&to)], flags).unwrap_err().error(),
            Self::Message | MessageTo | MessageAll => {
                let mut message = Message::new(slices);
                if has(Rest) {
                    message.advance(8);
                }
                let mut message = message.with_descriptors(&descriptors);
                match self {
                    Self::Message => message.send(socket, flags).unwrap_err(),
                    MessageTo => message.send_to(&datagram(), &to, flags).unwrap_err(),
                    _ => message.send_all(socket, flags).unwrap_err().error(),
                }
            }
        }
    }
}

const ALL: [Mistake; 6] = [Flag, Mistake::Address, Rest, Slices, Descriptors, EmptyRecord];

#[rstest]
fn g5_the_first_mistake_is_said(
    #[values(
        Send,
        SendTo,
        SendVectored,
        SendAll,
        SendAllVectored,
        Call::Message,
        MessageTo,
        MessageAll,
        Batch
    )]
    call: Call,
) {
    let mut found = 0;
    for kind in CONNECTED_KINDS {
        if matches!(call, SendTo | MessageTo | Batch) && !matches!(kind, UdpV4) {
            continue; // a unix datagram socket takes no internet address at all
        }
        let pair = Pair::new(kind);
        let alone = unconnected(kind);
        let possible: Vec<Mistake> = ALL.into_iter().filter(|&one| call.can_have(one, kind)).collect();
        for set in 1..1_u32 << possible.len() {
            let mistakes: Vec<Mistake> =
                (0..possible.len()).filter(|bit| set & 1 << bit != 0).map(|at| possible[at]).collect();
            for socket in [pair.socket(), declared(kind, &alone)] {
                let error = call.run(&socket, |mistake| mistakes.contains(&mistake));
                let expected = (mistakes[0].kind(), None);
                assert_eq!(
                    (error.kind(), error.kernel_errno()),
                    expected,
                    "{call:?} on {kind:?}: {mistakes:?}"
                );
            }
            found += 1;
        }
        assert_eq!(pair.received(), None, "nothing was sent");
    }
    assert!(found >= 3, "{found}");
}

/// The flags come first here too, and the kernel is not asked.
#[rstest]
fn g5_receiving(#[values(false, true)] without_descriptors: bool) {
    let unknown = ReceiveFlags::from_bits_retain(0x40);
    for (flags, count, expected) in [
        (unknown, 1, ErrorKind::Unsupported),
        (unknown, limits::SLICES_PER_MESSAGE + 1, ErrorKind::Unsupported),
        (unknown | ReceiveFlags::DONT_WAIT, 1, ErrorKind::Unsupported),
        (ReceiveFlags::empty(), limits::SLICES_PER_MESSAGE + 1, ErrorKind::TooManySlices),
        (ReceiveFlags::DONT_WAIT, limits::SLICES_PER_MESSAGE + 1, ErrorKind::TooManySlices),
        (ReceiveFlags::PEEK, limits::SLICES_PER_MESSAGE + 1, ErrorKind::TooManySlices),
        (ReceiveFlags::OUT_OF_BAND, limits::SLICES_PER_MESSAGE + 1, ErrorKind::TooManySlices),
        (ReceiveFlags::OUT_OF_BAND, 0, ErrorKind::InvalidInput),
    ] {
        for kind in CONNECTED_KINDS {
            let alone = unconnected(kind);
            let mut bytes = vec![0; count];
            let mut slices: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
            let mut control = ControlBuffer::new();
            let socket = declared(kind, &alone);
            // A flag that this kind of socket does not honour comes before the slices too (F7f, F8h).
            let honoured = match kind {
                Tcp => ReceiveFlags::all(),
                UdpV4 => ReceiveFlags::all().difference(ReceiveFlags::OUT_OF_BAND),
                _ => ReceiveFlags::DONT_WAIT,
            };
            let expected = if honoured.contains(flags) { expected } else { ErrorKind::Unsupported };
            let outcome = match without_descriptors {
                true => socket.receive_without_descriptors(&mut slices, flags),
                false => socket.receive(&mut slices, &mut control, flags),
            };
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.kernel_errno()), (expected, None), "{kind:?}");
        }
    }
}

/// A socket that sends no stream, then a buffer of no bytes, then what no file has (X4), then the descriptors (X6).
#[test]
fn g5_sendfile() {
    let pair = Pair::new(UnixStream);
    let not_for_reading = File::options().write(true).open("/dev/null").unwrap();
    let seqpacket = SocketRef::unix_seqpacket(&pair.ours);
    for (socket, room, at, kind, says) in [
        (seqpacket, 0, u64::MAX, ErrorKind::Unsupported, "records or datagrams"),
        (seqpacket, 9, u64::MAX, ErrorKind::Unsupported, "records or datagrams"),
        (pair.socket(), 0, u64::MAX, ErrorKind::InvalidInput, "buffer"),
        (pair.socket(), 9, u64::MAX, ErrorKind::InvalidInput, "offset"),
        (pair.socket(), 9, 0, ErrorKind::BadDescriptor, "EBADF"),
    ] {
        let mut buffer = vec![0; room];
        let error =
            sockets::transfer(socket, &not_for_reading, Offset::At(&mut { at }), 1, Some(&mut buffer))
                .unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(says), "{error}");
        let stopped =
            sockets::transfer_all(socket, &not_for_reading, Offset::At(&mut { at }), 1, Some(&mut buffer))
                .unwrap_err();
        assert!(stopped.kind() == kind && stopped.to_string().contains(says), "{stopped}");
    }
}
