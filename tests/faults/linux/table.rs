//! The table: the system calls of each call of the library, and the faults of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};

use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use unisend::SocketKind::{self, *};

use super::cases::{self, Case, Role};
use super::contract::{self, Contract, ERESTARTSYS};
use super::stage::{Report, run};
use super::supervisor::{Fault, Planned, Seen, counts};

/// The faults of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Fails,
    Interrupted,
    InterruptedOften,
    Cut,
    CutControl,
    CutThenInterrupted,
    CutThenFails,
    Nothing,
    Slow,
}

const COLUMNS: [(Column, &str); 9] = [
    (Column::Fails, "every errno"),
    (Column::Interrupted, "EINTR, 512"),
    (Column::InterruptedOften, "EINTR 100 times"),
    (Column::Cut, "cut short"),
    (Column::CutControl, "control cut short"),
    (Column::CutThenInterrupted, "cut, EINTR"),
    (Column::CutThenFails, "cut, ECONNRESET"),
    (Column::Nothing, "returns 0"),
    (Column::Slow, "slow"),
];

/// Why a fault is not tried, with a letter for the table.
const REASONS: [(&str, &str); 7] = [
    ("a", "the call cannot fail: its arguments are always valid"),
    ("b", "the call returns no count"),
    ("c", "the call was for one byte or message, or for none"),
    ("d", "the failure of this call is given in each run of this row"),
    ("e", "close(2) returns nothing that the library uses, and frees the descriptor in any case"),
    ("f", "the call of the library returns at the first interruption"),
    ("g", "the call receives no control messages"),
];

const OFTEN: usize = 100;

/// The errnos of an interruption. The kernel should not show the second, and does (clause D7).
const INTERRUPTIONS: [i32; 2] = [libc::EINTR, ERESTARTSYS];

/// After so many runs of a case that are wrong, its other runs are not tried: each can take its time limit.
const ENOUGH: usize = 5;

/// Up to so many bytes a call is cut at each.
const EACH_BYTE: usize = 64;

/// A run of a case: the system call that has the fault, and the plan.
struct Trial {
    what: String,
    errno: Option<i32>,
    plan: Vec<Planned>,
}

/// The faults of one system call of a case, which is the `nth` of its name.
struct Row<'a> {
    case: &'a Case,
    call: &'static str,
    role: Role,
    nth: usize,
    length: Option<usize>,
}

