//! Many programs of one seed, and what they found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::program::Step;
use super::{Ended, Route, Shown, run, shrink};

/// An exploration ends when it has found this many wrong programs.
const ENOUGH: usize = 10;

/// A wrong program is run again this many times. If it is then always right, it is not made shorter.
const AGAIN: usize = 5;

/// A program is not made shorter for longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// The programs of one seed, run one after another.
#[derive(Debug)]
pub struct Exploration {
    seed: u64,
    prints_all: bool,
    count: usize,
    steps: usize,
    skipped: Vec<String>,
    found: Vec<Found>,
    transcript: String,
    /// How many programs ended because the kernel departs from a clause.
    departures: BTreeMap<String, usize>,
}

/// A wrong program.
#[derive(Debug)]
struct Found {
    number: usize,
    steps: Vec<Step>,
    shown: Shown,
    /// Whether it was wrong again.
    repeats: bool,
}

impl Exploration {
    /// Returns an exploration of this seed that has run nothing, and that prints every answer or the wrong ones.
    #[must_use]
    pub fn new(seed: u64, prints_all: bool) -> Self {
        let (skipped, found) = (Vec::new(), Vec::new());
        Self {
            seed,
            prints_all,
            count: 0,
            steps: 0,
            skipped,
            found,
            transcript: String::new(),
            departures: BTreeMap::new(),
        }
    }

    /// Returns whether every answer was right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns whether it has found so much that the rest would say little.
    #[must_use]
    pub fn has_seen_enough(&self) -> bool {
        self.found.len() >= ENOUGH
    }

    /// Runs the next program. If it is wrong, makes it shorter.
    pub fn run(&mut self, steps: &[Step]) {
        let number = self.count;
        self.count += 1;
        match run(steps, Route::Portable) {
            Ended::Right(shown) => self.note(number, &shown),
            Ended::Skipped(reason) => {
                if !self.skipped.contains(&reason) {
                    self.skipped.push(reason);
                }
            }
            Ended::Wrong(shown) => {
                self.note(number, &shown);
                self.found.push(examine(number, steps, shown));
            }
        }
    }

    /// Runs a program through raw libc, until the kernel departs from the contract.
    pub fn run_raw(&mut self, steps: &[Step]) {
        if let Ended::Right(Shown { departs: Some(clause), .. }) = run(steps, Route::Kernel) {
            *self.departures.entry(clause).or_default() += 1;
        }
    }

    fn note(&mut self, number: usize, shown: &Shown) {
        self.steps += shown.lines.len();
        if self.prints_all {
            self.transcript += &format!("program {number}\n{shown}");
        }
    }
}

fn examine(number: usize, steps: &[Step], shown: Shown) -> Found {
    let is_wrong = |steps: &[Step]| matches!(run(steps, Route::Portable), Ended::Wrong(_));
    let end = Instant::now() + PATIENCE;
    if !(0..AGAIN).any(|_| is_wrong(steps)) {
        return Found { number, steps: steps.to_vec(), shown, repeats: false };
    }
    let steps = shrink::shrink(steps, end, is_wrong);
    // It may be wrong only sometimes: then what it was at first is shown.
    let shown = (0..AGAIN)
        .find_map(|_| match run(&steps, Route::Portable) {
            Ended::Wrong(shown) => Some(shown),
            _ => None,
        })
        .unwrap_or(shown);
    Found { number, steps, shown, repeats: true }
}

impl Found {
    /// Writes the program as a test that can be pasted into `tests/explore.rs`.
    fn test(&self, f: &mut fmt::Formatter<'_>, seed: u64) -> fmt::Result {
        writeln!(f, "#[test]\nfn program_{}_of_seed_{seed}() {{\n    replay(&[", self.number)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "        {step:?},"))?;
        writeln!(f, "    ]);\n}}")
    }
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.transcript)?;
        for found in &self.found {
            let repeats = if found.repeats { "" } else { ", once: it was right when it was run again" };
            writeln!(f, "program {} of seed {} is wrong{repeats}\n{}", found.number, self.seed, found.shown)?;
            found.test(f, self.seed)?;
            writeln!(f)?;
        }
        for reason in &self.skipped {
            writeln!(f, "some programs were skipped: {reason}")?;
        }
        if !self.departures.is_empty() {
            writeln!(
                f,
                "programs that the kernel itself, called by raw libc, answers otherwise than a clause says:"
            )?;
            self.departures.iter().try_for_each(|(clause, count)| writeln!(f, "{clause:>6} {count}"))?;
        }
        let Self { seed, count, steps, found, .. } = self;
        writeln!(f, "seed {seed}: {count} programs, {steps} steps, {} wrong", found.len())
    }
}
