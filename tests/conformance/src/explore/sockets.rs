//! The sockets of a running program, and the steps on them through unisend.

use std::collections::HashMap;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockType, SockaddrStorage, UnixAddr, connect, getsockname, listen,
    recv, setsockopt, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use unisend::{
    Address, ControlBuffer, Datagram, DatagramBuffer, DatagramSocket, Error, ErrorKind, Message, Offset,
    Outcome, ReceiveFlags, Received, SegmentOffload, Segments, SendAllError, SendFlags, SigpipeGuard,
    SocketKind, SocketRef, Transfer,
};

use super::model::{Answer, Arrival, Model, System};
use super::payload::{self, FILES, Payload};
use super::peer::{self, Delivered, Peer};
use super::program::{Call, Flags, How, Kind, Meanwhile, PLACES, Step, Taking, Target, Waiting, Whole};
use crate::case::Stop;
use crate::raw;
use crate::scene;
use crate::trial::Destination;

/// How long a send waits for room, in milliseconds. No step waits longer, so that a program ends.
const SEND_TIMEOUT: i64 = 20;

/// How long a send waits whose peer reads, in milliseconds.
const LONG_SEND_TIMEOUT: i64 = 10_000;

/// How long something that must happen can take, in milliseconds.
const PATIENCE: u16 = 2000;

/// How long data can take, in milliseconds. TCP with a small window can wait for its timer to send more.
const ARRIVAL: u16 = 20_000;

/// How long a report of the network, which may be lost, can take, in milliseconds.
const REPORT: u16 = 100;

impl Kind {
    pub(crate) const fn declared(self) -> SocketKind {
        match self {
            Self::Tcp => SocketKind::Tcp,
            Self::UdpV4 => SocketKind::UdpV4,
            Self::UdpV6 => SocketKind::UdpV6,
            Self::UnixStream => SocketKind::UnixStream,
            Self::UnixDatagram => SocketKind::UnixDatagram,
            Self::UnixSeqpacket => SocketKind::UnixSeqpacket,
        }
    }

    const fn family(self) -> AddressFamily {
        match self {
            Self::Tcp | Self::UdpV4 => AddressFamily::Inet,
            Self::UdpV6 => AddressFamily::Inet6,
            _ => AddressFamily::Unix,
        }
    }

    const fn sock_type(self) -> SockType {
        match self {
            Self::Tcp | Self::UnixStream => SockType::Stream,
            Self::UnixSeqpacket => SockType::SeqPacket,
            _ => SockType::Datagram,
        }
    }
}

/// A socket in its place.
struct Placed {
    fd: OwnedFd,
    kind: Kind,
    address: Option<Address>,
}

/// The sockets and files of a program.
pub(crate) struct Sockets {
    directory: PathBuf,
    places: [Option<Placed>; PLACES],
    /// The addresses that sockets have had, with the numbers of the sockets.
    names: HashMap<Address, usize>,
    /// The files whose descriptors are sent.
    files: Vec<File>,
    data: File,
    guard: Option<SigpipeGuard>,
    made: usize,
    /// A loop that fails because the socket does not wait is made again when there is room.
    waits_by_poll: bool,
}

impl Sockets {
    /// Makes the files of a program in this directory.
    pub(crate) fn new(directory: &Path) -> Result<Self, Stop> {
        let create =
            |name: String| File::options().read(true).write(true).create_new(true).open(directory.join(name));
        let files = (0..FILES).map(|number| create(format!("file{number}"))).collect::<Result<_, _>>()?;
        let mut data = create("data".to_owned())?;
        data.write_all(&payload::file())?;
        let places = [const { None }; PLACES];
        Ok(Self {
            directory: directory.to_owned(),
            places,
            names: HashMap::new(),
            files,
            data,
            guard: None,
            made: 0,
            waits_by_poll: false,
        })
    }

