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
use crate::platform::{Kernel, Native, RawErrno, take_pending_sigpipe};

/// Who sent a SIGPIPE that was pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "not every kernel says who it was")]
pub(in crate::platform) enum Sender {
    /// The kernel, because of a call of this thread.
    Kernel,
    /// Somebody, to this thread.
    ToThread,
    /// Somebody, to the process.
    ToProcess,
}

/// While it lives SIGPIPE is blocked on the thread that made it, on which it stays.
pub(crate) struct SigpipeGuard {
    was_blocked: bool,
    /// One was pending before: what is pending now may be that one, and one more of ours is no more than it.
    was_pending: bool,
    /// Taken, but not ours: to be sent again at the end.
    owed: Option<Sender>,
    stays_on_thread: PhantomData<*const ()>,
}

impl SigpipeGuard {
    pub(crate) fn new() -> Self {
        let was_blocked = contains_sigpipe(&change_mask(libc::SIG_BLOCK));
        // If it was not blocked, none can have been pending: it would have been delivered.
        let was_pending = was_blocked && is_pending();
        Self { was_blocked, was_pending, owed: None, stays_on_thread: PhantomData }
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
        match take_pending_sigpipe(&only_sigpipe()) {
            None | Some(Sender::Kernel) => {}
            Some(sender) => self.owed = Some(sender),
        }
    }
}

impl Drop for SigpipeGuard {
    fn drop(&mut self) {
        match self.owed {
            None | Some(Sender::Kernel) => {}
            Some(Sender::ToThread) => {
                // SAFETY: it sends a signal to the thread that calls it.
                unsafe { libc::pthread_kill(this_thread(), libc::SIGPIPE) };
            }
            Some(Sender::ToProcess) => {
                // SAFETY: it sends a signal to the process that calls it.
                unsafe { libc::kill(std::process::id() as libc::pid_t, libc::SIGPIPE) };
            }
        }
        if !self.was_blocked {
            change_mask(libc::SIG_UNBLOCK);
        }
    }
}

/// Whether a call may have raised a SIGPIPE: with an error and, where the kernel does both at once (clauses X12,
/// I7), with a count that is less than was asked for.
pub(in crate::platform) fn may_have_signalled_on<K: Kernel>(
    outcome: Result<u64, RawErrno>,
    asked: u64,
) -> bool {
    match outcome {
        Ok(count) => K::SIGNALS_WITH_COUNT && count < asked,
        Err(errno) => K::SIGNALS_WITH_COUNT || K::errno_name(errno.number()) == Some(Errno::EPIPE),
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

fn this_thread() -> libc::pthread_t {
    // SAFETY: it takes nothing, and cannot fail.
    unsafe { libc::pthread_self() }
}
