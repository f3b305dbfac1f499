//! Programs of WASI preview 1: core modules with a `_start`, run to their end.

use wasmtime::{Engine, ExternType, ImportType, InstancePre, Linker, Module, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::instance::{InstanceState, Terms};
use crate::kind::{Kind, START_EXPORT};
use crate::wasi::ephemeral_nn::{self, Handles};

/// The module that WASI preview 1 is imported from.
const PREVIEW_1: &str = "wasi_snapshot_preview1";

/// A program that is checked and linked.
pub(crate) type ProgramPre = InstancePre<ProgramState>;

/// What a store holds for a program.
pub(crate) struct ProgramState {
    pub(crate) instance: InstanceState,
    /// The graphs and contexts that it has made.
    pub(crate) handles: Handles,
    wasi: WasiP1Ctx,
}

impl ProgramState {
    pub(crate) fn new(instance: InstanceState, wasi: WasiP1Ctx) -> Self {
        Self { instance, handles: Handles::default(), wasi }
    }
}

impl AsMut<InstanceState> for ProgramState {
    fn as_mut(&mut self) -> &mut InstanceState {
        &mut self.instance
    }
}

/// Checks what a module imports and exports, and links it.
///
/// # Errors
/// [`Error::NotAProgram`] for a module without a `_start`,
/// [`Error::UnknownImports`] with all that is missing here, and
/// [`Error::Link`] where an import is of another type.
pub(crate) fn link(host: &Host, module: &Module, terms: &Terms) -> Result<ProgramPre> {
    Kind::of_module(&terms.function, module)?;
    let link_error = |error: wasmtime::Error| Error::Link {
        function: terms.function.clone(),
        reason: format!("{error:#}"),
    };
    let linker = linker(host.engine()).map_err(link_error)?;
    let mut store = terms.program_store(host, terms.recorded(&[]))?;
    let unknown: Vec<String> = module
        .imports()
        .filter(|import| linker.get_by_import(&mut store, import).is_none())
        .map(|import| complaint(&import))
        .collect();
    if !unknown.is_empty() {
        return Err(Error::UnknownImports { function: terms.function.clone(), imports: unknown });
    }
    linker.instantiate_pre(module).map_err(link_error)
}

/// Runs a program from its `_start`. It may end by an exit, which is an error
/// here.
pub(crate) async fn run(pre: &ProgramPre, store: &mut Store<ProgramState>) -> wasmtime::Result<()> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, START_EXPORT)?;
    start.call_async(store, ()).await
}

/// WASI preview 1 and `wasi_ephemeral_nn`.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<ProgramState>> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |state: &mut ProgramState| &mut state.wasi)?;
    ephemeral_nn::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// What is wrong with an import that is not here.
fn complaint(import: &ImportType<'_>) -> String {
    let (module, name) = (import.module(), import.name());
    let why = match module {
        PREVIEW_1 => "WASI preview 1 has no such function".to_owned(),
        ephemeral_nn::MODULE => format!("this host has {}", ephemeral_nn::FUNCTIONS.join(", ")),
        "wasi_unstable" => "this is the WASI before preview 1; build it anew".to_owned(),
        _ => format!("programs may import `{PREVIEW_1}` and `{}` only", ephemeral_nn::MODULE),
    };
    let what = match import.ty() {
        ExternType::Func(_) => "",
        _ => ", no function",
    };
    format!("`{}::{}`{what}: {why}", module.escape_debug(), name.escape_debug())
}
