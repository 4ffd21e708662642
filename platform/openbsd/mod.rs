//! OpenBSD.

#[cfg(target_os = "openbsd")]
mod calls;
mod errno;
mod kernel;
mod numbers;
mod verdict;

#[cfg(test)]
pub(super) use verdict::Witness;

pub(crate) enum OpenBsd {}
