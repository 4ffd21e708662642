//! sendfile: the kernel's sendfile(2) if it can send the file, and otherwise a loop of pread(2) and send(2) or
//! write(2), which keeps the same clauses (X1 to X16).
//!
//! The loop reads at an offset and counts the bytes that were accepted. Bytes that were read and not accepted
//! are read again, so nothing is lost. Bytes that the loop has sent cannot change afterwards (X14). Against
//! that, it copies, and it can only send bytes that can be read again.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use super::file::{kind, kind_and_length, status};
use super::send::{Ancillary, send, send_with};
use super::sigpipe::CallGuard;
use super::transfer::{Messages, Progress, Reach, Whole};
use crate::platform::Native;
use crate::platform::contract::{Errno, Refusal, SocketKind, limits};
use crate::platform::kernel::{Calls, FileKind, Kernel, RawErrno, RawFlags, Why};
use crate::platform::posix::file;
use crate::platform::posix::status::has_room;

/// How much is read at once if the caller gives no buffer. It is within 20 % of the best size on either system,
/// and small enough for the stack.
const STACK_BUFFER: usize = 64 * 1024;

/// Where the bytes go: a socket of some kind, or a descriptor that is not a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sink<'fd> {
    pub(crate) fd: BorrowedFd<'fd>,
    pub(crate) socket: Option<SocketKind>,
}

/// How the bytes are sent.
#[derive(Debug)]
pub(crate) enum Method<'buffer> {
    /// By the kernel, and by copying if it cannot.
    Kernel,
    /// By copying, through a buffer on the stack.
    Copying,
    /// By copying, through this buffer, which is not empty.
    CopyingThrough(&'buffer mut [u8]),
}

/// An input, an output and a method, for any number of calls. The calls share one guard against SIGPIPE.
pub(crate) struct FileSender<'a> {
    pub(super) output: Output<'a>,
    pub(super) input: BorrowedFd<'a>,
    pub(super) method: Method<'a>,
    /// Whether the last copy ended because the output took no byte, and gave no error (L4c).
    pub(super) has_stalled: bool,
}

/// A sink, and what keeps SIGPIPE away from it.
pub(super) struct Output<'a> {
    pub(super) sink: Sink<'a>,
    sigpipe: Option<CallGuard>,
}

/// A failure, and how much of the file this call had sent before it. The count is above 0 only if the data must
/// not be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) accepted: u64,
    pub(crate) why: Why,
}

impl From<Why> for Stopped {
    fn from(why: Why) -> Self {
        Self { accepted: 0, why }
    }
}

impl<'a> FileSender<'a> {
    #[inline]
    pub(crate) fn new(sink: Sink<'a>, input: BorrowedFd<'a>, method: Method<'a>) -> Self {
        let method = match method {
            Method::Kernel if !Native::HAS_SENDFILE => Method::Copying,
            method => method,
        };
        Self { output: Output { sink, sigpipe: None }, input, method, has_stalled: false }
    }

    /// Sends at most this many bytes, as one call, and returns how many were accepted. A short count means the
    /// end of the file, or that the output took no more. Without an offset it begins at the file's own position,
    /// and moves it.
    #[inline]
    pub(crate) fn send(&mut self, offset: Option<u64>, count: u64) -> Result<u64, Stopped> {
        self.check_range(offset, count)?;
        match self.method {
            Method::Kernel if !self.needs_no_room(offset, count) => match self.by_kernel(offset, count) {
                Ok(sent) => Ok(sent),
                Err(errno) if Native::copying_may_do(errno) => self.by_copying(offset, count),
                Err(errno) => Err(Why::Output(errno).into()),
            },
            _ => self.by_copying(offset, count),
        }
    }

    /// Returns whether the result is the same with and without room in the output. Linux checks a pipe for room
    /// before it looks at the count (L14) and at the input (X3, X7): it would wait for room, or report that
    /// there is none, or that the reader is gone. On a socket it checks the room last.
    #[inline]
    fn needs_no_room(&self, offset: Option<u64>, count: u64) -> bool {
        let is_full = || self.output.sink.socket.is_none() && !has_room(self.output.sink.fd);
        count == 0 || is_full() && !self.has_something_to_send(offset)
    }

    /// Refuses a range that no file can have (X4). The kernel checks the range against the file's own position,
    /// except on 32 bits, where it would be given a smaller count.
    #[inline]
    pub(super) fn check_range(&self, offset: Option<u64>, count: u64) -> Result<(), Why> {
        let start = match offset {
            Some(offset) => offset,
            None if usize::BITS < 64 && count > isize::MAX as u64 => self.start(None).unwrap_or(0),
            None => 0,
        };
        check_range(start, count)
    }

    /// Returns where to read.
    pub(super) fn start(&self, offset: Option<u64>) -> Result<u64, RawErrno> {
        match offset {
            Some(offset) => Ok(offset),
            None => file::position(self.input),
        }
    }

    /// Returns whether the input may have bytes for the kernel's sendfile. A socket or a character device is
    /// assumed to have some: some kernels can send them (X7b), and their bytes could not be read again.
    #[cold]
    fn has_something_to_send(&self, offset: Option<u64>) -> bool {
        match kind_and_length(self.input) {
            Ok((FileKind::Seekable, length)) => self.start(offset).is_ok_and(|start| {
                // A single byte cannot be read from a file that is open with O_DIRECT.
                start < length || self.has_byte_at(start) == Ok(true)
            }),
            Ok((FileKind::Socket | FileKind::Device, _)) => true,
            Ok((FileKind::Pipe | FileKind::Other, _)) | Err(_) => false,
        }
    }

