//! What can be wrong with an image, or with what one is to be made of.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::text::tame;
use crate::{manifest, store};

/// An image that cannot be packed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write a layer to the store")]
    Write { source: std::io::Error },
    /// What is to be packed does not fit together.
    #[error("cannot pack: {reason}")]
    Source { reason: String },
    /// One of the documents of the image makes no sense.
    #[error("the {what} {digest} is damaged or no {what}: {reason}")]
    Document { what: &'static str, digest: Digest, reason: String },
    /// A whole image, but not of a kind that runs here.
    #[error("the image is {found}; samara runs images of architecture `wasm` and Wasm artifacts{advice}")]
    NotRunnable { found: String, advice: String },
    #[error("layer {layer}: {reason}")]
    Layer { layer: Digest, reason: String },
    /// A file of a layer that is refused.
    #[error("layer {layer}: `{entry}` {reason}")]
    Entry { layer: Digest, entry: String, reason: String },
    #[error("layer {layer} unpacks to more than {limit} bytes, or {files} files")]
    TooLarge { layer: Digest, limit: u64, files: usize },
    #[error("the image's manifest `samara.toml` cannot be used")]
    Manifest(#[source] manifest::Error),
    /// The image lacks what its manifest names.
    #[error("the image has no {what} `{name}`, which its manifest names{}", list(has))]
    Missing { what: &'static str, name: String, has: Vec<String> },
    /// What a model keeps weights in is not what it should be.
    #[error("the model `{model}` keeps weights in `{}`, which {reason}", tame(name))]
    Data { model: String, name: String, reason: String },
    #[error("the image has {has} component layers, but its manifest names {needs} components")]
    Components { has: usize, needs: usize },
    #[error("`{name}` is no WebAssembly: it begins with {found}, not with `\\0asm`")]
    NotWasm { name: String, found: String },
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something that must be there is not.
    NotFound,
    /// Bytes are not what they should be, or are refused.
    Corrupt,
    /// Nothing that samara runs.
    Unsupported,
    /// A limit was passed.
    TooLarge,
    /// What was given for packing does not fit together.
    Input,
    /// The disk or the folder does not allow it.
    Io,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Store(error) => match error.kind() {
                store::ErrorKind::NotFound => ErrorKind::NotFound,
                store::ErrorKind::Corrupt => ErrorKind::Corrupt,
                _ => ErrorKind::Io,
            },
            Error::Read { .. } | Error::Write { .. } => ErrorKind::Io,
            Error::Source { .. } => ErrorKind::Input,
            Error::Document { .. }
            | Error::Layer { .. }
            | Error::Entry { .. }
            | Error::Data { .. }
            | Error::Components { .. }
            | Error::Manifest(_) => ErrorKind::Corrupt,
            Error::NotRunnable { .. } | Error::NotWasm { .. } => ErrorKind::Unsupported,
            Error::TooLarge { .. } => ErrorKind::TooLarge,
            Error::Missing { .. } => ErrorKind::NotFound,
        }
    }
}

pub(crate) fn read(path: &Path, source: std::io::Error) -> Error {
    Error::Read { path: path.to_owned(), source }
}

/// An error of copying a file into the store: of the file, where
/// [`ReadFailed`] says so, or else of the store.
pub(crate) fn write(source: std::io::Error) -> Error {
    match source.downcast::<ReadFailed>() {
        Ok(ReadFailed { path, source }) => Error::Read { path, source },
        Err(source) => Error::Write { source },
    }
}

/// A file that could not be read, as an error of whoever copies it.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`", path.display())]
pub(super) struct ReadFailed {
    pub(super) path: PathBuf,
    pub(super) source: std::io::Error,
}

pub(super) fn input(reason: impl Into<String>) -> Error {
    Error::Source { reason: reason.into() }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", tame(name))).collect();
    match (shown.as_slice(), names.len() > SHOWN) {
        ([], _) => "; it has none".to_owned(),
        (shown, false) => format!("; it has {}", shown.join(", ")),
        (shown, true) => format!("; it has {} and others", shown.join(", ")),
    }
}
