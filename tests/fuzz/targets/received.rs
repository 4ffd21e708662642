//! What a kernel says of what it received: control messages, descriptors, and the name of the sender.

use std::cell::Cell;
use std::ffi::c_int;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, IntoRawFd};

use arbitrary::Arbitrary;
use unisend::{
    ControlBuffer, DatagramBuffer, DatagramSocket, Destination, ReceiveFlags, Received, SocketKind, SocketRef,
};

use super::addresses::Name;
use super::kernel::{self, Answer, Answers, Room};

/// Messages that come one after another into one buffer: what is left of one must not be read as a part of the next.
#[derive(Debug, Arbitrary)]
pub(super) struct Case<'a> {
    kind: Kind,
    call: Call,
    arrivals: Vec<Arrival<'a>>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Kind {
    UnixStream,
    UnixDatagram,
    UnixSeqpacket,
    UdpV4,
    UdpV6,
    Other,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Call {
    Receive,
    WithoutDescriptors,
    Batch,
}

#[derive(Debug, Arbitrary)]
struct Arrival<'a> {
    bytes: u8,
    name: Name<'a>,
    parts: Vec<Part<'a>>,
    /// Whether the kernel says that it wrote more than there was room for.
    is_overlong: bool,
    is_truncated: bool,
    is_control_truncated: bool,
    taken: u8,
}

