//! The example `echo-server`, tested by clients that take an answer only from the address that they asked.

#[path = "../examples/echo-server/main.rs"]
mod server;
mod sockets;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rstest::rstest;

/// A server that is bound to all addresses of this family, at the address where it is asked. It ends with this process.
fn server(asked: IpAddr) -> Option<SocketAddr> {
    let all: IpAddr = match asked {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let udp = UdpSocket::bind((all, 0)).ok()?;
    let port = udp.local_addr().unwrap().port();
    std::thread::spawn(move || server::serve(&udp));
    Some((asked, port).into())
}

/// A socket that is connected to a server: it gets nothing from anywhere else.
fn client(server: SocketAddr) -> UdpSocket {
    let host: IpAddr = if server.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let udp = UdpSocket::bind((host, 0)).unwrap();
    udp.connect(server).unwrap();
    udp.set_read_timeout(Some(sockets::PATIENCE)).unwrap();
    udp
}

#[rstest]
#[case::the_address_that_the_route_chooses("127.0.0.1")]
#[case::another_address_of_this_host("127.1.2.3")]
#[case::ipv6("::1")]
fn the_answer_comes_from_the_address_that_was_asked(
    #[case] asked: IpAddr,
    #[values(0, 1, 1472, 9000)] length: usize,
) {
    if sockets::OPENBSD && asked == IpAddr::from([127, 1, 2, 3]) {
        return sockets::skipped(format_args!("only 127.0.0.1 is an address of this host"));
    }
    if asked.is_ipv6() && UdpSocket::bind((asked, 0)).is_err() {
        return sockets::skipped(format_args!("the loopback interface has no IPv6"));
    }
    let client = client(server(asked).expect("a socket"));
    let sent = sockets::pattern(length);
    client.send(&sent).unwrap();
    let mut answer = vec![0; 10_000];
    let received = client.recv(&mut answer).unwrap();
    assert_eq!(answer[..received], sent);
}

/// One socket for IPv6 and IPv4, which only Linux has.
#[rstest]
#[case::the_address_that_the_route_chooses(Ipv4Addr::LOCALHOST)]
#[case::another_address_of_this_host(Ipv4Addr::new(127, 1, 2, 3))]
fn a_dual_stack_server_answers_ipv4(#[case] asked: Ipv4Addr) {
    let Some(udp) = sockets::dual_stack() else { return };
    let port = udp.local_addr().unwrap().port();
    std::thread::spawn(move || server::serve(&udp));
    let client = client((asked, port).into());
    client.send(b"hello").unwrap();
    assert_eq!(client.recv(&mut [0; 10]).unwrap(), 5);
}

/// What a dual-stack socket reports is seen as the address of IPv4 that it is.
#[rstest]
#[case("192.0.2.1", true)]
#[case("255.255.255.255", false)]
#[case("::ffff:192.0.2.1", true)]
#[case("::ffff:255.255.255.255", false)]
#[case("::ffff:224.0.0.1", false)]
#[case("ff02::1", false)]
fn an_answer_comes_from_an_address_of_one_host(#[case] asked: IpAddr, #[case] expected: bool) {
    assert_eq!(server::is_of_one_host(asked), expected);
}

/// A client that has closed refuses its answer. The others go on.
#[test]
fn a_client_that_leaves_does_not_end_the_server() {
    let server = server(Ipv4Addr::LOCALHOST.into()).expect("a socket");
    for _ in 0..10 {
        client(server).send(b"good-bye").unwrap();
    }
    std::thread::sleep(Duration::from_millis(1));
    let client = client(server);
    client.send(b"hello").unwrap();
    let mut answer = [0; 10];
    assert_eq!(client.recv(&mut answer).unwrap(), 5);
}
