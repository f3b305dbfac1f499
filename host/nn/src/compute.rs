//! The threads that models run on, so that no async worker ever does.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::batch::{self, Call, Decision, Merge, Queue};
use crate::context::Caller;
use crate::error::{Error, Result};
use crate::load::Counters;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads behind one bounded queue, shared by every model of
/// the process. Threads start when there is work for them. Models are served in
/// turn, and the callers of each model in turn. Dropping it lets queued work
/// finish and joins the threads.
pub struct Compute {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    most_threads: usize,
}

/// A model's place among those that share the threads. Dropping it gives the
/// place up.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    id: u64,
}

/// A queued call, by which it can be withdrawn.
pub(crate) struct Ticket {
    lane: u64,
    caller: Caller,
    number: u64,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    capacity: usize,
    /// What `State` says, for those who only look.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    lanes: HashMap<u64, LaneState>,
    /// Lanes that may have something to run, the next one in front.
    turn: VecDeque<u64>,
    next_lane: u64,
    waiting: usize,
    idle: usize,
    closed: bool,
}

struct LaneState {
    queue: Queue<Work>,
    counters: Arc<Counters>,
    running: usize,
    sessions: usize,
    in_turn: bool,
}

enum Work {
    Job(Job),
    Call(Call),
}

/// The lane of jobs that belong to no model.
const JOBS: u64 = 0;

impl Compute {
    /// At most `threads` threads, and at most `capacity` calls that wait for
    /// one. A model may have three quarters of these wait, and a caller three
    /// quarters of the model's: a flood leaves room for others.
    pub fn new(threads: usize, capacity: usize) -> Self {
        let state = State { next_lane: JOBS + 1, ..State::default() };
        let shared =
            Shared { state: Mutex::new(state), work: Condvar::new(), capacity, waiting: AtomicUsize::new(0) };
        shared.lock().lanes.insert(JOBS, LaneState::new(usize::MAX, Arc::default()));
        Self { shared: Arc::new(shared), threads: Mutex::default(), most_threads: threads.max(1) }
    }

    pub fn threads(&self) -> usize {
        self.most_threads
    }

