//! F7 to F9, R26: flags for receiving.
//!
//! OpenBSD's answers are those of soreceive() (sys/kern/uipc_socket.c), tcp_rcvoob() (sys/netinet/tcp_usrreq.c) and of the
//! handling of `TH_URG` in tcp_input() (sys/netinet/tcp_input.c).

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{Backlog, SockType, listen, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use unisend::{Address, ControlBuffer, DatagramSocket, ReceiveFlags, SocketRef};

use super::descriptors::{NO_SUCH_FLAG, ROOM, sent};
use super::flags::WITHOUT_OOB;
use crate::case::{Case, Stop, Topic};
use crate::expected::{always, since};
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

const PEEK: ReceiveFlags = ReceiveFlags::PEEK;
const URGENT: ReceiveFlags = ReceiveFlags::OUT_OF_BAND;
const NONE: ReceiveFlags = ReceiveFlags::empty();

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Flags;
    vec![
        topic
            .case("F7", "abcd on TCP: peeked at in part, whole, in two slices; received", peek_tcp)
            .kernels("ab, abcd, abcd, abcd, EAGAIN")
            .promise("ab, abcd, abcd, abcd, WouldBlock"),
        topic
            .case("F7b", "abcd on UDP: peeked at in part, in two slices; received; an empty one", peek_udp)
            .kernels("ab TRUNC, abcd, abcd, nothing, nothing, EAGAIN")
            .promise("ab truncated, abcd, abcd, nothing, nothing, WouldBlock"),
        topic
            .case("F7c", "the sender and the destination at a peek, over IPv4 and IPv6", peek_names)
            .kernels("told, told")
            .promise("told, 127.0.0.1, told, ::1"),
        topic
            .case("F7d", "a peek at nothing, at the end of a connection, and a receive there", peek_end)
            .kernels("EAGAIN, EAGAIN, nothing, nothing, nothing")
            .promise("WouldBlock, WouldBlock, end, end, end"),
        topic
            .case("F7e", "a pending error, of UDP and of TCP: two peeks, a receive", peek_error)
            .kernel(
                "ECONNREFUSED, EAGAIN, EAGAIN, ECONNRESET, nothing, nothing",
                "ECONNREFUSED, ECONNREFUSED, ECONNREFUSED, ECONNRESET, ECONNRESET, ECONNRESET",
            )
            .promise("Refused, WouldBlock, WouldBlock, Reset, end, end"),
        topic
            .case("F7f", "a peek at a unix stream, a datagram, a record, a socket of any kind; received", peek_unix)
            .kernels("x, x, x, x, x, x, x, x")
            .promise("Unsupported, x, Unsupported, x, Unsupported, x, Unsupported, x"),
        topic
            .case("R26", "two descriptors: peeked at, then received", peek_descriptors)
            .kernel("received 4+2, received 4+2", "received 4+0, received 4+2")
            .promise("Unsupported, received 4+2"),
        topic
            .case("F8", "xyz sent as urgent: peeked at, received; the rest; the same before the end", urgent)
            .kernels("z, z, xy, z, xy, nothing")
            .promise("z, z, xy, z, xy, end"),
        topic
            .case(
                "F8b",
                "never connected, a listener, none sent, only data, received before, SO_OOBINLINE, the end, \
                 after a reset; received there",
                no_urgent,
            )
            .kernel(
                "EINVAL, ENOTCONN, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, ENOTCONN, ECONNRESET",
                "EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, ECONNRESET, ECONNRESET",
            )
            .promise(
                "InvalidInput, InvalidInput, InvalidInput, InvalidInput, InvalidInput, InvalidInput, \
                 InvalidInput, InvalidInput, Reset",
            ),
        topic
            .case("F8c", "announced, but behind data for which there is no room; then received", announced)
            .kernels("EAGAIN, !")
            .promise("WouldBlock, !"),
        topic
            .case("F8d", "without room for the byte, then with room", urgent_without_room)
            .kernel("nothing TRUNC, EINVAL", "nothing, EINVAL")
            .promise("InvalidInput, z"),
        topic
            .case(
                "F8e",
                "data before the mark received; nothing received at the mark; data behind it peeked at, received: \
                 the urgent byte after each",
                passing_the_mark,
            )
            .kernel(
                "ab, u, EAGAIN, EINVAL, cd, u, cd, EINVAL",
                "ab, u, EAGAIN, u, cd, EINVAL, cd, EINVAL",
            )
            .differs(
                "ab, u, WouldBlock, InvalidInput, cd, u, cd, InvalidInput",
                "ab, u, WouldBlock, u, cd, InvalidInput, cd, InvalidInput",
                "Linux passes the mark when it looks for data there, OpenBSD when it copies some, also at a peek",
            ),
        topic
            .case("F8f", "a second urgent byte before the first was received: the byte, the data", second_urgent)
            .kernel("v, abucd", "v, abcd")
            .differs("v, abucd", "v, abcd", "Linux makes data of the first byte, OpenBSD drops it"),
        topic
            .case("F8g", "announced, and receiving is shut down before it comes", announced_and_shut_down)
            .kernel("nothing", "EAGAIN")
            .differs("end", "WouldBlock", "only Linux looks at the shutdown"),
        topic
            .case("F8h", "on UDP, a unix stream, datagram, seqpacket; received", urgent_elsewhere)
            .kernel(
                [
                    always("x, EAGAIN, EOPNOTSUPP, x, EOPNOTSUPP, x, EOPNOTSUPP, x"),
                    since(5, 15, "x, EAGAIN, EINVAL, x, EOPNOTSUPP, x, EOPNOTSUPP, x"),
                    since(5, 15, "x, EAGAIN, EOPNOTSUPP, x, EOPNOTSUPP, x, EOPNOTSUPP, x").only(WITHOUT_OOB),
                ],
                "EOPNOTSUPP, x, EOPNOTSUPP, x, EOPNOTSUPP, x, EOPNOTSUPP, x",
            )
            .promise("Unsupported, x, Unsupported, x, Unsupported, x, Unsupported, x"),
        topic
            .case("F9", "2 of 4 bytes came: MSG_WAITALL with MSG_DONTWAIT, and a time limit", wait_for_all)
            .kernel("2 at once", "2 after waiting")
            .unrepresentable(NO_SUCH_FLAG),
    ]
}

