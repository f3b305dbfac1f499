//! What can go wrong between a caller and a model.

use std::time::Duration;

use crate::datatype::Datatype;
use crate::signature::format_shape;
use crate::target::Target;
use crate::tensor::TensorError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an [`Error`], for tables that map it to a status or exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's tensors do not fit the signature.
    InvalidInput,
    /// Something that was named does not exist.
    NotFound,
    /// The model file is damaged or senseless.
    InvalidModel,
    /// The model, datatype or request is beyond what the backend can do.
    Unsupported,
    /// The backend or device that was asked for is not there.
    Unavailable,
    /// The deadline passed.
    Timeout,
    /// The caller went away.
    Cancelled,
    /// A limit on size was reached.
    TooLarge,
    /// The queue is full.
    Overloaded,
    /// The backend failed.
    Internal,
}

/// How a set of tensors differs from a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    #[error("tensor `{tensor}` is missing")]
    Missing { tensor: String },
    #[error("unknown tensor `{tensor}`; the signature has {}", quoted(known))]
    Unknown { tensor: String, known: Vec<String> },
    #[error("tensor `{tensor}` is given twice")]
    Duplicate { tensor: String },
    #[error("tensor `{tensor}`: the signature asks for {expected}, got {found}")]
    Datatype { tensor: String, expected: Datatype, found: Datatype },
    #[error(
        "tensor `{tensor}`: the signature asks for shape {}, got {}",
        format_shape(expected),
        format_shape(found)
    )]
    Shape { tensor: String, expected: Vec<i64>, found: Vec<usize> },
    #[error(
        "tensor `{tensor}`: axis {axis} must be as long as axis {other_axis} of `{other}`, {expected}, not {found}"
    )]
    Unequal { tensor: String, axis: usize, found: usize, other: String, other_axis: usize, expected: usize },
    #[error("tensor `{tensor}`: {source}")]
    Malformed { tensor: String, source: TensorError },
}

/// An error of loading or running a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Input(#[from] Mismatch),

    #[error("model `{model}`: {backend} cannot read it: {reason}")]
    InvalidModel { model: String, backend: &'static str, reason: String },
    #[error("model `{model}`: {backend} does not support it: {reason}")]
    Unsupported { model: String, backend: &'static str, reason: String },
    #[error("model `{model}`: {what} is {size}, above the limit of {limit}")]
    TooLarge { model: String, what: String, size: u64, limit: u64 },
    #[error("model `{model}`: {backend} failed: {reason}")]
    Run { model: String, backend: &'static str, reason: String },
    #[error("model `{model}`: {backend} panicked: {reason}")]
    Panicked { model: String, backend: &'static str, reason: String },

    #[error(
        "model `{model}`: its calls cannot be merged: every input and output must begin with an open axis, and {tensor} does not\n\
         hint: export the model with a dynamic batch axis, or leave `batch` out"
    )]
    NoRows { model: String, tensor: String },

    #[error("no backend is called `{name}`; this build has {}", quoted(known))]
    UnknownBackend { name: String, known: Vec<String> },
    #[error("backend `{backend}` is not available: {reason}")]
    BackendUnavailable { backend: String, reason: String },
    #[error("model `{model}`: no backend of this build reads {format} for target `{target}`: {reasons}")]
    NoBackend { model: String, format: &'static str, target: Target, reasons: String },
    #[error("model `{model}`: no backend can run it: {reasons}")]
    AllRefused { model: String, kind: ErrorKind, reasons: String },
    #[error("target `{target}`: {reason}")]
    TargetUnavailable { target: Target, reason: String },

    #[error("the deadline passed after {after:?}")]
    Timeout { after: Duration },
    #[error("the call was cancelled")]
    Cancelled,
    #[error("the compute queue is full ({waiting} calls wait); try again later")]
    Overloaded { waiting: usize },
    #[error("the compute threads are shut down")]
    ShutDown,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Input(_) => ErrorKind::InvalidInput,
            Error::InvalidModel { .. } => ErrorKind::InvalidModel,
            Error::Unsupported { .. } | Error::NoBackend { .. } | Error::NoRows { .. } => {
                ErrorKind::Unsupported
            }
            Error::TooLarge { .. } => ErrorKind::TooLarge,
            Error::Run { .. } | Error::Panicked { .. } | Error::ShutDown => ErrorKind::Internal,
            Error::UnknownBackend { .. } => ErrorKind::NotFound,
            Error::BackendUnavailable { .. } | Error::TargetUnavailable { .. } => ErrorKind::Unavailable,
            Error::AllRefused { kind, .. } => *kind,
            Error::Timeout { .. } => ErrorKind::Timeout,
            Error::Cancelled => ErrorKind::Cancelled,
            Error::Overloaded { .. } => ErrorKind::Overloaded,
        }
    }
}

/// Names in a sentence: each in backticks, `none` where there is none.
pub fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
