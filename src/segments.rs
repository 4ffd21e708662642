use std::fmt;
use std::io::IoSlice;
use std::net::IpAddr;

use crate::address::Address;
use crate::datagram_options::Asked;
use crate::error::{Error, SendAllError};
use crate::platform::contract::{Operation, Refusal, SendFlags, limits};
use crate::platform::{self, Accepted, Kernel, Native, RawErrno, RawFlags};
use crate::socket::{DatagramSocket, SocketRef};

/// One buffer that leaves as datagrams of one size (clause D9).
///
/// Only the last can be shorter. This is how a QUIC server sends: on Linux the kernel divides the buffer
/// (`UDP_SEGMENT`), which on loopback is several times as fast as a send for each (docs/costs.md). Where the kernel cannot, the same
/// datagrams leave as a [batch](SocketRef::send_batch).
///
/// # Examples
///
/// ```
/// use std::net::UdpSocket;
/// use unisend::{SegmentOffload, Segments, SendFlags, SocketRef};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let receiver = UdpSocket::bind("127.0.0.1:0")?;
/// let sender = UdpSocket::bind("127.0.0.1:0")?;
/// let to = receiver.local_addr()?.into();
///
/// let mut offload = SegmentOffload::new(); // one for the socket
/// let data = [7; 3000];
/// Segments::new(&data, 1200).to(&to).send(&SocketRef::udp_v4(&sender), &mut offload, SendFlags::empty())?;
///
/// let mut buffer = [0; 2000];
/// assert_eq!(receiver.recv(&mut buffer)?, 1200);
/// assert_eq!(receiver.recv(&mut buffer)?, 1200);
/// assert_eq!(receiver.recv(&mut buffer)?, 600);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Segments<'a> {
    bytes: &'a [u8],
    size: usize,
    asked: Asked<'a>,
}

/// The most bytes of one call: those of a datagram, if the socket has as many options of IPv4 (`IP_OPTIONS`) as it can.
const BYTES_BESIDE_OPTIONS: usize = limits::DATAGRAM_BYTES - 40;

/// Which segments are left to the kernel. Keep one for each socket or, if its datagrams take different routes, for each
/// destination.
///
/// A kernel, or the device that a route leads to, may be unable to divide a buffer, and says so by an error. The buffer is
/// then sent as a batch, and this value remembers it: the kernel is not asked again for segments of this size or a larger
/// one, and after some errors for none (clause D11). It never forgets. A new value asks again.
#[derive(Debug, Clone)]
pub struct SegmentOffload {
    /// Larger ones are not left to the kernel.
    largest: usize,
}

impl SegmentOffload {
    /// Leaves segments to the kernel, until it refuses them.
    #[must_use]
    pub const fn new() -> Self {
        Self { largest: limits::DATAGRAM_BYTES }
    }

    /// Leaves no segments to the kernel.
    #[must_use]
    pub const fn never() -> Self {
        Self { largest: 0 }
    }

    /// Returns `true` if segments of this size are left to the kernel, as far as is known.
    #[must_use]
    pub fn takes(&self, size: usize) -> bool {
        Native::SEGMENTS.is_some() && size <= self.largest
    }

    /// Remembers that the kernel refused segments of this size. If it is the size that is wrong, smaller ones may do.
    fn refuses(&mut self, size: usize, errno: RawErrno) {
        self.largest = if Native::is_refused_size(errno) { size - 1 } else { 0 };
    }
}

impl Default for SegmentOffload {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Segments<'a> {
    /// Creates segments of these bytes, each of this size. They go to the socket's peer.
    #[must_use]
    #[inline]
    pub const fn new(bytes: &'a [u8], size: usize) -> Self {
        Self { bytes, size, asked: Asked::NOTHING }
    }

    /// Returns the segments with this address to go to.
    #[must_use]
    #[inline]
    pub const fn to(self, address: &'a Address) -> Self {
        Self { asked: Asked { to: Some(address), ..self.asked }, ..self }
    }

    /// Returns the segments with this source, as [`Message::from_source`](crate::Message::from_source) has it
    /// (clauses N5, N5b).
    #[must_use]
    #[inline]
    #[allow(clippy::wrong_self_convention, reason = "it says where the segments are from")]
    pub const fn from_source(self, address: IpAddr) -> Self {
        Self { asked: Asked { source: Some(address), ..self.asked }, ..self }
    }

