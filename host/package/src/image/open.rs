//! Opens an image of the store, whichever tool wrote or recompressed it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::documents::{document, layer_blob, not_runnable, open_manifest, parse_document};
use super::layers::{Compression, unpacked};
use super::parts::{WasmLayer, entrypoint, find_components, find_models, unnamed};
use super::source::{Form, image_path};
use super::tree::FileTree;
use super::{Error, Limits, MANIFEST_KEY, MODELS_LABEL, Result, TITLE, check_wasm};
use crate::digest::Digest;
use crate::manifest::{self, Manifest};
use crate::media_types;
use crate::spec::{Annotations, Descriptor, ImageConfig, ImageManifest};
use crate::store::Store;
use crate::text::tame;

/// An image that was read and fits together. Clones share it.
#[derive(Debug, Clone)]
pub struct Image {
    digest: Digest,
    document: ImageManifest,
    form: Form,
    created: Option<String>,
    manifest_text: Option<String>,
    manifest: Option<Manifest>,
    components: Vec<Component>,
    models: BTreeMap<String, ModelFile>,
    files: Arc<FileTree>,
    layers: Vec<Layer>,
}

/// A component of an image.
#[derive(Debug, Clone)]
pub struct Component {
    /// As the manifest names it; without a manifest, as the image does.
    pub path: PathBuf,
    /// A mapping of the store's blob, or a slice of one.
    pub bytes: Bytes,
    /// Of the component's bytes.
    pub digest: Digest,
}

/// A model of an image or artifact.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// In the image.
    pub path: PathBuf,
    /// A slice of the mapping of the store's blob: no memory of its own.
    pub bytes: Bytes,
    /// Equal for equal models, whichever image they come in; made of digests
    /// that were checked.
    pub identity: String,
    /// The uncompressed tar of the store that holds this file and no other,
    /// if there is one: it can be a layer of other images as it is.
    pub layer: Option<Digest>,
    /// What came with it.
    pub(crate) files: Arc<FileTree>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// As the image's manifest describes it.
    pub descriptor: Descriptor,
    /// Of the uncompressed tar; `None` where the layer is a component.
    pub diff_id: Option<Digest>,
    /// Bytes of the uncompressed tar, or of the component.
    pub unpacked: u64,
}

impl Image {
    /// Opens the image whose manifest, or index, is `digest`.
    ///
    /// # Errors
    /// When a part is missing or damaged, or it is no image that runs here.
    pub fn open(store: &Store, digest: &Digest) -> Result<Self> {
        Self::open_within(store, digest, &Limits::default())
    }

    /// [`open`](Self::open) with limits of one's own.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when a limit is passed.
    pub fn open_within(store: &Store, digest: &Digest, limits: &Limits) -> Result<Self> {
        let opened = open_manifest(store, digest)?;
        let kind = opened.manifest.config.media_type.clone();
        match &*kind {
            media_types::WASM_CONFIG => open_artifact(store, opened.digest, opened.manifest),
            media_types::IMAGE_CONFIG | media_types::DOCKER_CONFIG => {
                open_image(store, opened.digest, opened.manifest, *limits)
            }
            _ if kind.starts_with(media_types::MODEL_PACK) => Err(Error::NotRunnable {
                found: "a model alone (a ModelPack artifact)".to_owned(),
                advice: "\nhint: use it in a function, as `path = \"oci://…\"` of a `[model.NAME]`"
                    .to_owned(),
            }),
            _ => Err(not_runnable(&format!("an artifact with a configuration of type `{}`", tame(&kind)))),
        }
    }

    /// Of the image's manifest; not of the index that it was chosen from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// The image's manifest, an OCI document.
    pub fn document(&self) -> &ImageManifest {
        &self.document
    }

    /// What the image says of itself.
    pub fn annotations(&self) -> &Annotations {
        &self.document.annotations
    }

    /// When the image was made, as its configuration says (RFC 3339).
    pub fn created(&self) -> Option<&str> {
        self.created.as_deref()
    }

