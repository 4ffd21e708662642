//! The receiver of a pair: it checks every byte and every descriptor.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use unisend::{ControlBuffer, DatagramBuffer, Error, ErrorKind, ReceiveFlags, Received, SocketRef};

use super::account::{Accepted, Fate, Got, Stretch};
use super::channel::{Channel, Told, is_ready};
use super::measure::count_descriptors;
use super::objects::Objects;
use super::pattern::{Header, Pattern};
use super::sender::{LONGEST_RECORD, RECORDS, reset_when_closed};
use crate::explore::Kind;

/// A session takes no longer after the last byte, before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// A datagram of UDP that has not come after this time is lost, in milliseconds.
const UDP_PATIENCE: u16 = 50;

/// The most bytes of a stream that are received at once.
const AT_ONCE: usize = 30_000;

/// The datagrams of a batch.
const BATCH: usize = 16;

/// What a receiver has for all sessions.
pub(super) struct Stock {
    pub(super) pattern: Pattern,
    pub(super) objects: Objects,
    pub(super) limit: i32,
    room: Vec<u8>,
    /// Which datagrams of UDP have come, a bit each.
    seen: Vec<u64>,
    control: Box<ControlBuffer>,
}

impl Stock {
    pub(super) fn new(pattern: Pattern, objects: Objects, limit: i32) -> Self {
        let room = vec![0; AT_ONCE.max(BATCH * LONGEST_RECORD)];
        let seen = vec![0; RECORDS as usize / 64 + 1];
        Self { pattern, objects, limit, room, seen, control: Box::default() }
    }
}

/// A session in which this process receives.
pub(super) struct Receiving<'a> {
    stock: &'a mut Stock,
    kind: Kind,
    session: u64,
    fd: OwnedFd,
    random: ChaCha8Rng,
    got: Got,
    next: u32,
    has_ended: bool,
    /// The error with which the connection ended.
    reset: Option<Error>,
    accepted: Option<Accepted>,
    is_slow: bool,
    leaves_after: u64,
}

impl<'a> Receiving<'a> {
    pub(super) fn new(stock: &'a mut Stock, kind: Kind, session: u64, fd: OwnedFd) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(!session);
        let leaves_after = match random.random_ratio(1, 4) {
            true => {
                let bits = random.random_range(1..24);
                random.random_range(0..1 << bits)
            }
            false => u64::MAX,
        };
        stock.seen.fill(0);
        let is_slow = random.random_ratio(1, 8);
        let (got, reset, accepted) = (Got::default(), None, None);
        Self {
            stock,
            kind,
            session,
            fd,
            random,
            got,
            next: 0,
            has_ended: false,
            reset,
            accepted,
            is_slow,
            leaves_after,
        }
    }

    /// Receives until the sender has ended, or leaves in the middle. Returns what was accepted and what came.
    pub(super) fn run(mut self, channel: &Channel) -> Result<(Accepted, Got), String> {
        let mut since = Instant::now();
        while !self.is_over(channel, since)? {
            if self.got.bytes >= self.leaves_after {
                self.leave()?;
                break;
            }
            if self.random.random_ratio(1, if self.is_slow { 8 } else { 2000 }) {
                std::thread::sleep(Duration::from_micros(self.random.random_range(0..2000)));
            }
            let before = self.got.bytes;
            self.receive()?;
            if self.got.bytes != before {
                since = Instant::now();
            }
        }
        let Self { fd, accepted, got, reset, .. } = self;
        drop(fd);
        let accepted = match accepted {
            Some(accepted) => accepted,
            None => hear_accepted(channel)?,
        };
        match reset {
            Some(error) if !accepted.resets => {
                Err(format!("a receive failed with {error:?}, and the sender was there"))
            }
            _ => Ok((accepted, got)),
        }
    }

    /// A connection ends by itself. With datagrams the sender says how many there are.
    fn is_over(&mut self, channel: &Channel, since: Instant) -> Result<bool, String> {
        if self.has_ended {
            return Ok(true);
        }
        if is_ready(&self.fd, PollFlags::POLLIN, 0) {
            return Ok(false);
        }
        if self.kind.is_datagram() {
            if self.accepted.is_none() && channel.has_news() {
                self.accepted = Some(hear_accepted(channel)?);
            }
            if let Some(accepted) = &self.accepted {
                let is_all = self.got.messages >= accepted.messages;
                return Ok(
                    is_all || self.kind.is_udp() && !is_ready(&self.fd, PollFlags::POLLIN, UDP_PATIENCE)
                );
            }
        }
        if channel.is_orphan() {
            return Err("the process that started this one is gone".to_owned());
        }
        if since.elapsed() > PATIENCE {
            let told = self.accepted.as_ref().map_or(0, |accepted| accepted.bytes);
            return Err(format!("after {} bytes none came for {PATIENCE:?} ({told} told)", self.got.bytes));
        }
        is_ready(&self.fd, PollFlags::POLLIN, 5);
        Ok(false)
    }

