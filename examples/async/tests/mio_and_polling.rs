//! What happens in a loop of mio or polling when the peer goes away, or readiness is not true any more.

#[path = "../mio.rs"]
mod with_mio;
#[path = "../polling.rs"]
mod with_polling;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rstest::rstest;
use unisend::{ErrorKind, SendAllError, Transfer};
use with_mio::Failure;

/// How long anything is waited for before it counts as never happening.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Library {
    Mio,
    Polling,
}

impl Library {
    fn send(self, stream: &UnixStream, transfer: &mut Transfer<'_>) -> Result<bool, Failure> {
        match self {
            Self::Mio => with_mio::send(&of_mio(stream), transfer),
            Self::Polling => with_polling::send(stream, transfer),
        }
    }

    /// Receives, and returns whether that was the end of file, and what was received.
    fn take(self, stream: &UnixStream) -> Result<(bool, Vec<u8>, Vec<OwnedFd>), Failure> {
        match self {
            Self::Mio => {
                let mut receiver = with_mio::Receiver::default();
                Ok((receiver.take(&of_mio(stream))?, receiver.data, receiver.descriptors))
            }
            Self::Polling => {
                let mut receiver = with_polling::Receiver::default();
                Ok((receiver.take(stream)?, receiver.data, receiver.descriptors))
            }
        }
    }
}

fn of_mio(stream: &UnixStream) -> mio::net::UnixStream {
    mio::net::UnixStream::from_std(stream.try_clone().expect("a descriptor"))
}

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    theirs.set_nonblocking(true).expect("a socket");
    (ours, theirs)
}

fn file(bytes: usize) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&vec![7; bytes]).expect("room on the disk");
    file
}

#[rstest]
#[timeout(PATIENCE)]
fn a_reader_that_goes_away_is_said_with_how_much_was_accepted(
    #[values(Library::Mio, Library::Polling)] library: Library,
) {
    let (ours, mut theirs) = pair();
    let file = file(5_000_000);
    let mut transfer = Transfer::new(&file).at(0);
    assert!(!library.send(&ours, &mut transfer).expect("it would block"));
    let accepted = transfer.sent().total();
    theirs.read_exact(&mut [0; 1000]).expect("it was sent");
    drop(theirs);
    let failure = library.send(&ours, &mut transfer).expect_err("the reader has gone");
    let stopped: &SendAllError<u64> = failure.downcast_ref().expect("an error of unisend");
    assert_eq!((stopped.kind(), stopped.accepted()), (ErrorKind::Disconnected, 0));
    assert_eq!(transfer.sent().total(), accepted);
    assert!((1000..5_000_000).contains(&accepted), "{accepted}");
}

/// The loop is told that it can send, and it cannot: nothing is sent, and nothing is lost.
#[rstest]
#[timeout(PATIENCE)]
fn a_socket_that_is_not_writable_is_tried_again(#[values(Library::Mio, Library::Polling)] library: Library) {
    let (ours, mut theirs) = pair();
    let file = file(1_000_000);
    let mut transfer = Transfer::new(&file).at(0);
    let mut received = 0;
    while !library.send(&ours, &mut transfer).expect("room, or none") {
        let accepted = transfer.sent();
        assert!(!library.send(&ours, &mut transfer).expect("no room"));
        assert_eq!(transfer.sent(), accepted);
        received += std::io::copy(&mut (&mut theirs).take(accepted.total() - received), &mut std::io::sink())
            .expect("it was sent");
    }
    drop(ours);
    received += std::io::copy(&mut theirs, &mut std::io::sink()).expect("it was sent");
    assert_eq!(received, 1_000_000);
}

#[rstest]
#[timeout(PATIENCE)]
fn a_socket_that_is_not_readable_is_tried_again(#[values(Library::Mio, Library::Polling)] library: Library) {
    let (mut ours, theirs) = pair();
    let (is_end_of_file, data, descriptors) = library.take(&theirs).expect("there is nothing");
    assert!(!is_end_of_file && data.is_empty() && descriptors.is_empty());
    ours.write_all(b"data").expect("room");
    assert_eq!(library.take(&theirs).expect("data").1, b"data");
    drop(ours);
    assert!(library.take(&theirs).expect("the end of file").0);
}

/// mio says once that there is data, so all of it is received.
#[rstest]
#[timeout(PATIENCE)]
fn with_mio_nothing_is_left_that_no_event_announces() {
    let (mut ours, mut theirs) = pair();
    ours.write_all(&[7; 100_000]).expect("room");
    assert_eq!(Library::Mio.take(&theirs).expect("data").1.len(), 100_000);
    assert_eq!(theirs.read(&mut [0]).expect_err("nothing").kind(), std::io::ErrorKind::WouldBlock);
}
