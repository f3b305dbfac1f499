//! The Open Inference Protocol's messages and codecs: JSON with binary tensors
//! behind it, gRPC messages, and what the headers and the path of a request
//! say.
//!
//! This crate knows tensors, bytes and text only. It must not know engines,
//! servers or sockets: whatever comes in is read here, and answered elsewhere.

mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod grpc;
pub mod headers;
mod inference;
pub mod json;
pub mod rest;
mod traceparent;

pub use error::{Error, ErrorKind, Result};
pub use inference::Inference;
pub use traceparent::Traceparent;
