//! A table by topic, for people.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use super::{HEADINGS, Report, Row, Side, Verdict};

pub(super) fn print(report: &Report) -> String {
    let mut printed = String::new();
    for (topic, rows) in report.topics() {
        writeln!(printed, "\n{topic}\n{}", topic_table(rows)).expect("a string takes all");
    }
    write!(printed, "\n{}\n{}\n", report.host, report.summary).expect("a string takes all");
    printed
}

fn topic_table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(160)
        .set_header(HEADINGS);
    for row in rows {
        table.add_row(cells(row));
    }
    table
}

/// What stands under the headings.
pub(super) fn cells(row: &Row) -> [String; 5] {
    [
        row.id.clone(),
        row.title.clone(),
        side(&row.kernel),
        row.portable.as_ref().map_or_else(|| "not run".to_owned(), side),
        verdict(row),
    ]
}

/// What a side showed and, if that was wrong, what was wanted.
fn side(side: &Side) -> String {
    let observed = side.observed.as_deref().unwrap_or_default();
    match (side.verdict, &side.expected) {
        (Verdict::Fail, Some(expected)) => format!("{observed}\nexpected: {expected}"),
        (Verdict::Skip | Verdict::Unrepresentable, _) => "-".to_owned(),
        _ => observed.to_owned(),
    }
}

/// The verdict, and why if it is not a plain one.
fn verdict(row: &Row) -> String {
    let unisend = row.portable.as_ref().map_or(Verdict::Pass, |side| side.verdict);
    let word = match row.verdict() {
        Verdict::Pass => unisend,
        worse => worse,
    };
    match &row.reason {
        Some(reason) => format!("{word}: {reason}"),
        None => word.to_string(),
    }
}
