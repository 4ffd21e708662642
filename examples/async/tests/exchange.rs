//! What each program does to pass descriptors and to send a file, and what comes out at the other end.

#[path = "../mio.rs"]
mod with_mio;
#[path = "../polling.rs"]
mod with_polling;
#[path = "../tokio.rs"]
mod with_tokio;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rstest::rstest;
use unisend::{ErrorKind, SendAllError, SocketRef};
use with_tokio::Failure;

/// How long anything is waited for before it counts as never happening.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Library {
    Tokio,
    Mio,
    Polling,
}

impl Library {
    fn pass_descriptors(self, text: &str, files: &[File]) -> Result<(String, Vec<OwnedFd>), Failure> {
        match self {
            Self::Tokio => runtime().block_on(with_tokio::pass_descriptors(text, files)),
            Self::Mio => with_mio::pass_descriptors(text, files),
            Self::Polling => with_polling::pass_descriptors(text, files),
        }
    }

    fn send_file(self, header: &[u8], file: &File) -> Result<(Vec<u8>, usize), Failure> {
        match self {
            Self::Tokio => runtime().block_on(with_tokio::send_file(header, file)),
            Self::Mio => with_mio::send_file(header, file),
            Self::Polling => with_polling::send_file(header, file),
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Bytes that are not the same again after any power of two.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(content).expect("room on the disk");
    file
}

/// The rest of the text goes without the descriptors, so that they come once.
#[rstest]
#[timeout(PATIENCE)]
fn descriptors_come_once_with_all_of_the_text(
    #[values(Library::Tokio, Library::Mio, Library::Polling)] library: Library,
    #[values(1, 1_000_000)] length: usize,
) {
    let files = [file(b""), file(b"")];
    let text: String = ('a'..='z').cycle().take(length).collect();
    let (received, descriptors) = library.pass_descriptors(&text, &files).expect("all arrives");
    assert!(received == text);
    assert_eq!(descriptors.len(), 2);
    for (index, (mut ours, theirs)) in files.into_iter().zip(descriptors).enumerate() {
        // The open file is the same, and so is its position.
        writeln!(File::from(theirs), "{index}").expect("room on the disk");
        std::io::Seek::rewind(&mut ours).expect("a regular file");
        let mut content = String::new();
        ours.read_to_string(&mut content).expect("text");
        assert_eq!(content, format!("{index}\n"));
    }
}

#[rstest]
#[timeout(PATIENCE)]
fn a_file_arrives_although_the_sender_has_to_wait(
    #[values(Library::Tokio, Library::Mio, Library::Polling)] library: Library,
) {
    // Much longer than what a unix socket has room for. The TCP sockets have small buffers.
    let (stream, _) = UnixStream::pair().expect("a pair");
    let room = SocketRef::probe(&stream).expect("a socket").send_buffer().expect("it was probed");
    let content = bytes(5_000_000.max(20 * room));
    let (received, waits) = library.send_file(b"header", &file(&content)).expect("all arrives");
    assert!(received.strip_prefix(b"header") == Some(&content));
    assert!(waits > 3, "{waits}");
}

#[rstest]
#[timeout(PATIENCE)]
fn a_file_that_fits_is_not_waited_for(
    #[values(Library::Tokio, Library::Mio, Library::Polling)] library: Library,
    #[values(&[], b"short")] content: &[u8],
) {
    let (received, waits) = library.send_file(b"header", &file(content)).expect("all arrives");
    assert_eq!((received.strip_prefix(b"header"), waits), (Some(content), 0));
}

/// The kind of what unisend refuses comes through, and is not made an error of io.
#[rstest]
#[timeout(PATIENCE)]
fn a_refusal_is_kept(#[values(Library::Tokio, Library::Mio, Library::Polling)] library: Library) {
    let failure = library.pass_descriptors("", &[file(b"")]).expect_err("no byte for the descriptor");
    let stopped: &SendAllError = failure.downcast_ref().expect("an error of unisend");
    assert_eq!((stopped.kind(), stopped.accepted()), (ErrorKind::DescriptorsWithoutData, 0));
}
