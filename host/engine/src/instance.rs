//! One sandbox: its store, its clock, and what is made of its failures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use samara_nn::{Cancellation, Pool, ResidentModel, RunContext};
use tokio::runtime::{Handle, RuntimeFlavor};
use wasmtime::component::ResourceTable;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::host::Host;
use crate::limits::{Limits, Meter, Refused, format_bytes};
use crate::output::{GuestOutput, GuestStream};
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
    stderr: GuestStream,
    deadline: Instant,
}

/// All that the instances of a function have in common.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) function: String,
    pub(crate) limits: Limits,
    pub(crate) grants: Arc<Grants>,
    pub(crate) models: Arc<BTreeMap<String, Arc<ResidentModel>>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) output: GuestOutput,
}

/// Raised inside a guest whose time is up.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed")]
struct DeadlinePassed;

impl Terms {
    /// A store for one function instance: no arguments, no standard input, both
    /// output streams to where the function's output goes.
    pub(crate) fn store(&self, host: &Host) -> Result<Store<InstanceState>> {
        let stderr = GuestStream::new(self.output.clone());
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stderr.clone()).stderr(stderr.clone());
        self.store_with(host, wasi, stderr)
    }

    /// A store for a command: its arguments, and the process's own streams.
    pub(crate) fn command_store(&self, host: &Host, arguments: &[String]) -> Result<Store<InstanceState>> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.inherit_stdio().arg(&self.function).args(arguments);
        self.store_with(host, wasi, GuestStream::new(GuestOutput::Discard))
    }

    fn store_with(
        &self,
        host: &Host,
        mut wasi: WasiCtxBuilder,
        stderr: GuestStream,
    ) -> Result<Store<InstanceState>> {
        wasi.socket_addr_check(|_, _| Box::pin(async { false })).allow_ip_name_lookup(false);
        self.grants.apply(&mut wasi)?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_HANDLES);
        let state = InstanceState {
            table,
            meter: Meter::new(self.limits.clone()),
            nn: NnState {
                granted: Arc::clone(&self.models),
                pool: Arc::clone(&self.pool),
                context: RunContext::default(),
                runs: Vec::new(),
            },
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            http_policy: HttpPolicy(Arc::clone(&self.grants)),
            stderr,
            deadline: Instant::now() + self.limits.deadline,
        };
        let mut store = Store::new(host.engine(), state);
        store.limiter(|state| &mut state.meter);
        store.epoch_deadline_callback(|store| match Instant::now() < store.data().deadline {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Err(wasmtime::Error::new(DeadlinePassed)),
        });
        store.set_epoch_deadline(1);
        Ok(store)
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
        let stderr = state.stderr.last_words();
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

impl InstanceState {
    /// Sets the instance up for one call.
    pub(crate) fn begin(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.nn.context = RunContext { deadline: Some(deadline), cancellation: Cancellation::default() };
        self.nn.runs.clear();
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
