//! The accounting of a session: what its sender was told to be accepted, and what its receiver got.

use serde::{Deserialize, Serialize};

/// Of many datagrams on loopback, one in this many can come after a later one. The contract promises no order for UDP.
const ONE_LATE_IN: u64 = 100;

/// Descriptors that were accepted with a byte of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Passed {
    pub(super) position: u64,
    pub(super) first: u32,
    pub(super) count: u32,
}

/// What the sender of a session was told to be accepted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Accepted {
    pub(super) bytes: u64,
    /// Records, or calls on a stream.
    pub(super) messages: u64,
    pub(super) descriptors: u64,
    /// Calls that sent from a file.
    pub(super) files: u64,
    /// What the last call may have sent besides (I5: OpenBSD).
    pub(super) unsure: u64,
    /// The sender ends with a reset.
    pub(super) resets: bool,
    /// The sender was told that its peer is gone.
    pub(super) gone: bool,
    /// The descriptors that went through a stream.
    pub(super) passed: Vec<Passed>,
}

/// What became of descriptors at the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They came.
    Came { first: u32, count: u32 },
    /// They were lost, for there was no room for them (R22).
    Lost,
    /// The receiver did not take any, and the kernel closed them (R23).
    Unseen,
}

/// A part of a stream, and what came with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) fate: Fate,
}

/// What the receiver of a session got.
#[derive(Debug, Default)]
pub(super) struct Got {
    pub(super) bytes: u64,
    pub(super) messages: u64,
    /// Descriptors of records, by what the records say.
    pub(super) descriptors: u64,
    /// The parts of a stream in which descriptors came or could have come.
    pub(super) stretches: Vec<Stretch>,
    /// Datagrams that came after a later one.
    pub(super) late: u64,
    /// The receiver went away in the middle.
    pub(super) left: bool,
}

/// What a session came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Total {
    pub(super) sessions: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) descriptors: u64,
    pub(super) files: u64,
    pub(super) resets: u64,
    pub(super) late: u64,
    /// What was accepted and did not come, because an end went away or UDP lost it.
    pub(super) bytes_not_delivered: u64,
    pub(super) descriptors_not_delivered: u64,
}

impl Total {
    /// Returns the sums of a session's sender.
    pub(super) fn of_sender(accepted: &Accepted) -> Self {
        let &Accepted { messages, bytes, descriptors, files, .. } = accepted;
        Self { sessions: 1, messages, bytes, descriptors, files, ..Self::default() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.descriptors += other.descriptors;
        self.files += other.files;
        self.resets += other.resets;
        self.late += other.late;
        self.bytes_not_delivered += other.bytes_not_delivered;
        self.descriptors_not_delivered += other.descriptors_not_delivered;
    }

    /// Returns how these sums of the receivers differ from those of the senders.
    pub(super) fn difference(&self, sender: &Self) -> Option<String> {
        let pairs = [
            ("sessions", self.sessions, sender.sessions),
            ("messages", self.messages, sender.messages),
            ("bytes", self.bytes + self.bytes_not_delivered, sender.bytes),
            ("descriptors", self.descriptors + self.descriptors_not_delivered, sender.descriptors),
        ];
        let (what, came, sent) = pairs.into_iter().find(|(_, came, sent)| came != sent)?;
        Some(format!("{what}: the senders count {sent}, and the receivers account for {came}"))
    }
}

/// What is promised of the kind of a session's sockets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    pub(super) is_stream: bool,
    /// The network may lose datagrams and change their order.
    pub(super) is_udp: bool,
}

