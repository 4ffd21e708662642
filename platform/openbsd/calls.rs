//! The calls that only OpenBSD has, or that only OpenBSD needs.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::numbers::NUMBERS;
use super::verdict::Witness;
use crate::platform::RawErrno;
use crate::platform::posix::{option, receive, sigpipe};

impl Witness for BorrowedFd<'_> {
    fn pending_error(&self) -> Option<RawErrno> {
        let errno = option::get_int(*self, NUMBERS.SOL_SOCKET, NUMBERS.SO_ERROR).ok()?;
        (errno != 0).then_some(RawErrno(errno))
    }

    fn peek(&self) -> Result<usize, RawErrno> {
        receive::receive(*self, &mut [0], NUMBERS.MSG_PEEK | NUMBERS.MSG_DONTWAIT)
    }
}

/// `SO_SNDTIMEO` cannot be asked for: under pledge's "stdio" that would kill the process (clause I4b).
pub(crate) fn send_timeout(_socket: BorrowedFd<'_>) -> Option<Duration> {
    None
}

/// OpenBSD has no sendfile(2).
pub(crate) fn sendfile(
    _output: BorrowedFd<'_>,
    _input: BorrowedFd<'_>,
    _offset: Option<u64>,
    _length: u64,
) -> Result<u64, RawErrno> {
    Err(RawErrno(libc::ENOSYS))
}

/// A SIGPIPE that somebody else sent. OpenBSD does not say of any who sent it.
pub(crate) enum SomebodysSigpipe {}

impl SomebodysSigpipe {
    pub(crate) fn is_for_thread(&self) -> bool {
        match *self {}
    }

    pub(crate) fn send_again(&self) {
        match *self {}
    }
}

/// Takes a SIGPIPE that is pending, be it this thread's or the process's.
///
/// There is no sigtimedwait(2), and sigwait(2) waits for ever if nothing is pending, as when the signal is
/// ignored.
pub(crate) fn take_pending_sigpipe(only_sigpipe: &libc::sigset_t) -> Option<SomebodysSigpipe> {
    if sigpipe::is_pending() {
        let mut taken = 0;
        // SAFETY: the pointers are to a set, which is only read, and to an int that is ours to write.
        unsafe { libc::sigwait(only_sigpipe, &raw mut taken) };
    }
    None
}
