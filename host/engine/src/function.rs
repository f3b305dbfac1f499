//! A function: loaded, compiled and checked once, called many times.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use samara_nn::{NamedTensor, Signature, Tensor};

use crate::cache;
use crate::call::{Call, CallOptions};
use crate::code::Code;
use crate::command::{CommandOutput, CommandRun};
use crate::compiler::CompiledCode;
use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::host::Host;
use crate::instance::{Terms, blocking};
use crate::kind::Kind;
use crate::limits::Limits;
use crate::models::{ModelRequest, ModelUse, Models, finish_loading, start_loading};
use crate::output::GuestOutput;
use crate::pipeline::{self, Face, Wiring};
use crate::report::{CallReport, LoadReport};
use crate::reuse::Reuse;
use crate::serve::ResponseBody;
use crate::stage::{Body, Entry, Linked, Stage, link};
use crate::voice::Speaker;

/// What a function is made of.
#[derive(Debug, Clone)]
pub struct FunctionSource {
    /// What people call it; used in messages.
    pub name: String,
    /// In order. One component or one model alone is a function too.
    pub stages: Vec<StageSource>,
    /// Models that its components may load by name, and that model stages run.
    pub models: BTreeMap<String, ModelRequest>,
    pub limits: Limits,
    pub grants: Grants,
    pub reuse: Reuse,
    pub output: GuestOutput,
}

/// One step of a function.
#[derive(Debug, Clone)]
pub enum StageSource {
    Component {
        name: String,
        bytes: Bytes,
        rename: BTreeMap<String, String>,
    },
    /// A component that [`Host::compile`] made ready.
    Compiled {
        name: String,
        code: CompiledCode,
        rename: BTreeMap<String, String>,
    },
    Model {
        name: String,
        model: String,
        rename: BTreeMap<String, String>,
    },
}

/// What a call gave.
#[derive(Debug)]
pub struct Outcome {
    /// In the order of the function's signature.
    pub outputs: Vec<NamedTensor>,
    pub report: CallReport,
}

/// A function that is ready to be called. Clones share it.
#[derive(Clone)]
pub struct Function {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    host: Host,
    limits: Limits,
    shape: Shape,
    models: Models,
    created: Arc<AtomicU64>,
    report: LoadReport,
}

/// What there is to call.
enum Shape {
    Stages(Stages),
    Entry(Entry),
}

/// Stages and how tensors flow between them.
struct Stages {
    signature: Signature,
    stages: Vec<Stage>,
    wirings: Vec<Wiring>,
}

