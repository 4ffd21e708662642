//! Text for a reader, on a screen of some width.

use std::borrow::Cow;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter, fill};

use super::Verdict;

/// The width of the screen that the text is for. Longer lines are broken between words, and nothing is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    width: usize,
}

/// The smallest width. Narrower screens get lines of this width, because labels alone take half of it.
const NARROWEST: usize = 40;

/// The column where the text of an entry begins, after its clause.
const INDENT: usize = 6;

pub(super) const HEADING: Style = Style::new().bold().underline();
pub(super) const ASIDE: Style = Style::new().dimmed();

/// The subject of an entry: its clause, its style, and what was examined.
pub(super) struct Title<'a> {
    pub(super) id: &'a str,
    pub(super) style: Style,
    pub(super) text: &'a str,
}

/// The label of what was expected. Verdicts take the same width.
const EXPECTED: &str = "expected ";

/// A line of an entry: the side, its verdict, and what was observed. The labels of an entry have the same
/// width.
pub(super) struct Line<'a> {
    pub(super) label: &'static str,
    pub(super) mark: Option<Mark>,
    pub(super) text: &'a str,
}

/// The word between the label of a line and its text.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Verdict(Verdict),
    Expected,
}

impl Default for Screen {
    /// Output that is not a terminal gets lines of 80 columns.
    fn default() -> Self {
        Self::new(80)
    }
}

impl Screen {
    /// Returns a screen of this many columns.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self { width: columns.max(NARROWEST) }
    }

    /// Prints a paragraph. Its first line begins with `first`, and the others are indented by the same width.
    pub(super) fn paragraph(self, printed: &mut String, first: &str, text: &str) {
        let text = printable(text);
        if text.trim().is_empty() {
            writeln!(printed, "{}", first.trim_end()).expect("a string takes all");
            return;
        }
        let rest = " ".repeat(display_width(first));
        let options = Options::new(self.width)
            .initial_indent(first)
            .subsequent_indent(&rest)
            .word_splitter(WordSplitter::NoHyphenation);
        writeln!(printed, "{}", fill(&text, options)).expect("a string takes all");
    }

    /// Prints a clause, its title, what each of two sides showed, and further lines.
    pub(super) fn entry(self, printed: &mut String, title: Title<'_>, sides: &[Line<'_>], more: &[Line<'_>]) {
        let Title { id, style, text } = title;
        let id = printable(id);
        let space = " ".repeat(INDENT.saturating_sub(display_width(&id)).max(1));
        self.paragraph(printed, &format!("{style}{id}{style:#}{space}"), text);
        let below = match sides {
            [left, right] if self.has_room_for(left) && self.has_room_for(right) => {
                let gap = " ".repeat(self.half() - left.width());
                let first = format!("{}{}{gap}{}", left.start(), printable(left.text), right.start());
                self.indented(printed, &first, right.text);
                more.iter().chain(&[])
            }
            _ => sides.iter().chain(more),
        };
        for line in below {
            self.indented(printed, &line.start(), line.text);
        }
    }

    fn indented(self, printed: &mut String, first: &str, text: &str) {
        self.paragraph(printed, &format!("{:INDENT$}{first}", ""), text);
    }

    fn half(self) -> usize {
        (self.width - INDENT) / 2
    }

    /// Returns whether a line takes less than half of the screen, so that another fits beside it.
    fn has_room_for(self, line: &Line<'_>) -> bool {
        line.width() < self.half()
    }
}

impl Line<'_> {
    /// The label and the mark.
    fn start(&self) -> String {
        let label = self.label;
        match self.mark {
            None => label.to_owned(),
            Some(Mark::Expected) => format!("{label}{EXPECTED}"),
            Some(Mark::Verdict(verdict)) => {
                let style = style(verdict);
                let space = " ".repeat(EXPECTED.len().saturating_sub(verdict.word().len()).max(1));
                format!("{label}{style}{verdict}{style:#}{space}")
            }
        }
    }

    fn width(&self) -> usize {
        display_width(&self.start()) + display_width(&printable(self.text))
    }
}

/// The style of a verdict, in addition to its word.
pub(super) const fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass => AnsiColor::Green.on_default(),
        Verdict::Fail => AnsiColor::Red.on_default().bold(),
        Verdict::Skip => AnsiColor::Yellow.on_default(),
        Verdict::Differs => AnsiColor::Cyan.on_default(),
        Verdict::Unrepresentable => ASIDE,
    }
}

/// Returns text that cannot control a terminal, because a report may come from somebody else.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .fold(String::new(), |mut safe, character| {
            match character.is_control() {
                true => safe.extend(character.escape_default()),
                false => safe.push(character),
            }
            safe
        })
        .into()
}
