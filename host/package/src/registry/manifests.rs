//! What manifests of a registry say, read with suspicion.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::{ErrorKind, Failure};
use crate::digest::Digest;
use crate::media_types;
use crate::spec::{Descriptor, ImageManifest};
use crate::text::tame;

/// The types of manifests that are asked for, those of Docker among them.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";
/// Bytes of a manifest or index; what the specification asks registries for.
pub(super) const LONGEST_MANIFEST: u64 = 4 << 20;
/// Bytes of a configuration.
pub(super) const LONGEST_CONFIG: u64 = 8 << 20;
const WASM: &str = "wasm";

/// A document of a registry, told apart by what is in it: the same bytes mean
/// the same whatever a header says.
#[derive(Debug)]
pub(super) enum Document {
    Manifest(Box<ImageManifest>),
    Index(Vec<Entry>),
}

/// One manifest of an index.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) descriptor: Descriptor,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Entry>,
}

/// Reads a manifest or an index.
pub(super) fn read(bytes: &[u8]) -> Result<Document, Failure> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| invalid(format!("the manifest is no JSON: {}", tame(&error.to_string()))))?;
    let has = |key: &str| value.get(key).is_some();
    let version = value.get("schemaVersion").and_then(Value::as_u64);
    if version != Some(2) {
        return Err(invalid("the manifest is of another version than 2".to_owned())
            .hint("an image that was made long ago must be pushed anew"));
    }
    let failed =
        |error: serde_json::Error| invalid(format!("the manifest is invalid: {}", tame(&error.to_string())));
    match (has("manifests"), has("config") || has("layers")) {
        // One program could read it as this, another as that.
        (true, true) => Err(invalid("the manifest claims to be an index too".to_owned())),
        (true, false) => {
            let index: Index = serde_json::from_value(value).map_err(failed)?;
            Ok(Document::Index(index.manifests))
        }
        (false, true) => serde_json::from_value(value).map(Document::Manifest).map_err(failed),
        (false, false) => Err(invalid("what the registry sent is no image".to_owned())),
    }
}

/// The same, where only a manifest makes sense.
pub(super) fn read_manifest(bytes: &[u8]) -> Result<ImageManifest, Failure> {
    match read(bytes)? {
        Document::Manifest(manifest) => Ok(*manifest),
        Document::Index(_) => Err(invalid("there is an index where a manifest should be".to_owned())),
    }
}

/// The same, where only an index makes sense.
pub(super) fn read_index(bytes: &[u8]) -> Result<Vec<Entry>, Failure> {
    match read(bytes)? {
        Document::Index(entries) => Ok(entries),
        Document::Manifest(_) => Err(invalid("there is a manifest where an index should be".to_owned())),
    }
}

/// The type of a manifest's bytes.
pub(super) fn media_type_of(bytes: &[u8]) -> Result<String, Failure> {
    let document = read(bytes)?;
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let usual = match document {
        Document::Manifest(_) => media_types::IMAGE_MANIFEST,
        Document::Index(_) => media_types::IMAGE_INDEX,
    };
    let said =
        value.get("mediaType").and_then(Value::as_str).filter(|said| is_manifest(said) || is_index(said));
    Ok(said.unwrap_or(usual).to_owned())
}

/// The one manifest of an index that is for Wasm, or its only one.
pub(super) fn choose(entries: Vec<Entry>) -> Result<Descriptor, Failure> {
    let mut manifests: Vec<Entry> =
        entries.into_iter().filter(|entry| is_manifest(&entry.descriptor.media_type)).collect();
    let of_wasm =
        |entry: &Entry| entry.platform.as_ref().is_some_and(|platform| platform.architecture == WASM);
    if manifests.iter().any(of_wasm) {
        manifests.retain(of_wasm);
    }
    match manifests.len() {
        1 => Ok(manifests.remove(0).descriptor),
        _ => Err(Failure::new(
            ErrorKind::NoPlatform,
            format!("the index has no single image for `{WASM}`, but {}", platforms(&manifests)),
        )
        .hint("name one of its images by its digest: NAME@sha256:…")),
    }
}

/// Whether sizes and digests of a manifest can be: nothing too large, and not
/// two sizes for one digest.
pub(super) fn check(manifest: &ImageManifest, max_blob: u64) -> Result<(), Failure> {
    if manifest.config.size > LONGEST_CONFIG {
        return Err(too_large("the configuration", manifest.config.size, LONGEST_CONFIG));
    }
    let mut sizes: HashMap<Digest, u64> = HashMap::new();
    for blob in manifest.blobs() {
        if blob.size > max_blob {
            return Err(too_large(&blob.digest.to_string(), blob.size, max_blob));
        }
        let known = *sizes.entry(blob.digest).or_insert(blob.size);
        if known != blob.size {
            return Err(Failure::new(
                ErrorKind::Corrupt,
                format!("the manifest gives {} two sizes: {known} and {} bytes", blob.digest, blob.size),
            ));
        }
    }
    Ok(())
}

pub(super) fn too_large(what: &str, size: u64, limit: u64) -> Failure {
    Failure::new(
        ErrorKind::TooLarge,
        format!("{what} has {size} bytes, more than the {limit} that are accepted"),
    )
}

fn invalid(reason: String) -> Failure {
    Failure::new(ErrorKind::Protocol, reason)
}

fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, media_types::IMAGE_MANIFEST | media_types::DOCKER_MANIFEST)
}

fn is_index(media_type: &str) -> bool {
    matches!(media_type, media_types::IMAGE_INDEX | media_types::DOCKER_MANIFEST_LIST)
}

fn platforms(manifests: &[Entry]) -> String {
    const SHOWN: usize = 12;
    let name = |entry: &Entry| match &entry.platform {
        Some(platform) => tame(&format!("{}/{}", platform.os, platform.architecture)),
        None => "one without a platform".to_owned(),
    };
    let mut names: Vec<_> = manifests.iter().take(SHOWN).map(name).collect();
    match manifests.len() {
        0 => return "no image at all".to_owned(),
        count if count > SHOWN => names.push(format!("{} more", count - SHOWN)),
        _ => {}
    }
    names.join(", ")
}
