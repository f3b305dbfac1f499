//! ONNX models on GPUs by `samara-gpu`, read by tract.

mod attention;

use std::sync::Arc;

use samara_gpu::{AdapterDescription, Executable, ExecutableOptions, GpuOptions, Gpus};
use samara_nn::{
    Backend, Batching, Datatype, Device, Error, Footprint, Format, KernelTime, LoadOptions, Model,
    ModelSource, Plan, Planned, Probe, Result, RunContext, Session, Signature, Target, Tensor,
};

use crate::onnx::{Flat, Outline};
use crate::stack::on_large_stack;
use crate::tract::{error::refused, read, rows};

const NAME: &str = "wgpu";

/// The version of the library that `Cargo.toml` pins.
const VERSION: &str = "30.0.1";

/// Datatypes that no shader computes with.
const LACKED: [Datatype; 3] = [Datatype::Bf16, Datatype::Fp64, Datatype::Bytes];

/// The backend `wgpu`.
pub struct Wgpu {
    gpus: Arc<Gpus>,
    limits: ExecutableOptions,
}

impl Wgpu {
    /// A backend on adapters as `options` say that keeps every model within
    /// `limits`.
    pub fn new(options: GpuOptions, limits: ExecutableOptions) -> Self {
        Self { gpus: Arc::new(Gpus::new(options)), limits }
    }

    fn load_typed(&self, flat: &Flat<'_>, outline: &Outline<'_>, options: &LoadOptions) -> Result<WgpuModel> {
        let source = &*flat.source;
        let target = options.target;
        let limits = ExecutableOptions {
            allow_cpu_nodes: target == Target::GpuOrCpu,
            memory_limit: options
                .device_memory
                .map_or(self.limits.memory_limit, |limit| limit.min(self.limits.memory_limit)),
            precision: options.precision,
            ..self.limits
        };
        let limit = limits.tensor_limit;
        let mut first_error = None;
        // As for tract: what the file says of inner tensors helps, unless it
        // contradicts what is inferred from open sizes.
        let attempts: &[bool] = if read::is_dynamic(outline) { &[true, false] } else { &[true] };
        for &value_info in attempts {
            let typed = read::parse(source, NAME, read::Operators::Plain, value_info, limit)
                .and_then(|model| attention::written_out(read::typed(read::with_symbols(model, outline)?)?))
                .and_then(|typed| Ok((read::outputs(&typed, outline)?, rows::batching(&typed), typed)));
            match typed {
                Ok((outputs, batching, typed)) => {
                    let signature = Signature { inputs: read::inputs(outline), outputs };
                    let signature = flat.label(signature, NAME)?;
                    let loaded = Executable::load(&self.gpus, adapter(target), &typed, &limits);
                    let executable = loaded.map_err(|error| failed(&source.name, error))?;
                    return Ok(WgpuModel(Arc::new(Loaded {
                        name: source.name.clone(),
                        signature,
                        batching,
                        host: outline.weight_bytes(),
                        executable,
                    })));
                }
                Err(error) => {
                    let error = refused(source, NAME, error);
                    if matches!(error, Error::InvalidModel { .. } | Error::TooLarge { .. }) {
                        return Err(error);
                    }
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(Error::Cancelled))
    }
}

impl Backend for Wgpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn probe(&self) -> Probe {
        match self.gpus.choose(None) {
            Ok(_) => Probe::Available {
                version: VERSION.to_owned(),
                devices: self.gpus.adapters().iter().map(device).collect(),
                origin: "built in".to_owned(),
            },
            Err(error) => Probe::Unavailable { reason: error.to_string() },
        }
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx]
    }

    fn serves(&self, target: Target) -> bool {
        matches!(target, Target::Gpu(_) | Target::GpuOrCpu)
    }

    fn load(&self, source: &ModelSource, options: &LoadOptions) -> Result<Arc<dyn Model>> {
        // Before the file: without a GPU there is nothing to read it for.
        self.gpus.choose(adapter(options.target)).map_err(|error| failed(&source.name, error))?;
        let flat = Flat::of(source, NAME)?;
        let source = &*flat.source;
        let outline = Outline::read(source, NAME)?;
        read::check_operators(source, &outline, NAME, read::Operators::Plain)?;
        read::check_datatypes(source, &outline, NAME, &LACKED)?;
        Ok(Arc::new(on_large_stack(NAME, || self.load_typed(&flat, &outline, options))?))
    }
}

/// The adapter that a target names.
fn adapter(target: Target) -> Option<u32> {
    if let Target::Gpu(index) = target { index } else { None }
}

fn device(adapter: &AdapterDescription) -> Device {
    let description = format!("{} ({})", adapter.name, adapter.details);
    Device { target: Target::Gpu(Some(adapter.index)), description }
}

struct WgpuModel(Arc<Loaded>);

struct Loaded {
    name: String,
    signature: Signature,
    batching: Batching,
    /// Bytes of weights that stay in the host.
    host: u64,
    executable: Executable,
}

impl Model for WgpuModel {
    fn signature(&self) -> &Signature {
        &self.0.signature
    }

    fn footprint(&self) -> Footprint {
        Footprint { host: self.0.host, device: self.0.executable.device_bytes(), per_session: 0 }
    }

    fn batching(&self) -> Batching {
        self.0.batching
    }

    fn elsewhere(&self) -> Vec<String> {
        self.0.executable.cpu_nodes().iter().map(ToString::to_string).collect()
    }

    fn as_planned(&self) -> Option<&dyn Planned> {
        Some(self)
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(WgpuSession(Arc::clone(&self.0))))
    }
}

impl Planned for WgpuModel {
    fn plan(&self, shapes: &[Vec<usize>]) -> Result<Plan> {
        self.0.executable.plan(shapes).map_err(|error| failed(&self.0.name, error))
    }

    fn kernel_times(&self) -> Vec<KernelTime> {
        self.0.executable.kernel_times()
    }
}

/// The executable serves any number of threads: a session is a share of it.
struct WgpuSession(Arc<Loaded>);

impl Session for WgpuSession {
    fn run(&mut self, inputs: &[Tensor], context: &RunContext) -> Result<Vec<Tensor>> {
        self.0.executable.run(inputs, context).map_err(|error| failed(&self.0.name, error))
    }
}

/// The executor's errors in samara's terms.
fn failed(model: &str, error: samara_gpu::Error) -> Error {
    let model = model.to_owned();
    match error {
        samara_gpu::Error::NoAdapter(reason) => {
            Error::BackendUnavailable { backend: NAME.to_owned(), reason }
        }
        samara_gpu::Error::Unsupported(_) | samara_gpu::Error::NoMatrices(_) => {
            Error::Unsupported { model, backend: NAME, reason: error.to_string() }
        }
        samara_gpu::Error::TooLarge { what, size, limit } => Error::TooLarge { model, what, size, limit },
        samara_gpu::Error::Input(mismatch) => Error::Input(mismatch),
        samara_gpu::Error::Timeout { after } => Error::Timeout { after },
        samara_gpu::Error::Cancelled => Error::Cancelled,
        other => Error::Run { model, backend: NAME, reason: other.to_string() },
    }
}
