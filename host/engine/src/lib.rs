//! Runs functions: components in a sandbox, with models behind `wasi:nn`.
//!
//! Three lifetimes, each with its own type: a [`Host`] per process, a
//! [`Function`] per thing that was loaded, compiled and checked, and inside it
//! an instance per call. Nothing is granted to an instance that its
//! [`Grants`] do not name.
//!
//! This is the only crate that names wasmtime, and `config.rs` holds the only
//! `wasmtime::Config`.

mod cache;
mod call;
mod code;
mod command;
mod compiler;
mod config;
mod description;
mod digest;
mod error;
mod exported;
mod forward;
mod function;
mod grants;
mod host;
mod instance;
mod kind;
mod limits;
mod linker;
mod models;
mod output;
mod pipeline;
mod program;
mod report;
mod reuse;
mod serve;
mod stage;
mod standalone;
mod sweep;
mod tail;
mod ticker;
mod voice;
mod wasi;

pub use call::CallOptions;
pub use command::{CommandOutput, CommandRun};
pub use compiler::{CompiledCode, Compiler};
pub use digest::sha256;
pub use error::{Error, ErrorKind, Result};
pub use forward::{ForwardError, component_for_model};
pub use function::{Function, FunctionSource, Outcome, StageSource};
pub use grants::{DirectoryGrant, Grants};
pub use host::{Host, HostOptions};
pub use kind::{Kind, Wasi};
pub use limits::Limits;
pub use models::{ModelRequest, ModelUse};
pub use output::{GuestLine, GuestOutput, Level, LineSource, Listener};
pub use report::{CallReport, Compiled, LoadReport, ModelRun, StageReport};
pub use reuse::Reuse;
pub use serve::{Ended, ResponseBody};
pub use standalone::{Standalone, StandaloneError, standalone_component, standalone_payload};
