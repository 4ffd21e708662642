//! The sender of a pair: it makes the sockets of each session, and sends by every call.

use std::fs::File;
use std::io::{IoSlice, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::socket::{setsockopt, sockopt};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use unisend::{
    Datagram, Error, ErrorKind, Message, Offset, SegmentOffload, Segments, SendAllError, SendFlags,
    SigpipeGuard, SocketRef, Transfer, sendfile,
};

use super::account::{Accepted, Passed};
use super::channel::is_ready;
use super::objects::{MOST, Objects};
use super::pattern::{HEADER, Header, Pattern, offset};
use crate::case::Stop;
use crate::explore::Kind;
use crate::scene;

/// A send waits this long for room, in milliseconds.
const SEND_TIMEOUT: i64 = 20;

/// A session in which nothing was accepted for this long is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// The most calls and the most records of a session.
const CALLS: u32 = 3000;
pub(super) const RECORDS: u32 = 60_000;

/// The most bytes of a call on a stream.
const LONGEST_CALL: usize = 60_000;

/// The most datagrams of a batch, and the most bytes of one.
const BATCH: usize = 70;
pub(super) const LONGEST_RECORD: usize = 4000;

/// Returns the most bytes of a record that both kernels take from a small buffer.
fn longest(kind: Kind) -> usize {
    match kind {
        Kind::UnixDatagram => 2000,
        _ => LONGEST_RECORD,
    }
}

/// Gives a new pair of sockets small buffers, and a limit to the time of a send.
pub(super) fn limit(kind: Kind, ours: &OwnedFd, theirs: &OwnedFd) -> Result<(), Stop> {
    // A segment of loopback is long, and TCP is slow in a buffer that does not hold one.
    let bytes = if kind == Kind::Tcp { 65_536 } else { 16_384 };
    setsockopt(ours, sockopt::SndBuf, &bytes)?;
    setsockopt(theirs, sockopt::RcvBuf, &bytes)?;
    scene::set_send_timeout(ours, SEND_TIMEOUT)
}

/// What a sender has for all sessions.
pub(super) struct Stock {
    pub(super) pattern: Pattern,
    pub(super) objects: Objects,
    /// A file of the pattern, with a position that no other process uses.
    pub(super) file: File,
    batch: Vec<u8>,
    copy: Vec<u8>,
}

impl Stock {
    pub(super) fn new(pattern: Pattern, objects: Objects, file: File) -> Self {
        Self { pattern, objects, file, batch: vec![0; BATCH * LONGEST_RECORD], copy: vec![0; 5000] }
    }
}

/// How a call ended.
struct Called {
    /// Bytes, or datagrams.
    count: usize,
    error: Option<Error>,
    /// The bytes that the call was given.
    asked: usize,
    /// The call goes on after a signal.
    is_loop: bool,
    descriptors: u32,
}

impl Called {
    fn once(outcome: Result<usize, Error>, asked: usize) -> Self {
        let (count, error) = outcome.map_or_else(|error| (0, Some(error)), |count| (count, None));
        Self { count, error, asked, is_loop: false, descriptors: 0 }
    }

    fn all(outcome: Result<(), SendAllError>, all: usize, asked: usize) -> Self {
        let (count, error) =
            outcome.map_or_else(|stopped| (stopped.accepted(), Some(stopped.error())), |()| (all, None));
        Self { count, error, asked, is_loop: true, descriptors: 0 }
    }

    fn with(self, descriptors: u32) -> Self {
        Self { descriptors, ..self }
    }
}

/// A session in which this process sends.
pub(super) struct Sending<'a> {
    stock: &'a mut Stock,
    kind: Kind,
    session: u64,
    fd: &'a OwnedFd,
    random: ChaCha8Rng,
    offload: SegmentOffload,
    accepted: Accepted,
    sequence: u32,
    first: u32,
    last_progress: Instant,
}

impl<'a> Sending<'a> {
    pub(super) fn new(stock: &'a mut Stock, kind: Kind, session: u64, fd: &'a OwnedFd) -> Self {
        Self {
            stock,
            kind,
            session,
            fd,
            random: ChaCha8Rng::seed_from_u64(session),
            offload: SegmentOffload::new(),
            accepted: Accepted::default(),
            sequence: 0,
            first: 0,
            last_progress: Instant::now(),
        }
    }

