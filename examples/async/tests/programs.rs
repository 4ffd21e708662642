//! Each program, started as a user starts it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;

/// How long a program may take. What it prints fits into a pipe.
const PATIENCE: Duration = Duration::from_secs(60);

const FILE_BYTES: usize = 5_000_000;

fn example(name: &str, arguments: &[&str]) -> Output {
    // Beside this test's folder: target/debug/deps and target/debug/examples.
    let this = std::env::current_exe().expect("this program");
    let program = this.ancestors().nth(2).expect("a folder").join("examples").join(name);
    assert!(
        program.exists(),
        "not there: {}; cargo test builds it, or cargo build --examples",
        program.display()
    );
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the example starts");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("it is a child").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it is a child");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("it has ended")
}

#[rstest]
fn descriptors_and_files_arrive(#[values("with-tokio", "with-mio", "with-polling")] name: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let paths: Vec<PathBuf> = ["short", "long"].map(|name| directory.path().join(name)).into();
    std::fs::write(&paths[0], "short").expect("a file");
    std::fs::write(&paths[1], vec![7; FILE_BYTES]).expect("a file");
    let [short, long] = [0, 1].map(|index: usize| paths[index].to_str().expect("text"));

    let output = example(name, &[short, long]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    let (said, waits) = said.trim_end().rsplit_once(", with ").expect("how often it waited");
    let expected = format!(
        "{short}: read 5 bytes from its descriptor\n\
         {long}: read {FILE_BYTES} bytes from its descriptor\n\
         {short}: received 12 bytes, with 0 waits\n\
         {long}: received {} bytes",
        FILE_BYTES + 7
    );
    assert_eq!(said, expected);
    let waits: usize = waits.strip_suffix(" waits").expect("waits").parse().expect("a number");
    assert!(waits > 3, "{waits}");
}

#[rstest]
fn a_missing_file_is_said(#[values("with-tokio", "with-mio", "with-polling")] name: &str) {
    let output = example(name, &["/nonexistent"]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such file"), "{output:?}");
}
