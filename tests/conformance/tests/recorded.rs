//! The recorded runs: they are reports, they show what the suite expects of their kernels, and each clause that is
//! not run under an emulator has been run natively.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use unisend_conformance::report::{Report, Side, Verdict};
use unisend_conformance::{Case, emulation, suite};

fn recorded() -> Vec<(PathBuf, Report)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let mut runs: Vec<(PathBuf, Report)> = std::fs::read_dir(folder)
        .expect("there are recorded runs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a file");
            let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            (path, report)
        })
        .collect();
    runs.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(runs.len() >= 2, "one of each system");
    runs
}

fn case(id: &str) -> Option<&'static Case> {
    suite().iter().find(|case| case.id == id)
}

fn shown(side: &Side) -> Option<&str> {
    side.observed.as_deref().filter(|_| side.verdict != Verdict::Skip)
}

#[test]
fn a_recorded_kernel_did_what_is_expected_of_it() {
    for (path, report) in recorded() {
        let compared = report.cases.iter().filter_map(|row| Some((row, case(&row.id)?, shown(&row.kernel)?)));
        let mut count = 0;
        for (row, case, observed) in compared {
            let right = case.kernel.on(&report.host);
            assert!(right.accepts(observed), "{} {} in {path:?}: {observed}, not {right}", row.id, row.title);
            count += 1;
        }
        assert!(count > 50, "{path:?} was compared");
    }
}

#[test]
fn unisend_is_recorded_only_where_it_ran() {
    for (path, report) in recorded() {
        for row in &report.cases {
            if let Some(portable) = &row.portable {
                assert_ne!(portable.verdict, Verdict::Fail, "{} in {path:?}", row.id);
            }
        }
        assert!(!report.host.emulated, "{path:?} is of a kernel");
    }
}

#[test]
fn what_is_not_run_under_an_emulator_is_run_natively() {
    let natively: BTreeSet<String> = recorded()
        .into_iter()
        .filter(|(_, report)| report.host.os == "Linux")
        .flat_map(|(_, report)| report.cases)
        .filter(|row| row.kernel.verdict == Verdict::Pass)
        .map(|row| row.id)
        .collect();
    let mut count = 0;
    for (clause, reason) in emulation::clauses() {
        assert!(case(clause).is_some(), "{clause} is no clause");
        assert!(natively.contains(clause), "{clause} is recorded of no Linux kernel");
        assert!(!reason.is_empty());
        count += 1;
    }
    assert!(count > 5, "the table was read");
}
