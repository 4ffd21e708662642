//! N1 to N5c: the sender, the destination and the source of a datagram.
//!
//! Each script notes whether the receiver was told the sender's address, and, through unisend, whether its answer to that
//! address arrived.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, SockType};
use unisend::{
    Address, ControlBuffer, DatagramSocket, Destination, Error, Message, ReceiveFlags, SendFlags, SocketRef,
};

use crate::case::{Case, Stop, Topic};
use crate::raw;
use crate::scene;
use crate::trial::{NO_CALL, Route, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Addresses;
    vec![
        topic
            .case("N1", "the sender over IPv4 and IPv6, and an answer to it", internet)
            .kernels("told, told")
            .promise("told, answered, told, answered"),
        topic
            .case("N1b", "dual-stack socket: the sender over IPv4, and an answer to it", mapped_sender)
            .kernel("told", "")
            .promise("told, answered"),
        topic
            .case("N2", "a sender with a short path, and one with a path of 103 bytes; an answer", paths)
            .kernels("told, told")
            .promise("told, answered, told, answered"),
        topic
            .case("N3", "a sender without a name, and one of a pair", unnamed)
            .kernels("no name, no name")
            .promise("no name, no name"),
        topic
            .case("N3b", "a sender with an abstract name, and an answer", abstract_name)
            .kernel("told", "")
            .promise("told, answered"),
        topic
            .case("N4", "bound to all addresses, asked at 127.0.0.1 and at ::1; a unix socket", destinations)
            .kernels(NO_CALL)
            .promise("127.0.0.1, ::1, Unsupported"),
        topic
            .case("N4b", "dual-stack socket that is bound to all addresses, asked at 127.0.0.1", mapped_destination)
            .kernels(NO_CALL)
            .promise("::ffff:127.0.0.1"),
        topic
            .case("N5", "sent from 127.0.0.1, and from an address that is not of this host", sources)
            .kernels(NO_CALL)
            .promise("127.0.0.1, Unreachable"),
        topic
            .case(
                "N5b",
                "sent from 0.0.0.0, 255.255.255.255, a group, ::1; without an address; with port 0; on a unix socket",
                no_sources,
            )
            .kernels(NO_CALL)
            .promise(
                "AddressNotAvailable, AddressNotAvailable, AddressNotAvailable, AddressFamily, Unsupported, \
                 AddressNotAvailable, Unsupported",
            ),
        topic
            .case(
                "N5c",
                "dual-stack socket: a mapped source to a mapped address; one of them mapped; a mapped 0.0.0.0",
                mapped_source,
            )
            .kernels(NO_CALL)
            .promise("127.0.0.1, AddressNotAvailable, AddressNotAvailable, AddressNotAvailable"),
    ]
}

/// Receives a datagram, and returns what the receiver is told of its sender and of its destination.
fn told_of_one(
    receiver: &SocketRef<'_, DatagramSocket>,
) -> Result<(Option<Address>, Option<Destination>), Stop> {
    scene::wait_until(receiver, PollFlags::POLLIN)?;
    let mut control = ControlBuffer::new();
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let received = receiver.receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT)?;
    Ok((received.sender(), received.destination()))
}

/// Receives a datagram, and notes whether its sender is the expected one and whether it gets the answer.
fn receive(
    trial: &mut Trial,
    receiver: &SocketRef<'_, DatagramSocket>,
    expected: Option<Address>,
    sender: &impl AsFd,
) -> Result<(), Stop> {
    let (told, _) = told_of_one(receiver)?;
    trial.note(match told {
        None => "no name",
        told if told == expected => "told",
        Some(_) => "told another",
    });
    if let Some(told) = told {
        receiver.send_to(b"answer", &told, SendFlags::empty())?;
        scene::wait_until(sender, PollFlags::POLLIN)?;
        let mut answer = [0; 16];
        let length = raw::receive(sender.as_fd(), &mut answer, libc::MSG_DONTWAIT)?;
        trial.note(if &answer[..length] == b"answer" { "answered" } else { "answered otherwise" });
    }
    Ok(())
}

/// Receives a datagram with recvfrom(2), and notes whether its sender's name is the one of getsockname(2).
fn receive_raw(trial: &mut Trial, receiver: &impl AsFd, sender: &impl AsFd) -> Result<(), Stop> {
    scene::wait_until(receiver, PollFlags::POLLIN)?;
    let told = raw::receive_name(receiver.as_fd(), 0)?;
    let own = raw::own_name(sender.as_fd())?;
    let is_named = told.get(2..).is_some_and(|rest| rest.iter().any(|&byte| byte != 0));
    trial.note(match is_named {
        false => "no name",
        true if without_padding(&told) == without_padding(&own) => "told",
        true => "told another",
    });
    Ok(())
}