    fn leave(&mut self) -> Result<(), String> {
        if self.kind == Kind::Tcp && self.random.random() {
            reset_when_closed(&self.fd)?;
        }
        self.got.left = true;
        Ok(())
    }

    fn receive(&mut self) -> Result<(), String> {
        let way = self.random.random_range(0..8);
        match way {
            0 if self.kind.is_datagram() => self.receive_batch(),
            0 | 1 => self.receive_without_descriptors(),
            2 if self.kind == Kind::UnixStream && self.random.random_ratio(1, 16) => {
                self.receive_short_of_room()
            }
            _ => self.receive_all(false),
        }
    }

    fn room(&mut self) -> usize {
        match self.kind.is_stream() {
            true => self.random.random_range(1..AT_ONCE),
            false => LONGEST_RECORD,
        }
    }

    /// Allows this process so few descriptors that not all may come (R22).
    fn receive_short_of_room(&mut self) -> Result<(), String> {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| errno.to_string())?;
        let room = count_descriptors(self.stock.limit) + self.random.random_range(0..10);
        setrlimit(Resource::RLIMIT_NOFILE, room as _, most).map_err(|errno| errno.to_string())?;
        let received = self.receive_all(true);
        let limit = self.stock.limit;
        setrlimit(Resource::RLIMIT_NOFILE, limit as _, most).map_err(|errno| errno.to_string())?;
        received
    }

    fn receive_all(&mut self, is_short: bool) -> Result<(), String> {
        let room = self.room();
        let takes = self.random.random_ratio(3, 4);
        let socket = SocketRef::new(&self.fd, self.kind.declared());
        let Stock { objects, room: bytes, control, .. } = &mut *self.stock;
        let (one, other) = bytes[..room].split_at_mut(room / 2);
        let mut slices = [IoSliceMut::new(one), IoSliceMut::new(other)];
        let outcome = match socket.receive(&mut slices, control, ReceiveFlags::DONT_WAIT) {
            Ok(received) if received.is_end_of_file() => Ok(None),
            Ok(received) => {
                check_whole(&received)?;
                let (count, is_lost) = (received.bytes(), received.descriptors_lost());
                Ok(Some((count, is_lost, take(objects, received, takes)?)))
            }
            Err(error) => Err(error),
        };
        let (count, is_lost, came) = match outcome {
            Ok(Some(came)) => came,
            Ok(None) => return self.end(),
            Err(error) => return self.fail(error),
        };
        if is_lost && !is_short {
            return Err(format!("after {} bytes descriptors were lost, and there was room", self.got.bytes));
        }
        let fate = match (is_lost, came) {
            (true, _) => Some(Fate::Lost),
            (false, (_, 0)) => None,
            (false, (first, count)) => Some(Fate::Came { first, count }),
        };
        self.take_bytes(count, fate)
    }

    fn receive_without_descriptors(&mut self) -> Result<(), String> {
        let room = self.room();
        let socket = SocketRef::new(&self.fd, self.kind.declared());
        let mut slices = [IoSliceMut::new(&mut self.stock.room[..room])];
        let count = match socket.receive_without_descriptors(&mut slices, ReceiveFlags::DONT_WAIT) {
            Ok(received) if received.is_end_of_file() => return self.end(),
            Err(error) => return self.fail(error),
            Ok(received) => {
                check_whole(&received)?;
                received.bytes()
            }
        };
        self.take_bytes(count, Some(Fate::Unseen))
    }

    fn receive_batch(&mut self) -> Result<(), String> {
        let socket = SocketRef::new(&self.fd, self.kind.declared());
        let socket = socket.as_datagram().expect("a socket of datagrams");
        let mut room = std::mem::take(&mut self.stock.room);
        let mut buffers: Vec<_> =
            room.chunks_mut(LONGEST_RECORD).take(BATCH).map(DatagramBuffer::new).collect();
        let outcome = match socket.receive_batch(&mut buffers, ReceiveFlags::DONT_WAIT) {
            Ok(count) => buffers[..count].iter().try_for_each(|datagram| {
                if datagram.is_truncated() {
                    return Err("a datagram was truncated".to_owned());
                }
                self.take_record(datagram.bytes(), Some(Fate::Unseen))
            }),
            Err(error) => self.fail(error),
        };
        drop(buffers);
        self.stock.room = room;
        outcome
    }

    fn end(&mut self) -> Result<(), String> {
        self.has_ended = true;
        match self.kind.is_datagram() {
            false => Ok(()),
            true => Err("a socket of datagrams has an end of file".to_owned()),
        }
    }

    fn fail(&mut self, error: Error) -> Result<(), String> {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
            ErrorKind::Reset if self.kind == Kind::Tcp => {
                self.reset = Some(error);
                self.end()
            }
            _ => Err(format!("a receive failed with {error:?} after {} bytes", self.got.bytes)),
        }
    }

    /// Checks what came.
    fn take_bytes(&mut self, count: usize, fate: Option<Fate>) -> Result<(), String> {
        let room = std::mem::take(&mut self.stock.room);
        let outcome = match self.kind.is_stream() {
            true => self.take_stretch(&room[..count], fate),
            false => self.take_record(&room[..count], fate),
        };
        self.stock.room = room;
        outcome
    }

    fn take_stretch(&mut self, bytes: &[u8], fate: Option<Fate>) -> Result<(), String> {
        let from = self.got.bytes;
        self.stock.pattern.check(from, bytes)?;
        self.got.bytes += bytes.len() as u64;
        self.got.messages += 1;
        if let Some(fate) = fate.filter(|_| self.kind == Kind::UnixStream) {
            self.got.stretches.push(Stretch { from, to: self.got.bytes, fate });
        }
        Ok(())
    }

    fn take_record(&mut self, record: &[u8], fate: Option<Fate>) -> Result<(), String> {
        let header = self.stock.pattern.check_record(self.session, record)?;
        self.check_order(header.sequence)?;
        let Header { sequence, first, descriptors: count, .. } = header;
        let expected = if count == 0 { None } else { Some(Fate::Came { first, count }) };
        if fate != expected && fate != Some(Fate::Unseen) {
            return Err(format!("with record {sequence}: expected {expected:?}, came {fate:?}"));
        }
        self.got.descriptors += u64::from(count);
        self.got.messages += 1;
        self.got.bytes += record.len() as u64;
        Ok(())
    }

    /// UDP may lose datagrams, and a few may come late. Other records come one after another.
    fn check_order(&mut self, sequence: u32) -> Result<(), String> {
        if !self.kind.is_udp() && sequence != self.next {
            return Err(format!("expected record {}, came {sequence}", self.next));
        }
        let (word, bit) = (sequence as usize / 64, 1_u64 << (sequence % 64));
        let Some(word) = self.stock.seen.get_mut(word) else {
            return Err(format!("record {sequence} was never sent"));
        };
        if *word & bit != 0 {
            return Err(format!("record {sequence} came twice"));
        }
        *word |= bit;
        self.got.late += u64::from(sequence < self.next);
        self.next = self.next.max(sequence + 1);
        Ok(())
    }
}