impl Function {
    /// Compiles, checks and links a function and loads its models. On a
    /// multi-threaded runtime the blocking parts run on threads for that.
    ///
    /// # Errors
    /// Whatever makes it unfit to be called, before the first call: see
    /// [`Error`].
    pub async fn load(host: &Host, source: FunctionSource) -> Result<Self> {
        let mut report = LoadReport::default();
        // Models load on threads of their own while components compile here.
        let loading = start_loading(host, &source.models);
        let compiled = compile(host, &source, &mut report).await;
        let models = finish_loading(loading, &mut report).await?;
        let created = Arc::default();
        let loader = Loader { host, source: &source, models: &models, created: &created };
        let shape = loader.shape(compiled?).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                host: host.clone(),
                limits: source.limits.clone(),
                name: source.name,
                shape,
                models,
                created,
                report,
            }),
        })
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub fn kind(&self) -> Kind {
        match &self.inner.shape {
            Shape::Stages(_) => Kind::Function,
            Shape::Entry(entry) => entry.kind(),
        }
    }

    /// What a call takes and gives; `None` for commands and HTTP functions.
    pub fn signature(&self) -> Option<&Signature> {
        match &self.inner.shape {
            Shape::Stages(stages) => Some(&stages.signature),
            Shape::Entry(_) => None,
        }
    }

    /// The models that it holds, by the function's names for them.
    pub fn models(&self) -> &BTreeMap<String, ModelUse> {
        &self.inner.models.by_name
    }

    /// What loading it took.
    pub fn load_report(&self) -> &LoadReport {
        &self.inner.report
    }

    /// Calls the function once. Needs a tokio runtime with time enabled.
    /// Dropping the future stops the call.
    ///
    /// # Errors
    /// [`Error::Input`] before anything runs; otherwise what ended the call,
    /// which harms no other call.
    pub async fn infer(&self, inputs: Vec<NamedTensor>, options: CallOptions) -> Result<Outcome> {
        let call = Call::begin(options, &self.inner.limits);
        let Shape::Stages(stages) = &self.inner.shape else {
            return Err(self.wrong_kind("called with tensors"));
        };
        let inputs = stages.signature.conform_inputs(inputs)?;
        let mut report = CallReport::default();
        let outputs = stages.run(&self.inner.host, inputs, &call, &mut report).await?;
        report.total = call.started.elapsed();
        Ok(Outcome { outputs, report })
    }

    /// Lets an HTTP function answer one request, in an instance of its own.
    /// Needs a tokio runtime with time enabled. Returns as soon as the guest
    /// has set the head of its response; the bodies stream from there on, in
    /// both directions. Dropping the future, or the response's body before its
    /// end, stops the guest and frees the instance.
    ///
    /// The deadline bounds the time until the head. From then on the function's
    /// own deadline is the longest that neither body may move: it begins anew
    /// with every piece that the guest takes of the request's body or the
    /// caller of the response's, and after the last one the guest has that long
    /// to finish what it does besides.
    ///
    /// The guest sees the URI's scheme (`http` where there is none), the
    /// authority of the URI or of the header `host`, and no header that speaks
    /// of the connection. Its `traceparent` is that of the options, if they
    /// have one.
    ///
    /// # Errors
    /// [`Error::BadRequest`] before anything runs; [`Error::Overloaded`];
    /// otherwise what ended the guest before there was a head. What ends it
    /// later ends the response's body with an error.
    pub async fn handle<B>(
        &self,
        request: http::Request<B>,
        options: CallOptions,
    ) -> Result<http::Response<ResponseBody>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let call = Call::begin(options, &self.inner.limits);
        match &self.inner.shape {
            Shape::Entry(Entry::Http(function)) => function.handle(&self.inner.host, request, call).await,
            _ => Err(self.wrong_kind("asked over HTTP")),
        }
    }

    /// Instances that its calls have created so far.
    pub fn instances_created(&self) -> u64 {
        self.inner.created.load(Ordering::Relaxed)
    }

    /// Runs a command with the process's own standard streams and gives its
    /// exit code. `deadline` of `None` lets it run as long as it likes.
    ///
    /// # Errors
    /// When it is no command, or is ended by a trap, a limit or the deadline.
    pub async fn run_command(&self, arguments: &[String], deadline: Option<Duration>) -> Result<i32> {
        match &self.inner.shape {
            Shape::Entry(Entry::Command(command)) => command.run(&self.inner.host, arguments, deadline).await,
            _ => Err(self.wrong_kind("run as a command")),
        }
    }

    /// Runs a command with its standard output and error recorded, and nothing
    /// on its standard input. What it says goes where the function's output
    /// goes, too.
    ///
    /// # Errors
    /// As [`run_command`](Self::run_command).
    pub async fn command_output(&self, run: CommandRun) -> Result<CommandOutput> {
        match &self.inner.shape {
            Shape::Entry(Entry::Command(command)) => command.output(&self.inner.host, run).await,
            _ => Err(self.wrong_kind("run as a command")),
        }
    }

    fn wrong_kind(&self, asked: &'static str) -> Error {
        Error::WrongKind { function: self.inner.name.clone(), found: self.kind().name(), asked }
    }
}

impl Stages {
    /// Runs every stage over inputs in the signature's order.
    async fn run(
        &self,
        host: &Host,
        inputs: Vec<Tensor>,
        call: &Call,
        report: &mut CallReport,
    ) -> Result<Vec<NamedTensor>> {
        // One stage alone needs no names in between.
        if let [only] = self.stages.as_slice() {
            let (outputs, stage) = only.call(host, inputs, call).await?;
            report.stages.push(stage);
            return Ok(self.signature.name_outputs(outputs));
        }
        let mut flowing: HashMap<&str, Tensor> =
            self.signature.inputs.iter().map(|spec| spec.name.as_str()).zip(inputs).collect();
        for (stage, wiring) in self.stages.iter().zip(&self.wirings) {
            let inputs = stage.take_inputs(wiring, &flowing)?;
            let (outputs, stage_report) = stage.call(host, inputs, call).await?;
            report.stages.push(stage_report);
            flowing.extend(wiring.outputs.iter().map(String::as_str).zip(outputs));
        }
        let output = |name: &String| Some((name.clone(), flowing.remove(name.as_str())?));
        Ok(self
            .wirings
            .last()
            .map(|last| last.outputs.iter().filter_map(output).collect())
            .unwrap_or_default())
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.inner.name)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// The code of each component stage, in order; `None` for a model.
async fn compile(host: &Host, source: &FunctionSource, report: &mut LoadReport) -> Result<Vec<Option<Code>>> {
    let mut compiled = Vec::with_capacity(source.stages.len());
    for stage in &source.stages {
        let (host, function) = (host.clone(), source.label(stage_name(stage)));
        let loaded = match stage {
            StageSource::Component { bytes, .. } => {
                let bytes = bytes.clone();
                blocking(move || cache::load(&function, host.engine(), host.cache(), &bytes)).await?
            }
            StageSource::Compiled { code, .. } => {
                let code = code.of(host.engine()).ok_or_else(|| Error::Compile {
                    function,
                    reason: "its code is another host's".to_owned(),
                })?;
                compiled.push(Some(code.clone()));
                continue;
            }
            StageSource::Model { .. } => {
                compiled.push(None);
                continue;
            }
        };
        report.components.push((stage_name(stage).to_owned(), loaded.compiled));
        report.warnings.extend(loaded.warning);
        compiled.push(Some(loaded.code));
    }
    Ok(compiled)
}

impl FunctionSource {
    /// The function's name, and in a pipeline the stage's.
    fn label(&self, stage: &str) -> String {
        match self.stages.len() {
            1 => self.name.clone(),
            _ => format!("{}/{stage}", self.name),
        }
    }
}

/// Turns compiled components and loaded models into stages.
struct Loader<'a> {
    host: &'a Host,
    source: &'a FunctionSource,
    models: &'a Models,
    created: &'a Arc<AtomicU64>,
}

