//! The contract as a state machine. It knows no kernel: it says which answers are right for a step, and follows
//! the answer that was given.
//!
//! Each rule names its clause in `docs/contract.md`. Where the contract leaves room (a short count, how much a
//! buffer holds), a rule has a set of right answers. Where systems differ, a rule is [`Said::differs`].

mod meanwhile;
mod receive;
mod send;
#[cfg(test)]
mod tests;

pub(crate) use send::in_file;

use std::collections::VecDeque;
use std::fmt;

use unisend::ErrorKind;

use super::program::{Call, How, Kind, PLACES, Step, Target};

/// This many bytes fit into the buffers of a socket that nobody has set, on every system.
const SURELY_FITS: usize = 1024;

/// This many bytes can wait in a TCP socket of OpenBSD for their acknowledgement, and what surely fits still does: its
/// buffer has 16 KiB, and the acknowledgement of less than half of that can take 200 ms.
const UNACKNOWLEDGED: usize = 8192;

/// A system that the contract speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Linux.
    Linux,
    /// OpenBSD.
    OpenBsd,
}

impl System {
    /// The system that this is compiled for.
    pub const HERE: Self = if cfg!(target_os = "linux") { Self::Linux } else { Self::OpenBsd };
}

/// What a call of unisend answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// It failed.
    Failed(ErrorKind),
    /// A send accepted this many bytes (a batch: datagrams), and then failed if there is a kind.
    Sent(usize, Option<ErrorKind>),
    /// This was received: one message, or the datagrams of a batch.
    Received(Vec<Arrival>),
}

/// What was received at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrival {
    /// The data.
    pub bytes: Vec<u8>,
    /// The files whose descriptors came, by their numbers.
    pub descriptors: Vec<u8>,
    /// Whether descriptors were lost.
    pub lost: bool,
    /// Whether the datagram or record was longer.
    pub truncated: bool,
    /// Whether this is the end of file.
    pub end: bool,
    /// The socket that sent it, if it has a name.
    pub sender: Option<usize>,
    /// Whether it said that it was sent to loopback, with which traffic class, and that it has a hop limit.
    pub said: (bool, Option<u8>, bool),
}

/// A right answer, and why it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// The clause.
    pub clause: &'static str,
    /// Whether another system, another size of a buffer or another time can have another answer.
    pub differs: bool,
}

impl Said {
    const fn same(clause: &'static str) -> Self {
        Self { clause, differs: false }
    }

    const fn differs(clause: &'static str) -> Self {
        Self { clause, differs: true }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(kind) => write!(f, "{kind}"),
            Self::Sent(count, None) => write!(f, "{count}"),
            Self::Sent(count, Some(kind)) => write!(f, "{count}, {kind}"),
            Self::Received(arrivals) => {
                let said: Vec<String> = arrivals.iter().map(Arrival::to_string).collect();
                write!(f, "received {}", said.join(", "))
            }
        }
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = self.bytes.iter().fold(0_u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        write!(f, "{}+{} #{sum:08x}", self.bytes.len(), self.descriptors.len())?;
        let said = [(self.lost, " lost"), (self.truncated, " truncated"), (self.end, " end")];
        said.into_iter().filter(|(is, _)| *is).try_for_each(|(_, word)| f.write_str(word))?;
        self.sender.map_or(Ok(()), |sender| write!(f, " from {sender}"))?;
        f.write_str(if self.said.0 { " to loopback" } else { "" })
    }
}

/// An answer that is not right: what would be, with the clause.
pub(super) type Wrong = String;

/// Where the life of a connection is, as its owner can see it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    /// It has no peer, and had none.
    New,
    /// It listens.
    Listening,
    /// It has a peer.
    Connected,
    /// The peer has closed. TCP accepts one send before it knows (S9).
    PeerClosed,
    /// The next call fails with one of these kinds (S5, S8, S17, S19).
    Pending(&'static [ErrorKind]),
    /// The connection is over.
    Over,
    /// A blocking connect was refused (S6).
    Refused,
}

