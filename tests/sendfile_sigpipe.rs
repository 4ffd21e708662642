//! SIGPIPE and sendfile: a SIGPIPE that a call raises never reaches the process, and no call keeps one
//! that others send.
//!
//! Each case runs in its own process, which is this test program with one test, `child`, and the case in its
//! environment. Every child makes hundreds of calls whose peer is gone or goes away, in several threads. A
//! plain write(2) kills such a process, which shows that the other children could die.

mod sockets;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output as Ended, Stdio};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use rstest::rstest;
use sockets::{Pair, differs};
use unisend::SocketKind::{Tcp, UnixStream};
use unisend::{Error, Offset, Output, SigpipeGuard, SocketRef, sendfile};

const CASE: &str = "UNISEND_SENDFILE_SIGPIPE_CASE";
const SURVIVED: &str = "survived SIGPIPE";

/// How many signals another thread sends, and how many rounds of calls each thread of a child makes: few enough
/// connections that OpenBSD's kernel, which can lose one in some 30,000, seldom does.
const ROUNDS: usize = 500;
const TCP_ROUNDS: usize = 50;
const THREADS: usize = 4;

/// How many signals another process sends: one in some hundreds comes while a call is cut short. What becomes of each
/// then is tested without chance in `platform/native/sigpipe.rs`.
const SIGNALS: usize = 4000;

/// More than a pipe or a unix stream takes, so that a call is still on its way when its reader goes.
const LENGTH: u64 = 512 << 10;

// What a process can have made of SIGPIPE.

static HANDLED: AtomicUsize = AtomicUsize::new(0);
/// Where the handler writes a byte, so that another process knows; or -1.
static ACKNOWLEDGE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn count(_: libc::c_int) {
    HANDLED.fetch_add(1, SeqCst);
    let to = ACKNOWLEDGE.load(SeqCst);
    if to >= 0 {
        // SAFETY: write(2) is safe in a handler; the pointer and length are one array's.
        unsafe { libc::write(to, [1_u8].as_ptr().cast(), 1) };
    }
}

fn set_disposition(handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler, if there is one, does what is safe in one.
    unsafe { sigaction(Signal::SIGPIPE, &action) }.unwrap();
}

/// What the disposition is, and what it was left as.
fn disposition() -> libc::sighandler_t {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: it changes nothing, and fills the structure.
    let returned = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr()) };
    assert_eq!(returned, 0);
    // SAFETY: it was filled.
    unsafe { action.assume_init() }.sa_sigaction
}

fn sigpipe() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGPIPE);
    set
}

fn block(how: SigmaskHow) {
    sigpipe().thread_swap_mask(how).unwrap();
}

fn is_blocked() -> bool {
    SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE)
}

fn is_pending() -> bool {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: it fills the set.
    let returned = unsafe { libc::sigpending(set.as_mut_ptr()) };
    assert_eq!(returned, 0);
    // SAFETY: it was filled.
    unsafe { libc::sigismember(set.as_ptr(), libc::SIGPIPE) == 1 }
}

/// Sends a SIGPIPE to this thread.
fn raise() {
    send_to_thread(this_thread());
}

fn this_thread() -> libc::pthread_t {
    // SAFETY: it takes nothing, and cannot fail.
    unsafe { libc::pthread_self() }
}

/// Sends a SIGPIPE to a thread, which must still be there.
fn send_to_thread(thread: libc::pthread_t) {
    // SAFETY: it only sends a signal.
    assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGPIPE) }, 0);
}

// What is done again and again.

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Best,
    Copying,
    All,
    /// As the best, under guards of the thread.
    Guarded,
}

const WAYS: [Way; 4] = [Way::Best, Way::Copying, Way::All, Way::Guarded];

#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    Tcp,
    Unix,
    Pipe,
}

const OUTPUTS: [To; 3] = [To::Tcp, To::Unix, To::Pipe];

fn named<T: Copy + std::fmt::Debug>(all: &[T], name: &str) -> T {
    *all.iter().find(|item| format!("{item:?}") == name).unwrap()
}

fn ends(to: To) -> (OwnedFd, OwnedFd) {
    match to {
        To::Tcp => {
            let Pair { ours, theirs, .. } = Pair::new(Tcp);
            (ours, theirs)
        }
        To::Unix => {
            let Pair { ours, theirs, .. } = Pair::new(UnixStream);
            (ours, theirs)
        }
        To::Pipe => {
            let (theirs, ours) = nix::unistd::pipe().unwrap();
            (ours, theirs)
        }
    }
}

