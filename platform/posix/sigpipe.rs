//! Keeps SIGPIPE from the process while calls are made that cannot be told not to raise it: sendfile(2), and
//! write(2) to a pipe.
//!
//! The signal is blocked on this thread. One that such a call raises is meant for this thread, stays pending,
//! and is taken back before the mask is restored. One that somebody else sends meanwhile stays pending too, and
//! is delivered then.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

use crate::platform::contract::Errno;
use crate::platform::{Kernel, Native, RawErrno, SomebodysSigpipe, take_pending_sigpipe};

/// While it lives SIGPIPE is blocked on the thread that made it, on which it stays.
pub(crate) struct SigpipeGuard {
    was_blocked: bool,
    /// One was pending before. If it is this thread's, one more of ours is no more than it.
    was_pending: bool,
    /// Taken, but not ours: one for this thread and one for the process, for a second is no more than the first.
    owed: [Option<SomebodysSigpipe>; 2],
    stays_on_thread: PhantomData<*const ()>,
}

impl SigpipeGuard {
    pub(crate) fn new() -> Self {
        let was_blocked = contains_sigpipe(&change_mask(libc::SIG_BLOCK));
        // If it was not blocked, none can have been pending: it would have been delivered.
        let was_pending = was_blocked && is_pending();
        Self { was_blocked, was_pending, owed: [None, None], stays_on_thread: PhantomData }
    }

    /// Takes back the signal that a call may have raised, given what the call returned.
    #[inline]
    pub(crate) fn after(&mut self, outcome: Result<u64, RawErrno>, asked: u64) {
        if may_have_signalled_on::<Native>(outcome, asked) && !self.was_pending {
            self.take_back();
        }
    }

    #[cold]
    fn take_back(&mut self) {
        if let Some(sigpipe) = take_pending_sigpipe(&only_sigpipe()) {
            let target = usize::from(sigpipe.is_for_thread());
            self.owed[target] = Some(sigpipe);
        }
    }
}

impl Drop for SigpipeGuard {
    fn drop(&mut self) {
        for sigpipe in self.owed.iter().flatten() {
            sigpipe.send_again();
        }
        if !self.was_blocked {
            change_mask(libc::SIG_UNBLOCK);
        }
    }
}

/// Whether a call may have raised a SIGPIPE: with EPIPE and, where the kernel does both at once (clauses X12, I7),
/// with a count that is less than was asked for.
pub(in crate::platform) fn may_have_signalled_on<K: Kernel>(
    outcome: Result<u64, RawErrno>,
    asked: u64,
) -> bool {
    match outcome {
        Ok(count) => K::SIGNALS_WITH_COUNT && count < asked,
        Err(errno) => K::errno_name(errno.number()) == Some(Errno::EPIPE),
    }
}

/// The set of SIGPIPE alone.
fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the pointer is to room for one set, which this fills.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was filled.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: the set is ours, and the signal exists.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGPIPE) };
    set
}

/// Blocks or unblocks SIGPIPE on this thread; the mask that was.
fn change_mask(how: libc::c_int) -> libc::sigset_t {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the pointers are to one set, which is only read, and to room for another, which this fills.
    unsafe { libc::pthread_sigmask(how, &only_sigpipe(), before.as_mut_ptr()) };
    // SAFETY: the call cannot fail, for the set and what to do with it are right; so it is filled.
    unsafe { before.assume_init() }
}

/// Whether a SIGPIPE is pending, for this thread or for the process.
pub(in crate::platform) fn is_pending() -> bool {
    let mut pending = MaybeUninit::uninit();
    // SAFETY: the pointer is to room for one set, which this fills.
    unsafe { libc::sigpending(pending.as_mut_ptr()) };
    // SAFETY: the call cannot fail, for the pointer is right; so it is filled.
    contains_sigpipe(&unsafe { pending.assume_init() })
}

fn contains_sigpipe(set: &libc::sigset_t) -> bool {
    // SAFETY: it reads one set.
    unsafe { libc::sigismember(ptr::from_ref(set), libc::SIGPIPE) == 1 }
}
