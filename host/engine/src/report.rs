//! What a load and a call took, for people, metrics and benchmarks.

use std::time::Duration;

/// What loading a function took.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Per component stage: its name and how its code came to be.
    pub components: Vec<(String, Compiled)>,
    /// Per model: its name, the backend, and the time this load spent on it.
    pub models: Vec<(String, &'static str, Duration)>,
    /// What went wrong without being an error, e.g. an unwritable cache.
    pub warnings: Vec<String>,
}

/// How a component's machine code came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiled {
    /// Mapped from the cache.
    Cached(Duration),
    Now(Duration),
}

/// What a call took.
#[derive(Debug, Clone, Default)]
pub struct CallReport {
    pub total: Duration,
    pub stages: Vec<StageReport>,
}

/// What one stage of a call took.
#[derive(Debug, Clone, Default)]
pub struct StageReport {
    pub name: String,
    /// When it began, from the call's start.
    pub began: Duration,
    pub total: Duration,
    /// Part of `total`: until there was an instance; zero for a model.
    pub instantiation: Duration,
    /// Whether the instance had served earlier calls.
    pub reused: bool,
    /// Linear memory of the instance at the end, in bytes; 0 for a model.
    pub guest_memory: u64,
    pub models: Vec<ModelRun>,
}

/// One run of a model.
#[derive(Debug, Clone)]
pub struct ModelRun {
    pub model: String,
    pub backend: &'static str,
    /// When it was asked for, from the call's start.
    pub began: Duration,
    pub queued: Duration,
    pub computed: Duration,
    /// Rows in the run, of all calls that were merged into it.
    pub batch_rows: usize,
    /// Calls in the run, this one included.
    pub batch_calls: usize,
}

impl StageReport {
    /// Time in the guest's own code and in what it waits for besides models;
    /// zero for a model.
    pub fn guest(&self) -> Duration {
        if self.guest_memory == 0 {
            return Duration::ZERO;
        }
        let models: Duration = self.models.iter().map(|run| run.queued + run.computed).sum();
        self.total.saturating_sub(self.instantiation).saturating_sub(models)
    }
}

impl CallReport {
    /// Every model run of the call, in order.
    pub fn model_runs(&self) -> impl Iterator<Item = &ModelRun> {
        self.stages.iter().flat_map(|stage| &stage.models)
    }
}