fn output(to: To, fd: &OwnedFd) -> Output<'_> {
    match to {
        To::Tcp => SocketRef::tcp(fd).into(),
        To::Unix => SocketRef::unix_stream(fd).into(),
        To::Pipe => Output::file(fd),
    }
}

fn send(way: Way, to: To, fd: &OwnedFd, file: &File, count: u64) -> Result<u64, Error> {
    let mut start = 0;
    let offset = Offset::At(&mut start);
    match way {
        Way::Best => sendfile(output(to, fd), file, offset, count),
        Way::Copying => sockets::transfer(output(to, fd), file, offset, count, Some(&mut [0; 100_000])),
        Way::All => sockets::transfer_all(output(to, fd), file, offset, count, None).map_err(Error::from),
        Way::Guarded => {
            let (first, _second) = (SigpipeGuard::new(), SigpipeGuard::new());
            let sent = sendfile(output(to, fd), file, offset, count);
            drop(first);
            assert!(is_blocked());
            sent
        }
    }
}

fn file() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LENGTH).unwrap();
    file
}

/// A peer that was gone before the call. TCP takes what a segment holds, and learns of it by that: mostly a count
/// and a signal in one call (clause X12).
fn to_one_who_is_gone(way: Way, to: To, file: &File) {
    let (ours, theirs) = ends(to);
    drop(theirs);
    send_until_gone(way, to, &ours, file);
}

/// A peer that goes while the call waits for room.
fn to_one_who_goes(way: Way, to: To, file: &File) {
    let (ours, theirs) = ends(to);
    let reader = thread::spawn(move || {
        let _ = File::from(theirs).read(&mut [0; 5000]);
    });
    send_until_gone(way, to, &ours, file);
    reader.join().unwrap();
}

/// Sends until it fails, and once more: the first failure may take a pending error.
fn send_until_gone(way: Way, to: To, ours: &OwnedFd, file: &File) {
    let deadline = Instant::now() + sockets::PATIENCE;
    while send(way, to, ours, file, LENGTH).is_ok() {
        assert!(Instant::now() < deadline, "it goes on succeeding");
    }
    let again = send(way, to, ours, file, LENGTH).unwrap_err();
    assert!(again.peer_gone(), "{again}");
}

/// Calls that are cut short and raise nothing: the end of the file, and an output that is full.
fn cut_short(way: Way, to: To, file: &File) {
    let (ours, _theirs) = ends(to);
    sockets::set_nonblocking(&ours, true);
    let mut offset = LENGTH - 10;
    assert_eq!(sendfile(output(to, &ours), file, Offset::At(&mut offset), 1000), Ok(10));
    for _ in 0..50 {
        let _ = send(way, to, &ours, file, LENGTH + 1);
    }
}

fn rounds(way: Way, to: To, check: impl Fn()) {
    let file = file();
    let rounds = if to == To::Tcp { TCP_ROUNDS } else { ROUNDS };
    for round in 0..rounds {
        to_one_who_is_gone(way, to, &file);
        if round % 8 == 0 {
            to_one_who_goes(way, to, &file);
        }
        check();
    }
}

/// The rounds, in threads side by side, each begun by `before` and ended by `after`.
fn in_threads(way: Way, to: To, before: impl Fn() + Sync, check: impl Fn() + Sync, after: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                before();
                rounds(way, to, &check);
                after();
            });
        }
    });
}

// The child.

