//! recvmsg(2), and the descriptors that come with what is received.

use std::ffi::c_int;
use std::fmt;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::platform::Native;
use crate::platform::kernel::control::{first_int, first_message};
use crate::platform::kernel::{Kernel, RawErrno};
use crate::platform::posix::count;

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
#[derive(Debug)]
pub(crate) struct Arrival<'buffer> {
    pub(crate) bytes: usize,
    flags: c_int,
    pub(crate) descriptors: Descriptors<'buffer>,
}

impl Arrival<'_> {
    /// So many bytes, and descriptors that were lost.
    pub(crate) fn without_its_descriptors(bytes: usize) -> Self {
        Self { bytes, flags: Native::NUMBERS.MSG_CTRUNC, descriptors: Descriptors::in_control(&[]) }
    }

    /// Closes what came of descriptors that did not all come.
    #[cold]
    pub(crate) fn close_descriptors(&mut self) {
        self.descriptors.by_ref().for_each(drop);
    }

    /// The record was longer than the slices.
    #[inline]
    pub(crate) fn is_truncated(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_TRUNC != 0
    }

    /// Some of what came with the data was dropped.
    #[inline]
    pub(crate) fn is_control_truncated(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_CTRUNC != 0
    }

    /// The sender ended a record here, and this kernel says so (clause F3).
    #[inline]
    pub(crate) fn ends_record(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_EOR != 0
    }
}

/// Receives into slices. Descriptors that come are close-on-exec from the start (clause R27); without control
/// bytes the kernel closes them. The pointer to control bytes and their length are both there or both zero
/// (clauses L8, L9).
#[inline]
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

/// Received descriptors: owned, close-on-exec, in the order in which they were sent. Those that are not taken are
/// closed on drop.
// Each number is taken out of the bytes once, by the one who has this: so it is owned once.
pub struct Descriptors<'buffer> {
    /// The numbers of the current message that were not taken yet.
    numbers: &'buffer [u8],
    /// The messages after it.
    messages: &'buffer [u8],
}

impl<'buffer> Descriptors<'buffer> {
    #[inline]
    fn in_control(messages: &'buffer [u8]) -> Self {
        Self { numbers: &[], messages }
    }

    /// Whether there is a message of descriptors, be it an empty one (clauses R3, R5). It is asked before any
    /// was taken.
    pub(crate) fn were_announced(&self) -> bool {
        self.rights().next().is_some()
    }

    /// The data of each message of descriptors that was not looked at yet.
    fn rights(&self) -> impl Iterator<Item = &'buffer [u8]> {
        let mut messages = self.messages;
        let all = std::iter::from_fn(move || {
            let (message, rest) = first_message(Native::CONTROL, messages)?;
            messages = rest;
            Some(message)
        });
        all.filter(|message| (message.level, message.kind) == RIGHTS).map(|message| message.data)
    }
}

/// Level and type of a message of descriptors.
const RIGHTS: (c_int, c_int) = (Native::NUMBERS.SOL_SOCKET, Native::NUMBERS.SCM_RIGHTS);

/// Level and type of a message with a descriptor of the sender's process.
const PROCESS: (c_int, c_int) = (Native::NUMBERS.SOL_SOCKET, Native::NUMBERS.SCM_PIDFD);

impl Iterator for Descriptors<'_> {
    type Item = OwnedFd;

    #[inline]
    fn next(&mut self) -> Option<OwnedFd> {
        loop {
            while let Some((number, rest)) = first_int(self.numbers) {
                self.numbers = rest;
                if let Some(descriptor) = own(number) {
                    return Some(descriptor);
                }
            }
            let (message, rest) = first_message(Native::CONTROL, self.messages)?;
            self.messages = rest;
            match (message.level, message.kind) {
                RIGHTS => self.numbers = message.data,
                // Nobody asked for it: it is closed.
                PROCESS => drop(first_int(message.data).and_then(|(number, _)| own(number))),
                _ => {}
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = std::iter::once(self.numbers).chain(self.rights()).map(installed).sum();
        (count, Some(count))
    }
}

/// How many descriptors there are among these numbers.
fn installed(mut numbers: &[u8]) -> usize {
    let mut count = 0;
    while let Some((number, rest)) = first_int(numbers) {
        count += usize::from(number >= 0);
        numbers = rest;
    }
    count
}

impl ExactSizeIterator for Descriptors<'_> {}

impl std::iter::FusedIterator for Descriptors<'_> {}

impl Drop for Descriptors<'_> {
    #[inline]
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl fmt::Debug for Descriptors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptors").finish_non_exhaustive()
    }
}

/// Owns what the kernel has just installed for us. A negative number is the kernel's way to say that it could
/// not.
#[inline]
fn own(number: c_int) -> Option<OwnedFd> {
    // SAFETY: the kernel installed it in the call that wrote it, and it is taken out of the bytes only once.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}