    fn fd(&self, place: usize) -> BorrowedFd<'_> {
        self.placed(place).fd.as_fd()
    }

    fn placed(&self, place: usize) -> &Placed {
        self.places[place].as_ref().expect("the model has a socket here")
    }

    /// Makes a step that is not a call of unisend.
    pub(crate) fn set_up(&mut self, step: &Step) -> Result<(), Stop> {
        match *step {
            Step::Pair(kind, a, b) => self.pair(kind, a, b)?,
            Step::New(kind, place) => {
                let fd = new_socket(kind)?;
                self.put(place, kind, fd)?;
            }
            Step::Bind(place) => self.bind(place)?,
            Step::Listen(place) => listen(&self.fd(place), Backlog::new(5)?)?,
            Step::Connect(from, to, accepted) => self.connect(from, to, accepted)?,
            Step::ConnectToNobody(place, waits) => self.connect_to_nobody(place, waits)?,
            Step::Shutdown(place, how) => {
                let how = match how {
                    How::Receiving => std::net::Shutdown::Read,
                    How::Sending => std::net::Shutdown::Write,
                    How::Both => std::net::Shutdown::Both,
                };
                // Linux says ENOTCONN of a socket without a peer, and still shuts UDP down.
                let _ = scene::shutdown(&self.fd(place).as_raw_fd(), how);
            }
            Step::Close(place) => self.close(place),
            Step::Reset(place) => {
                reset_when_closed(&self.fd(place))?;
                self.close(place);
            }
            Step::SmallBuffers(place) => {
                // OpenBSD refuses a size that is too small for it.
                let _ = setsockopt(&self.fd(place), sockopt::SndBuf, &4096);
                let _ = setsockopt(&self.fd(place), sockopt::RcvBuf, &4096);
            }
            Step::Nonblocking(place, on) => scene::set_nonblocking(&self.fd(place), on)?,
            Step::Guard(on) => {
                self.guard = None;
                self.guard = on.then(SigpipeGuard::new);
            }
            Step::Probe(_) => {}
            Step::Credentials(_)
            | Step::Ask(_)
            | Step::Send(..)
            | Step::SendMeanwhile(..)
            | Step::Receive(..)
            | Step::Drain(_) => {
                unreachable!("these are calls of unisend")
            }
        }
        Ok(())
    }

    fn put(&mut self, place: usize, kind: Kind, fd: OwnedFd) -> Result<(), Stop> {
        setsockopt(&fd, sockopt::SendTimeout, &TimeVal::milliseconds(SEND_TIMEOUT))?;
        let address = if kind.is_udp() { Some(internet_address(&fd)?.into()) } else { None };
        self.places[place] = Some(Placed { fd, kind, address });
        Ok(())
    }

    fn pair(&mut self, kind: Kind, a: usize, b: usize) -> Result<(), Stop> {
        let (first, second) = new_pair(kind)?;
        self.places[a] = None;
        self.places[b] = None;
        self.put(a, kind, first)?;
        self.put(b, kind, second)
    }

    fn new_path(&mut self) -> PathBuf {
        self.made += 1;
        self.directory.join(format!("socket{}", self.made))
    }

    fn bind(&mut self, place: usize) -> Result<(), Stop> {
        if self.placed(place).kind == Kind::Tcp {
            return scene::bind_to_loopback(&self.fd(place));
        }
        let path = self.new_path();
        scene::bind_to_path(&self.fd(place), &path)?;
        let address = Address::unix(&path)?;
        if let Some(placed) = &mut self.places[place] {
            placed.address = Some(address);
        }
        Ok(())
    }

    fn connect(&mut self, from: usize, to: usize, accepted: usize) -> Result<(), Stop> {
        let Placed { fd: target, kind, address } = self.placed(to);
        let client = self.fd(from).as_raw_fd();
        match address {
            Some(address) if !kind.is_udp() => {
                let path = address.as_path().expect("a unix socket is bound to a path");
                connect(client, &UnixAddr::new(path)?)?;
            }
            _ => connect_to(&self.fd(from), internet_address(target)?)?,
        }
        if kind.is_datagram() {
            return Ok(());
        }
        let kind = *kind;
        // OpenBSD's listener can learn of a connection after its client, and may be one that does not wait.
        scene::wait_until(target, PollFlags::POLLIN)?;
        let server = raw::accept(target.as_fd())?;
        scene::set_nonblocking(&server, false)?;
        self.put(accepted, kind, server)
    }

    fn connect_to_nobody(&mut self, place: usize, waits: bool) -> Result<(), Stop> {
        let fd = self.fd(place);
        let nobody = scene::closed_tcp_port()?;
        if waits {
            scene::set_nonblocking(&fd, false)?;
            return match scene::connect_to(&fd, nobody) {
                Err(nix::Error::ECONNREFUSED) => Ok(()),
                outcome => Err(Stop::Broken(format!("connect to a closed port gave {outcome:?}"))),
            };
        }
        scene::set_nonblocking(&fd, true)?;
        // The refusal can come at once. It is then not pending any more.
        match scene::connect_to(&fd, nobody) {
            Err(nix::Error::EINPROGRESS) => scene::wait_until(&fd, PollFlags::POLLIN),
            outcome => scene::skip(format!("connect to a closed port gave {outcome:?} at once")),
        }
    }

    /// Records the names of the sockets, each with the number that the model has given to the socket.
    pub(crate) fn record_names(&mut self, model: &Model) {
        for place in 0..PLACES {
            let address = self.places[place].as_ref().and_then(|placed| placed.address);
            if let (Some(address), Some(number)) = (address, model.socket_in(place)) {
                self.names.insert(address, number);
            }
        }
    }

    /// Waits until the sockets in these places have learnt that their peer is gone. Returns those that were told nothing.
    pub(crate) fn settle(&self, places: &[usize]) -> Result<Vec<usize>, Stop> {
        let mut told_nothing = Vec::new();
        for &place in places {
            let placed = self.placed(place);
            let is_told = match placed.kind {
                Kind::UnixDatagram => true,
                kind if kind.is_udp() => has_report(&placed.fd)?,
                _ => scene::wait_for(&placed.fd, PollFlags::empty(), PATIENCE)?,
            };
            if !is_told {
                told_nothing.push(place);
            }
        }
        Ok(told_nothing)
    }

    /// Waits until the peers of a TCP socket that has just been closed or shut down have seen it.
    pub(crate) fn wait_for_the_end(&self, place: usize) -> Result<(), Stop> {
        #[cfg(target_os = "linux")]
        scene::wait_for(&self.fd(place), PollFlags::from_bits_retain(libc::POLLRDHUP), PATIENCE)?;
        #[cfg(not(target_os = "linux"))]
        wait_for_end_of_stream(self.fd(place))?;
        Ok(())
    }

    fn socket(&self, place: usize, is_probed: bool) -> Result<SocketRef<'_>, Error> {
        let Placed { fd, kind, .. } = self.placed(place);
        if is_probed { SocketRef::probe(fd) } else { Ok(SocketRef::new(fd, kind.declared())) }
    }

    /// Asks for the credentials of the peer, which are those of this process.
    pub(crate) fn credentials(&self, place: usize) -> Answer {
        match self.socket(place, false).and_then(|socket| socket.peer_credentials()) {
            Ok(credentials) => {
                assert_eq!(credentials.user, nix::unistd::geteuid().as_raw(), "C2: the user of this process");
                Answer::Done
            }
            Err(error) => Answer::Failed(error.kind()),
        }
    }

    /// Asks for what comes with a datagram. OpenBSD does not report the traffic class over IPv4.
    pub(crate) fn ask(&self, place: usize) -> Answer {
        let placed = self.placed(place);
        let socket = datagram(&SocketRef::new(&placed.fd, placed.kind.declared()));
        let class = match socket.receive_traffic_classes() {
            Err(error) if error.kind() == ErrorKind::Unsupported && placed.kind == Kind::UdpV4 => Ok(()),
            outcome => outcome,
        };
        match class.and_then(|()| socket.receive_destinations()).and_then(|()| socket.receive_hop_limits()) {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Failed(error.kind()),
        }
    }

    /// Makes a call again with what is left, when the socket has room, if this is how it waits.
    fn again<Count: Copy>(
        &self,
        socket: &SocketRef<'_>,
        mut call: impl FnMut() -> Result<(), SendAllError<Count>>,
    ) -> Result<(), SendAllError<Count>> {
        loop {
            match call() {
                Err(stopped) if self.waits_by_poll && stopped.would_block() => {
                    if !scene::wait_for(socket, PollFlags::POLLOUT, PATIENCE).unwrap_or(false) {
                        return Err(stopped);
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Makes a loop again with what is left, which it is told the beginning of, and counts what was accepted in all.
    fn send_rest(
        &self,
        socket: &SocketRef<'_>,
        total: usize,
        mut call: impl FnMut(usize) -> Result<(), SendAllError>,
    ) -> Answer {
        let mut accepted = 0;
        let outcome = self.again(socket, || {
            let outcome = call(accepted);
            accepted += outcome.as_ref().map_or_else(SendAllError::accepted, |()| total - accepted);
            outcome
        });
        Answer::Sent(accepted, outcome.err().map(|stopped| stopped.kind()))
    }

    fn set_position(&self, offset: u32) {
        let moved = (&self.data).seek(SeekFrom::Start(offset.into()));
        moved.expect("a file of this process can be read from anywhere");
    }

    fn position(&self) -> u64 {
        (&self.data).stream_position().expect("the file has a position")
    }

    /// Makes a step that sends.
    pub(crate) fn send(
        &self,
        place: usize,
        is_probed: bool,
        call: Call,
        payload: &Payload,
        length: u32,
        flags: Flags,
    ) -> Answer {
        let socket = match self.socket(place, is_probed) {
            Ok(socket) => socket,
            Err(error) => return Answer::Failed(error.kind()),
        };
        let flags = SendFlags::from_bits_retain(flags.0);
        let kind = self.placed(place).kind;
        let bytes = payload.messages.first().map_or(&[][..], |bytes| bytes);
        match call {
            Call::One => sent(socket.send(bytes, flags)),
            Call::Vectored(slices) => sent(socket.send_vectored(&cut(bytes, slices), flags)),
            Call::All => {
                self.send_rest(&socket, bytes.len(), |accepted| socket.send_all(&bytes[accepted..], flags))
            }
            Call::AllVectored(slices) => {
                let mut slices = cut(bytes, slices);
                let mut rest = &mut slices[..];
                self.send_rest(&socket, bytes.len(), |_| socket.send_all_vectored(&mut rest, flags))
            }
            Call::To(target) => match self.address(place, target) {
                Ok(address) => sent(datagram(&socket).send_to(bytes, &address, flags)),
                Err(error) => sent(Err(error)),
            },
            Call::Message(target, slices, descriptors) => {
                let mut slices = cut(bytes, slices);
                let descriptors = self.descriptors(payload, descriptors);
                let message = Message::new(&mut slices).with_descriptors(&descriptors);
                match target {
                    Target::Peer => sent(message.send(&socket, flags)),
                    target => match self.address(place, target) {
                        Ok(address) if matches!(target, Target::FromLoopback(_)) => {
                            let message = message.from_source(loopback(kind));
                            sent(message.send_to(&datagram(&socket), &address, flags))
                        }
                        Ok(address) => sent(message.send_to(&datagram(&socket), &address, flags)),
                        Err(error) => sent(Err(error)),
                    },
                }
            }
            Call::MessageAll(slices, descriptors) => {
                let mut slices = cut(bytes, slices);
                let descriptors = self.descriptors(payload, descriptors);
                let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
                self.send_rest(&socket, bytes.len(), |_| message.send_all(&socket, flags))
            }
            Call::Datagrams(target, _) => self.send_batch(place, &datagram(&socket), target, payload, flags),
            Call::Segments(target, size) => {
                self.send_segments(place, &datagram(&socket), target, size, payload, flags)
            }
            Call::Sendfile(offset, own_position) => {
                let mut moved = u64::from(offset);
                let outcome = if own_position {
                    self.set_position(offset);
                    let outcome = unisend::sendfile(socket, &self.data, Offset::Position, length.into());
                    moved = self.position();
                    outcome
                } else {
                    unisend::sendfile(socket, &self.data, Offset::At(&mut moved), length.into())
                };
                let accepted = usize::try_from(moved - u64::from(offset)).expect("a part of the file");
                assert_eq!(
                    outcome.map_or(0, |count| count as usize),
                    accepted,
                    "X2: the offset moves by the count"
                );
                Answer::Sent(accepted, outcome.err().map(|error| error.kind()))
            }
            Call::Transfer(whole) => self.transfer(&socket, whole, payload, length, false),
            Call::TransferAll(whole) => self.transfer(&socket, whole, payload, length, true),
        }
    }

    /// Makes a step that sends while the peer reads in a process of its own. Returns the answer, and what the peer read.
    pub(crate) fn send_meanwhile(
        &mut self,
        model: &Model,
        step: &Step,
        payload: &Payload,
    ) -> Result<(Answer, Delivered), Stop> {
        let Step::SendMeanwhile(place, call, length, meanwhile, waiting) = *step else {
            unreachable!("no other step has a peer that reads meanwhile")
        };
        let peer = model.peer_place(place).expect("the model knows its place");
        scene::set_nonblocking(&self.fd(place), waiting == Waiting::ByPoll)?;
        scene::set_send_timeout(&self.fd(place), LONG_SEND_TIMEOUT)?;
        let reader = self.start_peer(peer, meanwhile)?;
        if meanwhile != Meanwhile::Reads {
            self.close(peer);
        }
        let signals = (waiting == Waiting::WithSignals).then(interrupt).transpose()?;
        self.waits_by_poll = waiting == Waiting::ByPoll;
        let answer = self.send(place, model.is_probed(place), call, payload, length, Flags(0));
        self.waits_by_poll = false;
        signals.map_or(Ok(()), scene::Signals::stop)?;
        let Answer::Sent(accepted, _) = answer else { unreachable!("a send says how much was accepted") };
        let delivered = reader.finish(model.queued(peer) + accepted)?;
        scene::set_send_timeout(&self.fd(place), SEND_TIMEOUT)?;
        Ok((answer, delivered))
    }

    fn start_peer(&mut self, peer: usize, meanwhile: Meanwhile) -> Result<Peer, Stop> {
        let placed = self.placed(peer);
        let kind = placed.kind.declared();
        let until = match meanwhile {
            Meanwhile::Reads => usize::MAX,
            Meanwhile::Closes(bytes) => bytes as usize,
            Meanwhile::Resets(bytes) => {
                reset_when_closed(&placed.fd)?;
                bytes as usize
            }
        };
        let fd = placed.fd.try_clone()?;
        peer::start(fd, kind, until, || self.places = [const { None }; PLACES])
    }

    /// Closes the socket in this place.
    pub(crate) fn close(&mut self, place: usize) {
        self.places[place] = None;
    }

    /// Makes a step by raw libc, without SIGPIPE. Returns `None` if that has no such call.
    pub(crate) fn send_raw(
        &self,
        place: usize,
        call: Call,
        payload: &Payload,
        flags: Flags,
    ) -> Option<nix::Result<usize>> {
        let fd = self.fd(place);
        let bytes = payload.messages.first().map_or(&[][..], |bytes| bytes);
        let number = raw::flag_numbers(SendFlags::from_bits_retain(flags.0)) | libc::MSG_NOSIGNAL;
        match call {
            Call::One => Some(raw::send(fd, bytes, number)),
            Call::To(target) if flags.0 == 0 => {
                let address = self.address(place, target).ok()?;
                let to = match (address.as_socket_addr(), address.as_path()) {
                    (Some(address), _) => Destination::Internet(address),
                    (None, path) => Destination::Path(path?),
                };
                Some(raw::send_to(fd, bytes, to))
            }
            _ => None,
        }
    }

    fn send_batch(
        &self,
        place: usize,
        socket: &SocketRef<'_, DatagramSocket>,
        target: Target,
        payload: &Payload,
        flags: SendFlags,
    ) -> Answer {
        let address = match self.address_of(place, target) {
            Ok(address) => address,
            Err(error) => return sent(Err(error)),
        };
        let (kind, has_source) = (self.placed(place).kind, matches!(target, Target::FromLoopback(_)));
        let slices: Vec<_> = payload.messages.iter().map(|message| [IoSlice::new(message)]).collect();
        let batch: Vec<_> = slices
            .iter()
            .map(|slices| match &address {
                Some(address) if has_source => Datagram::new(slices).to(address).from_source(loopback(kind)),
                Some(address) => Datagram::new(slices).to(address),
                None => Datagram::new(slices),
            })
            .collect();
        sent_all(socket.send_batch(&batch, flags), batch.len())
    }

    fn send_segments(
        &self,
        place: usize,
        socket: &SocketRef<'_, DatagramSocket>,
        target: Target,
        size: u16,
        payload: &Payload,
        flags: SendFlags,
    ) -> Answer {
        let address = match self.address_of(place, target) {
            Ok(address) => address,
            Err(error) => return sent(Err(error)),
        };
        let (kind, has_source) = (self.placed(place).kind, matches!(target, Target::FromLoopback(_)));
        let bytes = payload.messages.concat();
        let segments = Segments::new(&bytes, size.into());
        let segments = match &address {
            Some(address) if has_source => segments.to(address).from_source(loopback(kind)),
            Some(address) => segments.to(address),
            None => segments,
        };
        sent_all(segments.send(socket, &mut SegmentOffload::new(), flags), bytes.len())
    }

    fn transfer(
        &self,
        socket: &SocketRef<'_>,
        whole: Whole,
        payload: &Payload,
        length: u32,
        all: bool,
    ) -> Answer {
        let [header, _, _] = &payload.messages[..] else { unreachable!("a transfer has three parts") };
        let header = [IoSlice::new(header)];
        // The trailer is given even if the file ends before its count, so that T5 is tried.
        let trailer = payload.trailer(whole.trailer);
        let trailer = [IoSlice::new(&trailer)];
        let descriptors = self.descriptors(payload, whole.descriptors);
        let mut buffer = [0; 10_000];
        self.set_position(whole.offset);
        let transfer = match whole.own_position {
            true => Transfer::new(&self.data),
            false => Transfer::new(&self.data).at(whole.offset.into()),
        };
        let transfer = transfer.count(length.into()).with_header(&header).with_trailer(&trailer);
        let mut transfer = match descriptors.is_empty() {
            true => transfer,
            false => transfer.with_descriptors(&descriptors),
        };
        if whole.copied {
            transfer = transfer.by_copying(&mut buffer);
        }
        let outcome = match all {
            true => {
                self.again(socket, || transfer.send_all(*socket).map(drop)).map_err(|stopped| stopped.error())
            }
            false => transfer.send(*socket).map(drop),
        };
        let accepted = usize::try_from(transfer.sent().total()).expect("what memory holds");
        let moved = if whole.own_position { transfer.sent().file } else { 0 };
        assert_eq!(self.position(), u64::from(whole.offset) + moved, "X1, X2: the file's own position");
        if all && outcome.is_ok() {
            let missing = u64::from(length) - payload.messages[1].len() as u64;
            let expected = if missing == 0 { Outcome::Whole } else { Outcome::FileEnded { missing } };
            assert_eq!(transfer.outcome(), Some(expected), "T5");
        }
        Answer::Sent(accepted, outcome.err().map(|error| error.kind()))
    }

    fn descriptors(&self, payload: &Payload, count: u8) -> Vec<BorrowedFd<'_>> {
        let files = payload.descriptor_files();
        files.iter().take(count.into()).map(|&file| self.files[usize::from(file)].as_fd()).collect()
    }

    fn address_of(&self, place: usize, target: Target) -> Result<Option<Address>, Error> {
        match target {
            Target::Peer => Ok(None),
            target => self.address(place, target).map(Some),
        }
    }

    fn address(&self, place: usize, target: Target) -> Result<Address, Error> {
        let kind = self.placed(place).kind;
        let local = |port| SocketAddr::from((loopback(kind), port));
        match (target, kind) {
            (Target::Peer, _) => unreachable!("the peer needs no address"),
            (Target::Place(other) | Target::FromLoopback(other), _) => {
                Ok(self.placed(other).address.expect("the model knows that it is bound"))
            }
            (Target::OtherFamily, Kind::UdpV4) => Ok(SocketAddr::from((Ipv6Addr::LOCALHOST, 9)).into()),
            (Target::OtherFamily, _) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)).into()),
            (Target::Unspecified, Kind::UdpV6) => Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 9)).into()),
            (Target::Unspecified, _) => Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9)).into()),
            (Target::NoSocket, kind) if kind.is_udp() => Ok(local(0).into()),
            (Target::Nobody, kind) if kind.is_udp() => Ok(local(closed_port(kind)).into()),
            (Target::NoSocket, _) => Address::unix(self.directory.join("data")),
            (Target::Nobody, _) => Address::unix(self.directory.join("missing")),
        }
    }

    /// Makes a step that receives, without waiting. If something is on its way, waits for it first.
    pub(crate) fn receive(
        &self,
        place: usize,
        taking: Taking,
        room: usize,
        flags: Flags,
        will_arrive: bool,
    ) -> Result<Answer, Stop> {
        let Placed { fd, kind, .. } = self.placed(place);
        if will_arrive {
            let _ = scene::wait_for(fd, PollFlags::POLLIN, ARRIVAL)?;
        }
        let socket = SocketRef::new(fd, kind.declared());
        let flags = ReceiveFlags::from_bits_retain(flags.0) | ReceiveFlags::DONT_WAIT;
        if let Taking::Many(buffers) = taking {
            return Ok(self.receive_batch(&datagram(&socket), buffers, room, flags));
        }
        let mut bytes = vec![0; room];
        let mut control = ControlBuffer::new();
        let (first, second) = bytes.split_at_mut(room / 2);
        let mut slices = [IoSliceMut::new(first), IoSliceMut::new(second)];
        let received = match taking {
            Taking::WithoutDescriptors => socket.receive_without_descriptors(&mut slices, flags),
            _ => socket.receive(&mut slices, &mut control, flags),
        };
        let received = match received {
            Ok(received) => received,
            Err(error) => return Ok(Answer::Failed(error.kind())),
        };
        let count = received.bytes();
        let arrival = self.arrival(received, taking.most_descriptors().unwrap_or(usize::MAX))?;
        bytes.truncate(count);
        Ok(Answer::Received(vec![Arrival { bytes, ..arrival }]))
    }

    /// Returns what came beside the bytes, and takes this many descriptors.
    fn arrival(&self, received: Received<'_>, most: usize) -> Result<Arrival, Stop> {
        let (lost, truncated, end) =
            (received.descriptors_lost(), received.is_truncated(), received.is_end_of_file());
        let sender = received.sender();
        let said = said(received.destination(), received.traffic_class(), received.hop_limit());
        let mut descriptors = Vec::new();
        for descriptor in received.into_descriptors().take(most) {
            let flags = FdFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GETFD)?);
            assert!(flags.contains(FdFlag::FD_CLOEXEC), "R27: close-on-exec from the start");
            descriptors.push(self.number_of(&File::from(descriptor))?);
        }
        let sender = sender.map(|sender| self.number_of_sender(&sender));
        Ok(Arrival { bytes: Vec::new(), descriptors, lost, truncated, end, sender, said })
    }

    fn number_of(&self, file: &File) -> Result<u8, Stop> {
        let inode = file.metadata()?.ino();
        for (number, known) in self.files.iter().enumerate() {
            if known.metadata()?.ino() == inode {
                return Ok(number as u8);
            }
        }
        Err(Stop::Broken("a descriptor arrived that was not sent".to_owned()))
    }

    /// A sender that no socket has the name of has a number that the model does not know.
    fn number_of_sender(&self, sender: &Address) -> usize {
        self.names.get(sender).copied().unwrap_or(usize::MAX)
    }

    fn receive_batch(
        &self,
        socket: &SocketRef<'_, DatagramSocket>,
        buffers: u8,
        room: usize,
        flags: ReceiveFlags,
    ) -> Answer {
        let mut bytes = vec![0; room.max(1) * usize::from(buffers)];
        let mut buffers: Vec<_> =
            bytes.chunks_mut(room.max(1)).map(|chunk| DatagramBuffer::new(&mut chunk[..room])).collect();
        match socket.receive_batch(&mut buffers, flags) {
            Ok(count) => {
                Answer::Received(buffers[..count].iter().map(|datagram| self.datagram(datagram)).collect())
            }
            Err(error) => Answer::Failed(error.kind()),
        }
    }

    fn datagram(&self, datagram: &DatagramBuffer<'_>) -> Arrival {
        Arrival {
            bytes: datagram.bytes().to_vec(),
            descriptors: Vec::new(),
            lost: datagram.descriptors_lost(),
            truncated: datagram.is_truncated(),
            end: false,
            sender: datagram.sender().map(|sender| self.number_of_sender(&sender)),
            said: said(datagram.destination(), datagram.traffic_class(), datagram.hop_limit()),
        }
    }
}

