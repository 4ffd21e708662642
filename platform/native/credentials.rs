//! The credentials of a unix socket's peer.

use std::os::fd::BorrowedFd;

use crate::platform::Native;
use crate::platform::kernel::{Credentials, Kernel, RawErrno};
use crate::platform::posix::option;

/// `SO_PEERCRED`; `Ok(None)` for a socket without a peer that the kernel does not call an error.
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Option<Credentials>, RawErrno> {
    let numbers = &Native::NUMBERS;
    let mut bytes = [0_u8; 12];
    option::get(fd, numbers.SOL_SOCKET, numbers.SO_PEERCRED, &mut bytes)?;
    // Whoever trusts what Linux says of a listener authenticates who made it (C4b). This is asked last: a socket can
    // become a listener between the two calls, and then stays one.
    if Native::LISTENERS_HAVE_CREDENTIALS
        && option::get_int(fd, numbers.SOL_SOCKET, numbers.SO_ACCEPTCONN)? != 0
    {
        return Ok(None);
    }
    let number = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Ok(Native::credentials([number(0), number(4), number(8)]))
}
