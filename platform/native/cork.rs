//! The option that keeps back the last segment of a TCP connection, if it is not full: TCP_CORK on Linux, TCP_NOPUSH on
//! OpenBSD.

use std::os::fd::BorrowedFd;

use crate::platform::Native;
use crate::platform::kernel::{Kernel, RawErrno};
use crate::platform::posix::option;

/// A TCP connection that is corked while this lives.
#[derive(Debug)]
pub(crate) struct Corked<'fd>(BorrowedFd<'fd>);

impl<'fd> Corked<'fd> {
    /// Corks a connection. It returns `None` for one that is corked already, which stays as it is.
    pub(crate) fn new(fd: BorrowedFd<'fd>) -> Result<Option<Self>, RawErrno> {
        let numbers = Native::NUMBERS;
        // OpenBSD answers with the number of its own flag, and not with 1.
        if option::get_int(fd, numbers.IPPROTO_TCP, Native::CORK)? != 0 {
            return Ok(None);
        }
        option::set_int(fd, numbers.IPPROTO_TCP, Native::CORK, 1)?;
        Ok(Some(Self(fd)))
    }
}

impl Drop for Corked<'_> {
    /// Sends what was kept back. This cannot fail: the option was set before.
    fn drop(&mut self) {
        let _ = option::set_int(self.0, Native::NUMBERS.IPPROTO_TCP, Native::CORK, 0);
    }
}
