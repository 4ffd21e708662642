//! What the halves say to each other: typed messages, some with a descriptor, as between the daemons of OpenBSD, which use imsg(3).
//!
//! A message is one record of a seqpacket socket: a byte for its type, and its body. A record needs no length and never comes in part. The
//! format of imsg(3) would need both, and belongs to one release of OpenBSD. Here both ends are the same program.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;

use unisend::{ControlBuffer, ReceiveFlags, SendFlags, SocketRef};

/// The longest name of a file, in bytes.
pub(crate) const NAME: usize = 255;

#[derive(Debug)]
pub(crate) enum Message<'a> {
    /// To a child, once: the socket on which it accepts clients.
    Listener(OwnedFd),
    /// From a child: the name of a file that it wants.
    Open(&'a [u8]),
    /// To a child: that file, and its length.
    Opened(OwnedFd, u64),
    /// To a child: the status of HTTP that says why there is no such file.
    Refused(u16),
}

impl Message<'_> {
    pub(crate) fn send(&self, channel: &SocketRef<'_>) -> io::Result<()> {
        let (kind, body, descriptor): (_, &[u8], _) = match self {
            Self::Listener(socket) => (b"L", &[], Some(socket)),
            Self::Open(name) => (b"O", name, None),
            Self::Opened(file, length) => (b"F", &length.to_be_bytes(), Some(file)),
            Self::Refused(status) => (b"R", &status.to_be_bytes(), None),
        };
        let mut slices = [IoSlice::new(kind), IoSlice::new(body)];
        let message = unisend::Message::new(&mut slices).with_descriptors(descriptor.as_slice());
        message.send(channel, SendFlags::empty())?;
        Ok(())
    }
}

/// Room for one message.
pub(crate) struct Inbox {
    record: [u8; 1 + NAME],
    control: ControlBuffer,
}

impl Inbox {
    pub(crate) const fn new() -> Self {
        Self { record: [0; 1 + NAME], control: ControlBuffer::new() }
    }

    /// Receives a message. The error is `UnexpectedEof` if the other half has closed its end, and `InvalidData` if this is no message or
    /// has other descriptors than it should. Those are closed.
    pub(crate) fn receive(&mut self, channel: &SocketRef<'_>) -> io::Result<Message<'_>> {
        let mut slices = [IoSliceMut::new(&mut self.record)];
        let mut received = channel.receive(&mut slices, &mut self.control, ReceiveFlags::empty())?;
        if received.is_end_of_file() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let is_whole = !received.is_truncated() && !received.descriptors_lost();
        let descriptor = received.take_descriptor(); // none if there are several
        let nothing_is_left = received.descriptors().len() == 0;
        match (&self.record[..received.bytes()], descriptor) {
            _ if !is_whole || !nothing_is_left => Err(ErrorKind::InvalidData.into()),
            (b"L", Some(socket)) => Ok(Message::Listener(socket)),
            ([b'O', name @ ..], None) => Ok(Message::Open(name)),
            (&[b'F', a, b, c, d, e, f, g, h], Some(file)) => {
                Ok(Message::Opened(file, u64::from_be_bytes([a, b, c, d, e, f, g, h])))
            }
            (&[b'R', a, b], None) => Ok(Message::Refused(u16::from_be_bytes([a, b]))),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
}
