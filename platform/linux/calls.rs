//! The calls that only Linux has or needs.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use super::Linux;
use super::numbers::NUMBERS;
use super::verdict::{TcpInfo, Witness};
use crate::platform::contract::PeerCredentials;
use crate::platform::kernel::{Calls, RawErrno, RawFlags, SomebodysSigpipe};
use crate::platform::posix::{count, option};

/// sendfile(2) with 64-bit offsets. On 32 bits glibc has two functions, and musl has only this one.
#[cfg(not(target_env = "gnu"))]
use libc::{off_t, sendfile as sendfile64};
#[cfg(target_env = "gnu")]
use libc::{off64_t as off_t, sendfile64};

/// The offsets in `struct tcp_info` of the state (a byte) and of the counts of segments sent and received (32
/// bits each). The structures of the C libraries end at different fields; the kernel's has these since 4.2.
const STATE: usize = 0;
const SEGMENTS_OUT: usize = 136;
const SEGMENTS_IN: usize = 140;
const TCP_INFO_BYTES: usize = 144;

#[cfg(target_env = "gnu")]
const _: () = {
    use static_assertions::const_assert_eq;
    use std::mem::offset_of;

    const_assert_eq!(offset_of!(libc::tcp_info, tcpi_state), STATE);
    const_assert_eq!(offset_of!(libc::tcp_info, tcpi_segs_out), SEGMENTS_OUT);
    const_assert_eq!(offset_of!(libc::tcp_info, tcpi_segs_in), SEGMENTS_IN);
};

impl Witness for BorrowedFd<'_> {
    fn has_peer(&self) -> bool {
        let mut name = MaybeUninit::<libc::sockaddr_storage>::uninit();
        let mut length = size_of_val(&name) as libc::socklen_t;
        // SAFETY: the pointers are to room for any name, which is ours to write, and to its length.
        unsafe { libc::getpeername(self.as_raw_fd(), name.as_mut_ptr().cast(), &raw mut length) == 0 }
    }

    fn has_segments(&self) -> bool {
        option::get_int(*self, NUMBERS.IPPROTO_UDP, NUMBERS.UDP_SEGMENT).is_ok_and(|bytes| bytes != 0)
    }

    fn tcp_info(&self) -> Option<TcpInfo> {
        let mut info = [0_u8; TCP_INFO_BYTES];
        let length = option::get(*self, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).ok()?;
        let count = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let counts = || u64::from(count(SEGMENTS_OUT)) + u64::from(count(SEGMENTS_IN));
        (length > STATE)
            .then(|| TcpInfo { state: info[STATE], segments: (length >= TCP_INFO_BYTES).then(counts) })
    }
}