/// A part of the control messages.
#[derive(Debug, Arbitrary)]
enum Part<'a> {
    Raw(&'a [u8]),
    Descriptors(Vec<u16>),
    Message {
        sort: Sort,
        data: &'a [u8],
    },
    /// A message whose header does not say how long it is.
    Wrong {
        sort: Sort,
        length: Length,
        data: &'a [u8],
    },
    /// So many messages with one descriptor each.
    Many(u8),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Length {
    Short(u8),
    Any(u64),
    FromTheLargest(u8),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Sort {
    Rights,
    Process,
    DestinationV4,
    InterfaceV4,
    DestinationV6,
    ClassV4,
    ClassV6,
    HopsV4,
    HopsV6,
    Joined,
    Any(c_int, c_int),
}

#[cfg(target_os = "linux")]
mod sorts {
    pub(super) const PROCESS: i32 = 4; // SCM_PIDFD
    pub(super) const DESTINATION_V4: i32 = libc::IP_PKTINFO;
    pub(super) const INTERFACE_V4: i32 = -1;
    pub(super) const CLASS_V4: i32 = libc::IP_TOS;
    pub(super) const HOPS_V4: i32 = libc::IP_TTL;
    pub(super) const HOPS_V6: i32 = libc::IPV6_HOPLIMIT;
    pub(super) const JOINED: i32 = libc::UDP_GRO;
    pub(super) const LENGTH_BYTES: usize = size_of::<usize>();
}

#[cfg(not(target_os = "linux"))]
mod sorts {
    pub(super) const PROCESS: i32 = -1;
    pub(super) const DESTINATION_V4: i32 = libc::IP_RECVDSTADDR;
    pub(super) const INTERFACE_V4: i32 = libc::IP_RECVIF;
    pub(super) const CLASS_V4: i32 = -1;
    pub(super) const HOPS_V4: i32 = 31; // IP_RECVTTL
    pub(super) const HOPS_V6: i32 = 47; // IPV6_HOPLIMIT
    pub(super) const JOINED: i32 = -1;
    pub(super) const LENGTH_BYTES: usize = 4;
}

/// The type of what this kernel does not have. No kernel sends it.
const NEVER: i32 = -1;

impl Sort {
    fn level_and_type(self) -> (c_int, c_int) {
        let (v4, v6) = (libc::IPPROTO_IP, libc::IPPROTO_IPV6);
        match self {
            Self::Rights => (libc::SOL_SOCKET, libc::SCM_RIGHTS),
            Self::Process => (libc::SOL_SOCKET, sorts::PROCESS),
            Self::DestinationV4 => (v4, sorts::DESTINATION_V4),
            Self::InterfaceV4 => (v4, sorts::INTERFACE_V4),
            Self::DestinationV6 => (v6, libc::IPV6_PKTINFO),
            Self::ClassV4 => (v4, sorts::CLASS_V4),
            Self::ClassV6 => (v6, libc::IPV6_TCLASS),
            Self::HopsV4 => (v4, sorts::HOPS_V4),
            Self::HopsV6 => (v6, sorts::HOPS_V6),
            Self::Joined => (libc::IPPROTO_UDP, sorts::JOINED),
            Self::Any(level, kind) => (level, kind),
        }
    }
}

/// `CMSG_LEN(0)`: where the data of a message begins.
fn data_start() -> usize {
    // SAFETY: it is arithmetic.
    unsafe { libc::CMSG_LEN(0) as usize }
}

/// `CMSG_SPACE` and `CMSG_LEN` differ by the padding.
fn alignment() -> usize {
    // SAFETY: it is arithmetic.
    let space = unsafe { libc::CMSG_SPACE(1) as usize };
    space - data_start()
}

/// Adds a message whose header says this length.
fn add(control: &mut Vec<u8>, sort: Sort, length: u64, data: &[u8]) {
    let start = control.len();
    let (level, kind) = sort.level_and_type();
    match sorts::LENGTH_BYTES {
        4 => control.extend_from_slice(&(length as u32).to_ne_bytes()),
        _ => control.extend_from_slice(&length.to_ne_bytes()),
    }
    control.extend_from_slice(&level.to_ne_bytes());
    control.extend_from_slice(&kind.to_ne_bytes());
    control.resize(start + data_start(), 0xaa);
    control.extend_from_slice(data);
    control.resize(start + (data_start() + data.len()).next_multiple_of(alignment()), 0xaa);
}

fn add_whole(control: &mut Vec<u8>, sort: Sort, data: &[u8]) {
    add(control, sort, (data_start() + data.len()) as u64, data);
}

impl Part<'_> {
    fn add_to(&self, control: &mut Vec<u8>) {
        match self {
            Self::Raw(bytes) => control.extend_from_slice(bytes),
            Self::Message { sort, data } => add_whole(control, *sort, data),
            Self::Wrong { sort, length, data } => {
                let length = match *length {
                    Length::Short(length) => length.into(),
                    Length::Any(length) => length,
                    Length::FromTheLargest(less) => u64::MAX - u64::from(less),
                };
                add(control, *sort, length, data);
            }
            Self::Descriptors(numbers) => {
                let numbers = numbers.iter().flat_map(|&number| c_int::from(number as i16).to_ne_bytes());
                add_whole(control, Sort::Rights, &numbers.collect::<Vec<_>>());
            }
            Self::Many(count) => {
                for number in 0..c_int::from(count % 64) {
                    add_whole(control, Sort::Rights, &number.to_ne_bytes());
                }
            }
        }
    }
}

/// A kernel that has these messages to give, each with its control messages.
struct Arriving<'a> {
    arrivals: &'a [(Arrival<'a>, Vec<u8>)],
    next: Cell<usize>,
}

impl Arrival<'_> {
    /// More than there is room for is enough.
    fn control(&self) -> Vec<u8> {
        let mut control = Vec::new();
        for part in &self.parts {
            part.add_to(&mut control);
            if control.len() > CONTROL {
                break;
            }
        }
        control
    }

    fn accepted(&self, room: usize) -> usize {
        usize::from(self.bytes).min(room)
    }
}

fn fill(room: &mut [u8], bytes: &[u8], is_overlong: bool) -> usize {
    let count = bytes.len().min(room.len());
    room[..count].copy_from_slice(&bytes[..count]);
    // A kernel that has no room says 0, and one that had too little can say how much it had.
    if is_overlong && count == room.len() && count > 0 { count + 1 } else { count }
}

impl Answers for Arriving<'_> {
    fn receive(&self, message: &mut Room<'_>) -> Answer {
        let (arrival, control) = &self.arrivals[self.next.get()];
        self.next.set(self.next.get() + 1);
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        message.name_length = fill(message.name, &arrival.name.bytes(), arrival.is_overlong);
        message.control_length = fill(message.control, control, arrival.is_overlong);
        message.flags = flag(arrival.is_truncated, libc::MSG_TRUNC)
            | flag(arrival.is_control_truncated, libc::MSG_CTRUNC);
        Ok(arrival.accepted(message.bytes))
    }
}

