//! Where the rooms of the host are put together: backends into a pool, a pool
//! into a host, files and flags into a function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use samara_backends::{Preference, RegistryOptions};
use samara_engine::{
    CallOptions, Function, FunctionSource, GuestOutput, Host, HostOptions, Limits, ModelRequest, Outcome,
    Reuse, StageSource,
};
use samara_nn::{
    BackendRegistry, Choice, Compute, Format, LoadOptions, ModelSource, NamedTensor, Pool, ResidentModel,
    Target,
};
use samara_package::Manifest;
use samara_package::manifest::{self, StageRun};
use tokio::runtime::Runtime;

use crate::args::{GrantArgs, PlaceArgs};
use crate::grants;
use crate::input::read_bytes;
use crate::printer::Printer;
use crate::project::Project;
use crate::settings::Settings;
use crate::store::Store;

/// The variable that names the ONNX Runtime library to use.
pub(crate) const ONNXRUNTIME_VARIABLE: &str = "SAMARA_ONNXRUNTIME";

/// Calls that may wait for a compute thread; one-shot commands make few.
const QUEUE: usize = 64;

/// A smaller model computes for less time than a second thread takes to start.
const SMALL_MODEL: usize = 1 << 20;

/// What a user names to run or look at.
#[derive(Debug)]
pub(crate) enum What {
    Project(Box<Project>),
    Component(PathBuf),
    Model(PathBuf),
}

/// A function that is loaded and the runtime that it is called on.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub function: Function,
    pub version: String,
    runtime: Runtime,
}

impl What {
    /// Finds out what `text` names: a folder, a component or a model.
    ///
    /// # Errors
    /// When it is none of these.
    pub(crate) fn find(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(What::Project(Box::new(Project::open(path)?)));
        }
        if !path.exists() {
            return Err(not_there(text));
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if path.file_name().is_some_and(|name| name == manifest::FILE_NAME) {
            let folder =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return Ok(What::Project(Box::new(Project::open(folder)?)));
        }
        if extension.eq_ignore_ascii_case("wasm") {
            return Ok(What::Component(path.to_owned()));
        }
        if Format::from_extension(extension).is_some() {
            return Ok(What::Model(path.to_owned()));
        }
        bail!(
            "`{text}` is neither a folder with `samara.toml`, nor a component (`.wasm`), nor a model (`.onnx`)"
        )
    }

    /// The manifest, where there is one.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match self {
            What::Project(project) => Some(&project.manifest),
            What::Component(_) | What::Model(_) => None,
        }
    }

    /// The folder from which the manifest's paths start.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            What::Project(project) => &project.folder,
            What::Component(_) | What::Model(_) => Path::new("."),
        }
    }

    /// The function's name: the manifest's, or the file's.
    pub(crate) fn name(&self) -> String {
        match self {
            What::Project(project) => project.manifest.function.name.clone(),
            What::Component(path) | What::Model(path) => stem(path),
        }
    }

    /// Reads the files that the function is made of.
    ///
    /// # Errors
    /// When one cannot be read, or the flags do not fit.
    pub(crate) fn source(
        &self,
        models: &[(String, PathBuf)],
        place: &PlaceArgs,
        grants: &GrantArgs,
    ) -> Result<FunctionSource> {
        if let What::Project(_) | What::Model(_) = self
            && !models.is_empty()
        {
            let usage = "`--model` gives models to a `.wasm`; a folder names its own in `samara.toml`";
            return Err(crate::error::Usage(usage.to_owned()).into());
        }
        let grants =
            grants::resolve(grants, self.manifest().map(|manifest| &manifest.capabilities), self.folder())?;
        let (stages, models, limits, reuse) = match self {
            What::Project(project) => (
                project_stages(project)?,
                project_models(project, place)?,
                limits(&project.manifest.limits),
                reuse(&project.manifest),
            ),
            What::Component(path) => {
                let models = models.iter().map(|(name, path)| {
                    Ok((name.clone(), request(name, path, place, &ModelOptions::default())?))
                });
                (
                    vec![component(&self.name(), path, BTreeMap::new())?],
                    models.collect::<Result<_>>()?,
                    Limits::default(),
                    Reuse::Never,
                )
            }
            What::Model(path) => {
                let name = self.name();
                let request = request(&name, path, place, &ModelOptions::default())?;
                (vec![model_stage(&name)], BTreeMap::from([(name, request)]), Limits::default(), Reuse::Never)
            }
        };
        Ok(FunctionSource {
            name: self.name(),
            stages,
            models,
            limits,
            grants,
            reuse,
            output: GuestOutput::Stderr,
        })
    }
}

