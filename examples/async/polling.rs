//! Passes descriptors and sends files, with polling.
//!
//!     cargo run --package unisend-async-examples --example with-polling -- FILE...
//!
//! The descriptors of the files are passed over a unix socket. Then each file is sent over another one, to a reader that takes
//! 4 KiB at a time. Both ends are in this program, and in one loop.

use std::error::Error;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use polling::{Event, Events, Poller};
use unisend::{ControlBuffer, Message, Outcome, ReceiveFlags, SendFlags, SocketRef, Transfer};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

const OURS: usize = 0;
const THEIRS: usize = 1;

#[allow(dead_code, reason = "the tests call what it calls")]
fn main() -> Result<(), Failure> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let files = names.iter().map(File::open).collect::<io::Result<Vec<_>>>()?;

    let (text, descriptors) = pass_descriptors(&names.join("\n"), &files)?;
    for (name, descriptor) in text.lines().zip(descriptors) {
        let bytes = File::from(descriptor).read_to_end(&mut Vec::new())?;
        println!("{name}: read {bytes} bytes from its descriptor");
    }
    for (name, file) in names.iter().zip(&files) {
        let (received, waits) = send_file(b"header\n", file)?;
        println!("{name}: received {} bytes, with {waits} waits", received.len());
    }
    Ok(())
}

/// Passes descriptors with a text. Returns what the receiver got.
pub(crate) fn pass_descriptors(text: &str, files: &[File]) -> Result<(String, Vec<OwnedFd>), Failure> {
    let mut data = [IoSlice::new(text.as_bytes())];
    let mut message = Message::new(&mut data).with_descriptors(files);
    let mut receiver = Receiver::default();
    run(|ours| pass(ours, &mut message), |theirs| receiver.take(theirs))?;
    Ok((String::from_utf8(receiver.data)?, receiver.descriptors))
}

/// Sends a header and a file. Returns what the reader got, and how often the sender had to wait for it.
pub(crate) fn send_file(header: &[u8], file: &File) -> Result<(Vec<u8>, usize), Failure> {
    let header = [IoSlice::new(header)];
    let mut transfer = Transfer::new(file).at(0).with_header(&header);
    let (mut receiver, mut waits) = (Receiver::default(), 0);
    let send = |ours: &UnixStream| {
        let is_done = send(ours, &mut transfer)?;
        waits += usize::from(!is_done);
        Ok(is_done)
    };
    run(send, |theirs| receiver.take(theirs))?;
    Ok((receiver.data, waits))
}

/// Calls one function when our end of a connection is writable, and the other when theirs is readable, until they are done.
fn run(
    mut send: impl FnMut(&UnixStream) -> Result<bool, Failure>,
    mut receive: impl FnMut(&UnixStream) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let (our_stream, their_stream) = UnixStream::pair()?;
    our_stream.set_nonblocking(true)?;
    their_stream.set_nonblocking(true)?;
    let (poller, mut events) = (Poller::new()?, Events::new());
    let ours = Watched::new(&poller, &our_stream, Event::writable(OURS))?;
    let theirs = Watched::new(&poller, &their_stream, Event::readable(THEIRS))?;
    loop {
        events.clear();
        poller.wait(&mut events, None)?;
        for event in events.iter() {
            match event.key {
                OURS if send(ours.stream)? => ours.stream.shutdown(Shutdown::Write)?,
                OURS => ours.again()?,
                _ if receive(theirs.stream)? => return Ok(()),
                _ => theirs.again()?,
            }
        }
    }
}

/// A socket that a poller watches until this is dropped. It reports one event, and then none until it is told to.
struct Watched<'a> {
    poller: &'a Poller,
    stream: &'a UnixStream,
    event: Event,
}

impl<'a> Watched<'a> {
    fn new(poller: &'a Poller, stream: &'a UnixStream, event: Event) -> io::Result<Self> {
        // SAFETY: drop deletes it, and it is not closed before, because it is borrowed.
        unsafe { poller.add(stream, event)? };
        Ok(Self { poller, stream, event })
    }

    fn again(&self) -> io::Result<()> {
        self.poller.modify(self.stream, self.event)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let _ = self.poller.delete(self.stream);
    }
}

/// Sends what is left of a message. Returns whether that was all; if not, the socket has to be watched again.
pub(crate) fn pass(stream: &UnixStream, message: &mut Message<'_, '_, File>) -> Result<bool, Failure> {
    match message.send_all(&SocketRef::from(stream), SendFlags::empty()) {
        Ok(()) => Ok(true),
        Err(stopped) if stopped.would_block() => Ok(false),
        Err(stopped) => Err(stopped.into()),
    }
}

/// Sends what is left of a transfer. Returns whether that was all; if not, the socket has to be watched again.
pub(crate) fn send(stream: &UnixStream, transfer: &mut Transfer<'_>) -> Result<bool, Failure> {
    match transfer.send_all(stream) {
        Ok(Outcome::Whole) => Ok(true),
        Ok(outcome) => Err(format!("{outcome:?}").into()),
        Err(stopped) if stopped.would_block() => Ok(false),
        Err(stopped) => Err(stopped.into()),
    }
}

/// What was received until now.
#[derive(Default)]
pub(crate) struct Receiver {
    pub(crate) data: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
    control: ControlBuffer,
}

impl Receiver {
    /// Receives once, and returns whether it is the end of file. What is left is reported when the socket is watched again.
    pub(crate) fn take(&mut self, stream: &UnixStream) -> Result<bool, Failure> {
        let socket = SocketRef::from(stream);
        let mut buffer = [0; 4096];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let mut received = match socket.receive(&mut slices, &mut self.control, ReceiveFlags::empty()) {
            Err(error) if error.would_block() => return Ok(false),
            result => result?,
        };
        if received.descriptors_lost() {
            return Err("no room for the descriptors".into());
        }
        self.descriptors.extend(received.descriptors());
        let bytes = received.bytes();
        self.data.extend_from_slice(&buffer[..bytes]);
        Ok(received.is_end_of_file())
    }
}
