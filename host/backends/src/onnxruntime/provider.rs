//! GPUs by ONNX Runtime's execution providers: NVIDIA's, which are parts of some
//! builds of the library, and plugins, which are libraries of their own.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::AsPointer;
use ort::device::Device;
use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider, TensorRT};
use ort::memory::DeviceType;
use ort::session::Session as NativeSession;
use ort::session::builder::SessionBuilder;

use crate::provider::Provider;

/// A node that a provider left to the CPU.
pub(super) struct OnCpu {
    pub node: String,
    pub operator: String,
}

impl fmt::Display for OnCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, operator } = self;
        write!(f, "node `{node}` (operator `{operator}`): the provider leaves it to the CPU")
    }
}

/// What the library calls its own provider.
const CPU: &str = "CPUExecutionProvider";

/// Has a session remember which provider got which node.
const REMEMBER: &str = "session.record_ep_graph_assignment_info";

/// A provider, and what counts as a GPU.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub provider: Provider,
    /// Whether what computes on the CPU does.
    pub allow_software: bool,
}

impl Reach {
    /// The devices that it has, in words, or why it cannot be used.
    pub(super) fn devices(&self, environment: &Environment) -> Result<Vec<String>, String> {
        let Self { provider, .. } = self;
        let built_in = |available: ort::Result<bool>| match available {
            Ok(true) => Ok(vec![format!("by the provider {provider}")]),
            Ok(false) => Err(format!("this build of ONNX Runtime has no provider `{provider}`")),
            Err(error) => Err(error.message().to_owned()),
        };
        match provider {
            Provider::Cuda => built_in(CUDA::is_available()),
            Provider::TensorRt => built_in(TensorRT::is_available()),
            Provider::Plugin(library) => {
                let name = register(environment, library)?;
                let described: Vec<String> =
                    self.of_plugin(environment, &name).map(|device| describe(&device)).collect();
                if described.is_empty() {
                    let none = format!("the provider of `{}` finds no GPU here", library.display());
                    let software = environment.devices().any(|device| is_of(&device, &name));
                    return Err(match software {
                        true => {
                            none + ", and what computes on the CPU counts only with `--allow-software-gpu`"
                        }
                        false => none,
                    });
                }
                Ok(described)
            }
        }
    }

    /// Puts it before the CPU. `index` counts its devices, and `memory` is what it
    /// may take on one, in bytes.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn put_first(
        &self,
        environment: &Environment,
        builder: SessionBuilder,
        index: u32,
        memory: Option<u64>,
    ) -> Result<SessionBuilder, String> {
        let words = |error: &dyn fmt::Display| error.to_string();
        let builder = builder.with_config_entry(REMEMBER, "1").map_err(|error| words(&error))?;
        let device = i32::try_from(index).unwrap_or(i32::MAX);
        let cuda = || {
            let cuda = CUDA::default().with_device_id(device);
            let limit = memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
            let cuda = limit.into_iter().fold(cuda, CUDA::with_memory_limit);
            cuda.build().error_on_failure()
        };
        self.devices(environment)?;
        match &self.provider {
            Provider::Cuda => builder.with_execution_providers([cuda()]).map_err(|error| words(&error)),
            Provider::TensorRt => {
                let tensorrt = TensorRT::default().with_device_id(device).build().error_on_failure();
                builder.with_execution_providers([tensorrt, cuda()]).map_err(|error| words(&error))
            }
            Provider::Plugin(library) => {
                if memory.is_some() {
                    return Err(format!(
                        "the provider of `{}` keeps no limit of GPU memory: leave `gpu-memory` out",
                        library.display()
                    ));
                }
                let name = register(environment, library)?;
                let mut devices = environment.devices().filter(|device| is_of(device, &name));
                let device = devices.nth(index as usize);
                let device = device
                    .ok_or_else(|| format!("the provider of `{}` has no GPU {index}", library.display()))?;
                builder.with_devices([device], None).map_err(|error| words(&error))
            }
        }
    }

    /// The devices of a plugin that count as GPUs.
    fn of_plugin<'e>(&self, environment: &'e Environment, name: &str) -> impl Iterator<Item = Device<'e>> {
        let is_gpu = |device: &Device<'_>| matches!(device.hardware_device().ty(), DeviceType::GPU);
        let devices = environment.devices().filter(move |device| is_of(device, name));
        devices.filter(move |device| self.allow_software || is_gpu(device))
    }
}

