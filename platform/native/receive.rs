//! recvmsg(2), and the descriptors that arrive with the data.

use std::ffi::c_int;
use std::fmt;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::came::Came;
use crate::platform::Native;
use crate::platform::contract::ReceiveFlags;
use crate::platform::kernel::control::{first_int, first_message};
use crate::platform::kernel::{Kernel, RawErrno, SocketName};
use crate::platform::posix::{count, option};

/// Room for all that a peer can send: 253 descriptors (1032 bytes) and, on Linux, credentials, a descriptor of
/// the sender's process, timestamps, and a security label of up to 4 KiB.
const CONTROL_BYTES: usize = 6144;

/// Room for the longest name.
pub(super) const NAME_BYTES: usize = SocketName::CAPACITY;

/// The buffer for control messages and for the sender's name. It is initialized once, when it is made. Bytes that
/// are left from earlier calls are never read, because the kernel says how far it wrote.
#[repr(C, align(16))]
pub(crate) struct ControlBytes {
    messages: [u8; CONTROL_BYTES],
    /// The name of the sender.
    name: [u8; NAME_BYTES],
}

impl ControlBytes {
    pub(crate) const fn new() -> Self {
        Self { messages: [0; CONTROL_BYTES], name: [0; NAME_BYTES] }
    }
}

/// The result of one call of recvmsg(2).
#[derive(Debug)]
pub(crate) struct Arrival<'buffer> {
    pub(crate) bytes: usize,
    pub(crate) came: Came<'buffer>,
    pub(crate) descriptors: Descriptors<'buffer>,
}

impl Arrival<'_> {
    /// Returns an arrival of this many bytes whose descriptors were lost.
    pub(crate) fn without_its_descriptors(bytes: usize) -> Self {
        let came = Came { flags: Native::NUMBERS.MSG_CTRUNC, name: &[], messages: &[] };
        Self { bytes, came, descriptors: Descriptors::in_control(&[]) }
    }

    /// Closes the descriptors that arrived when some others did not.
    #[cold]
    pub(crate) fn close_descriptors(&mut self) {
        self.descriptors.by_ref().for_each(drop);
    }
}

/// Receives into slices. Descriptors that arrive are close-on-exec from the start (clause R27). Without control
/// bytes the kernel closes them. The pointer to the control bytes and their length are both set or both zero
/// (clauses L8, L9). The name of the sender is asked for only if there is room for it.
#[inline]
pub(crate) fn receive_message<'buffer>(
    fd: BorrowedFd<'_>,
    slices: &mut [IoSliceMut<'_>],
    control: Option<&'buffer mut ControlBytes>,
    named: bool,
    flags: ReceiveFlags,
) -> Result<Arrival<'buffer>, RawErrno> {
    let (control, name) = match control {
        Some(ControlBytes { messages, name }) => {
            (&mut messages[..], if named { &mut name[..] } else { &mut [] })
        }
        None => (&mut [][..], &mut [][..]),
    };
    // SAFETY: a msghdr consists of integers and pointers, for which zero is valid. Some systems have padding in
    // it, so it has no literal.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_mut_ptr().cast();
    message.msg_iovlen = slices.len() as _;
    if !control.is_empty() {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = control.len() as _;
    }
    if !name.is_empty() {
        message.msg_name = name.as_mut_ptr().cast();
        message.msg_namelen = name.len() as _;
    }
    // SAFETY: IoSliceMut is laid out as iovec; the slices, the control bytes and the name outlive the call and are
    // ours to write, each to its length.
    let received =
        unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, Native::NUMBERS.of_receive_flags(flags)) };
    let bytes = count(received).inspect_err(|&errno| take_what_a_peek_left(fd, flags, errno))?;
    let written = (message.msg_controllen as usize).min(control.len());
    let name = &name[..(message.msg_namelen as usize).min(name.len())];
    let messages = &control[..written];
    let came = Came { flags: message.msg_flags, name, messages };
    Ok(Arrival { bytes, came, descriptors: Descriptors::in_control(messages) })
}

/// Takes the pending error that failed a peek, if this kernel leaves it: the error is returned once (clause F7e).
#[cold]
fn take_what_a_peek_left(fd: BorrowedFd<'_>, flags: ReceiveFlags, errno: RawErrno) {
    if Native::peek_leaves(flags, errno) {
        // Reading the option clears it.
        let _ = option::get_int(fd, Native::NUMBERS.SOL_SOCKET, Native::NUMBERS.SO_ERROR);
    }
}

/// Received descriptors: owned, close-on-exec, in the order in which they were sent. Descriptors that are not
/// taken are closed on drop.
// Each number is taken out of the bytes once, by the owner of this value, so each descriptor has one owner.
pub struct Descriptors<'buffer> {
    /// The numbers of the current message that were not yet taken.
    numbers: &'buffer [u8],
    /// The messages after it.
    messages: &'buffer [u8],
}

impl<'buffer> Descriptors<'buffer> {
    #[inline]
    pub(super) fn in_control(messages: &'buffer [u8]) -> Self {
        Self { numbers: &[], messages }
    }

    /// Returns whether there is a message of descriptors, even an empty one (clauses R3, R5). It must be called
    /// before any descriptor is taken.
    pub(crate) fn were_announced(&self) -> bool {
        self.rights().next().is_some()
    }

    /// Returns the data of each message of descriptors that was not yet read.
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

/// The level and the type of a message of descriptors.
const RIGHTS: (c_int, c_int) = (Native::NUMBERS.SOL_SOCKET, Native::NUMBERS.SCM_RIGHTS);

/// The level and the type of a message with a descriptor of the sender's process.
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
                // unisend did not ask for it, so it is closed.
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

/// Returns the number of descriptors among these numbers.
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

/// Takes ownership of a descriptor that the kernel has just installed. A negative number means that the kernel
/// could not install it.
#[inline]
fn own(number: c_int) -> Option<OwnedFd> {
    // SAFETY: the kernel installed it in the call that wrote it, and it is taken out of the bytes only once.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}
