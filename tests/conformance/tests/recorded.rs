//! The recorded runs: they are reports, they show what the suite expects of their kernels, and each clause that is
//! not run under an emulator has been run natively.

use std::path::{Path, PathBuf};

use unisend_conformance::report::{Report, Row, Screen, Side, Verdict, compare};
use unisend_conformance::{Case, Promise, emulation, suite};

const README: &str = include_str!("../../../README.md");

/// Cases of which a recorded run is older than the case or than its clause, and what has changed.
const OLDER: [(&str, &str, &str); 2] = [
    ("openbsd-8.0-beta-x86_64", "F4b", "the case has two steps more, and MORE is refused"),
    ("openbsd-8.0-beta-x86_64", "R4", "descriptors without data are sent in datagrams and records"),
];

fn is_older(path: &Path, row: &Row) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str());
    OLDER.iter().any(|&(run, clause, _)| name == Some(run) && clause == row.id)
}

/// What unisend has to show in a case, on the machine that a report is of.
fn is_promised(report: &Report, case: &Case, shown: &str) -> bool {
    match &case.promise {
        Promise::Same(promised) => *promised == shown,
        Promise::Differs(promised, _) => promised.on(&report.host).accepts(shown),
        Promise::Unrepresentable(_) => false,
    }
}

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
        let rows = report.cases.iter().filter(|row| !is_older(&path, row));
        let compared = rows.filter_map(|row| Some((row, case(&row.id)?, shown(&row.kernel)?)));
        let mut count = 0;
        for (row, case, observed) in compared {
            let right = case.kernel.on(&report.host);
            assert!(right.accepts(observed), "{} {} in {path:?}: {observed}, not {right}", row.id, row.title);
            count += 1;
        }
        assert!(count > 100, "{path:?} was compared");
    }
}

#[test]
fn unisend_kept_its_contract_in_every_recorded_run() {
    for (path, report) in recorded() {
        assert!(!report.host.emulated, "{path:?} is of a kernel");
        let mut count = 0;
        for row in report.cases.iter().filter(|row| !is_older(&path, row)) {
            let (Some(case), Some(portable)) = (case(&row.id), &row.portable) else { continue };
            if !matches!(portable.verdict, Verdict::Skip | Verdict::Unrepresentable) {
                let shown = shown(portable).unwrap_or_default();
                assert!(is_promised(&report, case, shown), "{} in {path:?}: {shown}", row.id);
                count += 1;
            }
        }
        assert!(count > 100, "{path:?} was compared");
    }
}

/// What is called older than its case or clause is: a newer run has to go from the list.
#[test]
fn what_is_called_older_is_not_as_it_is_now() {
    let runs = recorded();
    for (run, clause, changed) in OLDER {
        let (_, report) =
            runs.iter().find(|(path, _)| path.ends_with(format!("{run}.json"))).expect("a recorded run");
        let row = report.cases.iter().find(|row| row.id == clause).expect("a case");
        let case = case(clause).expect("a case");
        let as_now =
            row.portable.as_ref().and_then(shown).is_some_and(|shown| is_promised(report, case, shown));
        assert!(!as_now, "{clause} of {run} is as it is now, though {changed}");
    }
}

/// The two kernels beside each other: unisend differs nowhere but where the contract says so, and README.md has the
/// number of cases in which the kernels do.
#[test]
fn unisend_is_the_same_where_the_kernels_differ() {
    let [(_, linux), (path, openbsd)] = ["linux-6.18", "openbsd-8.0"].map(|name| {
        let is_it =
            |path: &Path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
        recorded().into_iter().find(|(path, _)| is_it(path)).expect("a recorded run")
    });
    let printed = compare(&linux, &openbsd, Screen::default()).printed;
    let start = printed.find("kernels differ in ").expect("the kernels' number is said");
    let end = printed[start..].find(" cases").expect("of how many cases");
    let said = &printed[start..][..end + " cases".len()];
    assert!(README.contains(said), "README.md does not say: the {said}");

    let of_today = |report: Report| Report {
        cases: report.cases.into_iter().filter(|row| !is_older(&path, row)).collect(),
        ..report
    };
    let difference = compare(&of_today(linux), &of_today(openbsd), Screen::default());
    assert!(difference.unisend_agrees, "{}", difference.printed);
}

/// The processors for which ci/matrix runs programs under qemu-user.
const EMULATED: [&str; 5] = ["aarch64", "arm", "powerpc64", "riscv64", "s390x"];

/// What an emulator does not do faithfully was run on a real kernel for each of these processors.
#[test]
fn what_is_not_run_under_an_emulator_is_run_natively() {
    let runs = recorded();
    let passed_on = |processor: &str, clause: &str| {
        runs.iter()
            .filter(|(_, report)| report.host.os == "Linux" && report.host.arch == processor)
            .flat_map(|(_, report)| &report.cases)
            .any(|row| row.id == clause && row.kernel.verdict == Verdict::Pass)
    };
    let mut count = 0;
    for (clause, reason) in emulation::clauses() {
        assert!(case(clause).is_some(), "{clause} is no clause");
        assert!(!reason.is_empty());
        for processor in EMULATED {
            let needs_64_bits = clause == "L3" && processor == "arm";
            assert!(
                passed_on(processor, clause) || needs_64_bits,
                "{clause} is recorded of no kernel for {processor}"
            );
        }
        count += 1;
    }
    assert!(count > 5, "the table was read");
}
