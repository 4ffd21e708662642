//! K1 to K9: making sockets of sequenced packets.

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket, socketpair,
};
use nix::sys::stat::{Mode, umask};
use unisend::{
    Address, ControlBuffer, ReceiveFlags, SendFlags, SocketRef, UnixSeqpacket, UnixSeqpacketListener,
};

use crate::case::{Case, Stop, Topic};
use crate::raw;
use crate::scene;
use crate::trial::{Route, Trial, errno_name};

pub(super) fn cases() -> Vec<Case> {
    let topic = Topic::Seqpacket;
    vec![
        topic
            .case("K1", "whether a pair, a client, a listener and an accepted socket are inherited", inherited)
            .kernels("yes, yes, yes, yes, yes")
            .promise("no, no, no, no, no"),
        topic
            .case(
                "K2",
                "a listener at the path of a file, a directory, a dangling link, a closed listener, a living one, \
                 and below what does not exist, a file and a loop of links",
                taken,
            )
            .kernels("EADDRINUSE, EADDRINUSE, EADDRINUSE, EADDRINUSE, EADDRINUSE, ENOENT, ENOTDIR, ELOOP, all is there")
            .promise(
                "AddressInUse, AddressInUse, AddressInUse, AddressInUse, AddressInUse, \
                 NotFound, NotFound, BadPath, all is there",
            ),
        topic
            .case("K2b", "the permissions of a listener's path with umask 022 and 077, in octal", permissions)
            .kernels("755, 700")
            .promise("755, 700"),
        topic
            .case(
                "K3",
                "connecting to nothing, a file, a directory, a bound socket, a closed listener, \
                 a stream listener, a datagram socket, a loop of links",
                nobody_there,
            )
            .kernel(
                "ENOENT, ECONNREFUSED, ECONNREFUSED, ECONNREFUSED, ECONNREFUSED, EPROTOTYPE, EPROTOTYPE, ELOOP",
                "ENOENT, ENOTSOCK, ENOTSOCK, ECONNREFUSED, ECONNREFUSED, EPROTOTYPE, EPROTOTYPE, ELOOP",
            )
            .promise(
                "NotFound, Refused, Refused, Refused, Refused, WrongSocketType, WrongSocketType, BadPath",
            ),
        topic
            .case("K3b", "connecting to a listener, and to one whose path may not be written to, as a user", forbidden)
            .kernels("connected, EACCES")
            .promise("connected, PermissionDenied"),
        topic
            .case("K3c", "connecting to a file that may not be written to, as a user", forbidden_file)
            .kernel("EACCES", "ENOTSOCK")
            .differs(
                "PermissionDenied",
                "Refused",
                "both are true, and each kernel looks for one of them first",
            ),
        topic
            .case("K4", "two records of a client that closes before it is accepted", sent_before)
            .kernels("first, second, the end")
            .promise("first, second, the end"),
        topic
            .case("K4b", "what a client receives, and then, if its listener closes before it is accepted", never_accepted)
            // OpenBSD: unp_disconnect() of uipc_usrreq.c sets no error.
            .kernel("ECONNRESET, the end", "the end, the end")
            .differs(
                "Reset, the end",
                "the end, the end",
                "OpenBSD does not note that the connection was never accepted",
            ),
        topic
            .case("K5", "connecting to a listener whose queue is full, and after one was accepted", full_queue)
            .kernel("EAGAIN, connected", "ECONNREFUSED, connected")
            .promise("Refused, connected"),
        topic
            .case("K6", "whether a client, and a socket that a listener that does not wait accepts, wait", waiting)
            .kernel("yes, yes", "yes, no")
            .promise("yes, yes"),
        topic
            .case("K7", "accepting from a listener that does not wait, without a connection and with one", accepting)
            .kernels("EAGAIN, accepted, EAGAIN")
            .promise("WouldBlock, accepted, WouldBlock"),
        topic
            .case(
                "K8",
                "a pair, a client and accepting without room for a descriptor, and accepting with room",
                no_descriptors,
            )
            .kernels("EMFILE, EMFILE, EMFILE, record")
            .promise("TooManyOpenFiles, TooManyOpenFiles, TooManyOpenFiles, record"),
        topic
            .case(
                "K9",
                "the names of a listener, of an accepted socket, of a client and of one of a pair, and of their peers",
                names,
            )
            .kernels("path, path, none, none, none, path, none")
            .promise("path, path, none, none, none, path, none"),
        topic
            .case("K9b", "the names of the peers of a client and of an accepted socket that have closed", names_of_the_gone)
            // OpenBSD: sys_getpeername() of uipc_syscalls.c looks for a connection first.
            .kernel("path, none", "ENOTCONN, ENOTCONN")
            .differs("path, none", "NotConnected, NotConnected", "OpenBSD forgets the name with the connection"),
    ]
}

