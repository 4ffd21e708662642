//! The calls of the library, with the system calls that each makes.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::PollFlags;

use nix::sys::socket::{MsgFlags, send};
use unisend::SocketKind::{self, *};
use unisend::{
    Address, ControlBuffer, Cork, Datagram, DatagramBuffer, DatagramSocket, Message, Offset, Output,
    ReceiveFlags, SegmentOffload, Segments, SigpipeGuard, SocketRef, Transfer, UnixSeqpacketListener,
    sendfile,
};

use super::stage::{Stage, Told};
use super::supervisor::{Fault, Planned};
use crate::sockets::channel::{Channel, TCP, To, UNIX, file_with};
use crate::sockets::{Call, NO_FLAGS, PATIENCE, Pair, declared, pattern, received};

/// What a failure of a system call means for the call of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It sends or receives: the error is that of the socket, or of the output.
    Socket,
    /// It asks about the input of a transfer, or reads it: the error is that of a file (clause X16).
    File,
    /// It makes a descriptor (clause K8).
    Maker,
    /// It connects (clause K5).
    Connector,
    /// It asks about a socket or sets an option: the errno has its plain meaning.
    Plain,
    /// It sets the position of the input at the end: as for a file, but how much was accepted is not known.
    Position,
    /// It asks for what a failure meant, or for what the call can do without: nothing changes.
    Hint,
    /// It fails in each run, so that what is done then can fail too.
    Given,
    /// It closes a descriptor, whose errors std ignores.
    Close,
    /// It cannot fail, because its arguments are always valid.
    Sure,
}

/// A call of the library.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The kind of the socket that is sent to or received from. That of a pipe or file is `Other`.
    pub(crate) socket: SocketKind,
    pub(crate) receives: bool,
    pub(crate) has_address: bool,
    /// It goes on until everything was accepted, also after an interruption.
    pub(crate) is_loop: bool,
    /// It returns a short count where it could go on.
    pub(crate) is_one_pass: bool,
    pub(crate) takes_descriptors: bool,
    /// It receives the urgent byte.
    pub(crate) is_urgent: bool,
    /// The kind that it fails with where nothing is given.
    pub(crate) fails_with: Option<&'static str>,
    /// The system call for whose failures it has another way, and the errnos of these.
    pub(crate) recovers: (&'static str, &'static [i32]),
    /// What is as much as there is.
    pub(crate) whole: u64,
    /// What happens in each run, so that more is called.
    pub(crate) given: Vec<Planned>,
    pub(crate) calls: Vec<(&'static str, Role)>,
    pub(crate) script: Box<dyn Fn(&Stage) -> Told + Send + Sync>,
}

