//! Clauses I1 to I5: signals, timeouts and a peer that goes away, in the middle of a send that waits.
//!
//! A signal is sent again and again to the thread that sends, until it returns, so that no moment has to be
//! hit: what comes before the call has no effect.

mod sockets;

use std::io::IoSlice;
use std::os::unix::thread::JoinHandleExt;
use std::sync::Once;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rstest::rstest;
use sockets::{
    Call, NO_FLAGS, OPENBSD, Pair, close_with_reset, differs, fill, finished, narrow, pattern, read_exactly,
    received, set_send_timeout, wait_readable,
};
use unisend::ErrorKind::{self, *};
use unisend::SocketKind::{self, *};
use unisend::{Error, Socket};

/// Interrupts calls: its handler is without SA_RESTART.
const INTERRUPTS: Signal = Signal::SIGUSR1;
/// Has calls begun anew: its handler is with SA_RESTART.
const RESTARTS: Signal = Signal::SIGUSR2;

fn install_handlers() {
    static INSTALLED: Once = Once::new();
    extern "C" fn do_nothing(_: libc::c_int) {}
    INSTALLED.call_once(|| {
        for (signal, flags) in [(INTERRUPTS, SaFlags::empty()), (RESTARTS, SaFlags::SA_RESTART)] {
            let action = SigAction::new(SigHandler::Handler(do_nothing), flags, SigSet::empty());
            // SAFETY: a handler that does nothing may run at any moment.
            unsafe { sigaction(signal, &action) }.unwrap();
        }
    });
}

/// A thread in which the call is made, with the means to interrupt it.
fn start<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    install_handlers();
    thread::spawn(call)
}

fn signal<T>(worker: &JoinHandle<T>, signal: Signal) {
    // SAFETY: the thread was not joined, so its id is still its own.
    let returned = unsafe { libc::pthread_kill(worker.as_pthread_t() as _, signal as libc::c_int) };
    // It may have returned from the call, and ended, in the meantime.
    assert!(returned == 0 || returned == libc::ESRCH, "errno {returned}");
}

/// The result of a call that is interrupted until it returns.
fn interrupted<T>(worker: JoinHandle<T>, by: Signal) -> T {
    finished(worker, |worker| signal(worker, by))
}

/// A pair whose sender has no room.
fn full(kind: SocketKind) -> Pair {
    let pair = Pair::new(kind);
    fill(&pair.socket(), &[7; 500]);
    pair
}

#[rstest]
#[case::i2_tcp(Tcp)]
#[case::i2_unix_stream(UnixStream)]
#[case::i2_unix_seqpacket(UnixSeqpacket)]
fn a_signal_before_the_first_byte(
    #[case] kind: SocketKind,
    #[values(Call::Send, Call::SendVectored)] call: Call,
) {
    let pair = full(kind);
    let worker = start(move || (call.run(&pair.socket(), &[8; 500], NO_FLAGS), pair));
    let (outcome, pair) = interrupted(worker, INTERRUPTS);
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (Interrupted, Some(libc::EINTR)), "{error}");
    assert!(!error.would_block() && !error.peer_gone() && !error.may_have_sent());
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::Interrupted);
    assert!(!pair.arriving().contains(&8), "nothing of it was accepted");
}

/// With SA_RESTART it is as if no signal had come.
#[rstest]
#[case::i2_tcp(Tcp)]
#[case::i2_unix_stream(UnixStream)]
fn a_signal_that_restarts(#[case] kind: SocketKind) {
    let pair = Pair::new(kind);
    let before = fill(&pair.socket(), &[7; 500]);
    let Pair { ours, theirs, .. } = pair;
    let worker = start(move || sockets::declared(kind, &ours).send(&[8; 500], NO_FLAGS));
    for _ in 0..20 {
        signal(&worker, RESTARTS);
        thread::sleep(Duration::from_millis(1));
    }
    assert!(!worker.is_finished(), "there is no room");
    let mut arrived = read_exactly(&theirs, before);
    arrived.extend(read_exactly(&theirs, 500));
    assert_eq!(finished(worker, |_| {}), Ok(500));
    assert!(arrived[..before].iter().all(|&byte| byte == 7) && arrived[before..] == [8; 500]);
}

/// After the first byte a signal leaves a short count, with exactly so much accepted.
#[rstest]
#[case::i1_tcp(Tcp)]
#[case::i1_unix_stream(UnixStream)]
fn a_signal_after_the_first_byte(
    #[case] kind: SocketKind,
    #[values(Call::Send, Call::SendVectored)] call: Call,
    #[values(INTERRUPTS, RESTARTS)] by: Signal,
) {
    let Pair { ours, theirs, .. } = narrow(kind);
    let data = pattern(4 << 20);
    let worker = start(move || {
        let outcome = call.run(&sockets::declared(kind, &ours), &data, NO_FLAGS);
        (outcome, data, ours)
    });
    wait_readable(&theirs);
    let (outcome, data, _ours) = interrupted(worker, by);
    let accepted = outcome.unwrap();
    assert!(accepted > 0 && accepted < data.len());
    assert!(read_exactly(&theirs, accepted) == data[..accepted], "not the same bytes");
    assert_eq!(received(&theirs), None);
}

