//! The model of `explore` differs between systems where the contract says **differs**, and has room where the contract
//! leaves room: nowhere else.

use std::collections::BTreeSet;

const CONTRACT: &str = include_str!("../../../docs/contract.md");

const MODEL: [&str; 4] = [
    include_str!("../src/explore/model.rs"),
    include_str!("../src/explore/model/meanwhile.rs"),
    include_str!("../src/explore/model/receive.rs"),
    include_str!("../src/explore/model/send.rs"),
];

/// The clauses whose answers vary with time or with the size of a buffer, or are one of two kinds that are both right: why.
const ROOM: [(&str, &str); 15] = [
    ("B3", "how much a receiver holds before it is full"),
    ("B6", "whether OpenBSD takes no bytes, if the buffer was made smaller than what it holds"),
    ("C4", "what nobody has seen on OpenBSD: the credentials of a pair of datagram sockets"),
    ("D4", "whether a report of the network comes in time"),
    ("F2", "which byte is urgent, if OpenBSD sends the data in parts"),
    ("F7d", "whether a receive of no bytes fails or returns nothing"),
    ("F7e", "which of two errors a receive finds pending"),
    ("F8", "whether the urgent byte was lost before (F8e, F8f)"),
    ("F8b", "whether an urgent byte is still to come (F8c)"),
    ("N5", "what nobody has run on OpenBSD: a source on a socket that is bound to an address"),
    ("R10", "how many descriptors others have in flight"),
    ("S8", "whether a receive after a reset finds the reset or the end"),
    ("S14", "the peer is gone: `Disconnected` or `Reset`"),
    ("S17", "whether a send to an address is told that the peer has closed"),
    ("S19", "whether a report of the network comes in time"),
];

/// The clauses that say **differs** of what no step of a program makes.
const OUT_OF_REACH: &str = "\
    routes, networks and packet filters: A12 A13 F1e I8b S3b; \
    addresses that only Linux has: A6c A8b A8c; \
    options of sockets: B8 C3 N6 O1 R12 R23b S3c S10 I3 I4b; \
    a connection that is being made: S4; \
    files, pipes, and more bytes than a program sends: I7 L4 L13 L13b X5 X7b X11b X12b X14; \
    foreign messages, full tables and descriptors that watch others: R3b R9b R13b R22b; \
    permissions, names of sockets, and connections that are not accepted: A10d K3c K4b K9b; \
    named in the model by the clause beside it: D8 R24 (R23), I5b (I5)";

/// Returns the words of a text that are clauses.
fn clauses_in(text: &'static str) -> BTreeSet<&'static str> {
    let is_clause = |word: &&str| {
        let rest = word.trim_start_matches(|first: char| first.is_ascii_uppercase());
        let digits = rest.trim_end_matches(|last: char| last.is_ascii_lowercase());
        word.len() - rest.len() == 1
            && !digits.is_empty()
            && digits.chars().all(|digit| digit.is_ascii_digit())
    };
    text.split(|character: char| !character.is_ascii_alphanumeric()).filter(is_clause).collect()
}

fn clauses_that_differ() -> BTreeSet<&'static str> {
    let rows =
        CONTRACT.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let differing = rows.filter(|(_, sentence)| sentence.to_lowercase().contains("differs"));
    differing.map(|(clause, _)| clause).filter(|clause| clauses_in(clause).contains(clause)).collect()
}

#[test]
fn it_knows_each_clause_that_differs_unless_no_program_can_meet_it() {
    let known: BTreeSet<&str> = MODEL.iter().flat_map(|source| clauses_in(source)).collect();
    let out_of_reach = clauses_in(OUT_OF_REACH);
    let differs = clauses_that_differ();
    assert!(differs.len() > 50, "the contract was read");
    let missing: BTreeSet<&str> = differs.difference(&known).copied().collect();
    let named: BTreeSet<&str> = out_of_reach.difference(&known).copied().collect();
    assert_eq!(missing, named);
}

#[test]
fn it_has_room_where_the_contract_has() {
    let marked: BTreeSet<&str> = MODEL
        .iter()
        .flat_map(|source| source.split("differs(").skip(1))
        .filter_map(|after| after.trim_start().strip_prefix('"')?.split('"').next())
        .collect();
    let room: BTreeSet<&str> = ROOM.iter().map(|(clause, _)| *clause).collect();
    assert_eq!(marked.difference(&clauses_that_differ()).copied().collect::<BTreeSet<_>>(), room);
}
