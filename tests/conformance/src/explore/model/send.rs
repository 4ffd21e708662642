//! What a send may answer.

use unisend::ErrorKind::{self, *};

use super::super::payload::Payload;
use super::super::program::{Call, FILE_BYTES, Flags, Kind, Target, Whole};
use super::{Answer, Chunk, Life, Model, SURELY_FITS, Said, Socket, System, UNACKNOWLEDGED, Wrong};

/// The longest datagram of UDP over IPv4 (B1).
const LONGEST_UDP_V4: usize = 65_507;

/// No datagram is longer than this (B1).
const LONGEST_DATAGRAM: usize = 65_535;

/// OpenBSD's limit of a UDP datagram, unless it was set (B1).
const OPENBSD_UDP: usize = 9216;

/// The last byte is urgent (F2).
const OUT_OF_BAND: u32 = 1;

/// The datagram goes to a host of the local network alone (F1b).
const DONT_ROUTE: u32 = 1 << 1;

/// So many descriptors in flight are fewer than any limit on Linux (R10).
const MANY_DESCRIPTORS: usize = 128;

/// A hint that more data follows (F4).
const MORE: u32 = 1 << 4;

/// What is right for one send.
pub(super) struct Right {
    pub(super) said: Said,
    pub(super) accepts: Accepts,
    /// What it fails with, if nothing is accepted.
    pub(super) fails: Vec<ErrorKind>,
    /// What else a loop fails with, after a part.
    pub(super) stops: Vec<ErrorKind>,
}

/// What may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    /// Nothing.
    Nothing,
    /// All of it.
    Whole,
    /// All of it, or nothing and an error.
    WholeOrNothing,
    /// A part, or nothing and an error.
    Part,
}

fn fails(clause: &'static str, kinds: &[ErrorKind]) -> Right {
    Right {
        said: Said { clause, differs: kinds.len() > 1 },
        accepts: Accepts::Nothing,
        fails: kinds.to_vec(),
        stops: Vec::new(),
    }
}

fn differs(clause: &'static str, kinds: &[ErrorKind]) -> Right {
    Right { said: Said::differs(clause), accepts: Accepts::Nothing, fails: kinds.to_vec(), stops: Vec::new() }
}

fn accepts(clause: &'static str) -> Right {
    Right { said: Said::same(clause), accepts: Accepts::Whole, fails: Vec::new(), stops: Vec::new() }
}

impl Model {
    /// Checks the answer to a send, and follows it.
    ///
    /// # Errors
    ///
    /// If the answer is not right.
    pub fn sent(
        &mut self,
        place: usize,
        call: Call,
        payload: &Payload,
        flags: Flags,
        answer: &Answer,
    ) -> Result<Said, Wrong> {
        let Some(number) = self.places[place] else { return Err("an empty place".to_owned()) };
        let Answer::Sent(accepted, error) = *answer else { return Err("an answer of a send".to_owned()) };
        let differs = self.systems_differ(number, call, payload, flags);
        let marked = |said: Said| Said { differs: said.differs || differs, ..said };
        if let Some(refusal) = self.refusal(&self.sockets[number], call, payload, flags) {
            return refusal.check(call, payload, accepted, error).map(marked);
        }
        let right = self.right(number, call, payload).or_too_long(
            &self.sockets[number],
            payload,
            self.in_flight(number),
        );
        if self.has_too_many_descriptors(payload, accepted, error) {
            return Ok(Said::differs("R10"));
        }
        let said = right.check(call, payload, accepted, error)?;
        self.follow_send(number, call, payload, flags, accepted, error);
        Ok(marked(said))
    }

