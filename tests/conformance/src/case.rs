//! A case: a script, and what it is expected to show on each system, through the kernel and through unisend.

use crate::expected::{Expected, Right};
use crate::machine;
use crate::report::Host;
use crate::trial::Trial;

/// A script. It makes sockets, brings them into a state, and has the trial send on them.
pub(crate) type Script = fn(&mut Trial) -> Result<(), Stop>;

/// Why a script did not reach its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The case cannot be run here, for this reason.
    Skip(String),
    /// Something failed that the case needs but does not examine.
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

impl From<unisend::Error> for Stop {
    fn from(error: unisend::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<nix::Error> for Stop {
    fn from(error: nix::Error) -> Self {
        machine::why(error)
    }
}

/// The topic of a case, as `--topic` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// What all ways to send have in common.
    Agreement,
    /// Flags.
    Flags,
    /// The state of a socket, and the error of a send in it.
    States,
    /// Destinations.
    Addresses,
    /// Many datagrams in one call.
    Datagrams,
    /// Sizes of messages and buffers.
    Sizes,
    /// Limits of a call.
    Limits,
    /// Signals, timeouts, and errors in the middle of a call.
    Interruption,
    /// Descriptors, sent and received.
    Descriptors,
    /// The credentials of the other end.
    Credentials,
    /// Making sockets of sequenced packets.
    Seqpacket,
    /// Files, and the pipes that they are sent to.
    Sendfile,
    /// A header, a file and a trailer.
    Transfer,
}

impl Topic {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Flags => "flags",
            Self::States => "states",
            Self::Addresses => "addresses",
            Self::Datagrams => "datagrams",
            Self::Sizes => "sizes",
            Self::Limits => "limits",
            Self::Interruption => "interruption",
            Self::Descriptors => "descriptors",
            Self::Credentials => "credentials",
            Self::Seqpacket => "seqpacket",
            Self::Sendfile => "sendfile",
            Self::Transfer => "transfer",
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
    /// Returns what is right on this machine.
    #[must_use]
    pub fn on(&self, host: &Host) -> Right {
        if host.os == "OpenBSD" { self.openbsd.on(host) } else { self.linux.on(host) }
    }
}

/// What the contract promises for a case.
#[derive(Debug, Clone)]
pub enum Promise {
    /// The same on every system.
    Same(&'static str),
    /// This on each system, and the reason why it cannot be the same.
    Differs(PerSystem, &'static str),
    /// unisend's types do not let a program make the case, by this rule.
    Unrepresentable(&'static str),
}

/// A case of the suite: a clause of the contract, or a part of a clause.
pub struct Case {
    /// The clause's number.
    pub id: &'static str,
    /// What is examined.
    pub title: &'static str,
    /// What it is about.
    pub topic: Topic,
    /// The script, which is run through raw libc and again through unisend.
    pub(crate) script: Script,
    /// What the kernels do.
    pub kernel: PerSystem,
    /// What unisend promises.
    pub promise: Promise,
}

/// A case without its promise.
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
    /// Sets what the kernels do, if they agree.
    pub(crate) fn kernels(self, both: &'static str) -> Self {
        self.kernel(both, both)
    }

    /// Sets what each kernel does.
    pub(crate) fn kernel(mut self, linux: impl Into<Expected>, openbsd: impl Into<Expected>) -> Self {
        self.kernel = PerSystem { linux: linux.into(), openbsd: openbsd.into() };
        self
    }

    /// unisend promises this on both systems.
    pub(crate) fn promise(self, both: &'static str) -> Case {
        self.promising(Promise::Same(both))
    }

    /// unisend promises this on each system, for this reason.
    pub(crate) fn differs(
        self,
        linux: impl Into<Expected>,
        openbsd: impl Into<Expected>,
        reason: &'static str,
    ) -> Case {
        let per_system = PerSystem { linux: linux.into(), openbsd: openbsd.into() };
        self.promising(Promise::Differs(per_system, reason))
    }

    /// unisend's types make the case impossible, by this rule.
    pub(crate) fn unrepresentable(self, rule: &'static str) -> Case {
        self.promising(Promise::Unrepresentable(rule))
    }

    fn promising(self, promise: Promise) -> Case {
        let Self { topic, id, title, script, kernel } = self;
        Case { id, title, topic, script, kernel, promise }
    }
}
