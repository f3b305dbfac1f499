//! What can go wrong while a function is loaded or called.

use std::path::PathBuf;
use std::time::Duration;

use samara_nn::Mismatch;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an [`Error`], for tables that map it to a status or exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's tensors do not fit the signature, or the function refused
    /// them.
    InvalidInput,
    /// Something that was named does not exist.
    NotFound,
    /// The file is no function that this host could ever run.
    InvalidFunction,
    /// A pipeline or manifest contradicts itself.
    InvalidPipeline,
    /// The function asks for something that it was not granted.
    Denied,
    Unsupported,
    /// The backend or device that was asked for is not there.
    Unavailable,
    Timeout,
    Cancelled,
    /// A limit on size was reached.
    TooLarge,
    /// No room for another call now.
    Overloaded,
    /// The function crashed, exited or broke its own contract.
    FunctionFailed,
    /// The host's fault.
    Internal,
}

/// An error of loading or calling a function. `function` names the function
/// and, in a pipeline, the stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot start the sandbox: {reason}")]
    Start { reason: String },

    #[error("`{function}` is not a component: {found}\nhint: {hint}")]
    NotAComponent { function: String, found: String, hint: &'static str },
    #[error("`{function}` does not compile: {reason}")]
    Compile { function: String, reason: String },
    #[error(
        "`{function}` exports nothing that samara can call: it exports {}; expected `samara:function/function@0.1.0`, `wasi:http/incoming-handler`, `wasi:http/handler` or `wasi:cli/run`",
        list(exports)
    )]
    UnknownWorld { function: String, exports: Vec<String> },
    #[error(
        "`{function}` is a core WebAssembly module, and no program of WASI preview 1: it exports {}; expected a function `_start` without parameters\nhint: build a program for `wasm32-wasip1`, or a component for `wasm32-wasip2`",
        list(exports)
    )]
    NotAProgram { function: String, exports: Vec<String> },
    #[error("`{function}` imports what this host does not provide:\n{}", lines(imports))]
    UnknownImports { function: String, imports: Vec<String> },
    #[error("`{function}` needs what it is not granted:\n{}", lines(needs))]
    NotGranted { function: String, needs: Vec<String> },
    #[error("`{function}` does not fit this host: {reason}")]
    Link { function: String, reason: String },
    #[error("cannot grant directory `{}`: {reason}", path.display())]
    Directory { path: PathBuf, reason: String },
    #[error("`{function}` has no stage")]
    NoStages { function: String },
    #[error("pipeline `{function}`, stage `{stage}`: {reason}")]
    Pipeline { function: String, stage: String, reason: String },
    #[error("`{function}` describes itself wrongly: {reason}")]
    BadDescription { function: String, reason: String },
    #[error("`{function}` is {found}, which cannot be {asked}")]
    WrongKind { function: String, found: &'static str, asked: &'static str },

    #[error(transparent)]
    Input(#[from] Mismatch),
    #[error("`{function}` returned what its signature does not say: {source}")]
    Output { function: String, source: Mismatch },
    #[error("`{function}` answered: {message}")]
    Answered { function: String, kind: ErrorKind, message: String },
    #[error("`{function}` ran longer than its deadline of {deadline:?}")]
    Timeout { function: String, deadline: Duration },
    #[error("`{function}` trapped: {reason}{}", stderr_tail(stderr))]
    Trap { function: String, reason: String, stderr: String },
    #[error(
        "`{function}` needs more than its limit of {limit} on {what}{}\nhint: raise `{key}` under `[limits]` in samara.toml",
        stderr_tail(stderr)
    )]
    Limit { function: String, what: &'static str, limit: String, key: &'static str, stderr: String },
    #[error("`{function}` called exit({code}) instead of returning{}", stderr_tail(stderr))]
    Exited { function: String, code: i32, stderr: String },
    #[error("the request to `{function}` is none that it can be given: {reason}")]
    BadRequest { function: String, reason: String },
    #[error("`{function}` ended without an answer{}", stderr_tail(stderr))]
    NoAnswer { function: String, stderr: String },
    #[error("`{function}` stalled: no part of its response nor of its request moved for {limit:?}")]
    Stalled { function: String, limit: Duration },
    #[error("`{function}` broke off its response: {reason}")]
    BrokenResponse { function: String, reason: String },
    #[error("all {instances} sandboxes are in use; try again later")]
    Overloaded { instances: u32 },

    #[error(transparent)]
    Model(#[from] samara_nn::Error),
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Start { .. } => ErrorKind::Internal,
            Error::NotAComponent { .. }
            | Error::Compile { .. }
            | Error::UnknownWorld { .. }
            | Error::NotAProgram { .. }
            | Error::UnknownImports { .. }
            | Error::Link { .. }
            | Error::BadDescription { .. } => ErrorKind::InvalidFunction,
            Error::NotGranted { .. } => ErrorKind::Denied,
            Error::Directory { .. } => ErrorKind::NotFound,
            Error::NoStages { .. } | Error::Pipeline { .. } => ErrorKind::InvalidPipeline,
            Error::WrongKind { .. } => ErrorKind::Unsupported,
            Error::Input(_) | Error::BadRequest { .. } => ErrorKind::InvalidInput,
            Error::Output { .. }
            | Error::Trap { .. }
            | Error::Exited { .. }
            | Error::NoAnswer { .. }
            | Error::BrokenResponse { .. } => ErrorKind::FunctionFailed,
            Error::Answered { kind, .. } => *kind,
            Error::Timeout { .. } | Error::Stalled { .. } => ErrorKind::Timeout,
            Error::Limit { .. } => ErrorKind::TooLarge,
            Error::Overloaded { .. } => ErrorKind::Overloaded,
            Error::Model(error) => model_kind(error.kind()),
        }
    }
}

fn model_kind(kind: samara_nn::ErrorKind) -> ErrorKind {
    use samara_nn::ErrorKind as Nn;
    match kind {
        Nn::InvalidInput | Nn::InvalidModel => ErrorKind::InvalidInput,
        Nn::NotFound => ErrorKind::NotFound,
        Nn::Unsupported => ErrorKind::Unsupported,
        Nn::Unavailable => ErrorKind::Unavailable,
        Nn::Timeout => ErrorKind::Timeout,
        Nn::Cancelled => ErrorKind::Cancelled,
        Nn::TooLarge => ErrorKind::TooLarge,
        Nn::Overloaded => ErrorKind::Overloaded,
        _ => ErrorKind::Internal,
    }
}

/// Names that a message lists before it only counts them.
const MOST_LISTED: usize = 12;

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<String> = names.iter().take(MOST_LISTED).map(|name| format!("`{name}`")).collect();
    let rest = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{rest}", shown.join(", "))
}

fn lines(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("  {item}")).collect();
    items.join("\n")
}

/// The last words of a guest, as an addition to a message.
fn stderr_tail(stderr: &str) -> String {
    match stderr.trim_end() {
        "" => String::new(),
        words => format!("\nits last words: {words}"),
    }
}
