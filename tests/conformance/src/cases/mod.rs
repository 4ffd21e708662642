//! The table of cases, topic by topic.

mod addresses;
mod agreement;
mod batches;
mod credentials;
mod descriptors;
mod flags;
mod interruption;
mod limits;
mod others;
mod receive_flags;
mod segments;
mod senders;
mod sendfile;
mod seqpacket;
mod sizes;
mod states;
mod traffic;
mod transfer;
mod ways;

use std::sync::LazyLock;

use crate::case::Case;

/// Returns every case, in the order of the contract.
pub fn suite() -> &'static [Case] {
    static SUITE: LazyLock<Vec<Case>> = LazyLock::new(|| {
        [
            agreement::cases(),
            flags::cases(),
            receive_flags::cases(),
            states::cases(),
            addresses::cases(),
            senders::cases(),
            traffic::cases(),
            others::cases(),
            batches::cases(),
            segments::cases(),
            sizes::cases(),
            limits::cases(),
            interruption::cases(),
            descriptors::cases(),
            credentials::cases(),
            seqpacket::cases(),
            sendfile::cases(),
            transfer::cases(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
    &SUITE
}
