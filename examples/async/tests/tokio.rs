//! What happens with tokio when a future is dropped, the peer goes away, or readiness is not true any more.

#[path = "../tokio.rs"]
mod with_tokio;

use std::fs::File;
use std::future::Future;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use unisend::{
    ErrorKind, Message, Outcome, ReceiveFlags, SendAllError, SendFlags, SocketRef, Transfer, UnixSeqpacket,
};
use with_tokio::{Failure, Receiver, pass, send_patiently, tcp_pair};

/// How long anything is waited for before it counts as never happening.
const PATIENCE: Duration = Duration::from_secs(60);

/// A future that is given this time is dropped as soon as it has to wait.
const ONE_TURN: Duration = Duration::ZERO;

const FILE_BYTES: usize = 5_000_000;

fn run(test: impl Future<Output = Result<(), Failure>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(PATIENCE, test).await }).expect("it ends").expect("nothing fails");
}

/// Gives a future one turn, and drops it if it has to wait.
async fn one_turn<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<Option<T>, Failure> {
    match timeout(ONE_TURN, future).await {
        Ok(outcome) => outcome.map(Some),
        Err(_elapsed) => Ok(None),
    }
}

/// A file whose bytes are not the same again after any power of two.
fn file() -> (File, Vec<u8>) {
    let content: Vec<u8> = (0..FILE_BYTES).map(|index| (index % 251) as u8).collect();
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&content).expect("room on the disk");
    (file, content)
}

