use super::SocketKind;

bitflags::bitflags! {
    /// How a message is to be sent.
    ///
    /// `MSG_NOSIGNAL` is not among them: it is always set. The bits are unisend's own and are translated to
    /// the kernel's, whose numbers differ (clause F1: Linux's number for "end of record" is OpenBSD's for "do
    /// not wait").
    ///
    /// A flag that asks for behaviour is honoured or refused with
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before the call, never ignored. A hint is
    /// dropped where the kernel has no such thing. A bit that unisend does not know is refused.
    ///
    /// | flag | TCP | UDP | unix stream | unix datagram | unix seqpacket | clause |
    /// |---|---|---|---|---|---|---|
    /// | `OUT_OF_BAND` | yes | refused | refused | refused | refused | F2 |
    /// | `DONT_ROUTE` on Linux | yes | yes | refused | refused | refused | F1b |
    /// | `DONT_ROUTE` on OpenBSD | refused | refused | refused | refused | refused | F1b |
    /// | `DONT_WAIT` | yes | yes | yes | yes | yes | F1 |
    /// | `END_OF_RECORD` | refused | refused | refused | refused | yes | F3 |
    /// | `MORE` (hint) | on Linux | dropped | dropped | dropped | dropped | F4 |
    /// | `CONFIRM` (hint) | dropped | on Linux | dropped | dropped | dropped | F4 |
    ///
    /// ```
    /// use unisend::SendFlags;
    ///
    /// let flags = SendFlags::DONT_WAIT | SendFlags::MORE;
    /// assert!(flags.contains(SendFlags::DONT_WAIT));
    /// assert_eq!(SendFlags::default(), SendFlags::empty());
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct SendFlags: u8 {
        /// Mark the last byte of this call as urgent (`MSG_OOB`; clause F2). TCP alone: Linux can do it on
        /// unix streams as well, OpenBSD cannot.
        const OUT_OF_BAND = 1;
        /// Send to hosts on the attached networks only, bypassing the routing table (`MSG_DONTROUTE`; clause
        /// F1b). OpenBSD has no such thing: it ignores the bit, so unisend refuses it there.
        const DONT_ROUTE = 1 << 1;
        /// Do not wait for room, whatever the descriptor's `O_NONBLOCK` says (`MSG_DONTWAIT`).
        const DONT_WAIT = 1 << 2;
        /// This message ends a record (`MSG_EOR`; clause F3). Sequenced packets alone. It is not promised
        /// that the receiver is told: OpenBSD reports it, Linux does not.
        const END_OF_RECORD = 1 << 3;
        /// A hint that more data follows at once, so that a partial segment may be held back (`MSG_MORE`;
        /// clause F4). Linux's TCP alone; dropped elsewhere.
        const MORE = 1 << 4;
        /// A hint that the peer was heard of lately, so that its link-layer address need not be confirmed
        /// (`MSG_CONFIRM`; clause F4). Linux's UDP alone; dropped elsewhere.
        const CONFIRM = 1 << 5;
    }
}

impl SendFlags {
    /// How many combinations of known flags there are.
    pub(crate) const COMBINATIONS: usize = Self::all().bits() as usize + 1;

    /// Neither honoured everywhere nor known: a call without any of these needs no look at the socket's kind.
    pub(crate) const DEPENDS_ON_KIND: Self = Self::from_bits_retain(!Self::DONT_WAIT.bits());

    /// The flags that ask for nothing a kernel must do.
    pub(crate) const HINTS: Self = Self::MORE.union(Self::CONFIRM);

    /// What the contract lets a kind of socket honour, on any system.
    #[inline]
    pub(crate) const fn honoured_on(kind: SocketKind) -> Self {
        let own = match kind {
            SocketKind::Tcp => Self::OUT_OF_BAND.union(Self::DONT_ROUTE).union(Self::MORE),
            SocketKind::UdpV4 | SocketKind::UdpV6 => Self::DONT_ROUTE.union(Self::CONFIRM),
            SocketKind::UnixSeqpacket => Self::END_OF_RECORD,
            SocketKind::UnixStream | SocketKind::UnixDatagram => Self::empty(),
            SocketKind::Other => Self::all(),
        };
        own.union(Self::DONT_WAIT)
    }
}