impl Loader<'_> {
    async fn shape(&self, compiled: Vec<Option<Code>>) -> Result<Shape> {
        let mut stages = Vec::with_capacity(compiled.len());
        for (source, compiled) in self.source.stages.iter().zip(compiled) {
            let linked = match (source, compiled) {
                (StageSource::Component { name, .. } | StageSource::Compiled { name, .. }, Some(code)) => {
                    link(self.host, code, self.terms(name)).await?
                }
                (StageSource::Component { name, .. } | StageSource::Compiled { name, .. }, None) => {
                    return Err(self.pipeline_error(name, "it was not compiled".to_owned()));
                }
                (StageSource::Model { name, model, .. }, _) => {
                    Linked::Stage(Body::Model(self.model(name, model)?))
                }
            };
            match linked {
                Linked::Stage(body) => stages.push(self.stage(source, body)),
                Linked::Entry(entry) if self.source.stages.len() == 1 => return Ok(Shape::Entry(entry)),
                Linked::Entry(entry) => {
                    return Err(Error::WrongKind {
                        function: self.source.label(stage_name(source)),
                        found: entry.kind().name(),
                        asked: "a stage of a pipeline",
                    });
                }
            }
        }
        self.wire(stages)
    }

    fn wire(&self, stages: Vec<Stage>) -> Result<Shape> {
        let faces: Vec<Face<'_>> = stages.iter().map(Stage::face).collect();
        let (signature, wirings) = pipeline::plan(&self.source.name, &faces)?;
        drop(faces);
        Ok(Shape::Stages(Stages { signature, stages, wirings }))
    }

    fn stage(&self, source: &StageSource, body: Body) -> Stage {
        let rename = match source {
            StageSource::Component { rename, .. }
            | StageSource::Compiled { rename, .. }
            | StageSource::Model { rename, .. } => rename.clone(),
        };
        let name = stage_name(source);
        Stage::new(
            name.to_owned(),
            rename,
            body,
            self.terms(name),
            self.source.reuse,
            self.host.idle_instances(),
        )
    }

    fn model(&self, stage: &str, model: &str) -> Result<ModelUse> {
        let missing = || self.pipeline_error(stage, format!("no model is called `{model}`"));
        self.models.by_name.get(model).cloned().ok_or_else(missing)
    }

    fn pipeline_error(&self, stage: &str, reason: String) -> Error {
        Error::Pipeline { function: self.source.name.clone(), stage: stage.to_owned(), reason }
    }

    fn terms(&self, stage: &str) -> Terms {
        Terms {
            function: self.source.label(stage),
            limits: self.source.limits.clone(),
            grants: Arc::new(self.source.grants.clone()),
            models: self.models.clone(),
            pool: Arc::clone(self.host.models()),
            speaker: Arc::new(Speaker {
                function: self.source.name.clone(),
                stage: stage.to_owned(),
                output: self.source.output.clone(),
            }),
            created: Arc::clone(self.created),
        }
    }
}

fn stage_name(stage: &StageSource) -> &str {
    match stage {
        StageSource::Component { name, .. }
        | StageSource::Compiled { name, .. }
        | StageSource::Model { name, .. } => name,
    }
}