    /// Returns the segments with this traffic class, as
    /// [`Message::with_traffic_class`](crate::Message::with_traffic_class) has it (clause N6).
    #[must_use]
    #[inline]
    pub const fn with_traffic_class(self, class: u8) -> Self {
        Self { asked: Asked { traffic_class: Some(class), ..self.asked }, ..self }
    }

    /// Sends all the segments, in order.
    ///
    /// It waits if the socket does, as [`send_all`](SocketRef::send_all) does. If it fails,
    /// [`accepted`](SendAllError::accepted) says how many bytes were accepted, which are whole segments: make
    /// `Segments` of the rest, and send them when the socket is writable.
    ///
    /// If there are no bytes, nothing is sent.
    ///
    /// # System calls
    ///
    /// On Linux one sendmsg(2) for at most [`limits::SEGMENTS_PER_CALL`] segments, which have 65467 bytes together at
    /// most (clause D10). If the kernel refuses them twice, and on OpenBSD, those of
    /// [`send_batch`](SocketRef::send_batch).
    ///
    /// # Errors
    ///
    /// Those of [`send_batch`](SocketRef::send_batch) and, before the call,
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the size is 0. A segment that is longer than the path can
    /// carry is not refused by its size: it is fragmented, or fails, as a datagram of this size does.
    ///
    /// Sources: udp(7) of Linux, and runs on Linux.
    pub fn send(
        &self,
        socket: &SocketRef<'_, DatagramSocket>,
        offload: &mut SegmentOffload,
        flags: SendFlags,
    ) -> Result<(), SendAllError> {
        const OPERATION: Operation = Operation::SendSegments;
        let raw_flags = socket.raw_flags(OPERATION, flags).map_err(SendAllError::at_once)?;
        let refusal =
            self.asked.refusal(socket.kind()).or((self.size == 0).then_some(Refusal::EmptySegments));
        if let Some(refusal) = refusal {
            return Err(SendAllError::at_once(Error::refused(OPERATION, refusal)));
        }
        if self.bytes.is_empty() {
            return Ok(());
        }
        socket.send_parts(OPERATION, flags, self.bytes.len(), |accepted| {
            let part = self.send_part(socket, offload, &self.bytes[accepted..], raw_flags);
            part.map_err(|error| socket.after_accepted(error, accepted > 0 && self.asked.to.is_none()))
        })
    }

    /// Sends as much of the rest as one call can take, and returns how many bytes were accepted as whole segments.
    fn send_part(
        &self,
        socket: &SocketRef<'_, DatagramSocket>,
        offload: &mut SegmentOffload,
        rest: &[u8],
        flags: RawFlags,
    ) -> Result<Accepted, Error> {
        let refused = match self.send_by_kernel(socket, offload, rest, flags) {
            Some(Ok(accepted)) => return Ok(accepted),
            Some(Err(errno)) if !Native::is_refused_segment(errno) => return Err(self.failed(socket, errno)),
            Some(Err(errno)) => Some(errno),
            None => None,
        };
        let accepted = self.send_batch(socket, rest, flags)?;
        if let Some(errno) = refused {
            offload.refuses(self.size, errno);
        }
        Ok(accepted)
    }

    /// Has the kernel divide the rest, if there is something to divide and it can.
    fn send_by_kernel(
        &self,
        socket: &SocketRef<'_, DatagramSocket>,
        offload: &SegmentOffload,
        rest: &[u8],
        flags: RawFlags,
    ) -> Option<Result<Accepted, RawErrno>> {
        let most = limits::SEGMENTS_PER_CALL.min(BYTES_BESIDE_OPTIONS / self.size);
        if !socket.kind().is_udp() || rest.len() <= self.size || most < 2 || !offload.takes(self.size) {
            return None;
        }
        let size = u16::try_from(self.size).ok()?;
        let slices = [IoSlice::new(&rest[..rest.len().min(most * self.size)])];
        let outgoing = self.asked.outgoing(&slices, socket.kind());
        let send = || platform::send_segments(socket.fd(), &outgoing, size, flags);
        let sent = match send()? {
            // The network's report of an earlier datagram has the same errno as a refusal, and comes once (D4).
            Err(errno) if Native::is_refused_segment(errno) => send()?,
            outcome => outcome,
        };
        Some(sent.map(|count| self.whole_segments(count, slices[0].len())))
    }

