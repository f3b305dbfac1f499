//! What every test here needs: a whole server on a port of its own, with
//! functions made in memory, and clients for it.
#![allow(dead_code, unreachable_pub, reason = "each test program uses another part of it")]

pub mod client;
pub mod gate;
pub mod grpc;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use samara_engine::{
    FunctionSource, Grants, GuestOutput, Host, HostOptions, Limits, ModelRequest, Reuse, StageSource, sha256,
};
use samara_nn::{
    Backend, BackendRegistry, BatchPolicy, Choice, Compute, Format, LoadOptions, ModelSource, Pool,
};
use samara_server::{App, Config, Error, FunctionConfig, Loadable, MemoryBound, Parts, Running, Source};
use tokio::runtime::Runtime;

use client::{Client, Reply};
use gate::Gate;

/// Functions in memory, by what a user would call them.
#[derive(Default)]
pub struct Shelf {
    items: Mutex<BTreeMap<String, Result<Item, String>>>,
}

/// One function on the shelf.
#[derive(Clone)]
pub struct Item {
    pub source: FunctionSource,
    pub version: String,
    pub labels: BTreeMap<String, Vec<String>>,
}

impl Item {
    pub fn new(source: FunctionSource) -> Self {
        Self { source, version: String::new(), labels: BTreeMap::new() }
    }

    /// A model alone, on tract.
    pub fn model(name: &str, bytes: Vec<u8>) -> Self {
        Self::model_on("tract", name, bytes)
    }

    /// A model that waits at the test's gate: `y = x` for rows of two FP32.
    pub fn gated(name: &str) -> Self {
        Self::model_on(gate::BACKEND, name, name.as_bytes().to_vec())
    }

    fn model_on(backend: &str, name: &str, bytes: Vec<u8>) -> Self {
        let mut function = empty(name);
        function.stages.push(StageSource::Model {
            name: name.to_owned(),
            model: name.to_owned(),
            rename: BTreeMap::new(),
        });
        function.models.insert(name.to_owned(), model_request(backend, name, bytes));
        Self::new(function)
    }

    /// The component of `tests/guests/examples/GUEST.rs`, called `name`.
    pub fn guest(name: &str, guest: &str) -> Self {
        let bytes = std::fs::read(samara_test::guest(guest)).unwrap();
        let mut function = empty(name);
        function.stages.push(StageSource::Component {
            name: name.to_owned(),
            bytes: bytes.into(),
            rename: BTreeMap::new(),
        });
        Self::new(function)
    }

    /// A model beside the component, under a name that the component knows.
    pub fn with_model(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.source.models.insert(name.to_owned(), model_request("tract", name, bytes));
        self
    }

    /// The same, where the model waits at the test's gate.
    pub fn with_gated_model(mut self, name: &str) -> Self {
        let bytes = name.as_bytes().to_vec();
        self.source.models.insert(name.to_owned(), model_request(gate::BACKEND, name, bytes));
        self
    }

    /// Grants the component requests to a host.
    pub fn may_ask(mut self, host: &str) -> Self {
        self.source.grants.http_hosts.push(host.to_owned());
        self
    }

    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    pub fn labels(mut self, output: &str, words: &[&str]) -> Self {
        self.labels.insert(output.to_owned(), words.iter().map(|&word| word.to_owned()).collect());
        self
    }

    /// How the calls of its models are merged, instead of as is known to be
    /// right.
    pub fn batch(mut self, policy: BatchPolicy) -> Self {
        self.source.models.values_mut().for_each(|model| model.batch = Some(policy));
        self
    }

    pub fn limits(mut self, limits: Limits) -> Self {
        self.source.limits = limits;
        self
    }
}

impl Shelf {
    /// Puts a function there, or replaces it.
    pub fn put(&self, what: &str, item: Item) {
        self.items.lock().unwrap().insert(what.to_owned(), Ok(item));
    }

    /// Makes reading it fail from now on.
    pub fn spoil(&self, what: &str, reason: &str) {
        self.items.lock().unwrap().insert(what.to_owned(), Err(reason.to_owned()));
    }
}

