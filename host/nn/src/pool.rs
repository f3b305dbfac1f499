//! The pool of loaded models: each is loaded once, shared by all who ask for
//! it, and let go of with its last user.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::backend::{BackendRegistry, Choice, Footprint, LoadOptions, ModelSource};
use crate::compute::Compute;
use crate::error::Result;
use crate::load::ModelLoad;
use crate::plan::KernelTime;
use crate::resident::{Loaded, ResidentModel};
use crate::target::Target;

/// Loads models and keeps them for as long as somebody holds them.
pub struct Pool {
    backends: BackendRegistry,
    compute: Arc<Compute>,
    slots: Arc<Slots>,
}

type Slots = Mutex<HashMap<Key, Arc<Slot>>>;

/// Two loads share a model when all of this is equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) identity: String,
    choice: Choice,
    pub(crate) options: LoadOptions,
}

/// Where one model stands or will stand. The lock is held while it is loaded,
/// so that a second caller waits instead of loading it again.
#[derive(Default)]
struct Slot {
    model: Mutex<Weak<ResidentModel>>,
}

/// A line about a loaded model.
#[derive(Debug, Clone)]
pub struct ResidentSummary {
    pub name: String,
    pub identity: String,
    pub backend: &'static str,
    /// Where it was asked to run.
    pub target: Target,
    pub footprint: Footprint,
    pub users: usize,
    pub load: ModelLoad,
    /// How many parts of it do not run on its target.
    pub elsewhere: usize,
    /// What its kernels took so far, where that is measured.
    pub kernels: Vec<KernelTime>,
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

    /// Calls of all models that wait for a compute thread now.
    pub fn compute_waiting(&self) -> usize {
        self.compute.waiting()
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
        // The threads of the machine are dealt out over runs side by side.
        let fair = (self.compute.threads() / options.threads.max(1)).max(1);
        let loaded = Loaded {
            name: source.name.clone(),
            backend,
            model,
            load_time: started.elapsed(),
            sessions: options.sessions.unwrap_or(fair),
            membership: Membership { key, slots: Arc::downgrade(&self.slots) },
        };
        let resident = Arc::new(ResidentModel::new(loaded, Arc::clone(&self.compute)));
        *standing = Arc::downgrade(&resident);
        Ok(resident)
    }

    /// The models that are loaded now.
    pub fn resident(&self) -> Vec<ResidentSummary> {
        let slots: Vec<_> = lock(&self.slots).values().cloned().collect();
        let models = slots.iter().filter_map(|slot| slot.model.try_lock().ok()?.upgrade());
        models
            .map(|model| ResidentSummary {
                name: model.name().to_owned(),
                identity: model.identity().to_owned(),
                backend: model.backend(),
                target: model.target(),
                footprint: model.footprint(),
                users: Arc::strong_count(&model) - 1,
                load: model.load(),
                elsewhere: model.elsewhere().len(),
                kernels: model.kernel_times(),
            })
            .collect()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("backends", &self.backends).finish_non_exhaustive()
    }
}

/// The share that a loaded model has in its pool; dropping it gives the place
/// back.
pub(crate) struct Membership {
    pub(crate) key: Key,
    slots: Weak<Slots>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.upgrade() {
            forget_unused(&slots, &self.key);
        }
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
