//! F1 to F4: flags.

use std::ffi::c_int;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::SockType;
use unisend::{SendFlags, SocketRef};

use crate::case::{Case, Stop, Topic};
use crate::expected::{always, since};
use crate::network::FarHost;
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

/// Linux's unix streams have urgent bytes since 5.15 (commit 314001f0bf92), if the kernel is built with them.
pub(super) const WITHOUT_OOB: &str = "a kernel without CONFIG_AF_UNIX_OOB";

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Flags;
    vec![
        topic
            .case(
                "F1",
                "each of the 32 bits alone on each kind of socket: those that are not simply accepted",
                every_bit,
            )
            .kernel(
                [
                    always(
                        "tcp 0x8000 held, tcp 0x20000000 EISCONN, udp 0x1 EOPNOTSUPP, udp 0x10 lost, \
                         udp 0x8000 held, stream 0x1 EOPNOTSUPP, seqpacket 0x1 EOPNOTSUPP, \
                         datagram 0x1 EOPNOTSUPP",
                    ),
                    since(
                        5,
                        15,
                        "tcp 0x8000 held, tcp 0x20000000 EISCONN, udp 0x1 EOPNOTSUPP, udp 0x10 lost, \
                         udp 0x8000 held, seqpacket 0x1 EOPNOTSUPP, datagram 0x1 EOPNOTSUPP",
                    ),
                    since(
                        5,
                        15,
                        "tcp 0x8000 held, tcp 0x20000000 EISCONN, udp 0x1 EOPNOTSUPP, udp 0x10 lost, \
                         udp 0x8000 held, stream 0x1 EOPNOTSUPP, seqpacket 0x1 EOPNOTSUPP, \
                         datagram 0x1 EOPNOTSUPP",
                    )
                    .only(WITHOUT_OOB),
                ],
                "tcp 0x8 EINVAL, udp 0x1 EOPNOTSUPP, stream 0x1 EOPNOTSUPP, stream 0x8 EINVAL, \
                 seqpacket 0x1 EOPNOTSUPP, datagram 0x1 EOPNOTSUPP",
            )
            .promise("tcp refused, udp refused, stream refused, seqpacket refused, datagram refused"),
        topic
            .case("F1b", "DONT_ROUTE: the socket option, and a send to the loopback network", dont_route)
            .kernel("0, 1", "EOPNOTSUPP, 1")
            .differs(
                "1",
                "Unsupported",
                "OpenBSD does not implement it: it ignores the flag and refuses the option",
            ),
        topic
            .case("F1c", "DONT_ROUTE on a unix socket, which has no routes", dont_route_unix)
            .kernels("1")
            .promise("Unsupported"),
        topic
            .case("F1d", "DONT_ROUTE through a gateway: TCP, UDP over IPv6; what arrived", gateway)
            .kernels("1, 1 came, 1, 1 came")
            .promise("Unsupported, 0 came, Unsupported, 0 came"),
        topic
            .case(
                "F1e",
                "DONT_ROUTE through a gateway, UDP over IPv4: with the flag and without; what arrived",
                gateway_v4,
            )
            .kernel("ENETUNREACH, 0 came, 1, 1 came", "1, 1 came, 1, 1 came")
            .differs(
                "Unreachable, 0 came, 1, 1 came",
                "Unsupported, 0 came, 1, 1 came",
                "OpenBSD does not implement it: it ignores the flag",
            ),
        topic
            .case("F2", "OUT_OF_BAND on TCP: the last byte is urgent", urgent)
            .kernels("3, urgent z, received 2")
            .promise("3, urgent z, received 2"),
        topic
            .case("F2b", "OUT_OF_BAND on UDP, unix stream, datagram, seqpacket", urgent_elsewhere)
            .kernel(
                [
                    always("EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP"),
                    since(5, 15, "EOPNOTSUPP, 3, EOPNOTSUPP, EOPNOTSUPP"),
                    since(5, 15, "EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP").only(WITHOUT_OOB),
                ],
                "EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP",
            )
            .promise("Unsupported, Unsupported, Unsupported, Unsupported"),
        topic
            .case("F3", "END_OF_RECORD on TCP, UDP, unix stream, datagram, seqpacket", end_of_record)
            .kernel("1, 1, 1, 1, 1", "EINVAL, 1, EINVAL, 1, 1")
            .promise("Unsupported, Unsupported, Unsupported, Unsupported, 1"),
        topic
            .case("F4", "MORE on TCP: all data arrives when the next data is sent without it", more)
            .kernels("5, 5, received 10")
            .promise("5, 5, received 10"),
        topic
            .case(
                "F4b",
                "MORE on UDP: a datagram stays a datagram; on seqpacket and unix datagram",
                more_elsewhere,
            )
            .kernel("1, 1, received 2, received EAGAIN, 1, 1", "1, 1, received 1, received 1, 1, 1")
            .promise("Unsupported, 1, received 1, received EAGAIN, Unsupported, Unsupported"),
        topic
            .case("F4c", "CONFIRM on TCP, UDP and a unix socket", confirm)
            .kernels("1, 1, 1")
            .promise("1, 1, 1"),
    ]
}

