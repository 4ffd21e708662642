//! What a receive may answer.

use unisend::ErrorKind::{self, *};

use super::super::program::{Flags, Kind, Taking};
use super::{Answer, Arrival, Chunk, Life, Model, SURELY_FITS, Said, Socket, System, Wrong};

const PEEK: u32 = 1 << 1;
const OUT_OF_BAND: u32 = 1 << 2;
const UNKNOWN: u32 = 1 << 3;

impl Model {
    /// Checks the answer to a receive that does not wait, and follows it.
    ///
    /// # Errors
    ///
    /// If the answer is not right.
    pub fn received(
        &mut self,
        place: usize,
        taking: Taking,
        room: usize,
        flags: Flags,
        answer: &Answer,
    ) -> Result<Said, Wrong> {
        let Some(number) = self.places[place] else { return Err("an empty place".to_owned()) };
        let differs = self.arrivals_differ(number, taking, room);
        let said = self.received_by(number, taking, room, flags, answer)?;
        Ok(Said { differs: said.differs || differs, ..said })
    }

    /// Returns whether Linux and OpenBSD, or another time, can answer this differently.
    fn arrivals_differ(&self, number: usize, taking: Taking, room: usize) -> bool {
        let socket = &self.sockets[number];
        let first = socket.incoming.front().map_or(0, |chunk| chunk.bytes.len());
        // OpenBSD takes this as a success without data (soreceive()).
        let takes_nothing = room == 0 && taking.most_descriptors().is_none() && socket.incoming.is_empty();
        // OpenBSD's TCP holds small parts back until others are acknowledged, and its loopback needs time.
        let comes_later = match socket.kind {
            Kind::Tcp => first > SURELY_FITS || (socket.incoming.len() > 1 && room > first),
            kind if kind.is_udp() => matches!(taking, Taking::Many(_)) && socket.incoming.len() > 1,
            _ => false,
        };
        // OpenBSD's records have no sender (N3).
        let is_named = socket.incoming.front().is_some_and(|chunk| self.sockets[chunk.sender].named);
        let has_sender = socket.kind == Kind::UnixSeqpacket && is_named;
        // OpenBSD says that an empty message was truncated if there was no room (R30).
        let is_empty = !socket.kind.is_stream() && room == 0 && first == 0;
        socket.diverged || takes_nothing || comes_later || has_sender || is_empty
    }

    fn received_by(
        &mut self,
        number: usize,
        taking: Taking,
        room: usize,
        flags: Flags,
        answer: &Answer,
    ) -> Result<Said, Wrong> {
        let socket = &self.sockets[number];
        if let Some((clause, kind)) = refusal(socket.kind, taking, room, flags) {
            return match answer {
                Answer::Failed(failed) if *failed == kind => Ok(Said::same(clause)),
                _ => Err(format!("{clause}: {kind}")),
            };
        }
        match answer {
            Answer::Failed(kind) => self.failed(number, flags, *kind),
            Answer::Received(_) if flags.0 & OUT_OF_BAND != 0 => self.urgent(number, flags, answer),
            Answer::Received(arrivals) if socket.kind.is_stream() => {
                self.stream_arrived(number, taking, room, flags, arrivals)
            }
            Answer::Received(arrivals) => self.datagrams_arrived(number, taking, room, flags, arrivals),
            _ => Err("an answer of a receive".to_owned()),
        }
    }

    fn failed(&mut self, number: usize, Flags(flags): Flags, kind: ErrorKind) -> Result<Said, Wrong> {
        let socket = &mut self.sockets[number];
        if flags & OUT_OF_BAND != 0 {
            return match kind {
                InvalidInput | WouldBlock => Ok(Said::differs("F8b")),
                _ => Err("F8b: InvalidInput or WouldBlock".to_owned()),
            };
        }
        match (&socket.life, kind) {
            (Life::Pending(kinds), _) if kinds.contains(&kind) => {
                socket.life = if socket.kind.is_udp() { Life::Connected } else { Life::Over };
                if socket.kind == Kind::UnixDatagram {
                    socket.peer = None;
                }
                Ok(Said::differs("F7e"))
            }
            // A peer that closes with unread data is a reset to Linux, for receivers.
            (Life::PeerClosed | Life::Over, Reset) if !socket.kind.is_datagram() => {
                let said = Said::differs("S14");
                socket.life = Life::Over;
                Ok(said)
            }
            (Life::Connected, Reset | Disconnected) if socket.may_be_reset => {
                socket.life = Life::Over;
                Ok(Said::differs("S11b"))
            }
            // The report of the network came late (S19).
            (Life::Connected, Refused) if socket.may_be_refused => Ok(Said::differs("F7e")),
            (Life::Over, Disconnected) if socket.kind == Kind::Tcp => Ok(Said::differs("S8")),
            (Life::New | Life::Listening | Life::Refused, NotConnected) if !socket.kind.is_datagram() => {
                Ok(Said::same("B9"))
            }
            (_, WouldBlock) => self.nothing_there(number),
            (life, _) => Err(format!("no error of this kind in the state {life:?}")),
        }
    }

