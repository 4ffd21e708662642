use super::SocketKind;

bitflags::bitflags! {
    /// Flags for sending.
    ///
    /// `MSG_NOSIGNAL` is not among them, because it is always set. The bits are unisend's own, and are
    /// translated to those of the kernel. The kernels' numbers differ: Linux's number for "end of record" is
    /// OpenBSD's for "do not wait" (clause F1).
    ///
    /// A flag that asks for behaviour is honoured, or is refused with
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before the call. A bit that unisend does not
    /// know is refused too. `MORE` on a stream and `CONFIRM` are hints: they change no byte that the peer
    /// receives, and are dropped if the kernel has no such flag. `MORE` on a datagram or record is refused,
    /// because Linux would join two of them (clause F4b).
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
    /// A socket of kind [`OtherStream`](crate::SocketKind::OtherStream) takes `DONT_WAIT` and the hints. On a
    /// socket of kind [`Other`](crate::SocketKind::Other), a flag that the system has is passed to the
    /// kernel, which decides what it does; `MORE` is refused.
    ///
    /// # Examples
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
        /// Marks the last byte that this call sends as urgent (`MSG_OOB`; clause F2).
        ///
        /// It is for TCP only. Linux can do it on unix streams too, but OpenBSD cannot. After a short count,
        /// the mark is on the last byte that was accepted, which is not the intended one. To mark the right
        /// byte, send it in a call of its own.
        const OUT_OF_BAND = 1;
        /// Sends to hosts on directly attached networks only, and not through a gateway (`MSG_DONTROUTE`;
        /// clauses F1b, F1d).
        ///
        /// It is for UDP over IPv4 on Linux only, and is refused elsewhere: Linux ignores the bit on TCP and
        /// on UDP over IPv6, and OpenBSD does not have it.
        const DONT_ROUTE = 1 << 1;
        /// Does not wait for room, whatever the descriptor's `O_NONBLOCK` is (`MSG_DONTWAIT`).
        const DONT_WAIT = 1 << 2;
        /// Ends a record with this message (`MSG_EOR`; clause F3).
        ///
        /// It is for sequenced packets only. It is not promised that the receiver is told: OpenBSD reports
        /// it, and Linux does not.
        const END_OF_RECORD = 1 << 3;
        /// Hints that more data follows at once, so that a partial segment may be held back (`MSG_MORE`;
        /// clause F4).
        ///
        /// It is for streams only. Linux's TCP uses it.
        const MORE = 1 << 4;
        /// Hints that the peer has answered recently, so that its link-layer address does not have to be
        /// confirmed (`MSG_CONFIRM`; clause F4c).
        ///
        /// Linux's UDP uses it.
        const CONFIRM = 1 << 5;
    }
}

impl SendFlags {
    /// The number of combinations of known flags.
    pub(crate) const COMBINATIONS: usize = Self::all().bits() as usize + 1;

    /// All bits but those that every socket honours. A call that has none of these does not look at the
    /// socket's kind.
    pub(crate) const DEPENDS_ON_KIND: Self = Self::from_bits_retain(!Self::DONT_WAIT.bits());

    /// Returns the flags that are hints on this kind of socket.
    #[inline]
    pub(crate) const fn hints_on(kind: SocketKind) -> Self {
        match kind {
            kind if kind.is_stream() => Self::CONFIRM.union(Self::MORE),
            // Linux would join this datagram or record with the next one (F4b).
            _ => Self::CONFIRM,
        }
    }

    /// Returns the flags that this kind of socket can honour, on any system.
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
