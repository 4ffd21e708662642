//! Passes descriptors and sends files, with mio.
//!
//!     cargo run --package unisend-async-examples --example with-mio -- FILE...
//!
//! The descriptors of the files are passed over a unix socket. Then each file is sent over another one. Both ends are in this
//! program, and in one loop: the sender fills the socket, the receiver empties it, and so on.

use std::error::Error;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;

use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};
use unisend::{ControlBuffer, Message, Outcome, ReceiveFlags, SendFlags, SocketRef, Transfer};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

const OURS: Token = Token(0);
const THEIRS: Token = Token(1);

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
    let (mut ours, mut theirs) = UnixStream::pair()?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
    poll.registry().register(&mut ours, OURS, Interest::WRITABLE)?;
    poll.registry().register(&mut theirs, THEIRS, Interest::READABLE)?;
    let mut is_sending = true;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                OURS if is_sending && send(&ours)? => {
                    poll.registry().deregister(&mut ours)?;
                    ours.shutdown(Shutdown::Write)?; // the receiver then sees the end of file
                    is_sending = false;
                }
                THEIRS if receive(&theirs)? => return Ok(()),
                _ => {}
            }
        }
    }
}

/// Makes "would block" the error that mio looks for, and keeps every other result as it is.
fn split_would_block<T, E: Copy + Into<unisend::Error>>(result: Result<T, E>) -> io::Result<Result<T, E>> {
    match result {
        Err(error) if error.into().would_block() => Err(io::ErrorKind::WouldBlock.into()),
        result => Ok(result),
    }
}

/// Sends what is left of a message. Returns whether that was all; if not, mio says when to go on.
pub(crate) fn pass(stream: &UnixStream, message: &mut Message<'_, '_, File>) -> Result<bool, Failure> {
    let socket = SocketRef::unix_stream(stream);
    match stream.try_io(|| split_would_block(message.send_all(&socket, SendFlags::empty()))) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        result => {
            result??;
            Ok(true)
        }
    }
}

/// Sends what is left of a transfer. Returns whether that was all; if not, mio says when to go on.
pub(crate) fn send(stream: &UnixStream, transfer: &mut Transfer<'_>) -> Result<bool, Failure> {
    let socket = SocketRef::unix_stream(stream);
    match stream.try_io(|| split_would_block(transfer.send_all(socket))) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        result => match result?? {
            Outcome::Whole => Ok(true),
            outcome => Err(format!("{outcome:?}").into()),
        },
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
    /// Receives until the call would block, because mio does not say again that there is more. Returns whether it is the end
    /// of file.
    pub(crate) fn take(&mut self, stream: &UnixStream) -> Result<bool, Failure> {
        let socket = SocketRef::unix_stream(stream);
        let mut buffer = [0; 4096];
        loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let mut received = match stream.try_io(|| {
                split_would_block(socket.receive(&mut slices, &mut self.control, ReceiveFlags::empty()))
            }) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                result => result??,
            };
            if received.is_end_of_file() {
                return Ok(true);
            }
            if received.descriptors_lost() {
                return Err("no room for the descriptors".into());
            }
            self.descriptors.extend(received.descriptors());
            let bytes = received.bytes();
            self.data.extend_from_slice(&buffer[..bytes]);
        }
    }
}
