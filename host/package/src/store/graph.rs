//! What belongs to an image: from a manifest to all that it names.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;

use super::error::Error;
use super::{Blob, Result, Store};
use crate::digest::Digest;
use crate::media_types;
use crate::spec::{Descriptor, ImageIndex, ImageManifest};
use crate::text::tame;

/// A document that is longer is none. Registries allow 4 MiB as well.
const LONGEST_DOCUMENT: u64 = 4 << 20;

/// A manifest or an index.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Manifest(Box<ImageManifest>),
    Index(ImageIndex),
}

/// Why an image cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Defect {
    pub(crate) digest: Digest,
    pub(crate) reason: String,
}

impl Document {
    /// Reads a document by what it holds: a tag does not say which it is.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Outline {
            manifests: Option<serde::de::IgnoredAny>,
            layers: Option<serde::de::IgnoredAny>,
        }
        if bytes.len() as u64 > LONGEST_DOCUMENT {
            return Err(format!("it is longer than {LONGEST_DOCUMENT} bytes, too long for a manifest"));
        }
        let no_json = |error: serde_json::Error| format!("it is no manifest: {}", tame(&error.to_string()));
        let outline: Outline = serde_json::from_slice(bytes).map_err(no_json)?;
        match (outline.manifests, outline.layers) {
            (Some(_), None) => serde_json::from_slice(bytes).map(Self::Index).map_err(no_json),
            (None, Some(_)) => {
                serde_json::from_slice(bytes).map(Box::new).map(Self::Manifest).map_err(no_json)
            }
            _ => Err("it is no manifest: it has neither `layers` nor `manifests`".to_owned()),
        }
    }

    pub(crate) fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => manifest.media_type.as_deref().unwrap_or(media_types::IMAGE_MANIFEST),
            Self::Index(index) => index.media_type.as_deref().unwrap_or(media_types::IMAGE_INDEX),
        }
    }

    /// All that must be there beside the document, each with whether it is a
    /// document too.
    fn children(&self) -> Vec<(&Descriptor, bool)> {
        match self {
            Self::Manifest(manifest) => manifest.blobs().map(|blob| (blob, false)).collect(),
            Self::Index(index) => index.manifests.iter().map(|entry| (entry, is_document(entry))).collect(),
        }
    }
}

impl Store {
    /// Reads the document of this digest; the reason names it.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Document> {
        let damaged = |reason| Error::Damaged { path: self.blob_path(digest), reason };
        Document::parse(&self.whole(digest)?.bytes).map_err(damaged)
    }

    /// Content, where an error names the file that is damaged.
    fn whole(&self, digest: &Digest) -> Result<Blob> {
        self.blob(digest).map_err(|error| match error {
            Error::WrongDigest { found, .. } => {
                Error::Damaged { path: self.blob_path(digest), reason: format!("its content is {found}") }
            }
            error => error,
        })
    }

    /// All content that images need: theirs, and that of what refers to them.
    /// With each digest comes whether it is a document. What is not there is
    /// left out with all that it would name.
    pub(crate) fn reachable(
        &self,
        roots: impl IntoIterator<Item = Digest>,
    ) -> Result<BTreeMap<Digest, bool>> {
        let mut found = BTreeMap::new();
        let mut queue: VecDeque<(Digest, bool)> = roots.into_iter().map(|root| (root, true)).collect();
        while let Some((digest, is_document)) = queue.pop_front() {
            let seen = found.get(&digest);
            if seen == Some(&true) || seen == Some(&is_document) || !self.contains(&digest) {
                continue;
            }
            found.insert(digest, is_document);
            if !is_document {
                continue;
            }
            queue.extend(self.referrers(&digest)?.into_iter().map(|referrer| (referrer, true)));
            // What is whole and no document, whatever an index calls it, names nothing.
            let Ok(document) = Document::parse(&self.whole(&digest)?.bytes) else { continue };
            queue.extend(
                document.children().into_iter().map(|(child, is_document)| (child.digest, is_document)),
            );
            if let Document::Manifest(manifest) = &document {
                queue.extend(self.diff_ids(&manifest.config).into_iter().map(|id| (id, false)));
            }
        }
        Ok(found)
    }

    /// What is wrong with an image, by its documents, and by the size of all
    /// else. `bad` are digests whose content is known to be something else.
    pub(crate) fn defects(&self, root: &Digest, bad: &dyn Fn(&Digest) -> bool) -> Vec<Defect> {
        let mut defects = Vec::new();
        let mut queue = VecDeque::from([*root]);
        let mut seen = std::collections::BTreeSet::from([*root]);
        while let Some(digest) = queue.pop_front() {
            let document = match self.document(&digest) {
                Ok(document) => document,
                Err(error) => {
                    defects.push(Defect { digest, reason: first_line(&error) });
                    continue;
                }
            };
            for (child, is_document) in document.children() {
                match self.defect_of(child, bad) {
                    // Of the images of an index, those that are there are wanted.
                    Some(_) if matches!(document, Document::Index(_)) && !self.contains(&child.digest) => {}
                    Some(defect) => defects.push(defect),
                    None if is_document && seen.insert(child.digest) => queue.push_back(child.digest),
                    None => {}
                }
            }
            if let Document::Index(index) = &document
                && !index.manifests.iter().any(|entry| self.contains(&entry.digest))
            {
                defects.push(Defect { digest, reason: format!("{digest} is an index without an image") });
            }
        }
        defects
    }

    fn defect_of(&self, blob: &Descriptor, bad: &dyn Fn(&Digest) -> bool) -> Option<Defect> {
        let digest = blob.digest;
        let reason = match self.blob_path(&digest).metadata() {
            Err(_) => format!("{digest} is not in the store"),
            Ok(_) if bad(&digest) => format!("{digest} is damaged"),
            Ok(file) if file.len() != blob.size => {
                format!("{digest} should have {} bytes, but has {}", blob.size, file.len())
            }
            Ok(_) => return None,
        };
        Some(Defect { digest, reason })
    }

    /// The digests of the uncompressed layers that a configuration lists:
    /// they are in the store too where a layer came compressed.
    fn diff_ids(&self, config: &Descriptor) -> Vec<Digest> {
        /// Of an image, or of a ModelPack artifact.
        #[derive(Deserialize)]
        struct Outline {
            #[serde(alias = "modelfs")]
            rootfs: Layers,
        }
        #[derive(Deserialize)]
        struct Layers {
            #[serde(default, alias = "diffIds")]
            diff_ids: Option<Vec<String>>,
        }
        // Other artifacts have other configurations, which list none.
        let blob = self.blob(&config.digest).ok().filter(|blob| blob.bytes.len() as u64 <= LONGEST_DOCUMENT);
        let outline = blob.and_then(|blob| serde_json::from_slice::<Outline>(&blob.bytes).ok());
        let ids = outline.and_then(|outline| outline.rootfs.diff_ids).unwrap_or_default();
        ids.iter().filter_map(|id| id.parse().ok()).collect()
    }
}

fn is_document(entry: &Descriptor) -> bool {
    use media_types::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, IMAGE_INDEX, IMAGE_MANIFEST};
    [IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST].contains(&entry.media_type.as_str())
}

/// An error without its hint.
fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
