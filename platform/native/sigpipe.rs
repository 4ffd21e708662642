//! Keeps SIGPIPE away from the process during calls that have no flag against it: sendfile(2), and write(2) to
//! a pipe.
//!
//! The signal is blocked on this thread. A SIGPIPE that such a call raises is sent to this thread, stays
//! pending, and is taken back before the mask is restored. A SIGPIPE that another sender sends meanwhile stays
//! pending too, and is delivered after that.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use crate::platform::Native;
use crate::platform::kernel::{Calls, Kernel, RawErrno, SomebodysSigpipe};
use crate::platform::posix::sigpipe::{change_mask, contains_sigpipe, is_pending, only_sigpipe};

/// Keeps SIGPIPE from this thread while it lives, so that each call need not do so by itself (clause X17).
///
/// Linux's sendfile(2), and write(2) to a pipe or a file, have no flag like `MSG_NOSIGNAL`. Without this guard each call of
/// unisend that makes them blocks SIGPIPE before and restores the signal mask afterwards, which is two system calls. A thread that
/// sends many small files makes one guard and keeps it. Sends on sockets do not need it.
///
/// A SIGPIPE that a call of unisend raises is taken back at once. A SIGPIPE that another thread or process sends is
/// delivered when the guard is dropped. Guards can be nested, and dropped in any order: the last one restores the signal mask.
///
/// A thread that is started while the guard lives, and a process that is forked, begin with SIGPIPE blocked. std's
/// `Command` unblocks it in the program that it starts.
///
/// The guard cannot leave its thread. If it is leaked by [`forget`](std::mem::forget), SIGPIPE stays blocked until the thread ends, and
/// then what others have sent is delivered. While the guard lives the program must not unblock SIGPIPE on this thread by
/// itself. It can make calls of its own that raise SIGPIPE: that signal stays pending, and is delivered at the end.
///
/// # System calls
///
/// `rt_sigprocmask` when it is made and when it is dropped; with SIGPIPE blocked already, `rt_sigpending` as well. On OpenBSD
/// `sigprocmask` and `sigpending`; pledge(2) needs "stdio".
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use std::os::unix::net::UnixStream;
/// use unisend::{ErrorKind, Offset, SigpipeGuard, sendfile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("page");
/// # std::fs::write(&path, "page")?;
/// let (ours, theirs) = UnixStream::pair()?;
/// let page = File::open(&path)?;
///
/// let _guard = SigpipeGuard::new(); // once, for many files
/// assert_eq!(sendfile(&ours, &page, Offset::At(&mut 0), 4)?, 4);
/// drop(theirs);
/// let error = sendfile(&ours, &page, Offset::At(&mut 0), 4).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Disconnected);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "SIGPIPE is kept away only while the guard lives"]
pub struct SigpipeGuard {
    /// It is not if the thread is at its very end.
    is_counted: bool,
    stays_on_thread: PhantomData<*const ()>,
}

thread_local! {
    /// How many guards live on this thread.
    static GUARDS: Cell<usize> = const { Cell::new(0) };

    /// What they share. It is dropped with the thread, if a guard was forgotten.
    static BLOCK: RefCell<Option<SigpipeBlock>> = const { RefCell::new(None) };
}

impl SigpipeGuard {
    /// Blocks SIGPIPE on this thread.
    pub fn new() -> Self {
        let is_counted = BLOCK.try_with(|block| {
            block.borrow_mut().get_or_insert_with(SigpipeBlock::new);
            GUARDS.set(GUARDS.get() + 1);
        });
        Self { is_counted: is_counted.is_ok(), stays_on_thread: PhantomData }
    }
}

impl Default for SigpipeGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SigpipeGuard {
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        GUARDS.set(GUARDS.get() - 1);
        if GUARDS.get() == 0 {
            // It is taken out before it is dropped: a handler of the signal that is then delivered can make a guard.
            let block = BLOCK.try_with(RefCell::take);
            drop(block);
        }
    }
}

