//! A file that is being written and hashed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use crate::digest::{Digest, Sha256};

/// Bytes that are read at once when a file is hashed.
const READ_SIZE: usize = 256 << 10;

/// The end of a file, and the hash of all that lies before it.
pub(super) struct Sink {
    file: File,
    hasher: Sha256,
    written: u64,
}

impl Sink {
    /// Continues a file behind what it holds already.
    pub(super) fn resume(mut file: File) -> std::io::Result<Self> {
        file.rewind()?;
        let mut hasher = Sha256::default();
        let written = hash_into(&mut hasher, &mut file)?;
        Ok(Self { file, hasher, written })
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Forgets all that was written.
    pub(super) fn restart(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256::default();
        self.written = 0;
        Ok(())
    }

    /// The digest of all that was written.
    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("file", &self.file)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

/// Hashes what a reader still gives, and says how many bytes that were.
fn hash_into(hasher: &mut Sha256, reader: &mut dyn Read) -> std::io::Result<u64> {
    let mut buffer = vec![0; READ_SIZE];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
