//! Every case of the suite as a test, named by its clause, so that what only the suite notices fails here too.
//!
//! Each case forks this process, which therefore has one thread: the tests run one after another on it.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use unisend_conformance::report::{Report, Row, Verdict};
use unisend_conformance::{Case, machine, run, suite};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // That many run on the main thread.
    arguments.test_threads = Some(1);
    if !arguments.list {
        match machine::prepare() {
            Ok(lacks) => lacks.iter().for_each(|lacking| eprintln!("{lacking}")),
            Err(wrong) => {
                eprintln!("error: {wrong}");
                return ExitCode::from(2);
            }
        }
    }
    let tests = suite().iter().map(|case| Trial::ignorable_test(case.id, move || examine(case)));
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}

fn examine(case: &Case) -> Result<Completion, Failed> {
    has_one_thread()?;
    let Report { cases, .. } = run::run(&[case], run::TIME_LIMIT, |_| ());
    let [row] = cases.as_slice() else { return Err("one case makes one row".into()) };
    match row.verdict() {
        Verdict::Fail => Err(what_is_wrong(row).into()),
        Verdict::Skip => Ok(Completion::ignored_with(row.reason.as_deref().unwrap_or("no reason was given"))),
        _ => Ok(Completion::Completed),
    }
}

#[cfg(target_os = "linux")]
fn has_one_thread() -> Result<(), Failed> {
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(1) | Err(_) => Ok(()),
        // The others are the emulator's own.
        Ok(_) if unisend_conformance::report::Host::here().emulated => Ok(()),
        Ok(more) => Err(format!("this process has {more} threads, and a case would fork it").into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn has_one_thread() -> Result<(), Failed> {
    Ok(())
}

fn what_is_wrong(row: &Row) -> String {
    let sides = [("the kernel", Some(&row.kernel)), ("unisend", row.portable.as_ref())];
    let wrong = sides.into_iter().filter_map(|(name, side)| {
        let side = side.filter(|side| side.verdict == Verdict::Fail)?;
        let [observed, expected] =
            [&side.observed, &side.expected].map(|shown| shown.as_deref().unwrap_or("nothing"));
        Some(format!("{name} showed: {observed}\nexpected:{:width$}{expected}", "", width = name.len() - 1))
    });
    format!("{}\n{}", row.title, wrong.collect::<Vec<_>>().join("\n"))
}