/// What is in the control messages, read a second time, in a plain way.
#[derive(Debug, Default)]
struct Read {
    announced: bool,
    descriptors: Vec<c_int>,
    processes: Vec<c_int>,
    destination: Option<(IpAddr, u32)>,
    traffic_class: Option<u8>,
    hop_limit: Option<u8>,
    segment_size: Option<usize>,
}

impl Read {
    fn of(control: &[u8]) -> Self {
        let messages = messages_in(control);
        let value = |sorts: &[Sort]| {
            let is_meant =
                |sort: &&Sort, message: &Message<'_>| sort.level_and_type() == (message.0, message.1);
            let found = messages.iter().find(|message| sorts.iter().any(|sort| is_meant(&sort, message)))?;
            match found.2 {
                [a, b, c, d, ..] => Some(c_int::from_ne_bytes([*a, *b, *c, *d])),
                [byte, ..] => Some(c_int::from(*byte)),
                [] => None,
            }
        };
        let of_sort = |wanted: Sort| {
            messages.iter().filter(move |message| (message.0, message.1) == wanted.level_and_type())
        };
        let numbers = |data: &[u8]| {
            let numbers = data.chunks_exact(4).map(|int| c_int::from_ne_bytes(int.try_into().unwrap()));
            numbers.filter(|&number| number >= 0).collect::<Vec<_>>()
        };
        let first = |data: &[u8]| numbers(data.get(..4).unwrap_or_default());
        Self {
            announced: of_sort(Sort::Rights).next().is_some(),
            descriptors: of_sort(Sort::Rights).flat_map(|message| numbers(message.2)).collect(),
            processes: of_sort(Sort::Process).flat_map(|message| first(message.2)).collect(),
            destination: destination_in(&messages),
            traffic_class: value(&[Sort::ClassV6, Sort::ClassV4]).map(|class| class as u8),
            hop_limit: value(&[Sort::HopsV6, Sort::HopsV4]).map(|limit| limit as u8),
            segment_size: value(&[Sort::Joined])
                .and_then(|size| usize::try_from(size).ok())
                .filter(|&size| size > 0),
        }
    }

    /// All that the kernel has installed in this process.
    fn installed(&self) -> Vec<c_int> {
        let mut all = [&self.descriptors[..], &self.processes[..]].concat();
        all.sort_unstable();
        all
    }
}

type Message<'a> = (c_int, c_int, &'a [u8]);

fn messages_in(control: &[u8]) -> Vec<Message<'_>> {
    let int = |at: usize| c_int::from_ne_bytes(control[at..at + 4].try_into().unwrap());
    let (mut found, mut at) = (Vec::new(), 0_u128);
    while at + data_start() as u128 <= control.len() as u128 {
        let start = at as usize;
        let length = match sorts::LENGTH_BYTES {
            4 => u64::from(int(start) as u32),
            _ => u64::from_ne_bytes(control[start..start + 8].try_into().unwrap()),
        };
        if length < data_start() as u64 {
            break;
        }
        let end = (at + u128::from(length)).min(control.len() as u128) as usize;
        let sort = start + sorts::LENGTH_BYTES;
        found.push((int(sort), int(sort + 4), &control[start + data_start()..end]));
        at += u128::from(length).next_multiple_of(alignment() as u128);
    }
    found
}

