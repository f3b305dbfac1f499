//! Admission: how many requests run, how many may wait, and that the rest is
//! told so at once.
//!
//! A request passes two limits, its function's own and that of the whole
//! server, in this order: whoever waits for a busy function holds nothing that
//! others need. Of each function only the first in line waits for room in the
//! server, so that functions take turns there, however many requests one of
//! them has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{AcquireError, Semaphore};

use super::room::{Place, Room};
use crate::error::{Error, Result};

/// Lets a fixed number of one function's requests run and a fixed number wait
/// for their turn, in order.
#[derive(Debug)]
pub(crate) struct Gate {
    /// What is full, in messages.
    what: String,
    own: Arc<Room>,
    /// Shared by all functions of a server.
    server: Arc<Room>,
    /// Held by the first in line, while others wait for it in order.
    head: Semaphore,
    queue: AtomicUsize,
    waiting: AtomicUsize,
    /// Of those that wait, the one that has a place of its function's own and
    /// none of the server's yet.
    between: AtomicUsize,
}

/// One request's right to run.
#[derive(Debug)]
pub(crate) struct Permit {
    _own: Place,
    _server: Place,
}

/// How many of one function's requests may run, within what the server has
/// room for, and how many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) running: usize,
    pub(crate) queue: usize,
}

impl Gate {
    /// Lets in so many.
    pub(crate) fn new(what: String, admission: Admission, server: &Arc<Room>) -> Self {
        Self {
            what,
            own: Room::new(admission.running),
            server: Arc::clone(server),
            head: Semaphore::new(1),
            queue: AtomicUsize::new(admission.queue),
            waiting: AtomicUsize::default(),
            between: AtomicUsize::default(),
        }
    }

    /// Lets in so many from now on. Those who are in, or in line, stay.
    pub(crate) fn admit(&self, admission: Admission) {
        self.own.resize(admission.running);
        self.queue.store(admission.queue, Ordering::Relaxed);
    }

    /// Requests that may run at a time.
    pub(crate) fn limit(&self) -> usize {
        self.own.size().min(self.server.size())
    }

    /// Requests that run now.
    pub(crate) fn running(&self) -> usize {
        self.own.taken().saturating_sub(self.between.load(Ordering::Relaxed))
    }

    /// Requests that wait for their turn now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Refuses what cannot even wait, so that nothing is spent on it.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(crate) fn check(&self) -> Result<()> {
        let is_full = (self.own.is_full() || self.server.is_full()) && self.waiting() >= self.queue();
        if is_full { Err(self.busy(self.waiting())) } else { Ok(()) }
    }

    /// Waits for a turn, no longer than until `deadline`.
    ///
    /// # Errors
    /// [`Error::Busy`] at once when too many wait already; [`Error::Timeout`]
    /// when the turn did not come in time.
    pub(crate) async fn enter(&self, called: Instant, deadline: Option<Instant>) -> Result<Permit> {
        if let Some(own) = self.own.try_take()
            && let Some(server) = self.server.try_take()
        {
            return Ok(Permit { _own: own, _server: server });
        }
        let _waiting = self.wait()?;
        let permit = match deadline {
            None => self.turn().await,
            Some(at) => tokio::time::timeout_at(at.into(), self.turn())
                .await
                .map_err(|_| Error::Timeout { given: at.saturating_duration_since(called) })?,
        };
        permit.map_err(|_| Error::Draining)
    }

    async fn turn(&self) -> Result<Permit, AcquireError> {
        let _first = self.head.acquire().await?;
        let own = self.own.take().await?;
        let (_between, _) = Counted::new(&self.between);
        Ok(Permit { _own: own, _server: self.server.take().await? })
    }

    fn wait(&self) -> Result<Counted<'_>> {
        let (place, waiting) = Counted::new(&self.waiting);
        if waiting < self.queue() { Ok(place) } else { Err(self.busy(waiting)) }
    }

    fn queue(&self) -> usize {
        self.queue.load(Ordering::Relaxed)
    }

    fn busy(&self, waiting: usize) -> Error {
        // The function's own limit is the one that its user can do more about.
        let (what, room) = match self.own.is_full() {
            true => (self.what.clone(), &self.own),
            false => ("the server".to_owned(), &self.server),
        };
        Error::Busy { what, running: room.taken(), waiting }
    }
}

/// One of those who are counted, until it is dropped.
struct Counted<'c>(&'c AtomicUsize);

