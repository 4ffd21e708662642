//! Runs the suite on this machine, and prints what it showed.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use unisend_conformance::explore::{self, Ended, Exploration, Programs, Route, Step};
use unisend_conformance::report::{self, Format, Report, Screen};
use unisend_conformance::soak::{self, Plan};
use unisend_conformance::{Case, Topic, machine, run, suite};

/// Checks what this system's kernel does when a program sends on a socket, and whether unisend keeps its
/// contract here. Each case runs twice, in its own process: through raw libc and through unisend.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    form: Form,

    /// Stop a run that takes longer than this many seconds (each case is run twice)
    #[arg(long, value_name = "SECONDS", default_value_t = run::TIME_LIMIT.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,

    #[command(flatten)]
    color: colorchoice_clap::Color,
}

/// The cases that are chosen.
#[derive(Args)]
struct Choice {
    /// Only the cases of this topic; can be given more than once
    #[arg(long, value_enum)]
    topic: Vec<Topic>,

    /// Only this case, by its clause (S8, A6b); can be given more than once
    #[arg(long, value_name = "CLAUSE", value_parser = known_case)]
    case: Vec<String>,
}

/// How a report is printed.
#[derive(Args)]
struct Form {
    /// The form of the report
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Show every case in the table, not only those that failed or were skipped
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    /// List the cases, with their topics
    List {
        #[command(flatten)]
        choice: Choice,
    },
    /// Print a stored report (JSON) in any form
    Show {
        /// The report
        report: PathBuf,

        #[command(flatten)]
        choice: Choice,

        #[command(flatten)]
        form: Form,
    },
    /// Compare two reports (JSON): show where the kernels differ and where unisend differs, which is a failure
    Diff {
        /// The first report
        a: PathBuf,
        /// The second report
        b: PathBuf,
    },
    /// Run random programs through unisend, and check every answer against the contract
    Explore(Explore),
    /// Send at full load between processes with low limits, and check that all comes and nothing grows
    Soak(Soak),
}

#[derive(Args)]
struct Soak {
    /// How long to send
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    for_seconds: u64,

    /// The seed from which the choices are made [default: a new one, which is printed]
    #[arg(long)]
    seed: Option<u32>,

    /// How many processes: two for each pair. With fewer than two for each kind of socket, a pair takes turns
    #[arg(long, default_value_t = soak::MOST_PROCESSES as u64,
        value_parser = clap::value_parser!(u64).range(2..=soak::MOST_PROCESSES as u64))]
    processes: u64,
}

#[derive(Args)]
struct Explore {
    /// The seed: the same seed makes the same programs on every system [default: a new one, which is printed]
    #[arg(long)]
    seed: Option<u64>,

    /// How many programs to run
    #[arg(long, default_value_t = 1000)]
    programs: usize,

    /// The most steps of a program
    #[arg(long, default_value_t = 20)]
    steps: usize,

    /// Stop after this many seconds, whatever is left
    #[arg(long, value_name = "SECONDS")]
    for_seconds: Option<u64>,

    /// Run each program through raw libc too, and count the clauses from which the kernel itself departs
    #[arg(long)]
    kernel: bool,

    /// Print every answer. A line that can be another one on another system ends in "(differs)"
    #[arg(long)]
    transcript: bool,

    /// Run the program of this file instead (JSON; - is the standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "programs", "steps"])]
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.color.write_global();
    let outcome = match arguments.command {
        Some(Command::List { choice }) => Ok((list(&choice), ExitCode::SUCCESS)),
        Some(Command::Show { report, choice, form }) => show(&report, &choice, &form),
        Some(Command::Diff { a, b }) => diff(&a, &b),
        Some(Command::Explore(options)) => explore(&options),
        Some(Command::Soak(options)) => soak(&options),
        None => examine(&arguments.choice, &arguments.form, Duration::from_secs(arguments.time_limit)),
    };
    let (printed, code) = match outcome {
        Ok(outcome) => outcome,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return ExitCode::from(2);
        }
    };
    match anstream::stdout().write_all(printed.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn known_case(clause: &str) -> Result<String, String> {
    let known = suite().iter().any(|case| case.id == clause);
    if known { Ok(clause.to_owned()) } else { Err("no case has this clause: see `list`".to_owned()) }
}

impl Choice {
    fn has(&self, topic: &str, clause: &str) -> bool {
        let topics = self.topic.iter().any(|wanted| wanted.name() == topic);
        let cases = self.case.iter().any(|wanted| wanted == clause);
        (self.topic.is_empty() || topics) && (self.case.is_empty() || cases)
    }

    fn cases(&self) -> Vec<&'static Case> {
        suite().iter().filter(|case| self.has(case.topic.name(), case.id)).collect()
    }
}

