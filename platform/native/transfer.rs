//! Transfers: bytes, then a range of a file, then bytes (T1 to T11).
//!
//! Copying gathers all three in one buffer, and sends it as one message. The kernel's sendfile(2) sends the file
//! only, so the header goes before it in a message that says that more follows. If all of the file fits into that
//! message, it is copied too.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use super::cork::Corked;
use super::file::kind_and_length;
use super::sendfile::{FileSender, Method, Output, check_range};
use crate::platform::Native;
use crate::platform::contract::{Errno, ErrorKind, SendFlags, SocketKind, limits};
use crate::platform::kernel::{FileKind, Kernel, RawErrno, RawFlags, Why};
use crate::platform::posix::{Filled, file};

/// Up to this size, one message that is copied is faster than a header and the kernel's sendfile.
const FIRST_MESSAGE: usize = 8 * 1024;

/// What a transfer sends.
#[derive(Debug)]
pub(crate) struct Whole<'a, Descriptor> {
    pub(crate) header: &'a [IoSlice<'a>],
    /// They go with the first byte of the header.
    pub(crate) descriptors: &'a [Descriptor],
    /// Where the range begins. `None` is the file's own position.
    pub(crate) offset: Option<u64>,
    /// The length of the range. `None` is to the end of the file.
    pub(crate) count: Option<u64>,
    pub(crate) trailer: &'a [IoSlice<'a>],
}

/// How much of a transfer was accepted, or is in a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) header: usize,
    pub(crate) file: u64,
    pub(crate) trailer: usize,
    /// Whether the file was found to end there.
    pub(crate) ended: bool,
}

impl Progress {
    pub(crate) fn total(&self) -> u64 {
        self.header as u64 + self.file + self.trailer as u64
    }

    fn plus(&self, message: &Self) -> Self {
        Self {
            header: self.header + message.header,
            file: self.file + message.file,
            trailer: self.trailer + message.trailer,
            ended: self.ended || message.ended,
        }
    }

    /// Returns what is in the first bytes of this message.
    fn first(&self, bytes: usize) -> Self {
        let header = self.header.min(bytes);
        let file = self.file.min((bytes - header) as u64);
        let trailer = bytes - header - file as usize;
        let ended = self.ended && (header, file) == (self.header, self.file);
        Self { header, file, trailer, ended }
    }
}

impl Whole<'_, BorrowedFd<'_>> {
    pub(super) fn of_file(offset: Option<u64>, count: u64) -> Self {
        Self { header: &[], descriptors: &[], offset, count: Some(count), trailer: &[] }
    }
}

impl<Descriptor> Whole<'_, Descriptor> {
    pub(crate) fn header_left(&self, sent: &Progress) -> usize {
        length(self.header).saturating_sub(sent.header)
    }

    /// Returns how much of the file may be left. A trailer is only sent after all of it (T4).
    pub(crate) fn file_left(&self, sent: &Progress) -> u64 {
        match self.count {
            _ if sent.ended || sent.trailer > 0 => 0,
            Some(count) => count.saturating_sub(sent.file),
            None => limits::FILE_OFFSET.saturating_sub(self.offset.unwrap_or(0)).saturating_sub(sent.file),
        }
    }

    /// Returns how much of the trailer is left. It is not sent after a file that was too short (T5).
    pub(crate) fn trailer_left(&self, sent: &Progress) -> usize {
        match self.missing(sent) {
            0 => length(self.trailer).saturating_sub(sent.trailer),
            _ => 0,
        }
    }

    /// Returns how many bytes the file had too few.
    pub(crate) fn missing(&self, sent: &Progress) -> u64 {
        match self.count {
            Some(count) if sent.ended => count.saturating_sub(sent.file),
            _ => 0,
        }
    }

    pub(crate) fn is_finished(&self, sent: &Progress) -> bool {
        self.header_left(sent) == 0 && self.file_left(sent) == 0 && self.trailer_left(sent) == 0
    }
}

pub(crate) fn length(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().fold(0, |bytes, slice| bytes.saturating_add(slice.len()))
}

impl<'a> FileSender<'a> {
    /// Goes once through what is left of a transfer, and returns how many bytes were accepted. It stops where the
    /// output takes no more.
    pub(crate) fn transfer<Descriptor: AsFd>(
        &mut self,
        whole: &Whole<'_, Descriptor>,
        sent: &mut Progress,
    ) -> Result<u64, Why> {
        let before = sent.total();
        let outcome = self.pass(whole, sent);
        let accepted = sent.total() - before;
        match outcome {
            Err(why) if self.is_returned(why, accepted) => Err(why),
            _ => Ok(accepted),
        }
    }

