//! Fetching an image: first what says whether it may run, then its layers.

use std::collections::HashSet;

use super::download::{download, title};
use super::error::{Asked as _, ErrorKind, Failure};
use super::manifests::{self, Document};
use super::parallel;
use super::progress::{Progress, Silent};
use super::remote::{Fetched, Remote, named};
use super::{Result, referrers};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::spec::{Descriptor, ImageManifest};
use crate::store::Session;

/// An image on its way into the store: all but its layers is there.
pub struct Pull<'a> {
    remote: Remote,
    session: &'a Session,
    reference: Reference,
    digest: Digest,
    manifest: ImageManifest,
}

impl std::fmt::Debug for Pull<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pull").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Pull<'_> {
    /// The digest of the image's manifest; of an index, that of the manifest
    /// that was chosen.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// The layers that the store lacks, each once, in their order.
    pub fn missing(&self) -> Vec<Descriptor> {
        let layers = unique(&self.manifest.layers).into_iter();
        layers.filter(|layer| !self.session.store().contains(&layer.digest)).cloned().collect()
    }

    /// Fetches the layers, several at once and the largest first. Names no
    /// image: that is for the caller, when it has all.
    ///
    /// # Errors
    /// When one cannot be fetched whole. What came is kept for the next time.
    pub fn layers(&self, progress: &dyn Progress) -> Result<()> {
        let mut layers = unique(&self.manifest.layers);
        layers.sort_by_key(|layer| std::cmp::Reverse(layer.size));
        let fetched = parallel::each(self.remote.host.transfers, &layers, |layer, stop| {
            download(&self.remote, self.session, layer, progress, stop)
                .map_err(|failure| failure.at(format_args!("layer {}", layer.digest)))
        });
        fetched.asked(|| format!("cannot pull `{}`", self.reference))
    }
}

/// Fetches manifest, configuration and referrers.
pub(super) fn begin<'a>(remote: Remote, session: &'a Session, reference: &Reference) -> Result<Pull<'a>> {
    let asked = || format!("cannot pull `{reference}`");
    let (digest, manifest, index) = fetch_image(&remote, session, reference).asked(asked)?;
    let signatures = || format!("cannot fetch the signatures of `{reference}`");
    referrers::fetch(&remote, session, &digest).asked(signatures)?;
    if let Some(index) = index {
        referrers::fetch(&remote, session, &index).asked(signatures)?;
        session.add_referrer(&digest, &index).map_err(Failure::from).asked(asked)?;
    }
    Ok(Pull { remote, session, reference: reference.clone(), digest, manifest })
}

/// Each blob once. Manifests may name one twice.
pub(super) fn unique(blobs: &[Descriptor]) -> Vec<&Descriptor> {
    let mut seen = HashSet::new();
    blobs.iter().filter(|blob| seen.insert(blob.digest)).collect()
}

/// The manifest, and the digest of the index that it was chosen from.
fn fetch_image(
    remote: &Remote,
    session: &Session,
    reference: &Reference,
) -> Result<(Digest, ImageManifest, Option<Digest>), Failure> {
    let fetched = remote.manifest(&named(reference), reference.digest())?;
    let (fetched, manifest, index) = match manifests::read(&fetched.bytes)? {
        Document::Manifest(manifest) => (fetched, *manifest, None),
        Document::Index(entries) => {
            let chosen = listed(remote, &manifests::choose(entries)?)?;
            let manifest = manifests::read_manifest(&chosen.bytes)?;
            (chosen, manifest, Some(fetched))
        }
    };
    manifests::check(&manifest, remote.host.max_blob)?;
    session.put(&fetched.bytes)?;
    fetch_now(remote, session, &manifest.config).map_err(|failure| failure.at("the configuration"))?;
    if let Some(index) = &index {
        crate::store::Document::parse(&index.bytes)
            .map_err(|reason| Failure::new(ErrorKind::Protocol, format!("the index: {reason}")))?;
        session.put(&index.bytes)?;
    }
    Ok((fetched.digest, manifest, index.map(|index| index.digest)))
}

/// A manifest that an index lists, of the size that the index says.
pub(super) fn listed(remote: &Remote, entry: &Descriptor) -> Result<Fetched, Failure> {
    if entry.size > manifests::LONGEST_MANIFEST {
        return Err(manifests::too_large("a manifest", entry.size, manifests::LONGEST_MANIFEST));
    }
    let fetched = remote.manifest(&entry.digest.to_string(), Some(&entry.digest))?;
    let found = fetched.bytes.len() as u64;
    match found == entry.size {
        true => Ok(fetched),
        false => Err(Failure::new(
            ErrorKind::Corrupt,
            format!("the index says that {} has {} bytes, but it has {found}", entry.digest, entry.size),
        )),
    }
}

/// Fetches one small blob that nobody watches.
pub(super) fn fetch_now(remote: &Remote, session: &Session, blob: &Descriptor) -> Result<(), Failure> {
    parallel::each(1, std::slice::from_ref(blob), |blob, stop| {
        download(remote, session, blob, &Silent, stop)
            .map_err(|failure| failure.at(format_args!("{} {}", title(blob), blob.digest)))
    })
}