    /// Returns whether Linux and OpenBSD can answer this differently, although each has one right answer.
    fn systems_differ(&self, number: usize, call: Call, payload: &Payload, Flags(flags): Flags) -> bool {
        let socket = &self.sockets[number];
        let target = target(call);
        let is_unrouted = socket.kind == Kind::UdpV4 && flags & DONT_ROUTE != 0 && payload.takes_flags;
        let names_another = target != Target::Peer && socket.peer.is_some(); // A4
        let to = self.receiver(socket, target).map(|to| &self.sockets[to]);
        let is_unwilling = |to: &Socket| {
            let other = to.peer.is_some_and(|peer| peer != number);
            to.receiving_shut || (socket.kind == Kind::UnixDatagram && other) // S15, A11
        };
        // Linux drops what such a socket has not received (S17b).
        let drops = socket.kind == Kind::UnixDatagram
            && matches!(socket.life, Life::Pending(_))
            && !socket.incoming.is_empty();
        socket.diverged || is_unrouted || names_another || drops || to.is_some_and(is_unwilling)
    }

    /// Linux counts the descriptors of an ordinary user, up to those that a process may open. OpenBSD counts those of all
    /// users, and also those of sockets that were closed a moment ago (R10).
    pub(super) fn has_too_many_descriptors(
        &self,
        payload: &Payload,
        accepted: usize,
        error: Option<ErrorKind>,
    ) -> bool {
        let in_flight: usize = self.sockets.iter().map(Socket::descriptors_in_flight).sum();
        (self.system == System::OpenBsd || in_flight > MANY_DESCRIPTORS)
            && payload.descriptors > 0
            && accepted == 0
            && error == Some(DescriptorsInFlight)
    }

    fn right(&self, number: usize, call: Call, payload: &Payload) -> Right {
        let socket = &self.sockets[number];
        match call {
            Call::Datagrams(..) | Call::Segments(..) if payload.messages.is_empty() => accepts("D2"),
            Call::Sendfile(..) if payload.is_empty() => accepts("X3"),
            Call::Transfer(_) | Call::TransferAll(_) if payload.is_empty() => accepts("X3"),
            _ if socket.kind.is_stream() => self.stream(socket, payload),
            _ => self.datagrams(number, call, payload),
        }
    }

    /// The mistakes, in the order of G5.
    pub(super) fn refusal(
        &self,
        socket: &Socket,
        call: Call,
        payload: &Payload,
        flags: Flags,
    ) -> Option<Right> {
        let from_file = matches!(call, Call::Sendfile(..) | Call::Transfer(_) | Call::TransferAll(_));
        let is_empty_batch = matches!(call, Call::Datagrams(_, 0));
        let refused = None
            .or_else(|| (!from_file).then(|| self.flags(socket.kind, call, flags)).flatten())
            .or_else(|| (from_file && !socket.kind.is_stream()).then_some(("X15", &[Unsupported][..])))
            .or_else(|| (!is_empty_batch).then(|| address(socket.kind, target(call))).flatten())
            .or_else(|| (!is_empty_batch).then(|| source(socket.kind, target(call))).flatten())
            .or_else(|| matches!(call, Call::Segments(_, 0)).then_some(("D9", &[InvalidInput][..])))
            .or_else(|| slices(socket.kind, call))
            .or_else(|| descriptors(socket.kind, call, payload));
        let refused = refused.or_else(|| {
            let is_empty = payload.is_empty() && payload.descriptors == 0;
            (socket.kind == Kind::UnixSeqpacket && is_empty).then_some(("B7", &[EmptyRecord][..]))
        });
        refused.map(|(clause, kinds)| fails(clause, kinds))
    }

