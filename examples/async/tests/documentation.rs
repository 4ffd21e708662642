//! docs/async.md shows code that is in the programs, and so compiles and is tested.

const PAGE: &str = include_str!("../../../docs/async.md");
const PROGRAMS: [&str; 3] =
    [include_str!("../tokio.rs"), include_str!("../mio.rs"), include_str!("../polling.rs")];

/// The lines, without the indentation, which is less on the page.
fn lines(code: &str) -> String {
    code.lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn the_code_on_the_page_is_that_of_the_programs() {
    let programs = PROGRAMS.map(lines);
    let blocks = PAGE.split("```rust\n").skip(1).map(|rest| rest.split("```").next().expect("an end"));
    let mut count = 0;
    for block in blocks {
        let wanted = format!("\n{}", lines(block));
        assert!(programs.iter().any(|program| program.contains(&wanted)), "in no program:\n{block}");
        count += 1;
    }
    assert_eq!(
        count,
        PAGE.matches("```").count() / 2 - 1,
        "one block is for the shell, and the others are Rust"
    );
}
