//! JUnit's XML, with a suite for each topic and a test for each case.

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{Report, Row, Verdict, cells};

pub(super) fn print(report: &Report) -> String {
    let mut junit = Junit::new(report.suite.clone());
    for (topic, rows) in report.topics() {
        let mut suite = TestSuite::new(topic);
        suite.add_property(("host", report.host.to_string().as_str()));
        suite.add_test_cases(rows.iter().map(|row| test_case(topic, row)));
        junit.add_test_suite(suite);
    }
    junit.to_string().expect("a string takes all")
}

fn test_case(topic: &str, row: &Row) -> TestCase {
    let [_, _, kernel, unisend, _] = cells(row);
    let status = match row.verdict() {
        Verdict::Fail => {
            let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failure
                .set_message("not as expected")
                .set_description(format!("kernel: {kernel}\nunisend: {unisend}"));
            failure
        }
        Verdict::Skip => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(row.reason.clone().unwrap_or_default());
            skipped
        }
        _ => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(format!("{} {}", row.id, row.title), status);
    case.set_classname(topic);
    case
}
