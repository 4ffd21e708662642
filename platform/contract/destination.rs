use std::net::IpAddr;

/// Where a datagram was sent to, as returned by [`Received::destination`](crate::Received::destination).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Destination {
    /// The destination address of the datagram: one of this host, a broadcast address or a multicast group.
    ///
    /// On Linux an IPv6 socket that also receives IPv4 reports an IPv4-mapped address (clause N4b).
    pub address: IpAddr,
    /// The index of the interface that it came in through.
    pub interface: u32,
}
