//! The forms of a report, and what two reports show beside each other.

use std::collections::BTreeSet;

use anstream::adapter::strip_str;
use rstest::rstest;
use serde_json::json;
use unisend_conformance::report::{Format, Report, Screen, compare, list};
use unisend_conformance::suite;

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
#[case::another(
    side("1", "pass"), json!({"observed": "2", "expected": "1", "verdict": "fail"}), false,
    "unisend differs in 1 cases:\nS1 "
)]
#[case::another_contract(side("1", "pass"), side("2", "pass"), true, "changed between the two runs, and")]
#[case::another_contract_that_was_not_kept(
    side("1", "pass"), json!({"observed": "2", "expected": "3", "verdict": "fail"}), false,
    "unisend differs in 1 cases:\nS1 "
)]
#[case::as_promised(side("1", "differs"), side("2", "differs"), true, "differs as the contract says: S1")]
#[case::failed(side("1", "pass"), side("2", "fail"), false, "unisend differs in 1 cases:\nS1 ")]
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
    let (a, b) = (report("Linux", "EPIPE", a), report("OpenBSD", "ENOTCONN", b));
    let difference = compare(&a, &b, Screen::default());
    let printed = strip_str(&difference.printed).to_string();
    assert_eq!(difference.unisend_agrees, agrees, "{printed}");
    assert!(printed.contains(says), "{printed}");
    assert!(printed.contains("The kernels differ in 1 of 1 cases"), "{printed}");
    assert_eq!(words(&printed).matches("A: EPIPE B: ENOTCONN").count(), 1, "{printed}");
}

#[rstest]
#[case::markdown(Format::Markdown, r"| S1 | a &lt;title> &amp; a \| bar | EPIPE | 1 | pass |")]
#[case::html(Format::Html, r#"<td role="cell">a &lt;title&gt; &amp; a | bar</td>"#)]
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

/// A report of the whole suite in which cases came out in every way, with text that is long, that cannot be broken,
/// and that means something to a terminal and to HTML.
fn every_outcome() -> Report {
    let cases: Vec<_> = suite().iter().enumerate().map(|(index, case)| {
        let side = |verdict, observed: &str| json!({"observed": observed, "expected": "E1, E2", "verdict": verdict});
        let (kernel, portable, reason) = match index % 8 {
            0 => (side("fail", &LONG.join(" ")), side("pass", "Reset"), None),
            1 => (side("pass", "EPIPE"), side("fail", &"x".repeat(150)), Some("<b>reason</b>\u{1b}[31m")),
            2 => (side("skip", "no \u{1f980} here"), side("skip", "no IPv6"), Some("no IPv6")),
            3 => (json!({"observed": null, "expected": null, "verdict": "skip"}), json!(null), Some("not under emulation")),
            4 => (side("pass", "EPIPE"), side("differs", "NotConnected"), Some("a kernel cannot")),
            5 => (side("pass", &LONG.join(" ")), json!({"observed": null, "expected": null, "verdict": "unrepresentable"}), Some("a rule")),
            6 => (side("pass", "EPIPE"), json!(null), None),
            _ => (side("pass", "EPIPE"), side("pass", "Reset"), None),
        };
        json!({"id": case.id, "title": case.title, "topic": case.topic.name(), "kernel": kernel, "portable": portable, "reason": reason})
    }).collect();
    let whole = json!({
        "suite": "unisend-conformance", "version": "0.0.0",
        "host": {"os": "Linux", "release": "1", "arch": "x86_64", "libc": "libc", "emulated": false},
        "summary": {"passed": 0, "failed": 0, "skipped": 0},
        "cases": cases,
    });
    serde_json::from_value::<Report>(whole).expect("a report").only(|_| true)
}

/// More than two lines of any terminal.
const LONG: [&str; 50] = ["ECONNREFUSED+SIGPIPE,"; 50];

