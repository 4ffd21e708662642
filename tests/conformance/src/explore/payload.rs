//! What a step sends: the same bytes for the model and for the sockets.

use super::model::in_file;
use super::program::{Call, FILE_BYTES};

/// How many files there are whose descriptors are sent.
pub(super) const FILES: usize = 3;

/// What one step sends.
#[derive(Debug, Clone)]
pub struct Payload {
    /// The datagrams or records, or the parts of a stream.
    pub messages: Vec<Vec<u8>>,
    /// The number of descriptors, which go with the first byte.
    pub descriptors: u8,
    /// Whether the call takes flags.
    pub takes_flags: bool,
    step: usize,
}

impl Payload {
    /// Returns what a call in this step of a program sends.
    #[must_use]
    pub fn new(step: usize, call: Call, length: usize) -> Self {
        let pattern = |message, length| pattern(step, message, length);
        let (messages, descriptors): (Vec<Vec<u8>>, u8) = match call {
            Call::Message(_, slices, descriptors) | Call::MessageAll(slices, descriptors) => {
                (vec![pattern(0, in_slices(slices, length))], descriptors)
            }
            Call::Vectored(slices) | Call::AllVectored(slices) => {
                (vec![pattern(0, in_slices(slices, length))], 0)
            }
            Call::Datagrams(_, count) => {
                ((0..usize::from(count)).map(|message| pattern(message, length)).collect(), 0)
            }
            Call::Segments(_, size) => {
                let bytes = pattern(0, length);
                (bytes.chunks(usize::from(size).max(1)).map(<[u8]>::to_vec).collect(), 0)
            }
            Call::Sendfile(offset, _) => (vec![file_range(offset, length)], 0),
            Call::Transfer(whole) | Call::TransferAll(whole) => {
                let file = file_range(whole.offset, length);
                let ended = file.len() < length;
                let trailer = if ended { 0 } else { usize::from(whole.trailer) };
                (vec![pattern(0, whole.header.into()), file, pattern(1, trailer)], whole.descriptors)
            }
            Call::One | Call::All | Call::To(_) => (vec![pattern(0, length)], 0),
        };
        let takes_flags = !matches!(call, Call::Sendfile(..) | Call::Transfer(_) | Call::TransferAll(_));
        Self { messages, descriptors, takes_flags, step }
    }

    /// Returns a trailer of this many bytes, which follows the file of a transfer.
    #[must_use]
    pub fn trailer(&self, length: u16) -> Vec<u8> {
        pattern(self.step, 1, length.into())
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(Vec::len).sum()
    }

    /// Returns the number of bytes of the longest datagram.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.messages.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Returns whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Returns the files whose descriptors are sent, by their numbers.
    #[must_use]
    pub fn descriptor_files(&self) -> Vec<u8> {
        (0..usize::from(self.descriptors)).map(|at| ((self.step + at) % FILES) as u8).collect()
    }
}

fn pattern(step: usize, message: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| byte(step * 31 + message * 7 + at)).collect()
}

/// Without slices there is no data.
fn in_slices(slices: u16, length: usize) -> usize {
    if slices == 0 { 0 } else { length }
}

/// The bytes around any byte differ from it.
const fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

fn file_range(offset: u32, length: usize) -> Vec<u8> {
    let from = offset as usize;
    (from..from + in_file(offset, length)).map(byte).collect()
}

/// Returns the bytes of the file that programs send from.
#[must_use]
pub(super) fn file() -> Vec<u8> {
    (0..FILE_BYTES).map(byte).collect()
}
