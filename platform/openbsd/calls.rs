//! The calls that only OpenBSD has, or that only OpenBSD needs.

use std::os::fd::BorrowedFd;
use std::os::unix::net::SocketAddr;

use super::numbers::NUMBERS;
use super::verdict::Witness;
use crate::platform::RawErrno;
use crate::platform::posix::{option, receive};

impl Witness for BorrowedFd<'_> {
    fn pending_error(&self) -> Option<RawErrno> {
        let errno = option::get_int(*self, NUMBERS.SOL_SOCKET, NUMBERS.SO_ERROR).ok()?;
        (errno != 0).then_some(RawErrno(errno))
    }

    fn peek(&self) -> Result<usize, RawErrno> {
        receive::receive(*self, &mut [0], NUMBERS.MSG_PEEK | NUMBERS.MSG_DONTWAIT)
    }
}

/// OpenBSD has no abstract names.
pub(crate) fn abstract_name(_address: &SocketAddr) -> Option<&[u8]> {
    None
}