    fn nothing_there(&mut self, number: usize) -> Result<Said, Wrong> {
        let socket = &self.sockets[number];
        let certain = socket.incoming.iter().any(|chunk| !chunk.may_be_lost && !chunk.urgent);
        if certain && !socket.receiving_shut {
            return Err(format!("{} bytes that were accepted", socket.queued()));
        }
        let at_end = socket.kind.is_stream() && ends(socket, &self.sockets);
        let socket = &mut self.sockets[number];
        if at_end {
            return Err("the end of file".to_owned());
        }
        let was_lost = !socket.incoming.is_empty();
        socket.incoming.clear();
        Ok(Said { clause: "F7d", differs: was_lost })
    }

    fn stream_arrived(
        &mut self,
        number: usize,
        taking: Taking,
        room: usize,
        Flags(flags): Flags,
        arrivals: &[Arrival],
    ) -> Result<Said, Wrong> {
        let [arrival] = arrivals else { return Err("one message".to_owned()) };
        if arrival.truncated {
            return Err("a stream that is not truncated".to_owned());
        }
        if arrival.end {
            return self.ended(number, arrival);
        }
        if arrival.bytes.is_empty() && room > 0 {
            return Err("a byte, or the end".to_owned());
        }
        let socket = &self.sockets[number];
        let (taken, rest) = take(&socket.incoming, &arrival.bytes)
            .ok_or_else(|| format!("the {} bytes that were accepted, in order", socket.queued()))?;
        let (descriptors, lost) = (&arrival.descriptors, arrival.lost);
        let came: Vec<&Chunk> = taken.iter().filter(|chunk| !chunk.descriptors.is_empty()).collect();
        // Without room for data the descriptors of the first message still arrive (R30).
        let first = socket.incoming.front().filter(|chunk| room == 0 && !chunk.descriptors.is_empty());
        let came: Vec<&Chunk> = first.map_or(came, |first| vec![first]);
        if came.len() > 1 && taking.most_descriptors().is_some() {
            return Err("R28: the descriptors of one message at most".to_owned());
        }
        let expected: Vec<u8> = came.first().map(|chunk| chunk.descriptors.clone()).unwrap_or_default();
        check_descriptors(self.system, taking, false, &expected, descriptors, lost)?;
        let differs = arrival.bytes.len() != room.min(socket.queued()) || !came.is_empty();
        if room == 0 && !came.is_empty() {
            if let Some(first) = self.sockets[number].incoming.front_mut() {
                first.descriptors.clear();
            }
        } else if flags & PEEK == 0 {
            self.sockets[number].incoming = rest;
        }
        Ok(Said { clause: "R28", differs })
    }

    fn ended(&mut self, number: usize, arrival: &Arrival) -> Result<Said, Wrong> {
        let socket = &self.sockets[number];
        let unread = socket.incoming.iter().any(|chunk| !chunk.urgent);
        let was_reset = socket.may_be_reset || matches!(socket.life, Life::Pending(_) | Life::Over);
        // OpenBSD has ended a TCP socket that was refused (S6), or that was shut down before it had a peer (S1b).
        let was_ended = self.system == System::OpenBsd
            && socket.kind == Kind::Tcp
            && (socket.life == Life::Refused || (socket.life == Life::New && socket.sending_shut));
        let may_end = socket.receiving_shut || was_reset || was_ended || ends(socket, &self.sockets);
        if !may_end || (unread && !socket.receiving_shut && !was_reset) {
            return Err(format!(
                "no end: {} bytes are left, and the life is {:?}",
                socket.queued(),
                socket.life
            ));
        }
        if !arrival.descriptors.is_empty() {
            return Err("no descriptors at the end".to_owned());
        }
        Ok(Said { clause: "F7d", differs: socket.receiving_shut || was_reset || arrival.lost })
    }

