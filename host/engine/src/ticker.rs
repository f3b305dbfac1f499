//! The clock that interrupts guests: a thread that advances the engine's epoch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::EngineWeak;

/// A guest that computes is looked at this often, to stop it at its deadline
/// and to let other tasks of its thread run.
const TICK: Duration = Duration::from_millis(2);

/// Ticks without a call after which the thread goes to sleep.
const TICKS_TO_SLEEP: u32 = 500;

/// Ticks while calls run; sleeps while there is nothing to interrupt.
pub(crate) struct Ticker {
    state: Arc<State>,
    thread: Thread,
}

#[derive(Default)]
struct State {
    running_calls: AtomicUsize,
    asleep: AtomicBool,
}

/// Keeps the ticker awake for one call.
pub(crate) struct Awake(Arc<State>);

impl Ticker {
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let weak = Arc::downgrade(&state);
        let thread = std::thread::Builder::new()
            .name("samara-ticker".to_owned())
            .spawn(move || tick(&weak, &engine))?
            .thread()
            .clone();
        Ok(Self { state, thread })
    }

    pub(crate) fn stay_awake(&self) -> Awake {
        self.state.running_calls.fetch_add(1, Ordering::SeqCst);
        if self.state.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Awake(Arc::clone(&self.state))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // A sleeping thread goes back to ticking and there finds its state gone.
        self.state.asleep.store(false, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.running_calls.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(state: &Weak<State>, engine: &EngineWeak) {
    let mut idle_ticks = 0;
    loop {
        std::thread::park_timeout(TICK);
        let (Some(state), Some(engine)) = (state.upgrade(), engine.upgrade()) else { return };
        engine.increment_epoch();
        drop(engine);
        if state.running_calls.load(Ordering::SeqCst) > 0 {
            idle_ticks = 0;
            continue;
        }
        idle_ticks += 1;
        if idle_ticks >= TICKS_TO_SLEEP {
            idle_ticks = 0;
            sleep(state);
        }
    }
}

/// Parks until a call comes. A call that begins between the two looks at
/// `running_calls` clears `asleep` and unparks, so it is never missed.
fn sleep(state: Arc<State>) {
    state.asleep.store(true, Ordering::SeqCst);
    if state.running_calls.load(Ordering::SeqCst) > 0 {
        state.asleep.store(false, Ordering::SeqCst);
        return;
    }
    let weak = Arc::downgrade(&state);
    drop(state);
    while weak.upgrade().is_some_and(|state| state.asleep.load(Ordering::SeqCst)) {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_ticker_wakes_for_a_call_and_ends_with_its_owner() {
        let engine = crate::config::engine(1).unwrap();
        let ticker = Ticker::start(engine.weak()).unwrap();
        let (thread, state) = (ticker.thread.clone(), Arc::downgrade(&ticker.state));
        while !ticker.state.asleep.load(Ordering::SeqCst) {
            thread.unpark();
            std::thread::yield_now();
        }
        let awake = ticker.stay_awake();
        assert!(!ticker.state.asleep.load(Ordering::SeqCst));
        drop((awake, ticker));
        while state.upgrade().is_some() {
            std::thread::yield_now();
        }
    }
}
