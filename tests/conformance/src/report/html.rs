//! A page that needs no other file. It has what the run showed, and the text of the contract. Without script it
//! shows everything; with script it can be searched.

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{HEADINGS, Report, Row, Side, Verdict, contract, screen::printable};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing is loaded from anywhere, whatever the report contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

const VERDICTS: [Verdict; 5] =
    [Verdict::Fail, Verdict::Skip, Verdict::Pass, Verdict::Differs, Verdict::Unrepresentable];

pub(super) fn print(report: &Report) -> String {
    let title = format!("{} {}: {}", report.suite, report.version, report.host);
    let cases: BTreeSet<&str> = report.cases.iter().map(|row| row.id.as_str()).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (report.suite) " " (report.version) }
                    p { (report.host) }
                    p.summary.(worst(report)) { (report.summary) }
                }
                main {
                    (counts(report))
                    (notable(report, "Failed", Verdict::Fail))
                    (notable(report, "Skipped", Verdict::Skip))
                    section {
                        h2 { "Cases" }
                        (filter(report))
                        @for (topic, rows) in report.topics() { (topic_table(topic, rows)) }
                    }
                    section #contract { (PreEscaped(contract::to_html(&cases))) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string().lines().map(|line| printable(line).into_owned() + "\n").collect()
}

fn worst(report: &Report) -> Verdict {
    if report.summary.failed == 0 { Verdict::Pass } else { Verdict::Fail }
}

fn count(rows: &[Row], verdict: Verdict) -> usize {
    rows.iter().filter(|row| row.outcome() == verdict).count()
}

fn counts(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Summary" }
            div.wide {
                table.counts {
                    thead { tr { th scope="col" { "topic" } @for verdict in VERDICTS { th scope="col" { (verdict) } } } }
                    tbody {
                        @for (topic, rows) in report.topics() {
                            tr { th scope="row" { a href=(format!("#topic-{topic}")) { (topic) } } (numbers(rows)) }
                        }
                    }
                    tfoot { tr { th scope="row" { "all" } (numbers(&report.cases)) } }
                }
            }
            dl.words {
                dt { (badge(Verdict::Differs)) }
                dd { "As the contract says for this system, which cannot be the same as on others. Counts as passed." }
                dt { (badge(Verdict::Unrepresentable)) }
                dd { "A mistake that unisend's types do not let a program make. Counts as passed." }
            }
        }
    }
}

fn numbers(rows: &[Row]) -> Markup {
    html! {
        @for verdict in VERDICTS {
            @match count(rows, verdict) {
                0 => td.none { "0" },
                some => td.(verdict) { (some) },
            }
        }
    }
}

/// What a reader looks for first, in full.
fn notable(report: &Report, heading: &str, verdict: Verdict) -> Markup {
    let rows: Vec<&Row> = report.cases.iter().filter(|row| row.outcome() == verdict).collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { (heading) }
                ul.notable {
                    @for row in rows {
                        li.(verdict) {
                            p { a href=(format!("#case-{}", row.id)) { (row.id) } " " (row.title) }
                            dl {
                                dt { "kernel" } dd { (side(&row.kernel)) }
                                @if let Some(portable) = &row.portable { dt { "unisend" } dd { (side(portable)) } }
                                @if let Some(reason) = row.further_reason() { dt { "reason" } dd { (reason) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The script makes it visible.
fn filter(report: &Report) -> Markup {
    html! {
        form #filter role="search" hidden {
            label { "Search " input type="search" name="text" placeholder="S8, EPIPE, pipe …" autocomplete="off"; }
            label {
                "Verdict "
                select name="verdict" {
                    option value="" { "all" }
                    @for verdict in VERDICTS {
                        option value=(verdict) { (verdict) " (" (count(&report.cases, verdict)) ")" }
                    }
                }
            }
            output name="count" {}
        }
    }
}

fn topic_table(topic: &str, rows: &[Row]) -> Markup {
    html! {
        section.topic #(format!("topic-{topic}")) {
            h3 { (topic) }
            table.cases role="table" {
                thead role="rowgroup" {
                    tr role="row" { @for heading in HEADINGS { th scope="col" role="columnheader" { (heading) } } }
                }
                tbody role="rowgroup" { @for row in rows { (case(row)) } }
            }
        }
    }
}

/// The roles keep it a table row where the style makes it a card.
fn case(row: &Row) -> Markup {
    let [_, _, kernel, unisend, verdict] = HEADINGS;
    html! {
        tr role="row" id=(format!("case-{}", row.id)) class=(row.outcome()) data-verdict=(row.outcome()) {
            th scope="row" role="rowheader" {
                @if contract::has(&row.id) {
                    a href=(format!("#clause-{}", row.id)) title="its text in the contract" { (row.id) }
                } @else {
                    (row.id)
                }
            }
            td role="cell" { (row.title) }
            td role="cell" data-label=(kernel) { (side(&row.kernel)) }
            td role="cell" data-label=(unisend) {
                @match &row.portable { Some(portable) => (side(portable)), None => "not run" }
            }
            td role="cell" data-label=(verdict) {
                (badge(row.outcome()))
                @if let Some(reason) = row.further_reason() { " " (reason) }
            }
        }
    }
}

fn badge(verdict: Verdict) -> Markup {
    html! { span.badge.(verdict) { (verdict) } }
}

/// Returns what a side showed and, if that was wrong, what was expected.
fn side(side: &Side) -> Markup {
    let observed = side.observed.as_deref().unwrap_or_default();
    html! {
        @match side.verdict {
            Verdict::Fail => {
                (badge(side.verdict)) " " (observed)
                @if let Some(expected) = &side.expected { br; b { "expected: " } (expected) }
            }
            Verdict::Skip => { (badge(side.verdict)) " " (observed) }
            Verdict::Unrepresentable => { "-" }
            Verdict::Pass | Verdict::Differs => (observed),
        }
    }
}