/// Receives into this much room without waiting, and notes what came.
fn receive(trial: &mut Trial, socket: &SocketRef<'_, impl Sized>, room: usize, flags: ReceiveFlags) {
    receive_into(trial, socket, &[room], flags);
}

/// The same into slices with this much room each.
fn receive_into(trial: &mut Trial, socket: &SocketRef<'_, impl Sized>, rooms: &[usize], flags: ReceiveFlags) {
    let flags = flags | ReceiveFlags::DONT_WAIT;
    match trial.route() {
        Route::Kernel => match raw::receive_data(socket.as_fd(), rooms, raw::receive_flag_numbers(flags)) {
            Ok((data, returned)) => {
                let said = if returned & libc::MSG_TRUNC != 0 { " TRUNC" } else { "" };
                trial.note(format!("{}{said}", shown(&data)));
            }
            Err(errno) => trial.note_raw(Err(errno)),
        },
        Route::Portable => {
            let mut data: Vec<Vec<u8>> = rooms.iter().map(|&room| vec![0; room]).collect();
            let mut slices: Vec<_> = data.iter_mut().map(|room| IoSliceMut::new(room)).collect();
            let mut control = ControlBuffer::new();
            match socket.receive(&mut slices, &mut control, flags) {
                Ok(received) if received.is_end_of_file() => trial.note("end"),
                Ok(received) => {
                    let (bytes, said) =
                        (received.bytes(), if received.is_truncated() { " truncated" } else { "" });
                    trial.note(format!("{}{said}", shown(&data.concat()[..bytes])));
                }
                Err(error) => trial.note(error.kind()),
            }
        }
    }
}

fn shown(data: &[u8]) -> String {
    if data.is_empty() { "nothing".to_owned() } else { data.escape_ascii().to_string() }
}

fn peek_tcp(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::tcp_pair()?;
    raw::send(ours.as_fd(), b"abcd", 0)?;
    scene::wait_until(&theirs, PollFlags::POLLIN)?;
    let theirs = SocketRef::tcp(&theirs);
    receive(trial, &theirs, 2, PEEK);
    receive(trial, &theirs, 9, PEEK);
    receive_into(trial, &theirs, &[1, 9], PEEK);
    receive(trial, &theirs, 9, NONE);
    receive(trial, &theirs, 9, PEEK);
    Ok(())
}