    fn flags(
        &self,
        kind: Kind,
        call: Call,
        Flags(flags): Flags,
    ) -> Option<(&'static str, &'static [ErrorKind])> {
        const END_OF_RECORD: u32 = 1 << 3;
        const UNKNOWN: u32 = 1 << 6;
        let loops = matches!(call, Call::All | Call::AllVectored(_) | Call::MessageAll(..));
        let has = |flag| flags & flag != 0;
        let honours_dont_route = kind == Kind::UdpV4 && self.system == System::Linux;
        let refused = [
            ("F1", has(UNKNOWN)),
            ("F1d", has(DONT_ROUTE) && !honours_dont_route),
            ("F2b", has(OUT_OF_BAND) && (kind != Kind::Tcp || loops)),
            ("F3", has(END_OF_RECORD) && kind != Kind::UnixSeqpacket),
            ("F4b", has(MORE) && !kind.is_stream()),
        ];
        let first = refused.into_iter().find(|(_, is_refused)| *is_refused);
        first.map(|(clause, _)| (clause, &[Unsupported][..]))
    }

    fn stream(&self, socket: &Socket, payload: &Payload) -> Right {
        let (never, shut) = if socket.kind == Kind::Tcp { ("S1", "S1b") } else { ("S12", "S12b") };
        match socket.life {
            Life::New if socket.sending_shut && self.system == System::OpenBsd => {
                differs(shut, &[Disconnected])
            }
            Life::New if socket.sending_shut => differs(shut, &[NotConnected]),
            Life::New => fails(never, &[NotConnected]),
            Life::Listening => fails(if socket.kind == Kind::Tcp { "S2" } else { "S12" }, &[NotConnected]),
            Life::Refused if self.system == System::OpenBsd => differs("S6", &[Disconnected]),
            Life::Refused => differs("S6", &[NotConnected]),
            Life::Pending(_) if socket.sending_shut => fails("S7", &[Disconnected, Reset]),
            Life::Pending(kinds) => fails("S8", kinds),
            Life::Over => fails("S8", &[Disconnected]),
            _ if socket.sending_shut && socket.may_be_reset => fails("S11b", &[Disconnected, Reset]),
            _ if socket.sending_shut => fails("S7", &[Disconnected]),
            Life::PeerClosed if socket.kind != Kind::Tcp => fails("S13", &[Disconnected]),
            Life::Connected if socket.may_be_reset => self.room(socket, payload).or_reset(),
            Life::Connected => self.room(socket, payload),
            Life::PeerClosed if self.system == System::OpenBsd && may_fail_at_once(socket, payload) => {
                self.room(socket, payload).or_reset()
            }
            Life::PeerClosed => self.room(socket, payload).or_gone_in_the_middle(),
        }
    }

    fn room(&self, socket: &Socket, payload: &Payload) -> Right {
        let Some(peer) = socket.peer.map(|peer| &self.sockets[peer]) else {
            return fails("S1", &[NotConnected]);
        };
        if socket.kind == Kind::UnixStream && peer.receiving_shut && self.system == System::Linux {
            return differs("S15", &[Disconnected]);
        }
        let is_openbsd = self.system == System::OpenBsd;
        // A receiver that was shut down has no room for descriptors (sbappendcontrol()).
        if socket.kind == Kind::UnixStream && peer.receiving_shut && is_openbsd && payload.descriptors > 0 {
            return differs("S15", &[WouldBlock]);
        }
        let length = payload.bytes();
        let fits = peer.queued() + length <= SURELY_FITS && peer.incoming.len() < 8;
        // OpenBSD has less than no room if the buffer was made smaller than what it holds.
        if length == 0 && is_openbsd && !socket.usual_buffers {
            return Right { accepts: Accepts::WholeOrNothing, ..differs("B6", &[WouldBlock]) };
        }
        if length == 0 {
            return accepts("B6");
        }
        if fits && socket.usual_buffers && peer.usual_buffers && !socket.was_full {
            let differs = socket.kind == Kind::Tcp && socket.sent > UNACKNOWLEDGED;
            return Right { said: Said { clause: "G1", differs }, ..accepts("G1") };
        }
        // What the peer has read can still wait in a small buffer for its acknowledgement.
        let has_acknowledged = !is_openbsd || socket.kind != Kind::Tcp || socket.usual_buffers;
        let is_empty = peer.incoming.is_empty() && !socket.was_full && has_acknowledged;
        let kinds: &[ErrorKind] = if is_empty && payload.descriptors == 0 { &[] } else { &[WouldBlock] };
        Right { said: Said::differs("B5"), accepts: Accepts::Part, fails: kinds.to_vec(), stops: Vec::new() }
    }

