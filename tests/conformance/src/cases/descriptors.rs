//! L8 to L12, R1 to R31, F5, F6 and B9: descriptors, and what receiving them reports.

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockType};
use nix::unistd::dup;
use unisend::{ErrorKind, Message, SendFlags, SocketRef};

use crate::case::{Case, Stop, Topic};
use crate::expected::{always, since};
use crate::machine::{self, Need};
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

const BOTH_OR_NEITHER: &str = "the control pointer and its length are both set or both zero";
const ONE_EXACT_MESSAGE: &str = "a Message has one control message, of exactly CMSG_SPACE";
const ROOM_FOR_ALL: &str = "a ControlBuffer has room for all that a peer can send";
pub(super) const NO_SUCH_FLAG: &str = "ReceiveFlags has no such flag";

/// The room that a cautious C program gives: for 253 descriptors.
pub(super) const ROOM: usize = 1032;

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Descriptors;
    vec![
        topic
            .case(
                "F5",
                "the flags that recvmsg returns after DONTWAIT and CMSG_CLOEXEC",
                returned_flags,
            )
            .kernel("CMSG_CLOEXEC", "DONTWAIT CMSG_CLOEXEC")
            .promise("received 4+0"),
        topic
            .case("F6", "unix datagram, recv with MSG_TRUNC: 8 bytes into room for 2", truncation_asked)
            .kernel("8", "2")
            .unrepresentable(NO_SUCH_FLAG),
        topic
            .case(
                "B9",
                "unix stream and seqpacket, never connected: receiving",
                receive_never_connected,
            )
            .kernel("received EINVAL, received ENOTCONN", "received ENOTCONN, received ENOTCONN")
            .promise("received NotConnected, received NotConnected"),
        topic
            .case("L8", "unix stream, a control pointer with the length 0", control_of_no_length)
            .kernel("1", "EINVAL")
            .unrepresentable(BOTH_OR_NEITHER),
        topic
            .case("L9", "unix stream, no control pointer, but the length 64", control_without_pointer)
            .kernel("EFAULT", "1")
            .unrepresentable(BOTH_OR_NEITHER),
        topic
            .case("L10", "UDP, control messages of 2048 and of 2056 bytes", long_control)
            .kernel("1, 1", "1, EINVAL")
            .unrepresentable("a message has at most 126 descriptors, which take 520 bytes"),
        topic
            .case(
                "L11",
                "the most descriptors in a message, and one more: with unisend 126 and 127",
                most_descriptors,
            )
            .kernel("253: 1, 254: EINVAL", "253: E2BIG, 254: E2BIG")
            .promise("126: 1, 127: TooManyDescriptors"),
        topic
            .case("L12", "descriptors on TCP and UDP", rights_on_internet)
            .kernel("1, 1", "EINVAL, 1")
            .promise("Unsupported, Unsupported"),
        topic
            .case("R1", "two control messages of descriptors", two_control_messages)
            .kernel("1, received 1+2", "EINVAL, received EAGAIN")
            .unrepresentable(ONE_EXACT_MESSAGE),
        topic
            .case("R2", "msg_controllen: CMSG_LEN, CMSG_SPACE, and 16 bytes more", control_lengths)
            .kernels("1, 1, EINVAL")
            .unrepresentable(ONE_EXACT_MESSAGE),
        topic
            .case("R3", "unix stream, no bytes and a descriptor", no_bytes_on_stream)
            .kernel("0, received EAGAIN", "0, received 0+1")
            .promise("DescriptorsWithoutData, received WouldBlock"),
        topic
            .case(
                "R3b",
                "unix stream, no bytes and a descriptor from a program without unisend",
                foreign_no_bytes,
            )
            .kernel("received EAGAIN", "received 0+1")
            .differs(
                "received WouldBlock",
                "received 0+1",
                "Linux drops the descriptor and delivers nothing; OpenBSD delivers it, which is not the end of file",
            ),
        topic
            .case("R3c", "the same, to a receiver without room for descriptors", foreign_no_bytes_no_room)
            .kernel("received EAGAIN", "received 0+0")
            .differs(
                "received WouldBlock",
                "received 0+0 end",
                "if there is no room for the descriptor, OpenBSD does not report that there was one",
            ),
        topic
            .case("R4", "seqpacket and unix datagram, no bytes and a descriptor", no_bytes_in_record)
            .kernels("0, received 0+1, 0, received 0+1")
            .promise("0, received 0+1, 0, received 0+1"),
        topic
            .case("R5", "a control message of no descriptors, and what arrives", no_descriptors)
            .kernel("1, no control message", "1, a control message")
            .unrepresentable("a Message without descriptors has no control message"),
        topic
            .case("R6", "a descriptor that is not open", bad_descriptor)
            .kernels("EBADF")
            .unrepresentable("a borrowed descriptor is open"),
        topic
            .case("R7", "full unix stream, a non-blocking send with a descriptor: none is sent", nothing_sent_when_full)
            .kernels("EAGAIN, 0 descriptors arrived")
            .promise("WouldBlock, 0 descriptors arrived"),
        topic
            .case("R8", "two descriptors with more data than fits: they go with the first byte", first_byte)
            .kernels("partial, received 4+2, received 4+0")
            .promise("partial, received 4+2, received 4+0"),
        topic
            .case("R8b", "two descriptors and 8 MiB to a reader: how many descriptors arrive", descriptors_once)
            .kernels("8388608, 2 descriptors arrived")
            .promise("8388608, 2 descriptors arrived"),
        topic
            .case(
                "R8c",
                "the rest of 4 bytes after 2, and after 4: unix datagram, seqpacket, UDP; what was received",
                rest_of_record,
            )
            .kernels("2, 0, 2, 0, 2, 0, received 2, received 2, received 2")
            .promise(
                "InvalidInput, InvalidInput, InvalidInput, InvalidInput, InvalidInput, InvalidInput, \
                 received EAGAIN, received EAGAIN, received EAGAIN",
            ),
        topic
            .case("R9", "passing a file, a directory, a socket's own end, its peer's end", kinds)
            .kernels("1, 1, 1, 1")
            .promise("1, 1, 1, 1"),
        topic.case("R9b", "passing an epoll or kqueue descriptor", watcher).kernel("1", "EINVAL").differs(
            "1",
            "InvalidInput",
            "OpenBSD does not pass a kqueue",
        ),
        topic
            .case(
                "R10",
                "too many descriptors in flight, 10 a message, as an ordinary user; then a byte without",
                in_flight,
            )
            .kernel("ETOOMANYREFS, 1", "EMFILE, 1")
            .promise("DescriptorsInFlight, 1"),
        topic
            .case("R11", "sockets passed in sockets, 40 deep", nested)
            .kernels("40 sent, 40 received")
            .promise("40 sent, 40 received"),
        topic
            .case("R12", "a receiver that takes no descriptors (SO_PASSRIGHTS)", receiver_refuses)
            .kernel([always("ENOPROTOOPT, 1"), since(6, 16, "0, EPERM")], "ENOPROTOOPT, 1")
            .differs(
                [always("ENOPROTOOPT, 1"), since(6, 16, "0, PermissionDenied")],
                "ENOPROTOOPT, 1",
                "OpenBSD does not have the option; Linux has it since 6.16",
            ),
        topic
            .case(
                "R13",
                "60000 bytes and a descriptor to a reader, with a send buffer of 256 KiB",
                raised_buffer,
            )
            .kernel("60000, 1 descriptors arrived", "ENOBUFS, 0 descriptors arrived")
            .promise("60000, 1 descriptors arrived"),
        topic
            .case("R13b", "seqpacket, default buffers: a record of 32768 bytes and a descriptor", never_fits)
            .kernel("32768", "EAGAIN")
            .differs(
                "32768",
                "MessageTooLong",
                "the buffers differ; on OpenBSD such a record would wait for ever, while poll(2) says writable",
            ),
        topic
            .case("R20", "unix stream, three descriptors into room for two: two calls", little_room)
            .kernel("received 4+2 CTRUNC, received EAGAIN", "received EMSGSIZE, received 4+0")
            .unrepresentable(ROOM_FOR_ALL),
        topic
            .case("R21", "two descriptors into room for one and its padding", padding)
            .kernel("received 4+2", "received 4+2")
            .unrepresentable(ROOM_FOR_ALL),
        topic
            .case(
                "R22",
                "unix stream, three descriptors, with room for one in the table, then for none",
                table_full,
            )
            .kernel(
                "received 4+1 CTRUNC, received EAGAIN, received 4+0 CTRUNC, received EAGAIN",
                "received EMSGSIZE, received 4+0, received EMSGSIZE, received 4+0",
            )
            .promise("received 4+0 lost, received WouldBlock, received 4+0 lost, received WouldBlock"),
        topic
            .case(
                "R22b",
                "seqpacket, three descriptors, with room for one in the table: two calls",
                table_full_record,
            )
            .kernel("received 4+1 CTRUNC, received EAGAIN", "received EMSGSIZE, received EAGAIN")
            .differs(
                "received 4+0 lost, received WouldBlock",
                "received DescriptorsLost, received WouldBlock",
                "OpenBSD drops the record with its descriptors",
            ),
        topic
            .case("R23", "unix stream, descriptors and no room for control messages", no_room)
            .kernel("received 4+0 CTRUNC", "received 4+0")
            .differs("received 4+0 lost", "received 4+0", "OpenBSD closes them and does not say so"),
        topic
            .case(
                "R23b",
                "a byte, then the end, without room for the credentials that were asked for",
                no_room_for_credentials,
            )
            .kernel("received 1+0 CTRUNC, received 0+0 CTRUNC", "received 1+0, received 0+0")
            .differs(
                "received 1+0 lost, received 0+0 lost end",
                "received 1+0, received 0+0 end",
                "OpenBSD adds nothing",
            ),
        topic
            .case("R23c", "UDP, a datagram without room for its destination, which was asked for", no_room_for_destination)
            .kernel("received 1+0 CTRUNC", "received 1+0")
            .differs("received 1+0 lost", "received 1+0", "OpenBSD drops it and does not say so"),
        topic
            .case("R24", "the same with a datagram", no_room_datagram)
            .kernel("received 4+0 CTRUNC", "received 4+0")
            .differs("received 4+0 lost", "received 4+0", "OpenBSD closes them and does not say so"),
        topic
            .case("R25", "msg_controllen of one descriptor, as recvmsg returns it", returned_length)
            .kernel("CMSG_SPACE", "CMSG_LEN")
            .promise("received 4+1"),
        topic
            .case("R27", "received descriptors are close-on-exec", close_on_exec)
            .kernels("close-on-exec, close-on-exec")
            .promise("close-on-exec, close-on-exec"),
        topic
            .case("R28", "unix stream, AA, BB with 1 descriptor, CC, DD with 2, EE: what each call returns", boundaries)
            .kernel("received 4+1, received 4+2, received 2+0", "received 2+0, received 4+1, received 4+2")
            .differs(
                "received 4+1, received 4+2, received 2+0",
                "received 2+0, received 4+1, received 4+2",
                "Linux ends a call after a message with descriptors, OpenBSD before it",
            ),
        topic
            .case("R28b", "the same in records", record_boundaries)
            .kernels("received 2+0, received 2+1, received 2+0, received 2+2, received 2+0")
            .promise("received 2+0, received 2+1, received 2+0, received 2+2, received 2+0"),
        topic
            .case("R29", "AA, BB with 1 descriptor, CC: MSG_WAITALL for 6 bytes", wait_for_all)
            .kernel("received 4+1", "received 2+0")
            .unrepresentable(NO_SUCH_FLAG),
        topic
            .case(
                "R30",
                "two descriptors without room for data, two calls; the same with a record",
                no_data_room,
            )
            .kernels("received 0+2, received 4+0, received 0+2 TRUNC, received EAGAIN")
            .promise("received 0+2, received 4+0, received 0+2 truncated, received WouldBlock"),
        topic
            .case("R31", "O_NONBLOCK, set on the received descriptor: what the sender sees", shared_flags)
            .kernels("shared")
            .promise("shared"),
    ]
}

