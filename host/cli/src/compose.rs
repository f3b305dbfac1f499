//! Where the rooms of the host are put together: backends into a pool, a pool
//! into a host, files and flags into a function.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use bytes::Bytes;
use samara_backends::{Preference, RegistryOptions};
use samara_engine::{CallOptions, Function, FunctionSource, Host, HostOptions, ModelRequest, Outcome};
use samara_nn::{BackendRegistry, Compute, NamedTensor, Pool, ResidentModel};
use tokio::runtime::Runtime;

use crate::printer::Printer;
use crate::settings::Settings;
use crate::store::Store;
use crate::what::What;

/// The variable that names the ONNX Runtime library to use.
pub(crate) const ONNXRUNTIME_VARIABLE: &str = "SAMARA_ONNXRUNTIME";

/// The variable that names the LiteRT library to use.
pub(crate) const LITERT_VARIABLE: &str = "SAMARA_LITERT";

/// Calls that may wait for a compute thread; one-shot commands make few, and
/// callers side by side no more than one each.
const QUEUE: usize = 64;

/// The same for a server, whose gates let in fewer.
const SERVING_QUEUE: usize = 8192;

/// A function that is loaded and the runtime that it is called on.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub function: Function,
    pub version: String,
    runtime: Runtime,
}

/// How a loaded function is going to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// By one caller, a few times: what starts soonest is best.
    Once,
    /// By so many callers side by side, for long: what runs fastest is best.
    Callers(usize),
}

impl Loaded {
    /// Starts a host for one function and loads it.
    ///
    /// # Errors
    /// Whatever makes the function unfit to be called.
    pub(crate) fn load(
        what: &What,
        source: FunctionSource,
        usage: Use,
        settings: &Settings,
        printer: &Printer,
    ) -> Result<Self> {
        let _spinner = printer.spinner(format!("loading {}", source.name));
        let pool = Arc::new(pool(settings, usage));
        let early = load_early(&pool, &source);
        let mut builder = match usage {
            Use::Once => tokio::runtime::Builder::new_current_thread(),
            Use::Callers(_) => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder.enable_all().build().context("cannot start the runtime")?;
        // A call takes one instance per stage.
        let instances = source.stages.len().max(1).saturating_mul(usage.callers());
        let host = host(settings, pool, u32::try_from(instances).context("too many stages")?)?;
        let function = runtime.block_on(Function::load(&host, source));
        drop(early);
        let function = function?;
        for warning in &function.load_report().warnings {
            printer.warn(warning);
        }
        let version = what.manifest().map_or("", |manifest| &manifest.function.version).to_owned();
        Ok(Self { function, version, runtime })
    }

    /// What the function is called on.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Leaves everything standing, for a process that ends now: the system
    /// takes it all back faster than it could be taken down.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }

    /// Calls the function once.
    ///
    /// # Errors
    /// What ended the call.
    pub(crate) fn infer(&self, inputs: Vec<NamedTensor>) -> samara_engine::Result<Outcome> {
        self.runtime.block_on(self.function.infer(inputs, CallOptions::default()))
    }

    /// Runs a command and gives its exit code.
    ///
    /// # Errors
    /// What ended it otherwise.
    pub(crate) fn run_command(&self, arguments: &[String]) -> samara_engine::Result<i32> {
        self.runtime.block_on(self.function.run_command(arguments, None))
    }
}

impl Use {
    fn callers(self) -> usize {
        match self {
            Use::Once => 1,
            Use::Callers(count) => count,
        }
    }

    fn preference(self) -> Preference {
        match self {
            Use::Once => Preference::Startup,
            Use::Callers(_) => Preference::Throughput,
        }
    }
}

/// Compiles components into the code cache, so that no first call waits for it.
///
/// # Errors
/// When one is no component.
pub(crate) fn precompile<'b>(
    settings: &Settings,
    components: impl Iterator<Item = (String, &'b Bytes)>,
) -> Result<()> {
    let host = host(settings, Arc::new(pool(settings, Use::Once)), 1)?;
    for (name, bytes) in components {
        host.precompile(&name, bytes)?;
    }
    Ok(())
}

/// A host for many functions that stay: `instances` sandboxes at a time, and
/// models on `threads` threads, one per core where it is not said.
///
/// # Errors
/// When the machine has no room for them.
pub(crate) fn serving_host(settings: &Settings, instances: u32, threads: Option<usize>) -> Result<Host> {
    let compute = Compute::new(threads.unwrap_or_else(samara_compose::threads), SERVING_QUEUE);
    let models = Pool::new(registry_for(settings, Preference::Throughput), Arc::new(compute));
    host(settings, Arc::new(models), instances)
}

/// The backends of this build, ready for one run.
pub(crate) fn registry(settings: &Settings) -> BackendRegistry {
    registry_for(settings, Preference::Startup)
}

fn registry_for(settings: &Settings, prefer: Preference) -> BackendRegistry {
    samara_backends::registry(&RegistryOptions {
        onnxruntime_libraries: onnxruntime_libraries(settings.store.as_ref()),
        litert_libraries: litert_libraries(settings.store.as_ref()),
        onnxruntime_provider: settings.onnxruntime_provider.clone(),
        prefer,
        allow_software_gpu: settings.allow_software_gpu,
        gpu_timings: settings.gpu_timings,
        gpu_cache: settings.store.as_ref().map(Store::shaders),
        ..RegistryOptions::default()
    })
}

/// A pool of models over the backends of this build.
pub(crate) fn pool(settings: &Settings, usage: Use) -> Pool {
    let queue = QUEUE.max(usage.callers());
    Pool::new(
        registry_for(settings, usage.preference()),
        Arc::new(Compute::new(samara_compose::threads(), queue)),
    )
}

/// Where the library of ONNX Runtime may be, in the order of preference.
pub(crate) fn onnxruntime_libraries(store: Option<&Store>) -> Vec<PathBuf> {
    if let Some(library) = std::env::var_os(ONNXRUNTIME_VARIABLE) {
        return vec![library.into()];
    }
    let folders: Vec<PathBuf> = store.map(Store::libraries).into_iter().collect();
    samara_compose::onnxruntime_libraries(&folders)
}

/// Where the library of LiteRT may be, in the order of preference.
fn litert_libraries(store: Option<&Store>) -> Vec<PathBuf> {
    if let Some(library) = std::env::var_os(LITERT_VARIABLE) {
        return vec![library.into()];
    }
    let folders: Vec<PathBuf> = store.map(Store::libraries).into_iter().collect();
    samara_compose::litert_libraries(&folders)
}

/// A file's or folder's name without its extension.
pub(crate) fn stem(path: &Path) -> String {
    // `.` and `..` have one elsewhere only.
    let named = path.file_stem().is_none().then(|| path.canonicalize().ok()).flatten();
    named.as_deref().unwrap_or(path).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Starts loading the models while the sandbox is still being set up; the
/// function then finds them in the pool. What goes wrong here is met again, and
/// told, when the function asks for the model.
fn load_early(pool: &Arc<Pool>, source: &FunctionSource) -> Vec<JoinHandle<Option<Arc<ResidentModel>>>> {
    let load = |request: &ModelRequest| {
        let (pool, request) = (Arc::clone(pool), request.clone());
        std::thread::spawn(move || pool.acquire(&request.source, &request.choice, &request.options).ok())
    };
    source.models.values().map(load).collect()
}

fn host(settings: &Settings, models: Arc<Pool>, instances: u32) -> Result<Host> {
    let code_cache = settings.store.as_ref().map(Store::code);
    Ok(Host::new(HostOptions { code_cache, code_cache_read_only: false, models, instances })?)
}