impl Row<'_> {
    fn planned(&self, times: usize, fault: Fault) -> Planned {
        Planned { call: self.call, from: self.nth, times, fault }
    }

    fn trial(&self, what: impl Into<String>, errno: Option<i32>, plan: &[Planned]) -> Trial {
        Trial { what: what.into(), errno, plan: plan.to_vec() }
    }

    /// Returns the trials of a cell, or the letter of the reason why there are none.
    fn trials(&self, column: Column, contract: &Contract) -> Result<Vec<Trial>, &'static str> {
        match (column, self.role) {
            (_, Role::Given) => return Err("d"),
            (Column::Slow, _) => {}
            (_, Role::Sure) => return Err("a"),
            (Column::Interrupted | Column::Fails, Role::Close) => {}
            (_, Role::Close) => return Err("e"),
            _ => {}
        }
        match column {
            Column::Fails => Ok(self.failures(contract)),
            Column::Interrupted => Ok(self.interruptions()),
            Column::InterruptedOften if self.case.is_loop || self.role == Role::Position => {
                Ok(vec![self.interruption(OFTEN, libc::EINTR)])
            }
            Column::InterruptedOften => Err("f"),
            Column::Cut => self.cuts(&[]),
            Column::CutControl if self.case.takes_descriptors && self.call == "recvmsg" => {
                Ok(self.control_cuts())
            }
            Column::CutControl => Err("g"),
            Column::CutThenInterrupted => self.cuts(&[self.next(1, libc::EINTR)]),
            Column::CutThenFails => self.cuts(&[self.next(usize::MAX, libc::ECONNRESET)]),
            Column::Nothing if counts(self.call) => {
                Ok(vec![self.trial("returns 0", None, &[self.planned(1, Fault::Nothing)])])
            }
            Column::Nothing => Err("b"),
            Column::Slow => Ok(vec![self.trial("slow", None, &[self.planned(1, Fault::Slow)])]),
        }
    }

    fn failures(&self, contract: &Contract) -> Vec<Trial> {
        // Where the library asks again, it must not do so for ever.
        let times = if self.role == Role::Hint && self.call != "poll" { 1 } else { usize::MAX };
        let fault = if self.role == Role::Close { Fault::FailsAfterwards } else { Fault::Fails };
        let errnos = contract.errnos().filter(|errno| !INTERRUPTIONS.contains(errno));
        errnos
            .map(|errno| self.trial(contract::name(errno), Some(errno), &[self.planned(times, fault(errno))]))
            .collect()
    }

    fn interruptions(&self) -> Vec<Trial> {
        let mut trials: Vec<_> = INTERRUPTIONS.map(|errno| self.interruption(1, errno)).into();
        if self.role == Role::Position {
            // There is a next part only if the output accepted less than all.
            let cut = Planned { call: "sendto", from: 0, times: 1, fault: Fault::Cut(6) };
            let interrupted = self.planned(1, Fault::Fails(libc::EINTR));
            trials.push(self.trial("EINTR after a short count", Some(libc::EINTR), &[cut, interrupted]));
        }
        trials
    }

    fn interruption(&self, times: usize, errno: i32) -> Trial {
        let fault = if self.role == Role::Close { Fault::FailsAfterwards } else { Fault::Fails };
        self.trial(
            format!("{} {times} times", contract::name(errno)),
            Some(errno),
            &[self.planned(times, fault(errno))],
        )
    }

    fn next(&self, times: usize, errno: i32) -> Planned {
        Planned { from: self.nth + 1, ..self.planned(times, Fault::Fails(errno)) }
    }

    fn cuts(&self, then: &[Planned]) -> Result<Vec<Trial>, &'static str> {
        let length = self.length.ok_or("b")?;
        let at: Vec<usize> = match length {
            0 | 1 => return Err("c"),
            _ if !then.is_empty() => vec![length / 2],
            ..=EACH_BYTE => (1..length).collect(),
            _ => vec![1, 2, length / 2, 4095, 4096, 4097, length - 1],
        };
        let errno = then.first().and_then(|planned| match planned.fault {
            Fault::Fails(errno) => Some(errno),
            _ => None,
        });
        let trial = |most| {
            let plan = [&[self.planned(1, Fault::Cut(most))], then].concat();
            self.trial(format!("cut at {most} of {length}, then {then:?}"), errno, &plan)
        };
        Ok(at.into_iter().filter(|&most| most < length).map(trial).collect())
    }

    /// No room, or room for a header and no, one or all descriptors: the kernel installs those that it has room for.
    fn control_cuts(&self) -> Vec<Trial> {
        let header = 16;
        let trial = |most| {
            let plan = [self.planned(1, Fault::CutControl(most))];
            self.trial(format!("room for {most} bytes of control messages"), None, &plan)
        };
        [0, header, header + 4, header + 8, header + 12].map(trial).into()
    }

    /// Runs a trial, and returns what is wrong with it. Its system calls are added to those that were made.
    fn attempt(
        &self,
        column: Column,
        trial: &Trial,
        usual: &Report,
        contract: &Contract,
        made: &mut BTreeSet<String>,
    ) -> Vec<String> {
        let plan = [&trial.plan[..], &self.case.given].concat();
        let position_fails = self.role == Role::Position && column == Column::Fails;
        let (watched, report) = run(&self.case.script, &plan, position_fails);
        made.extend(watched.calls.iter().map(|seen| seen.call.to_owned()));
        let mut wrong = watched.complaints;
        match report {
            Err(why) => wrong.push(why),
            Ok(report) => {
                let verdict = self.judge(column, trial, usual, &report, contract);
                wrong.extend(verdict.err());
                wrong.extend(report.complaints);
            }
        }
        wrong
    }

    /// Compares what the call returned with what the contract says.
    fn judge(
        &self,
        column: Column,
        trial: &Trial,
        usual: &Report,
        report: &Report,
        contract: &Contract,
    ) -> Result<(), String> {
        let case = self.case;
        let is_usual = (report.accepted, &report.error) == (usual.accepted, &usual.error);
        let is_less = report.error.is_none() && report.accepted < usual.accepted;
        let is_none = report.error.is_none() && report.accepted == 0;
        // L4c: a part of a datagram or record, or nothing at all, and no error of the kernel.
        let is_stalled = report.error == Some(("Other".to_owned(), None));
        let expected = trial.errno.map(|errno| (self.kind(errno, contract), Some(errno)));
        let fails_so = expected.is_some() && report.error == expected;
        let is_right = match (column, self.role) {
            (Column::Slow | Column::CutControl, _) | (_, Role::Hint | Role::Close) => is_usual,
            (Column::Fails | Column::Interrupted | Column::InterruptedOften, _) => {
                let errno = trial.errno.expect("an errno");
                // X12, T8: a part was accepted before.
                let is_short = case.is_one_pass && is_less && report.accepted > 0;
                match self.recovers_from(errno) || self.goes_on_after(errno) {
                    true => is_usual || is_short,
                    false => fails_so || is_short,
                }
            }
            (Column::Cut | Column::CutThenInterrupted, _) if case.is_loop => {
                is_usual || is_stalled && !self.is_stream()
            }
            (Column::CutThenFails, _) if case.is_loop => {
                fails_so || is_usual || is_stalled && !self.is_stream()
            }
            (Column::Cut | Column::CutThenInterrupted | Column::CutThenFails, _) => is_usual || is_less,
            (Column::Nothing, _) => is_usual || is_none || is_less || is_stalled,
        };
        is_right.then_some(()).ok_or_else(|| format!("{report:?}, usually {usual:?}, expected {expected:?}"))
    }

    fn is_stream(&self) -> bool {
        matches!(self.case.socket, Tcp | UnixStream | Other)
    }

    fn recovers_from(&self, errno: i32) -> bool {
        let (call, errnos) = self.case.recovers;
        self.call == call && errnos.contains(&errno)
    }

    /// A loop goes on after an interruption. The file's position is set in any case: after an interruption a loop would go on
    /// at the old one, and send again what was accepted.
    fn goes_on_after(&self, errno: i32) -> bool {
        INTERRUPTIONS.contains(&errno) && (self.case.is_loop || self.role == Role::Position)
    }

    /// Returns the kind that the contract says: its table of errors, and the exceptions that it names.
    fn kind(&self, errno: i32, contract: &Contract) -> String {
        let plain = contract.kind(errno);
        let kind = match self.role {
            Role::Socket if self.case.is_urgent && IS_NO_URGENT_BYTE.contains(&plain) => "InvalidInput",
            Role::Socket => exception(self.case, errno).unwrap_or(plain),
            Role::Maker if errno == libc::EMFILE => "TooManyOpenFiles",
            Role::Connector if errno == libc::EAGAIN => "Refused",
            Role::File | Role::Position if !OF_FILES.contains(&plain) => "Other",
            _ => plain,
        };
        kind.to_owned()
    }
}

