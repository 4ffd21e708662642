//! What a process holds: its descriptors and its memory, at the start, meanwhile and at the end.

use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// The data of a process can grow by this much, in KiB: what the allocator keeps for the next session.
const DATA_GROWTH: u64 = 512;

/// The memory that is resident can grow by this much, in KiB: pages of the program that are first used late, too.
const RESIDENT_GROWTH: u64 = 4096;

/// What a process holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) descriptors: u64,
    /// In KiB.
    pub(super) resident: u64,
    /// In KiB, where the system says it.
    pub(super) data: Option<u64>,
}

impl Held {
    /// Measures this process, whose descriptors have numbers below the limit.
    pub(super) fn now(limit: i32) -> Self {
        let descriptors = count_descriptors(limit);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = kibibytes(&status, "VmRSS:");
        Self {
            descriptors,
            resident: resident.unwrap_or_else(most_resident),
            data: kibibytes(&status, "VmData:"),
        }
    }

    /// Returns the greater of each.
    pub(super) fn or_more(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            resident: self.resident.max(other.resident),
            data: self.data.max(other.data),
        }
    }

    /// Returns what has grown since the start.
    pub(super) fn growth_since(&self, start: &Self) -> Option<String> {
        if self.descriptors != start.descriptors {
            return Some(format!(
                "descriptors: {} at the start, {} at the end",
                start.descriptors, self.descriptors
            ));
        }
        let data = (start.data.unwrap_or(0), self.data.unwrap_or(0), DATA_GROWTH, "data");
        let resident = (start.resident, self.resident, RESIDENT_GROWTH, "resident memory");
        [data, resident].into_iter().find(|(start, end, most, _)| *end > start + most).map(
            |(start, end, most, what)| {
                format!("{what}: {start} KiB at the start, {end} KiB at the end, and {most} more are right")
            },
        )
    }
}

/// Returns the number of open descriptors below the limit.
pub(super) fn count_descriptors(limit: i32) -> u64 {
    // SAFETY: the number is only asked for; if it is not open, fcntl(2) says so.
    let borrowed = |number| unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    (0..limit).filter(|&number| fcntl(borrowed(number), FcntlArg::F_GETFD).is_ok()).count() as u64
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The most that was resident, in KiB, for a system that does not say what is.
fn most_resident() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss() as u64)
}

/// What a process held at each of its times.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) start: Held,
    pub(super) most: Held,
    pub(super) end: Held,
    pub(super) times: u64,
}

/// Measures this process when it is time.
pub(super) struct Gauge {
    limit: i32,
    next: Instant,
    pause: Duration,
    measured: Measured,
}

impl Gauge {
    /// Returns a gauge that begins at this time, and measures after each pause.
    pub(super) fn new(limit: i32, begin: Instant, pause: Duration) -> Self {
        Self { limit, next: begin, pause, measured: Measured::default() }
    }

    /// Measures, if it is time. The process must hold nothing of a session.
    pub(super) fn tick(&mut self) {
        if Instant::now() >= self.next {
            self.measure();
            self.next += self.pause;
        }
    }

    /// Measures now.
    pub(super) fn measure(&mut self) {
        let held = Held::now(self.limit);
        let measured = &mut self.measured;
        if measured.times == 0 {
            measured.start = held;
        }
        measured.most = measured.most.or_more(held);
        measured.end = held;
        measured.times += 1;
    }

    /// Returns what was measured.
    pub(super) fn measured(self) -> Measured {
        self.measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Held = Held { descriptors: 12, resident: 4000, data: Some(900) };

    #[test]
    fn nothing_has_grown() {
        assert_eq!(START.growth_since(&START), None);
        let less = Held { resident: 10, data: Some(10), ..START };
        assert_eq!(less.growth_since(&START), None);
    }

    #[test]
    fn a_descriptor_more_or_less_is_said() {
        for descriptors in [11, 13] {
            let said = Held { descriptors, ..START }.growth_since(&START).unwrap();
            assert_eq!(said, format!("descriptors: 12 at the start, {descriptors} at the end"));
        }
    }

    #[test]
    fn grown_memory_is_said() {
        let resident = Held { resident: 4001 + RESIDENT_GROWTH, ..START };
        assert!(resident.growth_since(&START).unwrap().starts_with("resident memory: 4000 KiB"));
        let data = Held { data: Some(901 + DATA_GROWTH), ..START };
        assert!(data.growth_since(&START).unwrap().starts_with("data: 900 KiB"));
    }

    #[test]
    fn an_open_descriptor_is_counted() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        assert_eq!(count_descriptors(number + 1) - count_descriptors(number), 1);
    }
}
