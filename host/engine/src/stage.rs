//! One stage of a function: a linked component or a resident model, and how a
//! call goes through it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use samara_nn::{Signature, Tensor};
use wasmtime::Store;
use wasmtime::component::Component;

use crate::call::{Call, Deadline};
use crate::code::Code;
use crate::command::Command;
use crate::description;
use crate::error::{Error, Result};
use crate::exported::{Exported, ExportedPre, Given};
use crate::host::Host;
use crate::instance::{InstanceState, Terms};
use crate::kind::Kind;
use crate::limits::format_bytes;
use crate::linker::check_imports;
use crate::models::ModelUse;
use crate::pipeline::{Face, Wiring};
use crate::program;
use crate::report::StageReport;
use crate::reuse::{Idle, Reuse};
use crate::serve::HttpFunction;

/// A stage of a function that takes tensors.
pub(crate) struct Stage {
    name: String,
    rename: BTreeMap<String, String>,
    body: Body,
    terms: Terms,
    reuse: Reuse,
    idle: Idle<Live>,
}

/// What a stage runs.
pub(crate) enum Body {
    Component { pre: ExportedPre, signature: Signature },
    Model(ModelUse),
}

/// A component that is called otherwise than with tensors.
pub(crate) enum Entry {
    Command(Command),
    Http(Arc<HttpFunction>),
}

/// What a component turned out to be.
pub(crate) enum Linked {
    Stage(Body),
    Entry(Entry),
}

/// An instance and its store.
struct Live {
    store: Store<InstanceState>,
    function: Exported,
    calls: u32,
}

impl Stage {
    pub(crate) fn new(
        name: String,
        rename: BTreeMap<String, String>,
        body: Body,
        terms: Terms,
        reuse: Reuse,
        most_idle: usize,
    ) -> Self {
        Self { name, rename, body, terms, reuse, idle: Idle::new(most_idle) }
    }

    pub(crate) fn face(&self) -> Face<'_> {
        Face { name: &self.name, signature: self.signature(), rename: &self.rename }
    }

    fn signature(&self) -> &Signature {
        match &self.body {
            Body::Component { signature, .. } => signature,
            Body::Model(model) => model.signature(),
        }
    }

    /// Picks the stage's inputs from what flows, checked against its signature.
    ///
    /// # Errors
    /// [`Error::Pipeline`] when an earlier stage made a shape that the plan
    /// could not foresee.
    pub(crate) fn take_inputs(
        &self,
        wiring: &Wiring,
        flowing: &HashMap<&str, Tensor>,
    ) -> Result<Vec<Tensor>> {
        let inputs = self
            .signature()
            .inputs
            .iter()
            .zip(&wiring.inputs)
            .filter_map(|(spec, name)| Some(spec.conform(flowing.get(name.as_str())?.clone())));
        inputs.collect::<Result<Vec<_>, _>>().map_err(|mismatch| Error::Pipeline {
            function: self.terms.function.clone(),
            stage: self.name.clone(),
            reason: mismatch.to_string(),
        })
    }

    /// Runs the stage over inputs in its signature's order.
    pub(crate) async fn call(
        &self,
        host: &Host,
        inputs: Vec<Tensor>,
        call: &Call,
    ) -> Result<(Vec<Tensor>, StageReport)> {
        let started = Instant::now();
        let began = started.duration_since(call.started);
        let mut report = StageReport { name: self.name.clone(), began, ..StageReport::default() };
        let outputs = match &self.body {
            Body::Component { pre, signature } => {
                self.call_component(host, pre, signature, inputs, call, &mut report).await?
            }
            Body::Model(model) => self.call_model(model, inputs, call, &mut report).await?,
        };
        report.total = started.elapsed();
        Ok((outputs, report))
    }

    async fn call_model(
        &self,
        model: &ModelUse,
        inputs: Vec<Tensor>,
        call: &Call,
        report: &mut StageReport,
    ) -> Result<Vec<Tensor>> {
        let deadline = call.deadline;
        let context = model.context(self.terms.models.context(deadline));
        let answer = until(deadline, model.model.run(inputs, context))
            .await
            .ok_or_else(|| self.timeout(deadline))??;
        report.models.push(model.report(report.began, &answer));
        Ok(answer.outputs)
    }

    async fn call_component(
        &self,
        host: &Host,
        pre: &ExportedPre,
        signature: &Signature,
        inputs: Vec<Tensor>,
        call: &Call,
        report: &mut StageReport,
    ) -> Result<Vec<Tensor>> {
        let _interruptible = host.interruptible();
        let (mut live, deadline) = (self.instance(host, pre, call, report).await?, call.deadline);
        let named = signature.inputs.iter().map(|spec| spec.name.clone()).zip(inputs).collect();
        let answered = until(deadline, live.function.infer(&mut live.store, named))
            .await
            .ok_or_else(|| self.timeout(deadline))?
            .map_err(|error| self.terms.explain(host, &error, live.store.data(), deadline.given))?;
        live.calls += 1;

        let state = live.store.data_mut();
        state.voice.end();
        report.models = std::mem::take(&mut state.nn.runs);
        report.guest_memory = state.meter.memory();
        let outputs = match answered {
            Ok(outputs) => self.read_outputs(signature, state, outputs),
            Err(refusal) => Err(description::refusal(&self.terms.function, refusal)),
        };
        // A function that says no has not failed: its instance is as good as before.
        if self.reuse.allows(live.calls) && outputs.as_ref().map_or_else(is_polite, |_| true) {
            self.idle.put(live);
        }
        outputs
    }

    /// An instance that is set up for the call: one that was kept, or a new one.
    async fn instance(
        &self,
        host: &Host,
        pre: &ExportedPre,
        call: &Call,
        report: &mut StageReport,
    ) -> Result<Live> {
        let kept = self.idle.take();
        report.reused = kept.is_some();
        let live = match kept {
            Some(mut live) => {
                live.store.data_mut().begin(call);
                live
            }
            None => {
                let live = Live::start(host, pre, &self.terms, call).await?;
                self.terms.count_instance();
                live
            }
        };
        report.instantiation = call.started.elapsed().saturating_sub(report.began);
        Ok(live)
    }

    /// Takes the outputs over from the guest and checks them against the
    /// signature and the output limit.
    fn read_outputs(
        &self,
        signature: &Signature,
        state: &mut InstanceState,
        outputs: Vec<(String, Given)>,
    ) -> Result<Vec<Tensor>> {
        let function = || self.terms.function.clone();
        let wrong = |source| Error::Output { function: function(), source };
        let mut read = Vec::with_capacity(outputs.len());
        let mut bytes = 0u64;
        for (name, given) in outputs {
            let tensor = given.take(state).map_err(|error| Error::Trap {
                function: function(),
                reason: format!("{error:#}"),
                stderr: String::new(),
            })?;
            let Some(spec) = signature.output(&name) else {
                let known = signature.outputs.iter().map(|spec| spec.name.clone()).collect();
                return Err(wrong(samara_nn::Mismatch::Unknown { tensor: name, known }));
            };
            let tensor = tensor.read_as(spec).map_err(wrong)?;
            bytes += tensor.data().len() as u64;
            read.push((name, tensor));
        }
        if bytes > self.terms.limits.output {
            return Err(Error::Limit {
                function: function(),
                what: "output size",
                limit: format_bytes(self.terms.limits.output),
                key: "output",
                stderr: String::new(),
            });
        }
        signature.conform_outputs(read).map_err(wrong)
    }

    fn timeout(&self, deadline: Deadline) -> Error {
        Error::Timeout { function: self.terms.function.clone(), deadline: deadline.given }
    }
}