/// The last message of each sort is the one that counts, also if it is too short.
fn destination_in(messages: &[Message<'_>]) -> Option<(IpAddr, u32)> {
    let is_linux = cfg!(target_os = "linux");
    let (mut address, mut interface) = (None, None);
    for &(level, kind, data) in messages {
        let at = |start: usize, count: usize| data.get(start..start + count);
        let v4 = |start| at(start, 4).map(|part| Ipv4Addr::from(<[u8; 4]>::try_from(part).unwrap()));
        let v6 = || at(0, 16).map(|part| IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(part).unwrap())));
        let word = |start| at(start, 4).map(|part| u32::from_ne_bytes(part.try_into().unwrap()));
        let short = |start| at(start, 2).map(|part| u32::from(u16::from_ne_bytes(part.try_into().unwrap())));
        let is = |sort: Sort| (level, kind) == sort.level_and_type();
        if is(Sort::DestinationV4) && is_linux {
            (interface, address) = (word(0), v4(8).map(IpAddr::from));
        } else if is(Sort::DestinationV4) {
            address = v4(0).map(IpAddr::from);
        } else if is(Sort::InterfaceV4) {
            interface = short(2);
        } else if is(Sort::DestinationV6) {
            (address, interface) = (v6(), word(16));
        }
    }
    Some((address?, interface?))
}

fn parts(destination: Destination) -> (IpAddr, u32) {
    (destination.address, destination.interface)
}

fn kind_of(kind: Kind) -> SocketKind {
    match kind {
        Kind::UnixStream => SocketKind::UnixStream,
        Kind::UnixDatagram => SocketKind::UnixDatagram,
        Kind::UnixSeqpacket => SocketKind::UnixSeqpacket,
        Kind::UdpV4 => SocketKind::UdpV4,
        Kind::UdpV6 => SocketKind::UdpV6,
        Kind::Other => SocketKind::Other,
    }
}

/// The most messages, so that an input takes no longer than it is worth.
const MOST: usize = 4;

/// The room for data, and for control messages: that of `ControlBuffer`, and that of `DatagramBuffer`.
const ROOM: usize = 100;
const CONTROL: usize = 6144;
const CONTROL_OF_DATAGRAM: usize = 512;

pub(super) fn run(case: Case<'_>) {
    let mut arrivals = Vec::new();
    for arrival in case.arrivals.into_iter().take(MOST) {
        let control = arrival.control();
        arrivals.push((arrival, control));
    }
    let is_never_sent = |control: &[u8]| messages_in(control).iter().any(|message| message.1 == NEVER);
    if arrivals.iter().any(|(_, control)| is_never_sent(control)) {
        return;
    }
    let kernel = Arriving { arrivals: &arrivals, next: Cell::new(0) };
    // No call reaches a kernel.
    let descriptor = std::io::stdin();
    let socket = SocketRef::new(&descriptor, kind_of(case.kind));
    match (case.call, socket.as_datagram()) {
        (Call::Batch, Some(socket)) => receive_batch(&kernel, &socket),
        (call, _) => receive_each(&kernel, &socket, matches!(call, Call::WithoutDescriptors)),
    }
}

fn receive_each(kernel: &Arriving<'_>, socket: &SocketRef<'_>, without: bool) {
    let (mut control, mut data) = (ControlBuffer::new(), [0; ROOM]);
    for (arrival, all) in kernel.arrivals {
        let read = match without {
            true => Read::default(),
            false => Read::of(&all[..all.len().min(CONTROL)]),
        };
        let room = if arrival.taken == 0xff { 0 } else { ROOM };
        let (taken, mut closed) = kernel::on(kernel, || {
            let mut slices = [IoSliceMut::new(&mut data[..room])];
            let received = match without {
                true => socket.receive_without_descriptors(&mut slices, ReceiveFlags::empty()),
                false => socket.receive(&mut slices, &mut control, ReceiveFlags::empty()),
            };
            check(received.expect("it was received"), arrival, &read, socket.kind(), room, without)
        });
        closed.extend(taken);
        closed.sort_unstable();
        assert_eq!(closed, read.installed(), "each descriptor has one owner");
    }
}