impl Case {
    fn new(
        name: impl Into<String>,
        calls: &[(&'static str, Role)],
        script: impl Fn(&Stage) -> Told + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            socket: UnixStream,
            receives: false,
            has_address: false,
            is_loop: false,
            is_one_pass: false,
            takes_descriptors: false,
            is_urgent: false,
            fails_with: None,
            recovers: ("", &[]),
            whole: BYTES.len() as u64,
            given: Vec::new(),
            calls: calls.to_vec(),
            script: Box::new(script),
        }
    }

    fn on(self, socket: SocketKind) -> Self {
        Self { socket, ..self }
    }

    fn with_an_address(self) -> Self {
        Self { has_address: true, ..self }
    }

    fn receiving(self) -> Self {
        Self { receives: true, ..self }
    }

    fn looping(self) -> Self {
        Self { is_loop: true, ..self }
    }

    fn taking_descriptors(self) -> Self {
        Self { takes_descriptors: true, ..self }
    }

    fn in_one_pass(self) -> Self {
        Self { is_one_pass: true, ..self }
    }

    fn recovering(self, call: &'static str, errnos: &'static [i32]) -> Self {
        Self { recovers: (call, errnos), ..self }
    }

    fn of(self, whole: usize) -> Self {
        Self { whole: whole as u64, ..self }
    }

    fn given(mut self, call: &'static str, fault: Fault) -> Self {
        self.given.push(Planned { call, from: 0, times: 1, fault });
        self
    }
}

/// So few that a fault can be tried at each of them.
const BYTES: &[u8] = b"0123456789ab";

use Role::{Close, Connector, File as OfFile, Given, Hint, Maker, Plain, Position, Socket, Sure};

const MASK: (&str, Role) = ("rt_sigprocmask", Sure);
const TAKE: (&str, Role) = ("rt_sigtimedwait", Hint);
const SENDFILE: (&str, Role) = ("sendfile", Socket);
const SENDTO: (&str, Role) = ("sendto", Socket);
const SENDMSG: (&str, Role) = ("sendmsg", Socket);
const SENDMMSG: (&str, Role) = ("sendmmsg", Socket);
const RECVMSG: (&str, Role) = ("recvmsg", Socket);
const FSTAT: (&str, Role) = ("fstat", OfFile);
const FCNTL: (&str, Role) = ("fcntl", OfFile);
const PREAD: (&str, Role) = ("pread", OfFile);
const WRITE: (&str, Role) = ("write", Socket);
const GETPID: (&str, Role) = ("getpid", Sure);
const ASK: (&str, Role) = ("getsockopt", Hint);
const CORK: (&str, Role) = ("setsockopt", Hint);
const CLOSE: (&str, Role) = ("close", Close);
const POLL: (&str, Role) = ("poll", Hint);

/// What the kernel says of a file that its sendfile cannot send, for which there is copying.
const UNSENDABLE: &[i32] = &[libc::EINVAL, libc::ENOSYS, libc::EOVERFLOW, libc::ESPIPE];
/// What the kernel says of segments that it cannot cut, for which there are batches.
const UNCUTTABLE: &[i32] = &[libc::EINVAL, libc::EMSGSIZE, libc::EIO];
/// What a kernel says that does not have an option.
const UNKNOWN: &[i32] = &[libc::ENOPROTOOPT, libc::EOPNOTSUPP, libc::ENOSYS];

pub(crate) fn all() -> Vec<Case> {
    [sends(), messages(), datagrams(), receives(), options(), makers(), files(), transfers()]
        .into_iter()
        .flatten()
        .collect()
}

fn sends() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [Tcp, UnixStream, UnixSeqpacket, UnixDatagram, UdpV4] {
        for call in Call::ALL {
            let system_call = match call {
                Call::Send | Call::SendAll => SENDTO,
                Call::SendVectored | Call::SendAllVectored => SENDMSG,
            };
            let case = Case::new(format!("{}, {kind:?}", call.name()), &[system_call], move |stage| {
                let run = |socket: &SocketRef<'_>| told_of(call.to_the_end(socket, BYTES, NO_FLAGS));
                sent(stage, Pair::new(kind), BYTES, run)
            });
            let is_loop = matches!(call, Call::SendAll | Call::SendAllVectored);
            cases.push(if is_loop { case.on(kind).looping() } else { case.on(kind) });
        }
    }
    for (kind, errno, question) in
        [(Tcp, libc::EPIPE, ASK), (Tcp, libc::EAGAIN, ("getpeername", Hint)), (UdpV4, libc::EINVAL, ASK)]
    {
        let name = format!("send, {kind:?}, after {}", super::contract::name(errno));
        let case = Case::new(name, &[("sendto", Given), question], move |stage| {
            let run = |socket: &SocketRef<'_>| told_of(Call::Send.to_the_end(socket, BYTES, NO_FLAGS));
            sent(stage, Pair::new(kind), BYTES, run)
        });
        cases.push(case.on(kind).given("sendto", Fault::Fails(errno)));
    }
    for (call, kind) in [(Call::SendAll, Tcp), (Call::SendAll, UnixStream), (Call::SendAllVectored, Tcp)] {
        let send = if call == Call::SendAll { SENDTO } else { SENDMSG };
        let calls = [(send.0, Given), ASK, ("fcntl", Hint), POLL, send];
        let name = format!("{}, {kind:?}, SO_SNDTIMEO, after EINTR", call.name());
        let case = Case::new(name, &calls, move |stage| {
            let pair = Pair::new(kind);
            crate::sockets::set_send_timeout(&pair.ours, PATIENCE);
            sent(stage, pair, BYTES, |socket| told_of(call.to_the_end(socket, BYTES, NO_FLAGS)))
        });
        cases.push(case.on(kind).looping().given(send.0, Fault::Fails(libc::EINTR)));
    }
    let many = pattern(1030);
    cases.push(
        Case::new("send_all_vectored, UnixStream, 1030 slices", &[SENDMSG; 2], move |stage| {
            let mut slices: Vec<_> = many.chunks(1).map(IoSlice::new).collect();
            sent(stage, Pair::new(UnixStream), &many, |socket| {
                Told::all(socket.send_all_vectored(&mut &mut slices[..], NO_FLAGS), many.len())
            })
        })
        .looping()
        .of(1030),
    );
    cases
}

fn told_of(outcome: Result<usize, crate::sockets::Stopped>) -> Told {
    match outcome {
        Ok(count) => Told::done(count as u64),
        Err(stopped) => Told { accepted: stopped.accepted() as u64, error: Some(stopped.error()) },
    }
}

