//! The tag under which cosign keeps the signatures of an image
//! (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>):
//! a manifest with one layer per signature. Who signs adds a layer.

use super::error::Failure;
use super::manifests;
use super::push::{Sender, media_type};
use crate::digest::Digest;
use crate::media_types;
use crate::sign;
use crate::spec::{ImageManifest, to_bytes};

/// Sends signatures of `subject`. Those that are there stay.
pub(super) fn send(
    sender: &Sender<'_>,
    subject: &Digest,
    manifest: &ImageManifest,
    bytes: &[u8],
) -> Result<(), Failure> {
    let tag = sign::tag(subject);
    let there = match sender.remote.manifest_if_any(&tag)? {
        Some(fetched) => manifests::read_manifest(&fetched.bytes)?.layers,
        None => Vec::new(),
    };
    if manifest.layers.iter().all(|layer| there.contains(layer)) {
        return Ok(());
    }
    sender.blobs(manifest.blobs())?;
    if there.iter().all(|layer| manifest.layers.contains(layer)) {
        return sender.remote.put_manifest(&tag, media_type(manifest), bytes).map(|_| ());
    }
    let added = manifest.layers.iter().filter(|layer| !there.contains(layer));
    let (config, merged) = sign::tag_manifest(there.iter().chain(added).cloned().collect());
    sender.bytes(media_types::IMAGE_CONFIG, config)?;
    sender.remote.put_manifest(&tag, media_types::IMAGE_MANIFEST, &to_bytes(&merged)).map(|_| ())
}