    fn pass<Descriptor: AsFd>(
        &mut self,
        whole: &Whole<'_, Descriptor>,
        sent: &mut Progress,
    ) -> Result<(), Why> {
        let count = whole.count.unwrap_or(sent.file);
        match whole.offset {
            // sendfile(2) is not asked for all of it, so it cannot refuse a range that goes too far (X4).
            None if count - sent.file > limits::BYTES_PER_SENDFILE => {
                check_range(self.start(None).unwrap_or(0), count - sent.file)?;
            }
            offset => self.check_range(offset, count)?,
        }
        if !matches!(self.method, Method::Kernel) {
            return self.copy(whole, sent);
        }
        let has_header = whole.header_left(sent) > 0;
        if has_header && !self.begin(whole, sent)? {
            return Ok(());
        }
        if whole.file_left(sent) > 0 {
            // What sendfile leaves of a segment waits for the trailer (T2).
            let _corked = (whole.trailer_left(sent) > 0).then(|| self.cork());
            self.send_file(whole, sent, has_header)?;
            return match whole.file_left(sent) == 0 && whole.trailer_left(sent) > 0 {
                true => self.copy(whole, sent),
                false => Ok(()),
            };
        }
        if has_header && whole.is_finished(sent) {
            return Ok(());
        }
        self.copy(whole, sent)
    }

    /// Sends the header, and with it the file if that is small. Returns whether all of it was accepted.
    fn begin<Descriptor: AsFd>(
        &mut self,
        whole: &Whole<'_, Descriptor>,
        sent: &mut Progress,
    ) -> Result<bool, Why> {
        match whole.header_left(sent) <= FIRST_MESSAGE / 2 {
            true => self.begin_with::<FIRST_MESSAGE, _>(whole, sent),
            false => self.begin_with::<{ 8 * FIRST_MESSAGE }, _>(whole, sent),
        }
    }

    #[inline(never)] // its frame is large
    fn begin_with<const BYTES: usize, Descriptor: AsFd>(
        &mut self,
        whole: &Whole<'_, Descriptor>,
        sent: &mut Progress,
    ) -> Result<bool, Why> {
        // An empty file is read with the first message only if that has room after the header.
        let room = FIRST_MESSAGE.checked_sub(whole.header_left(sent)).filter(|&room| room > 0);
        let is_small = |length: u64| {
            let there = length.saturating_sub(whole.offset.unwrap_or(0) + sent.file);
            room.is_some_and(|room| whole.file_left(sent).min(there) <= room as u64)
        };
        let reach = match self.admit(whole, sent, is_small)? {
            true => Reach::SmallFile,
            false => Reach::Header,
        };
        let mut buffer = [MaybeUninit::uninit(); BYTES];
        Messages { input: self.input, buffer: &mut buffer, reach }.send(&mut self.output, whole, sent)
    }

    /// Sends the file by sendfile, as far as the output takes it.
    fn send_file<Descriptor>(
        &mut self,
        whole: &Whole<'_, Descriptor>,
        sent: &mut Progress,
        after_header: bool,
    ) -> Result<(), Why> {
        let offset = whole.offset.map(|offset| offset + sent.file);
        let asked = whole.file_left(sent).min(limits::BYTES_PER_SENDFILE);
        let (accepted, outcome) = match self.send(offset, asked) {
            Ok(accepted) => (accepted, Ok(())),
            Err(stopped) => (stopped.accepted, Err(stopped.why)),
        };
        sent.file += accepted;
        if outcome.is_ok() && accepted < asked {
            // After some bytes the output can be full. Only a trailer needs to know that now.
            let offset = offset.map(|offset| offset + accepted);
            let at_end = accepted == 0 && !self.has_stalled;
            sent.ended = at_end || whole.trailer_left(sent) > 0 && self.has_ended(offset);
        }
        let would_block =
            matches!(outcome, Err(Why::Output(errno)) if Native::errno_name(errno) == Some(Errno::EAGAIN));
        if accepted == 0 && (after_header || !would_block) {
            self.push();
        }
        outcome
    }

    /// Returns whether the file has no byte here. A file that cannot be read has not ended: the next call returns the
    /// error. Bytes of a device are not read, because they could not be read again.
    fn has_ended(&self, offset: Option<u64>) -> bool {
        match (kind_and_length(self.input), self.start(offset)) {
            (Ok((FileKind::Seekable, length)), Ok(start)) => {
                // A single byte cannot be read from a file that is open with O_DIRECT.
                start >= length && self.has_byte_at(start) == Ok(false)
            }
            _ => false,
        }
    }

