/// What a socket is: its address family and its type in one word.
///
/// Half of the contract depends on it: which flags a socket can honour, which addresses it can send to, and
/// what an errno means.
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
    /// A unix socket of sequenced packets: connected, and a record per call.
    UnixSeqpacket,
    /// A stream of another family or protocol: multipath TCP, a stream over vsock. Each errno has its plain
    /// meaning and nothing is reconciled, but the loops and the end of file know that it is a stream.
    OtherStream,
    /// Anything else: raw, netlink, SCTP, vsock's records. It gets the kernel's own answers: each errno has its
    /// plain meaning, and nothing is reconciled.
    Other,
}

impl SocketKind {
    /// Whether it carries a stream of bytes, in which a call can accept a part of what it was given.
    #[must_use]
    #[inline]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::UnixStream | Self::OtherStream)
    }

    /// Whether it sends datagrams, each to an address of its own if need be.
    #[must_use]
    #[inline]
    pub const fn is_datagram(self) -> bool {
        matches!(self, Self::UdpV4 | Self::UdpV6 | Self::UnixDatagram)
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
