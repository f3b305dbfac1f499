//! The engines that execute models, one module and one feature each, and the
//! only list of what exists.
//!
//! A backend turns an engine's library into the traits of `samara-nn`. Every
//! model file is read and checked here first (`onnx`, `tflite`), so that all engines
//! answer a hostile file in the same way and none sees one that is unsound.

#[cfg(feature = "litert")]
mod litert;
mod memory;
mod names;
#[cfg(any(feature = "onnxruntime", feature = "tract"))]
#[cfg_attr(
    not(all(feature = "onnxruntime", feature = "tract")),
    allow(dead_code, reason = "each engine uses another part of it")
)]
mod onnx;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
#[cfg(any(feature = "litert", feature = "onnxruntime", feature = "tract"))]
mod precision;
mod provider;
#[cfg(any(feature = "litert", feature = "onnxruntime"))]
mod sought;
#[cfg(any(feature = "litert", feature = "onnxruntime", feature = "tract"))]
mod stack;
#[cfg(any(feature = "onnxruntime", feature = "tract"))]
mod standalone;
#[cfg_attr(not(feature = "litert"), allow(dead_code, reason = "only the check of files uses it then"))]
mod tflite;
#[cfg(feature = "tract")]
mod tract;
#[cfg(feature = "gpu")]
mod wgpu;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use samara_nn::{Backend, BackendRegistry, Format, ModelSource, Result};

#[cfg(feature = "litert")]
pub use litert::LiteRt;
#[cfg(feature = "onnxruntime")]
pub use onnxruntime::OnnxRuntime;
pub use provider::{Provider, UnknownProvider};
#[cfg(any(feature = "onnxruntime", feature = "tract"))]
pub use standalone::{StandaloneModel, standalone_model};
#[cfg(feature = "tract")]
pub use tract::Tract;
#[cfg(feature = "gpu")]
pub use wgpu::Wgpu;

/// What the registry needs to know of the host.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Files that may be the ONNX Runtime library, or directories that may hold
    /// it; the first that is there is the one that is loaded.
    pub onnxruntime_libraries: Vec<PathBuf>,
    /// The same for the LiteRT library.
    pub litert_libraries: Vec<PathBuf>,
    /// What ONNX Runtime runs models on where a GPU is asked for.
    pub onnxruntime_provider: Option<Provider>,
    pub prefer: Preference,
    /// No single tensor that a model computes may take more bytes than this,
    /// where the engine lets that be checked.
    pub tensor_limit: u64,
    /// All that ONNX Runtime may hold in memory, `None` for no limit. Set it
    /// below what the machine or container has: a model that asks for more then
    /// fails instead of ending the process.
    pub onnxruntime_memory_limit: Option<u64>,
    /// Whether a driver that computes on the CPU counts as a GPU.
    pub allow_software_gpu: bool,
    /// The folder in which what a GPU's driver makes of shaders is kept from one
    /// process to the next; `None` keeps nothing.
    pub gpu_cache: Option<PathBuf>,
    /// Whether each kernel on a GPU is timed, which takes time itself.
    pub gpu_timings: bool,
    /// All that one model may hold in a GPU's memory, its runs included.
    pub gpu_memory_limit: u64,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            onnxruntime_libraries: Vec::new(),
            litert_libraries: Vec::new(),
            onnxruntime_provider: None,
            prefer: Preference::default(),
            tensor_limit: DEFAULT_TENSOR_LIMIT,
            onnxruntime_memory_limit: memory::available().map(|bytes| bytes / 4 * 3),
            allow_software_gpu: false,
            gpu_cache: None,
            gpu_timings: false,
            gpu_memory_limit: DEFAULT_GPU_MEMORY_LIMIT,
        }
    }
}

/// 2 GiB: as much as one ONNX file may hold.
pub const DEFAULT_TENSOR_LIMIT: u64 = 2 << 30;

/// 8 GiB.
pub const DEFAULT_GPU_MEMORY_LIMIT: u64 = 8 << 30;

/// What counts when the backend is `auto`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preference {
    /// The fastest engine first: for models that stay loaded.
    #[default]
    Throughput,
    /// The engine that is ready first: for one run.
    Startup,
}

/// The backends of this build, in the order in which `auto` tries them.
pub fn registry(options: &RegistryOptions) -> BackendRegistry {
    // The first serves no model for the CPU.
    let backends = [
        wgpu_backend(options),
        onnxruntime_backend(options),
        tract_backend(options),
        litert_backend(options),
    ];
    let mut backends: Vec<Arc<dyn Backend>> = backends.into_iter().flatten().collect();
    if options.onnxruntime_provider.is_some() {
        // Whoever names a provider for GPUs means it to be taken.
        backends.sort_by_key(|backend| backend.name() != "onnxruntime");
    } else if options.prefer == Preference::Startup {
        backends.sort_by_key(|backend| backend.name() == "onnxruntime");
    }
    BackendRegistry::new(backends)
}

