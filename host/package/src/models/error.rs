//! Why a model from elsewhere cannot be had.

use std::path::PathBuf;

use crate::text::tame;
use crate::{image, store};

/// A model or lock file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error("`{reference}` has no models")]
    NoModels { reference: String },
    #[error(
        "`{reference}` has several models, {}\nhint: name one, e.g. `oci://{reference}#{}`",
        list(has),
        has.first().map_or("NAME", String::as_str)
    )]
    Several { reference: String, has: Vec<String> },
    #[error("`{reference}` has no model `{part}`; it has {}", list(has))]
    NoPart { reference: String, part: String, has: Vec<String> },
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "the lock file `{}` is damaged: {reason}\nhint: remove it, and the references are resolved again",
        path.display()
    )]
    Lock { path: PathBuf, reason: String },
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The image or the model is not there.
    NotFound,
    /// Several models are there and none is named.
    Ambiguous,
    /// The image or artifact cannot be used; its error says more.
    Image,
    /// The lock file makes no sense.
    Lock,
    /// The disk or the folder does not allow it.
    Io,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Store(error) if error.kind() == store::ErrorKind::NotFound => ErrorKind::NotFound,
            Error::NoModels { .. } | Error::NoPart { .. } => ErrorKind::NotFound,
            Error::Several { .. } => ErrorKind::Ambiguous,
            Error::Store(_) | Error::Image(_) => ErrorKind::Image,
            Error::Lock { .. } => ErrorKind::Lock,
            Error::Io { .. } => ErrorKind::Io,
        }
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", tame(name))).collect();
    let others = if names.len() > SHOWN { " and others" } else { "" };
    format!("{}{others}", shown.join(", "))
}