/// What one call sent: a part of a stream that came with its descriptors, or a datagram or record.
#[derive(Debug, Clone)]
struct Chunk {
    bytes: VecDeque<u8>,
    descriptors: Vec<u8>,
    /// The last byte is urgent: it can be received on its own, or be lost (F8e, F8f).
    urgent: bool,
    /// OpenBSD may have sent it in several parts, and the last byte of each is urgent (F2).
    urgent_parts: bool,
    sender: usize,
    /// It came before the receiver asked for what comes with it.
    came_before_asking: bool,
    /// It can wait in the sender for more (F4).
    held: bool,
    /// The network may drop it, because the receiver's buffer may be full (B4).
    may_be_lost: bool,
}

#[derive(Debug, Clone)]
struct Socket {
    kind: Kind,
    life: Life,
    open: bool,
    named: bool,
    /// The listener whose name it has, because it was accepted there.
    accepted_by: Option<usize>,
    peer: Option<usize>,
    sending_shut: bool,
    receiving_shut: bool,
    usual_buffers: bool,
    /// More was once sent than certainly fits. Acknowledgements may be on their way.
    was_full: bool,
    /// How much it has sent as a stream.
    sent: usize,
    /// Linux and OpenBSD have treated it differently, so that all that follows may differ.
    diverged: bool,
    probed: bool,
    /// It asked for what comes with a datagram, and was told that it will get it.
    asked: bool,
    /// Data was on its way when its receiver was shut down (S11b) or closed, so the connection may have been reset.
    may_be_reset: bool,
    /// The network may still report that a datagram was refused (S19, D4).
    may_be_refused: bool,
    /// The kernel made it together with its peer.
    paired: bool,
    incoming: VecDeque<Chunk>,
}

impl Socket {
    fn new(kind: Kind, named: bool) -> Self {
        Self {
            kind,
            life: Life::New,
            open: true,
            named,
            accepted_by: None,
            peer: None,
            sending_shut: false,
            receiving_shut: false,
            usual_buffers: true,
            was_full: false,
            sent: 0,
            diverged: false,
            probed: false,
            asked: false,
            may_be_reset: false,
            may_be_refused: false,
            paired: false,
            incoming: VecDeque::new(),
        }
    }

    fn queued(&self) -> usize {
        self.incoming.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    fn descriptors_in_flight(&self) -> usize {
        self.incoming.iter().map(|chunk| chunk.descriptors.len()).sum()
    }

    fn queued_from(&self, sender: usize) -> usize {
        let chunks = self.incoming.iter().filter(|chunk| chunk.sender == sender);
        chunks.map(|chunk| chunk.bytes.len()).sum()
    }

    fn queued_chunks_from(&self, sender: usize) -> usize {
        self.incoming.iter().filter(|chunk| chunk.sender == sender).count()
    }

    fn is_untouched(&self) -> bool {
        self.life == Life::New && !self.sending_shut && !self.receiving_shut
    }
}

/// The model of one running program.
#[derive(Debug, Clone)]
pub struct Model {
    system: System,
    sockets: Vec<Socket>,
    places: [Option<usize>; PLACES],
}

impl Model {
    /// Returns the model of a program on this system, before its first step.
    #[must_use]
    pub fn new(system: System) -> Self {
        Self { system, sockets: Vec::new(), places: [None; PLACES] }
    }

    /// Returns the number of the socket in this place.
    #[must_use]
    pub fn socket_in(&self, place: usize) -> Option<usize> {
        self.places[place]
    }

    fn at(&self, place: usize) -> Option<&Socket> {
        self.places[place].map(|socket| &self.sockets[socket])
    }

    fn is(&self, place: usize, what: impl FnOnce(&Socket) -> bool) -> bool {
        self.at(place).is_some_and(what)
    }

    /// Returns the kind of the socket in this place.
    #[must_use]
    pub fn kind(&self, place: usize) -> Option<Kind> {
        self.at(place).map(|socket| socket.kind)
    }