    /// The text of `samara.toml`; `None` where another tool made the image.
    pub fn manifest_text(&self) -> Option<&str> {
        self.manifest_text.as_deref()
    }

    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// In the order of the manifest, each once.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// By the name that the manifest gives them.
    pub fn models(&self) -> &BTreeMap<String, ModelFile> {
        &self.models
    }

    /// A file of the image's tar layers.
    pub fn file(&self, path: &Path) -> Option<Bytes> {
        let path = image_path(path).ok()?;
        self.files.get(&path).map(|file| file.bytes.clone())
    }

    /// Every file of the image's tar layers with its size in bytes, sorted.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.files().map(|(path, file)| (path, file.bytes.len() as u64))
    }

    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
}

fn open_artifact(store: &Store, digest: Digest, document: ImageManifest) -> Result<Image> {
    let [layer] = document.layers.as_slice() else {
        let count = document.layers.len();
        return Err(not_runnable(&format!("a Wasm artifact with {count} layers instead of one")));
    };
    if layer.media_type != media_types::WASM {
        let kind = tame(&layer.media_type);
        return Err(not_runnable(&format!("a Wasm artifact with a layer of type `{kind}`")));
    }
    let text = document.annotations.get(MANIFEST_KEY).cloned();
    let parsed = text.as_deref().map(parse).transpose()?;
    let wasm = vec![wasm_layer(store, layer)?];
    let components = match &parsed {
        Some(manifest) => find_components(manifest, wasm, &FileTree::default())?,
        None => unnamed(wasm),
    };
    if let Some(name) = parsed.iter().flat_map(|manifest| manifest.models.keys()).next() {
        return Err(Error::Missing { what: "model", name: name.clone(), has: Vec::new() });
    }
    let layer = Layer { descriptor: layer.clone(), diff_id: None, unpacked: layer.size };
    Ok(Image {
        digest,
        form: Form::Wasm,
        created: None,
        manifest_text: text,
        manifest: parsed,
        components,
        models: BTreeMap::new(),
        files: Arc::default(),
        layers: vec![layer],
        document,
    })
}

fn open_image(store: &Store, digest: Digest, document: ImageManifest, limits: Limits) -> Result<Image> {
    let descriptor = &document.config;
    let bytes = document_bytes(store, descriptor)?;
    let config: ImageConfig = parse_document("configuration", &descriptor.digest, &bytes)?;
    if config.architecture != "wasm" {
        let found = format!("an image for {}/{}", tame(&config.os), tame(&config.architecture));
        return Err(not_runnable(&found));
    }
    let Content { wasm, files, layers } = content(store, &document, &config, limits)?;
    let files = Arc::new(files);
    let form = if wasm.is_empty() { Form::Tar } else { Form::Mixed };
    let text = manifest_text(note(&config, &document, MANIFEST_KEY), &files)?;
    let parsed = text.as_deref().map(parse).transpose()?;
    let components = match &parsed {
        Some(manifest) => find_components(manifest, wasm, &files)?,
        None if wasm.is_empty() => vec![entrypoint(&config, &files)?],
        None => unnamed(wasm),
    };
    let models = match &parsed {
        Some(manifest) => find_models(manifest, note(&config, &document, MODELS_LABEL), descriptor, &files)?,
        None => BTreeMap::new(),
    };
    Ok(Image {
        digest,
        form,
        created: config.created,
        manifest_text: text,
        manifest: parsed,
        components,
        models,
        files,
        layers,
        document,
    })
}

/// What the layers of an image hold.
struct Content {
    wasm: Vec<WasmLayer>,
    files: FileTree,
    layers: Vec<Layer>,
}

