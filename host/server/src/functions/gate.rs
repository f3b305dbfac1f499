//! Admission: how many requests run, how many may wait, and that the rest is
//! told so at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// Lets a fixed number of requests run and a fixed number wait for their turn,
/// in order.
#[derive(Debug)]
pub(crate) struct Gate {
    /// What is full, in messages.
    what: String,
    turns: Arc<Semaphore>,
    running: usize,
    queue: usize,
    waiting: AtomicUsize,
}

/// One request's right to run.
#[derive(Debug)]
pub(crate) struct Permit {
    _turn: OwnedSemaphorePermit,
}

impl Gate {
    /// Room for `running` requests and for `queue` that wait.
    pub(crate) fn new(what: String, running: usize, queue: usize) -> Self {
        let running = running.clamp(1, Semaphore::MAX_PERMITS);
        Self { what, turns: Arc::new(Semaphore::new(running)), running, queue, waiting: AtomicUsize::new(0) }
    }

    /// Requests that may run at a time.
    pub(crate) fn limit(&self) -> usize {
        self.running
    }

    /// Requests that run now.
    pub(crate) fn running(&self) -> usize {
        self.running - self.turns.available_permits().min(self.running)
    }

    /// Requests that wait for their turn now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for a turn, no longer than until `deadline`.
    ///
    /// # Errors
    /// [`Error::Busy`] at once when too many wait already; [`Error::Timeout`]
    /// when the turn did not come in time.
    pub(crate) async fn enter(&self, called: Instant, deadline: Option<Instant>) -> Result<Permit> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(Permit { _turn: turn });
        }
        let _waiting = self.wait()?;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = match deadline {
            None => turn.await,
            Some(at) => tokio::time::timeout_at(at.into(), turn)
                .await
                .map_err(|_| Error::Timeout { given: at.saturating_duration_since(called) })?,
        };
        turn.map(|turn| Permit { _turn: turn }).map_err(|_| Error::Draining)
    }

    fn wait(&self) -> Result<Waiting<'_>> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Waiting(&self.waiting);
        match waiting < self.queue {
            true => Ok(place),
            false => Err(Error::Busy { what: self.what.clone(), running: self.running(), waiting }),
        }
    }
}

/// A place in the queue, given up when dropped.
struct Waiting<'g>(&'g AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[tokio::test]
    async fn what_does_not_fit_is_refused_at_once_and_places_come_back() {
        let gate = Arc::new(Gate::new("f".to_owned(), 1, 1));
        let now = Instant::now();
        let running = gate.enter(now, None).await.unwrap();
        let queued = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(now, None).await.map(drop) }
        });
        while gate.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let refused = gate.enter(now, None).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        assert_eq!(refused.to_string(), "f is full: 1 requests run and 1 wait; try again later");
        drop(running);
        queued.await.unwrap().unwrap();
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
        drop(gate.enter(now, None).await.unwrap());
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_in_time_is_a_timeout() {
        let gate = Gate::new("f".to_owned(), 1, 1);
        let now = Instant::now();
        let _running = gate.enter(now, None).await.unwrap();
        let late = gate.enter(now, Some(now)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
        assert_eq!(gate.waiting(), 0);
    }
}
