//! Calls that are the same on every kernel, each in one unsafe block. They do not depend on which kernel
//! answers.

pub(super) mod file;
mod filled;
pub(super) mod option;
mod returned;
pub(super) mod sigpipe;
pub(super) mod status;

pub(super) use filled::Filled;
pub(super) use returned::{count, last_errno};
