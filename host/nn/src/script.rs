//! A backend whose behaviour a test dictates.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::backend::{
    Backend, BackendRegistry, Batching, Choice, Footprint, LoadOptions, Model, ModelSource, Probe, Session,
};
use crate::compute::Compute;
use crate::context::RunContext;
use crate::datatype::Datatype;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::pool::Pool;
use crate::resident::ResidentModel;
use crate::signature::{Signature, TensorSpec};
use crate::target::Target;
use crate::tensor::{NamedTensor, Tensor};

/// What the script backend does at each run.
type Run = dyn Fn(&[Tensor], &RunContext) -> Result<Vec<Tensor>> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Script {
    run: Arc<Run>,
    /// Whether it claims to be proven to keep rows apart.
    proven: bool,
    pub(crate) loads: Arc<AtomicUsize>,
    pub(crate) alive: Arc<()>,
}

struct ScriptModel {
    script: Script,
    signature: Signature,
}

impl Script {
    /// A model of which nobody proved that it keeps rows apart.
    pub(crate) fn unproven(self) -> Self {
        Self { proven: false, ..self }
    }
}

impl Backend for Script {
    fn name(&self) -> &'static str {
        "script"
    }
    fn probe(&self) -> Probe {
        Probe::Available { version: "1".into(), devices: vec![], origin: "test".into() }
    }
    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx]
    }
    fn serves(&self, target: Target) -> bool {
        target == Target::Cpu
    }
    fn load(&self, source: &ModelSource, _: &LoadOptions) -> Result<Arc<dyn Model>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        match source.name.as_str() {
            "bad" => {
                Err(Error::InvalidModel { model: "bad".into(), backend: "script", reason: "torn".into() })
            }
            "panics" => panic!("load went wild"),
            _ => {
                let spec = |name: &str| vec![TensorSpec::new(name, Datatype::Fp32, [-1])];
                let signature = Signature { inputs: spec("x"), outputs: spec("y") };
                Ok(Arc::new(ScriptModel { script: self.clone(), signature }))
            }
        }
    }
}

impl Model for ScriptModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn footprint(&self) -> Footprint {
        Footprint::default()
    }
    fn batching(&self) -> Batching {
        if self.script.proven { Batching::Rows } else { Batching::None }
    }
    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.script.clone()))
    }
}

impl Session for Script {
    fn run(&mut self, inputs: &[Tensor], context: &RunContext) -> Result<Vec<Tensor>> {
        (self.run)(inputs, context)
    }
}

pub(crate) fn script(
    run: impl Fn(&[Tensor], &RunContext) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> Script {
    Script { run: Arc::new(run), proven: true, loads: Arc::default(), alive: Arc::default() }
}

pub(crate) fn echo() -> Script {
    script(|inputs, _| Ok(inputs.to_vec()))
}

pub(crate) fn pool(script: &Script) -> Pool {
    pool_of(script, 2, 4)
}

/// So many compute threads, and so many calls that may wait.
pub(crate) fn pool_of(script: &Script, threads: usize, capacity: usize) -> Pool {
    let backends = BackendRegistry::new(vec![Arc::new(script.clone())]);
    Pool::new(backends, Arc::new(Compute::new(threads, capacity)))
}

pub(crate) fn source(name: &str) -> ModelSource {
    ModelSource {
        name: name.to_owned(),
        identity: format!("digest of {name}"),
        format: Format::Onnx,
        bytes: bytes::Bytes::new(),
        beside: crate::Beside::Nothing,
    }
}

pub(crate) fn acquire(pool: &Pool, name: &str) -> Result<Arc<ResidentModel>> {
    pool.acquire(&source(name), &Choice::Auto, &LoadOptions::default())
}

pub(crate) fn input() -> Vec<NamedTensor> {
    vec![("x".to_owned(), Tensor::from_vec([2], vec![1f32, 2.0]).unwrap())]
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Has a future do what it can without waiting, which queues a call.
pub(crate) fn start<F: Future>(mut future: Pin<&mut F>) {
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it did not have to wait");
}

/// Makes the model known as one that computes for longer than a thread hop.
pub(crate) fn known_to_be_long(model: &ResidentModel) {
    model.pace.record(1, Duration::from_secs(1));
}

/// Keeps a compute thread busy until it is dropped; the thread is so when this
/// returns.
pub(crate) fn hold_thread(compute: &Compute) -> mpsc::Sender<()> {
    let (release, gate) = mpsc::channel::<()>();
    let (started, running) = mpsc::channel();
    compute
        .submit(move || {
            started.send(()).unwrap();
            let _ = gate.recv();
        })
        .unwrap();
    running.recv().unwrap();
    release
}
