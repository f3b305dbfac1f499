//! Whether merged runs of a model are believed to give what single ones do.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Merged runs of a model that nobody proved to keep rows apart that must agree
/// with single ones before they are believed.
const CHECKS: usize = 3;

/// Merged runs in a row that fail where every call alone succeeds, after which
/// merging ends.
const MOST_FAILURES: usize = 3;

/// What is known of one model.
#[derive(Debug)]
pub(crate) struct Trust {
    checks_left: AtomicUsize,
    failures: AtomicUsize,
    lost: AtomicBool,
}

impl Trust {
    /// Of a model that is proven to keep rows apart, or of one that somebody
    /// says so of.
    pub(crate) fn new(proven: bool) -> Self {
        let checks = if proven { 0 } else { CHECKS };
        Self { checks_left: checks.into(), failures: 0.into(), lost: false.into() }
    }

    /// Whether calls may be merged at all.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether a merged run must be compared with single ones.
    pub(crate) fn wants_check(&self) -> bool {
        self.checks_left.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn passed(&self) {
        let fewer = |left: usize| left.checked_sub(1);
        let _ = self.checks_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
    }

    /// Merged and single runs differ: calls are never merged again.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    pub(crate) fn merged(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// A merged run failed, and none of its calls alone did.
    pub(crate) fn failed_merged_only(&self) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_FAILURES {
            self.lose();
        }
    }
}
