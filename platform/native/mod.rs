//! What unisend does on the kernel that this is compiled for. Each file is one act, made of that kernel's
//! numbers, decisions and calls.

mod batch;
mod came;
mod cork;
mod errno;
mod file;
mod probe;
mod receive;
mod reports;
mod send;
mod sendfile;
mod seqpacket;
mod sigpipe;
mod transfer;

pub use batch::DatagramBuffer;
pub(crate) use batch::{Accepted, Outgoing, receive_joined, receive_messages, send_messages, send_segments};
pub(crate) use cork::Corked;
pub(crate) use probe::probe;
pub use receive::Descriptors;
pub(crate) use receive::{Arrival, ControlBytes, receive_message};
pub(crate) use reports::{Report, receive_report};
pub(crate) use send::{Ancillary, DatagramOptions, send, send_slices, send_to, send_with};
pub(crate) use sendfile::{FileSender, Method, Sink};
pub(crate) use seqpacket::{
    Name, accept, bind_and_listen, connect, local_name, new_seqpacket, peer_name, seqpacket_pair,
};
pub use sigpipe::SigpipeGuard;
pub(crate) use transfer::{Progress, Whole, length};
