//! Sends on sockets, with the same meaning on Linux and on OpenBSD.
//!
//! The two systems differ in ways that a program does not expect. The flags have other numbers. Where one
//! kernel returns `EPIPE` and kills the process with `SIGPIPE`, the other returns `ENOTCONN`. A length that
//! is too large is clamped on one system and is an error on the other.
//!
//! unisend is one safe API with one written contract, one module for each kernel, and a conformance suite
//! that checks that the contract is kept. Every statement about behaviour has a clause number (S8, A7, L3).
//! [The contract](https://docs.rs/crate/unisend/latest/source/docs/contract.md) lists the clauses, and the
//! suite has a case for each.
//!
//! # Usage
//!
//! A socket of std, tokio, mio or socket2 (any type that implements [`AsFd`](std::os::fd::AsFd)) is declared
//! once, which costs nothing. Each send is then one system call. It never raises `SIGPIPE` and never
//! allocates. If it fails, the [kind](ErrorKind) of its [`Error`] means the same on both systems.
//!
//! ```
//! use std::io::Read;
//! use std::os::unix::net::UnixStream;
//! use unisend::{ErrorKind, SendFlags, SocketRef};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ours, mut theirs) = UnixStream::pair()?;
//! let socket = SocketRef::from(&ours);
//!
//! socket.send_all(b"hello", SendFlags::empty())?;
//! let mut greeting = [0; 5];
//! theirs.read_exact(&mut greeting)?;
//! assert_eq!(&greeting, b"hello");
//!
//! drop(theirs);
//! let error = socket.send(b"anyone there?", SendFlags::empty()).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Disconnected); // no SIGPIPE was raised
//! assert!(error.peer_gone());
//! # Ok(())
//! # }
//! ```
//!
//! # Which call
//!
//! | call | purpose | system calls |
//! |---|---|---|
//! | [`SocketRef::send`] | sends bytes, and returns the number of bytes accepted | one |
//! | [`SocketRef::send_vectored`] | sends slices as one message | one |
//! | [`SocketRef::send_to`] | sends a datagram to an [`Address`] | one |
//! | [`Message::send`], [`Message::send_to`] | send slices with up to 126 descriptors | one |
//! | [`Message::send_all`] | sends all of a message, and its descriptors once | one for each part that the kernel accepts |
//! | [`SocketRef::receive`] | receives data and the descriptors that come with it, owned | one |
//! | [`SocketRef::receive_without_descriptors`] | receives data, and has the kernel close descriptors | one |
//! | [`Received::sender`], [`Received::destination`] | say who sent a datagram, and to which address | none; [`SocketRef::receive_destinations`] once for a socket |
//! | [`Received::traffic_class`], [`Received::hop_limit`] | say what the headers of a datagram had | none; [`SocketRef::receive_traffic_classes`], [`SocketRef::receive_hop_limits`] once |
//! | [`SocketRef::send_batch`], [`SocketRef::receive_batch`] | send and receive many datagrams | one for 64 datagrams |
//! | [`Segments::send`] | sends one buffer as datagrams of one size | Linux: one for 64 segments; OpenBSD: those of `send_batch` |
//! | [`SocketRef::peer_credentials`] | returns the credentials of a unix socket's peer | one; two on Linux |
//! | [`SocketRef::send_all`], [`SocketRef::send_all_vectored`] | send everything: they handle short counts, interruptions and the limit on slices | one for each part that the kernel accepts |
//! | [`UnixSeqpacket`], [`UnixSeqpacketListener`] | make unix sockets of sequenced packets, which std cannot make | those of their calls |
//! | [`sendfile()`] | sends a range of a file, with the semantics of Linux on both systems | Linux: sendfile(2), and two for SIGPIPE; OpenBSD: pread(2) and send(2) in turn |
//! | [`Transfer::send`], [`Transfer::send_all`] | send a header, a range of a file and a trailer; can be resumed | those of `send` and of `sendfile` |
//!
//! # Supported systems
//!
//! Linux 4.18 or later, and OpenBSD 7.3 or later. On any other system this crate fails to compile, with a
//! message that says so.

#![deny(unsafe_code)]

mod address;
mod cork;
mod credentials;
mod datagram_options;
mod error;
mod message;
mod output;
#[path = "../platform/mod.rs"]
#[allow(unsafe_code)]
mod platform;
mod receive;
mod receive_batch;
mod reports;
mod segments;
mod send;
mod send_all;
mod send_batch;
mod sendfile;
mod seqpacket;
mod socket;
mod transfer;

pub use address::Address;
pub use cork::Cork;
pub use error::{Error, SendAllError};
pub use message::Message;
pub use output::Output;
pub use platform::contract::{
    Destination, ErrorKind, Operation, PeerCredentials, SendFlags, SocketKind, limits,
};
pub use platform::{DatagramBuffer, Descriptors, SigpipeGuard};
pub use receive::{ControlBuffer, ReceiveFlags, Received};
pub use segments::{SegmentOffload, Segments};
pub use send_batch::Datagram;
pub use sendfile::{Offset, sendfile};
pub use seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
pub use socket::{AnySocket, BorrowFd, DatagramSocket, KnownSocket, SocketRef};
pub use transfer::{Outcome, Sent, Transfer};

/// Runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