#[test]
#[ignore = "the other tests start it, each in a process of its own"]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    set_disposition(SigHandler::SigDfl);
    block(SigmaskHow::SIG_UNBLOCK);
    match *case.split(' ').collect::<Vec<_>>() {
        ["plain", to] => {
            let to = named(&OUTPUTS, to);
            let (ours, theirs) = ends(to);
            drop(theirs);
            for _ in 0..3 {
                plainly(&ours, &file());
            }
        }
        ["default", way, to] => {
            in_threads(named(&WAYS, way), named(&OUTPUTS, to), || {}, || assert!(!is_blocked()), || {});
            assert_eq!(disposition(), libc::SIG_DFL);
        }
        ["ignored", way, to] => {
            set_disposition(SigHandler::SigIgn);
            let untouched = || assert!(!is_blocked() && !is_pending());
            in_threads(named(&WAYS, way), named(&OUTPUTS, to), || {}, untouched, || {});
            assert_eq!(disposition(), libc::SIG_IGN);
        }
        ["handled", way, to] => {
            set_disposition(SigHandler::Handler(count));
            let handler = disposition();
            let untouched = || assert!(!is_blocked() && HANDLED.load(SeqCst) == 0);
            in_threads(named(&WAYS, way), named(&OUTPUTS, to), || {}, untouched, || {});
            assert_eq!(disposition(), handler);
            raise();
            assert_eq!(HANDLED.load(SeqCst), 1);
        }
        ["blocked", way, to] => {
            let untouched = || assert!(is_blocked() && !is_pending());
            let before = || block(SigmaskHow::SIG_BLOCK);
            in_threads(named(&WAYS, way), named(&OUTPUTS, to), before, untouched, || {});
        }
        ["pending", way, to] => {
            set_disposition(SigHandler::Handler(count));
            // As the kernel raises it, which is how the calls below would too.
            let before = || {
                block(SigmaskHow::SIG_BLOCK);
                let (reader, writer) = nix::unistd::pipe().unwrap();
                drop(reader);
                nix::unistd::write(&writer, b"x").unwrap_err();
                assert!(is_pending());
            };
            let untouched = || assert!(is_blocked() && is_pending());
            let after = || block(SigmaskHow::SIG_UNBLOCK);
            in_threads(named(&WAYS, way), named(&OUTPUTS, to), before, untouched, after);
            assert_eq!(HANDLED.load(SeqCst), THREADS, "each thread's own, once");
        }
        ["process", way, to] => {
            with_one_thread(|| from_a_process(named(&WAYS, way), named(&OUTPUTS, to)), |_| {});
        }
        #[cfg(target_os = "linux")]
        ["crowd", way, to] => {
            block(SigmaskHow::SIG_BLOCK);
            with_one_thread(|| beside_other_threads(named(&WAYS, way), named(&OUTPUTS, to)), |_| {});
        }
        #[cfg(target_os = "linux")]
        ["both"] => to_both_the_thread_and_the_process(),
        ["thread", way, to] => from_a_thread(named(&WAYS, way), named(&OUTPUTS, to)),
        _ => panic!("no such case: {case}"),
    }
    println!("{SURVIVED}");
}

/// The same without unisend.
fn plainly(ours: &OwnedFd, file: &File) {
    #[cfg(target_os = "linux")]
    // SAFETY: the descriptors are open, and without an offset no memory is touched.
    let sent =
        unsafe { libc::sendfile(ours.as_raw_fd(), file.as_raw_fd(), std::ptr::null_mut(), 300_000) as i64 };
    #[cfg(not(target_os = "linux"))]
    let sent = {
        let _ = file;
        nix::unistd::write(ours, &[0; 300_000]).map_or(-1, |count| count as i64)
    };
    println!("a plain call returned {sent}");
}

/// Does something in a process that has one thread, so that what is blocked on it is pending, and not another
/// thread's to handle. It ends when that is done, and must not have panicked.
fn with_one_thread(work: impl FnOnce(), meanwhile: impl FnOnce(nix::unistd::Pid)) {
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    // SAFETY: this process's other thread waits for this one and holds nothing that is used here.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => {
            meanwhile(child);
            let ended = waitpid(child, None).unwrap();
            assert!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
        }
        ForkResult::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            std::process::exit(outcome.is_err().into());
        }
    }
}

/// Sends until the parent, which sends SIGPIPE to this process and waits for each to be handled, has had enough:
/// it closes standard input.
fn from_a_process(way: Way, to: To) {
    println!("ready {}", std::process::id());
    ACKNOWLEDGE.store(std::io::stdout().as_raw_fd(), SeqCst);
    set_disposition(SigHandler::Handler(count));
    println!();
    let file = file();
    sockets::set_nonblocking(&std::io::stdin(), true);
    while nix::unistd::read(std::io::stdin(), &mut [0]) != Ok(0) {
        cut_short(way, to, &file);
        // OpenBSD's sigwait(2) cannot tell this process's own from one that was sent to it meanwhile.
        if differs(true, to != To::Pipe) {
            to_one_who_is_gone(way, to, &file);
        }
        assert!(!is_blocked());
    }
}

