//! Markdown, with a table for each topic.

use super::{HEADINGS, Report, cells};

pub(super) fn print(report: &Report) -> String {
    let mut lines = vec![format!("# {} {}", report.suite, report.version), String::new()];
    lines.push(format!("{}: {}", report.host, report.summary));
    for (topic, rows) in report.topics() {
        lines.extend([String::new(), format!("## {topic}"), String::new()]);
        lines.push(line(&HEADINGS.map(str::to_owned)));
        lines.push(line(&HEADINGS.map(|_| "---".to_owned())));
        lines.extend(rows.iter().map(|row| line(&cells(row).map(|cell| escape(&cell)))));
    }
    lines.join("\n") + "\n"
}

fn line(cells: &[String; 5]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// A cell is one line, without bars and without markup of its own.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("<br>"),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '\\' | '*' | '_' | '`' | '[' => escaped.extend(['\\', character]),
            other => escaped.push(other),
        }
    }
    escaped
}
