use super::SocketKind;

bitflags::bitflags! {
    /// How a message is to be sent.
    ///
    /// `MSG_NOSIGNAL` is not among them: it is always set. The bits are unisend's own and are translated to
    /// the kernel's, whose numbers differ (clause F1: Linux's number for "end of record" is OpenBSD's for "do
    /// not wait").
    ///
    /// A flag that asks for behaviour is honoured, or refused with
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before the call. `MORE` on a stream and `CONFIRM`
    /// are hints: they change no byte that the peer receives, and are dropped where the kernel has no such thing.
    /// On a datagram or record `MORE` is refused, for Linux would join two of them (clause F4b). A bit that unisend
    /// does not know is refused.
    ///
    /// | flag | TCP | UDP/IPv4 | UDP/IPv6 | unix stream | unix datagram | unix seqpacket | clause |
    /// |---|---|---|---|---|---|---|---|
    /// | `OUT_OF_BAND` | yes | refused | refused | refused | refused | refused | F2 |
    /// | `DONT_ROUTE` on Linux | refused | yes | refused | refused | refused | refused | F1b, F1d |
    /// | `DONT_ROUTE` on OpenBSD | refused | refused | refused | refused | refused | refused | F1b |
    /// | `DONT_WAIT` | yes | yes | yes | yes | yes | yes | F1 |
    /// | `END_OF_RECORD` | refused | refused | refused | refused | refused | yes | F3 |
    /// | `MORE` | hint | refused | refused | hint | refused | refused | F4, F4b |
    /// | `CONFIRM` | hint | hint | hint | hint | hint | hint | F4c |
    ///
    /// A stream of kind [`OtherStream`](crate::SocketKind::OtherStream) takes `DONT_WAIT` and the hints. On a socket of
    /// kind [`Other`](crate::SocketKind::Other) a flag that the system has is passed on, and what it does is the
    /// kernel's word; but `MORE` is refused.
    ///
    /// ```
    /// use unisend::SendFlags;
    ///
    /// let flags = SendFlags::DONT_WAIT | SendFlags::MORE;
    /// assert!(flags.contains(SendFlags::DONT_WAIT));
    /// assert_eq!(SendFlags::default(), SendFlags::empty());
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct SendFlags: u32 {
        /// Mark the last byte that this call sends as urgent (`MSG_OOB`; clause F2). TCP alone: Linux can do it
        /// on unix streams as well, OpenBSD cannot.
        ///
        /// After a short count the mark is on the last byte that was accepted, which was not meant to have it.
        /// To be sure of the mark, send the urgent byte in a call of its own.
        const OUT_OF_BAND = 1;
        /// Send to hosts on the attached networks only, not through a gateway (`MSG_DONTROUTE`; clauses
        /// F1b, F1d). UDP over IPv4 on Linux alone. Linux ignores the bit on TCP and on UDP over IPv6, and OpenBSD
        /// has no such thing, so unisend refuses it there.
        const DONT_ROUTE = 1 << 1;
        /// Do not wait for room, whatever the descriptor's `O_NONBLOCK` says (`MSG_DONTWAIT`).
        const DONT_WAIT = 1 << 2;
        /// This message ends a record (`MSG_EOR`; clause F3). Sequenced packets alone. It is not promised
        /// that the receiver is told: OpenBSD reports it, Linux does not.
        const END_OF_RECORD = 1 << 3;
        /// A hint that more data follows at once, so that a partial segment may be held back (`MSG_MORE`;
        /// clause F4). Streams alone. Linux's TCP makes use of it.
        const MORE = 1 << 4;
        /// A hint that the peer was heard of lately, so that its link-layer address need not be confirmed
        /// (`MSG_CONFIRM`; clause F4c). Linux's UDP makes use of it.
        const CONFIRM = 1 << 5;
    }
}

impl SendFlags {
    /// How many combinations of known flags there are.
    pub(crate) const COMBINATIONS: usize = Self::all().bits() as usize + 1;

    /// Neither honoured everywhere nor known: a call without any of these needs no look at the socket's kind.
    pub(crate) const DEPENDS_ON_KIND: Self = Self::from_bits_retain(!Self::DONT_WAIT.bits());

    /// The flags that ask for nothing a kernel must do, on this kind of socket.
    #[inline]
    pub(crate) const fn hints_on(kind: SocketKind) -> Self {
        match kind {
            kind if kind.is_stream() => Self::CONFIRM.union(Self::MORE),
            // Linux would join this datagram or record with the next one (F4b).
            _ => Self::CONFIRM,
        }
    }

    /// What the contract lets a kind of socket honour, on any system.
    #[inline]
    pub(crate) const fn honoured_on(kind: SocketKind) -> Self {
        let own = match kind {
            SocketKind::Tcp => Self::OUT_OF_BAND.union(Self::MORE),
            SocketKind::UdpV4 => Self::DONT_ROUTE.union(Self::CONFIRM),
            SocketKind::UdpV6 => Self::CONFIRM,
            SocketKind::UnixSeqpacket => Self::END_OF_RECORD,
            SocketKind::UnixStream | SocketKind::UnixDatagram => Self::empty(),
            SocketKind::OtherStream => Self::MORE,
            SocketKind::Other => Self::all().difference(Self::MORE),
        };
        own.union(Self::DONT_WAIT)
    }
}
