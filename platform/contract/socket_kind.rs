/// The kind of a socket: its address family and its type together.
///
/// It decides which flags a socket can honour, which addresses it can send to, and what an errno means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum SocketKind {
    /// TCP, over IPv4 or IPv6.
    Tcp,
    /// UDP over IPv4.
    UdpV4,
    /// UDP over IPv6.
    UdpV6,
    /// A unix stream socket.
    UnixStream,
    /// A unix datagram socket.
    UnixDatagram,
    /// A unix socket of sequenced packets: it is connected, and each call sends one record.
    UnixSeqpacket,
    /// A stream of another family or protocol, such as multipath TCP or a stream over vsock.
    ///
    /// Each errno has its plain meaning, and nothing is reconciled. The calls that send everything, and
    /// [`Received::is_end_of_file`](crate::Received::is_end_of_file), treat the socket as a stream.
    OtherStream,
    /// Any other socket, such as raw, netlink, SCTP or a vsock socket of records.
    ///
    /// Each errno has its plain meaning, and nothing is reconciled. The kernel decides which addresses it sends to
    /// (clause O1).
    Other,
}

impl SocketKind {
    /// Returns `true` if the socket carries a stream of bytes, so that a call can accept a part of its data.
    #[must_use]
    #[inline]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::UnixStream | Self::OtherStream)
    }

    /// Returns `true` if the socket sends datagrams, each of which can have its own address.
    #[must_use]
    #[inline]
    pub const fn is_datagram(self) -> bool {
        matches!(self, Self::UdpV4 | Self::UdpV6 | Self::UnixDatagram)
    }

    /// Returns whether it is a socket of UDP, over IPv4 or IPv6.
    #[inline]
    pub(crate) const fn is_udp(self) -> bool {
        matches!(self, Self::UdpV4 | Self::UdpV6)
    }

    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::Tcp,
        Self::UdpV4,
        Self::UdpV6,
        Self::UnixStream,
        Self::UnixDatagram,
        Self::UnixSeqpacket,
        Self::OtherStream,
        Self::Other,
    ];
}
