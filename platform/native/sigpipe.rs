//! Keeps SIGPIPE from the process while calls are made that cannot be told not to raise it: sendfile(2), and
//! write(2) to a pipe.
//!
//! The signal is blocked on this thread. One that such a call raises is meant for this thread, stays pending,
//! and is taken back before the mask is restored. One that somebody else sends meanwhile stays pending too, and
//! is delivered then.

use std::marker::PhantomData;

use crate::platform::Native;
use crate::platform::kernel::{Calls, Kernel, RawErrno, SomebodysSigpipe};
use crate::platform::posix::sigpipe::{change_mask, contains_sigpipe, is_pending, only_sigpipe};

/// While it lives SIGPIPE is blocked on the thread that made it, on which it stays.
pub(crate) struct SigpipeGuard {
    was_blocked: bool,
    /// One was pending before. If it is this thread's, one more of ours is no more than it.
    was_pending: bool,
    /// Taken, but not ours: one for this thread and one for the process, for a second is no more than the first.
    owed: [Option<<Native as Calls>::SomebodysSigpipe>; 2],
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
        if Native::may_have_signalled(outcome, asked) && !self.was_pending {
            self.take_back();
        }
    }

    #[cold]
    fn take_back(&mut self) {
        if let Some(sigpipe) = Native::take_pending_sigpipe(&only_sigpipe()) {
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

/// What becomes of each signal, in a process of one thread in which SIGPIPE has its default disposition and is blocked,
/// so that what is left stays pending and can be looked at. OpenBSD does not say who sent a signal.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use nix::sys::signal::{SigHandler, Signal, kill, signal};
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork, getpid, getppid};
    use rstest::rstest;

    use super::*;
    use crate::platform::contract::Errno;

    /// Whence a SIGPIPE comes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Sender {
        /// A call on a pipe without a reader.
        Call,
        /// Another thread, by pthread_kill(3).
        Thread,
        /// Another process, by kill(2).
        Process,
        /// This very process, by kill(2).
        Itself,
    }
    use Sender::{Call, Itself, Process, Thread};

    impl Sender {
        /// Once it returns, the signal is pending.
        fn send(self) {
            match self {
                Call => {
                    let (reader, writer) = nix::unistd::pipe().unwrap();
                    drop::<OwnedFd>(reader);
                    assert!(File::from(writer).write(b"x").is_err());
                }
                Thread => {
                    // SAFETY: it takes nothing, and cannot fail.
                    let target = unsafe { libc::pthread_self() } as usize;
                    let sender = std::thread::spawn(move || {
                        // SAFETY: it only sends a signal, to a thread that waits for this one.
                        unsafe { libc::pthread_kill(target as libc::pthread_t, libc::SIGPIPE) }
                    });
                    assert_eq!(sender.join().unwrap(), 0);
                }
                Process => assert!(in_a_child(|| kill(getppid(), Signal::SIGPIPE).unwrap())),
                Itself => kill(getpid(), Signal::SIGPIPE).unwrap(),
            }
        }
    }

    /// Does something in a child; whether it came to its end.
    fn in_a_child(work: impl FnOnce()) -> bool {
        // SAFETY: what the child does needs none of the other threads.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0))),
            ForkResult::Child => {
                let outcome = catch_unwind(AssertUnwindSafe(work));
                // SAFETY: it ends the child, and nothing that is the parent's.
                unsafe { libc::_exit(outcome.is_err().into()) }
            }
        }
    }

    /// Takes all that are pending: this thread's first.
    fn taken() -> Vec<Sender> {
        let mut found = Vec::new();
        while is_pending() {
            found.push(match Native::take_pending_sigpipe(&only_sigpipe()) {
                Some(sigpipe) if sigpipe.is_for_thread() => Thread,
                Some(_) => Process,
                None => Call,
            });
        }
        found
    }

    /// Each round is a call that fails with EPIPE, and the signals that come in it, in this order.
    #[rstest]
    #[case::none_came(vec![vec![]], &[])]
    #[case::the_calls_own_is_taken_back(vec![vec![Call], vec![Call]], &[])]
    #[case::another_threads_is_delivered(vec![vec![Thread]], &[Thread])]
    #[case::another_processs_is_delivered(vec![vec![Process]], &[Process])]
    #[case::beside_the_calls_own(vec![vec![Call, Process]], &[Process])]
    #[case::before_the_calls_own(vec![vec![Process, Call]], &[Process])]
    #[case::in_another_call_than_its_own(vec![vec![Call], vec![Process], vec![Call], vec![Thread], vec![Call]], &[Thread, Process])]
    #[case::one_to_the_thread_and_then_one_to_the_process(vec![vec![Thread], vec![Process]], &[Thread, Process])]
    #[case::one_to_the_process_and_then_one_to_the_thread(vec![vec![Process], vec![Thread]], &[Thread, Process])]
    #[case::both_at_once(vec![vec![Process, Thread], vec![]], &[Thread, Process])]
    #[case::a_second_is_no_more_than_the_first(vec![vec![Process], vec![Process]], &[Process])]
    #[case::the_kernel_keeps_one_for_the_thread_and_it_is_the_others(vec![vec![Thread, Call]], &[Thread])]
    #[case::documented_the_kernel_keeps_one_and_it_is_the_calls(vec![vec![Call, Thread]], &[])]
    #[case::documented_ones_own_by_kill_is_taken_for_the_calls(vec![vec![Itself]], &[])]
    fn what_is_delivered(#[case] rounds: Vec<Vec<Sender>>, #[case] left: &[Sender]) {
        delivers(&[], &rounds, left);
    }

    /// One was pending for this thread, and so for no other: the call's own adds nothing to it.
    #[rstest]
    #[case::by_a_call(&[Call], vec![vec![Call]], &[Call])]
    #[case::by_another_thread(&[Thread], vec![vec![Call], vec![Call]], &[Thread])]
    fn what_was_pending_stays(
        #[case] before: &[Sender],
        #[case] rounds: Vec<Vec<Sender>>,
        #[case] left: &[Sender],
    ) {
        delivers(before, &rounds, left);
    }

    fn delivers(before: &[Sender], rounds: &[Vec<Sender>], left: &[Sender]) {
        let epipe = Native::raw_errno(Errno::EPIPE);
        assert!(in_a_child(|| {
            // SAFETY: the default disposition has no handler that could do anything wrong.
            unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
            change_mask(libc::SIG_BLOCK);
            before.iter().for_each(|from| from.send());
            let mut guard = SigpipeGuard::new();
            for round in rounds {
                round.iter().for_each(|from| from.send());
                guard.after(Err(epipe), 1);
            }
            drop(guard);
            assert!(contains_sigpipe(&change_mask(libc::SIG_BLOCK)), "it was blocked before");
            assert_eq!(taken(), left);
        }));
    }
}