    /// Sends until this time at most, and returns what was accepted.
    pub(super) fn run(mut self, until: Instant) -> Result<Accepted, String> {
        let _guard = self.random.random_ratio(1, 4).then(SigpipeGuard::new);
        if self.random.random_ratio(1, 4) {
            scene::set_nonblocking(self.fd, true).map_err(|stop| format!("{stop:?}"))?;
        }
        let until = until.min(Instant::now() + Duration::from_millis(self.random.random_range(1..300)));
        for _ in 0..CALLS {
            let is_full = self.sequence + BATCH as u32 > RECORDS;
            if self.accepted.gone || is_full || Instant::now() >= until {
                break;
            }
            let called = if self.kind.is_stream() { self.send_stream()? } else { self.send_records() };
            self.note(&called)?;
        }
        if self.kind == Kind::Tcp && self.random.random_ratio(1, 8) {
            reset_when_closed(self.fd)?;
            self.accepted.resets = true;
        }
        Ok(self.accepted)
    }

    fn note(&mut self, called: &Called) -> Result<(), String> {
        if called.count > 0 {
            self.last_progress = Instant::now();
        }
        let Some(error) = called.error else { return Ok(()) };
        match error.kind() {
            ErrorKind::Interrupted if !called.is_loop => {}
            ErrorKind::WouldBlock => {
                is_ready(self.fd, PollFlags::POLLOUT, 20);
            }
            // The user's processes have too many on their way (R10).
            ErrorKind::DescriptorsInFlight if called.descriptors > 0 => {
                std::thread::sleep(Duration::from_micros(200));
            }
            ErrorKind::NoBufferSpace if self.kind.is_udp() => {}
            _ if self.says_that_the_peer_is_gone(error) => {
                self.accepted.gone = true;
                self.accepted.unsure = if error.may_have_sent() { called.asked as u64 } else { 0 };
            }
            _ => return Err(format!("a send failed with {error:?} after {} bytes", self.accepted.bytes)),
        }
        if self.last_progress.elapsed() > STUCK {
            return Err(format!("nothing was accepted for {STUCK:?}: {error}"));
        }
        Ok(())
    }

    fn says_that_the_peer_is_gone(&self, error: Error) -> bool {
        error.peer_gone() || error.kind() == ErrorKind::Refused && self.kind.is_udp()
    }

