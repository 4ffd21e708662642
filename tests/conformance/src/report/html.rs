//! A page that needs nothing beside it, with a table for each topic.

use super::{HEADINGS, Report, Row, cells};

const STYLE: &str = "\
body { font-family: sans-serif; margin: 2em; }
table { border-collapse: collapse; margin-bottom: 2em; }
th, td { border-bottom: 1px solid #ccc; padding: 0.3em 0.8em; text-align: left; vertical-align: top; }
td { white-space: pre-line; }
.fail { background: #fdd; }
.skip { color: #777; }";

pub(super) fn print(report: &Report) -> String {
    let title = escape(&format!("{} {}", report.suite, report.version));
    let summary = escape(&format!("{}: {}", report.host, report.summary));
    let topics: String =
        report.topics().map(|(topic, rows)| format!("<h2>{}</h2>\n{}", escape(topic), table(rows))).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n{STYLE}\n\
         </style>\n<h1>{title}</h1>\n<p>{summary}</p>\n{topics}</html>\n"
    )
}

fn table(rows: &[Row]) -> String {
    let headings: String = HEADINGS.iter().map(|heading| format!("<th>{}</th>", escape(heading))).collect();
    let rows: String = rows.iter().map(line).collect();
    format!("<table>\n<tr>{headings}</tr>\n{rows}</table>\n")
}

fn line(row: &Row) -> String {
    let cells: String = cells(row).iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
    format!("<tr class=\"{}\">{cells}</tr>\n", row.verdict())
}

/// Text as it can stand in an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