/// Compares what is said of a message with what it had, and takes some of its descriptors.
fn check(
    mut received: Received<'_>,
    arrival: &Arrival<'_>,
    read: &Read,
    kind: SocketKind,
    room: usize,
    without: bool,
) -> Vec<c_int> {
    let is_named = !kind.is_stream() && !without;
    assert_eq!(received.bytes(), arrival.accepted(room));
    assert_eq!(received.sender(), is_named.then(|| arrival.name.read()).flatten());
    assert_eq!(received.destination().map(parts), read.destination);
    assert_eq!(received.traffic_class(), read.traffic_class);
    assert_eq!(received.hop_limit(), read.hop_limit);
    assert_eq!(received.segment_size(), read.segment_size);
    assert_eq!(received.is_truncated(), arrival.is_truncated);
    assert_eq!(received.descriptors_lost(), arrival.is_control_truncated);
    let had_descriptors = arrival.is_control_truncated || read.announced;
    let can_end = match kind {
        SocketKind::UnixStream => cfg!(target_os = "linux") || !had_descriptors,
        SocketKind::UnixSeqpacket => !had_descriptors,
        _ => false,
    };
    assert_eq!(received.is_end_of_file(), can_end && room > 0 && received.bytes() == 0);

    let there = if arrival.is_control_truncated { &[] } else { &read.descriptors[..] };
    let mut taken = Vec::new();
    if arrival.taken % 4 == 3 {
        let only = received.take_descriptor().map(IntoRawFd::into_raw_fd);
        assert_eq!(only.as_slice(), if there.len() == 1 { there } else { &[] });
        taken.extend(only);
        return taken;
    }
    let mut descriptors = received.into_descriptors();
    assert_eq!(descriptors.len(), there.len());
    for descriptor in descriptors.by_ref().take((arrival.taken / 4).into()) {
        taken.push(descriptor.into_raw_fd());
    }
    assert_eq!(taken, there[..taken.len()], "they are in order");
    assert_eq!(descriptors.len(), there.len() - taken.len());
    taken
}

fn receive_batch(kernel: &Arriving<'_>, socket: &SocketRef<'_, DatagramSocket>) {
    let mut rooms = [[0; ROOM]; MOST];
    let rooms = rooms.iter_mut().take(kernel.arrivals.len());
    let mut buffers: Vec<_> = rooms.map(|room| DatagramBuffer::new(room)).collect();
    let (received, mut closed) =
        kernel::on(kernel, || socket.receive_batch(&mut buffers, ReceiveFlags::empty()));
    assert_eq!(received.expect("they were received"), buffers.len());
    let mut installed = Vec::new();
    for ((arrival, all), buffer) in kernel.arrivals.iter().zip(&buffers) {
        let read = match socket.kind() {
            SocketKind::UdpV4 | SocketKind::UdpV6 => Read::of(&all[..all.len().min(CONTROL_OF_DATAGRAM)]),
            _ => Read::default(),
        };
        assert_eq!(buffer.bytes().len(), arrival.accepted(ROOM));
        assert_eq!(buffer.sender(), arrival.name.read());
        assert_eq!(buffer.destination().map(parts), read.destination);
        assert_eq!(buffer.traffic_class(), read.traffic_class);
        assert_eq!(buffer.hop_limit(), read.hop_limit);
        assert_eq!(buffer.segment_size(), read.segment_size);
        assert_eq!(buffer.is_truncated(), arrival.is_truncated);
        assert_eq!(buffer.descriptors_lost(), arrival.is_control_truncated);
        installed.extend(read.installed());
    }
    closed.sort_unstable();
    installed.sort_unstable();
    assert_eq!(closed, installed, "each descriptor is closed once");
}

/// Receives a datagram from a sender of this name.
pub(super) fn sender_of_name(name: &[u8]) -> Option<unisend::Address> {
    struct Sender<'a>(&'a [u8]);
    impl Answers for Sender<'_> {
        fn receive(&self, message: &mut Room<'_>) -> Answer {
            message.name_length = fill(message.name, self.0, false);
            message.control_length = 0;
            Ok(0)
        }
    }
    // SAFETY: no call reaches a kernel.
    let descriptor = unsafe { BorrowedFd::borrow_raw(0) };
    let mut control = ControlBuffer::new();
    let (sender, _) = kernel::on(&Sender(name), || {
        let received = SocketRef::other(descriptor).receive(&mut [], &mut control, ReceiveFlags::empty());
        received.expect("it was received").sender()
    });
    sender
}
