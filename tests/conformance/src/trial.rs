//! One run of a case through one route, and what it showed.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use unisend::{
    Address, ControlBuffer, DatagramSocket, Error, Message, ReceiveFlags, Received, SendAllError, SendFlags,
    SocketRef,
};

use crate::case::Stop;
use crate::raw;

/// How a case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Through raw libc: what the kernel does.
    Kernel,
    /// Through unisend: what the contract promises.
    Portable,
}

/// The observation on a kernel, if only unisend has the call.
pub(crate) const NO_CALL: &str = "no such call";

/// The destination of a datagram, before a route has converted it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destination<'a> {
    Internet(SocketAddr),
    /// An IPv4 address, of which a dual-stack socket has the IPv4-mapped one.
    Mapped(SocketAddrV4),
    Path(&'a Path),
    Abstract(&'a [u8]),
}

/// What a run has shown so far, step by step. Each step is a count, a word, an errno on the kernel's route
/// (with `+SIGPIPE` if that signal was raised), or the kind of an error on unisend's route.
pub(crate) struct Trial {
    route: Route,
    directory: PathBuf,
    steps: Vec<String>,
}

impl Trial {
    pub(crate) fn new(route: Route, directory: PathBuf) -> Self {
        Self { route, directory, steps: Vec::new() }
    }

    pub(crate) fn into_observed(self) -> String {
        self.steps.join(", ")
    }

    pub(crate) fn route(&self) -> Route {
        self.route
    }

    /// Returns a path with this name in this run's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns whether this is the kernel's route of a case whose call only unisend has, and notes that.
    pub(crate) fn has_no_call(&mut self) -> bool {
        let has_none = self.route == Route::Kernel;
        if has_none {
            self.note(NO_CALL);
        }
        has_none
    }

    /// Notes a step.
    pub(crate) fn note(&mut self, step: impl ToString) {
        self.steps.push(step.to_string());
    }

    /// Returns whether the last step was this.
    pub(crate) fn last_was(&self, step: &str) -> bool {
        self.steps.last().is_some_and(|last| last == step)
    }

    /// Removes the last step if it was this, and returns whether it was.
    pub(crate) fn retract(&mut self, step: &str) -> bool {
        self.steps.pop_if(|last| last == step).is_some()
    }

    /// Notes the result of a raw call.
    pub(crate) fn note_raw(&mut self, outcome: nix::Result<usize>) {
        let signal = if raw::take_sigpipe() { "+SIGPIPE" } else { "" };
        match outcome {
            Ok(count) => self.note(format!("{count}{signal}")),
            Err(errno) => self.note(format!("{}{signal}", errno_name(errno))),
        }
    }

    /// Sends without flags.
    pub(crate) fn send(&mut self, socket: &SocketRef<'_, impl Sized>, bytes: &[u8]) {
        self.send_flags(socket, bytes, SendFlags::empty());
    }

    /// Sends with flags.
    pub(crate) fn send_flags(&mut self, socket: &SocketRef<'_, impl Sized>, bytes: &[u8], flags: SendFlags) {
        match self.route {
            Route::Kernel => self.note_raw(raw::send(socket.as_fd(), bytes, raw::flag_numbers(flags))),
            Route::Portable => self.note_portable(socket.send(bytes, flags)),
        }
    }

    /// Sends without flags. More than one error can say that the peer is gone: on unisend's route they are
    /// noted alike.
    pub(crate) fn send_to_the_gone(&mut self, socket: &SocketRef<'_, impl Sized>, bytes: &[u8]) {
        match self.route {
            Route::Kernel => self.send(socket, bytes),
            Route::Portable => match socket.send(bytes, SendFlags::empty()) {
                Err(error) if error.peer_gone() => self.note("peer gone"),
                outcome => self.note_portable(outcome),
            },
        }
    }

    /// Sends without flags, and notes "partial" for a count that is neither 0 nor all.
    pub(crate) fn send_partly(&mut self, socket: &SocketRef<'_, impl Sized>, bytes: &[u8]) {
        match self.route {
            Route::Kernel => self.note_raw_partly(raw::send(socket.as_fd(), bytes, 0), bytes.len()),
            Route::Portable => match socket.send(bytes, SendFlags::empty()) {
                Ok(count) if is_part(count, bytes.len()) => self.note("partial"),
                Err(error) if error.may_have_sent() => self.note(format!("{} (may have sent)", error.kind())),
                outcome => self.note_portable(outcome),
            },
        }
    }

    /// Notes the result of a raw call: "partial" for a count that is neither 0 nor all.
    pub(crate) fn note_raw_partly(&mut self, outcome: nix::Result<usize>, length: usize) {
        match outcome {
            Ok(count) if is_part(count, length) => self.note("partial"),
            outcome => self.note_raw(outcome),
        }
    }

    /// Sends without flags, and notes this word if everything was accepted.
    pub(crate) fn send_whole(&mut self, socket: &SocketRef<'_, impl Sized>, bytes: &[u8], whole: &str) {
        self.send(socket, bytes);
        if self.retract(&bytes.len().to_string()) {
            self.note(whole);
        }
    }

    /// Sends everything. Raw libc has no such call, so its route shows one send.
    pub(crate) fn send_all(&mut self, socket: &SocketRef<'_, impl Sized>, bytes: &[u8]) {
        match self.route {
            Route::Kernel => self.send(socket, bytes),
            Route::Portable => {
                let outcome = socket.send_all(bytes, SendFlags::empty());
                self.note_portable(outcome.map(|()| bytes.len()).map_err(SendAllError::into));
            }
        }
    }

    /// Sends slices as one message.
    pub(crate) fn send_vectored(&mut self, socket: &SocketRef<'_, impl Sized>, slices: &[IoSlice<'_>]) {
        match self.route {
            Route::Kernel => self.note_raw(raw::send_message(socket.as_fd(), slices)),
            Route::Portable => self.note_portable(socket.send_vectored(slices, SendFlags::empty())),
        }
    }

    /// Sends to an address.
    pub(crate) fn send_to(
        &mut self,
        socket: &SocketRef<'_, DatagramSocket>,
        bytes: &[u8],
        to: Destination<'_>,
    ) {
        match self.route {
            Route::Kernel => self.note_raw(raw::send_to(socket.as_fd(), bytes, to)),
            Route::Portable => {
                let address = match to {
                    Destination::Internet(address) => Ok(address.into()),
                    Destination::Mapped(address) => Address::v4_mapped(address),
                    Destination::Path(path) => Address::unix(path),
                    Destination::Abstract(name) => Address::unix_abstract(name),
                };
                let outcome = address.and_then(|to| socket.send_to(bytes, &to, SendFlags::empty()));
                self.note_portable(outcome);
            }
        }
    }

    /// Sends bytes with descriptors.
    pub(crate) fn send_message(
        &mut self,
        socket: &SocketRef<'_, impl Sized>,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) {
        match self.route {
            Route::Kernel => {
                let flags = raw::flag_numbers(flags);
                self.note_raw_partly(
                    raw::send_rights(socket.as_fd(), bytes, descriptors, flags),
                    bytes.len(),
                );
            }
            Route::Portable => {
                let mut slices = [IoSlice::new(bytes)];
                match Message::new(&mut slices).with_descriptors(descriptors).send(socket, flags) {
                    Ok(count) if is_part(count, bytes.len()) => self.note("partial"),
                    outcome => self.note_portable(outcome),
                }
            }
        }
    }

    /// Sends everything, with descriptors. Raw libc has no such call, so its route shows one sendmsg.
    pub(crate) fn send_message_all(
        &mut self,
        socket: &SocketRef<'_, impl Sized>,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) {
        match self.route {
            Route::Kernel => self.send_message(socket, bytes, descriptors, SendFlags::empty()),
            Route::Portable => {
                let mut slices = [IoSlice::new(bytes)];
                let mut message = Message::new(&mut slices).with_descriptors(descriptors);
                let outcome = message.send_all(socket, SendFlags::empty());
                self.note_portable(outcome.map(|()| bytes.len()).map_err(SendAllError::into));
            }
        }
    }

    /// Receives at most this many bytes, and returns the descriptors that arrived with them.
    pub(crate) fn take_descriptors(
        &mut self,
        socket: &SocketRef<'_, impl Sized>,
        data: usize,
    ) -> Result<Vec<OwnedFd>, Stop> {
        match self.route {
            Route::Kernel => {
                Ok(raw::receive_rights(socket.as_fd(), data, 1032, libc::MSG_CMSG_CLOEXEC)?.descriptors)
            }
            Route::Portable => {
                let mut buffer = ControlBuffer::new();
                let mut bytes = vec![0; data];
                let mut slices = [IoSliceMut::new(&mut bytes)];
                let received = socket.receive(&mut slices, &mut buffer, ReceiveFlags::empty());
                let received = received?;
                Ok(received.into_descriptors().collect())
            }
        }
    }

    /// Appends words to the last step.
    pub(crate) fn add_to_last(&mut self, words: &str) {
        if let Some(last) = self.steps.last_mut() {
            last.push_str(words);
        }
    }

    /// Puts a word in front of the last step.
    pub(crate) fn name_last(&mut self, word: &str) {
        if let Some(last) = self.steps.last_mut() {
            last.insert_str(0, word);
        }
    }

    /// Receives data and descriptors without waiting, into this many bytes and, on the kernel's route, this
    /// many bytes of control messages. Notes "received", the bytes, `+` and the count of descriptors, and what
    /// else was reported. The descriptors stay open until this returns.
    pub(crate) fn receive_message(
        &mut self,
        socket: &SocketRef<'_, impl Sized>,
        data: usize,
        control: usize,
    ) {
        let (noted, _descriptors) = match self.route {
            Route::Kernel => {
                let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
                kernel_received(raw::receive_rights(socket.as_fd(), data, control, flags))
            }
            Route::Portable => {
                let mut buffer = ControlBuffer::new();
                let mut bytes = vec![0; data];
                let mut slices = [IoSliceMut::new(&mut bytes)];
                portable_received(socket.receive(&mut slices, &mut buffer, ReceiveFlags::DONT_WAIT))
            }
        };
        self.note(format!("received {noted}"));
    }

    /// The same, without room for descriptors.
    pub(crate) fn receive_without_descriptors(&mut self, socket: &SocketRef<'_, impl Sized>, data: usize) {
        match self.route {
            Route::Kernel => self.receive_message(socket, data, 0),
            Route::Portable => {
                let mut bytes = vec![0; data];
                let mut slices = [IoSliceMut::new(&mut bytes)];
                let received = socket.receive_without_descriptors(&mut slices, ReceiveFlags::DONT_WAIT);
                let (noted, _) = portable_received(received);
                self.note(format!("received {noted}"));
            }
        }
    }

    /// Receives without waiting, and notes "received" and the count, or the errno.
    pub(crate) fn receive(&mut self, from: impl AsFd) {
        match receive_now(from.as_fd()) {
            Ok(count) => self.note(format!("received {count}")),
            Err(errno) => self.note(format!("received {}", errno_name(errno))),
        }
    }

    /// Notes the result of a call of unisend.
    pub(crate) fn note_portable(&mut self, outcome: Result<usize, Error>) {
        match outcome {
            Ok(count) => self.note(count),
            Err(error) => self.note(error.kind()),
        }
    }
}