    fn datagrams(&self, number: usize, call: Call, payload: &Payload) -> Right {
        let socket = &self.sockets[number];
        match socket.kind {
            Kind::UnixSeqpacket => self.record(socket, payload),
            Kind::UnixDatagram => self.unix_datagram(number, target(call), payload),
            _ => self.udp(socket, call, payload),
        }
    }

    fn record(&self, socket: &Socket, payload: &Payload) -> Right {
        match socket.life {
            Life::New if socket.sending_shut && self.system == System::OpenBsd => {
                differs("S12b", &[Disconnected])
            }
            Life::New | Life::Listening => fails("S12", &[NotConnected]),
            Life::PeerClosed | Life::Over if socket.sending_shut => fails("G6", &[Disconnected, Reset]),
            _ if socket.sending_shut => fails("S20", &[Disconnected]),
            Life::PeerClosed | Life::Over => fails("S14", &[Disconnected, Reset]),
            _ => self.unix_room(socket, socket.peer, payload),
        }
    }

    fn unix_room(&self, socket: &Socket, to: Option<usize>, payload: &Payload) -> Right {
        let Some(to) = to.map(|to| &self.sockets[to]) else { return fails("S16", &[DestinationRequired]) };
        match self.system {
            System::Linux if to.receiving_shut => return differs("S15", &[Disconnected]),
            System::OpenBsd if to.receiving_shut && socket.kind == Kind::UnixDatagram => {
                return differs("S15", &[WouldBlock]);
            }
            System::OpenBsd if to.receiving_shut && payload.descriptors > 0 => {
                return differs("S15", &[WouldBlock]);
            }
            _ => {}
        }
        let usual = socket.usual_buffers && to.usual_buffers && !socket.was_full;
        if usual && to.incoming.is_empty() && payload.bytes() <= SURELY_FITS && payload.messages.len() == 1 {
            return accepts("G1b");
        }
        Right {
            said: Said::differs("B3"),
            accepts: Accepts::WholeOrNothing,
            fails: vec![WouldBlock],
            stops: Vec::new(),
        }
    }

    fn unix_datagram(&self, number: usize, target: Target, payload: &Payload) -> Right {
        let socket = &self.sockets[number];
        if socket.sending_shut {
            return match socket.life {
                Life::Pending(_) => fails("S20", &[Disconnected, Reset]),
                Life::Over => fails("S20", &[Disconnected, DestinationRequired]),
                _ => fails("S20", &[Disconnected]),
            };
        }
        let Some(to) = self.receiver(socket, target) else {
            return match (target, &socket.life) {
                (Target::Peer, Life::Pending(kinds)) => fails("S17", kinds),
                (Target::Peer, _) => fails("S16", &[DestinationRequired]),
                (Target::Nobody, _) => self.with_address(socket, "A10", &[NotFound]),
                _ => self.with_address(socket, "A10", &[Refused]),
            };
        };
        let addressed = target != Target::Peer;
        if addressed && socket.peer.is_some() && self.system == System::OpenBsd {
            return self.with_address(socket, "A4", &[]);
        }
        let other = self.sockets[to].peer.is_some_and(|peer| peer != number);
        if other && self.system == System::Linux {
            return differs("A11", &[PermissionDenied]);
        }
        self.unix_room(socket, Some(to), payload)
    }

    /// A send to an address of a socket that has a peer differs (A4).
    fn with_address(&self, socket: &Socket, clause: &'static str, kinds: &[ErrorKind]) -> Right {
        match (socket.peer, self.system) {
            (Some(_), System::OpenBsd) if matches!(socket.life, Life::Pending(_)) => differs("S17", &[Reset]),
            (Some(_), System::OpenBsd) => differs("A4", &[AlreadyConnected]),
            _ => fails(clause, kinds),
        }
    }