/// "Differs": where there is a timeout, Linux does not restart, and OpenBSD begins the time anew.
#[rstest]
#[case::i3_tcp(Tcp)]
#[case::i3_unix_stream(UnixStream)]
fn a_signal_that_restarts_during_a_timeout(#[case] kind: SocketKind) {
    let pair = full(kind);
    set_send_timeout(&pair.ours, if OPENBSD { Duration::from_millis(300) } else { sockets::PATIENCE });
    let worker = start(move || pair.socket().send(&[8; 500], NO_FLAGS));
    let outcome = if OPENBSD {
        // A signal every now and then would keep it for ever.
        for _ in 0..20 {
            signal(&worker, RESTARTS);
            thread::sleep(Duration::from_millis(1));
        }
        finished(worker, |_| {})
    } else {
        interrupted(worker, RESTARTS)
    };
    assert_eq!(outcome.unwrap_err().kind(), differs(Interrupted, WouldBlock));
}

#[rstest]
#[case::i4_tcp(Tcp)]
#[case::i4_unix_stream(UnixStream)]
#[case::i4_unix_seqpacket(UnixSeqpacket)]
fn a_timeout_before_the_first_byte(#[case] kind: SocketKind) {
    const TIMEOUT: Duration = Duration::from_millis(30);
    for call in Call::ALL {
        let outcome = sockets::bounded(move || {
            let pair = full(kind);
            set_send_timeout(&pair.ours, TIMEOUT);
            let started = Instant::now();
            (call.run(&pair.socket(), &[8; 500], NO_FLAGS), started.elapsed())
        });
        let error = outcome.0.unwrap_err();
        assert_eq!(
            (error.kind(), error.raw_os_error()),
            (WouldBlock, Some(libc::EAGAIN)),
            "{call:?}: {error}"
        );
        assert!(outcome.1 >= TIMEOUT, "{call:?} did not wait: {:?}", outcome.1);
    }
}

#[rstest]
#[case::i4_tcp(Tcp)]
#[case::i4_unix_stream(UnixStream)]
fn a_timeout_after_the_first_byte(#[case] kind: SocketKind) {
    for call in Call::ALL {
        let (stopped, data, pair) = sockets::bounded(move || {
            let pair = narrow(kind);
            set_send_timeout(&pair.ours, Duration::from_millis(30));
            let data = pattern(4 << 20);
            (call.to_the_end(&pair.socket(), &data, NO_FLAGS), data, pair)
        });
        // One call says how much; the loop says it with the error that ended it.
        let accepted = match stopped {
            Ok(count) => count,
            Err(stopped) => {
                assert!(matches!(call, Call::SendAll | Call::SendAllVectored), "{stopped}");
                assert_eq!(stopped.error().kind(), WouldBlock, "{call:?}");
                stopped.accepted()
            }
        };
        assert!(accepted > 0 && accepted < data.len(), "{call:?}: {accepted}");
        assert!(read_exactly(&pair.theirs, accepted) == data[..accepted], "{call:?}: not the same bytes");
        assert_eq!(pair.received(), None);
    }
}

/// How the other side goes away while a send waits for it.
#[derive(Clone, Copy)]
enum Goes {
    Closed,
    Reset,
}

/// "Differs": Linux returns what was accepted and fails the next call; OpenBSD fails this one, says not how
/// much, and so does unisend.
#[rstest]
#[case::i5_unix_stream(UnixStream, Goes::Closed)]
#[case::i5_tcp_reset(Tcp, Goes::Reset)]
fn a_peer_that_goes_away_during_a_send(
    #[case] kind: SocketKind,
    #[case] how: Goes,
    #[values(Call::Send, Call::SendVectored)] call: Call,
) {
    let (outcome, ours) = left_alone_during(kind, how, call);
    assert_eq!(outcome.is_err(), OPENBSD, "{outcome:?}");
    let error = match outcome {
        Ok(accepted) => {
            assert!(accepted > 0);
            let error = sockets::first_failure(call, &sockets::declared(kind, &ours));
            assert!(!error.may_have_sent(), "Linux returned the count");
            error
        }
        Err(stopped) => {
            assert!(stopped.error().may_have_sent());
            stopped.error()
        }
    };
    assert!(error.peer_gone(), "{error}");
    assert_eq!(error.kind(), if kind == Tcp { Reset } else { Disconnected });
}

