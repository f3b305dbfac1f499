//! One sandbox: its store, its clock, and what is made of its failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use samara_nn::{Pool, RunContext};
use tokio::runtime::{Handle, RuntimeFlavor};
use wasmtime::component::ResourceTable;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::call::Call;
use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::host::Host;
use crate::limits::{Limits, Meter, Refused, format_bytes};
use crate::models::Models;
use crate::output::GuestOutput;
use crate::program::ProgramState;
use crate::serve::Clock;
use crate::voice::{Speaker, Voice};
use crate::wasi::http::HttpPolicy;
use crate::wasi::nn::{NnState, TensorQuota};

/// Handles that one instance may hold at a time.
const MOST_HANDLES: usize = 100_000;

/// What a store holds for its instance.
pub(crate) struct InstanceState {
    pub(crate) table: ResourceTable,
    pub(crate) meter: Meter,
    pub(crate) nn: NnState,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    http_policy: HttpPolicy,
    pub(crate) voice: Voice,
    time: Time,
}

/// When a guest's time is up.
enum Time {
    At(Instant),
    /// It moves on while bodies stream.
    Clock(Arc<Clock>),
}

/// The streams and arguments of an instance.
pub(crate) struct Surroundings {
    wasi: WasiCtxBuilder,
    pub(crate) voice: Voice,
}

/// All that the instances of a function have in common.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) function: String,
    pub(crate) limits: Limits,
    pub(crate) grants: Arc<Grants>,
    pub(crate) models: Models,
    pub(crate) pool: Arc<Pool>,
    pub(crate) speaker: Arc<Speaker>,
    /// Instances that calls of the whole function have created.
    pub(crate) created: Arc<AtomicU64>,
}

/// Raised inside a guest whose time is up.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed")]
struct DeadlinePassed;

impl Terms {
    /// Counts an instance that was created for a call.
    pub(crate) fn count_instance(&self) {
        self.created.fetch_add(1, Ordering::Relaxed);
    }

    /// A store for one function instance: no arguments, no standard input, both
    /// output streams to where the function's output goes.
    pub(crate) fn store(&self, host: &Host) -> Result<Store<InstanceState>> {
        let voice = Voice::new(Arc::clone(&self.speaker));
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(voice.stdout()).stderr(voice.stderr());
        self.component_store(host, Surroundings { wasi, voice })
    }

    /// A command's arguments, and the process's own streams.
    pub(crate) fn inherited(&self, arguments: &[String]) -> Surroundings {
        let mut wasi = WasiCtxBuilder::new();
        wasi.inherit_stdio().arg(&self.function).args(arguments);
        // What a command logs stands beside what it prints.
        let speaker = Speaker {
            function: self.speaker.function.clone(),
            stage: self.speaker.stage.clone(),
            output: GuestOutput::Stderr,
        };
        Surroundings { wasi, voice: Voice::new(Arc::new(speaker)) }
    }

    /// A command's arguments, and streams that are recorded and go where the
    /// function's output goes. Nothing comes in.
    pub(crate) fn recorded(&self, arguments: &[String]) -> Surroundings {
        let voice = Voice::recorded(Arc::clone(&self.speaker));
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(voice.stdout()).stderr(voice.stderr()).arg(&self.function).args(arguments);
        Surroundings { wasi, voice }
    }

    /// A store for an instance of a component.
    pub(crate) fn component_store(
        &self,
        host: &Host,
        surroundings: Surroundings,
    ) -> Result<Store<InstanceState>> {
        let (mut wasi, voice) = self.granted(surroundings)?;
        Ok(sandbox(host, self.state(wasi.build(), voice)))
    }

    /// A store for an instance of a program of WASI preview 1.
    pub(crate) fn program_store(
        &self,
        host: &Host,
        surroundings: Surroundings,
    ) -> Result<Store<ProgramState>> {
        let (mut wasi, voice) = self.granted(surroundings)?;
        // Its WASI is preview 1's; nothing reaches that of components.
        let instance = self.state(WasiCtxBuilder::new().build(), voice);
        Ok(sandbox(host, ProgramState::new(instance, wasi.build_p1())))
    }

