//! What can go wrong between a typed model and its answer.

use std::time::Duration;

use samara_nn::Mismatch;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the executor. The model's name is the caller's to add.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no adapter that may be used; the text lists those found.
    #[error("{0}")]
    NoAdapter(String),
    /// The adapter does not compute with the precision that was asked for; the
    /// text says why, and what to do.
    #[error("{0}")]
    NoMatrices(String),
    /// Parts of the model that cannot run on the GPU.
    #[error("{}", list(.0))]
    Unsupported(Vec<Refusal>),
    #[error("{what} is {size}, above the limit of {limit}")]
    TooLarge { what: String, size: u64, limit: u64 },
    #[error("the GPU has no memory left for {what} of {size} bytes")]
    OutOfMemory { what: String, size: u64 },
    /// The device went away; the next load or run opens it again.
    #[error("the GPU was lost: {0}")]
    Lost(String),
    #[error(transparent)]
    Input(#[from] Mismatch),
    #[error("{0}")]
    Failed(String),
    #[error("the deadline passed after {after:?}")]
    Timeout { after: Duration },
    #[error("the call was cancelled")]
    Cancelled,
}

/// A node that cannot run on the GPU, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node `{node}` (operator `{operator}`): {reason}")]
pub struct Refusal {
    pub node: String,
    pub operator: String,
    pub reason: String,
}

/// Refusals that one message names.
const MOST_NAMED: usize = 10;

fn list(refusals: &[Refusal]) -> String {
    let named: Vec<String> = refusals.iter().take(MOST_NAMED).map(Refusal::to_string).collect();
    let more = refusals.len().saturating_sub(MOST_NAMED);
    match more {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}
