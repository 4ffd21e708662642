//! Sending on sockets that means the same thing on Linux and on OpenBSD.
//!
//! A program that runs on both trips over small lies: flags have other numbers, one kernel says `EPIPE` and
//! kills the process where the other says `ENOTCONN`, an over-long length is clamped here and an error there.
//! unisend is one safe API with one written contract, a module per kernel that keeps it, and a conformance
//! suite that shows that it is kept. Every statement about behaviour has a clause number (S8, A7, L3 ...):
//! [the contract](https://docs.rs/crate/unisend/latest/source/docs/contract.md) lists them, and the suite has
//! a case for each.
//!
//! # In one look
//!
//! A socket of std, tokio, mio or socket2 (anything that is [`AsFd`](std::os::fd::AsFd)) is declared once,
//! which costs nothing. Each send is then one system call, never raises `SIGPIPE`, never allocates, and fails
//! with an [`Error`] whose [kind](ErrorKind) means the same on both systems.
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
//! assert_eq!(error.kind(), ErrorKind::Disconnected); // and no SIGPIPE
//! assert!(error.peer_gone());
//! # Ok(())
//! # }
//! ```
//!
//! # Which call
//!
//! | call | what it does | system calls |
//! |---|---|---|
//! | [`SocketRef::send`] | send bytes; says how many were accepted | one |
//! | [`SocketRef::send_vectored`] | send slices as one message | one |
//! | [`SocketRef::send_to`] | send a datagram to an [`Address`] | one |
//! | [`Message::send`], [`Message::send_to`] | send slices with up to 126 descriptors | one |
//! | [`Message::send_all`] | the same, everything: the descriptors once | one for each part |
//! | [`SocketRef::receive`] | receive data and all descriptors that come with it, owned | one |
//! | [`SocketRef::receive_without_descriptors`] | receive data, and have descriptors closed | one |
//! | [`SocketRef::peer_credentials`] | who is at the other end of a unix socket | one; two on Linux |
//! | [`SocketRef::send_all`], [`SocketRef::send_all_vectored`] | send everything: short counts, interruptions and the limit on slices are taken care of | one for each part that the kernel accepts |
//! | [`sendfile()`], [`sendfile_all`] | send a part of a file, with Linux's semantics on both | Linux: sendfile(2) and two for SIGPIPE; OpenBSD: pread(2) and send(2) in turn |
//! | [`sendfile_by_copying`], [`sendfile_all_by_copying`] | the same, so that what was sent cannot change any more | pread(2) and send(2) in turn |
//!
//! # Supported systems
//!
//! Linux 4.2 and OpenBSD 7.3, and later ones of both. On any other system this crate does not compile, and says so.

#![deny(unsafe_code)]

mod address;
mod credentials;
mod error;
mod message;
#[path = "../platform/mod.rs"]
#[allow(unsafe_code)]
mod platform;
mod receive;
mod send;
mod send_all;
mod sendfile;
mod socket;

pub use address::Address;
pub use error::{Error, SendAllError};
pub use message::Message;
pub use platform::contract::{ErrorKind, Operation, PeerCredentials, SendFlags, SocketKind, limits};
pub use platform::{Descriptors, SigpipeGuard};
pub use receive::{ControlBuffer, ReceiveFlags, Received};
pub use sendfile::{Offset, Output, sendfile, sendfile_all, sendfile_all_by_copying, sendfile_by_copying};
pub use socket::{AnySocket, BorrowFd, DatagramSocket, KnownSocket, SocketRef};

/// The examples of the README run too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