/// Returns what came with a datagram, as the model knows it.
fn said(
    destination: Option<unisend::Destination>,
    class: Option<u8>,
    hop_limit: Option<u8>,
) -> (bool, Option<u8>, bool) {
    let is_loopback = destination.is_some_and(|destination| destination.address.is_loopback());
    (is_loopback, class, hop_limit.is_some_and(|limit| limit > 0))
}

/// Returns whether the network reports soon that a datagram was refused.
fn has_report(fd: &OwnedFd) -> Result<bool, Stop> {
    if System::HERE == System::Linux {
        return scene::wait_for(fd, PollFlags::empty(), REPORT);
    }
    // OpenBSD's poll(2) does not tell an error from data. A peek does, unless there is data, and leaves the error.
    scene::wait_for(fd, PollFlags::POLLIN, REPORT)?;
    let peeked = recv(fd.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
    Ok(peeked == Err(nix::Error::ECONNREFUSED))
}

/// Waits until kqueue(2) reports the end of a stream. poll(2) does not tell it from data.
#[cfg(not(target_os = "linux"))]
fn wait_for_end_of_stream(fd: BorrowedFd<'_>) -> Result<(), Stop> {
    use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
    let number = usize::try_from(fd.as_raw_fd()).expect("a descriptor that is open");
    let (ask, none) = (EvFlags::EV_ADD | EvFlags::EV_CLEAR, FilterFlag::empty());
    let changes = [KEvent::new(number, EventFilter::EVFILT_READ, ask, none, 0, 0)];
    let mut came = changes;
    let queue = Kqueue::new()?;
    let since = std::time::Instant::now();
    let patience = std::time::Duration::from_millis(PATIENCE.into());
    let mut changes = &changes[..];
    while let Some(left) = patience.checked_sub(since.elapsed()) {
        let left = libc::timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
        let count = queue.kevent(changes, &mut came, Some(left))?;
        if count == 0 || came[0].flags().contains(EvFlags::EV_EOF) {
            break;
        }
        changes = &[];
    }
    Ok(())
}

/// Connects to an internet address. The socket may be one that does not wait.
fn connect_to(socket: &BorrowedFd<'_>, address: SocketAddr) -> Result<(), Stop> {
    let address = SockaddrStorage::from(address);
    match connect(socket.as_raw_fd(), &address) {
        Err(nix::Error::EINPROGRESS) => scene::wait_until(socket, PollFlags::POLLOUT),
        // OpenBSD's UDP socket is connected, and returns what the network reported before.
        Err(nix::Error::ECONNREFUSED) => Ok(connect(socket.as_raw_fd(), &address)?),
        outcome => Ok(outcome?),
    }
}

fn reset_when_closed(fd: &impl AsFd) -> Result<(), Stop> {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    Ok(setsockopt(fd, sockopt::Linger, &at_once)?)
}

/// Sends signals to this thread, which interrupt its calls.
fn interrupt() -> Result<scene::Signals, Stop> {
    scene::catch_signal(false)?;
    scene::Signals::each(1)
}

fn datagram<'fd>(socket: &SocketRef<'fd>) -> SocketRef<'fd, DatagramSocket> {
    socket.as_datagram().expect("the model calls this on datagram sockets alone")
}

