//! The memory that all sessions share: bounded, and given back when sessions
//! end.

use std::sync::{Arc, Mutex, PoisonError};

use ort::AsPointer;
use ort::environment::Environment;
use ort::session::{OutputSelector, RunOptions, Session};
use ort::sys::{OrtAllocatorType, OrtMemType, OrtStatusPtr};
use ort::value::Tensor;

/// The arena of the process. What sessions compute lies in it; weights, which
/// are as large as their file says, do not.
#[derive(Clone)]
pub(super) struct Arena {
    environment: Environment,
    sweeper: Arc<Mutex<Option<Session>>>,
}

impl Arena {
    /// Registers an arena that holds at most `limit` bytes. The environment has
    /// none before.
    pub(super) fn new(environment: &Environment, limit: Option<u64>) -> ort::Result<Self> {
        let limit = limit.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        register(environment, limit)?;
        Ok(Self { environment: environment.clone(), sweeper: Arc::default() })
    }

    /// Gives back to the system what no session holds: the library does that
    /// only at the end of a run, so the least of models is run.
    pub(super) fn release_unused(&self) {
        let mut sweeper = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner);
        // What cannot be given back is used again by the next session.
        let _ = self.sweep(&mut sweeper);
    }

    fn sweep(&self, sweeper: &mut Option<Session>) -> ort::Result<()> {
        if sweeper.is_none() {
            let builder = Session::builder(&self.environment)?.with_intra_threads(1)?;
            *sweeper = Some(builder.with_env_allocators()?.commit_from_memory(IDENTITY)?);
        }
        if let Some(session) = sweeper {
            let number = || Tensor::from_array(([1usize], vec![0f32]));
            let mut options = RunOptions::new()?;
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
            // An output in the arena would hold on to the block that it lies in.
            let options = options.with_outputs(OutputSelector::default().preallocate("y", number()?));
            session.run_with_options(ort::inputs![number()?], &options)?;
        }
        Ok(())
    }
}

/// The ONNX model `y = Identity(x)` over one number, in operator set 17.
const IDENTITY: &[u8] = b"\x08\x08:7\n\x10\n\x01x\x12\x01y\"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\
    \x08\x01\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11";

/// Registers the arena; a `limit` of 0 is none.
fn register(environment: &Environment, limit: usize) -> ort::Result<()> {
    let api = ort::api();
    // Growing by as much as is asked for, and not by powers of two, leaves no
    // first block that is never given back.
    let keys = [c"max_mem".as_ptr(), c"arena_extend_strategy".as_ptr()];
    let values = [limit, SAME_AS_REQUESTED];
    let (mut config, mut memory) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the arrays hold the entries that are announced, and the library
    // copies them before it returns.
    ok(unsafe { (api.CreateArenaCfgV2)(keys.as_ptr(), values.as_ptr(), keys.len(), &mut config) })?;
    let (arena, default) = (OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault);
    // SAFETY: `memory` is a place for the one pointer that is written.
    let registered = ok(unsafe { (api.CreateCpuMemoryInfo)(arena, default, &mut memory) }).and_then(|()| {
        // SAFETY: all three were made by this library, and the environment
        // guards its allocators with a lock of its own.
        ok(unsafe { (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), memory, config) })
    });
    // SAFETY: the environment has copied what it needs, nobody else holds these
    // two, and the library ignores a null.
    unsafe {
        (api.ReleaseMemoryInfo)(memory);
        (api.ReleaseArenaCfg)(config);
    }
    registered
}

/// The library's number for it.
const SAME_AS_REQUESTED: usize = 1;

fn ok(status: OrtStatusPtr) -> ort::Result<()> {
    // SAFETY: the status comes straight from a call of the library.
    unsafe { ort::Error::result_from_status(status) }
}
