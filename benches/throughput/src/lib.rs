//! How two ways are compared.

use std::time::Duration;

/// Returns the median of how many times as long the second takes as the first.
pub fn median_of_pairs(pairs: usize, ours: impl Fn() -> Duration, theirs: impl Fn() -> Duration) -> f64 {
    ours();
    theirs();
    let mut ratios: Vec<f64> = (0..pairs)
        .map(|pair| {
            // Which is first alternates too.
            let (ours, theirs) = if pair % 2 == 0 {
                let first = ours();
                (first, theirs())
            } else {
                let first = theirs();
                (ours(), first)
            };
            theirs.as_secs_f64() / ours.as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[pairs / 2]
}
