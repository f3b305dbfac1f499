//! A loaded model: what it is, and the way of a call to one of its sessions.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::backend::{Batching, Footprint, Model, Session, panic_message};
use crate::batch::{self, BatchPolicy, Call, Trust};
use crate::compute::{Compute, Lane, Ticket};
use crate::context::{Cancellation, RunContext};
use crate::error::{Error, Result};
use crate::load::{Counters, ModelLoad};
use crate::pace::Pace;
use crate::plan::{KernelTime, Plan};
use crate::pool::{Membership, lock};
use crate::signature::Signature;
use crate::target::Target;
use crate::tensor::{NamedTensor, Tensor};

/// A loaded model, ready for calls. Its memory is returned when the last `Arc`
/// goes.
pub struct ResidentModel {
    name: String,
    backend: &'static str,
    model: Arc<dyn Model>,
    load_time: Duration,
    sessions: usize,
    /// Whether axis 0 of every input and output is open.
    has_rows: bool,
    idle_sessions: Mutex<Vec<Box<dyn Session>>>,
    pub(crate) trust: Trust,
    pub(crate) pace: Pace,
    pub(crate) counters: Arc<Counters>,
    lane: Lane,
    membership: Membership,
    pub(crate) compute: Arc<Compute>,
}

/// What a model answered, and what it took.
#[derive(Debug)]
pub struct Answer {
    /// The outputs in the signature's order.
    pub outputs: Vec<Tensor>,
    /// From the call to the start of the computation.
    pub queued: Duration,
    /// The computation; of all calls in it, where several were merged.
    pub computed: Duration,
    /// The backend that ran the model.
    pub backend: &'static str,
    /// Rows in the run that gave the answer; 1 for a model without rows.
    pub batch_rows: usize,
    /// Calls in that run, this one included.
    pub batch_calls: usize,
}

/// What a pool knows of a model that it just loaded.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) backend: &'static str,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) load_time: Duration,
    pub(crate) sessions: usize,
    pub(crate) membership: Membership,
}