    fn socket(&self) -> SocketRef<'a> {
        SocketRef::new(self.fd, self.kind.declared())
    }

    fn flags(&mut self) -> SendFlags {
        let mut flags = SendFlags::empty();
        flags.set(SendFlags::DONT_WAIT, self.random.random_ratio(1, 4));
        flags.set(SendFlags::MORE, self.kind == Kind::Tcp && self.random.random_ratio(1, 16));
        flags
    }

    /// Returns how many descriptors the next message has, and the first of them.
    fn descriptors(&mut self) -> (u32, u32) {
        let count = if self.kind.is_unix() { self.random.random_range(0..=MOST) } else { 0 };
        let first = self.first;
        self.first = self.stock.objects.after(first);
        (first, count)
    }

    fn send_stream(&mut self) -> Result<Called, String> {
        let bits = self.random.random_range(1..17);
        let length = self.random.random_range(1..1 << bits).min(LONGEST_CALL);
        let way = self.random.random_range(0..10);
        let flags = self.flags();
        let position = self.accepted.bytes;
        let (first, count) = match way {
            4..=6 => self.descriptors(),
            _ => (0, 0),
        };
        let socket = self.socket();
        let bytes = self.stock.pattern.at(position, length);
        let slices = self.random.random_range(1..40);
        let descriptors = self.stock.objects.from(first, count);
        let called = match way {
            0 => Called::once(socket.send(bytes, flags), length),
            1 => Called::all(socket.send_all(bytes, flags), length, length),
            2 => Called::once(socket.send_vectored(&cut(bytes, slices), flags), length),
            3 => {
                let mut slices = cut(bytes, slices);
                Called::all(socket.send_all_vectored(&mut &mut slices[..], flags), length, length)
            }
            4 => {
                let mut slices = cut(bytes, slices);
                let message = Message::new(&mut slices).with_descriptors(&descriptors);
                Called::once(message.send(&socket, flags), length)
            }
            5 => {
                let mut slices = cut(bytes, slices);
                let outcome =
                    Message::new(&mut slices).with_descriptors(&descriptors).send_all(&socket, flags);
                Called::all(outcome, length, length)
            }
            6 | 7 => {
                let all = self.random.random();
                let copies = self.random.random_ratio(1, 4);
                Self::transfer(self.stock, socket, position, length, (first, count), all, copies)?
            }
            _ => Self::sendfile(&self.stock.file, socket, position, length, way == 8)?,
        };
        let called = called.with(count);
        if called.count > length {
            return Err(format!("a call of {length} bytes says that {} were accepted", called.count));
        }
        self.accepted.bytes += called.count as u64;
        self.accepted.messages += u64::from(called.count > 0);
        self.accepted.files += u64::from(way >= 6 && called.count > 0);
        if called.count > 0 && count > 0 {
            self.accepted.descriptors += u64::from(count);
            self.accepted.passed.push(Passed { position, first, count });
        }
        Ok(called)
    }

    /// Sends a third of the bytes each as a header, from the file and as a trailer.
    fn transfer(
        stock: &mut Stock,
        socket: SocketRef<'_>,
        position: u64,
        length: usize,
        (first, count): (u32, u32),
        all: bool,
        copies: bool,
    ) -> Result<Called, String> {
        let header = length.div_ceil(3);
        let file = (length - header) / 2;
        let from = offset(position + header as u64) as u64;
        let part = |at: usize, length| IoSlice::new(stock.pattern.at(position + at as u64, length));
        let (head, tail) = ([part(0, header)], [part(header + file, length - header - file)]);
        let descriptors = stock.objects.from(first, count);
        let mut transfer = Transfer::new(&stock.file)
            .at(from)
            .count(file as u64)
            .with_header(&head)
            .with_trailer(&tail)
            .with_descriptors(&descriptors);
        if copies {
            transfer = transfer.by_copying(&mut stock.copy);
        }
        let error = match all {
            true => transfer.send_all(socket).err().map(|stopped| stopped.error()),
            false => transfer.send(socket).err(),
        };
        let sent = transfer.sent().total() as usize;
        if all && error.is_none() && sent != length {
            return Err(format!("a transfer of {length} bytes is whole after {sent}"));
        }
        Ok(Called { count: sent, error, asked: length, is_loop: all, descriptors: 0 })
    }

    fn sendfile(
        mut file: &File,
        socket: SocketRef<'_>,
        position: u64,
        length: usize,
        own_position: bool,
    ) -> Result<Called, String> {
        let from = offset(position) as u64;
        let mut at = from;
        file.seek(SeekFrom::Start(from)).map_err(|error| error.to_string())?;
        let way = if own_position { Offset::Position } else { Offset::At(&mut at) };
        let outcome = sendfile(socket, file, way, length as u64);
        let moved = file.stream_position().map_err(|error| error.to_string())? - from + at - from;
        let sent = outcome.as_ref().map_or(0, |&sent| sent);
        if moved != sent && !outcome.is_err_and(|error| error.may_have_sent()) {
            return Err(format!("sendfile accepted {sent} bytes and moved the position by {moved} (X1, X2)"));
        }
        Ok(Called::once(outcome.map(|sent| sent as usize), length))
    }

    fn send_records(&mut self) -> Called {
        let flags = self.flags();
        match self.random.random_range(0..8) {
            0 if self.kind.is_datagram() => self.send_batch(flags),
            1 if self.kind.is_datagram() => self.send_segments(flags),
            way => self.send_record(way, flags),
        }
    }

    fn header(&self, at: u32, length: usize, (first, descriptors): (u32, u32)) -> Header {
        let (session, sequence) = (self.session, self.sequence + at);
        Header { session, sequence, length: length as u32, first, descriptors }
    }

    fn accept(&mut self, records: usize, bytes: usize, descriptors: u32) {
        self.sequence += records as u32;
        self.accepted.messages += records as u64;
        self.accepted.bytes += bytes as u64;
        self.accepted.descriptors += u64::from(descriptors);
    }

    fn send_record(&mut self, way: u32, flags: SendFlags) -> Called {
        let length = self.random.random_range(HEADER..=longest(self.kind));
        let (first, count) = if way >= 5 { self.descriptors() } else { (0, 0) };
        let header = self.header(0, length, (first, count));
        let slices = self.random.random_range(1..20);
        let socket = self.socket();
        let Stock { pattern, objects, batch, .. } = &mut *self.stock;
        let record = &mut batch[..length];
        pattern.write_record(&header, record);
        let mut slices = cut(record, slices);
        let descriptors = objects.from(first, count);
        let called = match way {
            0..=2 => Called::once(socket.send(record, flags), length),
            3 => Called::all(socket.send_all(record, flags), length, length),
            4 => Called::once(socket.send_vectored(&slices, flags), length),
            5 | 6 => {
                let message = Message::new(&mut slices).with_descriptors(&descriptors);
                Called::once(message.send(&socket, flags), length)
            }
            _ => {
                let outcome =
                    Message::new(&mut slices).with_descriptors(&descriptors).send_all(&socket, flags);
                Called::all(outcome, length, length)
            }
        };
        if called.error.is_none() {
            self.accept(1, called.count, count);
        }
        called.with(count)
    }

    fn send_batch(&mut self, flags: SendFlags) -> Called {
        let most = longest(self.kind);
        let count = self.random.random_range(2..=BATCH);
        let lengths: Vec<usize> = (0..count).map(|_| self.random.random_range(HEADER..=most)).collect();
        let headers: Vec<_> =
            lengths.iter().zip(0..).map(|(&length, at)| self.header(at, length, (0, 0))).collect();
        let socket = self.socket().as_datagram().expect("a socket of datagrams");
        let Stock { pattern, batch, .. } = &mut *self.stock;
        for (header, place) in headers.iter().zip(batch.chunks_mut(LONGEST_RECORD)) {
            pattern.write_record(header, &mut place[..header.length as usize]);
        }
        let places = batch.chunks(LONGEST_RECORD).zip(&lengths);
        let slices: Vec<_> = places.map(|(place, &length)| [IoSlice::new(&place[..length])]).collect();
        let datagrams: Vec<_> = slices.iter().map(|slices| Datagram::new(slices)).collect();
        let called = Called::all(socket.send_batch(&datagrams, flags), count, lengths.iter().sum());
        self.accept(called.count, lengths[..called.count].iter().sum(), 0);
        called
    }

    fn send_segments(&mut self, flags: SendFlags) -> Called {
        let size = self.random.random_range(HEADER..=longest(self.kind));
        let count = self.random.random_range(1..=BATCH);
        let headers: Vec<_> = (0..count as u32).map(|at| self.header(at, size, (0, 0))).collect();
        let socket = self.socket().as_datagram().expect("a socket of datagrams");
        let Stock { pattern, batch, .. } = &mut *self.stock;
        let bytes = &mut batch[..count * size];
        for (header, place) in headers.iter().zip(bytes.chunks_mut(size)) {
            pattern.write_record(header, place);
        }
        let outcome = Segments::new(bytes, size).send(&socket, &mut self.offload, flags);
        let called = Called::all(outcome, bytes.len(), count * size);
        self.accept(called.count / size, called.count, 0);
        called
    }
}

/// Makes a close send a reset.
pub(super) fn reset_when_closed(fd: &OwnedFd) -> Result<(), String> {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(fd, sockopt::Linger, &at_once).map_err(|errno| errno.to_string())
}

/// Cuts bytes into up to this many slices.
fn cut(bytes: &[u8], slices: usize) -> Vec<IoSlice<'_>> {
    bytes.chunks(bytes.len().div_ceil(slices)).map(IoSlice::new).collect()
}
