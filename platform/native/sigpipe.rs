//! Keeps SIGPIPE away from the process during calls that have no flag against it: sendfile(2), and write(2) to
//! a pipe.
//!
//! The signal is blocked on this thread. A SIGPIPE that such a call raises is sent to this thread, stays
//! pending, and is taken back before the mask is restored. A SIGPIPE that another sender sends meanwhile stays
//! pending too, and is delivered after that.

use std::cell::Cell;
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
/// delivered when the guard is dropped. Guards can be nested, and dropped in any order: the last one unblocks SIGPIPE, unless it was
/// blocked before the first one. A signal handler can use guards too.
///
/// # Limits
///
/// - The program must not change SIGPIPE in the signal mask of this thread while the guard lives.
/// - The program should not raise SIGPIPE by calls of its own meanwhile. A later call of unisend can take it back as its own. The same
///   holds for the signals that [`sendfile`](crate::sendfile()) lists under "SIGPIPE from elsewhere".
/// - If SIGPIPE is pending when the guard is made, calls take nothing back, because their signals add nothing to it. Do not take it
///   meanwhile.
/// - A thread or a process that is started while the guard lives, and the program that it executes, begin with SIGPIPE blocked.
/// - The guard cannot leave its thread. If it is leaked by [`forget`](std::mem::forget), SIGPIPE stays blocked until the thread ends, and a
///   signal that came from elsewhere and was taken with a call's own is lost.
///
/// # System calls
///
/// When the first guard of a thread is made, `rt_sigprocmask` and `getpid`. When the last one is dropped, `getpid` and `rt_sigprocmask`. If
/// SIGPIPE was blocked before, there is no second `rt_sigprocmask`, but `rt_sigpending` when the guard is made. On OpenBSD these are
/// `sigprocmask`, `getpid` and `sigpending`; pledge(2) needs "stdio".
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
    stays_on_thread: PhantomData<*const ()>,
}

/// What the guards of a thread share. It has no destructor, so it can be used until the thread's very end. A signal handler
/// can use it between any two statements: no borrow lasts, and the order of the statements matters.
struct Shared {
    /// How many guards live on this thread.
    guards: Cell<usize>,
    /// The process in which the first of them was made: a child of fork(2) owes no signal, and has none pending.
    process: Cell<u32>,
    was_blocked: Cell<bool>,
    was_pending: Cell<bool>,
    owed: Owed,
}

thread_local! {
    static SHARED: Shared = const {
        Shared {
            guards: Cell::new(0),
            process: Cell::new(0),
            was_blocked: Cell::new(false),
            was_pending: Cell::new(false),
            owed: Owed::nothing(),
        }
    };
}

impl SigpipeGuard {
    /// Blocks SIGPIPE on this thread.
    pub fn new() -> Self {
        SHARED.with(|shared| match shared.guards.get() {
            0 => {
                // SIGPIPE is blocked before a guard counts, and what was before is kept after that: a handler that comes
                // between blocks and restores by itself.
                let before = block();
                shared.guards.set(1);
                shared.process.set(std::process::id());
                shared.was_blocked.set(before.was_blocked);
                shared.was_pending.set(before.was_pending);
            }
            guards => shared.guards.set(guards + 1),
        });
        Self { stays_on_thread: PhantomData }
    }
}

impl Default for SigpipeGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SigpipeGuard {
    fn drop(&mut self) {
        SHARED.with(|shared| {
            let was_blocked = shared.was_blocked.get();
            shared.guards.set(shared.guards.get() - 1);
            if shared.guards.get() == 0 {
                shared.leave_what_is_the_parents();
                shared.owed.send_again();
                restore(was_blocked);
            }
        });
    }
}

impl Shared {
    #[cold]
    fn take_back(&self) {
        self.leave_what_is_the_parents();
        if !self.was_pending.get() {
            self.owed.take_back();
        }
    }

    /// In a child of fork(2) forgets what the parent has to send again, and that a signal was pending there.
    fn leave_what_is_the_parents(&self) {
        let process = std::process::id();
        if self.process.replace(process) != process {
            self.was_pending.set(false);
            self.owed.forget();
        }
    }
}

/// Keeps SIGPIPE from one call, or from the calls of one loop. It stays on the thread that made it.
pub(super) struct CallGuard {
    /// `None` if the thread's guards do it.
    own: Option<(Before, Owed)>,
    stays_on_thread: PhantomData<*const ()>,
}

impl CallGuard {
    #[inline]
    pub(super) fn new() -> Self {
        let is_alone = SHARED.with(|shared| shared.guards.get() == 0);
        Self { own: is_alone.then(|| (block(), Owed::nothing())), stays_on_thread: PhantomData }
    }