    /// Returns how many bytes of this socket were not received yet.
    pub(super) fn in_flight(&self, number: usize) -> usize {
        self.sockets.iter().map(|socket| socket.queued_from(number)).sum()
    }

    /// Returns the socket that a datagram arrives at.
    fn receiver(&self, socket: &Socket, target: Target) -> Option<usize> {
        let to = match target {
            Target::Peer => socket.peer,
            Target::Place(place) | Target::FromLoopback(place) => self.places[place],
            _ => None,
        };
        to.filter(|&to| self.sockets[to].open)
    }

    fn udp(&self, socket: &Socket, call: Call, payload: &Payload) -> Right {
        let target = target(call);
        let has_peer = socket.peer.is_some();
        if socket.sending_shut && target == Target::Peer && !has_peer && self.system == System::Linux {
            return differs("S20c", &[DestinationRequired]);
        }
        if socket.sending_shut {
            let kinds: &[ErrorKind] = if matches!(socket.life, Life::Pending(_)) {
                &[Disconnected, Refused]
            } else {
                &[Disconnected]
            };
            return fails(if has_peer { "S20" } else { "S20b" }, kinds);
        }
        if target == Target::Peer && !has_peer {
            return fails("S18", &[DestinationRequired]);
        }
        if target != Target::Peer && has_peer && self.system == System::OpenBsd {
            return differs("A4", &[AlreadyConnected, Refused]);
        }
        let pending = matches!(socket.life, Life::Pending(_));
        match target {
            Target::Peer if pending => fails("S19", &[Refused]),
            _ if pending || socket.may_be_refused => {
                Right { accepts: Accepts::WholeOrNothing, ..differs("S19", &[Refused]) }
            }
            // A batch can be told of one of its own datagrams (D4).
            _ if payload.messages.len() > 1 && self.is_refused(socket, target) => {
                Right { accepts: Accepts::WholeOrNothing, ..differs("D4", &[Refused]) }
            }
            // Nobody has run this on a socket that is bound to an address.
            Target::FromLoopback(_) if self.system == System::OpenBsd => Right {
                accepts: Accepts::WholeOrNothing,
                ..differs("N5", &[AddressNotAvailable, InvalidInput, Unreachable])
            },
            _ => accepts("B4"),
        }
    }

    /// Returns whether the network tells the sender that a datagram was refused: only if it was sent to its peer.
    fn is_refused(&self, socket: &Socket, target: Target) -> bool {
        let listens = |to: usize| {
            let to = &self.sockets[to];
            to.open
                && to.peer.is_none_or(|peer| {
                    self.sockets[peer].open && std::ptr::eq(&raw const self.sockets[peer], socket)
                })
        };
        // An address that is the peer's is the peer.
        let is_to = |peer| target == Target::Peer || self.receiver(socket, target) == Some(peer);
        socket.peer.is_some_and(|peer| is_to(peer) && !listens(peer))
    }

    fn follow_send(
        &mut self,
        number: usize,
        call: Call,
        payload: &Payload,
        flags: Flags,
        accepted: usize,
        error: Option<ErrorKind>,
    ) {
        if let Some(kind) = error {
            self.follow_failure(number, kind);
        }
        if accepted == 0 && (error.is_some() || payload.messages.is_empty()) {
            return;
        }
        if self.sockets[number].kind.is_stream() {
            let data: Vec<u8> = payload.messages.concat();
            self.deliver_stream(number, &data[..accepted], payload, flags, accepted == payload.bytes());
            return;
        }
        let datagrams = match call {
            Call::Datagrams(..) => accepted,
            Call::Segments(_, size) => accepted.div_ceil(usize::from(size)),
            _ => 1,
        };
        for datagram in payload.messages.iter().take(datagrams) {
            self.deliver_datagram(number, target(call), datagram, payload);
        }
    }