fn null() -> Result<File, Stop> {
    scene::open("/dev/null")
}

/// Sends 4 bytes with this many descriptors by raw system calls, as a program without unisend does.
pub(super) fn sent(kind: SockType, count: usize) -> Result<(OwnedFd, OwnedFd), Stop> {
    let (ours, theirs) = scene::unix_pair(kind)?;
    send_more(&ours, b"data", count)?;
    Ok((ours, theirs))
}

fn send_more(socket: &OwnedFd, bytes: &[u8], count: usize) -> Result<(), Stop> {
    let null = null()?;
    let descriptors = vec![null.as_fd(); count];
    match count {
        0 => raw::send(socket.as_fd(), bytes, 0)?,
        _ => raw::send_rights(socket.as_fd(), bytes, &descriptors, 0)?,
    };
    Ok(())
}

fn returned_flags(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::Stream, 0)?;
    if trial.route() == Route::Portable {
        trial.receive_message(&SocketRef::unix_stream(&theirs), 16, ROOM);
        return Ok(());
    }
    let given = [(libc::MSG_DONTWAIT, "DONTWAIT"), (libc::MSG_CMSG_CLOEXEC, "CMSG_CLOEXEC")];
    let received = raw::receive_rights(theirs.as_fd(), 16, ROOM, given[0].0 | given[1].0)?;
    let echoed = given.into_iter().filter(|(flag, _)| received.flags & flag != 0).map(|(_, name)| name);
    trial.note(echoed.collect::<Vec<_>>().join(" "));
    Ok(())
}

