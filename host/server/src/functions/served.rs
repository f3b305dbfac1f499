//! One version of one function, loaded and ready for requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use samara_engine::{Function, FunctionSource, Host, Kind};
use samara_nn::Signature;

use super::gate::Gate;
use super::route;
use super::source::{Loadable, TestCase};
use crate::config::FunctionConfig;
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
    pub(crate) gate: Arc<Gate>,
    pub(crate) meters: Arc<FunctionMeters>,
    pub(crate) load_time: Duration,
    /// Below which an HTTP function answers, e.g. `/hello`; never with a slash
    /// at its end.
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
        gate: impl FnOnce(&str, &str) -> Arc<Gate>,
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
        let labels = function.signature().map(|signature| signature.labels(labels)).unwrap_or_default();
        let route = checked_route(&name, &config, function.kind())?;
        let (gate, meters) = (gate(&name, &version), meters(&name, &version));
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

/// The route of a function, which matters for HTTP functions only.
fn checked_route(name: &str, config: &FunctionConfig, kind: Kind) -> Result<String> {
    let wrong = |reason| Error::Load { function: name.to_owned(), reason };
    match (&config.route, kind) {
        (Some(asked), Kind::Http(_)) => route::checked(asked).map_err(wrong),
        (None, Kind::Http(_)) => route::checked(&format!("/{name}")).map_err(wrong),
        (Some(asked), _) => Err(wrong(format!(
            "it is {}, which is called with tensors: it answers below no route such as `{asked}`",
            kind.name()
        ))),
        (None, _) => Ok(format!("/{name}")),
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Served({} {})", self.name, self.version)
    }
}
