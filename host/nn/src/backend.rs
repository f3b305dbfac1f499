//! The traits that a machine-learning engine implements: a [`Backend`] loads a
//! [`Model`], a model opens [`Session`]s. All are synchronous; threads and
//! waiting belong to the layer above.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::beside::Beside;
use crate::context::RunContext;
use crate::error::{Error, ErrorKind, Result};
use crate::format::Format;
use crate::plan::Planned;
use crate::precision::Precision;
use crate::signature::Signature;
use crate::target::Target;
use crate::tensor::Tensor;

/// An engine that executes models.
pub trait Backend: Send + Sync {
    /// The name by which a manifest and a user ask for it, e.g. `tract`.
    fn name(&self) -> &'static str;

    /// What the engine has on this machine, or why it cannot be used. May load
    /// libraries, so ask only where the answer is needed; the answer stays the
    /// same for the life of the process.
    fn probe(&self) -> Probe;

    /// The model formats that it reads.
    fn formats(&self) -> &'static [Format];

    /// Whether it could run models on `target`, without probing the machine.
    fn serves(&self, target: Target) -> bool;

    /// Reads, checks and prepares a model.
    ///
    /// # Errors
    /// [`Error::InvalidModel`] for a damaged file, [`Error::Unsupported`]
    /// naming the operator, [`Error::TooLarge`] before memory is claimed that
    /// the file does not justify, [`Error::TargetUnavailable`].
    fn load(&self, source: &ModelSource, options: &LoadOptions) -> Result<Arc<dyn Model>>;
}

/// A loaded model. Its weights exist once, however many sessions it opens,
/// where the engine allows that.
pub trait Model: Send + Sync {
    fn signature(&self) -> &Signature;

    fn footprint(&self) -> Footprint;

    /// Whether rows of several callers may be merged into one run.
    fn batching(&self) -> Batching;

    /// The parts of it that do not run on the target, where one was asked for
    /// that allows that, each with its reason.
    fn elsewhere(&self) -> Vec<String> {
        Vec::new()
    }

    /// The model as one that tells what its runs do, where it can.
    fn as_planned(&self) -> Option<&dyn Planned> {
        None
    }

    /// Opens one thread's right to run the model.
    ///
    /// # Errors
    /// When the engine has no memory or device left for it.
    fn session(&self) -> Result<Box<dyn Session>>;
}

/// One thread's right to run a model. More concurrency takes more sessions,
/// never a lock.
pub trait Session: Send {
    /// Runs the model. `inputs` are in the signature's order and conform to
    /// it; the outputs come in the signature's order too.
    ///
    /// # Errors
    /// [`Error::Run`], or [`Error::Cancelled`] and [`Error::Timeout`] where
    /// the engine can stop a run.
    fn run(&mut self, inputs: &[Tensor], context: &RunContext) -> Result<Vec<Tensor>>;
}

/// A model to load.
#[derive(Debug, Clone)]
pub struct ModelSource {
    /// What people call it; used in messages.
    pub name: String,
    /// Tells equal models from different ones: the digest of the bytes.
    pub identity: String,
    pub format: Format,
    pub bytes: Bytes,
    /// For formats that keep weights in files beside it.
    pub beside: Beside,
}

/// How a model is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadOptions {
    pub target: Target,
    /// Threads that one run of one session may use; at least 1.
    pub threads: usize,
    /// The most runs side by side, each with a session of its own; `None`: as
    /// many as the compute threads allow with `threads` each.
    pub sessions: Option<usize>,
    /// Bytes of a GPU's memory that the model may hold, weights and all its runs
    /// together; `None`: as much as the backend allows any model.
    pub device_memory: Option<u64>,
    /// How exactly it computes; backends that cannot compute so refuse the model.
    pub precision: Precision,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            target: Target::Cpu,
            threads: 1,
            sessions: None,
            device_memory: None,
            precision: Precision::Exact,
        }
    }
}

/// What a backend finds on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Available {
        version: String,
        devices: Vec<Device>,
        /// Where the engine comes from: `built in`, or a library's path.
        origin: String,
    },
    Unavailable {
        reason: String,
    },
}

/// A device that a backend can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub target: Target,
    pub description: String,
}

/// Memory that a loaded model holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of weights in host memory, shared by all sessions.
    pub host: u64,
    /// Bytes on the device.
    pub device: u64,
    /// Bytes that every further session adds.
    pub per_session: u64,
}

/// Whether and how rows of several callers may be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// Each call stands alone.
    None,
    /// Axis 0 of every input and output counts independent rows, any number.
    Rows,
}

/// Which backend a caller asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The first in the registry's order that can run the model.
    #[default]
    Auto,
    /// This one, or an error.
    Named(String),
}

impl From<&str> for Choice {
    fn from(name: &str) -> Self {
        match name {
            "auto" => Choice::Auto,
            name => Choice::Named(name.to_owned()),
        }
    }
}

/// The backends of this process, in the order in which `auto` tries them.
#[derive(Clone, Default)]
pub struct BackendRegistry {
    backends: Vec<Arc<dyn Backend>>,
}

impl BackendRegistry {
    pub fn new(backends: Vec<Arc<dyn Backend>>) -> Self {
        Self { backends }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        self.backends.iter()
    }

    /// The backend called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownBackend`], which lists those there are.
    pub fn named(&self, name: &str) -> Result<&Arc<dyn Backend>> {
        self.backends.iter().find(|backend| backend.name() == name).ok_or_else(|| Error::UnknownBackend {
            name: name.to_owned(),
            known: self.backends.iter().map(|backend| backend.name().to_owned()).collect(),
        })
    }