    fn datagrams_arrived(
        &mut self,
        number: usize,
        taking: Taking,
        room: usize,
        Flags(flags): Flags,
        arrivals: &[Arrival],
    ) -> Result<Said, Wrong> {
        let mut differs = false;
        let before = self.sockets[number].incoming.clone();
        if let Taking::Many(buffers) = taking
            && arrivals.len() > usize::from(buffers).min(64)
        {
            return Err(format!("D5: at most {buffers} and 64"));
        }
        for arrival in arrivals {
            differs |= self.datagram_arrived(number, taking, room, arrival)?.differs;
        }
        if flags & PEEK != 0 {
            self.sockets[number].incoming = before;
        }
        Ok(Said { clause: "D6", differs })
    }

    fn datagram_arrived(
        &mut self,
        number: usize,
        taking: Taking,
        room: usize,
        arrival: &Arrival,
    ) -> Result<Said, Wrong> {
        let socket = &self.sockets[number];
        let at_end = socket.receiving_shut || ends(socket, &self.sockets);
        if arrival.bytes.is_empty()
            && arrival.descriptors.is_empty()
            && at_end
            && self.first(number, room, arrival).is_none()
        {
            return self.record_ended(number, room, arrival);
        }
        if self.is_nothing(number, taking, room, arrival) {
            return Ok(Said::differs("F7d"));
        }
        let Some(at) = self.first(number, room, arrival) else {
            let lengths: Vec<usize> = socket.incoming.iter().map(|chunk| chunk.bytes.len()).collect();
            return Err(format!(
                "D6: one of the datagrams that were accepted, in order, of {lengths:?} bytes"
            ));
        };
        let chunk = socket.incoming[at].clone();
        let is_openbsd = self.system == System::OpenBsd;
        // Without room for the descriptors OpenBSD says of an empty record what it says of the end (R3c).
        let looks_ended = is_openbsd
            && socket.kind == Kind::UnixSeqpacket
            && taking == Taking::WithoutDescriptors
            && chunk.bytes.is_empty();
        if arrival.end && !looks_ended {
            return Err("R4: a datagram or record, which is not the end".to_owned());
        }
        if arrival.truncated != self.is_longer(chunk.bytes.len(), room) {
            return Err(format!("D6: truncated, only if {} bytes do not fit", chunk.bytes.len()));
        }
        let sender = &self.sockets[chunk.sender];
        let named = sender.named && (socket.kind.is_datagram() || self.system == System::Linux);
        let expects_name = named && taking != Taking::WithoutDescriptors;
        let expected = expects_name.then(|| sender.accepted_by.unwrap_or(chunk.sender));
        let name_is_right =
            arrival.sender == expected || (socket.kind == Kind::UnixSeqpacket && arrival.sender.is_none());
        if !name_is_right {
            return Err(format!("N1, N2, N3: the sender {expected:?}"));
        }
        self.check_what_was_asked(socket, taking, chunk.came_before_asking, arrival)?;
        // R23c: without room, Linux loses what was asked for, as it loses descriptors.
        let loses_more = socket.asked && taking == Taking::WithoutDescriptors;
        let (sent, came) = (&chunk.descriptors, &arrival.descriptors);
        check_descriptors(self.system, taking, loses_more, sent, came, arrival.lost)?;
        if self.may_overtake(number) {
            let incoming = &mut self.sockets[number].incoming;
            incoming.remove(at);
            // What was lost of the same sender cannot come any more.
            let mut position = 0;
            incoming.retain(|other| {
                position += 1;
                position > at || !other.may_be_lost || other.sender != chunk.sender
            });
        } else {
            self.sockets[number].incoming.drain(..=at);
        }
        let closes = loses_more || taking.most_descriptors().is_none() && !chunk.descriptors.is_empty();
        Ok(Said { clause: "D6", differs: at > 0 || chunk.may_be_lost || closes })
    }

