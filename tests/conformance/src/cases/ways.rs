//! Scripts that run once for each way to send a file. Through unisend each runs twice: by the best method of the system,
//! and by copying. If both show the same, it is noted once; otherwise both are noted.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::PathBuf;

use crate::case::Stop;
use crate::trial::{Route, Trial};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By raw calls.
    Raw,
    Best,
    Copying,
}

/// One way to send a file, and its observations.
pub(super) struct Bench {
    pub(super) way: Way,
    pub(super) directory: PathBuf,
    pub(super) steps: Vec<String>,
}

impl Bench {
    pub(super) fn note(&mut self, step: impl ToString) {
        self.steps.push(step.to_string());
    }

    /// Returns a file with these bytes, open for reading and writing.
    pub(super) fn file(&self, bytes: &[u8]) -> Result<File, Stop> {
        let path = self.directory.join("input");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(file)
    }
}

/// Runs a script in each way of its route.
pub(super) fn by_each_way(
    trial: &mut Trial,
    script: impl Fn(&mut Bench) -> Result<(), Stop>,
) -> Result<(), Stop> {
    by_ways(trial, true, script)
}

/// Runs a script in the best way of its route, and by copying too if `copying` is set.
pub(super) fn by_ways(
    trial: &mut Trial,
    copying: bool,
    script: impl Fn(&mut Bench) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let by = |way: Way, name: &str| {
        let directory = trial.path(name);
        std::fs::create_dir(&directory)?;
        let mut bench = Bench { way, directory, steps: Vec::new() };
        script(&mut bench)?;
        Ok::<_, Stop>(bench.steps.join(", "))
    };
    let shown = match trial.route() {
        Route::Kernel => by(Way::Raw, "raw")?,
        Route::Portable if !copying => by(Way::Best, "best")?,
        Route::Portable => {
            let (best, copying) = (by(Way::Best, "best")?, by(Way::Copying, "copying")?);
            if best == copying { best } else { format!("{best} (by copying: {copying})") }
        }
    };
    trial.note(shown);
    Ok(())
}
