//! The meters of one version of a function, and of the models that it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use samara_engine::{CallReport, ModelRun};

use super::meter::{COARSE, Counter, FINE, Histogram, ROWS, Sharded, nanoseconds};
use super::{COMPILES, ERROR_KINDS, MODELS, PROTOCOLS};
use crate::context::Protocol;
use crate::error::ErrorKind;
use crate::live::{History, Totals};

/// Models of one function that have meters of their own; a function that
/// changes its models more often than that gets no more.
const MOST_MODELS: usize = 64;

/// The meters of one version of a function, made once so that a request only
/// adds to them.
#[derive(Debug, Default)]
pub(crate) struct FunctionMeters {
    pub(super) shards: Sharded<Shard>,
    pub(super) models: ArcSwap<Vec<Arc<ModelMeters>>>,
    /// By where the machine code and the models came from.
    pub(super) cold_starts: [[Counter; MODELS.len()]; COMPILES.len()],
    /// The last minute, by seconds.
    pub(crate) history: History,
    /// When the last request was answered, in milliseconds since 1970; 0 for
    /// never.
    last_ms: AtomicU64,
}

/// What one group of threads has counted.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// By protocol.
    pub(super) answered: [Counter; PROTOCOLS.len()],
    pub(super) failed: [Counter; PROTOCOLS.len()],
    pub(super) errors: ByKind,
    pub(super) failed_ns: Counter,
    pub(super) answered_ns: Counter,
    pub(super) answered_rows: Counter,
    /// Of requests that were not refused for lack of room.
    pub(super) total: Histogram<FINE>,
    pub(super) admission: Histogram<COARSE>,
    pub(super) instance: Histogram<COARSE>,
    pub(super) guest: Histogram<COARSE>,
}

/// A counter for each kind of error.
#[derive(Debug)]
pub(super) struct ByKind([Counter; ERROR_KINDS]);

/// The meters of one model of a function.
#[derive(Debug)]
pub(crate) struct ModelMeters {
    pub(super) model: String,
    pub(super) backend: &'static str,
    pub(super) shards: Sharded<ModelShard>,
}

#[derive(Debug, Default)]
pub(super) struct ModelShard {
    pub(super) queue: Histogram<COARSE>,
    pub(super) compute: Histogram<COARSE>,
    pub(super) rows: Histogram<ROWS>,
}

/// What the statistics of the protocol are made of. Times are sums in
/// nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub(crate) answered: u64,
    pub(crate) answered_ns: u64,
    /// Inferences in requests that were answered: rows, where requests have some.
    pub(crate) answered_rows: u64,
    pub(crate) failed: u64,
    pub(crate) failed_ns: u64,
    /// From the head of a request to the start of its call.
    pub(crate) queued: u64,
    pub(crate) queued_ns: u64,
    /// Runs of models, each counted for each caller whose rows were in it.
    pub(crate) runs: u64,
    pub(crate) runs_queued_ns: u64,
    pub(crate) runs_computed_ns: u64,
    /// When the last request was answered, since 1970; 0 for never.
    pub(crate) last_ms: u64,
}

/// One request that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) protocol: Protocol,
    pub(crate) total: Duration,
    /// Until its call started; `None` where it never did.
    pub(crate) admission: Option<Duration>,
    pub(crate) at_ms: u64,
    /// Inferences in it.
    pub(crate) rows: u64,
}

impl Default for ByKind {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByKind {
    pub(super) fn of(&self, kind: ErrorKind) -> &Counter {
        // The last one stands for kinds that the table does not have, of which
        // there are none.
        &self.0[(kind as usize).min(ERROR_KINDS - 1)]
    }
}

impl FunctionMeters {
    /// Counts a request that was answered.
    pub(crate) fn answered(&self, ended: Ended, report: &CallReport) {
        let shard = self.shards.mine();
        shard.answered[ended.protocol as usize].add(1);
        shard.answered_ns.add(nanoseconds(ended.total));
        shard.answered_rows.add(ended.rows);
        shard.total.time(ended.total);
        self.admitted(shard, ended);
        self.called(shard, report);
    }

    /// Counts a request that was not answered.
    pub(crate) fn failed(&self, ended: Ended, kind: ErrorKind) {
        let shard = self.shards.mine();
        shard.failed[ended.protocol as usize].add(1);
        shard.errors.of(kind).add(1);
        shard.failed_ns.add(nanoseconds(ended.total));
        if ended.admission.is_some() || kind == ErrorKind::Timeout {
            shard.total.time(ended.total);
        }
        self.admitted(shard, ended);
    }