fn truncation_asked(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
    raw::send(ours.as_fd(), b"datagram", 0)?;
    trial.note_raw(raw::receive(theirs.as_fd(), &mut [0; 2], libc::MSG_TRUNC));
    Ok(())
}

fn receive_never_connected(trial: &mut Trial) -> Result<(), Stop> {
    let stream = scene::new_socket(AddressFamily::Unix, SockType::Stream)?;
    let seqpacket = scene::new_socket(AddressFamily::Unix, SockType::SeqPacket)?;
    trial.receive_message(&SocketRef::unix_stream(&stream), 4, ROOM);
    trial.receive_message(&SocketRef::unix_seqpacket(&seqpacket), 4, ROOM);
    Ok(())
}

fn control_of_no_length(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    trial.note_raw(raw::send_control(ours.as_fd(), b"x", [0; 64].as_ptr(), 0, 0));
    Ok(())
}

fn control_without_pointer(trial: &mut Trial) -> Result<(), Stop> {
    if cfg!(target_os = "linux") && usize::BITS < 64 && machine::has_kernel_of_64_bits() {
        return scene::skip("a 64-bit Linux translates control messages of 32 bits, and then returns EINVAL");
    }
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    trial.note_raw(raw::send_control(ours.as_fd(), b"x", std::ptr::null(), 64, 0));
    Ok(())
}

