//! What refers to an image: manifests whose subject it is, and signatures as
//! cosign stores them.

use super::error::io;
use super::{Result, Session, Store, files};
use crate::digest::Digest;

impl Store {
    /// Digests of the manifests that refer to `subject`, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>> {
        let folder = self.root.join("referrers").join(subject.hex());
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io("read", &folder, source)),
        };
        let mut referrers = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| io("read", &folder, source))?;
            referrers.extend(entry.file_name().to_str().and_then(Digest::from_hex));
        }
        referrers.sort();
        Ok(referrers)
    }
}

impl Session {
    /// Notes that the manifest `referrer`, whose blobs are in the store,
    /// refers to `subject`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_referrer(&self, subject: &Digest, referrer: &Digest) -> Result<()> {
        let folder = self.store.root.join("referrers").join(subject.hex());
        files::create_private(&folder)?;
        let path = folder.join(referrer.hex());
        std::fs::File::create(&path).map_err(|source| io("write", &path, source))?;
        files::sync_folder(&folder)
    }
    /// Forgets that `referrer` refers to `subject`. Its blobs stay until they
    /// are collected.
    ///
    /// # Errors
    /// When the note cannot be removed; one that is not there is no error.
    pub fn remove_referrer(&self, subject: &Digest, referrer: &Digest) -> Result<()> {
        let path = self.store.root.join("referrers").join(subject.hex()).join(referrer.hex());
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(io("remove", &path, source)),
            _ => Ok(()),
        }
    }
}
