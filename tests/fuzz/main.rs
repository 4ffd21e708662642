//! Runs the targets of the fuzzer on the inputs that it found worth keeping. `ci/fuzz` looks for new ones.

mod targets;

use rstest::rstest;
use targets::TARGETS;

/// The inputs of a target, one after another in one file, each after its length in two bytes.
fn inputs(mut corpus: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = corpus.split_first_chunk()?;
        let (input, rest) = rest.split_at(u16::from_le_bytes(*length).into());
        corpus = rest;
        Some(input)
    })
}

#[rstest]
#[case::addresses("addresses", include_bytes!("corpus/addresses"))]
#[case::messages("messages", include_bytes!("corpus/messages"))]
#[case::received("received", include_bytes!("corpus/received"))]
#[case::segments("segments", include_bytes!("corpus/segments"))]
#[case::transfers("transfers", include_bytes!("corpus/transfers"))]
fn what_was_found_is_run_again(#[case] name: &str, #[case] corpus: &[u8]) {
    let (_, target) = TARGETS.iter().find(|row| row.0 == name).expect("there is one of this name");
    let count = inputs(corpus).inspect(|input| target(input)).count();
    assert!(count >= 10, "{count} inputs");
}