#[rstest]
#[case::i5_unix_stream(UnixStream, Goes::Closed, Disconnected)]
#[case::i5_tcp_reset(Tcp, Goes::Reset, Reset)]
fn a_peer_that_goes_away_during_a_loop(
    #[case] kind: SocketKind,
    #[case] how: Goes,
    #[case] expected: ErrorKind,
    #[values(Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let (outcome, _ours) = left_alone_during(kind, how, call);
    let stopped = outcome.unwrap_err();
    let error: Error = stopped.error();
    assert_eq!(error.kind(), expected, "{error}");
    assert!(error.peer_gone());
    assert_eq!(error.operation().name(), call.name());
    assert_eq!(error.may_have_sent(), OPENBSD);
    assert!(OPENBSD || stopped.accepted() > 0, "Linux says how much was accepted");
}

/// Sends more than there is room for, with a peer that goes away as soon as something came.
fn left_alone_during(
    kind: SocketKind,
    how: Goes,
    call: Call,
) -> (Result<usize, sockets::Stopped>, std::os::fd::OwnedFd) {
    let Pair { ours, theirs, .. } = narrow(kind);
    let worker = start(move || {
        let outcome = call.to_the_end(&sockets::declared(kind, &ours), &vec![7; 4 << 20], NO_FLAGS);
        (outcome, ours)
    });
    wait_readable(&theirs);
    match how {
        Goes::Closed => drop(theirs),
        Goes::Reset => close_with_reset(theirs),
    }
    finished(worker, |_| {})
}

/// The loops go on after a signal: nothing is lost and nothing is sent twice, however many come.
#[rstest]
#[case::i2_tcp(Tcp)]
#[case::i2_unix_stream(UnixStream)]
fn signals_do_not_end_a_loop(
    #[case] kind: SocketKind,
    #[values(Call::SendAll, Call::SendAllVectored)] call: Call,
) {
    let Pair { ours, theirs, .. } = narrow(kind);
    let data = pattern(2 << 20);
    let expected = data.clone();
    let worker = start(move || call.to_the_end(&sockets::declared(kind, &ours), &data, NO_FLAGS));
    // A few while it waits for its first reader, and one before each part that is read.
    for _ in 0..20 {
        signal(&worker, INTERRUPTS);
        thread::sleep(Duration::from_millis(1));
    }
    let mut arrived = Vec::new();
    while arrived.len() < expected.len() {
        signal(&worker, INTERRUPTS);
        let part = (expected.len() - arrived.len()).min(100_000);
        arrived.extend(read_exactly(&theirs, part));
    }
    assert!(arrived == expected, "not the same bytes");
    assert_eq!(interrupted(worker, INTERRUPTS).unwrap(), expected.len());
    wait_readable(&theirs);
    assert_eq!(received(&theirs).unwrap(), b"", "the end, and nothing before it");
}

/// A signal does not end the loop on a socket that takes whole messages either.
#[test]
fn i2_signals_do_not_end_a_loop_of_records() {
    let pair = full(UnixSeqpacket);
    let Pair { ours, theirs, .. } = pair;
    let worker = start(move || (Socket::unix_seqpacket(&ours).send_all(&[8; 500], NO_FLAGS), ours));
    for _ in 0..20 {
        signal(&worker, INTERRUPTS);
        thread::sleep(Duration::from_millis(1));
    }
    assert!(!worker.is_finished(), "there is no room");
    let mut last = Vec::new();
    while last != [8; 500] {
        wait_readable(&theirs);
        last = received(&theirs).unwrap();
    }
    let (outcome, _ours) = finished(worker, |_| {});
    outcome.unwrap();
    assert_eq!(received(&theirs), None, "sent once");
}

/// The slices of a loop that is interrupted are advanced like those of one that is not.
#[test]
fn i2_slices_are_advanced_after_signals() {
    let Pair { ours, theirs, .. } = narrow(UnixStream);
    let data = pattern(2 << 20);
    let expected = data.clone();
    let worker = start(move || {
        let mut slices: Vec<_> = data.chunks(777).map(IoSlice::new).collect();
        let mut rest = &mut slices[..];
        let outcome = Socket::unix_stream(&ours).send_all_vectored(&mut rest, NO_FLAGS);
        outcome.map(|()| rest.len())
    });
    let mut arrived = Vec::new();
    while arrived.len() < expected.len() {
        signal(&worker, INTERRUPTS);
        let part = (expected.len() - arrived.len()).min(50_000);
        arrived.extend(read_exactly(&theirs, part));
    }
    assert!(arrived == expected, "not the same bytes");
    assert_eq!(interrupted(worker, INTERRUPTS).unwrap(), 0, "no slice is left");
}
