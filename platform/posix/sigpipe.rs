//! Signal masks and sets, as far as SIGPIPE needs them.

use std::mem::MaybeUninit;
use std::ptr;

/// Returns the set that contains only SIGPIPE.
pub(in crate::platform) fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the pointer is to room for one set, which this fills.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was filled.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: the set is ours, and the signal exists.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGPIPE) };
    set
}

/// Blocks or unblocks SIGPIPE on this thread, and returns the previous mask.
pub(in crate::platform) fn change_mask(how: libc::c_int) -> libc::sigset_t {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the pointers are to one set, which is only read, and to room for another, which this fills.
    unsafe { libc::pthread_sigmask(how, &only_sigpipe(), before.as_mut_ptr()) };
    // SAFETY: the call cannot fail, because its arguments are valid, so the mask is filled.
    unsafe { before.assume_init() }
}

/// Returns whether a SIGPIPE is pending, for this thread or for the process.
pub(in crate::platform) fn is_pending() -> bool {
    let mut pending = MaybeUninit::uninit();
    // SAFETY: the pointer is to room for one set, which this fills.
    unsafe { libc::sigpending(pending.as_mut_ptr()) };
    // SAFETY: the call cannot fail, because the pointer is valid, so the set is filled.
    contains_sigpipe(&unsafe { pending.assume_init() })
}

pub(in crate::platform) fn contains_sigpipe(set: &libc::sigset_t) -> bool {
    // SAFETY: it reads one set.
    unsafe { libc::sigismember(ptr::from_ref(set), libc::SIGPIPE) == 1 }
}