    /// Has TCP send what it keeps back for data that did not follow (T2): after a header with `MSG_MORE`, and after
    /// a short count at the end of a file or before an error, which Linux before 6.5 takes for a part of more.
    #[cold]
    fn push(&self) {
        drop(self.cork());
    }

    /// Corks the output, if it is TCP and not corked by the user.
    fn cork(&self) -> Option<Corked<'a>> {
        match self.output.sink.socket {
            Some(SocketKind::Tcp) => Corked::new(self.output.sink.fd).ok().flatten(),
            _ => None,
        }
    }
}

/// How far the messages of a transfer go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To the end of the header. Then the kernel sends the file.
    Header,
    /// The same, with as much of a small file as the last message of the header has room for.
    SmallFile,
    /// To the end.
    All,
}

/// The messages of a transfer, gathered in a buffer.
pub(super) struct Messages<'a> {
    pub(super) input: BorrowedFd<'a>,
    pub(super) buffer: &'a mut [MaybeUninit<u8>],
    pub(super) reach: Reach,
}

impl Messages<'_> {
    /// Sends messages until everything was accepted, the file ends, the output accepts only a part, or a call
    /// fails. Returns whether the output accepted all that it was given.
    ///
    /// If the file's own position is used, it is set once, at the end.
    pub(super) fn send<Descriptor: AsFd>(
        mut self,
        output: &mut Output<'_>,
        whole: &Whole<'_, Descriptor>,
        sent: &mut Progress,
    ) -> Result<bool, Why> {
        let first = sent.file;
        let start = match whole.offset {
            Some(offset) => offset + first,
            None if whole.file_left(sent) == 0 => 0,
            None => file::position(self.input).map_err(Why::Descriptor)?,
        };
        check_range(start, whole.count.map_or(0, |count| count - first))?;
        let outcome = self.send_from(start, output, whole, sent);
        let accepted = sent.file - first;
        if whole.offset.is_none() && accepted > 0 {
            set_position(self.input, start + accepted).map_err(Why::Position)?;
        }
        outcome
    }

    fn send_from<Descriptor: AsFd>(
        &mut self,
        start: u64,
        output: &mut Output<'_>,
        whole: &Whole<'_, Descriptor>,
        sent: &mut Progress,
    ) -> Result<bool, Why> {
        let first = sent.file;
        let last = match self.reach {
            Reach::Header => first,
            Reach::SmallFile | Reach::All => first + whole.file_left(sent).min(limits::BYTES_PER_SENDFILE),
        };
        let ends_with_header = self.reach != Reach::All;
        loop {
            let offset = start + (sent.file - first);
            let (mut filled, descriptors) = room(self.buffer, whole, sent);
            let message = gather(&mut filled, self.input, offset, last - sent.file, whole, sent)?;
            let bytes = filled.bytes();
            let after = sent.plus(&message);
            if bytes.is_empty() {
                *sent = after;
                return Ok(true);
            }
            let flags = match ends_with_header && !whole.is_finished(&after) {
                true => more_follows(output.sink.socket),
                false => RawFlags(Native::NUMBERS.MSG_NOSIGNAL),
            };
            let taken = output.put(bytes, descriptors, flags)?;
            let is_whole = taken == bytes.len();
            *sent = sent.plus(&message.first(taken));
            let is_last = whole.is_finished(sent) || ends_with_header && whole.header_left(sent) == 0;
            if !is_whole || is_last {
                return Ok(is_whole);
            }
        }
    }
}