/// The text without colours, and without the ends of lines that a screen makes.
fn words(printed: &str) -> String {
    strip_str(printed).to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[rstest]
fn no_line_is_wider_than_the_screen(#[values(40, 80, 110, 200)] width: usize) {
    let (report, screen) = (every_outcome(), Screen::new(width));
    let cases: Vec<_> = suite().iter().collect();
    let other = report.clone().only(|row| row.topic != "flags");
    let forms = [
        ("table", report.table(screen, false)),
        ("verbose", report.table(screen, true)),
        ("diff", compare(&report, &other, screen).printed),
        ("list", list(&cases, screen)),
    ];
    for (form, printed) in forms {
        // The counts of a topic are one line, and have 63 columns.
        let allowed = if form == "list" || form == "diff" { width } else { width.max(63) };
        let mut widest = 0;
        for line in strip_str(&printed).to_string().lines() {
            let columns = textwrap::core::display_width(line);
            assert!(columns <= allowed, "{form}: {columns} columns: {line}");
            assert!(!line.contains(char::is_control), "{form}: {line:?}");
            widest = widest.max(columns);
        }
        assert!(widest > width / 2, "{form} uses the screen");
    }
}

#[test]
fn what_failed_or_was_skipped_is_shown_in_full() {
    let printed = words(&every_outcome().table(Screen::new(300), false));
    let says = |index: usize, what: &str| {
        let case = &suite()[index];
        let entry = format!("{} {} {what}", case.id, case.title);
        assert!(printed.contains(&entry), "{entry}\nis not in\n{printed}");
    };
    says(0, &format!("kernel fail {} expected E1, E2 unisend pass Reset", LONG.join(" ")));
    let unbroken = "x".repeat(150);
    let escaped = r"<b>reason</b>\u{1b}[31m";
    says(1, &format!("kernel pass EPIPE unisend fail {unbroken} expected E1, E2 reason {escaped}"));
    says(2, "kernel skip no \u{1f980} here unisend skip no IPv6");
    says(3, "kernel skip unisend not run reason not under emulation");
}

#[test]
fn every_case_is_shown_only_where_it_is_asked_for() {
    let shown = |verbose: bool| {
        let printed = strip_str(&every_outcome().table(Screen::default(), verbose)).to_string();
        let begins = |id: &str| printed.lines().any(|line| line.starts_with(&format!("{id} ")));
        suite().iter().map(|case| begins(case.id)).collect::<Vec<_>>()
    };
    assert!(shown(true).iter().all(|&shown| shown));
    let expected: Vec<_> = (0..suite().len()).map(|index| index % 8 < 4).collect();
    assert_eq!(shown(false), expected);
}

#[test]
fn a_topic_has_a_line_of_counts_and_the_last_line_is_the_summary() {
    let report = every_outcome();
    let printed = strip_str(&report.table(Screen::default(), true)).to_string();
    let count =
        |columns: &str| columns.split_whitespace().map(|n| n.parse().unwrap_or(0)).collect::<Vec<usize>>();
    let mut all = vec![0; 5];
    for topic in report.cases.iter().map(|row| row.topic.as_str()).collect::<BTreeSet<_>>() {
        let line = printed.lines().find_map(|line| line.strip_prefix(topic)).expect("a line of counts");
        all.iter_mut().zip(count(line)).for_each(|(sum, count)| *sum += count);
    }
    let line = printed.lines().find_map(|line| line.strip_prefix("all ")).expect("a line of sums");
    assert_eq!(count(line), all);
    let [passed, failed, skipped, differs, unrepresentable] = all[..] else { panic!("five columns") };
    assert_eq!(passed + failed + skipped, suite().len());
    assert!(differs > 5 && unrepresentable > 5 && differs + unrepresentable < passed);
    let last = format!("{passed} passed, {failed} failed, {skipped} skipped");
    assert_eq!(printed.lines().last(), Some(last.as_str()));
    assert_eq!(report.summary.to_string(), last);
}

#[test]
fn each_case_of_a_page_leads_to_its_clause_and_back() {
    let page = every_outcome().print(Format::Html);
    for case in suite() {
        let id = case.id;
        let row = format!(r#"<tr role="row" id="case-{id}" "#);
        let to_clause = format!(r##"<a href="#clause-{id}" "##);
        let to_case = format!(r##"<a id="clause-{id}" href="#case-{id}">{id}</a>"##);
        for once in [row, to_clause, to_case] {
            assert_eq!(page.matches(&once).count(), 1, "{once}");
        }
    }
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let different: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), different.len(), "an id is there once");
    let targets = page.split(" href=\"#").skip(1).filter_map(|rest| rest.split('"').next());
    for target in targets {
        assert!(different.contains(target), "#{target} leads nowhere");
    }
}

#[test]
fn a_clause_that_is_not_shown_or_not_known_is_no_link() {
    let mut report = every_outcome().only(|row| row.id == "S8");
    report.cases[0].id = "Z9".to_owned();
    let page = report.print(Format::Html);
    assert!(page.contains(r#"<span id="clause-S8">S8</span>"#), "{page}");
    assert!(page.contains(r#"<th scope="row" role="rowheader">Z9</th>"#), "{page}");
}

#[test]
fn a_page_has_the_words_of_the_contract_and_needs_nothing_beside_it() {
    let page = every_outcome().print(Format::Html);
    for words in [
        "<strong>Promise</strong> is what a program sees",
        "<code>OUT_OF_BAND</code> on TCP marks the last byte",
    ] {
        assert!(page.contains(words), "{words}");
    }
    for foreign in ["src=", "<link", "@import", "url(", "://", "<b>reason", "\u{1b}"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for needed in [r#"<html lang="en">"#, "width=device-width", "prefers-color-scheme: dark", "@media print"]
    {
        assert!(page.contains(needed), "{needed}");
    }
}

#[test]
fn a_page_can_be_searched_by_text_and_by_verdict() {
    let page = every_outcome().print(Format::Html);
    // Without script there is no way to search, and all is shown.
    assert!(page.contains(r#"<form id="filter" role="search" hidden>"#));
    for verdict in ["pass", "fail", "skip", "differs", "unrepresentable"] {
        let rows = page.matches(&format!(r#"data-verdict="{verdict}""#)).count();
        assert!(rows > 5, "{verdict}: {rows}");
        let option = format!(r#"<option value="{verdict}">{verdict} ({rows})</option>"#);
        assert!(page.contains(&option), "{option}");
    }
}