/// Makes a call that sends bytes, and compares what arrives with what it said.
fn sent(stage: &Stage, pair: Pair, bytes: &[u8], call: impl FnOnce(&SocketRef<'_>) -> Told) -> Told {
    let told = stage.between_marks(|| call(&pair.socket()));
    if pair.kind.is_stream() {
        finish(pair.ours, pair.theirs, bytes, told.accepted as usize);
    } else {
        compare_messages(&pair.theirs, bytes, told.accepted as usize);
    }
    told
}

/// Sends what a stream is said not to have accepted, and compares all that comes out of it.
fn finish(ours: OwnedFd, theirs: OwnedFd, bytes: &[u8], accepted: usize) {
    let mut rest = File::from(ours);
    rest.write_all(&bytes[accepted..]).unwrap();
    drop(rest);
    let mut arrived = Vec::new();
    std::io::Read::read_to_end(&mut File::from(theirs), &mut arrived).unwrap();
    compare(&arrived, bytes);
}

fn compare(arrived: &[u8], expected: &[u8]) {
    let (arrived_bytes, expected_bytes) = (arrived.escape_ascii(), expected.escape_ascii());
    assert!(
        arrived == expected,
        "{} bytes arrived, and {} were expected: {arrived_bytes:.60} {expected_bytes:.60}",
        arrived.len(),
        expected.len()
    );
}

/// The messages that arrive are the bytes that were accepted, and no others.
fn compare_messages(theirs: &OwnedFd, bytes: &[u8], accepted: usize) {
    compare(&arrived_messages(theirs, accepted), &bytes[..accepted]);
}

/// How long a datagram may be on its way over loopback: it is there when the call that sends it returns, if the machine is
/// not busy. Only one that was lost is waited for in vain.
const MOMENT: Duration = Duration::from_secs(2);

/// Returns the bytes of all messages that are there, once there are so many.
fn arrived_messages(theirs: &OwnedFd, bytes: usize) -> Vec<u8> {
    let mut arrived = Vec::new();
    loop {
        if arrived.len() < bytes {
            crate::sockets::polled(theirs, PollFlags::POLLIN, MOMENT);
        }
        match received(theirs) {
            Some(message) => arrived.extend(message),
            None => return arrived,
        }
    }
}

/// Two descriptors go with the first byte.
fn messages() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [UnixStream, UnixSeqpacket, UnixDatagram] {
        cases.push(
            Case::new(format!("Message::send with descriptors, {kind:?}"), &[SENDMSG], move |stage| {
                sent_with_descriptors(stage, kind, false)
            })
            .on(kind),
        );
        cases.push(
            Case::new(format!("Message::send_all with descriptors, {kind:?}"), &[SENDMSG], move |stage| {
                sent_with_descriptors(stage, kind, true)
            })
            .on(kind)
            .looping(),
        );
    }
    for kind in [Tcp, UdpV4] {
        cases.push(
            Case::new(format!("Message::send, {kind:?}"), &[SENDMSG], move |stage| {
                sent(stage, Pair::new(kind), BYTES, |socket| {
                    Told::once(Message::new(&mut halves()).send(socket, NO_FLAGS), |count| count as u64)
                })
            })
            .on(kind),
        );
    }
    let calls = [("sendmsg", Given), ASK, ("fcntl", Hint), POLL, SENDMSG];
    let case = Case::new("Message::send_all, Tcp, SO_SNDTIMEO, after EINTR", &calls, |stage| {
        let pair = Pair::new(Tcp);
        crate::sockets::set_send_timeout(&pair.ours, PATIENCE);
        sent(stage, pair, BYTES, |socket| {
            Told::all(Message::new(&mut halves()).send_all(socket, NO_FLAGS), BYTES.len())
        })
    });
    cases.push(case.on(Tcp).looping().given("sendmsg", Fault::Fails(libc::EINTR)));
    let source = Ipv4Addr::LOCALHOST;
    let case =
        Case::new("Message::send_to from a source with a traffic class, UdpV4", &[SENDMSG], move |stage| {
            let Ends { ours, theirs, to } = Ends::new();
            let mut slices = halves();
            let message = Message::new(&mut slices).from_source(IpAddr::V4(source)).with_traffic_class(32);
            let socket = SocketRef::udp_v4(&ours);
            let told = stage
                .between_marks(|| Told::once(message.send_to(&socket, &to, NO_FLAGS), |count| count as u64));
            compare_messages(&theirs, BYTES, told.accepted as usize);
            told
        });
    cases.push(case.on(UdpV4).with_an_address());
    cases
}

fn halves() -> [IoSlice<'static>; 2] {
    let (first, second) = BYTES.split_at(5);
    [IoSlice::new(first), IoSlice::new(second)]
}

fn null() -> File {
    File::open("/dev/null").unwrap()
}

fn sent_with_descriptors(stage: &Stage, kind: SocketKind, to_the_end: bool) -> Told {
    let (pair, null) = (Pair::new(kind), null());
    let descriptors = [null.as_fd(); 2];
    let mut slices = halves();
    let mut message = Message::new(&mut slices).with_descriptors(&descriptors);
    let socket = pair.socket();
    let told = stage.between_marks(|| match to_the_end {
        true => Told::all(message.send_all(&socket, NO_FLAGS), BYTES.len()),
        false => Told::once(message.send(&socket, NO_FLAGS), |count| count as u64),
    });
    let accepted = told.accepted as usize;
    let expected = if kind.is_stream() { BYTES } else { &BYTES[..accepted] };
    if kind.is_stream() && accepted < BYTES.len() {
        send(pair.ours.as_raw_fd(), &BYTES[accepted..], MsgFlags::empty()).unwrap();
    }
    let (arrived, descriptors) = received_with_descriptors(&pair.theirs, kind);
    compare(&arrived, expected);
    assert_eq!(descriptors, if accepted > 0 { 2 } else { 0 }, "descriptors");
    told
}

/// Receives all that is there, and counts the descriptors.
fn received_with_descriptors(from: &OwnedFd, kind: SocketKind) -> (Vec<u8>, usize) {
    let (mut bytes, mut descriptors) = (Vec::new(), 0);
    loop {
        let (mut control, mut room) = (ControlBuffer::new(), [0; 64]);
        let mut slices = [IoSliceMut::new(&mut room)];
        let received = declared(kind, from).receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT);
        let Ok(received) = received else { return (bytes, descriptors) };
        let count = received.bytes();
        descriptors += received.into_descriptors().count();
        if count == 0 {
            return (bytes, descriptors);
        }
        bytes.extend_from_slice(&room[..count]);
    }
}

/// Two sockets of UDP, of which the second is named and not connected to.
struct Ends {
    ours: OwnedFd,
    theirs: OwnedFd,
    to: Address,
}

impl Ends {
    fn new() -> Self {
        let [ours, theirs] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = Address::from(theirs.local_addr().unwrap());
        Self { ours: ours.into(), theirs: theirs.into(), to }
    }
}

