//! O1 to O4: sockets that are declared as other, which send to any address as the kernel has it.

use std::io::IoSlice;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use unisend::{Address, Error, Message, SendFlags, SocketRef};

use super::senders::from_to;
use crate::case::{Case, Stop, Topic};
use crate::scene;
use crate::trial::{Destination, NO_CALL, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Addresses;
    vec![
        topic
            .case(
                "O1",
                "a UDP socket, declared as other: port 0, the unspecified address, IPv6; an address",
                any_address,
            )
            .kernel("EINVAL, 1, EAFNOSUPPORT, 1", "EADDRNOTAVAIL, EADDRNOTAVAIL, EAFNOSUPPORT, 1")
            .differs(
                "InvalidInput, 1, AddressFamily, 1",
                "AddressNotAvailable, AddressNotAvailable, AddressFamily, 1",
                "the kernel decides, because unisend does not know what the addresses of the socket mean",
            ),
        topic
            .case(
                "O2",
                "an address of 1 byte, of 129, and of those of an IPv4 address: as other, on UDP",
                of_bytes,
            )
            .kernels(NO_CALL)
            .promise("InvalidInput, InvalidInput, 1, AddressFamily"),
        topic
            .case("O3", "UDP and unix, declared as other: the sender, and an answer to it", senders)
            .kernels("told, told")
            .promise("told, answered, told, answered"),
        topic
            .case("O3b", "netlink between two programs: the sender, and an answer to it", netlink)
            .kernel("told", "")
            .promise("told, answered"),
        topic
            .case("O4", "declared as other: a source, descriptors, receive_destinations", what_it_has_not)
            .kernels(NO_CALL)
            .promise("Unsupported, Unsupported, Unsupported"),
    ]
}

fn any_address(trial: &mut Trial) -> Result<(), Stop> {
    let receiver = UdpSocket::bind(scene::loopback()?)?;
    let to = receiver.local_addr()?;
    let sender = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    for to in [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, to.port())),
        SocketAddr::from((Ipv6Addr::LOCALHOST, to.port())),
        to,
    ] {
        trial.send_to(&SocketRef::other_datagram(&sender), b"x", Destination::Internet(to));
    }
    Ok(())
}

fn of_bytes(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let receiver = UdpSocket::bind(scene::loopback()?)?;
    let sender = UdpSocket::bind(scene::loopback()?)?;
    for length in [1, 129] {
        trial.note_portable(Address::from_sockaddr_bytes(&vec![2; length]).map(|_| length));
    }
    let to = Address::from(receiver.local_addr()?);
    let to = Address::from_sockaddr_bytes(to.as_sockaddr_bytes())?;
    for socket in [SocketRef::other_datagram(&sender), SocketRef::udp_v4(&sender)] {
        trial.note_portable(socket.send_to(b"x", &to, SendFlags::empty()));
    }
    Ok(())
}

fn senders(trial: &mut Trial) -> Result<(), Stop> {
    let (sender, receiver) = (UdpSocket::bind(scene::loopback()?)?, UdpSocket::bind(scene::loopback()?)?);
    sender.send_to(b"x", receiver.local_addr()?)?;
    let expected = Address::from(sender.local_addr()?);
    from_to(trial, &sender, &SocketRef::other_datagram(&receiver), Some(expected))?;

    let (from, to) = (trial.path("s"), trial.path("r"));
    let (sender, receiver) = (scene::bound_datagram(&from)?, scene::bound_datagram(&to)?);
    sender.send_to(b"x", &to)?;
    from_to(trial, &sender, &SocketRef::other_datagram(&receiver), Some(Address::unix(&from)?))
}

#[cfg(target_os = "linux")]
fn netlink(trial: &mut Trial) -> Result<(), Stop> {
    use nix::errno::Errno;
    use nix::sys::socket::{
        self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname,
        sendto,
    };
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};

    use crate::raw;

    let bound = || -> Result<OwnedFd, Stop> {
        let made = socket::socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::empty(),
            SockProtocol::NetlinkUserSock,
        );
        let fd = match made {
            Err(Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT) => {
                return scene::skip("this kernel has no netlink sockets for programs");
            }
            made => made?,
        };
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(fd)
    };
    let (sender, receiver) = (bound()?, bound()?);
    let to: NetlinkAddr = getsockname(receiver.as_raw_fd())?;
    sendto(sender.as_raw_fd(), b"x", &to, MsgFlags::empty())?;
    let expected = Address::from_sockaddr_bytes(&raw::own_name(sender.as_fd())?)?;
    from_to(trial, &sender, &SocketRef::other_datagram(&receiver), Some(expected))
}

#[cfg(not(target_os = "linux"))]
fn netlink(_trial: &mut Trial) -> Result<(), Stop> {
    scene::skip("this system has no netlink")
}

fn what_it_has_not(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let udp = UdpSocket::bind(scene::loopback()?)?;
    let socket = SocketRef::other_datagram(&udp);
    let to = Address::from(udp.local_addr()?);
    let outcomes: [Result<usize, Error>; 3] = [
        Message::new(&mut [IoSlice::new(b"x")]).from_source(Ipv4Addr::LOCALHOST.into()).send_to(
            &socket,
            &to,
            SendFlags::empty(),
        ),
        Message::new(&mut [IoSlice::new(b"x")]).with_descriptor(&udp).send_to(
            &socket,
            &to,
            SendFlags::empty(),
        ),
        socket.receive_destinations().map(|()| 0),
    ];
    for outcome in outcomes {
        trial.note_portable(outcome);
    }
    Ok(())
}
