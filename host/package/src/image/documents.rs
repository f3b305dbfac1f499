//! Reads the JSON documents of an image, whoever wrote them.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Error, Result};
use crate::digest::Digest;
use crate::media_types;
use crate::spec::{Descriptor, ImageManifest};
use crate::store::Store;
use crate::text::tame;

/// Of a manifest, index or configuration, in bytes; what registries take.
const LARGEST_DOCUMENT: u64 = 4 << 20;
/// Far more than any tool writes.
const MOST_LAYERS: usize = 512;

/// A manifest of the store.
pub(crate) struct Opened {
    pub(crate) digest: Digest,
    pub(crate) manifest: ImageManifest,
}

/// Reads the manifest `digest`, or the one that the index `digest` holds for
/// WebAssembly.
pub(crate) fn open_manifest(store: &Store, digest: &Digest) -> Result<Opened> {
    let bytes = document(store, "manifest", digest, None)?;
    match parse(digest, &bytes)? {
        Parsed::Manifest(manifest) => Ok(Opened { digest: *digest, manifest: *manifest }),
        Parsed::Elsewhere { digest, size } => {
            let bytes = document(store, "manifest", &digest, Some(size))?;
            Ok(Opened { digest, manifest: parse_manifest(&digest, &bytes)? })
        }
    }
}

/// What a manifest or index says.
pub(super) enum Parsed {
    Manifest(Box<ImageManifest>),
    /// The manifest for WebAssembly of an index.
    Elsewhere {
        digest: Digest,
        size: u64,
    },
}

/// Reads the manifest or index `digest`.
pub(super) fn parse(digest: &Digest, bytes: &[u8]) -> Result<Parsed> {
    let shape: Shape = parse_document("manifest", digest, bytes)?;
    if shape.manifests.is_none() {
        return parse_manifest(digest, bytes).map(Box::new).map(Parsed::Manifest);
    }
    let index: Index = parse_document("index", digest, bytes)?;
    let chosen = choose(digest, &index)?;
    Ok(Parsed::Elsewhere { digest: chosen.digest, size: chosen.size })
}

/// The bytes of a document, not more than there should be.
pub(crate) fn document(
    store: &Store,
    what: &'static str,
    digest: &Digest,
    size: Option<u64>,
) -> Result<Bytes> {
    let refuse = |reason: String| Error::Document { what, digest: *digest, reason };
    let blob = store.blob(digest)?;
    let found = blob.bytes.len() as u64;
    if found > LARGEST_DOCUMENT {
        return Err(refuse(format!("it has {found} bytes, and none has more than {LARGEST_DOCUMENT}")));
    }
    match size {
        Some(size) if size != found => Err(refuse(format!("it should have {size} bytes, but has {found}"))),
        _ => Ok(blob.bytes),
    }
}

pub(crate) fn parse_document<T: DeserializeOwned>(
    what: &'static str,
    digest: &Digest,
    bytes: &[u8],
) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::Document {
        what,
        digest: *digest,
        reason: tame(&error.to_string()),
    })
}

/// Tells an index from a manifest.
#[derive(Deserialize)]
struct Shape {
    manifests: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<IndexEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    media_type: String,
    digest: Digest,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl IndexEntry {
    fn is_manifest(&self) -> bool {
        matches!(&*self.media_type, media_types::IMAGE_MANIFEST | media_types::DOCKER_MANIFEST)
    }

    fn is_wasm(&self) -> bool {
        self.platform.as_ref().is_some_and(|platform| platform.architecture == "wasm")
    }
}

/// The only manifest for WebAssembly, or else the only one.
fn choose<'a>(digest: &Digest, index: &'a Index) -> Result<&'a IndexEntry> {
    let manifests: Vec<&IndexEntry> = index.manifests.iter().filter(|entry| entry.is_manifest()).collect();
    let wasm: Vec<&IndexEntry> = manifests.iter().copied().filter(|entry| entry.is_wasm()).collect();
    match (wasm.as_slice(), manifests.as_slice()) {
        ([only], _) | ([], [only]) => Ok(only),
        ([], []) => Err(not_runnable("an index without images")),
        ([], several) => {
            let platform = |entry: &&IndexEntry| match &entry.platform {
                Some(platform) => tame(&format!("{}/{}", platform.os, platform.architecture)),
                None => "unknown".to_owned(),
            };
            let shown: Vec<String> = several.iter().take(8).map(platform).collect();
            Err(not_runnable(&format!("an index of images for {}", shown.join(", "))))
        }
        (several, _) => Err(Error::Document {
            what: "index",
            digest: *digest,
            reason: format!("it has {} images for WebAssembly; name one by its digest", several.len()),
        }),
    }
}

fn parse_manifest(digest: &Digest, bytes: &[u8]) -> Result<ImageManifest> {
    let refuse = |reason: String| Error::Document { what: "manifest", digest: *digest, reason };
    let manifest: ImageManifest = parse_document("manifest", digest, bytes)?;
    if manifest.schema_version != 2 {
        return Err(refuse(format!("its schema version is {}, not 2", manifest.schema_version)));
    }
    match manifest.media_type.as_deref() {
        None | Some(media_types::IMAGE_MANIFEST | media_types::DOCKER_MANIFEST) => {}
        Some(other) => return Err(refuse(format!("it says it is `{}`", tame(other)))),
    }
    if manifest.layers.len() > MOST_LAYERS {
        let count = manifest.layers.len();
        return Err(refuse(format!("it has {count} layers, and none has more than {MOST_LAYERS}")));
    }
    Ok(manifest)
}

/// The content of a layer, checked against what the manifest says.
pub(crate) fn layer_blob(store: &Store, layer: &Descriptor) -> Result<Bytes> {
    let blob = store.blob(&layer.digest)?;
    let found = blob.bytes.len() as u64;
    if found != layer.size {
        let reason = format!("the manifest says {} bytes, but there are {found}", layer.size);
        return Err(Error::Layer { layer: layer.digest, reason });
    }
    Ok(blob.bytes)
}

pub(super) fn not_runnable(found: &str) -> Error {
    Error::NotRunnable { found: found.to_owned(), advice: String::new() }
}
