//! What keeps a function from being put together.

use std::path::PathBuf;

use samara_nn::UnknownFormat;
use samara_package::{image, manifest};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a manifest and its files make no function.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot load `[model.{model}]` of `{}`", manifest::FILE_NAME)]
    Model { model: String, source: Box<Error> },
    #[error("the model `{model}` has no file")]
    NoFile { model: String },
    #[error("`{}` is no model that samara reads: {source}", path.display())]
    Format { path: PathBuf, source: UnknownFormat },
    #[error(transparent)]
    Data(#[from] image::Error),
    #[error("{reason}")]
    Place { reason: String },
}

/// The sorts of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A file is not there.
    NotFound,
    /// This build cannot do what is asked for.
    Unsupported,
    /// The manifest or the model says what makes no sense.
    Invalid,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Model { source, .. } => source.kind(),
            Error::NoFile { .. } => ErrorKind::NotFound,
            Error::Format { .. } => ErrorKind::Unsupported,
            Error::Data(_) | Error::Place { .. } => ErrorKind::Invalid,
        }
    }
}
