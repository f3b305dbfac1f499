//! What came of the requests of one step.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// Longer times are counted as this one.
const LONGEST: Duration = Duration::from_secs(48 * 60 * 60);

/// What one request came to.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether a right answer came, else the kind of what came instead.
    pub result: Result<(), Cow<'static, str>>,
    /// Bytes of the bodies, both ways.
    pub sent: u64,
    pub received: u64,
    pub split: Option<Split>,
}

/// Where the time of calls in this process went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Split {
    pub queue: Duration,
    pub compute: Duration,
    pub guest: Duration,
}

/// Counts and latencies.
#[derive(Debug)]
pub(super) struct Tally {
    /// Of right answers, in nanoseconds.
    pub latency: Histogram<u64>,
    pub errors: BTreeMap<Cow<'static, str>, u64>,
    pub sent: u64,
    pub received: u64,
    /// The sum over right answers; `None` where no answer told.
    pub split: Option<Split>,
    /// Right answers per second.
    pub throughput: f64,
    /// Requests of an open loop that had to wait for a free connection, and
    /// those that were never sent.
    pub late: u64,
    pub dropped: u64,
    /// When the last answer came, from the start.
    pub measured: Duration,
}

impl Tally {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            latency: Histogram::new(DIGITS)?,
            errors: BTreeMap::new(),
            sent: 0,
            received: 0,
            split: None,
            throughput: 0.0,
            late: 0,
            dropped: 0,
            measured: Duration::ZERO,
        })
    }

    /// Counts a request that ended `ended` after the start.
    pub(super) fn record(&mut self, latency: Duration, answer: Answer, ended: Duration) {
        self.measured = self.measured.max(ended);
        self.sent += answer.sent;
        self.received += answer.received;
        match answer.result {
            Ok(()) => {
                let nanoseconds = latency.clamp(Duration::from_nanos(1), LONGEST).as_nanos() as u64;
                // The histogram grows as far as it has to.
                if self.latency.record(nanoseconds).is_err() {
                    self.latency.saturating_record(nanoseconds);
                }
                self.add_split(answer.split);
            }
            Err(kind) => *self.errors.entry(kind).or_default() += 1,
        }
    }

    /// Adds what another connection counted.
    ///
    /// # Errors
    /// None that is known: latencies of equal precision always add up.
    pub(super) fn add(&mut self, other: Tally) -> Result<()> {
        self.latency.add(&other.latency)?;
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.add_split(other.split);
        self.sent += other.sent;
        self.received += other.received;
        self.throughput += other.throughput;
        self.late += other.late;
        self.dropped += other.dropped;
        self.measured = self.measured.max(other.measured);
        Ok(())
    }

    /// Right answers.
    pub(super) fn answers(&self) -> u64 {
        self.latency.len()
    }

    pub(super) fn failures(&self) -> u64 {
        self.errors.values().sum()
    }

    fn add_split(&mut self, other: Option<Split>) {
        let Some(other) = other else { return };
        let sum = self.split.get_or_insert_default();
        sum.queue += other.queue;
        sum.compute += other.compute;
        sum.guest += other.guest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(result: Result<(), Cow<'static, str>>) -> Answer {
        let split = Split { compute: Duration::from_micros(5), ..Split::default() };
        Answer { result, sent: 10, received: 20, split: Some(split) }
    }

    #[test]
    fn tallies_of_connections_add_up() {
        let (mut one, mut two) = (Tally::new().unwrap(), Tally::new().unwrap());
        one.record(Duration::from_millis(1), answer(Ok(())), Duration::from_millis(1));
        two.record(Duration::from_secs(100), answer(Ok(())), Duration::from_secs(100));
        two.record(Duration::from_millis(2), answer(Err("timeout".into())), Duration::from_millis(2));
        one.record(Duration::from_millis(2), answer(Err("timeout".into())), Duration::from_millis(2));
        one.add(two).unwrap();
        assert_eq!((one.answers(), one.failures(), one.errors["timeout"]), (2, 2, 2));
        assert_eq!((one.sent, one.received), (40, 80));
        assert_eq!(one.split.unwrap().compute, Duration::from_micros(10));
        // An error's time is no latency.
        assert_eq!(one.latency.min() / 1_000_000, 0);
        let longest = one.latency.max() as f64 / 1e9;
        assert!((longest - 100.0).abs() < 0.2, "{longest}");
    }
}