    fn follow_failure(&mut self, number: usize, kind: ErrorKind) {
        let socket = &mut self.sockets[number];
        match (socket.kind, &socket.life) {
            (Kind::UdpV4 | Kind::UdpV6, Life::Pending(_)) if kind == Refused => socket.life = Life::Connected,
            (Kind::UnixDatagram, Life::Pending(kinds)) if kinds.contains(&kind) => {
                socket.life = Life::Over;
                socket.peer = None;
                if self.system == System::Linux {
                    self.sockets[number].incoming.clear(); // S17b
                }
            }
            (Kind::Tcp, Life::Pending(kinds)) if kinds.contains(&kind) => socket.life = Life::Over,
            (Kind::Tcp, Life::Pending(_)) if !socket.sending_shut => socket.life = Life::Over,
            (Kind::Tcp, Life::PeerClosed)
                if self.system == System::OpenBsd && matches!(kind, Disconnected | Reset) =>
            {
                socket.life = Life::Over;
            }
            _ => {}
        }
        if kind == WouldBlock {
            self.sockets[number].was_full = true;
        }
    }

    fn deliver_stream(
        &mut self,
        number: usize,
        data: &[u8],
        payload: &Payload,
        Flags(flags): Flags,
        whole: bool,
    ) {
        let Some(peer) = self.sockets[number].peer else { return };
        let urgent = flags & OUT_OF_BAND != 0 && payload.takes_flags;
        if data.is_empty() {
            // OpenBSD marks the last byte that it still holds back, of an earlier send.
            if let Some(last) = self.sockets[peer].incoming.back_mut()
                && urgent
                && self.system == System::OpenBsd
            {
                (last.urgent, last.urgent_parts) = (true, true);
            }
            return;
        }
        let socket = &mut self.sockets[number];
        socket.sent += data.len();
        let is_unacknowledged =
            self.system == System::OpenBsd && socket.kind == Kind::Tcp && socket.sent > UNACKNOWLEDGED;
        socket.was_full |= !whole || is_large(data.len()) || is_unacknowledged;
        if socket.life == Life::PeerClosed {
            // The reset that this causes: Linux says EPIPE for it, because the end of the stream came before.
            socket.life = Life::Pending(&[Disconnected, Reset]);
            let peer = &mut self.sockets[peer];
            if peer.open {
                peer.life = Life::Pending(&[Reset, Disconnected]);
            }
            return;
        }
        // OpenBSD's TCP drops what comes for a receiver that was shut down, but an urgent byte. It announces no more
        // room for it, so that its sender is full at last (S11). A unix socket queues it (S15).
        if self.sockets[peer].receiving_shut
            && self.system == System::OpenBsd
            && self.sockets[peer].kind == Kind::Tcp
        {
            self.sockets[number].was_full = true;
            if !urgent {
                return;
            }
        }
        let descriptors = payload.descriptor_files();
        self.sockets[peer].incoming.push_back(Chunk {
            bytes: data.iter().copied().collect(),
            descriptors,
            urgent,
            urgent_parts: urgent && self.system == System::OpenBsd && data.len() > UNACKNOWLEDGED,
            came_before_asking: false,
            held: flags & MORE != 0 && payload.takes_flags,
            sender: number,
            may_be_lost: false,
        });
    }