    /// N4, N7, N8: what was asked for comes with each datagram. Over IPv4 OpenBSD does not report traffic classes.
    fn check_what_was_asked(
        &self,
        socket: &Socket,
        taking: Taking,
        came_before: bool,
        arrival: &Arrival,
    ) -> Result<(), Wrong> {
        let comes = socket.asked && taking != Taking::WithoutDescriptors;
        let has_class = comes && (self.system == System::Linux || socket.kind == Kind::UdpV6);
        let right = (comes, has_class.then_some(0), comes);
        if arrival.said == right || came_before {
            return Ok(());
        }
        Err(format!("N4, N7, N8: its destination, class and hop limit {right:?}, not {:?}", arrival.said))
    }

    /// OpenBSD has one queue for each flow of datagrams over loopback.
    fn may_overtake(&self, number: usize) -> bool {
        self.system == System::OpenBsd && self.sockets[number].kind.is_udp()
    }

    /// Returns whether this is what OpenBSD returns where Linux fails with `WouldBlock`: nothing, into no room for data
    /// and none for descriptors.
    fn is_nothing(&self, number: usize, taking: Taking, room: usize, arrival: &Arrival) -> bool {
        let socket = &self.sockets[number];
        let without_control = match taking {
            Taking::WithDescriptors | Taking::OneDescriptor => false,
            Taking::WithoutDescriptors => true,
            Taking::Many(_) => socket.kind.is_unix(),
        };
        self.system == System::OpenBsd
            && room == 0
            && without_control
            && socket.incoming.iter().all(|chunk| chunk.may_be_lost)
            && *arrival == Arrival::default()
    }

    fn record_ended(&self, number: usize, room: usize, arrival: &Arrival) -> Result<Said, Wrong> {
        let socket = &self.sockets[number];
        let has_certain = socket.incoming.iter().any(|chunk| !chunk.may_be_lost);
        if has_certain && !socket.receiving_shut && !matches!(socket.life, Life::Over) {
            return Err("the records that were accepted before the end".to_owned());
        }
        match arrival.end == (socket.kind == Kind::UnixSeqpacket && room > 0) {
            true => Ok(Said { clause: "B7", differs: socket.receiving_shut }),
            false => Err("the end of file, of records alone".to_owned()),
        }
    }

    /// Returns whether a datagram does not fit. OpenBSD says so of an empty one too if there was no room.
    fn is_longer(&self, length: usize, room: usize) -> bool {
        length > room || (self.system == System::OpenBsd && room == 0)
    }

    /// Returns which of the datagrams arrived: the first that was not lost.
    fn first(&self, number: usize, room: usize, arrival: &Arrival) -> Option<usize> {
        let incoming = &self.sockets[number].incoming;
        let overtakes = self.may_overtake(number);
        let may_come = |at: usize| {
            let waits =
                |chunk: &Chunk| !chunk.may_be_lost && (!overtakes || chunk.sender == incoming[at].sender);
            !incoming.iter().take(at).any(waits)
        };
        (0..incoming.len()).filter(|&at| may_come(at)).find(|&at| {
            let Chunk { bytes, sender, .. } = &incoming[at];
            let is_of_sender = !overtakes || arrival.sender.is_none_or(|named| named == *sender);
            // Of those that may be lost, others can begin with the same bytes.
            let may_be_it =
                !incoming[at].may_be_lost || self.is_longer(bytes.len(), room) == arrival.truncated;
            is_of_sender && may_be_it && bytes.iter().take(room).eq(arrival.bytes.iter())
        })
    }

    fn urgent(&mut self, number: usize, Flags(flags): Flags, answer: &Answer) -> Result<Said, Wrong> {
        let Answer::Received(arrivals) = answer else { return Err("a byte".to_owned()) };
        let [arrival] = &arrivals[..] else { return Err("one message".to_owned()) };
        let socket = &mut self.sockets[number];
        if arrival.end {
            let may = socket.receiving_shut || !matches!(socket.life, Life::Connected);
            return if may { Ok(Said::differs("F8g")) } else { Err("F8: no end".to_owned()) };
        }
        let [byte] = arrival.bytes[..] else { return Err("F8: one byte".to_owned()) };
        if socket.incoming.iter().any(|chunk| chunk.urgent_parts && chunk.bytes.contains(&byte)) {
            return Ok(Said::differs("F2"));
        }
        let found =
            socket.incoming.iter_mut().find(|chunk| chunk.urgent && chunk.bytes.back() == Some(&byte));
        let Some(chunk) = found else { return Err("F8: an urgent byte that was sent".to_owned()) };
        if flags & PEEK == 0 {
            chunk.bytes.pop_back();
            chunk.urgent = false;
            socket.incoming.retain(|chunk| !chunk.bytes.is_empty());
        }
        Ok(Said::differs("F8"))
    }
}

