//! The answers of a kernel to short programs, and whether the model takes them.

use unisend::ErrorKind::{self, *};

use super::super::payload::Payload;
use super::super::program::{Call, Flags, How, Kind, Step, Taking, Target};
use super::{Answer, Arrival, Model, System};
use System::{Linux, OpenBsd};

const A: usize = 0;
const B: usize = 1;
const NO_FLAGS: Flags = Flags(0);
const PLAIN: Taking = Taking::WithoutDescriptors;

/// What happens in a program.
enum Event {
    Made(Step),
    Sent(usize, Call, usize, Result<usize, ErrorKind>),
    Received(usize, Taking, usize, Result<Arrival, ErrorKind>),
    ToldNothing(usize),
}
use Event::{Made, Received, Sent, ToldNothing};

/// Returns the clause by which the last answer is right, and whether it is marked. All before it must be right.
fn last(system: System, program: Vec<Event>) -> Option<(&'static str, bool)> {
    let mut model = Model::new(system);
    let count = program.len();
    let mut said = None;
    for (number, event) in program.into_iter().enumerate() {
        let judged = match event {
            Made(step) => {
                assert!(model.can(&step), "{step:?}");
                model.follow(&step);
                continue;
            }
            ToldNothing(place) => {
                model.report_was_lost(place);
                continue;
            }
            Sent(place, call, length, outcome) => {
                let (accepted, error) = outcome.map_or_else(|kind| (0, Some(kind)), |count| (count, None));
                let payload = Payload::new(number, call, length);
                model.sent(place, call, &payload, NO_FLAGS, &Answer::Sent(accepted, error))
            }
            Received(place, taking, room, outcome) => {
                let answer = outcome.map_or_else(Answer::Failed, |arrival| Answer::Received(vec![arrival]));
                model.received(place, taking, room, NO_FLAGS, &answer)
            }
        };
        assert!(judged.is_ok() || number + 1 == count, "event {number}: {judged:?}");
        said = judged.ok().map(|said| (said.clause, said.differs));
    }
    said
}

fn is_right(system: System, program: Vec<Event>) -> bool {
    last(system, program).is_some()
}

/// What the event with this number sends.
fn bytes(number: usize, length: usize) -> Arrival {
    let payload = Payload::new(number, Call::One, length);
    Arrival { bytes: payload.messages.concat(), ..Arrival::default() }
}

fn end() -> Arrival {
    Arrival { end: true, ..Arrival::default() }
}

const fn one(place: usize, length: usize) -> Event {
    Sent(place, Call::One, length, Ok(length))
}

#[test]
fn a_report_that_poll_does_not_tell_may_come_on_openbsd() {
    let refused = |outcome| {
        let reset_peer = [Made(Step::Pair(Kind::UdpV4, A, B)), Made(Step::Close(B)), one(A, 1)];
        reset_peer.into_iter().chain([ToldNothing(A), Sent(A, Call::One, 1, outcome)]).collect::<Vec<_>>()
    };
    assert!(is_right(OpenBsd, refused(Err(Refused))));
    assert!(is_right(OpenBsd, refused(Ok(1))));
    assert!(is_right(Linux, refused(Ok(1))));
    assert!(!is_right(Linux, refused(Err(Refused))));
    assert!(!is_right(OpenBsd, refused(Err(Reset))));
}

#[test]
fn a_report_that_was_told_is_returned_once() {
    let program = |second| {
        let sends = [Err(Refused), second].map(|outcome| Sent(A, Call::One, 1, outcome));
        [Made(Step::Pair(Kind::UdpV6, A, B)), Made(Step::Close(B)), one(A, 1)]
            .into_iter()
            .chain(sends)
            .collect::<Vec<_>>()
    };
    for system in [Linux, OpenBsd] {
        assert!(is_right(system, program(Ok(1))));
        assert!(!is_right(system, program(Err(Refused))));
    }
}

#[test]
fn what_comes_after_receiving_was_shut_down() {
    let unix = |kind, arrival: Arrival| {
        vec![
            Made(Step::Pair(kind, A, B)),
            one(A, 3),
            Made(Step::Shutdown(B, How::Receiving)),
            one(A, 5),
            Received(B, PLAIN, 100, Ok(arrival)),
        ]
    };
    for kind in [Kind::UnixStream, Kind::UnixSeqpacket] {
        assert!(is_right(OpenBsd, unix(kind, bytes(3, 5))), "{kind:?}: what came after it (S15)");
        assert!(!is_right(OpenBsd, unix(kind, bytes(1, 3))), "{kind:?}: what it dropped");
    }
    let tcp = |arrival| unix(Kind::Tcp, arrival);
    assert!(is_right(OpenBsd, tcp(end())));
    assert!(!is_right(OpenBsd, tcp(bytes(3, 5))));
}

