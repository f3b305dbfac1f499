//! Learns how long a model computes, to decide whether a call is worth a hop to
//! a compute thread.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A hop to another thread and back costs tens of microseconds: what computes
/// shorter than this runs where it is called.
const SHORT: Duration = Duration::from_micros(30);

/// Runs in a row that must have been short before one is trusted to be.
const RUNS_TO_TRUST: usize = 3;

/// Merged runs after which one call runs alone again, to see whether it still
/// takes long.
const MERGED_PER_MEASURE: usize = 64;

/// Short runs that must lie between two long ones for trust to survive: on a busy
/// machine, a run is now and then interrupted by other threads.
const SHORT_BETWEEN_LONG: usize = 32;

/// The pace of one model. Trust holds only for inputs no larger than those that
/// were measured, and two long runs close to each other end it.
#[derive(Default)]
pub(crate) struct Pace {
    short_runs: AtomicUsize,
    largest_short_input: AtomicU64,
    /// Short runs since the last long one, while trusted.
    since_long: AtomicUsize,
    /// Whether the last call that ran alone took longer than a hop.
    long: AtomicBool,
    merged_runs: AtomicUsize,
}

impl Pace {
    pub(crate) fn is_short(&self, input_bytes: u64) -> bool {
        self.short_runs.load(Ordering::Relaxed) >= RUNS_TO_TRUST
            && input_bytes <= self.largest_short_input.load(Ordering::Relaxed)
    }

    /// Whether the next call should run alone: what it takes is not known, or
    /// was learnt long ago. A model that turns out to be short is never merged.
    pub(crate) fn wants_measure(&self) -> bool {
        !self.long.load(Ordering::Relaxed) || self.merged_runs.load(Ordering::Relaxed) >= MERGED_PER_MEASURE
    }

    /// A call that ran alone.
    pub(crate) fn record(&self, input_bytes: u64, compute: Duration) {
        if compute > SHORT {
            let is_trusted = self.is_short(input_bytes);
            if self.since_long.swap(0, Ordering::Relaxed) >= SHORT_BETWEEN_LONG && is_trusted {
                return;
            }
            self.long.store(true, Ordering::Relaxed);
            self.merged_runs.store(0, Ordering::Relaxed);
            self.short_runs.store(0, Ordering::Relaxed);
            self.largest_short_input.store(0, Ordering::Relaxed);
            return;
        }
        self.since_long.fetch_add(1, Ordering::Relaxed);
        if self.is_short(input_bytes) {
            return;
        }
        self.long.store(false, Ordering::Relaxed);
        self.largest_short_input.fetch_max(input_bytes, Ordering::Relaxed);
        self.short_runs.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that ran together, the largest with so many bytes of input.
    pub(crate) fn record_merged(&self, input_bytes: u64, compute: Duration) {
        if compute <= SHORT {
            return self.record(input_bytes, compute);
        }
        self.merged_runs.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_earned_bounded_by_size_and_lost_to_a_long_run() {
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

    #[test]
    fn a_run_that_was_interrupted_costs_no_trust() {
        let pace = Pace::default();
        let (short, long) = (Duration::from_micros(5), Duration::from_millis(4));
        for _ in 0..SHORT_BETWEEN_LONG {
            pace.record(64, short);
        }
        pace.record(64, long);
        assert!(pace.is_short(64));
        pace.record(64, short);
        pace.record(64, long);
        assert!(!pace.is_short(64), "two of them are no accident");
    }

    #[test]
    fn calls_are_measured_alone_until_they_are_known_to_be_long_and_now_and_then_after() {
        let pace = Pace::default();
        let long = Duration::from_millis(1);
        assert!(pace.wants_measure());
        pace.record(64, long);
        for _ in 0..MERGED_PER_MEASURE {
            assert!(!pace.wants_measure());
            pace.record_merged(64, long);
        }
        assert!(pace.wants_measure());
        pace.record(64, long);
        assert!(!pace.wants_measure());
        pace.record_merged(64, Duration::from_micros(5));
        assert!(pace.wants_measure(), "what is short together is short alone");
    }
}
