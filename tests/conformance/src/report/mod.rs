//! What a run showed, and the forms in which it can be printed.

mod contract;
mod diff;
mod html;
mod junit;
mod markdown;
mod screen;
mod table;
mod tap;

use std::fmt::Display;

pub use diff::{Difference, compare};
use nix::unistd::{SysconfVar, sysconf};
pub use screen::Screen;
use serde::{Deserialize, Serialize};

use crate::{Case, emulation};

/// What a run showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The suite's name.
    pub suite: String,
    /// The suite's version.
    pub version: String,
    /// Where it ran.
    pub host: Host,
    /// The number of cases by verdict.
    pub summary: Summary,
    /// Each case.
    pub cases: Vec<Row>,
}

/// Where a run was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The operating system, as uname(1) reports it.
    pub os: String,
    /// Its release.
    pub release: String,
    /// The architecture that the suite was compiled for.
    pub arch: String,
    /// The C library that it was compiled for.
    pub libc: String,
    /// Whether an emulator runs between the suite and the kernel.
    pub emulated: bool,
    /// The size of its pages, in bytes.
    #[serde(default = "small_page")]
    pub page_size: u64,
}

/// The size of a page in reports that do not name it.
fn small_page() -> u64 {
    4096
}

/// The number of cases by verdict. A case fails if either side fails. A case that differs as the contract says
/// passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// As expected.
    pub passed: usize,
    /// Not as expected.
    pub failed: usize,
    /// Not run, for a reason that the case gives.
    pub skipped: usize,
}

/// What a case showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The clause's number.
    pub id: String,
    /// What was examined.
    pub title: String,
    /// What it is about.
    pub topic: String,
    /// Through raw libc.
    pub kernel: Side,
    /// Through unisend; `None` if that was not run.
    pub portable: Option<Side>,
    /// Why it was skipped, differs or is unrepresentable.
    pub reason: Option<String>,
    /// How long its runs took in total.
    #[serde(default)]
    pub milliseconds: u64,
}

/// What one side of a case showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// What was observed, or why nothing was.
    pub observed: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
}

/// The verdict on a side of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail,
    /// Not run.
    Skip,
    /// As the contract says for this system, which is not the same as on others.
    Differs,
    /// Impossible with unisend's types.
    Unrepresentable,
}

/// A form of report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, on a terminal: the counts by topic, and what failed or was skipped.
    Table,
    /// The Test Anything Protocol.
    Tap,
    /// JUnit's XML, which most CI systems show.
    Junit,
    /// Markdown, with a table for each topic.
    Markdown,
    /// A page for a browser, with the text of the contract; it needs no other file.
    Html,
    /// JSON, for programs and to be stored.
    Json,
}

/// Returns the cases for a screen: clause, topic and title.
#[must_use]
pub fn list(cases: &[&Case], screen: Screen) -> String {
    let mut printed = String::new();
    for case in cases {
        screen.paragraph(&mut printed, &format!("{:6}{:14}", case.id, case.topic.name()), case.title);
    }
    printed
}

/// The headings of the columns of a table.
const HEADINGS: [&str; 5] = ["clause", "case", "kernel", "unisend", "verdict"];

/// The cells under the headings.
fn cells(row: &Row) -> [String; 5] {
    [
        row.id.clone(),
        row.title.clone(),
        cell(&row.kernel),
        row.portable.as_ref().map_or_else(|| "not run".to_owned(), cell),
        match &row.reason {
            Some(reason) => format!("{}: {reason}", row.outcome()),
            None => row.outcome().to_string(),
        },
    ]
}

/// Returns what a side showed and, if that was wrong, what was expected.
fn cell(side: &Side) -> String {
    let observed = side.observed.as_deref().unwrap_or_default();
    match (side.verdict, &side.expected) {
        (Verdict::Fail, Some(expected)) => format!("{observed}\nexpected: {expected}"),
        (Verdict::Skip | Verdict::Unrepresentable, _) => "-".to_owned(),
        _ => observed.to_owned(),
    }
}

