//! What the guest that serves a request and the body of its response know of
//! each other. Either may end first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::report::CallReport;

/// How an HTTP function's work for one request ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub report: CallReport,
    /// What ended the guest before it was done: kind and message.
    /// [`ErrorKind::Cancelled`] when the caller went away.
    pub failure: Option<(ErrorKind, String)>,
}

/// What is said of a guest that returns in the middle of its response.
pub(super) const LEFT_OFF: &str = "it returned without finishing the body";

type Listener = Box<dyn FnOnce(Ended) + Send>;

/// One request and its response.
pub(super) struct Exchange {
    pub(super) clock: Arc<Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    guest: Guest,
    failure: Option<(ErrorKind, String)>,
    body_is_over: bool,
    /// Whether the caller let go of the response before its end.
    is_abandoned: bool,
    /// Who reads the response's body.
    reader: Option<Waker>,
    /// Who keeps the instance for as long as the body flows.
    keeper: Option<Waker>,
    listener: Option<Listener>,
    ended: Option<Ended>,
}

/// How far the guest is.
#[derive(Default)]
enum Guest {
    #[default]
    Running,
    /// It will not write any more, and has left its response unfinished.
    LeftOff,
    /// What it had to write is written.
    Done,
    /// With the error, until someone has told it.
    Failed(Option<Error>),
}

/// What the end of the response's body means.
pub(super) enum Fate {
    Whole,
    Broken(Option<Error>),
}

impl Exchange {
    pub(super) fn new(clock: Arc<Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest failed; `wrote_all` when its response was finished by then.
    pub(super) fn fail(&self, error: Error, wrote_all: bool) {
        let mut state = self.state();
        state.failure = Some((error.kind(), error.to_string()));
        state.guest = if wrote_all { Guest::Done } else { Guest::Failed(Some(error)) };
        state.wake_reader();
    }

    /// The guest returned.
    pub(super) fn returned(&self, wrote_all: bool) {
        let mut state = self.state();
        state.guest = if wrote_all { Guest::Done } else { Guest::LeftOff };
        state.wake_reader();
    }

    /// What the guest failed with, if it did and nobody has told it yet.
    pub(super) fn take_error(&self) -> Option<Error> {
        match &mut self.state().guest {
            Guest::Failed(error) => error.take(),
            _ => None,
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state().guest, Guest::Failed(_))
    }

    /// What it means that the response's body gives no more.
    pub(super) fn fate(&self) -> Fate {
        let guest = &mut self.state().guest;
        match guest {
            Guest::Failed(error) => return Fate::Broken(error.take()),
            // Another body than the response's is left unfinished.
            Guest::LeftOff => *guest = Guest::Done,
            Guest::Running | Guest::Done => {}
        }
        Fate::Whole
    }

    /// Whether the response's body, which gives nothing now, never will; asks
    /// to be woken when that changes.
    pub(super) fn is_left_off(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        state.reader = Some(context.waker().clone());
        matches!(state.guest, Guest::LeftOff)
    }

    /// The caller goes before the response's end. A guest may notice and return
    /// as if all were well.
    pub(super) fn abandon(&self) {
        self.state().is_abandoned = true;
    }

    /// The response's body is read to its end, or nobody reads it.
    pub(super) fn end_body(&self) {
        let mut state = self.state();
        state.body_is_over = true;
        if let Some(keeper) = state.keeper.take() {
            keeper.wake();
        }
    }

    /// Waits for [`Self::end_body`].
    pub(super) async fn body_over(&self) {
        let is_over = |context: &mut Context<'_>| {
            let mut state = self.state();
            if state.body_is_over {
                return Poll::Ready(());
            }
            state.keeper = Some(context.waker().clone());
            Poll::Pending
        };
        std::future::poll_fn(is_over).await;
    }

    /// The instance is gone.
    pub(super) fn end(&self, report: CallReport) {
        let mut state = self.state();
        match state.guest {
            // What it failed with goes before.
            _ if state.failure.is_some() => {}
            _ if state.is_abandoned => state.failure = Some(gone()),
            Guest::Running => state.failure = Some(gone()),
            Guest::LeftOff => state.failure = Some((ErrorKind::FunctionFailed, LEFT_OFF.to_owned())),
            Guest::Done | Guest::Failed(_) => {}
        }
        let ended = Ended { report, failure: state.failure.take() };
        match state.listener.take() {
            Some(listener) => {
                drop(state);
                listener(ended);
            }
            None => state.ended = Some(ended),
        }
    }

    pub(super) fn on_end(&self, listener: Listener) {
        let mut state = self.state();
        match state.ended.take() {
            Some(ended) => {
                drop(state);
                listener(ended);
            }
            None => state.listener = Some(listener),
        }
    }
}

fn gone() -> (ErrorKind, String) {
    (ErrorKind::Cancelled, "the caller went away".to_owned())
}

impl State {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}
