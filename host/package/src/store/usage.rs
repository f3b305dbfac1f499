//! How much the store holds.

use serde::Serialize;

use super::limits::size_of_files;
use super::{Result, Store, files};

/// What the store holds. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub blobs: u64,
    pub blob_bytes: u64,
    /// Downloads that go on or were interrupted.
    pub partial_bytes: u64,
    /// Compiled code.
    pub code_bytes: u64,
    pub names: u64,
    /// The limit of `blob_bytes`.
    pub max_size: Option<u64>,
}

impl Store {
    /// How much the store holds.
    ///
    /// # Errors
    /// When a folder or `store.toml` cannot be read.
    pub fn usage(&self) -> Result<Usage> {
        Ok(Usage {
            blobs: files::list(&self.blobs())?.len() as u64,
            blob_bytes: size_of_files(&self.blobs())?,
            partial_bytes: size_of_files(&self.ingest())?,
            code_bytes: self.code()?.iter().map(|(_, metadata)| metadata.len()).sum(),
            names: files::list(&self.tags_folder())?.len() as u64,
            max_size: self.limits()?.max_size,
        })
    }
}