    fn granted(&self, surroundings: Surroundings) -> Result<(WasiCtxBuilder, Voice)> {
        let Surroundings { mut wasi, voice } = surroundings;
        wasi.socket_addr_check(|_, _| Box::pin(async { false })).allow_ip_name_lookup(false);
        self.grants.apply(&mut wasi)?;
        Ok((wasi, voice))
    }

    fn state(&self, wasi: WasiCtx, voice: Voice) -> InstanceState {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_HANDLES);
        InstanceState {
            table,
            meter: Meter::new(self.limits.clone()),
            nn: NnState {
                models: self.models.clone(),
                pool: Arc::clone(&self.pool),
                context: RunContext::default(),
                runs: Vec::new(),
                call_began: Instant::now(),
            },
            wasi,
            http: WasiHttpCtx::new(),
            http_policy: HttpPolicy { grants: Arc::clone(&self.grants), traceparent: None },
            voice,
            time: Time::At(Instant::now() + self.limits.deadline),
        }
    }

    /// Says in samara's words why a guest stopped.
    pub(crate) fn explain(
        &self,
        host: &Host,
        error: &wasmtime::Error,
        state: &InstanceState,
        given: Duration,
    ) -> Error {
        let function = self.function.clone();
        let stderr = state.voice.last_words();
        if let Some(&I32Exit(code)) = error.downcast_ref::<I32Exit>() {
            return Error::Exited { function, code, stderr };
        }
        if error.is::<DeadlinePassed>() {
            return Error::Timeout { function, deadline: given };
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Error::Overloaded { instances: host.instances() };
        }
        let refused = if error.is::<TensorQuota>() { Some(Refused::Tensors) } else { state.meter.refused() };
        if let Some(refused) = refused {
            return self.limit_error(refused, stderr);
        }
        let reason = match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        Error::Trap { function, reason: reason.trim_start_matches("wasm trap: ").to_owned(), stderr }
    }

    fn limit_error(&self, refused: Refused, stderr: String) -> Error {
        let limits = &self.limits;
        let (what, key, limit) = match refused {
            Refused::Memory => ("linear memory", "memory", format_bytes(limits.memory)),
            Refused::Table => ("table elements", "table", format!("{} elements", limits.table_elements)),
            Refused::Tensors => ("tensor memory", "tensor-memory", format_bytes(limits.tensor_memory)),
        };
        Error::Limit { function: self.function.clone(), what, limit, key, stderr }
    }
}

/// A store that its meter limits and its deadline ends.
fn sandbox<T: AsMut<InstanceState> + Send + 'static>(host: &Host, state: T) -> Store<T> {
    let mut store = Store::new(host.engine(), state);
    store.limiter(|state| &mut state.as_mut().meter);
    store.epoch_deadline_callback(|mut store| match Instant::now() < store.data_mut().as_mut().until() {
        true => Ok(UpdateDeadline::Yield(1)),
        false => Err(wasmtime::Error::new(DeadlinePassed)),
    });
    store.set_epoch_deadline(1);
    store
}

impl AsMut<InstanceState> for InstanceState {
    fn as_mut(&mut self) -> &mut InstanceState {
        self
    }
}

impl InstanceState {
    /// Sets the instance up for one call.
    pub(crate) fn begin(&mut self, call: &Call) {
        self.time = Time::At(call.deadline.at);
        self.nn.context = self.nn.models.context(call.deadline);
        self.nn.runs.clear();
        self.nn.call_began = call.started;
        self.voice.begin(call.request_id.clone());
        self.http_policy.traceparent.clone_from(&call.traceparent);
    }

    /// From here on, a clock says when its time is up.
    pub(crate) fn follow(&mut self, clock: Arc<Clock>) {
        self.time = Time::Clock(clock);
    }

    /// The circumstances of a model run that begins now.
    pub(crate) fn run_context(&self) -> RunContext {
        RunContext { deadline: Some(self.until()), ..self.nn.context.clone() }
    }

    fn until(&self) -> Instant {
        match &self.time {
            Time::At(at) => *at,
            Time::Clock(clock) => clock.until(),
        }
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.http_policy, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Runs work that blocks where it disturbs nobody: on a thread of its own in a
/// server, right here in a process that does nothing else meanwhile.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        },
        _ => work(),
    }
}