/// Compares what was accepted and what came, whose bytes were compared before. Returns the sums of the receiver.
pub(super) fn settle(promise: Promise, accepted: &Accepted, got: &Got) -> Result<Total, String> {
    if accepted.gone && !got.left {
        return Err("the sender was told that its peer is gone, and the peer was there".to_owned());
    }
    let most = accepted.bytes + accepted.unsure;
    if got.bytes > most {
        return Err(format!("{} bytes came, and {most} were accepted", got.bytes));
    }
    let is_whole = !got.left && !accepted.resets && !promise.is_udp;
    if is_whole && got.bytes < accepted.bytes {
        return Err(format!("{} bytes came, and {} were accepted", got.bytes, accepted.bytes));
    }
    if got.late > got.messages / ONE_LATE_IN {
        return Err(format!("{} of {} datagrams came after a later one", got.late, got.messages));
    }
    let descriptors = match promise.is_stream {
        true => settle_stretches(accepted, got)?,
        false => settle_records(is_whole, accepted, got)?,
    };
    Ok(Total {
        sessions: 1,
        messages: accepted.messages,
        // What was unsure is not counted.
        bytes: got.bytes.min(accepted.bytes),
        descriptors,
        files: accepted.files,
        resets: u64::from(got.left || accepted.resets),
        late: got.late,
        bytes_not_delivered: accepted.bytes.saturating_sub(got.bytes),
        descriptors_not_delivered: accepted.descriptors.saturating_sub(descriptors),
    })
}

fn settle_records(is_whole: bool, accepted: &Accepted, got: &Got) -> Result<u64, String> {
    let counts = [
        ("records", accepted.messages, got.messages),
        ("descriptors", accepted.descriptors, got.descriptors),
    ];
    for (what, accepted, got) in counts {
        if got > accepted || is_whole && got != accepted {
            return Err(format!("{got} {what} came, and {accepted} were accepted"));
        }
    }
    Ok(got.descriptors)
}

