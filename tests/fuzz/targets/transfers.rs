//! Transfers: a header, a range of a file and a trailer, in as many parts as the kernel makes of them.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::fs::File;
use std::io::{IoSlice, Seek, SeekFrom};
use std::os::fd::BorrowedFd;

use arbitrary::Arbitrary;
use nix::errno::Errno;
use unisend::Outcome::FileEnded;
use unisend::{ErrorKind, Outcome, Sent, SocketKind, SocketRef, Transfer, limits};

use super::kernel::{self, Answer, Answers};
use super::sent::{Data, InTurn, MOST, Taken, rights_in, with_socket};

#[derive(Debug, Arbitrary)]
pub(super) struct Case {
    kind: Kind,
    header: Vec<u16>,
    trailer: Vec<u16>,
    descriptors: u8,
    file: Size,
    at: Option<Number>,
    count: Option<Number>,
    /// By copying, through a buffer of this size.
    buffer: Option<u16>,
    /// Whether the loop of the library is called.
    is_all: bool,
    /// Whether it is made again for each call.
    is_resumed: bool,
    takes: Vec<Taken>,
    reads: Vec<Given>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Kind {
    Tcp,
    UnixStream,
    OtherStream,
}

/// Around the sizes at which the library decides.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Size {
    Empty,
    Small,
    Page,
    FirstMessage,
    Buffer,
    Huge,
}

const SIZES: [u64; 6] = [0, 100, 4096, 8192, 65_600, 5 << 30];

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Number {
    Small(u16),
    AroundTheEnd(i8),
    AroundTheLargest(i8),
    Any(u64),
}

impl Number {
    fn of(self, end: u64) -> u64 {
        match self {
            Self::Small(number) => number.into(),
            Self::AroundTheEnd(more) => end.saturating_add_signed(more.into()),
            Self::AroundTheLargest(more) => limits::FILE_OFFSET.saturating_add_signed(more.into()),
            Self::Any(number) => number,
        }
    }
}

/// How a read ends.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Given {
    Full,
    Part(u8),
    Failed,
    Interrupted,
}

/// What is to be sent.
#[derive(Debug)]
struct Whole {
    header: u64,
    /// Where the range begins, and how much of it the file has.
    start: u64,
    file: u64,
    /// How much of it was asked for.
    count: Option<u64>,
    /// That which is sent: there is none after a file that is too short.
    trailer: u64,
}

impl Whole {
    fn end(&self) -> u64 {
        self.header + self.file + self.trailer
    }

    /// Returns whether these bytes are the next ones after so many.
    fn goes_on_with(&self, mut sent: u64, mut bytes: &[u8]) -> bool {
        let parts = [
            (Data::Header, self.header, 0),
            (Data::File, self.file, self.start),
            (Data::Trailer, self.trailer, 0),
        ];
        for (data, length, start) in parts {
            let skipped = sent.min(length);
            sent -= skipped;
            let count = bytes.len().min(usize::try_from(length - skipped).unwrap_or(usize::MAX));
            if bytes[..count] != *data.at(start.wrapping_add(skipped), count) {
                return false;
            }
            bytes = &bytes[count..];
        }
        bytes.is_empty()
    }
}

struct Taking<'a> {
    whole: &'a Whole,
    file: &'a File,
    size: u64,
    has_offset: bool,
    takes: InTurn<'a, Taken>,
    reads: InTurn<'a, Given>,
    sent: Cell<u64>,
    has_failed: Cell<bool>,
    calls: Cell<usize>,
    numbers: &'a [c_int],
    wrong: RefCell<Option<String>>,
}

impl Taking<'_> {
    fn holds(&self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.wrong.borrow_mut().get_or_insert_with(what);
        }
    }

    fn take(&self, offered: usize) -> Answer {
        self.calls.set(self.calls.get() + 1);
        let answer = self.takes.next().unwrap_or(Taken::WouldBlock).of(offered);
        self.has_failed.set(self.has_failed.get() || answer.is_err());
        answer
    }

    fn accept(&self, answer: Answer) -> Answer {
        self.sent.set(self.sent.get() + answer.unwrap_or(0) as u64);
        answer
    }
}