    /// Loads a model with the backend that was asked for and says which one it
    /// was.
    ///
    /// # Errors
    /// The named backend's own error; for `auto`, one that tells what each
    /// candidate said.
    pub fn load(
        &self,
        source: &ModelSource,
        choice: &Choice,
        options: &LoadOptions,
    ) -> Result<(&'static str, Arc<dyn Model>)> {
        match choice {
            Choice::Named(name) => {
                let backend = self.named(name)?;
                check_fit(backend.as_ref(), source, options)?;
                Ok((backend.name(), load_guarded(backend.as_ref(), source, options)?))
            }
            Choice::Auto => self.load_first(source, options),
        }
    }

    fn load_first(
        &self,
        source: &ModelSource,
        options: &LoadOptions,
    ) -> Result<(&'static str, Arc<dyn Model>)> {
        let mut refusals: Vec<(&'static str, Error)> = Vec::new();
        for backend in &self.backends {
            if !backend.formats().contains(&source.format) || !backend.serves(options.target) {
                continue;
            }
            match load_guarded(backend.as_ref(), source, options) {
                Ok(model) => return Ok((backend.name(), on_the_cpu(model, self.by_gpus(&refusals)))),
                Err(error) => refusals.push((backend.name(), error)),
            }
        }
        if refusals.is_empty() {
            return Err(self.no_candidate(source, options));
        }
        Err(all_refused(source, options, refusals))
    }

    /// Why the backends that have a GPU did not take a model.
    fn by_gpus(&self, refusals: &[(&'static str, Error)]) -> Vec<String> {
        let has_gpu = |name: &str| self.named(name).is_ok_and(|backend| backend.serves(Target::Gpu(None)));
        let reasons = refusals.iter().filter(|(name, _)| has_gpu(name));
        reasons.map(|(_, error)| format!("all of it: {error}")).collect()
    }

    /// Why no backend was even asked.
    fn no_candidate(&self, source: &ModelSource, options: &LoadOptions) -> Error {
        let readers = self.backends.iter().filter(|backend| backend.formats().contains(&source.format));
        let readers: Vec<String> = readers.map(|backend| format!("`{}`", backend.name())).collect();
        let reasons = match readers.is_empty() {
            true => "none is built in".to_owned(),
            false => format!("none of {} runs models there", readers.join(", ")),
        };
        Error::NoBackend {
            model: source.name.clone(),
            format: source.format.name(),
            target: options.target,
            reasons,
        }
    }
}

impl fmt::Debug for BackendRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.backends.iter().map(|backend| backend.name())).finish()
    }
}

fn check_fit(backend: &dyn Backend, source: &ModelSource, options: &LoadOptions) -> Result<()> {
    if !backend.formats().contains(&source.format) {
        return Err(Error::Unsupported {
            model: source.name.clone(),
            backend: backend.name(),
            reason: format!("it does not read {} files", source.format.name()),
        });
    }
    if !backend.serves(options.target) {
        return Err(Error::TargetUnavailable {
            target: options.target,
            reason: format!("backend `{}` does not run models there", backend.name()),
        });
    }
    Ok(())
}

/// A model that tells why it does not run on a GPU, where there is a reason.
fn on_the_cpu(model: Arc<dyn Model>, reasons: Vec<String>) -> Arc<dyn Model> {
    if reasons.is_empty() { model } else { Arc::new(OnTheCpu { model, reasons }) }
}

/// A model that runs on the CPU for reasons that it tells.
struct OnTheCpu {
    model: Arc<dyn Model>,
    reasons: Vec<String>,
}

impl Model for OnTheCpu {
    fn signature(&self) -> &Signature {
        self.model.signature()
    }

    fn footprint(&self) -> Footprint {
        self.model.footprint()
    }

    fn batching(&self) -> Batching {
        self.model.batching()
    }

    fn elsewhere(&self) -> Vec<String> {
        self.reasons.clone()
    }

    fn as_planned(&self) -> Option<&dyn Planned> {
        self.model.as_planned()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        self.model.session()
    }
}

/// Loads with panics of the engine turned into errors.
fn load_guarded(
    backend: &dyn Backend,
    source: &ModelSource,
    options: &LoadOptions,
) -> Result<Arc<dyn Model>> {
    let load = std::panic::AssertUnwindSafe(|| backend.load(source, options));
    std::panic::catch_unwind(load).unwrap_or_else(|panic| {
        Err(Error::Panicked {
            model: source.name.clone(),
            backend: backend.name(),
            reason: panic_message(&*panic),
        })
    })
}

/// The words of a caught panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}

fn all_refused(
    source: &ModelSource,
    options: &LoadOptions,
    mut refusals: Vec<(&'static str, Error)>,
) -> Error {
    // A backend that is merely not installed has nothing to say about the model.
    let mut installed: Vec<_> =
        refusals.extract_if(.., |(_, error)| error.kind() != ErrorKind::Unavailable).collect();
    match installed.len() {
        1 => installed.remove(0).1,
        0 => Error::NoBackend {
            model: source.name.clone(),
            format: source.format.name(),
            target: options.target,
            reasons: join(&refusals),
        },
        _ => Error::AllRefused {
            model: source.name.clone(),
            kind: installed[0].1.kind(),
            reasons: join(&installed),
        },
    }
}

fn join(refusals: &[(&'static str, Error)]) -> String {
    let reasons: Vec<String> = refusals.iter().map(|(_, error)| error.to_string()).collect();
    reasons.join("; ")
}
