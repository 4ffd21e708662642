//! Runs one way to send or receive so many times. `ci/instructions` runs it under callgrind, with two counts: the
//! difference is what one call costs.

use std::ffi::c_int;
use std::hint::black_box;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use nix::sys::socket::{ControlMessage, MsgFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags as RustixFlags,
};
use unisend::{ControlBuffer, DatagramSocket, Message, ReceiveFlags, SendFlags, SocketKind, SocketRef};

const DATA: &[u8] = b"hello";

/// What a way needs: two ends, both as they are and declared, and room to receive.
struct Scene<'fd> {
    ours: &'fd UnixDatagram,
    theirs: &'fd UnixDatagram,
    our_socket: SocketRef<'fd, DatagramSocket>,
    their_socket: SocketRef<'fd, DatagramSocket>,
    buffer: [u8; 64],
    control: ControlBuffer,
}

type Way = fn(&mut Scene<'_>);

/// The ways, by name. Those of one group end in the same state, so that their differences are theirs alone. A
/// socket that was declared has a kind that the compiler knows, one that was probed has not.
const WAYS: [(&str, Way); 15] = [
    ("send-raw", |scene| send(scene, send_raw)),
    ("send-raw-flags", |scene| send(scene, send_raw_flags)),
    ("send-unisend", |scene| send(scene, send_unisend)),
    ("send-unisend-probed", |scene| send(scene, send_unisend_probed)),
    ("send-unisend-flags", |scene| send(scene, send_unisend_flags)),
    ("send-rustix", |scene| send(scene, send_rustix)),
    ("send-nix", |scene| send(scene, send_nix)),
    ("send-std", |scene| send(scene, send_std)),
    ("pass-raw", |scene| pass(scene, pass_raw)),
    ("pass-unisend", |scene| pass(scene, pass_unisend)),
    ("pass-rustix", |scene| pass(scene, pass_rustix)),
    ("pass-nix", |scene| pass(scene, pass_nix)),
    ("take-raw", |scene| take(scene, take_raw)),
    ("take-unisend", |scene| take(scene, take_unisend)),
    ("take-rustix", |scene| take(scene, take_rustix)),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(count)) = (arguments.next(), arguments.next()) else {
        println!("{}", WAYS.map(|(name, _)| name).join("\n"));
        return;
    };
    let (_, way) = WAYS.iter().find(|(known, _)| *known == name).expect("a name that is listed");
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    let mut scene = Scene {
        ours: &ours,
        theirs: &theirs,
        our_socket: SocketRef::from(&ours),
        their_socket: SocketRef::from(&theirs),
        buffer: [0; 64],
        control: ControlBuffer::new(),
    };
    for _ in 0..count.parse().expect("a count") {
        way(&mut scene);
    }
}

