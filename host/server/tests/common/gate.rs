//! A backend whose runs wait until the test lets them go: time without clocks.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use samara_nn::{
    Backend, Batching, Datatype, Error, Footprint, Format, LoadOptions, Model, ModelSource, Probe, Result,
    RunContext, Session, Signature, Target, Tensor, TensorSpec,
};

/// The name by which functions ask for it.
pub const BACKEND: &str = "gate";

/// Where runs wait. Closed at first.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_open: bool,
    /// Runs that may pass although it is closed.
    passes: usize,
    waiting: usize,
    /// Rows of every run that entered, in order.
    rows: Vec<usize>,
}

impl Gate {
    /// Lets all runs pass, now and later.
    pub fn open(&self) {
        self.change(|state| state.is_open = true);
    }

    pub fn close(&self) {
        self.change(|state| state.is_open = false);
    }

    /// Lets so many runs pass.
    pub fn let_pass(&self, runs: usize) {
        self.change(|state| state.passes += runs);
    }

    /// Blocks until so many runs wait here.
    pub fn wait_for(&self, runs: usize) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| state.waiting < runs).unwrap());
    }

    /// Rows of every run that entered so far, in order.
    pub fn rows(&self) -> Vec<usize> {
        self.state.lock().unwrap().rows.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn enter(self: &Arc<Self>, rows: usize, context: &RunContext) -> Result<()> {
        self.change(|state| {
            state.waiting += 1;
            state.rows.push(rows);
        });
        let waker = Arc::clone(self);
        let _hook = context.cancellation.on_cancel(move || waker.change(|_| {}));
        let outcome = self.pass(context);
        self.change(|state| state.waiting -= 1);
        outcome
    }

    fn pass(&self, context: &RunContext) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        loop {
            if context.cancellation.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if state.is_open {
                return Ok(());
            }
            if state.passes > 0 {
                state.passes -= 1;
                return Ok(());
            }
            state = match context.deadline {
                None => self.changed.wait(state).unwrap(),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Error::Timeout { after: left });
                    }
                    self.changed.wait_timeout(state, left).unwrap().0
                }
            };
        }
    }
}

/// The backend: `y = x` for any number of rows of two FP32.
pub struct Gated {
    gate: Arc<Gate>,
}

impl Gated {
    pub fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate) }
    }
}

impl Backend for Gated {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn probe(&self) -> Probe {
        Probe::Available { version: "1".to_owned(), devices: Vec::new(), origin: "built in".to_owned() }
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Onnx]
    }

    fn serves(&self, target: Target) -> bool {
        target == Target::Cpu
    }

    fn load(&self, _source: &ModelSource, _options: &LoadOptions) -> Result<Arc<dyn Model>> {
        let signature = Signature {
            inputs: vec![TensorSpec::new("x", Datatype::Fp32, [-1, 2])],
            outputs: vec![TensorSpec::new("y", Datatype::Fp32, [-1, 2])],
        };
        Ok(Arc::new(GatedModel { gate: Arc::clone(&self.gate), signature }))
    }
}

struct GatedModel {
    gate: Arc<Gate>,
    signature: Signature,
}

impl Model for GatedModel {
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
        Ok(Box::new(GatedSession { gate: Arc::clone(&self.gate) }))
    }
}

struct GatedSession {
    gate: Arc<Gate>,
}

impl Session for GatedSession {
    fn run(&mut self, inputs: &[Tensor], context: &RunContext) -> Result<Vec<Tensor>> {
        self.gate.enter(inputs[0].shape()[0], context)?;
        Ok(inputs.to_vec())
    }
}
