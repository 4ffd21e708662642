//! How often each call was made by unisend, and how often it was passed on, and why.

use std::sync::atomic::{AtomicUsize, Ordering};

use unisend_capi::standard::{Reason, Stop};

/// A call that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Call {
    Send,
    Sendto,
    Sendmsg,
    Sendmmsg,
    Recvmsg,
    #[cfg(target_os = "linux")]
    Sendfile,
}

/// The calls, and what the report calls them.
pub(crate) const CALLS: &[(Call, &str)] = &[
    (Call::Send, "send"),
    (Call::Sendto, "sendto"),
    (Call::Sendmsg, "sendmsg"),
    (Call::Sendmmsg, "sendmmsg"),
    (Call::Recvmsg, "recvmsg"),
    #[cfg(target_os = "linux")]
    (Call::Sendfile, "sendfile"),
];

/// Where calls end, and what the report calls that: unisend, or libc for a reason.
pub(crate) const WAYS: [(Option<Reason>, &str); 1 + Reason::ALL.len()] = [
    (None, "unisend"),
    (Some(Reason::Descriptor), "descriptor"),
    (Some(Reason::Flags), "flags"),
    (Some(Reason::Address), "address"),
    (Some(Reason::Control), "control"),
    (Some(Reason::Length), "length"),
    (Some(Reason::Memory), "memory"),
    (Some(Reason::Offset), "offset"),
];

/// A count for each call and each way, which no lock protects.
static COUNTS: [[AtomicUsize; WAYS.len()]; CALLS.len()] =
    [const { [const { AtomicUsize::new(0) }; WAYS.len()] }; CALLS.len()];

/// Counts a call, given why it did not succeed by unisend.
#[inline]
pub(crate) fn add(call: Call, stop: Option<&Stop>) {
    let way = match stop {
        Some(&Stop::PassedOn(reason)) => way(reason),
        Some(Stop::Failed(_)) | None => 0,
    };
    COUNTS[call as usize][way].fetch_add(1, Ordering::Relaxed);
}

const fn way(reason: Reason) -> usize {
    1 + reason as usize
}

const _: () = {
    let mut at = 0;
    while at < Reason::ALL.len() {
        let reason = Reason::ALL[at];
        assert!(matches!(WAYS[way(reason)].0, Some(found) if found as usize == reason as usize));
        at += 1;
    }
    let mut at = 0;
    while at < CALLS.len() {
        assert!(CALLS[at].0 as usize == at);
        at += 1;
    }
};

/// Returns the counts of a call.
pub(crate) fn of(call: Call) -> [usize; WAYS.len()] {
    std::array::from_fn(|way| COUNTS[call as usize][way].load(Ordering::Relaxed))
}

/// Forgets all: a child of fork(2) counts its own.
pub(crate) fn reset() {
    for count in COUNTS.as_flattened() {
        count.store(0, Ordering::Relaxed);
    }
}
