//! ONNX models on the CPU by tract: built in, pure Rust, weights shared by all
//! sessions.

pub(crate) mod error;
mod guard;
mod indices;
mod inline;
mod ml;
mod nnef;
mod open;
mod plan;
mod prepare;
mod qdq;
mod quantised;
pub(crate) mod read;
pub(crate) mod rows;
mod session;
mod sizes;
mod tensors;

use std::sync::Arc;

use samara_nn::{
    Backend, Batching, Device, Footprint, Format, LoadOptions, Model, ModelSource, Probe, Result, Session,
    Signature, Target,
};

use crate::onnx::{Flat, Outline};
use crate::precision::own_datatypes_only;
use crate::stack::on_large_stack;
use plan::Plans;
use session::TractSession;

const NAME: &str = "tract";

/// The backend `tract`.
#[derive(Debug, Clone)]
pub struct Tract {
    tensor_limit: u64,
}

impl Tract {
    /// A backend that refuses to compute any tensor of more than
    /// `tensor_limit` bytes.
    pub fn new(tensor_limit: u64) -> Self {
        Self { tensor_limit }
    }
}

impl Backend for Tract {
    fn name(&self) -> &'static str {
        NAME
    }

    fn probe(&self) -> Probe {
        Probe::Available {
            version: VERSION.to_owned(),
            devices: vec![Device { target: Target::Cpu, description: std::env::consts::ARCH.to_owned() }],
            origin: "built in".to_owned(),
        }
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx, Format::Nnef]
    }

    fn serves(&self, target: Target) -> bool {
        matches!(target, Target::Cpu | Target::GpuOrCpu)
    }

    fn load(&self, source: &ModelSource, options: &LoadOptions) -> Result<Arc<dyn Model>> {
        own_datatypes_only(source, NAME, options)?;
        if source.format == Format::Nnef {
            let prepare = || nnef::prepare(source, options.threads, self.tensor_limit);
            return Ok(Arc::new(on_large_stack(NAME, prepare)?));
        }
        let flat = Flat::of(source, NAME)?;
        let source = &*flat.source;
        let outline = Outline::read(source, NAME)?;
        read::check_operators(source, &outline, NAME, read::Operators::Exact)?;
        let prepare = || prepare::prepare(source, &outline, options.threads, self.tensor_limit);
        let model = on_large_stack(NAME, prepare)?;
        Ok(Arc::new(TractModel { signature: flat.label(model.signature, NAME)?, ..model }))
    }
}

/// A prepared model.
pub(crate) struct TractModel {
    name: Arc<str>,
    signature: Signature,
    footprint: Footprint,
    batching: Batching,
    plans: Arc<Plans>,
}

impl Model for TractModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn footprint(&self) -> Footprint {
        self.footprint
    }

    fn batching(&self) -> Batching {
        self.batching
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let names = self.signature.inputs.iter().map(|spec| spec.name.clone()).collect();
        Ok(Box::new(TractSession::new(Arc::clone(&self.name), names, Arc::clone(&self.plans))))
    }
}

/// The version of the crates that `Cargo.toml` pins.
const VERSION: &str = "0.23.9";