fn datagrams() -> Vec<Case> {
    let send_to = Case::new("send_to, UdpV4", &[SENDTO], |stage| {
        let Ends { ours, theirs, to } = Ends::new();
        let socket = SocketRef::udp_v4(&ours);
        let told =
            stage.between_marks(|| Told::once(socket.send_to(BYTES, &to, NO_FLAGS), |count| count as u64));
        compare_messages(&theirs, BYTES, told.accepted as usize);
        told
    });
    let send_to_path = Case::new("send_to, UnixDatagram", &[SENDTO], |stage| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let theirs = OwnedFd::from(std::os::unix::net::UnixDatagram::bind(&path).unwrap());
        let ours = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let (socket, to) = (SocketRef::unix_datagram(&ours), Address::unix(&path).unwrap());
        let told =
            stage.between_marks(|| Told::once(socket.send_to(BYTES, &to, NO_FLAGS), |count| count as u64));
        compare_messages(&theirs, BYTES, told.accepted as usize);
        told
    });
    let mut cases =
        vec![send_to.on(UdpV4).with_an_address(), send_to_path.on(UnixDatagram).with_an_address()];
    for (count, calls) in [(3, &[SENDMMSG][..]), (70, &[SENDMMSG; 2])] {
        let case =
            Case::new(format!("send_batch of {count}, UdpV4"), calls, move |stage| batch_sent(stage, count));
        cases.push(case.on(UdpV4).looping().of(count));
    }
    let kernel = Case::new("Segments by the kernel, UdpV4", &[SENDMSG], |stage| {
        segments_sent(stage, SegmentOffload::new())
    });
    cases.push(kernel.on(UdpV4).looping().recovering("sendmsg", UNCUTTABLE));
    let batch = Case::new("Segments as a batch, UdpV4", &[SENDMMSG], |stage| {
        segments_sent(stage, SegmentOffload::never())
    });
    cases.push(batch.on(UdpV4).looping());
    let refused = Case::new(
        "Segments, UdpV4, after EINVAL",
        &[("sendmsg", Given), ("sendmsg", Given), SENDMMSG],
        |stage| segments_sent(stage, SegmentOffload::new()),
    );
    let mut refused = refused.on(UdpV4).looping().given("sendmsg", Fault::Fails(libc::EINVAL));
    refused.given[0].times = 2;
    cases.push(refused);
    cases
}

const SEGMENT: usize = 4;

fn batch_sent(stage: &Stage, count: usize) -> Told {
    let pair = Pair::new(UdpV4);
    let bytes = pattern(SEGMENT * count);
    let slices: Vec<_> = bytes.chunks(SEGMENT).map(|chunk| [IoSlice::new(chunk)]).collect();
    let batch: Vec<_> = slices.iter().map(|slices| Datagram::new(slices)).collect();
    let socket = SocketRef::udp_v4(&pair.ours);
    let told = stage.between_marks(|| Told::all(socket.send_batch(&batch, NO_FLAGS), count));
    compare_messages(&pair.theirs, &bytes, SEGMENT * told.accepted as usize);
    told
}

/// A segment of which the kernel accepted a part ends the call, and does not count (clause L4c).
fn segments_sent(stage: &Stage, mut offload: SegmentOffload) -> Told {
    let pair = Pair::new(UdpV4);
    let socket = SocketRef::udp_v4(&pair.ours);
    let told = stage.between_marks(|| {
        Told::all(Segments::new(BYTES, SEGMENT).send(&socket, &mut offload, NO_FLAGS), BYTES.len())
    });
    let accepted = told.accepted as usize;
    let arrived = arrived_messages(&pair.theirs, accepted);
    let is_cut = told.error.is_some_and(|error| error.kernel_errno().is_none());
    let part = if is_cut { arrived.len() - accepted } else { 0 };
    assert!(part < SEGMENT, "{part} bytes more than {accepted} arrived");
    compare(&arrived, &BYTES[..accepted + part]);
    told
}

