//! What is counted and timed. A request adds to the meters of its function,
//! which are found once, when the function is loaded; whoever asks for
//! `/metrics` adds them up.

mod families;
mod function;
mod meter;
mod process;
mod render;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use samara_engine::{Compiled, LoadReport};

pub(crate) use function::{Ended, FunctionMeters};
pub(crate) use meter::{Distribution, FINE};
pub(crate) use render::render;

use crate::context::Protocol;
use crate::error::ErrorKind;
use crate::functions::Served;
use function::ByKind;
use meter::{COARSE, Counter, Histogram, Sharded, nanoseconds};

const PROTOCOLS: [Protocol; 3] = [Protocol::Rest, Protocol::Grpc, Protocol::Http];
const ERROR_KINDS: usize = 32;
/// Where the machine code of a function came from: the cache, the compiler, or
/// it has none.
const COMPILES: [&str; 3] = ["cached", "compiled", "none"];
/// Where its models came from: the disk, others that use them, or it has none.
const MODELS: [&str; 3] = ["loaded", "shared", "none"];

/// The meters of a whole server.
#[derive(Debug)]
pub(crate) struct Metrics {
    clock: Clock,
    /// By name and version. They live as long as a function that uses them, so
    /// a version that is swapped for a new one goes on counting.
    functions: Mutex<HashMap<(String, String), Weak<FunctionMeters>>>,
    /// By protocol: what clients were told.
    errors: [Sharded<ByKind>; PROTOCOLS.len()],
    cold_starts: [[Histogram<COARSE>; MODELS.len()]; COMPILES.len()],
    /// By backend, of which there are a handful.
    model_loads: Mutex<Vec<(&'static str, Histogram<COARSE>)>>,
    pub(crate) connections: Connections,
}

/// What became of those who connected.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    accepted: Counter,
    rejected: Counter,
    closed: Counter,
}

/// A connection that is open; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Open<'m>(&'m Connections);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}

/// Both clocks at one moment, so that a request asks only one of them.
#[derive(Debug, Clone, Copy)]
struct Clock {
    started: Instant,
    started_ms: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            clock: Clock::now(),
            functions: Mutex::default(),
            errors: Default::default(),
            cold_starts: Default::default(),
            model_loads: Mutex::default(),
            connections: Connections::default(),
        }
    }
}

impl Metrics {
    /// The meters of a version: those that are in use for it, or new ones.
    pub(crate) fn function(&self, name: &str, version: &str) -> Arc<FunctionMeters> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        functions.retain(|_, meters| meters.strong_count() > 0);
        let key = (name.to_owned(), version.to_owned());
        let known = functions.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let meters = Arc::default();
            functions.insert(key, Arc::downgrade(&meters));
            meters
        })
    }

    /// Counts a load: a cold start.
    pub(crate) fn loaded(&self, served: &Served) {
        let report = served.function.load_report();
        let compile = compile_source(report);
        let mut models = if report.models.is_empty() { 2 } else { 1 };
        for (name, backend, took) in &report.models {
            let model = served.function.models().get(name);
            // Whoever loads a model waits at least as long as it takes.
            if let Some(model) = model.filter(|model| model.load_time() <= *took) {
                models = 0;
                self.model_loaded(backend, model.load_time());
            }
        }
        served.meters.cold_starts[compile][models].add(1);
        served.meters.keep_models(|name| served.function.models().values().any(|model| model.name() == name));
        self.cold_starts[compile][models].time(served.load_time);
    }

    fn model_loaded(&self, backend: &'static str, took: std::time::Duration) {
        let mut loads = self.model_loads.lock().unwrap_or_else(PoisonError::into_inner);
        let at = loads.iter().position(|(known, _)| *known == backend).unwrap_or_else(|| {
            loads.push((backend, Histogram::default()));
            loads.len() - 1
        });
        loads[at].1.time(took);
    }

    /// Counts an error that a client is told.
    pub(crate) fn told(&self, protocol: Protocol, kind: ErrorKind) {
        self.errors[protocol as usize].mine().of(kind).add(1);
    }

    /// A moment in milliseconds since 1970.
    pub(crate) fn at_ms(&self, moment: Instant) -> u64 {
        self.clock.started_ms + nanoseconds(moment.saturating_duration_since(self.clock.started)) / 1_000_000
    }

    fn told_of(&self, protocol: Protocol, kind: ErrorKind) -> u64 {
        self.errors[protocol as usize].sum(|kinds| kinds.of(kind))
    }
}

impl Connections {
    /// One was taken.
    pub(crate) fn accepted(&self) -> Open<'_> {
        self.accepted.add(1);
        Open(self)
    }

    /// One was too many.
    pub(crate) fn rejected(&self) {
        self.rejected.add(1);
    }

    fn open(&self) -> u64 {
        // The closed ones first: they have all been accepted.
        let closed = self.closed.get();
        self.accepted.get().saturating_sub(closed)
    }
}

impl Clock {
    fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: nanoseconds(since_1970) / 1_000_000 }
    }
}

/// The worst of the components: one that was compiled makes it a compiled load.
fn compile_source(report: &LoadReport) -> usize {
    let is_now = |(_, compiled): &(String, Compiled)| matches!(compiled, Compiled::Now(_));
    match report.components.is_empty() {
        true => 2,
        false => usize::from(report.components.iter().any(is_now)),
    }
}

#[cfg(test)]
mod tests;
