//! Makes a program shorter.

use std::time::Instant;

use super::program::Step;

/// Leaves steps out, as long as the program is still wrong: first many at once, then fewer. At that time it ends with what
/// it has, because a program that hangs takes long each time.
pub(super) fn shrink(steps: &[Step], end: Instant, is_wrong: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut shortest = steps.to_vec();
    let mut count = shortest.len() / 2;
    while count > 0 {
        let mut start = 0;
        while start < shortest.len() && Instant::now() < end {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::explore::program::Kind;

    /// It is wrong if it closes 3 before it drains 1.
    fn is_wrong(steps: &[Step]) -> bool {
        let at = |step| steps.iter().position(|&other| other == step);
        at(Step::Close(3)).zip(at(Step::Drain(1))).is_some_and(|(close, drain)| close < drain)
    }

    fn steps() -> Vec<Step> {
        let mut steps = vec![Step::Pair(Kind::Tcp, 0, 1); 5];
        steps.push(Step::Close(3));
        steps.extend([Step::Probe(2); 7]);
        steps.push(Step::Drain(1));
        steps.push(Step::Bind(0));
        steps
    }

    #[test]
    fn what_is_not_needed_is_left_out() {
        let end = Instant::now() + Duration::from_secs(60);
        assert_eq!(shrink(&steps(), end, is_wrong), [Step::Close(3), Step::Drain(1)]);
    }

    #[test]
    fn without_time_it_stays_as_it_is() {
        assert_eq!(shrink(&steps(), Instant::now(), is_wrong), steps());
    }
}
