use super::RawErrno;
use crate::platform::contract::Refusal;

/// What a descriptor is, as far as it matters to reading it at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A regular file or a block device: it has offsets, and what was read can be read again.
    Seekable,
    /// A pipe or FIFO: what was read is gone.
    Pipe,
    /// A socket: what was read is gone.
    Socket,
    /// A device of bytes that may have some to read: a terminal, /dev/zero.
    Device,
    /// What has no bytes: a directory, /dev/null, a descriptor of events, timers, signals or processes.
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
    /// It was refused.
    Refused(Refusal),
    /// A descriptor is not for this, or the input could not be read.
    File(RawErrno),
    /// The output did not take it.
    Output(RawErrno),
}
