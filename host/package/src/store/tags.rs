//! What names stand for, and stood for before.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::{Error, io};
use super::{Result, Session, Store, files};
use crate::digest::Digest;
use crate::reference::Reference;

/// A file of tags that is longer is none: a thousand versions fit in a tenth.
pub(super) const LONGEST_FILE: u64 = 1 << 20;

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
    /// Of the current version.
    pub fn digest(&self) -> Option<Digest> {
        self.versions.get(self.current).map(|version| version.digest)
    }

    /// The version to which a rollback goes.
    pub fn earlier(&self) -> Option<&Version> {
        self.versions.get(self.current.checked_sub(1)?)
    }
}

impl Store {
    /// The image that a reference stands for: its digest where it has one, or
    /// what its tag points at.
    ///
    /// # Errors
    /// When the store has no such tag, or it cannot be read. An image that is
    /// named by its digest and lacks a part, as after a pull that was
    /// interrupted, is not there either.
    pub fn resolve(&self, reference: &Reference) -> Result<Digest> {
        if let Some(digest) = reference.digest() {
            return match self.defects(digest, &|_| false).is_empty() {
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
        let mut tags = Vec::new();
        for path in files::list(&self.tags_folder())? {
            tags.extend(read(&path)?);
        }
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tags)
    }

    /// Forgets a name and what it stood for. Blobs stay until they are
    /// collected.
    ///
    /// # Errors
    /// When the store does not know it, or its file cannot be removed.
    pub fn forget(&self, reference: &Reference) -> Result<()> {
        let name = reference.without_digest().to_string();
        let path = self.tag_path(&name);
        let _lock = self.lock_tags()?;
        match std::fs::remove_file(&path) {
            Ok(()) => files::sync_folder(&self.tags_folder()),
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

    /// Held while a tag changes, so that none of two changes is lost.
    pub(super) fn lock_tags(&self) -> Result<std::fs::File> {
        files::create_private(&self.tags_folder())?;
        let path = self.root.join("tags.lock");
        let lock = files::open_lock(&path)?;
        lock.lock().map_err(|source| io("lock", &path, source))?;
        Ok(lock)
    }

    pub(super) fn write_tag(&self, tagged: &Tagged) -> Result<()> {
        files::replace(&self.tag_path(&tagged.name), &self.ingest(), &crate::spec::to_bytes(tagged))
    }

    pub(super) fn tags_folder(&self) -> PathBuf {
        self.root.join("tags")
    }

    pub(super) fn tag_path(&self, name: &str) -> PathBuf {
        self.tags_folder().join(Digest::of(name.as_bytes()).hex()).with_extension("json")
    }
}

impl Session {
    /// Lets a name stand for the image whose manifest is `digest`, and keeps
    /// what it stood for before as history.
    ///
    /// # Errors
    /// When the store has no such image, or the tag cannot be written; the name
    /// then stands for what it did.
    pub fn tag(&self, reference: &Reference, digest: &Digest) -> Result<()> {
        let store = &self.store;
        if !store.contains(digest) {
            return Err(Error::NotFound { digest: *digest });
        }
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
        let surplus = tagged.versions.len().saturating_sub(self.limits.history);
        tagged.versions.drain(..surplus);
        tagged.current = tagged.versions.len() - 1;
        store.write_tag(&tagged)
    }
}

/// Reads the file of a tag; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Tagged>> {
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
    let Some(bytes) = files::read_bounded(path, LONGEST_FILE)? else { return Ok(None) };
    let tagged: Tagged = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    let wrong = if tagged.digest().is_none() {
        Some("it has no current version")
    } else if stem != format!("{}.json", Digest::of(tagged.name.as_bytes()).hex()) {
        Some("its name belongs to another tag")
    } else if tagged.name.parse::<Reference>().is_err() {
        Some("its tag is no image reference")
    } else {
        None
    };
    wrong.map_or(Ok(Some(tagged)), |reason| Err(damaged(reason.to_owned())))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store, Vec<Digest>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("store"));
        let session = store.session().unwrap();
        let digests = (0..8_u8).map(|version| session.put(&[version]).unwrap()).collect();
        (folder, store, digests)
    }

