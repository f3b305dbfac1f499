//! Models: what a manifest says of them, with their files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use samara_engine::ModelRequest;
use samara_nn::{BatchPolicy, Choice, Format, LoadOptions, ModelSource, Precision, Target};
use samara_package::{Manifest, image, manifest};

use crate::error::{Error, Result};
use crate::machine;

/// The file of a model, wherever it lies.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// The path that its format and messages are taken from.
    pub path: PathBuf,
    pub bytes: Bytes,
    /// Tells equal files from others.
    pub identity: String,
    /// Whether files beside it may hold weights.
    pub is_on_disk: bool,
}

/// Where whoever runs a function wants its models, instead of where the
/// manifest does.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub target: Option<Target>,
    pub backend: Option<String>,
    /// Bytes of a GPU's memory that each model may hold.
    pub gpu_memory: Option<u64>,
    pub precision: Option<Precision>,
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

impl From<image::ModelFile> for ModelFile {
    fn from(file: image::ModelFile) -> Self {
        Self { path: file.path, bytes: file.bytes, identity: file.identity, is_on_disk: false }
    }
}

/// A model of which no manifest speaks.
///
/// # Errors
/// When its format is unknown.
pub fn request(name: &str, file: ModelFile, place: &Place) -> Result<ModelRequest> {
    join(name, file, place, ModelOptions::default())
}

/// Joins what a manifest says of its models with their files.
///
/// # Errors
/// When one has no file, or one that cannot be used.
pub fn requests(
    manifest: &Manifest,
    mut files: BTreeMap<String, ModelFile>,
    place: &Place,
) -> Result<BTreeMap<String, ModelRequest>> {
    let request = |(name, model): (&String, &manifest::Model)| {
        let file = files.remove(name).ok_or_else(|| Error::NoFile { model: name.clone() })?;
        let request = options(model).and_then(|options| join(name, file, place, options));
        let request =
            request.map_err(|error| Error::Model { model: name.clone(), source: Box::new(error) })?;
        Ok((name.clone(), request))
    };
    manifest.models.iter().map(request).collect()
}

/// The format of a file, by what stands in it, and by its name where that says nothing.
/// `head` is at least its first [`HEAD`](samara_nn::HEAD) bytes.
///
/// # Errors
/// When that is none that is read here.
pub fn format_of(path: &Path, head: &[u8]) -> Result<Format> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Format::recognise(head, &name).map_err(|source| Error::Format { path: path.to_owned(), source })
}

fn options(model: &manifest::Model) -> Result<ModelOptions> {
    Ok(ModelOptions {
        target: model.target.parse().map_err(|error| Error::Place { reason: format!("{error}") })?,
        choice: Choice::from(model.backend.as_str()),
        threads: model.threads,
        sessions: model.sessions,
        gpu_memory: model.gpu_memory,
        precision: model.precision.parse().map_err(|error| Error::Place { reason: format!("{error}") })?,
        batch: model.batch.map(|batch| BatchPolicy { max_rows: batch.max, delay: batch.delay }),
    })
}

fn join(name: &str, file: ModelFile, place: &Place, options: ModelOptions) -> Result<ModelRequest> {
    let load = LoadOptions {
        target: place.target.unwrap_or(options.target),
        threads: options.threads.unwrap_or_else(|| machine::threads_for(file.bytes.len())),
        sessions: options.sessions,
        device_memory: place.gpu_memory.or(options.gpu_memory),
        precision: place.precision.unwrap_or(options.precision),
    };
    let source = ModelSource {
        name: name.to_owned(),
        identity: file.identity,
        format: format_of(&file.path, &file.bytes)?,
        bytes: file.bytes,
        path: file.is_on_disk.then_some(file.path),
    };
    let choice = place.backend.as_deref().map_or(options.choice, Choice::from);
    Ok(ModelRequest { source, choice, options: load, batch: options.batch })
}
