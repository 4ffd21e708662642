//! A program in C, which knows nothing of unisend, with the library and without.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use object::{Object, ObjectSymbol};
use serde_json::{Value, json};

/// The library, which cargo builds here: for a test it builds no shared library of its own accord.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["rustc", "--locked", "--lib", "--message-format", "json"]);
        let done = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = String::from_utf8(done.stdout).unwrap();
        let made = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let files = made.flat_map(|line| line["filenames"].as_array().cloned().unwrap_or_default());
        let mut names = files.filter_map(|name| Some(PathBuf::from(name.as_str()?)));
        names.find(|name| name.ends_with("libunisend_preload.so")).unwrap()
    })
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("a program");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program.c");
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-nonnull", "-D_FORTIFY_SOURCE=2"]);
        let done = cc.arg("-pthread").arg("-o").arg(&program).arg(source).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        (folder, program)
    });
    program
}

fn run(part: &str, preloaded: bool, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program());
    command.arg(part).env_remove("LD_PRELOAD").envs(variables.iter().copied());
    if preloaded {
        command.env("LD_PRELOAD", library());
    }
    command.stdin(std::fs::File::open("/dev/null").unwrap()).output().unwrap()
}

/// Runs a part of the program with the library, and returns what it wrote and its report, a line for each process.
fn counted(part: &str, variables: &[(&str, &str)]) -> (String, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let variables = [variables, &[("UNISEND_PRELOAD_REPORT", report.to_str().unwrap())]].concat();
    let done = run(part, true, &variables);
    assert!(done.status.success(), "{part}: {done:?}");
    let lines = std::fs::read_to_string(report).unwrap();
    let mut rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        assert_eq!(row.remove("program"), Some("a program".into()));
        assert!(row.remove("pid").unwrap().as_u64().unwrap() > 1);
    }
    (text(&done), rows)
}

fn text(done: &Output) -> String {
    String::from_utf8(done.stdout.clone()).unwrap()
}

#[test]
fn what_the_contract_does_not_change_is_the_same() {
    let without = run("same", false, &[]);
    assert!(without.status.success(), "{without:?}");
    let (with, report) = counted("same", &[]);
    assert_eq!(with, text(&without));
    let expected = json!({
        "send": {"unisend": 5, "descriptor": 3, "memory": 1},
        "sendto": {"unisend": 1},
        "sendmsg": {"unisend": 1, "memory": 1},
        "sendmmsg": {"unisend": 1},
        "recvmsg": {"unisend": 4},
        "sendfile": {"unisend": 2},
    });
    assert_eq!(report, [expected]);
}

/// Each with what Linux says, and what unisend says.
#[test]
fn what_the_contract_changes_differs() {
    let without = "A7: EINVAL\nB7: 0\nF4b: 1\nS1: EPIPE\n";
    let with = "A7: EADDRNOTAVAIL\nB7: EINVAL\nF4b: EOPNOTSUPP\nS1: ENOTCONN\n";
    assert_eq!(text(&run("differs", false, &[])), without);
    let (text, report) = counted("differs", &[]);
    assert_eq!(text, with);
    assert_eq!(report, [json!({"send": {"unisend": 2}, "sendto": {"unisend": 2}})]);
}

#[test]
fn what_cannot_be_represented_is_passed_on() {
    let without = run("passed-on", false, &[]);
    let (with, report) = counted("passed-on", &[]);
    assert_eq!(with, text(&without));
    let expected = json!({
        "send": {"flags": 1},
        "sendto": {"address": 1},
        "recvmsg": {"flags": 1},
        "sendmsg": {"control": 1},
    });
    assert_eq!(report, [expected]);
}

#[test]
fn threads_handlers_and_children_are_counted() {
    let (_, report) = counted("shared", &[]);
    let of = |count: u32| json!({"send": {"unisend": count}});
    assert_eq!(report, [of(1), of(1), of(4010)]);
}

#[test]
fn a_call_before_main_is_made_and_counted() {
    let (text, report) = counted("", &[("BEFORE_MAIN", "1")]);
    assert_eq!(text, "before main: 1\n");
    assert_eq!(report, [json!({"sendto": {"unisend": 1}})]);
}

/// Point 3 of the contract.
#[test]
fn no_send_raises_sigpipe() {
    assert_eq!(run("killed", false, &[]).status.signal(), Some(13));
    assert_eq!(counted("killed", &[]).0, "alive: EPIPE\n");
}

/// Nothing else of the process is changed, and libc's functions are reached by their names alone.
#[test]
fn the_library_defines_the_calls_and_needs_none() {
    let contents = std::fs::read(library()).unwrap();
    let file = object::File::parse(&*contents).unwrap();
    let names = |defined: bool| {
        let symbols = file.dynamic_symbols().filter(move |symbol| symbol.is_definition() == defined);
        symbols.map(|symbol| symbol.name().unwrap().to_owned()).collect::<BTreeSet<String>>()
    };
    let calls = ["send", "sendto", "sendmsg", "sendmmsg", "recvmsg", "sendfile", "sendfile64"];
    let wrapped = calls.map(|name| format!("__wrap_{name}"));
    let expected = calls.map(String::from).into_iter().chain(wrapped).chain(["_exit".into(), "_Exit".into()]);
    assert_eq!(names(true), expected.collect());
    assert!(calls.iter().all(|&name| !names(false).contains(name)));
}
