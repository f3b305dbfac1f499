//! Sending an image: blobs, then the manifest, then what refers to it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::download::title;
use super::error::{Asked as _, ErrorKind, Failure};
use super::manifests::{self, Document, LONGEST_MANIFEST};
use super::progress::Progress;
use super::pull::unique;
use super::remote::{Remote, named};
use super::upload::Upload;
use super::{Result, parallel, referrers, signatures};
use crate::digest::Digest;
use crate::media_types;
use crate::reference::Reference;
use crate::sign;
use crate::spec::{Descriptor, ImageManifest};
use crate::store::Store;

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pushed {
    /// Of the image's manifest.
    pub digest: Digest,
    /// Bytes of blobs that went, without manifests.
    pub sent: u64,
    /// Blobs that went.
    pub blobs: usize,
    /// Manifests that refer to the image and are there now: signatures, bills
    /// of materials.
    pub referrers: usize,
}

/// The blobs of one push.
pub(super) struct Sender<'a> {
    pub(super) remote: &'a Remote,
    pub(super) store: &'a Store,
    progress: &'a dyn Progress,
    sent: AtomicU64,
    blobs: AtomicUsize,
}

/// Sends the image `digest` and what refers to it.
pub(super) fn push(
    remote: &Remote,
    store: &Store,
    digest: &Digest,
    reference: &Reference,
    progress: &dyn Progress,
) -> Result<Pushed> {
    let sender = Sender { remote, store, progress, sent: AtomicU64::new(0), blobs: AtomicUsize::new(0) };
    send_image(&sender, digest, reference).asked(|| format!("cannot push `{reference}`"))?;
    let referrers =
        send_referrers(&sender, digest).asked(|| format!("cannot push the signatures of `{reference}`"))?;
    Ok(Pushed {
        digest: *digest,
        sent: sender.sent.into_inner(),
        blobs: sender.blobs.into_inner(),
        referrers,
    })
}

impl Sender<'_> {
    /// The bytes of a manifest or index of the store.
    fn document(&self, digest: &Digest) -> Result<bytes::Bytes, Failure> {
        let bytes = self.store.blob(digest)?.bytes;
        match bytes.len() as u64 {
            ..=LONGEST_MANIFEST => Ok(bytes),
            longer => Err(manifests::too_large("the manifest", longer, LONGEST_MANIFEST)),
        }
    }

    /// Sends what the registry lacks, several at once and the largest first.
    pub(super) fn blobs<'b>(&self, blobs: impl Iterator<Item = &'b Descriptor>) -> Result<(), Failure> {
        let blobs: Vec<Descriptor> = blobs.cloned().collect();
        let mut blobs = unique(&blobs);
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        parallel::each(self.remote.host.transfers, &blobs, |blob, stop| {
            let bytes = self.store.blob(&blob.digest)?.bytes;
            self.content(blob.digest, &title(blob), bytes, stop)
        })
    }

    /// Sends content that need not be in the store.
    pub(super) fn bytes(&self, title: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        parallel::each(1, &[bytes::Bytes::from(bytes)], |bytes, stop| {
            self.content(Digest::of(bytes), title, bytes.clone(), stop)
        })
    }

    fn content(
        &self,
        digest: Digest,
        title: &str,
        bytes: bytes::Bytes,
        stop: &parallel::Stop,
    ) -> Result<(), Failure> {
        let count = bytes.len() as u64;
        let upload = Upload { remote: self.remote, digest, title, bytes, progress: self.progress, stop };
        if upload.run().map_err(|failure| failure.at(format_args!("blob {digest}")))? {
            self.sent.fetch_add(count, Ordering::Relaxed);
            self.blobs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn send_image(sender: &Sender<'_>, digest: &Digest, reference: &Reference) -> Result<(), Failure> {
    if reference.digest().is_some_and(|named| named != digest) {
        return Err(Failure::new(
            ErrorKind::Invalid,
            format!("the image is {digest}, not what the name says"),
        )
        .hint("give a tag in place of the digest"));
    }
    let bytes = sender.document(digest)?;
    let manifest = manifests::read_manifest(&bytes)?;
    sender.blobs(manifest.blobs())?;
    let name = reference.tag().map_or_else(|| named(reference), str::to_owned);
    sender.remote.put_manifest(&name, media_type(&manifest), &bytes).map(|_| ())
}

/// Sends what the store knows to refer to an image, and says how many. An
/// index that it was chosen from, and the index's signatures, stay behind.
fn send_referrers(sender: &Sender<'_>, subject: &Digest) -> Result<usize, Failure> {
    let (mut unlisted, mut count) = (Vec::new(), 0);
    for digest in sender.store.referrers(subject)? {
        let bytes = sender.document(&digest)?;
        // An index lists images that the store may lack.
        let Document::Manifest(manifest) = manifests::read(&bytes)? else { continue };
        match &manifest.subject {
            Some(found) if found.digest == *subject => {
                sender.blobs(manifest.blobs())?;
                let answer =
                    sender.remote.put_manifest(&digest.to_string(), media_type(&manifest), &bytes)?;
                // A registry that lists referrers says so with this header.
                if answer.header("oci-subject").is_none() {
                    unlisted.push(listed(&manifest, &bytes));
                }
            }
            None if sign::is_signature(&manifest) => {
                signatures::send(sender, subject, &manifest, &bytes)?;
            }
            // Not a form that registries have a place for.
            _ => continue,
        }
        count += 1;
    }
    if !unlisted.is_empty() {
        referrers::add_to_fallback(sender.remote, subject, &unlisted)?;
    }
    Ok(count)
}

/// How a list of referrers describes one.
fn listed(manifest: &ImageManifest, bytes: &[u8]) -> Descriptor {
    let kind = manifest.artifact_type.as_ref().unwrap_or(&manifest.config.media_type);
    Descriptor {
        artifact_type: Some(kind.clone()),
        annotations: manifest.annotations.clone(),
        ..Descriptor::of(media_type(manifest), bytes)
    }
}

pub(super) fn media_type(manifest: &ImageManifest) -> &str {
    manifest.media_type.as_deref().unwrap_or(media_types::IMAGE_MANIFEST)
}
