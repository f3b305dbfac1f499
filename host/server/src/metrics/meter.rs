//! Counters and histograms that cost a request a few nanoseconds: atomics, one
//! set of them for each group of threads, added up when somebody looks.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The upper bound of the first bucket of a time, in nanoseconds. Each further
/// octave doubles it.
const FIRST: u64 = 10_000;
/// From 10 microseconds to 10.5 seconds.
const OCTAVES: usize = 20;
/// Buckets of a coarse time: the first, the octaves, and all that is longer.
pub(crate) const COARSE: usize = OCTAVES + 2;
/// An octave in quarters, for quantiles.
pub(crate) const FINE: usize = 4 * OCTAVES + 2;
/// 1, 2, 4 … 1024, and more.
pub(crate) const ROWS: usize = 12;

/// Something that is counted.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something fell into each of `N` ranges, and its sum.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    buckets: [Counter; N],
    sum: Counter,
}

/// A histogram at one moment, not cumulative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distribution<const N: usize> {
    pub(crate) buckets: [u64; N],
    /// Nanoseconds or rows.
    pub(crate) sum: u64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Counter::default()), sum: Counter::default() }
    }
}

impl<const N: usize> Default for Distribution<N> {
    fn default() -> Self {
        Self { buckets: [0; N], sum: 0 }
    }
}

impl<const N: usize> Histogram<N> {
    fn add(&self, bucket: usize, value: u64) {
        self.buckets[bucket.min(N - 1)].add(1);
        self.sum.add(value);
    }
}

impl Histogram<COARSE> {
    pub(crate) fn time(&self, time: Duration) {
        let time = nanoseconds(time);
        self.add(octave(time), time);
    }
}

impl Histogram<FINE> {
    pub(crate) fn time(&self, time: Duration) {
        let time = nanoseconds(time);
        self.add(quarter(time), time);
    }
}

impl Histogram<ROWS> {
    pub(crate) fn rows(&self, rows: u64) {
        self.add(rows.max(1).next_power_of_two().ilog2() as usize, rows);
    }
}

impl<const N: usize> Distribution<N> {
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(crate) fn of(whole: &Histogram<N>) -> Self {
        let mut all = Self::default();
        all.gather(whole);
        all
    }

    /// Takes in one shard's part.
    pub(crate) fn gather(&mut self, part: &Histogram<N>) {
        for (bucket, more) in self.buckets.iter_mut().zip(&part.buckets) {
            *bucket += more.get();
        }
        self.sum += part.sum.get();
    }

    /// Takes in another distribution.
    pub(crate) fn merge(&mut self, more: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&more.buckets) {
            *bucket += more;
        }
        self.sum += more.sum;
    }

    /// What came since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let buckets = std::array::from_fn(|at| self.buckets[at].saturating_sub(earlier.buckets[at]));
        Self { buckets, sum: self.sum.saturating_sub(earlier.sum) }
    }
}

impl Distribution<FINE> {
    pub(crate) fn coarse(&self) -> Distribution<COARSE> {
        let mut coarse = Distribution { buckets: [0; COARSE], sum: self.sum };
        for (at, count) in self.buckets.iter().enumerate() {
            coarse.buckets[at.div_ceil(4).min(COARSE - 1)] += count;
        }
        coarse
    }

    /// The time in seconds that a share of all stayed below, as well as the
    /// buckets tell; `None` where there is nothing.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of a minute are far below 2^52")]
        let (rank, mut below) = (share * count as f64, 0.0);
        for (at, &inside) in self.buckets.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            let inside = inside as f64;
            if inside > 0.0 && below + inside >= rank {
                let low = if at == 0 { 0.0 } else { fine_bound(at - 1) };
                let high = fine_bound(at.min(FINE - 2));
                return Some(low.min(high) + (high - low).max(0.0) * (rank - below) / inside);
            }
            below += inside;
        }
        None
    }
}

/// The upper bounds of a time's buckets in seconds, without the last one's.
pub(crate) fn time_bounds() -> impl Iterator<Item = f64> {
    (0..COARSE - 1).map(|octave| seconds(FIRST << octave))
}

/// The upper bounds of the buckets of rows, without the last one's.
pub(crate) fn row_bounds() -> impl Iterator<Item = f64> {
    (0..ROWS - 1).map(|power| f64::from(1_u32 << power))
}

/// Nanoseconds in the unit that metrics are told in.
pub(crate) fn seconds(nanoseconds: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact for the first hundred days")]
    let nanoseconds = nanoseconds as f64;
    nanoseconds / 1e9
}

