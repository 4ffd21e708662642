//! A1 to A13: destinations.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

use nix::sys::socket::SockType;
use nix::unistd::chdir;
use unisend::SocketRef;

use crate::case::{Case, Stop, Topic};
use crate::expected::always;
use crate::machine::{self, Need};
use crate::network;
use crate::raw;
use crate::scene;
use crate::trial::{Destination, Route, Trial};

const NO_ADDRESS_ON_STREAMS: &str = "only a DatagramSocket has send_to";
const EXACT_LENGTHS: &str = "an Address has the exact length";

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Addresses;
    vec![
        topic
            .case("A1", "connected TCP socket: an address", on_tcp)
            .kernels("1")
            .unrepresentable(NO_ADDRESS_ON_STREAMS),
        topic
            .case("A2", "unix stream, connected and never connected: an address", on_unix_stream)
            .kernel("EISCONN, EOPNOTSUPP", "1, ENOTCONN")
            .unrepresentable(NO_ADDRESS_ON_STREAMS),
        topic
            .case("A3", "seqpacket, connected and never connected: an address", on_seqpacket)
            .kernels("1, ENOTCONN")
            .unrepresentable(NO_ADDRESS_ON_STREAMS),
        topic
            .case("A4", "connected UDP and unix datagram sockets: an address", on_connected)
            .kernel("1, 1", "EISCONN, EISCONN")
            .differs(
                "1, 1",
                "AlreadyConnected, AlreadyConnected",
                "on Linux the address overrides the peer, on OpenBSD it does not; to find out about a peer takes a call",
            ),
        topic
            .case("A5", "an address of another family: IPv6 on IPv4, IPv4 on unix", other_family)
            .kernel("EAFNOSUPPORT, EINVAL", "EAFNOSUPPORT, EAFNOSUPPORT")
            .promise("AddressFamily, AddressFamily"),
        topic
            .case("A5b", "the unspecified IPv4 address", unspecified)
            .kernel("1", "EADDRNOTAVAIL")
            .promise("AddressNotAvailable"),
        topic
            .case("A5c", "the unspecified IPv6 address", unspecified_v6)
            .kernel(
                "1",
                [
                    always("EHOSTUNREACH").only("no route rejects it"),
                    always("ENETUNREACH").only("a route rejects it, as on an installed machine"),
                ],
            )
            .promise("AddressNotAvailable"),
        topic
            .case("A6", "an address one byte too short and one too long", inexact_length)
            .kernel("EINVAL, 1", "EINVAL, EINVAL")
            .unrepresentable(EXACT_LENGTHS),
        topic
            .case("A6b", "unix paths of 103 and of 104 bytes", long_paths)
            .kernel("1, 1", "1, EINVAL")
            .promise("1, InvalidInput"),
        topic.case("A6c", "a name in the abstract namespace", abstract_name).kernel("1", "ENOENT").differs(
            "1",
            "AddressFamily",
            "OpenBSD has no abstract namespace",
        ),
        topic
            .case("A7", "port 0: IPv4, IPv6", port_zero)
            .kernel("EINVAL, EINVAL", "EADDRNOTAVAIL, EADDRNOTAVAIL")
            .promise("AddressNotAvailable, AddressNotAvailable"),
        topic
            .case("A8", "IPv6 socket: an IPv4 address, an IPv4-mapped address", v4_on_v6)
            .kernel("1, 1", "EAFNOSUPPORT, EADDRNOTAVAIL")
            .promise("AddressFamily, AddressNotAvailable"),
        topic
            .case("A8b", "dual-stack socket: an IPv4 address, mapped; the same with port 0", mapped)
            .kernel("1, EINVAL", "EADDRNOTAVAIL, EADDRNOTAVAIL")
            .differs(
                "1, AddressNotAvailable",
                "AddressFamily, AddressFamily",
                "OpenBSD has no dual-stack sockets: none of its IPv6 sockets sends over IPv4",
            ),
        topic
            .case("A8c", "socket of IPv6 alone (IPV6_V6ONLY): an IPv4 address, mapped", mapped_on_v6_alone)
            .kernel("ENETUNREACH", "EADDRNOTAVAIL")
            .differs("Unreachable", "AddressFamily", "as A8b: on OpenBSD there is no such address"),
        topic
            .case("A9", "an address of length 0: UDP, unix datagram", zero_length)
            .kernel("EINVAL, ENOTCONN", "EINVAL, EINVAL")
            .unrepresentable(EXACT_LENGTHS),
        topic
            .case("A10", "unix paths: missing, stale, of another type, of a file, of a directory", bad_paths)
            .kernel(
                "ENOENT, ECONNREFUSED, EPROTOTYPE, ECONNREFUSED, ECONNREFUSED",
                "ENOENT, ECONNREFUSED, EPROTOTYPE, ENOTSOCK, ENOTSOCK",
            )
            .promise("NotFound, Refused, WrongSocketType, Refused, Refused"),
        topic
            .case("A10b", "a unix path without permission to write to it", forbidden_path)
            .kernels("EACCES")
            .promise("PermissionDenied"),
        topic
            .case("A10c", "a unix path through a file, and an empty one", broken_paths)
            .kernel("ENOTDIR, ECONNREFUSED", "ENOTDIR, ENOENT")
            .promise("NotFound, InvalidInput"),
        topic
            .case("A10d", "the path of a file without permission to write to it", forbidden_file)
            // OpenBSD: unp_connect() of uipc_usrreq.c looks for a socket first.
            .kernel("EACCES", "ENOTSOCK")
            .differs("PermissionDenied", "Refused", "both are true, and each kernel looks for one of them first"),
        topic
            .case("A11", "a unix datagram receiver that is connected to another socket", receiver_connected)
            .kernel("EPERM", "1")
            .differs("PermissionDenied", "1", "Linux lets only the peer send to it, OpenBSD lets everybody"),
        topic
            .case("A12", "a broadcast address without SO_BROADCAST, on loopback", broadcast)
            .kernel(
                "EACCES",
                [
                    always("EADDRNOTAVAIL").only("no route"),
                    always("EHOSTUNREACH").only("a route without a host"),
                    always("ENETUNREACH").only("a route that rejects, as on an installed machine for 127/8"),
                    always("EACCES").only("an interface that broadcasts there"),
                ],
            )
            .differs(
                "PermissionDenied",
                [
                    always("Unreachable").only("no interface broadcasts there"),
                    always("PermissionDenied").only("an interface broadcasts there"),
                ],
                "OpenBSD's loopback interface has no broadcast; on an interface that has one, OpenBSD returns EACCES too",
            ),
        topic
            .case("A13", "TCP and connected UDP, a packet filter drops what is sent", packet_filter)
            .kernel("1, EPERM", "EACCES, EACCES")
            .differs(
                "1, PermissionDenied",
                "PermissionDenied, PermissionDenied",
                "OpenBSD fails a TCP send although it has queued the data: Error::may_have_sent is then true",
            ),
    ]
}

