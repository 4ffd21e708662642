//! Runs cases, and says of each whether it showed what it should.

use crate::case::{Case, Promise};
use crate::child::{self, Outcome};
use crate::emulation;
use crate::expected::{Expected, Right};
use crate::report::{Host, Report, Row, Side, Summary, Verdict};
use crate::trial::Route;

/// Runs cases one after another; `on_case` is told of each before it starts. The calling process must have one
/// thread only.
pub fn run(cases: &[&Case], mut on_case: impl FnMut(&Case)) -> Report {
    let host = Host::here();
    let rows: Vec<Row> = cases
        .iter()
        .map(|case| {
            on_case(case);
            match emulation::not_faithful(case.id).filter(|_| host.emulated) {
                Some(reason) => skip(case, reason),
                None => examine(case, &host),
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
    }
}

fn examine(case: &Case, host: &Host) -> Row {
    let kernel = judge(child::run(case, Route::Kernel), &case.kernel.on(host), Verdict::Pass);
    let (portable, reason) = match &case.promise {
        Promise::Same(expected) => {
            (through_unisend(case, &Expected::from(*expected).on(host), Verdict::Pass), None)
        }
        Promise::Differs(expected, reason) => {
            (through_unisend(case, &expected.on(host), Verdict::Differs), Some(*reason))
        }
        Promise::Unrepresentable(rule) => {
            (Side { observed: None, expected: None, verdict: Verdict::Unrepresentable }, Some(*rule))
        }
    };
    let skipped = [&kernel, &portable].into_iter().find_map(|outcome| outcome.skipped().map(str::to_owned));
    Row {
        id: case.id.to_owned(),
        title: case.title.to_owned(),
        topic: case.topic.name().to_owned(),
        kernel,
        portable: Some(portable),
        reason: skipped.or(reason.map(str::to_owned)),
    }
}

fn through_unisend(case: &Case, right: &Right, if_met: Verdict) -> Side {
    judge(child::run(case, Route::Portable), right, if_met)
}

/// Of several answers that are right the one that was seen is the one that was expected.
fn judge(outcome: Outcome, right: &Right, if_met: Verdict) -> Side {
    let (observed, verdict) = match outcome {
        Outcome::Observed(observed) if right.accepts(&observed) => {
            return Side { expected: Some(observed.clone()), observed: Some(observed), verdict: if_met };
        }
        Outcome::Observed(observed) => (observed, Verdict::Fail),
        Outcome::Skipped(reason) => (reason, Verdict::Skip),
        Outcome::Broken(what) => (format!("broken: {what}"), Verdict::Fail),
    };
    Side { observed: Some(observed), expected: Some(right.to_string()), verdict }
}