    fn deliver_datagram(&mut self, number: usize, target: Target, datagram: &[u8], payload: &Payload) {
        let refused = self.is_refused(&self.sockets[number], target);
        let socket = &mut self.sockets[number];
        if refused && socket.kind.is_udp() {
            socket.life = Life::Pending(&[Refused]);
            // OpenBSD reports each of a batch, and the last can come when the first was returned.
            socket.may_be_refused |= self.system == System::OpenBsd && payload.messages.len() > 1;
            return;
        }
        let socket = &self.sockets[number];
        let Some(to) = self.receiver(socket, target) else { return };
        let receiver = &self.sockets[to];
        if socket.kind.is_udp() && receiver.peer.is_some_and(|peer| peer != number) {
            return;
        }
        // What a buffer of 16 KiB certainly holds, with what the kernels add to each datagram.
        let held: usize = receiver.incoming.iter().map(|chunk| chunk.bytes.len() + 1024).sum();
        let may_be_lost = socket.kind.is_udp()
            && (held + datagram.len() > 16_384 || !receiver.usual_buffers || receiver.receiving_shut);
        let chunk = Chunk {
            bytes: datagram.iter().copied().collect(),
            descriptors: payload.descriptor_files(),
            urgent: false,
            came_before_asking: false,
            urgent_parts: false,
            held: false,
            sender: number,
            may_be_lost,
        };
        self.sockets[to].incoming.push_back(chunk);
    }
}

/// Returns whether a send to a peer that has closed can fail at once on OpenBSD: the connection may have been reset, or
/// the kernel sends in several parts. The first causes the reset, and the kernel does not say that it was accepted (I5).
fn may_fail_at_once(socket: &Socket, payload: &Payload) -> bool {
    let in_parts = payload.bytes() > SURELY_FITS || socket.was_full || !socket.usual_buffers;
    socket.may_be_reset || in_parts
}

/// After this much, acknowledgements can still be on their way when all was received.
const fn is_large(length: usize) -> bool {
    length > 16_384
}

impl Right {
    /// Adds what follows from the length of a datagram: it is too long, or may be. A send that fails for two reasons
    /// fails with one of them (G6).
    pub(super) fn or_too_long(mut self, socket: &Socket, payload: &Payload, in_flight: usize) -> Self {
        let (surely, longest) = match socket.kind {
            Kind::Tcp | Kind::UnixStream => return self,
            Kind::UdpV4 => (OPENBSD_UDP, LONGEST_UDP_V4),
            Kind::UdpV6 => (OPENBSD_UDP, LONGEST_DATAGRAM),
            Kind::UnixDatagram | Kind::UnixSeqpacket => (SURELY_FITS, usize::MAX),
        };
        let length = payload.longest();
        let may_be_full = socket.was_full || !socket.usual_buffers || in_flight > SURELY_FITS;
        if socket.kind.is_unix() && may_be_full {
            self.fails.push(WouldBlock); // What it sent, to whomever, fills its own buffer.
        }
        let is_udp_of_small_buffers = socket.kind.is_udp() && !socket.usual_buffers;
        if length <= surely && socket.usual_buffers {
            return self;
        }
        self.fails.push(MessageTooLong);
        if is_udp_of_small_buffers {
            self.fails.push(NoBufferSpace); // B1c
        }
        self.said = Said::differs(if self.accepts == Accepts::Nothing { "G6" } else { "B1" });
        self.accepts = match self.accepts {
            Accepts::Nothing => Accepts::Nothing,
            _ if length > longest => Accepts::Nothing,
            _ => Accepts::WholeOrNothing,
        };
        self
    }

    fn or_reset(mut self) -> Self {
        self.fails.extend([Disconnected, Reset]);
        self.said = Said::differs("S11b");
        self.accepts = Accepts::Part;
        self
    }

    /// The reset that the first part causes can stop a loop (S9).
    fn or_gone_in_the_middle(mut self) -> Self {
        self.stops.extend([Disconnected, Reset]);
        self
    }