/// Returns a name without its header, which has a length on OpenBSD, and without the NULs after it.
fn without_padding(name: &[u8]) -> &[u8] {
    let rest = name.get(2..).unwrap_or_default();
    let end = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &rest[..end]
}

/// Notes what the receiver is told of a sender whose datagram is on its way.
pub(super) fn from_to(
    trial: &mut Trial,
    sender: &impl AsFd,
    receiver: &SocketRef<'_, DatagramSocket>,
    expected: Option<Address>,
) -> Result<(), Stop> {
    match trial.route() {
        Route::Kernel => receive_raw(trial, receiver, sender),
        Route::Portable => receive(trial, receiver, expected, sender),
    }
}

fn internet(trial: &mut Trial) -> Result<(), Stop> {
    let (sender, receiver) = (UdpSocket::bind(scene::loopback()?)?, UdpSocket::bind(scene::loopback()?)?);
    sender.send_to(b"x", receiver.local_addr()?)?;
    from_to(trial, &sender, &SocketRef::udp_v4(&receiver), Some(sender.local_addr()?.into()))?;

    let (sender, receiver) = (scene::udp_v6()?, scene::udp_v6()?);
    sender.send_to(b"x", receiver.local_addr()?)?;
    from_to(trial, &sender, &SocketRef::udp_v6(&receiver), Some(sender.local_addr()?.into()))
}

fn mapped_sender(trial: &mut Trial) -> Result<(), Stop> {
    let receiver = scene::dual_stack()?;
    let sender = UdpSocket::bind(scene::loopback()?)?;
    let port = sender.local_addr()?.port();
    sender.send_to(b"x", (Ipv4Addr::LOCALHOST, receiver.local_addr()?.port()))?;
    match trial.route() {
        Route::Kernel => {
            scene::wait_until(&receiver, PollFlags::POLLIN)?;
            let mapped = (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port).into();
            let told = receiver.recv_from(&mut [0])?.1;
            trial.note(if told == mapped { "told" } else { "told another" });
            Ok(())
        }
        Route::Portable => {
            let expected = Address::v4_mapped(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
            receive(trial, &SocketRef::udp_v6(&receiver), Some(expected), &sender)
        }
    }
}

/// Returns a path in this folder that has so many bytes, if the folder's leaves room for it.
fn path_of(directory: &Path, length: usize) -> Result<PathBuf, Stop> {
    let taken = directory.as_os_str().as_bytes().len() + 1;
    match length.checked_sub(taken) {
        Some(left @ 1..) => Ok(directory.join("p".repeat(left))),
        _ => scene::skip("the path of the temporary folder is too long: set TMPDIR to a shorter one"),
    }
}

fn paths(trial: &mut Trial) -> Result<(), Stop> {
    let to = trial.path("r");
    let receiver = scene::bound_datagram(&to)?;
    for path in [trial.path("s"), path_of(trial.directory(), 103)?] {
        let sender = scene::bound_datagram(&path)?;
        sender.send_to(b"x", &to)?;
        let expected = Address::unix(&path)?;
        from_to(trial, &sender, &SocketRef::unix_datagram(&receiver), Some(expected))?;
    }
    Ok(())
}

fn unnamed(trial: &mut Trial) -> Result<(), Stop> {
    let to = trial.path("r");
    let receiver = scene::bound_datagram(&to)?;
    let sender = scene::unbound_datagram()?;
    sender.send_to(b"x", &to)?;
    from_to(trial, &sender, &SocketRef::unix_datagram(&receiver), None)?;

    let (sender, receiver) = scene::unix_pair(SockType::Datagram)?;
    raw::send(sender.as_fd(), b"x", 0)?;
    from_to(trial, &sender, &SocketRef::unix_datagram(&receiver), None)
}

fn abstract_name(trial: &mut Trial) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        return scene::skip("this system has no abstract names");
    }
    let to = trial.path("r");
    let receiver = scene::bound_datagram(&to)?;
    let sender = scene::new_socket(AddressFamily::Unix, SockType::Datagram)?;
    let name = format!("{}\0{:?}\0", std::process::id(), trial.route());
    scene::bind_to_abstract(&sender, name.as_bytes())?;
    let sender = UnixDatagram::from(sender);
    sender.send_to(b"x", &to)?;
    let expected = Address::unix_abstract(name.as_bytes())?;
    from_to(trial, &sender, &SocketRef::unix_datagram(&receiver), Some(expected))
}

/// Notes the address that the receiver was told that it was asked at.
fn note_destination(trial: &mut Trial, receiver: &SocketRef<'_, DatagramSocket>) -> Result<(), Stop> {
    let (_, destination) = told_of_one(receiver)?;
    trial.note(match destination {
        Some(told) if told.interface != 0 => told.address.to_string(),
        Some(_) => "no interface".to_owned(),
        None => "nothing".to_owned(),
    });
    Ok(())
}

