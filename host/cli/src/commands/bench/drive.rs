//! The load: connections that call in a closed or an open loop, and the step
//! that puts them on threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::runtime::Runtime;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use super::schedule::{Clock, Schedule, Since, pace};
use super::tally::{Answer, Tally};

/// A request that starts so much after it was due is late.
const LATE: Duration = Duration::from_millis(1);
/// How long after the end of an open loop the requests that are due but still
/// wait for a connection are sent.
const GRACE: Duration = Duration::from_millis(100);
/// Connections share this many tallies, so that memory is bounded.
const MOST_TALLIES: usize = 64;

/// One way to a function, which carries one request at a time.
pub(super) trait Caller: Send + 'static {
    /// Gets ready to call, e.g. connects; what fails here fails again in
    /// `call`, and is told there.
    fn prepare(&mut self) -> impl Future<Output = ()> + Send;

    /// Sends the request and waits for its answer. It never takes forever.
    fn call(&mut self) -> impl Future<Output = Answer> + Send;
}

/// What one step does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub connections: usize,
    /// Requests per second; `None` for a closed loop.
    pub rate: Option<f64>,
    pub warm_up: Duration,
    pub extent: Extent,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Extent {
    For(Duration),
    Requests(u64),
}

/// What runs the connections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Workers<'r> {
    /// Threads with a runtime and a share of the connections each.
    Threads(usize),
    Runtime(&'r Runtime),
}

/// Runs one step over as many callers as it has connections.
///
/// # Errors
/// When the threads cannot be had.
pub(super) fn run<C: Caller>(callers: Vec<C>, step: &Step, workers: Workers<'_>) -> Result<Tally> {
    let mut pacers = Vec::new();
    let mut phases = Vec::new();
    if !step.warm_up.is_zero() {
        phases.push(Phase::new(step, Extent::For(step.warm_up), &mut pacers)?);
    }
    phases.push(Phase::new(step, step.extent, &mut pacers)?);
    let plan = Arc::new(Plan { phases, together: Barrier::new(callers.len()) });
    match workers {
        Workers::Runtime(runtime) => runtime.block_on(all(callers.into_iter().enumerate(), &plan))?,
        Workers::Threads(count) => on_threads(callers, &plan, count)?,
    }
    let plan = Arc::into_inner(plan).ok_or_else(|| anyhow!("a connection outlived its step"))?;
    let measured = plan.phases.into_iter().next_back().ok_or_else(|| anyhow!("the step has no phase"))?;
    for pacer in pacers {
        pacer.join().map_err(|_| anyhow!("the thread that paces requests failed"))?;
    }
    measured.into_tally()
}

struct Plan {
    /// The warm-up, if there is one, and the measurement.
    phases: Vec<Phase>,
    /// Where all connections wait for each other before a phase.
    together: Barrier,
}

/// A stretch of load.
struct Phase {
    started: OnceLock<Instant>,
    extent: Extent,
    /// Requests of a closed loop that were begun.
    begun: AtomicU64,
    open: Option<Open>,
    tallies: Vec<Mutex<Tally>>,
}

/// What an open loop has beside.
struct Open {
    schedule: Schedule,
    gate: Arc<Gate>,
    /// Starts the pacer.
    start: mpsc::Sender<Instant>,
}

/// Where connections wait for requests to become due.
struct Gate {
    due: Semaphore,
    taken: AtomicU64,
    total: u64,
    /// The time is over: what still waits is not sent.
    is_cut: AtomicBool,
}

impl Phase {
    fn new(step: &Step, extent: Extent, pacers: &mut Vec<JoinHandle<()>>) -> Result<Self> {
        let tallies = step.connections.clamp(1, MOST_TALLIES);
        let open = match step.rate {
            Some(rate) => {
                let (open, pacer) = Open::new(rate, extent, step.connections)?;
                pacers.push(pacer);
                Some(open)
            }
            None => None,
        };
        Ok(Self {
            started: OnceLock::new(),
            extent,
            begun: AtomicU64::new(0),
            open,
            tallies: (0..tallies).map(|_| Ok(Mutex::new(Tally::new()?))).collect::<Result<_>>()?,
        })
    }

    /// The instant of the start, the same for all connections.
    fn start(&self) -> Instant {
        *self.started.get_or_init(|| {
            let now = Instant::now();
            if let Some(open) = &self.open {
                // The pacer waits for nothing else.
                let _ = open.start.send(now);
            }
            now
        })
    }

    fn may_begin(&self, elapsed: Duration) -> bool {
        match self.extent {
            Extent::For(duration) => elapsed < duration,
            Extent::Requests(count) => self.begun.fetch_add(1, Ordering::Relaxed) < count,
        }
    }

