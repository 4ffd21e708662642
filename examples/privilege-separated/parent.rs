//! The half that opens files. All that it hears of the network is a name, from a child that it does not trust.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::Uid;
use unisend::{SocketRef, UnixSeqpacket};

use crate::messages::{Inbox, Message};

/// Each child serves one client at a time.
pub(crate) const CHILDREN: usize = 4;

/// The user that the children become if root starts this. A daemon has its own.
const NOBODY: u32 = 32_767;

/// A child, and the parent's end of the channel to it.
pub(crate) type Worker = (Child, UnixSeqpacket);

pub(crate) fn open_folder(path: &OsStr) -> io::Result<OwnedFd> {
    Ok(open(path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// Starts the children, and passes them the socket that listens. If one cannot be started, the others see the end of their channels.
pub(crate) fn start(listener: &TcpListener, program: impl Fn() -> Command) -> io::Result<Vec<Worker>> {
    listener.set_nonblocking(true)?; // all that wait for a client are told, and only one gets it
    (0..CHILDREN).map(|_| start_one(listener, program())).collect()
}

fn start_one(listener: &TcpListener, mut program: Command) -> io::Result<Worker> {
    let (ours, theirs) = UnixSeqpacket::pair()?;
    ours.set_nonblocking(true)?; // a child that does not receive must not stop the parent
    program.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).current_dir("/").env_clear();
    if Uid::effective().is_root() {
        program.gid(NOBODY).uid(NOBODY); // and std leaves all other groups
    }
    let child = program.spawn()?;
    Message::Listener(listener.try_clone()?.into()).send(&SocketRef::from(&ours))?;
    Ok((child, ours))
}

/// Opens files for the children until one of them does what it should not. It can have been taken over, so all are ended.
pub(crate) fn serve(mut workers: Vec<Worker>, folder: &OwnedFd) {
    let mut inbox = Inbox::new();
    let (number, error) = loop {
        let mut polled: [_; CHILDREN] =
            std::array::from_fn(|index| PollFd::new(workers[index].1.as_fd(), PollFlags::POLLIN));
        let _ = poll(&mut polled, PollTimeout::NONE); // after a signal, no child is ready
        let ready = workers.iter().zip(polled).filter(|(_, polled)| polled.any() == Some(true));
        let mut answers =
            ready.map(|((child, channel), _)| (child.id(), answer(channel, &mut inbox, folder)));
        if let Some((number, Err(error))) = answers.find(|(_, answer)| answer.is_err()) {
            break (number, error);
        }
    };
    eprintln!("child {number}: {}", error.kind());
    for (child, _) in &mut workers {
        match child.kill().and_then(|()| child.wait()) {
            Ok(status) => eprintln!("child {} has ended: {status}", child.id()),
            Err(error) => eprintln!("child {} cannot be ended: {error}", child.id()),
        }
    }
}

/// Answers the only kind of message that comes from a child.
fn answer(channel: &UnixSeqpacket, inbox: &mut Inbox, folder: &OwnedFd) -> io::Result<()> {
    let channel = SocketRef::from(channel);
    let Message::Open(name) = inbox.receive(&channel)? else { return Err(io::ErrorKind::InvalidData.into()) };
    let answer = match regular_file(folder, name) {
        Ok((file, length)) => Message::Opened(file, length),
        Err(Errno::EACCES) => Message::Refused(403),
        Err(Errno::EMFILE | Errno::ENFILE) => Message::Refused(503),
        Err(_) => Message::Refused(404),
    };
    answer.send(&channel)
}

fn regular_file(folder: &OwnedFd, name: &[u8]) -> Result<(OwnedFd, u64), Errno> {
    let file = File::from(open_below(folder.as_fd(), name)?);
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok((file.into(), metadata.len())),
        _ => Err(Errno::ENOENT),
    }
}

/// Opens what a name means, one component after another. None of them may be empty, as before a slash at the start, or "..", or a symbolic
/// link: so nothing leads out of the folder. A fifo is not waited for.
fn open_below(folder: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    const READ: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);
    let slash = name.iter().position(|&byte| byte == b'/');
    let (first, rest) = slash.map_or((name, None), |slash| (&name[..slash], Some(&name[slash + 1..])));
    match (first, rest) {
        (b"" | b"." | b"..", _) => Err(Errno::ENOENT),
        (file, None) => openat(folder, file, READ, Mode::empty()),
        (next, Some(rest)) => {
            open_below(openat(folder, next, READ | OFlag::O_DIRECTORY, Mode::empty())?.as_fd(), rest)
        }
    }
}
