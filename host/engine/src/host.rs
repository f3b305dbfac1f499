//! What exists once per process: the engine, the linker, the code cache and the
//! pool of models.

use std::path::PathBuf;
use std::sync::Arc;

use samara_nn::Pool;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::cache::{self, CodeCache};
use crate::compiler::CompiledCode;
use crate::config;
use crate::error::{Error, Result};
use crate::instance::InstanceState;
use crate::linker;
use crate::report::Compiled;
use crate::ticker::{Awake, Ticker};

/// How a [`Host`] is set up.
#[derive(Debug)]
pub struct HostOptions {
    /// The folder of compiled code; without one, every load compiles.
    pub code_cache: Option<PathBuf>,
    /// Whether that folder is another's, a [`Compiler`](crate::Compiler)'s in a
    /// process that is trusted: it is read, and never written to.
    pub code_cache_read_only: bool,
    /// The models, and through it the backends and compute threads.
    pub models: Arc<Pool>,
    /// Sandboxes that may exist at a time. Address space is reserved for each;
    /// memory is only taken by those in use.
    pub instances: u32,
}

/// The process's side of every function. Clones share it.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    linker: Linker<InstanceState>,
    cache: Option<CodeCache>,
    models: Arc<Pool>,
    ticker: Ticker,
    instances: u32,
}

impl Host {
    /// Builds the sandbox engine.
    ///
    /// # Errors
    /// When the machine does not grant the address space for that many
    /// instances.
    pub fn new(options: HostOptions) -> Result<Self> {
        let HostOptions { code_cache, code_cache_read_only, models, instances } = options;
        let engine = config::engine(instances)?;
        let linker = linker::build(&engine).map_err(|error| Error::Start { reason: format!("{error:#}") })?;
        let cache = code_cache.map(|folder| CodeCache::new(&folder, &engine));
        let cache = if code_cache_read_only { cache.map(CodeCache::read_only) } else { cache };
        let ticker =
            Ticker::start(engine.weak()).map_err(|error| Error::Start { reason: error.to_string() })?;
        Ok(Self { shared: Arc::new(Shared { engine, linker, cache, models, ticker, instances }) })
    }

    /// Compiles a component or a module into the code cache, unless it is there.
    ///
    /// # Errors
    /// When the bytes are neither or do not compile.
    pub fn precompile(&self, name: &str, wasm: &[u8]) -> Result<Compiled> {
        Ok(cache::load(name, self.engine(), self.cache(), wasm)?.compiled)
    }

    /// Compiles a component or a module, or finds its code in the cache, to be
    /// loaded here any number of times.
    ///
    /// # Errors
    /// When the bytes are neither or do not compile.
    pub fn compile(&self, name: &str, wasm: &[u8]) -> Result<CompiledCode> {
        Ok(CompiledCode::new(cache::load(name, self.engine(), self.cache(), wasm)?.code))
    }

    /// The pool that holds every model of this process.
    pub fn models(&self) -> &Arc<Pool> {
        &self.shared.models
    }

    /// Sandboxes that exist now: those that serve a call, and those that are
    /// kept for the next.
    pub fn instances_in_use(&self) -> u64 {
        self.engine().pooling_allocator_metrics().map_or(0, |metrics| metrics.component_instances())
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// What components may import.
    pub(crate) fn linker(&self) -> &Linker<InstanceState> {
        &self.shared.linker
    }

    pub(crate) fn cache(&self) -> Option<&CodeCache> {
        self.shared.cache.as_ref()
    }

    /// Sandboxes that may exist at a time.
    pub fn instances(&self) -> u32 {
        self.shared.instances
    }

    /// Instances of one stage that are worth keeping: as many as can run at a
    /// time.
    pub(crate) fn idle_instances(&self) -> usize {
        self.shared.models.compute_threads().max(1)
    }

    /// Keeps guests interruptible for as long as the guard lives.
    pub(crate) fn interruptible(&self) -> Awake {
        self.shared.ticker.stay_awake()
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("instances", &self.shared.instances).finish_non_exhaustive()
    }
}