fn receives() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [UnixStream, UnixSeqpacket, UnixDatagram] {
        for (how, take) in [("all", 2), ("one", 1), ("none", 0)] {
            let name = format!("receive of 2 descriptors of which {how} is taken, {kind:?}");
            let case = Case::new(name, &[RECVMSG, CLOSE, CLOSE], move |stage| {
                received_with(stage, kind, 2, Some(take), ReceiveFlags::empty())
            });
            cases.push(case.on(kind).receiving().taking_descriptors());
        }
        let case = Case::new(format!("receive_without_descriptors, {kind:?}"), &[RECVMSG], move |stage| {
            received_with(stage, kind, 2, None, ReceiveFlags::empty())
        });
        cases.push(case.on(kind).receiving());
    }
    for kind in [Tcp, UdpV4] {
        for (name, take, flags) in [
            ("receive", Some(0), ReceiveFlags::empty()),
            ("receive with PEEK", Some(0), ReceiveFlags::PEEK),
            ("receive_without_descriptors", None, ReceiveFlags::empty()),
        ] {
            cases.push(
                Case::new(format!("{name}, {kind:?}"), &[RECVMSG], move |stage| {
                    received_with(stage, kind, 0, take, flags)
                })
                .on(kind)
                .receiving(),
            );
        }
    }
    let urgent = Case::new("receive of the urgent byte, Tcp", &[RECVMSG], |stage| {
        let pair = Pair::new(Tcp);
        send(pair.ours.as_raw_fd(), b"xu", MsgFlags::MSG_OOB).unwrap();
        crate::sockets::wait_readable(&pair.theirs);
        let socket = SocketRef::tcp(&pair.theirs);
        let receive = || {
            let (mut control, mut byte) = (ControlBuffer::new(), [0]);
            let mut slices = [IoSliceMut::new(&mut byte)];
            let received = socket.receive(&mut slices, &mut control, ReceiveFlags::OUT_OF_BAND);
            (Told::once(received, |received| received.bytes() as u64), byte[0])
        };
        let (told, byte) = stage.between_marks(receive);
        let (_, later) = receive();
        assert_eq!((byte, later), if told.accepted == 1 { (b'u', 0) } else { (0, b'u') });
        told
    });
    cases.push(Case { is_urgent: true, ..urgent.on(Tcp).receiving().of(1) });
    let batch = Case::new("receive_batch of 3, UdpV4", &[("recvmmsg", Socket)], |stage| {
        let pair = Pair::new(UdpV4);
        for message in BYTES.chunks(SEGMENT) {
            send(pair.ours.as_raw_fd(), message, MsgFlags::empty()).unwrap();
        }
        let (mut rooms, socket) = ([[0; 16]; 3], SocketRef::udp_v4(&pair.theirs));
        let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
        crate::sockets::wait_readable(&pair.theirs);
        let told = stage.between_marks(|| {
            Told::once(socket.receive_batch(&mut buffers, ReceiveFlags::empty()), |count| count as u64)
        });
        let filled = buffers[..told.accepted as usize].iter();
        let mut bytes: Vec<u8> = filled.flat_map(|buffer| buffer.bytes().to_vec()).collect();
        bytes.extend(arrived_messages(&pair.theirs, BYTES.len() - bytes.len()));
        compare(&bytes, BYTES);
        told
    });
    cases.push(batch.on(UdpV4).receiving().of(3));
    cases
}

/// Receives what was sent, with so many descriptors, of which so many are taken and the others are dropped. What the call does not receive is received afterwards.
fn received_with(
    stage: &Stage,
    kind: SocketKind,
    count: usize,
    take: Option<usize>,
    flags: ReceiveFlags,
) -> Told {
    let (pair, null) = (Pair::new(kind), null());
    let descriptors = vec![null.as_fd(); count];
    let mut whole = [IoSlice::new(BYTES)];
    let sent = Message::new(&mut whole).with_descriptors(&descriptors).send(&pair.socket(), NO_FLAGS);
    assert_eq!(sent, Ok(BYTES.len()));
    crate::sockets::wait_readable(&pair.theirs);

    let (mut control, mut first, mut second) = (ControlBuffer::new(), [0; 5], [0; 27]);
    let mut slices = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    let socket = declared(kind, &pair.theirs);
    let (mut taken, mut is_cut, mut are_lost) = (0, false, false);
    let told = stage.between_marks(|| {
        let received = match take {
            Some(_) => socket.receive(&mut slices, &mut control, flags),
            None => socket.receive_without_descriptors(&mut slices, flags),
        };
        Told::once(received, |mut received| {
            (is_cut, are_lost) = (received.is_truncated(), received.descriptors_lost());
            taken = received.descriptors().take(take.unwrap_or(0)).count();
            received.bytes() as u64
        })
    });
    let bytes: Vec<u8> = first.into_iter().chain(second).take(told.accepted as usize).collect();
    if flags.contains(ReceiveFlags::PEEK) {
        compare(&bytes, &BYTES[..bytes.len()]);
        compare(&crate::sockets::received(&pair.theirs).unwrap(), BYTES);
        return told;
    }
    let (rest, later) = received_with_descriptors(&pair.theirs, kind);
    let all = [bytes, rest].concat();
    // The kernel drops what a datagram or record is longer than the room for it.
    compare(&all, if is_cut { &BYTES[..all.len()] } else { BYTES });
    let expected = match told.accepted {
        0 => (0, count),
        _ if are_lost => (0, 0),
        _ => (take.unwrap_or(0).min(count), 0),
    };
    assert_eq!((taken, later), expected, "descriptors now and later");
    assert!(!are_lost || count > 0, "descriptors that were not sent are lost");
    told
}

