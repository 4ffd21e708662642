//! SECURITY.md names tests and clauses. They exist.

const SECURITY: &str = include_str!("../SECURITY.md");
const CONTRACT: &str = include_str!("../docs/contract.md");

/// The files whose tests it names.
const SOURCES: [(&str, &str); 9] = [
    ("platform/kernel/control.rs", include_str!("../platform/kernel/control.rs")),
    ("platform/tests.rs", include_str!("../platform/tests.rs")),
    ("tests/credentials.rs", include_str!("credentials.rs")),
    ("tests/interruption.rs", include_str!("interruption.rs")),
    ("tests/leaks.rs", include_str!("leaks.rs")),
    ("tests/network.rs", include_str!("network.rs")),
    ("tests/sendfile_sigpipe.rs", include_str!("sendfile_sigpipe.rs")),
    ("tests/sigpipe.rs", include_str!("sigpipe.rs")),
    ("tests/static_server.rs", include_str!("static_server.rs")),
];

/// The column of each row that says what shows it.
fn shown_by() -> impl Iterator<Item = &'static str> {
    SECURITY.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split('|').nth(3))
}

#[test]
fn each_test_that_is_named_is_in_its_file() {
    let mut found = 0;
    for row in shown_by() {
        let mut source = "";
        // What is between backquotes.
        for name in row.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                source = SOURCES.iter().find(|(file, _)| *file == name).expect(name).1;
            } else {
                assert!(source.contains(&format!("fn {name}(")), "SECURITY.md names {name}");
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found} tests were found");
}

#[test]
fn each_clause_that_is_named_is_in_the_contract() {
    let is_clause = |word: &&str| {
        let mut letters = word.chars();
        letters.next().is_some_and(|first| first.is_ascii_uppercase())
            && letters.next().is_some_and(|second| second.is_ascii_digit())
    };
    let words = shown_by().flat_map(|row| row.split([' ', ',', ';', ':', '.'])).filter(is_clause);
    let mut found = 0;
    for clause in words {
        assert!(CONTRACT.contains(&format!("\n| {clause} | ")), "SECURITY.md names {clause}");
        found += 1;
    }
    assert!(found > 20, "{found} clauses were found");
}