/// Sends in threads side by side, and in another one waits for what the parent sends to this process, which is
/// blocked everywhere: each comes, and as sent by the parent. OpenBSD's sigwait(2) does not tell who sent it.
#[cfg(target_os = "linux")]
fn beside_other_threads(way: Way, to: To) {
    let file = file();
    println!("ready {}\n", std::process::id());
    for _ in 0..THREADS - 1 {
        let file = file.try_clone().unwrap();
        thread::spawn(move || {
            loop {
                cut_short(way, to, &file);
            }
        });
    }
    let mut parent = None;
    sockets::set_nonblocking(&std::io::stdin(), true);
    while nix::unistd::read(std::io::stdin(), &mut [0]) != Ok(0) {
        if let Some(sender) = wait_for_sigpipe() {
            assert_eq!(sender, *parent.get_or_insert(sender), "who it is said to come from");
            assert_ne!(sender, std::process::id() as libc::pid_t);
            nix::unistd::write(std::io::stdout(), &[1]).unwrap();
        }
    }
}

/// Takes a SIGPIPE that comes within a moment, and says who sent it.
#[cfg(target_os = "linux")]
fn wait_for_sigpipe() -> Option<libc::pid_t> {
    let moment = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the pointers are to a set and a time, which are only read, and to room for what is filled.
    let taken = unsafe { libc::sigtimedwait(sigpipe().as_ref(), info.as_mut_ptr(), &raw const moment) };
    // SAFETY: every bit is a value, and was set.
    let info = unsafe { info.assume_init() };
    // SAFETY: a SIGPIPE that was sent says by whom.
    (taken == libc::SIGPIPE).then(|| unsafe { info.si_pid() })
}

/// Two are sent in one call, one to the thread and one to the process: neither stands for the other. Both come while
/// more is left than the pipe takes twice, so that at least one part that is cut short, after which a SIGPIPE is taken,
/// follows each.
#[cfg(target_os = "linux")]
fn to_both_the_thread_and_the_process() {
    use nix::fcntl::{FcntlArg, fcntl};

    let (mut reader, writer) = nix::unistd::pipe().map(|(read, write)| (File::from(read), write)).unwrap();
    let capacity = fcntl(&writer, FcntlArg::F_GETPIPE_SZ).unwrap() as u64;
    let (part, length) = (3 * capacity, 12 * capacity);
    let writes = || {
        set_disposition(SigHandler::Handler(count));
        let file = tempfile::tempfile().unwrap();
        file.set_len(length).unwrap();
        let sent = sockets::transfer_all(Output::file(&writer), file, Offset::At(&mut 0), length, None);
        assert_eq!((sent, HANDLED.load(SeqCst)), (Ok(length), 2));
    };
    with_one_thread(writes, |child| {
        let mut read = |bytes: u64| reader.read_exact(&mut vec![0; bytes as usize]).unwrap();
        read(part); // it is in its call
        let number = child.as_raw();
        // SAFETY: it only sends a signal, to a thread that is there as long as its process.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, number, number, libc::SIGPIPE) };
        assert_eq!(sent, 0);
        read(part);
        nix::sys::signal::kill(child, Signal::SIGPIPE).unwrap();
        read(length - 2 * part);
    });
}

/// Makes calls that raise none while another thread sends SIGPIPE to this one, and waits for each to be handled. (Of one
/// that comes while a call's own is pending the kernel keeps one, as the documentation of `sendfile` says.)
fn from_a_thread(way: Way, to: To) {
    set_disposition(SigHandler::Handler(count));
    let file = file();
    let target = this_thread() as usize;
    let sender = thread::spawn(move || {
        block(SigmaskHow::SIG_BLOCK);
        for sent in 1..=ROUNDS {
            send_to_thread(target as libc::pthread_t);
            let deadline = Instant::now() + sockets::PATIENCE;
            while HANDLED.load(SeqCst) < sent {
                assert!(Instant::now() < deadline, "signal {sent} was never delivered");
                thread::yield_now();
            }
        }
    });
    while !sender.is_finished() {
        cut_short(way, to, &file);
    }
    sender.join().unwrap();
    assert_eq!(HANDLED.load(SeqCst), ROUNDS);
}

