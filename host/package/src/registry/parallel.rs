//! The same for several things at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::{ErrorKind, Failure};

/// Says to a transfer whether it still makes sense.
pub(super) struct Stop(AtomicBool);

impl Stop {
    /// # Errors
    /// When another transfer failed.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(Failure::new(ErrorKind::Cancelled, "another transfer failed first")),
            false => Ok(()),
        }
    }
}

/// Does `operation` for each item, in their order, `threads` at a time.
///
/// # Errors
/// The first failure; the others are then told to stop.
pub(super) fn each<T: Sync>(
    threads: usize,
    items: &[T],
    operation: impl Fn(&T, &Stop) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let stop = Stop(AtomicBool::new(false));
    let next = Mutex::new(items.iter());
    let first_failure = Mutex::new(None);
    let work = || {
        loop {
            let Some(item) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { return };
            if let Err(failure) = stop.check().and_then(|()| operation(item, &stop)) {
                stop.0.store(true, Ordering::Relaxed);
                first_failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            // Where no thread can be had, those that are there do it all.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    match first_failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}