/// Descriptors come in the stretch that has the byte they were sent with (R28), and in no other.
fn settle_stretches(accepted: &Accepted, got: &Got) -> Result<u64, String> {
    let mut passed = accepted.passed.iter().take_while(|passed| passed.position < got.bytes).peekable();
    let mut total = 0;
    for &Stretch { from, to, fate } in &got.stretches {
        let mut here = 0;
        while let Some(&&Passed { position, first, count }) = passed.peek() {
            if position < from {
                return Err(format!("{count} descriptors were sent with byte {position}, and none came"));
            }
            if position >= to {
                break;
            }
            here += 1;
            total += u64::from(count);
            passed.next();
            let expected = Fate::Came { first, count };
            if fate != expected && !matches!(fate, Fate::Lost | Fate::Unseen) {
                return Err(format!("with byte {position}: expected {expected:?}, came {fate:?}"));
            }
        }
        let right = match fate {
            Fate::Came { .. } => 1..=1,
            // What was unsure may have had descriptors.
            Fate::Lost => usize::from(to <= accepted.bytes)..=usize::MAX,
            Fate::Unseen => 0..=usize::MAX,
        };
        if to <= accepted.bytes && !right.contains(&here) {
            return Err(format!("bytes {from} to {to}: {fate:?}, and {here} messages had descriptors there"));
        }
    }
    match passed.next() {
        None => Ok(total),
        Some(Passed { position, count, .. }) => {
            Err(format!("{count} descriptors were sent with byte {position}, and none came"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Promise = Promise { is_stream: true, is_udp: false };
    const RECORDS: Promise = Promise { is_stream: false, is_udp: false };
    const UDP: Promise = Promise { is_stream: false, is_udp: true };

    fn accepted() -> Accepted {
        let passed =
            [(0, 1, 3), (40, 0, 20)].map(|(position, first, count)| Passed { position, first, count });
        Accepted { bytes: 100, messages: 5, descriptors: 23, passed: passed.into(), ..Accepted::default() }
    }

    fn came(from: u64, to: u64, first: u32, count: u32) -> Stretch {
        Stretch { from, to, fate: Fate::Came { first, count } }
    }

    fn got(bytes: u64, stretches: &[Stretch]) -> Got {
        Got { bytes, messages: 5, descriptors: 23, stretches: stretches.into(), ..Got::default() }
    }

    #[test]
    fn all_that_was_accepted_came() {
        let total =
            settle(STREAM, &accepted(), &got(100, &[came(0, 7, 1, 3), came(30, 100, 0, 20)])).unwrap();
        assert_eq!((total.bytes, total.descriptors, total.bytes_not_delivered), (100, 23, 0));
        let unseen = Stretch { from: 0, to: 100, fate: Fate::Unseen };
        assert_eq!(settle(STREAM, &accepted(), &got(100, &[unseen])).unwrap().descriptors, 23);
        assert_eq!(settle(RECORDS, &accepted(), &got(100, &[])).unwrap().descriptors, 23);
    }

    #[test]
    fn a_doubled_byte_is_one_too_many() {
        let said = settle(RECORDS, &accepted(), &got(101, &[])).unwrap_err();
        assert_eq!(said, "101 bytes came, and 100 were accepted");
        // It may have been sent, where the kernel does not say (I5).
        let unsure = Accepted { unsure: 1, ..accepted() };
        assert!(settle(RECORDS, &unsure, &got(101, &[])).is_ok());
    }

    #[test]
    fn a_lost_byte_is_wrong_unless_an_end_went_away_or_it_is_udp() {
        assert!(settle(RECORDS, &accepted(), &got(99, &[])).is_err());
        assert!(settle(RECORDS, &accepted(), &Got { left: true, ..got(99, &[]) }).is_ok());
        assert!(settle(RECORDS, &Accepted { resets: true, ..accepted() }, &got(99, &[])).is_ok());
        assert_eq!(settle(UDP, &accepted(), &got(99, &[])).unwrap().bytes_not_delivered, 1);
    }

    #[test]
    fn a_peer_that_was_there_was_not_gone() {
        let gone = Accepted { gone: true, ..accepted() };
        assert!(settle(RECORDS, &gone, &got(100, &[])).unwrap_err().contains("gone"));
        assert!(settle(RECORDS, &gone, &Got { left: true, ..got(60, &[]) }).is_ok());
    }

    #[test]
    fn sums_that_differ_are_said() {
        let sender = Total::of_sender(&accepted());
        let receiver = settle(UDP, &accepted(), &got(99, &[])).unwrap();
        assert_eq!(receiver.difference(&sender), None);
        for wrong in [
            Total { bytes: 100, ..receiver },
            Total { descriptors: 22, ..receiver },
            Total { sessions: 2, ..receiver },
        ] {
            assert!(wrong.difference(&sender).is_some());
        }
    }

    #[test]
    fn a_lost_descriptor_is_said_with_its_byte() {
        let one = [came(0, 7, 1, 3)];
        let said = settle(STREAM, &accepted(), &got(100, &one)).unwrap_err();
        assert_eq!(said, "20 descriptors were sent with byte 40, and none came");
        let fewer = [came(0, 7, 1, 2), came(30, 100, 0, 20)];
        let said = settle(STREAM, &accepted(), &got(100, &fewer)).unwrap_err();
        assert!(said.starts_with("with byte 0: expected Came { first: 1, count: 3 }"), "{said}");
        let records = Got { descriptors: 22, ..got(100, &[]) };
        assert!(settle(RECORDS, &accepted(), &records).is_err());
    }

    #[test]
    fn descriptors_that_were_not_sent_are_invented() {
        let more = [came(0, 7, 1, 3), came(10, 20, 1, 3), came(30, 100, 0, 20)];
        assert!(settle(STREAM, &accepted(), &got(100, &more)).unwrap_err().contains("0 messages"));
        let lost = Stretch { from: 50, to: 60, fate: Fate::Lost };
        let more = [came(0, 7, 1, 3), came(30, 50, 0, 20), lost];
        assert!(settle(STREAM, &accepted(), &got(100, &more)).is_err());
    }

    #[test]
    fn a_doubled_or_late_datagram_is_said() {
        let doubled = Got { messages: 6, ..got(90, &[]) };
        assert!(settle(UDP, &accepted(), &doubled).is_err());
        let late = Got { late: 1, ..got(90, &[]) };
        assert!(settle(UDP, &accepted(), &late).unwrap_err().contains("after a later one"));
    }
}
