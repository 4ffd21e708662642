//! Segments: how much of a buffer each call is given, and what counts as sent.

use std::cell::RefCell;

use arbitrary::Arbitrary;
use unisend::{DatagramSocket, ErrorKind, SegmentOffload, Segments, SendFlags, SocketRef, limits};

use super::kernel::{self, Answer, Answers};
use super::sent::{Data, InTurn, MOST, Taken, with_no_socket};

#[derive(Debug, Arbitrary)]
pub(super) struct Case {
    is_v6: bool,
    /// How many segments there are, and by how many bytes the last is shorter.
    count: u8,
    shorter: u16,
    size: u16,
    never: bool,
    takes: Vec<Taken>,
}

struct Taking<'a> {
    takes: InTurn<'a, Taken>,
    bytes: &'static [u8],
    /// Where in them each call began, how many it was given, and the size of its segments.
    calls: RefCell<Vec<(usize, usize, u16)>>,
}

impl Answers for Taking<'_> {
    fn send(&self, slices: &[&[u8]], control: &[u8]) -> Answer {
        // SAFETY: it is arithmetic.
        let start = unsafe { libc::CMSG_LEN(0) } as usize;
        // SAFETY: it is arithmetic.
        let space = unsafe { libc::CMSG_SPACE(2) } as usize;
        // A call that has something else has segments of no bytes.
        let size = match control.len() == space {
            true => u16::from_ne_bytes([control[start], control[start + 1]]),
            false => 0,
        };
        let [slice] = slices else { unreachable!("one slice is divided, and not {}", slices.len()) };
        let start = slice.as_ptr() as usize - self.bytes.as_ptr() as usize;
        self.calls.borrow_mut().push((start, slice.len(), size));
        self.takes.next().unwrap_or(Taken::All).of(slice.len())
    }
}

/// What is to come of it: the lengths of the calls, how much is sent, and why no more is.
#[derive(Debug, Default)]
struct Expected {
    calls: Vec<(usize, usize)>,
    accepted: usize,
    stopped: Option<Stopped>,
}

#[derive(Debug, PartialEq)]
enum Stopped {
    As(ErrorKind),
    Anyhow,
}

/// The same loop, with no regard to what it costs.
fn expected(case: &Case, total: usize, is_offloaded: bool) -> Expected {
    let size = usize::from(case.size);
    let takes = InTurn::new(&case.takes);
    let mut all = Expected::default();
    while all.accepted < total {
        let mut part = Vec::new();
        for segment in (all.accepted..total).step_by(size) {
            let length = size.min(total - segment);
            // One datagram carries them all to the driver that divides it.
            if part.len() == 64 || part.iter().sum::<usize>() + size > limits::DATAGRAM_BYTES - 40 {
                break;
            }
            part.push(length);
        }
        let is_divided = is_offloaded && total - all.accepted > size && part.len() > 1;
        if !is_divided {
            // A batch, which goes to a descriptor that is no socket.
            all.stopped = Some(Stopped::As(ErrorKind::NotSocket));
            return all;
        }
        let offered = part.iter().sum();
        let mut ask = || {
            all.calls.push((all.accepted, offered));
            takes.next().unwrap_or(Taken::All)
        };
        let taken = match ask() {
            Taken::Refused => ask(),
            taken => taken,
        };
        all.stopped = match taken {
            Taken::Refused => Some(Stopped::As(ErrorKind::NotSocket)),
            Taken::WouldBlock => Some(Stopped::As(ErrorKind::WouldBlock)),
            Taken::Gone => Some(Stopped::Anyhow),
            Taken::Interrupted => None,
            Taken::All | Taken::Part(_) => {
                let mut left = taken.of(offered).expect("it is a count");
                for length in part {
                    if left < length {
                        break;
                    }
                    left -= length;
                    all.accepted += length;
                }
                let is_stopped = left > 0 || matches!(taken, Taken::Part(0));
                let is_short = is_stopped || matches!(taken, Taken::Part(count) if usize::from(count) < size);
                is_short.then_some(Stopped::As(ErrorKind::Other))
            }
        };
        if all.stopped.is_some() {
            return all;
        }
    }
    all
}

pub(super) fn run(case: &Case) {
    if case.size == 0 {
        return;
    }
    let size = usize::from(case.size);
    let total = (size * usize::from(case.count)).saturating_sub(usize::from(case.shorter) % size).min(MOST);
    with_no_socket(|file| {
        let socket = if case.is_v6 { SocketRef::udp_v6(file) } else { SocketRef::udp_v4(file) };
        check(case, &socket, total);
    });
}

fn check(case: &Case, socket: &SocketRef<'_, DatagramSocket>, total: usize) {
    let size = usize::from(case.size);
    let bytes = Data::Header.at(0, total);
    let mut offload = if case.never { SegmentOffload::never() } else { SegmentOffload::new() };
    let expected = expected(case, total, offload.takes(size));
    let kernel = Taking { bytes, takes: InTurn::new(&case.takes), calls: RefCell::default() };
    let segments = Segments::new(bytes, size);
    let (sent, _) = kernel::on(&kernel, || segments.send(socket, &mut offload, SendFlags::empty()));
    let calls: Vec<_> = expected.calls.iter().map(|&(start, length)| (start, length, case.size)).collect();
    assert_eq!(*kernel.calls.borrow(), calls);
    match (sent, expected.stopped) {
        (Ok(()), None) => assert_eq!(expected.accepted, total),
        (Err(stopped), Some(why)) => {
            assert_eq!(stopped.accepted(), expected.accepted);
            assert!(why == Stopped::Anyhow || why == Stopped::As(stopped.kind()), "{stopped:?}, not {why:?}");
        }
        (sent, why) => panic!("{sent:?}, not {why:?}"),
    }
}
