//! The pool of loaded models: each is loaded once, shared by all who ask for
//! it, and let go of with its last user.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::backend::{
    BackendRegistry, Batching, Choice, Footprint, LoadOptions, Model, ModelSource, Session, panic_message,
};
use crate::compute::Compute;
use crate::context::{Cancellation, RunContext};
use crate::error::{Error, Result};
use crate::pace::Pace;
use crate::signature::Signature;
use crate::target::Target;
use crate::tensor::{NamedTensor, Tensor};

/// Loads models and keeps them for as long as somebody holds them.
pub struct Pool {
    backends: BackendRegistry,
    compute: Arc<Compute>,
    slots: Arc<Slots>,
}

type Slots = Mutex<HashMap<Key, Arc<Slot>>>;

/// Two loads share a model when all of this is equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    identity: String,
    choice: Choice,
    options: LoadOptions,
}

/// Where one model stands or will stand. The lock is held while it is loaded,
/// so that a second caller waits instead of loading it again.
#[derive(Default)]
struct Slot {
    model: Mutex<Weak<ResidentModel>>,
}

/// A loaded model, ready for calls. Its memory is returned when the last `Arc`
/// goes.
pub struct ResidentModel {
    name: String,
    backend: &'static str,
    model: Arc<dyn Model>,
    load_time: Duration,
    compute: Arc<Compute>,
    idle_sessions: Mutex<Vec<Box<dyn Session>>>,
    pace: Pace,
    key: Key,
    slots: Weak<Slots>,
}

/// What a model answered, and what it took.
#[derive(Debug)]
pub struct Answer {
    /// The outputs in the signature's order.
    pub outputs: Vec<Tensor>,
    /// From the call to the start of the computation.
    pub queued: Duration,
    pub computed: Duration,
    /// The backend that ran the model.
    pub backend: &'static str,
}

/// A line about a loaded model.
#[derive(Debug, Clone)]
pub struct ResidentSummary {
    pub name: String,
    pub identity: String,
    pub backend: &'static str,
    pub footprint: Footprint,
    pub users: usize,
}

impl Pool {
    pub fn new(backends: BackendRegistry, compute: Arc<Compute>) -> Self {
        Self { backends, compute, slots: Arc::default() }
    }

    pub fn backends(&self) -> &BackendRegistry {
        &self.backends
    }

    /// The threads that models run on.
    pub fn compute_threads(&self) -> usize {
        self.compute.threads()
    }

    /// Gives the model, loaded now if it is not there yet. Blocks while it
    /// loads; callers of the same model wait for one load.
    ///
    /// # Errors
    /// What [`BackendRegistry::load`] says. A failed load leaves nothing behind.
    pub fn acquire(
        &self,
        source: &ModelSource,
        choice: &Choice,
        options: &LoadOptions,
    ) -> Result<Arc<ResidentModel>> {
        let key = Key { identity: source.identity.clone(), choice: choice.clone(), options: options.clone() };
        let slot = Arc::clone(lock(&self.slots).entry(key.clone()).or_default());
        let mut standing = lock(&slot.model);
        if let Some(model) = standing.upgrade() {
            return Ok(model);
        }
        let started = Instant::now();
        let loaded = self.backends.load(source, choice, options);
        let (backend, model) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                drop(standing);
                drop(slot);
                forget_unused(&self.slots, &key);
                return Err(error);
            }
        };
        let resident = Arc::new(ResidentModel {
            name: source.name.clone(),
            backend,
            model,
            load_time: started.elapsed(),
            compute: Arc::clone(&self.compute),
            idle_sessions: Mutex::default(),
            pace: Pace::default(),
            key,
            slots: Arc::downgrade(&self.slots),
        });
        *standing = Arc::downgrade(&resident);
        Ok(resident)
    }

    /// The models that are loaded now.
    pub fn resident(&self) -> Vec<ResidentSummary> {
        let slots: Vec<_> = lock(&self.slots).values().cloned().collect();
        let models = slots.iter().filter_map(|slot| slot.model.try_lock().ok()?.upgrade());
        models
            .map(|model| ResidentSummary {
                name: model.name.clone(),
                identity: model.key.identity.clone(),
                backend: model.backend,
                footprint: model.footprint(),
                users: Arc::strong_count(&model) - 1,
            })
            .collect()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("backends", &self.backends).finish_non_exhaustive()
    }
}

impl ResidentModel {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The backend that loaded it.
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// Where it was asked to run.
    pub fn target(&self) -> Target {
        self.key.options.target
    }

    pub fn identity(&self) -> &str {
        &self.key.identity
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

    pub fn load_time(&self) -> Duration {
        self.load_time
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
    /// here, any other on a compute thread. Dropping the future cancels the
    /// run. Whoever waits beyond the deadline must stop polling at it: this
    /// future checks the deadline only before the computation.
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
                return self.run_with(session, &inputs, input_bytes, &context, called);
            }
        }
        let (sender, receiver) = oneshot::channel();
        let _cancel_when_dropped = CancelOnDrop(context.cancellation.clone());
        let model = Arc::clone(self);
        self.compute.submit(move || {
            let answer = model.run_here(&inputs, input_bytes, &context, called);
            // The job's share of the model ends before the caller hears of it:
            // a caller that lets go last really lets go.
            drop((inputs, model));
            let _ = sender.send(answer);
        })?;
        receiver.await.unwrap_or(Err(Error::ShutDown))
    }

    /// Runs the model on the calling thread, which must not be an async worker.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_blocking(&self, inputs: &[Tensor], context: &RunContext) -> Result<Answer> {
        let input_bytes = inputs.iter().map(|tensor| tensor.data().len() as u64).sum();
        self.run_here(inputs, input_bytes, context, Instant::now())
    }

    fn run_here(
        &self,
        inputs: &[Tensor],
        input_bytes: u64,
        context: &RunContext,
        called: Instant,
    ) -> Result<Answer> {
        context.check(called)?;
        let idle = lock(&self.idle_sessions).pop();
        let session = match idle {
            Some(session) => session,
            None => self.guard(|| self.model.session())?,
        };
        self.run_with(session, inputs, input_bytes, context, called)
    }

    fn run_with(
        &self,
        mut session: Box<dyn Session>,
        inputs: &[Tensor],
        input_bytes: u64,
        context: &RunContext,
        called: Instant,
    ) -> Result<Answer> {
        context.check(called)?;
        let queued = called.elapsed();
        let started = Instant::now();
        let result = self.guard(|| session.run(inputs, context));
        let computed = started.elapsed();
        // A session that panicked may be in any state: it is not used again.
        if !matches!(result, Err(Error::Panicked { .. })) {
            lock(&self.idle_sessions).push(session);
        }
        let outputs = result?;
        self.pace.record(input_bytes, computed);
        Ok(Answer { outputs, queued, computed, backend: self.backend })
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

impl Drop for ResidentModel {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.upgrade() {
            forget_unused(&slots, &self.key);
        }
    }
}

impl fmt::Debug for ResidentModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResidentModel({} on {}, {})", self.name, self.backend, self.signature())
    }
}

struct CancelOnDrop(Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Removes a slot that holds no model and that nobody is about to fill.
fn forget_unused(slots: &Slots, key: &Key) {
    let mut slots = lock(slots);
    let unused = slots.get(key).is_some_and(|slot| {
        Arc::strong_count(slot) == 1 && slot.model.try_lock().is_ok_and(|model| model.strong_count() == 0)
    });
    if unused {
        slots.remove(key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "resident_tests.rs"]
mod tests;
