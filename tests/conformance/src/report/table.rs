//! For a reader, on a terminal: the counts of each topic, then what failed and what was skipped, in full.

use std::fmt::Write;

use anstyle::Style;

use super::screen::{ASIDE, HEADING, Line, Mark, Screen, Title, printable, style};
use super::{Report, Row, Side, Verdict};

/// The columns of the counts: the verdicts that each counts, and its style.
const COUNTS: [(&str, &[Verdict], Style); 5] = [
    ("passed", &[Verdict::Pass, Verdict::Differs, Verdict::Unrepresentable], style(Verdict::Pass)),
    ("failed", &[Verdict::Fail], style(Verdict::Fail)),
    ("skipped", &[Verdict::Skip], style(Verdict::Skip)),
    ("differs", &[Verdict::Differs], style(Verdict::Differs)),
    ("unrepresentable", &[Verdict::Unrepresentable], ASIDE),
];

const WORDS: &str = "differs: as the contract says for this system, which cannot be the same as on others. \
                     unrepresentable: a mistake that unisend's types do not let a program make. \
                     Both are among those that passed.";

/// With `verbose` every case is shown, otherwise those that failed or were skipped.
pub(super) fn print(report: &Report, screen: Screen, verbose: bool) -> String {
    let mut printed = String::new();
    screen.paragraph(&mut printed, "", &format!("{} {}", report.suite, report.version));
    screen.paragraph(&mut printed, "", &report.host.to_string());
    printed.push('\n');
    counts(&mut printed, report);
    for (heading, verdict) in [("Failed", Verdict::Fail), ("Skipped", Verdict::Skip)] {
        let rows: Vec<&Row> = report.cases.iter().filter(|row| row.verdict() == verdict).collect();
        entries(&mut printed, screen, heading, &rows);
    }
    if verbose {
        for (topic, rows) in report.topics() {
            entries(&mut printed, screen, topic, &rows.iter().collect::<Vec<_>>());
        }
    }
    printed.push('\n');
    screen.paragraph(&mut printed, "", WORDS);
    if !verbose {
        screen.paragraph(&mut printed, "", "--verbose shows every case.");
    }
    let worst = [Verdict::Fail, Verdict::Pass][usize::from(report.summary.failed == 0)];
    let style = style(worst);
    writeln!(printed, "\n{style}{}{style:#}", report.summary).expect("a string takes all");
    printed
}

/// Prints a line for each topic, with the counts of its verdicts.
fn counts(printed: &mut String, report: &Report) {
    let width =
        report.topics().map(|(topic, _)| printable(topic).len()).max().unwrap_or(0).max("topic".len());
    let headings: String = COUNTS.iter().map(|(heading, ..)| format!("  {heading}")).collect();
    writeln!(printed, "{HEADING}{:width$}{headings}{HEADING:#}", "topic").expect("a string takes all");
    for (topic, rows) in report.topics() {
        writeln!(printed, "{:width$}{}", printable(topic), numbers(rows)).expect("a string takes all");
    }
    writeln!(printed, "{:width$}{}", "all", numbers(&report.cases)).expect("a string takes all");
}

/// Returns how many rows each column counts. A count of 0 is a dash, so that the others stand out.
fn numbers(rows: &[Row]) -> String {
    let count = |wanted: &[Verdict]| rows.iter().filter(|row| wanted.contains(&row.outcome())).count();
    let columns = COUNTS.iter().map(|(heading, wanted, style)| (heading.len(), count(wanted), style));
    columns
        .map(|(width, count, style)| match count {
            0 => format!("  {ASIDE}{:>width$}{ASIDE:#}", '-'),
            _ => format!("  {style}{count:>width$}{style:#}"),
        })
        .collect()
}

fn entries(printed: &mut String, screen: Screen, heading: &str, rows: &[&Row]) {
    if rows.is_empty() {
        return;
    }
    writeln!(printed, "\n{HEADING}{}{HEADING:#}", printable(heading)).expect("a string takes all");
    for row in rows {
        let mut sides = side("kernel  ", &row.kernel);
        match &row.portable {
            Some(portable) => sides.extend(side("unisend ", portable)),
            None => sides.push(Line { label: "unisend ", mark: None, text: "not run" }),
        }
        let reason = row.further_reason().map(|text| Line { label: "reason  ", mark: None, text });
        let title = Title { id: &row.id, style: style(row.outcome()).bold(), text: &row.title };
        screen.entry(printed, title, &sides, reason.as_slice());
    }
}

/// Returns what a side showed and, if that was wrong, what was expected.
fn side<'a>(label: &'static str, side: &'a Side) -> Vec<Line<'a>> {
    let observed = side.observed.as_deref().unwrap_or_default();
    let mut lines = vec![Line { label, mark: Some(Mark::Verdict(side.verdict)), text: observed }];
    if let (Verdict::Fail, Some(expected)) = (side.verdict, &side.expected) {
        lines.push(Line { label: "        ", mark: Some(Mark::Expected), text: expected });
    }
    lines
}