impl Source for Shelf {
    fn open(&self, function: &FunctionConfig) -> Result<Loadable, String> {
        let items = self.items.lock().unwrap();
        let item = items.get(&function.what).cloned();
        let Item { source, version, labels } =
            item.unwrap_or_else(|| Err(format!("nothing is called `{}`", function.what)))?;
        Ok(Loadable {
            source,
            version,
            digest: None,
            description: Some(format!("{} of the tests", function.what)),
            tests: Vec::new(),
            labels,
        })
    }
}

/// A server to be.
pub struct Builder {
    pub config: Config,
    pub shelf: Arc<Shelf>,
    pub gate: Arc<Gate>,
    compute_threads: usize,
    memory: Option<MemoryBound>,
}

impl Builder {
    pub fn new() -> Self {
        Self {
            config: Config::default(),
            shelf: Arc::default(),
            gate: Arc::default(),
            compute_threads: 2,
            memory: None,
        }
    }

    /// Serves an item under its own name.
    pub fn serve(self, item: Item) -> Self {
        let what = format!("{}:{}", item.source.name, item.version);
        self.serve_as(&what, item, |_| {})
    }

    /// Serves an item with settings.
    pub fn serve_as(mut self, what: &str, item: Item, set: impl FnOnce(&mut FunctionConfig)) -> Self {
        self.shelf.put(what, item);
        let mut function = FunctionConfig::new(what);
        set(&mut function);
        self.config.functions.push(function);
        self
    }

    /// Changes the settings.
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Threads on which models run.
    pub fn compute_threads(mut self, threads: usize) -> Self {
        self.compute_threads = threads;
        self
    }

    /// Bounds the memory of the server, of which so many bytes are in use.
    pub fn memory(mut self, limit: u64, used: u64) -> Self {
        self.memory = Some(MemoryBound { limit, used: Box::new(move || Some(used)) });
        self
    }

    pub fn start(self) -> Server {
        self.try_start().unwrap()
    }

    /// Starts it on a free port of this machine.
    ///
    /// # Errors
    /// A function that cannot be loaded.
    pub fn try_start(self) -> Result<Server, Error> {
        let Self { config, shelf, gate, compute_threads, memory } = self;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let host = host(&gate, compute_threads);
        let source = Arc::clone(&shelf);
        let running = runtime.block_on(async {
            let app = App::build(config, Parts { host, source, memory }).await?;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            Ok::<_, Error>(app.spawn(vec![listener]).unwrap())
        })?;
        let address = running.addresses()[0];
        Ok(Server { running: Some(running), runtime: Some(runtime), address, shelf, gate })
    }
}

/// A server that answers until it is dropped.
pub struct Server {
    running: Option<Running>,
    runtime: Option<Runtime>,
    pub address: SocketAddr,
    pub shelf: Arc<Shelf>,
    pub gate: Arc<Gate>,
}

impl Server {
    /// A connection of its own.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.client().send("GET", path, &[], b"")
    }

    /// Posts JSON.
    pub fn post(&self, path: &str, json: &str) -> Reply {
        self.client().send("POST", path, &[("content-type", "application/json")], json.as_bytes())
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn take_running(&mut self) -> Running {
        self.running.take().unwrap()
    }

    pub fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.runtime().block_on(work)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What still waits at the gate must not hold up the end of a test.
        self.gate.open();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A host with tract and the gate.
pub fn host(gate: &Arc<Gate>, compute_threads: usize) -> Host {
    let tract = samara_backends::registry(&samara_backends::RegistryOptions::default());
    let mut backends: Vec<Arc<dyn Backend>> = tract.iter().cloned().collect();
    backends.push(Arc::new(gate::Gated::new(gate)));
    let compute = Arc::new(Compute::new(compute_threads, 64));
    let models = Arc::new(Pool::new(BackendRegistry::new(backends), compute));
    let code_cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("code"));
    Host::new(HostOptions { code_cache, code_cache_read_only: false, models, instances: 16 }).unwrap()
}

/// A function with no stage. Its deadline is generous: these machines are slow
/// at times.
pub fn empty(name: &str) -> FunctionSource {
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

fn model_request(backend: &str, name: &str, bytes: Vec<u8>) -> ModelRequest {
    let source = ModelSource {
        name: name.to_owned(),
        identity: sha256(&bytes),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    };
    ModelRequest { source, choice: Choice::from(backend), options: LoadOptions::default(), batch: None }
}
