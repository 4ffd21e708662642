//! The outputs of `sendfile` and of a `Transfer`, each with the end at which its bytes come out.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use unisend::SocketKind::{self, *};
use unisend::{Offset, Output, sendfile};

use super::{Pair, declared, finished, pattern, polled, set_nonblocking, wait_readable};

/// The kinds of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Socket(SocketKind),
    Pipe,
    File,
}

pub(crate) const TCP: To = To::Socket(Tcp);
pub(crate) const UNIX: To = To::Socket(UnixStream);

/// An output, and the end at which its bytes come out.
pub(crate) struct Channel {
    pub(crate) to: To,
    pub(crate) ours: OwnedFd,
    pub(crate) theirs: OwnedFd,
}

impl Channel {
    pub(crate) fn new(to: To) -> Self {
        match to {
            To::Socket(kind) => {
                let Pair { ours, theirs, .. } = Pair::new(kind);
                // A machine's settings can give more than is sent; too little makes TCP wait for acknowledgements.
                super::set_buffer(&ours, libc::SO_SNDBUF, 200_000);
                super::set_buffer(&theirs, libc::SO_RCVBUF, 200_000);
                Self { to, ours, theirs }
            }
            To::Pipe => {
                let (theirs, ours) = nix::unistd::pipe().unwrap();
                Self { to, ours, theirs }
            }
            To::File => {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("output");
                let ours = File::create_new(&path).unwrap().into();
                Self { to, ours, theirs: File::open(&path).unwrap().into() }
            }
        }
    }

    pub(crate) fn nonblocking(to: To) -> Self {
        let channel = Self::new(to);
        set_nonblocking(&channel.ours, true);
        channel
    }

    pub(crate) fn output(&self) -> Output<'_> {
        output(self.to, &self.ours)
    }

    /// What is there now.
    pub(crate) fn arrived(&self) -> Vec<u8> {
        set_nonblocking(&self.theirs, true);
        let mut bytes = Vec::new();
        let mut part = vec![0; 1 << 20];
        while let Ok(count @ 1..) = nix::unistd::read(&self.theirs, &mut part) {
            bytes.extend_from_slice(&part[..count]);
        }
        bytes
    }

    /// Exactly so many bytes, which must come.
    pub(crate) fn read_exactly(&self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            wait_readable(&self.theirs);
            let arrived = self.arrived();
            assert!(!arrived.is_empty(), "the end after {} of {length} bytes", bytes.len());
            bytes.extend_from_slice(&arrived);
        }
        assert_eq!(bytes.len(), length);
        bytes
    }

    /// Reads all until the end, or until an error, in a thread of its own. A regular file is read once its
    /// writer has closed it, by [`Channel::end`].
    pub(crate) fn reader(&self) -> Option<JoinHandle<Vec<u8>>> {
        if self.to == To::File {
            return None;
        }
        let mut from = File::from(self.theirs.try_clone().unwrap());
        Some(thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            bytes
        }))
    }

    /// Closes the output; all that came out of it.
    pub(crate) fn end(self, reader: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
        drop(self.ours);
        match reader {
            Some(reader) => finished(reader, |_| {}),
            None => {
                let mut bytes = Vec::new();
                File::from(self.theirs).read_to_end(&mut bytes).unwrap();
                bytes
            }
        }
    }
}

pub(crate) fn output(to: To, fd: &OwnedFd) -> Output<'_> {
    match to {
        To::Socket(kind) => declared(kind, fd).into(),
        To::Pipe | To::File => Output::file(fd),
    }
}

/// A file with these bytes, open for reading and writing.
pub(crate) fn file_with(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

pub(crate) fn position(file: &File) -> u64 {
    let mut file: &File = file;
    file.stream_position().unwrap()
}

/// More than any buffer takes.
pub(crate) const LONG: usize = 16 << 20;

/// As many bytes, and some more: made once, for it takes long.
pub(crate) fn long() -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(LONG + 1000));
    &BYTES
}

/// Waits until an output that is not to wait for has room, or says that its peer is gone.
pub(crate) fn wait_writable(fd: &impl AsFd) {
    use nix::poll::PollFlags;

    assert!(!polled(fd, PollFlags::POLLOUT, super::PATIENCE).is_empty(), "it never has room");
}

/// An output that has no room, and gets none by itself.
pub(crate) fn full(to: To) -> Channel {
    let channel = Channel::nonblocking(to);
    if to == TCP {
        super::set_buffer(&channel.ours, libc::SO_SNDBUF, 65_536);
        super::set_buffer(&channel.theirs, libc::SO_RCVBUF, 65_536);
    }
    let file = file_with(&[7; 100_000]);
    let mut quiet = false;
    loop {
        match sendfile(channel.output(), &file, Offset::At(&mut 0), 100_000) {
            Ok(_) => quiet = false,
            // TCP goes on moving data to the receiver, who may take 200 ms to acknowledge it.
            Err(_) if quiet || to != TCP => return channel,
            Err(_) => quiet = !super::is_writable(&channel.ours, Duration::from_millis(300)),
        }
    }
}