fn sent(outcome: Result<usize, Error>) -> Answer {
    match outcome {
        Ok(count) => Answer::Sent(count, None),
        Err(error) => Answer::Sent(0, Some(error.kind())),
    }
}

fn sent_all(outcome: Result<(), SendAllError>, all: usize) -> Answer {
    match outcome {
        Ok(()) => Answer::Sent(all, None),
        Err(stopped) => Answer::Sent(stopped.accepted(), Some(stopped.kind())),
    }
}

/// Cuts bytes into this many slices. The last ones are empty, if there are more slices than bytes.
fn cut(bytes: &[u8], slices: u16) -> Vec<IoSlice<'_>> {
    let size = bytes.len().div_ceil(usize::from(slices).max(1)).max(1);
    let mut cut: Vec<_> = bytes.chunks(size).map(IoSlice::new).collect();
    cut.resize(slices.into(), IoSlice::new(&[]));
    cut
}

fn new_socket(kind: Kind) -> Result<OwnedFd, Stop> {
    match kind {
        Kind::UdpV4 => Ok(UdpSocket::bind(scene::loopback()?)?.into()),
        Kind::UdpV6 => Ok(scene::udp_v6()?.into()),
        kind => scene::new_socket(kind.family(), kind.sock_type()),
    }
}

