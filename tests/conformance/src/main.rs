//! Runs the suite on this machine, and says what it showed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use unisend_conformance::report::{self, Format, Report};
use unisend_conformance::{Case, Topic, machine, run, suite};

/// Checks what this system's kernel does when a program sends on a socket, and whether unisend keeps its
/// contract here. Each case runs twice, in a process of its own: through raw libc and through unisend.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Run the cases of this topic only; can be given more than once
    #[arg(long, value_enum)]
    topic: Vec<Topic>,

    /// Run this case only, by its clause (S8, A6b); can be given more than once
    #[arg(long, value_name = "CLAUSE", value_parser = known_case)]
    case: Vec<String>,

    /// The form of the report
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Stop a run that takes longer than so many seconds: each case is run twice
    #[arg(long, value_name = "SECONDS", default_value_t = run::TIME_LIMIT.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,
}

#[derive(Subcommand)]
enum Command {
    /// List the cases, with their topics
    List,
    /// Compare two reports (JSON): where the kernels differ and where unisend does, which is a failure
    Diff {
        /// A report
        a: PathBuf,
        /// Another
        b: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cases = chosen(&arguments);
    let (printed, code) = match arguments.command {
        Some(Command::List) => (list(&cases), ExitCode::SUCCESS),
        Some(Command::Diff { a, b }) => match diff(&a, &b) {
            Ok(outcome) => outcome,
            Err(wrong) => {
                eprintln!("error: {wrong}");
                return ExitCode::from(2);
            }
        },
        None => match machine::prepare() {
            Ok(lacks) => {
                lacks.iter().for_each(|lacking| eprintln!("{lacking}"));
                examine(&cases, arguments.format, Duration::from_secs(arguments.time_limit))
            }
            Err(wrong) => {
                eprintln!("error: {wrong}");
                return ExitCode::from(2);
            }
        },
    };
    match std::io::stdout().write_all(printed.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn known_case(clause: &str) -> Result<String, String> {
    let known = suite().iter().any(|case| case.id == clause);
    if known { Ok(clause.to_owned()) } else { Err("no case has this clause: see `list`".to_owned()) }
}

fn chosen(arguments: &Arguments) -> Vec<&'static Case> {
    suite()
        .iter()
        .filter(|case| arguments.topic.is_empty() || arguments.topic.contains(&case.topic))
        .filter(|case| arguments.case.is_empty() || arguments.case.iter().any(|clause| case.id == clause))
        .collect()
}

fn list(cases: &[&Case]) -> String {
    cases.iter().map(|case| format!("{:6}{:14}{}\n", case.id, case.topic.name(), case.title)).collect()
}

fn diff(a: &Path, b: &Path) -> Result<(String, ExitCode), String> {
    let difference = report::compare(&read(a)?, &read(b)?);
    let code = if difference.unisend_agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    Ok((difference.printed, code))
}

fn read(path: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is no report, as --format json prints it: {error}", path.display()))
}

fn examine(cases: &[&Case], format: Format, time_limit: Duration) -> (String, ExitCode) {
    // It is drawn only on a terminal, and from this thread alone: each case forks this process.
    let style = ProgressStyle::with_template("{pos}/{len} {bar:40} {msg}").expect("a template that is right");
    let progress = ProgressBar::new(cases.len() as u64).with_style(style);
    let report = run::run(cases, time_limit, |case| {
        progress.set_message(format!("{} {}", case.id, case.title));
        progress.inc(1);
    });
    progress.finish_and_clear();
    let code = if report.summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    (report.print(format), code)
}
