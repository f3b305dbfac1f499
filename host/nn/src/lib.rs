//! What samara means by a model: tensors, datatypes, signatures, the traits
//! that an engine implements, and the pool that loads a model once and shares
//! it.
//!
//! This crate is the contract between the rooms of the host. It must not know
//! wasmtime, any machine-learning engine, HTTP or OCI: backends depend on it,
//! never the other way round.
//!
//! The way of a call: a [`Pool`] gives a [`ResidentModel`], whose
//! [`infer`](ResidentModel::infer) checks the inputs against the
//! [`Signature`], hands the work to a [`Compute`] thread with a session of its
//! own, merged with other calls where a [`BatchPolicy`] allows it, and resolves
//! to an [`Answer`].

mod backend;
mod batch;
mod beside;
mod compute;
mod context;
mod datatype;
mod error;
mod format;
mod load;
mod pace;
mod plan;
mod pool;
mod precision;
mod resident;
#[cfg(test)]
mod script;
mod signature;
mod target;
mod tensor;

pub use backend::{
    Backend, BackendRegistry, Batching, Choice, Device, Footprint, LoadOptions, Model, ModelSource, Probe,
    Session,
};
pub use batch::{BatchPolicy, split};
pub use beside::{Beside, NoDataFile, check_name, data_file, folder_of};
pub use compute::Compute;
pub use context::{Caller, CancelHook, Cancellation, RunContext};
pub use datatype::{Datatype, Element, UnknownDatatype};
pub use error::{Error, ErrorKind, Mismatch, Result, quoted};
pub use format::{Content, Foreign, Format, HEAD, UnknownFormat};
pub use load::ModelLoad;
pub use plan::{KernelTime, Plan, PlanStep, Planned};
pub use pool::{Pool, ResidentSummary};
pub use precision::{Precision, UnknownPrecision};
pub use resident::{Answer, ResidentModel};
pub use signature::{ANY_SIZE, Quantisation, Signature, TensorSpec, format_shape};
pub use target::{Target, UnknownTarget};
pub use tensor::{NamedTensor, Tensor, TensorError};