impl Live {
    async fn start(host: &Host, pre: &ExportedPre, terms: &Terms, call: &Call) -> Result<Self> {
        let deadline = call.deadline;
        let mut store = terms.store(host)?;
        store.data_mut().begin(call);
        let started = until(deadline, pre.instantiate_async(&mut store)).await;
        match started {
            Some(Ok(function)) => Ok(Self { store, function, calls: 0 }),
            Some(Err(error)) => Err(terms.explain(host, &error, store.data(), deadline.given)),
            None => Err(Error::Timeout { function: terms.function.clone(), deadline: deadline.given }),
        }
    }
}

/// Checks what code imports and exports, links it, and asks a function for its
/// signature.
pub(crate) async fn link(host: &Host, code: Code, terms: Terms) -> Result<Linked> {
    match code {
        Code::Component(component) => link_component(host, component, terms).await,
        Code::Module(module) => {
            let program = program::link(host, &module, &terms)?;
            Ok(Linked::Entry(Entry::Command(Command::program(program, terms))))
        }
    }
}

async fn link_component(host: &Host, component: Component, terms: Terms) -> Result<Linked> {
    let kind = Kind::of(&terms.function, host.engine(), &component)?;
    check_imports(&terms.function, host.engine(), &component, &terms.grants)?;
    let link_error = |error: wasmtime::Error| Error::Link {
        function: terms.function.clone(),
        reason: format!("{error:#}"),
    };
    let pre = host.linker().instantiate_pre(&component).map_err(link_error)?;
    match kind {
        Kind::Function => {
            let pre = ExportedPre::new(host.engine(), &component, pre).map_err(link_error)?;
            let mut signature = describe(host, &pre, &terms).await?;
            description::take_labels(&mut signature, &terms.models);
            Ok(Linked::Stage(Body::Component { pre, signature }))
        }
        Kind::Command(wasi) => Ok(Linked::Entry(Entry::Command(Command::new(pre, wasi, terms)))),
        Kind::Http(wasi) => {
            let function = HttpFunction::new(pre, wasi, terms)?;
            Ok(Linked::Entry(Entry::Http(Arc::new(function))))
        }
    }
}

async fn describe(host: &Host, pre: &ExportedPre, terms: &Terms) -> Result<Signature> {
    let _interruptible = host.interruptible();
    let call = Call::within(terms.limits.deadline);
    let (deadline, given) = (call.deadline, call.deadline.given);
    let mut live = Live::start(host, pre, terms, &call).await?;
    let described = match until(deadline, live.function.describe(&mut live.store)).await {
        Some(Ok(described)) => described,
        Some(Err(error)) => return Err(terms.explain(host, &error, live.store.data(), given)),
        None => return Err(Error::Timeout { function: terms.function.clone(), deadline: given }),
    };
    description::signature(described)
        .map_err(|reason| Error::BadDescription { function: terms.function.clone(), reason })
}

impl Entry {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Entry::Command(command) => Kind::Command(command.wasi()),
            Entry::Http(function) => Kind::Http(function.wasi()),
        }
    }
}

/// Awaits `work` until the deadline; `None` when it passed first.
pub(crate) async fn until<F: Future>(deadline: Deadline, work: F) -> Option<F::Output> {
    tokio::time::timeout_at(deadline.at.into(), work).await.ok()
}

/// Whether an error is the function's considered answer.
fn is_polite(error: &Error) -> bool {
    matches!(error, Error::Answered { .. })
}
