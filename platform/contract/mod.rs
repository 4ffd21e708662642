//! The terms of the contract, which both kernels are translated into.
//!
//! Everything here is plain data. It names no operating system, and its numbers are the crate's own: those of
//! the kernels are in their own folders. The user sees these items re-exported from the root of the crate.

mod destination;
mod errno;
mod error_kind;
pub mod limits;
mod operation;
mod peer_credentials;
mod receive_flags;
mod refusal;
mod send_flags;
mod socket_kind;

pub use destination::Destination;
pub(crate) use errno::Errno;
pub use error_kind::ErrorKind;
#[cfg(test)]
pub(crate) use error_kind::MEANINGS;
pub use operation::Operation;
pub use peer_credentials::PeerCredentials;
pub use receive_flags::ReceiveFlags;
pub(crate) use refusal::Refusal;
pub use send_flags::SendFlags;
pub use socket_kind::SocketKind;