/// How a call failed.
enum Failed {
    Kernel(Errno),
    Portable(unisend::Error),
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

impl From<unisend::Error> for Failed {
    fn from(error: unisend::Error) -> Self {
        Self::Portable(error)
    }
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Kernel(errno) => errno.into(),
            Failed::Portable(error) => error.into(),
        }
    }
}

impl Trial {
    /// Notes how a call failed, or this word.
    fn note_made<T>(&mut self, made: Result<T, Failed>, word: &str) -> Option<T> {
        match made {
            Ok(made) => {
                self.note(word);
                return Some(made);
            }
            Err(Failed::Kernel(errno)) => self.note(errno_name(errno)),
            Err(Failed::Portable(error)) => self.note(error.kind()),
        }
        None
    }

    fn pair(&self) -> Result<(OwnedFd, OwnedFd), Failed> {
        match self.route() {
            Route::Kernel => {
                Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::empty())?)
            }
            Route::Portable => {
                let (one, other) = UnixSeqpacket::pair()?;
                Ok((one.into(), other.into()))
            }
        }
    }

    /// Connects to a path. The kernel's call does not wait for room in the queue.
    fn connect(&self, path: &Path) -> Result<OwnedFd, Failed> {
        match self.route() {
            Route::Kernel => {
                let client = kernels_socket()?;
                let flags = fcntl(&client, FcntlArg::F_GETFL)?;
                let flags = OFlag::from_bits_retain(flags);
                fcntl(&client, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
                connect(client.as_raw_fd(), &UnixAddr::new(path)?)?;
                fcntl(&client, FcntlArg::F_SETFL(flags))?;
                Ok(client)
            }
            Route::Portable => Ok(UnixSeqpacket::connect(&Address::unix(path)?)?.into()),
        }
    }

    fn listen(&self, path: &Path) -> Result<OwnedFd, Failed> {
        match self.route() {
            Route::Kernel => {
                let listener = kernels_socket()?;
                bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
                listen(&listener, Backlog::new(1)?)?;
                Ok(listener)
            }
            Route::Portable => Ok(UnixSeqpacketListener::bind(&Address::unix(path)?)?.into()),
        }
    }

    /// Accepts a connection, and gives the listener back.
    fn accept(&self, listener: OwnedFd) -> (OwnedFd, Result<OwnedFd, Failed>) {
        match self.route() {
            Route::Kernel => {
                let accepted = raw::accept(listener.as_fd());
                (listener, accepted.map_err(Failed::from))
            }
            Route::Portable => {
                let listener = UnixSeqpacketListener::from(listener);
                let accepted = listener.accept();
                (listener.into(), accepted.map(OwnedFd::from).map_err(Failed::from))
            }
        }
    }
}

fn kernels_socket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::empty(), None)
}

/// Returns a listener of the kernel's own, with a short queue.
fn listener(trial: &Trial, kind: SockType, name: &str) -> Result<(OwnedFd, PathBuf), Stop> {
    let path = trial.path(name);
    let listener = scene::new_socket(AddressFamily::Unix, kind)?;
    scene::bind_to_path(&listener, &path)?;
    listen(&listener, Backlog::new(1)?)?;
    Ok((listener, path))
}

fn inherited(trial: &mut Trial) -> Result<(), Stop> {
    scene::need_unix(SockType::SeqPacket)?;
    let (one, other) = trial.pair()?;
    let path = trial.path("listener");
    let listener = trial.listen(&path)?;
    let client = trial.connect(&path)?;
    let (listener, accepted) = trial.accept(listener);
    for fd in [one, other, client, listener, accepted?] {
        let flags = FdFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFD)?);
        trial.note(if flags.contains(FdFlag::FD_CLOEXEC) { "no" } else { "yes" });
    }
    Ok(())
}

fn taken(trial: &mut Trial) -> Result<(), Stop> {
    scene::need_unix(SockType::SeqPacket)?;
    let there = ["file", "directory", "dangling", "closed", "living"].map(|name| trial.path(name));
    let [file, directory, dangling, closed, _] = &there;
    fs::write(file, "kept")?;
    fs::create_dir(directory)?;
    symlink("nothing", dangling)?;
    drop(listener(trial, SockType::SeqPacket, "closed")?);
    let (_living, _) = listener(trial, SockType::SeqPacket, "living")?;
    symlink("loop", trial.path("loop"))?;
    for path in &there {
        trial.note_made(trial.listen(path), "listening");
    }
    for name in ["missing/path", "file/path", "loop/path"] {
        trial.note_made(trial.listen(&trial.path(name)), "listening");
    }
    let kept = fs::read(file)? == b"kept" && fs::symlink_metadata(closed).is_ok();
    trial.note(if kept && fs::read_link(dangling).is_ok() {
        "all is there"
    } else {
        "something was removed"
    });
    Ok(())
}

