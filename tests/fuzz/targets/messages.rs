//! Messages of slices, and what is left of them after each call.

use std::cell::RefCell;
use std::ffi::c_int;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use arbitrary::Arbitrary;
use unisend::{ErrorKind, Message, SendAllError, SendFlags, SocketKind, SocketRef, limits};

use super::kernel::{self, Answer, Answers};
use super::sent::{Data, InTurn, Taken, rights_in, with_socket};

#[derive(Debug, Arbitrary)]
pub(super) struct Case {
    kind: Kind,
    call: Call,
    slices: Vec<Slices>,
    descriptors: u8,
    takes: Vec<Taken>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Kind {
    Tcp,
    UnixStream,
    OtherStream,
    UnixSeqpacket,
    UnixDatagram,
    Other,
}

#[derive(Debug, Clone, Arbitrary)]
enum Call {
    Once,
    All,
    AllOfSlices,
    AllOfBytes,
    Advance(Vec<u16>),
}

/// Some slices of one length.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Slices {
    count: u8,
    /// Sixteen times as many.
    is_many: bool,
    length: u16,
}

/// The bytes of the longest message: more than OpenBSD's first part with descriptors.
const LONGEST: usize = 1 << 15;

impl Case {
    fn kind(&self) -> SocketKind {
        match self.kind {
            Kind::Tcp => SocketKind::Tcp,
            Kind::UnixStream => SocketKind::UnixStream,
            Kind::OtherStream => SocketKind::OtherStream,
            Kind::UnixSeqpacket => SocketKind::UnixSeqpacket,
            Kind::UnixDatagram => SocketKind::UnixDatagram,
            Kind::Other => SocketKind::Other,
        }
    }

    /// Slices that follow one another in the data.
    fn slices(&self) -> Vec<IoSlice<'static>> {
        let (mut all, mut end) = (Vec::new(), 0);
        for run in &self.slices {
            let length = usize::from(run.length);
            for _ in 0..usize::from(run.count) * if run.is_many { 16 } else { 1 } {
                if end + length > LONGEST || all.len() > 2 * limits::SLICES_PER_MESSAGE {
                    return all;
                }
                all.push(IoSlice::new(&Data::Header.at(0, end + length)[end..]));
                end += length;
            }
        }
        all
    }
}

/// One call that the kernel answered.
#[derive(Debug)]
struct Made {
    before: usize,
    slices: usize,
    offered: usize,
    is_right: bool,
    descriptors: Result<Vec<c_int>, String>,
    starts_empty: bool,
    answer: Answer,
}

/// A kernel that takes as much as it is told.
struct Taking<'a> {
    takes: InTurn<'a, Taken>,
    calls: RefCell<Vec<Made>>,
}

impl Taking<'_> {
    fn accepted(&self) -> usize {
        self.calls.borrow().iter().filter_map(|call| call.answer.ok()).sum()
    }
}

impl Answers for Taking<'_> {
    fn send(&self, slices: &[&[u8]], control: &[u8]) -> Answer {
        let before = self.accepted();
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let mut at = before;
        let is_right = slices.iter().all(|slice| {
            at += slice.len();
            at <= LONGEST && **slice == Data::Header.at(0, at)[at - slice.len()..]
        });
        let answer = self.takes.next().unwrap_or(Taken::All).of(offered);
        let starts_empty = slices.first().is_some_and(|slice| slice.is_empty());
        let descriptors = rights_in(control);
        let slices = slices.len();
        self.calls.borrow_mut().push(Made {
            before,
            slices,
            offered,
            is_right,
            descriptors,
            starts_empty,
            answer,
        });
        answer
    }
}

/// Numbers that the kernel is given, and that nothing opens or closes.
fn numbers(count: u8) -> Vec<c_int> {
    (0..c_int::from(count)).map(|at| 1_000_000 + at * 0x101).collect()
}

pub(super) fn run(case: &Case) {
    let slices = case.slices();
    let total = slices.iter().map(|slice| slice.len()).sum::<usize>();
    match &case.call {
        Call::Advance(steps) => advance(slices, total, steps),
        _ => with_socket(|socket| send(case, SocketRef::new(socket, case.kind()), slices, total)),
    }
}

fn is_rest(rest: &[IoSlice<'_>], accepted: usize, total: usize) -> bool {
    let mut expected = &Data::Header.at(0, total)[accepted..];
    let is_next = |slice: &IoSlice<'_>| match expected.split_at_checked(slice.len()) {
        Some((next, after)) if next == &**slice => {
            expected = after;
            true
        }
        _ => false,
    };
    rest.iter().all(is_next) && expected.is_empty()
}

fn advance(mut slices: Vec<IoSlice<'_>>, total: usize, steps: &[u16]) {
    let mut message = Message::new(&mut slices);
    let mut accepted = 0;
    for &step in steps {
        let step = usize::from(step).min(total - accepted);
        message.advance(step);
        accepted += step;
        let left = total - accepted;
        assert_eq!(format!("{message:?}"), format!("Message {{ bytes: {left}, descriptors: 0, .. }}"));
    }
    assert!(is_rest(message.into_rest(), accepted, total));
}

