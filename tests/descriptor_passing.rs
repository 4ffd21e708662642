//! The example `descriptor-passing`: a child that cannot open files reads those that its parent opened.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

fn example(arguments: &[&str]) -> Output {
    // Beside this test's folder: target/debug/deps and target/debug/examples.
    let mut program = std::env::current_exe().expect("this program");
    program.pop();
    program.pop();
    program.push("examples/descriptor-passing");
    assert!(
        program.exists(),
        "not there: {}; cargo test builds it, or cargo build --examples",
        program.display()
    );
    Command::new(program).args(arguments).output().expect("the example starts")
}

#[test]
fn the_child_counts_the_lines_of_files_that_it_may_not_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths: Vec<PathBuf> = (0..3).map(|index| directory.path().join(format!("file {index}"))).collect();
    for (index, path) in paths.iter().enumerate() {
        std::fs::write(path, "line\n".repeat(index * 1000)).expect("a file");
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("permissions");
    }
    let names: Vec<&str> = paths.iter().map(|path| path.to_str().expect("text")).collect();
    let output = example(&names);
    assert!(output.status.success(), "{output:?}");
    let expected: String =
        names.iter().enumerate().map(|(index, name)| format!("{name}: {} lines\n", index * 1000)).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_missing_file_is_said_and_ends_both() {
    let output = example(&["/nonexistent"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent: No such file"), "{output:?}");
}
