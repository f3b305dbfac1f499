//! ONNX models by ONNX Runtime, a library that is loaded when it is first asked
//! for: on the CPU, and on GPUs by one of its providers.

mod arena;
mod deadlines;
mod library;
mod native;
mod provider;
mod refusal;
mod tensors;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{RunOptions, Session as NativeSession, SessionInputValue};
use ort::value::{Outlet, ValueType};
use samara_nn::{
    ANY_SIZE, Backend, Batching, Beside, Device, Error, Footprint, Format, LoadOptions, Mismatch, Model,
    ModelSource, Probe, Result, RunContext, Session, Signature, Target, Tensor, TensorSpec,
};

use crate::onnx::{Flat, Outline, Outputs, Type, quote};
use crate::precision::own_datatypes_only;
use crate::provider::Provider;
use crate::stack::on_large_stack;
use deadlines::Watch;
use library::{Library, Loaded};
use native::{Native, ReleaseUnused, Turn};
use provider::Reach;
use refusal::{out_of_memory, refused, words};

const NAME: &str = "onnxruntime";

/// The backend `onnxruntime`.
pub struct OnnxRuntime {
    library: Library,
    reach: Option<Reach>,
}

impl OnnxRuntime {
    /// A backend that loads the first of `candidates` that is there. All its
    /// models together take at most `memory_limit` bytes; the first backend of
    /// the process that loads the library decides. GPUs are reached by
    /// `provider`; what computes on the CPU counts as one only where
    /// `allow_software`.
    pub fn new(
        candidates: Vec<PathBuf>,
        memory_limit: Option<u64>,
        provider: Option<Provider>,
        allow_software: bool,
    ) -> Self {
        let reach = provider.map(|provider| Reach { provider, allow_software });
        Self { library: Library::new(candidates, memory_limit), reach }
    }

    /// The devices of the provider.
    ///
    /// # Errors
    /// Why it cannot be used.
    fn gpus(&self, reach: &Reach, loaded: &Loaded) -> std::result::Result<Vec<Device>, String> {
        let described = reach.devices(&loaded.environment)?;
        let device = |(index, description)| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            Device { target: Target::Gpu(Some(index)), description }
        };
        Ok(described.into_iter().enumerate().map(device).collect())
    }

    /// The provider for a target, and which of its devices.
    ///
    /// # Errors
    /// [`Error::TargetUnavailable`] for a GPU without a provider.
    fn place(&self, target: Target) -> Result<Option<(Reach, u32)>> {
        match (target, &self.reach) {
            (Target::Cpu, _) | (Target::GpuOrCpu, None) => Ok(None),
            (Target::Gpu(index), Some(reach)) => Ok(Some((reach.clone(), index.unwrap_or(0)))),
            (Target::GpuOrCpu, Some(reach)) => Ok(Some((reach.clone(), 0))),
            (Target::Gpu(_), None) => Err(Error::TargetUnavailable {
                target,
                reason: "no provider of ONNX Runtime is configured for GPUs".to_owned(),
            }),
        }
    }
}

impl Backend for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn probe(&self) -> Probe {
        match self.library.get() {
            Ok(loaded) => {
                let cpu = Device { target: Target::Cpu, description: std::env::consts::ARCH.to_owned() };
                let gpus = self.reach.as_ref().map(|reach| self.gpus(reach, loaded)).transpose();
                match gpus {
                    Ok(gpus) => Probe::Available {
                        version: loaded.version.clone(),
                        devices: std::iter::once(cpu).chain(gpus.into_iter().flatten()).collect(),
                        origin: loaded.path.display().to_string(),
                    },
                    Err(reason) => Probe::Unavailable { reason },
                }
            }
            Err(reason) => Probe::Unavailable { reason },
        }
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx]
    }

    fn serves(&self, target: Target) -> bool {
        self.reach.is_some() || matches!(target, Target::Cpu | Target::GpuOrCpu)
    }

    fn load(&self, source: &ModelSource, options: &LoadOptions) -> Result<Arc<dyn Model>> {
        own_datatypes_only(source, NAME, options)?;
        let loaded = self
            .library
            .get()
            .map_err(|reason| Error::BackendUnavailable { backend: NAME.to_owned(), reason })?;
        let flat = Flat::of(source, NAME)?;
        let source = &*flat.source;
        let outline = Outline::read_with(source, NAME, Outputs::Sequences)?;
        if matches!(source.beside, Beside::Files(_)) && outline.has_nested_external_data() {
            let reason = "a graph inside of it has its data in another file, which the library finds beside a model on the disk alone";
            return Err(unsupported(source, reason.to_owned()));
        }
        let opener = Opener {
            library: loaded.clone(),
            source: source.clone(),
            threads: options.threads.max(1),
            has_external_data: outline.has_external_data(),
            target: options.target,
            place: self.place(options.target)?,
            device_memory: options.device_memory,
        };
        let first = opener.open()?;
        let elsewhere = opener.elsewhere(first.session())?;
        let signature = flat.label(signature(source, &outline, first.session())?, NAME)?;
        let weights = outline.weight_bytes();
        let on_device = if opener.place.is_some() { weights } else { 0 };
        let file = source.bytes.len() as u64;
        let (host, per_session) =
            if first.is_shared() { (file.saturating_add(weights), 0) } else { (file, weights) };
        Ok(Arc::new(OnnxRuntimeModel {
            signature,
            footprint: Footprint { host, device: on_device, per_session },
            elsewhere,
            opener,
            opened: Mutex::new(Some(Arc::new(first))),
        }))
    }
}

