//! Signatures in the store: the manifests that hold them, written and read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;

use bytes::Bytes;
use p256::ecdsa;

use super::Result;
use super::key::{PrivateKey, PublicKey};
use super::payload::Payload;
use crate::digest::Digest;
use crate::media_types;
use crate::reference::Reference;
use crate::referrer;
use crate::spec::{self, ContainerConfig, Descriptor, ImageConfig, ImageManifest, RootFs};
use crate::store::{Session, Store};

/// The annotation of a layer that holds the signature of its document.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Bytes of a signed document; real ones have less than 1 KiB.
const LARGEST_PAYLOAD: usize = 256 << 10;
/// Layers that are looked at for one image, so that nobody can make a
/// verification last.
const MOST_LAYERS: usize = 1000;

/// What [`sign`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// The name of the key, as [`PublicKey::id`] gives it.
    pub key: Digest,
    /// The manifest for the tag `sha256-<hex>.sig`.
    pub manifest: Digest,
    /// The manifest that is an OCI 1.1 referrer of the image.
    pub referrer: Digest,
    /// `false` where this key had signed this image under this name before.
    pub new: bool,
}

/// A signature that is well-formed and about the image; whose it is, a
/// [`PublicKey`] tells.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The repository under which the image was signed.
    pub reference: String,
    /// The manifest that holds it.
    pub manifest: Digest,
    payload: Bytes,
    signature: ecdsa::Signature,
}

/// What stands beside an image as a signature and is none that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The manifest that holds it.
    pub manifest: Digest,
    pub reason: String,
}

/// The signatures of an image.
#[derive(Debug, Clone, Default)]
pub struct Signatures {
    pub found: Vec<Signature>,
    pub ignored: Vec<Ignored>,
    /// Layers that were looked at.
    layers: usize,
}

impl Signatures {
    /// How many different signatures there are: each is stored in two forms.
    pub fn count(&self) -> usize {
        let different: BTreeSet<Vec<u8>> =
            self.found.iter().map(|found| found.signature.to_bytes().to_vec()).collect();
        different.len()
    }

    /// The names under which the image was signed, sorted.
    pub fn references(&self) -> BTreeSet<&str> {
        self.found.iter().map(|found| found.reference.as_str()).collect()
    }
}

/// Signs the image `digest`, which is in the store, for the repository of
/// `reference`. A signature by another key is added to those that are there.
///
/// # Errors
/// When the image is not in the store, or the store cannot be written.
pub fn sign(session: &Session, reference: &Reference, digest: &Digest, key: &PrivateKey) -> Result<Signed> {
    let store = session.store();
    referrer::describe(store, digest)?;
    let payload = spec::to_bytes(&Payload::new(reference, digest));
    let public = key.public();
    let before = signatures(store, digest)?;
    let before = before.found.iter().find(|found| found.payload == payload && found.is_by(&public));
    let signature = match before {
        Some(before) => before.signature,
        None => key.sign(&payload)?,
    };
    session.put(&payload)?;
    let layer = Descriptor::of(media_types::SIMPLE_SIGNING, &payload)
        .annotated(SIGNATURE, STANDARD.encode(signature.to_der()));
    let referrer = referrer::put(session, digest, media_types::COSIGN_SIGNATURE, layer.clone())?;
    let manifest = put_cosign(session, digest, vec![layer])?;
    Ok(Signed { key: public.id(), manifest, referrer, new: before.is_none() })
}

/// The signatures that the store has of an image, whoever made them. Those of
/// an index count for the image that was chosen from it, and those of that
/// image for the index.
///
/// # Errors
/// When the store cannot be read. What is damaged is ignored with a reason.
pub fn signatures(store: &Store, digest: &Digest) -> Result<Signatures> {
    let mut signatures = Signatures::default();
    let alike = referrer::alike(store, digest)?;
    for subject in &alike {
        for referrer in store.referrers(subject)? {
            if alike.contains(&referrer) {
                continue; // an index
            }
            match referrer::read_manifest(store, &referrer)? {
                Ok(manifest) if !is_signature(&manifest) => {}
                Ok(manifest) if manifest.subject.as_ref().is_some_and(|said| said.digest != *subject) => {
                    signatures.ignore(&referrer, "it refers to another image");
                }
                Ok(manifest) => {
                    for layer in &manifest.layers {
                        if signatures.layers == MOST_LAYERS {
                            signatures.ignore(&referrer, "the image has more than 1000 signatures");
                            return Ok(signatures);
                        }
                        signatures.add(store, subject, &referrer, layer)?;
                    }
                }
                Err(reason) => signatures.ignore(&referrer, reason),
            }
        }
    }
    Ok(signatures)
}

