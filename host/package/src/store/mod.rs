//! The local store: a folder of content-addressed blobs and the tags that
//! point at them, shared by all processes of its user.
//!
//! ```text
//! blobs/sha256/<hex>      content; complete, checked and never changed
//! verified/<hex>          what the file of a large blob was like when it was hashed
//! ingest/                 what is being written; renamed into `blobs` when whole
//! ingest/<hex>.part       a download that is going on, or was interrupted
//! tags/<hex of name>.json the images that a name stands for, newest last
//! referrers/<hex>/<hex>   what refers to an image: signatures, bills of materials
//! code/                   compiled code, the engine's
//! store.toml              limits, see [`Limits`]
//! lock                    held shared while blobs are added, alone while they are collected
//! tags.lock               held while a tag changes
//! ```

mod blobs;
mod check;
mod collect;
mod error;
mod files;
mod graph;
mod limits;
mod partial;
mod referrers;
mod sink;
mod stamps;
mod tags;
mod usage;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

pub use blobs::Blob;
pub use check::{CheckReport, Problem, ProblemKind};
pub use collect::{CollectOptions, Collected, Removed};
pub use error::{Error, ErrorKind};
pub(crate) use graph::Document;
pub use limits::Limits;
pub use partial::Partial;
pub use tags::{Tagged, Version};
pub use usage::Usage;
pub use writer::BlobWriter;

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
    limits: Limits,
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
    /// When the folder cannot be made or locked, or `store.toml` is wrong.
    pub fn session(&self) -> Result<Session> {
        files::create_private(&self.root)?;
        let limits = self.limits()?;
        let lock = self.lock(File::lock_shared)?;
        Ok(Session { store: self.clone(), limits, _lock: lock })
    }

    /// Whether somebody adds to the store or collects at this moment: what
    /// needs it alone, such as [`collect`](Self::collect), would wait.
    ///
    /// # Errors
    /// When the folder cannot be made or locked.
    pub fn is_busy(&self) -> Result<bool> {
        files::create_private(&self.root)?;
        let path = self.root.join("lock");
        match files::open_lock(&path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(error::io("lock", &path, source)),
        }
    }

    /// Locks the store, shared or alone; the lock ends with the file.
    fn lock(&self, lock: fn(&File) -> std::io::Result<()>) -> Result<File> {
        let path = self.root.join("lock");
        let file = files::open_lock(&path)?;
        lock(&file).map_err(|source| error::io("lock", &path, source))?;
        Ok(file)
    }
}

impl Session {
    pub fn store(&self) -> &Store {
        &self.store
    }
}
