//! Asking again, a bounded number of times.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::{Again, Failure};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A registry that wants a longer pause is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How to wait. Tests wait otherwise.
#[derive(Clone)]
pub struct Pause(Arc<dyn Fn(Duration) + Send + Sync>);

impl Pause {
    pub fn new(pause: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(pause))
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self::new(std::thread::sleep)
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pause")
    }
}

/// How often to ask for one thing.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// The first time among them.
    pub(super) attempts: u32,
    pub(super) pause: Pause,
}

/// The tries of one operation.
pub(super) struct Tries<'a> {
    patience: &'a Patience,
    failed: u32,
}

impl Patience {
    pub(super) fn tries(&self) -> Tries<'_> {
        Tries { patience: self, failed: 0 }
    }

    /// Does `operation` until it succeeds or it makes no sense to do it again.
    pub(super) fn persist<T>(&self, mut operation: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut tries = self.tries();
        loop {
            match operation() {
                Ok(value) => return Ok(value),
                Err(failure) => tries.wait_after(failure)?,
            }
        }
    }
}

impl Tries<'_> {
    /// Waits before the next try.
    ///
    /// # Errors
    /// The failure, when there is to be none.
    pub(super) fn wait_after(&mut self, failure: Failure) -> Result<(), Failure> {
        let pause = match failure.again {
            Again::Never => return Err(failure),
            Again::Soon => (FIRST_PAUSE * 2u32.saturating_pow(self.failed.min(16))).min(LONGEST_PAUSE),
            Again::After(wait) if wait > LONGEST_WAIT => {
                let note = format!("; it is to be asked again in {} s", wait.as_secs());
                return Err(failure.noting(&note));
            }
            Again::After(wait) => wait,
        };
        self.failed += 1;
        if self.failed >= self.patience.attempts {
            let note =
                if self.failed > 1 { format!(" (after {} attempts)", self.failed) } else { String::new() };
            return Err(failure.noting(&note));
        }
        (self.patience.pause.0)(pause);
        Ok(())
    }

    /// Things got better: what failed before counts no more.
    pub(super) fn forget(&mut self) {
        self.failed = 0;
    }
}
