use super::RawErrno;
use crate::platform::contract::Refusal;

/// The kind of a descriptor, as far as reading at an offset depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A regular file or a block device. It has offsets, and its bytes can be read again.
    Seekable,
    /// A pipe or FIFO. Bytes that were read are gone.
    Pipe,
    /// A socket. Bytes that were read are gone.
    Socket,
    /// A character device that may have bytes to read: a terminal, /dev/zero.
    Device,
    /// A descriptor without bytes: a directory, /dev/null, a descriptor of events, timers, signals or
    /// processes.
    Other,
}

/// How a file was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) appends: bool,
}

/// Why a file was not sent, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// unisend refused the call.
    Refused(Refusal),
    /// A descriptor is not open for this use, or the input could not be read.
    Descriptor(RawErrno),
    /// The file position could not be set after bytes were sent.
    Position(RawErrno),
    /// The output failed.
    Output(RawErrno),
}