fn destinations(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let sender = UdpSocket::bind(scene::loopback()?)?;
    let ours = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let receiver = SocketRef::udp_v4(&ours);
    receiver.receive_destinations()?;
    sender.send_to(b"x", (Ipv4Addr::LOCALHOST, ours.local_addr()?.port()))?;
    note_destination(trial, &receiver)?;

    let sender = scene::udp_v6()?;
    let ours = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    let receiver = SocketRef::udp_v6(&ours);
    receiver.receive_destinations()?;
    sender.send_to(b"x", (Ipv6Addr::LOCALHOST, ours.local_addr()?.port()))?;
    note_destination(trial, &receiver)?;

    let unix = scene::unbound_datagram()?;
    let outcome = SocketRef::unix_datagram(&unix).receive_destinations();
    trial.note(outcome.map_or_else(|error| error.kind().to_string(), |()| "done".to_owned()));
    Ok(())
}

fn mapped_destination(trial: &mut Trial) -> Result<(), Stop> {
    let ours = scene::dual_stack()?;
    if trial.has_no_call() {
        return Ok(());
    }
    let receiver = SocketRef::udp_v6(&ours);
    receiver.receive_destinations()?;
    let sender = UdpSocket::bind(scene::loopback()?)?;
    sender.send_to(b"x", (Ipv4Addr::LOCALHOST, ours.local_addr()?.port()))?;
    note_destination(trial, &receiver)
}

/// Sends a datagram from a source, to an address if there is one.
fn send_from(
    socket: &SocketRef<'_, DatagramSocket>,
    source: IpAddr,
    to: Option<impl Into<Address>>,
) -> Result<usize, Error> {
    let mut slices = [IoSlice::new(b"x")];
    let message = Message::new(&mut slices).from_source(source);
    match to {
        Some(to) => message.send_to(socket, &to.into(), SendFlags::empty()),
        None => message.send(socket, SendFlags::empty()),
    }
}

/// Notes the address that a datagram came from, if it was sent.
fn note_source(trial: &mut Trial, sent: Result<usize, Error>, theirs: &UdpSocket) -> Result<(), Stop> {
    match sent {
        Ok(_) => {
            scene::wait_until(theirs, PollFlags::POLLIN)?;
            trial.note(theirs.recv_from(&mut [0])?.1.ip());
        }
        Err(error) => trial.note(error.kind()),
    }
    Ok(())
}

fn sources(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let ours = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let theirs = UdpSocket::bind(scene::loopback()?)?;
    let to = Some(theirs.local_addr()?);
    let sent = send_from(&SocketRef::udp_v4(&ours), Ipv4Addr::LOCALHOST.into(), to);
    note_source(trial, sent, &theirs)?;
    // An address for documentation, which no host has.
    let foreign = Ipv4Addr::new(192, 0, 2, 1).into();
    trial.note_portable(send_from(&SocketRef::udp_v4(&ours), foreign, to));
    Ok(())
}

fn no_sources(trial: &mut Trial) -> Result<(), Stop> {
    if trial.has_no_call() {
        return Ok(());
    }
    let ours = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let theirs = UdpSocket::bind(scene::loopback()?)?;
    let (to, port_zero) = (theirs.local_addr()?, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let unix = scene::unbound_datagram()?;
    let (udp, unix) = (SocketRef::udp_v4(&ours), SocketRef::unix_datagram(&unix));
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    for (socket, source, to) in [
        (udp, Ipv4Addr::UNSPECIFIED.into(), Some(to)),
        (udp, Ipv4Addr::BROADCAST.into(), Some(to)),
        (udp, Ipv4Addr::new(224, 0, 0, 1).into(), Some(to)),
        (udp, v6, Some(to)),
        (udp, v4, None),
        (udp, v6, Some(port_zero)),
        (unix, v4, None),
    ] {
        trial.note_portable(send_from(&socket, source, to));
    }
    Ok(())
}

fn mapped_source(trial: &mut Trial) -> Result<(), Stop> {
    let ours = scene::dual_stack()?;
    if trial.has_no_call() {
        return Ok(());
    }
    let socket = SocketRef::udp_v6(&ours);
    let theirs = UdpSocket::bind(scene::loopback()?)?;
    let mapped = Address::v4_mapped(SocketAddrV4::new(Ipv4Addr::LOCALHOST, theirs.local_addr()?.port()))?;
    let plain = Address::from(scene::udp_v6()?.local_addr()?);
    let source = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let sent = send_from(&socket, source.into(), Some(mapped));
    note_source(trial, sent, &theirs)?;
    for (source, to) in
        [(source, plain), (Ipv6Addr::LOCALHOST, mapped), (Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), mapped)]
    {
        trial.note_portable(send_from(&socket, source.into(), Some(to)));
    }
    Ok(())
}