/// Reads a model file as every backend does before it loads one.
///
/// # Errors
/// [`Error::InvalidModel`](samara_nn::Error::InvalidModel) when it is unsound,
/// or keeps weights in files that its `path` does not lead to.
pub fn check(source: &ModelSource) -> Result<()> {
    match source.format {
        Format::Tflite => tflite::Outline::read(source, "samara", DEFAULT_TENSOR_LIMIT).map(drop),
        Format::Onnx => check_onnx(source),
        _ => Ok(()),
    }
}

/// The names of the files that a model keeps weights in, beside its own file, each
/// once. None where it is damaged: loading it says so.
pub fn data_files(format: Format, bytes: &[u8]) -> BTreeSet<String> {
    match format {
        Format::Onnx => onnx_data_files(bytes),
        _ => BTreeSet::new(),
    }
}

#[cfg(any(feature = "onnxruntime", feature = "tract"))]
fn onnx_data_files(bytes: &[u8]) -> BTreeSet<String> {
    onnx::data_files(bytes)
}

#[cfg(not(any(feature = "onnxruntime", feature = "tract")))]
fn onnx_data_files(_: &[u8]) -> BTreeSet<String> {
    BTreeSet::new()
}

#[cfg(any(feature = "onnxruntime", feature = "tract"))]
fn check_onnx(source: &ModelSource) -> Result<()> {
    let flat = onnx::Flat::of(source, "samara")?;
    onnx::Outline::read(&flat.source, "samara").map(drop)
}

/// Without a backend for them nothing is known of ONNX models.
#[cfg(not(any(feature = "onnxruntime", feature = "tract")))]
fn check_onnx(_: &ModelSource) -> Result<()> {
    Ok(())
}

/// A model as the engine inside a standalone component gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg(not(any(feature = "onnxruntime", feature = "tract")))]
pub struct StandaloneModel {
    /// An ONNX file, whose large weights are elsewhere.
    pub file: Vec<u8>,
    /// The large weights.
    pub weights: Vec<u8>,
}

/// Without a backend for them nothing is known of ONNX models.
///
/// # Errors
/// Always.
#[cfg(not(any(feature = "onnxruntime", feature = "tract")))]
pub fn standalone_model(source: &ModelSource) -> Result<StandaloneModel> {
    let reason = "this build has no backend for ONNX models".to_owned();
    Err(samara_nn::Error::Unsupported { model: source.name.clone(), backend: "rten", reason })
}

#[cfg(feature = "litert")]
fn litert_backend(options: &RegistryOptions) -> Option<Arc<dyn Backend>> {
    Some(Arc::new(LiteRt::new(options.litert_libraries.clone(), options.tensor_limit)))
}

#[cfg(not(feature = "litert"))]
fn litert_backend(_: &RegistryOptions) -> Option<Arc<dyn Backend>> {
    None
}

#[cfg(feature = "onnxruntime")]
fn onnxruntime_backend(options: &RegistryOptions) -> Option<Arc<dyn Backend>> {
    let libraries = options.onnxruntime_libraries.clone();
    let provider = options.onnxruntime_provider.clone();
    let (limit, allow_software) = (options.onnxruntime_memory_limit, options.allow_software_gpu);
    Some(Arc::new(OnnxRuntime::new(libraries, limit, provider, allow_software)))
}

#[cfg(not(feature = "onnxruntime"))]
fn onnxruntime_backend(_: &RegistryOptions) -> Option<Arc<dyn Backend>> {
    None
}

#[cfg(feature = "tract")]
fn tract_backend(options: &RegistryOptions) -> Option<Arc<dyn Backend>> {
    Some(Arc::new(Tract::new(options.tensor_limit)))
}

#[cfg(not(feature = "tract"))]
fn tract_backend(_: &RegistryOptions) -> Option<Arc<dyn Backend>> {
    None
}

#[cfg(feature = "gpu")]
fn wgpu_backend(options: &RegistryOptions) -> Option<Arc<dyn Backend>> {
    let limits = samara_gpu::ExecutableOptions {
        memory_limit: options.gpu_memory_limit,
        tensor_limit: options.tensor_limit,
        ..samara_gpu::ExecutableOptions::default()
    };
    let gpus = samara_gpu::GpuOptions {
        allow_software: options.allow_software_gpu,
        cache: options.gpu_cache.clone(),
        timings: options.gpu_timings,
        ..samara_gpu::GpuOptions::default()
    };
    Some(Arc::new(Wgpu::new(gpus, limits)))
}

#[cfg(not(feature = "gpu"))]
fn wgpu_backend(_: &RegistryOptions) -> Option<Arc<dyn Backend>> {
    None
}
