//! recvmsg(2) and recv(2), and the descriptors that come with what is received.

use std::ffi::c_int;
use std::fmt;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::control::{ControlMessages, take_int};
use super::count;
use crate::platform::{Kernel, Native, RawErrno};

/// Room for all that a peer can send: 253 descriptors (1032 bytes) and, on Linux, credentials, a descriptor of
/// its process, timestamps, and a security label of up to 4 KiB.
const CONTROL_BYTES: usize = 6144;

/// Where the kernel puts control messages. It is written once when it is made; what is left of earlier calls is
/// never read, for the kernel says how far it wrote.
#[repr(C, align(16))]
pub(crate) struct ControlBytes([u8; CONTROL_BYTES]);

impl ControlBytes {
    pub(crate) const fn new() -> Self {
        Self([0; CONTROL_BYTES])
    }
}

/// What one call to recvmsg(2) gave.
pub(crate) struct Arrival<'buffer> {
    pub(crate) bytes: usize,
    flags: c_int,
    pub(crate) descriptors: Descriptors<'buffer>,
}

impl Arrival<'_> {
    /// The record was longer than the slices.
    pub(crate) fn is_truncated(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_TRUNC != 0
    }

    /// Some of what came with the data was dropped.
    pub(crate) fn is_control_truncated(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_CTRUNC != 0
    }

    /// The sender ended a record here, and this kernel says so (clause F3).
    pub(crate) fn ends_record(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_EOR != 0
    }
}

/// Receives into slices. Descriptors that come are close-on-exec from the start (clause R27); without control
/// bytes the kernel closes them. The pointer to control bytes and their length are both there or both zero
/// (clauses L8, L9).
pub(crate) fn receive_message<'buffer>(
    fd: BorrowedFd<'_>,
    slices: &mut [IoSliceMut<'_>],
    control: Option<&'buffer mut ControlBytes>,
    do_not_wait: bool,
) -> Result<Arrival<'buffer>, RawErrno> {
    let wait = if do_not_wait { Native::NUMBERS.MSG_DONTWAIT } else { 0 };
    let control = control.map_or(&mut [][..], |control| &mut control.0[..]);
    // SAFETY: a msghdr is integers and pointers, for all of which zero is a value. Some systems have padding in
    // it, so it has no literal.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_mut_ptr().cast();
    message.msg_iovlen = slices.len() as _;
    if !control.is_empty() {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = control.len() as _;
    }
    // SAFETY: IoSliceMut is laid out as iovec; the slices and the control bytes outlive the call and are ours to
    // write, each to its length.
    let received =
        unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, wait | Native::NUMBERS.MSG_CMSG_CLOEXEC) };
    let bytes = count(received)?;
    let written = (message.msg_controllen as usize).min(control.len());
    Ok(Arrival { bytes, flags: message.msg_flags, descriptors: Descriptors::in_control(&control[..written]) })
}

/// The descriptors among received control messages: owned, in the order in which they were sent. Those that
/// are not taken are closed.
///
/// Each number is taken out of the bytes once, by the one who has this: so it is owned once.
pub(crate) struct Descriptors<'buffer> {
    control: &'buffer [u8],
    messages: ControlMessages,
    /// Where the numbers of the current message are that were not taken yet.
    numbers: Range<usize>,
}

impl<'buffer> Descriptors<'buffer> {
    fn in_control(control: &'buffer [u8]) -> Self {
        Self { control, messages: ControlMessages::new(Native::CONTROL), numbers: 0..0 }
    }

    pub(crate) fn none() -> Self {
        Self::in_control(&[])
    }

    /// Whether there was a message of descriptors, be it an empty one (clauses R3, R5).
    pub(crate) fn were_announced(&self) -> bool {
        let mut messages = ControlMessages::new(Native::CONTROL);
        std::iter::from_fn(|| messages.next_in(self.control))
            .any(|message| (message.level, message.kind) == rights())
    }

    /// Goes on to the next message, and says where its numbers are; `None` if there is no further one. A
    /// descriptor of the sender's process, which nobody asked for, is closed.
    fn next_numbers(&mut self) -> Option<Range<usize>> {
        let mut message = self.messages.next_in(self.control)?;
        match (message.level, message.kind) {
            sort if sort == rights() => Some(message.data),
            sort if sort == (Native::NUMBERS.SOL_SOCKET, Native::NUMBERS.SCM_PIDFD) => {
                drop(take_int(self.control, &mut message.data).and_then(own));
                Some(0..0)
            }
            _ => Some(0..0),
        }
    }
}

impl Iterator for Descriptors<'_> {
    type Item = OwnedFd;

    fn next(&mut self) -> Option<OwnedFd> {
        loop {
            match take_int(self.control, &mut self.numbers).map(own) {
                Some(Some(descriptor)) => return Some(descriptor),
                Some(None) => {}
                None => self.numbers = self.next_numbers()?,
            }
        }
    }
}

impl std::iter::FusedIterator for Descriptors<'_> {}

impl Drop for Descriptors<'_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl fmt::Debug for Descriptors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptors").finish_non_exhaustive()
    }
}

/// Level and type of a message of descriptors.
fn rights() -> (c_int, c_int) {
    (Native::NUMBERS.SOL_SOCKET, Native::NUMBERS.SCM_RIGHTS)
}

/// Owns what the kernel has just installed for us. A negative number is the kernel's way to say that it could
/// not.
fn own(number: c_int) -> Option<OwnedFd> {
    // SAFETY: the kernel installed it in the call that wrote it, and it is taken out of the bytes only once.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// recv(2), as far as it is needed to look at a socket.
#[cfg(target_os = "openbsd")]
pub(in crate::platform) fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: c_int,
) -> Result<usize, RawErrno> {
    // SAFETY: the pointer and the length are of one slice, which outlives the call and is ours to write.
    count(unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}
