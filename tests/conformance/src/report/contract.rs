//! The contract as a part of a page. Each clause has an anchor, and links back to its case.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

const CONTRACT: &str = include_str!("../../contract.md");

/// Returns whether the contract has this clause.
pub(super) fn has(clause: &str) -> bool {
    is_clause(clause) && CONTRACT.lines().any(|line| line.starts_with(&format!("| {clause} | ")))
}

/// Returns the contract in HTML, with links to these cases.
pub(super) fn to_html(cases: &BTreeSet<&str>) -> String {
    let mut in_first_cell = false;
    let events = Parser::new_ext(CONTRACT, Options::ENABLE_TABLES).map(|event| match event {
        Event::Start(Tag::Heading { level, id, classes, attrs }) => {
            Event::Start(Tag::Heading { level: below(level), id, classes, attrs })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
        Event::Start(Tag::TableRow) => {
            in_first_cell = true;
            event
        }
        Event::End(TagEnd::TableCell) => {
            in_first_cell = false;
            event
        }
        Event::Text(clause) if in_first_cell && is_clause(&clause) => {
            Event::InlineHtml(anchor(&clause, cases).into())
        }
        other => other,
    });
    let mut printed = String::new();
    html::push_html(&mut printed, events.flat_map(scrolling));
    printed
}

/// Lets a table that is wider than the screen scroll by itself.
fn scrolling(event: Event<'_>) -> impl Iterator<Item = Event<'_>> {
    let tag = |tag: &'static str| Some(Event::Html(tag.into()));
    let before = matches!(event, Event::Start(Tag::Table(_))).then_some("<div class=\"wide\">");
    let after = matches!(event, Event::End(TagEnd::Table)).then_some("</div>\n");
    before.and_then(tag).into_iter().chain([event]).chain(after.and_then(tag))
}

/// The page has a heading above those of the contract.
fn below(level: HeadingLevel) -> HeadingLevel {
    HeadingLevel::try_from(level as usize + 1).unwrap_or(HeadingLevel::H6)
}

fn is_clause(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_uppercase())
        && characters.next().is_some_and(|second| second.is_ascii_digit())
        && characters.all(|other| other.is_ascii_alphanumeric())
}

/// Returns whether this is the number of a clause. It has no character with a meaning in HTML, and others can
/// link to it.
fn anchor(clause: &str, cases: &BTreeSet<&str>) -> String {
    match cases.contains(clause) {
        true => format!("<a id=\"clause-{clause}\" href=\"#case-{clause}\">{clause}</a>"),
        false => format!("<span id=\"clause-{clause}\">{clause}</span>"),
    }
}