fn fine_bound(bucket: usize) -> f64 {
    match bucket {
        0 => seconds(FIRST),
        bucket => seconds((FIRST / 4 * (5 + (bucket as u64 - 1) % 4)) << ((bucket - 1) / 4)),
    }
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Which octave a time is in; an upper bound belongs to it.
fn octave(nanoseconds: u64) -> usize {
    match nanoseconds.saturating_sub(1) / FIRST {
        0 => 0,
        firsts => (firsts.ilog2() as usize + 1).min(COARSE - 1),
    }
}

/// Which quarter of an octave a time is in.
fn quarter(nanoseconds: u64) -> usize {
    let quarters = nanoseconds.saturating_sub(1) / (FIRST / 4);
    match quarters >> 2 {
        0 => 0,
        firsts => {
            let octave = firsts.ilog2() as usize;
            (1 + 4 * octave + ((quarters >> octave) & 3) as usize).min(FINE - 1)
        }
    }
}

/// One `T` for each group of threads, so that they do not write to the same
/// cache line.
#[derive(Debug)]
pub(crate) struct Sharded<T>(Box<[Shard<T>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<T>(T);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self((0..*SHARDS).map(|_| Shard::default()).collect())
    }
}

impl<T> Sharded<T> {
    /// The one to add to on this thread.
    pub(crate) fn mine(&self) -> &T {
        &self.0[MINE.get() % self.0.len()].0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }

    pub(crate) fn sum(&self, pick: impl Fn(&T) -> &Counter) -> u64 {
        self.iter().map(|shard| pick(shard).get()).sum()
    }

    pub(crate) fn distribution<const N: usize>(&self, pick: impl Fn(&T) -> &Histogram<N>) -> Distribution<N> {
        let mut all = Distribution::default();
        self.iter().for_each(|shard| all.gather(pick(shard)));
        all
    }
}

/// As many as threads can run at a time, within reason.
static SHARDS: LazyLock<usize> = LazyLock::new(|| {
    const MOST: usize = 8;
    std::thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST))
});

thread_local! {
    static MINE: Cell<usize> = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        Cell::new(THREADS.fetch_add(1, Ordering::Relaxed))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_longer_to_the_next() {
        for (at, bound) in (0..COARSE - 1).map(|octave| (octave, FIRST << octave)) {
            assert_eq!(octave(bound), at);
            assert_eq!(octave(bound + 1), at + 1);
        }
        assert_eq!((octave(0), octave(u64::MAX)), (0, COARSE - 1));
        assert_eq!((quarter(0), quarter(u64::MAX)), (0, FINE - 1));
        for at in 0..FINE - 1 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bound in ns")]
            let bound = (fine_bound(at) * 1e9).round() as u64;
            assert_eq!((quarter(bound), quarter(bound + 1)), (at, at + 1), "{bound}");
        }
    }

    #[test]
    fn quarters_add_up_to_octaves() {
        let (fine, coarse) = (Histogram::<FINE>::default(), Histogram::<COARSE>::default());
        for microseconds in (1..200_000).step_by(37).chain([20_000_000]) {
            fine.time(Duration::from_micros(microseconds));
            coarse.time(Duration::from_micros(microseconds));
        }
        let (mut all_fine, mut all_coarse) = (Distribution::default(), Distribution::default());
        all_fine.gather(&fine);
        all_coarse.gather(&coarse);
        assert_eq!(all_fine.coarse(), all_coarse);
        assert_eq!(all_coarse.buckets[COARSE - 1], 1);
    }

    #[test]
    fn quantiles_are_as_near_as_a_quarter_of_an_octave() {
        let histogram = Histogram::<FINE>::default();
        for microseconds in 1..=10_000 {
            histogram.time(Duration::from_micros(microseconds));
        }
        let mut all = Distribution::default();
        assert_eq!(all.quantile(0.5), None);
        all.gather(&histogram);
        for (share, true_value) in [(0.5, 0.005), (0.95, 0.0095), (0.99, 0.0099)] {
            let told = all.quantile(share).unwrap();
            assert!((told / true_value - 1.0).abs() < 0.1, "{share}: {told}");
        }
    }

    #[test]
    fn rows_fall_into_powers_of_two() {
        let histogram = Histogram::<ROWS>::default();
        for rows in [0, 1, 2, 3, 4, 1024, 1025, u64::MAX >> 8] {
            histogram.rows(rows);
        }
        let mut all = Distribution::default();
        all.gather(&histogram);
        assert_eq!(all.buckets, [2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(row_bounds().last(), Some(1024.0));
    }

    #[test]
    fn what_threads_count_adds_up() {
        let counters = Sharded::<Counter>::default();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| (0..1000).for_each(|_| counters.mine().add(1)));
            }
        });
        assert_eq!(counters.sum(|counter| counter), 16_000);
    }
}
