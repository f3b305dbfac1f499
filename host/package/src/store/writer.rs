//! Content whose digest is known when it is complete.

use std::io::{Read, Write};

use super::error::{Error, io};
use super::limits::Room;
use super::sink::{self, Sink};
use super::{Result, Session, files, stamps};
use crate::digest::Digest;

/// Takes content on its way into the store. Dropped before
/// [`commit`](Self::commit), it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter<'a> {
    session: &'a Session,
    sink: Sink,
    /// Removes the file unless it got its name.
    path: tempfile::TempPath,
    room: Room,
}

impl Session {
    /// Begins to write content.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn writer(&self) -> Result<BlobWriter<'_>> {
        let ingest = self.store.ingest();
        let room = self.room()?;
        files::create_private(&ingest)?;
        let file = tempfile::NamedTempFile::new_in(&ingest).map_err(|source| io("write", &ingest, source))?;
        let (file, path) = file.into_parts();
        Ok(BlobWriter { session: self, sink: Sink::new(file), path, room })
    }

    /// Adds content that is in memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.has(&digest, bytes.len() as u64)? {
            return Ok(digest);
        }
        let mut writer = self.writer()?;
        writer.append(bytes)?;
        writer.commit(Some(&digest))
    }

    /// Adds content from a reader.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn put_from(&self, reader: &mut dyn Read) -> Result<Digest> {
        let mut writer = self.writer()?;
        writer.copy_from(reader)?;
        writer.commit(None)
    }

    pub(super) fn room(&self) -> Result<Room> {
        self.store.room(&self.limits)
    }
}

impl BlobWriter<'_> {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.sink.written()
    }

    /// Whether content of this many bytes may be written.
    ///
    /// # Errors
    /// When a limit of the store forbids it.
    pub fn check_room(&self, size: u64) -> Result<()> {
        self.room.check(size)
    }

    /// Adds bytes. [`Write`] does the same, with these errors inside of its
    /// own: see [`Error::from_write`].
    ///
    /// # Errors
    /// When a limit of the store forbids more, or they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.room.check(self.written().saturating_add(bytes.len() as u64))?;
        self.sink.write_all(bytes).map_err(|source| io("write", &self.path, source))
    }

    /// Adds all that a reader gives, and says how many bytes that were.
    ///
    /// # Errors
    /// As [`append`](Self::append), or when the reader fails.
    pub fn copy_from(&mut self, reader: &mut dyn Read) -> Result<u64> {
        sink::copy(reader, |source| Error::Read { source }, |bytes| self.append(bytes))
    }

    /// Makes the content part of the store under its digest.
    ///
    /// # Errors
    /// When it is not `expected`, or cannot be written; it is then gone.
    pub fn commit(mut self, expected: Option<&Digest>) -> Result<Digest> {
        let store = &self.session.store;
        let failed = |source| io("write", &self.path, source);
        files::seal(self.sink.file()).map_err(failed)?;
        let found = self.sink.finish().map_err(failed)?;
        if let Some(expected) = expected
            && *expected != found
        {
            return Err(Error::WrongDigest { expected: *expected, found });
        }
        files::create_private(&store.blobs())?;
        let target = store.blob_path(&found);
        let written = stamps::before_rename(self.sink.file());
        self.path.persist(&target).map_err(|error| io("write", &target, error.error))?;
        files::sync_folder(&store.blobs())?;
        stamps::after_rename(store, &found, self.sink.file(), written);
        Ok(found)
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.append(bytes).map_err(Error::into_write)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
