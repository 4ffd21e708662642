use crate::error::Error;
use crate::platform;
use crate::platform::contract::{Operation, Refusal};
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
        const OPERATION: Operation = Operation::ReceiveDestinations;
        match platform::receive_destinations(self.fd(), self.kind()) {
            None => Err(Error::refused(OPERATION, Refusal::DestinationsOfUdp)),
            Some(outcome) => outcome.map_err(|errno| Error::plain(OPERATION, errno)),
        }
    }
}
