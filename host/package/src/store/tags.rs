//! What names stand for, and stood for before.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::{Error, io};
use super::{Result, Session, Store, files};
use crate::digest::Digest;
use crate::reference::Reference;

/// Versions of one name that are kept, the current one among them.
const KEPT_VERSIONS: usize = 5;

/// A name and the images it stands and stood for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// The reference's text, without a digest where it has a tag.
    pub name: String,
    /// The position of the current version.
    pub current: usize,
    /// Oldest first.
    pub versions: Vec<Version>,
}

/// One image that a name stood for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Of the image's manifest.
    pub digest: Digest,
    /// When the name began to stand for it, in seconds since 1970.
    pub since: u64,
}

impl Tagged {
    pub fn digest(&self) -> Option<Digest> {
        self.versions.get(self.current).map(|version| version.digest)
    }
}

impl Store {
    /// The image that a reference stands for: its digest where it has one, or
    /// what its tag points at.
    ///
    /// # Errors
    /// When the store has no such tag, or it cannot be read.
    pub fn resolve(&self, reference: &Reference) -> Result<Digest> {
        if let Some(digest) = reference.digest() {
            return match self.contains(digest) {
                true => Ok(*digest),
                false => Err(Error::NoTag { name: reference.to_string() }),
            };
        }
        let name = reference.to_string();
        self.tagged(reference)?.and_then(|tagged| tagged.digest()).ok_or(Error::NoTag { name })
    }

    /// A name with its history, or `None` where the store does not know it.
    ///
    /// # Errors
    /// When its file cannot be read or is damaged.
    pub fn tagged(&self, reference: &Reference) -> Result<Option<Tagged>> {
        read(&self.tag_path(&reference.without_digest().to_string()))
    }

    /// Every name, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn tags(&self) -> Result<Vec<Tagged>> {
        let folder = self.root.join("tags");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io("read", &folder, source)),
        };
        let mut tags = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| io("read", &folder, source))?;
            tags.extend(read(&entry.path())?);
        }
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tags)
    }

    /// Forgets a name. Its blobs stay until they are collected.
    ///
    /// # Errors
    /// When the store does not know it, or its file cannot be removed.
    pub fn untag(&self, reference: &Reference) -> Result<()> {
        let name = reference.without_digest().to_string();
        let path = self.tag_path(&name);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Err(Error::NoTag { name }),
            Err(source) => Err(io("remove", &path, source)),
        }
    }

    /// Lets a name stand for its version before the current one again, and
    /// says which that is.
    ///
    /// # Errors
    /// When there is none.
    pub fn rollback(&self, reference: &Reference) -> Result<Version> {
        let name = reference.without_digest().to_string();
        let _lock = self.lock_tags()?;
        let mut tagged = self.tagged(reference)?.ok_or_else(|| Error::NoTag { name: name.clone() })?;
        tagged.current = tagged.current.checked_sub(1).ok_or(Error::NoEarlierVersion { name })?;
        self.write_tag(&tagged)?;
        Ok(tagged.versions[tagged.current])
    }

    fn lock_tags(&self) -> Result<std::fs::File> {
        files::create_private(&self.root.join("tags"))?;
        let path = self.root.join("tags.lock");
        let lock = files::open_lock(&path)?;
        lock.lock().map_err(|source| io("lock", &path, source))?;
        Ok(lock)
    }

    fn write_tag(&self, tagged: &Tagged) -> Result<()> {
        files::replace(&self.tag_path(&tagged.name), &self.ingest(), &crate::spec::to_bytes(tagged))
    }

    fn tag_path(&self, name: &str) -> PathBuf {
        self.root.join("tags").join(Digest::of(name.as_bytes()).hex()).with_extension("json")
    }
}

impl Session {
    /// Lets a name stand for the image whose manifest is `digest`, and keeps
    /// what it stood for before as history.
    ///
    /// # Errors
    /// When it cannot be written; the name then stands for what it did.
    pub fn tag(&self, reference: &Reference, digest: &Digest) -> Result<()> {
        let store = &self.store;
        let name = reference.without_digest().to_string();
        let _lock = store.lock_tags()?;
        let mut tagged =
            store.tagged(reference)?.unwrap_or(Tagged { name, current: 0, versions: Vec::new() });
        if tagged.digest() == Some(*digest) {
            return Ok(());
        }
        // What was rolled back from is no longer ahead.
        tagged.versions.truncate(tagged.current + 1);
        tagged.versions.push(Version { digest: *digest, since: now() });
        let surplus = tagged.versions.len().saturating_sub(KEPT_VERSIONS);
        tagged.versions.drain(..surplus);
        tagged.current = tagged.versions.len() - 1;
        store.write_tag(&tagged)
    }
}

fn read(path: &std::path::Path) -> Result<Option<Tagged>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io("read", path, source)),
    };
    let damaged =
        |error: serde_json::Error| Error::Damaged { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
