//! A program: steps on four sockets. Programs are made from a seed, and the same seed makes the same programs
//! on every system.

use std::fmt;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The number of places for sockets in a program.
pub(super) const PLACES: usize = 4;

/// The bytes in the file that programs send from.
pub(super) const FILE_BYTES: usize = 100_000;

/// The most descriptors that a step sends.
const MOST_DESCRIPTORS: u8 = 127;

/// The kind of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A TCP connection over IPv4.
    Tcp,
    /// UDP over IPv4.
    UdpV4,
    /// UDP over IPv6.
    UdpV6,
    /// A unix stream.
    UnixStream,
    /// A unix datagram socket.
    UnixDatagram,
    /// A unix socket of sequenced packets.
    UnixSeqpacket,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Tcp, Self::UdpV4, Self::UdpV6, Self::UnixStream, Self::UnixDatagram, Self::UnixSeqpacket];

    /// Returns whether the socket sends a stream of bytes.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::UnixStream)
    }

    /// Returns whether the socket sends datagrams, and can send them to an address.
    #[must_use]
    pub const fn is_datagram(self) -> bool {
        self.is_udp() || matches!(self, Self::UnixDatagram)
    }

    /// Returns whether this is UDP.
    #[must_use]
    pub const fn is_udp(self) -> bool {
        matches!(self, Self::UdpV4 | Self::UdpV6)
    }

    /// Returns whether this is a unix socket.
    #[must_use]
    pub const fn is_unix(self) -> bool {
        matches!(self, Self::UnixStream | Self::UnixDatagram | Self::UnixSeqpacket)
    }
}

/// A direction that shutdown(2) closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Receiving.
    Receiving,
    /// Sending.
    Sending,
    /// Both.
    Both,
}

/// Where a datagram is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The peer.
    Peer,
    /// The address of the socket in this place.
    Place(usize),
    /// The same, with loopback as the source.
    FromLoopback(usize),
    /// A path that is missing, or a port that is closed.
    Nobody,
    /// Port 0 of loopback, or a path that is not a socket's.
    NoSocket,
    /// The unspecified address.
    Unspecified,
    /// An address of another family.
    OtherFamily,
}

/// A call that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// `send`.
    One,
    /// `send_vectored` of this many slices.
    Vectored(u16),
    /// `send_all`.
    All,
    /// `send_all_vectored` of this many slices.
    AllVectored(u16),
    /// `send_to`.
    To(Target),
    /// `Message::send`, or `Message::send_to`, of this many slices and descriptors.
    Message(Target, u16, u8),
    /// `Message::send_all` of this many slices and descriptors.
    MessageAll(u16, u8),
    /// `send_batch` of this many datagrams, each with the bytes of the step.
    Datagrams(Target, u16),
    /// `Segments::send` with segments of this size.
    Segments(Target, u16),
    /// `sendfile` from this offset, which is given, or is the file's own position.
    Sendfile(u32, bool),
    /// `Transfer::send`.
    Transfer(Whole),
    /// `Transfer::send_all`.
    TransferAll(Whole),
}

/// The parts of a transfer. The number of bytes of the file is that of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// The bytes of the header.
    pub header: u16,
    /// Where the file begins.
    pub offset: u32,
    /// The bytes of the trailer.
    pub trailer: u16,
    /// The descriptors that go with the header.
    pub descriptors: u8,
    /// Whether the file is copied.
    pub copied: bool,
    /// Whether the offset is the file's own position.
    pub own_position: bool,
}

/// The flags of a call. Each program text names those that are set.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags(pub u32);

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x})", self.0)
    }
}

/// What the peer does, in a process of its own, while a send waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Meanwhile {
    /// It reads all.
    Reads,
    /// It reads this many bytes, and closes.
    Closes(u32),
    /// It reads this many bytes, and closes a TCP connection with a reset.
    Resets(u32),
}

/// How a send waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Waiting {
    /// In the call.
    InTheCall,
    /// In the call, and signals come.
    WithSignals,
    /// By poll(2). The socket does not wait, and a loop is made again with what is left.
    ByPoll,
}

/// A call that receives. No call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taking {
    /// `receive`.
    WithDescriptors,
    /// `receive`. The first descriptor is taken, and the others are dropped.
    OneDescriptor,
    /// `receive_without_descriptors`.
    WithoutDescriptors,
    /// `receive_batch` into this many buffers.
    Many(u8),
}

impl Taking {
    /// Returns how many descriptors of a message it takes, if the kernel installs them.
    #[must_use]
    pub const fn most_descriptors(self) -> Option<usize> {
        match self {
            Self::WithDescriptors => Some(usize::MAX),
            Self::OneDescriptor => Some(1),
            Self::WithoutDescriptors | Self::Many(_) => None,
        }
    }
}