    /// Returns whether the socket in this place is declared by what `probe` finds.
    #[must_use]
    pub fn is_probed(&self, place: usize) -> bool {
        self.is(place, |socket| socket.probed)
    }

    /// Returns whether something is on its way to the socket in this place, data or the end of a stream, so that a
    /// receive can wait for it.
    #[must_use]
    pub fn will_arrive(&self, place: usize) -> bool {
        self.is(place, |socket| {
            let data = socket.incoming.iter().any(|chunk| !chunk.may_be_lost && !chunk.urgent);
            data || (socket.kind == Kind::Tcp && receive::ends(socket, &self.sockets))
        })
    }

    /// Returns the places whose sockets are about to learn that their peer is gone: from the peer's close, or
    /// from the answer to their own send.
    #[must_use]
    pub fn about_to_learn(&self) -> Vec<usize> {
        (0..PLACES)
            .filter(|&place| self.is(place, |socket| matches!(socket.life, Life::Pending(_))))
            .collect()
    }

    /// Notes that nothing was reported to the socket in this place: the network dropped the report of UDP.
    pub fn report_was_lost(&mut self, place: usize) {
        if let Some(socket) = self.places[place].map(|socket| &mut self.sockets[socket])
            && socket.kind.is_udp()
        {
            socket.life = Life::Connected;
            // OpenBSD's poll(2) does not tell a report from data, so it may be there.
            socket.may_be_refused = self.system == System::OpenBsd;
            socket.diverged = true;
        }
    }

    /// Returns whether the step can be made: its sockets are there, and their state has a meaning for it.
    #[must_use]
    pub fn can(&self, step: &Step) -> bool {
        match *step {
            Step::Pair(_, a, b) => a != b,
            Step::New(..) | Step::Guard(_) => true,
            Step::Bind(place) => self.is(place, |socket| {
                !socket.named && socket.is_untouched() && (socket.kind.is_unix() || socket.kind == Kind::Tcp)
            }),
            Step::Listen(place) => {
                self.is(place, |socket| socket.named && socket.is_untouched() && !socket.kind.is_datagram())
            }
            Step::Connect(from, to, accepted) => self.can_connect(from, to, accepted),
            Step::ConnectToNobody(place, _) => {
                self.is(place, |socket| socket.kind == Kind::Tcp && socket.is_untouched() && !socket.named)
            }
            Step::Shutdown(place, how) => self.is(place, |socket| can_shut_down(socket, how)),
            Step::Reset(place) => self.is(place, |socket| {
                socket.kind == Kind::Tcp && socket.life == Life::Connected && !socket.sending_shut
            }),
            Step::Send(place, call, ..) => self.is(place, |socket| self.can_send(socket, call)),
            Step::SendMeanwhile(place, ..) => self.can_wait_for_peer(place),
            Step::Receive(place, super::program::Taking::Many(_), ..) => {
                self.is(place, |socket| socket.kind.is_datagram())
            }
            Step::Ask(place) => self.is(place, |socket| socket.kind.is_datagram()),
            Step::Close(place)
            | Step::SmallBuffers(place)
            | Step::Nonblocking(place, _)
            | Step::Probe(place)
            | Step::Credentials(place)
            | Step::Receive(place, ..)
            | Step::Drain(place) => self.places[place].is_some(),
        }
    }

    /// Returns whether the socket and its peer are as they were connected, so that the peer can read what comes.
    fn can_wait_for_peer(&self, place: usize) -> bool {
        let (Some(number), Some(peer)) = (self.places[place], self.peer_place(place)) else { return false };
        let Some(peer) = self.at(peer) else { return false };
        let socket = &self.sockets[number];
        let whole = |socket: &Socket| {
            !socket.kind.is_udp()
                && socket.life == Life::Connected
                && !socket.sending_shut
                && !socket.receiving_shut
                && !socket.may_be_reset
        };
        let nothing_elsewhere = self.in_flight(number) == peer.queued_from(number);
        let nothing_urgent = !peer.incoming.iter().any(|chunk| chunk.urgent);
        whole(socket) && whole(peer) && peer.peer == Some(number) && nothing_elsewhere && nothing_urgent
    }

