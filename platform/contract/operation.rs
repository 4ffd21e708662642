use std::fmt;

/// The call that failed, as reported by [`Error::operation`](crate::Error::operation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Operation {
    /// [`Address::unix`](crate::Address::unix), [`Address::unix_abstract`](crate::Address::unix_abstract),
    /// [`Address::v4_mapped`](crate::Address::v4_mapped) and
    /// [`Address::from_sockaddr_bytes`](crate::Address::from_sockaddr_bytes).
    Address,
    /// [`SocketRef::probe`](crate::SocketRef::probe), and the conversion of a `UdpSocket` to a
    /// [`SocketRef`](crate::SocketRef).
    Probe,
    /// [`SocketRef::send`](crate::SocketRef::send).
    Send,
    /// [`SocketRef::send_to`](crate::SocketRef::send_to).
    SendTo,
    /// [`SocketRef::send_vectored`](crate::SocketRef::send_vectored).
    SendVectored,
    /// [`Message::send`](crate::Message::send).
    SendMessage,
    /// [`Message::send_to`](crate::Message::send_to).
    SendMessageTo,
    /// [`Message::send_all`](crate::Message::send_all).
    SendMessageAll,
    /// [`SocketRef::send_batch`](crate::SocketRef::send_batch).
    SendBatch,
    /// [`Segments::send`](crate::Segments::send).
    SendSegments,
    /// [`SocketRef::receive_joined`](crate::SocketRef::receive_joined).
    ReceiveJoined,
    /// [`SocketRef::receive`](crate::SocketRef::receive) and
    /// [`SocketRef::receive_without_descriptors`](crate::SocketRef::receive_without_descriptors).
    Receive,
    /// [`SocketRef::receive_batch`](crate::SocketRef::receive_batch).
    ReceiveBatch,
    /// [`SocketRef::receive_destinations`](crate::SocketRef::receive_destinations).
    ReceiveDestinations,
    /// [`SocketRef::receive_traffic_classes`](crate::SocketRef::receive_traffic_classes).
    ReceiveTrafficClasses,
    /// [`SocketRef::receive_hop_limits`](crate::SocketRef::receive_hop_limits).
    ReceiveHopLimits,
    /// [`SocketRef::peer_credentials`](crate::SocketRef::peer_credentials).
    PeerCredentials,
    /// [`UnixSeqpacket::pair`](crate::UnixSeqpacket::pair).
    Pair,
    /// [`UnixSeqpacket::connect`](crate::UnixSeqpacket::connect).
    Connect,
    /// [`UnixSeqpacketListener::bind`](crate::UnixSeqpacketListener::bind).
    Bind,
    /// [`UnixSeqpacketListener::accept`](crate::UnixSeqpacketListener::accept).
    Accept,
    /// `local_address` of [`UnixSeqpacket`](crate::UnixSeqpacket::local_address) and of
    /// [`UnixSeqpacketListener`](crate::UnixSeqpacketListener::local_address).
    LocalAddress,
    /// [`UnixSeqpacket::peer_address`](crate::UnixSeqpacket::peer_address).
    PeerAddress,
    /// [`sendfile`](crate::sendfile()).
    Sendfile,
    /// [`Transfer::send`](crate::Transfer::send).
    Transfer,
    /// [`Transfer::send_all`](crate::Transfer::send_all).
    TransferAll,
    /// [`Cork::new`](crate::Cork::new).
    Cork,
    /// [`SocketRef::send_all`](crate::SocketRef::send_all).
    SendAll,
    /// [`SocketRef::send_all_vectored`](crate::SocketRef::send_all_vectored).
    SendAllVectored,
}

impl Operation {
    /// Returns whether the call has an address.
    pub(crate) const fn names_destination(self) -> bool {
        matches!(self, Self::SendTo | Self::SendMessageTo | Self::Connect)
    }

    /// Returns whether the call receives.
    pub(crate) const fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::ReceiveBatch)
    }

    /// Returns whether the call can send a part of its data. A datagram, which has an address, is sent whole or not at
    /// all.
    pub(crate) const fn can_send_a_part(self) -> bool {
        !self.receives() && !self.names_destination()
    }

    /// All operations, in order: the first is 0.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Address,
        Self::Probe,
        Self::Send,
        Self::SendTo,
        Self::SendVectored,
        Self::SendMessage,
        Self::SendMessageTo,
        Self::SendMessageAll,
        Self::SendBatch,
        Self::SendSegments,
        Self::ReceiveJoined,
        Self::Receive,
        Self::ReceiveBatch,
        Self::ReceiveDestinations,
        Self::ReceiveTrafficClasses,
        Self::ReceiveHopLimits,
        Self::PeerCredentials,
        Self::Pair,
        Self::Connect,
        Self::Bind,
        Self::Accept,
        Self::LocalAddress,
        Self::PeerAddress,
        Self::Sendfile,
        Self::Transfer,
        Self::TransferAll,
        Self::Cork,
        Self::SendAll,
        Self::SendAllVectored,
    ];

    /// Returns the name of the function, such as "send" or "Message::send".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Probe => "probe",
            Self::Send => "send",
            Self::SendTo => "send_to",
            Self::SendVectored => "send_vectored",
            Self::SendMessage => "Message::send",
            Self::SendMessageTo => "Message::send_to",
            Self::SendMessageAll => "Message::send_all",
            Self::SendBatch => "send_batch",
            Self::SendSegments => "Segments::send",
            Self::ReceiveJoined => "receive_joined",
            Self::Receive => "receive",
            Self::ReceiveBatch => "receive_batch",
            Self::ReceiveDestinations => "receive_destinations",
            Self::ReceiveTrafficClasses => "receive_traffic_classes",
            Self::ReceiveHopLimits => "receive_hop_limits",
            Self::PeerCredentials => "peer_credentials",
            Self::Pair => "UnixSeqpacket::pair",
            Self::Connect => "UnixSeqpacket::connect",
            Self::Bind => "UnixSeqpacketListener::bind",
            Self::Accept => "UnixSeqpacketListener::accept",
            Self::LocalAddress => "local_address",
            Self::PeerAddress => "peer_address",
            Self::Sendfile => "sendfile",
            Self::Transfer => "Transfer::send",
            Self::TransferAll => "Transfer::send_all",
            Self::Cork => "Cork::new",
            Self::SendAll => "send_all",
            Self::SendAllVectored => "send_all_vectored",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
