//! C1 to C4: the credentials of the other end.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, Backlog, SockType, UnixAddr, connect, listen};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, getgid, getpid, getuid};
use unisend::{SocketKind, SocketRef};

use crate::case::{Case, Stop, Topic};
use crate::machine;
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Credentials;
    vec![
        topic
            .case("C1", "unix stream, a control message with the sender's credentials", sent_credentials)
            .kernel("1", "EINVAL")
            .unrepresentable("a Message carries only descriptors"),
        topic
            .case(
                "C1b",
                "two descriptors to a receiver that asks for all that the kernel can add",
                all_that_can_be,
            )
            .kernels("received 4+2")
            .promise("received 4+2"),
        topic
            .case("C2", "the credentials of a pair: the process, user and group of this process", pair)
            .kernel("process user group", "user group process")
            .promise("process user group"),
        topic
            .case(
                "C3",
                "the server that a client sees, if one process called bind and another listen",
                server,
            )
            .kernel("the one that listens", "the one that bound")
            .differs(
                "the one that listens",
                "the one that bound",
                "the kernels store the credentials in different calls",
            ),
        topic
            .case("C4", "unix stream without a peer, unix datagram connected by address, TCP", nobody)
            .kernel("process 0, process 0, process 0", "ENOTCONN, ENOTCONN, EOPNOTSUPP")
            .promise("NotConnected, NotConnected, Unsupported"),
        topic
            .case(
                "C4b",
                "unix stream and seqpacket listeners: no connection waits, one, as many as can, one was accepted",
                listeners,
            )
            .kernel(
                "its own, its own, its own, its own, its own, its own, its own, its own",
                "ENOTCONN, ENOTCONN, ENOTCONN, ENOTCONN, ENOTCONN, ENOTCONN, ENOTCONN, ENOTCONN",
            )
            .promise(
                "NotConnected, NotConnected, NotConnected, NotConnected, \
                 NotConnected, NotConnected, NotConnected, NotConnected",
            ),
        topic
            .case("C4c", "an accepted unix stream and seqpacket whose peer has closed", closed)
            .kernels("this process, this process")
            .promise("this process, this process"),
    ]
}

fn sent_credentials(trial: &mut Trial) -> Result<(), Stop> {
    const SCM_CREDENTIALS: c_int = 2;
    let (ours, _theirs) = scene::unix_pair(SockType::Stream)?;
    let own = [getpid().as_raw() as u32, getuid().as_raw(), getgid().as_raw()];
    let data: Vec<u8> = own.iter().flat_map(|number| number.to_ne_bytes()).collect();
    let control = raw::control_message(libc::SOL_SOCKET, SCM_CREDENTIALS, &data);
    trial.note_raw(raw::send_control(ours.as_fd(), b"x", control.as_ptr(), control.len(), 0));
    Ok(())
}

fn all_that_can_be(trial: &mut Trial) -> Result<(), Stop> {
    // Linux: SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD, SO_TIMESTAMPNS. Not every release has all of them.
    const ADDED: &[c_int] = if cfg!(target_os = "linux") { &[16, 34, 76, 35] } else { &[] };
    let (ours, theirs) = scene::unix_pair(SockType::Stream)?;
    for &option in ADDED {
        let _ = raw::set_option(theirs.as_fd(), libc::SOL_SOCKET, option, 1);
    }
    let null = std::fs::File::open("/dev/null")?;
    raw::send_rights(ours.as_fd(), b"data", &[null.as_fd(); 2], 0)?;
    trial.receive_message(&SocketRef::unix_stream(&theirs), 4, 4096);
    Ok(())
}

fn pair(trial: &mut Trial) -> Result<(), Stop> {
    scene::tell_user_from_group();
    let (ours, _theirs) = scene::unix_streams()?;
    let own =
        [(getpid().as_raw() as u32, "process"), (getuid().as_raw(), "user"), (getgid().as_raw(), "group")];
    let numbers = match trial.route() {
        Route::Kernel => raw::peer_credentials(ours.as_fd())?,
        Route::Portable => {
            let peer = SocketRef::from(&ours).peer_credentials();
            let peer = peer?;
            [peer.process.unwrap_or(0), peer.user, peer.group]
        }
    };
    // User and group are often the same number, so the place of the process shows the order.
    let expected = if numbers[0] == own[0].0 { [own[0], own[1], own[2]] } else { [own[1], own[2], own[0]] };
    let names = numbers.iter().zip(expected).map(|(&number, (wanted, name))| match number == wanted {
        true => name,
        false => "somebody else's",
    });
    trial.note(names.collect::<Vec<_>>().join(" "));
    Ok(())
}

/// Notes which process the peer of a connected socket is.
fn note_process(trial: &mut Trial, socket: &OwnedFd, known: &[(u32, &str)]) -> Result<(), Stop> {
    let process = match trial.route() {
        Route::Kernel => {
            raw::peer_credentials(socket.as_fd())?[if cfg!(target_os = "linux") { 0 } else { 2 }]
        }
        Route::Portable => {
            let peer = SocketRef::unix_stream(socket).peer_credentials();
            peer?.process.unwrap_or(0)
        }
    };
    let name = known.iter().find(|(number, _)| *number == process).map_or("another", |(_, name)| name);
    trial.note(name);
    Ok(())
}