/// The kinds that an error of a file can have (clause X16).
const OF_FILES: [&str; 6] =
    ["BadDescriptor", "Interrupted", "InvalidInput", "Io", "OutOfMemory", "PermissionDenied"];

/// What it means for a receive of the urgent byte that there is no connection: there is none (clause F8b).
const IS_NO_URGENT_BYTE: [&str; 7] =
    ["NotConnected", "Reset", "Refused", "TimedOut", "Aborted", "Unreachable", "NetworkDown"];

/// The exceptions on Linux, each with its clause.
fn exception(case: &Case, errno: i32) -> Option<&'static str> {
    let kind: SocketKind = case.socket;
    match (kind, errno) {
        // S16
        (UnixDatagram, libc::ENOTCONN) => Some("DestinationRequired"),
        // S17, A10
        (UnixDatagram, libc::ECONNREFUSED) if !case.has_address => Some("Reset"),
        // I8b
        (UdpV4, libc::EINVAL) if !case.receives => Some("Unreachable"),
        // B9
        (UnixStream, libc::EINVAL) if case.receives => Some("NotConnected"),
        _ => None,
    }
}

/// A case without a fault: what it returns, and its system calls, which must be those that its row in the table says.
fn usual(case: &Case) -> Result<(Report, Vec<Seen>), String> {
    let (watched, report) = run(&case.script, &case.given, false);
    let report = report?;
    let wrong = [&watched.complaints[..], &report.complaints].concat();
    let made: Vec<_> = watched.calls.iter().map(|seen| seen.call).collect();
    let expected: Vec<_> = case.calls.iter().map(|call| call.0).collect();
    if made != expected || !wrong.is_empty() {
        return Err(format!("without a fault: it made {made:?} and not {expected:?}; {wrong:?}"));
    }
    let kind = report.error.as_ref().map(|error| error.0.as_str());
    if case.given.is_empty() && (report.accepted, kind) != (case.whole, case.fails_with) {
        return Err(format!("without a fault: {report:?}"));
    }
    Ok((report, watched.calls))
}

