//! When the requests of an open loop are due, and who lets them go.

use std::time::{Duration, Instant};

/// Requests at even distances: number `k` is due `k / rate` after the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// Requests per second.
    rate: f64,
    /// How many requests there are.
    pub total: u64,
}

/// What a pacer reads the time from.
pub(super) trait Clock {
    /// The time since the start.
    fn elapsed(&self) -> Duration;
    /// Returns when so much time has passed since the start.
    fn sleep_until(&self, elapsed: Duration);
}

/// The time since an instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since(pub Instant);

impl Schedule {
    /// As many requests as are due before `window` is over.
    pub(super) fn lasting(rate: f64, window: Duration) -> Self {
        let everything = Self { rate, total: u64::MAX };
        let last = window.saturating_sub(Duration::from_nanos(1));
        Self { rate, total: everything.due_by(last).max(1) }
    }

    pub(super) fn counting(rate: f64, total: u64) -> Self {
        Self { rate, total }
    }

    /// When a request is due, from the start.
    pub(super) fn time_of(&self, index: u64) -> Duration {
        Duration::try_from_secs_f64(index as f64 / self.rate).unwrap_or(Duration::MAX)
    }

    /// The time that the whole schedule takes.
    pub(super) fn window(&self) -> Duration {
        self.time_of(self.total)
    }

    /// How many requests are due once so much time has passed.
    pub(super) fn due_by(&self, elapsed: Duration) -> u64 {
        let mut due = ((elapsed.as_secs_f64() * self.rate) as u64).saturating_add(1).min(self.total);
        // The guess is rounded; `time_of` decides.
        while due > 0 && self.time_of(due - 1) > elapsed {
            due -= 1;
        }
        while due < self.total && self.time_of(due) <= elapsed {
            due += 1;
        }
        due
    }
}

/// Calls `release` with the number of requests that have become due, until all
/// are. What a sleep overslept is made up for at once.
pub(super) fn pace(schedule: &Schedule, clock: &impl Clock, mut release: impl FnMut(u64)) {
    let mut released = 0;
    while released < schedule.total {
        clock.sleep_until(schedule.time_of(released));
        let due = schedule.due_by(clock.elapsed());
        release(due.saturating_sub(released));
        released = due.max(released);
    }
}

impl Clock for Since {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep_until(&self, elapsed: Duration) {
        // A timer of the async runtime counts in whole milliseconds.
        std::thread::sleep(elapsed.saturating_sub(self.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// A clock that stands still but for sleeps, each of which takes longer
    /// than it was asked to.
    struct Sleepy {
        now: Cell<Duration>,
        oversleeps: Duration,
        asked: RefCell<Vec<Duration>>,
    }

    impl Clock for Sleepy {
        fn elapsed(&self) -> Duration {
            self.now.get()
        }

        fn sleep_until(&self, elapsed: Duration) {
            self.asked.borrow_mut().push(elapsed);
            self.now.set(self.now.get().max(elapsed + self.oversleeps));
        }
    }

    fn releases(schedule: Schedule, oversleeps: Duration) -> (Vec<u64>, Vec<Duration>) {
        let clock = Sleepy { now: Cell::default(), oversleeps, asked: RefCell::default() };
        let mut released = Vec::new();
        pace(&schedule, &clock, |count| released.push(count));
        (released, clock.asked.into_inner())
    }

    #[test]
    fn requests_are_due_at_even_distances() {
        let schedule = Schedule::lasting(100.0, ms(50));
        assert_eq!((schedule.total, schedule.window()), (5, ms(50)));
        assert_eq!(schedule.time_of(3), ms(30));
        let due: Vec<u64> = [0, 9, 10, 25, 40, 1000].map(|at| schedule.due_by(ms(at))).into();
        assert_eq!(due, [1, 1, 2, 3, 5, 5]);
        assert_eq!(Schedule::lasting(0.5, ms(10)).total, 1);
        assert_eq!(Schedule::lasting(100.0, ms(51)).total, 6);
    }

    #[test]
    fn due_and_time_agree_for_odd_rates() {
        for rate in [0.3, 7.0, 333.3, 99_999.7, 10_000_000.0] {
            let schedule = Schedule::counting(rate, 100_000);
            for index in (0..100_000).step_by(997) {
                assert_eq!(schedule.due_by(schedule.time_of(index)), index + 1, "{rate} {index}");
            }
        }
    }

    #[test]
    fn the_pacer_releases_each_request_when_it_is_due() {
        let (released, asked) = releases(Schedule::counting(100.0, 4), Duration::ZERO);
        assert_eq!(released, [1, 1, 1, 1]);
        assert_eq!(asked, [ms(0), ms(10), ms(20), ms(30)]);
    }

    #[test]
    fn what_was_overslept_is_made_up_for() {
        let (released, asked) = releases(Schedule::counting(1000.0, 10), ms(3));
        assert_eq!(released, [4, 4, 2]);
        assert_eq!(asked, [ms(0), ms(4), ms(8)]);
    }
}
