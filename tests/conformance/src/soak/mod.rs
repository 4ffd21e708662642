//! Processes that send to each other at full load, with low limits, for a long time. Nothing grows, and everything that
//! was accepted comes.
//!
//! A pair of processes has one session after another. Its sender makes new sockets and passes one of them to its receiver.
//! Both then do what the session's number makes them do by chance. At the end of a session the sender says what was
//! accepted, and the receiver compares it with what came.

mod account;
mod channel;
mod measure;
mod objects;
mod pattern;
mod receiver;
mod report;
mod sender;
mod worker;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid, pipe};
use serde::{Deserialize, Serialize};

use crate::case::Stop;
use crate::child::{self, Outcome};
use crate::explore::Kind;
use crate::machine::{self, Need};
use crate::scene;
use crate::trial::Route;
use channel::Channel;
use objects::Objects;
use pattern::Pattern;
pub use report::Soaked;
use worker::{Report, Stock, Worker};

/// The most processes, beside the one that starts them: OpenBSD allows an ordinary user few.
pub const MOST_PROCESSES: usize = 12;

/// The last session, and the processes, can take this long after the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process is interrupted after each such time, in milliseconds.
const SIGNALS: u16 = 3;

/// A process that is measured has run this long, or a third of the time if that is less.
const WARM_UP: Duration = Duration::from_secs(5);

/// How often a process is measured meanwhile.
const MEASUREMENTS: u32 = 20;

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// From which the choices are made.
    pub seed: u32,
    /// For this time.
    pub time: Duration,
    /// By this many processes: two for each pair.
    pub processes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Role {
    Sender,
    Receiver,
}

/// When the processes measure and end.
#[derive(Debug, Clone, Copy)]
struct Times {
    begin: Instant,
    pause: Duration,
    end: Instant,
}

/// Runs the plan. The caller must have only one thread, because the processes are forks of it.
#[must_use]
pub fn run(plan: &Plan) -> Soaked {
    let outcome = child::run_script(Route::Portable, plan.time + 2 * PATIENCE, |directory| {
        let reports = start_all(plan, directory)?;
        Ok(serde_json::to_string(&reports).expect("it can be written"))
    });
    let told = match outcome {
        Outcome::Observed(told) => serde_json::from_str(&told).map_err(|_| told),
        Outcome::Skipped(reason) => Ok(Told { skipped: vec![reason], ..Told::default() }),
        Outcome::Broken(what) => Err(what),
        Outcome::Hung => Err("it did not end in time".to_owned()),
    };
    Soaked::new(*plan, told.unwrap_or_else(|wrong| Told { wrong: vec![wrong], ..Told::default() }))
}

/// What the process tells that has started the others.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    reports: Vec<Report>,
    skipped: Vec<String>,
    wrong: Vec<String>,
}

/// A process that was started.
struct Started {
    process: Pid,
    name: String,
    report: File,
    told: Vec<u8>,
    ended: Option<WaitStatus>,
}

fn start_all(plan: &Plan, directory: &Path) -> Result<Told, Stop> {
    let mut told = Told::default();
    let kinds = kinds_of_this_machine(&mut told.skipped)?;
    scene::catch_signal(false)?;
    let begin = Instant::now();
    let times = Times {
        begin: begin + WARM_UP.min(plan.time / 3),
        pause: plan.time / MEASUREMENTS,
        end: begin + plan.time,
    };
    let life = pipe()?;
    let pairs = (plan.processes / 2).max(1);
    let mut parent = Parent { plan, kinds: &kinds, pairs, times, directory, life, started: Vec::new() };
    for pair in 0..pairs {
        parent = parent.start_pair(pair)?;
    }
    wait_for_all(&mut parent.started, times.end + PATIENCE, &mut told)?;
    check_what_is_left(directory, &mut told)?;
    Ok(told)
}

fn kinds_of_this_machine(skipped: &mut Vec<String>) -> Result<Vec<Kind>, Stop> {
    let needs = |kind: Kind| match kind {
        Kind::Tcp | Kind::UdpV4 => Need::Loopback,
        Kind::UdpV6 => Need::LoopbackV6,
        Kind::UnixStream => Need::UnixStream,
        Kind::UnixDatagram => Need::UnixDatagram,
        Kind::UnixSeqpacket => Need::UnixSeqpacket,
    };
    // What the processes tell each other goes through a unix stream.
    machine::need(Need::UnixStream)?;
    let mut kinds = Vec::new();
    for kind in Kind::ALL {
        match machine::need(needs(kind)) {
            Ok(()) => kinds.push(kind),
            Err(Stop::Skip(reason)) => skipped.push(format!("{kind:?}: {reason}")),
            Err(stop) => return Err(stop),
        }
    }
    Ok(kinds)
}

/// What the process has that starts the others.
struct Parent<'a> {
    plan: &'a Plan,
    kinds: &'a [Kind],
    pairs: usize,
    times: Times,
    directory: &'a Path,
    /// Both ends of a pipe. The processes end when no process has the second.
    life: (OwnedFd, OwnedFd),
    started: Vec<Started>,
}

/// What a pair is made of.
struct Parts {
    sender: UnixStream,
    receiver: UnixStream,
    pattern: Pattern,
    objects: Objects,
    file: File,
}