/// Sends, and receives raw.
#[inline(always)]
fn send(
    scene: &mut Scene<'_>,
    send: impl Fn(&UnixDatagram, &SocketRef<'_, DatagramSocket>) -> Option<usize>,
) {
    assert_eq!(black_box(send(scene.ours, &scene.our_socket)), Some(DATA.len()));
    let (start, length) = (scene.buffer.as_mut_ptr().cast(), scene.buffer.len());
    // SAFETY: the pointer and length are the buffer's.
    unsafe { libc::recv(scene.theirs.as_raw_fd(), start, length, 0) };
}

/// Sends with a descriptor, and receives raw.
#[inline(always)]
fn pass(
    scene: &mut Scene<'_>,
    pass: impl Fn(&UnixDatagram, &SocketRef<'_, DatagramSocket>, BorrowedFd<'_>) -> Option<usize>,
) {
    let passed = pass(scene.ours, &scene.our_socket, scene.theirs.as_fd());
    assert_eq!(black_box(passed), Some(DATA.len()));
    drop(take_raw(scene.theirs, &scene.their_socket, &mut scene.buffer, &mut scene.control));
}

/// Sends raw with a descriptor, and receives.
#[inline(always)]
fn take(
    scene: &mut Scene<'_>,
    take: impl Fn(&UnixDatagram, &SocketRef<'_, DatagramSocket>, &mut [u8], &mut ControlBuffer) -> Option<OwnedFd>,
) {
    pass_raw(scene.ours, &scene.our_socket, scene.theirs.as_fd());
    let taken = take(scene.theirs, &scene.their_socket, &mut scene.buffer, &mut scene.control);
    assert!(black_box(taken).is_some());
}

fn accepted(returned: isize) -> Option<usize> {
    usize::try_from(returned).ok()
}

#[inline(never)]
fn send_raw(socket: &UnixDatagram, _: &SocketRef<'_, DatagramSocket>) -> Option<usize> {
    let fd = socket.as_raw_fd();
    // SAFETY: the pointer and length are the slice's.
    accepted(unsafe { libc::send(fd, DATA.as_ptr().cast(), DATA.len(), libc::MSG_NOSIGNAL) })
}

#[inline(never)]
fn send_raw_flags(socket: &UnixDatagram, _: &SocketRef<'_, DatagramSocket>) -> Option<usize> {
    let flags = libc::MSG_NOSIGNAL | black_box(libc::MSG_DONTWAIT);
    // SAFETY: the pointer and length are the slice's.
    accepted(unsafe { libc::send(socket.as_raw_fd(), DATA.as_ptr().cast(), DATA.len(), flags) })
}

#[inline(never)]
fn send_unisend(_: &UnixDatagram, socket: &SocketRef<'_, DatagramSocket>) -> Option<usize> {
    SocketRef::new(socket.as_fd(), SocketKind::UnixDatagram).send(DATA, SendFlags::empty()).ok()
}

#[inline(never)]
fn send_unisend_probed(_: &UnixDatagram, socket: &SocketRef<'_, DatagramSocket>) -> Option<usize> {
    socket.send(DATA, SendFlags::empty()).ok()
}

#[inline(never)]
fn send_unisend_flags(_: &UnixDatagram, socket: &SocketRef<'_, DatagramSocket>) -> Option<usize> {
    socket.send(DATA, black_box(SendFlags::DONT_WAIT)).ok()
}

#[inline(never)]
fn send_rustix(socket: &UnixDatagram, _: &SocketRef<'_, DatagramSocket>) -> Option<usize> {
    rustix::net::send(socket, DATA, RustixFlags::NOSIGNAL).ok()
}

#[inline(never)]
fn send_nix(socket: &UnixDatagram, _: &SocketRef<'_, DatagramSocket>) -> Option<usize> {
    nix::sys::socket::send(socket.as_raw_fd(), DATA, MsgFlags::MSG_NOSIGNAL).ok()
}

#[inline(never)]
fn send_std(socket: &UnixDatagram, _: &SocketRef<'_, DatagramSocket>) -> Option<usize> {
    socket.send(DATA).ok()
}

/// Room for one descriptor, where a header of a control message can stand.
#[repr(C, align(8))]
struct OneDescriptor([u8; 24]);

#[inline(never)]
fn pass_raw(
    socket: &UnixDatagram,
    _: &SocketRef<'_, DatagramSocket>,
    descriptor: BorrowedFd<'_>,
) -> Option<usize> {
    let mut control = OneDescriptor([0; 24]);
    let vector = libc::iovec { iov_base: DATA.as_ptr().cast_mut().cast(), iov_len: DATA.len() };
    // SAFETY: zero is a value for every member.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const vector).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = 24;
    // SAFETY: the message has room for a header.
    let header = unsafe { &mut *libc::CMSG_FIRSTHDR(&raw const message) };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    header.cmsg_len = 20;
    // SAFETY: the header is followed by room for an int.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: as above.
    unsafe { data.cast::<c_int>().write_unaligned(descriptor.as_raw_fd()) };
    // SAFETY: all that the message points to is alive.
    accepted(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) })
}

#[inline(never)]
fn pass_unisend(
    _: &UnixDatagram,
    socket: &SocketRef<'_, DatagramSocket>,
    descriptor: BorrowedFd<'_>,
) -> Option<usize> {
    let (mut slices, descriptors) = ([IoSlice::new(DATA)], [descriptor]);
    Message::new(&mut slices).with_descriptors(&descriptors).send(socket, SendFlags::empty()).ok()
}

#[inline(never)]
fn pass_rustix(
    socket: &UnixDatagram,
    _: &SocketRef<'_, DatagramSocket>,
    descriptor: BorrowedFd<'_>,
) -> Option<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(socket, &[IoSlice::new(DATA)], &mut control, RustixFlags::NOSIGNAL).ok()
}

#[inline(never)]
fn pass_nix(
    socket: &UnixDatagram,
    _: &SocketRef<'_, DatagramSocket>,
    descriptor: BorrowedFd<'_>,
) -> Option<usize> {
    let numbers = [descriptor.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&numbers)];
    let slices = [IoSlice::new(DATA)];
    nix::sys::socket::sendmsg::<()>(socket.as_raw_fd(), &slices, &control, MsgFlags::MSG_NOSIGNAL, None).ok()
}

#[inline(never)]
fn take_raw(
    socket: &UnixDatagram,
    _: &SocketRef<'_, DatagramSocket>,
    buffer: &mut [u8],
    _: &mut ControlBuffer,
) -> Option<OwnedFd> {
    let mut control = OneDescriptor([0; 24]);
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: zero is a value for every member.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = 24;
    // SAFETY: all that the message points to is alive, and ours to write.
    accepted(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) })?;
    // SAFETY: the message is as the kernel left it.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() }?;
    // SAFETY: the kernel wrote a descriptor: it is all that this program sends.
    let number = unsafe { libc::CMSG_DATA(header).cast::<c_int>().read_unaligned() };
    // SAFETY: the kernel has just installed it for us.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

#[inline(never)]
fn take_unisend(
    _: &UnixDatagram,
    socket: &SocketRef<'_, DatagramSocket>,
    buffer: &mut [u8],
    control: &mut ControlBuffer,
) -> Option<OwnedFd> {
    let mut slices = [IoSliceMut::new(buffer)];
    let received = socket.receive(&mut slices, control, ReceiveFlags::empty()).ok()?;
    received.into_descriptors().next()
}

#[inline(never)]
fn take_rustix(
    socket: &UnixDatagram,
    _: &SocketRef<'_, DatagramSocket>,
    buffer: &mut [u8],
    _: &mut ControlBuffer,
) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    control.drain().find_map(|message| match message {
        rustix::net::RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    })
}
