//! sendfile: the kernel's sendfile(2) if it can send the file, and otherwise a loop of pread(2) and send(2) or
//! write(2), which keeps the same clauses (X1 to X16).
//!
//! The loop reads at an offset and counts the bytes that were accepted. Bytes that were read and not accepted
//! are read again, so nothing is lost. Bytes that the loop has sent cannot change afterwards (X14). Against
//! that, it copies, and it can only send bytes that can be read again.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use super::file::{kind, kind_and_length, status};
use super::send::send;
use super::sigpipe::CallGuard;
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
    sink: Sink<'a>,
    input: BorrowedFd<'a>,
    /// Where to read. `None` is the file's own position.
    offset: Option<&'a mut u64>,
    method: Method<'a>,
    sigpipe: Option<CallGuard>,
}

/// A failure, and how much this call had sent before it. The count is above 0 only if the data must not be sent
/// again.
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
    pub(crate) fn new(
        sink: Sink<'a>,
        input: BorrowedFd<'a>,
        offset: Option<&'a mut u64>,
        method: Method<'a>,
    ) -> Self {
        let method = match method {
            Method::Kernel if !Native::HAS_SENDFILE => Method::Copying,
            method => method,
        };
        Self { sink, input, offset, method, sigpipe: None }
    }

    /// Sends at most this many bytes, as one call, and returns how many were accepted. A short count means the
    /// end of the file, or that the output took no more.
    #[inline]
    pub(crate) fn send(&mut self, count: u64) -> Result<u64, Stopped> {
        self.check_range(count)?;
        match self.method {
            Method::Kernel if !self.needs_no_room(count) => match self.by_kernel(count) {
                Ok(sent) => Ok(sent),
                Err(errno) if Native::copying_may_do(errno) => self.by_copying(count),
                Err(errno) => Err(Why::Output(errno).into()),
            },
            _ => self.by_copying(count),
        }
    }

    /// Returns whether the result is the same with and without room in the output. Linux checks a pipe for room
    /// before it looks at the count (L14) and at the input (X3, X7): it would wait for room, or report that
    /// there is none, or that the reader is gone. On a socket it checks the room last.
    #[inline]
    fn needs_no_room(&self, count: u64) -> bool {
        let is_full = || self.sink.socket.is_none() && !has_room(self.sink.fd);
        count == 0 || is_full() && !self.has_something_to_send()
    }

    /// Refuses a range that no file can have (X4). The kernel checks the range against the file's own position,
    /// except on 32 bits, where it would be given a smaller count.
    #[inline]
    fn check_range(&self, count: u64) -> Result<(), Why> {
        let start = match &self.offset {
            Some(offset) => **offset,
            None if usize::BITS < 64 && count > isize::MAX as u64 => self.start().unwrap_or(0),
            None => 0,
        };
        check_range(start, count)
    }

    /// Returns where to read.
    fn start(&self) -> Result<u64, RawErrno> {
        match &self.offset {
            Some(offset) => Ok(**offset),
            None => file::position(self.input),
        }
    }

    /// Returns whether the input may have bytes for the kernel's sendfile. A socket or a character device is
    /// assumed to have some: some kernels can send them (X7b), and their bytes could not be read again.
    #[cold]
    fn has_something_to_send(&self) -> bool {
        match kind_and_length(self.input) {
            Ok((FileKind::Seekable, length)) => self.start().is_ok_and(|start| {
                // A single byte cannot be read from a file that is open with O_DIRECT.
                start < length || self.has_byte_at(start)
            }),
            Ok((FileKind::Socket | FileKind::Device, _)) => true,
            Ok((FileKind::Pipe | FileKind::Other, _)) | Err(_) => false,
        }
    }

    fn has_byte_at(&self, start: u64) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        file::read_at(self.input, &mut byte, start).is_ok_and(|read| !read.is_empty())
    }

    #[inline]
    fn by_kernel(&mut self, count: u64) -> Result<u64, RawErrno> {
        let sigpipe = self.sigpipe.get_or_insert_with(CallGuard::new);
        let outcome = Native::sendfile(self.sink.fd, self.input, self.offset.as_deref().copied(), count);
        sigpipe.after(outcome, count);
        let sent = outcome?;
        if let Some(offset) = &mut self.offset {
            **offset += sent;
        }
        Ok(sent)
    }

    #[inline(never)] // its frame is large, and the kernel's method must not pay for it
    fn by_copying(&mut self, count: u64) -> Result<u64, Stopped> {
        if self.admit(count)? != FileKind::Seekable {
            return Ok(0); // no bytes were asked for, and reading none can fail there
        }
        let start = self.start().map_err(Why::Descriptor)?;
        check_range(start, count)?;
        let count = count.min(limits::BYTES_PER_SENDFILE);
        let mut on_stack;
        let buffer = match &mut self.method {
            // SAFETY: only the kernel writes to it, and it writes the bytes that it has read.
            Method::CopyingThrough(buffer) => unsafe { file::as_uninit(buffer) },
            Method::Kernel | Method::Copying => {
                on_stack = [MaybeUninit::uninit(); STACK_BUFFER];
                &mut on_stack[..]
            }
        };
        let (accepted, failure) = copy(self.sink, self.input, start, count, buffer, &mut self.sigpipe);
        if accepted > 0 {
            match &mut self.offset {
                Some(offset) => **offset += accepted,
                None => file::set_position(self.input, start + accepted)
                    .map_err(|errno| Stopped { accepted, why: Why::Descriptor(errno) })?,
            }
            if let Method::Kernel = self.method {
                self.method = Method::Copying; // the kernel cannot send this file
            }
        }
        match failure {
            Some(why) if accepted == 0 || Native::must_be_told(self.sink.socket, why) => {
                Err(Stopped { accepted, why })
            }
            _ => Ok(accepted),
        }
    }

    /// Refuses the descriptors that Linux's sendfile refuses.
    fn admit(&self, count: u64) -> Result<FileKind, Why> {
        let input = kind(self.input).map_err(Why::Descriptor)?;
        let output = match self.sink.socket {
            Some(_) => None,
            None => Some((
                status(self.sink.fd).map_err(Why::Descriptor)?,
                kind(self.sink.fd).map_err(Why::Descriptor)?,
            )),
        };
        // pread(2) itself checks a regular file, unless the call ends before it because the output appends.
        let is_read = input == FileKind::Seekable && !output.is_some_and(|(status, _)| status.appends);
        if !is_read && !status(self.input).map_err(Why::Descriptor)?.readable {
            return Err(Why::Descriptor(Native::raw_errno(Errno::EBADF)));
        }
        Native::admit(input, output, count).map(|()| input)
    }
}

