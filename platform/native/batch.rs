//! sendmmsg(2) and recvmmsg(2): several datagrams in one call.

use std::ffi::c_int;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::came::Came;
use super::receive::{Descriptors, NAME_BYTES};
use super::send::{DatagramOptions, message_to, send_message, set_control, write_options};
use crate::platform::Native;
use crate::platform::contract::{ErrorKind, ReceiveFlags, limits};
use crate::platform::kernel::control::DatagramMessages;
use crate::platform::kernel::{Calls, Kernel, RawErrno, RawFlags, SocketName};
use crate::platform::posix::{count, option};

/// The headers of one call, on the stack. Only those in use are written.
type Headers = [MaybeUninit<libc::mmsghdr>; limits::DATAGRAMS_PER_CALL];

const UNWRITTEN: Headers = [const { MaybeUninit::uninit() }; limits::DATAGRAMS_PER_CALL];

/// A datagram that is sent.
pub(crate) struct Outgoing<'a, 'data> {
    pub(crate) slices: &'a [IoSlice<'data>],
    pub(crate) to: Option<&'a SocketName>,
    pub(crate) options: DatagramOptions,
}

/// What one call accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// How much: bytes, or whole datagrams.
    pub(crate) count: usize,
    /// Whether what is left, if anything is, begins within a datagram or record, and so must not be sent.
    pub(crate) is_cut: bool,
}

/// Sends the first datagrams, as many as one call takes, and returns how many were accepted.
pub(crate) fn send_messages<'a, 'data: 'a>(
    fd: BorrowedFd<'_>,
    datagrams: impl Iterator<Item = Outgoing<'a, 'data>>,
    flags: RawFlags,
) -> Result<Accepted, RawErrno> {
    let mut headers = UNWRITTEN;
    let mut controls = [const { DatagramMessages::unwritten() }; limits::DATAGRAMS_PER_CALL];
    let mut lengths = [0; limits::DATAGRAMS_PER_CALL];
    let mut written = 0;
    for ((header, control), datagram) in headers.iter_mut().zip(&mut controls).zip(datagrams) {
        let mut message = message_to(datagram.slices, datagram.to);
        let length = write_options(control, &datagram.options);
        set_control(&mut message, control, length);
        header.write(libc::mmsghdr { msg_hdr: message, msg_len: 0 });
        lengths[written] = datagram.slices.iter().map(|slice| slice.len()).sum();
        written += 1;
    }
    let headers = first(&mut headers, written);
    let mut send = || {
        // SAFETY: the slices, the names and the control messages are borrowed for longer than the call, which only reads
        // them; IoSlice is laid out as iovec.
        unsafe { Native::send_messages(fd, headers, flags) }
    };
    let accepted = match send() {
        // D1, D4: a path was too narrow for an earlier datagram. The first of these is not to be blamed for it.
        Err(errno) if Native::may_be_of_an_earlier_one(errno) => send(),
        outcome => outcome,
    }?;
    // The kernel counts a message of which it accepted a part, as a stream does that was declared as what it is not.
    let is_whole = |(header, &length): (&libc::mmsghdr, &usize)| header.msg_len as usize == length;
    let count = headers[..accepted].iter().zip(&lengths).take_while(|&pair| is_whole(pair)).count();
    Ok(Accepted { count, is_cut: count < accepted })
}

/// Sends the bytes as datagrams of this size, the last of which can be shorter, by one call in which the kernel divides
/// them. It accepts all or none. Returns `None` if the kernel cannot do this.
pub(crate) fn send_segments(
    fd: BorrowedFd<'_>,
    datagram: &Outgoing<'_, '_>,
    size: u16,
    flags: RawFlags,
) -> Option<Result<usize, RawErrno>> {
    let sort = (Native::NUMBERS.IPPROTO_UDP, Native::SEGMENTS?.cut);
    let mut control = DatagramMessages::unwritten();
    let length = write_options(&mut control, &datagram.options);
    let length = control.write_short(length, Native::CONTROL, sort, size);
    let mut message = message_to(datagram.slices, datagram.to);
    set_control(&mut message, &control, length);
    Some(send_message(fd, &message, flags))
}

/// Has UDP join the datagrams of a sender that arrive together, if the kernel can.
pub(crate) fn receive_joined(fd: BorrowedFd<'_>) -> Result<(), RawErrno> {
    match Native::SEGMENTS {
        Some(segments) => match option::set_int(fd, Native::NUMBERS.IPPROTO_UDP, segments.join, 1) {
            // Linux before 5.0. It is a permission, which such a kernel does not use.
            Err(errno) if Native::plain_meaning(errno) == ErrorKind::Unsupported => Ok(()),
            outcome => outcome,
        },
        None => Ok(()),
    }
}

/// Returns the headers that are written: the first of them.
fn first(headers: &mut Headers, written: usize) -> &mut [libc::mmsghdr] {
    let headers = ptr::from_mut(&mut headers[..written]) as *mut [libc::mmsghdr];
    // SAFETY: the caller has written so many, and the borrow is that of the argument.
    unsafe { &mut *headers }
}