/// A call that sets an option.
type Setting = fn(&SocketRef<'_, DatagramSocket>) -> Result<(), unisend::Error>;

fn options() -> Vec<Case> {
    const QUESTION: (&str, Role) = ("getsockopt", Plain);
    const SETTING: (&str, Role) = ("setsockopt", Plain);

    let one = |outcome: Result<(), unisend::Error>| Told::once(outcome, |()| 1);
    let reports: [(&str, Setting); 3] = [
        ("receive_destinations, UdpV4", |socket| socket.receive_destinations()),
        ("receive_traffic_classes, UdpV4", |socket| socket.receive_traffic_classes()),
        ("receive_hop_limits, UdpV4", |socket| socket.receive_hop_limits()),
    ];
    let mut cases: Vec<_> = reports
        .into_iter()
        .map(|(name, call)| {
            Case::new(name, &[SETTING], move |stage| {
                let Ends { ours, .. } = Ends::new();
                let socket = SocketRef::udp_v4(&ours);
                stage.between_marks(|| one(call(&socket)))
            })
            .on(UdpV4)
        })
        .collect();
    if crate::sockets::udp_v6().is_some() {
        let case = Case::new("receive_traffic_classes, UdpV6", &[SETTING; 2], move |stage| {
            let udp = UdpSocket::bind("[::1]:0").unwrap();
            let socket = SocketRef::udp_v6(&udp);
            stage.between_marks(|| one(socket.receive_traffic_classes()))
        });
        cases.push(case.on(UdpV6));
    }
    cases.push(
        Case::new("receive_joined, UdpV4", &[SETTING], move |stage| {
            let Ends { ours, .. } = Ends::new();
            let socket = SocketRef::udp_v4(&ours);
            stage.between_marks(|| one(socket.receive_joined()))
        })
        .on(UdpV4)
        .recovering("setsockopt", UNKNOWN),
    );
    cases.push(
        Case::new("SocketRef::try_from, UdpV4", &[("getsockname", Plain)], move |stage| {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            stage.between_marks(|| one(SocketRef::try_from(&udp).map(drop)))
        })
        .on(UdpV4),
    );
    cases.push(Case::new("SocketRef::probe, UnixStream", &[QUESTION; 4], move |stage| {
        let pair = Pair::new(UnixStream);
        stage.between_marks(|| one(SocketRef::probe(&pair.ours).map(drop)))
    }));
    cases.push(
        Case::new("Output::probe, UnixStream", &[QUESTION; 4], move |stage| {
            let pair = Pair::new(UnixStream);
            stage.between_marks(|| one(Output::probe(&pair.ours).map(drop)))
        })
        .recovering("getsockopt", &[libc::ENOTSOCK]),
    );
    cases.push(Case::new("peer_credentials, UnixStream", &[QUESTION; 2], move |stage| {
        let pair = Pair::new(UnixStream);
        let socket = pair.socket();
        stage.between_marks(|| one(socket.peer_credentials().map(drop)))
    }));
    cases.push(
        Case::new("Cork, Tcp", &[QUESTION, SETTING, CORK], move |stage| {
            let pair = Pair::new(Tcp);
            let socket = pair.socket();
            stage.between_marks(|| one(Cork::new(&socket).map(drop)))
        })
        .on(Tcp),
    );
    cases.into_iter().map(|case| case.of(1)).collect()
}

fn makers() -> Vec<Case> {
    const NEW: (&str, Role) = ("socket", Maker);
    const WAIT: (&str, Role) = ("fcntl", Plain);

    // musl then calls accept(2) and fcntl(2), as if the kernel were older than accept4(2).
    const CALLED_AGAIN: &[i32] = if cfg!(target_env = "musl") { &[libc::EINVAL, libc::ENOSYS] } else { &[] };

    fn made<T>(outcome: Result<T, unisend::Error>) -> Told {
        Told::once(outcome, |_| 1)
    }
    let cases = [
        Case::new("UnixSeqpacket::pair", &[("socketpair", Maker), CLOSE, CLOSE], |stage| {
            stage.between_marks(|| made(unisend::UnixSeqpacket::pair()))
        }),
        Case::new(
            "UnixSeqpacket::connect",
            &[NEW, ("connect", Connector), ("fcntl", Connector), CLOSE],
            |stage| {
                let name = name_of_this_process();
                let _listener = UnixSeqpacketListener::bind(&name).unwrap();
                stage.between_marks(|| made(unisend::UnixSeqpacket::connect(&name)))
            },
        ),
        Case::new(
            "UnixSeqpacketListener::bind",
            &[NEW, ("bind", Plain), ("listen", Plain), WAIT, CLOSE],
            |stage| {
                let name = name_of_this_process();
                stage.between_marks(|| made(UnixSeqpacketListener::bind(&name)))
            },
        ),
        Case::new("UnixSeqpacketListener::accept", &[("accept4", Maker), CLOSE], |stage| {
            let name = name_of_this_process();
            let listener = UnixSeqpacketListener::bind(&name).unwrap();
            let _client = unisend::UnixSeqpacket::connect(&name).unwrap();
            stage.between_marks(|| made(listener.accept()))
        })
        .recovering("accept4", CALLED_AGAIN),
        Case::new("local_address, UnixSeqpacket", &[("getsockname", Plain)], |stage| {
            let (ours, _theirs) = unisend::UnixSeqpacket::pair().unwrap();
            stage.between_marks(|| made(ours.local_address()))
        }),
        Case::new("peer_address, UnixSeqpacket", &[("getpeername", Plain)], |stage| {
            let (ours, _theirs) = unisend::UnixSeqpacket::pair().unwrap();
            stage.between_marks(|| made(ours.peer_address()))
        }),
    ];
    cases.into_iter().map(|case| case.on(UnixSeqpacket).of(1)).collect()
}

/// A name that no path leaves behind.
fn name_of_this_process() -> Address {
    Address::unix_abstract(format!("unisend faults {}", std::process::id()).as_bytes()).unwrap()
}

/// How a case calls sendfile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    At,
    Position,
    More,
    Nothing,
    Guarded,
    Blocked,
}

fn socket_of(to: To) -> SocketKind {
    match to {
        To::Socket(kind) => kind,
        To::Pipe | To::File => Other,
    }
}