fn content(
    store: &Store,
    document: &ImageManifest,
    config: &ImageConfig,
    mut limits: Limits,
) -> Result<Content> {
    let mut content = Content { wasm: Vec::new(), files: FileTree::default(), layers: Vec::new() };
    let mut diff_ids = diff_ids(document, config)?.into_iter();
    for descriptor in &document.layers {
        let (diff_id, unpacked) = match Compression::of(&descriptor.media_type) {
            Some(compression) => {
                let diff_id = diff_ids.next().ok_or_else(|| wrong_count(document, config))?;
                let tar = unpacked(store, descriptor, compression, &diff_id, &mut limits)?;
                content.files.add(diff_id, &tar, &limits)?;
                (Some(diff_id), tar.len() as u64)
            }
            None => {
                let layer = wasm_layer(store, descriptor)?;
                let size = layer.bytes.len() as u64;
                content.wasm.push(layer);
                (None, size)
            }
        };
        content.layers.push(Layer { descriptor: descriptor.clone(), diff_id, unpacked });
    }
    Ok(content)
}

/// The digests of the tar layers, uncompressed. Some tools list those of the
/// components too.
fn diff_ids(document: &ImageManifest, config: &ImageConfig) -> Result<Vec<Digest>> {
    let is_tar = |layer: &&Descriptor| Compression::of(&layer.media_type).is_some();
    let tars = document.layers.iter().filter(is_tar).count();
    let ids = &config.rootfs.diff_ids;
    if ids.len() == tars {
        return Ok(ids.clone());
    }
    if ids.len() == document.layers.len() {
        let pairs = document.layers.iter().zip(ids);
        return Ok(pairs.filter(|(layer, _)| is_tar(layer)).map(|(_, id)| *id).collect());
    }
    Err(wrong_count(document, config))
}

fn wrong_count(document: &ImageManifest, config: &ImageConfig) -> Error {
    let (layers, ids) = (document.layers.len(), config.rootfs.diff_ids.len());
    Error::Document {
        what: "configuration",
        digest: document.config.digest,
        reason: format!("it lists {ids} `diff_ids`, which are not those of the tars among {layers} layers"),
    }
}

fn wasm_layer(store: &Store, layer: &Descriptor) -> Result<WasmLayer> {
    if layer.media_type != media_types::WASM {
        let reason =
            format!("its type `{}` is neither a tar's nor `{}`", tame(&layer.media_type), media_types::WASM);
        return Err(Error::Layer { layer: layer.digest, reason });
    }
    let bytes = layer_blob(store, layer)?;
    let title = layer.annotations.get(TITLE).cloned();
    let name = title.as_deref().map_or_else(|| layer.digest.to_string(), tame);
    check_wasm(&name, &bytes)?;
    Ok(WasmLayer { title, bytes, digest: layer.digest })
}

fn document_bytes(store: &Store, config: &Descriptor) -> Result<Bytes> {
    document(store, "configuration", &config.digest, Some(config.size))
}

/// What a label says, or an annotation where the text is too long for a label.
fn note<'a>(config: &'a ImageConfig, document: &'a ImageManifest, key: &str) -> Option<&'a String> {
    config.config.labels.get(key).or_else(|| document.annotations.get(key))
}

/// The manifest's text: the label and the file must not contradict each other.
fn manifest_text(label: Option<&String>, files: &FileTree) -> Result<Option<String>> {
    let file = files.get(manifest::FILE_NAME);
    match (label, file) {
        (Some(label), Some(file)) if label.as_bytes() != &*file.bytes => Err(Error::Layer {
            layer: file.layer,
            reason: format!(
                "its `{}` is not what the label `{MANIFEST_KEY}` of the image says",
                manifest::FILE_NAME
            ),
        }),
        (Some(label), _) => Ok(Some(label.clone())),
        (None, Some(file)) => match std::str::from_utf8(&file.bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => {
                let reason = format!("its `{}` is not UTF-8", manifest::FILE_NAME);
                Err(Error::Layer { layer: file.layer, reason })
            }
        },
        (None, None) => Ok(None),
    }
}

fn parse(text: &str) -> Result<Manifest> {
    Manifest::parse(text, Path::new(manifest::FILE_NAME)).map_err(Error::Manifest)
}
