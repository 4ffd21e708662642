//! Clauses I1 to I5: signals, time limits, and a peer that goes away, during a send that waits.
//!
//! A signal is sent again and again to the sending thread until its call returns, so that no test depends on
//! the right moment. A signal that comes before the call has no effect.

mod sockets;

use std::io::{IoSlice, Write};
use std::os::unix::thread::JoinHandleExt;
use std::sync::Once;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rstest::rstest;
use sockets::{
    Call, NO_FLAGS, OPENBSD, Pair, close_with_reset, differs, fill, fill_for_sendfile, finished, narrow,
    pattern, read_exactly, received, set_buffer, set_send_timeout, transfer_all, wait_readable,
};
use unisend::ErrorKind::{self, *};
use unisend::SocketKind::{self, *};
use unisend::{Error, Message, Offset, SendAllError, SocketRef};

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

/// A pair whose sender has no room, whatever the call.
fn full(kind: SocketKind) -> Pair {
    let pair = Pair::new(kind);
    fill_for_sendfile(&pair.socket(), &[7; 500]);
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
    assert_eq!((error.kind(), error.kernel_errno()), (Interrupted, Some(libc::EINTR)), "{error}");
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
            (error.kind(), error.kernel_errno()),
            (WouldBlock, Some(libc::EAGAIN)),
            "{call:?}: {error}"
        );
        // The kernel counts ticks of up to 10 ms, and the first is not a whole one.
        assert!(outcome.1 >= TIMEOUT / 2, "{call:?} did not wait: {:?}", outcome.1);
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

/// The loops, which have one rule for time limits.
#[derive(Debug, Clone, Copy)]
enum Loop {
    Bytes,
    Slices,
    Message,
    File,
    FileByCopying,
}

impl Loop {
    /// Does something with each, side by side: most of it is waiting.
    fn each(work: impl Fn(Self) + Sync) {
        thread::scope(|scope| {
            for how in [Self::Bytes, Self::Slices, Self::Message, Self::File, Self::FileByCopying] {
                let work = &work;
                scope.spawn(move || work(how));
            }
        });
    }

    /// Sends all the bytes; how many were accepted before an error, and its kind.
    fn run(self, socket: &SocketRef<'_>, data: &[u8]) -> Result<(), (u64, ErrorKind)> {
        let (first, second) = data.split_at(data.len() / 3);
        let mut slices = [IoSlice::new(first), IoSlice::new(second)];
        let stopped = |stopped: SendAllError| (stopped.accepted() as u64, stopped.kind());
        let file = || {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(data).unwrap();
            file
        };
        let (length, mut start) = (data.len() as u64, 0);
        let sent = |outcome: Result<u64, SendAllError<u64>>| match outcome {
            Ok(sent) => {
                assert_eq!(sent, length);
                Ok(())
            }
            Err(stopped) => Err((stopped.accepted(), stopped.kind())),
        };
        let at = Offset::At(&mut start);
        match self {
            Self::Bytes => socket.send_all(data, NO_FLAGS).map_err(stopped),
            Self::Slices => socket.send_all_vectored(&mut &mut slices[..], NO_FLAGS).map_err(stopped),
            Self::Message => Message::new(&mut slices).send_all(socket, NO_FLAGS).map_err(stopped),
            Self::File => sent(transfer_all(*socket, file(), at, length, None)),
            Self::FileByCopying => {
                sent(transfer_all(*socket, file(), at, length, Some(&mut vec![0; 10_000])))
            }
        }
    }
}

/// How often a signal comes, and a slow reader reads.
const NOW_AND_THEN: Duration = Duration::from_millis(100);

/// On Linux the limit runs from the first signal on, so that the loop ends long before the signals do. "Differs": on
/// OpenBSD each begins it again.
#[rstest]
fn i4b_signals_do_not_extend_a_time_limit(#[values(Tcp, UnixStream)] kind: SocketKind) {
    Loop::each(|how| is_not_extended_by_signals(kind, how));
}

fn is_not_extended_by_signals(kind: SocketKind, how: Loop) {
    const LIMIT: Duration = Duration::from_millis(500);
    let pair = full(kind);
    set_send_timeout(&pair.ours, LIMIT);
    let worker = start(move || {
        let started = Instant::now();
        (how.run(&pair.socket(), &[8; 500]), started.elapsed(), pair)
    });
    let started = Instant::now();
    let signalled_for = if OPENBSD { 4 * LIMIT } else { 10 * LIMIT };
    while !worker.is_finished() && started.elapsed() < signalled_for {
        signal(&worker, INTERRUPTS);
        thread::sleep(NOW_AND_THEN);
    }
    assert_eq!(worker.is_finished(), !OPENBSD, "{how:?}: while signals come, after {:?}", started.elapsed());
    let (outcome, elapsed, _pair) = finished(worker, |_| {});
    assert_eq!(outcome, Err((0, WouldBlock)), "{how:?}");
    assert!(elapsed >= LIMIT, "it did not wait: {elapsed:?}");
}

