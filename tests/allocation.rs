//! No call allocates, whether it succeeds or fails. Creating an address does not allocate either.

mod sockets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::hint::black_box;
use std::io::{IoSlice, IoSliceMut, Write};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rstest::rstest;
use sockets::{CONNECTED_KINDS, Call, NO_FLAGS, Pair, declared, fill, shutdown, unconnected};
use unisend::SocketKind::{self, *};
use unisend::{
    Address, ControlBuffer, Cork, Datagram, DatagramBuffer, Message, Offset, Outcome, Output, ReceiveFlags,
    SegmentOffload, Segments, SendFlags, Sent, SocketRef, Transfer, sendfile,
};

/// The system's allocator, which counts what one thread asks of it.
struct Counting;

/// The thread that is watched, as pthread_self(3) names it. A thread-local variable would itself allocate on
/// OpenBSD.
static WATCHED: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

fn this_thread() -> usize {
    // SAFETY: it has no arguments and cannot fail.
    let thread = unsafe { libc::pthread_self() };
    thread as usize
}

fn count() {
    let watched = WATCHED.load(Ordering::SeqCst);
    if watched != 0 && watched == this_thread() {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: each call is the system's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to what `alloc_zeroed` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to what `realloc` asks for.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller keeps to what `dealloc` asks for.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often the work went to the allocator, to take or to give back, and what came of it.
fn counted<T>(work: impl FnOnce() -> T) -> (usize, T) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    ALLOCATIONS.store(0, Ordering::SeqCst);
    WATCHED.store(this_thread(), Ordering::SeqCst);
    let result = black_box(work());
    WATCHED.store(0, Ordering::SeqCst);
    (ALLOCATIONS.load(Ordering::SeqCst), result)
}

/// Otherwise the other tests would show nothing.
#[test]
fn an_allocation_is_counted() {
    assert_eq!(counted(|| Box::new(7)).0, 1);
    assert_eq!(counted(|| drop(black_box(Box::new(7)))).0, 2);
    assert_eq!(counted(|| vec![0_u8; 100]).0, 1);
    assert_eq!(counted(|| 7).0, 0);
}

#[rstest]
fn a_success(
    #[values(Tcp, UdpV4, UnixStream, UnixDatagram, UnixSeqpacket)] kind: SocketKind,
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
    #[values(NO_FLAGS, SendFlags::DONT_WAIT)] flags: SendFlags,
) {
    let pair = Pair::new(kind);
    let socket = pair.socket();
    let (allocations, outcome) = counted(|| call.run(&socket, b"data", flags));
    assert_eq!((allocations, outcome), (0, Ok(4)));
}

#[test]
fn many_slices() {
    let pair = Pair::new(UnixStream);
    let mut slices = vec![IoSlice::new(b"x"); 5_000];
    let mut rest = &mut slices[..];
    let socket = pair.socket();
    let (allocations, outcome) = counted(|| socket.send_all_vectored(&mut rest, NO_FLAGS));
    assert_eq!((allocations, outcome), (0, Ok(())));
}

/// Failures of the kernel, those that have it asked again, and their conversion.
#[rstest]
fn a_failure(
    #[values(Tcp, UdpV4, UnixStream, UnixDatagram, UnixSeqpacket)] kind: SocketKind,
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let alone = unconnected(kind);
    let ended = Pair::new(kind);
    shutdown(&ended.ours, Shutdown::Write).unwrap();
    let left = Pair::new(kind);
    drop(left.theirs);
    for socket in [declared(kind, &alone), ended.socket(), declared(kind, &left.ours)] {
        let (allocations, outcome) = counted(|| {
            let mut last = call.run(&socket, b"x", SendFlags::DONT_WAIT);
            for _ in 0..3 {
                last = call.run(&socket, b"x", SendFlags::DONT_WAIT);
            }
            last.map_err(|error| (error.kind(), std::io::Error::from(error)))
        });
        assert_eq!(allocations, 0, "{outcome:?}");
    }
}

#[rstest]
fn would_block(
    #[values(Tcp, UnixStream, UnixDatagram, UnixSeqpacket)] kind: SocketKind,
    #[values(Call::Send, Call::SendVectored, Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let pair = Pair::new(kind);
    let socket = pair.socket();
    fill(&socket, &[7; 500]);
    let (allocations, outcome) = counted(|| call.run(&socket, &[7; 500], SendFlags::DONT_WAIT));
    assert!(outcome.unwrap_err().would_block());
    assert_eq!(allocations, 0);
}

#[test]
fn a_refusal() {
    for kind in CONNECTED_KINDS {
        let pair = Pair::new(kind);
        let socket = pair.socket();
        let slices = vec![IoSlice::new(b"x"); 1025];
        let (allocations, kinds) = counted(|| {
            [
                socket.send(b"x", SendFlags::from_bits_retain(0x80)).unwrap_err().kind(),
                socket.send_vectored(&slices, NO_FLAGS).unwrap_err().kind(),
                socket.send_all(b"x", SendFlags::OUT_OF_BAND).unwrap_err().kind(),
            ]
        });
        assert_eq!(allocations, 0, "{kinds:?}");
    }
}

#[test]
fn descriptors_sent_and_received() {
    if !sockets::room_for_descriptors() {
        return;
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let (mut slices, descriptors) = ([IoSlice::new(b"data")], [ours.as_fd(); 126]);
    let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
    let mut buffer = [0; 4];
    let (allocations, taken) = counted(|| {
        message.send_all(&SocketRef::from(&ours), NO_FLAGS).unwrap();
        let (mut control, mut slices) = (ControlBuffer::new(), [IoSliceMut::new(&mut buffer)]);
        let socket = SocketRef::from(&theirs);
        let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).unwrap();
        let taken = received.into_descriptors().count();
        socket.receive_without_descriptors(&mut slices, ReceiveFlags::DONT_WAIT).unwrap_err();
        Message::new(&mut []).with_descriptors(&descriptors).send(&socket, NO_FLAGS).unwrap_err();
        socket.peer_credentials().unwrap();
        taken
    });
    assert_eq!((allocations, taken), (0, 126));
}

#[test]
fn files() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"data").unwrap();
    let null = File::options().write(true).open("/dev/null").unwrap();
    // Linux's sendfile cannot read this one (clause X8).
    let unreadable = File::open("/proc/self/limits").unwrap_or_else(|_| file.try_clone().unwrap());
    let (pair, gone) = (Pair::new(UnixStream), Pair::new(Tcp));
    shutdown(&gone.ours, Shutdown::Write).unwrap();
    for output in [pair.socket().into(), Output::file(&null)] {
        let (allocations, sent) = counted(|| {
            let mut buffer = [0; 2];
            [
                sendfile(output, &file, Offset::At(&mut 0), 5),
                sendfile(output, &unreadable, Offset::At(&mut 0), 4),
                sockets::transfer(output, &file, Offset::At(&mut 0), 5, Some(&mut buffer)),
                sockets::transfer_all(output, &file, Offset::At(&mut 0), 5, None)
                    .map_err(|stopped| stopped.error()),
            ]
        });
        assert_eq!((allocations, sent), (0, [Ok(4); 4]));
        let (allocations, failed) = counted(|| {
            [
                sendfile(gone.socket(), &file, Offset::At(&mut 0), 5),
                sendfile(output, &null, Offset::At(&mut 0), 5),
                sendfile(output, &file, Offset::At(&mut { u64::MAX }), 5),
            ]
            .map(|sent| sent.is_err())
        });
        assert_eq!((allocations, failed), (0, [true; 3]));
    }
}