/// Receives what has come, at least a byte.
async fn read_some(stream: &TcpStream, received: &mut Vec<u8>) -> Result<(), Failure> {
    let mut buffer = vec![0; 50_000];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(count) => {
                received.extend_from_slice(&buffer[..count]);
                return Ok(());
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Each future that sends is dropped when it has to wait. The next one goes on where it was.
#[test]
fn a_transfer_whose_future_is_dropped_goes_on() {
    run(async {
        let (ours, theirs) = tcp_pair().await?;
        let (file, content) = file();
        let header = [IoSlice::new(b"header")];
        let mut transfer = Transfer::new(&file).at(0).with_header(&header);
        let (mut received, mut dropped, mut waits) = (Vec::new(), 0, 0);
        loop {
            match send_patiently(&ours, &mut transfer, ONE_TURN, &mut waits).await {
                Ok(outcome) => break assert_eq!(outcome, Outcome::Whole),
                Err(failure) => assert!(failure.is::<tokio::time::error::Elapsed>(), "{failure}"),
            }
            dropped += 1;
            read_some(&theirs, &mut received).await?;
        }
        drop(ours);
        while received.len() < FILE_BYTES + 6 {
            read_some(&theirs, &mut received).await?;
        }
        assert!(received.strip_prefix(b"header") == Some(&content));
        assert_eq!(transfer.sent().total(), received.len() as u64);
        assert!(dropped > 3 && waits > 3, "{dropped}, {waits}");
        Ok(())
    });
}

/// On both sides: what was sent is in the message, and what was received is in the receiver.
#[test]
fn a_message_whose_future_is_dropped_goes_on_without_its_descriptors() {
    run(async {
        let (ours, theirs) = UnixStream::pair()?;
        let text: Vec<u8> = ('a'..='z').cycle().take(2_000_000).map(|letter| letter as u8).collect();
        let files = [File::open("/dev/null")?, File::open("/dev/null")?];
        let mut data = [IoSlice::new(&text)];
        let mut message = Message::new(&mut data).with_descriptors(&files);
        let (mut receiver, mut dropped) = (Receiver::default(), 0);
        while one_turn(pass(&ours, &mut message)).await?.is_none() {
            dropped += 1;
            // It is dropped too, when all was received.
            theirs.readable().await?;
            while one_turn(receiver.take(&theirs)).await?.is_some() {}
        }
        drop(ours);
        while !receiver.take(&theirs).await? {}
        assert!(receiver.data == text);
        assert_eq!(receiver.descriptors.len(), 2);
        assert!(dropped > 3, "{dropped}");
        Ok(())
    });
}

/// The sender waits for the reader when it goes away.
#[test]
fn a_reader_that_goes_away_is_said_with_how_much_was_accepted() {
    run(async {
        let (ours, theirs) = tcp_pair().await?;
        let (file, _) = file();
        let reader = tokio::spawn(async move {
            let mut received = Vec::new();
            while received.len() < 200_000 {
                read_some(&theirs, &mut received).await?;
            }
            Ok::<_, Failure>(received.len() as u64)
        });
        let (mut transfer, mut waits) = (Transfer::new(&file).at(0), 0);
        let failure = send_patiently(&ours, &mut transfer, PATIENCE, &mut waits).await.expect_err("gone");
        let stopped: &SendAllError<u64> = failure.downcast_ref().expect("an error of unisend");
        assert!(stopped.peer_gone(), "{stopped}");
        assert!(matches!(stopped.kind(), ErrorKind::Disconnected | ErrorKind::Reset), "{stopped}");
        let (sent, received) = (transfer.sent().total(), reader.await??);
        assert!(waits > 0 && received <= sent && sent < FILE_BYTES as u64, "{waits}, {received}, {sent}");
        assert!(stopped.accepted() <= sent);
        Ok(())
    });
}

/// tokio has noted that the socket is readable, and then something else has taken the data: the receiver waits again.
#[test]
fn readiness_that_is_not_true_any_more_is_waited_for_again() {
    run(async {
        let (ours, theirs) = UnixStream::pair()?;
        let mut other = std::os::unix::net::UnixStream::from(theirs.as_fd().try_clone_to_owned()?);
        assert_eq!(ours.try_write(b"taken")?, 5);
        theirs.readable().await?;
        other.read_exact(&mut [0; 5])?;

        let mut receiver = Receiver::default();
        assert_eq!(one_turn(receiver.take(&theirs)).await?, None);
        assert_eq!(ours.try_write(b"left")?, 4);
        assert!(!receiver.take(&theirs).await?);
        assert_eq!(receiver.data, b"left");
        Ok(())
    });
}

/// A socket that tokio does not know is waited for in an `AsyncFd`.
#[test]
fn sequenced_packets_are_waited_for() {
    const PACKETS: u64 = 10_000;
    run(async {
        let (ours, theirs) = UnixSeqpacket::pair()?;
        ours.set_nonblocking(true)?;
        // The reader begins when the sender has found no room.
        let (begin, begun) = std::sync::mpsc::channel();
        let reader = tokio::task::spawn_blocking(move || {
            begun.recv()?;
            read_packets(&theirs, PACKETS)
        });
        // SAFETY: the descriptor is the socket's own: it stays the same, and is closed with the socket.
        let ours = unsafe { AsyncFd::register(ours) }?;
        for number in 0..PACKETS {
            let send = |ours: &UnixSeqpacket| match SocketRef::from(ours)
                .send(&number.to_ne_bytes(), SendFlags::empty())
            {
                Err(error) if error.would_block() => {
                    begin.send(()).expect("the reader is there");
                    Err(std::io::ErrorKind::WouldBlock.into())
                }
                result => Ok(result),
            };
            assert_eq!(ours.async_io(Interest::WRITABLE, send).await??, 8);
        }
        reader.await?
    });
}

/// Receives numbers from 0 on.
fn read_packets(theirs: &UnixSeqpacket, packets: u64) -> Result<(), Failure> {
    for number in 0..packets {
        let mut packet = [0; 8];
        let mut slices = [IoSliceMut::new(&mut packet)];
        let received =
            SocketRef::from(theirs).receive_without_descriptors(&mut slices, ReceiveFlags::empty())?;
        assert_eq!((received.bytes(), u64::from_ne_bytes(packet)), (8, number));
    }
    Ok(())
}
