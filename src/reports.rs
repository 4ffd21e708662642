use crate::error::Error;
use crate::platform::contract::{Operation, Refusal, SocketKind};
use crate::platform::{self, Report};
use crate::socket::{DatagramSocket, SocketRef};

impl SocketRef<'_, DatagramSocket> {
    /// Has the kernel report the destination of every datagram that a UDP socket receives (clause N4).
    ///
    /// A server that is bound to all addresses of its host then knows which one a client asked:
    /// [`Received::destination`](crate::Received::destination). Call it once for a socket, before the first
    /// datagram can arrive: datagrams that are queued already may be without one.
    ///
    /// # System calls
    ///
    /// One setsockopt(2); two on OpenBSD for IPv4. pledge(2) forbids one of those (`IP_RECVIF`), whatever the
    /// promises are: call this before pledge(2).
    ///
    /// # Errors
    ///
    /// Before the call: [`Unsupported`](crate::ErrorKind::Unsupported) for a unix socket. From the kernel, if the
    /// socket was declared as what it is not: `Unsupported`, `NotSocket` or `BadDescriptor`.
    ///
    /// Sources: ip(7) and ipv6(7) of Linux, ip(4) and ip6(4) of OpenBSD, RFC 3542, and runs on both kernels.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSliceMut;
    /// use std::net::{Ipv4Addr, UdpSocket};
    /// use unisend::{ControlBuffer, ReceiveFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = UdpSocket::bind("0.0.0.0:0")?;
    /// let socket = SocketRef::udp_v4(&server);
    /// socket.receive_destinations()?;
    ///
    /// let client = UdpSocket::bind("127.0.0.1:0")?;
    /// client.send_to(b"ping", ("127.0.0.1", server.local_addr()?.port()))?;
    ///
    /// let mut control = ControlBuffer::new();
    /// let mut buffer = [0; 1500];
    /// let mut slices = [IoSliceMut::new(&mut buffer)];
    /// let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty())?;
    /// let asked = received.destination().expect("it was asked for");
    /// assert_eq!(asked.address, Ipv4Addr::LOCALHOST);
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_destinations(&self) -> Result<(), Error> {
        self.receive_report(Operation::ReceiveDestinations, Report::Destination)
    }

    /// Has the kernel report the traffic class of every datagram that a UDP socket receives (clause N7).
    ///
    /// [`Received::traffic_class`](crate::Received::traffic_class) returns it. Call this once for a socket, before the
    /// first datagram can arrive.
    ///
    /// # System calls
    ///
    /// One setsockopt(2); two on Linux for IPv6, where an IPv6 socket can receive over IPv4 too. On OpenBSD pledge(2)
    /// needs "inet".
    ///
    /// # Errors
    ///
    /// Before the call: [`Unsupported`](crate::ErrorKind::Unsupported) for a unix socket, and on OpenBSD for UDP over
    /// IPv4, whose traffic class OpenBSD does not report. From the kernel: those of
    /// [`receive_destinations`](Self::receive_destinations).
    ///
    /// Sources: ip(7) and ipv6(7) of Linux, ip(4), ip6(4) and the source (`ip_savecontrol`) of OpenBSD, RFC 3542, and
    /// runs on Linux.
    pub fn receive_traffic_classes(&self) -> Result<(), Error> {
        self.receive_report(Operation::ReceiveTrafficClasses, Report::TrafficClass)
    }

    /// Has the kernel report the hop limit (over IPv4: the time to live) of every datagram that a UDP socket receives
    /// (clause N8).
    ///
    /// [`Received::hop_limit`](crate::Received::hop_limit) returns it. Call this once for a socket, before the first
    /// datagram can arrive.
    ///
    /// # System calls
    ///
    /// One setsockopt(2); two on Linux for IPv6, where an IPv6 socket can receive over IPv4 too. On OpenBSD pledge(2)
    /// needs "inet" for IPv6, and forbids the option of IPv4 (`IP_RECVTTL`), whatever the promises are: call this before
    /// pledge(2).
    ///
    /// # Errors
    ///
    /// Those of [`receive_destinations`](Self::receive_destinations).
    ///
    /// Sources: ip(7) and ipv6(7) of Linux, ip(4) and ip6(4) of OpenBSD, RFC 3542, and runs on Linux.
    pub fn receive_hop_limits(&self) -> Result<(), Error> {
        self.receive_report(Operation::ReceiveHopLimits, Report::HopLimit)
    }

    fn receive_report(&self, operation: Operation, report: Report) -> Result<(), Error> {
        match platform::receive_report(self.fd(), self.kind(), report) {
            None => Err(Error::refused(operation, refusal_of_report(report, self.kind()))),
            Some(outcome) => outcome.map_err(|errno| Error::plain(operation, errno)),
        }
    }
}

fn refusal_of_report(report: Report, kind: SocketKind) -> Refusal {
    match report {
        Report::Destination => Refusal::DestinationsOfUdp,
        Report::TrafficClass if kind == SocketKind::UdpV4 => Refusal::TrafficClassOverV4,
        Report::TrafficClass => Refusal::TrafficClassOfUdp,
        Report::HopLimit => Refusal::HopLimitsOfUdp,
    }
}