    /// Returns the place of the peer of the socket in this place.
    #[must_use]
    pub fn peer_place(&self, place: usize) -> Option<usize> {
        let peer = self.at(place)?.peer?;
        self.places.iter().position(|&other| other == Some(peer))
    }

    /// Returns how many bytes the socket in this place has not received yet.
    #[must_use]
    pub fn queued(&self, place: usize) -> usize {
        self.at(place).map_or(0, Socket::queued)
    }

    fn can_connect(&self, from: usize, to: usize, accepted: usize) -> bool {
        let (Some(a), Some(b)) = (self.at(from), self.at(to)) else { return false };
        let apart = from != to && accepted != from && accepted != to;
        let fits = match a.kind {
            Kind::UdpV4 | Kind::UdpV6 => matches!(a.life, Life::New | Life::Connected) && !a.sending_shut,
            Kind::UnixDatagram => {
                a.is_untouched()
                    && b.named
                    && b.peer.is_none_or(|peer| Some(peer) == self.places[from])
                    && !b.receiving_shut
            }
            _ => a.is_untouched() && b.life == Life::Listening,
        };
        apart && a.kind == b.kind && fits
    }

    fn can_send(&self, socket: &Socket, call: Call) -> bool {
        let target = match call {
            Call::To(target) => match target {
                Target::Peer => return false,
                target => target,
            },
            Call::Message(Target::Peer, ..) => return true,
            Call::Message(target, ..) | Call::Datagrams(target, _) | Call::Segments(target, _) => target,
            _ => return true,
        };
        socket.kind.is_datagram()
            && match target {
                Target::FromLoopback(_) if matches!(call, Call::To(_)) => false,
                Target::Place(place) | Target::FromLoopback(place) => {
                    self.is(place, |to| to.kind == socket.kind && to.named)
                }
                Target::Unspecified => socket.kind.is_udp(),
                _ => true,
            }
    }

    /// Follows a step that is not a call of unisend.
    pub fn follow(&mut self, step: &Step) {
        match *step {
            Step::Pair(kind, a, b) => self.pair(kind, a, b),
            Step::New(kind, place) => {
                self.put(place, Socket::new(kind, kind.is_udp()));
            }
            Step::Bind(place) => self.change(place, |socket| socket.named = true),
            Step::Listen(place) => self.change(place, |socket| socket.life = Life::Listening),
            Step::Connect(from, to, accepted) => self.connect(from, to, accepted),
            Step::ConnectToNobody(place, waits) => self.change(place, |socket| {
                socket.life = if waits { Life::Refused } else { Life::Pending(&[ErrorKind::Refused]) };
                socket.diverged |= waits; // S6
            }),
            Step::Shutdown(place, how) => self.shut_down(place, how),
            Step::Close(place) => self.close(place, false),
            Step::Reset(place) => self.close(place, true),
            Step::SmallBuffers(place) => self.change(place, |socket| socket.usual_buffers = false),
            Step::Probe(place) => self.change(place, |socket| socket.probed = true),
            Step::Nonblocking(..) | Step::Guard(_) => {}
            Step::Credentials(_)
            | Step::Ask(_)
            | Step::Send(..)
            | Step::SendMeanwhile(..)
            | Step::Receive(..)
            | Step::Drain(_) => {
                unreachable!("these are calls of unisend")
            }
        }
    }

    /// Returns the places whose TCP sockets can see the end of what their peer sent. On OpenBSD the end can wait behind
    /// data that its receiver has no room for.
    #[must_use]
    pub fn at_the_end(&self) -> Vec<usize> {
        let has_room = |socket: &Socket| self.system == System::Linux || socket.queued() <= UNACKNOWLEDGED;
        let ended = |socket: &Socket| {
            let peer = socket.peer.map(|peer| &self.sockets[peer]);
            socket.kind == Kind::Tcp
                && peer.is_some_and(|peer| !peer.open || peer.sending_shut)
                && has_room(socket)
        };
        (0..PLACES).filter(|&place| self.is(place, ended)).collect()
    }

