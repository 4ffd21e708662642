//! Random programs, whose every answer is checked against the contract.
//!
//! A program is made from a seed. It runs in a child process of its own, through unisend. The model says which
//! answers are right. A program that gets a wrong one is made as short as it can be.

mod exploration;
mod model;
mod payload;
mod peer;
mod program;
mod shrink;
mod sockets;

use std::fmt::{self, Write};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use serde::{Deserialize, Serialize};
use unisend::ErrorKind;

pub use exploration::Exploration;
pub use model::{Answer, Arrival, Model, Said, System};
pub use payload::Payload;
pub use peer::Delivered;
pub use program::{Call, Flags, How, Kind, Meanwhile, Programs, Step, Taking, Target, Waiting, Whole};

use crate::case::Stop;
use crate::child::{self, Outcome};
pub use crate::trial::Route;
use sockets::Sockets;
pub(crate) use sockets::new_pair;

/// No program takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(40);

/// The room of a receive that takes all.
const ALL: usize = 400_000;

/// What a program showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// A line for each step that was made.
    pub lines: Vec<String>,
    /// What was wrong with the last one.
    pub wrong: Option<String>,
    /// The clause from which the kernel departed in the last one, if it was called by raw libc.
    pub departs: Option<String>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "  wrong: {wrong}"))
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every answer was right.
    Right(Shown),
    /// This was wrong.
    Wrong(Shown),
    /// It could not be run here, for this reason.
    Skipped(String),
}

/// Runs a program in a child process, through unisend or through raw libc. The caller must have only one thread.
#[must_use]
pub fn run(steps: &[Step], route: Route) -> Ended {
    let wrong = |what: String| Ended::Wrong(Shown { wrong: Some(what), ..Shown::default() });
    match child::run_script(Route::Portable, TIME_LIMIT, |directory| in_child(steps, route, directory)) {
        Outcome::Observed(told) => match serde_json::from_str::<Shown>(&told) {
            Ok(shown) if shown.wrong.is_some() => Ended::Wrong(shown),
            Ok(shown) => Ended::Right(shown),
            Err(_) => wrong(told),
        },
        Outcome::Skipped(reason) => Ended::Skipped(reason),
        Outcome::Broken(what) => wrong(what),
        Outcome::Hung => wrong(format!("hung: stopped after {} s", TIME_LIMIT.as_secs())),
    }
}

fn in_child(steps: &[Step], route: Route, directory: &Path) -> Result<String, Stop> {
    let before = (open_descriptors(), SigSet::thread_get_mask()?);
    let mut running = Running::new(directory)?;
    for (number, step) in steps.iter().enumerate() {
        if route == Route::Kernel
            && let Step::Send(place, call, length, flags) = *step
            && running.model.can(step)
            && let Some(departs) = running.send_raw(number, place, call, length, flags)?
        {
            if departs {
                break;
            }
            continue;
        }
        if running.model.can(step)
            && let Err(wrong) = running.make(number, step)?
        {
            running.shown.wrong = Some(wrong);
            break;
        }
    }
    let mut shown = running.end();
    let after = (open_descriptors(), SigSet::thread_get_mask()?);
    if after != before && shown.wrong.is_none() {
        let (descriptors, mask) = after;
        shown.wrong =
            Some(format!("{descriptors} descriptors at the end of {}, and the mask {mask:?}", before.0));
    }
    Ok(serde_json::to_string(&shown).expect("text can be written as text"))
}

/// Returns how many descriptors are open. A program has no high numbers.
fn open_descriptors() -> usize {
    const MOST: i32 = 300;
    let is_open = |number: &i32| {
        // SAFETY: it only asks about the number.
        unsafe { libc::fcntl(*number, libc::F_GETFD) >= 0 }
    };
    (0..MOST).filter(is_open).count()
}

/// Returns the kinds whose canonical errno this is. `Other` has none, and is last.
fn kinds(errno: Errno) -> impl Iterator<Item = ErrorKind> {
    ErrorKind::all().filter(move |kind| kind.canonical_errno().is_none_or(|number| number == errno as i32))
}

/// A program that runs.
struct Running {
    sockets: Sockets,
    model: Model,
    shown: Shown,
    /// Whether a line has differed, so that those after it may differ too.
    has_differed: bool,
}

impl Running {
    fn new(directory: &Path) -> Result<Self, Stop> {
        Ok(Self {
            sockets: Sockets::new(directory)?,
            model: Model::new(System::HERE),
            shown: Shown::default(),
            has_differed: false,
        })
    }

    fn end(self) -> Shown {
        self.shown
    }