/// Refuses a range that no file can have (X4).
fn check_range(start: u64, count: u64) -> Result<(), Why> {
    match start.checked_add(count) {
        Some(end) if end <= limits::FILE_OFFSET => Ok(()),
        _ => Err(Why::Refused(Refusal::RangeOverflow)),
    }
}

/// Copies until everything was accepted, the file ends, the output accepts only a part, or a call fails.
fn copy(
    sink: Sink<'_>,
    input: BorrowedFd<'_>,
    start: u64,
    count: u64,
    buffer: &mut [MaybeUninit<u8>],
    sigpipe: &mut Option<CallGuard>,
) -> (u64, Option<Why>) {
    let mut accepted = 0;
    loop {
        let length = usize::try_from(count - accepted).map_or(buffer.len(), |left| left.min(buffer.len()));
        let bytes = match file::read_at(input, &mut buffer[..length], start + accepted) {
            Ok([]) => return (accepted, None),
            Ok(bytes) => bytes,
            Err(errno) => return (accepted, Some(Why::Descriptor(errno))),
        };
        match put(sink, bytes, sigpipe) {
            Ok(taken) => {
                accepted += taken as u64;
                if taken < bytes.len() || accepted == count {
                    return (accepted, None);
                }
            }
            Err(errno) => return (accepted, Some(Why::Output(errno))),
        }
    }
}

fn put(sink: Sink<'_>, bytes: &[u8], sigpipe: &mut Option<CallGuard>) -> Result<usize, RawErrno> {
    if sink.socket.is_some() {
        return send(sink.fd, bytes, RawFlags(Native::NUMBERS.MSG_NOSIGNAL));
    }
    let sigpipe = sigpipe.get_or_insert_with(CallGuard::new);
    let outcome = file::write(sink.fd, bytes);
    sigpipe.after(outcome.map(|taken| taken as u64), bytes.len() as u64);
    outcome
}
