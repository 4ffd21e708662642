//! A process of a pair, from its limits to its report.

use std::os::fd::AsFd;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use serde::{Deserialize, Serialize};

use super::account::{Promise, Total, settle};
use super::channel::{Channel, ENDED, Told};
use super::measure::{Gauge, Measured};
use super::receiver::{self, Receiving};
use super::sender::{self, Sending};
use super::{Role, Times};
use crate::case::Stop;
use crate::explore::{self, Kind};

/// The limit of a process on descriptors.
const DESCRIPTORS: i32 = 64;

/// The limit of a process on its data.
const DATA_BYTES: u64 = 64 << 20;

/// What a process has done, and what it held.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) role: Role,
    pub(super) pair: usize,
    /// One for each kind of socket, in the order of [`Kind::ALL`].
    pub(super) totals: Vec<Total>,
    pub(super) measured: Measured,
    pub(super) wrong: Option<String>,
}

/// A process of a pair.
pub(super) struct Worker<'a> {
    pub(super) pair: usize,
    pub(super) kinds: &'a [Kind],
    /// How many sessions of other pairs are between two of this one.
    pub(super) pairs: usize,
    pub(super) seed: u32,
    pub(super) times: Times,
    pub(super) channel: Channel,
}

impl Worker<'_> {
    /// Does its part until the end, and returns what it has done.
    pub(super) fn run(self, role: Role, stock: impl FnOnce(i32) -> Stock) -> Report {
        let mut totals = vec![Total::default(); Kind::ALL.len()];
        let mut gauge = Gauge::new(DESCRIPTORS, self.times.begin, self.times.pause);
        let ended = limit_process()
            .map_err(|stop| format!("{stop:?}"))
            .and_then(|()| signal_mask())
            .and_then(|mask| {
                match stock(DESCRIPTORS) {
                    Stock::Sender(mut stock) => self.send_sessions(&mut stock, &mut totals, &mut gauge)?,
                    Stock::Receiver(mut stock) => {
                        self.receive_sessions(&mut stock, &mut totals, &mut gauge)?;
                    }
                }
                match signal_mask()? == mask {
                    true => Ok(()),
                    false => Err("the signal mask is another one at the end".to_owned()),
                }
            });
        Report { role, pair: self.pair, totals, measured: gauge.measured(), wrong: ended.err() }
    }

    fn send_sessions(
        &self,
        stock: &mut sender::Stock,
        totals: &mut [Total],
        gauge: &mut Gauge,
    ) -> Result<(), String> {
        for number in 0_u64.. {
            gauge.tick();
            if Instant::now() >= self.times.end {
                break;
            }
            let kind = self.kinds[(self.pair + number as usize * self.pairs) % self.kinds.len()];
            // Each session of a seed has a number of its own, from which its choices are made.
            let session = u64::from(self.seed) << 32 | (self.pair as u64) << 28 | number & 0xfff_ffff;
            let total = self
                .send_session(stock, kind, session)
                .map_err(|wrong| format!("{kind:?}, session {session:#x}: {wrong}"))?;
            totals[place(kind)].add(&total);
        }
        gauge.measure();
        self.channel.tell(&Told::Finished, None)
    }

    fn send_session(&self, stock: &mut sender::Stock, kind: Kind, session: u64) -> Result<Total, String> {
        let broken = |stop: Stop| format!("the sockets: {stop:?}");
        let (ours, theirs) = explore::new_pair(kind).map_err(broken)?;
        sender::limit(kind, &ours, &theirs).map_err(broken)?;
        self.channel.tell(&Told::Begins { kind, session }, Some(theirs.as_fd()))?;
        drop(theirs);
        let accepted = Sending::new(stock, kind, session, &ours).run(self.times.end)?;
        let total = Total::of_sender(&accepted);
        // A connection ends when it is closed. A socket of datagrams stays until they have come.
        let kept = Some(ours).filter(|_| kind.is_datagram());
        self.channel.tell(&Told::Sent(accepted), None)?;
        let answer = self.channel.hear()?;
        drop(kept);
        match answer {
            (Told::Settled, _) => Ok(total),
            (told, _) => Err(format!("the receiver told {told:?}")),
        }
    }

    fn receive_sessions(
        &self,
        stock: &mut receiver::Stock,
        totals: &mut [Total],
        gauge: &mut Gauge,
    ) -> Result<(), String> {
        loop {
            gauge.tick();
            let (kind, session, fd) = match self.channel.hear()? {
                (Told::Begins { kind, session }, Some(fd)) => (kind, session, fd),
                (Told::Finished, None) => {
                    gauge.measure();
                    return Ok(());
                }
                told => return Err(format!("the sender told {told:?}")),
            };
            let promise = Promise { is_stream: kind.is_stream(), is_udp: kind.is_udp() };
            let total = Receiving::new(stock, kind, session, fd)
                .run(&self.channel)
                .and_then(|(accepted, got)| settle(promise, &accepted, &got))
                .map_err(|wrong| match wrong == ENDED {
                    true => wrong,
                    false => format!("{kind:?}, session {session:#x}: {wrong}"),
                })?;
            totals[place(kind)].add(&total);
            self.channel.tell(&Told::Settled, None)?;
        }
    }
}

/// What a process of a role has for all sessions.
pub(super) enum Stock {
    Sender(sender::Stock),
    Receiver(receiver::Stock),
}

fn place(kind: Kind) -> usize {
    Kind::ALL.iter().position(|&known| known == kind).expect("all kinds are there")
}

fn limit_process() -> Result<(), Stop> {
    let limits = [(Resource::RLIMIT_NOFILE, DESCRIPTORS as u64), (Resource::RLIMIT_DATA, DATA_BYTES)];
    for (resource, limit) in limits {
        let (_, most) = getrlimit(resource)?;
        setrlimit(resource, most.min(limit as _), most)?;
    }
    Ok(())
}

fn signal_mask() -> Result<SigSet, String> {
    SigSet::thread_get_mask().map_err(|errno| errno.to_string())
}