    /// Calls that wait for a thread now.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Queues a job. An idle thread takes it at once.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the queue is full.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        let capacity = self.shared.capacity;
        self.push(JOBS, Caller::default(), None, Instant::now(), capacity, Work::Job(Box::new(job)))?;
        Ok(())
    }

    /// A place for a model that runs at most `sessions` times at once.
    pub(crate) fn open_lane(&self, sessions: usize, counters: Arc<Counters>) -> Lane {
        let mut state = self.shared.lock();
        let id = state.next_lane;
        state.next_lane += 1;
        state.lanes.insert(id, LaneState::new(sessions.max(1), counters));
        Lane { shared: Arc::clone(&self.shared), id }
    }

    /// Queues a call of the lane's model.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the queue of the process, the model or the
    /// caller is full.
    pub(crate) fn submit_call(
        &self,
        lane: &Lane,
        merge: Option<Merge>,
        due: Instant,
        call: Call,
    ) -> Result<Ticket> {
        let caller = call.context.caller;
        let most = most_of(self.shared.capacity);
        let number = self.push(lane.id, caller, merge, due, most, Work::Call(call))?;
        Ok(Ticket { lane: lane.id, caller, number })
    }

    fn push(
        &self,
        lane: u64,
        caller: Caller,
        merge: Option<Merge>,
        due: Instant,
        most: usize,
        work: Work,
    ) -> Result<u64> {
        let (number, in_turn, needs_thread) = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let most_of_caller = if lane == JOBS { most } else { most_of(most) };
            let Some(entry) = state.lanes.get_mut(&lane).filter(|_| !state.closed) else {
                return Err(Error::ShutDown);
            };
            let of_caller = entry.queue.of(caller);
            let full = [
                (state.waiting, self.shared.capacity),
                (entry.queue.len(), most),
                (of_caller, most_of_caller),
            ];
            if let Some(&(waiting, _)) = full.iter().find(|(waiting, most)| waiting >= most) {
                return Err(Error::Overloaded { waiting });
            }
            let number = entry.queue.push(caller, merge, due, work);
            entry.counters.waiting.store(entry.queue.len(), Ordering::Relaxed);
            entry.offer(lane, &mut state.turn);
            let in_turn = entry.in_turn;
            self.shared.count(state, 1, 0);
            (number, in_turn, state.waiting > state.idle)
        };
        if needs_thread {
            self.add_thread();
        }
        // The end of a run brings it in turn otherwise.
        if in_turn {
            self.shared.work.notify_one();
        }
        Ok(number)
    }

    fn add_thread(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() >= self.most_threads {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let name = format!("samara-compute-{}", threads.len());
        // A refused thread is no harm while another one lives; without any, the
        // work would wait forever, so it runs right here.
        match std::thread::Builder::new().name(name).spawn(move || shared.serve()) {
            Ok(thread) => threads.push(thread),
            Err(_) if threads.is_empty() => {
                drop(threads);
                let next = self.shared.next_now();
                if let Next::Run(lane, work) = next {
                    run(work);
                    self.shared.lock().end(lane);
                }
            }
            Err(_) => {}
        }
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        let threads = std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last handle may be dropped by a job: a thread cannot join itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Lane {
    /// Takes a call out of the queue that nobody waits for any more.
    pub(crate) fn withdraw(&self, ticket: &Ticket) {
        let withdrawn = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let Some(lane) = state.lanes.get_mut(&ticket.lane) else {
                return;
            };
            let withdrawn = lane.queue.withdraw(ticket.caller, ticket.number);
            lane.counters.waiting.store(lane.queue.len(), Ordering::Relaxed);
            self.shared.count(state, 0, usize::from(withdrawn.is_some()));
            withdrawn
        };
        // What goes with it may be the model, which takes the lock to leave.
        drop(withdrawn);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let lane = self.shared.lock().lanes.remove(&self.id);
        drop(lane);
    }
}

impl LaneState {
    fn new(sessions: usize, counters: Arc<Counters>) -> Self {
        Self { queue: Queue::default(), counters, running: 0, sessions, in_turn: false }
    }

    /// Gets in turn, where there is something that could run.
    fn offer(&mut self, id: u64, turn: &mut VecDeque<u64>) {
        if !self.in_turn && !self.queue.is_empty() && self.running < self.sessions {
            self.in_turn = true;
            turn.push_back(id);
        }
    }
}

/// What a thread does next.
enum Next {
    /// Work of one lane that runs together.
    Run(u64, Vec<Work>),
    /// Nothing before this moment.
    WaitUntil(Instant),
    Wait,
}

impl State {
    /// Finds the next lane in turn that has something to run.
    fn next(&mut self, now: Instant) -> Next {
        let mut earliest: Option<Instant> = None;
        for _ in 0..self.turn.len() {
            let Some(id) = self.turn.pop_front() else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(&id) else {
                continue;
            };
            lane.in_turn = false;
            match batch::decide(&lane.queue, now, lane.running, lane.sessions) {
                Decision::Take(places) => {
                    let work = lane.queue.take(&places);
                    lane.running += 1;
                    lane.counters.waiting.store(lane.queue.len(), Ordering::Relaxed);
                    lane.counters.running.store(lane.running, Ordering::Relaxed);
                    lane.offer(id, &mut self.turn);
                    self.waiting -= work.len();
                    return Next::Run(id, work);
                }
                Decision::WaitUntil(due) => {
                    earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
                    lane.offer(id, &mut self.turn);
                }
                // The end of a run or the next call brings it back.
                Decision::Busy | Decision::Empty => {}
            }
        }
        earliest.map_or(Next::Wait, Next::WaitUntil)
    }

    /// A run of a lane ended.
    fn end(&mut self, id: u64) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.running -= 1;
            lane.counters.running.store(lane.running, Ordering::Relaxed);
            lane.offer(id, &mut self.turn);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the number of those who wait, here and for those who only look.
    fn count(&self, state: &mut State, more: usize, fewer: usize) {
        state.waiting = state.waiting + more - fewer;
        self.waiting.store(state.waiting, Ordering::Relaxed);
    }

    fn next_now(&self) -> Next {
        let mut state = self.lock();
        let next = state.next(Instant::now());
        self.count(&mut state, 0, 0);
        next
    }

    fn serve(&self) {
        let mut ended = None;
        while let Some((lane, work)) = self.wait_for_work(ended) {
            // Work catches its own panics; one that escapes must not cost the thread.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(work)));
            ended = Some(lane);
        }
    }

    /// The next work of this thread, whose last run was of the lane `ended`.
    fn wait_for_work(&self, ended: Option<u64>) -> Option<(u64, Vec<Work>)> {
        let mut state = self.lock();
        if let Some(lane) = ended {
            state.end(lane);
        }
        loop {
            let now = Instant::now();
            match state.next(now) {
                Next::Run(lane, work) => {
                    self.count(&mut state, 0, 0);
                    // Somebody must watch over what is left.
                    if !state.turn.is_empty() && state.idle > 0 {
                        self.work.notify_one();
                    }
                    return Some((lane, work));
                }
                Next::Wait if state.closed && state.waiting == 0 => {
                    self.work.notify_all();
                    return None;
                }
                Next::Wait => {
                    state.idle += 1;
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
                Next::WaitUntil(due) => {
                    state.idle += 1;
                    let patience = due.saturating_duration_since(now);
                    state = self.work.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0;
                    state.idle -= 1;
                }
            }
        }
    }
}

/// Runs what was taken together: calls of one model, or one job.
fn run(work: Vec<Work>) {
    let mut calls = Vec::with_capacity(work.len());
    for work in work {
        match work {
            Work::Job(job) => job(),
            Work::Call(call) => calls.push(call),
        }
    }
    batch::run(calls);
}

/// The part of a queue that one of its users may fill.
fn most_of(capacity: usize) -> usize {
    capacity - capacity / 4
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_side_by_side_up_to_the_number_of_threads() {
        let compute = Compute::new(2, 8);
        let (meet_a, meet_b) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let (done, finished) = mpsc::channel();
        let (send_a, receive_b) = (meet_a.0, meet_b.1);
        let (send_b, receive_a) = (meet_b.0, meet_a.1);
        let done_too = done.clone();
        // Each job waits for the other: only two threads can finish them.
        compute
            .submit(move || {
                send_a.send(()).unwrap();
                receive_b.recv().unwrap();
                done.send(()).unwrap();
            })
            .unwrap();
        compute
            .submit(move || {
                send_b.send(()).unwrap();
                receive_a.recv().unwrap();
                done_too.send(()).unwrap();
            })
            .unwrap();
        finished.recv().unwrap();
        finished.recv().unwrap();
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let compute = Compute::new(1, 1);
        let (started, running) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        compute
            .submit(move || {
                started.send(()).unwrap();
                gate.recv().unwrap();
            })
            .unwrap();
        running.recv().unwrap();
        compute.submit(|| {}).unwrap();
        let error = compute.submit(|| {}).unwrap_err();
        assert!(matches!(error, Error::Overloaded { waiting: 1 }), "{error}");
        release.send(()).unwrap();
    }

    #[test]
    fn a_panicking_job_costs_no_thread() {
        let compute = Compute::new(1, 8);
        compute.submit(|| panic!("on purpose")).unwrap();
        let (done, finished) = mpsc::channel();
        compute.submit(move || done.send(()).unwrap()).unwrap();
        finished.recv().unwrap();
    }
}
