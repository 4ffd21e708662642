use std::fmt;

/// The call that failed, as an [`Error`](crate::Error) names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Operation {
    /// Making an [`Address`](crate::Address).
    Address,
    /// [`Socket::probe`](crate::Socket::probe).
    Probe,
    /// [`Socket::send`](crate::Socket::send).
    Send,
    /// [`Datagram::send_to`](crate::Datagram::send_to).
    SendTo,
    /// [`Socket::send_vectored`](crate::Socket::send_vectored).
    SendVectored,
    /// [`Socket::send_all`](crate::Socket::send_all).
    SendAll,
    /// [`Socket::send_all_vectored`](crate::Socket::send_all_vectored).
    SendAllVectored,
}

impl Operation {
    /// All of them, in order: the first is 0.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Address,
        Self::Probe,
        Self::Send,
        Self::SendTo,
        Self::SendVectored,
        Self::SendAll,
        Self::SendAllVectored,
    ];

    /// The name of the method.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Probe => "probe",
            Self::Send => "send",
            Self::SendTo => "send_to",
            Self::SendVectored => "send_vectored",
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