#[test]
fn transfers() {
    let (small, large) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    small.set_len(4).unwrap();
    large.set_len(9000).unwrap();
    let null = File::options().write(true).open("/dev/null").unwrap();
    let folder = File::open("/").unwrap();
    let (tcp, unix) = (Pair::new(Tcp), Pair::new(UnixStream));
    let (head, tail) = ([IoSlice::new(b"first")], [IoSlice::new(b"last")]);
    let descriptors = [small.as_fd()];
    for output in [tcp.socket().into(), unix.socket().into(), Output::file(&null)] {
        for (file, length) in [(&small, 4), (&large, 9000)] {
            let (allocations, outcomes) = counted(|| {
                let mut buffer = [0; 1000];
                let whole = || Transfer::new(file).at(0).with_header(&head).with_trailer(&tail);
                [
                    whole().send_all(output),
                    whole().count(length).send_all(output),
                    whole().by_copying(&mut buffer).send_all(output),
                    whole().resume(Sent::default()).send_all(output),
                ]
            });
            assert_eq!((allocations, outcomes), (0, [Ok(Outcome::Whole); 4]));
            let (allocations, failed) = counted(|| {
                let cork = match output {
                    Output::Socket(socket) => Cork::new(&socket).is_ok(),
                    _ => true,
                };
                let early = Transfer::new(file).at(0).count(length + 1).with_trailer(&tail).send_all(output);
                let refused = Transfer::new(&folder).with_header(&head).send_all(output).is_err();
                (cork, early, refused)
            });
            assert_eq!((allocations, failed), (0, (true, Ok(Outcome::FileEnded { missing: 1 }), true)));
        }
    }
    let (allocations, sent) = counted(|| {
        let transfer = Transfer::new(&large).at(0).with_header(&head).with_descriptors(&descriptors);
        { transfer }.send_all(unix.socket())
    });
    assert_eq!((allocations, sent), (0, Ok(Outcome::Whole)));
}

