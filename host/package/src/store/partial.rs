//! Content whose digest and size are known before it arrives, such as what a
//! registry sends. What came before an interruption is kept, and continued.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::error::{Error, io};
use super::sink::{self, Sink};
use super::{Result, Session, files, stamps};
use crate::digest::Digest;

/// One blob on its way into the store. Only one process, and only one thread
/// of it, holds a given one at a time. Dropped before
/// [`commit`](Self::commit), it leaves what was written for the next attempt.
#[derive(Debug)]
pub struct Partial<'a> {
    session: &'a Session,
    digest: Digest,
    size: u64,
    path: PathBuf,
    /// Holds the lock of the file, which ends with it.
    sink: Sink,
}

impl Session {
    /// Begins or continues the content that has this digest and this many
    /// bytes. Waits while another holds it; `None` where it is in the store
    /// already, or then. A thread that holds one must not ask for another:
    /// two that want what the other has would wait for ever.
    ///
    /// # Errors
    /// When the folder cannot be read or written, a limit of the store forbids
    /// the size, or the store has the content and it has another size.
    pub fn partial(&self, digest: &Digest, size: u64) -> Result<Option<Partial<'_>>> {
        let ingest = self.store.ingest();
        files::create_private(&ingest)?;
        let path = ingest.join(digest.hex()).with_extension("part");
        loop {
            if self.has(digest, size)? {
                return Ok(None);
            }
            self.room()?.check(size)?;
            let file = open(&path).map_err(|source| io("open", &path, source))?;
            file.lock().map_err(|source| io("lock", &path, source))?;
            // Whoever held it has moved it away, or another has begun anew.
            if files::is_at(&file, &path).map_err(|source| io("read", &path, source))? {
                return self.resume(file, path, *digest, size).map(Some);
            }
        }
    }

    fn resume(&self, file: File, path: PathBuf, digest: Digest, size: u64) -> Result<Partial<'_>> {
        let failed = |source| io("read", &path, source);
        let mut sink = Sink::resume(file).map_err(failed)?;
        if sink.written() > size {
            sink.restart().map_err(failed)?;
        }
        Ok(Partial { session: self, digest, size, path, sink })
    }

    /// Whether the store has the content, whole. What is not what its digest
    /// says counts as missing: it is about to be replaced.
    pub(crate) fn has(&self, digest: &Digest, size: u64) -> Result<bool> {
        match self.store.blob(digest) {
            Ok(blob) if blob.bytes.len() as u64 == size => Ok(true),
            Ok(blob) => {
                Err(Error::WrongSize { digest: *digest, expected: size, found: blob.bytes.len() as u64 })
            }
            Err(Error::NotFound { .. } | Error::WrongDigest { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Partial<'_> {
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Bytes of the whole content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that are there: those of earlier attempts, and those written.
    pub fn offset(&self) -> u64 {
        self.sink.written()
    }

    /// Forgets what is there, for a sender that can only begin at the start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn restart(&mut self) -> Result<()> {
        self.sink.restart().map_err(|source| io("write", &self.path, source))
    }

    /// Adds bytes behind those that are there. [`Write`] does the same, with
    /// these errors inside of its own: see [`Error::from_write`].
    ///
    /// # Errors
    /// When there are more than belong to the content, or they cannot be
    /// written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_room(bytes.len())?;
        self.sink.write_all(bytes).map_err(|source| io("write", &self.path, source))
    }

    /// Adds all that a reader gives, and says how many bytes that were.
    ///
    /// # Errors
    /// As [`append`](Self::append), or when the reader fails.
    pub fn copy_from(&mut self, reader: &mut dyn Read) -> Result<u64> {
        sink::copy(reader, |source| Error::Read { source }, |bytes| self.append(bytes))
    }

    /// Makes the content part of the store.
    ///
    /// # Errors
    /// When bytes are missing, which keeps what is there; when it is not what
    /// its digest says, which deletes it; or when it cannot be written.
    pub fn commit(mut self) -> Result<Digest> {
        if self.offset() < self.size {
            return Err(Error::WrongSize { digest: self.digest, expected: self.size, found: self.offset() });
        }
        let failed = |source| io("write", &self.path, source);
        let found = self.sink.finish().map_err(failed)?;
        if found != self.digest {
            files::remove(&self.path)?;
            return Err(Error::WrongDigest { expected: self.digest, found });
        }
        self.publish().map(|()| found)
    }

    fn publish(&self) -> Result<()> {
        let store = &self.session.store;
        let target = store.blob_path(&self.digest);
        files::create_private(&store.blobs())?;
        let written = stamps::before_rename(self.sink.file());
        let failed = |source| io("write", &target, source);
        std::fs::rename(&self.path, &target).map_err(failed)?;
        // Not before: a `.part` that nobody may write to could not be continued.
        files::seal(self.sink.file()).map_err(failed)?;
        files::sync_folder(&store.blobs())?;
        stamps::after_rename(store, &self.digest, self.sink.file(), written);
        Ok(())
    }

    fn check_room(&self, more: usize) -> Result<()> {
        let found = self.offset().saturating_add(more as u64);
        match found > self.size {
            true => Err(Error::WrongSize { digest: self.digest, expected: self.size, found }),
            false => Ok(()),
        }
    }
}

impl Write for Partial<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.append(bytes).map_err(Error::into_write)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::store::ErrorKind;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("store"));
        (folder, store)
    }

    fn content() -> (Vec<u8>, Digest) {
        let bytes: Vec<u8> =
            (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let digest = Digest::of(&bytes);
        (bytes, digest)
    }

    #[test]
    fn an_interrupted_download_continues_where_it_stopped() {
        let (_folder, store) = store();
        let (bytes, digest) = content();
        let session = store.session().unwrap();
        let size = bytes.len() as u64;
        let mut partial = session.partial(&digest, size).unwrap().unwrap();
        assert_eq!(partial.offset(), 0);
        partial.append(&bytes[..1_000_000]).unwrap();
        drop(partial);
        let mut partial = session.partial(&digest, size).unwrap().unwrap();
        assert_eq!(partial.offset(), 1_000_000);
        partial.append(&bytes[1_000_000..2_000_000]).unwrap();
        let error = partial.commit().unwrap_err();
        assert!(matches!(error, Error::WrongSize { found: 2_000_000, .. }), "{error}");
        assert!(!store.contains(&digest));
        let mut partial = session.partial(&digest, size).unwrap().unwrap();
        partial.write_all(&bytes[2_000_000..]).unwrap();
        partial.commit().unwrap();
        assert_eq!(store.blob(&digest).unwrap().bytes, bytes);
        assert!(session.partial(&digest, size).unwrap().is_none());
        assert_eq!(std::fs::read_dir(store.ingest()).unwrap().count(), 0);
    }

    #[test]
    fn a_download_can_begin_again() {
        let (_folder, store) = store();
        let (bytes, digest) = content();
        let session = store.session().unwrap();
        let mut partial = session.partial(&digest, bytes.len() as u64).unwrap().unwrap();
        partial.append(&bytes[5..50_000]).unwrap();
        partial.restart().unwrap();
        assert_eq!(partial.offset(), 0);
        partial.append(&bytes).unwrap();
        assert_eq!(partial.commit().unwrap(), digest);
    }

    #[test]
    fn more_than_was_announced_is_refused() {
        let (_folder, store) = store();
        let session = store.session().unwrap();
        let mut partial = session.partial(&Digest::of(b"abc"), 3).unwrap().unwrap();
        let error = Error::from_write(partial.write(b"abcd").unwrap_err(), &store.ingest());
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("should have 3 bytes, but has 4"), "{error}");
    }

    #[test]
    fn content_that_is_something_else_is_deleted() {
        let (_folder, store) = store();
        let session = store.session().unwrap();
        let digest = Digest::of(b"abc");
        let mut partial = session.partial(&digest, 3).unwrap().unwrap();
        partial.append(b"abd").unwrap();
        assert!(matches!(partial.commit(), Err(Error::WrongDigest { .. })));
        assert!(!store.contains(&digest));
        assert_eq!(session.partial(&digest, 3).unwrap().unwrap().offset(), 0);
    }

    #[test]
    fn content_of_another_size_than_announced_is_an_error() {
        let (_folder, store) = store();
        let session = store.session().unwrap();
        let digest = session.put(b"abc").unwrap();
        assert!(matches!(session.partial(&digest, 4), Err(Error::WrongSize { found: 3, .. })));
    }

    #[test]
    fn what_is_longer_than_it_can_be_is_begun_anew() {
        let (_folder, store) = store();
        let session = store.session().unwrap();
        let digest = Digest::of(b"abc");
        files::create_private(&store.ingest()).unwrap();
        std::fs::write(store.ingest().join(digest.hex()).with_extension("part"), b"abcdef").unwrap();
        let mut partial = session.partial(&digest, 3).unwrap().unwrap();
        assert_eq!(partial.offset(), 0);
        partial.append(b"abc").unwrap();
        partial.commit().unwrap();
        assert_eq!(store.blob(&digest).unwrap().bytes, &b"abc"[..]);
    }

    #[test]
    fn of_many_at_once_one_writes_and_the_others_find_it() {
        let (_folder, store) = store();
        let (bytes, digest) = content();
        let written = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let session = store.session().unwrap();
                    let Some(mut partial) = session.partial(&digest, bytes.len() as u64).unwrap() else {
                        return;
                    };
                    for chunk in bytes.chunks(100_000) {
                        partial.append(chunk).unwrap();
                        written.fetch_add(chunk.len(), std::sync::atomic::Ordering::Relaxed);
                    }
                    partial.commit().unwrap();
                });
            }
        });
        assert_eq!(written.into_inner(), bytes.len());
        assert_eq!(store.blob(&digest).unwrap().bytes, bytes);
    }
}