    fn admitted(&self, shard: &Shard, ended: Ended) {
        if let Some(admission) = ended.admission {
            shard.admission.time(admission);
        }
        self.last_ms.store(ended.at_ms, Ordering::Relaxed);
    }

    fn called(&self, shard: &Shard, report: &CallReport) {
        let mut guests = None::<(Duration, Duration)>;
        for stage in &report.stages {
            if stage.guest_memory > 0 {
                let (guest, instance) = guests.get_or_insert_default();
                *guest += stage.guest();
                *instance += stage.instantiation;
            }
            stage.models.iter().for_each(|run| self.ran(run));
        }
        if let Some((guest, instance)) = guests {
            shard.guest.time(guest);
            shard.instance.time(instance);
        }
    }

    fn ran(&self, run: &ModelRun) {
        let is_it = |meters: &&Arc<ModelMeters>| meters.is_of(&run.model, run.backend);
        let known = self.models.load();
        if let Some(meters) = known.iter().find(is_it) {
            return meters.ran(run);
        }
        drop(known);
        if let Some(meters) = self.add(&run.model, run.backend) {
            meters.ran(run);
        }
    }

    fn add(&self, model: &str, backend: &'static str) -> Option<Arc<ModelMeters>> {
        self.models.rcu(|known| {
            let mut all = Vec::clone(known);
            if all.len() < MOST_MODELS && !all.iter().any(|meters| meters.is_of(model, backend)) {
                all.push(Arc::new(ModelMeters::new(model, backend)));
            }
            all
        });
        self.models.load().iter().find(|meters| meters.is_of(model, backend)).cloned()
    }

    /// Forgets the models that a new load no longer has.
    pub(super) fn keep_models(&self, is_kept: impl Fn(&str) -> bool) {
        self.models.rcu(|known| -> Vec<_> {
            known.iter().filter(|meters| is_kept(&meters.model)).cloned().collect()
        });
    }

    /// Takes down what came since the last look as the work of one second since
    /// 1970.
    pub(crate) fn look(&self, second: u64) {
        let (answered, failed) = self.requests();
        let times = self.shards.distribution(|shard| &shard.total);
        self.history.look(second, Totals { requests: answered + failed, errors: failed, times });
    }

    /// Requests that were answered, and that were not.
    fn requests(&self) -> (u64, u64) {
        let all = |pick: fn(&Shard) -> &[Counter; PROTOCOLS.len()]| {
            (0..PROTOCOLS.len()).map(|at| self.shards.sum(|shard| &pick(shard)[at])).sum()
        };
        (all(|shard| &shard.answered), all(|shard| &shard.failed))
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let models = self.models.load();
        let queue = models.iter().map(|meters| meters.shards.distribution(|shard| &shard.queue));
        let compute = models.iter().map(|meters| meters.shards.distribution(|shard| &shard.compute));
        let (runs, runs_queued_ns) =
            queue.fold((0, 0), |(runs, sum), all| (runs + all.count(), sum + all.sum));
        let admission = self.shards.distribution(|shard| &shard.admission);
        let (answered, failed) = self.requests();
        Statistics {
            answered,
            answered_ns: self.shards.sum(|shard| &shard.answered_ns),
            answered_rows: self.shards.sum(|shard| &shard.answered_rows),
            failed,
            failed_ns: self.shards.sum(|shard| &shard.failed_ns),
            queued: admission.count(),
            queued_ns: admission.sum,
            runs,
            runs_queued_ns,
            runs_computed_ns: compute.map(|all| all.sum).sum(),
            last_ms: self.last_ms.load(Ordering::Relaxed),
        }
    }
}

impl ModelMeters {
    fn new(model: &str, backend: &'static str) -> Self {
        Self { model: model.to_owned(), backend, shards: Sharded::default() }
    }

    fn is_of(&self, model: &str, backend: &str) -> bool {
        self.model == model && self.backend == backend
    }

    fn ran(&self, run: &ModelRun) {
        let shard = self.shards.mine();
        shard.queue.time(run.queued);
        shard.compute.time(run.computed);
        shard.rows.rows(run.batch_rows as u64);
    }
}
