//! The program: what it prints, and what it answers to a wrong call.

use std::process::{Command, Output};

use rstest::rstest;

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unisend-conformance"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn printed(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("it prints text")
}

#[test]
fn a_case_passes_and_the_last_line_counts() {
    let output = program(&["--case", "S7", "--case", "L5"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(printed(&output).lines().last(), Some("2 passed, 0 failed, 0 skipped"));
}

#[test]
fn a_skip_names_its_reason_and_is_no_failure() {
    let output = program(&["--case", "A13", "--format", "tap"]);
    assert!(output.status.success(), "{output:?}");
    let expected = "ok 1 - A13 a packet filter drops what is sent: TCP, connected UDP # SKIP needs a rule";
    assert!(printed(&output).contains(expected), "{output:?}");
}

#[test]
fn json_has_the_form_that_is_promised() {
    let output = program(&["--case", "S1", "--case", "A1", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    assert_eq!(report["suite"], "unisend-conformance");
    assert_eq!(report["summary"], serde_json::json!({"passed": 2, "failed": 0, "skipped": 0}));
    for field in ["os", "release", "arch", "libc"] {
        assert!(report["host"][field].as_str().is_some_and(|value| !value.is_empty()), "{field}");
    }
    let [s1, a1] = report["cases"].as_array().expect("cases").as_slice() else { panic!("two cases") };
    assert_eq!((&s1["id"], &s1["topic"]), (&"S1".into(), &"states".into()));
    assert_eq!(s1["portable"]["observed"], "NotConnected, NotConnected, NotConnected");
    assert_eq!(s1["kernel"]["verdict"], "pass");
    assert_eq!(a1["portable"]["verdict"], "unrepresentable");
    assert_eq!(a1["reason"], "send_to exists on Datagram alone");
}

#[test]
fn tap_counts_what_it_lists() {
    let output = program(&["--topic", "flags", "--format", "tap"]);
    let lines: Vec<&str> = printed(&output).lines().collect();
    assert_eq!(lines[0], "TAP version 14");
    let tests = lines.iter().filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).count();
    assert_eq!(lines[1], format!("1..{tests}"));
}

#[test]
fn list_names_every_case_and_runs_none() {
    let output = program(&["list"]);
    assert_eq!(printed(&output).lines().count(), unisend_conformance::suite().len());
}

#[rstest]
#[case::unknown_case(&["--case", "S99"], "no case has this clause")]
#[case::unknown_topic(&["--topic", "weather"], "possible values: agreement, flags")]
#[case::unknown_format(&["--format", "smoke"], "possible values: table, tap")]
#[case::no_report(&["diff", "Cargo.toml", "Cargo.toml"], "Cargo.toml is no report")]
#[case::no_file(&["diff", "/nonexistent", "Cargo.toml"], "/nonexistent: No such file")]
fn a_wrong_call_is_answered_with_what_would_be_right(#[case] arguments: &[&str], #[case] says: &str) {
    let output = program(arguments);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(says), "{said}");
}