/// A model file, and the session of the library that computes for all of samara's.
/// Where one cannot, each gets its own, with weights of its own.
struct OnnxRuntimeModel {
    signature: Signature,
    footprint: Footprint,
    /// What the provider of a GPU left to the CPU.
    elsewhere: Vec<String>,
    opener: Opener,
    /// The session that loading the model opened; one that cannot be shared is
    /// there until somebody takes it.
    opened: Mutex<Option<Arc<Native>>>,
}

impl Model for OnnxRuntimeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn footprint(&self) -> Footprint {
        self.footprint
    }

    fn batching(&self) -> Batching {
        Batching::None
    }

    fn elsewhere(&self) -> Vec<String> {
        self.elsewhere.clone()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let native = match self.opened() {
            Some(native) => native,
            None => Arc::new(self.opener.open()?),
        };
        let input_names = self.signature.inputs.iter().map(|spec| spec.name.clone()).collect();
        let outputs = self.signature.outputs.clone();
        let memory = ReleaseUnused(self.opener.library.arena.clone());
        let model = self.opener.source.name.clone();
        Ok(Box::new(OnnxRuntimeSession { model, input_names, outputs, native, _memory: memory }))
    }
}

impl OnnxRuntimeModel {
    /// The session that loading the model opened, if it may be used.
    fn opened(&self) -> Option<Arc<Native>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match &*opened {
            Some(native) if native.is_shared() => Some(Arc::clone(native)),
            _ => opened.take(),
        }
    }
}

/// All that opening a session takes.
#[derive(Clone)]
struct Opener {
    library: Loaded,
    source: ModelSource,
    threads: usize,
    has_external_data: bool,
    target: Target,
    /// The provider of a GPU, and which of its devices.
    place: Option<(Reach, u32)>,
    /// Bytes that it may take on that.
    device_memory: Option<u64>,
}

impl Opener {
    fn open(&self) -> Result<Native> {
        on_large_stack(NAME, || {
            let mut builder = self.configure().map_err(|error| refused(&self.source, &error))?;
            if let Some((reach, index)) = &self.place {
                let environment = &self.library.environment;
                let placed = reach.put_first(environment, builder, *index, self.device_memory);
                let unavailable = |reason| Error::TargetUnavailable { target: self.target, reason };
                builder = placed.map_err(|reason| unavailable(words(&reason)))?;
            }
            let session = builder.commit_from_memory(&self.source.bytes);
            session
                .and_then(|session| {
                    let weights = self.source.beside.clone();
                    Native::new(session, self.turn(), weights, self.library.arena.clone())
                })
                .map_err(|error| refused(&self.source, &error))
        })
    }

    /// Runs of several threads would share their session's threads and so have fewer
    /// than they may use.
    fn turn(&self) -> Turn {
        match self.place.is_none() && self.threads == 1 {
            true => Turn::SideBySide,
            false => Turn::OneByOne(Mutex::default()),
        }
    }

    /// The nodes that the provider left to the CPU, which only some targets
    /// allow.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming them where the target does not.
    fn elsewhere(&self, session: &NativeSession) -> Result<Vec<String>> {
        if self.place.is_none() {
            return Ok(Vec::new());
        }
        let nodes = provider::on_cpu(session).map_err(|reason| unsupported(&self.source, words(&reason)))?;
        let named: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        match (named.is_empty(), self.target) {
            (false, Target::Gpu(_)) => Err(unsupported(&self.source, some(&named))),
            _ => Ok(named),
        }
    }

