//! Executes models on any vendor's GPU, through wgpu: Vulkan, Metal or DX12.
//!
//! A model comes as tract's typed graph: every datatype known, every shape
//! known up to named sizes. It is lowered once ([`lower`]) to a
//! [`Program`](program::Program) of steps over buffers; steps that compute
//! element by element are fused into the step before them ([`tail`]), and axes
//! that are moved, cut or repeated only change how a buffer is addressed
//! ([`view`]). For each set of input shapes the program is made concrete
//! ([`schedule`]): sizes as uniforms, memory planned before any is taken. A new
//! shape compiles nothing.
//!
//! Kernels are WGSL files in `kernels/`, which [`shader`] completes with the
//! datatypes, the bindings and the fused tail. What a kernel computes depends
//! on shapes and the model alone, never on measuring, so that equal inputs give
//! equal bits.
//!
//! ```no_run
//! use std::sync::Arc;
//! use samara_gpu::{ExecutableOptions, Executable, GpuOptions, Gpus};
//! # fn typed_model() -> tract_core::prelude::TypedModel { Default::default() }
//!
//! let gpus = Arc::new(Gpus::new(GpuOptions::default()));
//! let executable = Executable::load(&gpus, None, &typed_model(), &ExecutableOptions::default())?;
//! # Ok::<(), samara_gpu::Error>(())
//! ```

#![deny(unsafe_code)]

mod alloc;
mod derived;
mod device;
mod disk;
mod dtype;
mod error;
mod exec;
mod executable;
mod io;
mod lower;
mod matrices;
mod missing;
mod pipeline;
mod plan;
mod program;
mod schedule;
mod shader;
mod tail;
mod view;

pub use device::{AdapterDescription, GpuOptions, Gpus};
pub use error::{Error, Refusal, Result};
pub use executable::{Executable, ExecutableOptions};