/// Room for what comes with a datagram of the internet: its destination, times, and single values. All that Linux can be
/// asked to add has some 370 bytes.
const CONTROL_BYTES: usize = 512;

/// Room for one datagram of a batch, and for the sender and the destination that come with it.
///
/// It borrows the room for the bytes, and can be used for any number of calls of
/// [`SocketRef::receive_batch`](crate::SocketRef::receive_batch). A call fills as many buffers as it returns, from the
/// first on. What the others say is of an earlier call, and their bytes can have changed.
// Bytes that are left from earlier calls are never read, because the kernel says how far it wrote.
pub struct DatagramBuffer<'a> {
    room: &'a mut [u8],
    written: Written,
    name: Aligned<NAME_BYTES>,
    messages: Aligned<CONTROL_BYTES>,
}

/// Bytes with the alignment of a name and of a control message.
#[repr(C, align(16))]
pub(super) struct Aligned<const COUNT: usize>(pub(super) [u8; COUNT]);

/// How much the kernel wrote of a datagram, of its sender's name and of its control messages, and its flags.
#[derive(Clone, Copy)]
struct Written {
    bytes: usize,
    flags: c_int,
    name: usize,
    messages: usize,
}

impl<'a> DatagramBuffer<'a> {
    pub(crate) const fn in_room(room: &'a mut [u8]) -> Self {
        let written = Written { bytes: 0, flags: 0, name: 0, messages: 0 };
        Self { room, written, name: Aligned([0; NAME_BYTES]), messages: Aligned([0; CONTROL_BYTES]) }
    }

    /// Returns the bytes of the datagram.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.room[..self.written.bytes]
    }

    /// Returns what came with it.
    pub(crate) fn came(&self) -> Came<'_> {
        let Written { flags, name, messages, .. } = self.written;
        Came { flags, name: &self.name.0[..name], messages: &self.messages.0[..messages] }
    }

    /// Returns a header that points to the room, by way of an iovec.
    fn header(&mut self, iovec: &mut MaybeUninit<libc::iovec>, with_messages: bool) -> libc::mmsghdr {
        // SAFETY: a msghdr consists of integers and pointers, for which zero is valid. Some systems have padding in
        // it, so it has no literal.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        let room = libc::iovec { iov_base: self.room.as_mut_ptr().cast(), iov_len: self.room.len() };
        message.msg_iov = iovec.write(room);
        message.msg_iovlen = 1;
        message.msg_name = self.name.0.as_mut_ptr().cast();
        message.msg_namelen = NAME_BYTES as _;
        if with_messages {
            message.msg_control = self.messages.0.as_mut_ptr().cast();
            message.msg_controllen = CONTROL_BYTES as _;
        }
        libc::mmsghdr { msg_hdr: message, msg_len: 0 }
    }

    /// Notes what the kernel wrote.
    fn note(&mut self, header: &libc::mmsghdr) {
        let message = header.msg_hdr;
        let messages: usize = message.msg_controllen as _; // a socklen_t on some systems
        self.written = Written {
            bytes: (header.msg_len as usize).min(self.room.len()),
            flags: message.msg_flags,
            name: (message.msg_namelen as usize).min(NAME_BYTES),
            messages: messages.min(CONTROL_BYTES),
        };
        // UDP has none. A unix socket that was declared as UDP may have.
        drop(Descriptors::in_control(self.came().messages));
    }
}

/// Receives datagrams, as many as there are and one call takes, and returns how many. It waits for the first only, and
/// so cannot be interrupted after it (clause D7). Without room for control messages the kernel closes descriptors.
pub(crate) fn receive_messages(
    fd: BorrowedFd<'_>,
    buffers: &mut [DatagramBuffer<'_>],
    with_messages: bool,
    flags: ReceiveFlags,
) -> Result<usize, RawErrno> {
    let mut headers = UNWRITTEN;
    let mut iovecs = [const { MaybeUninit::<libc::iovec>::uninit() }; limits::DATAGRAMS_PER_CALL];
    let mut written = 0;
    for ((header, iovec), buffer) in headers.iter_mut().zip(&mut iovecs).zip(&mut *buffers) {
        header.write(buffer.header(iovec, with_messages));
        written += 1;
    }
    let headers = first(&mut headers, written);
    let flags = Native::NUMBERS.of_receive_flags(flags) | Native::NUMBERS.MSG_WAITFORONE;
    let (start, length) = (headers.as_mut_ptr(), headers.len() as libc::c_uint);
    // SAFETY: the headers and all that they point to are borrowed for longer than the call, and ours to write, each to
    // its length.
    let received = unsafe { libc::recvmmsg(fd.as_raw_fd(), start, length, flags as _, ptr::null_mut()) };
    let received = count(received as isize)?;
    for (header, buffer) in headers[..received].iter().zip(buffers) {
        buffer.note(header);
    }
    Ok(received)
}
