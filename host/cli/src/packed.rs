//! A function that comes as one piece: an image of the store, or a bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use bytes::Bytes;
use samara_package::bundle::{self, Bundle};
use samara_package::image::{Image, ModelFile};
use samara_package::{Manifest, Reference};

/// A packed function with its files, mapped where they lie.
#[derive(Debug)]
pub(crate) struct Packed {
    /// What the user called it: an image's name, or a file.
    pub origin: String,
    pub name: String,
    /// `None`: a Wasm artifact that samara did not make.
    pub manifest: Option<Manifest>,
    /// By their path in the function.
    pub components: BTreeMap<PathBuf, Bytes>,
    pub models: BTreeMap<String, ModelFile>,
    pub container: Container,
    /// Files that have been asked for by path.
    unpacked: Mutex<Option<tempfile::TempDir>>,
}

/// What the function came in.
#[derive(Debug)]
pub(crate) enum Container {
    Image(Box<Image>),
    Bundle(Box<Bundle>),
}

impl Packed {
    /// An image of the store.
    pub(crate) fn from_image(reference: &Reference, image: Image) -> Self {
        let manifest = image.manifest().cloned();
        let name = manifest.as_ref().map_or_else(
            || reference.repository().rsplit('/').next().unwrap_or_default().to_owned(),
            |manifest| manifest.function.name.clone(),
        );
        Self {
            origin: reference.to_string(),
            name,
            manifest,
            components: image
                .components()
                .iter()
                .map(|part| (part.path.clone(), part.bytes.clone()))
                .collect(),
            models: image.models().clone(),
            container: Container::Image(Box::new(image)),
            unpacked: Mutex::default(),
        }
    }

    /// The bundle in a file; `None` where the file is a plain component.
    ///
    /// # Errors
    /// When it cannot be read, or is a damaged bundle.
    pub(crate) fn from_bundle(path: &Path) -> Result<Option<Self>> {
        let bundle = bundle::open(path).with_context(|| format!("cannot use `{}`", path.display()))?;
        let Some(bundle) = bundle else { return Ok(None) };
        Ok(Some(Self {
            origin: path.display().to_string(),
            name: bundle.manifest.function.name.clone(),
            manifest: Some(bundle.manifest.clone()),
            components: bundle
                .components
                .iter()
                .map(|part| (part.path.clone(), part.bytes.clone()))
                .collect(),
            models: bundle.models.clone(),
            container: Container::Bundle(Box::new(bundle)),
            unpacked: Mutex::default(),
        }))
    }

    /// The image, if it came in one.
    pub(crate) fn image(&self) -> Option<&Image> {
        match &self.container {
            Container::Image(image) => Some(image),
            Container::Bundle(_) => None,
        }
    }

    /// A file of the function, such as a test's input.
    ///
    /// # Errors
    /// When there is none of this path.
    pub(crate) fn file(&self, inside: &Path) -> Result<Bytes> {
        let file = match &self.container {
            Container::Image(image) => image.file(inside),
            Container::Bundle(bundle) => bundle.files.get(inside).cloned(),
        };
        file.with_context(|| format!("`{}` has no file `{}`", self.origin, inside.display()))
    }

    /// Writes a file of the function where it can be read by its path. It
    /// stays there for as long as the function does.
    ///
    /// # Errors
    /// When there is none, or it cannot be written.
    pub(crate) fn unpack(&self, inside: &Path) -> Result<PathBuf> {
        let bytes = self.file(inside)?;
        let mut unpacked = self.unpacked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = match &mut *unpacked {
            Some(folder) => folder,
            unpacked => unpacked.insert(tempfile::tempdir().context("cannot make a folder for files")?),
        };
        let path = folder.path().join(inside);
        let write = || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&path, &bytes)
        };
        write().with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }
}
