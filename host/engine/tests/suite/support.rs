//! What every test here needs: a host, a function from a guest, a call.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use samara_engine::{
    CallOptions, Error, Function, FunctionSource, Grants, GuestOutput, Host, HostOptions, Limits,
    ModelRequest, Reuse, StageSource, sha256,
};
use samara_nn::{Choice, Compute, Format, LoadOptions, ModelSource, NamedTensor, Pool, Tensor};
use samara_test::onnx::{FP32, Model};

pub(crate) fn host() -> Host {
    host_of(16)
}

pub(crate) fn host_of(instances: u32) -> Host {
    let backends = samara_backends::registry(&samara_backends::RegistryOptions::default());
    let models = Arc::new(Pool::new(backends, Arc::new(Compute::new(2, 64))));
    let code_cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("code"));
    Host::new(HostOptions { code_cache, code_cache_read_only: false, models, instances }).unwrap()
}

/// A source with no stage: what the others add to. Its deadline is generous,
/// since these machines are slow at times.
pub(crate) fn source(name: &str) -> FunctionSource {
    FunctionSource {
        name: name.to_owned(),
        stages: Vec::new(),
        models: BTreeMap::new(),
        limits: Limits { deadline: Duration::from_secs(60), ..Limits::default() },
        grants: Grants::default(),
        reuse: Reuse::Never,
        output: GuestOutput::Discard,
    }
}

pub(crate) fn guest(name: &str) -> FunctionSource {
    component(name, std::fs::read(samara_test::guest(name)).unwrap())
}

pub(crate) fn command(name: &str) -> FunctionSource {
    component(name, std::fs::read(samara_test::command(name)).unwrap())
}

pub(crate) fn component(name: &str, bytes: Vec<u8>) -> FunctionSource {
    FunctionSource { stages: vec![component_stage(name, bytes)], ..source(name) }
}

pub(crate) fn component_stage(name: &str, bytes: Vec<u8>) -> StageSource {
    StageSource::Component { name: name.to_owned(), bytes: bytes.into(), rename: BTreeMap::new() }
}

pub(crate) fn guest_stage(name: &str) -> StageSource {
    component_stage(name, std::fs::read(samara_test::guest(name)).unwrap())
}

pub(crate) fn model_stage(name: &str) -> StageSource {
    StageSource::Model { name: name.to_owned(), model: name.to_owned(), rename: BTreeMap::new() }
}

pub(crate) fn with_model(mut source: FunctionSource, name: &str, bytes: Vec<u8>) -> FunctionSource {
    let model = ModelSource {
        name: name.to_owned(),
        identity: sha256(&bytes),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    };
    let request =
        ModelRequest { source: model, choice: Choice::Auto, options: LoadOptions::default(), batch: None };
    source.models.insert(name.to_owned(), request);
    source
}

/// Runs on a runtime with threads, as a server would.
pub(crate) fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

pub(crate) fn load(host: &Host, source: FunctionSource) -> Result<Function, Error> {
    block_on(Function::load(host, source))
}

pub(crate) fn call(function: &Function, inputs: Vec<(&str, Tensor)>) -> Result<Vec<NamedTensor>, Error> {
    let inputs = inputs.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    block_on(function.infer(inputs, CallOptions::default())).map(|outcome| outcome.outputs)
}

/// The model `y = 2 x` over a vector of any length.
pub(crate) fn double() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["n"])
        .floats("two", &[1], &[2.0])
        .node("Mul", &["x", "two"], &["y"])
        .output("y", FP32, &["n"])
        .bytes()
}

pub(crate) fn floats(values: &[f32]) -> Tensor {
    Tensor::from_vec([values.len()], values.to_vec()).unwrap()
}

pub(crate) fn int(value: i64) -> Tensor {
    Tensor::from_vec([1], vec![value]).unwrap()
}

pub(crate) fn text(words: &str) -> Tensor {
    Tensor::from_elements([1], [words]).unwrap()
}

pub(crate) fn as_floats(outputs: &[NamedTensor]) -> Vec<f32> {
    outputs[0].1.elements::<f32>().unwrap().into_owned()
}

pub(crate) fn as_text(tensor: &Tensor) -> String {
    let strings = tensor.byte_strings().unwrap();
    strings.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect::<Vec<_>>().join(",")
}
