//! What a user names to run or look at, and the function that it makes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use samara_engine::{FunctionSource, GuestOutput, Limits, ModelRequest, Reuse, StageSource};
use samara_nn::{BatchPolicy, Choice, Format, LoadOptions, ModelSource, Precision, Target};
use samara_package::image;
use samara_package::manifest::{self, ModelPath, StageRun, TestCase};
use samara_package::{InvalidReference, Manifest, Reference};

use crate::args::{GrantArgs, PlaceArgs};
use crate::compose;
use crate::error::Usage;
use crate::grants;
use crate::images::Images;
use crate::input::read_bytes;
use crate::packed::Packed;
use crate::project::Project;

/// What a user names.
#[derive(Debug)]
pub(crate) enum What {
    /// A folder with a manifest.
    Project(Box<Project>),
    Component(PathBuf),
    Model(PathBuf),
    /// An image, or a bundle.
    Packed(Box<Packed>),
}

/// What a manifest says about a model beside its file.
#[derive(Default)]
struct ModelOptions {
    target: Target,
    choice: Choice,
    threads: Option<usize>,
    sessions: Option<usize>,
    gpu_memory: Option<u64>,
    precision: Precision,
    batch: Option<BatchPolicy>,
}

/// The file of a model, wherever it lies.
pub(crate) struct ModelFile {
    /// The path that its format and messages are taken from.
    pub path: PathBuf,
    pub bytes: Bytes,
    /// Tells equal files from others.
    pub identity: String,
    /// Whether files beside it may hold weights.
    pub is_on_disk: bool,
}

impl What {
    /// Finds out what `text` names: a folder, a component, a model, a bundle,
    /// or an image, which is pulled where it is not in the store.
    ///
    /// # Errors
    /// When it is none of these, or the image cannot be had or is refused.
    pub(crate) fn find(text: &str, images: &Images<'_>) -> Result<Self> {
        let path = Path::new(text);
        if path.exists() {
            images.check_local(text)?;
        }
        if path.is_dir() {
            return Ok(What::Project(Box::new(Project::open(path)?)));
        }
        if !path.exists() {
            if looks_like_file(text) {
                bail!("`{text}` does not exist");
            }
            let reference: Reference = text.parse().map_err(|error: InvalidReference| {
                anyhow::anyhow!("`{text}` does not exist, and can be no image: {}", error.reason)
            })?;
            return Ok(What::Packed(Box::new(images.open_or_pull(&reference)?)));
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if path.file_name().is_some_and(|name| name == manifest::FILE_NAME) {
            let folder =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return Ok(What::Project(Box::new(Project::open(folder)?)));
        }
        if extension.eq_ignore_ascii_case("wasm") {
            return match Packed::from_bundle(path)? {
                Some(bundle) => Ok(What::Packed(Box::new(bundle))),
                None => Ok(What::Component(path.to_owned())),
            };
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
            What::Packed(packed) => packed.manifest.as_ref(),
            What::Component(_) | What::Model(_) => None,
        }
    }

    /// The folder from which the directories that a manifest asks for start.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            What::Project(project) => &project.folder,
            What::Component(_) | What::Model(_) | What::Packed(_) => Path::new("."),
        }
    }

    /// The function's name: the manifest's, or the file's.
    pub(crate) fn name(&self) -> String {
        match self {
            What::Project(project) => project.manifest.function.name.clone(),
            What::Packed(packed) => packed.name.clone(),
            What::Component(path) | What::Model(path) => compose::stem(path),
        }
    }

    /// The tests of the manifest.
    pub(crate) fn tests(&self) -> &[TestCase] {
        self.manifest().map_or(&[], |manifest| &manifest.tests)
    }

    /// Where a file that a test names can be read.
    ///
    /// # Errors
    /// When a packed function lacks it.
    pub(crate) fn test_file(&self, inside: &Path) -> Result<PathBuf> {
        match self {
            What::Project(project) => Ok(project.path(inside)),
            What::Packed(packed) => packed.unpack(inside),
            What::Component(_) | What::Model(_) => Ok(inside.to_owned()),
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
        images: &Images<'_>,
    ) -> Result<FunctionSource> {
        if !models.is_empty() && !matches!(self, What::Component(_)) {
            let usage = "`--model` gives models to a `.wasm`; a function with a manifest names its own there";
            return Err(Usage(usage.to_owned()).into());
        }
        let grants =
            grants::resolve(grants, self.manifest().map(|manifest| &manifest.capabilities), self.folder())?;
        let (stages, models) = match self {
            What::Project(project) => {
                let read = |path: &Path| Ok(Bytes::from(read_bytes(&project.path(path))?));
                let models = project_models(project, images)?;
                (stages(&project.manifest, &read)?, requests(&project.manifest, models, place)?)
            }
            What::Packed(packed) => packed_source(packed, place)?,
            What::Component(path) => {
                let models = models.iter().map(|(name, path)| {
                    Ok((name.clone(), request(name, model_file(path)?, place, &ModelOptions::default())?))
                });
                let bytes = Bytes::from(read_bytes(path)?);
                (vec![component(&self.name(), bytes, BTreeMap::new())], models.collect::<Result<_>>()?)
            }
            What::Model(path) => {
                let name = self.name();
                let request = request(&name, model_file(path)?, place, &ModelOptions::default())?;
                (vec![model_stage(&name)], BTreeMap::from([(name, request)]))
            }
        };
        Ok(FunctionSource {
            name: self.name(),
            stages,
            models,
            limits: self.manifest().map_or_else(Limits::default, |manifest| limits(&manifest.limits)),
            grants,
            reuse: self.manifest().map_or(Reuse::Never, reuse),
            output: GuestOutput::Stderr,
        })
    }
}

