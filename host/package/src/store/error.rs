//! What can go wrong in the store.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// An operation of the store that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "cannot {action} `{}`: no space is left there\n\
         hint: make room on the disk; `samara store gc` removes what no image needs",
        path.display()
    )]
    DiskFull { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot read the content")]
    Read { source: std::io::Error },
    #[error("{digest} is not in the store")]
    NotFound { digest: Digest },
    #[error("`{name}` is not in the store\nhint: `samara images` lists what is there")]
    NoTag { name: String },
    #[error("`{name}` has no earlier version in the store")]
    NoEarlierVersion { name: String },
    #[error("content that should be {expected} is {found}")]
    WrongDigest { expected: Digest, found: Digest },
    #[error("{digest} should have {expected} bytes, but has {found}")]
    WrongSize { digest: Digest, expected: u64, found: u64 },
    #[error("`{}` is damaged: {reason}\nhint: `samara store check --repair` removes what is damaged", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("`{name}` is incomplete: {reason}\nhint: pull or pack it again")]
    Incomplete { name: String, reason: String },
    #[error("content of {size} bytes exceeds `{limit}`, which is {value} bytes (`{}`)\nhint: {hint}", path.display())]
    TooLarge { size: u64, limit: &'static str, value: u64, path: PathBuf, hint: &'static str },
    #[error("`{}` is not understood: {reason}", path.display())]
    Settings { path: PathBuf, reason: String },
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for is not there.
    NotFound,
    /// Content is not what its digest says, or is missing from an image.
    Corrupt,
    /// A limit of the store forbids it.
    TooLarge,
    /// `store.toml` is wrong.
    Settings,
    /// The disk or the folder does not allow it.
    Io,
}

impl Error {
    /// The error inside of one that a writer of the store gave through
    /// [`std::io::Write`]; `path` is the place for any other.
    pub fn from_write(error: std::io::Error, path: &Path) -> Self {
        error.downcast().unwrap_or_else(|error| io("write", path, error))
    }

    pub(super) fn into_write(self) -> std::io::Error {
        std::io::Error::other(self)
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Io { .. } | Error::DiskFull { .. } | Error::Read { .. } => ErrorKind::Io,
            Error::NotFound { .. } | Error::NoTag { .. } | Error::NoEarlierVersion { .. } => {
                ErrorKind::NotFound
            }
            Error::WrongDigest { .. }
            | Error::WrongSize { .. }
            | Error::Damaged { .. }
            | Error::Incomplete { .. } => ErrorKind::Corrupt,
            Error::TooLarge { .. } => ErrorKind::TooLarge,
            Error::Settings { .. } => ErrorKind::Settings,
        }
    }
}

pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let path = path.to_owned();
    match source.kind() {
        StorageFull | QuotaExceeded => Error::DiskFull { action, path, source },
        _ => Error::Io { action, path, source },
    }
}