fn long_control(trial: &mut Trial) -> Result<(), Stop> {
    const NOBODYS_LEVEL: c_int = 0x7a7a;
    let (ours, _theirs) = scene::udp_pair()?;
    for length in [2048, 2056] {
        let data = vec![0; length - raw::control_length(0)];
        let control = raw::control_message(NOBODYS_LEVEL, 1, &data);
        trial.note_raw(raw::send_control(ours.as_fd(), b"x", control.as_ptr(), control.len(), 0));
    }
    Ok(())
}

fn most_descriptors(trial: &mut Trial) -> Result<(), Stop> {
    let counts = match trial.route() {
        Route::Kernel => [253, 254],
        Route::Portable => [126, 127],
    };
    let null = null()?;
    for count in counts {
        let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
        trial.send_message(
            &SocketRef::unix_stream(&ours),
            b"x",
            &vec![null.as_fd(); count],
            SendFlags::empty(),
        );
        trial.name_last(&format!("{count}: "));
    }
    Ok(())
}

fn rights_on_internet(trial: &mut Trial) -> Result<(), Stop> {
    let (tcp, _tcp_peer) = scene::tcp_pair()?;
    let (udp, _udp_peer) = scene::udp_pair()?;
    let null = null()?;
    trial.send_message(&SocketRef::tcp(&tcp), b"x", &[null.as_fd()], SendFlags::empty());
    trial.send_message(&SocketRef::udp_v4(&udp), b"x", &[null.as_fd()], SendFlags::empty());
    Ok(())
}

fn two_control_messages(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let null = null()?;
    let control = raw::rights(&[null.as_raw_fd()]).repeat(2);
    trial.note_raw(raw::send_control(ours.as_fd(), b"x", control.as_ptr(), control.len(), 0));
    trial.receive_message(&SocketRef::unix_stream(&theirs), 4, ROOM);
    Ok(())
}

