//! Artifacts that refer to an image, as OCI 1.1 has them: signatures, bills of
//! materials. Each is a manifest with one layer whose subject is the image.

use serde::Deserialize;

use crate::digest::Digest;
use crate::image;
use crate::media_types;
use crate::spec::{self, Descriptor, ImageManifest};
use crate::store::{self, Document, Session, Store};
use crate::text::tame;

/// Bytes of a manifest; the largest that registries take.
pub(crate) const LARGEST_MANIFEST: usize = 4 << 20;

/// Why nothing can refer to something, or a referrer cannot be written.
#[derive(Debug)]
pub(crate) enum Error {
    Store(store::Error),
    NotAnImage { digest: Digest, reason: String },
}

/// Makes the artifact of one `layer`, whose content is in the store, refer to
/// `image`.
pub(crate) fn put(
    session: &Session,
    image: &Digest,
    artifact_type: &str,
    layer: Descriptor,
) -> Result<Digest, Error> {
    let subject = describe(session.store(), image)?;
    session.put(spec::EMPTY_JSON)?;
    let config = Descriptor::of(media_types::EMPTY_CONFIG, spec::EMPTY_JSON);
    let manifest = ImageManifest {
        artifact_type: Some(artifact_type.to_owned()),
        subject: Some(subject),
        ..ImageManifest::new(config, vec![layer])
    };
    let digest = session.put(&spec::to_bytes(&manifest))?;
    session.add_referrer(image, &digest)?;
    Ok(digest)
}

/// The descriptor of an image, or of a list of images, that is in the store.
pub(crate) fn describe(store: &Store, image: &Digest) -> Result<Descriptor, Error> {
    /// What tells a manifest from another blob.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        schema_version: u32,
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let not_an_image = |reason: String| Error::NotAnImage { digest: *image, reason };
    let bytes = store.blob(image)?.bytes;
    if bytes.len() > LARGEST_MANIFEST {
        return Err(not_an_image("it has more than 4 MiB".to_owned()));
    }
    let head: Head =
        serde_json::from_slice(&bytes).map_err(|error| not_an_image(tame(&error.to_string())))?;
    if head.schema_version != 2 {
        return Err(not_an_image(format!("its schema version is {}", head.schema_version)));
    }
    let usual = match head.manifests {
        Some(_) => media_types::IMAGE_INDEX,
        None => media_types::IMAGE_MANIFEST,
    };
    let media_type = head.media_type.as_deref().unwrap_or(usual);
    Ok(Descriptor::new(media_type, *image, bytes.len() as u64))
}

/// The content of a blob, which is to have at most `largest` bytes. Damage is
/// a reason, and what the disk does is an error.
pub(crate) fn read_blob(
    store: &Store,
    digest: &Digest,
    largest: usize,
) -> store::Result<Result<bytes::Bytes, String>> {
    match store.blob(digest) {
        Ok(blob) if blob.bytes.len() > largest => {
            Ok(Err(format!("{digest} has {} bytes, more than any real one", blob.bytes.len())))
        }
        Ok(blob) => Ok(Ok(blob.bytes)),
        Err(error) if error.kind() == store::ErrorKind::Io => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// A manifest of the store, or why it cannot be used.
pub(crate) fn read_manifest(store: &Store, digest: &Digest) -> store::Result<Result<ImageManifest, String>> {
    Ok(read_blob(store, digest, LARGEST_MANIFEST)?.and_then(|bytes| {
        serde_json::from_slice(&bytes)
            .map_err(|error| format!("its manifest is damaged: {}", tame(&error.to_string())))
    }))
}

/// The digests that stand for an image: the one given first. Of an index that
/// is its image's too, and every image has those of the indexes that list it,
/// as far as they are kept with it.
pub(crate) fn alike(store: &Store, digest: &Digest) -> store::Result<Vec<Digest>> {
    let mut alike = vec![*digest];
    // What is damaged or missing stands for itself.
    let image = image::open_manifest(store, digest).map_or(*digest, |opened| opened.digest);
    if image != *digest {
        alike.push(image);
    }
    for referrer in store.referrers(&image)? {
        if referrer != *digest && lists(store, &referrer, &image)? {
            alike.push(referrer);
        }
    }
    Ok(alike)
}

/// Whether `index` is one, and lists the image.
fn lists(store: &Store, index: &Digest, image: &Digest) -> store::Result<bool> {
    Ok(match read_blob(store, index, LARGEST_MANIFEST)?.and_then(|bytes| Document::parse(&bytes)) {
        Ok(Document::Index(index)) => index.manifests.iter().any(|entry| entry.digest == *image),
        _ => false,
    })
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Error::Store(error)
    }
}
