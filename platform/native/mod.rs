//! What unisend does on the kernel that this is compiled for. Each file is one act, made of that kernel's
//! numbers, decisions and calls.

mod errno;
mod file;
mod probe;
mod receive;
mod send;
mod sendfile;
mod sigpipe;

pub(crate) use probe::probe;
pub use receive::Descriptors;
pub(crate) use receive::{Arrival, ControlBytes, receive_message};
pub(crate) use send::{send, send_slices, send_to, send_with};
pub(crate) use sendfile::{FileSender, Method, Sink, Stopped};
pub use sigpipe::SigpipeGuard;