/// The files of a project's models, by their names: its own, and those of
/// images.
///
/// # Errors
/// When one cannot be read or had.
fn project_models(project: &Project, images: &Images<'_>) -> Result<BTreeMap<String, ModelFile>> {
    let file = |(name, model): (&String, &manifest::Model)| {
        let file = match &model.path {
            ModelPath::File(path) => model_file(&project.path(path)),
            ModelPath::Image { reference, part } => {
                images.model(&project.folder, reference, part.as_deref()).map(ModelFile::from)
            }
        };
        let file =
            file.with_context(|| format!("cannot load `[model.{name}]` of `{}`", manifest::FILE_NAME))?;
        Ok((name.clone(), file))
    };
    project.manifest.models.iter().map(file).collect()
}

/// A model file and how it is to be loaded.
///
/// # Errors
/// When it cannot be read or its format is unknown.
pub(crate) fn model_request(path: &Path, place: &PlaceArgs) -> Result<ModelRequest> {
    request(&compose::stem(path), model_file(path)?, place, &ModelOptions::default())
}

impl From<image::ModelFile> for ModelFile {
    fn from(file: image::ModelFile) -> Self {
        Self { path: file.path, bytes: file.bytes, identity: file.identity, is_on_disk: false }
    }
}

/// Whether a text that names nothing was meant as a file.
fn looks_like_file(text: &str) -> bool {
    let is_file = |extension: &str| extension == "wasm" || Format::from_extension(extension).is_some();
    let extension = Path::new(text).extension().and_then(|extension| extension.to_str());
    text.starts_with(['.', '/', '~']) || extension.is_some_and(is_file)
}

fn packed_source(
    packed: &Packed,
    place: &PlaceArgs,
) -> Result<(Vec<StageSource>, BTreeMap<String, ModelRequest>)> {
    let models = packed.models.iter().map(|(name, model)| (name.clone(), ModelFile::from(model.clone())));
    let Some(manifest) = &packed.manifest else {
        let stages = packed.components.values();
        let stages = stages.map(|bytes| component(&packed.name, bytes.clone(), BTreeMap::new())).collect();
        return Ok((stages, BTreeMap::new()));
    };
    let read = |path: &Path| {
        packed
            .components
            .get(path)
            .cloned()
            .with_context(|| format!("`{}` has no component `{}`", packed.origin, path.display()))
    };
    Ok((stages(manifest, &read)?, requests(manifest, models.collect(), place)?))
}

