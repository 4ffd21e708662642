//! What a soak has shown.

use std::fmt;

use super::account::Total;
use super::measure::Held;
use super::worker::Report;
use super::{Plan, Role, Told};
use crate::emulation;
use crate::explore::Kind;

/// What the processes did, and what they held.
#[derive(Debug)]
pub struct Soaked {
    plan: Plan,
    told: Told,
    wrong: Vec<String>,
}

impl Soaked {
    pub(super) fn new(plan: Plan, told: Told) -> Self {
        let mut wrong = told.wrong.clone();
        for report in &told.reports {
            let Report { role, pair, wrong: own, measured, .. } = report;
            wrong.extend(own.iter().map(|own| format!("{role:?} {pair}: {own}")));
            if own.is_none() && !emulation::is_emulated() {
                let growth = measured.end.growth_since(&measured.start);
                wrong.extend(growth.map(|growth| format!("{role:?} {pair}: {growth}")));
            }
        }
        // The sums of processes that did not reach their end say nothing.
        if wrong.is_empty() {
            wrong.extend(Kind::ALL.iter().enumerate().filter_map(|(place, kind)| {
                let [sender, receiver] =
                    [Role::Sender, Role::Receiver].map(|role| sum(&told.reports, role, place));
                receiver.difference(&sender).map(|said| format!("{kind:?}: {said}"))
            }));
        }
        Self { plan, told, wrong }
    }

    /// Returns whether nothing was wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Writes what each process held at the start, at most and at the end.
    fn write_held(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<12} {:>20} {:>26} {:>26}",
            "process", "descriptors", "KiB resident", "KiB of data"
        )?;
        for Report { role, pair, measured, .. } in &self.told.reports {
            let held = [measured.start, measured.most, measured.end];
            let row =
                |number: fn(&Held) -> u64| held.each_ref().map(|held| number(held).to_string()).join(" / ");
            writeln!(
                f,
                "{:<12} {:>20} {:>26} {:>26}",
                format!("{role:?} {pair}"),
                row(|held| held.descriptors),
                row(|held| held.resident),
                row(|held| held.data.unwrap_or(0)),
            )?;
        }
        writeln!(f, "(at the start / at most / at the end, between two sessions)\n")
    }
}

fn sum(reports: &[Report], role: Role, place: usize) -> Total {
    let mut sum = Total::default();
    reports.iter().filter(|report| report.role == role).for_each(|report| sum.add(&report.totals[place]));
    sum
}

/// Returns a number of bytes in MiB.
fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.plan.time.as_secs().max(1);
        writeln!(
            f,
            "{:<14} {:>8} {:>10} {:>8} {:>7} {:>11} {:>9} {:>7} {:>9} {:>6}",
            "kind",
            "sessions",
            "messages",
            "MiB",
            "MiB/s",
            "descriptors",
            "files",
            "resets",
            "lost MiB",
            "late"
        )?;
        for (place, kind) in Kind::ALL.iter().enumerate() {
            let came = sum(&self.told.reports, Role::Receiver, place);
            if came.sessions == 0 {
                continue;
            }
            writeln!(
                f,
                "{:<14} {:>8} {:>10} {:>8} {:>7} {:>11} {:>9} {:>7} {:>9} {:>6}",
                format!("{kind:?}"),
                came.sessions,
                came.messages,
                mebibytes(came.bytes),
                mebibytes(came.bytes / seconds),
                came.descriptors,
                came.files,
                came.resets,
                mebibytes(came.bytes_not_delivered),
                came.late
            )?;
        }
        self.write_held(f)?;
        self.told.skipped.iter().try_for_each(|reason| writeln!(f, "skipped: {reason}"))?;
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "wrong: {wrong}"))?;
        let Plan { seed, time, .. } = self.plan;
        let what = if self.is_right() { "nothing grew, and all that was accepted came" } else { "WRONG" };
        writeln!(f, "soak: {} s, seed {seed}, {} processes: {what}", time.as_secs(), self.told.reports.len())
    }
}