    fn make(&mut self, number: usize, step: &Step) -> Result<Result<(), model::Wrong>, Stop> {
        match *step {
            Step::Send(place, call, length, flags) => {
                let payload = Payload::new(number, call, length as usize);
                let probed = self.model.is_probed(place);
                let answer = self.sockets.send(place, probed, call, &payload, length, flags);
                let said = self.model.sent(place, call, &payload, flags, &answer);
                let said = self.say(step, &answer, said);
                self.settle()?;
                Ok(said)
            }
            Step::SendMeanwhile(place, call, length, meanwhile, waiting) => {
                let payload = Payload::new(number, call, length as usize);
                let (answer, delivered) = self.sockets.send_meanwhile(&self.model, step, &payload)?;
                let said = self.model.sent_meanwhile(
                    place,
                    call,
                    &payload,
                    (meanwhile, waiting),
                    &answer,
                    &delivered,
                );
                let said = self.say(step, &answer, said);
                if meanwhile != Meanwhile::Reads {
                    self.sockets.close(place);
                    self.model.follow(&Step::Close(place));
                }
                Ok(said)
            }
            Step::Receive(place, taking, room, flags) => {
                let room = if matches!(taking, Taking::Many(_)) { room.min(70_000) } else { room };
                self.receive(step, place, taking, room as usize, flags).map(|said| said.map(drop))
            }
            Step::Drain(place) => self.drain(step, place),
            Step::Ask(place) => {
                let answer = self.sockets.ask(place);
                let said = self.model.asked(place, &answer);
                Ok(self.say(step, &answer, said))
            }
            Step::Credentials(place) => {
                let answer = self.sockets.credentials(place);
                let said = self.model.credentials(place, &answer);
                Ok(self.say(step, &answer, said))
            }
            _ => {
                self.sockets.set_up(step)?;
                self.model.follow(step);
                self.sockets.record_names(&self.model);
                for place in self.model.at_the_end() {
                    self.sockets.wait_for_the_end(place)?;
                }
                self.settle()?;
                let differs = self.differs();
                self.shown.lines.push(format!("{step:?}{differs}"));
                Ok(Ok(()))
            }
        }
    }

    /// Makes a step by raw libc, if that has such a call, and says whether the kernel departed from the contract.
    fn send_raw(
        &mut self,
        number: usize,
        place: usize,
        call: Call,
        length: u32,
        flags: Flags,
    ) -> Result<Option<bool>, Stop> {
        let payload = Payload::new(number, call, length as usize);
        let Some(outcome) = self.sockets.send_raw(place, call, &payload, flags) else { return Ok(None) };
        let right = |answer: &Answer| self.model.clone().sent(place, call, &payload, flags, answer);
        // An errno can mean several kinds.
        let answers: Vec<Answer> = match outcome {
            Ok(count) => vec![Answer::Sent(count, None)],
            Err(errno) => kinds(errno).map(|kind| Answer::Sent(0, Some(kind))).collect(),
        };
        let Some(answer) = answers.iter().find(|answer| right(answer).is_ok()) else {
            let wrong = answers.first().and_then(|answer| right(answer).err()).unwrap_or_default();
            self.shown.departs = Some(wrong.split(':').next().unwrap_or_default().to_owned());
            return Ok(Some(true));
        };
        let _ = self.model.sent(place, call, &payload, flags, answer);
        self.settle()?;
        Ok(Some(false))
    }

    /// Waits until sockets know of what has happened to their peers.
    fn settle(&mut self) -> Result<(), Stop> {
        for place in self.sockets.settle(&self.model.about_to_learn())? {
            self.model.report_was_lost(place);
            self.has_differed = true;
        }
        Ok(())
    }

    /// Returns the mark of a line after which a program can be different on another system.
    const fn differs(&self) -> &'static str {
        if self.has_differed { " (differs)" } else { "" }
    }

    fn receive(
        &mut self,
        step: &Step,
        place: usize,
        taking: Taking,
        room: usize,
        flags: Flags,
    ) -> Result<Result<bool, model::Wrong>, Stop> {
        let will_arrive = self.model.will_arrive(place);
        let answer = self.sockets.receive(place, taking, room, flags, will_arrive)?;
        let said = self.model.received(place, taking, room, flags, &answer);
        let goes_on =
            matches!(&answer, Answer::Received(arrivals) if arrivals.iter().any(|arrival| !arrival.end));
        Ok(self.say(step, &answer, said).map(|()| goes_on))
    }

    fn drain(&mut self, step: &Step, place: usize) -> Result<Result<(), model::Wrong>, Stop> {
        loop {
            match self.receive(step, place, Taking::WithDescriptors, ALL, Flags(0))? {
                Ok(true) => {}
                said => return Ok(said.map(drop)),
            }
        }
    }

    /// Notes an answer. A line says whether another system can have another answer.
    fn say(
        &mut self,
        step: &Step,
        answer: &Answer,
        said: Result<Said, model::Wrong>,
    ) -> Result<(), model::Wrong> {
        let mut line = format!("{step:?}: {answer}");
        match said {
            Ok(said) => {
                self.has_differed |= said.differs;
                let differs = self.differs();
                let _ = write!(line, " [{}]{differs}", said.clause);
                self.shown.lines.push(line);
                Ok(())
            }
            Err(right) => {
                self.shown.lines.push(line);
                Err(format!("it answered {answer}, and right is {right}"))
            }
        }
    }
}
