//! Bills of materials: what a function is made of, in [CycloneDX] 1.6, kept
//! beside its image as an OCI 1.1 referrer. Those that others attached, SPDX
//! among them, are listed too.
//!
//! [CycloneDX]: https://cyclonedx.org/docs/1.6/json/

mod cargo;
mod cyclonedx;
mod summary;

use crate::digest::Digest;
use crate::media_types;
use crate::referrer;
use crate::spec::{Descriptor, ImageManifest};
use crate::store::{self, Session, Store};

pub use cargo::cargo_packages;
pub use summary::Summary;

/// Bytes of a document; the largest that are seen have some MiB.
const LARGEST_DOCUMENT: usize = 64 << 20;
/// Documents that are read for one image.
const MOST_DOCUMENTS: usize = 100;

/// What a function is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bom {
    /// Of the function.
    pub name: String,
    pub version: String,
    /// Of its component, or of its image.
    pub digest: Option<Digest>,
    pub packages: Vec<Package>,
    pub models: Vec<Model>,
}

/// Code that is compiled into a function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// A [package URL](https://github.com/package-url/purl-spec).
    pub purl: String,
    /// Of the archive that it came in.
    pub sha256: Option<Digest>,
    /// An SPDX licence expression.
    pub licence: Option<String>,
}

/// A model that a function runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Model {
    pub name: String,
    /// Of the model's file.
    pub digest: Digest,
    /// E.g. `onnx`.
    pub format: String,
    /// Bytes.
    pub size: u64,
    /// The files beside it that it keeps weights in.
    pub data: Vec<ModelData>,
}

/// A file that a model keeps weights in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelData {
    /// In the function's folder.
    pub path: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// A document beside an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The manifest that refers to the image.
    pub manifest: Digest,
    /// The document itself.
    pub document: Digest,
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// What is in it, or why that cannot be said.
    pub summary: Result<Summary, String>,
}

/// An operation on bills of materials that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("{digest} is no image: {reason}")]
    NotAnImage { digest: Digest, reason: String },
    #[error("`{0}` is no media type of a bill of materials; known are `{cyclonedx}` and `{spdx}`", cyclonedx = media_types::CYCLONEDX, spdx = media_types::SPDX)]
    MediaType(String),
    #[error("it is no bill of materials: {reason}")]
    NotABom { reason: String },
    #[error("what cargo says of its packages cannot be used: {reason}")]
    Cargo { reason: String },
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store failed.
    Store(store::ErrorKind),
    /// What it is to be attached to is no image.
    NotAnImage,
    /// A document of an unknown kind, or none of the kind that it is said to be.
    NotABom,
    /// Cargo's metadata or its lock file is damaged.
    Cargo,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Store(error) => ErrorKind::Store(error.kind()),
            Error::NotAnImage { .. } => ErrorKind::NotAnImage,
            Error::MediaType(_) | Error::NotABom { .. } => ErrorKind::NotABom,
            Error::Cargo { .. } => ErrorKind::Cargo,
        }
    }
}

impl Bom {
    /// The CycloneDX document: equal bytes for equal content, in whatever
    /// order it came.
    pub fn to_cyclonedx(&self) -> Vec<u8> {
        cyclonedx::write(self)
    }
}

/// Attaches a document to an image that is in the store, and gives the
/// manifest that refers to it. `media_type` is CycloneDX's or SPDX's.
///
/// # Errors
/// When the document is not what its media type says, the image is not there,
/// or the store cannot be written.
pub fn attach(session: &Session, image: &Digest, media_type: &str, document: &[u8]) -> Result<Digest, Error> {
    if !is_bom(media_type) {
        return Err(Error::MediaType(media_type.to_owned()));
    }
    if document.len() > LARGEST_DOCUMENT {
        return Err(Error::NotABom { reason: "it has more than 64 MiB".to_owned() });
    }
    Summary::of(media_type, document).map_err(|reason| Error::NotABom { reason })?;
    referrer::describe(session.store(), image)?;
    session.put(document)?;
    let layer = Descriptor::of(media_type, document);
    Ok(referrer::put(session, image, media_type, layer)?)
}

/// The documents beside an image, whoever attached them.
///
/// # Errors
/// When the store cannot be read. A damaged document is listed with what is
/// wrong.
pub fn attached(store: &Store, image: &Digest) -> Result<Vec<Attached>, Error> {
    let mut attached = Vec::new();
    for referrer in store.referrers(image)? {
        // What cannot be read may be anything.
        let Ok(manifest) = referrer::read_manifest(store, &referrer)? else { continue };
        let Some(layer) = document(&manifest, image) else { continue };
        attached.push(Attached {
            manifest: referrer,
            document: layer.digest,
            media_type: layer.media_type.clone(),
            size: layer.size,
            summary: referrer::read_blob(store, &layer.digest, LARGEST_DOCUMENT)?
                .and_then(|bytes| Summary::of(&layer.media_type, &bytes)),
        });
        if attached.len() == MOST_DOCUMENTS {
            break;
        }
    }
    Ok(attached)
}

/// The layer of a manifest that is a bill of materials of `image`.
fn document<'a>(manifest: &'a ImageManifest, image: &Digest) -> Option<&'a Descriptor> {
    let subject = manifest.subject.as_ref()?;
    manifest.layers.iter().find(|layer| is_bom(&layer.media_type) && subject.digest == *image)
}

fn is_bom(media_type: &str) -> bool {
    media_type == media_types::CYCLONEDX || media_type == media_types::SPDX
}

impl From<referrer::Error> for Error {
    fn from(error: referrer::Error) -> Self {
        match error {
            referrer::Error::Store(error) => Error::Store(error),
            referrer::Error::NotAnImage { digest, reason } => Error::NotAnImage { digest, reason },
        }
    }
}

#[cfg(test)]
mod tests;