fn on_tcp(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::tcp_pair()?;
    let elsewhere = TcpListener::bind(scene::loopback()?)?.local_addr()?;
    trial.note_raw(raw::send_to(ours.as_fd(), b"x", Destination::Internet(elsewhere)));
    Ok(())
}

fn on_unix_stream(trial: &mut Trial) -> Result<(), Stop> {
    on_unix_connection(trial, SockType::Stream)
}

fn on_seqpacket(trial: &mut Trial) -> Result<(), Stop> {
    on_unix_connection(trial, SockType::SeqPacket)
}

fn on_unix_connection(trial: &mut Trial, kind: SockType) -> Result<(), Stop> {
    let (connected, _theirs) = scene::unix_pair(kind)?;
    let fresh = scene::new_socket(nix::sys::socket::AddressFamily::Unix, kind)?;
    let missing = trial.path("missing");
    for socket in [&connected, &fresh] {
        trial.note_raw(raw::send_to(socket.as_fd(), b"x", Destination::Path(&missing)));
    }
    Ok(())
}

fn on_connected(trial: &mut Trial) -> Result<(), Stop> {
    let (udp, _udp_peer) = scene::udp_pair()?;
    let other = UdpSocket::bind(scene::loopback()?)?;
    trial.send_to(&SocketRef::udp_v4(&udp), b"x", Destination::Internet(other.local_addr()?));
    let (unix, _unix_peer) = scene::unix_pair(SockType::Datagram)?;
    let path = trial.path("other");
    let _other = scene::bound_datagram(&path)?;
    trial.send_to(&SocketRef::unix_datagram(&unix), b"x", Destination::Path(&path));
    Ok(())
}

