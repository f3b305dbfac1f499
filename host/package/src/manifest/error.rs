//! What can be wrong with a manifest, and where.

use std::fmt;
use std::path::PathBuf;

use crate::text::cut;

/// Characters of a problem that are shown.
const LONGEST: usize = 2000;

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("`{}` has no `samara.toml`", folder.display())]
    NotFound { folder: PathBuf },
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    // Manifests come in images too: no text of theirs steers a terminal.
    #[error("{place}: {}", cut(&problem.to_string(), LONGEST))]
    Invalid { place: Place, problem: Box<Problem> },
}

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no manifest.
    NotFound,
    /// The file cannot be read.
    Unreadable,
    /// The file is not TOML.
    Syntax,
    /// A key that means nothing here.
    UnknownKey,
    /// A value of the wrong type.
    WrongType,
    /// A value that does not make sense.
    BadValue,
    /// A key that must be there.
    Missing,
    /// Keys that contradict each other, or names that are used twice.
    Conflict,
}

/// A place in a file; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("{message}")]
    Syntax { message: String },
    #[error("unknown key `{key}` in {section}; {}", advice(nearest.as_deref(), known))]
    UnknownKey { key: String, section: String, nearest: Option<String>, known: Vec<String> },
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType { key: String, expected: &'static str, found: String },
    #[error("`{key} = {value}`: {reason}")]
    BadValue { key: String, value: String, reason: String },
    #[error("{section} needs the key `{key}`, {what}")]
    Missing { section: String, key: &'static str, what: &'static str },
    #[error("two {what} are called `{name}`; give one of them another name")]
    Duplicate { what: &'static str, name: String },
    #[error("{reason}")]
    Conflict { reason: String },
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NotFound { .. } => ErrorKind::NotFound,
            Error::Read { .. } => ErrorKind::Unreadable,
            Error::Invalid { problem, .. } => problem.kind(),
        }
    }

    /// Where the problem is, for those that have a place in the file.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Error::Invalid { place, .. } => Some(place),
            Error::NotFound { .. } | Error::Read { .. } => None,
        }
    }
}

impl Problem {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Problem::Syntax { .. } => ErrorKind::Syntax,
            Problem::UnknownKey { .. } => ErrorKind::UnknownKey,
            Problem::WrongType { .. } => ErrorKind::WrongType,
            Problem::BadValue { .. } => ErrorKind::BadValue,
            Problem::Missing { .. } => ErrorKind::Missing,
            Problem::Duplicate { .. } | Problem::Conflict { .. } => ErrorKind::Conflict,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

fn advice(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => {
            let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
            format!("known are {}", known.join(", "))
        }
    }
}