impl Loaded {
    /// Starts a host for one function and loads it.
    ///
    /// # Errors
    /// Whatever makes the function unfit to be called.
    pub(crate) fn load(
        what: &What,
        source: FunctionSource,
        settings: &Settings,
        printer: &Printer,
    ) -> Result<Self> {
        let _spinner = printer.spinner(format!("loading {}", source.name));
        let pool = Arc::new(pool(settings));
        let early = load_early(&pool, &source);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let host = host(settings, pool, source.stages.len())?;
        let function = runtime.block_on(Function::load(&host, source));
        drop(early);
        let function = function?;
        for warning in &function.load_report().warnings {
            printer.warn(warning);
        }
        let version = what.manifest().map_or("", |manifest| &manifest.function.version).to_owned();
        Ok(Self { function, version, runtime })
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

/// The backends of this build, ready for one run.
pub(crate) fn registry(settings: &Settings) -> BackendRegistry {
    samara_backends::registry(&RegistryOptions {
        onnxruntime_libraries: onnxruntime_libraries(settings.store.as_ref()),
        prefer: Preference::Startup,
        ..RegistryOptions::default()
    })
}

/// A pool of models over the backends of this build.
pub(crate) fn pool(settings: &Settings) -> Pool {
    Pool::new(registry(settings), Arc::new(Compute::new(threads(), QUEUE)))
}

/// A model file and how it is to be loaded.
///
/// # Errors
/// When it cannot be read or its format is unknown.
pub(crate) fn model_request(path: &Path, place: &PlaceArgs) -> Result<ModelRequest> {
    request(&stem(path), path, place, &ModelOptions::default())
}

/// Where the library of ONNX Runtime may be, in the order of preference.
pub(crate) fn onnxruntime_libraries(store: Option<&Store>) -> Vec<PathBuf> {
    if let Some(library) = std::env::var_os(ONNXRUNTIME_VARIABLE) {
        return vec![library.into()];
    }
    let name = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(&name)));
    let stored = store.map(|store| store.libraries().join(&name));
    let versioned = store.map(|store| versioned_libraries(&store.libraries(), &name)).unwrap_or_default();
    beside.into_iter().chain(stored).chain(versioned).collect()
}

/// A file's name without its extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Libraries that carry a version behind their name, as `libonnxruntime.so.1`
/// does, the newest name first.
fn versioned_libraries(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let matching =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{name}.")));
    let mut libraries: Vec<PathBuf> = matching.map(|entry| entry.path()).collect();
    libraries.sort_by(|a, b| b.cmp(a));
    libraries
}

