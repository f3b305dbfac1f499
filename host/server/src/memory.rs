//! The memory that a server may use, where something bounds it: what does not fit
//! is refused before the system ends the whole process.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long an answer of [`MemoryBound::used`] is taken for true.
const FRESH: Duration = Duration::from_millis(5);

/// The part of the limit that is kept free for the requests that run: a twentieth,
/// and at most so many bytes.
const LARGEST_RESERVE: u64 = 64 << 20;

/// A limit that something sets for the memory of this process.
pub struct MemoryBound {
    /// In bytes.
    pub limit: u64,
    /// Tells the bytes in use that the system cannot take back, if it can. Asked
    /// while requests come, at most 200 times a second.
    pub used: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

impl fmt::Debug for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBound").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Watches a bound.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    bound: MemoryBound,
    fresh: Duration,
    since: Instant,
    /// Of the last answer: when it grows old, in nanoseconds, and what it was.
    until: AtomicU64,
    used: AtomicU64,
}

impl MemoryWatch {
    pub(crate) fn new(bound: MemoryBound) -> Self {
        Self {
            bound,
            fresh: FRESH,
            since: Instant::now(),
            until: AtomicU64::default(),
            used: AtomicU64::default(),
        }
    }

    /// In bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.bound.limit
    }

    /// Bytes that are in use now.
    pub(crate) fn used(&self) -> Option<u64> {
        (self.bound.used)()
    }

    /// Refuses one request more where memory is short. `others` run already: a
    /// request that is alone is let through, or nothing would ever be answered.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn check(&self, others: usize) -> Result<()> {
        let (used, limit) = (self.recent(), self.bound.limit);
        let reserve = (limit / 20).min(LARGEST_RESERVE);
        match others > 0 && used.saturating_add(reserve) > limit {
            true => Err(Error::OutOfMemory { used, limit }),
            false => Ok(()),
        }
    }

    fn recent(&self) -> u64 {
        let now = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if now < self.until.load(Ordering::Relaxed) {
            return self.used.load(Ordering::Relaxed);
        }
        let used = self.used().unwrap_or_default();
        self.used.store(used, Ordering::Relaxed);
        let fresh = u64::try_from(self.fresh.as_nanos()).unwrap_or(u64::MAX);
        self.until.store(now.saturating_add(fresh), Ordering::Relaxed);
        used
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn what_does_not_fit_beside_others_is_refused() {
        let used = Arc::new(AtomicU64::new(900));
        let seen = Arc::clone(&used);
        let bound = MemoryBound { limit: 1000, used: Box::new(move || Some(seen.load(Ordering::Relaxed))) };
        let watch = MemoryWatch { fresh: Duration::ZERO, ..MemoryWatch::new(bound) };
        watch.check(3).unwrap();
        used.store(951, Ordering::Relaxed);
        let error = watch.check(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.to_string().starts_with("out of memory: "), "{error}");
        watch.check(0).unwrap();
        used.store(100, Ordering::Relaxed);
        watch.check(3).unwrap();
    }

    #[test]
    fn nobody_is_refused_where_nothing_is_known() {
        let watch = MemoryWatch::new(MemoryBound { limit: 1000, used: Box::new(|| None) });
        watch.check(100).unwrap();
    }
}
