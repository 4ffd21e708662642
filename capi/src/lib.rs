//! libunisend, the C library of unisend.
//!
//! A C program includes `unisend.h`, which is made of this crate and documents every function. This page is for
//! someone who reads or builds on the Rust code.
//!
//! - [`Caller`] is the boundary. It turns C's pointers, counts and descriptors into references, slices and
//!   [`BorrowedFd`](std::os::fd::BorrowedFd), or refuses them. Nothing else here dereferences a pointer.
//! - [`address`] translates between `struct sockaddr` and [`unisend::Address`].
//! - [`standard`] makes the calls that C knows, such as `sendmsg`, by unisend: for programs that were written without it.
//! - [`control`] reads and writes the control messages of those.
//! - [`Failure`] is an error of unisend or a refusal of this crate. It becomes errno, and what
//!   `us_last_error` and `us_error_text` tell.
//! - The other modules are the functions of the header. Each converts its arguments, calls unisend, and converts
//!   the result.
//!
//! # Panics
//!
//! Nothing unwinds into C: a function that is `extern "C"` aborts the process if it panics, which only a fault of
//! this library can cause.
//!
//! # Safety
//!
//! The rules for a caller of any function are those of C:
//!
//! - A pointer is null, or points to an object of its type that lives and is not changed by anyone else during
//!   the call. Those that the header declares without `const` can be written to. A count says how many
//!   objects there are.
//! - A descriptor that is not negative stays open during the call.
//!
//! A null pointer, a pointer that is not aligned, a negative descriptor or count, and a length over `SSIZE_MAX`
//! are errors, and not undefined.

#![allow(clippy::missing_safety_doc, reason = "the rules are the same for all functions, and are above")]
#![allow(non_camel_case_types, reason = "these are the names that C sees")]

pub mod address;
mod caller;
pub mod control;
mod flags;
mod refusal;
pub mod standard;

// In the order in which they are in the header.
mod socket;

mod send;

mod receive;

mod file;

mod seqpacket;

mod failure;

pub use caller::{Caller, Descriptors, Slices};
pub use failure::{Failure, us_error, us_error_errno, us_error_name, us_error_text};
pub use failure::{us_last_errno, us_last_error, us_may_have_sent};
pub use file::{US_POSITION, US_TO_END, us_sendfile, us_transfer, us_transferall};
pub use receive::{US_EOF, US_FDLOST, US_TRUNC, us_received, us_recvmsg};
pub use refusal::Refusal;
pub use send::{US_CONFIRM, US_DONTROUTE, US_DONTWAIT, US_EOR, US_MORE, US_OOB, US_PEEK, US_V4MAPPED};
pub use send::{
    us_message, us_send, us_sendall, us_sendallmsg, us_sendallv, us_sendmsg, us_sendto, us_sendv,
};
pub use seqpacket::{us_seqpacket_accept, us_seqpacket_connect, us_seqpacket_listen, us_seqpacket_pair};
pub use socket::{us_declare, us_kind, us_probe, us_socket};