    /// Returns what a call accepted that was asked for this many bytes.
    fn whole_segments(&self, count: usize, asked: usize) -> Accepted {
        let part = if count < asked { count % self.size } else { 0 };
        Accepted { count: count - part, is_cut: part > 0 }
    }

    /// Sends the first segments of the rest as a batch.
    fn send_batch(
        &self,
        socket: &SocketRef<'_, DatagramSocket>,
        rest: &[u8],
        flags: RawFlags,
    ) -> Result<Accepted, Error> {
        let mut slices = [IoSlice::new(&[]); limits::DATAGRAMS_PER_CALL];
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(rest.chunks(self.size)) {
            *slice = IoSlice::new(segment);
            count += 1;
        }
        let datagrams = slices[..count]
            .iter()
            .map(|slice| self.asked.outgoing(std::slice::from_ref(slice), socket.kind()));
        platform::send_messages(socket.fd(), datagrams, flags)
            .map(|Accepted { count, is_cut }| {
                let bytes = slices[..count].iter().map(|segment| segment.len()).sum();
                Accepted { count: bytes, is_cut }
            })
            .map_err(|errno| self.failed(socket, errno))
    }

    fn failed(&self, socket: &SocketRef<'_, DatagramSocket>, errno: RawErrno) -> Error {
        socket.failed(self.asked.operation(), errno)
    }
}

impl fmt::Debug for Segments<'_> {
    /// Shows the sizes only, because the data can be long, and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments")
            .field("bytes", &self.bytes.len())
            .field("size", &self.size)
            .field("to", &self.asked.to)
            .field("source", &self.asked.source)
            .finish_non_exhaustive()
    }
}

impl SocketRef<'_, DatagramSocket> {
    /// Allows the kernel to join datagrams that a UDP socket receives, if they come from one sender, together, and with
    /// one size (clause D12).
    ///
    /// A receive then returns several at once, and [`Received::segment_size`](crate::Received::segment_size) says their
    /// size. The room for them must be as large as the largest datagram, 64 KiB: if it is smaller, the joined datagrams
    /// are truncated, and those at the end are lost.
    ///
    /// **Receive with [`receive`](Self::receive) or [`receive_batch`](Self::receive_batch) then.** A call without room for
    /// control messages ([`receive_without_descriptors`](Self::receive_without_descriptors), or std's `recv_from`) returns
    /// joined datagrams without their size, so that nobody can tell them apart.
    ///
    /// It is a permission. Linux joins datagrams since 5.0 (`UDP_GRO`), and may not. OpenBSD never joins any.
    ///
    /// # System calls
    ///
    /// On Linux one setsockopt(2). On OpenBSD none.
    ///
    /// # Errors
    ///
    /// Before the call: [`Unsupported`](crate::ErrorKind::Unsupported) for a socket that is not UDP. From the kernel
    /// (Linux), if the descriptor is no socket: `NotSocket` or `BadDescriptor`.
    ///
    /// Sources: udp(7) of Linux, and runs on Linux.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSliceMut;
    /// use std::net::UdpSocket;
    /// use unisend::{ControlBuffer, ReceiveFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = UdpSocket::bind("127.0.0.1:0")?;
    /// let socket = SocketRef::udp_v4(&server);
    /// socket.receive_joined()?;
    /// # UdpSocket::bind("127.0.0.1:0")?.send_to(b"ping", server.local_addr()?)?;
    ///
    /// let mut control = ControlBuffer::new();
    /// let mut buffer = vec![0; 65536];
    /// let mut slices = [IoSliceMut::new(&mut buffer)];
    /// let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty())?;
    /// let (bytes, size) = (received.bytes(), received.segment_size());
    /// for datagram in buffer[..bytes].chunks(size.unwrap_or(bytes).max(1)) {
    ///     assert_eq!(datagram, b"ping");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_joined(&self) -> Result<(), Error> {
        const OPERATION: Operation = Operation::ReceiveJoined;
        if !self.kind().is_udp() {
            return Err(Error::refused(OPERATION, Refusal::JoinedOfUdp));
        }
        platform::receive_joined(self.fd()).map_err(|errno| Error::plain(OPERATION, errno))
    }
}