fn control_lengths(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    let null = null()?;
    let mut control = raw::rights(&[null.as_raw_fd()]);
    let space = control.len();
    control.resize(space + 16, 0);
    for length in [raw::control_length(4), space, space + 16] {
        trial.note_raw(raw::send_control(ours.as_fd(), b"x", control.as_ptr(), length, 0));
    }
    Ok(())
}

fn no_bytes_on_stream(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let null = null()?;
    trial.send_message(&SocketRef::unix_stream(&ours), b"", &[null.as_fd()], SendFlags::empty());
    trial.receive_message(&SocketRef::unix_stream(&theirs), 4, ROOM);
    Ok(())
}

fn foreign_no_bytes(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    send_more(&ours, b"", 1)?;
    trial.receive_message(&SocketRef::unix_stream(&theirs), 4, ROOM);
    Ok(())
}

fn foreign_no_bytes_no_room(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    send_more(&ours, b"", 1)?;
    trial.receive_without_descriptors(&SocketRef::unix_stream(&theirs), 4);
    Ok(())
}

fn no_bytes_in_record(trial: &mut Trial) -> Result<(), Stop> {
    let null = null()?;
    let (ours, theirs) = scene::unix_pair(SockType::SeqPacket)?;
    trial.send_message(&SocketRef::unix_seqpacket(&ours), b"", &[null.as_fd()], SendFlags::empty());
    trial.receive_message(&SocketRef::unix_seqpacket(&theirs), 4, ROOM);
    let (ours, theirs) = scene::unix_pair(SockType::Datagram)?;
    trial.send_message(&SocketRef::unix_datagram(&ours), b"", &[null.as_fd()], SendFlags::empty());
    trial.receive_message(&SocketRef::unix_datagram(&theirs), 4, ROOM);
    Ok(())
}

/// With raw system calls, the rest of a record is sent like any record.
fn rest_of_record(trial: &mut Trial) -> Result<(), Stop> {
    let (datagram, datagram_peer) = scene::unix_pair(SockType::Datagram)?;
    let (seqpacket, seqpacket_peer) = scene::unix_pair(SockType::SeqPacket)?;
    let (udp, udp_peer) = scene::udp_pair()?;
    for socket in [
        SocketRef::unix_datagram(&datagram).into(),
        SocketRef::unix_seqpacket(&seqpacket),
        SocketRef::udp_v4(&udp).into(),
    ] {
        for accepted in [2, 4] {
            match trial.route() {
                Route::Kernel => trial.send(&socket, &b"four"[accepted..]),
                Route::Portable => {
                    let mut slices = [std::io::IoSlice::new(b"fo"), std::io::IoSlice::new(b"ur")];
                    let mut message = Message::new(&mut slices);
                    message.advance(accepted);
                    trial.note_portable(message.send(&socket, SendFlags::empty()));
                }
            }
        }
    }
    for peer in [&datagram_peer, &seqpacket_peer, &udp_peer.into()] {
        if trial.route() == Route::Kernel {
            scene::wait_until(peer, nix::poll::PollFlags::POLLIN)?;
        }
        trial.receive(peer);
    }
    Ok(())
}

fn no_descriptors(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let control = raw::rights(&[]);
    trial.note_raw(raw::send_control(ours.as_fd(), b"x", control.as_ptr(), control.len(), 0));
    let received = raw::receive_rights(theirs.as_fd(), 4, ROOM, libc::MSG_DONTWAIT)?;
    trial.note(if received.control == 0 { "no control message" } else { "a control message" });
    Ok(())
}

fn bad_descriptor(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    let closed = null()?.as_raw_fd();
    let control = raw::rights(&[closed]);
    trial.note_raw(raw::send_control(ours.as_fd(), b"x", control.as_ptr(), control.len(), 0));
    Ok(())
}

/// Receives everything, and notes how many descriptors arrived.
fn note_arrived(trial: &mut Trial, from: &OwnedFd) {
    let mut arrived = 0;
    while let Ok(received) = raw::receive_rights(from.as_fd(), 1 << 20, ROOM, libc::MSG_DONTWAIT) {
        arrived += received.descriptors.len();
        if received.bytes == 0 && received.descriptors.is_empty() {
            break;
        }
    }
    trial.note(format!("{arrived} descriptors arrived"));
}

