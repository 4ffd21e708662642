//! The credentials of a unix socket's peer.

use std::os::fd::BorrowedFd;

use crate::platform::Native;
use crate::platform::kernel::{Credentials, Kernel, RawErrno};
use crate::platform::posix::option;

/// `SO_PEERCRED`; `Ok(None)` for a socket without a peer that the kernel does not call an error.
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Option<Credentials>, RawErrno> {
    let numbers = &Native::NUMBERS;
    let mut credentials = [0_u32; 3];
    option::get(fd, numbers.SOL_SOCKET, numbers.SO_PEERCRED, &mut credentials)?;
    // Whoever trusts what Linux says of a listener authenticates who made it (C4b). This is asked last: a socket can
    // become a listener between the two calls, and then stays one.
    if Native::LISTENERS_HAVE_CREDENTIALS
        && option::get_int(fd, numbers.SOL_SOCKET, numbers.SO_ACCEPTCONN)? != 0
    {
        return Ok(None);
    }
    Ok(Native::credentials(credentials))
}
