//! Puts functions together: joins what a manifest says with the files that it
//! names, for whatever program runs them. Where the files come from, a folder, an
//! image or a container's root, is that program's affair, and so are the backends.

#![deny(unsafe_code)]

mod error;
mod function;
mod machine;
mod memory;
mod model;
pub mod sweep;

pub use error::{Error, ErrorKind, Result};
pub use function::{MakeComponent, component, limits, model_stage, reuse, stages};
pub use machine::{litert_libraries, onnxruntime_libraries, threads, threads_for};
pub use memory::MemoryGroup;
pub use model::{ModelFile, Place, format_of, request, requests};