    /// Checks the answer to a request for the credentials of the peer.
    ///
    /// # Errors
    ///
    /// If the answer is not right.
    pub fn credentials(&self, place: usize, answer: &Answer) -> Result<Said, Wrong> {
        let Some(socket) = self.at(place) else { return Err("an empty place".to_owned()) };
        let (clause, right) = match socket.kind {
            kind if !kind.is_unix() => ("C4", Answer::Failed(ErrorKind::Unsupported)),
            // It was not seen on OpenBSD whether a pair of datagram sockets has credentials.
            Kind::UnixDatagram if self.system == System::OpenBsd && socket.paired => {
                return Ok(Said::differs("C4"));
            }
            Kind::UnixDatagram if !socket.paired => ("C4", Answer::Failed(ErrorKind::NotConnected)),
            _ if matches!(socket.life, Life::New | Life::Listening) => {
                ("C4", Answer::Failed(ErrorKind::NotConnected))
            }
            _ => ("C2", Answer::Done),
        };
        if *answer == right { Ok(Said::same(clause)) } else { Err(format!("{clause}: {right}")) }
    }

    /// Checks the answer to a request for what comes with a datagram.
    ///
    /// # Errors
    ///
    /// If the answer is not right.
    pub fn asked(&mut self, place: usize, answer: &Answer) -> Result<Said, Wrong> {
        let Some(kind) = self.kind(place) else { return Err("an empty place".to_owned()) };
        let right = if kind.is_udp() { Answer::Done } else { Answer::Failed(ErrorKind::Unsupported) };
        if *answer != right {
            return Err(format!("N4: {right}"));
        }
        self.change(place, |socket| {
            socket.asked = kind.is_udp();
            socket.incoming.iter_mut().for_each(|chunk| chunk.came_before_asking = true);
        });
        Ok(Said::same("N4"))
    }

    fn change(&mut self, place: usize, change: impl FnOnce(&mut Socket)) {
        if let Some(socket) = self.places[place] {
            change(&mut self.sockets[socket]);
        }
    }

    fn put(&mut self, place: usize, socket: Socket) -> usize {
        self.close(place, false);
        let number = self.sockets.len();
        self.sockets.push(socket);
        self.places[place] = Some(number);
        number
    }

    fn pair(&mut self, kind: Kind, a: usize, b: usize) {
        let named = !kind.is_unix();
        let [a, b] = [a, b].map(|place| self.put(place, Socket::new(kind, named)));
        self.join(a, b);
        self.join(b, a);
        self.sockets[a].paired = true;
        self.sockets[b].paired = true;
    }

    fn join(&mut self, a: usize, b: usize) {
        self.sockets[a].life = Life::Connected;
        self.sockets[a].peer = Some(b);
    }

    fn connect(&mut self, from: usize, to: usize, accepted: usize) {
        let (Some(a), Some(b)) = (self.places[from], self.places[to]) else { return };
        let kind = self.sockets[a].kind;
        if kind.is_datagram() {
            return self.join(a, b);
        }
        let mut server = Socket::new(kind, true);
        server.usual_buffers = self.sockets[b].usual_buffers;
        server.accepted_by = Some(b);
        let server = self.put(accepted, server);
        self.join(a, server);
        self.join(server, a);
    }

