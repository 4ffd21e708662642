//! No descriptor is leaked or closed twice. One test counts the open descriptors before and after each case.
//! It is a single test, because another one would open and close descriptors at the same time.

mod sockets;

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::dup;
use sockets::{DESCRIPTORS, NO_FLAGS, OPENBSD};
use unisend::{ControlBuffer, ErrorKind, Message, ReceiveFlags, SendFlags, SocketRef, Transfer};

/// The numbers that are open.
fn open_descriptors() -> Vec<i32> {
    let is_open = |&number: &i32| {
        // SAFETY: it is borrowed for one call, which asks whether it is open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl(descriptor, FcntlArg::F_GETFD) != Err(Errno::EBADF)
    };
    (0..DESCRIPTORS as i32).filter(is_open).collect()
}

fn null() -> File {
    File::open("/dev/null").expect("/dev/null")
}

/// A pair of which the one has been sent 4 bytes with so many descriptors, by nix: as a foreign program does.
fn sent(count: usize) -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    send_foreign(&ours, count);
    (ours, theirs)
}

fn send_foreign(socket: &impl AsFd, count: usize) {
    use std::os::fd::AsRawFd;

    let null = null();
    let numbers = vec![null.as_raw_fd(); count];
    let control = [ControlMessage::ScmRights(&numbers)];
    let slices = [IoSlice::new(b"data")];
    let fd = socket.as_fd().as_raw_fd();
    sendmsg::<()>(fd, &slices, &control, MsgFlags::empty(), None).expect("room");
}

/// Receives 4 bytes: how many of the descriptors are taken, and how many there were.
fn receive(socket: &SocketRef<'_, impl Sized>, take: usize) -> (Vec<OwnedFd>, bool) {
    let mut control = ControlBuffer::new();
    let mut bytes = [0; 4];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let mut received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).expect("a message");
    let taken = received.descriptors().take(take).collect();
    (taken, received.descriptors_lost())
}

fn taken_by_none() {
    let (_ours, theirs) = sent(3);
    assert_eq!(receive(&SocketRef::from(&theirs), 0).0.len(), 0);
}

fn taken_in_part() {
    let (_ours, theirs) = sent(3);
    assert_eq!(receive(&SocketRef::from(&theirs), 1).0.len(), 1);
}

fn taken_all() {
    let (_ours, theirs) = sent(3);
    assert_eq!(receive(&SocketRef::from(&theirs), 9).0.len(), 3);
}

fn as_many_as_the_kernel_sends() {
    let most = if OPENBSD { 127 } else { 253 };
    let (_ours, theirs) = sent(most);
    let (taken, lost) = receive(&SocketRef::from(&theirs), 300);
    assert_eq!((taken.len(), lost), (most, false));
}

fn a_panic_in_the_middle() {
    let (_ours, theirs) = sent(5);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut control = ControlBuffer::new();
        let mut bytes = [0; 4];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let socket = SocketRef::from(&theirs);
        let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty()).expect("a message");
        for (index, _descriptor) in received.into_descriptors().enumerate() {
            assert!(index < 2, "this is the panic");
        }
    }));
    assert!(outcome.is_err());
}

/// A descriptor can be number 0, in a program that closed its standard input.
fn number_zero() {
    use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};

    let (_ours, theirs) = sent(2);
    let standard_input = dup(std::io::stdin()).expect("a descriptor");
    // SAFETY: nobody reads the standard input in this test, and it is put back below.
    drop(unsafe { OwnedFd::from_raw_fd(0) });
    let (taken, _) = receive(&SocketRef::from(&theirs), 9);
    assert_eq!((taken.len(), taken[0].as_raw_fd()), (2, 0));
    drop(taken);
    let put_back = dup(&standard_input).expect("a descriptor");
    assert_eq!(put_back.into_raw_fd(), 0);
}

fn not_received_at_all() {
    let (_ours, _theirs) = sent(7);
}

fn received_without_room() {
    let (_ours, theirs) = sent(7);
    let mut bytes = [0; 4];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received = SocketRef::from(&theirs).receive_without_descriptors(&mut slices, ReceiveFlags::empty());
    assert_eq!(received.expect("a message").bytes(), 4);
}

fn into_too_little_room_for_data() {
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    send_foreign(&ours, 3);
    let mut control = ControlBuffer::new();
    let mut bytes = [0; 2];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received = SocketRef::from(&theirs).receive(&mut slices, &mut control, ReceiveFlags::empty());
    let received = received.expect("a datagram");
    assert!(received.is_truncated());
    assert_eq!(received.into_descriptors().count(), 3);
}

fn two_at_once_by_two_messages() {
    let (ours, theirs) = sent(2);
    send_foreign(&ours, 4);
    let socket = SocketRef::from(&theirs);
    assert_eq!(receive(&socket, 9).0.len(), 2);
    assert_eq!(receive(&socket, 9).0.len(), 4);
}

fn many_times() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(b"data")], [null.as_fd(); 9]);
    for round in 0..500 {
        let message = Message::new(&mut slices).with_descriptors(&descriptors);
        message.send(&SocketRef::from(&ours), NO_FLAGS).expect("room");
        assert_eq!(receive(&SocketRef::from(&theirs), round % 12).0.len(), (round % 12).min(9));
    }
}

fn a_socket_in_itself() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut slices = [IoSlice::new(b"x")];
    for _ in 0..20 {
        let descriptors = [ours.as_fd(), theirs.as_fd()];
        let message = Message::new(&mut slices).with_descriptors(&descriptors);
        message.send(&SocketRef::from(&ours), NO_FLAGS).expect("room");
    }
}

