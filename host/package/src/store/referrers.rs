//! What refers to an image: manifests whose subject it is, signatures as
//! cosign stores them, and the index that it was chosen from.

use std::path::PathBuf;

use super::error::io;
use super::{Result, Session, Store, files};
use crate::digest::Digest;

impl Store {
    /// Digests of the manifests, and indexes, that refer to `subject`, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>> {
        let paths = files::list(&self.referrers_folder().join(subject.hex()))?;
        Ok(paths.iter().filter_map(|path| files::digest_of_name(path)).collect())
    }

    pub(super) fn referrers_folder(&self) -> PathBuf {
        self.root.join("referrers")
    }
}

impl Session {
    /// Notes that the manifest `referrer`, whose blobs are in the store,
    /// refers to `subject`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_referrer(&self, subject: &Digest, referrer: &Digest) -> Result<()> {
        let folder = self.store.referrers_folder().join(subject.hex());
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
        files::remove(&self.store.referrers_folder().join(subject.hex()).join(referrer.hex()))
    }
}
