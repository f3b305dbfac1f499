//! A sign of life for long steps, on a terminal.

use std::io::IsTerminal;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Steps shorter than this show nothing, so that quick ones do not flicker.
const PATIENCE: Duration = Duration::from_millis(250);
const TICK: Duration = Duration::from_millis(100);

/// Turns while a step goes on; gone when dropped.
#[derive(Debug)]
pub(crate) struct Spinner {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Spinner {
    pub(crate) fn start(what: String) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::none();
        }
        let (done, until_done) = mpsc::channel();
        let thread = std::thread::spawn(move || turn(what, &until_done));
        Self { thread: Some((done, thread)) }
    }

    pub(crate) fn none() -> Self {
        Self { thread: None }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.thread.take() {
            drop(done);
            // A panicked spinner has no news for the step it stood for.
            let _ = thread.join();
        }
    }
}

fn turn(what: String, until_done: &Receiver<()>) {
    let waits = |time| matches!(until_done.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    if !waits(PATIENCE) {
        return;
    }
    let bar = ProgressBar::new_spinner().with_message(what).with_elapsed(PATIENCE);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}") {
        bar.set_style(style);
    }
    while waits(TICK) {
        bar.tick();
    }
    bar.finish_and_clear();
}