// The tests.

fn command(case: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"]).env(CASE, case);
    child
}

fn survives(case: &str) {
    let ended = command(case).output().unwrap();
    assert_survived(case, &ended);
}

fn assert_survived(case: &str, ended: &Ended) {
    let said = String::from_utf8_lossy(&ended.stdout);
    let complained = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{case}: {}\n{said}\n{complained}", ended.status);
    assert!(said.contains(SURVIVED), "{case} did not run\n{said}\n{complained}");
}

/// Otherwise the other tests would show nothing.
#[rstest]
fn a_plain_call_does_kill(#[values(To::Tcp, To::Unix, To::Pipe)] to: To) {
    let ended = command(&format!("plain {to:?}")).output().unwrap();
    assert_eq!(ended.status.signal(), Some(libc::SIGPIPE), "{ended:?}");
}

#[rstest]
fn none_gets_out_and_all_is_left_as_it_was(
    #[values("default", "ignored", "handled", "blocked", "pending")] disposition: &str,
    #[values(Way::Best, Way::Copying, Way::All, Way::Guarded)] way: Way,
    #[values(To::Tcp, To::Unix, To::Pipe)] to: To,
) {
    survives(&format!("{disposition} {way:?} {to:?}"));
}

/// Thousands of signals, each at whatever the child was doing then: before, during and after its calls.
#[rstest]
fn one_that_another_process_sends_is_delivered(
    #[values(Way::Best, Way::Copying, Way::All, Way::Guarded)] way: Way,
    #[values(To::Tcp, To::Unix, To::Pipe)] to: To,
) {
    each_is_acknowledged(&format!("process {way:?} {to:?}"));
}

#[cfg(target_os = "linux")]
#[rstest]
fn one_is_delivered_that_another_process_sends_while_threads_send_side_by_side(
    #[values(Way::Best, Way::Copying, Way::All, Way::Guarded)] way: Way,
    #[values(To::Unix, To::Pipe)] to: To,
) {
    each_is_acknowledged(&format!("crowd {way:?} {to:?}"));
}

#[cfg(target_os = "linux")]
#[test]
fn one_to_the_thread_and_one_to_the_process_are_both_delivered() {
    survives("both");
}

fn each_is_acknowledged(case: &str) {
    let mut child = command(case).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = child.stdout.take().unwrap();
    let pid = read_until_ready(&mut said);
    for sent in 1..=SIGNALS {
        nix::sys::signal::kill(pid, Signal::SIGPIPE).unwrap();
        let arrived = sockets::polled(&said, nix::poll::PollFlags::POLLIN, sockets::PATIENCE);
        if arrived.is_empty() {
            let _ = child.kill();
            panic!("{case}: signal {sent} was never delivered");
        }
        let mut acknowledged = [0; 1];
        assert_eq!(said.read(&mut acknowledged).unwrap(), 1, "{case}: it ended at signal {sent}");
        assert_eq!(acknowledged, [1], "{case}");
    }
    child.stdin.take().unwrap().flush().unwrap(); // and closed
    let mut rest = Vec::new();
    said.read_to_end(&mut rest).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{case}: {status}");
    assert!(!rest.contains(&1), "{case}: more were handled than sent");
    assert!(String::from_utf8_lossy(&rest).contains(SURVIVED), "{case}");
}

/// Until the process that sends has its handler, which is at the empty line after its word; which process it is.
fn read_until_ready(said: &mut impl Read) -> nix::unistd::Pid {
    let mut text = String::new();
    while !text.ends_with("\n\n") || !text.contains("ready ") {
        let mut byte = [0];
        said.read_exact(&mut byte).unwrap();
        text.push(byte[0].into());
    }
    let number = text.trim_end().rsplit(' ').next().unwrap();
    nix::unistd::Pid::from_raw(number.parse().unwrap())
}

/// Hundreds of signals, each at whatever the child was doing then.
#[rstest]
fn one_that_another_thread_sends_in_a_call_that_raises_none_is_delivered(
    #[values(Way::Best, Way::Copying, Way::All, Way::Guarded)] way: Way,
    #[values(To::Tcp, To::Unix, To::Pipe)] to: To,
) {
    survives(&format!("thread {way:?} {to:?}"));
}
