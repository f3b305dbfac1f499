//! The time that a guest has while it serves a request: a deadline until the
//! head of the response, then a limit on standing still.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::call::Call;

/// Says when a guest's time is up.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Nanoseconds after `started`.
    until: AtomicU64,
    is_streaming: AtomicBool,
    stillness: Duration,
}

impl Clock {
    /// Stands at the call's deadline; `stillness` is the limit afterwards.
    pub(crate) fn new(call: &Call, stillness: Duration) -> Self {
        Self {
            started: call.started,
            until: AtomicU64::new(nanoseconds(call.deadline.given)),
            is_streaming: AtomicBool::new(false),
            stillness,
        }
    }

    pub(crate) fn until(&self) -> Instant {
        self.started + Duration::from_nanos(self.until.load(Ordering::Relaxed))
    }

    pub(crate) fn stillness(&self) -> Duration {
        self.stillness
    }

    /// The head is there: from now on, what moves counts.
    pub(crate) fn begin_streaming(&self) {
        self.is_streaming.store(true, Ordering::Relaxed);
        self.moved();
    }

    pub(crate) fn is_streaming(&self) -> bool {
        self.is_streaming.load(Ordering::Relaxed)
    }

    /// A piece of a body moved.
    pub(super) fn moved(&self) {
        if self.is_streaming() {
            let until = nanoseconds(self.started.elapsed().saturating_add(self.stillness));
            self.until.store(until, Ordering::Relaxed);
        }
    }

    /// Awaits `work` until its time is up; `None` when that came first.
    pub(super) async fn limit<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        loop {
            let until = self.until();
            if let Ok(done) = tokio::time::timeout_at(until.into(), &mut work).await {
                return Some(done);
            }
            if self.until() <= until {
                return None;
            }
        }
    }
}

/// As many as there are, and less than an `Instant` can be moved by.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(given: u64, stillness: u64) -> Clock {
        Clock::new(&Call::within(Duration::from_secs(given)), Duration::from_secs(stillness))
    }

    #[test]
    fn only_what_moves_after_the_head_gives_more_time() {
        let clock = clock(10, 60);
        let deadline = clock.until();
        clock.moved();
        assert_eq!(clock.until(), deadline);
        clock.begin_streaming();
        assert!(clock.until() >= deadline + Duration::from_secs(50));
    }

    #[test]
    fn a_limit_without_end_is_no_overflow() {
        let clock = Clock::new(&Call::within(Duration::from_secs(1)), Duration::MAX);
        clock.begin_streaming();
        assert!(clock.until() > Instant::now() + Duration::from_secs(100 * 365 * 24 * 3600));
    }
}