/// Returns two sockets that are connected to each other.
pub(crate) fn new_pair(kind: Kind) -> Result<(OwnedFd, OwnedFd), Stop> {
    match kind {
        Kind::Tcp => tcp_pair(),
        Kind::UdpV4 | Kind::UdpV6 => udp_pair(kind),
        _ => scene::unix_pair(kind.sock_type()),
    }
}

/// Returns two connected sockets. No call waits in the kernel, because OpenBSD's connect(2) and accept(2) can miss that
/// a connection was made.
fn tcp_pair() -> Result<(OwnedFd, OwnedFd), Stop> {
    let [client, listener] = [new_socket(Kind::Tcp)?, new_socket(Kind::Tcp)?];
    scene::bind_to_loopback(&listener)?;
    listen(&listener, Backlog::new(1)?)?;
    scene::set_nonblocking(&client, true)?;
    connect_to(&client.as_fd(), internet_address(&listener)?)?;
    scene::wait_until(&listener, PollFlags::POLLIN)?;
    let server = raw::accept(listener.as_fd())?;
    for end in [&client, &server] {
        scene::set_nonblocking(end, false)?;
    }
    Ok((client, server))
}

fn udp_pair(kind: Kind) -> Result<(OwnedFd, OwnedFd), Stop> {
    let [a, b] = [new_socket(kind)?, new_socket(kind)?];
    for (from, to) in [(&a, &b), (&b, &a)] {
        connect(from.as_raw_fd(), &SockaddrStorage::from(internet_address(to)?))?;
    }
    Ok((a, b))
}

fn internet_address(socket: &impl AsRawFd) -> Result<SocketAddr, Stop> {
    let name: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let v4 = name.as_sockaddr_in().map(|name| SocketAddr::V4((*name).into()));
    v4.or_else(|| name.as_sockaddr_in6().map(|name| SocketAddr::V6((*name).into())))
        .ok_or_else(|| Stop::Broken("a socket without an internet address".to_owned()))
}

const fn loopback(kind: Kind) -> IpAddr {
    match kind {
        Kind::UdpV6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// Returns a UDP port that was open a moment ago.
fn closed_port(kind: Kind) -> u16 {
    let bound = UdpSocket::bind((loopback(kind), 0)).and_then(|socket| socket.local_addr());
    bound.map_or(9, |address| address.port())
}
