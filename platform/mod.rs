//! Everything that depends on a kernel. Raw numbers do not leave this folder, except inside the opaque
//! `RawErrno` and `RawFlags`.
//!
//! `Kernel` and `Calls` are what a system must supply, and `Native` is the system that this is compiled for. To
//! add a system, add a folder with the files that `linux/` and `openbsd/` have, and its line below.

pub(crate) mod contract;
mod kernel;
mod native;
mod posix;

kernel::choose! {
    linux::Linux on "linux";
    openbsd::OpenBsd on "openbsd";
}

// The same again, never compiled, for tools that do not look into a macro: cargo fmt and cargo-mutants.
#[cfg(any())]
mod linux;
#[cfg(any())]
mod openbsd;

#[cfg(test)]
mod tests;

pub(crate) use kernel::{Calls, Failure, Family, Kernel, RawErrno, RawFlags, SocketName, Why};
pub(crate) use native::{
    Accepted, Ancillary, Arrival, ControlBytes, Corked, DatagramOptions, FileSender, Method, Name, Outgoing,
    Progress, Report, Sink, Whole, accept, bind_and_listen, connect, length, local_name, new_seqpacket,
    peer_name, probe, receive_joined, receive_message, receive_messages, receive_report, send, send_messages,
    send_segments, send_slices, send_to, send_with, seqpacket_pair,
};
pub use native::{DatagramBuffer, Descriptors, SigpipeGuard};
pub(crate) use posix::status::{is_blocking, wait_for_room};
