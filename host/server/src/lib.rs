//! Serves functions: the Open Inference Protocol over REST and gRPC, HTTP
//! functions, metrics and a page for people, on one port.
//!
//! The way of a request: a connection (`app/connection.rs`), the part of the
//! server that its path names (`router.rs`), a codec of `samara-protocol` that
//! reads tensors (for `rest`, `grpc`), and the protocol-neutral core
//! (`infer.rs`), which admits it, calls the function and watches what comes of
//! it. `error.rs` holds the one table of statuses and codes.

mod api;
mod app;
mod body;
mod budget;
mod classification;
mod config;
mod context;
mod describe;
mod error;
mod functions;
mod grpc;
mod guard;
mod http_function;
mod infer;
mod live;
mod logs;
mod memory;
mod metrics;
mod page;
mod repository;
mod rest;
mod router;
mod trace;
mod watch;

pub use app::{App, Drained, Parts, Running, Summary};
pub use body::{Body, BoxError};
pub use config::{Config, Drain, FunctionConfig, RepositoryControl, ServeLimits, Telemetry, TlsFiles, Token};
pub use error::{Error, ErrorKind, Result};
pub use functions::{Loadable, ReadInputs, Source, TestCase};
pub use memory::MemoryBound;