#[test]
fn a_receiver_that_was_shut_down_has_no_room_for_descriptors() {
    let program = |outcome| {
        let call = Call::Message(Target::Peer, 1, 2);
        vec![
            Made(Step::Pair(Kind::UnixSeqpacket, A, B)),
            Made(Step::Shutdown(B, How::Receiving)),
            Sent(A, call, 10, outcome),
        ]
    };
    assert_eq!(last(OpenBsd, program(Err(WouldBlock))), Some(("S15", true)));
    assert!(is_right(OpenBsd, program(Err(DescriptorsInFlight))));
    assert!(!is_right(OpenBsd, program(Ok(10))));
    assert_eq!(last(Linux, program(Err(Disconnected))), Some(("S15", true)));
    assert!(!is_right(Linux, program(Err(DescriptorsInFlight))));
}

#[test]
fn a_tcp_socket_that_never_had_a_peer_ends() {
    let refused = |outcome| {
        vec![
            Made(Step::New(Kind::Tcp, A)),
            Made(Step::ConnectToNobody(A, true)),
            Received(A, PLAIN, 10, outcome),
        ]
    };
    let shut = |outcome| {
        vec![
            Made(Step::New(Kind::Tcp, A)),
            Made(Step::Shutdown(A, How::Sending)),
            Received(A, PLAIN, 10, outcome),
        ]
    };
    assert_eq!(last(OpenBsd, refused(Ok(end()))), Some(("F7d", true)));
    assert_eq!(last(OpenBsd, shut(Ok(end()))), Some(("F7d", true)));
    assert_eq!(last(Linux, refused(Err(NotConnected))), Some(("B9", true)));
    assert_eq!(last(Linux, shut(Err(NotConnected))), Some(("B9", true)));
    assert!(!is_right(Linux, refused(Ok(end()))));
    assert!(!is_right(Linux, shut(Ok(end()))));
    let fresh = vec![Made(Step::New(Kind::Tcp, A)), Received(A, PLAIN, 10, Ok(end()))];
    assert!(!is_right(OpenBsd, fresh));
}

#[test]
fn no_room_takes_nothing_as_a_success() {
    let program = |kind, taking, outcome| vec![Made(Step::Pair(kind, A, B)), Received(A, taking, 0, outcome)];
    for (kind, taking) in [
        (Kind::UnixDatagram, PLAIN),
        (Kind::UnixDatagram, Taking::Many(5)),
        (Kind::UnixSeqpacket, PLAIN),
        (Kind::UdpV4, PLAIN),
    ] {
        assert!(is_right(OpenBsd, program(kind, taking, Ok(Arrival::default()))), "{kind:?} {taking:?}");
        assert!(!is_right(Linux, program(kind, taking, Ok(Arrival::default()))), "{kind:?} {taking:?}");
        let would_block = last(Linux, program(kind, taking, Err(WouldBlock)));
        assert_eq!(would_block, Some(("F7d", true)), "{kind:?} {taking:?}");
    }
    // With room for descriptors the kernel says EWOULDBLOCK.
    let with = program(Kind::UnixDatagram, Taking::WithDescriptors, Ok(Arrival::default()));
    assert!(!is_right(OpenBsd, with));
}

#[test]
fn an_empty_message_without_room_is_truncated() {
    let program = |truncated| {
        let arrival = Arrival { truncated, ..Arrival::default() };
        vec![
            Made(Step::Pair(Kind::UnixDatagram, A, B)),
            one(A, 0),
            Received(B, Taking::WithDescriptors, 0, Ok(arrival)),
        ]
    };
    assert!(is_right(OpenBsd, program(true)));
    assert!(!is_right(OpenBsd, program(false)));
    assert!(is_right(Linux, program(false)));
    assert!(!is_right(Linux, program(true)));
}