/// A step of a program. A step on an empty place, or one that the state of its sockets does not allow, is passed
/// over, so that a program without one of its steps is a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Puts two connected sockets in these places.
    Pair(Kind, usize, usize),
    /// Puts a socket without a peer in this place. A UDP socket is bound to loopback.
    New(Kind, usize),
    /// Binds a unix socket to a path of its own, or a TCP socket to loopback.
    Bind(usize),
    /// Makes a bound socket listen.
    Listen(usize),
    /// Connects the first to the address of the second. If that listens, puts the accepted socket in the third place.
    Connect(usize, usize, usize),
    /// Connects a TCP socket to a port that is closed, waiting or not.
    ConnectToNobody(usize, bool),
    /// Shuts down a direction.
    Shutdown(usize, How),
    /// Closes the socket.
    Close(usize),
    /// Closes a TCP connection with a reset.
    Reset(usize),
    /// Sets the buffers to the smallest size that the kernel has.
    SmallBuffers(usize),
    /// Sets or clears `O_NONBLOCK`. Before that the socket waits, for a short time.
    Nonblocking(usize, bool),
    /// Declares the socket by what `probe` finds, from now on.
    Probe(usize),
    /// Makes a `SigpipeGuard`, or drops it.
    Guard(bool),
    /// Asks for the destination, the traffic class and the hop limit of the datagrams that arrive.
    Ask(usize),
    /// Asks for the credentials of the peer.
    Credentials(usize),
    /// Sends this many bytes.
    Send(usize, Call, u32, Flags),
    /// Sends this many bytes, without flags, and waits as long as it takes, in this way. The peer does this meanwhile.
    SendMeanwhile(usize, Call, u32, Meanwhile, Waiting),
    /// Receives into this much room.
    Receive(usize, Taking, u32, Flags),
    /// Receives until nothing is left.
    Drain(usize),
}

/// Programs, made from a seed.
pub struct Programs {
    random: ChaCha8Rng,
    steps: usize,
}

