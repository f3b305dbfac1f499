//! One version of one function, loaded and ready for requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use samara_engine::{Function, FunctionSource, Host, Kind};
use samara_nn::Signature;

use super::gate::Gate;
use super::source::{Loadable, TestCase};
use crate::config::{FunctionConfig, ServeLimits};
use crate::error::{Error, Result};
use crate::logs;
use crate::metrics::FunctionMeters;

/// A loaded function and all that serving it takes. It lives until the last
/// request that uses it has ended.
pub(crate) struct Served {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) config: FunctionConfig,
    pub(crate) digest: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) tests: Vec<TestCase>,
    /// Per output, the words for its indices.
    pub(crate) labels: BTreeMap<String, Vec<String>>,
    pub(crate) function: Function,
    pub(crate) gate: Gate,
    pub(crate) meters: Arc<FunctionMeters>,
    pub(crate) load_time: Duration,
    /// Below which an HTTP function answers, e.g. `/hello`.
    pub(crate) route: String,
}

impl Served {
    /// Loads what was read.
    ///
    /// # Errors
    /// [`Error::Load`] with the engine's words.
    pub(crate) async fn load(
        host: &Host,
        config: FunctionConfig,
        loadable: Loadable,
        limits: &ServeLimits,
        meters: impl FnOnce(&str, &str) -> Arc<FunctionMeters>,
    ) -> Result<Self> {
        let Loadable { source, version, digest, description, tests, labels } = loadable;
        let name = config.name.clone().unwrap_or_else(|| source.name.clone());
        let version = if version.is_empty() { "1".to_owned() } else { version };
        let source = FunctionSource { output: logs::guest_output(&name, &version), ..source };
        let started = Instant::now();
        let function = Function::load(host, source)
            .await
            .map_err(|error| Error::Load { function: name.clone(), reason: error.to_string() })?;
        if let Kind::Command(_) = function.kind() {
            let reason = "it is a command, which runs to its end instead of answering requests".to_owned();
            return Err(Error::Load { function: name, reason });
        }
        let gate = Gate::new(
            format!("`{name}`"),
            config.concurrency.unwrap_or(limits.function_concurrency),
            config.queue.unwrap_or(limits.function_queue),
        );
        let meters = meters(&name, &version);
        let route = config.route.clone().unwrap_or_else(|| format!("/{name}"));
        let load_time = started.elapsed();
        Ok(Self {
            name,
            version,
            config,
            digest,
            description,
            tests,
            labels,
            function,
            gate,
            meters,
            load_time,
            route,
        })
    }

    /// What a call takes and gives.
    ///
    /// # Errors
    /// [`Error::NotCalledWithTensors`] for an HTTP function.
    pub(crate) fn signature(&self) -> Result<&Signature> {
        self.function.signature().ok_or_else(|| Error::NotCalledWithTensors {
            function: self.name.clone(),
            found: self.function.kind().name(),
            route: self.route.clone(),
        })
    }

    pub(crate) fn is_http(&self) -> bool {
        matches!(self.function.kind(), Kind::Http(_))
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Served({} {})", self.name, self.version)
    }
}
