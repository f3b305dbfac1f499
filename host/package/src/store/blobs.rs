//! Content by digest.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use bytes::Bytes;
use memmap2::Mmap;

use super::error::{Error, io};
use super::{Result, Session, Store, files};
use crate::digest::{Digest, Sha256};

/// Content of the store, mapped where it lies.
#[derive(Debug, Clone)]
pub struct Blob {
    pub digest: Digest,
    /// A mapping of the file: reading it costs memory only for the pages read.
    pub bytes: Bytes,
    pub path: PathBuf,
}

/// Takes content on its way into the store. Dropped before
/// [`commit`](Self::commit), it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter<'a> {
    session: &'a Session,
    file: tempfile::NamedTempFile,
    hasher: Hasher,
    written: u64,
}

impl Store {
    /// Whether content of this digest is there.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// The content of this digest, checked since it was last written.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is not what its digest says.
    pub fn blob(&self, digest: &Digest) -> Result<Blob> {
        let path = self.blob_path(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotFound { digest: *digest });
            }
            Err(source) => return Err(io("read", &path, source)),
        };
        let bytes = map(&file).map_err(|source| io("read", &path, source))?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Error::WrongDigest { expected: *digest, found });
        }
        Ok(Blob { digest: *digest, bytes, path })
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

impl Session {
    /// Begins to write content.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn writer(&self) -> Result<BlobWriter<'_>> {
        let ingest = self.store.ingest();
        files::create_private(&ingest)?;
        let file = tempfile::NamedTempFile::new_in(&ingest).map_err(|source| io("write", &ingest, source))?;
        Ok(BlobWriter { session: self, file, hasher: Hasher::default(), written: 0 })
    }

    /// Adds content that is in memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.store.contains(&digest) {
            return Ok(digest);
        }
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|source| io("write", &self.store.blob_path(&digest), source))?;
        writer.commit(Some(&digest))
    }

    /// Adds content from a reader.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn put_from(&self, reader: &mut dyn Read) -> Result<Digest> {
        let mut writer = self.writer()?;
        std::io::copy(reader, &mut writer).map_err(|source| io("write", &self.store.ingest(), source))?;
        writer.commit(None)
    }
}

impl BlobWriter<'_> {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes the content part of the store under its digest.
    ///
    /// # Errors
    /// When it is not `expected`, or cannot be written; it is then gone.
    pub fn commit(self, expected: Option<&Digest>) -> Result<Digest> {
        let found = self.hasher.0.finish();
        if let Some(expected) = expected
            && *expected != found
        {
            return Err(Error::WrongDigest { expected: *expected, found });
        }
        let store = &self.session.store;
        files::create_private(&store.blobs())?;
        files::publish(self.file, &store.blob_path(&found))?;
        Ok(found)
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.0.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[derive(Default)]
struct Hasher(Sha256);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

fn map(file: &File) -> std::io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new()); // nothing to map
    }
    // SAFETY: files in `blobs` are never written to after they got their
    // name: they are read-only, in a folder that only this user may enter, and
    // every writer of this module makes new files and renames them.
    #[expect(unsafe_code, reason = "a mapping is how weights are read without a copy")]
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