/// What came of a case: its rows of the table, how many runs they took, all system calls that were made in them, and what was
/// wrong.
#[derive(Default)]
struct Outcome {
    rows: String,
    runs: usize,
    made: BTreeSet<String>,
    wrong: Vec<String>,
}

fn try_all(case: &Case, contract: &Contract) -> Outcome {
    let mut outcome = Outcome::default();
    let (report, calls) = match usual(case) {
        Ok(usual) => usual,
        Err(why) => {
            outcome.wrong.push(format!("{}: {why}", case.name));
            return outcome;
        }
    };
    let mut counts = BTreeMap::new();
    for (seen, &(call, role)) in calls.iter().zip(&case.calls) {
        let count = counts.entry(call).or_insert(0);
        let row = Row { case, call, role, nth: *count, length: seen.length };
        *count += 1;
        write!(outcome.rows, "| {} | {call} {} |", case.name, *count).unwrap();
        for (column, name) in COLUMNS {
            let cell = row.cell(column, name, &report, contract, &mut outcome);
            write!(outcome.rows, " {cell} |").unwrap();
        }
        outcome.rows.push('\n');
    }
    outcome
}

impl Row<'_> {
    fn cell(
        &self,
        column: Column,
        name: &str,
        usual: &Report,
        contract: &Contract,
        outcome: &mut Outcome,
    ) -> String {
        let trials = match self.trials(column, contract) {
            Ok(trials) => trials,
            Err(letter) => return letter.to_owned(),
        };
        let mut failed = 0;
        for trial in &trials {
            if outcome.wrong.len() > ENOUGH {
                return "not tried".to_owned();
            }
            let wrong = self.attempt(column, trial, usual, contract, &mut outcome.made);
            if !wrong.is_empty() {
                failed += 1;
                let Self { case, call, nth, .. } = self;
                let what = &trial.what;
                outcome.wrong.push(format!("{}, {call} {}, {name}, {what}: {wrong:?}", case.name, nth + 1));
            }
        }
        outcome.runs += trials.len();
        if failed == 0 { format!("{} ok", trials.len()) } else { format!("{failed} WRONG") }
    }
}

/// Several cases are tried at a time: a supervisor waits while its process runs, and while a call is slow. Each supervisor is
/// a process, because one that has threads may fork in the middle of another's allocation, which its child would wait for.
const WORKERS: usize = 4;

/// Between the outcomes that a worker tells, and between the parts of one.
const SEPARATORS: [char; 2] = ['\x1e', '\x1f'];

/// Starts a process that tries every so many cases, from this one on.
fn start(first: usize, cases: &[Case], contract: &Contract) -> (Pid, File) {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    // SAFETY: the one other thread of this process, the test's main thread, only waits.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => (child, reader.into()),
        ForkResult::Child => {
            let mine = cases.iter().enumerate().skip(first).step_by(WORKERS);
            let told: String = mine.map(|(index, case)| try_all(case, contract).told(index)).collect();
            let written = File::from(writer).write_all(told.as_bytes());
            // SAFETY: it ends the process without running the exit handlers of the parent.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
    }
}