    /// Takes back the signal that a call may have raised, given what the call returned.
    #[inline]
    pub(super) fn after(&mut self, outcome: Result<u64, RawErrno>, asked: u64) {
        if !Native::may_have_signalled(outcome, asked) {
            return;
        }
        match &self.own {
            Some((before, owed)) if !before.was_pending => owed.take_back(),
            Some(_) => {}
            None => SHARED.with(Shared::take_back),
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if let Some((before, owed)) = &self.own {
            owed.send_again();
            restore(before.was_blocked);
        }
    }
}

/// How SIGPIPE was on this thread before it was blocked.
struct Before {
    was_blocked: bool,
    /// If it was pending for this thread, another one from a call adds nothing to it.
    was_pending: bool,
}

fn block() -> Before {
    let was_blocked = contains_sigpipe(&change_mask(libc::SIG_BLOCK));
    // If it was not blocked, none can have been pending: it would have been delivered.
    Before { was_blocked, was_pending: was_blocked && is_pending() }
}

fn restore(was_blocked: bool) {
    if !was_blocked {
        change_mask(libc::SIG_UNBLOCK);
    }
}

/// The signals that were taken and came from elsewhere: one for this thread and one for the process, because a second
/// one adds nothing to the first.
struct Owed([Cell<Option<<Native as Calls>::SomebodysSigpipe>>; 2]);

impl Owed {
    const fn nothing() -> Self {
        Self([Cell::new(None), Cell::new(None)])
    }

    /// Takes a pending SIGPIPE, and keeps it if it came from elsewhere.
    #[cold]
    fn take_back(&self) {
        if let Some(sigpipe) = Native::take_pending_sigpipe(&only_sigpipe()) {
            self.0[usize::from(sigpipe.is_for_thread())].set(Some(sigpipe));
        }
    }

    fn send_again(&self) {
        self.0.iter().filter_map(Cell::take).for_each(|sigpipe| sigpipe.send_again());
    }

    fn forget(&self) {
        self.0.iter().for_each(|owed| owed.set(None));
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
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

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

    /// SIGPIPE stays blocked, and calls rely on it until the thread's very end.
    #[test]
    fn x17_a_forgotten_guard_keeps_sigpipe_away() {
        assert!(in_a_child(|| {
            // SAFETY: the default disposition has no handler that could do anything wrong.
            unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
            thread_local! {
                static LAST: BreaksAPipe = const { BreaksAPipe };
            }
            struct BreaksAPipe;
            impl Drop for BreaksAPipe {
                fn drop(&mut self) {
                    let mut guard = CallGuard::new();
                    Call.send();
                    guard.after(Err(Native::raw_errno(Errno::EPIPE)), 1);
                    assert!(is_blocked() && !is_pending());
                }
            }
            let thread = std::thread::spawn(|| {
                LAST.with(|_| std::mem::forget(SigpipeGuard::new()));
            });
            thread.join().unwrap();
        }));
    }

    /// A handler that makes a guard of its own, and a call, at any time.
    #[test]
    fn x17_a_guard_in_a_signal_handler() {
        static HANDLED: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn guards(_: libc::c_int) {
            let _guard = SigpipeGuard::new();
            CallGuard::new().after(Err(Native::raw_errno(Errno::EPIPE)), 1);
            HANDLED.fetch_add(1, SeqCst);
        }
        assert!(in_a_child(|| {
            // SAFETY: the default disposition has no handler that could do anything wrong.
            unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
            // SAFETY: the handler makes system calls and sets what is this thread's, in an order that allows it.
            unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(guards)) }.unwrap();
            // SAFETY: it takes nothing, and cannot fail.
            let target = unsafe { libc::pthread_self() } as usize;
            std::thread::spawn(move || {
                loop {
                    std::thread::sleep(Duration::from_micros(300));
                    // SAFETY: it only sends a signal, to the thread at whose end the process ends.
                    unsafe { libc::pthread_kill(target as libc::pthread_t, Signal::SIGUSR1 as libc::c_int) };
                }
            });
            while HANDLED.load(SeqCst) < 500 {
                let guard = SigpipeGuard::new();
                let mut call = CallGuard::new();
                Call.send();
                call.after(Err(Native::raw_errno(Errno::EPIPE)), 1);
                drop(call);
                drop(guard);
                assert!(!is_blocked() && !is_pending());
            }
        }));
    }

    /// One that was taken in the parent is the parent's to send again.
    #[test]
    fn x17_a_child_owes_nothing() {
        assert!(in_a_child(|| {
            change_mask(libc::SIG_BLOCK);
            let guard = SigpipeGuard::new();
            Process.send();
            CallGuard::new().after(Err(Native::raw_errno(Errno::EPIPE)), 1);
            let guard = std::cell::Cell::new(Some(guard));
            assert!(in_a_child(|| {
                drop(guard.take());
                assert_eq!(taken(), []);
            }));
            drop(guard.take());
            assert_eq!(taken(), [Process]);
        }));
    }

    /// A guard can be made when other variables of the thread are gone.
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
