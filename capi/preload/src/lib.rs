//! Puts unisend under a program that was not written for it.
//!
//! `libunisend_preload.so` is loaded before libc (`LD_PRELOAD`) and defines `send`, `sendto`, `sendmsg`, `sendmmsg`,
//! `recvmsg` and, on Linux, `sendfile`. What unisend can represent is made by unisend; the rest is passed on to libc. Both
//! are counted (`count.rs`), and reported if `UNISEND_PRELOAD_REPORT` names a file (`report.rs`). docs/preload.md is the
//! documentation.
//!
//! # How unisend reaches the kernel
//!
//! unisend calls `send` too, and must not find the one that is defined here. build.rs has the linker turn each call that is
//! not in this crate's own code into one of `__wrap_send`, which `next.rs` defines: it calls libc's. Therefore no code of
//! unisend may be inlined into this crate, and the crates must not be joined by link-time optimization.
//!
//! # Signal handlers, threads, fork(2)
//!
//! A call allocates no memory and takes no lock. libc's functions are looked up when the library is loaded, or at the first
//! call if that comes earlier; only then dlsym(3) is called. A panic, which only a fault of this library can cause, aborts
//! the process.
//!
//! # Safety
//!
//! The rules for a caller of any function are those of C.

#![allow(clippy::unnecessary_cast, reason = "flags have other types in other C libraries")]
#![allow(non_snake_case, reason = "C has such a name")]
#![allow(clippy::missing_safety_doc, reason = "the rules are the same for all functions, and are above")]

mod count;
mod next;
mod report;

use std::ffi::{c_int, c_uint, c_void};

use errno::{Errno, errno, set_errno};
use libc::{mmsghdr, msghdr, sockaddr, socklen_t, ssize_t};
use unisend_capi::Caller;
use unisend_capi::standard::{self, Stop};

use count::Call;

/// send(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(fd: c_int, data: *const c_void, length: usize, flags: c_int) -> ssize_t {
    // SAFETY: the caller keeps the rules of C.
    let caller = unsafe { Caller::promises() };
    let through = || standard::send(caller, fd, data, length, flags);
    number(Call::Send, through, || next::send(caller, fd, data, length, flags))
}

/// sendto(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    fd: c_int,
    data: *const c_void,
    length: usize,
    flags: c_int,
    name: *const sockaddr,
    name_length: socklen_t,
) -> ssize_t {
    // SAFETY: the caller keeps the rules of C.
    let caller = unsafe { Caller::promises() };
    let through = || standard::sendto(caller, fd, data, length, flags, name, name_length);
    number(Call::Sendto, through, || next::sendto(caller, fd, data, length, flags, name, name_length))
}

/// sendmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller keeps the rules of C.
    let caller = unsafe { Caller::promises() };
    let through = || standard::sendmsg(caller, fd, message, flags);
    number(Call::Sendmsg, through, || next::sendmsg(caller, fd, message, flags))
}

/// sendmmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: next::BatchFlags,
) -> c_int {
    // SAFETY: the caller keeps the rules of C.
    let caller = unsafe { Caller::promises() };
    let through = || standard::sendmmsg(caller, fd, messages, count, flags as c_int);
    number(Call::Sendmmsg, through, || next::sendmmsg(caller, fd, messages, count, flags) as ssize_t) as c_int
}

/// recvmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller keeps the rules of C.
    let caller = unsafe { Caller::promises() };
    let through = || standard::recvmsg(caller, fd, message, flags);
    number(Call::Recvmsg, through, || next::recvmsg(caller, fd, message, flags))
}

/// sendfile(2), which OpenBSD does not have.
#[cfg(target_os = "linux")]
mod files {
    use libc::off_t;
    use unisend_capi::standard::Reason;

    use super::{Call, Caller, Stop, c_int, next, number, ssize_t, standard};

    /// sendfile(2) with the offset of the C library, which can have 32 bits.
    #[unsafe(no_mangle)]
    pub(crate) unsafe extern "C" fn sendfile(
        to: c_int,
        from: c_int,
        offset: *mut off_t,
        count: usize,
    ) -> ssize_t {
        // SAFETY: the caller keeps the rules of C.
        let caller = unsafe { Caller::promises() };
        // The offset after the call has room in its type.
        let through = || at(caller, to, from, offset, count, off_t::MAX as u64);
        number(Call::Sendfile, through, || next::sendfile(caller, to, from, offset, count))
    }

    /// sendfile(2) with an offset of 64 bits.
    #[unsafe(no_mangle)]
    pub(crate) unsafe extern "C" fn sendfile64(
        to: c_int,
        from: c_int,
        offset: *mut i64,
        count: usize,
    ) -> ssize_t {
        // SAFETY: the caller keeps the rules of C.
        let caller = unsafe { Caller::promises() };
        let through = || at(caller, to, from, offset, count, u64::MAX);
        number(Call::Sendfile, through, || next::sendfile64(caller, to, from, offset, count))
    }

    /// Sends a part of a file that ends at most at this offset, and tells the new offset.
    fn at<Offset: Copy + TryInto<u64> + TryFrom<u64>>(
        caller: Caller<'_>,
        to: c_int,
        from: c_int,
        offset: *mut Offset,
        count: usize,
        last: u64,
    ) -> Result<usize, Stop> {
        let Some(given) = caller.optional_mut(offset)? else {
            return standard::sendfile(caller, to, from, None, count);
        };
        let mut at: u64 = (*given).try_into().map_err(|_| Reason::Offset)?;
        let count = count.min(usize::try_from(last.saturating_sub(at)).unwrap_or(usize::MAX));
        let sent = standard::sendfile(caller, to, from, Some(&mut at), count);
        *given = at.try_into().unwrap_or(*given);
        sent
    }
}

/// _exit(2), which does not call what writes the report.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _exit(status: c_int) -> ! {
    report::write();
    next::exit_at_once(status)
}

/// _Exit(3), which is the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Exit(status: c_int) -> ! {
    report::write();
    next::exit_at_once(status)
}

/// Makes a call by unisend or, if it cannot be, by libc, and counts it. A success leaves errno alone.
#[inline(always)]
fn number(
    call: Call,
    through: impl FnOnce() -> Result<usize, Stop>,
    next: impl FnOnce() -> ssize_t,
) -> ssize_t {
    let before = errno();
    let made = through();
    count::add(call, made.as_ref().err());
    match made {
        // No call accepts more than SSIZE_MAX bytes.
        Ok(count) => {
            set_errno(before);
            count as ssize_t
        }
        Err(stop) => match stop.errno() {
            Some(number) => {
                set_errno(Errno(number));
                -1
            }
            None => {
                set_errno(before);
                next()
            }
        },
    }
}
