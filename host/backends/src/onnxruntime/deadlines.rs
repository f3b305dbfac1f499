//! Ends runs at their deadlines, from one thread of the process: a run may hold
//! the thread whose timer would do it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ort::session::RunOptions;

/// A run that is ended at its deadline, unless this is dropped before.
pub(super) struct Watch {
    run: u64,
}

impl Watch {
    /// # Errors
    /// When there is no thread for it.
    pub(super) fn until(deadline: Instant, options: Arc<RunOptions>) -> std::io::Result<Self> {
        let mut watched = watched();
        if !watched.has_thread {
            std::thread::Builder::new().name("samara-deadlines".to_owned()).spawn(end_runs)?;
            watched.has_thread = true;
        }
        let run = watched.next;
        watched.next += 1;
        watched.runs.insert(run, (deadline, options));
        if watched.wakes_at.is_none_or(|wakes_at| deadline < wakes_at) {
            EARLIER.notify_one();
        }
        Ok(Self { run })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread is left to sleep: most runs end long before their deadline.
        watched().runs.remove(&self.run);
    }
}

struct Watched {
    /// By numbers that are given once.
    runs: BTreeMap<u64, (Instant, Arc<RunOptions>)>,
    next: u64,
    has_thread: bool,
    /// `None` while the thread sleeps without an end.
    wakes_at: Option<Instant>,
}

static WATCHED: Mutex<Watched> =
    Mutex::new(Watched { runs: BTreeMap::new(), next: 0, has_thread: false, wakes_at: None });

/// Told when there is a deadline before the one for which the thread will wake.
static EARLIER: Condvar = Condvar::new();

fn watched() -> MutexGuard<'static, Watched> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end_runs() {
    let mut guard = watched();
    loop {
        let now = Instant::now();
        guard.runs.retain(|_, (deadline, options)| {
            if *deadline > now {
                return true;
            }
            // A flag that cannot be set leaves the run to end by itself.
            let _ = options.terminate();
            false
        });
        guard.wakes_at = guard.runs.values().map(|(deadline, _)| *deadline).min();
        guard = match guard.wakes_at {
            None => EARLIER.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(wakes_at) => {
                let left = wakes_at.saturating_duration_since(now);
                EARLIER.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}