type Pair = (OwnedFd, OwnedFd);

fn tcp() -> Result<Pair, Stop> {
    scene::tcp_pair().map(|(ours, theirs)| (ours.into(), theirs.into()))
}

fn udp() -> Result<Pair, Stop> {
    scene::udp_pair().map(|(ours, theirs)| (ours.into(), theirs.into()))
}

fn stream() -> Result<Pair, Stop> {
    scene::unix_pair(SockType::Stream)
}

fn seqpacket() -> Result<Pair, Stop> {
    scene::unix_pair(SockType::SeqPacket)
}

fn datagram() -> Result<Pair, Stop> {
    scene::unix_pair(SockType::Datagram)
}

fn every_bit(trial: &mut Trial) -> Result<(), Stop> {
    type Declare = fn(&OwnedFd) -> SocketRef<'_>;
    type Kind = (&'static str, fn() -> Result<Pair, Stop>, Declare);
    let kinds: [Kind; 5] = [
        ("tcp", tcp, |fd| SocketRef::tcp(fd)),
        ("udp", udp, |fd| SocketRef::udp_v4(fd).into()),
        ("stream", stream, |fd| SocketRef::unix_stream(fd)),
        ("seqpacket", seqpacket, |fd| SocketRef::unix_seqpacket(fd)),
        ("datagram", datagram, |fd| SocketRef::unix_datagram(fd).into()),
    ];
    for (name, pair, declare) in kinds {
        match trial.route() {
            Route::Kernel => {
                for bit in 0..32 {
                    every_bit_raw(trial, name, pair()?, 1 << bit)?;
                }
            }
            Route::Portable => {
                let (ours, theirs) = pair()?;
                let unknown = [1 << 6, 1 << 7].map(SendFlags::from_bits_retain);
                let refused = unknown.map(|flags| declare(&ours).send(b"four", flags).is_err());
                let nothing =
                    raw::receive(theirs.as_fd(), &mut [0; 4], libc::MSG_DONTWAIT) == Err(Errno::EAGAIN);
                trial.note(format!(
                    "{name} {}",
                    if refused == [true; 2] && nothing { "refused" } else { "sent" }
                ));
            }
        }
    }
    Ok(())
}

/// Notes the effect of a bit, if the data is not simply sent as without it. F2 has the effect of an urgent byte
/// on a stream.
fn every_bit_raw(trial: &mut Trial, name: &str, (ours, theirs): Pair, bit: c_int) -> Result<(), Stop> {
    let sent = raw::send(ours.as_fd(), b"four", bit | libc::MSG_NOSIGNAL);
    let is_tcp = name == "tcp";
    let arrived = sent.is_ok() && scene::wait_for(&theirs, nix::poll::PollFlags::POLLIN, 20)?;
    match sent {
        Err(errno) => trial.note(format!("{name} {bit:#x} {errno:?}")),
        Ok(_) if arrived => {}
        // Held data arrives when the next data has been sent. Lost data does not.
        Ok(_) if is_tcp => trial.note(format!("{name} {bit:#x} held")),
        Ok(_) => {
            raw::send(ours.as_fd(), b"4", libc::MSG_NOSIGNAL)?;
            let together = raw::receive(theirs.as_fd(), &mut [0; 8], libc::MSG_DONTWAIT)? == 5;
            trial.note(format!("{name} {bit:#x} {}", if together { "held" } else { "lost" }));
        }
    }
    Ok(())
}

fn dont_route(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::udp_pair()?;
    if trial.route() == Route::Kernel {
        trial.note_raw(raw::set_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_DONTROUTE, 1));
    }
    trial.send_flags(&SocketRef::udp_v4(&ours), b"x", SendFlags::DONT_ROUTE);
    Ok(())
}

fn dont_route_unix(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = stream()?;
    trial.send_flags(&SocketRef::unix_stream(&ours), b"x", SendFlags::DONT_ROUTE);
    Ok(())
}