fn nothing_sent_when_full(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    scene::fill(&ours)?;
    let null = null()?;
    trial.send_message(&SocketRef::unix_stream(&ours), b"x", &[null.as_fd()], SendFlags::DONT_WAIT);
    note_arrived(trial, &theirs);
    Ok(())
}

fn first_byte(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let null = null()?;
    let long = vec![0; 8 << 20];
    trial.send_message(&SocketRef::unix_stream(&ours), &long, &[null.as_fd(); 2], SendFlags::DONT_WAIT);
    trial.receive_message(&SocketRef::unix_stream(&theirs), 4, ROOM);
    trial.receive_message(&SocketRef::unix_stream(&theirs), 4, ROOM);
    Ok(())
}

/// Sends all bytes, with descriptors, to a reader. Notes the result, and how many descriptors the reader
/// received.
fn send_to_reader(
    trial: &mut Trial,
    ours: OwnedFd,
    theirs: OwnedFd,
    length: usize,
    count: usize,
) -> Result<(), Stop> {
    let reader = scene::start(move || {
        let mut arrived = 0;
        while let Ok(received) = raw::receive_rights(theirs.as_fd(), 1 << 20, ROOM, 0) {
            arrived += received.descriptors.len();
            if received.bytes == 0 && received.descriptors.is_empty() {
                break;
            }
        }
        arrived
    })?;
    let null = null()?;
    let (bytes, descriptors) = (vec![0; length], vec![null.as_fd(); count]);
    trial.send_message_all(&SocketRef::unix_stream(&ours), &bytes, &descriptors);
    drop(ours);
    let arrived = reader.join().map_err(|_| Stop::Broken("the reader panicked".to_owned()))?;
    trial.note(format!("{arrived} descriptors arrived"));
    Ok(())
}

fn descriptors_once(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    send_to_reader(trial, ours, theirs, 8 << 20, 2)
}

fn raised_buffer(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    raw::set_option(ours.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, 256 << 10)?;
    send_to_reader(trial, ours, theirs, 60_000, 1)
}

fn kinds(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_streams()?;
    let file = File::create(trial.path("file"))?;
    let directory = File::open(trial.directory())?;
    for descriptor in [file.as_fd(), directory.as_fd(), ours.as_fd(), theirs.as_fd()] {
        trial.send_message(&SocketRef::from(&ours), b"x", &[descriptor], SendFlags::empty());
    }
    Ok(())
}

fn watcher(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_streams()?;
    let watcher = raw::watcher()?;
    trial.send_message(&SocketRef::from(&ours), b"x", &[watcher.as_fd()], SendFlags::empty());
    Ok(())
}

fn in_flight(trial: &mut Trial) -> Result<(), Stop> {
    machine::need(Need::Descriptors)?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, 64, most)?;
    // Linux has no limit for root.
    scene::leave_root(32_766)?;
    let null = null()?;
    let mut pairs = Vec::new();
    for _ in 0..20 {
        let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
        let socket = SocketRef::unix_stream(&ours);
        if send_until_refused(trial, &socket, &[null.as_fd(); 10])? {
            trial.send(&socket, b"x");
            return Ok(());
        }
        pairs.push((ours, theirs));
    }
    scene::skip("no limit was reached: this system allows more descriptors in flight than the case sends")
}