impl Answers for Taking<'_> {
    fn send(&self, slices: &[&[u8]], control: &[u8]) -> Answer {
        let sent = self.sent.get();
        let [bytes] = slices else { unreachable!("a message is gathered, and not {} slices", slices.len()) };
        self.holds(!bytes.is_empty(), || format!("nothing is sent after {sent}"));
        self.holds(self.whole.goes_on_with(sent, bytes), || {
            format!("{} wrong bytes after {sent}", bytes.len())
        });
        let numbers = if sent == 0 { self.numbers } else { &[] };
        let given = rights_in(control);
        self.holds(given.as_deref() == Ok(numbers), || format!("{given:?} after {sent}"));
        self.accept(self.take(bytes.len()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Answer {
        let there = buffer.len().min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX));
        let answer = match self.reads.next().unwrap_or(Given::Full) {
            Given::Full => Ok(there),
            Given::Part(count) => Ok(there.min(usize::from(count).max(1))),
            Given::Failed => Err(Errno::EIO),
            Given::Interrupted => Err(Errno::EINTR),
        };
        self.has_failed.set(self.has_failed.get() || answer.is_err());
        let count = answer?;
        buffer[..count].copy_from_slice(Data::File.at(offset, count));
        Ok(count)
    }

    fn sendfile(&self, _: c_int, offset: Option<u64>, count: usize) -> Answer {
        let sent = self.sent.get();
        let done = sent.saturating_sub(self.whole.header);
        let next = self.whole.start.saturating_add(done);
        self.holds(sent >= self.whole.header && done <= self.whole.file, || format!("a file after {sent}"));
        self.holds(offset == self.has_offset.then_some(next), || format!("from {offset:?} and not {next}"));
        self.holds(count > 0, || format!("nothing of the file after {sent}"));
        let is_within = self.whole.count.is_none_or(|most| count as u64 <= most - done);
        self.holds(is_within, || format!("{count} bytes of a file after {sent}"));
        let there = self.whole.file - done.min(self.whole.file);
        let most = count.min(usize::try_from(there).unwrap_or(usize::MAX));
        // No bytes would mean that the file ends here.
        let answer = self.take(most).map(|accepted| accepted.max(most.min(1)));
        if let (Ok(accepted), None) = (answer, offset) {
            let mut file = self.file;
            file.seek(SeekFrom::Current(accepted as i64)).expect("a file");
        }
        self.accept(answer)
    }
}

thread_local! {
    static FILES: [File; SIZES.len()] = SIZES.map(|size| {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(size).expect("a file without data");
        file
    });
}

pub(super) fn run(case: &Case) {
    FILES.with(|files| {
        with_socket(|socket| {
            let kind = match case.kind {
                Kind::Tcp => SocketKind::Tcp,
                Kind::UnixStream => SocketKind::UnixStream,
                Kind::OtherStream => SocketKind::OtherStream,
            };
            send(case, &files[case.file as usize], SIZES[case.file as usize], SocketRef::new(socket, kind));
        })
    });
}

fn slices(data: Data, lengths: &[u16]) -> Vec<IoSlice<'static>> {
    let mut end = 0;
    let fitting = lengths.iter().map_while(|&length| {
        let start = end;
        end += usize::from(length);
        (end <= MOST).then(|| IoSlice::new(&data.at(0, end)[start..]))
    });
    fitting.collect()
}

fn length(slices: &[IoSlice<'_>]) -> u64 {
    slices.iter().map(|slice| slice.len() as u64).sum()
}

/// The own position of a file that is sent from there.
const POSITION: u64 = 7;

fn send(case: &Case, mut file: &File, size: u64, socket: SocketRef<'_>) {
    let (header, trailer) = (slices(Data::Header, &case.header), slices(Data::Trailer, &case.trailer));
    let at = case.at.map(|at| at.of(size));
    let start = at.unwrap_or(POSITION);
    let there = size.saturating_sub(start);
    let count = case.count.map(|count| count.of(there));
    let is_short = count.is_some_and(|count| count > there);
    let whole = Whole {
        header: length(&header),
        start,
        count,
        file: count.map_or(there, |count| count.min(there)),
        trailer: if is_short { 0 } else { length(&trailer) },
    };
    let numbers: Vec<c_int> = (0..c_int::from(case.descriptors % 130)).map(|at| 1_000_000 + at).collect();
    // SAFETY: no call reaches a kernel.
    let borrowed = |&number: &c_int| unsafe { BorrowedFd::borrow_raw(number) };
    let descriptors: Vec<BorrowedFd<'_>> = numbers.iter().map(borrowed).collect();

    let is_beyond = start.checked_add(count.unwrap_or(0)).is_none_or(|end| end > limits::FILE_OFFSET);
    let is_carried = socket.kind() == SocketKind::UnixStream && whole.header > 0;
    let are_refused = !numbers.is_empty() && (!is_carried || numbers.len() > limits::DESCRIPTORS_PER_MESSAGE);
    let kernel = Taking {
        whole: &whole,
        file,
        size,
        has_offset: at.is_some(),
        takes: InTurn::new(&case.takes),
        reads: InTurn::new(&case.reads),
        sent: Cell::new(0),
        has_failed: Cell::new(false),
        calls: Cell::new(0),
        numbers: &numbers,
        wrong: RefCell::default(),
    };
    let test = Test {
        kernel: &kernel,
        socket,
        is_all: case.is_all,
        is_refused: is_beyond || are_refused || case.buffer == Some(0),
        promised_trailer: length(&trailer),
    };

    file.seek(SeekFrom::Start(POSITION)).expect("a file");
    let mut buffer = case.buffer.map(|bytes| vec![0; bytes.into()]);
    let mut sent = Sent::default();
    loop {
        let mut transfer = Transfer::new(file).with_descriptors(&descriptors);
        transfer = transfer.with_header(&header).with_trailer(&trailer).resume(sent);
        if let Some(at) = at {
            transfer = transfer.at(at);
        }
        if let Some(count) = count {
            transfer = transfer.count(count);
        }
        if let Some(buffer) = &mut buffer {
            transfer = transfer.by_copying(buffer);
        }
        let goes_on = match case.is_resumed {
            true => test.pass(&mut transfer),
            false => {
                while test.pass(&mut transfer) {}
                false
            }
        };
        if !goes_on {
            return;
        }
        sent = transfer.sent();
    }
}

struct Test<'a> {
    kernel: &'a Taking<'a>,
    socket: SocketRef<'a>,
    /// Whether the loop of the library is called.
    is_all: bool,
    is_refused: bool,
    promised_trailer: u64,
}