impl Report {
    /// Returns the cases by topic, in their order.
    fn topics(&self) -> impl Iterator<Item = (&str, &[Row])> {
        let groups = self.cases.chunk_by(|a, b| a.topic == b.topic);
        groups.map(|rows| (rows[0].topic.as_str(), rows))
    }

    /// Returns the report with the cases that are wanted only, and their summary.
    #[must_use]
    pub fn only(mut self, wanted: impl FnMut(&Row) -> bool) -> Self {
        self.cases.retain(wanted);
        self.summary = Summary::of(&self.cases);
        self
    }

    /// Returns the report for a screen, with escape sequences for colours. With `verbose` it shows every case,
    /// otherwise those that failed or were skipped.
    #[must_use]
    pub fn table(&self, screen: Screen, verbose: bool) -> String {
        table::print(self, screen, verbose)
    }

    /// Returns the report in a form. A table has the usual width and shows every case.
    #[must_use]
    pub fn print(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(Screen::default(), true),
            Format::Tap => tap::print(self),
            Format::Junit => junit::print(self),
            Format::Markdown => markdown::print(self),
            Format::Html => html::print(self),
            Format::Json => {
                let json = serde_json::to_string_pretty(self);
                json.expect("a report is strings and numbers") + "\n"
            }
        }
    }
}

impl Host {
    /// Returns this host.
    #[must_use]
    pub fn here() -> Self {
        let system = nix::sys::utsname::uname().ok();
        let said = |field: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
            system.as_ref().map_or_else(String::new, |system| field(system).to_string_lossy().into_owned())
        };
        Self {
            os: said(nix::sys::utsname::UtsName::sysname),
            release: said(nix::sys::utsname::UtsName::release),
            arch: std::env::consts::ARCH.to_owned(),
            libc: match () {
                () if cfg!(target_env = "gnu") => "glibc",
                () if cfg!(target_env = "musl") => "musl",
                () => "libc",
            }
            .to_owned(),
            emulated: emulation::is_emulated(),
            page_size: sysconf(SysconfVar::PAGE_SIZE)
                .ok()
                .flatten()
                .map_or_else(small_page, |size| size as u64),
        }
    }
}

impl Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let emulated = if self.emulated { ", emulated" } else { "" };
        write!(f, "{} {} on {}, {}{emulated}", self.os, self.release, self.arch, self.libc)
    }
}

impl Summary {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let count = |wanted| rows.iter().filter(|row| row.verdict() == wanted).count();
        Self { passed: count(Verdict::Pass), failed: count(Verdict::Fail), skipped: count(Verdict::Skip) }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Row {
    /// Returns the verdict on the case: pass, fail or skip.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let sides = || std::iter::once(&self.kernel).chain(&self.portable).map(|side| side.verdict);
        match () {
            () if sides().any(|verdict| verdict == Verdict::Fail) => Verdict::Fail,
            () if sides().any(|verdict| verdict == Verdict::Skip) => Verdict::Skip,
            () => Verdict::Pass,
        }
    }

    /// Returns the reason, unless a side shows it already.
    fn further_reason(&self) -> Option<&str> {
        let said = |reason: &&str| {
            let sides = std::iter::once(&self.kernel).chain(&self.portable);
            sides.filter_map(|side| side.observed.as_deref()).any(|observed| observed == *reason)
        };
        self.reason.as_deref().filter(|reason| !said(reason))
    }

    /// Returns the verdict for a reader: why the case passes, if it does.
    #[must_use]
    pub fn outcome(&self) -> Verdict {
        match (self.verdict(), &self.portable) {
            (Verdict::Pass, Some(portable)) => portable.verdict,
            (verdict, _) => verdict,
        }
    }
}

impl Side {
    /// Returns why it was not run.
    #[must_use]
    pub(crate) fn skipped(&self) -> Option<&str> {
        self.observed.as_deref().filter(|_| self.verdict == Verdict::Skip)
    }
}

impl Verdict {
    /// Returns its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Differs => "differs",
            Self::Unrepresentable => "unrepresentable",
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}
