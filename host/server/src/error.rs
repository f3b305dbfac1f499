//! What goes wrong while serving, and the one table that turns it into HTTP
//! statuses and gRPC codes.

use std::time::Duration;

use http::StatusCode;
use samara_nn::quoted;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("no function is served as `{name}`; there is {}", quoted(known))]
    UnknownFunction { name: String, known: Vec<String> },
    #[error("`{function}` is not served in version `{version}`; there is {}", quoted(known))]
    UnknownVersion { function: String, version: String, known: Vec<String> },
    #[error("`{function}` has no output `{output}`; it has {}", quoted(known))]
    UnknownOutput { function: String, output: String, known: Vec<String> },
    #[error("`{function}` is {found}, which is not called with tensors\nhint: send HTTP requests to {route}")]
    NotCalledWithTensors { function: String, found: &'static str, route: String },

    /// The request itself is wrong, in words that say where.
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Protocol(#[from] samara_protocol::Error),
    #[error("{what} is larger than {limit} bytes, which is the most that this server takes")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("there is nothing at {path}")]
    NoSuchPath { path: String },
    #[error("{path} does not take {method}; it takes {allowed}")]
    Method { path: String, method: String, allowed: &'static str },
    #[error("the content type {found} is not understood here; send {expected}")]
    MediaType { found: String, expected: &'static str },
    #[error("this server asks for a bearer token\nhint: send the header `Authorization: Bearer TOKEN`")]
    Unauthorized,
    #[error("this server does not {what}\nhint: {hint}")]
    Forbidden { what: &'static str, hint: &'static str },

    #[error("{what} is full: {running} requests run and {waiting} wait; try again later")]
    Busy { what: String, running: usize, waiting: usize },
    #[error("the bodies of all requests together are larger than {limit} bytes now; try again later")]
    Crowded { limit: u64 },
    #[error("out of memory: {} MiB of the {} MiB that this server may use are in use; try again later\nhint: raise its memory limit, or let fewer requests run at a time", used >> 20, limit >> 20)]
    OutOfMemory { used: u64, limit: u64 },
    #[error("the server is shutting down")]
    Draining,
    #[error("the request was not answered within {given:?}")]
    Timeout { given: Duration },
    #[error("the client sent its request too slowly: it was not complete after {given:?}")]
    SlowClient { given: Duration },
    #[error("the client went away")]
    ClientGone,

    #[error(transparent)]
    Function(#[from] samara_engine::Error),
    /// In the middle of a response.
    #[error("`{function}` did not finish its response: {reason}")]
    Interrupted { function: String, kind: samara_engine::ErrorKind, reason: String },
    #[error("`{function}` cannot be loaded: {reason}")]
    Load { function: String, reason: String },
    #[error("{0}")]
    Internal(String),
}

/// The kinds of error, as metrics, logs and clients see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    InvalidInput,
    Unauthorized,
    Denied,
    NotFound,
    MethodNotAllowed,
    SlowClient,
    TooLarge,
    MediaType,
    Cancelled,
    FunctionFailed,
    LimitExceeded,
    Internal,
    Unsupported,
    LoadFailed,
    Overloaded,
    Unavailable,
    Draining,
    Timeout,
}

/// How one kind of error is told.
struct Row {
    kind: ErrorKind,
    /// For metrics, logs and programs.
    name: &'static str,
    http: u16,
    /// The number of a gRPC status code.
    grpc: i32,
}

const fn row(kind: ErrorKind, name: &'static str, http: u16, grpc: i32) -> Row {
    Row { kind, name, http, grpc }
}

/// In the order of [`ErrorKind`].
const TABLE: [Row; 18] = [
    row(ErrorKind::InvalidInput, "invalid-input", 400, 3),
    row(ErrorKind::Unauthorized, "unauthorized", 401, 16),
    row(ErrorKind::Denied, "denied", 403, 7),
    row(ErrorKind::NotFound, "not-found", 404, 5),
    row(ErrorKind::MethodNotAllowed, "method-not-allowed", 405, 12),
    row(ErrorKind::SlowClient, "slow-client", 408, 4),
    row(ErrorKind::TooLarge, "too-large", 413, 8),
    row(ErrorKind::MediaType, "media-type", 415, 3),
    row(ErrorKind::Cancelled, "cancelled", 499, 1),
    row(ErrorKind::FunctionFailed, "function-failed", 500, 13),
    row(ErrorKind::LimitExceeded, "limit-exceeded", 500, 8),
    row(ErrorKind::Internal, "internal", 500, 13),
    row(ErrorKind::Unsupported, "unsupported", 501, 12),
    row(ErrorKind::LoadFailed, "load-failed", 400, 9),
    row(ErrorKind::Overloaded, "overloaded", 503, 8),
    row(ErrorKind::Unavailable, "unavailable", 503, 14),
    row(ErrorKind::Draining, "draining", 503, 14),
    row(ErrorKind::Timeout, "timeout", 504, 4),
];

impl ErrorKind {
    /// Every kind there is.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.kind)
    }

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    pub fn http_status(self) -> StatusCode {
        StatusCode::from_u16(self.row().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The number of the gRPC status code.
    pub fn grpc_code(self) -> i32 {
        self.row().grpc
    }

    /// Whether the same request may well be answered a little later.
    pub fn is_worth_a_retry(self) -> bool {
        matches!(self, ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::Draining)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::UnknownFunction { .. } | Error::UnknownVersion { .. } | Error::NoSuchPath { .. } => {
                ErrorKind::NotFound
            }
            Error::UnknownOutput { .. } | Error::Malformed(_) => ErrorKind::InvalidInput,
            Error::Protocol(error) => message_kind(error.kind()),
            Error::NotCalledWithTensors { .. } => ErrorKind::Unsupported,
            Error::TooLarge { .. } => ErrorKind::TooLarge,
            Error::Method { .. } => ErrorKind::MethodNotAllowed,
            Error::MediaType { .. } => ErrorKind::MediaType,
            Error::Unauthorized => ErrorKind::Unauthorized,
            Error::Forbidden { .. } => ErrorKind::Denied,
            Error::Busy { .. } | Error::Crowded { .. } | Error::OutOfMemory { .. } => ErrorKind::Overloaded,
            Error::Draining => ErrorKind::Draining,
            Error::Timeout { .. } => ErrorKind::Timeout,
            Error::SlowClient { .. } => ErrorKind::SlowClient,
            Error::ClientGone => ErrorKind::Cancelled,
            Error::Function(samara_engine::Error::Limit { .. }) => ErrorKind::LimitExceeded,
            Error::Function(error) => function_kind(error.kind()),
            Error::Interrupted { kind, .. } => function_kind(*kind),
            Error::Load { .. } => ErrorKind::LoadFailed,
            Error::Internal(_) => ErrorKind::Internal,
        }
    }
}

fn message_kind(kind: samara_protocol::ErrorKind) -> ErrorKind {
    use samara_protocol::ErrorKind as Protocol;
    match kind {
        Protocol::InvalidInput => ErrorKind::InvalidInput,
        Protocol::TooLarge => ErrorKind::TooLarge,
        _ => ErrorKind::Internal,
    }
}

fn function_kind(kind: samara_engine::ErrorKind) -> ErrorKind {
    use samara_engine::ErrorKind as Engine;
    match kind {
        Engine::InvalidInput => ErrorKind::InvalidInput,
        Engine::NotFound => ErrorKind::NotFound,
        Engine::Unsupported => ErrorKind::Unsupported,
        Engine::Unavailable => ErrorKind::Unavailable,
        Engine::Denied => ErrorKind::Denied,
        Engine::Timeout => ErrorKind::Timeout,
        Engine::Cancelled => ErrorKind::Cancelled,
        Engine::TooLarge => ErrorKind::TooLarge,
        Engine::Overloaded => ErrorKind::Overloaded,
        Engine::FunctionFailed => ErrorKind::FunctionFailed,
        Engine::InvalidFunction | Engine::InvalidPipeline => ErrorKind::LoadFailed,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_kinds() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.kind as usize, index, "{}", row.name);
            assert_eq!(row.kind.name(), row.name);
            assert_eq!(row.kind.http_status().as_u16(), row.http);
            assert!((1..=16).contains(&row.grpc));
        }
    }

    #[test]
    fn only_passing_conditions_ask_for_a_retry() {
        for kind in ErrorKind::all() {
            assert_eq!(kind.is_worth_a_retry(), kind.http_status() == StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}
