//! The soak, shortened: what it prints, and that nothing of it is left.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn soak(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unisend-conformance"));
    command.arg("soak").args(arguments).env("TMPDIR", directory);
    command
}

fn printed(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("it prints text")
}

/// With a seed that is new each time, so that CI tries others.
#[test]
fn all_that_was_accepted_comes_and_nothing_grows() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = soak(&["--for-seconds", "5"], directory.path()).output().expect("it starts");
    assert!(output.status.success(), "{}", printed(&output));
    let last = printed(&output).lines().last().unwrap_or_default();
    assert!(last.starts_with("soak: 5 s, seed "), "{last}");
    assert!(last.ends_with("12 processes: nothing grew, and all that was accepted came"), "{last}");
    for kind in ["Tcp", "UdpV4", "UdpV6", "UnixStream", "UnixDatagram", "UnixSeqpacket"] {
        let is_said = |line: &str| line.starts_with(kind) || line.starts_with(&format!("skipped: {kind}: "));
        assert!(printed(&output).lines().any(is_said), "{kind}: {}", printed(&output));
    }
    let left = std::fs::read_dir(directory.path()).expect("it is there").count();
    assert_eq!(left, 0, "the temporary directory is empty again");
}

/// Two processes are one pair, which takes turns.
#[test]
fn one_pair_uses_every_kind_of_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let arguments = ["--for-seconds", "4", "--processes", "2", "--seed", "7"];
    let output = soak(&arguments, directory.path()).output().expect("it starts");
    assert!(output.status.success(), "{}", printed(&output));
    let last = printed(&output).lines().last().unwrap_or_default();
    assert!(last.starts_with("soak: 4 s, seed 7, 2 processes: nothing grew"), "{last}");
    for kind in ["Tcp", "UdpV4", "UnixStream", "UnixDatagram", "UnixSeqpacket"] {
        assert!(printed(&output).contains(kind), "{kind}: {}", printed(&output));
    }
}

/// The processes have the standard output too, so its end is seen when all of them have ended.
#[test]
fn every_process_ends_when_the_first_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut first =
        soak(&["--for-seconds", "300"], directory.path()).stdout(Stdio::piped()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_secs(2));
    let since = Instant::now();
    first.kill().expect("it is running");
    first.wait().expect("it is a child of this process");
    first.stdout.take().expect("a pipe").read_to_end(&mut Vec::new()).expect("it can be read");
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
}