    fn configure(&self) -> ort::Result<SessionBuilder> {
        let mut builder = NativeSession::builder(&self.library.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(self.threads)?
            .with_inter_threads(1)?
            // Threads that wait awake take the processor from those that compute.
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_env_allocators()?
            // Weights are as large as the file says and go with their session.
            .with_device_allocated_initializers()?;
        match &self.source.beside {
            Beside::Folder(folder) if self.has_external_data => {
                // The folder in which names of weight files are looked up.
                let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                let key = "session.model_external_initializers_file_folder_path";
                builder = builder.with_config_entry(key, folder.to_string_lossy())?;
            }
            Beside::Files(files) => native::add_files(&mut builder, files)?,
            _ => {}
        }
        Ok(builder)
    }
}

struct OnnxRuntimeSession {
    model: String,
    input_names: Vec<String>,
    outputs: Vec<TensorSpec>,
    native: Arc<Native>,
    _memory: ReleaseUnused,
}

impl Session for OnnxRuntimeSession {
    fn run(&mut self, inputs: &[Tensor], context: &RunContext) -> Result<Vec<Tensor>> {
        let started = Instant::now();
        context.check(started)?;
        let model = &self.model;
        let failed = |reason: String| Error::Run { model: model.clone(), backend: NAME, reason };
        let values = inputs.iter().zip(&self.input_names).map(|(tensor, name)| {
            tensors::to_native(tensor).map_err(|error| match error {
                tensors::Refusal::Input(source) => {
                    Error::Input(Mismatch::Malformed { tensor: name.clone(), source })
                }
                tensors::Refusal::Native(reason) => failed(format!("input {}: {reason}", quote(name))),
            })
        });
        let values: Vec<SessionInputValue<'_>> = values.collect::<Result<_>>()?;
        let options = Arc::new(RunOptions::new().map_err(|error| failed(words(error.message())))?);
        let _stop = context.cancellation.on_cancel({
            let options = Arc::clone(&options);
            move || {
                // A flag that cannot be set leaves the run to end by itself.
                let _ = options.terminate();
            }
        });
        let watch = context.deadline.map(|deadline| Watch::until(deadline, Arc::clone(&options))).transpose();
        let _watch = watch.map_err(|error| failed(format!("no thread watches its deadline: {error}")))?;
        let outputs = self.native.run(&values, &options).map_err(|error| {
            let stopped = context.check(started).err();
            stopped
                .or_else(|| out_of_memory(model, error.message()))
                .unwrap_or_else(|| failed(words(error.message())))
        })?;
        let declared = outputs.into_iter().zip(&self.outputs);
        declared
            .map(|(value, spec)| {
                tensors::from_native(value, spec)
                    .map_err(|reason| failed(format!("output {}: {reason}", quote(&spec.name))))
            })
            .collect()
    }
}

fn signature(source: &ModelSource, outline: &Outline<'_>, native: &NativeSession) -> Result<Signature> {
    let inputs = native.inputs().iter().map(|outlet| spec(source, outlet));
    let any_rows = outline.has_learned_of_rows();
    let outputs = native.outputs().iter().map(|outlet| {
        let mut spec = spec(source, outlet)?;
        if any_rows && spec.shape == [1] {
            spec.shape = vec![ANY_SIZE];
        }
        if let ([_, columns], Some(learned)) = (&mut spec.shape[..], outline.learned_columns(outlet.name())) {
            *columns = i64::try_from(learned).unwrap_or(ANY_SIZE);
        }
        // No axes is what the library also says where it does not know.
        let declared = outline.graph.outputs.iter().find(|output| output.name == outlet.name());
        let declares_shape = declared.is_some_and(|output| match &output.kind {
            Type::Tensor(tensor) => tensor.shape.is_some(),
            _ => true,
        });
        if spec.shape.is_empty() && !declares_shape {
            let name = quote(outlet.name());
            return Err(unsupported(
                source,
                format!("the number of axes of output {name} is unknown; export the model with shapes"),
            ));
        }
        Ok(spec)
    });
    Ok(Signature { inputs: inputs.collect::<Result<_>>()?, outputs: outputs.collect::<Result<_>>()? })
}

fn spec(source: &ModelSource, outlet: &Outlet) -> Result<TensorSpec> {
    let name = outlet.name();
    let (stacked, element) = match outlet.dtype() {
        ValueType::Sequence(element) => (Some(ANY_SIZE), &**element),
        tensor => (None, tensor),
    };
    let ValueType::Tensor { ty, shape, .. } = element else {
        return Err(unsupported(source, format!("{} is {}, no tensor", quote(name), outlet.dtype())));
    };
    let datatype = tensors::datatype(*ty)
        .ok_or_else(|| unsupported(source, format!("tensor {} has the datatype {ty}", quote(name))))?;
    let sizes = shape.iter().map(|&size| if size < 0 { ANY_SIZE } else { size });
    let sizes: Vec<i64> = stacked.into_iter().chain(sizes).collect();
    Ok(TensorSpec::new(name, datatype, sizes))
}

/// The first of many, with how many there are beside them.
fn some(parts: &[String]) -> String {
    const MOST: usize = 10;
    let named = parts.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    match parts.len().saturating_sub(MOST) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

fn unsupported(source: &ModelSource, reason: String) -> Error {
    Error::Unsupported { model: source.name.clone(), backend: NAME, reason }
}
