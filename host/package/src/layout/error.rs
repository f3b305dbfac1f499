//! What can go wrong with an archive.

use crate::store;

/// An archive that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("cannot write the archive")]
    Write { source: std::io::Error },
    #[error("cannot read the archive")]
    Read { source: std::io::Error },
    #[error("the archive is cut off or altered: {reason}\nhint: copy it again from where it was saved")]
    Damaged { reason: String },
    #[error("the archive has the entry `{entry}`, which is {what}: no image layout has that")]
    Refused { entry: String, what: &'static str },
    #[error(
        "this is no archive of images: {reason}\nhint: `samara save` and `skopeo copy … oci-archive:FILE` write such archives"
    )]
    NotALayout { reason: String },
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store failed: see [`store::Error::kind`].
    Store(store::ErrorKind),
    /// The archive cannot be read or written.
    Io,
    /// Parts of the archive are missing or altered.
    Damaged,
    /// It is something else, or has what no archive of images has.
    NotALayout,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Store(error) => ErrorKind::Store(error.kind()),
            Error::Write { .. } | Error::Read { .. } => ErrorKind::Io,
            Error::Damaged { .. } => ErrorKind::Damaged,
            Error::Refused { .. } | Error::NotALayout { .. } => ErrorKind::NotALayout,
        }
    }
}
