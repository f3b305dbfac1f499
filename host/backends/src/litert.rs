//! TFLite models by LiteRT, a library that is loaded when it is first asked for.

mod api;
mod compiled;
mod library;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use samara_nn::{
    ANY_SIZE, Backend, Batching, Device, Error, Footprint, Format, LoadOptions, Model, ModelSource, Probe,
    Result, RunContext, Session, Signature, Target, Tensor, TensorSpec,
};

use crate::names::quote;
use crate::precision::own_datatypes_only;
use crate::stack::on_large_stack;
use crate::tflite::{Outline, Side};
use compiled::{Compiled, NativeModel, Tensors};
use library::Library;

const NAME: &str = "litert";

/// The backend `litert`.
pub struct LiteRt {
    library: Library,
    tensor_limit: u64,
}

impl LiteRt {
    /// A backend that loads the first of `candidates` that is there, and refuses models
    /// with a tensor of more than `tensor_limit` bytes.
    pub fn new(candidates: Vec<PathBuf>, tensor_limit: u64) -> Self {
        Self { library: Library::new(candidates), tensor_limit }
    }
}

impl Backend for LiteRt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn probe(&self) -> Probe {
        match self.library.get() {
            Ok(loaded) => Probe::Available {
                // The library does not tell its own; what it has tells this much.
                version: "2.1.6 or newer".to_owned(),
                devices: vec![Device { target: Target::Cpu, description: std::env::consts::ARCH.to_owned() }],
                origin: loaded.path.display().to_string(),
            },
            Err(reason) => Probe::Unavailable { reason },
        }
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Tflite]
    }

    fn serves(&self, target: Target) -> bool {
        matches!(target, Target::Cpu | Target::GpuOrCpu)
    }

    fn load(&self, source: &ModelSource, options: &LoadOptions) -> Result<Arc<dyn Model>> {
        own_datatypes_only(source, NAME, options)?;
        let outline = Outline::read(source, NAME, self.tensor_limit)?;
        let library = self.library.get();
        let library =
            library.map_err(|reason| Error::BackendUnavailable { backend: NAME.to_owned(), reason })?;
        let unsupported = |reason| Error::Unsupported { model: source.name.clone(), backend: NAME, reason };
        let signature = signature(&outline).map_err(unsupported)?;
        let native = NativeModel::new(library, &source.bytes).map_err(|reason| Error::InvalidModel {
            model: source.name.clone(),
            backend: NAME,
            reason,
        })?;
        let opener = Opener {
            name: source.name.as_str().into(),
            native: Arc::new(native),
            called: outline.called(),
            signature: signature.clone(),
            threads: options.threads.max(1),
        };
        let first = on_large_stack(NAME, || opener.open().map_err(unsupported))?;
        let footprint =
            Footprint { host: source.bytes.len() as u64, device: 0, per_session: outline.weight_bytes() };
        Ok(Arc::new(LiteRtModel { opener, footprint, opened: Mutex::new(Some(first)) }))
    }
}

/// A model file that sessions are opened from, each with its own plan and packed weights.
struct LiteRtModel {
    opener: Opener,
    footprint: Footprint,
    /// What loading the model compiled, until a session takes it.
    opened: Mutex<Option<Compiled>>,
}

impl Model for LiteRtModel {
    fn signature(&self) -> &Signature {
        &self.opener.signature
    }

    fn footprint(&self) -> Footprint {
        self.footprint
    }

    fn batching(&self) -> Batching {
        Batching::None
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        let model = Arc::clone(&self.opener.name);
        let failed = |reason| Error::Run { model: model.to_string(), backend: NAME, reason };
        let compiled = opened.map_or_else(|| self.opener.open().map_err(failed), Ok)?;
        Ok(Box::new(LiteRtSession { model, compiled }))
    }
}

/// All that opening a session takes.
struct Opener {
    name: Arc<str>,
    native: Arc<NativeModel>,
    /// The signature of the file that is called.
    called: usize,
    signature: Signature,
    threads: usize,
}

impl Opener {
    /// # Errors
    /// In words.
    fn open(&self) -> std::result::Result<Compiled, String> {
        let declared = |specs: &[TensorSpec]| specs.iter().map(declared).collect::<Vec<_>>();
        let (inputs, outputs) = (declared(&self.signature.inputs), declared(&self.signature.outputs));
        Compiled::new(&self.native, self.called, &inputs, &outputs, self.threads)
    }
}

struct LiteRtSession {
    model: Arc<str>,
    compiled: Compiled,
}

impl Session for LiteRtSession {
    fn run(&mut self, inputs: &[Tensor], context: &RunContext) -> Result<Vec<Tensor>> {
        let started = Instant::now();
        context.check(started)?;
        let stop = Arc::clone(self.compiled.stop());
        stop.store(false, Ordering::Relaxed);
        let _stop = context.cancellation.on_cancel(move || stop.store(true, Ordering::Relaxed));
        self.compiled.run(inputs).map_err(|reason| {
            let stopped = context.check(started).err();
            stopped.unwrap_or_else(|| Error::Run { model: self.model.to_string(), backend: NAME, reason })
        })
    }
}

/// What a caller gives and takes.
///
/// # Errors
/// In words, for tensors that do not travel or have no sizes beforehand.
fn signature(outline: &Outline<'_>) -> std::result::Result<Signature, String> {
    let (inputs, outputs) = (outline.specs(Side::Inputs)?, outline.specs(Side::Outputs)?);
    let is_open = |spec: &&TensorSpec| spec.shape.contains(&ANY_SIZE);
    let open = outputs.iter().find(is_open);
    match open.filter(|_| !inputs.iter().any(|spec| is_open(&spec))) {
        Some(output) => Err(format!(
            "the sizes of output {} follow from the values of the inputs, and its C library gives only tensors whose sizes are known before",
            quote(&output.name)
        )),
        None => Ok(Signature { inputs, outputs }),
    }
}

/// Open axes begin with the size 1, as they do in the library.
fn declared(spec: &TensorSpec) -> Tensors {
    let shape = spec.shape.iter().map(|&size| usize::try_from(size).unwrap_or(1)).collect();
    Tensors { datatype: spec.datatype, shape }
}