fn peek_udp(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::udp_pair()?;
    for datagram in [b"abcd".as_slice(), b""] {
        raw::send(ours.as_fd(), datagram, 0)?;
    }
    scene::wait_until(&theirs, PollFlags::POLLIN)?;
    let theirs = SocketRef::udp_v4(&theirs);
    receive(trial, &theirs, 2, PEEK);
    receive_into(trial, &theirs, &[1, 9], PEEK);
    receive(trial, &theirs, 9, NONE);
    receive(trial, &theirs, 9, PEEK);
    receive(trial, &theirs, 9, NONE);
    receive(trial, &theirs, 9, PEEK);
    Ok(())
}

/// Peeks at a datagram, and notes what is told of its sender and, through unisend, of its destination.
fn peek_name(
    trial: &mut Trial,
    receiver: &SocketRef<'_, DatagramSocket>,
    sender: &UdpSocket,
) -> Result<(), Stop> {
    scene::wait_until(receiver, PollFlags::POLLIN)?;
    let told = |is_it| if is_it { "told" } else { "told another" };
    if trial.route() == Route::Kernel {
        let name = raw::receive_name(receiver.as_fd(), libc::MSG_PEEK)?;
        trial.note(told(name == raw::own_name(sender.as_fd())?));
        return Ok(());
    }
    let (mut control, mut byte) = (ControlBuffer::new(), [0]);
    let mut slices = [IoSliceMut::new(&mut byte)];
    let received = receiver.receive(&mut slices, &mut control, PEEK)?;
    trial.note(told(received.sender() == Some(Address::from(sender.local_addr()?))));
    trial.note(received.destination().map_or("nothing".to_owned(), |told| told.address.to_string()));
    Ok(())
}

fn peek_names(trial: &mut Trial) -> Result<(), Stop> {
    let (sender, receiver) = (UdpSocket::bind(scene::loopback()?)?, UdpSocket::bind(scene::LOOPBACK)?);
    let ours = SocketRef::udp_v4(&receiver);
    ours.receive_destinations()?;
    sender.send_to(b"xy", SocketAddr::from((Ipv4Addr::LOCALHOST, receiver.local_addr()?.port())))?;
    peek_name(trial, &ours, &sender)?;

    let (sender, receiver) = (scene::udp_v6()?, scene::udp_v6()?);
    let ours = SocketRef::udp_v6(&receiver);
    ours.receive_destinations()?;
    sender.send_to(b"xy", SocketAddr::from((Ipv6Addr::LOCALHOST, receiver.local_addr()?.port())))?;
    peek_name(trial, &ours, &sender)
}

fn peek_end(trial: &mut Trial) -> Result<(), Stop> {
    let (_peer, udp) = scene::udp_pair()?;
    receive(trial, &SocketRef::udp_v4(&udp), 9, PEEK);
    let (ours, theirs) = scene::tcp_pair()?;
    receive(trial, &SocketRef::tcp(&theirs), 9, PEEK);
    scene::finish(ours, &theirs)?;
    for flags in [PEEK, PEEK, NONE] {
        receive(trial, &SocketRef::tcp(&theirs), 9, flags);
    }
    Ok(())
}

fn peek_error(trial: &mut Trial) -> Result<(), Stop> {
    let udp = scene::udp_to_closed_port()?;
    raw::send(udp.as_fd(), b"x", 0)?;
    scene::wait_until(&udp, PollFlags::POLLIN)?;
    for flags in [PEEK, PEEK, NONE] {
        receive(trial, &SocketRef::udp_v4(&udp), 9, flags);
    }
    let (ours, theirs) = scene::tcp_pair()?;
    scene::reset(ours, &theirs)?;
    for flags in [PEEK, PEEK, NONE] {
        receive(trial, &SocketRef::tcp(&theirs), 9, flags);
    }
    Ok(())
}

/// Receives a byte with the flag and then without it, on a socket that was declared in this way.
fn receive_twice(
    trial: &mut Trial,
    (ours, theirs): &(OwnedFd, OwnedFd),
    kind: Kind,
    flag: ReceiveFlags,
) -> Result<(), Stop> {
    raw::send(ours.as_fd(), b"x", 0)?;
    scene::wait_until(theirs, PollFlags::POLLIN)?;
    receive(trial, &kind(theirs), 9, flag);
    receive(trial, &kind(theirs), 9, NONE);
    Ok(())
}