fn server(trial: &mut Trial) -> Result<(), Stop> {
    let path = trial.path("server");
    let server = scene::new_socket(AddressFamily::Unix, SockType::Stream)?;
    scene::bind_to_path(&server, &path)?;
    let (told, tell) = nix::unistd::pipe()?;
    // SAFETY: this process has one thread; the child makes two system calls, then waits to be killed.
    match unsafe { fork() }.map_err(machine::no_process)? {
        ForkResult::Child => {
            let listening = listen(&server, Backlog::new(1).expect("a small backlog"));
            let _ = nix::unistd::write(&tell, if listening.is_ok() { b"y" } else { b"n" });
            loop {
                nix::unistd::pause();
            }
        }
        ForkResult::Parent { child } => {
            let mut answer = [0];
            nix::unistd::read(&told, &mut answer)?;
            let client = scene::new_socket(AddressFamily::Unix, SockType::Stream)?;
            let connected = connect(client.as_raw_fd(), &UnixAddr::new(&path)?);
            let known = [
                (child.as_raw() as u32, "the one that listens"),
                (getpid().as_raw() as u32, "the one that bound"),
            ];
            let noted = connected.map_err(Stop::from).and_then(|()| note_process(trial, &client, &known));
            kill(child, Signal::SIGKILL)?;
            waitpid(child, None)?;
            noted
        }
    }
}

fn nobody(trial: &mut Trial) -> Result<(), Stop> {
    let stream = scene::new_socket(AddressFamily::Unix, SockType::Stream)?;
    let path = trial.path("receiver");
    let _receiver = scene::bound_datagram(&path)?;
    let datagram = scene::unbound_datagram()?;
    datagram.connect(&path)?;
    let (tcp, _theirs) = scene::tcp_pair()?;
    for (socket, fd) in [
        (SocketRef::unix_stream(&stream), stream.as_fd()),
        (SocketRef::from(&datagram).into(), datagram.as_fd()),
        (SocketRef::tcp(&tcp), tcp.as_fd()),
    ] {
        match trial.route() {
            Route::Kernel => match raw::peer_credentials(fd) {
                Ok([process, ..]) => trial.note(format!("process {process}")),
                Err(errno) => trial.note_raw(Err(errno)),
            },
            Route::Portable => match socket.peer_credentials() {
                Ok(peer) => trial.note(format!("process {:?}", peer.process)),
                Err(error) => trial.note(error.kind()),
            },
        }
    }
    Ok(())
}

fn listener(trial: &Trial, kind: SockType, name: &str) -> Result<(OwnedFd, UnixAddr), Stop> {
    let path = trial.path(name);
    let listener = scene::new_socket(AddressFamily::Unix, kind)?;
    scene::bind_to_path(&listener, &path)?;
    listen(&listener, Backlog::new(1)?)?;
    Ok((listener, UnixAddr::new(&path)?))
}

fn client(kind: SockType, to: &UnixAddr) -> Result<nix::Result<OwnedFd>, Stop> {
    let client = scene::new_socket(AddressFamily::Unix, kind)?;
    scene::set_nonblocking(&client, true)?;
    Ok(connect(client.as_raw_fd(), to).map(|()| client))
}

fn listeners(trial: &mut Trial) -> Result<(), Stop> {
    for (kind, name) in [(SockType::Stream, "stream"), (SockType::SeqPacket, "seqpacket")] {
        let (listener, address) = listener(trial, kind, name)?;
        note_listener(trial, kind, &listener);
        let mut clients = vec![client(kind, &address)??];
        note_listener(trial, kind, &listener);
        while let Ok(client) = client(kind, &address)? {
            clients.push(client);
            if clients.len() > 1000 {
                return Err(Stop::Broken("a backlog of one takes a thousand connections".to_owned()));
            }
        }
        note_listener(trial, kind, &listener);
        let _accepted = raw::accept(listener.as_fd())?;
        note_listener(trial, kind, &listener);
    }
    Ok(())
}

fn note_listener(trial: &mut Trial, kind: SockType, listener: &OwnedFd) {
    let socket = SocketRef::new(
        listener,
        if kind == SockType::Stream { SocketKind::UnixStream } else { SocketKind::UnixSeqpacket },
    );
    match trial.route() {
        Route::Kernel => match raw::peer_credentials(listener.as_fd()) {
            Ok(numbers) if numbers.contains(&(getpid().as_raw() as u32)) => trial.note("its own"),
            Ok(_) => trial.note("somebody's"),
            Err(errno) => trial.note_raw(Err(errno)),
        },
        Route::Portable => match socket.peer_credentials() {
            Ok(_) => trial.note("somebody's"),
            Err(error) => trial.note(error.kind()),
        },
    }
}

fn closed(trial: &mut Trial) -> Result<(), Stop> {
    let this_process = [(getpid().as_raw() as u32, "this process")];
    for (kind, name) in [(SockType::Stream, "stream"), (SockType::SeqPacket, "seqpacket")] {
        let (listener, address) = listener(trial, kind, name)?;
        let client = client(kind, &address)??;
        let accepted = raw::accept(listener.as_fd())?;
        drop(client);
        note_process(trial, &accepted, &this_process)?;
    }
    Ok(())
}