impl<'c> Counted<'c> {
    /// Also gives how many there were before.
    fn new(count: &'c AtomicUsize) -> (Self, usize) {
        let before = count.fetch_add(1, Ordering::Relaxed);
        (Self(count), before)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;
    use crate::error::ErrorKind;

    fn gate(name: &str, running: usize, queue: usize, server: &Arc<Room>) -> Arc<Gate> {
        Arc::new(Gate::new(name.to_owned(), Admission { running, queue }, server))
    }

    /// A request that enters, once it has a place in the queue.
    async fn queued(gate: &Arc<Gate>) -> JoinHandle<Permit> {
        let (before, own) = (gate.waiting(), Arc::clone(gate));
        let entering = tokio::spawn(async move { own.enter(Instant::now(), None).await.unwrap() });
        while gate.waiting() == before {
            tokio::task::yield_now().await;
        }
        entering
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_at_once_and_places_come_back() {
        let gate = gate("f", 1, 1, &Room::new(9));
        let now = Instant::now();
        let running = gate.enter(now, None).await.unwrap();
        gate.check().unwrap();
        let queued = queued(&gate).await;
        for refused in [gate.enter(now, None).await.unwrap_err(), gate.check().unwrap_err()] {
            assert_eq!(refused.kind(), ErrorKind::Overloaded);
            assert_eq!(refused.to_string(), "f is full: 1 requests run and 1 wait; try again later");
        }
        drop(running);
        drop(queued.await.unwrap());
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
        drop(gate.enter(now, None).await.unwrap());
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_in_time_is_a_timeout() {
        let gate = gate("f", 1, 1, &Room::new(9));
        let now = Instant::now();
        let _running = gate.enter(now, None).await.unwrap();
        let late = gate.enter(now, Some(now)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn those_who_wait_for_their_own_function_take_no_room_of_the_server() {
        let server = Room::new(2);
        let (busy, other) = (gate("busy", 1, 8, &server), gate("other", 8, 0, &server));
        let running = busy.enter(Instant::now(), None).await.unwrap();
        let queued = queued(&busy).await;
        drop(other.enter(Instant::now(), None).await.unwrap());
        drop(running);
        queued.await.unwrap();
    }

    #[tokio::test]
    async fn functions_take_turns_when_the_server_is_full() {
        let server = Room::new(1);
        let (flood, other) = (gate("flood", 8, 8, &server), gate("other", 8, 8, &server));
        let running = flood.enter(Instant::now(), None).await.unwrap();
        let first = queued(&flood).await;
        let second = queued(&flood).await;
        let mut fair = queued(&other).await;
        let refused = gate("third", 8, 0, &server).enter(Instant::now(), None).await.unwrap_err();
        assert_eq!(refused.to_string(), "the server is full: 1 requests run and 0 wait; try again later");
        drop(running);
        let first = first.await.unwrap();
        assert!(!fair.is_finished());
        drop(first);
        // Before the second of those who came earlier.
        let fair = (&mut fair).await.unwrap();
        assert!(!second.is_finished());
        drop(fair);
        drop(second.await.unwrap());
        assert_eq!((server.taken(), flood.running(), other.running()), (0, 0, 0));
    }

    #[tokio::test]
    async fn new_limits_hold_for_those_who_come_and_let_those_stay_who_are_there() {
        let gate = gate("f", 1, 1, &Room::new(9));
        let now = Instant::now();
        let running = gate.enter(now, None).await.unwrap();
        let line = queued(&gate).await;
        gate.admit(Admission { running: 1, queue: 0 });
        assert!(gate.check().is_err());
        assert!(!line.is_finished());
        gate.admit(Admission { running: 2, queue: 0 });
        let second = line.await.unwrap();
        assert_eq!((gate.limit(), gate.running()), (2, 2));
        gate.admit(Admission { running: 1, queue: 0 });
        assert_eq!(gate.running(), 2);
        drop(running);
        assert!(gate.enter(now, None).await.is_err());
        drop(second);
        drop(gate.enter(now, None).await.unwrap());
    }

    #[tokio::test]
    async fn one_who_gives_up_in_line_leaves_nothing_taken() {
        let server = Room::new(1);
        let gate = gate("f", 8, 8, &server);
        let running = gate.enter(Instant::now(), None).await.unwrap();
        let given_up = queued(&gate).await;
        let behind = queued(&gate).await;
        given_up.abort();
        assert!(given_up.await.is_err());
        drop(running);
        drop(behind.await.unwrap());
        assert_eq!((server.taken(), gate.running(), gate.waiting()), (0, 0, 0));
    }
}