type Kind = fn(&OwnedFd) -> SocketRef<'_>;

fn unix_kinds() -> [(SockType, Kind); 3] {
    [
        (SockType::Stream, |fd| SocketRef::unix_stream(fd)),
        (SockType::Datagram, |fd| SocketRef::unix_datagram(fd).into()),
        (SockType::SeqPacket, |fd| SocketRef::unix_seqpacket(fd)),
    ]
}

fn peek_unix(trial: &mut Trial) -> Result<(), Stop> {
    for (kind, declare) in unix_kinds() {
        receive_twice(trial, &scene::unix_pair(kind)?, declare, PEEK)?;
    }
    // Also where it could be honoured: unisend does not know what the socket is.
    let (ours, theirs) = scene::udp_pair()?;
    receive_twice(trial, &(ours.into(), theirs.into()), |fd| SocketRef::other(fd), PEEK)
}

fn peek_descriptors(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::Stream, 2)?;
    let socket = SocketRef::unix_stream(&theirs);
    match trial.route() {
        Route::Kernel => {
            let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
            let received = raw::receive_rights(theirs.as_fd(), 4, ROOM, flags)?;
            trial.note(format!("received {}+{}", received.bytes, received.descriptors.len()));
        }
        Route::Portable => receive(trial, &socket, 4, PEEK),
    }
    trial.receive_message(&socket, 4, ROOM);
    Ok(())
}

/// Sends bytes of which the last is urgent, and waits until it has come.
fn send_urgent(ours: &TcpStream, bytes: &[u8], theirs: &TcpStream) -> Result<(), Stop> {
    raw::send(ours.as_fd(), bytes, libc::MSG_OOB)?;
    let last = bytes.last().copied();
    until(|| {
        let mut byte = [0];
        let peeked = raw::receive(theirs.as_fd(), &mut byte, libc::MSG_OOB | libc::MSG_PEEK);
        peeked.is_ok() && Some(byte[0]) == last
    })
}