    fn history(store: &Store, name: &Reference) -> (Vec<Digest>, Option<Digest>) {
        let tagged = store.tagged(name).unwrap().unwrap();
        (tagged.versions.iter().map(|version| version.digest).collect(), tagged.digest())
    }

    #[test]
    fn a_name_goes_back_and_forth_and_remembers() {
        let (_folder, store, digests) = store();
        let session = store.session().unwrap();
        let name = "team/digits".parse().unwrap();
        for digest in &digests[..3] {
            session.tag(&name, digest).unwrap();
        }
        session.tag(&name, &digests[2]).unwrap(); // changes nothing
        assert_eq!(history(&store, &name), (digests[..3].to_vec(), Some(digests[2])));
        assert_eq!(store.rollback(&name).unwrap().digest, digests[1]);
        assert_eq!(store.resolve(&name).unwrap(), digests[1]);
        assert_eq!(history(&store, &name), (digests[..3].to_vec(), Some(digests[1])));
        session.tag(&name, &digests[3]).unwrap();
        let expected = vec![digests[0], digests[1], digests[3]];
        assert_eq!(history(&store, &name), (expected, Some(digests[3])));
        store.rollback(&name).unwrap();
        store.rollback(&name).unwrap();
        assert!(matches!(store.rollback(&name), Err(Error::NoEarlierVersion { .. })));
    }

    #[test]
    fn the_oldest_versions_are_dropped() {
        let (_folder, store, digests) = store();
        let name = "digits".parse().unwrap();
        std::fs::write(store.root().join("store.toml"), "history = 3").unwrap();
        let session = store.session().unwrap();
        digests.iter().for_each(|digest| session.tag(&name, digest).unwrap());
        assert_eq!(history(&store, &name), (digests[5..].to_vec(), Some(digests[7])));
    }

    #[test]
    fn nothing_is_called_what_is_not_there() {
        let (_folder, store, digests) = store();
        let session = store.session().unwrap();
        let name: Reference = "digits".parse().unwrap();
        assert!(matches!(session.tag(&name, &Digest::of(b"?")), Err(Error::NotFound { .. })));
        for result in [store.resolve(&name).map(drop), store.forget(&name), store.rollback(&name).map(drop)] {
            assert!(matches!(result, Err(Error::NoTag { .. })));
        }
        session.tag(&name, &digests[0]).unwrap();
        store.forget(&name).unwrap();
        assert_eq!(store.tags().unwrap(), []);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_where_and_what_to_do() {
        let (_folder, store, digests) = store();
        let session = store.session().unwrap();
        let name: Reference = "digits".parse().unwrap();
        session.tag(&name, &digests[0]).unwrap();
        let path = store.tag_path(&name.to_string());
        let good = std::fs::read_to_string(&path).unwrap();
        let long = " ".repeat(2 << 20);
        for text in ["", "{}", "[", &good.replace("digits", "other"), &good.replace(":0", ":9"), &long] {
            std::fs::write(&path, text).unwrap();
            let error = store.tagged(&name).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()) && error.contains("check --repair"), "{error}");
        }
    }

    #[test]
    fn of_many_writers_none_loses_what_another_wrote() {
        let (_folder, store, digests) = store();
        let shared: Reference = "shared".parse().unwrap();
        std::fs::write(store.root().join("store.toml"), "history = 100").unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4_usize {
                let (store, digests, shared) = (&store, &digests, &shared);
                scope.spawn(move || {
                    let session = store.session().unwrap();
                    let own: Reference = format!("own{writer}").parse().unwrap();
                    for round in 0..10 {
                        session.tag(&own, &digests[round % 8]).unwrap();
                        // Two of its own in turn, never what another writes.
                        session.tag(shared, &digests[writer * 2 + round % 2]).unwrap();
                    }
                });
            }
        });
        assert_eq!(history(&store, &shared).0.len(), 40);
        assert_eq!(store.tags().unwrap().len(), 5);
    }
}
