//! The engines that execute models, one module and one feature each, and the
//! only list of what exists.
//!
//! A backend turns an engine's library into the traits of `samara-nn`. Every
//! model file is read and checked here first ([`onnx`]), so that all engines
//! answer a hostile file in the same way and none sees one that is unsound.

mod memory;
#[cfg(any(feature = "onnxruntime", feature = "tract"))]
mod onnx;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
#[cfg(any(feature = "onnxruntime", feature = "tract"))]
mod stack;
#[cfg(feature = "tract")]
mod tract;

use std::path::PathBuf;
use std::sync::Arc;

use samara_nn::{Backend, BackendRegistry};

#[cfg(feature = "onnxruntime")]
pub use onnxruntime::OnnxRuntime;
#[cfg(feature = "tract")]
pub use tract::Tract;

/// What the registry needs to know of the host.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Files that may be the ONNX Runtime library, or directories that may hold
    /// it; the first that is there is the one that is loaded.
    pub onnxruntime_libraries: Vec<PathBuf>,
    pub prefer: Preference,
    /// No single tensor that a model computes may take more bytes than this,
    /// where the engine lets that be checked.
    pub tensor_limit: u64,
    /// All that ONNX Runtime may hold in memory, `None` for no limit. Set it
    /// below what the machine or container has: a model that asks for more then
    /// fails instead of ending the process.
    pub onnxruntime_memory_limit: Option<u64>,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            onnxruntime_libraries: Vec::new(),
            prefer: Preference::default(),
            tensor_limit: DEFAULT_TENSOR_LIMIT,
            onnxruntime_memory_limit: memory::available().map(|bytes| bytes / 4 * 3),
        }
    }
}

/// 2 GiB: as much as one ONNX file may hold.
pub const DEFAULT_TENSOR_LIMIT: u64 = 2 << 30;

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
    #[cfg_attr(
        not(any(feature = "onnxruntime", feature = "tract")),
        expect(unused_mut, reason = "a build without engines has none to add")
    )]
    let mut backends: Vec<Arc<dyn Backend>> = Vec::new();
    #[cfg(feature = "onnxruntime")]
    backends.push(Arc::new(OnnxRuntime::new(
        options.onnxruntime_libraries.clone(),
        options.onnxruntime_memory_limit,
    )));
    #[cfg(feature = "tract")]
    backends.push(Arc::new(Tract::new(options.tensor_limit)));
    if options.prefer == Preference::Startup {
        backends.sort_by_key(|backend| backend.name() != "tract");
    }
    BackendRegistry::new(backends)
}
