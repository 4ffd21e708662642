//! Passes descriptors and sends files, with tokio.
//!
//!     cargo run --package unisend-async-examples --example with-tokio -- FILE...
//!
//! The descriptors of the files are passed over a unix socket. Then each file is sent over TCP, to a reader that is slower
//! than the sender. Both ends are in this program: the receiver is a task of its own.

use std::error::Error;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;
use unisend::{ControlBuffer, Message, Outcome, ReceiveFlags, SendFlags, SocketRef, Transfer};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The size of the buffers of a connection: small, so that the sender has to wait for the reader.
const BUFFER_BYTES: u32 = 64 * 1024;

#[allow(dead_code, reason = "the tests call what it calls")]
fn main() -> Result<(), Failure> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let files = names.iter().map(File::open).collect::<io::Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (text, descriptors) = pass_descriptors(&names.join("\n"), &files).await?;
        for (name, descriptor) in text.lines().zip(descriptors) {
            let bytes = File::from(descriptor).read_to_end(&mut Vec::new())?;
            println!("{name}: read {bytes} bytes from its descriptor");
        }
        for (name, file) in names.iter().zip(&files) {
            let (received, waits) = send_file(b"header\n", file).await?;
            println!("{name}: received {} bytes, with {waits} waits", received.len());
        }
        Ok(())
    })
}

/// Passes descriptors with a text, and returns what the receiver got.
pub(crate) async fn pass_descriptors(text: &str, files: &[File]) -> Result<(String, Vec<OwnedFd>), Failure> {
    let (ours, theirs) = UnixStream::pair()?;
    let receiver = tokio::spawn(async move {
        let mut receiver = Receiver::default();
        while !receiver.take(&theirs).await? {}
        Ok::<_, Failure>(receiver)
    });
    let mut data = [IoSlice::new(text.as_bytes())];
    pass(&ours, &mut Message::new(&mut data).with_descriptors(files)).await?;
    drop(ours); // the receiver then sees the end of file
    let Receiver { data, descriptors, .. } = receiver.await??;
    Ok((String::from_utf8(data)?, descriptors))
}

/// Sends a header and a file. Returns what the reader got, and how often the sender had to wait for it.
pub(crate) async fn send_file(header: &[u8], file: &File) -> Result<(Vec<u8>, usize), Failure> {
    let (ours, theirs) = tcp_pair().await?;
    let reader = tokio::spawn(async move { read(&theirs).await });
    let header = [IoSlice::new(header)];
    let mut transfer = Transfer::new(file).at(0).with_header(&header);
    let mut waits = 0;
    match send_patiently(&ours, &mut transfer, PATIENCE, &mut waits).await? {
        Outcome::Whole => {}
        outcome => return Err(format!("{outcome:?}").into()),
    }
    drop(ours);
    Ok((reader.await??, waits))
}

/// Makes "would block" the error that tokio waits after, and keeps every other result as it is.
fn split_would_block<T, E: Copy + Into<unisend::Error>>(result: Result<T, E>) -> io::Result<Result<T, E>> {
    match result {
        Err(error) if error.into().would_block() => Err(io::ErrorKind::WouldBlock.into()),
        result => Ok(result),
    }
}

/// Sends what is left of a message.
pub(crate) async fn pass(stream: &UnixStream, message: &mut Message<'_, '_, File>) -> Result<(), Failure> {
    let socket = SocketRef::unix_stream(stream);
    let send = || split_would_block(message.send_all(&socket, SendFlags::empty()));
    stream.async_io(Interest::WRITABLE, send).await??;
    Ok(())
}

/// What was received until now.
#[derive(Default)]
pub(crate) struct Receiver {
    pub(crate) data: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
    control: ControlBuffer,
}

impl Receiver {
    /// Waits until there is something, and receives it. Returns whether it is the end of file.
    pub(crate) async fn take(&mut self, stream: &UnixStream) -> Result<bool, Failure> {
        let socket = SocketRef::unix_stream(stream);
        let mut buffer = [0; 4096];
        let receive = || {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let received = socket.receive(&mut slices, &mut self.control, ReceiveFlags::empty());
            // It borrows the control buffer, and cannot leave this closure.
            split_would_block(received.map(|mut received| {
                self.descriptors.extend(received.descriptors());
                (received.bytes(), received.descriptors_lost(), received.is_end_of_file())
            }))
        };
        let (bytes, descriptors_lost, is_end_of_file) =
            stream.async_io(Interest::READABLE, receive).await??;
        if descriptors_lost {
            return Err("no room for the descriptors".into());
        }
        self.data.extend_from_slice(&buffer[..bytes]);
        Ok(is_end_of_file)
    }
}

/// Sends what is left of a transfer, and gives up if the reader takes nothing for so long.
pub(crate) async fn send_patiently(
    stream: &TcpStream,
    transfer: &mut Transfer<'_>,
    patience: Duration,
    waits: &mut usize,
) -> Result<Outcome, Failure> {
    let socket = SocketRef::tcp(stream);
    loop {
        let before = transfer.sent();
        let send = || split_would_block(transfer.send_all(socket)).inspect_err(|_| *waits += 1);
        match timeout(patience, stream.async_io(Interest::WRITABLE, send)).await {
            Ok(outcome) => return Ok(outcome??),
            // The future was dropped. The transfer knows what was accepted, and goes on there.
            Err(_) if transfer.sent() != before => {}
            Err(elapsed) => return Err(elapsed.into()),
        }
    }
}

/// Receives a little at a time, until the end of file.
async fn read(stream: &TcpStream) -> Result<Vec<u8>, Failure> {
    let socket = SocketRef::tcp(stream);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let receive = || {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            split_would_block(socket.receive_without_descriptors(&mut slices, ReceiveFlags::empty()))
        };
        let received = stream.async_io(Interest::READABLE, receive).await??;
        if received.is_end_of_file() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&buffer[..received.bytes()]);
    }
}

/// Makes the two ends of a connection.
pub(crate) async fn tcp_pair() -> io::Result<(TcpStream, TcpStream)> {
    let (listener, client) = (TcpSocket::new_v4()?, TcpSocket::new_v4()?);
    listener.set_send_buffer_size(BUFFER_BYTES)?;
    client.set_recv_buffer_size(BUFFER_BYTES)?;
    listener.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = listener.listen(1)?;
    let theirs = client.connect(listener.local_addr()?).await?;
    let (ours, _) = listener.accept().await?;
    Ok((ours, theirs))
}
