//! Runs cases, and decides whether each showed what it should.

use std::time::{Duration, Instant};

use crate::case::{Case, Promise};
use crate::child::{self, Outcome};
use crate::emulation;
use crate::expected::{Expected, Right};
use crate::report::{Host, Report, Row, Side, Summary, Verdict};
use crate::trial::Route;

/// The default time limit of one run of a case. On an idle machine with two processors no run takes 10 seconds.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

/// OpenBSD's kernel can lose a wake-up if it has more than one processor: connect or accept over loopback then
/// sleeps for ever, once in about 30,000 connections. A run that hangs is therefore run once more there, and
/// the report says so.
const RUN_AGAIN: bool = cfg!(target_os = "openbsd");

/// Runs cases one after another, each within a time limit per run. `on_case` is called before each case starts.
/// The calling process must have only one thread.
pub fn run(cases: &[&Case], time_limit: Duration, mut on_case: impl FnMut(&Case)) -> Report {
    let host = Host::here();
    let rows: Vec<Row> = cases
        .iter()
        .map(|case| {
            on_case(case);
            match emulation::not_faithful(case.id).filter(|_| host.emulated) {
                Some(reason) => skip(case, reason),
                None => examine(case, &host, time_limit),
            }
        })
        .collect();
    Report {
        suite: "unisend-conformance".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host,
        summary: Summary::of(&rows),
        cases: rows,
    }
}

fn skip(case: &Case, reason: &str) -> Row {
    let side = Side { observed: None, expected: None, verdict: Verdict::Skip };
    Row {
        id: case.id.to_owned(),
        title: case.title.to_owned(),
        topic: case.topic.name().to_owned(),
        kernel: side.clone(),
        portable: Some(side),
        reason: Some(format!("not under emulation: {reason}")),
        milliseconds: 0,
    }
}

fn examine(case: &Case, host: &Host, time_limit: Duration) -> Row {
    let start = Instant::now();
    let mut hung_once = false;
    let mut by = |route| match child::run(case, route, time_limit) {
        Outcome::Hung if RUN_AGAIN => {
            hung_once = true;
            child::run(case, route, time_limit)
        }
        outcome => outcome,
    };
    let kernel = judge(by(Route::Kernel), &case.kernel.on(host), Verdict::Pass, time_limit);
    let mut through_unisend = |right: &Right, if_met| judge(by(Route::Portable), right, if_met, time_limit);
    let (portable, reason) = match &case.promise {
        Promise::Same(expected) => {
            (through_unisend(&Expected::from(*expected).on(host), Verdict::Pass), None)
        }
        Promise::Differs(expected, reason) => {
            (through_unisend(&expected.on(host), Verdict::Differs), Some(*reason))
        }
        Promise::Unrepresentable(rule) => {
            (Side { observed: None, expected: None, verdict: Verdict::Unrepresentable }, Some(*rule))
        }
    };
    let skipped = [&kernel, &portable].into_iter().find_map(|outcome| outcome.skipped().map(str::to_owned));
    let again = hung_once
        .then(|| format!("a run hung, was stopped after {} s and was repeated", time_limit.as_secs()));
    let reasons = [skipped.or(reason.map(str::to_owned)), again];
    Row {
        id: case.id.to_owned(),
        title: case.title.to_owned(),
        topic: case.topic.name().to_owned(),
        kernel,
        portable: Some(portable),
        reason: reasons.into_iter().flatten().reduce(|reason, again| format!("{reason}; {again}")),
        milliseconds: start.elapsed().as_millis() as u64,
    }
}

/// If several answers are right, the observed one becomes the expected one.
fn judge(outcome: Outcome, right: &Right, if_met: Verdict, time_limit: Duration) -> Side {
    let (observed, verdict) = match outcome {
        Outcome::Observed(observed) if right.accepts(&observed) => {
            return Side { expected: Some(observed.clone()), observed: Some(observed), verdict: if_met };
        }
        Outcome::Observed(observed) => (observed, Verdict::Fail),
        Outcome::Skipped(reason) => (reason, Verdict::Skip),
        Outcome::Broken(what) => (format!("broken: {what}"), Verdict::Fail),
        Outcome::Hung => (format!("hung: stopped after {} s", time_limit.as_secs()), Verdict::Fail),
    };
    Side { observed: Some(observed), expected: Some(right.to_string()), verdict }
}
