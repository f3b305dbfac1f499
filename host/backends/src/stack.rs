//! A thread with room for what recurses while a model is loaded.

use samara_nn::{Error, Result};

/// Deeply nested formulas and graphs recurse while an engine reads a model:
/// more stack than an ordinary thread has, of which only what is used takes
/// memory.
const STACK: usize = 256 << 20;

/// Runs `work` with a large stack and hands its panics on.
pub(crate) fn on_large_stack<T: Send>(
    backend: &'static str,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("samara-load".to_owned()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, work).map_err(|error| Error::BackendUnavailable {
            backend: backend.to_owned(),
            reason: format!("there is no thread to load the model on: {error}"),
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
