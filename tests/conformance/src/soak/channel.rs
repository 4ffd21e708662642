//! What a sender and its receiver tell each other besides the traffic.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};
use unisend::{ControlBuffer, ErrorKind, Message, ReceiveFlags, SendFlags, SocketRef};

use super::account::Accepted;
use crate::explore::Kind;

/// An answer takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Told {
    /// A session begins. Its socket comes too.
    Begins { kind: Kind, session: u64 },
    /// The sender has sent all of it.
    Sent(Accepted),
    /// The receiver has found it right.
    Settled,
    /// There is no other session.
    Finished,
}

/// One end of the channel.
pub(super) struct Channel {
    stream: UnixStream,
    /// A pipe whose other end the parent has, and nobody else.
    life: OwnedFd,
}

impl Channel {
    pub(super) fn new(stream: UnixStream, life: OwnedFd) -> Self {
        Self { stream, life }
    }

    /// Returns whether the process that started this one is gone.
    pub(super) fn is_orphan(&self) -> bool {
        is_ready(&self.life, PollFlags::POLLIN, 0)
    }

    /// Returns whether something was told.
    pub(super) fn has_news(&self) -> bool {
        is_ready(&self.stream, PollFlags::POLLIN, 0)
    }

    /// Tells it, with a descriptor or without.
    pub(super) fn tell(&self, told: &Told, with: Option<BorrowedFd<'_>>) -> Result<(), String> {
        let body = serde_json::to_vec(told).expect("it can be written");
        let length = (body.len() as u32).to_ne_bytes();
        self.tell_length(&length, with)?;
        (&self.stream).write_all(&body).map_err(|error| format!("telling the other process: {error}"))
    }

    fn tell_length(&self, length: &[u8; 4], with: Option<BorrowedFd<'_>>) -> Result<(), String> {
        let socket = SocketRef::from(&self.stream);
        let since = Instant::now();
        loop {
            let mut slices = [IoSlice::new(length)];
            let outcome = Message::new(&mut slices)
                .with_descriptors(with.as_slice())
                .send_all(&socket, SendFlags::empty());
            match outcome {
                // The user's other processes may have too many of them on their way (R10).
                Err(stopped)
                    if stopped.kind() == ErrorKind::DescriptorsInFlight && since.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(stopped) if stopped.peer_gone() => return Err(ENDED.to_owned()),
                outcome => return outcome.map_err(|stopped| format!("telling the other process: {stopped}")),
            }
        }
    }

    /// Waits for what the other end tells.
    pub(super) fn hear(&self) -> Result<(Told, Option<OwnedFd>), String> {
        let since = Instant::now();
        while !is_ready(&self.stream, PollFlags::POLLIN, 100) {
            if self.is_orphan() {
                return Err("the process that started this one is gone".to_owned());
            }
            if since.elapsed() > PATIENCE {
                return Err("the other process tells nothing".to_owned());
            }
        }
        let (length, with) = self.hear_length()?;
        let mut body = vec![0; u32::from_ne_bytes(length) as usize];
        (&self.stream).read_exact(&mut body).map_err(|error| format!("the other process: {error}"))?;
        let told = serde_json::from_slice(&body).map_err(|error| format!("the other process: {error}"))?;
        Ok((told, with))
    }

    fn hear_length(&self) -> Result<([u8; 4], Option<OwnedFd>), String> {
        let socket = SocketRef::from(&self.stream);
        let (mut length, mut filled, mut with) = ([0; 4], 0, None);
        while filled < length.len() {
            let mut control = ControlBuffer::new();
            let mut slices = [IoSliceMut::new(&mut length[filled..])];
            match socket.receive(&mut slices, &mut control, ReceiveFlags::empty()) {
                Ok(received) if received.is_end_of_file() => return Err(ENDED.to_owned()),
                Ok(mut received) => {
                    filled += received.bytes();
                    with = received.take_descriptor().or(with);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.peer_gone() => return Err(ENDED.to_owned()),
                Err(error) => return Err(format!("hearing the other process: {error}")),
            }
        }
        Ok((length, with))
    }
}

/// What is said when the other process has ended first. It then says why itself.
pub(super) const ENDED: &str = "the other process of the pair has ended";

/// Waits until it is ready. A signal ends the wait.
pub(super) fn is_ready(fd: &impl AsFd, what: PollFlags, milliseconds: u16) -> bool {
    match poll(&mut [PollFd::new(fd.as_fd(), what)], milliseconds) {
        Ok(count) => count > 0,
        Err(Errno::EINTR) => false,
        Err(errno) => panic!("poll(2): {errno}"),
    }
}