/// Sets the file's own position, through interruptions. If one were returned, a loop would go on at the old position, and
/// send again what was accepted.
fn set_position(file: BorrowedFd<'_>, position: u64) -> Result<(), RawErrno> {
    loop {
        match file::set_position(file, position) {
            Err(errno) if Native::plain_meaning(errno) == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Returns the room for the next message, and the descriptors that go with it.
fn room<'buffer, 'a, Descriptor>(
    buffer: &'buffer mut [MaybeUninit<u8>],
    whole: &Whole<'a, Descriptor>,
    sent: &Progress,
) -> (Filled<'buffer>, &'a [Descriptor]) {
    if sent.header > 0 || whole.descriptors.is_empty() {
        return (Filled::new(buffer), &[]);
    }
    // R13: the first part of a stream must fit beside its descriptors.
    let most = Native::FIRST_PART_WITH_DESCRIPTORS.unwrap_or(usize::MAX).min(buffer.len());
    (Filled::new(&mut buffer[..most]), whole.descriptors)
}

/// Fills a message with what comes next: at most `most` bytes of the file, and the trailer after the last of them.
fn gather<Descriptor>(
    filled: &mut Filled<'_>,
    input: BorrowedFd<'_>,
    offset: u64,
    most: u64,
    whole: &Whole<'_, Descriptor>,
    sent: &Progress,
) -> Result<Progress, Why> {
    let mut message = Progress { header: filled.extend(whole.header, sent.header), ..Progress::default() };
    if message.header < whole.header_left(sent) {
        return Ok(message);
    }
    while message.file < most && !filled.is_full() {
        // pread(2) refuses a range that goes past the end of the largest file.
        let (offset, most) = (offset + message.file, most - message.file);
        match filled.read_at(input, offset, most.min(limits::FILE_OFFSET - offset)) {
            Ok(0) => {
                message.ended = true;
                break;
            }
            Ok(count) => message.file += count as u64,
            // What was read is sent first. The next message meets the same error.
            Err(_) if message.file > 0 => return Ok(message),
            Err(errno) => return Err(Why::Descriptor(errno)),
        }
    }
    let after = sent.plus(&message);
    if whole.file_left(&after) == 0 && whole.missing(&after) == 0 {
        message.trailer = filled.extend(whole.trailer, sent.trailer);
    }
    Ok(message)
}

/// Returns the flags of a message after which the kernel sends more. The hint is for TCP only: another stream has no
/// use for it (F4b), or cannot be made to send what it keeps back.
fn more_follows(socket: Option<SocketKind>) -> RawFlags {
    socket
        .filter(|&kind| kind == SocketKind::Tcp)
        .and_then(|kind| Native::raw_flags(kind, SendFlags::MORE))
        .unwrap_or(RawFlags(Native::NUMBERS.MSG_NOSIGNAL))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NOTHING: Progress = Progress { header: 0, file: 0, trailer: 0, ended: false };

    #[rstest]
    #[case::nothing(0, NOTHING)]
    #[case::a_part_of_the_header(2, Progress { header: 2, ..NOTHING })]
    #[case::the_header(3, Progress { header: 3, ..NOTHING })]
    #[case::a_part_of_the_file(5, Progress { header: 3, file: 2, ..NOTHING })]
    #[case::the_file(7, Progress { header: 3, file: 4, trailer: 0, ended: true })]
    #[case::a_part_of_the_trailer(8, Progress { header: 3, file: 4, trailer: 1, ended: true })]
    #[case::all(12, Progress { header: 3, file: 4, trailer: 5, ended: true })]
    fn t3_what_was_accepted_of_a_message(#[case] bytes: usize, #[case] expected: Progress) {
        assert_eq!(Progress { header: 3, file: 4, trailer: 5, ended: true }.first(bytes), expected);
    }

    /// The end of the file was seen with a message that has nothing of it.
    #[test]
    fn t4_a_file_without_a_byte_ends_after_the_header() {
        let message = Progress { header: 3, file: 0, trailer: 0, ended: true };
        assert!(!message.first(2).ended);
        assert!(message.first(3).ended);
    }

    #[rstest]
    #[case::nothing_sent(Some(4), NOTHING, (3, 4, 5, 0))]
    #[case::in_the_file(Some(4), Progress { header: 3, file: 1, ..NOTHING }, (0, 3, 5, 0))]
    #[case::in_the_trailer(Some(4), Progress { header: 3, file: 4, trailer: 2, ended: false }, (0, 0, 3, 0))]
    #[case::too_short(Some(4), Progress { header: 3, file: 1, trailer: 0, ended: true }, (0, 0, 0, 3))]
    #[case::at_its_end(Some(4), Progress { header: 3, file: 4, trailer: 0, ended: true }, (0, 0, 5, 0))]
    #[case::to_the_end(None, Progress { header: 3, file: 9, ..NOTHING }, (0, limits::FILE_OFFSET - 9, 5, 0))]
    #[case::found_the_end(None, Progress { header: 3, file: 9, trailer: 0, ended: true }, (0, 0, 5, 0))]
    #[case::it_grew_since(None, Progress { header: 3, file: 9, trailer: 1, ended: false }, (0, 0, 4, 0))]
    fn t5_what_is_left(
        #[case] count: Option<u64>,
        #[case] sent: Progress,
        #[case] expected: (usize, u64, usize, u64),
    ) {
        let (header, trailer) = ([IoSlice::new(b"abc")], [IoSlice::new(b"uvwxy")]);
        let whole = Whole::<BorrowedFd<'_>> {
            header: &header,
            descriptors: &[],
            offset: None,
            count,
            trailer: &trailer,
        };
        let left = (
            whole.header_left(&sent),
            whole.file_left(&sent),
            whole.trailer_left(&sent),
            whole.missing(&sent),
        );
        assert_eq!(left, expected);
    }
}
