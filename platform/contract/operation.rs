use std::fmt;

/// The call that failed, as an [`Error`](crate::Error) names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Operation {
    /// Making an [`Address`](crate::Address).
    Address,
    /// [`SocketRef::probe`](crate::SocketRef::probe).
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
    /// [`SocketRef::receive`](crate::SocketRef::receive) and its sibling.
    Receive,
    /// [`SocketRef::peer_credentials`](crate::SocketRef::peer_credentials).
    PeerCredentials,
    /// [`sendfile`](crate::sendfile()) and [`sendfile_by_copying`](crate::sendfile_by_copying).
    Sendfile,
    /// [`sendfile_all`](crate::sendfile_all) and [`sendfile_all_by_copying`](crate::sendfile_all_by_copying).
    SendfileAll,
    /// [`SocketRef::send_all`](crate::SocketRef::send_all).
    SendAll,
    /// [`SocketRef::send_all_vectored`](crate::SocketRef::send_all_vectored).
    SendAllVectored,
}

impl Operation {
    /// Whether the call names its destination.
    pub(crate) const fn names_destination(self) -> bool {
        matches!(self, Self::SendTo | Self::SendMessageTo)
    }

    /// All of them, in order: the first is 0.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Address,
        Self::Probe,
        Self::Send,
        Self::SendTo,
        Self::SendVectored,
        Self::SendMessage,
        Self::SendMessageTo,
        Self::SendMessageAll,
        Self::Receive,
        Self::PeerCredentials,
        Self::Sendfile,
        Self::SendfileAll,
        Self::SendAll,
        Self::SendAllVectored,
    ];

    /// The name of the function: "send", "Message::send".
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
            Self::Receive => "receive",
            Self::PeerCredentials => "peer_credentials",
            Self::Sendfile => "sendfile",
            Self::SendfileAll => "sendfile_all",
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