/// Keeps SIGPIPE from one call, or from the calls of one loop.
pub(super) struct CallGuard {
    /// `None` if the thread's guard does it.
    own: Option<SigpipeBlock>,
}

impl CallGuard {
    #[inline]
    pub(super) fn new() -> Self {
        Self { own: (GUARDS.get() == 0).then(SigpipeBlock::new) }
    }

    /// Takes back the signal that a call may have raised, given what the call returned.
    #[inline]
    pub(super) fn after(&mut self, outcome: Result<u64, RawErrno>, asked: u64) {
        if Native::may_have_signalled(outcome, asked) {
            self.take_back();
        }
    }

    #[cold]
    fn take_back(&mut self) {
        match &mut self.own {
            Some(block) => block.take_back(),
            None => BLOCK.with_borrow_mut(|block| block.iter_mut().for_each(SigpipeBlock::take_back)),
        }
    }
}

/// While it lives SIGPIPE is blocked on the thread that made it, on which it stays.
pub(super) struct SigpipeBlock {
    was_blocked: bool,
    /// Whether a SIGPIPE was pending before. If it is pending for this thread, another one from a call adds
    /// nothing to it.
    was_pending: bool,
    /// The signals that were taken but that others sent: one for the process and one for this thread. A second
    /// signal adds nothing to the first.
    owed: [Option<<Native as Calls>::SomebodysSigpipe>; 2],
    stays_on_thread: PhantomData<*const ()>,
}

impl SigpipeBlock {
    fn new() -> Self {
        let was_blocked = contains_sigpipe(&change_mask(libc::SIG_BLOCK));
        // If SIGPIPE was not blocked, none can be pending: it would have been delivered.
        let was_pending = was_blocked && is_pending();
        Self { was_blocked, was_pending, owed: [None, None], stays_on_thread: PhantomData }
    }

    fn take_back(&mut self) {
        if self.was_pending {
            return;
        }
        if let Some(sigpipe) = Native::take_pending_sigpipe(&only_sigpipe()) {
            let target = usize::from(sigpipe.is_for_thread());
            self.owed[target] = Some(sigpipe);
        }
    }
}

impl Drop for SigpipeBlock {
    fn drop(&mut self) {
        for sigpipe in self.owed.iter().flatten() {
            sigpipe.send_again();
        }
        if !self.was_blocked {
            change_mask(libc::SIG_UNBLOCK);
        }
    }
}

