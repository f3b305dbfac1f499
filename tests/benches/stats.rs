//! Medians of interleaved runs.

use std::time::{Duration, Instant};

use anyhow::Result;

/// What two things took, measured in turn so that both see the same machine.
pub(crate) struct Pair {
    pub(crate) ours: Duration,
    pub(crate) theirs: Duration,
}

impl Pair {
    pub(crate) fn measure(
        rounds: usize,
        mut ours: impl FnMut() -> Result<()>,
        mut theirs: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let (mut a, mut b) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
        // The first round warms caches and is not counted.
        for round in 0..=rounds {
            let (one, other) = (time(&mut ours)?, time(&mut theirs)?);
            if round > 0 {
                a.push(one);
                b.push(other);
            }
        }
        Ok(Self { ours: median(a), theirs: median(b) })
    }

    /// How many times longer theirs took.
    pub(crate) fn times_faster(&self) -> f64 {
        self.theirs.as_secs_f64() / self.ours.as_secs_f64()
    }
}

pub(crate) fn time(work: &mut impl FnMut() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A duration as people read it.
pub(crate) fn show(time: Duration) -> String {
    match time.as_nanos() {
        0..10_000 => format!("{:.2} us", time.as_secs_f64() * 1e6),
        10_000..1_000_000 => format!("{:.0} us", time.as_secs_f64() * 1e6),
        _ => format!("{:.1} ms", time.as_secs_f64() * 1e3),
    }
}