fn is_of(device: &Device<'_>, provider: &str) -> bool {
    device.ep().is_ok_and(|name| name.to_lowercase().contains(provider))
}

fn describe(device: &Device<'_>) -> String {
    let provider = device.ep().unwrap_or_default();
    let vendor = device.hardware_device().vendor().unwrap_or_default();
    let kind = match device.hardware_device().ty() {
        DeviceType::GPU => "GPU",
        _ => "software adapter",
    };
    format!("{vendor} {kind}, by {provider}").trim_start().to_owned()
}

/// Plugins that this process has loaded, which stay.
static REGISTERED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Loads a plugin once, and gives what the names of its devices contain.
fn register(environment: &Environment, library: &Path) -> Result<String, String> {
    let shown = library.display();
    let path = library.canonicalize().map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = stem.rsplit(['_', '-']).next().unwrap_or_default().to_owned();
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if !registered.contains(&path) {
        environment
            .register_ep_library(&name, &path)
            .map_err(|error| format!("`{shown}` cannot be used: {}", error.message()))?;
        registered.push(path);
    }
    Ok(name)
}

/// The nodes of a session that run on the CPU.
///
/// # Errors
/// When the library does not tell.
pub(super) fn on_cpu(session: &NativeSession) -> Result<Vec<OnCpu>, String> {
    let api = ort::api::ort();
    let mut graphs: *const *const ort::sys::OrtEpAssignedSubgraph = std::ptr::null();
    let mut count = 0;
    // SAFETY: the session lives as long as this call, and both places are written
    // before they are read.
    let status = unsafe { (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &mut graphs, &mut count) };
    check(status)?;
    let mut nodes = Vec::new();
    // SAFETY: the library gave so many pointers, which its session owns.
    for &graph in unsafe { listed(graphs, count) } {
        // SAFETY: `graph` is one of the session's, whose name is a text in it.
        let provider = unsafe { text(|out| (api.EpAssignedSubgraph_GetEpName)(graph, out)) }?;
        if provider != CPU {
            continue;
        }
        let mut assigned: *const *const ort::sys::OrtEpAssignedNode = std::ptr::null();
        let mut count = 0;
        // SAFETY: as above.
        check(unsafe { (api.EpAssignedSubgraph_GetNodes)(graph, &mut assigned, &mut count) })?;
        // SAFETY: as above.
        for &node in unsafe { listed(assigned, count) } {
            // SAFETY: `node` is one of the session's, and its texts are in it.
            let name = unsafe { text(|out| (api.EpAssignedNode_GetName)(node, out)) }?;
            // SAFETY: as above.
            let operator = unsafe { text(|out| (api.EpAssignedNode_GetOperatorType)(node, out)) }?;
            nodes.push(OnCpu { node: name, operator });
        }
    }
    Ok(nodes)
}

/// # Safety
/// `first` must be null or lead to `count` values that live as long as `'a`.
unsafe fn listed<'a, T>(first: *const T, count: usize) -> &'a [T] {
    match first.is_null() || count == 0 {
        true => &[],
        // SAFETY: what the caller says.
        false => unsafe { std::slice::from_raw_parts(first, count) },
    }
}

/// A text that `ask` finds.
///
/// # Safety
/// `ask` must leave a text with a closing zero that lives until this returns.
unsafe fn text(ask: impl FnOnce(*mut *const c_char) -> ort::sys::OrtStatusPtr) -> Result<String, String> {
    let mut found: *const c_char = std::ptr::null();
    check(ask(&mut found))?;
    match found.is_null() {
        true => Ok(String::new()),
        // SAFETY: what the caller says.
        false => Ok(unsafe { CStr::from_ptr(found) }.to_string_lossy().into_owned()),
    }
}

fn check(status: ort::sys::OrtStatusPtr) -> Result<(), String> {
    // SAFETY: a status that the library just gave, which this takes over.
    unsafe { ort::Error::result_from_status(status) }.map_err(|error| error.message().to_owned())
}