impl Parent<'_> {
    /// Starts both processes of a pair.
    fn start_pair(mut self, pair: usize) -> Result<Self, Stop> {
        let (sender, receiver) = UnixStream::pair()?;
        let pattern = Pattern::new(self.plan.seed.into());
        let file = pattern_file(self.directory, &pattern)?;
        let parts = Parts { sender, receiver, pattern, objects: Objects::new(self.directory)?, file };
        let (parent, parts) = self.start(pair, Role::Sender, parts)?;
        self = parent;
        self.start(pair, Role::Receiver, parts).map(|(parent, _)| parent)
    }

    fn start(mut self, pair: usize, role: Role, parts: Parts) -> Result<(Self, Parts), Stop> {
        let (report, tell) = pipe()?;
        // SAFETY: this process has one thread, so the child can use everything that the parent had.
        match unsafe { fork() }.map_err(machine::no_process)? {
            ForkResult::Parent { child } => {
                let name = format!("{role:?} {pair}");
                let report = report.into();
                self.started.push(Started { process: child, name, report, told: Vec::new(), ended: None });
                Ok((self, parts))
            }
            ForkResult::Child => {
                drop(report);
                let report =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.work(pair, role, parts)));
                let told = report.map(|report| serde_json::to_vec(&report).expect("it can be written"));
                let is_told = told.is_ok_and(|told| File::from(tell).write_all(&told).is_ok());
                // SAFETY: it ends the process without running the exit handlers of the parent.
                unsafe { libc::_exit(i32::from(!is_told)) }
            }
        }
    }

    /// Does the work of a process in it, which has nothing of the others.
    fn work(self, pair: usize, role: Role, parts: Parts) -> Report {
        let Self { plan, kinds, pairs, times, life: (life, keep), started, .. } = self;
        drop((keep, started));
        let Parts { sender, receiver, pattern, objects, file } = parts;
        let worker = |end| {
            let channel = Channel::new(end, life);
            Worker { pair, kinds, pairs, seed: plan.seed, times, channel }
        };
        match role {
            Role::Sender => {
                drop(receiver);
                worker(sender).run(role, |_| Stock::Sender(sender::Stock::new(pattern, objects, file)))
            }
            Role::Receiver => {
                drop((sender, file));
                worker(receiver)
                    .run(role, |limit| Stock::Receiver(receiver::Stock::new(pattern, objects, limit)))
            }
        }
    }
}

/// Returns a file of the pattern, which is in the directory for a moment.
fn pattern_file(directory: &Path, pattern: &Pattern) -> Result<File, Stop> {
    let path = directory.join("pattern");
    std::fs::write(&path, pattern.all())?;
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Interrupts the processes by signals until they have ended, and collects their reports.
fn wait_for_all(started: &mut [Started], deadline: Instant, told: &mut Told) -> Result<(), Stop> {
    let parent = getppid();
    let mut turn = 0;
    while started.iter().any(|one| one.ended.is_none()) {
        if Instant::now() > deadline || getppid() != parent {
            told.wrong.extend(stop(started)?);
            break;
        }
        let count = started.len();
        let one = &mut started[turn % count];
        if one.ended.is_none() {
            one.collect(SIGNALS)?;
        }
        turn += 1;
    }
    for one in started {
        match (serde_json::from_slice(&one.told), one.ended) {
            (Ok(report), Some(WaitStatus::Exited(_, 0))) => told.reports.push(report),
            (_, Some(ended)) => told.wrong.push(format!("{}: ended as {ended:?}", one.name)),
            (_, None) => {}
        }
    }
    Ok(())
}

/// Stops the processes that have not ended, and says which they are.
fn stop(started: &mut [Started]) -> Result<Vec<String>, Stop> {
    let mut said = Vec::new();
    for one in started.iter_mut().filter(|one| one.ended.is_none()) {
        kill(one.process, Signal::SIGKILL)?;
        waitpid(one.process, None)?;
        said.push(format!("{}: did not end in time", one.name));
    }
    Ok(said)
}

impl Started {
    /// Waits a moment for the report, and interrupts the process if there is none. Collects the process when the report
    /// has ended.
    fn collect(&mut self, milliseconds: u16) -> Result<(), Stop> {
        if !channel::is_ready(&self.report, PollFlags::POLLIN, milliseconds) {
            // It was not waited for, so the number is its own.
            kill(self.process, Signal::SIGUSR1)?;
            return Ok(());
        }
        let mut buffer = [0; 4096];
        let count = self.report.read(&mut buffer)?;
        self.told.extend_from_slice(&buffer[..count]);
        if count == 0 {
            self.ended = Some(waitpid(self.process, None)?);
        }
        Ok(())
    }
}

/// No process and no file is left.
fn check_what_is_left(directory: &Path, told: &mut Told) -> Result<(), Stop> {
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Err(nix::Error::ECHILD) => {}
        left => told.wrong.push(format!("a process is left: {left:?}")),
    }
    let left = std::fs::read_dir(directory)?.count();
    if left > 0 {
        told.wrong.push(format!("{left} files are left in the temporary directory"));
    }
    Ok(())
}
