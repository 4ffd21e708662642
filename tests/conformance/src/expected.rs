//! The answers that are right. They can depend on the kernel's release, on how the kernel was built, on the
//! machine's routes, and on the size of a page.

use std::fmt::Display;

use crate::report::Host;

/// A release of a kernel, as far as expectations depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32);

impl Release {
    /// Older than any release.
    const OLDEST: Self = Self(0, 0);
    /// Newer than any release.
    const NEWEST: Self = Self(u32::MAX, u32::MAX);

    /// Parses the release that uname(1) reports: "6.1.0-44-amd64", "5.10.223", "8.0". Text without a release
    /// counts as the newest.
    #[must_use]
    pub fn parse(said: &str) -> Self {
        let digits = |part: &str| {
            let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        };
        let mut parts = said.split('.');
        match parts.next().and_then(digits) {
            Some(major) => Self(major, parts.next().and_then(digits).unwrap_or(0)),
            None => Self::NEWEST,
        }
    }
}

/// An answer that is right from one release on, until another answer is.
///
/// It is written as it is noted, except for values that depend on the size of a page: `{most}` is the most
/// bytes that one call of Linux takes (`INT_MAX` rounded down to whole pages), and `{pipe}` is the size of the
/// 16 pages that a pipe of Linux holds.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    since: Release,
    shown: &'static str,
    only: &'static str,
}

/// An answer that is right on every release, or on those before the first release that is named.
pub(crate) const fn always(shown: &'static str) -> Answer {
    Answer { since: Release::OLDEST, shown, only: "" }
}

/// An answer that is right from this release on.
pub(crate) const fn since(major: u32, minor: u32, shown: &'static str) -> Answer {
    Answer { since: Release(major, minor), shown, only: "" }
}

impl Answer {
    /// Marks an answer that is right together with others from the same release on, and says where it is given.
    pub(crate) const fn only(self, place: &'static str) -> Self {
        Self { only: place, ..self }
    }

    /// Returns the answer as it is noted on this machine.
    fn noted(&self, host: &Host) -> String {
        let most = i32::MAX as u64 / host.page_size * host.page_size;
        let noted = self.shown.replace("{most}", &most.to_string());
        one_if_both_are(noted.replace("{pipe}", &(16 * host.page_size).to_string()))
    }
}

/// "8 (by copying: 8)" is noted as "8".
fn one_if_both_are(noted: String) -> String {
    let both = noted.strip_suffix(')').and_then(|noted| noted.split_once(" (by copying: "));
    match both {
        Some((best, copying)) if best == copying => best.to_owned(),
        _ => noted,
    }
}

/// Every answer that is right on one system.
#[derive(Debug, Clone)]
pub struct Expected(Vec<Answer>);

impl From<&'static str> for Expected {
    fn from(shown: &'static str) -> Self {
        Self(vec![always(shown)])
    }
}

impl<const COUNT: usize> From<[Answer; COUNT]> for Expected {
    fn from(answers: [Answer; COUNT]) -> Self {
        Self(answers.into())
    }
}

impl Expected {
    /// Returns what is right on this machine.
    #[must_use]
    pub fn on(&self, host: &Host) -> Right {
        let release = Release::parse(&host.release);
        let newest = self.0.iter().map(|answer| answer.since).filter(|since| *since <= release).max();
        let answers = self.0.iter().filter(|answer| Some(answer.since) == newest);
        Right(answers.map(|answer| (answer.noted(host), answer.only)).collect())
    }

    /// Returns all answers, for any release.
    pub fn answers(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|answer| answer.shown)
    }
}

/// The answers that are right on one machine: one, or several with where each is given.
#[derive(Debug, Clone)]
pub struct Right(Vec<(String, &'static str)>);

impl Right {
    /// Returns whether this is one of them.
    #[must_use]
    pub fn accepts(&self, observed: &str) -> bool {
        self.0.iter().any(|(shown, _)| shown == observed)
    }
}

impl Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (shown, only)) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { " or " } else { "" })?;
            f.write_str(shown)?;
            if !only.is_empty() {
                write!(f, " [{only}]")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(release: &str, page_size: u64) -> Host {
        Host { release: release.to_owned(), page_size, ..Host::here() }
    }

    #[test]
    fn a_release_is_read_from_what_uname_says() {
        for (said, release) in [
            ("6.1.0-44-amd64", Release(6, 1)),
            ("5.10.223", Release(5, 10)),
            ("8.0", Release(8, 0)),
            ("7.2.13+deb14-arm64-16k", Release(7, 2)),
            ("6.18-rc3", Release(6, 18)),
            ("5.4-generic.6", Release(5, 4)),
            ("7", Release(7, 0)),
            ("", Release::NEWEST),
            ("unknown", Release::NEWEST),
        ] {
            assert_eq!(Release::parse(said), release, "{said}");
        }
        assert!(Release(5, 9) < Release(5, 10));
    }

    #[test]
    fn the_newest_answers_that_are_not_too_new_are_right() {
        let expected = Expected::from([
            always("old"),
            since(5, 12, "new"),
            since(6, 5, "newer"),
            since(6, 5, "other").only("without it"),
        ]);
        let right = |release| expected.on(&host(release, 4096)).to_string();
        assert_eq!(right("5.4.0"), "old");
        assert_eq!(right("5.12.1"), "new");
        assert_eq!(right("6.4.99"), "new");
        assert_eq!(right("6.18.1"), "newer or other [without it]");
        let right = expected.on(&host("6.5", 4096));
        assert!(right.accepts("newer") && right.accepts("other") && !right.accepts("new"));
    }

    #[test]
    fn what_depends_on_pages_is_computed() {
        let noted =
            |shown: &'static str, page_size| Expected::from(shown).on(&host("6.18", page_size)).to_string();
        assert_eq!(noted("{most}", 4096), "2147479552");
        assert_eq!(noted("{most}", 65_536), "2147418112");
        assert_eq!(noted("16 (by copying: {pipe})", 16_384), "16 (by copying: 262144)");
        assert_eq!(noted("65536 (by copying: {pipe})", 4096), "65536");
    }
}
