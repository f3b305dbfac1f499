//! What is wrong with a message.

use samara_nn::TensorError;

use crate::json;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why bytes are no message of the protocol, or an answer does not become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// In words that say what and where.
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Json(#[from] json::Error),
    #[error("{what} is larger than {limit} bytes, which is the most that one message holds")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("output `{output}`: {source}")]
    Output { output: String, source: TensorError },
}

/// The kinds of error, as whoever answers tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    InvalidInput,
    TooLarge,
    /// No fault of the client's.
    Internal,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Malformed(_) | Error::Json(_) => ErrorKind::InvalidInput,
            Error::TooLarge { .. } => ErrorKind::TooLarge,
            Error::Output { .. } => ErrorKind::Internal,
        }
    }
}
