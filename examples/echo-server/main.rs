//! A UDP echo server (RFC 862) for a host with several addresses, on Linux and OpenBSD.
//!
//!     cargo run --release --example echo-server -- [ADDRESS:PORT]
//!
//! It is bound to all addresses, and answers from the one that was asked. Without this the route chooses where an answer
//! comes from, and a client that is connected to another address of this host never sees it. On Linux, `[::]:7007` serves
//! IPv6 and IPv4. On OpenBSD, run one for each.
//!
//! It is an example, and not for a public network: two echo servers answer each other for ever if somebody sends one
//! of them a datagram in the name of the other.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, UdpSocket};

use unisend::{
    ControlBuffer, DatagramSocket, Error, ErrorKind, Message, ReceiveFlags, Received, SendFlags, SocketRef,
};

/// The most that a datagram can have.
const DATAGRAM_BYTES: usize = 65_535;

#[allow(dead_code, reason = "the tests call serve instead")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:7007".to_owned());
    let udp = UdpSocket::bind(address)?;
    println!("echoing on {}", udp.local_addr()?);
    serve(&udp)
}

/// Answers every datagram, until the socket fails.
pub(crate) fn serve(udp: &UdpSocket) -> io::Result<()> {
    let socket = SocketRef::try_from(udp)?;
    socket.receive_destinations()?; // on OpenBSD before pledge(2)
    let mut control = ControlBuffer::new();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let received = match socket.receive(&mut slices, &mut control, ReceiveFlags::empty()) {
            Ok(received) => received,
            // An earlier answer was refused: that client has left.
            Err(error) if matches!(error.kind(), ErrorKind::Refused | ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error.into()),
        };
        let bytes = received.bytes();
        if let Err(error) = answer(&socket, &received, &buffer[..bytes]) {
            eprintln!("no answer to {:?}: {error}", received.sender());
        }
    }
}

fn answer(
    socket: &SocketRef<'_, DatagramSocket>,
    received: &Received<'_>,
    bytes: &[u8],
) -> Result<(), Error> {
    let (Some(sender), Some(asked)) = (received.sender(), received.destination()) else { return Ok(()) };
    let mut slices = [IoSlice::new(bytes)];
    let message = Message::new(&mut slices);
    // A datagram to all hosts or to a group was sent to no address of this host alone. The route decides.
    let message = if is_of_one_host(asked.address) { message.from_source(asked.address) } else { message };
    message.send_to(socket, &sender, SendFlags::empty()).map(drop)
}

pub(crate) fn is_of_one_host(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !address.is_broadcast() && !address.is_multicast(),
        IpAddr::V6(address) => !address.is_multicast(),
    }
}
