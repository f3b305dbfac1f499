//! What can go wrong with keys, signatures and policies.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::{manifest, referrer, store};

/// Ignored signatures that one message tells of.
const TOLD: usize = 3;

/// An operation on keys, signatures or policies that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("`{}` is there already\nhint: keys are never overwritten; give another name, or move the file away", path.display())]
    Exists { path: PathBuf },
    #[error("{what} is no usable key: {reason}")]
    BadKey { what: String, reason: String },
    #[error("the password does not open {what}")]
    WrongPassword { what: String },
    #[error("the password for {what} cannot be read")]
    Password { what: String, source: std::io::Error },
    #[error("the machine gives no random numbers: {reason}")]
    Random { reason: String },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("{digest} is no image: {reason}")]
    NotAnImage { digest: Digest, reason: String },
    #[error("{digest} is not signed")]
    Unsigned { digest: Digest },
    #[error("{digest} has {}, but none by {}{}", count(*signatures), these(keys), also(ignored))]
    OtherKeys { digest: Digest, signatures: usize, keys: Vec<Digest>, ignored: Vec<String> },
    #[error("{digest} has no signature that can be used{}", also(reasons))]
    Damaged { digest: Digest, reasons: Vec<String> },
    /// A policy file that cannot be used.
    #[error(transparent)]
    Policy(manifest::Error),
    /// What a policy does not let pass.
    #[error("`{what}` is refused: {because}\nhint: {hint}")]
    Refused { what: String, because: String, hint: String },
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The disk, the folder or the machine does not allow it.
    Io,
    /// A file that is there would have been overwritten.
    Exists,
    /// A file that holds no key of the kind that is asked for.
    BadKey,
    /// A password that does not fit, or that nobody gave.
    Password,
    /// The store failed.
    Store(store::ErrorKind),
    /// What is to be signed is no image.
    NotAnImage,
    /// There is no signature.
    Unsigned,
    /// There are signatures, by other keys.
    OtherKeys,
    /// There are signatures, and none can be used: they are damaged, or not for
    /// this image.
    Damaged,
    /// A policy file that cannot be used.
    Policy,
    /// What a policy does not let pass.
    Refused,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Io { .. } | Error::Random { .. } => ErrorKind::Io,
            Error::Exists { .. } => ErrorKind::Exists,
            Error::BadKey { .. } => ErrorKind::BadKey,
            Error::WrongPassword { .. } | Error::Password { .. } => ErrorKind::Password,
            Error::Store(error) => ErrorKind::Store(error.kind()),
            Error::NotAnImage { .. } => ErrorKind::NotAnImage,
            Error::Unsigned { .. } => ErrorKind::Unsigned,
            Error::OtherKeys { .. } => ErrorKind::OtherKeys,
            Error::Damaged { .. } => ErrorKind::Damaged,
            Error::Policy(_) => ErrorKind::Policy,
            Error::Refused { .. } => ErrorKind::Refused,
        }
    }
}

impl From<referrer::Error> for Error {
    fn from(error: referrer::Error) -> Self {
        match error {
            referrer::Error::Store(error) => Error::Store(error),
            referrer::Error::NotAnImage { digest, reason } => Error::NotAnImage { digest, reason },
        }
    }
}

pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    match source.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => Error::Io { action, path: path.to_owned(), source },
    }
}

fn count(signatures: usize) -> String {
    match signatures {
        1 => "one signature".to_owned(),
        more => format!("{more} signatures"),
    }
}

fn these(keys: &[Digest]) -> String {
    match keys {
        [] => "a key that was given".to_owned(),
        [key] => format!("the key {}", key.short()),
        keys => {
            let names: Vec<String> = keys.iter().map(Digest::short).collect();
            format!("the keys {}", names.join(", "))
        }
    }
}

fn also(ignored: &[String]) -> String {
    let mut text = String::new();
    for reason in ignored.iter().take(TOLD) {
        text.push_str("; ignored: ");
        text.push_str(reason);
    }
    if ignored.len() > TOLD {
        text.push_str(&format!("; and {} more", ignored.len() - TOLD));
    }
    text
}
