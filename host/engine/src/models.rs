//! The models of a function: loaded on threads of their own, and called as the
//! function asks for it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use samara_nn::{BatchPolicy, Caller, Choice, LoadOptions, ModelSource, ResidentModel, RunContext};
use tokio::task::JoinHandle;

use crate::call::Deadline;
use crate::error::Result;
use crate::host::Host;
use crate::report::{LoadReport, ModelRun};

/// A model and how it is to be loaded and called.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    pub source: ModelSource,
    pub choice: Choice,
    pub options: LoadOptions,
    /// How calls may be merged with others; `None`: as is known to be right, see
    /// [`ResidentModel::batch_policy`].
    pub batch: Option<BatchPolicy>,
}

/// A loaded model and how one function calls it. Functions share the model,
/// each with a policy of its own.
#[derive(Debug, Clone)]
pub struct ModelUse {
    pub model: Arc<ResidentModel>,
    pub batch: BatchPolicy,
}

impl ModelUse {
    /// A model of whose calls nobody said how they may be merged.
    pub(crate) fn unasked(model: Arc<ResidentModel>) -> samara_nn::Result<Self> {
        Self::new(model, None)
    }

    fn new(model: Arc<ResidentModel>, asked: Option<BatchPolicy>) -> samara_nn::Result<Self> {
        let batch = model.batch_policy(asked)?;
        Ok(Self { model, batch })
    }

    /// The circumstances of a run of this model, where `context` are those of
    /// the call that it is for.
    pub(crate) fn context(&self, context: RunContext) -> RunContext {
        RunContext { batch: self.batch, ..context }
    }

    /// What a call reports of a run that was asked for at `began`.
    pub(crate) fn report(&self, began: Duration, answer: &samara_nn::Answer) -> ModelRun {
        ModelRun {
            model: self.name().to_owned(),
            backend: answer.backend,
            began,
            queued: answer.queued,
            computed: answer.computed,
            batch_rows: answer.batch_rows,
            batch_calls: answer.batch_calls,
        }
    }
}

impl Deref for ModelUse {
    type Target = ResidentModel;

    fn deref(&self) -> &ResidentModel {
        &self.model
    }
}

impl AsRef<ResidentModel> for ModelUse {
    fn as_ref(&self) -> &ResidentModel {
        &self.model
    }
}

/// The models of a function, and by whom they are called.
#[derive(Clone)]
pub(crate) struct Models {
    pub(crate) by_name: Arc<BTreeMap<String, ModelUse>>,
    pub(crate) caller: Caller,
}

impl Models {
    /// The circumstances of runs for one call of the function.
    pub(crate) fn context(&self, deadline: Deadline) -> RunContext {
        RunContext { deadline: Some(deadline.at), caller: self.caller, ..RunContext::default() }
    }
}

/// A model that is being loaded: its name, and what comes of it and how long it
/// took.
type Loading = (String, JoinHandle<(samara_nn::Result<ModelUse>, Duration)>);

pub(crate) fn start_loading(host: &Host, requests: &BTreeMap<String, ModelRequest>) -> Vec<Loading> {
    let start = |(name, request): (&String, &ModelRequest)| {
        let (pool, request) = (Arc::clone(host.models()), request.clone());
        let load = move || {
            let started = Instant::now();
            let model = pool.acquire(&request.source, &request.choice, &request.options);
            let model = model.and_then(|model| ModelUse::new(model, request.batch));
            (model, started.elapsed())
        };
        (name.clone(), tokio::task::spawn_blocking(load))
    };
    requests.iter().map(start).collect()
}

pub(crate) async fn finish_loading(loading: Vec<Loading>, report: &mut LoadReport) -> Result<Models> {
    let mut models = BTreeMap::new();
    for (name, load) in loading {
        let (model, took) =
            load.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
        let model = model?;
        report.models.push((name.clone(), model.backend(), took));
        let elsewhere = model.elsewhere();
        if !elsewhere.is_empty() {
            let parts = elsewhere.join("; ");
            report.warnings.push(format!("model `{name}` does not run wholly on a GPU: {parts}"));
        }
        models.insert(name, model);
    }
    Ok(Models { by_name: Arc::new(models), caller: Caller::new() })
}