/// Sends until an error other than a full buffer, and notes that error.
fn send_until_refused(
    trial: &mut Trial,
    socket: &SocketRef<'_, impl Sized>,
    descriptors: &[BorrowedFd<'_>],
) -> Result<bool, Stop> {
    let mut slices = [std::io::IoSlice::new(b"x")];
    let message = Message::new(&mut slices).with_descriptors(descriptors);
    for _ in 0..1000 {
        match trial.route() {
            Route::Kernel => match raw::send_rights(socket.as_fd(), b"x", descriptors, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(Errno::EAGAIN) => return Ok(false),
                refused => {
                    trial.note_raw(refused);
                    return Ok(true);
                }
            },
            Route::Portable => match message.send(socket, SendFlags::DONT_WAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => {
                    trial.note(error.kind());
                    return Ok(true);
                }
            },
        }
    }
    Ok(false)
}

fn nested(trial: &mut Trial) -> Result<(), Stop> {
    const DEPTH: usize = 40;
    let (mut sent, mut received) = (0, 0);
    let (mut outer, mut carried) = scene::unix_streams()?;
    for _ in 0..DEPTH {
        // The previous pair goes into the next one, and from then on exists only in flight.
        let (ours, theirs) = scene::unix_streams()?;
        let descriptors = [outer.as_fd(), carried.as_fd()];
        sent += usize::from(match trial.route() {
            Route::Kernel => raw::send_rights(ours.as_fd(), b"x", &descriptors, 0).is_ok(),
            Route::Portable => {
                let mut slices = [std::io::IoSlice::new(b"x")];
                let message = Message::new(&mut slices).with_descriptors(&descriptors);
                message.send(&SocketRef::from(&ours), SendFlags::empty()).is_ok()
            }
        });
        (outer, carried) = (ours, theirs);
    }
    let mut inner: OwnedFd = carried.into();
    while let Ok(mut message) = raw::receive_rights(inner.as_fd(), 1, ROOM, libc::MSG_DONTWAIT) {
        let Some(next) = message.descriptors.pop() else { break };
        received += 1;
        inner = next;
    }
    trial.note(format!("{sent} sent"));
    trial.note(format!("{received} received"));
    Ok(())
}

fn receiver_refuses(trial: &mut Trial) -> Result<(), Stop> {
    const SO_PASSRIGHTS: c_int = 83;
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    trial.note_raw(raw::set_option(theirs.as_fd(), libc::SOL_SOCKET, SO_PASSRIGHTS, 0));
    let null = null()?;
    trial.send_message(&SocketRef::unix_stream(&ours), b"x", &[null.as_fd()], SendFlags::empty());
    Ok(())
}

fn never_fits(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, _theirs) = scene::unix_pair(SockType::SeqPacket)?;
    let null = null()?;
    let bytes = vec![0; 32_768];
    // Only a socket that was probed knows the size of the buffer.
    let probed = SocketRef::probe(&ours)?;
    trial.send_message(&probed, &bytes, &[null.as_fd()], SendFlags::DONT_WAIT);
    Ok(())
}

fn little_room(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::Stream, 3)?;
    for _ in 0..2 {
        trial.receive_message(&SocketRef::unix_stream(&theirs), 4, raw::control_length(8));
    }
    Ok(())
}

fn padding(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::Stream, 2)?;
    if raw::control_space(4) == raw::control_length(4) {
        return scene::skip("a control message of one descriptor has no padding here");
    }
    trial.receive_message(&SocketRef::unix_stream(&theirs), 4, raw::control_space(4));
    Ok(())
}

/// Fills the table of descriptors until only this many are free.
fn fill_table(free: usize) -> Result<Vec<OwnedFd>, Stop> {
    let null = null()?;
    let mut filled = Vec::new();
    loop {
        match dup(&null) {
            Ok(descriptor) => filled.push(descriptor),
            Err(Errno::EMFILE) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    drop(null);
    // Frees the descriptor that was used to fill the table.
    filled.truncate(filled.len() + 1 - free);
    if free == 0 {
        filled.push(dup(&filled[0])?);
    }
    Ok(filled)
}

fn table_full(trial: &mut Trial) -> Result<(), Stop> {
    for free in [1, 0] {
        let (_ours, theirs) = sent(SockType::Stream, 3)?;
        let filled = fill_table(free)?;
        trial.receive_message(&SocketRef::unix_stream(&theirs), 4, ROOM);
        drop(filled);
        trial.receive_message(&SocketRef::unix_stream(&theirs), 4, ROOM);
    }
    Ok(())
}

fn table_full_record(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::SeqPacket, 3)?;
    let filled = fill_table(1)?;
    trial.receive_message(&SocketRef::unix_seqpacket(&theirs), 4, ROOM);
    drop(filled);
    trial.receive_message(&SocketRef::unix_seqpacket(&theirs), 4, ROOM);
    Ok(())
}

fn no_room(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::Stream, 2)?;
    trial.receive_without_descriptors(&SocketRef::unix_stream(&theirs), 4);
    Ok(())
}

fn no_room_for_credentials(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    #[cfg(target_os = "linux")]
    raw::set_option(theirs.as_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, 1)?;
    raw::send(ours.as_fd(), b"x", 0)?;
    drop(ours);
    for _ in 0..2 {
        trial.receive_without_descriptors(&SocketRef::unix_stream(&theirs), 4);
    }
    Ok(())
}