#[test]
fn an_empty_record_whose_descriptors_are_not_taken_looks_like_the_end() {
    let program = |arrival| {
        vec![
            Made(Step::Pair(Kind::UnixSeqpacket, A, B)),
            Sent(A, Call::Message(Target::Peer, 1, 1), 0, Ok(0)),
            Received(B, PLAIN, 10, Ok(arrival)),
        ]
    };
    assert!(is_right(OpenBsd, program(end())));
    assert!(!is_right(Linux, program(end())));
    assert!(is_right(Linux, program(Arrival { lost: true, ..Arrival::default() })));
}

#[test]
fn what_had_not_come_when_its_receiver_closed_can_reset_the_connection() {
    let program = |outcome| {
        vec![
            Made(Step::Pair(Kind::Tcp, A, B)),
            one(A, 1),
            Made(Step::Close(B)),
            Sent(A, Call::One, 1, outcome),
        ]
    };
    assert!(is_right(OpenBsd, program(Ok(1))));
    assert!(is_right(OpenBsd, program(Err(Reset))));
    assert!(!is_right(Linux, program(Ok(1))));
    assert!(!is_right(OpenBsd, program(Err(WouldBlock))));
}

#[test]
fn a_send_in_parts_to_a_closed_peer_can_fail_at_once() {
    let program = |length, outcome| {
        let mut program = vec![Made(Step::Pair(Kind::Tcp, A, B)), Made(Step::Close(B))];
        program.push(Sent(A, Call::One, length, outcome));
        program
    };
    assert!(is_right(OpenBsd, program(300_000, Err(Reset))));
    assert!(!is_right(OpenBsd, program(10, Err(Reset))));
    assert!(!is_right(Linux, program(300_000, Err(Reset))));
}

#[test]
fn what_was_read_can_wait_for_its_acknowledgement() {
    let program = |length, outcome| {
        vec![
            Made(Step::Pair(Kind::Tcp, A, B)),
            one(A, length),
            Received(B, PLAIN, length, Ok(bytes(1, length))),
            Sent(A, Call::One, 10, outcome),
        ]
    };
    assert!(is_right(OpenBsd, program(16_384, Err(WouldBlock))));
    assert!(!is_right(OpenBsd, program(4096, Err(WouldBlock))));
    assert!(!is_right(Linux, program(16_384, Err(WouldBlock))));
    assert_eq!(last(Linux, program(16_384, Ok(10))), Some(("G1", true)));
    assert_eq!(last(Linux, program(4096, Ok(10))), Some(("G1", false)));
}

#[test]
fn an_address_of_a_connected_datagram_socket_differs() {
    let program =
        |outcome| vec![Made(Step::Pair(Kind::UdpV4, A, B)), Sent(A, Call::To(Target::Place(B)), 1, outcome)];
    assert_eq!(last(OpenBsd, program(Err(AlreadyConnected))), Some(("A4", true)));
    assert_eq!(last(Linux, program(Ok(1))), Some(("B4", true)));
    assert!(!is_right(OpenBsd, program(Ok(1))));
    assert!(!is_right(Linux, program(Err(AlreadyConnected))));
}

#[test]
fn a_datagram_that_was_not_delivered_when_its_receiver_closed_may_be_reported() {
    let program = |outcome| {
        vec![
            Made(Step::Pair(Kind::UdpV4, A, B)),
            one(A, 1),
            Made(Step::Close(B)),
            Sent(A, Call::One, 1, outcome),
        ]
    };
    assert!(is_right(OpenBsd, program(Err(Refused))));
    assert!(is_right(OpenBsd, program(Ok(1))));
    assert!(!is_right(Linux, program(Err(Refused))));
}

#[test]
fn datagrams_of_two_senders_can_overtake_each_other_on_openbsd() {
    let of = |number, length, sender| Arrival { sender: Some(sender), ..bytes(number, length) };
    let program = |first: Arrival, second: Arrival| {
        let receive = |arrival| Received(2, Taking::WithDescriptors, 100, Ok(arrival));
        let mut program: Vec<_> =
            [A, B, 2].into_iter().map(|place| Made(Step::New(Kind::UdpV4, place))).collect();
        program.extend([A, B].map(|place| Sent(place, Call::To(Target::Place(2)), 9, Ok(9))));
        program.extend([receive(first), receive(second)]);
        program
    };
    assert!(is_right(OpenBsd, program(of(4, 9, B), of(3, 9, A))));
    assert!(is_right(Linux, program(of(3, 9, A), of(4, 9, B))));
}
