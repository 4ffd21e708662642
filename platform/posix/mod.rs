//! What both systems share: the calls themselves, each in one unsafe block, and how addresses are laid out.

pub(super) mod control;
pub(super) mod credentials;
pub(super) mod file;
pub(super) mod option;
pub(super) mod probe;
pub(super) mod receive;
pub(super) mod send;
pub(super) mod sendfile;
pub(super) mod sigpipe;
pub(super) mod socket_name;
pub(super) mod status;

use super::RawErrno;

/// The errno of the call that has just failed.
#[cold]
fn last_errno() -> RawErrno {
    RawErrno(nix::errno::Errno::last_raw())
}

/// What a call returned, as a count.
#[inline]
pub(in crate::platform) fn count(returned: isize) -> Result<usize, RawErrno> {
    if returned < 0 { Err(last_errno()) } else { Ok(returned as usize) }
}