fn no_room_for_destination(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::udp_pair()?;
    let socket = SocketRef::udp_v4(&theirs);
    socket.as_datagram().map_or(Ok(()), |socket| socket.receive_destinations())?;
    raw::send(ours.as_fd(), b"x", 0)?;
    scene::wait_until(&theirs, PollFlags::POLLIN)?;
    trial.receive_without_descriptors(&socket, 4);
    Ok(())
}

fn no_room_datagram(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::Datagram, 2)?;
    trial.receive_without_descriptors(&SocketRef::unix_datagram(&theirs), 4);
    Ok(())
}

fn returned_length(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::Stream, 1)?;
    if trial.route() == Route::Portable {
        trial.receive_message(&SocketRef::unix_stream(&theirs), 4, ROOM);
        return Ok(());
    }
    if raw::control_space(4) == raw::control_length(4) {
        return scene::skip("a control message of one descriptor has no padding here");
    }
    let received = raw::receive_rights(theirs.as_fd(), 4, ROOM, libc::MSG_DONTWAIT)?;
    trial.note(match received.control {
        length if length == raw::control_space(4) => "CMSG_SPACE".to_owned(),
        length if length == raw::control_length(4) => "CMSG_LEN".to_owned(),
        other => other.to_string(),
    });
    Ok(())
}

fn close_on_exec(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, theirs) = sent(SockType::Stream, 2)?;
    for descriptor in trial.take_descriptors(&SocketRef::unix_stream(&theirs), 4)? {
        let flags = FdFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GETFD)?);
        trial.note(if flags.contains(FdFlag::FD_CLOEXEC) { "close-on-exec" } else { "left open" });
    }
    Ok(())
}

fn send_with_boundaries(ours: &OwnedFd) -> Result<(), Stop> {
    for (bytes, count) in [(b"AA", 0), (b"BB", 1), (b"CC", 0), (b"DD", 2), (b"EE", 0)] {
        send_more(ours, bytes, count)?;
    }
    Ok(())
}

fn boundaries(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    send_with_boundaries(&ours)?;
    for _ in 0..3 {
        trial.receive_message(&SocketRef::unix_stream(&theirs), 64, ROOM);
    }
    Ok(())
}

fn record_boundaries(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::SeqPacket)?;
    send_with_boundaries(&ours)?;
    for _ in 0..5 {
        trial.receive_message(&SocketRef::unix_seqpacket(&theirs), 64, ROOM);
    }
    Ok(())
}

fn wait_for_all(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    for (bytes, count) in [(b"AA", 0), (b"BB", 1), (b"CC", 0)] {
        send_more(&ours, bytes, count)?;
    }
    let received = raw::receive_rights(theirs.as_fd(), 6, ROOM, libc::MSG_WAITALL)?;
    trial.note(format!("received {}+{}", received.bytes, received.descriptors.len()));
    Ok(())
}

fn no_data_room(trial: &mut Trial) -> Result<(), Stop> {
    let (_ours, stream) = sent(SockType::Stream, 2)?;
    trial.receive_message(&SocketRef::unix_stream(&stream), 0, ROOM);
    trial.receive_message(&SocketRef::unix_stream(&stream), 4, ROOM);
    let (_ours, record) = sent(SockType::SeqPacket, 2)?;
    trial.receive_message(&SocketRef::unix_seqpacket(&record), 0, ROOM);
    trial.receive_message(&SocketRef::unix_seqpacket(&record), 4, ROOM);
    Ok(())
}

fn shared_flags(trial: &mut Trial) -> Result<(), Stop> {
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    let (passed, _other) = UnixDatagram::pair()?;
    trial.send_message(&SocketRef::unix_stream(&ours), b"x", &[passed.as_fd()], SendFlags::empty());
    if !trial.retract("1") {
        return Err(Stop::Broken("the descriptor was not sent".to_owned()));
    }
    for descriptor in trial.take_descriptors(&SocketRef::unix_stream(&theirs), 1)? {
        scene::set_nonblocking(&descriptor, true)?;
        let flags = OFlag::from_bits_retain(fcntl(&passed, FcntlArg::F_GETFL)?);
        trial.note(if flags.contains(OFlag::O_NONBLOCK) { "shared" } else { "apart" });
    }
    Ok(())
}
