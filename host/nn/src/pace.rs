//! Learns how long a model computes, to decide whether a call is worth a hop to
//! a compute thread.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A hop to another thread and back costs tens of microseconds: what computes
/// shorter than this runs where it is called.
const SHORT: Duration = Duration::from_micros(30);

/// Runs in a row that must have been short before one is trusted to be.
const RUNS_TO_TRUST: usize = 3;

/// The pace of one model. Trust holds only for inputs no larger than those that
/// were measured, and a single long run ends it.
#[derive(Default)]
pub(crate) struct Pace {
    short_runs: AtomicUsize,
    largest_short_input: AtomicU64,
}

impl Pace {
    pub(crate) fn is_short(&self, input_bytes: u64) -> bool {
        self.short_runs.load(Ordering::Relaxed) >= RUNS_TO_TRUST
            && input_bytes <= self.largest_short_input.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, input_bytes: u64, compute: Duration) {
        if compute > SHORT {
            self.short_runs.store(0, Ordering::Relaxed);
            self.largest_short_input.store(0, Ordering::Relaxed);
            return;
        }
        self.largest_short_input.fetch_max(input_bytes, Ordering::Relaxed);
        self.short_runs.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_earned_bounded_by_size_and_lost_at_once() {
        let pace = Pace::default();
        let short = Duration::from_micros(5);
        for _ in 0..RUNS_TO_TRUST {
            assert!(!pace.is_short(64));
            pace.record(64, short);
        }
        assert!(pace.is_short(64) && pace.is_short(8));
        assert!(!pace.is_short(65), "a larger input was never measured");
        pace.record(64, Duration::from_millis(1));
        assert!(!pace.is_short(64));
    }
}