#[test]
fn addresses_and_sends_to_them() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = receiver.local_addr().unwrap() else { unreachable!("bound to IPv4") };
    let (allocations, outcomes) = counted(|| {
        let socket = SocketRef::udp_v4(&sender);
        let nowhere = Address::from(SocketAddr::from(([127, 0, 0, 1], 0)));
        (
            socket.send_to(b"x", &Address::from(address), NO_FLAGS),
            socket.send_to(b"x", &nowhere, NO_FLAGS).map_err(|error| error.kind()),
        )
    });
    assert_eq!(allocations, 0);
    assert_eq!(outcomes, (Ok(1), Err(unisend::ErrorKind::AddressNotAvailable)));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("receiver");
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    let long = "x".repeat(200);
    let (allocations, outcomes) = counted(|| {
        let _abstract = Address::unix_abstract(b"name");
        let to = Address::unix(&path).unwrap();
        (
            SocketRef::unix_datagram(&sender).send_to(b"x", &to, NO_FLAGS),
            Address::unix(&long).map_err(|error| error.kind()).err(),
        )
    });
    assert_eq!(allocations, 0);
    assert_eq!(outcomes, (Ok(1), Some(unisend::ErrorKind::InvalidInput)));
}

#[test]
fn batches_and_segments() {
    let (ours, theirs) = sockets::udp_pair();
    let (slices, bytes) = ([IoSlice::new(b"data")], [0; 3000]);
    let (socket, receiver) = (SocketRef::udp_v4(&ours), SocketRef::udp_v4(&theirs));
    let mut rooms = [[0; 8]; 70];
    let (allocations, sent) = counted(|| {
        let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
        let by_batch = socket.send_batch(&[Datagram::new(&slices); 70], NO_FLAGS).is_ok();
        let received = receiver.receive_batch(&mut buffers, ReceiveFlags::empty()).is_ok();
        let named = buffers[0].sender().is_some();
        let segments = Segments::new(&bytes, 1200);
        let by_kernel = segments.send(&socket, &mut SegmentOffload::new(), NO_FLAGS).is_ok();
        let divided = segments.send(&socket, &mut SegmentOffload::never(), NO_FLAGS).is_ok();
        let refused = Segments::new(&bytes, 0).send(&socket, &mut SegmentOffload::new(), NO_FLAGS).is_err();
        [by_batch, received, named, by_kernel, divided, refused]
    });
    assert_eq!((allocations, sent), (0, [true; 6]));
}

#[test]
fn probing() {
    for kind in CONNECTED_KINDS {
        let pair = Pair::new(kind);
        let (allocations, probed) = counted(|| SocketRef::probe(&pair.ours).map(|socket| socket.kind()));
        assert_eq!((allocations, probed), (0, Ok(kind)));
    }
}
