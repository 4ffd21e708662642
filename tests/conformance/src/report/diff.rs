//! Compares two runs: where the kernels differ, and where unisend does, which should be nowhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::screen::{HEADING, Line, Screen, Title, style};
use super::{Report, Row, Side, Verdict};

/// The comparison of two runs.
#[derive(Debug)]
pub struct Difference {
    /// For a reader.
    pub printed: String,
    /// Whether unisend showed the same in both runs, except where the contract says that it differs.
    pub unisend_agrees: bool,
}

/// Compares the cases that both runs have, for a screen.
#[must_use]
pub fn compare(a: &Report, b: &Report, screen: Screen) -> Difference {
    let of_b: BTreeMap<&str, &Row> = b.cases.iter().map(|row| (row.id.as_str(), row)).collect();
    let both: Vec<(&Row, &Row)> =
        a.cases.iter().filter_map(|row| Some((row, *of_b.get(row.id.as_str())?))).collect();

    let (mut kernels, mut unisend) = (Vec::new(), Vec::new());
    let (mut as_promised, mut promised_otherwise, mut not_run) = (Vec::new(), Vec::new(), Vec::new());
    for &(a, b) in &both {
        if let (Some(of_a), Some(of_b)) = (shown(Some(&a.kernel)), shown(Some(&b.kernel)))
            && of_a != of_b
        {
            kernels.push((a, of_a, of_b));
        }
        match (shown(a.portable.as_ref()), shown(b.portable.as_ref())) {
            (Some(of_a), Some(of_b)) if of_a == of_b => {}
            (Some(_), Some(_)) if differs(a) || differs(b) => as_promised.push(a.id.as_str()),
            (Some(_), Some(_)) if have_other_promises(a, b) => promised_otherwise.push(a.id.as_str()),
            (Some(of_a), Some(of_b)) => unisend.push((a, of_a, of_b)),
            _ if unrepresentable(a) || unrepresentable(b) => {}
            _ => not_run.push(a.id.as_str()),
        }
    }

    let mut printed = String::new();
    screen.paragraph(&mut printed, "A: ", &a.host.to_string());
    screen.paragraph(&mut printed, "B: ", &b.host.to_string());
    let titled = format!("The kernels differ in {} of {} cases", kernels.len(), both.len());
    list(&mut printed, screen, &titled, Verdict::Differs, &kernels);
    let titled = format!("unisend differs in {} cases", unisend.len());
    list(&mut printed, screen, &titled, Verdict::Fail, &unisend);
    for (what, ids) in [
        ("unisend differs as the contract says", as_promised),
        ("the contract has changed between the two runs, and unisend kept it in both", promised_otherwise),
        ("unisend was not run in both", not_run),
        ("only in A", missing(a, b)),
        ("only in B", missing(b, a)),
    ] {
        if !ids.is_empty() {
            printed.push('\n');
            screen.paragraph(&mut printed, "", &format!("{what}: {}", ids.join(", ")));
        }
    }
    Difference { printed, unisend_agrees: unisend.is_empty() }
}

/// Returns what a side showed, if it was run.
fn shown(side: Option<&Side>) -> Option<&str> {
    let run = side.filter(|side| !matches!(side.verdict, Verdict::Skip | Verdict::Unrepresentable));
    run.and_then(|side| side.observed.as_deref())
}

fn differs(row: &Row) -> bool {
    row.portable.as_ref().is_some_and(|side| side.verdict == Verdict::Differs)
}

/// Returns whether each run showed what was promised although the promises are not the same: the runs are of
/// two versions of the contract.
fn have_other_promises(a: &Row, b: &Row) -> bool {
    let kept = |row: &Row| {
        let side = row.portable.as_ref().filter(|side| side.verdict == Verdict::Pass);
        side.and_then(|side| side.expected.clone())
    };
    matches!((kept(a), kept(b)), (Some(of_a), Some(of_b)) if of_a != of_b)
}

fn unrepresentable(row: &Row) -> bool {
    row.portable.as_ref().is_some_and(|side| side.verdict == Verdict::Unrepresentable)
}

fn missing<'a>(from: &'a Report, other: &Report) -> Vec<&'a str> {
    let there = |row: &&Row| !other.cases.iter().any(|case| case.id == row.id);
    from.cases.iter().filter(there).map(|row| row.id.as_str()).collect()
}

fn list(printed: &mut String, screen: Screen, title: &str, verdict: Verdict, rows: &[(&Row, &str, &str)]) {
    let colon = if rows.is_empty() { "" } else { ":" };
    writeln!(printed, "\n{HEADING}{title}{colon}{HEADING:#}").expect("a string takes all");
    for (row, a, b) in rows {
        let title = Title { id: &row.id, style: style(verdict).bold(), text: &row.title };
        let line = |label, text| Line { label, mark: None, text };
        screen.entry(printed, title, &[line("A: ", a), line("B: ", b)], &[]);
    }
}