/// Which signals are delivered. The process has one thread, and SIGPIPE has its default disposition and is
/// blocked, so a signal that is left stays pending and can be examined. OpenBSD does not say who sent a signal.
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

    /// The sender of a SIGPIPE.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Sender {
        /// A call on a pipe without a reader.
        Call,
        /// Another thread, by pthread_kill(3).
        Thread,
        /// Another process, by kill(2).
        Process,
        /// This process, by kill(2).
        Itself,
    }
    use Sender::{Call, Itself, Process, Thread};

    impl Sender {
        /// Sends the signal. When this returns, the signal is pending.
        fn send(self) {
            match self {
                Call => {
                    let (reader, writer) = nix::unistd::pipe().unwrap();
                    drop::<OwnedFd>(reader);
                    assert!(File::from(writer).write(b"x").is_err());
                }
                Thread => {
                    // SAFETY: it takes no arguments, and cannot fail.
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

    /// Runs the closure in a child process, and returns whether it reached its end.
    fn in_a_child(work: impl FnOnce()) -> bool {
        // SAFETY: the child needs none of the other threads.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0))),
            ForkResult::Child => {
                let outcome = catch_unwind(AssertUnwindSafe(work));
                // SAFETY: it ends only the child.
                unsafe { libc::_exit(outcome.is_err().into()) }
            }
        }
    }

    /// Takes all pending signals, this thread's first.
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

    /// Each round is a call that fails with EPIPE, and the signals that arrive during it, in this order.
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
    fn what_is_delivered(
        #[case] rounds: Vec<Vec<Sender>>,
        #[case] left: &[Sender],
        #[values(false, true)] under_guard: bool,
    ) {
        delivers(under_guard, &[], &rounds, left);
    }

    /// A SIGPIPE was pending for this thread, so the call's own adds nothing to it.
    #[rstest]
    #[case::by_a_call(&[Call], vec![vec![Call]], &[Call])]
    #[case::by_another_thread(&[Thread], vec![vec![Call], vec![Call]], &[Thread])]
    fn what_was_pending_stays(
        #[case] before: &[Sender],
        #[case] rounds: Vec<Vec<Sender>>,
        #[case] left: &[Sender],
        #[values(false, true)] under_guard: bool,
    ) {
        delivers(under_guard, before, &rounds, left);
    }

    fn delivers(under_guard: bool, before: &[Sender], rounds: &[Vec<Sender>], left: &[Sender]) {
        let epipe = Native::raw_errno(Errno::EPIPE);
        assert!(in_a_child(|| {
            // SAFETY: the default disposition has no handler.
            unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
            change_mask(libc::SIG_BLOCK);
            before.iter().for_each(|from| from.send());
            let of_thread = under_guard.then(SigpipeGuard::new);
            let mut guard = CallGuard::new();
            for round in rounds {
                round.iter().for_each(|from| from.send());
                guard.after(Err(epipe), 1);
            }
            drop(guard);
            drop(of_thread);
            assert!(is_blocked(), "it was blocked before");
            assert_eq!(taken(), left);
        }));
    }

    fn is_blocked() -> bool {
        let mask = change_mask(libc::SIG_BLOCK);
        if !contains_sigpipe(&mask) {
            change_mask(libc::SIG_UNBLOCK);
        }
        contains_sigpipe(&mask)
    }

    #[rstest]
    #[case::the_first_made_first(&[0, 1, 2])]
    #[case::the_last_made_first(&[2, 1, 0])]
    #[case::the_middle_first(&[1, 0, 2])]
    fn x17_the_last_guard_restores_the_mask(#[case] order: &[usize]) {
        let order = order.to_vec();
        std::thread::spawn(move || {
            assert!(!is_blocked());
            let mut guards = [(); 3].map(|()| Some(SigpipeGuard::new()));
            for which in order {
                assert!(is_blocked());
                guards[which] = None;
            }
            assert!(!is_blocked());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn x17_a_guard_ends_with_a_panic() {
        let panicked = catch_unwind(|| {
            let _guard = SigpipeGuard::new();
            panic!("while the guard lives");
        });
        assert!(panicked.is_err());
        assert!(!is_blocked());
    }

    #[test]
    fn x17_what_a_forgotten_guard_owes_is_delivered_when_its_thread_ends() {
        assert!(in_a_child(|| {
            change_mask(libc::SIG_BLOCK);
            let thread = std::thread::spawn(|| {
                std::mem::forget(SigpipeGuard::new());
                Process.send();
                CallGuard::new().after(Err(Native::raw_errno(Errno::EPIPE)), 1);
                assert!(!is_pending(), "it was taken");
            });
            thread.join().unwrap();
            assert_eq!(taken(), [Process]);
        }));
    }

    /// A guard that is made when the thread's own variables are gone counts for nothing, and does no harm.
    #[test]
    fn x17_a_guard_at_the_very_end_of_a_thread() {
        struct AtTheEnd;
        impl Drop for AtTheEnd {
            fn drop(&mut self) {
                drop(SigpipeGuard::new());
                drop(CallGuard::new());
                assert!(!is_blocked());
            }
        }
        thread_local! {
            static LAST: AtTheEnd = const { AtTheEnd };
        }
        let thread = std::thread::spawn(|| {
            LAST.with(|_| {}); // dropped after what was used later
            drop(SigpipeGuard::new());
        });
        thread.join().unwrap();
    }
}