impl Test<'_> {
    /// Sends once, and returns whether there is more to do.
    fn pass(&self, transfer: &mut Transfer<'_, BorrowedFd<'_>>) -> bool {
        let kernel = self.kernel;
        let before = kernel.sent.get();
        kernel.has_failed.set(false);
        let (result, _) = kernel::on(kernel, || match self.is_all {
            true => transfer
                .send_all(self.socket)
                .map(Some)
                .map_err(|stopped| (stopped.accepted(), stopped.error())),
            false => transfer.send(self.socket).map(|_| None).map_err(|error| (0, error)),
        });
        if let Some(wrong) = kernel.wrong.take() {
            panic!("{wrong}");
        }
        let accepted = kernel.sent.get() - before;
        if self.is_refused {
            assert!(result.is_err());
            assert_eq!(kernel.calls.get(), 0, "it is refused before any call");
            return false;
        }
        match result {
            Ok(Some(outcome)) => assert_eq!(transfer.outcome(), Some(outcome)),
            Ok(None) => {}
            Err((said, error)) => {
                assert!(said == accepted || error.may_have_sent(), "{said} of {accepted}: {error:?}");
                let has_stalled = self.is_all && error.kind() == ErrorKind::Other;
                assert!(kernel.has_failed.get() || has_stalled, "an error out of nothing: {error:?}");
                assert!(!self.is_all || error.kind() != ErrorKind::Interrupted);
            }
        }
        self.check(transfer);
        transfer.outcome().is_none() && !kernel.takes.is_used_up()
    }

    /// Compares what the transfer says of itself with what the kernel took.
    fn check(&self, transfer: &Transfer<'_, BorrowedFd<'_>>) {
        let Taking { whole, sent, .. } = self.kernel;
        let sent = sent.get();
        let header = sent.min(whole.header);
        let file = (sent - header).min(whole.file);
        let trailer = sent - header - file;
        let said = transfer.sent();
        assert_eq!((said.header as u64, said.file, said.trailer as u64), (header, file, trailer));
        assert_eq!(said.total(), sent);

        let missing = whole.count.map_or(0, |count| count - whole.file);
        let promised =
            u128::from(whole.header) + u128::from(whole.file + missing) + u128::from(self.promised_trailer);
        let left = u64::try_from(promised - u128::from(sent)).unwrap_or(u64::MAX);
        match transfer.outcome() {
            Some(outcome) => {
                assert_eq!(sent, whole.end());
                assert_eq!(transfer.left(), Some(0));
                let expected = if missing == 0 { Outcome::Whole } else { FileEnded { missing } };
                assert_eq!(outcome, expected);
            }
            None => {
                let is_known = whole.count.is_some() || trailer > 0;
                assert!(transfer.left() == Some(left) || !is_known && transfer.left().is_none());
                assert!(sent < whole.end() || missing > 0 || whole.count.is_none(), "it is finished");
            }
        }
        let moved = if self.kernel.has_offset { 0 } else { file };
        let mut own = self.kernel.file;
        assert_eq!(own.stream_position().expect("a file"), POSITION + moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fuzzer found it: sendfile(2) cannot send the file, and the output takes none of the copy.
    #[test]
    fn l4c_an_output_that_takes_no_byte_is_not_the_end_of_the_file() {
        for is_all in [false, true] {
            run(&Case {
                kind: Kind::UnixStream,
                header: Vec::new(),
                trailer: vec![5],
                descriptors: 0,
                file: Size::Page,
                at: None,
                count: None,
                buffer: None,
                is_all,
                is_resumed: false,
                takes: vec![Taken::Refused, Taken::Part(0)],
                reads: Vec::new(),
            });
        }
    }
}