    fn tally(&self, connection: usize, work: impl FnOnce(&mut Tally)) {
        let shared = &self.tallies[connection % self.tallies.len()];
        work(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn into_tally(self) -> Result<Tally> {
        let mut sum = Tally::new()?;
        for tally in self.tallies {
            sum.add(tally.into_inner().unwrap_or_else(PoisonError::into_inner))?;
        }
        if let Some(open) = self.open {
            sum.dropped = open.gate.dropped();
        }
        Ok(sum)
    }
}

impl Open {
    fn new(rate: f64, extent: Extent, connections: usize) -> Result<(Self, JoinHandle<()>)> {
        let schedule = match extent {
            Extent::For(duration) => Schedule::lasting(rate, duration),
            Extent::Requests(count) => Schedule::counting(rate, count),
        };
        let gate = Arc::new(Gate::new(schedule.total));
        let (start, started) = mpsc::channel();
        let pacer = {
            let (gate, may_cut) = (Arc::clone(&gate), matches!(extent, Extent::For(_)));
            move || {
                // Without a start there is nobody to pace.
                let Ok(start) = started.recv() else { return };
                let clock = Since(start);
                pace(&schedule, &clock, |count| gate.release(count));
                if may_cut {
                    clock.sleep_until(schedule.window() + GRACE);
                    gate.cut();
                }
                gate.release(connections as u64);
            }
        };
        let pacer = std::thread::Builder::new()
            .name("samara-bench-pacer".to_owned())
            .spawn(pacer)
            .context("cannot start the thread that paces requests")?;
        Ok((Self { schedule, gate, start }, pacer))
    }
}

impl Gate {
    fn new(total: u64) -> Self {
        let (taken, is_cut) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { due: Semaphore::new(0), taken, total, is_cut }
    }

    fn release(&self, count: u64) {
        self.due.add_permits(usize::try_from(count).unwrap_or(Semaphore::MAX_PERMITS));
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
    }

    /// The number of the next request, once it is due; `None` when there is
    /// none to send any more.
    async fn next(&self) -> Option<u64> {
        self.due.acquire().await.ok()?.forget();
        if self.is_cut.load(Ordering::Acquire) {
            return None;
        }
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        (index < self.total).then_some(index)
    }

    fn dropped(&self) -> u64 {
        self.total.saturating_sub(self.taken.load(Ordering::Relaxed))
    }
}

fn on_threads<C: Caller>(callers: Vec<C>, plan: &Arc<Plan>, count: usize) -> Result<()> {
    let count = count.clamp(1, callers.len().max(1));
    let mut shares: Vec<Vec<(usize, C)>> = (0..count).map(|_| Vec::new()).collect();
    for (index, caller) in callers.into_iter().enumerate() {
        shares[index % count].push((index, caller));
    }
    // All runtimes first: with one missing, the others would wait for its share.
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtimes: Vec<Runtime> =
        (0..count).map(|_| runtime()).collect::<Result<_, _>>().context("cannot start a runtime")?;
    std::thread::scope(|scope| {
        let work = |(share, runtime): (Vec<(usize, C)>, Runtime)| {
            scope.spawn(move || runtime.block_on(all(share.into_iter(), plan)))
        };
        let threads: Vec<_> = shares.into_iter().zip(runtimes).map(work).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread of the load failed"))?)
    })
}

/// Lets callers call, each on a task of its own, through all phases.
async fn all<C: Caller>(callers: impl Iterator<Item = (usize, C)>, plan: &Arc<Plan>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for (index, caller) in callers {
        tasks.spawn(connection(index, caller, Arc::clone(plan)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a connection of the load failed")?;
    }
    Ok(())
}

async fn connection<C: Caller>(index: usize, mut caller: C, plan: Arc<Plan>) {
    for phase in &plan.phases {
        caller.prepare().await;
        plan.together.wait().await;
        let start = phase.start();
        match &phase.open {
            None => closed_loop(index, &mut caller, phase, start).await,
            Some(open) => open_loop(index, &mut caller, phase, open, start).await,
        }
    }
}

async fn closed_loop<C: Caller>(index: usize, caller: &mut C, phase: &Phase, start: Instant) {
    let (mut answers, mut last) = (0u64, Duration::ZERO);
    let mut begun = Instant::now();
    // However short the phase, each connection sends one request.
    while phase.may_begin(last) {
        let answer = caller.call().await;
        let ended = Instant::now();
        if answer.result.is_ok() {
            answers += 1;
        }
        last = ended.duration_since(start);
        phase.tally(index, |tally| tally.record(ended.duration_since(begun), answer, last));
        begun = ended;
    }
    // Each connection over its own time: a slow last answer holds up no other.
    if !last.is_zero() {
        phase.tally(index, |tally| tally.throughput += answers as f64 / last.as_secs_f64());
    }
}

async fn open_loop<C: Caller>(index: usize, caller: &mut C, phase: &Phase, open: &Open, start: Instant) {
    let window = open.schedule.window();
    let mut in_time = 0u64;
    while let Some(request) = open.gate.next().await {
        let due = open.schedule.time_of(request);
        let waited = start.elapsed().saturating_sub(due);
        let answer = caller.call().await;
        let ended = start.elapsed();
        if answer.result.is_ok() && ended <= window {
            in_time += 1;
        }
        phase.tally(index, |tally| {
            tally.late += u64::from(waited > LATE);
            tally.record(ended.saturating_sub(due), answer, ended);
        });
    }
    if !window.is_zero() {
        phase.tally(index, |tally| tally.throughput += in_time as f64 / window.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts its calls and answers at once; every `fails`th is an error.
    struct Counter {
        calls: Arc<AtomicU64>,
        fails: u64,
    }

    impl Caller for Counter {
        async fn prepare(&mut self) {}

        async fn call(&mut self) -> Answer {
            let count = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            let result = if count.is_multiple_of(self.fails) { Err("status_503".into()) } else { Ok(()) };
            Answer { result, sent: 3, received: 5, split: None }
        }
    }

    /// Says that a call has begun, and answers when it is told to.
    struct Gated {
        begun: mpsc::Sender<()>,
        answers: Arc<Semaphore>,
    }

    impl Caller for Gated {
        async fn prepare(&mut self) {}

        async fn call(&mut self) -> Answer {
            self.begun.send(()).unwrap();
            self.answers.acquire().await.unwrap().forget();
            Answer { result: Ok(()), sent: 0, received: 0, split: None }
        }
    }

    fn counters(count: usize, fails: u64) -> (Vec<Counter>, Arc<AtomicU64>) {
        let calls = Arc::new(AtomicU64::new(0));
        ((0..count).map(|_| Counter { calls: Arc::clone(&calls), fails }).collect(), calls)
    }

    fn requests(count: u64, connections: usize, rate: Option<f64>) -> Step {
        Step { connections, rate, warm_up: Duration::ZERO, extent: Extent::Requests(count) }
    }

    #[test]
    fn a_closed_loop_sends_exactly_what_was_asked_for() {
        for (connections, threads) in [(1, 1), (3, 2), (100, 4)] {
            let (callers, calls) = counters(connections, 10);
            let tally = run(callers, &requests(250, connections, None), Workers::Threads(threads)).unwrap();
            assert_eq!(calls.load(Ordering::Relaxed), 250);
            assert_eq!((tally.answers(), tally.failures()), (225, 25));
            assert_eq!((tally.sent, tally.received), (750, 1250));
            assert!(tally.throughput > 0.0);
        }
    }

    #[test]
    fn an_open_loop_sends_all_of_a_count_however_late() {
        let (callers, calls) = counters(3, u64::MAX);
        let tally = run(callers, &requests(50, 3, Some(1e6)), Workers::Threads(2)).unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 50);
        assert_eq!((tally.answers(), tally.dropped), (50, 0));
    }

    #[test]
    fn a_warm_up_is_not_measured() {
        let (callers, calls) = counters(2, u64::MAX);
        let step = Step { warm_up: Duration::from_millis(1), ..requests(10, 2, None) };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let tally = run(callers, &step, Workers::Runtime(&runtime)).unwrap();
        assert_eq!(tally.answers(), 10);
        assert!(calls.load(Ordering::Relaxed) > 10);
    }

    #[test]
    fn waiting_for_a_slow_answer_counts_as_latency() {
        let (begun, first) = mpsc::channel();
        let answers = Arc::new(Semaphore::new(0));
        let caller = Gated { begun, answers: Arc::clone(&answers) };
        // All are due within 4 ms; the first answer is held back until 50 ms have passed.
        let load = std::thread::spawn(move || {
            run(vec![caller], &requests(5, 1, Some(1000.0)), Workers::Threads(1)).unwrap()
        });
        first.recv().unwrap();
        let held = Instant::now();
        while held.elapsed() < Duration::from_millis(50) {
            std::thread::yield_now();
        }
        answers.add_permits(5);
        let tally = load.join().unwrap();
        assert!(tally.answers() == 5 && tally.late >= 4, "{}", tally.late);
        // Also those that were sent after the hold, and answered at once.
        assert!(tally.latency.min() >= 46_000_000, "{}", tally.latency.min());
    }

    #[test]
    fn what_waits_when_the_time_is_over_is_dropped() {
        let gate = Gate::new(3);
        gate.release(3);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(gate.next()), Some(0));
        gate.cut();
        gate.release(1);
        assert_eq!(runtime.block_on(gate.next()), None);
        assert_eq!(gate.dropped(), 2);
    }
}
