//! Linux.

#[cfg(target_os = "linux")]
mod calls;
mod errno;
mod kernel;
mod numbers;
mod verdict;

#[cfg(test)]
pub(super) use verdict::{TcpInfo, Witness};

pub(crate) enum Linux {}