    pub(super) fn has_byte_at(&self, start: u64) -> Result<bool, RawErrno> {
        let mut byte = [MaybeUninit::uninit()];
        file::read_at(self.input, &mut byte, start).map(|read| !read.is_empty())
    }

    /// Returns whether a failure is returned by the call that met it. After some bytes it is left to the next call,
    /// unless it must be told.
    pub(super) fn is_returned(&self, why: Why, accepted: u64) -> bool {
        accepted == 0 || Native::must_be_told(self.output.sink.socket, why)
    }

    #[inline]
    fn by_kernel(&mut self, offset: Option<u64>, count: u64) -> Result<u64, RawErrno> {
        let Output { sink, sigpipe } = &mut self.output;
        let sigpipe = sigpipe.get_or_insert_with(CallGuard::new);
        let outcome = Native::sendfile(sink.fd, self.input, offset, count);
        sigpipe.after(outcome, count);
        outcome
    }

    fn by_copying(&mut self, offset: Option<u64>, count: u64) -> Result<u64, Stopped> {
        let mut sent = Progress::default();
        let outcome = self.copy(&Whole::of_file(offset, count), &mut sent);
        let accepted = sent.file;
        self.has_stalled = accepted == 0 && !sent.ended;
        if let (Method::Kernel, 1..) = (&self.method, accepted) {
            self.method = Method::Copying; // the kernel cannot send this file
        }
        match outcome {
            Err(why) if self.is_returned(why, accepted) => Err(Stopped { accepted, why }),
            _ => Ok(accepted),
        }
    }

    /// Sends what is left of a transfer by copying, until the output accepts only a part of it.
    #[inline(never)] // its frame is large, and the kernel's method must not pay for it
    pub(super) fn copy<Descriptor: AsFd>(
        &mut self,
        whole: &Whole<'_, Descriptor>,
        sent: &mut Progress,
    ) -> Result<(), Why> {
        let room = match &self.method {
            Method::CopyingThrough(buffer) => buffer.len(),
            Method::Kernel | Method::Copying => STACK_BUFFER,
        };
        self.admit(whole, sent, |_| whole.header_left(sent) < room)?;
        let mut on_stack;
        let buffer = match &mut self.method {
            // SAFETY: what is written to it are bytes of memory, and bytes that the kernel has read.
            Method::CopyingThrough(buffer) => unsafe { file::as_uninit(buffer) },
            Method::Kernel | Method::Copying => {
                on_stack = [MaybeUninit::uninit(); STACK_BUFFER];
                &mut on_stack[..]
            }
        };
        let messages = Messages { input: self.input, buffer, reach: Reach::All };
        messages.send(&mut self.output, whole, sent).map(drop)
    }

    /// Refuses the descriptors that Linux's sendfile refuses. After the file they are not looked at again.
    ///
    /// `is_read` says, for a file of this length, whether pread(2) is called before anything is sent. It is returned.
    pub(super) fn admit<Descriptor>(
        &self,
        whole: &Whole<'_, Descriptor>,
        sent: &Progress,
        is_read: impl FnOnce(u64) -> bool,
    ) -> Result<bool, Why> {
        let count = whole.file_left(sent);
        if count == 0 && sent.total() > 0 {
            return Ok(false);
        }
        let (input, length) = kind_and_length(self.input).map_err(Why::Descriptor)?;
        let output = match self.output.sink.socket {
            Some(_) => None,
            None => Some((
                status(self.output.sink.fd).map_err(Why::Descriptor)?,
                kind(self.output.sink.fd).map_err(Why::Descriptor)?,
            )),
        };
        let is_read = is_read(length);
        // pread(2) itself checks a regular file.
        let is_checked = input == FileKind::Seekable
            && count > 0
            && is_read
            && !output.is_some_and(|(status, _)| status.appends);
        if !is_checked && !status(self.input).map_err(Why::Descriptor)?.readable {
            return Err(Why::Descriptor(Native::raw_errno(Errno::EBADF)));
        }
        Native::admit(input, output, count)?;
        Ok(is_read)
    }
}

/// Refuses a range that no file can have (X4).
pub(super) fn check_range(start: u64, count: u64) -> Result<(), Why> {
    match start.checked_add(count) {
        Some(end) if end <= limits::FILE_OFFSET => Ok(()),
        _ => Err(Why::Refused(Refusal::RangeOverflow)),
    }
}

impl Output<'_> {
    /// Sends bytes as one message, with descriptors if there are any.
    pub(super) fn put<Descriptor: AsFd>(
        &mut self,
        bytes: &[u8],
        descriptors: &[Descriptor],
        flags: RawFlags,
    ) -> Result<usize, Why> {
        let Self { sink, sigpipe } = self;
        let outcome = match sink.socket {
            Some(_) if descriptors.is_empty() => send(sink.fd, bytes, flags),
            Some(_) => {
                let descriptors = &Ancillary::Descriptors(descriptors);
                send_with(sink.fd, &[IoSlice::new(bytes)], None, descriptors, flags)
            }
            None => {
                let sigpipe = sigpipe.get_or_insert_with(CallGuard::new);
                let outcome = file::write(sink.fd, bytes);
                sigpipe.after(outcome.map(|taken| taken as u64), bytes.len() as u64);
                outcome
            }
        };
        outcome.map_err(Why::Output)
    }
}