fn not_there(text: &str) -> anyhow::Error {
    let is_file = Path::new(text).extension().is_some_and(|extension| {
        extension == "wasm"
            || extension.to_str().is_some_and(|extension| Format::from_extension(extension).is_some())
    });
    let is_reference = text.contains(':') || (text.contains('/') && !text.starts_with(['.', '/']));
    if is_reference && !is_file {
        return anyhow::anyhow!(
            "`{text}` does not exist here; if it is the reference of an image: this version of samara runs folders, components and models, images come with a later one"
        );
    }
    anyhow::anyhow!("`{text}` does not exist")
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

fn host(settings: &Settings, models: Arc<Pool>, stages: usize) -> Result<Host> {
    let options = HostOptions {
        code_cache: settings.store.as_ref().map(Store::code),
        models,
        // One call at a time takes one instance per stage.
        instances: u32::try_from(stages.max(1)).context("too many stages")?,
    };
    Ok(Host::new(options)?)
}

fn project_stages(project: &Project) -> Result<Vec<StageSource>> {
    let manifest = &project.manifest;
    if let Some(path) = &manifest.function.component {
        return Ok(vec![component(&manifest.function.name, &project.path(path), BTreeMap::new())?]);
    }
    if manifest.stages.is_empty() {
        return Ok(manifest.models.keys().map(|name| model_stage(name)).collect());
    }
    let stage = |stage: &manifest::Stage| match &stage.run {
        StageRun::Component(path) => component(&stage.name, &project.path(path), stage.rename.clone()),
        StageRun::Model(model) => Ok(StageSource::Model {
            name: stage.name.clone(),
            model: model.clone(),
            rename: stage.rename.clone(),
        }),
    };
    manifest.stages.iter().map(stage).collect()
}

fn component(name: &str, path: &Path, rename: BTreeMap<String, String>) -> Result<StageSource> {
    let bytes = Bytes::from(read_bytes(path)?);
    Ok(StageSource::Component { name: name.to_owned(), bytes, rename })
}

fn model_stage(name: &str) -> StageSource {
    StageSource::Model { name: name.to_owned(), model: name.to_owned(), rename: BTreeMap::new() }
}

/// What a manifest says about a model beside its file.
#[derive(Default)]
struct ModelOptions {
    target: Target,
    choice: Choice,
    threads: Option<usize>,
}

fn project_models(project: &Project, place: &PlaceArgs) -> Result<BTreeMap<String, ModelRequest>> {
    let model = |(name, model): (&String, &manifest::Model)| {
        let options = ModelOptions {
            target: model.target.parse()?,
            choice: Choice::from(model.backend.as_str()),
            threads: model.threads,
        };
        let Some(path) = model.path.file().map(|path| project.path(path)) else {
            bail!("`[model.{name}]` lies in an image, `{}`, which is not here", model.path);
        };
        let request = request(name, &path, place, &options)
            .with_context(|| format!("cannot load `[model.{name}]` of `{}`", manifest::FILE_NAME))?;
        Ok((name.clone(), request))
    };
    project.manifest.models.iter().map(model).collect()
}

fn request(name: &str, path: &Path, place: &PlaceArgs, options: &ModelOptions) -> Result<ModelRequest> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let Some(format) = Format::from_extension(extension) else {
        bail!("`{}` is no model that this build reads; it reads ONNX files (`.onnx`)", path.display());
    };
    let bytes = Bytes::from(read_bytes(path)?);
    let source = ModelSource {
        name: name.to_owned(),
        identity: samara_engine::sha256(&bytes),
        format,
        bytes,
        path: Some(path.to_owned()),
    };
    let choice = place.backend.as_deref().map_or_else(|| options.choice.clone(), Choice::from);
    let options = LoadOptions {
        target: place.target.unwrap_or(options.target),
        threads: options.threads.unwrap_or_else(|| threads_for(source.bytes.len())),
    };
    Ok(ModelRequest { source, choice, options })
}

fn limits(limits: &manifest::Limits) -> Limits {
    Limits {
        memory: limits.memory,
        table_elements: usize::try_from(limits.table).unwrap_or(usize::MAX),
        tensor_memory: limits.tensor_memory,
        output: limits.output,
        deadline: limits.deadline,
    }
}

fn reuse(manifest: &Manifest) -> Reuse {
    match manifest.function.reuse {
        None => Reuse::Never,
        Some(reuse) => Reuse::Calls(u32::try_from(reuse.calls).unwrap_or(u32::MAX)),
    }
}

/// Threads for one run of a model of this many bytes.
fn threads_for(bytes: usize) -> usize {
    match bytes < SMALL_MODEL {
        true => 1,
        false => threads(),
    }
}

fn threads() -> usize {
    // Asking the system reads a dozen files on Linux.
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}