fn refusal(
    kind: Kind,
    taking: Taking,
    room: usize,
    Flags(flags): Flags,
) -> Option<(&'static str, ErrorKind)> {
    let has = |flag| flags & flag != 0;
    if has(UNKNOWN) || (matches!(taking, Taking::Many(_)) && has(PEEK | OUT_OF_BAND)) {
        return Some(("F1", Unsupported));
    }
    if has(PEEK) && kind.is_unix() {
        return Some(("F7f", Unsupported));
    }
    if has(OUT_OF_BAND) && kind != Kind::Tcp {
        return Some(("F8h", Unsupported));
    }
    (has(OUT_OF_BAND) && room == 0).then_some(("F8d", InvalidInput))
}

/// Returns whether nothing can follow what was sent to the socket.
pub(super) fn ends(socket: &Socket, sockets: &[Socket]) -> bool {
    let peer_is_done = socket.peer.is_some_and(|peer| !sockets[peer].open || sockets[peer].sending_shut);
    match socket.kind {
        kind if kind.is_datagram() => false,
        _ => peer_is_done || socket.receiving_shut,
    }
}

fn check_descriptors(
    system: System,
    taking: Taking,
    loses_more: bool,
    expected: &[u8],
    came: &[u8],
    lost: bool,
) -> Result<(), Wrong> {
    let taken = taking.most_descriptors().map(|most| &expected[..most.min(expected.len())]);
    match taken {
        Some(taken) if came == taken && !lost => Ok(()),
        Some(taken) => Err(format!("R28: the descriptors {taken:?}, and none lost")),
        None if !came.is_empty() => Err("R23: no descriptors".to_owned()),
        None if system == System::Linux && lost == (expected.is_empty() && !loses_more) => {
            Err("R23, R23c: lost, as Linux reports it".to_owned())
        }
        None => Ok(()),
    }
}

/// Takes these bytes off the front of a stream, and returns the messages that begin in them, and what is left. An
/// urgent byte can be missing (F8e). Returns `None` if the bytes are not those of the stream.
fn take(
    incoming: &std::collections::VecDeque<Chunk>,
    bytes: &[u8],
) -> Option<(Vec<Chunk>, std::collections::VecDeque<Chunk>)> {
    let mut rest = incoming.clone();
    let mut begun = Vec::new();
    let mut left = bytes;
    while !left.is_empty() {
        let chunk = rest.front_mut()?;
        if chunk.urgent_parts {
            left = take_parts(chunk, left)?;
            if chunk.bytes.is_empty() {
                rest.pop_front();
            }
            continue;
        }
        let whole = chunk.clone();
        let plain = chunk.bytes.len() - usize::from(chunk.urgent);
        let count = plain.min(left.len());
        if !chunk.bytes.iter().take(count).eq(&left[..count]) {
            return None;
        }
        chunk.bytes.drain(..count);
        left = &left[count..];
        // The descriptors go with the first byte.
        chunk.descriptors.clear();
        if count > 0 {
            begun.push(whole);
        }
        if chunk.urgent && chunk.bytes.len() == 1 && !left.is_empty() {
            let urgent = chunk.bytes.pop_front();
            if urgent.as_ref() == left.first() {
                left = &left[1..];
            }
        }
        if chunk.bytes.is_empty() {
            rest.pop_front();
        }
    }
    Some((begun, rest))
}

/// Takes these bytes off a chunk of which any byte may have been taken out as urgent. Returns what is left of them.
fn take_parts<'a>(chunk: &mut Chunk, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let mut left = bytes;
    while let Some((first, others)) = left.split_first() {
        let Some(next) = chunk.bytes.pop_front() else { return Some(left) };
        if next == *first {
            left = others;
        } else if chunk.bytes.front().is_some_and(|after| after != first) {
            return None;
        }
    }
    Some(left)
}