impl Calls for Linux {
    fn witness<'a>(fd: &'a BorrowedFd<'a>) -> &'a Self::Witness<'a> {
        fd
    }

    /// Returns `SO_SNDTIMEO`, if it is set. It has the C library's struct timeval, whatever its width.
    fn send_timeout(socket: BorrowedFd<'_>) -> Option<Duration> {
        let mut limit = libc::timeval { tv_sec: 0, tv_usec: 0 };
        option::get(socket, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &mut limit).ok()?;
        let limit = Duration::new(limit.tv_sec as u64, limit.tv_usec as u32 * 1000);
        (!limit.is_zero()).then_some(limit)
    }

    fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Option<PeerCredentials>, RawErrno> {
        let mut numbers = [0_u32; 3];
        option::get(fd, NUMBERS.SOL_SOCKET, NUMBERS.SO_PEERCRED, &mut numbers)?;
        // A caller that trusted the credentials of a listener would authenticate the process that made it
        // (C4b). This check comes last: a socket can become a listener between the two calls, and then stays
        // one.
        if option::get_int(fd, NUMBERS.SOL_SOCKET, NUMBERS.SO_ACCEPTCONN)? != 0 {
            return Ok(None);
        }
        Ok(Self::credentials(numbers))
    }

    /// Calls sendfile(2) and returns how many bytes it sent, at most 0x7ffff000. Without an offset it begins at
    /// the file's own position and moves it.
    #[inline]
    fn sendfile(
        output: BorrowedFd<'_>,
        input: BorrowedFd<'_>,
        offset: Option<u64>,
        length: u64,
    ) -> Result<u64, RawErrno> {
        // The count is cut to SSIZE_MAX, because the kernel refuses more. On 32 bits this is still far more
        // than it sends.
        let length =
            usize::try_from(length).map_or(isize::MAX as usize, |length| length.min(isize::MAX as usize));
        let mut offset = offset.map(|offset| offset as off_t);
        let offset = offset.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: the pointer is null or to an offset, which outlives the call and is ours to write.
        let sent = unsafe { sendfile64(output.as_raw_fd(), input.as_raw_fd(), offset, length) };
        count(sent).map(|sent| sent as u64)
    }

    /// Calls sendmmsg(2) itself, because musl has a loop of sendmsg(2) in its place. The kernel's lengths in a message
    /// have the width of a pointer, and musl's have padding beside them, which is zero.
    unsafe fn send_messages(
        fd: BorrowedFd<'_>,
        messages: &mut [libc::mmsghdr],
        flags: RawFlags,
    ) -> Result<usize, RawErrno> {
        let (fd, start, length) = (fd.as_raw_fd(), messages.as_mut_ptr(), messages.len());
        // SAFETY: the pointer and the length are of one array, which is ours to write, and the caller keeps alive what
        // its messages point to.
        count(unsafe { libc::syscall(libc::SYS_sendmmsg, fd, start, length, flags.0) } as isize)
    }

    type SomebodysSigpipe = Sigpipe;

    /// Takes a pending SIGPIPE, this thread's before the process's, and returns it unless the kernel raised it.
    ///
    /// A SIGPIPE that the kernel raised is reported as sent by this process with kill(2), and one from another
    /// thread as sent with tgkill(2). The C library's sigtimedwait(2) reports both alike, so it is not used.
    fn take_pending_sigpipe(only_sigpipe: &libc::sigset_t) -> Option<Sigpipe> {
        const AT_ONCE: [u64; 2] = [0; 2]; // the kernel's struct timespec, whatever its width
        let kernel_set_bytes = (libc::SIGRTMAX() as usize + 1) / 8;
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the pointers are to a set and a time, which are only read, and to room for what the kernel fills;
        // its set is the first bytes of the C library's.
        let taken = unsafe {
            libc::syscall(
                libc::SYS_rt_sigtimedwait,
                ptr::from_ref(only_sigpipe),
                info.as_mut_ptr(),
                AT_ONCE.as_ptr(),
                kernel_set_bytes,
            )
        };
        if taken != libc::c_long::from(libc::SIGPIPE) {
            return None;
        }
        // SAFETY: all bytes were set, and any bytes are valid.
        let info = unsafe { info.assume_init() };
        // SAFETY: this member is filled for the code that it is compared with.
        let from = unsafe { info.si_pid() };
        let is_kernels = info.si_code == libc::SI_USER && from == std::process::id() as libc::pid_t;
        (!is_kernels).then_some(Sigpipe(info))
    }
}

/// A SIGPIPE and its sender.
pub(crate) struct Sigpipe(libc::siginfo_t);

impl SomebodysSigpipe for Sigpipe {
    fn is_for_thread(&self) -> bool {
        self.0.si_code == libc::SI_TKILL
    }

    fn send_again(&self) {
        let (process, info) = (std::process::id(), ptr::from_ref(&self.0));
        // SAFETY: it takes no arguments, and cannot fail.
        let thread = unsafe { libc::gettid() };
        if self.is_for_thread() {
            // SAFETY: the pointer is to a structure that the kernel has filled, which is only read.
            unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, libc::SIGPIPE, info) };
        } else {
            // The target is the process of this thread, given by the thread's own number: only then may the
            // signal name another sender.
            // SAFETY: the pointer is to a structure that the kernel has filled, which is only read.
            unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, thread, libc::SIGPIPE, info) };
        }
    }
}