impl Programs {
    /// Returns the programs of this seed, which have up to this many steps each.
    #[must_use]
    pub fn new(seed: u64, steps: usize) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), steps }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.random).expect("not empty")
    }

    fn below(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn place(&mut self) -> usize {
        self.below(PLACES as u32) as usize
    }

    /// Most steps are on the sockets that the program began with.
    fn usual_place(&mut self) -> usize {
        if self.chance(80) { self.below(2) as usize } else { self.place() }
    }

    fn program(&mut self) -> Vec<Step> {
        let kind = self.one(&Kind::ALL);
        let other = self.one(&Kind::ALL);
        let mut steps = match self.below(12) {
            0..6 => vec![Step::Pair(kind, 0, 1)],
            6..8 => vec![Step::Pair(kind, 0, 1), Step::Pair(other, 2, 3)],
            8 => vec![Step::New(kind, 0), Step::New(kind, 1)],
            9 => vec![Step::New(kind, 0), Step::Bind(0), Step::New(kind, 1), Step::Connect(1, 0, 2)],
            10 => vec![Step::New(kind, 0), Step::Bind(0), Step::Listen(0), Step::New(kind, 1)],
            _ => vec![Step::Pair(kind, 0, 1), Step::New(kind, 2)],
        };
        let more = self.below(self.steps.max(1) as u32);
        steps.extend((0..=more).map(|_| self.step()));
        steps.extend((0..PLACES).map(Step::Drain));
        steps
    }

    fn step(&mut self) -> Step {
        let place = self.usual_place();
        match self.below(100) {
            0..2 => Step::Pair(self.one(&Kind::ALL), place, (place + 1) % PLACES),
            2..5 => Step::New(self.one(&Kind::ALL), place),
            5..9 => Step::Bind(place),
            9..11 => Step::Listen(place),
            11..15 => Step::Connect(place, self.usual_place(), self.place()),
            15 => Step::ConnectToNobody(place, self.chance(50)),
            16..20 => {
                Step::Shutdown(place, self.one(&[How::Receiving, How::Sending, How::Sending, How::Both]))
            }
            20..23 => Step::Close(place),
            23 => Step::Reset(place),
            24 => Step::SmallBuffers(place),
            25..27 => Step::Nonblocking(place, self.chance(70)),
            27 => Step::Probe(place),
            28 => Step::Guard(self.chance(60)),
            29 => self.one(&[Step::Credentials(place), Step::Ask(place)]),
            30..66 => self.send(place),
            66..69 => self.send_meanwhile(place),
            69..96 => self.receive(place),
            _ => Step::Drain(place),
        }
    }

    fn target(&mut self) -> Target {
        match self.below(10) {
            0..3 => Target::Peer,
            3..6 => Target::Place(self.place()),
            6 => Target::FromLoopback(self.place()),
            7 => Target::Nobody,
            8 => Target::NoSocket,
            _ => self.one(&[Target::Unspecified, Target::OtherFamily]),
        }
    }

    fn slices(&mut self) -> u16 {
        self.one(&[0, 1, 2, 2, 3, 3, 7, 1024, 1025])
    }

    fn descriptors(&mut self) -> u8 {
        self.one(&[0, 0, 1, 1, 2, 3, 125, 126, MOST_DESCRIPTORS])
    }

    fn whole(&mut self) -> Whole {
        Whole {
            header: self.one(&[0, 0, 1, 100, 5000]),
            offset: self.offset(),
            trailer: self.one(&[0, 0, 1, 100, 5000]),
            descriptors: if self.chance(25) { self.descriptors() } else { 0 },
            copied: self.chance(40),
            own_position: self.chance(30),
        }
    }

    fn offset(&mut self) -> u32 {
        let end = FILE_BYTES as u32;
        self.one(&[0, 0, 1, 4095, 4096, 50_000, end - 1, end, end + 1])
    }

    fn send(&mut self, place: usize) -> Step {
        let call = match self.below(20) {
            0..4 => Call::One,
            4 => Call::Vectored(self.slices()),
            5..7 => Call::All,
            7 => Call::AllVectored(self.slices()),
            8..10 => Call::To(self.target()),
            10..14 => Call::Message(self.target(), self.slices(), self.descriptors()),
            14 => Call::MessageAll(self.slices(), self.descriptors()),
            15 => return self.many(place),
            16 => return self.segments(place),
            17 => Call::Sendfile(self.offset(), self.chance(40)),
            18 => Call::Transfer(self.whole()),
            _ => Call::TransferAll(self.whole()),
        };
        let length = self.length();
        Step::Send(place, call, length, self.flags())
    }

    /// Most of these fill the buffers, so that the call waits.
    fn send_meanwhile(&mut self, place: usize) -> Step {
        let descriptors = self.one(&[0, 0, 1, 3]);
        let call = match self.below(9) {
            0 => Call::One,
            1 => Call::Vectored(self.one(&[1, 2, 7, 1024])),
            2 => Call::All,
            3 => Call::AllVectored(self.one(&[1, 2, 7, 1024, 1025])),
            4 => Call::Message(Target::Peer, self.one(&[1, 2, 7]), descriptors),
            5 => Call::MessageAll(self.one(&[1, 2, 7, 1025]), descriptors),
            6 => Call::Sendfile(self.offset(), self.chance(40)),
            7 => Call::Transfer(self.whole()),
            _ => Call::TransferAll(self.whole()),
        };
        let length = self.one(&[0, 1, 1000, 65_536, 100_000, 300_000, 300_000]);
        let reads = self.one(&[0, 1, 1000, 50_000, 200_000]);
        let meanwhile = match self.below(10) {
            0..7 => Meanwhile::Reads,
            7..9 => Meanwhile::Closes(reads),
            _ => Meanwhile::Resets(reads),
        };
        let waiting = self.one(&[Waiting::InTheCall, Waiting::WithSignals, Waiting::ByPoll]);
        Step::SendMeanwhile(place, call, length, meanwhile, waiting)
    }

    fn many(&mut self, place: usize) -> Step {
        let call = Call::Datagrams(self.target(), self.one(&[0, 1, 2, 5, 64, 65, 130]));
        Step::Send(place, call, self.one(&[0, 1, 10, 100, 1000, 9216, 65_508]), self.flags())
    }

    fn segments(&mut self, place: usize) -> Step {
        let size = self.one(&[0, 1, 7, 100, 512, 1400, 9000]);
        let call = Call::Segments(self.target(), size);
        Step::Send(place, call, self.length().min(u32::from(size) * 150), self.flags())
    }

    fn length(&mut self) -> u32 {
        match self.below(10) {
            0..6 => self.one(&[0, 1, 1, 2, 10, 100, 255, 512]),
            6..8 => self.one(&[1024, 4095, 4096, 8192, 9216, 9217]),
            _ => self.one(&[16_384, 65_507, 65_508, 65_536, 100_000, 300_000]),
        }
    }

    fn flags(&mut self) -> Flags {
        let flags = if self.chance(85) { self.one(&[0, 4]) } else { self.below(1 << 7) };
        Flags(flags)
    }

    fn receive(&mut self, place: usize) -> Step {
        let taking = match self.below(10) {
            0..5 => Taking::WithDescriptors,
            5 => Taking::OneDescriptor,
            6..8 => Taking::WithoutDescriptors,
            _ => Taking::Many(self.one(&[1, 2, 5, 64, 65])),
        };
        let room = self.one(&[0, 1, 2, 100, 1000, 1000, 100_000, 100_000, 400_000]);
        let flags = if self.chance(80) { 0 } else { self.below(1 << 4) };
        Step::Receive(place, taking, room, Flags(flags))
    }
}

impl Iterator for Programs {
    type Item = Vec<Step>;

    fn next(&mut self) -> Option<Vec<Step>> {
        Some(self.program())
    }
}
