//! The forms of a report, and what two reports show beside each other.

use rstest::rstest;
use serde_json::json;
use unisend_conformance::report::{Format, Report, compare};

/// A report of one case, S1, with what each side showed.
fn report(os: &str, kernel: &str, portable: serde_json::Value) -> Report {
    let whole = json!({
        "suite": "unisend-conformance", "version": "0.0.0",
        "host": {"os": os, "release": "1", "arch": "x86_64", "libc": "libc", "emulated": false},
        "summary": {"passed": 1, "failed": 0, "skipped": 0},
        "cases": [{
            "id": "S1", "title": "a <title> & a | bar", "topic": "states",
            "kernel": {"observed": kernel, "expected": null, "verdict": "pass"},
            "portable": portable, "reason": null,
        }],
    });
    serde_json::from_value(whole).expect("a report")
}

fn side(observed: &str, verdict: &str) -> serde_json::Value {
    json!({"observed": observed, "expected": observed, "verdict": verdict})
}

#[rstest]
#[case::the_same(side("1", "pass"), side("1", "pass"), true, "unisend differs in 0 cases")]
#[case::another(side("1", "pass"), side("2", "pass"), false, "unisend differs in 1 cases:\n  S1 ")]
#[case::as_promised(side("1", "differs"), side("2", "differs"), true, "differs as the contract says: S1")]
#[case::failed(side("1", "pass"), side("2", "fail"), false, "unisend differs in 1 cases:\n  S1 ")]
#[case::not_run(side("1", "pass"), json!(null), true, "unisend was not run in both: S1")]
#[case::skipped(side("1", "pass"), side("no IPv6", "skip"), true, "unisend was not run in both: S1")]
#[case::unrepresentable(
    json!({"observed": null, "expected": null, "verdict": "unrepresentable"}), json!(null), true,
    "unisend differs in 0 cases"
)]
fn unisend_must_be_the_same(
    #[case] a: serde_json::Value,
    #[case] b: serde_json::Value,
    #[case] agrees: bool,
    #[case] says: &str,
) {
    let difference = compare(&report("Linux", "EPIPE", a), &report("OpenBSD", "ENOTCONN", b));
    assert_eq!(difference.unisend_agrees, agrees, "{}", difference.printed);
    assert!(difference.printed.contains(says), "{}", difference.printed);
    assert!(difference.printed.contains("the kernels differ in 1 of 1 cases"), "{}", difference.printed);
    assert!(difference.printed.contains("A: EPIPE\n        B: ENOTCONN"), "{}", difference.printed);
}

#[rstest]
#[case::markdown(Format::Markdown, r"| S1 | a &lt;title> &amp; a \| bar | EPIPE | 1 | pass |")]
#[case::html(Format::Html, "<td>a &lt;title&gt; &amp; a | bar</td><td>EPIPE</td><td>1</td><td>pass</td>")]
#[case::junit(Format::Junit, r#"<testcase name="S1 a &lt;title&gt; &amp; a | bar" classname="states"/>"#)]
fn text_is_escaped(#[case] format: Format, #[case] says: &str) {
    let printed = report("Linux", "EPIPE", side("1", "pass")).print(format);
    assert!(printed.contains(says), "{printed}");
}

#[test]
fn junit_counts_what_failed_and_says_what_was_skipped() {
    let failed = report("Linux", "EPIPE", side("1", "fail")).print(Format::Junit);
    assert!(failed.contains(r#"tests="1" skipped="0" failures="1""#), "{failed}");
    let skipped = report("Linux", "EPIPE", side("no IPv6", "skip")).print(Format::Junit);
    assert!(skipped.contains(r#"tests="1" skipped="1" failures="0""#), "{skipped}");
}