fn permissions(trial: &mut Trial) -> Result<(), Stop> {
    scene::need_unix(SockType::SeqPacket)?;
    for (name, mask) in [("open", 0o022), ("closed", 0o077)] {
        umask(Mode::from_bits_truncate(mask));
        let path = trial.path(name);
        let _listener = trial.listen(&path)?;
        trial.note(format!("{:o}", fs::metadata(&path)?.permissions().mode() & 0o7777));
    }
    Ok(())
}

fn nobody_there(trial: &mut Trial) -> Result<(), Stop> {
    fs::write(trial.path("file"), "")?;
    symlink("loop", trial.path("loop"))?;
    let bound = scene::new_socket(AddressFamily::Unix, SockType::SeqPacket)?;
    scene::bind_to_path(&bound, &trial.path("bound"))?;
    drop(listener(trial, SockType::SeqPacket, "closed")?);
    let (_stream, _) = listener(trial, SockType::Stream, "stream")?;
    let _datagram = scene::bound_datagram(&trial.path("datagram"))?;
    for name in ["missing", "file", ".", "bound", "closed", "stream", "datagram", "loop"] {
        trial.note_made(trial.connect(&trial.path(name)), "connected");
    }
    Ok(())
}

fn forbidden(trial: &mut Trial) -> Result<(), Stop> {
    let (_open, open) = listener(trial, SockType::SeqPacket, "open")?;
    let (_closed, closed) = listener(trial, SockType::SeqPacket, "closed")?;
    permit(trial.directory(), 0o711)?;
    permit(&open, 0o666)?;
    permit(&closed, 0o444)?;
    scene::leave_root(32_766)?;
    trial.note_made(trial.connect(&open), "connected");
    trial.note_made(trial.connect(&closed), "connected");
    Ok(())
}

fn forbidden_file(trial: &mut Trial) -> Result<(), Stop> {
    scene::need_unix(SockType::SeqPacket)?;
    let path = trial.path("file");
    fs::write(&path, "")?;
    permit(trial.directory(), 0o711)?;
    permit(&path, 0o444)?;
    scene::leave_root(32_766)?;
    trial.note_made(trial.connect(&path), "connected");
    Ok(())
}