fn a_flood_until_it_is_refused() {
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(b"x")], [null.as_fd(); 20]);
    let message = Message::new(&mut slices).with_descriptors(&descriptors);
    let refused = (0..10_000).find_map(|_| message.send(&SocketRef::from(&ours), SendFlags::DONT_WAIT).err());
    let kind = refused.expect("there is an end to it").kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::DescriptorsInFlight), "{kind}");
}

fn refused_by_unisend() {
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let null = null();
    let descriptors = [null.as_fd(); 127];
    assert!(
        Message::new(&mut []).with_descriptors(&descriptors).send(&SocketRef::from(&ours), NO_FLAGS).is_err()
    );
}

fn refused_by_the_kernel() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    drop(theirs);
    let null = null();
    let (mut slices, descriptors) = ([IoSlice::new(b"x")], [null.as_fd(); 3]);
    let error =
        Message::new(&mut slices).with_descriptors(&descriptors).send(&SocketRef::from(&ours), NO_FLAGS);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Disconnected);
}

/// With a header that is sent, with one that is not, and after a failure.
fn with_transfers() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let file = File::open("/").expect("a folder");
    let input = tempfile::tempfile().expect("a file");
    let (head, descriptors) = ([IoSlice::new(b"data")], [file.as_fd(); 3]);
    for _ in 0..2 {
        let transfer = Transfer::new(&input).at(0).with_header(&head).with_descriptors(&descriptors);
        assert_eq!({ transfer }.send(&ours), Ok(4));
    }
    let (taken, lost) = receive(&SocketRef::from(&theirs), 9);
    assert_eq!((taken.len(), lost), (3, false));
    let transfer = Transfer::new(&file).with_header(&head).with_descriptors(&descriptors);
    assert!({ transfer }.send(&ours).is_err());
    drop(theirs);
    let transfer = Transfer::new(&input).with_header(&head).with_descriptors(&descriptors);
    assert!({ transfer }.send(&ours).is_err());
}

/// Receives three descriptors while the table has room for so many more.
fn with_a_table_that_has_room_for(free: usize) {
    let (ours, theirs) = sent(3);
    let null = null();
    let mut filled: Vec<OwnedFd> = std::iter::from_fn(|| dup(&null).ok()).collect();
    filled.truncate(filled.len() - free);
    let socket = SocketRef::from(&theirs);
    let (taken, lost) = receive(&socket, 9);
    drop(filled);
    assert_eq!((taken.len(), lost), if free >= 3 { (3, false) } else { (0, true) }, "{free} free");
    // Not a byte was lost, and the next message is whole.
    send_foreign(&ours, 2);
    assert_eq!(receive(&socket, 9).0.len(), 2);
}

fn no_free_slot() {
    with_a_table_that_has_room_for(0);
}

fn one_free_slot() {
    with_a_table_that_has_room_for(1);
}

fn two_free_slots() {
    with_a_table_that_has_room_for(2);
}

fn just_enough_slots() {
    with_a_table_that_has_room_for(3);
}

/// Linux: credentials, a process's descriptor, a security label and timestamps come too.
fn among_other_messages() {
    use std::os::fd::AsRawFd;

    let (ours, theirs) = UnixStream::pair().expect("a pair");
    for option in [16, 34, 76, 35] {
        let one: i32 = 1;
        let length = size_of_val(&one) as libc::socklen_t;
        let value = (&raw const one).cast();
        // SAFETY: the pointer and length are the int's. What this kernel lacks it refuses.
        unsafe { libc::setsockopt(theirs.as_raw_fd(), libc::SOL_SOCKET, option, value, length) };
    }
    send_foreign(&ours, 5);
    assert_eq!(receive(&SocketRef::from(&theirs), 3).0.len(), 3);
}

#[test]
fn the_table_is_as_it_was_after_every_case() {
    let many = sockets::room_for_descriptors();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(DESCRIPTORS), most).expect("a lower limit");
    let cases: [(&str, fn()); 19] = [
        ("taken by none", taken_by_none),
        ("taken in part", taken_in_part),
        ("taken all", taken_all),
        ("a panic in the middle", a_panic_in_the_middle),
        ("number zero", number_zero),
        ("not received at all", not_received_at_all),
        ("received without room", received_without_room),
        ("into too little room for data", into_too_little_room_for_data),
        ("two at once by two messages", two_at_once_by_two_messages),
        ("many times", many_times),
        ("a socket in itself", a_socket_in_itself),
        ("a flood until it is refused", a_flood_until_it_is_refused),
        ("refused by unisend", refused_by_unisend),
        ("refused by the kernel", refused_by_the_kernel),
        ("with transfers", with_transfers),
        ("no free slot", no_free_slot),
        ("one free slot", one_free_slot),
        ("two free slots", two_free_slots),
        ("just enough slots", just_enough_slots),
    ];
    let others: [(bool, &str, fn()); 2] = [
        (many, "as many as the kernel sends", as_many_as_the_kernel_sends),
        (!OPENBSD, "among other messages", among_other_messages),
    ];
    let others = others.into_iter().filter(|row| row.0).map(|(_, name, case)| (name, case));
    for (name, case) in cases.into_iter().chain(others) {
        let before = open_descriptors();
        case();
        assert_eq!(open_descriptors(), before, "{name}");
    }
}