fn stages(manifest: &Manifest, read: &dyn Fn(&Path) -> Result<Bytes>) -> Result<Vec<StageSource>> {
    if let Some(path) = &manifest.function.component {
        return Ok(vec![component(&manifest.function.name, read(path)?, BTreeMap::new())]);
    }
    if manifest.stages.is_empty() {
        return Ok(manifest.models.keys().map(|name| model_stage(name)).collect());
    }
    let stage = |stage: &manifest::Stage| match &stage.run {
        StageRun::Component(path) => Ok(component(&stage.name, read(path)?, stage.rename.clone())),
        StageRun::Model(model) => Ok(StageSource::Model {
            name: stage.name.clone(),
            model: model.clone(),
            rename: stage.rename.clone(),
        }),
    };
    manifest.stages.iter().map(stage).collect()
}

fn component(name: &str, bytes: Bytes, rename: BTreeMap<String, String>) -> StageSource {
    StageSource::Component { name: name.to_owned(), bytes, rename }
}

fn model_stage(name: &str) -> StageSource {
    StageSource::Model { name: name.to_owned(), model: name.to_owned(), rename: BTreeMap::new() }
}

/// Joins what a manifest says of its models with their files.
fn requests(
    manifest: &Manifest,
    mut files: BTreeMap<String, ModelFile>,
    place: &PlaceArgs,
) -> Result<BTreeMap<String, ModelRequest>> {
    let request = |(name, model): (&String, &manifest::Model)| {
        let options = ModelOptions {
            target: model.target.parse()?,
            choice: Choice::from(model.backend.as_str()),
            threads: model.threads,
            sessions: model.sessions,
            gpu_memory: model.gpu_memory,
            precision: model.precision.parse()?,
            batch: model.batch.map(|batch| BatchPolicy { max_rows: batch.max, delay: batch.delay }),
        };
        let file = files.remove(name).with_context(|| format!("the model `{name}` has no file"))?;
        let request = request(name, file, place, &options)
            .with_context(|| format!("cannot load `[model.{name}]` of `{}`", manifest::FILE_NAME))?;
        Ok((name.clone(), request))
    };
    manifest.models.iter().map(request).collect()
}

fn model_file(path: &Path) -> Result<ModelFile> {
    format_of(path)?;
    let bytes = Bytes::from(read_bytes(path)?);
    let identity = samara_engine::sha256(&bytes);
    Ok(ModelFile { path: path.to_owned(), bytes, identity, is_on_disk: true })
}

/// The format that a file's name says it has.
///
/// # Errors
/// When that is none that is read here.
pub(crate) fn format_of(path: &Path) -> Result<Format> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    Format::from_extension(extension).with_context(|| {
        format!("`{}` is no model that this build reads; it reads ONNX files (`.onnx`)", path.display())
    })
}

fn request(name: &str, file: ModelFile, place: &PlaceArgs, options: &ModelOptions) -> Result<ModelRequest> {
    let choice = place.backend.as_deref().map_or_else(|| options.choice.clone(), Choice::from);
    let (batch, options) = (
        options.batch,
        LoadOptions {
            target: place.target.unwrap_or(options.target),
            threads: options.threads.unwrap_or_else(|| compose::threads_for(file.bytes.len())),
            sessions: options.sessions,
            device_memory: place.gpu_memory.or(options.gpu_memory),
            precision: place.precision.unwrap_or(options.precision),
        },
    );
    let source = ModelSource {
        name: name.to_owned(),
        identity: file.identity,
        format: format_of(&file.path)?,
        bytes: file.bytes,
        path: file.is_on_disk.then_some(file.path),
    };
    Ok(ModelRequest { source, choice, options, batch })
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
