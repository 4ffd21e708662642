//! Makes a program shorter.

use super::program::Step;

/// Leaves steps out, as long as the program is still wrong: first many at once, then fewer.
pub(super) fn shrink(steps: &[Step], is_wrong: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut shortest = steps.to_vec();
    let mut count = shortest.len() / 2;
    while count > 0 {
        let mut start = 0;
        while start < shortest.len() {
            let end = (start + count).min(shortest.len());
            let without = [&shortest[..start], &shortest[end..]].concat();
            if is_wrong(&without) {
                shortest = without;
            } else {
                start = end;
            }
        }
        count /= 2;
    }
    shortest
}