/// Why a message is refused before any call, if it is.
fn refusal(case: &Case, slices: usize, total: usize) -> Option<ErrorKind> {
    let kind = case.kind();
    let is_too_many = slices > limits::SLICES_PER_MESSAGE && !matches!(case.call, Call::AllOfBytes);
    let is_one_call = matches!(case.call, Call::Once) || !kind.is_stream();
    let has_descriptors = case.descriptors > 0 && matches!(case.call, Call::Once | Call::All);
    let is_unix =
        matches!(kind, SocketKind::UnixStream | SocketKind::UnixSeqpacket | SocketKind::UnixDatagram);
    match case.descriptors {
        _ if is_too_many && is_one_call => Some(ErrorKind::TooManySlices),
        _ if has_descriptors && !is_unix => Some(ErrorKind::Unsupported),
        127.. if has_descriptors => Some(ErrorKind::TooManyDescriptors),
        _ if has_descriptors && total == 0 && kind.is_stream() => Some(ErrorKind::DescriptorsWithoutData),
        _ if !has_descriptors && total == 0 && kind == SocketKind::UnixSeqpacket => {
            Some(ErrorKind::EmptyRecord)
        }
        _ => None,
    }
}

fn send(case: &Case, socket: SocketRef<'_>, mut slices: Vec<IoSlice<'_>>, total: usize) {
    let kernel = Taking { takes: InTurn::new(&case.takes), calls: RefCell::default() };
    let refusal = refusal(case, slices.len(), total);
    let count = slices.len();
    let has_descriptors = matches!(case.call, Call::Once | Call::All);
    let numbers = numbers(if has_descriptors { case.descriptors } else { 0 });
    // SAFETY: no call reaches a kernel.
    let borrowed = |&number: &c_int| unsafe { BorrowedFd::borrow_raw(number) };
    let descriptors: Vec<BorrowedFd<'_>> = numbers.iter().map(borrowed).collect();
    let none = SendFlags::empty();

    let mut failures = 0;
    match case.call {
        Call::Once => {
            let message = Message::new(&mut slices).with_descriptors(&descriptors);
            let (sent, _) = kernel::on(&kernel, || message.send(&socket, none));
            match (refusal, sent) {
                (Some(kind), sent) => assert_eq!(sent.map_err(|error| error.kind()), Err(kind)),
                (None, Ok(accepted)) => assert_eq!(accepted, kernel.accepted()),
                (None, Err(_)) => assert_eq!(kernel.accepted(), 0),
            }
            assert!(kernel.calls.borrow().len() <= 1);
        }
        Call::All => {
            let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
            failures = to_the_end(&kernel, &socket, refusal, total, || message.send_all(&socket, none));
            assert!(is_rest(message.into_rest(), kernel.accepted(), total));
        }
        Call::AllOfSlices => {
            let mut rest = &mut slices[..];
            failures =
                to_the_end(&kernel, &socket, refusal, total, || socket.send_all_vectored(&mut rest, none));
            assert!(is_rest(rest, kernel.accepted(), total));
        }
        Call::AllOfBytes => {
            let bytes = Data::Header.at(0, total);
            failures = to_the_end(&kernel, &socket, refusal, total, || {
                socket.send_all(&bytes[kernel.accepted()..], none)
            });
        }
        Call::Advance(_) => unreachable!("it sends nothing"),
    }
    let calls = kernel.calls.borrow();
    assert_eq!(calls.is_empty(), refusal.is_some(), "{calls:?}");
    let is_done = kernel.accepted() == total;
    assert!(refusal.is_some() || is_done || failures > 0 || matches!(case.call, Call::Once), "{calls:?}");
    for call in &*calls {
        check(call, case, count, total, &numbers);
    }
}

/// Sends all, again after each failure, as long as that makes sense. Returns how often it failed.
fn to_the_end(
    kernel: &Taking<'_>,
    socket: &SocketRef<'_>,
    refusal: Option<ErrorKind>,
    total: usize,
    mut send: impl FnMut() -> Result<(), SendAllError>,
) -> usize {
    let mut failures = 0;
    loop {
        let before = kernel.accepted();
        let (sent, _) = kernel::on(kernel, &mut send);
        let Err(stopped) = sent else {
            assert_eq!(refusal, None);
            assert_eq!(kernel.accepted(), total);
            return failures;
        };
        failures += 1;
        if let Some(kind) = refusal {
            assert_eq!((stopped.kind(), stopped.accepted()), (kind, 0));
            return failures;
        }
        assert_ne!(stopped.kind(), ErrorKind::Interrupted);
        assert_eq!(stopped.accepted(), kernel.accepted() - before);
        if !socket.kind().is_stream() {
            return failures;
        }
    }
}

fn check(call: &Made, case: &Case, count: usize, total: usize, numbers: &[c_int]) {
    assert!(call.is_right, "these bytes are not the next ones: {call:?}");
    assert!(call.slices <= limits::SLICES_PER_MESSAGE, "{call:?}");
    assert!(call.before + call.offered <= total, "{call:?}");
    let with_descriptors = call.before == 0 && !numbers.is_empty();
    assert_eq!(call.descriptors.as_deref(), Ok(if with_descriptors { numbers } else { &[] }));
    let is_all = call.before + call.offered == total;
    // OpenBSD's first part with descriptors is shorter (R13).
    let may_be_less = with_descriptors && !cfg!(target_os = "linux");
    assert!(is_all || call.slices == limits::SLICES_PER_MESSAGE || may_be_less, "{call:?} of {count} slices");
    let is_loop = !matches!(case.call, Call::Once);
    assert!(
        !is_loop || !call.starts_empty || total == 0 || !case.kind().is_stream() || call.before == total,
        "a call that begins with nothing: {call:?}"
    );
}