fn check_whole(received: &Received<'_>) -> Result<(), String> {
    match received.is_truncated() {
        true => Err("a record was truncated".to_owned()),
        false => Ok(()),
    }
}

/// Takes what came, and checks it, or drops it untaken. Returns the first object and the number of descriptors.
fn take(objects: &Objects, mut received: Received<'_>, all: bool) -> Result<(u32, u32), String> {
    let count = received.descriptors().len() as u32;
    let Some(descriptor) = received.descriptors().next() else { return Ok((0, 0)) };
    let first = check_descriptor(objects, &descriptor)?;
    let mut expected = first;
    for descriptor in received.into_descriptors().take(if all { usize::MAX } else { 3 }) {
        expected = objects.after(expected);
        let number = check_descriptor(objects, &descriptor)?;
        if number != expected {
            return Err(format!("expected a descriptor of object {expected}, came one of {number}"));
        }
    }
    Ok((first, count))
}

fn check_descriptor(objects: &Objects, descriptor: &OwnedFd) -> Result<u32, String> {
    let flags =
        fcntl(descriptor, FcntlArg::F_GETFD).map_err(|errno| format!("a received descriptor: {errno}"))?;
    if !FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC) {
        return Err("a received descriptor is not close-on-exec (R27)".to_owned());
    }
    objects.number(descriptor.as_fd()).ok_or_else(|| "a descriptor came that was not sent".to_owned())
}

fn hear_accepted(channel: &Channel) -> Result<Accepted, String> {
    match channel.hear()? {
        (Told::Sent(accepted), _) => Ok(accepted),
        (told, _) => Err(format!("the sender told {told:?}")),
    }
}