/// A signal that comes while the loop waits for room does not end the wait, and so begins no limit anew.
#[cfg(target_os = "linux")]
#[test]
fn i4b_a_signal_just_before_the_limit_does_not_extend_it() {
    const LIMIT: Duration = Duration::from_secs(2);
    Loop::each(|how| {
        let pair = full(UnixStream);
        set_send_timeout(&pair.ours, LIMIT);
        let worker = start(move || {
            let started = Instant::now();
            (how.run(&pair.socket(), &[8; 500]), started.elapsed(), pair)
        });
        for _ in 0..2 {
            thread::sleep(LIMIT * 9 / 10);
            signal(&worker, INTERRUPTS);
        }
        let (outcome, elapsed, _pair) = finished(worker, |_| {});
        assert_eq!(outcome, Err((0, WouldBlock)), "{how:?}");
        // 1.9 times the limit, and 2.8 times if the second signal began it again.
        assert!(elapsed < LIMIT * 5 / 2, "{how:?}: {elapsed:?}");
    });
}

/// Each part that is accepted begins the limit again, with signals or without: a slow reader keeps a loop going for
/// longer than the limit.
#[rstest]
fn i4b_the_limit_is_of_each_part(
    #[values(Tcp, UnixStream)] kind: SocketKind,
    #[values(false, true)] with_signals: bool,
) {
    // Much more than the buffers hold: on pages of 64 KiB that is near 1 MiB.
    let data = pattern(8 << 20);
    Loop::each(|how| {
        let attempts = 5;
        let goes_on = (0..attempts).any(|_| goes_on_with_a_slow_reader(kind, how, with_signals, &data));
        assert!(goes_on, "{how:?}: too long between two parts in each of {attempts} attempts");
    });
}

/// Whether that was seen. Where nothing comes for too long, the loop is right to end: a machine can stand still, as an emulated
/// one does beside others, and TCP can wait for a timer.
fn goes_on_with_a_slow_reader(kind: SocketKind, how: Loop, with_signals: bool, data: &[u8]) -> bool {
    const LIMIT: Duration = Duration::from_millis(1500);
    // Room for several of loopback's segments of 64 KiB: with less, TCP waits for its timers each time.
    const ROOM: libc::c_int = 200_000;
    let Pair { ours, theirs, .. } = Pair::new(kind);
    set_buffer(&ours, libc::SO_SNDBUF, ROOM);
    set_buffer(&theirs, libc::SO_RCVBUF, ROOM);
    set_send_timeout(&ours, LIMIT);
    let sent = data.to_vec();
    let worker = start(move || {
        let started = Instant::now();
        (how.run(&sockets::declared(kind, &ours), &sent), started.elapsed())
    });
    let mut arrived = Vec::new();
    let (mut last, mut slowest) = (Instant::now(), Duration::ZERO);
    loop {
        // The first ends a part, the others a call of which nothing is accepted: there the limit begins.
        for _ in 0..3 {
            thread::sleep(NOW_AND_THEN / 4);
            if with_signals {
                signal(&worker, INTERRUPTS);
            }
        }
        wait_readable(&theirs);
        let part = received(&theirs).unwrap();
        if part.is_empty() {
            break;
        }
        arrived.extend(part);
        slowest = slowest.max(last.elapsed());
        last = Instant::now();
    }
    let (outcome, elapsed) = finished(worker, |_| {});
    if outcome.is_err() && slowest > LIMIT / 2 {
        return false;
    }
    assert_eq!(outcome, Ok(()), "{how:?} after {elapsed:?}, with {slowest:?} from one part to the next");
    assert!(arrived == data, "not the same bytes");
    assert!(elapsed > LIMIT, "it took no longer than one limit: {elapsed:?}");
    true
}

/// The limit is none of a socket that does not wait.
#[test]
fn i4b_who_does_not_wait_has_no_limit() {
    Loop::each(|how| {
        let pair = full(UnixStream);
        set_send_timeout(&pair.ours, 4 * sockets::PATIENCE);
        sockets::set_nonblocking(&pair.ours, true);
        let outcome = sockets::bounded(move || how.run(&pair.socket(), &[8; 500]));
        assert_eq!(outcome, Err((0, WouldBlock)), "{how:?}");
    });
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
    let worker = start(move || (SocketRef::unix_seqpacket(&ours).send_all(&[8; 500], NO_FLAGS), ours));
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
        let outcome = SocketRef::unix_stream(&ours).send_all_vectored(&mut rest, NO_FLAGS);
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