fn permit(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Notes the record that comes next.
fn note_record(trial: &mut Trial, socket: &OwnedFd) -> Result<(), Stop> {
    let mut record = [0; 100];
    match raw::receive(socket.as_fd(), &mut record, 0)? {
        0 => trial.note("the end"),
        count => trial.note(String::from_utf8_lossy(&record[..count])),
    }
    Ok(())
}

fn sent_before(trial: &mut Trial) -> Result<(), Stop> {
    let (listener, path) = listener(trial, SockType::SeqPacket, "listener")?;
    let client = trial.connect(&path)?;
    for record in [&b"first"[..], b"second"] {
        SocketRef::unix_seqpacket(&client).send(record, SendFlags::empty())?;
    }
    drop(client);
    let accepted = trial.accept(listener).1?;
    (0..3).try_for_each(|_| note_record(trial, &accepted))
}

fn never_accepted(trial: &mut Trial) -> Result<(), Stop> {
    let (listener, path) = listener(trial, SockType::SeqPacket, "listener")?;
    let client = trial.connect(&path)?;
    drop(listener);
    for _ in 0..2 {
        match trial.route() {
            Route::Kernel => match raw::receive(client.as_fd(), &mut [0; 100], 0) {
                Ok(0) => trial.note("the end"),
                other => trial.note_raw(other),
            },
            Route::Portable => {
                let (mut control, mut room) = (ControlBuffer::new(), [0; 100]);
                let mut slices = [IoSliceMut::new(&mut room)];
                let socket = SocketRef::unix_seqpacket(&client);
                match socket.receive(&mut slices, &mut control, ReceiveFlags::empty()) {
                    Ok(received) if received.is_end_of_file() => trial.note("the end"),
                    Ok(received) => trial.note(received.bytes()),
                    Err(error) => trial.note(error.kind()),
                }
            }
        }
    }
    Ok(())
}

fn full_queue(trial: &mut Trial) -> Result<(), Stop> {
    let (listener, path) = listener(trial, SockType::SeqPacket, "listener")?;
    let mut clients = Vec::new();
    let full = loop {
        match trial.connect(&path) {
            Ok(_) if clients.len() > 1000 => {
                return Err(Stop::Broken("a queue of one takes a thousand connections".to_owned()));
            }
            Ok(client) => clients.push(client),
            // Not a full queue: a machine that allows few descriptors is a skip.
            Err(Failed::Kernel(Errno::EMFILE)) => return Err(Errno::EMFILE.into()),
            Err(Failed::Portable(error)) if error.kind() == unisend::ErrorKind::TooManyOpenFiles => {
                return Err(Errno::EMFILE.into());
            }
            full => break full,
        }
    };
    trial.note_made(full, "connected");
    let (_listener, accepted) = trial.accept(listener);
    accepted?;
    trial.note_made(trial.connect(&path), "connected");
    Ok(())
}

fn waiting(trial: &mut Trial) -> Result<(), Stop> {
    let (listener, path) = listener(trial, SockType::SeqPacket, "listener")?;
    scene::set_nonblocking(&listener, true)?;
    let client = trial.connect(&path)?;
    let accepted = trial.accept(listener).1?;
    for socket in [client, accepted] {
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        trial.note(if flags.contains(OFlag::O_NONBLOCK) { "no" } else { "yes" });
    }
    Ok(())
}

fn accepting(trial: &mut Trial) -> Result<(), Stop> {
    let (mut listener, path) = listener(trial, SockType::SeqPacket, "listener")?;
    scene::set_nonblocking(&listener, true)?;
    let mut clients = Vec::new();
    for connects in [false, true, false] {
        if connects {
            clients.push(trial.connect(&path)?);
        }
        let accepted;
        (listener, accepted) = trial.accept(listener);
        trial.note_made(accepted, "accepted");
    }
    Ok(())
}

fn no_descriptors(trial: &mut Trial) -> Result<(), Stop> {
    let (listener, path) = listener(trial, SockType::SeqPacket, "listener")?;
    let client = trial.connect(&path)?;
    raw::send(client.as_fd(), b"record", 0)?;
    let (before, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // There is no room for the first socket of a pair either.
    setrlimit(Resource::RLIMIT_NOFILE, 0, most)?;
    trial.note_made(trial.pair(), "paired");
    trial.note_made(trial.connect(&path), "connected");
    let (listener, accepted) = trial.accept(listener);
    trial.note_made(accepted, "accepted");
    setrlimit(Resource::RLIMIT_NOFILE, before, most)?;
    let accepted = trial.accept(listener).1?;
    note_record(trial, &accepted)
}

fn names(trial: &mut Trial) -> Result<(), Stop> {
    let (listener, path) = listener(trial, SockType::SeqPacket, "names \u{e9}")?;
    let client = trial.connect(&path)?;
    let (listener, accepted) = trial.accept(listener);
    let accepted = accepted?;
    let (one, _other) = trial.pair()?;
    match trial.route() {
        Route::Kernel => {
            for name in [&listener, &accepted, &client, &one].map(|socket| raw::own_name(socket.as_fd())) {
                note_kernels_name(trial, &name?, &path);
            }
            for name in [&accepted, &client, &one].map(|socket| raw::peer_name(socket.as_fd())) {
                note_kernels_name(trial, &name?, &path);
            }
        }
        Route::Portable => {
            let listener = UnixSeqpacketListener::from(listener);
            note_name(trial, listener.local_address()?, &path);
            let sockets = [accepted, client, one].map(UnixSeqpacket::from);
            for socket in &sockets {
                note_name(trial, socket.local_address()?, &path);
            }
            for socket in &sockets {
                note_name(trial, socket.peer_address()?, &path);
            }
        }
    }
    Ok(())
}

fn names_of_the_gone(trial: &mut Trial) -> Result<(), Stop> {
    let (mut listener, path) = listener(trial, SockType::SeqPacket, "listener")?;
    let mut left = Vec::new();
    for client_stays in [true, false] {
        let client = trial.connect(&path)?;
        let accepted;
        (listener, accepted) = trial.accept(listener);
        left.push(if client_stays { client } else { accepted? });
    }
    for socket in left {
        match trial.route() {
            Route::Kernel => match raw::peer_name(socket.as_fd()) {
                Ok(name) => note_kernels_name(trial, &name, &path),
                Err(errno) => trial.note_raw(Err(errno)),
            },
            Route::Portable => match UnixSeqpacket::from(socket).peer_address() {
                Ok(name) => note_name(trial, name, &path),
                Err(error) => trial.note(error.kind()),
            },
        }
    }
    Ok(())
}

fn note_name(trial: &mut Trial, name: Option<Address>, path: &Path) {
    match name.as_ref().map(Address::as_path) {
        None => trial.note("none"),
        Some(Some(name)) if name == path => trial.note("path"),
        Some(_) => trial.note("another"),
    }
}

/// Notes whether the name that a kernel wrote is the path, with or without its end, or is empty.
fn note_kernels_name(trial: &mut Trial, name: &[u8], path: &Path) {
    use std::os::unix::ffi::OsStrExt;

    let written = name.get(2..).unwrap_or(&[]);
    let end = written.iter().position(|&byte| byte == 0).unwrap_or(written.len());
    match &written[..end] {
        b"" => trial.note("none"),
        name if name == path.as_os_str().as_bytes() => trial.note("path"),
        _ => trial.note("another"),
    }
}
