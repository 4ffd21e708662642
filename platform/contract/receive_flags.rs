use super::SocketKind;

bitflags::bitflags! {
    /// Flags for receiving.
    ///
    /// The bits are unisend's own, and are translated to those of the kernel. A flag is honoured, or is refused
    /// with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before the call. A bit that unisend does
    /// not know is refused too.
    ///
    /// | flag | TCP | UDP | unix sockets | [`Other`](SocketKind::Other), [`OtherStream`](SocketKind::OtherStream) | clause |
    /// |---|---|---|---|---|---|
    /// | `DONT_WAIT` | yes | yes | yes | yes | |
    /// | `PEEK` | yes | yes | refused | refused | F7, R26 |
    /// | `OUT_OF_BAND` | yes | refused | refused | refused | F8 |
    ///
    /// # Flags that do not exist
    ///
    /// There is no flag to wait until the slices are full (`MSG_WAITALL`): once OpenBSD has a part of the data,
    /// it waits for the rest, even if it was told not to wait (clause F9). `read_exact` of
    /// [`std::io::Read`] receives a stream to a given length.
    ///
    /// There is no flag to ask for the real length of a datagram (`MSG_TRUNC`): OpenBSD has no such request
    /// (clause F6). A buffer of 65535 bytes has room for every datagram of UDP over IPv4 and IPv6 that is not
    /// a jumbogram.
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
    /// let client = UdpSocket::bind("127.0.0.1:0")?;
    /// client.send_to(b"ping", server.local_addr()?)?;
    ///
    /// let (socket, mut control) = (SocketRef::udp_v4(&server), ControlBuffer::new());
    /// let mut kind = [0];
    /// let first = socket.receive(&mut [IoSliceMut::new(&mut kind)], &mut control, ReceiveFlags::PEEK)?;
    /// assert!(first.is_truncated() && first.sender().is_some());
    ///
    /// let mut whole = [0; 1500];
    /// let mut slices = [IoSliceMut::new(&mut whole)];
    /// let all = socket.receive_without_descriptors(&mut slices, ReceiveFlags::empty())?;
    /// assert_eq!((kind, all.bytes()), (*b"p", 4)); // the datagram was whole
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct ReceiveFlags: u32 {
        /// Does not wait for data, whatever the descriptor's `O_NONBLOCK` is (`MSG_DONTWAIT`).
        const DONT_WAIT = 1;
        /// Leaves the data where it is: the next call receives it again (`MSG_PEEK`; clauses F7 to F7f).
        ///
        /// It is for TCP and UDP. A pending error is not left: it is returned once, as without the flag. On
        /// Linux a socket with `SO_PEEK_OFF` begins its peeks where the option says.
        ///
        /// It is refused on unix sockets, because data there can have descriptors: at each peek Linux installs
        /// a copy of them, or says that they were lost, and OpenBSD hides them (clause R26).
        const PEEK = 1 << 1;
        /// Receives the urgent byte of a TCP connection (`MSG_OOB`; clauses F8 to F8h), which is not a part of
        /// the stream unless `SO_OOBINLINE` is set. With `PEEK` the byte stays.
        ///
        /// It never waits. It is [`InvalidInput`](crate::ErrorKind::InvalidInput) if there is no urgent byte,
        /// whatever the state of the connection, and [`WouldBlock`](crate::ErrorKind::WouldBlock) if the peer has
        /// announced one that has not come.
        ///
        /// Wait for it with poll(2)'s `POLLPRI`, which OpenBSD reports when the byte is announced, and receive it
        /// **before** anything else: a receive or a peek that begins where the urgent byte was can lose it (clause
        /// F8e).
        const OUT_OF_BAND = 1 << 2;
    }
}

impl ReceiveFlags {
    /// Returns the flags that this kind of socket can honour, on every system.
    #[inline]
    pub(crate) const fn honoured_on(kind: SocketKind) -> Self {
        let own = match kind {
            SocketKind::Tcp => Self::PEEK.union(Self::OUT_OF_BAND),
            SocketKind::UdpV4 | SocketKind::UdpV6 => Self::PEEK,
            // R26: there can be descriptors with the data, and F2b: Linux can be built with or without urgent bytes.
            _ => Self::empty(),
        };
        own.union(Self::DONT_WAIT)
    }
}
