//! Many datagrams, with unisend, by hand and by quinn-udp, as ratios of throughput: above 1 unisend is faster. It prints the
//! table of docs/costs.md.
//!
//! Each ratio is the median of pairs that are run in turn, so that what the machine does besides meets both. A run sends a
//! burst and receives it again, and only the sending is timed: on loopback it includes the delivery.
//!
//!     cargo run --release --package unisend-datagrams [PAIRS]

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use unisend::{
    Address, Datagram, DatagramBuffer, ReceiveFlags, SegmentOffload, Segments, SendFlags, SocketRef,
};
use unisend_throughput::median_of_pairs;

/// As many as a default receive buffer holds.
const COUNT: usize = 40;
const SIZE: usize = 1200;
const ROUNDS: usize = 500;

const NO_FLAGS: SendFlags = SendFlags::empty();

struct Bench {
    ours: UdpSocket,
    theirs: UdpSocket,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Bench {
    fn new() -> std::io::Result<Self> {
        let (ours, theirs) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        let to = theirs.local_addr()?;
        Ok(Self { ours, theirs, to, bytes: vec![7; COUNT * SIZE] })
    }

    /// How long all bursts take to be sent.
    fn time(&self, mut send: impl FnMut(&Self)) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            send(self);
            took += start.elapsed();
            self.drain();
        }
        took
    }

    fn drain(&self) {
        let mut rooms = [[0; SIZE]; COUNT];
        let mut buffers = rooms.each_mut().map(|room| DatagramBuffer::new(room));
        let mut left = COUNT;
        while left > 0 {
            left -= SocketRef::udp_v4(&self.theirs)
                .receive_batch(&mut buffers, ReceiveFlags::empty())
                .expect("all are delivered");
        }
    }

    fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(SIZE)
    }
}

/// One send for each.
fn one_by_one(bench: &Bench) {
    let (socket, to) = (SocketRef::udp_v4(&bench.ours), Address::from(bench.to));
    for bytes in bench.datagrams() {
        socket.send_to(bytes, &to, NO_FLAGS).expect("it is sent");
    }
}

fn batch(bench: &Bench) {
    let to = Address::from(bench.to);
    let mut slices = [[IoSlice::new(&[])]; COUNT];
    for (slice, bytes) in slices.iter_mut().zip(bench.datagrams()) {
        *slice = [IoSlice::new(bytes)];
    }
    let batch = slices.each_ref().map(|slices| Datagram::new(slices).to(&to));
    SocketRef::udp_v4(&bench.ours).send_batch(&batch, NO_FLAGS).expect("all are sent");
}

fn segments(bench: &Bench, offload: &mut SegmentOffload) {
    let to = Address::from(bench.to);
    let segments = Segments::new(&bench.bytes, SIZE).to(&to);
    segments.send(&SocketRef::udp_v4(&bench.ours), offload, NO_FLAGS).expect("all are sent");
}

/// sendmmsg(2) as a C program has it.
fn batch_by_hand(bench: &Bench) {
    let SocketAddr::V4(to) = bench.to else { unreachable!("it is bound to IPv4") };
    // SAFETY: zero is valid for every member.
    let mut name: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    name.sin_family = libc::AF_INET as _;
    name.sin_port = to.port().to_be();
    name.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
    // SAFETY: zero is valid for every member.
    let mut vectors: [libc::iovec; COUNT] = unsafe { std::mem::zeroed() };
    // SAFETY: zero is valid for every member.
    let mut headers: [libc::mmsghdr; COUNT] = unsafe { std::mem::zeroed() };
    for ((vector, header), bytes) in vectors.iter_mut().zip(&mut headers).zip(bench.datagrams()) {
        *vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        header.msg_hdr.msg_name = (&raw mut name).cast();
        header.msg_hdr.msg_namelen = size_of_val(&name) as _;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    let (fd, flags) = (bench.ours.as_raw_fd(), libc::MSG_NOSIGNAL);
    // SAFETY: the pointer and the length are of one array, and what its messages point to outlives the call.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), COUNT as _, flags as _) };
    assert_eq!(usize::try_from(sent), Ok(COUNT));
}

/// quinn-udp sends one buffer in segments, as `Segments` does, by the same option.
fn by_quinn(bench: &Bench) -> std::io::Result<impl Fn(&Bench)> {
    let state = quinn_udp::UdpSocketState::new((&bench.ours).into())?;
    Ok(move |bench: &Bench| {
        let at_once = SIZE * state.max_gso_segments();
        for contents in bench.bytes.chunks(at_once) {
            let transmit = quinn_udp::Transmit {
                destination: bench.to,
                ecn: None,
                contents,
                segment_size: (contents.len() > SIZE).then_some(SIZE),
                src_ip: None,
            };
            state.send((&bench.ours).into(), &transmit).expect("it is sent");
        }
    })
}

fn main() -> std::io::Result<()> {
    let pairs = std::env::args().nth(1).map_or(11, |pairs| pairs.parse().expect("the number of pairs"));
    let bench = Bench::new()?;
    let time = |send: &dyn Fn(&Bench)| bench.time(send);
    let by_kernel = || bench.time(|bench| segments(bench, &mut SegmentOffload::new()));
    let divided = || bench.time(|bench| segments(bench, &mut SegmentOffload::never()));

    println!("| | compared with | UDP over IPv4 |\n|---|---|---|");
    let row = |ours: &str, theirs: &str, ratio: f64| println!("| {ours} | {theirs} | {ratio:.2} |");
    let ratio = median_of_pairs(pairs, || time(&batch), || time(&one_by_one));
    row("`send_batch`", "`send_to`, one by one", ratio);
    row("`send_batch`", "sendmmsg(2)", median_of_pairs(pairs, || time(&batch), || time(&batch_by_hand)));
    row("`Segments`", "`send_to`, one by one", median_of_pairs(pairs, by_kernel, || time(&one_by_one)));
    row("`Segments`, by a batch", "sendmmsg(2)", median_of_pairs(pairs, divided, || time(&batch_by_hand)));
    // It sets options of the socket, so it comes last.
    let quinn = by_quinn(&bench)?;
    row("`Segments`", "quinn-udp", median_of_pairs(pairs, by_kernel, || time(&quinn)));
    Ok(())
}
