//! The local store: a folder of content-addressed blobs and the tags that
//! point at them, shared by all processes of its user.
//!
//! ```text
//! blobs/sha256/<hex>      content; complete, checked and never changed
//! ingest/                 what is being written; renamed into `blobs` when whole
//! tags/<hex of name>.json the images that a name stands for, newest last
//! referrers/<hex>/<hex>   what refers to an image: signatures, bills of materials
//! lock                    held shared while blobs are added, alone while they are collected
//! ```

mod blobs;
mod error;
mod files;
mod partial;
mod referrers;
mod sink;
mod tags;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use blobs::{Blob, BlobWriter};
pub use error::{Error, ErrorKind};
pub use partial::Partial;
pub use tags::{Tagged, Version};

/// A result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The local store. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// The right to add blobs: while it lives, nothing is collected, so what was
/// found in the store stays there until a tag points at it.
#[derive(Debug)]
pub struct Session {
    store: Store,
    /// Released when the file closes, however the process ends.
    _lock: File,
}

impl Store {
    /// The store in the folder `root`, which is made when first written to.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Begins to add blobs. Waits while another process collects.
    ///
    /// # Errors
    /// When the folder cannot be made or locked.
    pub fn session(&self) -> Result<Session> {
        files::create_private(&self.root)?;
        let lock = files::open_lock(&self.root.join("lock"))?;
        lock.lock_shared().map_err(|source| error::io("lock", &self.root.join("lock"), source))?;
        Ok(Session { store: self.clone(), _lock: lock })
    }
}

impl Session {
    pub fn store(&self) -> &Store {
        &self.store
    }
}