impl ResidentModel {
    pub(crate) fn new(loaded: Loaded, compute: Arc<Compute>) -> Self {
        let Loaded { name, backend, model, load_time, sessions, membership } = loaded;
        let counters = Arc::new(Counters::default());
        let lane = compute.open_lane(sessions, Arc::clone(&counters));
        let has_rows =
            batch::closed_axis(model.signature()).is_none() && !model.signature().inputs.is_empty();
        let trust = Trust::new(model.batching() == Batching::Rows);
        let (idle_sessions, pace) = (Mutex::default(), Pace::default());
        Self {
            name,
            backend,
            model,
            load_time,
            sessions,
            has_rows,
            idle_sessions,
            trust,
            pace,
            counters,
            lane,
            membership,
            compute,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The backend that loaded it.
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// Where it was asked to run.
    pub fn target(&self) -> Target {
        self.membership.key.options.target
    }

    pub fn identity(&self) -> &str {
        &self.membership.key.identity
    }

    pub fn signature(&self) -> &Signature {
        self.model.signature()
    }

    pub fn footprint(&self) -> Footprint {
        self.model.footprint()
    }

    pub fn batching(&self) -> Batching {
        self.model.batching()
    }

    /// The parts of it that do not run on the target, each with its reason.
    pub fn elsewhere(&self) -> Vec<String> {
        self.model.elsewhere()
    }

    /// What a run for inputs of these shapes does; `None` where the backend does
    /// not tell.
    ///
    /// # Errors
    /// As a run with such inputs.
    pub fn plan(&self, shapes: &[Vec<usize>]) -> Result<Option<Plan>> {
        self.model.as_planned().map(|model| model.plan(shapes)).transpose()
    }

    /// What each kernel of it took so far, where the backend measures that.
    pub fn kernel_times(&self) -> Vec<KernelTime> {
        self.model.as_planned().map(|model| model.kernel_times()).unwrap_or_default()
    }

    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// The most runs side by side.
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// What it is doing now and has done so far.
    pub fn load(&self) -> ModelLoad {
        self.counters.read()
    }

    /// Whether calls may be merged: not once merged runs were found to differ
    /// from single ones.
    pub fn can_merge(&self) -> bool {
        self.has_rows && !self.trust.is_lost()
    }

    /// The policy to call it with: `asked`, where somebody says that rows may
    /// be merged; the first merged runs are then checked against single ones.
    /// Else, for a model that its backend proved to keep rows apart,
    /// [`BatchPolicy::AUTOMATIC`].
    ///
    /// # Errors
    /// [`Error::NoRows`] when merging is asked for and the signature has an
    /// input or output whose axis 0 is not open.
    pub fn batch_policy(&self, asked: Option<BatchPolicy>) -> Result<BatchPolicy> {
        match asked {
            Some(asked) if asked.merges() && !self.has_rows => {
                let closed = batch::closed_axis(self.signature());
                let tensor =
                    closed.map_or_else(|| "it takes no input".to_owned(), |spec| format!("`{spec}`"));
                Err(Error::NoRows { model: self.name.clone(), tensor })
            }
            Some(asked) => Ok(asked),
            None if self.has_rows && self.batching() == Batching::Rows => Ok(BatchPolicy::AUTOMATIC),
            None => Ok(BatchPolicy::OFF),
        }
    }

    /// Checks named tensors against the signature and runs the model.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`Error::Input`] before the model sees
    /// anything.
    pub async fn infer(self: &Arc<Self>, inputs: Vec<NamedTensor>, context: RunContext) -> Result<Answer> {
        let inputs = self.signature().conform_inputs(inputs)?;
        self.run(inputs, context).await
    }

    /// Runs the model over inputs that conform to its signature, in its order.
    /// A model that is known to compute for less than a thread hop runs right
    /// here, any other on a compute thread, together with other calls that wait
    /// where the context allows that. Dropping the future cancels the call.
    /// Whoever waits beyond the deadline must stop polling at it: this future
    /// checks the deadline only before the computation.
    ///
    /// # Errors
    /// [`Error::Overloaded`] at once when the queue is full, [`Error::Timeout`],
    /// [`Error::Cancelled`], or the backend's failure.
    pub async fn run(self: &Arc<Self>, inputs: Vec<Tensor>, context: RunContext) -> Result<Answer> {
        let called = Instant::now();
        let input_bytes = inputs.iter().map(|tensor| tensor.data().len() as u64).sum();
        if self.pace.is_short(input_bytes) {
            let idle = lock(&self.idle_sessions).pop();
            if let Some(session) = idle {
                self.counters.inline_runs.fetch_add(1, Ordering::Relaxed);
                return self.run_with(session, &inputs, input_bytes, &context, called);
            }
        }
        let (answer, receiver) = oneshot::channel();
        let merge = match context.batch.merges() && self.can_merge() && !self.pace.wants_measure() {
            true => batch::merge(self.signature(), &inputs, context.batch.max_rows),
            false => None,
        };
        let due = batch::due(context.batch, called, context.deadline);
        let cancellation = context.cancellation.clone();
        let call = Call { model: Arc::clone(self), inputs, input_bytes, context, called, answer };
        let ticket = self.compute.submit_call(&self.lane, merge, due, call)?;
        let mut presence = Presence { lane: &self.lane, cancellation, ticket: Some(ticket) };
        let answer = receiver.await.unwrap_or(Err(Error::ShutDown));
        presence.ticket = None;
        answer
    }

    /// Runs the model on the calling thread, which must not be an async worker.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_blocking(&self, inputs: &[Tensor], context: &RunContext) -> Result<Answer> {
        let input_bytes = inputs.iter().map(|tensor| tensor.data().len() as u64).sum();
        self.run_here(inputs, input_bytes, context, Instant::now())
    }

    /// Runs one call on this thread.
    pub(crate) fn run_here(
        &self,
        inputs: &[Tensor],
        input_bytes: u64,
        context: &RunContext,
        called: Instant,
    ) -> Result<Answer> {
        context.check(called)?;
        let session = self.take_session()?;
        self.counters.ran(1, batch::row_count(inputs).filter(|_| self.has_rows).unwrap_or(1));
        self.run_with(session, inputs, input_bytes, context, called)
    }

    /// Runs a session over inputs, whosever they are.
    pub(crate) fn run_session(
        &self,
        inputs: &[Tensor],
        context: &RunContext,
    ) -> Result<(Vec<Tensor>, Duration)> {
        let session = self.take_session()?;
        self.compute_with(session, inputs, context)
    }

    /// An error of a run.
    pub(crate) fn failed(&self, reason: String) -> Error {
        Error::Run { model: self.name.clone(), backend: self.backend, reason }
    }

    fn run_with(
        &self,
        session: Box<dyn Session>,
        inputs: &[Tensor],
        input_bytes: u64,
        context: &RunContext,
        called: Instant,
    ) -> Result<Answer> {
        context.check(called)?;
        let queued = called.elapsed();
        let (outputs, computed) = self.compute_with(session, inputs, context)?;
        self.pace.record(input_bytes, computed);
        let batch_rows = if self.has_rows { batch::row_count(inputs).unwrap_or(1) } else { 1 };
        Ok(Answer { outputs, queued, computed, backend: self.backend, batch_rows, batch_calls: 1 })
    }

    fn compute_with(
        &self,
        mut session: Box<dyn Session>,
        inputs: &[Tensor],
        context: &RunContext,
    ) -> Result<(Vec<Tensor>, Duration)> {
        let started = Instant::now();
        let result = self.guard(|| session.run(inputs, context));
        let computed = started.elapsed();
        // A session that panicked may be in any state: it is not used again.
        match matches!(result, Err(Error::Panicked { .. })) {
            true => self.close(session),
            false => self.put_back(session),
        }
        Ok((result?, computed))
    }

    fn take_session(&self) -> Result<Box<dyn Session>> {
        let idle = lock(&self.idle_sessions).pop();
        match idle {
            Some(session) => Ok(session),
            None => {
                let session = self.guard(|| self.model.session())?;
                self.counters.sessions.fetch_add(1, Ordering::Relaxed);
                Ok(session)
            }
        }
    }

    fn put_back(&self, session: Box<dyn Session>) {
        let mut idle = lock(&self.idle_sessions);
        if idle.len() < self.sessions {
            idle.push(session);
            return;
        }
        drop(idle);
        self.close(session);
    }

    fn close(&self, session: Box<dyn Session>) {
        self.counters.sessions.fetch_sub(1, Ordering::Relaxed);
        drop(session);
    }

    /// Turns a panic of the engine into an error.
    fn guard<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            Err(Error::Panicked {
                model: self.name.clone(),
                backend: self.backend,
                reason: panic_message(&*panic),
            })
        })
    }
}

impl fmt::Debug for ResidentModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResidentModel({} on {}, {})", self.name, self.backend, self.signature())
    }
}

/// A caller that waits for its answer. Dropping it before the answer came takes
/// the call back, or cancels its run.
struct Presence<'a> {
    lane: &'a Lane,
    cancellation: Cancellation,
    /// `None` once there is an answer.
    ticket: Option<Ticket>,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            self.cancellation.cancel();
            self.lane.withdraw(ticket);
        }
    }
}
