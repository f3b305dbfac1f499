//! The parts of an opened image by the names that its manifest gives them:
//! components and models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::documents::{not_runnable, parse_document};
use super::open::{Component, ModelFile};
use super::source::image_path;
use super::tar_read::normal_path;
use super::tree::{FileTree, TreeFile};
use super::{Error, Result, check_wasm};
use crate::digest::Digest;
use crate::manifest::{self, Manifest};
use crate::spec::{Descriptor, ImageConfig};
use crate::text::tame;

/// A component, and what the image calls it.
#[derive(Clone)]
pub(super) struct WasmLayer {
    pub(super) title: Option<String>,
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
}

/// The components that the manifest names: layers by their titles, layers
/// without titles by their order, or files.
pub(super) fn find_components(
    manifest: &Manifest,
    wasm: Vec<WasmLayer>,
    files: &FileTree,
) -> Result<Vec<Component>> {
    let mut wanted: Vec<&Path> = Vec::new();
    for path in manifest.components() {
        if !wanted.contains(&path) {
            wanted.push(path);
        }
    }
    if !wasm.is_empty() && wasm.len() != wanted.len() {
        return Err(Error::Components { has: wasm.len(), needs: wanted.len() });
    }
    if !wasm.is_empty() && wasm.iter().all(|layer| layer.title.is_none()) {
        let named = wanted.into_iter().zip(wasm);
        return Ok(named.map(|(path, layer)| component(path.to_owned(), layer)).collect());
    }
    let find = |path: &Path| {
        let name = image_path(path)?;
        if let Some(layer) =
            wasm.iter().find(|layer| layer.title.as_deref().is_some_and(|title| named(title, &name)))
        {
            return Ok(component(path.to_owned(), WasmLayer { title: None, ..layer.clone() }));
        }
        match files.get(&name) {
            Some(file) if wasm.is_empty() => component_file(&name, file),
            _ => {
                let titles = wasm.iter().filter_map(|layer| layer.title.clone());
                Err(Error::Missing { what: "component", name, has: titles.collect() })
            }
        }
    };
    wanted.into_iter().map(find).collect()
}

fn named(title: &str, path: &str) -> bool {
    normal_path(title, false).is_ok_and(|title| title == path)
}

/// Components of an image without a manifest.
pub(super) fn unnamed(wasm: Vec<WasmLayer>) -> Vec<Component> {
    let name = |layer: &WasmLayer| match &layer.title {
        Some(title) => PathBuf::from(title),
        None => PathBuf::from(format!("{}.wasm", layer.digest.short())),
    };
    wasm.into_iter().map(|layer| component(name(&layer), layer)).collect()
}

fn component(path: PathBuf, layer: WasmLayer) -> Component {
    Component { path, bytes: layer.bytes, digest: layer.digest }
}

fn component_file(path: &str, file: &TreeFile) -> Result<Component> {
    check_wasm(path, &file.bytes)?;
    let digest = Digest::of(&file.bytes);
    Ok(Component { path: PathBuf::from(path), bytes: file.bytes.clone(), digest })
}

/// What an image without manifest and component layers runs.
pub(super) fn entrypoint(config: &ImageConfig, files: &FileTree) -> Result<Component> {
    let Some(entrypoint) = config.config.entrypoint.first() else {
        return Err(not_runnable("one without `samara.toml`, component layers and entrypoint"));
    };
    let path = normal_path(entrypoint.trim_start_matches('/'), false).unwrap_or_default();
    match files.get(&path) {
        Some(file) => component_file(&path, file),
        None => Err(not_runnable(&format!("one without its entrypoint `{}`", tame(entrypoint)))),
    }
}

/// The models that the manifest names, where the label says they are.
pub(super) fn find_models(
    manifest: &Manifest,
    label: Option<&String>,
    descriptor: &Descriptor,
    files: &Arc<FileTree>,
) -> Result<BTreeMap<String, ModelFile>> {
    let paths: BTreeMap<String, String> = match label {
        Some(label) => parse_document("label", &descriptor.digest, label.as_bytes())?,
        None => BTreeMap::new(),
    };
    let find = |(name, model): (&String, &manifest::Model)| {
        let path = match paths.get(name) {
            Some(path) => normal_path(path, false).unwrap_or_default(),
            None => model.path.file().map(image_path).transpose()?.unwrap_or_default(),
        };
        let file = files.get(&path).ok_or_else(|| Error::Missing {
            what: "model",
            name: name.clone(),
            has: paths.keys().cloned().collect(),
        })?;
        Ok((name.clone(), model_file(&path, file, files)))
    };
    manifest.models.iter().map(find).collect()
}

/// A file of a tar as a model.
pub(crate) fn model_file(path: &str, file: &TreeFile, files: &Arc<FileTree>) -> ModelFile {
    ModelFile {
        path: PathBuf::from(path),
        bytes: file.bytes.clone(),
        identity: files.identity(path, file),
        layer: files.is_alone(&file.layer).then_some(file.layer),
        files: Arc::clone(files),
    }
}
