//! What is said about a call of a model: who calls, when to give up, and
//! whether it may be merged with others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::batch::BatchPolicy;
use crate::error::{Error, Result};

type Hook = Box<dyn FnOnce() + Send>;

/// Tells the work of one call that nobody waits for it any more.
#[derive(Clone, Default)]
pub struct Cancellation {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cancelled: AtomicBool,
    hook: Mutex<Option<Hook>>,
}

/// Keeps a hook registered; dropping it takes the hook back.
#[must_use]
pub struct CancelHook<'a> {
    state: &'a State,
}

impl Cancellation {
    /// Marks the call as abandoned and runs the registered hook, once.
    pub fn cancel(&self) {
        if !self.state.cancelled.swap(true, Ordering::SeqCst) {
            let hook = self.state.take_hook();
            if let Some(hook) = hook {
                hook();
            }
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.state.cancelled.load(Ordering::SeqCst)
    }

    /// Has `hook` run at [`cancel`](Self::cancel), at once where that has
    /// happened. For engines that can stop a run from another thread.
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) -> CancelHook<'_> {
        *self.state.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
        if self.is_cancelled()
            && let Some(hook) = self.state.take_hook()
        {
            hook();
        }
        CancelHook { state: &self.state }
    }
}

impl State {
    fn take_hook(&self) -> Option<Hook> {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for CancelHook<'_> {
    fn drop(&mut self) {
        drop(self.state.take_hook());
    }
}

/// Who calls: calls of different callers are served in turn, however many one
/// of them makes. The default is shared by all who say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Caller(u64);

impl Caller {
    /// A caller that is no other.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The circumstances of one run of a session.
#[derive(Clone, Default)]
pub struct RunContext {
    /// When the answer stops being of use.
    pub deadline: Option<Instant>,
    pub cancellation: Cancellation,
    pub caller: Caller,
    /// How the run may be merged with those of others; off by default. See
    /// [`ResidentModel::batch_policy`](crate::ResidentModel::batch_policy).
    pub batch: BatchPolicy,
}

impl RunContext {
    pub fn with_deadline(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }

    /// Whether the run may begin or go on.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or [`Error::Timeout`] once the deadline passed.
    pub fn check(&self, started: Instant) -> Result<()> {
        if self.cancellation.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::Timeout { after: started.elapsed() }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_hook_runs_once_early_or_late_and_not_after_its_guard() {
        let ran = Arc::new(AtomicUsize::new(0));
        let count = |ran: &Arc<AtomicUsize>| {
            let ran = Arc::clone(ran);
            move || {
                ran.fetch_add(1, Ordering::SeqCst);
            }
        };

        let cancellation = Cancellation::default();
        drop(cancellation.on_cancel(count(&ran)));
        cancellation.cancel();
        assert_eq!(ran.load(Ordering::SeqCst), 0, "a dropped guard takes the hook back");

        let late = cancellation.on_cancel(count(&ran));
        assert_eq!(ran.load(Ordering::SeqCst), 1, "a late hook runs at once");
        cancellation.cancel();
        drop(late);
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_passed_deadline_stops_a_run_before_it_starts() {
        let context = RunContext::with_deadline(Instant::now());
        assert!(matches!(context.check(Instant::now()), Err(Error::Timeout { .. })));
    }
}
