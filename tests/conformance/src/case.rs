//! What a case is: a script, and what it is expected to show on each system, through the kernel and through
//! unisend.

use crate::expected::{Expected, Right};
use crate::machine;
use crate::report::Host;
use crate::trial::Trial;

/// A script: it makes sockets, brings them into a state, and has the trial send on them.
pub(crate) type Script = fn(&mut Trial) -> Result<(), Stop>;

/// Why a script did not come to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The case cannot be run here, for this reason.
    Skip(String),
    /// Something that the case only needs, and does not examine, failed.
    Broken(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => machine::why(nix::Error::from_raw(number)),
            None => Self::Broken(error.to_string()),
        }
    }
}

impl From<nix::Error> for Stop {
    fn from(error: nix::Error) -> Self {
        machine::why(error)
    }
}

/// What a case is about, as `--topic` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// What all ways to send have in common.
    Agreement,
    /// Flags.
    Flags,
    /// The state of a socket, and the error that it gives.
    States,
    /// Destinations.
    Addresses,
    /// Sizes of messages and buffers.
    Sizes,
    /// Limits of a call.
    Limits,
    /// Signals, timeouts, and errors in the middle of a call.
    Interruption,
    /// Descriptors, sent and received.
    Descriptors,
    /// Who is at the other end.
    Credentials,
    /// Files, and the pipes that they are sent to.
    Sendfile,
}

impl Topic {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Flags => "flags",
            Self::States => "states",
            Self::Addresses => "addresses",
            Self::Sizes => "sizes",
            Self::Limits => "limits",
            Self::Interruption => "interruption",
            Self::Descriptors => "descriptors",
            Self::Credentials => "credentials",
            Self::Sendfile => "sendfile",
        }
    }
}

/// What a case shows on each system.
#[derive(Debug, Clone)]
pub struct PerSystem {
    /// On Linux.
    pub linux: Expected,
    /// On OpenBSD.
    pub openbsd: Expected,
}

impl PerSystem {
    /// What is right on this machine.
    #[must_use]
    pub fn on(&self, host: &Host) -> Right {
        if host.os == "OpenBSD" { self.openbsd.on(host) } else { self.linux.on(host) }
    }
}

/// What the contract promises of a case.
#[derive(Debug, Clone)]
pub enum Promise {
    /// This, on every system.
    Same(&'static str),
    /// This on each system, and why it cannot be the same.
    Differs(PerSystem, &'static str),
    /// The case cannot be written with unisend's types, by this rule.
    Unrepresentable(&'static str),
}

/// A case of the suite: a clause of the contract, or a part of one.
pub struct Case {
    /// The clause's number.
    pub id: &'static str,
    /// What is examined.
    pub title: &'static str,
    /// What it is about.
    pub topic: Topic,
    /// What is done, through raw libc and again through unisend.
    pub(crate) script: Script,
    /// What the kernels are known to do.
    pub kernel: PerSystem,
    /// What unisend promises.
    pub promise: Promise,
}

/// A case that is still to be given its expectations.
pub(crate) struct Draft {
    topic: Topic,
    id: &'static str,
    title: &'static str,
    script: Script,
    kernel: PerSystem,
}

impl Topic {
    pub(crate) fn case(self, id: &'static str, title: &'static str, script: Script) -> Draft {
        Draft { topic: self, id, title, script, kernel: PerSystem { linux: "".into(), openbsd: "".into() } }
    }
}

impl Draft {
    /// What the kernels do, where they agree.
    pub(crate) fn kernels(self, both: &'static str) -> Self {
        self.kernel(both, both)
    }

    /// What each kernel does.
    pub(crate) fn kernel(mut self, linux: impl Into<Expected>, openbsd: impl Into<Expected>) -> Self {
        self.kernel = PerSystem { linux: linux.into(), openbsd: openbsd.into() };
        self
    }

    /// unisend promises this on both.
    pub(crate) fn promise(self, both: &'static str) -> Case {
        self.promising(Promise::Same(both))
    }

    /// unisend gives this on each, for this reason.
    pub(crate) fn differs(
        self,
        linux: impl Into<Expected>,
        openbsd: impl Into<Expected>,
        reason: &'static str,
    ) -> Case {
        let per_system = PerSystem { linux: linux.into(), openbsd: openbsd.into() };
        self.promising(Promise::Differs(per_system, reason))
    }

    /// unisend's types make it impossible, by this rule.
    pub(crate) fn unrepresentable(self, rule: &'static str) -> Case {
        self.promising(Promise::Unrepresentable(rule))
    }

    fn promising(self, promise: Promise) -> Case {
        let Self { topic, id, title, script, kernel } = self;
        Case { id, title, topic, script, kernel, promise }
    }
}