fn kernel_received(received: nix::Result<raw::Received>) -> (String, Vec<OwnedFd>) {
    match received {
        Ok(received) => {
            let said = [(libc::MSG_TRUNC, " TRUNC"), (libc::MSG_CTRUNC, " CTRUNC")];
            let said = said.into_iter().filter(|(flag, _)| received.flags & flag != 0).map(|(_, word)| word);
            let noted =
                format!("{}+{}", received.bytes, received.descriptors.len()) + &said.collect::<String>();
            (noted, received.descriptors)
        }
        Err(errno) => (errno_name(errno), Vec::new()),
    }
}

fn portable_received(received: Result<Received<'_>, Error>) -> (String, Vec<OwnedFd>) {
    match received {
        Ok(received) => {
            let said = [
                (received.is_truncated(), " truncated"),
                (received.descriptors_lost(), " lost"),
                (received.is_end_of_file(), " end"),
            ];
            let said: String = said.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
            let bytes = received.bytes();
            let descriptors: Vec<OwnedFd> = received.into_descriptors().collect();
            (format!("{bytes}+{}{said}", descriptors.len()), descriptors)
        }
        Err(error) => (error.kind().to_string(), Vec::new()),
    }
}

fn is_part(count: usize, length: usize) -> bool {
    (1..length).contains(&count)
}

fn receive_now(from: BorrowedFd<'_>) -> nix::Result<usize> {
    let mut buffer = [0; 70_000];
    raw::receive(from, &mut buffer, libc::MSG_DONTWAIT)
}

/// Returns an errno's name, or its number if libc has no name for it.
pub(crate) fn errno_name(errno: Errno) -> String {
    match errno {
        Errno::UnknownErrno => "an unknown errno".to_owned(),
        known => format!("{known:?}"),
    }
}
