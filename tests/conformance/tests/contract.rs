//! The contract and the suite are one: each clause has a case, each case a clause, and they promise the same.

use std::collections::BTreeMap;

use unisend_conformance::{Promise, suite};

const CONTRACT: &str = include_str!("../../../docs/contract.md");

/// The clauses of the contract: number and sentence.
fn clauses() -> BTreeMap<&'static str, &'static str> {
    let rows =
        CONTRACT.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.filter(|(id, _)| id.starts_with(|first: char| first.is_ascii_uppercase()))
        .filter(|(id, _)| id[1..].starts_with(|second: char| second.is_ascii_digit()))
        .collect()
}

#[test]
fn every_clause_has_a_case_and_every_case_a_clause() {
    let clauses: Vec<&str> = clauses().into_keys().collect();
    let mut cases: Vec<&str> = suite().iter().map(|case| case.id).collect();
    cases.sort_unstable();
    assert_eq!(clauses, cases);
    assert!(clauses.len() > 80, "the contract was read");
}

#[test]
fn the_contract_says_differs_and_unrepresentable_where_the_cases_do() {
    let clauses = clauses();
    for case in suite() {
        let sentence = clauses[case.id];
        let says = |word| sentence.to_lowercase().contains(word);
        match &case.promise {
            Promise::Same(_) => {
                assert!(!says("**differs**") && !says("unrepresentable"), "{}: {sentence}", case.id)
            }
            Promise::Differs(..) => assert!(says("differs"), "{}: {sentence}", case.id),
            Promise::Unrepresentable(_) => {
                assert!(says("unrepresentable") || says("64 bits no memory"), "{}: {sentence}", case.id)
            }
        }
    }
}

/// A kind that a case promises is one that the contract's clause, or one above it, names.
#[test]
fn the_contract_names_the_kinds_that_the_cases_promise() {
    let clauses = clauses();
    for case in suite() {
        let promised: Vec<&str> = match &case.promise {
            Promise::Same(promised) => vec![promised],
            Promise::Differs(promised, _) => {
                promised.linux.answers().chain(promised.openbsd.answers()).collect()
            }
            Promise::Unrepresentable(_) => continue,
        };
        let kinds = unisend::ErrorKind::all().map(|kind| format!("{kind:?}"));
        for kind in
            kinds.filter(|kind| promised.iter().any(|steps| steps.split([',', ' ']).any(|word| word == kind)))
        {
            let base = case.id.trim_end_matches(|last: char| last.is_ascii_lowercase());
            let named = [case.id, base].iter().any(|id| clauses[id].contains(&format!("`{kind}`")));
            assert!(named, "{} promises {kind}, which its clause does not name", case.id);
        }
    }
}