fn other_family(trial: &mut Trial) -> Result<(), Stop> {
    let v4 = UdpSocket::bind(scene::loopback()?)?;
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 9));
    trial.send_to(&SocketRef::udp_v4(&v4), b"x", Destination::Internet(v6));
    let unix = scene::unbound_datagram()?;
    trial.send_to(&SocketRef::unix_datagram(&unix), b"x", Destination::Internet(v4.local_addr()?));
    Ok(())
}

fn unspecified(trial: &mut Trial) -> Result<(), Stop> {
    let receiver = UdpSocket::bind(scene::loopback()?)?;
    let to = SocketAddr::from((Ipv4Addr::UNSPECIFIED, receiver.local_addr()?.port()));
    let sender = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    trial.send_to(&SocketRef::udp_v4(&sender), b"x", Destination::Internet(to));
    Ok(())
}

fn unspecified_v6(trial: &mut Trial) -> Result<(), Stop> {
    let receiver = scene::udp_v6()?;
    let to = SocketAddr::from((Ipv6Addr::UNSPECIFIED, receiver.local_addr()?.port()));
    let sender = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    trial.send_to(&SocketRef::udp_v6(&sender), b"x", Destination::Internet(to));
    Ok(())
}

fn inexact_length(trial: &mut Trial) -> Result<(), Stop> {
    let receiver = UdpSocket::bind(scene::loopback()?)?;
    let sender = UdpSocket::bind(scene::loopback()?)?;
    let (name, length) = raw::socket_name(Destination::Internet(receiver.local_addr()?));
    for length in [length - 1, length + 1] {
        trial.note_raw(raw::send_to_name(sender.as_fd(), b"x", &name, length));
    }
    Ok(())
}

fn long_paths(trial: &mut Trial) -> Result<(), Stop> {
    chdir(trial.directory())?;
    let sender = scene::unbound_datagram()?;
    for length in [103, 104] {
        let name = "p".repeat(length);
        let path = Path::new(&name);
        // OpenBSD cannot bind the longer path either.
        let _receiver = UnixDatagram::bind(path);
        trial.send_to(&SocketRef::unix_datagram(&sender), b"x", Destination::Path(path));
    }
    Ok(())
}

fn abstract_name(trial: &mut Trial) -> Result<(), Stop> {
    let name = format!("unisend-conformance-{}", std::process::id());
    let receiver = scene::new_socket(nix::sys::socket::AddressFamily::Unix, SockType::Datagram)?;
    // OpenBSD cannot bind to it.
    let _ = scene::bind_to_abstract(&receiver, name.as_bytes());
    let sender = scene::unbound_datagram()?;
    trial.send_to(&SocketRef::unix_datagram(&sender), b"x", Destination::Abstract(name.as_bytes()));
    Ok(())
}

fn port_zero(trial: &mut Trial) -> Result<(), Stop> {
    let v4 = UdpSocket::bind(scene::loopback()?)?;
    trial.send_to(&SocketRef::udp_v4(&v4), b"x", Destination::Internet((Ipv4Addr::LOCALHOST, 0).into()));
    trial.send_to(
        &SocketRef::udp_v6(&scene::udp_v6()?),
        b"x",
        Destination::Internet((Ipv6Addr::LOCALHOST, 0).into()),
    );
    Ok(())
}

fn v4_on_v6(trial: &mut Trial) -> Result<(), Stop> {
    let receiver = UdpSocket::bind(scene::loopback()?)?.local_addr()?;
    let sender = scene::udp_at_all(false)?;
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), receiver.port()));
    trial.send_to(&SocketRef::udp_v6(&sender), b"x", Destination::Internet(receiver));
    // The port is closed by now. A new socket does not see the refusal of the previous datagram.
    let sender = scene::udp_at_all(false)?;
    trial.send_to(&SocketRef::udp_v6(&sender), b"x", Destination::Internet(mapped));
    Ok(())
}

/// Returns the address of a new IPv4 receiver.
fn receiver_v4() -> Result<(UdpSocket, SocketAddrV4), Stop> {
    let receiver = UdpSocket::bind(scene::loopback()?)?;
    let port = receiver.local_addr()?.port();
    Ok((receiver, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))
}

fn mapped(trial: &mut Trial) -> Result<(), Stop> {
    let (_receiver, to) = receiver_v4()?;
    let sender = scene::udp_at_all(false)?;
    for port in [to.port(), 0] {
        let to = Destination::Mapped(SocketAddrV4::new(*to.ip(), port));
        trial.send_to(&SocketRef::udp_v6(&sender), b"x", to);
    }
    Ok(())
}