/// The far host can only be reached through the gateway.
fn gateway(trial: &mut Trial) -> Result<(), Stop> {
    let mut far = FarHost::new()?;
    let tcp = std::net::TcpStream::connect(far.tcp)?;
    trial.send_flags(&SocketRef::tcp(&tcp), b"x", SendFlags::DONT_ROUTE);
    note_what_came(trial, &mut far, b't')?;
    let udp = std::net::UdpSocket::bind("[::]:0")?;
    udp.connect(far.udp_v6)?;
    trial.send_flags(&SocketRef::udp_v6(&udp), b"x", SendFlags::DONT_ROUTE);
    note_what_came(trial, &mut far, b'6')
}

fn gateway_v4(trial: &mut Trial) -> Result<(), Stop> {
    let mut far = FarHost::new()?;
    let udp = std::net::UdpSocket::bind("0.0.0.0:0")?;
    udp.connect(far.udp_v4)?;
    for flags in [SendFlags::DONT_ROUTE, SendFlags::empty()] {
        trial.send_flags(&SocketRef::udp_v4(&udp), b"x", flags);
        note_what_came(trial, &mut far, b'4')?;
    }
    Ok(())
}

fn note_what_came(trial: &mut Trial, far: &mut FarHost, socket: u8) -> Result<(), Stop> {
    let count = far.received(socket, trial.last_was("1"))?;
    trial.note(format!("{count} came"));
    Ok(())
}

fn urgent(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::tcp_pair()?;
    trial.send_flags(&SocketRef::tcp(&ours), b"xyz", SendFlags::OUT_OF_BAND);
    scene::wait_until(&theirs, nix::poll::PollFlags::POLLPRI)?;
    let mut byte = [0];
    raw::receive(theirs.as_fd(), &mut byte, libc::MSG_OOB)?;
    trial.note(format!("urgent {}", byte.escape_ascii()));
    trial.receive(&theirs);
    Ok(())
}

fn urgent_elsewhere(trial: &mut Trial) -> Result<(), Stop> {
    let pairs = [udp()?, stream()?, datagram()?, seqpacket()?];
    let [udp, stream, datagram, seqpacket] = &pairs;
    for socket in [
        SocketRef::udp_v4(&udp.0).into(),
        SocketRef::unix_stream(&stream.0),
        SocketRef::unix_datagram(&datagram.0).into(),
        SocketRef::unix_seqpacket(&seqpacket.0),
    ] {
        trial.send_flags(&socket, b"xyz", SendFlags::OUT_OF_BAND);
    }
    Ok(())
}

fn end_of_record(trial: &mut Trial) -> Result<(), Stop> {
    let pairs = [tcp()?, udp()?, stream()?, datagram()?, seqpacket()?];
    let [tcp, udp, stream, datagram, seqpacket] = &pairs;
    for socket in [
        SocketRef::tcp(&tcp.0),
        SocketRef::udp_v4(&udp.0).into(),
        SocketRef::unix_stream(&stream.0),
        SocketRef::unix_datagram(&datagram.0).into(),
        SocketRef::unix_seqpacket(&seqpacket.0),
    ] {
        trial.send_flags(&socket, b"x", SendFlags::END_OF_RECORD);
    }
    Ok(())
}

fn more(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::tcp_pair()?;
    trial.send_flags(&SocketRef::tcp(&ours), b"first", SendFlags::MORE);
    trial.send(&SocketRef::tcp(&ours), b"after");
    let mut buffer = [0; 10];
    let received = raw::receive(theirs.as_fd(), &mut buffer, libc::MSG_WAITALL)?;
    trial.note(format!("received {received}"));
    Ok(())
}

fn more_elsewhere(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::udp_pair()?;
    trial.send_flags(&SocketRef::udp_v4(&ours), b"x", SendFlags::MORE);
    trial.send(&SocketRef::udp_v4(&ours), b"y");
    scene::wait_until(&theirs, nix::poll::PollFlags::POLLIN)?;
    trial.receive(&theirs);
    scene::wait_for(&theirs, nix::poll::PollFlags::POLLIN, 20)?;
    trial.receive(&theirs);
    let pairs = [seqpacket()?, datagram()?];
    let [seqpacket, datagram] = &pairs;
    trial.send_flags(&SocketRef::unix_seqpacket(&seqpacket.0), b"x", SendFlags::MORE);
    trial.send_flags(&SocketRef::unix_datagram(&datagram.0), b"x", SendFlags::MORE);
    Ok(())
}

fn confirm(trial: &mut Trial) -> Result<(), Stop> {
    let pairs = [tcp()?, udp()?, stream()?];
    let [tcp, udp, stream] = &pairs;
    for socket in
        [SocketRef::tcp(&tcp.0), SocketRef::udp_v4(&udp.0).into(), SocketRef::unix_stream(&stream.0)]
    {
        trial.send_flags(&socket, b"x", SendFlags::CONFIRM);
    }
    Ok(())
}
