//! The calls that only OpenBSD has or needs.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use super::OpenBsd;
use super::numbers::NUMBERS;
use super::verdict::Witness;
use crate::platform::contract::{Errno, PeerCredentials};
use crate::platform::kernel::{Calls, Kernel, RawErrno, RawFlags, SomebodysSigpipe};
use crate::platform::posix::{count, option, sigpipe};

impl Witness for BorrowedFd<'_> {
    fn pending_error(&self) -> Option<RawErrno> {
        let errno = option::get_int(*self, NUMBERS.SOL_SOCKET, NUMBERS.SO_ERROR).ok()?;
        (errno != 0).then_some(RawErrno::from_number(errno))
    }

    fn peek(&self) -> Result<usize, RawErrno> {
        let mut byte = [0_u8];
        let (start, flags) = (byte.as_mut_ptr().cast(), NUMBERS.MSG_PEEK | NUMBERS.MSG_DONTWAIT);
        // SAFETY: the pointer is to one byte, which outlives the call and is ours to write.
        count(unsafe { libc::recv(self.as_raw_fd(), start, byte.len(), flags) })
    }
}

impl Calls for OpenBsd {
    fn witness<'a>(fd: &'a BorrowedFd<'a>) -> &'a Self::Witness<'a> {
        fd
    }

    /// Returns `None`, because reading `SO_SNDTIMEO` kills a process that has only pledge(2)'s "stdio" (clause
    /// I4b).
    fn send_timeout(_socket: BorrowedFd<'_>) -> Option<Duration> {
        None
    }

    fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Option<PeerCredentials>, RawErrno> {
        let mut numbers = [0_u32; 3];
        option::get(fd, NUMBERS.SOL_SOCKET, NUMBERS.SO_PEERCRED, &mut numbers)?;
        Ok(Some(Self::credentials(numbers)))
    }

    /// OpenBSD has no sendfile(2).
    fn sendfile(
        _output: BorrowedFd<'_>,
        _input: BorrowedFd<'_>,
        _offset: Option<u64>,
        _length: u64,
    ) -> Result<u64, RawErrno> {
        Err(Self::raw_errno(Errno::ENOSYS))
    }

    /// Calls sendmmsg(2).
    unsafe fn send_messages(
        fd: BorrowedFd<'_>,
        messages: &mut [libc::mmsghdr],
        flags: RawFlags,
    ) -> Result<usize, RawErrno> {
        let (start, length) = (messages.as_mut_ptr(), messages.len() as libc::c_uint);
        // SAFETY: the pointer and the length are of one array, which is ours to write, and the caller keeps alive what
        // its messages point to.
        count(unsafe { libc::sendmmsg(fd.as_raw_fd(), start, length, flags.0) } as isize)
    }

    type SomebodysSigpipe = Sigpipe;

    /// Takes a pending SIGPIPE, this thread's or the process's.
    ///
    /// There is no sigtimedwait(2), and sigwait(2) waits for ever if no signal is pending, for example because
    /// SIGPIPE is ignored.
    fn take_pending_sigpipe(only_sigpipe: &libc::sigset_t) -> Option<Sigpipe> {
        if sigpipe::is_pending() {
            let mut taken = 0;
            // SAFETY: the pointers are to a set, which is only read, and to an int that is ours to write.
            unsafe { libc::sigwait(only_sigpipe, &raw mut taken) };
        }
        None
    }
}

/// A SIGPIPE and its sender. It has no values, because OpenBSD does not report the sender.
pub(crate) enum Sigpipe {}

impl SomebodysSigpipe for Sigpipe {
    fn is_for_thread(&self) -> bool {
        match *self {}
    }

    fn send_again(&self) {
        match *self {}
    }
}