fn files() -> Vec<Case> {
    let pending = ("rt_sigpending", Sure);
    let seek = ("lseek", OfFile);
    let rows: [(&str, To, How, &[_]); 10] = [
        ("Tcp", TCP, How::At, &[MASK, SENDFILE, MASK]),
        ("UnixStream", UNIX, How::At, &[MASK, SENDFILE, MASK]),
        ("a pipe", To::Pipe, How::At, &[POLL, MASK, SENDFILE, MASK]),
        ("a file", To::File, How::At, &[POLL, MASK, SENDFILE, MASK]),
        ("UnixStream, from the position", UNIX, How::Position, &[MASK, SENDFILE, MASK]),
        ("UnixStream, more than there is", UNIX, How::More, &[MASK, SENDFILE, TAKE, MASK]),
        ("UnixStream, nothing", UNIX, How::Nothing, &[FSTAT, FCNTL]),
        ("a pipe, nothing", To::Pipe, How::Nothing, &[FSTAT, FCNTL, FSTAT, FCNTL]),
        ("UnixStream, under a guard", UNIX, How::Guarded, &[MASK, GETPID, SENDFILE, GETPID, MASK]),
        ("UnixStream, SIGPIPE was blocked", UNIX, How::Blocked, &[MASK, pending, SENDFILE]),
    ];
    let mut cases: Vec<_> = rows
        .into_iter()
        .map(|(name, to, how, calls)| {
            let case = Case::new(format!("sendfile, {name}"), calls, move |stage| file_sent(stage, to, how));
            let case = case.on(socket_of(to)).recovering("sendfile", UNSENDABLE).in_one_pass();
            if how == How::Nothing { case.of(0) } else { case }
        })
        .collect();
    let full = [POLL, ("fstat", Hint), MASK, SENDFILE, MASK];
    let full = Case::new("sendfile, a full pipe that does not wait", &full, sent_to_a_full_pipe);
    let full = full.on(Other).recovering("sendfile", UNSENDABLE).of(0);
    cases.push(Case { fails_with: Some("WouldBlock"), ..full });
    let copied = [MASK, ("sendfile", Given), FSTAT, PREAD, SENDTO, MASK];
    let moved = [MASK, ("sendfile", Given), FSTAT, seek, PREAD, SENDTO, ("lseek", Position), MASK];
    let written = [POLL, MASK, ("sendfile", Given), FSTAT, FCNTL, FSTAT, PREAD, WRITE, MASK];
    for (name, to, how, calls) in [
        ("UnixStream, after EINVAL", UNIX, How::At, &copied[..]),
        ("UnixStream, from the position, after EINVAL", UNIX, How::Position, &moved),
        ("a pipe, after EINVAL", To::Pipe, How::At, &written),
    ] {
        let case = Case::new(format!("sendfile, {name}"), calls, move |stage| file_sent(stage, to, how));
        cases.push(case.on(socket_of(to)).in_one_pass().given("sendfile", Fault::Fails(libc::EINVAL)));
    }
    cases
}

/// Nothing of the file is in a pipe that had no room.
fn sent_to_a_full_pipe(stage: &Stage) -> Told {
    let (channel, file) = (crate::sockets::channel::full(To::Pipe), file_with(BYTES));
    let mut at = 0;
    let outcome =
        stage.between_marks(|| sendfile(channel.output(), &file, Offset::At(&mut at), BYTES.len() as u64));
    assert_eq!(at, 0, "the offset");
    assert!(channel.arrived().iter().all(|&byte| byte == 7), "a part of the file arrived");
    Told::once(outcome, |count| count)
}

fn file_sent(stage: &Stage, to: To, how: How) -> Told {
    let (channel, file) = (Channel::new(to), file_with(BYTES));
    let count = match how {
        How::More => BYTES.len() + 8,
        How::Nothing => 0,
        _ => BYTES.len(),
    };
    if how == How::Blocked {
        let mut only = nix::sys::signal::SigSet::empty();
        only.add(nix::sys::signal::Signal::SIGPIPE);
        only.thread_block().unwrap();
    }
    let mut at = 0;
    let outcome = stage.between_marks(|| {
        let _guard = (how == How::Guarded).then(SigpipeGuard::new);
        let offset = if how == How::Position { Offset::Position } else { Offset::At(&mut at) };
        sendfile(channel.output(), &file, offset, count as u64)
    });
    let position = crate::sockets::channel::position(&file);
    let accepted = match how {
        How::Position if stage.position_fails => {
            // How much was accepted is not known, and all of it was.
            let told = Told::once(outcome, |count| count);
            compare(&channel.end(None), BYTES);
            return told;
        }
        How::Position => position,
        _ => at,
    };
    assert_eq!(accepted, outcome.unwrap_or(0), "the offset");
    assert!(how == How::Position || position == 0, "the position moved to {position}");
    let Channel { ours, theirs, .. } = channel;
    finish(ours, theirs, BYTES, accepted as usize);
    Told::once(outcome, |count| count)
}

/// What a transfer has and how it is sent.
#[derive(Clone, Copy)]
struct Shape {
    to: To,
    file: usize,
    /// How many bytes more than the file has are asked for.
    more: u64,
    has_trailer: bool,
    has_descriptors: bool,
    from_position: bool,
    by_copying: bool,
    to_the_end: bool,
}

const PLAIN: Shape = Shape {
    to: TCP,
    file: 4,
    more: 0,
    has_trailer: false,
    has_descriptors: false,
    from_position: false,
    by_copying: false,
    to_the_end: true,
};
/// With its header it is sent by sendfile(2).
const LARGE: usize = 9000;