/// Returns the number of columns: the user's setting, or else the terminal's width. A serial line reports 0,
/// which is ignored.
fn columns() -> Option<usize> {
    let some = |columns: &usize| *columns > 0;
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let has = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    said.filter(some).or_else(|| has().filter(some))
}

fn screen() -> Screen {
    columns().map_or_else(Screen::default, Screen::new)
}

/// Returns a line for each case. Lines are wrapped only if the width is known.
fn list(choice: &Choice) -> String {
    let screen = columns().map_or(Screen::new(usize::MAX), Screen::new);
    report::list(&choice.cases(), screen)
}

fn show(path: &Path, choice: &Choice, form: &Form) -> Result<(String, ExitCode), String> {
    let report = read(path)?.only(|row| choice.has(&row.topic, &row.id));
    Ok((print(&report, form), ExitCode::SUCCESS))
}

fn print(report: &Report, form: &Form) -> String {
    match form.format {
        Format::Table => report.table(screen(), form.verbose),
        format => report.print(format),
    }
}

fn diff(a: &Path, b: &Path) -> Result<(String, ExitCode), String> {
    let difference = report::compare(&read(a)?, &read(b)?, screen());
    let code = if difference.unisend_agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    Ok((difference.printed, code))
}

fn read(path: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is not a report that --format json printed: {error}", path.display()))
}

fn explore(options: &Explore) -> Result<(String, ExitCode), String> {
    for lacking in machine::prepare()? {
        eprintln!("{lacking}");
    }
    if let Some(path) = &options.replay {
        return replay(path);
    }
    let seed = options.seed.unwrap_or_else(new_seed);
    let until = options.for_seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut exploration = Exploration::new(seed, options.transcript);
    let progress = bar(options.programs);
    for program in Programs::new(seed, options.steps).take(options.programs) {
        if until.is_some_and(|until| Instant::now() >= until) || exploration.has_seen_enough() {
            break;
        }
        exploration.run(&program);
        if options.kernel {
            exploration.run_raw(&program);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let code = if exploration.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    Ok((exploration.to_string(), code))
}

fn new_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000_000
}

fn soak(options: &Soak) -> Result<(String, ExitCode), String> {
    for lacking in machine::prepare()? {
        eprintln!("{lacking}");
    }
    let seed = options.seed.unwrap_or_else(|| new_seed() as u32);
    let time = Duration::from_secs(options.for_seconds);
    let soaked = soak::run(&Plan { seed, time, processes: options.processes as usize });
    let code = if soaked.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    Ok((soaked.to_string(), code))
}

fn replay(path: &Path) -> Result<(String, ExitCode), String> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    let steps: Vec<Step> = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not a program: {error}", path.display()))?;
    let (shown, code) = match explore::run(&steps, Route::Portable) {
        Ended::Right(shown) => (shown.to_string(), ExitCode::SUCCESS),
        Ended::Wrong(shown) => (shown.to_string(), ExitCode::FAILURE),
        Ended::Skipped(reason) => (format!("skipped: {reason}\n"), ExitCode::SUCCESS),
    };
    Ok((shown, code))
}

/// Returns a bar that is drawn only on a terminal, and only by this thread, because each run forks this process. It uses
/// only characters that a console without UTF-8 has.
fn bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{pos}/{len} [{bar:20}] {wide_msg}")
        .expect("a template that is right")
        .progress_chars("=> ");
    ProgressBar::new(length as u64).with_style(style)
}

fn examine(choice: &Choice, form: &Form, time_limit: Duration) -> Result<(String, ExitCode), String> {
    for lacking in machine::prepare()? {
        eprintln!("{lacking}");
    }
    let cases = choice.cases();
    let progress = bar(cases.len());
    let report = run::run(&cases, time_limit, |case| {
        progress.set_message(format!("{} {}", case.id, case.title));
        progress.inc(1);
    });
    progress.finish_and_clear();
    let code = if report.summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    Ok((print(&report, form), code))
}
