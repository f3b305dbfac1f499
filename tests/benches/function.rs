//! Functions to measure, made as the engine's own tests make them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use samara_engine::{
    Function, FunctionSource, Grants, GuestOutput, Host, HostOptions, Limits, ModelRequest, Reuse,
    StageSource, sha256,
};
use samara_nn::{Choice, Compute, Format, LoadOptions, ModelSource, Pool, Tensor};
use samara_test::onnx::{FP32, Model};

pub(crate) struct Bench {
    pub(crate) host: Host,
    pub(crate) compute: Arc<Compute>,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Bench {
    pub(crate) fn new(code_cache: Option<PathBuf>, instances: u32, threads: usize) -> Result<Self> {
        let compute = Arc::new(Compute::new(threads, 4096));
        let backends = samara_backends::registry(&samara_backends::RegistryOptions::default());
        let models = Arc::new(Pool::new(backends, Arc::clone(&compute)));
        let host = Host::new(HostOptions { code_cache, code_cache_read_only: false, models, instances })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { host, compute, runtime })
    }

    pub(crate) fn load(&self, component: &[u8], model: Option<Vec<u8>>, reuse: Reuse) -> Result<Function> {
        let stage = StageSource::Component {
            name: "bench".to_owned(),
            bytes: component.to_vec().into(),
            rename: BTreeMap::new(),
        };
        let models = model.map(|bytes| ("m".to_owned(), request(bytes))).into_iter().collect();
        let limits = Limits { deadline: Duration::from_secs(600), ..Limits::default() };
        let source = FunctionSource {
            name: "bench".to_owned(),
            stages: vec![stage],
            models,
            limits,
            grants: Grants::default(),
            reuse,
            output: GuestOutput::Discard,
        };
        Ok(self.runtime.block_on(Function::load(&self.host, source))?)
    }
}

pub(crate) fn request(bytes: Vec<u8>) -> ModelRequest {
    let source = ModelSource {
        name: "m".to_owned(),
        identity: sha256(&bytes),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    };
    ModelRequest { source, choice: Choice::Auto, options: LoadOptions::default(), batch: None }
}

/// `y = 2 x` over a vector: a model that costs next to nothing.
pub(crate) fn tiny_model() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["n"])
        .floats("two", &[1], &[2.0])
        .node("Mul", &["x", "two"], &["y"])
        .output("y", FP32, &["n"])
        .bytes()
}

pub(crate) fn vector(length: usize) -> Result<Tensor> {
    Ok(Tensor::from_vec([length], vec![1f32; length])?)
}

pub(crate) fn guest(name: &str) -> Result<Vec<u8>> {
    Ok(std::fs::read(samara_test::guest(name))?)
}
