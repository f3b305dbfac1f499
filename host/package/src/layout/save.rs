//! Writes an archive. Equal images give equal bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::{BLOBS, Error, IMAGE_NAME, INDEX_FILE, LAYOUT_FILE, LAYOUT_VERSION, LayoutVersion, REF_NAME};
use super::{Result, SUBJECT};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::spec::{Descriptor, ImageIndex, to_bytes};
use crate::store::{Document, Store};

/// Writes images, with their signatures and bills of materials, as one tar.
///
/// # Errors
/// When an image is not in the store, is not whole, or the archive cannot be
/// written.
pub fn save(store: &Store, references: &[Reference], writer: &mut dyn Write) -> Result<()> {
    let mut names: Vec<(&Reference, Digest)> = Vec::new();
    for reference in references.iter().collect::<BTreeSet<_>>() {
        let digest = store.resolve(reference)?;
        check_whole(store, reference, &digest)?;
        names.push((reference, digest));
    }
    let blobs = store.reachable(names.iter().map(|(_, digest)| *digest))?;
    let index = index(store, &names)?;
    let version = LayoutVersion { image_layout_version: LAYOUT_VERSION.to_owned() };
    write(store, blobs.keys(), &to_bytes(&version), &to_bytes(&index), writer)
}

fn check_whole(store: &Store, reference: &Reference, digest: &Digest) -> Result<()> {
    match store.defects(digest, &|_| false).first() {
        None => Ok(()),
        Some(defect) => Err(Error::Store(crate::store::Error::Incomplete {
            name: reference.to_string(),
            reason: defect.reason.clone(),
        })),
    }
}

/// The images by name, then what refers to them.
fn index(store: &Store, names: &[(&Reference, Digest)]) -> Result<ImageIndex> {
    let mut entries = Vec::new();
    for (reference, digest) in names {
        let mut entry = entry(store, digest)?.annotated(IMAGE_NAME, reference.without_digest().to_string());
        if let Some(tag) = reference.tag() {
            entry = entry.annotated(REF_NAME, tag);
        }
        entries.push(entry);
    }
    let mut seen: BTreeSet<Digest> = names.iter().map(|(_, digest)| *digest).collect();
    let mut subjects: Vec<Digest> = seen.iter().copied().collect();
    let mut referrers = BTreeMap::new();
    while let Some(subject) = subjects.pop() {
        for referrer in store.referrers(&subject)? {
            // One that lacks something would make the archive one that does.
            if store.defects(&referrer, &|_| false).is_empty() && seen.insert(referrer) {
                subjects.push(referrer);
                referrers.insert(referrer, referrer_entry(store, &referrer, &subject)?);
            }
        }
        if let Document::Index(index) = store.document(&subject)? {
            let images = index.manifests.iter().map(|image| image.digest);
            subjects.extend(images.filter(|image| store.contains(image) && seen.insert(*image)));
        }
    }
    entries.extend(referrers.into_values());
    Ok(ImageIndex::new(entries))
}

fn entry(store: &Store, digest: &Digest) -> Result<Descriptor> {
    let size = store.blob(digest)?.bytes.len() as u64;
    Ok(Descriptor::new(store.document(digest)?.media_type(), *digest, size))
}

fn referrer_entry(store: &Store, referrer: &Digest, subject: &Digest) -> Result<Descriptor> {
    let mut entry = entry(store, referrer)?;
    if let Document::Manifest(manifest) = store.document(referrer)? {
        entry.artifact_type.clone_from(&manifest.artifact_type);
        if manifest.subject.is_some_and(|said| said.digest == *subject) {
            return Ok(entry);
        }
    }
    Ok(entry.annotated(SUBJECT, subject.to_string()))
}

fn write<'a>(
    store: &Store,
    blobs: impl Iterator<Item = &'a Digest>,
    version: &[u8],
    index: &[u8],
    writer: &mut dyn Write,
) -> Result<()> {
    let failed = |source| Error::Write { source };
    let mut archive = tar::Builder::new(writer);
    for folder in ["blobs/", BLOBS] {
        add(&mut archive, folder, tar::EntryType::Directory, &[]).map_err(failed)?;
    }
    for digest in blobs {
        let blob = store.blob(digest)?;
        let path = format!("{BLOBS}{}", digest.hex());
        add(&mut archive, &path, tar::EntryType::Regular, &blob.bytes).map_err(failed)?;
    }
    for (path, bytes) in [(INDEX_FILE, index), (LAYOUT_FILE, version)] {
        add(&mut archive, path, tar::EntryType::Regular, bytes).map_err(failed)?;
    }
    archive.into_inner().and_then(|writer| writer.flush()).map_err(failed)
}

/// An entry without owner and time.
fn add(
    archive: &mut tar::Builder<&mut dyn Write>,
    path: &str,
    kind: tar::EntryType,
    bytes: &[u8],
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
    header.set_size(bytes.len() as u64);
    for set in [tar::Header::set_uid, tar::Header::set_gid, tar::Header::set_mtime] {
        set(&mut header, 0);
    }
    archive.append_data(&mut header, path, bytes)
}
