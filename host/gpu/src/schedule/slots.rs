//! Which buffers share memory: those that are never in use at the same time.

/// A buffer's size, and the first and last step that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub bytes: u64,
    pub first: usize,
    pub last: usize,
}

/// Gives each interval a slot, and each slot its size. Two intervals that meet
/// in any step have different slots.
pub(super) fn assign(intervals: &[Interval]) -> (Vec<usize>, Vec<u64>) {
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    // The largest first: whatever joins it later fits without growing it.
    order.sort_by_key(|&index| std::cmp::Reverse(intervals[index].bytes));
    let mut tenants: Vec<Vec<usize>> = Vec::new();
    let mut slot_of = vec![0; intervals.len()];
    for index in order {
        let meets = |other: &usize| {
            let (one, other) = (&intervals[index], &intervals[*other]);
            one.first <= other.last && other.first <= one.last
        };
        let free = tenants.iter().position(|slot| !slot.iter().any(meets));
        let slot = free.unwrap_or_else(|| {
            tenants.push(Vec::new());
            tenants.len() - 1
        });
        tenants[slot].push(index);
        slot_of[index] = slot;
    }
    let largest = |slot: &Vec<usize>| slot.iter().map(|&index| intervals[index].bytes).max().unwrap_or(0);
    (slot_of, tenants.iter().map(largest).collect())
}

#[cfg(test)]
mod tests {
    use samara_test::Random;

    use super::*;

    #[test]
    fn a_chain_takes_two_slots() {
        let chain: Vec<Interval> =
            (0..10).map(|step| Interval { bytes: 100 + step as u64, first: step, last: step + 1 }).collect();
        let (_, slots) = assign(&chain);
        assert_eq!(slots, [109, 108]);
    }

    #[test]
    fn what_is_in_use_together_never_shares_memory() {
        let mut random = Random::new(7);
        for _ in 0..200 {
            let intervals: Vec<Interval> = (0..random.below(30))
                .map(|_| {
                    let first = random.below(20) as usize;
                    let last = first + random.below(8) as usize;
                    Interval { bytes: random.below(1000), first, last }
                })
                .collect();
            let (slot_of, slots) = assign(&intervals);
            for (index, one) in intervals.iter().enumerate() {
                assert!(one.bytes <= slots[slot_of[index]]);
                for (other_index, other) in intervals.iter().enumerate().skip(index + 1) {
                    let meet = one.first <= other.last && other.first <= one.last;
                    assert!(!meet || slot_of[index] != slot_of[other_index], "{one:?} and {other:?}");
                }
            }
        }
    }
}
