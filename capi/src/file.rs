use std::ffi::{c_int, c_void};

use libc::{iovec, ssize_t};
use unisend::{Offset, Outcome, Output, Sent, Transfer};

use crate::failure::{count, number, status};
use crate::socket::output;
use crate::{Caller, Failure, Refusal, Slices, us_socket};

/// In us_transfer.offset: begin at the file position, which moves.
pub const US_POSITION: i64 = -1;
/// In us_transfer.count: send the file to its end.
pub const US_TO_END: i64 = -1;

/// A range of a file, with data before and after it: the reply of a web server.
/// Clear it with memset(3) or = { 0 }, and set what comes before done.
///
/// The calls count in it what was accepted.  After EAGAIN, wait until the output
/// is writable, and call again with the same us_transfer: it goes on where it
/// stopped.  Change nothing else in it, nor the data.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct us_transfer {
    /// The file.
    pub fd: c_int,
    /// Where to begin in it, in bytes; or US_POSITION.
    pub offset: i64,
    /// How many bytes of it to send; or US_TO_END.
    pub count: i64,
    /// The buffers before the file.
    pub header: *const iovec,
    /// How many there are, at most 1024.
    pub headercnt: c_int,
    /// The buffers after the file.
    pub trailer: *const iovec,
    /// How many there are, at most 1024.
    pub trailercnt: c_int,
    /// Descriptors that go with the first byte of the header.
    pub fds: *const c_int,
    /// How many there are, at most 126.
    pub nfds: usize,
    /// A buffer to copy the file through, or NULL.  With it, the file is sent as it
    /// was when it was read.  Without it, Linux sends the pages of the file, and a
    /// later change can reach the peer.
    pub buffer: *mut c_void,
    /// The size of the buffer.  65536 are enough.
    pub buflen: usize,

    /// 1 if nothing is left to do, otherwise 0.
    pub done: c_int,
    /// How many bytes of the header were accepted.
    pub sent_header: usize,
    /// How many bytes of the file were accepted.
    pub sent_file: u64,
    /// How many bytes of the trailer were accepted.
    pub sent_trailer: usize,
    /// If it is done: how many bytes fewer than count the file had.  If any, the
    /// trailer was not sent, and what the header promised is not kept.
    pub missing: u64,
}

/// Send a range of a file: sendfile(2) of Linux, on both systems.
///
/// offset is advanced by what was accepted, also if the call fails; NULL stands for
/// the file position.  The output is a stream socket, or of US_KIND_FILE.
///
/// Returns how many bytes were accepted, which can be fewer; 0 at the end of the
/// file; or -1 and errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_sendfile(
    to: *const us_socket,
    fd: c_int,
    offset: *mut i64,
    count: usize,
) -> ssize_t {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    self::count(sendfile(caller, to, fd, offset, count))
}

fn sendfile(
    caller: Caller<'_>,
    to: *const us_socket,
    fd: c_int,
    offset: *mut i64,
    count: usize,
) -> Result<usize, Failure> {
    let output = output(caller, to)?;
    let input = caller.descriptor(fd)?;
    // No more than limits::BYTES_PER_SENDFILE are accepted, which is less than SSIZE_MAX.
    let count = count as u64;
    let Some(given) = caller.optional_mut(offset)? else {
        return Ok(unisend::sendfile(output, input, Offset::Position, count)? as usize);
    };
    let mut at = u64::try_from(*given).map_err(|_| Refusal::NegativeOffset)?;
    let sent = unisend::sendfile(output, input, Offset::At(&mut at), count);
    // It is at most limits::FILE_OFFSET.
    *given = at as i64;
    Ok(sent? as usize)
}

/// Send as much of a transfer as one pass through it can.
///
/// Returns 1 if nothing is left, 0 if something is, or -1 and errno.  What was
/// accepted is in the us_transfer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_transfer(to: *const us_socket, transfer: *mut us_transfer) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    number(run(caller, to, transfer, |transfer, output| Ok(transfer.send(output).map(drop)?)))
}

/// Send all that is left of a transfer.  After a short count and after a signal,
/// the rest is sent; on an output that does not wait, it stops with EAGAIN where
/// the output is full.
///
/// Returns 0, or -1 and errno.  What was accepted is in the us_transfer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn us_transferall(to: *const us_socket, transfer: *mut us_transfer) -> c_int {
    // SAFETY: the caller keeps the rules of the header.
    let caller = unsafe { Caller::promises() };
    let all = run(caller, to, transfer, |transfer, output| match transfer.send_all(output) {
        Ok(_) => Ok(()),
        Err(stopped) => Err(stopped.error().into()),
    });
    status(all.map(drop))
}

type Rust<'a> = Transfer<'a, std::os::fd::BorrowedFd<'a>>;

/// Converts a transfer, sends some of it, and writes down how far it got. Returns 1 if it is done.
fn run(
    caller: Caller<'_>,
    to: *const us_socket,
    transfer: *mut us_transfer,
    send: impl FnOnce(&mut Rust<'_>, Output<'_>) -> Result<(), Failure>,
) -> Result<c_int, Failure> {
    let output = output(caller, to)?;
    let parts = caller.object_mut(transfer)?;
    let (mut header, mut trailer) = (Slices::new(), Slices::new());
    caller.slices(parts.header, parts.headercnt, &mut header)?;
    caller.slices(parts.trailer, parts.trailercnt, &mut trailer)?;
    let descriptors = caller.descriptors(parts.fds, parts.nfds)?;

    let file = caller.descriptor(parts.fd)?;
    let mut transfer = Transfer::new(file).with_descriptors(&descriptors);
    transfer = transfer.with_header(&header).with_trailer(&trailer).resume(sent(parts));
    if parts.offset != US_POSITION {
        transfer = transfer.at(u64::try_from(parts.offset).map_err(|_| Refusal::NegativeOffset)?);
    }
    if parts.count != US_TO_END {
        transfer = transfer.count(u64::try_from(parts.count).map_err(|_| Refusal::NegativeBytes)?);
    }
    if !parts.buffer.is_null() {
        transfer = transfer.by_copying(caller.bytes_mut(parts.buffer, parts.buflen)?);
    }

    let outcome = send(&mut transfer, output);
    let Sent { header, file, trailer, .. } = transfer.sent();
    (parts.sent_header, parts.sent_file, parts.sent_trailer) = (header, file, trailer);
    parts.missing = match transfer.outcome() {
        Some(Outcome::FileEnded { missing }) => missing,
        _ => 0,
    };
    parts.done = transfer.outcome().is_some().into();
    outcome.map(|()| parts.done)
}

fn sent(parts: &us_transfer) -> Sent {
    let mut sent = Sent::default();
    (sent.header, sent.file, sent.trailer) = (parts.sent_header, parts.sent_file, parts.sent_trailer);
    sent
}
