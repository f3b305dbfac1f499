//! Why a function cannot be written to or read from one file.

use std::path::PathBuf;

use crate::{image, manifest};

/// A bundle that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One of the files that go into it.
    #[error(transparent)]
    Part(#[from] image::Error),
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write the bundle")]
    Write { source: std::io::Error },
    #[error("cannot bundle: {reason}")]
    Source { reason: String },
    #[error(
        "cannot bundle: {what} has {size} bytes, and a section of a WebAssembly file holds less than 4 GiB\n\
         hint: pack the function as an image, or split the model"
    )]
    TooLarge { what: String, size: u64 },
    #[error("the bundle is cut off after {length} bytes\nhint: copy or download it again")]
    CutOff { length: u64 },
    #[error("the bundle is damaged: {reason}")]
    Damaged { reason: String },
    #[error("the bundle's manifest `samara.toml` cannot be used")]
    Manifest(#[source] manifest::Error),
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was given does not fit together, or cannot be read.
    Input,
    /// A limit of the file format was passed.
    TooLarge,
    /// Bytes are not what they should be.
    Corrupt,
    /// The file cannot be read or written.
    Io,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Part(_) | Error::Source { .. } => ErrorKind::Input,
            Error::TooLarge { .. } => ErrorKind::TooLarge,
            Error::CutOff { .. } | Error::Damaged { .. } | Error::Manifest(_) => ErrorKind::Corrupt,
            Error::Read { .. } | Error::Write { .. } => ErrorKind::Io,
        }
    }
}

pub(super) fn damaged(reason: impl Into<String>) -> Error {
    Error::Damaged { reason: reason.into() }
}