    fn shut_down(&mut self, place: usize, how: How) {
        let Some(number) = self.places[place] else { return };
        let socket = &mut self.sockets[number];
        socket.sending_shut |= how != How::Receiving;
        socket.receiving_shut |= how != How::Sending;
        socket.diverged |= socket.life == Life::New; // S1b, S12b, S20c
        if how != How::Sending {
            self.receive_no_more(number);
        }
        // Linux answers data for a TCP socket that does neither with a reset (S11b).
        if self.system == System::OpenBsd {
            return;
        }
        let socket = &self.sockets[number];
        let does_neither = socket.sending_shut && socket.receiving_shut;
        let (Kind::Tcp, true, Some(peer)) = (socket.kind, does_neither, socket.peer) else { return };
        // What is sent after a small part waits for its acknowledgement.
        let may_be_on_its_way = socket.queued() > SURELY_FITS
            || socket.incoming.len() > 1
            || socket.incoming.iter().any(|chunk| chunk.held);
        if may_be_on_its_way {
            self.sockets[number].may_be_reset = true;
            self.sockets[peer].may_be_reset = true;
        } else if self.sockets[peer].life == Life::Connected {
            self.sockets[peer].life = Life::PeerClosed;
        }
    }

    /// Follows the end of receiving. Linux keeps what has come. OpenBSD drops it, except an urgent byte (sorflush()).
    fn receive_no_more(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        socket.diverged = true;
        let peer = socket.peer;
        let dropped = if self.system == System::OpenBsd { socket.queued() } else { 0 };
        if self.system == System::OpenBsd {
            socket.incoming.retain(|chunk| chunk.urgent);
        }
        if let Some(peer) = peer.filter(|_| !socket.kind.is_udp()) {
            let peer = &mut self.sockets[peer];
            peer.diverged = true;
            // The sender still counts what was dropped, until it sends the next time.
            peer.was_full |= dropped > SURELY_FITS;
        }
    }

    fn close(&mut self, place: usize, with_reset: bool) {
        let Some(number) = self.places[place].take() else { return };
        self.sockets[number].open = false;
        let closed = self.sockets[number].clone();
        for other in 0..self.sockets.len() {
            if self.sockets[other].open && self.sockets[other].peer == Some(number) {
                self.lose_peer(other, &closed, with_reset);
            }
        }
    }

    fn lose_peer(&mut self, number: usize, closed: &Socket, with_reset: bool) {
        use ErrorKind::{Disconnected, Reset};
        let socket = &mut self.sockets[number];
        // OpenBSD's loopback may not have delivered a datagram when its receiver closes, and then reports it (S19).
        if socket.kind.is_udp() && closed.queued_chunks_from(number) > 0 {
            socket.may_be_refused |= self.system == System::OpenBsd;
            socket.diverged = true;
        }
        if !matches!(socket.life, Life::Connected | Life::PeerClosed) {
            return;
        }
        // OpenBSD does not reset a connection because of what was not read, but because of what had not come.
        let unread = !closed.incoming.is_empty();
        socket.diverged |= unread && !socket.kind.is_datagram();
        socket.may_be_reset |=
            self.system == System::OpenBsd && socket.kind == Kind::Tcp && (unread || closed.receiving_shut);
        let unread = unread && self.system == System::Linux;
        socket.life = match socket.kind {
            Kind::UdpV4 | Kind::UdpV6 => return,
            Kind::UnixDatagram => Life::Pending(&[Reset]),
            Kind::UnixStream | Kind::UnixSeqpacket => Life::PeerClosed,
            Kind::Tcp if with_reset && !closed.sending_shut => Life::Pending(&[Reset]),
            // If the end of the stream comes before the reset, Linux says EPIPE and not ECONNRESET.
            Kind::Tcp if with_reset || unread => Life::Pending(&[Reset, Disconnected]),
            Kind::Tcp => Life::PeerClosed,
        };
    }
}

fn can_shut_down(socket: &Socket, how: How) -> bool {
    match (socket.kind, &socket.life) {
        (Kind::UdpV4 | Kind::UdpV6, Life::New | Life::Connected) => how == How::Sending,
        (Kind::UnixDatagram, Life::Connected) => true,
        (Kind::UnixDatagram, _) => false,
        (_, Life::New) => how == How::Sending,
        (_, Life::Connected) => true,
        _ => false,
    }
}
