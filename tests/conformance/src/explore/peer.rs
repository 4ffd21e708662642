//! The peer of a send that waits: a process of its own, which reads meanwhile.

use std::fs::File;
use std::io::{BufRead, BufReader, IoSliceMut, Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe};
use serde::{Deserialize, Serialize};
use unisend::{ControlBuffer, ReceiveFlags, SocketKind, SocketRef};

use crate::case::Stop;
use crate::machine;
use crate::scene;

/// The peer waits this long for data that was accepted.
const PATIENCE: Duration = Duration::from_secs(5);

/// The peer takes this much of a stream at once, and then rests, so that its sender has to wait.
const AT_ONCE: usize = 16_384;

/// No datagram or record is longer.
const LONGEST: usize = 400_000;

/// What the peer has read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Delivered {
    /// How much each receive returned.
    pub lengths: Vec<usize>,
    /// How many descriptors came.
    pub descriptors: usize,
    /// The bytes of all receives.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// The process of the peer.
pub(super) struct Peer {
    process: Pid,
    total: File,
    told: File,
}

/// Starts a process that reads until it has this many bytes, or all that was accepted. It then closes its end and tells
/// what it has read. The caller must have only one thread, and gives a function that closes the caller's sockets.
pub(super) fn start(
    fd: OwnedFd,
    kind: SocketKind,
    until: usize,
    close_the_rest: impl FnOnce(),
) -> Result<Peer, Stop> {
    let (told, tell) = pipe()?;
    let (total, say_total) = pipe()?;
    // SAFETY: this process has one thread, so the child can use everything that the parent had.
    match unsafe { fork() }.map_err(machine::no_process)? {
        ForkResult::Parent { child } => {
            Ok(Peer { process: child, total: say_total.into(), told: told.into() })
        }
        ForkResult::Child => {
            drop((told, say_total));
            close_the_rest();
            let total = File::from(total);
            let delivered = read(&SocketRef::new(&fd, kind), until, &total);
            drop(fd);
            // The other process writes the number in any case, and a pipe without a reader would kill it.
            wait_for_the_end(&total);
            let is_told = tell_all(tell.into(), &delivered);
            // SAFETY: it ends the process without running the exit handlers of the parent.
            unsafe { libc::_exit(i32::from(is_told.is_err())) }
        }
    }
}

impl Peer {
    /// Tells the peer how much was accepted, and returns what it has read.
    pub(super) fn finish(mut self, accepted: usize) -> Result<Delivered, Stop> {
        let said = self.total.write_all(&accepted.to_ne_bytes());
        drop(self.total);
        said?;
        let mut told = BufReader::new(self.told);
        let mut line = String::new();
        told.read_line(&mut line)?;
        let delivered = serde_json::from_str(&line);
        let mut bytes = Vec::new();
        told.read_to_end(&mut bytes)?;
        waitpid(self.process, None)?;
        let delivered =
            delivered.map_err(|error| Stop::Broken(format!("the peer told {line:?}: {error}")))?;
        Ok(Delivered { bytes, ..delivered })
    }
}

fn tell_all(mut tell: File, delivered: &Delivered) -> std::io::Result<()> {
    writeln!(tell, "{}", serde_json::to_string(delivered).expect("numbers can be written"))?;
    tell.write_all(&delivered.bytes)
}

fn read(socket: &SocketRef<'_>, until: usize, total: &File) -> Delivered {
    let mut delivered = Delivered::default();
    let mut buffer = vec![0; LONGEST];
    let mut accepted = None;
    let mut since = Instant::now();
    let is_stream = matches!(socket.kind(), SocketKind::Tcp | SocketKind::UnixStream);
    while delivered.bytes.len() < until && since.elapsed() < PATIENCE {
        let room = if is_stream { AT_ONCE.min(until - delivered.bytes.len()) } else { LONGEST };
        let mut control = ControlBuffer::new();
        let mut slices = [IoSliceMut::new(&mut buffer[..room])];
        match socket.receive(&mut slices, &mut control, ReceiveFlags::DONT_WAIT) {
            Ok(received) if received.is_end_of_file() => break,
            Ok(received) => {
                let count = received.bytes();
                delivered.lengths.push(count);
                delivered.descriptors += received.into_descriptors().count();
                delivered.bytes.extend_from_slice(&buffer[..count]);
                since = Instant::now();
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(error) if error.would_block() => {
                if accepted.is_some_and(|accepted| delivered.bytes.len() >= accepted) {
                    break;
                }
                accepted = accepted.or_else(|| number(total));
                let _ = scene::wait_for(socket, PollFlags::POLLIN, 1);
            }
            Err(_) => break,
        }
    }
    delivered
}

/// Returns the number that was written to the pipe, if there is one. If the other end has gone, it is 0.
fn number(from: &File) -> Option<usize> {
    scene::wait_for(from, PollFlags::POLLIN, 0).ok().filter(|is| *is)?;
    let mut number = [0; size_of::<usize>()];
    let mut from = from;
    Some(from.read_exact(&mut number).map_or(0, |()| usize::from_ne_bytes(number)))
}

fn wait_for_the_end(mut from: &File) {
    let _ = from.read_to_end(&mut Vec::new());
}