fn mapped_on_v6_alone(trial: &mut Trial) -> Result<(), Stop> {
    let (_receiver, to) = receiver_v4()?;
    let sender = scene::udp_at_all(true)?;
    trial.send_to(&SocketRef::udp_v6(&sender), b"x", Destination::Mapped(to));
    Ok(())
}

fn zero_length(trial: &mut Trial) -> Result<(), Stop> {
    let udp = UdpSocket::bind(scene::loopback()?)?;
    let unix = scene::unbound_datagram()?;
    let (name, _) = raw::socket_name(Destination::Internet(udp.local_addr()?));
    trial.note_raw(raw::send_to_name(udp.as_fd(), b"x", &name, 0));
    let (name, _) = raw::socket_name(Destination::Path(&trial.path("missing")));
    trial.note_raw(raw::send_to_name(unix.as_fd(), b"x", &name, 0));
    Ok(())
}

fn bad_paths(trial: &mut Trial) -> Result<(), Stop> {
    drop(scene::bound_datagram(&trial.path("stale"))?);
    machine::need(Need::UnixStream)?;
    let _listener = UnixListener::bind(trial.path("stream"))?;
    std::fs::write(trial.path("file"), "")?;
    let sender = scene::unbound_datagram()?;
    for name in ["missing", "stale", "stream", "file", "."] {
        let path = trial.path(name);
        trial.send_to(&SocketRef::unix_datagram(&sender), b"x", Destination::Path(&path));
    }
    Ok(())
}

fn forbidden_path(trial: &mut Trial) -> Result<(), Stop> {
    let path = trial.path("forbidden");
    let _receiver = scene::bound_datagram(&path)?;
    send_without_permission(trial, &path)
}

fn forbidden_file(trial: &mut Trial) -> Result<(), Stop> {
    let path = trial.path("file");
    std::fs::write(&path, "")?;
    send_without_permission(trial, &path)
}

fn send_without_permission(trial: &mut Trial, path: &Path) -> Result<(), Stop> {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o000))?;
    std::fs::set_permissions(trial.directory(), PermissionsExt::from_mode(0o711))?;
    // Permissions do not restrict root.
    scene::leave_root(32_767)?;
    let sender = scene::unbound_datagram()?;
    trial.send_to(&SocketRef::unix_datagram(&sender), b"x", Destination::Path(path));
    Ok(())
}

fn broken_paths(trial: &mut Trial) -> Result<(), Stop> {
    std::fs::write(trial.path("file"), "")?;
    let sender = scene::unbound_datagram()?;
    let through_file = trial.path("file/socket");
    trial.send_to(&SocketRef::unix_datagram(&sender), b"x", Destination::Path(&through_file));
    match trial.route() {
        // On Linux the empty path, with its NUL, is an abstract name of one byte.
        Route::Kernel => {
            let (name, length) = raw::unix_name(b"", 104);
            trial.note_raw(raw::send_to_name(sender.as_fd(), b"x", &name, length));
        }
        Route::Portable => {
            trial.send_to(&SocketRef::unix_datagram(&sender), b"x", Destination::Path(Path::new("")));
        }
    }
    Ok(())
}

fn receiver_connected(trial: &mut Trial) -> Result<(), Stop> {
    let (receiver, other) = (trial.path("receiver"), trial.path("other"));
    let connected = scene::bound_datagram(&receiver)?;
    let _other = scene::bound_datagram(&other)?;
    connected.connect(&other)?;
    let sender = scene::unbound_datagram()?;
    trial.send_to(&SocketRef::unix_datagram(&sender), b"x", Destination::Path(&receiver));
    Ok(())
}

fn broadcast(trial: &mut Trial) -> Result<(), Stop> {
    let sender = UdpSocket::bind(scene::loopback()?)?;
    let everybody = Ipv4Addr::new(127, 255, 255, 255);
    trial.send_to(&SocketRef::udp_v4(&sender), b"x", Destination::Internet((everybody, 9).into()));
    Ok(())
}

fn packet_filter(trial: &mut Trial) -> Result<(), Stop> {
    scene::enter_own_network()?;
    let (tcp, tcp_peer) = scene::tcp_pair()?;
    let (udp, udp_peer) = scene::udp_pair()?;
    network::drop_what_is_sent_to(tcp_peer.local_addr()?.port(), udp_peer.local_addr()?.port())?;
    trial.send(&SocketRef::tcp(&tcp), b"x");
    trial.send(&SocketRef::udp_v4(&udp), b"x");
    Ok(())
}