fn transfers() -> Vec<Case> {
    let seek = ("lseek", OfFile);
    let set_position = ("lseek", Position);
    let small = Shape { has_trailer: true, ..PLAIN };
    let large = Shape { file: LARGE, ..small };
    let large_calls = [FSTAT, FCNTL, SENDTO, ASK, CORK, MASK, SENDFILE, SENDTO, CORK, MASK];
    let rows: [(&str, Shape, &[_]); 14] = [
        ("small, Tcp", small, &[FSTAT, PREAD, SENDTO]),
        ("small, Tcp, one pass", Shape { to_the_end: false, ..small }, &[FSTAT, PREAD, SENDTO]),
        ("small, Tcp, ends early", Shape { more: 1, ..PLAIN }, &[FSTAT, PREAD, ("pread", Hint), SENDTO]),
        (
            "small, UnixStream, from the position",
            Shape { to: UNIX, from_position: true, ..small },
            &[FSTAT, seek, PREAD, SENDTO, set_position],
        ),
        (
            "small, UnixStream, with descriptors",
            Shape { to: UNIX, has_descriptors: true, ..small },
            &[FSTAT, PREAD, SENDMSG],
        ),
        ("small, a pipe", Shape { to: To::Pipe, ..small }, &[FSTAT, FCNTL, FSTAT, PREAD, MASK, WRITE, MASK]),
        ("large, Tcp", large, &large_calls),
        ("large, Tcp, one pass", Shape { to_the_end: false, ..large }, &large_calls),
        (
            "large, Tcp, ends early",
            Shape { more: 1, ..large },
            &[
                FSTAT,
                FCNTL,
                SENDTO,
                ASK,
                CORK,
                MASK,
                SENDFILE,
                TAKE,
                ("fstat", Hint),
                ("pread", Hint),
                CORK,
                MASK,
            ],
        ),
        (
            "large, UnixStream",
            Shape { to: UNIX, ..large },
            &[FSTAT, FCNTL, SENDTO, MASK, SENDFILE, SENDTO, MASK],
        ),
        (
            "large, UnixStream, from the position",
            Shape { to: UNIX, from_position: true, ..large },
            &[FSTAT, FCNTL, seek, SENDTO, MASK, SENDFILE, SENDTO, MASK],
        ),
        (
            "large, a pipe",
            Shape { to: To::Pipe, ..large },
            &[FSTAT, FCNTL, FSTAT, FCNTL, MASK, WRITE, POLL, SENDFILE, WRITE, MASK],
        ),
        ("large, by copying, Tcp", Shape { by_copying: true, ..large }, &[FSTAT, PREAD, SENDTO]),
        (
            "large, by copying, UnixStream, from the position",
            Shape { to: UNIX, by_copying: true, from_position: true, ..large },
            &[FSTAT, seek, PREAD, SENDTO, set_position],
        ),
    ];
    rows.into_iter()
        .map(|(name, shape, calls)| {
            let call = if shape.to_the_end { "send_all" } else { "send" };
            let whole = shape.file + shape.header().len() + shape.trailer().len();
            let case =
                Case::new(format!("Transfer, {call}, {name}"), calls, move |stage| transferred(stage, shape));
            let case = case.on(socket_of(shape.to)).of(whole);
            let case = if shape.to_the_end { case.looping() } else { case.in_one_pass() };
            case.recovering("sendfile", UNSENDABLE)
        })
        .collect()
}

impl Shape {
    fn header(&self) -> &'static [u8] {
        b"head"
    }

    /// It is not sent after a file that ends early (clause T5).
    fn trailer(&self) -> &'static [u8] {
        if self.has_trailer && self.more == 0 { b"tail" } else { b"" }
    }
}

fn transferred(stage: &Stage, shape: Shape) -> Told {
    let (channel, bytes, null) = (Channel::new(shape.to), pattern(shape.file), null());
    let (file, descriptors) = (file_with(&bytes), [null.as_fd(); 2]);
    let (header, tail) = ([IoSlice::new(shape.header())], [IoSlice::new(b"tail")]);
    let mut buffer = [0; 32_768];
    let trailer = if shape.has_trailer { &tail[..] } else { &[] };
    let mut transfer = Transfer::new(&file)
        .with_header(&header)
        .with_trailer(trailer)
        .count(shape.file as u64 + shape.more)
        .with_descriptors(if shape.has_descriptors { &descriptors } else { &[] });
    if !shape.from_position {
        transfer = transfer.at(0);
    }
    if shape.by_copying {
        transfer = transfer.by_copying(&mut buffer);
    }
    let told = stage.between_marks(|| match shape.to_the_end {
        true => match transfer.send_all(channel.output()) {
            Ok(_) => Told::done(transfer.sent().total()),
            Err(stopped) => Told { accepted: stopped.accepted(), error: Some(stopped.error()) },
        },
        false => Told::once(transfer.send(channel.output()), |count| count),
    });
    assert_eq!(transfer.sent().total(), told.accepted, "what was sent");
    let sent = transfer.sent().file;
    let position = crate::sockets::channel::position(&file);
    let moved = if shape.from_position { sent } else { 0 };
    let whole = [shape.header(), &bytes, shape.trailer()].concat();
    if !stage.position_fails {
        assert_eq!(position, moved, "the position");
        // The same value goes on where it stopped (clause T3).
        let outcome = transfer.send_all(channel.output());
        assert!(outcome.is_ok(), "the rest: {outcome:?}");
    }
    let accepted = transfer.sent().total() as usize;
    if shape.has_descriptors {
        let (arrived, descriptors) = received_with_descriptors(&channel.theirs, UnixStream);
        compare(&arrived, &whole[..accepted]);
        assert_eq!(descriptors, if accepted > 0 { 2 } else { 0 }, "descriptors");
    } else {
        compare(&channel.end(None), &whole[..accepted]);
    }
    told
}