/// Waits until this has happened.
fn until(mut happened: impl FnMut() -> bool) -> Result<(), Stop> {
    let start = Instant::now();
    while !happened() {
        if start.elapsed() > Duration::from_secs(5) {
            return Err(Stop::Broken("what the urgent byte needs did not happen in time".to_owned()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn urgent(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::tcp_pair()?;
    send_urgent(&ours, b"xyz", &theirs)?;
    for flags in [PEEK | URGENT, URGENT, NONE] {
        receive(trial, &SocketRef::tcp(&theirs), 9, flags);
    }
    let (ours, theirs) = scene::tcp_pair()?;
    send_urgent(&ours, b"xyz", &theirs)?;
    scene::finish(ours, &theirs)?;
    for flags in [URGENT, NONE, NONE] {
        receive(trial, &SocketRef::tcp(&theirs), 9, flags);
    }
    Ok(())
}

fn no_urgent(trial: &mut Trial) -> Result<(), Stop> {
    let (alone, listener) = (scene::tcp()?, scene::tcp()?);
    scene::bind_to_loopback(&listener)?;
    listen(&listener, Backlog::new(1)?)?;
    receive(trial, &SocketRef::tcp(&alone), 9, URGENT);
    receive(trial, &SocketRef::tcp(&listener), 9, URGENT);

    let (ours, theirs) = scene::tcp_pair()?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    raw::send(ours.as_fd(), b"data", 0)?;
    scene::wait_until(&theirs, PollFlags::POLLIN)?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    send_urgent(&ours, b"u", &theirs)?;
    raw::receive(theirs.as_fd(), &mut [0], libc::MSG_OOB)?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);

    let (ours, theirs) = scene::tcp_pair()?;
    setsockopt(&theirs, sockopt::OobInline, &true)?;
    raw::send(ours.as_fd(), b"u", libc::MSG_OOB)?;
    scene::wait_until(&theirs, PollFlags::POLLIN)?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);

    let (ours, theirs) = scene::tcp_pair()?;
    scene::finish(ours, &theirs)?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);

    let (ours, theirs) = scene::tcp_pair()?;
    send_urgent(&ours, b"u", &theirs)?;
    scene::reset(ours, &theirs)?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    receive(trial, &SocketRef::tcp(&theirs), 9, NONE);
    Ok(())
}

/// Returns a connection on which an urgent byte is announced that has not come: the data before it fills the buffer
/// of the receiver, which does not read. The number of bytes of that data is returned too.
fn announced_only() -> Result<(TcpStream, TcpStream, usize), Stop> {
    let listener = TcpListener::bind(scene::loopback()?)?;
    // The connection inherits the size, which is the first window.
    setsockopt(&listener, sockopt::RcvBuf, &4096)?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let (theirs, _) = listener.accept()?;
    // More than the receiver takes, and fewer bytes than an urgent pointer can point over.
    setsockopt(&ours, sockopt::SndBuf, &65_536)?;
    let mut before = 0;
    while before < 30_000 {
        match raw::send(ours.as_fd(), &[b'f'; 1000], libc::MSG_DONTWAIT) {
            Ok(count) => before += count,
            Err(Errno::EAGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    raw::send(ours.as_fd(), b"!", libc::MSG_OOB)?;
    until(|| {
        let peeked = raw::receive(theirs.as_fd(), &mut [0], libc::MSG_OOB | libc::MSG_PEEK);
        peeked == Err(Errno::EAGAIN)
    })?;
    Ok((ours, theirs, before))
}

fn announced(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs, mut before) = announced_only()?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    let mut buffer = vec![0; before];
    while before > 0 {
        scene::wait_until(&theirs, PollFlags::POLLIN)?;
        before -= raw::receive(theirs.as_fd(), &mut buffer[..before], libc::MSG_DONTWAIT)?;
    }
    // OpenBSD's poll(2) reports POLLPRI as soon as it is announced.
    until(|| raw::receive(theirs.as_fd(), &mut [0], libc::MSG_OOB | libc::MSG_PEEK).is_ok())?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    Ok(())
}

fn announced_and_shut_down(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs, _) = announced_only()?;
    scene::shutdown(&theirs, Shutdown::Read)?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    Ok(())
}

fn urgent_without_room(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::tcp_pair()?;
    send_urgent(&ours, b"xyz", &theirs)?;
    receive_into(trial, &SocketRef::tcp(&theirs), &[0, 0], URGENT);
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    Ok(())
}

fn passing_the_mark(trial: &mut Trial) -> Result<(), Stop> {
    for (before, behind, flags) in [
        (b"abu".as_slice(), b"cd".as_slice(), NONE),
        (b"u", b"", NONE),
        (b"u", b"cd", PEEK),
        (b"u", b"cd", NONE),
    ] {
        let (ours, theirs) = scene::tcp_pair()?;
        send_urgent(&ours, before, &theirs)?;
        raw::send(ours.as_fd(), behind, 0)?;
        if !behind.is_empty() {
            scene::wait_until(&theirs, PollFlags::POLLIN)?;
        }
        receive(trial, &SocketRef::tcp(&theirs), 9, flags);
        receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    }
    Ok(())
}

fn second_urgent(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::tcp_pair()?;
    send_urgent(&ours, b"abu", &theirs)?;
    send_urgent(&ours, b"cdv", &theirs)?;
    receive(trial, &SocketRef::tcp(&theirs), 9, URGENT);
    receive(trial, &SocketRef::tcp(&theirs), 9, NONE);
    Ok(())
}

fn urgent_elsewhere(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::udp_pair()?;
    receive_twice(trial, &(ours.into(), theirs.into()), |fd| SocketRef::udp_v4(fd).into(), URGENT)?;
    for (kind, declare) in unix_kinds() {
        receive_twice(trial, &scene::unix_pair(kind)?, declare, URGENT)?;
    }
    Ok(())
}

fn wait_for_all(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::tcp_pair()?;
    setsockopt(&theirs, sockopt::ReceiveTimeout, &TimeVal::milliseconds(500))?;
    raw::send(ours.as_fd(), b"ab", 0)?;
    scene::wait_until(&theirs, PollFlags::POLLIN)?;
    let start = Instant::now();
    let received = raw::receive(theirs.as_fd(), &mut [0; 4], libc::MSG_WAITALL | libc::MSG_DONTWAIT)?;
    let waited = start.elapsed() >= Duration::from_millis(250);
    trial.note(format!("{received} {}", if waited { "after waiting" } else { "at once" }));
    Ok(())
}
