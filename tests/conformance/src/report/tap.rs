//! The Test Anything Protocol, version 14.

use super::{Report, Row, Side, Verdict};

pub(super) fn print(report: &Report) -> String {
    let mut lines = vec!["TAP version 14".to_owned(), format!("1..{}", report.cases.len())];
    for (index, row) in report.cases.iter().enumerate() {
        lines.push(test_line(index + 1, row));
        if row.verdict() == Verdict::Fail {
            lines.push("  ---".to_owned());
            lines.extend(diagnostics("kernel", &row.kernel));
            lines.extend(row.portable.iter().flat_map(|side| diagnostics("unisend", side)));
            lines.push("  ...".to_owned());
        }
    }
    lines.push(format!("# {}", report.summary));
    lines.join("\n") + "\n"
}

fn test_line(number: usize, row: &Row) -> String {
    let outcome = if row.verdict() == Verdict::Fail { "not ok" } else { "ok" };
    let line = format!("{outcome} {number} - {} {}", row.id, row.title.replace('#', "\\#"));
    match (row.verdict(), &row.reason) {
        (Verdict::Skip, Some(reason)) => format!("{line} # SKIP {reason}"),
        _ => line,
    }
}

/// A side as a block of YAML, in which JSON's strings are strings too.
fn diagnostics(name: &str, side: &Side) -> [String; 3] {
    let quoted = |text: &Option<String>| serde_json::json!(text);
    [
        format!("  {name}:"),
        format!("    observed: {}", quoted(&side.observed)),
        format!("    expected: {}", quoted(&side.expected)),
    ]
}
