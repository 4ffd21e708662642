//! A process of its own for one run of a case, and what it tells of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use unisend::{Error, SendAllError};

use super::supervisor::{Planned, Watched, supervise};

/// What the call of a case returned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// How much it said was accepted or received.
    pub(crate) accepted: u64,
    pub(crate) error: Option<Error>,
}

impl Told {
    pub(crate) fn done(accepted: u64) -> Self {
        Self { accepted, error: None }
    }

    /// What a call that returns a count, or nothing but success, told.
    pub(crate) fn once<T>(outcome: Result<T, Error>, accepted: impl FnOnce(T) -> u64) -> Self {
        match outcome {
            Ok(value) => Self::done(accepted(value)),
            Err(error) => Self { accepted: 0, error: Some(error) },
        }
    }

    /// What a loop told that was to send so much.
    pub(crate) fn all<T>(outcome: Result<T, SendAllError>, whole: usize) -> Self {
        match outcome {
            Ok(_) => Self::done(whole as u64),
            Err(stopped) => Self { accepted: stopped.accepted() as u64, error: Some(stopped.error()) },
        }
    }
}

/// What the process reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) accepted: u64,
    /// The kind of the error and its errno.
    pub(crate) error: Option<(String, Option<i32>)>,
    /// What was wrong with the bytes, the descriptors or the signals.
    pub(crate) complaints: Vec<String>,
}

/// How long a run may take, in seconds. Nothing takes nearly as long, on a slow and busy machine neither.
const PATIENCE: libc::c_uint = 20;

/// The last words of a process that panicked.
static LAST_WORDS: Mutex<String> = Mutex::new(String::new());

/// Runs a case in a process of its own, which is supervised from its first mark to its second.
pub(crate) fn run(
    script: &dyn Fn(&Stage) -> Told,
    plan: &[Planned],
    position_fails: bool,
) -> (Watched, Result<Report, String>) {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    // SAFETY: the one other thread that this process can have, the test's main thread, only waits.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            nix::unistd::alarm::set(PATIENCE);
            let told = in_child(script, position_fails);
            let written = fs::File::from(writer).write_all(told.as_bytes());
            // SAFETY: it ends the child without running the exit handlers of the parent.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let watched = supervise(child, plan).unwrap();
            let ended = waitpid(child, None);
            let mut told = vec![0; libc::PIPE_BUF];
            let length = nix::unistd::read(&reader, &mut told).unwrap_or(0);
            told.truncate(length);
            let report = String::from_utf8(told).ok().and_then(|told| parse(&told));
            (watched, report.ok_or_else(|| format!("it gave no report: {ended:?}")))
        }
    }
}

fn in_child(script: &dyn Fn(&Stage) -> Told, position_fails: bool) -> String {
    std::panic::set_hook(Box::new(|panic| *LAST_WORDS.lock().unwrap() = panic.to_string()));
    let stage = Stage { position_fails, complaints: Mutex::new(Vec::new()) };
    // A panic must not leave this function: the parent's frames are below it.
    let told = catch_unwind(AssertUnwindSafe(|| {
        prepare();
        script(&stage)
    }));
    let mut complaints = stage.complaints.into_inner().unwrap();
    let told = told.unwrap_or_else(|_| {
        complaints.push(LAST_WORDS.lock().unwrap().clone());
        Told::done(0)
    });
    let error = told.error.map_or("no error".to_owned(), |error| {
        let errno = error.kernel_errno().map_or("-".to_owned(), |errno| errno.to_string());
        format!("{:?} {errno}", error.kind())
    });
    if told.error.is_some_and(|error| error.may_have_sent()) {
        complaints.push("it may have sent more, which Linux always says".to_owned());
    }
    let complaints: String = complaints.iter().map(|line| line.replace('\n', " ") + "\n").collect();
    let mut told = format!("{}\n{error}\n{complaints}", told.accepted);
    told.truncate(libc::PIPE_BUF);
    told
}

fn prepare() {
    // SAFETY: the default disposition runs no code of this process.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
    nix::sys::ptrace::traceme().expect("ptrace(2) is permitted");
}

fn parse(told: &str) -> Option<Report> {
    let mut lines = told.lines();
    let accepted = lines.next()?.parse().ok()?;
    let error = match lines.next()? {
        "no error" => None,
        error => {
            let (kind, errno) = error.split_once(' ')?;
            Some((kind.to_owned(), errno.parse().ok()))
        }
    };
    Some(Report { accepted, error, complaints: lines.map(str::to_owned).collect() })
}

/// Where the script of a case makes its call.
pub(crate) struct Stage {
    /// Whether the call is not told where the file's position is, as a fault of this run has it.
    pub(crate) position_fails: bool,
    complaints: Mutex<Vec<String>>,
}

impl Stage {
    /// Makes the call between the marks. What the process has is compared before and after.
    pub(crate) fn between_marks<T>(&self, call: impl FnOnce() -> T) -> T {
        let (process, thread) = (nix::unistd::getpid(), nix::unistd::gettid());
        let before = Belongings::now();
        mark(process, thread);
        let outcome = call();
        mark(process, thread);
        let after = Belongings::now();
        self.complaints.lock().unwrap().extend(before.differences(&after));
        outcome
    }
}

/// Stops this process for its supervisor. The first stop begins what is watched, and the second, of which the
/// supervisor makes no call, ends it.
fn mark(process: Pid, thread: Pid) {
    // SAFETY: it only sends a signal, to this thread.
    unsafe { libc::syscall(libc::SYS_tgkill, process.as_raw(), thread.as_raw(), libc::SIGSTOP) };
}

/// What a call must leave as it was: what each open descriptor refers to, the signals that are blocked, and those that are
/// pending for the thread and for the process.
struct Belongings(BTreeMap<String, String>);

impl Belongings {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines = status.lines().filter_map(|line| line.split_once(':'));
        let signals = lines.filter(|(name, _)| ["SigBlk", "SigPnd", "ShdPnd"].contains(name));
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
            let entry = entry.unwrap();
            let refers_to = entry.path().read_link().ok()?.to_string_lossy().into_owned();
            // The descriptor of the folder itself is closed again.
            let is_folder = refers_to.ends_with("/fd");
            (!is_folder).then(|| (format!("descriptor {}", entry.file_name().to_string_lossy()), refers_to))
        });
        let signals = signals.map(|(name, set)| (name.to_owned(), set.trim().to_owned()));
        Self(signals.chain(descriptors).collect())
    }

    fn differences(&self, after: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        let both = names.into_iter().map(|name| (name, self.0.get(name), after.0.get(name)));
        both.filter(|(_, before, after)| before != after)
            .map(|(name, before, after)| format!("{name} was {before:?} and is {after:?}"))
            .collect()
    }
}
