//! A child process for one run of a script. SIGPIPE has its default disposition, only the standard descriptors
//! are open, the limits are known, the run has its own directory, and it always ends.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe, setpgid};
use serde::{Deserialize, Serialize};

use crate::case::{Case, Stop};
use crate::machine::{self, DESCRIPTOR_LIMIT};
use crate::raw;
use crate::trial::{Route, Trial};

/// How a run ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It showed this.
    Observed(String),
    /// It could not be run here, for this reason.
    Skipped(String),
    /// It did not reach its end, for this reason.
    Broken(String),
    /// It reached its time limit.
    Hung,
}

/// Runs a case by one route in a child process, within a time limit. The caller must have only one thread,
/// because the child is a fork of it.
pub(crate) fn run(case: &Case, route: Route, time_limit: Duration) -> Outcome {
    run_script(route, time_limit, |directory| {
        let mut trial = Trial::new(route, directory.to_path_buf());
        (case.script)(&mut trial)?;
        Ok(trial.into_observed())
    })
}

/// The same with any script, which gets a directory of its own and returns what it observed.
pub(crate) fn run_script(
    route: Route,
    time_limit: Duration,
    script: impl FnOnce(&Path) -> Result<String, Stop>,
) -> Outcome {
    attempt(route, time_limit, script).unwrap_or_else(Outcome::from)
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Skip(reason) => Self::Skipped(reason),
            Stop::Broken(what) => Self::Broken(what),
        }
    }
}

fn attempt(
    route: Route,
    time_limit: Duration,
    script: impl FnOnce(&Path) -> Result<String, Stop>,
) -> Result<Outcome, Stop> {
    let directory = tempfile::Builder::new().prefix("unisend-").tempdir()?;
    let (reader, writer) = pipe()?;
    // SAFETY: this process has one thread, so the child can use everything that the parent had.
    match unsafe { fork() }.map_err(machine::no_process)? {
        ForkResult::Child => {
            drop(reader);
            let outcome = in_child(route, &writer, || script(directory.path()));
            let told = serde_json::to_vec(&outcome).map(|told| File::from(writer).write_all(&told));
            // SAFETY: it ends the child without running the exit handlers of the parent.
            unsafe { libc::_exit(i32::from(!matches!(told, Ok(Ok(()))))) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let told = read_until(reader, Instant::now() + time_limit);
            let _ = killpg(child, Signal::SIGKILL);
            let _ = nix::sys::signal::kill(child, Signal::SIGKILL);
            let ended = waitpid(child, None)?;
            Ok(told.map_or_else(|| how_it_died(ended), |told| parse(&told)))
        }
    }
}

fn parse(told: &[u8]) -> Outcome {
    serde_json::from_slice(told).unwrap_or_else(|error| Outcome::Broken(format!("unreadable: {error}")))
}

/// A child that wrote nothing was killed: by what it did, or because it reached the time limit.
fn how_it_died(ended: WaitStatus) -> Outcome {
    match ended {
        WaitStatus::Signaled(_, Signal::SIGKILL, _) => Outcome::Hung,
        WaitStatus::Signaled(_, signal, _) => Outcome::Observed(format!("killed by {signal}")),
        status => Outcome::Broken(format!("ended without a report: {status:?}")),
    }
}

fn in_child(route: Route, keep: &OwnedFd, script: impl FnOnce() -> Result<String, Stop>) -> Outcome {
    let outcome = prepare(route, keep).and_then(|()| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(script))
            .unwrap_or_else(|_| Err(Stop::Broken("the script panicked".to_owned())))
    });
    outcome.map_or_else(Outcome::from, Outcome::Observed)
}

fn prepare(route: Route, keep: &OwnedFd) -> Result<(), Stop> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(DESCRIPTOR_LIMIT as _), most)?;
    close_all_but(keep);
    match route {
        Route::Kernel => raw::note_sigpipes()?,
        Route::Portable => raw::default_sigpipe()?,
    }
    Ok(())
}

/// Closes all descriptors of the caller, except the standard descriptors and this one.
fn close_all_but(keep: &OwnedFd) {
    for number in (3..DESCRIPTOR_LIMIT as i32).filter(|&number| number != keep.as_raw_fd()) {
        // SAFETY: the child owns its copies and does not use them after this. Most of the numbers are not open.
        unsafe { libc::close(number) };
    }
}

/// Reads what the child writes until it is complete. Returns `None` if the child writes nothing in time.
fn read_until(reader: OwnedFd, deadline: Instant) -> Option<Vec<u8>> {
    let mut told = Vec::new();
    let mut reader = File::from(reader);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut polled, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        if ready.unwrap_or(0) == 0 {
            return None;
        }
        let mut buffer = [0; 4096];
        match reader.read(&mut buffer) {
            Ok(count @ 1..) => told.extend_from_slice(&buffer[..count]),
            _ => return (!told.is_empty()).then_some(told),
        }
    }
}
