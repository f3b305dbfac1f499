//! Models: what a manifest says of them, with their files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use samara_engine::ModelRequest;
use samara_nn::{BatchPolicy, Beside, Choice, Format, LoadOptions, ModelSource, Precision, Target};
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
    /// The files that it keeps weights in.
    pub beside: Beside,
    /// Bytes in those.
    pub beside_bytes: u64,
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

impl ModelFile {
    /// A file of the disk; `identity` tells its bytes from others. What `names` names
    /// are the files beside it that it keeps weights in: those that are not there are
    /// told of when the model is loaded.
    pub fn on_disk(path: PathBuf, bytes: Bytes, identity: String, names: &BTreeSet<String>) -> Self {
        let folder = samara_nn::folder_of(&path);
        let (mut parts, mut beside_bytes) = (vec![identity], 0u64);
        for name in names {
            let Ok(file) = samara_nn::data_file(folder, name) else { continue };
            let Ok(metadata) = file.metadata() else { continue };
            beside_bytes = beside_bytes.saturating_add(metadata.len());
            // They are large: when one was written stands for what is in it.
            let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            parts.push(format!("{name:?} {} {} {written:?}", file.display(), metadata.len()));
        }
        let beside = Beside::folder_of(&path);
        Self { beside, beside_bytes, identity: joined(parts), path, bytes }
    }

    /// A file of an image or bundle, which keeps weights in the files that it calls
    /// `names`.
    ///
    /// # Errors
    /// When one of these is not there, or may not be used.
    pub fn packed(file: &image::ModelFile, names: &BTreeSet<String>) -> Result<Self> {
        let (mut parts, mut files) = (vec![file.identity.clone()], BTreeMap::new());
        for name in names {
            let data = file.data(name)?;
            parts.push(format!("{name:?} {}", data.identity));
            files.insert(name.clone(), data.bytes);
        }
        Ok(Self {
            path: file.path.clone(),
            bytes: file.bytes.clone(),
            identity: joined(parts),
            beside_bytes: files.values().map(|bytes| bytes.len() as u64).sum(),
            beside: if files.is_empty() { Beside::Nothing } else { Beside::Files(files) },
        })
    }

    /// What its weights take, at least.
    fn size(&self) -> usize {
        self.bytes.len().saturating_add(usize::try_from(self.beside_bytes).unwrap_or(usize::MAX))
    }
}

/// One identity of several; of one, itself.
fn joined(mut parts: Vec<String>) -> String {
    match parts.len() {
        1 => parts.remove(0),
        _ => samara_engine::sha256(parts.join("\n").as_bytes()),
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
        threads: options.threads.unwrap_or_else(|| machine::threads_for(file.size())),
        sessions: options.sessions,
        device_memory: place.gpu_memory.or(options.gpu_memory),
        precision: place.precision.unwrap_or(options.precision),
    };
    let source = ModelSource {
        name: name.to_owned(),
        identity: file.identity,
        format: format_of(&file.path, &file.bytes)?,
        bytes: file.bytes,
        beside: file.beside,
    };
    let choice = place.backend.as_deref().map_or(options.choice, Choice::from);
    Ok(ModelRequest { source, choice, options: load, batch: options.batch })
}
