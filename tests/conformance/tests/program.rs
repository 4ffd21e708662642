//! The program: what it prints, and what it answers to a wrong call.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use anstream::adapter::strip_str;
use clap::ValueEnum;
use rstest::rstest;
use unisend_conformance::Topic;
use unisend_conformance::report::Report;

fn program(arguments: &[&str]) -> Output {
    program_in(&[], arguments)
}

fn program_in(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    command(variables, arguments).output().expect("the program starts")
}

/// The program, where these variables say what the terminal is and no others do.
fn command(variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unisend-conformance"));
    for variable in ["COLUMNS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "CI"] {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied()).args(arguments);
    command
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

/// Runs the program by a shell that takes something from it first.
fn program_after(setup: &str, arguments: &str) -> Output {
    let script = format!("{setup} && exec {} {arguments}", env!("CARGO_BIN_EXE_unisend-conformance"));
    Command::new("sh").args(["-c", &script]).output().expect("there is a shell")
}

#[rstest]
#[case::descriptors("ulimit -n 20", "--case R10 --case R22", "this machine lacks 1024 descriptors")]
#[case::file_size("ulimit -f 4000", "--case X5 --case X1", "ulimit -f")]
fn what_the_machine_lacks_is_a_skip_and_no_failure(
    #[case] setup: &str,
    #[case] arguments: &str,
    #[case] says: &str,
) {
    let output = program_after(setup, &format!("{arguments} --format tap"));
    assert!(output.status.success(), "{output:?}");
    assert!(printed(&output).contains("# SKIP") && printed(&output).contains(says), "{output:?}");
    assert_eq!(printed(&output).lines().last(), Some("# 1 passed, 0 failed, 1 skipped"));
}

#[test]
#[cfg(target_os = "linux")]
fn without_loopback_the_remedy_is_said_once_and_what_needs_it_is_skipped() {
    let unshare = ["unshare --net", "unshare --user --map-root-user --net"]
        .into_iter()
        .find(|unshare| program_after(&format!("{unshare} true"), "list").status.success());
    let Some(unshare) = unshare else {
        println!("skipped: no network namespace of its own can be made here");
        return;
    };
    let script =
        format!("{unshare} {} --case S7 --case F2b --case S13", env!("CARGO_BIN_EXE_unisend-conformance"));
    let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(printed(&output).lines().last(), Some("1 passed, 0 failed, 2 skipped"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("lacks IPv4").count(), 1, "{said}");
    assert!(said.contains("ip link set lo up"), "{said}");
}

#[test]
fn without_a_directory_for_temporary_files_nothing_runs_and_one_sentence_says_why() {
    let output = program_after("export TMPDIR=/nonexistent", "--case S7");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("/nonexistent cannot hold a socket") && said.contains("TMPDIR"), "{said}");
}

#[test]
fn a_run_that_reaches_its_limit_is_a_failure_and_says_so() {
    // It waits for three seconds of signals.
    let output = program(&["--case", "I4b", "--time-limit", "1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(printed(&output).contains("hung: stopped after 1 s"), "{output:?}");
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
    assert_eq!(a1["reason"], "only a DatagramSocket has send_to");
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
    let output = program(&["list", "--topic", "flags", "--case", "F1", "--case", "S1"]);
    assert_eq!(printed(&output).lines().count(), 1);
}

/// A report to be shown, and how wide its widest line is.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded/linux-6.18-x86_64-glibc.json");

fn widest(text: &str) -> usize {
    strip_str(text).to_string().lines().map(str::len).max().unwrap_or(0)
}

#[rstest]
#[case::neither_said_nor_a_terminal(&[], 70..=80)]
#[case::said(&[("COLUMNS", "110")], 100..=110)]
#[case::said_wide(&[("COLUMNS", "200")], 150..=200)]
#[case::said_nothing(&[("COLUMNS", "0")], 70..=80)]
#[case::said_nonsense(&[("COLUMNS", "wide")], 70..=80)]
fn a_table_is_as_wide_as_the_terminal(
    #[case] variables: &[(&str, &str)],
    #[case] columns: std::ops::RangeInclusive<usize>,
) {
    let output = program_in(variables, &["show", RECORDED, "--verbose"]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        columns.contains(&widest(printed(&output))),
        "{}: {}",
        widest(printed(&output)),
        printed(&output)
    );
}

/// On a terminal. OpenBSD makes one by libutil, whose version differs by release: these programs are linked elsewhere.
#[cfg(target_os = "linux")]
mod terminal {
    use std::fs::File;
    use std::io::Read;
    use std::process::Stdio;

    use nix::pty::{Winsize, openpty};
    use rstest::rstest;

    use super::{RECORDED, command, widest};

    /// What the program prints on a terminal of so many columns.
    fn on_a_terminal(columns: u16, variables: &[(&str, &str)], arguments: &[&str]) -> String {
        let size = Winsize { ws_row: 25, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).expect("a pseudo-terminal");
        let mut command = command(variables, arguments);
        let mut running =
            command.stdout(terminal.slave).stderr(Stdio::null()).spawn().expect("the program starts");
        drop(command); // it holds the other end open
        let mut printed = Vec::new();
        // Linux ends what can be read of a terminal that nobody holds with an error.
        let _ = File::from(terminal.master).read_to_end(&mut printed);
        assert!(running.wait().expect("it ends").success());
        String::from_utf8(printed).expect("it prints text")
    }

    #[rstest]
    #[case::narrow(80, &[], 70..=80)]
    #[case::usual(110, &[], 100..=110)]
    #[case::wide(200, &[], 150..=200)]
    #[case::serial_line(0, &[], 70..=80)]
    #[case::said_otherwise(200, &[("COLUMNS", "80")], 70..=80)]
    fn a_table_fits_the_terminal(
        #[case] columns: u16,
        #[case] variables: &[(&str, &str)],
        #[case] expected: std::ops::RangeInclusive<usize>,
    ) {
        let printed = on_a_terminal(columns, variables, &["show", RECORDED, "--verbose"]);
        assert!(expected.contains(&widest(&printed)), "{}: {printed}", widest(&printed));
        let listed = on_a_terminal(80, &[], &["list"]);
        assert!((70..=80).contains(&widest(&listed)), "{listed}");
    }

    #[rstest]
    #[case::usual(&[("TERM", "xterm-256color")], &[], true)]
    #[case::no_color(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")], &[], false)]
    #[case::cannot(&[("TERM", "dumb")], &[], false)]
    #[case::refused(&[("TERM", "xterm-256color")], &["--color", "never"], false)]
    fn a_terminal_shows_colours(
        #[case] variables: &[(&str, &str)],
        #[case] arguments: &[&str],
        #[case] coloured: bool,
    ) {
        let printed = on_a_terminal(80, variables, &[&["show", RECORDED][..], arguments].concat());
        assert_eq!(printed.contains('\u{1b}'), coloured, "{printed}");
    }
}

#[rstest]
#[case::not_a_terminal(&[], &[], false)]
#[case::asked_for(&[], &["--color", "always"], true)]
#[case::asked_for_against_the_variable(&[("NO_COLOR", "1")], &["--color", "always"], true)]
#[case::forced_by_the_variable(&[("CLICOLOR_FORCE", "1")], &[], true)]
#[case::no_color_wins(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[], false)]
#[case::refused(&[("CLICOLOR_FORCE", "1")], &["--color", "never"], false)]
fn colours_are_where_they_are_wanted(
    #[case] variables: &[(&str, &str)],
    #[case] arguments: &[&str],
    #[case] coloured: bool,
) {
    for call in [&["show", RECORDED][..], &["diff", RECORDED, RECORDED]] {
        let output = program_in(variables, &[call, arguments].concat());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(printed(&output).contains('\u{1b}'), coloured, "{}", printed(&output));
        assert!(printed(&output).is_ascii(), "a console without UTF-8 can show it");
    }
}

#[test]
fn a_kept_report_is_shown_in_any_form() {
    let kept = std::fs::read_to_string(RECORDED).expect("a report");
    let json = program(&["show", RECORDED, "--format", "json"]);
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let whole: Report = serde_json::from_str(&kept).expect("a report");
    assert_eq!(parsed(printed(&json)), serde_json::to_value(whole).expect("JSON"));

    let page =
        program(&["show", RECORDED, "--format", "html", "--topic", "states", "--case", "S8", "--case", "A1"]);
    assert!(printed(&page).contains(r#"id="case-S8""#), "{page:?}");
    assert!(!printed(&page).contains(r#"id="case-A1""#), "{page:?}");
    assert!(printed(&page).contains("1 passed, 0 failed, 0 skipped"), "{page:?}");

    let table = program(&["show", RECORDED]);
    let last = format!("{} skipped", parsed(&kept)["summary"]["skipped"]);
    assert!(printed(&table).lines().last().is_some_and(|line| line.ends_with(&last)), "{table:?}");
}

#[rstest]
#[case::unknown_case(&["--case", "S99"], "no case has this clause")]
#[case::unknown_topic(&["--topic", "weather"], "possible values: agreement, flags")]
#[case::unknown_format(&["--format", "smoke"], "possible values: table, tap")]
#[case::no_time(&["--time-limit", "0"], "0 is not in 1..=86400")]
#[case::no_report(&["diff", "Cargo.toml", "Cargo.toml"], "Cargo.toml is not a report")]
#[case::no_report_to_show(&["show", "Cargo.toml"], "Cargo.toml is not a report")]
#[case::nothing_to_show(&["show"], "<REPORT>")]
#[case::a_form_of_the_list(&["list", "--format", "json"], "unexpected argument '--format'")]
#[case::a_choice_before_the_command(&["--topic", "flags", "list"], "cannot be used with '--topic <TOPIC>'")]
#[case::unknown_color(&["--color", "red"], "possible values: auto, always, never")]
#[case::no_file(&["diff", "/nonexistent", "Cargo.toml"], "/nonexistent: No such file")]
fn a_wrong_call_is_answered_with_what_would_be_right(#[case] arguments: &[&str], #[case] says: &str) {
    let output = program(arguments);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(says), "{said}");
}

/// The options of the manual page are those that the program has, and so are its commands and topics.
#[test]
fn the_manual_page_has_every_option_and_command() {
    let page = include_str!("../man/unisend-conformance.1");
    let help = |arguments: &[&str]| printed(&program(arguments)).to_owned();
    let main = help(&["--help"]);
    let (_, commands) = main.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let commands: BTreeSet<_> =
        commands.lines().filter(is_name).filter_map(|line| line.split_whitespace().next()).collect();

    let mut has = options(&main);
    for command in commands.iter().filter(|&&command| command != "help") {
        has.extend(options(&help(&[command, "--help"])));
    }
    assert_eq!(after(page, &["Fl -", "Fl v , -", "Fl h , -", "Fl V , -"]), has);
    assert_eq!(after(page, &[".It Cm "]), commands.into_iter().map(String::from).collect());
    let topics: BTreeSet<_> = Topic::value_variants().iter().map(|topic| topic.name().to_owned()).collect();
    let named = after(page, &[".Cm "]);
    assert_eq!(topics.difference(&named).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Returns the long options in the text of a help.
fn options(help: &str) -> BTreeSet<String> {
    let first = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    first.filter_map(|line| line.split("--").nth(1)).filter_map(word).collect()
}

/// Returns the words of a manual page that follow one of these macros.
fn after(page: &str, macros: &[&str]) -> BTreeSet<String> {
    macros.iter().flat_map(|name| page.split(name).skip(1)).filter_map(word).collect()
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|letter: char| !(letter.is_ascii_lowercase() || letter == '-')).unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}
