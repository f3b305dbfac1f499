//! Tests of the pool against a backend whose behaviour a test dictates.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::backend::{Backend, Format, Probe};
use crate::datatype::Datatype;
use crate::error::ErrorKind;
use crate::signature::TensorSpec;
use crate::target::Target;

/// What the script backend does at each run.
type Run = dyn Fn(&[Tensor], &RunContext) -> Result<Vec<Tensor>> + Send + Sync;

#[derive(Clone)]
struct Script {
    run: Arc<Run>,
    loads: Arc<AtomicUsize>,
    alive: Arc<()>,
}

struct ScriptModel {
    script: Script,
    signature: Signature,
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
        Batching::Rows
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

fn script(run: impl Fn(&[Tensor], &RunContext) -> Result<Vec<Tensor>> + Send + Sync + 'static) -> Script {
    Script { run: Arc::new(run), loads: Arc::default(), alive: Arc::default() }
}

fn echo() -> Script {
    script(|inputs, _| Ok(inputs.to_vec()))
}

fn pool(script: &Script) -> Pool {
    let backends = BackendRegistry::new(vec![Arc::new(script.clone())]);
    Pool::new(backends, Arc::new(Compute::new(2, 4)))
}

fn source(name: &str) -> ModelSource {
    ModelSource {
        name: name.to_owned(),
        identity: format!("digest of {name}"),
        format: Format::Onnx,
        bytes: bytes::Bytes::new(),
        path: None,
    }
}

fn acquire(pool: &Pool, name: &str) -> Result<Arc<ResidentModel>> {
    pool.acquire(&source(name), &Choice::Auto, &LoadOptions::default())
}

fn input() -> Vec<NamedTensor> {
    vec![("x".to_owned(), Tensor::from_vec([2], vec![1f32, 2.0]).unwrap())]
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_model_is_loaded_once_and_let_go_of_with_its_last_user() {
    let script = echo();
    let pool = pool(&script);
    let threads: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..4).map(|_| scope.spawn(|| acquire(&pool, "m").unwrap())).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(script.loads.load(Ordering::SeqCst), 1);
    assert_eq!(pool.resident()[0].users, 4);
    let before = Arc::strong_count(&script.alive);
    drop(threads);
    assert!(Arc::strong_count(&script.alive) < before, "the model is gone");
    assert!(pool.resident().is_empty());
    assert!(lock(&pool.slots).is_empty(), "no slot is left behind");
    acquire(&pool, "m").unwrap();
    assert_eq!(script.loads.load(Ordering::SeqCst), 2);
}

#[test]
fn a_failed_load_is_told_and_leaves_nothing() {
    let script = echo();
    let pool = pool(&script);
    assert_eq!(acquire(&pool, "bad").unwrap_err().kind(), ErrorKind::InvalidModel);
    let error = acquire(&pool, "panics").unwrap_err();
    assert_eq!(error.to_string(), "model `panics`: script panicked: load went wild");
    assert!(lock(&pool.slots).is_empty());
}

#[test]
fn inputs_are_checked_before_the_model_sees_them() {
    let script = script(|_, _| panic!("must not run"));
    let model = acquire(&pool(&script), "m").unwrap();
    let wrong = vec![("z".to_owned(), Tensor::from_vec([1], vec![1f32]).unwrap())];
    let error = block_on(model.infer(wrong, RunContext::default())).unwrap_err();
    assert_eq!(error.to_string(), "unknown tensor `z`; the signature has `x`");
}

#[test]
fn a_panicking_session_is_replaced_and_the_next_call_served() {
    let calls = AtomicUsize::new(0);
    let script = script(move |inputs, _| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => panic!("kernel on fire"),
        _ => Ok(inputs.to_vec()),
    });
    let model = acquire(&pool(&script), "m").unwrap();
    let error = block_on(model.infer(input(), RunContext::default())).unwrap_err();
    assert_eq!(error.to_string(), "model `m`: script panicked: kernel on fire");
    assert_eq!(block_on(model.infer(input(), RunContext::default())).unwrap().outputs.len(), 1);
}

#[test]
fn a_short_model_moves_from_the_compute_threads_to_its_caller() {
    let script = script(|inputs, _| {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let on_compute = name.starts_with("samara-compute");
        Ok(vec![Tensor::from_vec([1], vec![f32::from(u8::from(on_compute))]).unwrap(), inputs[0].clone()])
    });
    let model = acquire(&pool(&script), "m").unwrap();
    let on_compute = || {
        let answer = block_on(model.infer(input(), RunContext::default())).unwrap();
        answer.outputs[0].elements::<f32>().unwrap()[0] == 1.0
    };
    assert!(on_compute(), "an unmeasured model gets a thread of its own");
    // However slow this machine is at the moment, the pace is told, not taken.
    for _ in 0..8 {
        model.pace.record(8, Duration::from_micros(1));
    }
    assert!(!on_compute());
}

#[test]
fn a_dropped_call_is_cancelled_before_it_computes() {
    let (started, running) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let (started, gate) = (Mutex::new(started), Mutex::new(gate));
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let script = script(move |inputs, context| {
        counted.fetch_add(1, Ordering::SeqCst);
        lock(&started).send(()).unwrap();
        lock(&gate).recv().unwrap();
        context.check(Instant::now())?;
        Ok(inputs.to_vec())
    });
    let backends = BackendRegistry::new(vec![Arc::new(script.clone())]);
    let pool = Pool::new(backends, Arc::new(Compute::new(1, 4)));
    let model = acquire(&pool, "m").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let spawn = || {
        let model = Arc::clone(&model);
        runtime.spawn(async move { model.infer(input(), RunContext::default()).await })
    };
    let (first, second) = (spawn(), spawn());
    running.recv().unwrap();
    second.abort();
    first.abort();
    let _ = runtime.block_on(async { (first.await, second.await) });
    release.send(()).unwrap();
    drop(release);
    // The queue is drained in order: once a third job ran, the second was skipped.
    let (done, finished) = mpsc::channel();
    model.compute.submit(move || done.send(()).unwrap()).unwrap();
    finished.recv().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}
