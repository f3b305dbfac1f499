//! What a user names to run or look at, and the function that it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use samara_compose::{ModelFile, component, format_of, model_stage};
use samara_engine::{FunctionSource, GuestOutput, Limits, ModelRequest, Reuse, StageSource};
use samara_nn::{Format, HEAD};
use samara_package::manifest::{self, ModelPath, TestCase};
use samara_package::{InvalidReference, Manifest, Reference, image};

use crate::args::{GrantArgs, ModelArg, PlaceArgs};
use crate::compose;
use crate::error::Usage;
use crate::grants;
use crate::images::Images;
use crate::input::read_bytes;
use crate::nnef;
use crate::packed::Packed;
use crate::project::Project;

/// The file that makes a folder a SavedModel of TensorFlow.
const SAVED_MODEL: &str = "saved_model.pb";

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
            return Self::of_folder(path);
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
        let head = read_head(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match Format::recognise(&head, &name) {
            Ok(_) => Ok(What::Model(path.to_owned())),
            Err(unknown) if unknown.seen.is_some() => bail!("`{text}` cannot be run: {unknown}"),
            Err(unknown) => bail!(
                "`{text}` is neither a folder with `samara.toml`, nor a component (`.wasm`), nor a model: {unknown}"
            ),
        }
    }

    /// A function's folder, or an NNEF model's.
    fn of_folder(folder: &Path) -> Result<Self> {
        if folder.join(manifest::FILE_NAME).exists() {
            return Ok(What::Project(Box::new(Project::open(folder)?)));
        }
        if nnef::is_model(folder) {
            return Ok(What::Model(folder.to_owned()));
        }
        let shown = folder.display();
        let saved_model = folder.join(SAVED_MODEL);
        if saved_model.is_file()
            && let Err(unknown) = Format::recognise(&read_head(&saved_model)?, SAVED_MODEL)
        {
            bail!("`{shown}` cannot be run: {unknown}");
        }
        bail!(
            "`{shown}` is neither the folder of a function, which has a file `{}`, nor that of an NNEF model, which has a file `{}`\nhint: make a new function with `samara new NAME`, or name the folder of one",
            manifest::FILE_NAME,
            nnef::GRAPH
        );
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
        models: &[ModelArg],
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
                (
                    stages(&project.manifest, &read)?,
                    samara_compose::requests(&project.manifest, models, &place.into())?,
                )
            }
            What::Packed(packed) => packed_source(packed, place)?,
            What::Component(path) => {
                let models = models.iter().map(|model| {
                    let (file, place) = (model_file(&model.path)?, model.place(place));
                    Ok((model.name.clone(), samara_compose::request(&model.name, file, &(&place).into())?))
                });
                let bytes = Bytes::from(read_bytes(path)?);
                (vec![component(&self.name(), bytes, BTreeMap::new())], models.collect::<Result<_>>()?)
            }
            What::Model(path) => {
                let name = self.name();
                let request = samara_compose::request(&name, model_file(path)?, &place.into())?;
                (vec![model_stage(&name)], BTreeMap::from([(name, request)]))
            }
        };
        Ok(FunctionSource {
            name: self.name(),
            stages,
            models,
            limits: self
                .manifest()
                .map_or_else(Limits::default, |manifest| samara_compose::limits(&manifest.limits)),
            grants,
            reuse: self.manifest().map_or(Reuse::Never, samara_compose::reuse),
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
                let file = images.model(&project.folder, reference, part.as_deref());
                file.and_then(|file| packed_model(&file))
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
    Ok(samara_compose::request(&compose::stem(path), model_file(path)?, &place.into())?)
}

/// Whether a text that names nothing was meant as a file.
fn looks_like_file(text: &str) -> bool {
    text.starts_with(['.', '/', '~']) || text.ends_with(".wasm") || Format::from_name(text).is_some()
}

/// As much of a file as its format is known by.
fn read_head(path: &Path) -> Result<Vec<u8>> {
    let unread = || format!("cannot read `{}`", path.display());
    let mut head = Vec::with_capacity(HEAD);
    let file = std::fs::File::open(path).with_context(unread)?;
    file.take(HEAD as u64).read_to_end(&mut head).with_context(unread)?;
    Ok(head)
}

fn packed_source(
    packed: &Packed,
    place: &PlaceArgs,
) -> Result<(Vec<StageSource>, BTreeMap<String, ModelRequest>)> {
    let models = packed.models.iter().map(|(name, model)| {
        let file = packed_model(model)
            .with_context(|| format!("cannot load `[model.{name}]` of `{}`", packed.origin))?;
        Ok((name.clone(), file))
    });
    let models: BTreeMap<String, ModelFile> = models.collect::<Result<_>>()?;
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
    Ok((stages(manifest, &read)?, samara_compose::requests(manifest, models, &place.into())?))
}

/// The stages of a manifest, with the components that `read` gives.
fn stages(manifest: &Manifest, read: &dyn Fn(&Path) -> Result<Bytes>) -> Result<Vec<StageSource>> {
    samara_compose::stages(manifest, &|name, path, rename| Ok(component(name, read(path)?, rename)))
}

fn model_file(path: &Path) -> Result<ModelFile> {
    let bytes = Bytes::from(if nnef::is_model(path) { nnef::archive(path)? } else { read_bytes(path)? });
    let names = samara_backends::data_files(format_of(path, &bytes)?, &bytes);
    let identity = samara_engine::sha256(&bytes);
    Ok(ModelFile::on_disk(path.to_owned(), bytes, identity, &names))
}

/// The names of the files that a packed model keeps weights in.
///
/// # Errors
/// When its format is unknown.
pub(crate) fn data_files(model: &image::ModelFile) -> Result<BTreeSet<String>> {
    Ok(samara_backends::data_files(format_of(&model.path, &model.bytes)?, &model.bytes))
}

/// A packed model with the files that it keeps weights in.
///
/// # Errors
/// When one of these is not there.
pub(crate) fn packed_model(model: &image::ModelFile) -> Result<ModelFile> {
    Ok(ModelFile::packed(model, &data_files(model)?)?)
}
