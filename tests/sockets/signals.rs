//! A signal that interrupts calls: its handler does nothing, and is without SA_RESTART.

use std::os::unix::thread::JoinHandleExt;
use std::sync::Once;
use std::thread::JoinHandle;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const INTERRUPTS: Signal = Signal::SIGUSR1;

pub(crate) fn install_handler() {
    static INSTALLED: Once = Once::new();
    extern "C" fn do_nothing(_: libc::c_int) {}
    INSTALLED.call_once(|| {
        let action = SigAction::new(SigHandler::Handler(do_nothing), SaFlags::empty(), SigSet::empty());
        // SAFETY: a handler that does nothing may run at any moment.
        unsafe { sigaction(INTERRUPTS, &action) }.unwrap();
    });
}

pub(crate) fn signal<T>(worker: &JoinHandle<T>) {
    // SAFETY: the thread was not joined, so its id is still its own.
    let returned = unsafe { libc::pthread_kill(worker.as_pthread_t() as _, INTERRUPTS as libc::c_int) };
    assert!(returned == 0 || returned == libc::ESRCH, "errno {returned}");
}
