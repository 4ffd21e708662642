use std::io::IoSlice;
use std::net::IpAddr;

use crate::address::Address;
use crate::platform::contract::{Operation, Refusal, SocketKind};
use crate::platform::{DatagramOptions, Kernel, Native, Outgoing};

/// What a datagram asks for: where it goes to, if not to the socket's peer, where it is sent from, and its traffic class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) to: Option<&'a Address>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) traffic_class: Option<u8>,
}

impl<'a> Asked<'a> {
    pub(crate) const NOTHING: Self = Self { to: None, source: None, traffic_class: None };

    /// Returns the call that sends one such datagram, whose errors a call for many has.
    pub(crate) fn operation(&self) -> Operation {
        match self.to {
            Some(_) => Operation::SendMessageTo,
            None => Operation::SendMessage,
        }
    }

    /// Returns whether the headers are to be those of the socket.
    #[inline]
    pub(crate) fn has_no_options(&self) -> bool {
        self.source.is_none() && self.traffic_class.is_none()
    }

    /// Returns why a message cannot be sent to this address, or with these headers.
    #[inline]
    pub(crate) fn refusal(&self, kind: SocketKind) -> Option<Refusal> {
        self.to
            .and_then(|to| to.refusal_for(kind))
            .or_else(|| self.source.and_then(|source| refusal_of_source(source, kind, self.to)))
            .or_else(|| self.traffic_class.and_then(|_| refusal_of_traffic_class(kind)))
    }

    #[inline]
    pub(crate) fn options(&self, kind: SocketKind) -> DatagramOptions {
        let Self { source, traffic_class, .. } = *self;
        DatagramOptions { source, traffic_class, is_v6: kind == SocketKind::UdpV6 }
    }

    /// Returns the datagram of these slices, as a socket of this kind sends it.
    pub(crate) fn outgoing<'part, 'data>(
        &self,
        slices: &'part [IoSlice<'data>],
        kind: SocketKind,
    ) -> Outgoing<'part, 'data>
    where
        'a: 'part,
    {
        Outgoing { slices, to: self.to.map(Address::name), options: self.options(kind) }
    }
}

/// Returns why a datagram cannot be sent from this address (clauses N5, N5b, N5c).
fn refusal_of_source(source: IpAddr, kind: SocketKind, to: Option<&Address>) -> Option<Refusal> {
    let plain = source.to_canonical();
    let is_no_source = match plain {
        IpAddr::V4(address) => address.is_unspecified() || address.is_broadcast() || address.is_multicast(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast(),
    };
    let is_mapped = plain != source;
    match (kind, source) {
        (SocketKind::UdpV4 | SocketKind::UdpV6, _) if to.is_none() => Some(Refusal::SourceWithoutAddress),
        (SocketKind::UdpV4, IpAddr::V6(_)) => Some(Refusal::NotInternetV4),
        (SocketKind::UdpV6, IpAddr::V4(_)) => Some(Refusal::NotInternetV6),
        (SocketKind::UdpV6, _) if to.is_some_and(|to| to.is_v4_mapped() != is_mapped) => {
            Some(Refusal::MappedSource)
        }
        (SocketKind::UdpV4 | SocketKind::UdpV6, _) => is_no_source.then_some(Refusal::NoSource),
        _ => Some(Refusal::SourceOfUdp),
    }
}

/// Returns why a datagram cannot be given a traffic class (clause N6).
fn refusal_of_traffic_class(kind: SocketKind) -> Option<Refusal> {
    match kind {
        SocketKind::UdpV6 => None,
        SocketKind::UdpV4 => Native::TRAFFIC_CLASS_V4.is_none().then_some(Refusal::TrafficClassOverV4),
        _ => Some(Refusal::TrafficClassOfUdp),
    }
}