    pub(super) fn check(
        self,
        call: Call,
        payload: &Payload,
        accepted: usize,
        error: Option<ErrorKind>,
    ) -> Result<Said, Wrong> {
        let all = match call {
            Call::Datagrams(..) => payload.messages.len(),
            _ => payload.bytes(),
        };
        let loops = loops(call);
        let is_right = match error {
            None if accepted == all => self.accepts != Accepts::Nothing,
            None => self.accepts == Accepts::Part && !loops && 0 < accepted && accepted < all,
            Some(kind) if accepted == 0 => self.fails.contains(&kind),
            Some(kind) => {
                loops && accepted < all && self.accepts != Accepts::Nothing && self.may_stop_a_loop(kind)
            }
        };
        match is_right {
            true => Ok(self.said),
            false => Err(format!("{}: {:?} of {all}, or {:?}", self.said.clause, self.accepts, self.fails)),
        }
    }

    /// A loop can fill a buffer that was empty when it began.
    fn may_stop_a_loop(&self, kind: ErrorKind) -> bool {
        let is_full = kind == WouldBlock && self.accepts == Accepts::Part;
        is_full || self.fails.contains(&kind) || self.stops.contains(&kind)
    }
}

/// Returns whether the call goes on after a part.
pub(super) fn loops(call: Call) -> bool {
    matches!(
        call,
        Call::All
            | Call::AllVectored(_)
            | Call::MessageAll(..)
            | Call::Datagrams(..)
            | Call::Segments(..)
            | Call::TransferAll(_)
    )
}

fn target(call: Call) -> Target {
    match call {
        Call::To(target)
        | Call::Message(target, ..)
        | Call::Datagrams(target, _)
        | Call::Segments(target, _) => target,
        _ => Target::Peer,
    }
}

fn address(kind: Kind, target: Target) -> Option<(&'static str, &'static [ErrorKind])> {
    match (target, kind) {
        (Target::OtherFamily, _) => Some(("A5", &[AddressFamily])),
        (Target::Unspecified, _) => Some(("A5b", &[AddressNotAvailable])),
        (Target::NoSocket, Kind::UdpV4 | Kind::UdpV6) => Some(("A7", &[AddressNotAvailable])),
        _ => None,
    }
}

/// Only UDP has sources.
fn source(kind: Kind, target: Target) -> Option<(&'static str, &'static [ErrorKind])> {
    let has_source = matches!(target, Target::FromLoopback(_));
    (has_source && !kind.is_udp()).then_some(("N5b", &[Unsupported]))
}

/// A loop on a stream divides its slices.
fn slices(kind: Kind, call: Call) -> Option<(&'static str, &'static [ErrorKind])> {
    let slices = match call {
        Call::Vectored(slices) | Call::Message(_, slices, _) => slices,
        Call::AllVectored(slices) | Call::MessageAll(slices, _) if !kind.is_stream() => slices,
        _ => 0,
    };
    (slices > 1024).then_some(("L5", &[TooManySlices]))
}

fn descriptors(kind: Kind, call: Call, payload: &Payload) -> Option<(&'static str, &'static [ErrorKind])> {
    let count = payload.descriptors;
    let transfers = matches!(call, Call::Transfer(_) | Call::TransferAll(_));
    let first_bytes = match call {
        Call::Transfer(Whole { header, .. }) | Call::TransferAll(Whole { header, .. }) => usize::from(header),
        _ => payload.bytes(),
    };
    let clauses: [(&str, bool, &[ErrorKind]); 3] = [
        ("L12", !kind.is_unix() || (transfers && kind != Kind::UnixStream), &[Unsupported]),
        ("L11", count > 126, &[TooManyDescriptors]),
        ("R3", kind == Kind::UnixStream && first_bytes == 0, &[DescriptorsWithoutData]),
    ];
    let first = clauses.into_iter().find(|(_, is_refused, _)| count > 0 && *is_refused);
    first.map(|(clause, _, kinds)| (clause, kinds))
}

/// Returns how many bytes of the file a range has.
#[must_use]
pub(crate) fn in_file(offset: u32, length: usize) -> usize {
    FILE_BYTES.saturating_sub(offset as usize).min(length)
}