/// Returns what a process told, with the numbers of the cases.
fn finish((worker, mut reader): (Pid, File)) -> Vec<(usize, Outcome)> {
    let mut told = String::new();
    reader.read_to_string(&mut told).unwrap();
    waitpid(worker, None).unwrap();
    told.split_terminator(SEPARATORS[0]).map(Outcome::parse).collect()
}

impl Outcome {
    fn told(&self, index: usize) -> String {
        let made = Vec::from_iter(self.made.iter().map(String::as_str)).join(", ");
        let parts =
            [&[index.to_string(), self.runs.to_string(), made, self.rows.clone()][..], &self.wrong].concat();
        parts.join(&SEPARATORS[1].to_string()) + &SEPARATORS[0].to_string()
    }

    fn parse(told: &str) -> (usize, Self) {
        let mut parts = told.split(SEPARATORS[1]);
        let mut part = || parts.next().expect("an outcome has four parts");
        let (index, runs, made, rows) = (part(), part(), named(part()), part().to_owned());
        let wrong = parts.map(str::to_owned).collect();
        let outcome = Self { rows, runs: runs.parse().unwrap(), made, wrong };
        (index.parse().unwrap(), outcome)
    }
}

const DOCUMENTED: &str = include_str!("../../../docs/system-calls.md");

/// Returns the names of a list.
fn named(list: &str) -> BTreeSet<String> {
    list.split(", ").map(str::to_owned).collect()
}

/// Returns the system calls that the documentation says that each call can make.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let rows = DOCUMENTED.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(call, columns)| (call.to_owned(), named(columns.split(" | ").next().unwrap()))).collect()
}

/// Returns the system calls that each call made in any run of its cases, whose names begin with its own.
fn made_by_each(cases: &[Case], outcomes: &[(usize, Outcome)]) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_each: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (index, outcome) in outcomes {
        let call = cases[*index].name.split([',', ' ']).next().unwrap();
        by_each.entry(call.to_owned()).or_default().extend(outcome.made.iter().cloned());
    }
    by_each
}

/// Says why no process can be followed here, if none can.
fn cannot_follow() -> Option<String> {
    let shown = std::env::current_exe().ok();
    let kernels = std::fs::read_link("/proc/thread-self/exe").ok();
    if kernels.is_none() || kernels != shown {
        return Some("an emulator of user-mode programs cannot follow a process".to_owned());
    }
    let case = &cases::all()[0];
    let (watched, report) = run(&case.script, &[], false);
    watched.calls.is_empty().then(|| format!("no process may be followed here: {report:?}"))
}

#[test]
fn every_call_with_every_fault() {
    if let Some(why) = cannot_follow() {
        return crate::sockets::skipped(format_args!("{why}"));
    }
    let (cases, contract) = (cases::all(), Contract::read());
    let workers: Vec<_> = (0..WORKERS).map(|first| start(first, &cases, &contract)).collect();
    let mut outcomes: Vec<_> = workers.into_iter().flat_map(finish).collect();
    outcomes.sort_by_key(|outcome| outcome.0);
    assert_eq!(outcomes.len(), cases.len(), "a process that tries cases died");

    let mut text = String::from("| call | system call |");
    COLUMNS.iter().for_each(|(_, name)| write!(text, " {name} |").unwrap());
    writeln!(text, "\n|---|---|{}", "---|".repeat(COLUMNS.len())).unwrap();
    outcomes.iter().for_each(|(_, outcome)| text.push_str(&outcome.rows));
    REASONS.iter().for_each(|(letter, reason)| writeln!(text, "{letter}: {reason}").unwrap());
    let runs: usize = outcomes.iter().map(|(_, outcome)| outcome.runs).sum();
    println!("{text}{runs} runs");
    assert!(!text.contains("|  |"), "no cell is empty");
    let wrong: Vec<_> = outcomes.iter().flat_map(|(_, outcome)| &outcome.wrong).collect();
    assert!(wrong.is_empty(), "{} runs are wrong:\n{wrong:#?}", wrong.len());
    // musl makes some calls of its own in place of those that failed.
    if cfg!(target_env = "gnu") {
        let (documented, made) = (documented(), made_by_each(&cases, &outcomes));
        assert_eq!(documented, made, "docs/system-calls.md and what was made, with all faults");
    }
}