/// The tag under which registries keep the signatures of an image.
pub fn tag(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// Whether a manifest holds signatures, in one form or the other.
pub fn is_signature(manifest: &ImageManifest) -> bool {
    let kind = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
    kind == media_types::COSIGN_SIGNATURE
        || manifest.layers.iter().any(|layer| layer.media_type == media_types::SIMPLE_SIGNING)
}

impl Signature {
    /// Whether `key` made it.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        key.signed(&self.payload, &self.signature)
    }
}

impl Signatures {
    fn ignore(&mut self, manifest: &Digest, reason: impl Into<String>) {
        self.ignored.push(Ignored { manifest: *manifest, reason: reason.into() });
    }

    fn add(&mut self, store: &Store, digest: &Digest, manifest: &Digest, layer: &Descriptor) -> Result<()> {
        self.layers += 1;
        match read_layer(store, digest, manifest, layer)? {
            Ok(signature) => {
                // The same one usually stands in both forms.
                let known = |found: &Signature| {
                    found.signature == signature.signature && found.payload == signature.payload
                };
                if !self.found.iter().any(known) {
                    self.found.push(signature);
                }
            }
            Err(reason) => self.ignore(manifest, reason),
        }
        Ok(())
    }
}

fn read_layer(
    store: &Store,
    digest: &Digest,
    manifest: &Digest,
    layer: &Descriptor,
) -> Result<Result<Signature, String>> {
    if layer.media_type != media_types::SIMPLE_SIGNING {
        return Ok(Err("its document is not of cosign's media type".to_owned()));
    }
    if layer.size > LARGEST_PAYLOAD as u64 {
        return Ok(Err(format!("its document has {} bytes, more than any real one", layer.size)));
    }
    let signature = match decode_signature(layer) {
        Ok(signature) => signature,
        Err(reason) => return Ok(Err(reason)),
    };
    let payload = match referrer::read_blob(store, &layer.digest, LARGEST_PAYLOAD)? {
        Ok(payload) if payload.len() as u64 == layer.size => payload,
        Ok(payload) => {
            return Ok(Err(format!("its document has {} bytes, not {}", payload.len(), layer.size)));
        }
        Err(reason) => return Ok(Err(reason)),
    };
    Ok(Payload::parse(&payload, digest).map(|document| Signature {
        reference: document.reference().to_owned(),
        manifest: *manifest,
        payload,
        signature,
    }))
}

/// The signature in a layer's annotation: strict base64 of strict DER.
fn decode_signature(layer: &Descriptor) -> Result<ecdsa::Signature, String> {
    let text = layer.annotations.get(SIGNATURE).ok_or("its layer has no signature")?;
    let bytes = STANDARD.decode(text).map_err(|error| format!("its signature is not base64: {error}"))?;
    ecdsa::Signature::from_der(&bytes).map_err(|_| "its signature is not one of ECDSA P-256".to_owned())
}

/// Writes the form for the tag: one manifest with the signatures that are
/// there and `more`, which takes the place of those before.
fn put_cosign(session: &Session, image: &Digest, more: Vec<Descriptor>) -> Result<Digest> {
    let before = cosign_manifests(session.store(), image)?;
    let mut layers: Vec<Descriptor> = Vec::new();
    let there = before.iter().flat_map(|(_, manifest)| manifest.layers.iter().cloned());
    let there = there.filter(|layer| session.store().contains(&layer.digest)).take(MOST_LAYERS);
    for layer in there.chain(more) {
        let same = |known: &Descriptor| {
            known.digest == layer.digest
                && known.annotations.get(SIGNATURE) == layer.annotations.get(SIGNATURE)
        };
        if !layers.iter().any(same) {
            layers.push(layer);
        }
    }
    let (config, manifest) = tag_manifest(layers);
    session.put(&config)?;
    let manifest = session.put(&spec::to_bytes(&manifest))?;
    session.add_referrer(image, &manifest)?;
    for (old, _) in before.iter().filter(|(old, _)| *old != manifest) {
        session.remove_referrer(image, old)?;
    }
    Ok(manifest)
}

/// The configuration, and the manifest for the tag, of these signatures.
pub(crate) fn tag_manifest(layers: Vec<Descriptor>) -> (Vec<u8>, ImageManifest) {
    let config = spec::to_bytes(&ImageConfig {
        created: None,
        architecture: String::new(),
        os: String::new(),
        config: ContainerConfig::default(),
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: layers.iter().map(|layer| layer.digest).collect(),
        },
    });
    let manifest = ImageManifest::new(Descriptor::of(media_types::IMAGE_CONFIG, &config), layers);
    (config, manifest)
}

/// The manifests of an image that have the form for the tag.
fn cosign_manifests(store: &Store, image: &Digest) -> Result<Vec<(Digest, ImageManifest)>> {
    let mut manifests = Vec::new();
    for referrer in store.referrers(image)? {
        if let Ok(manifest) = referrer::read_manifest(store, &referrer)?
            && manifest.subject.is_none()
            && is_signature(&manifest)
        {
            manifests.push((referrer, manifest));
        }
    }
    Ok(manifests)
}
