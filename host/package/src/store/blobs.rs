//! Content by digest.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;

use super::error::{Error, io};
use super::{Result, Store, stamps};
use crate::digest::Digest;
use crate::mapping;

/// Content of the store.
#[derive(Debug, Clone)]
pub struct Blob {
    pub digest: Digest,
    /// A mapping of the file, unless it is small: reading it costs memory only
    /// for the pages read.
    pub bytes: Bytes,
    pub path: PathBuf,
}

impl Store {
    /// Whether there is a file for content of this digest. Only
    /// [`blob`](Self::blob) says whether that is what it should be.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// The content of this digest, checked since the file was last changed.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is not what its digest says.
    pub fn blob(&self, digest: &Digest) -> Result<Blob> {
        let path = self.blob_path(digest);
        let file = self.open_blob(digest)?;
        let failed = |source| io("read", &path, source);
        let (found, bytes) = match file.metadata().map_err(failed)?.len() < stamps::STAMPED_FROM {
            true => read(&file).map_err(failed)?,
            false if stamps::is_stamped(self, digest, &file) => {
                (*digest, mapping::map(&file).map_err(failed)?)
            }
            false => {
                let found = stamps::hash_and_stamp(self, digest, &file).map_err(failed)?;
                (found, mapping::map(&file).map_err(failed)?)
            }
        };
        match found == *digest {
            true => Ok(Blob { digest: *digest, bytes, path }),
            false => Err(Error::WrongDigest { expected: *digest, found }),
        }
    }

    pub(super) fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { digest: *digest },
            _ => io("read", &path, source),
        })
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    pub(super) fn ingest(&self) -> PathBuf {
        self.root.join("ingest")
    }
}

/// Reads a small file: the bytes that were hashed are those that are given.
fn read(mut file: &File) -> std::io::Result<(Digest, Bytes)> {
    let mut bytes = Vec::new();
    file.by_ref().take(stamps::STAMPED_FROM).read_to_end(&mut bytes)?;
    Ok((Digest::of(&bytes), Bytes::from(bytes)))
}
