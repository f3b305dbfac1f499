//! A sign of life for long steps, on a terminal.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use samara_package::Digest;
use samara_package::registry::{Progress, Transfer};

use crate::printer::Printer;

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

/// A bar per blob that travels, on a terminal.
#[derive(Debug)]
pub(crate) struct Bars {
    all: Option<MultiProgress>,
    bars: Mutex<HashMap<Digest, ProgressBar>>,
}

impl Bars {
    pub(crate) fn new(printer: &Printer) -> Self {
        let shown = std::io::stderr().is_terminal() && !printer.is_quiet();
        Self { all: shown.then(MultiProgress::new), bars: Mutex::default() }
    }

    fn with_bar(&self, digest: &Digest, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.bars.lock().unwrap_or_else(PoisonError::into_inner).get(digest) {
            act(bar);
        }
    }
}

impl Progress for Bars {
    fn begin(&self, digest: &Digest, what: &str, total: u64, already: u64) {
        let Some(all) = &self.all else { return };
        let bar = all.add(ProgressBar::new(total).with_message(format!("{} {what}", digest.short())));
        let template = "{msg:32!} {bar:30} {bytes:>10}/{total_bytes:<10} {bytes_per_sec:.dim} {eta:.dim}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_position(already);
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, bar);
    }

    fn advance(&self, digest: &Digest, bytes: u64) {
        self.with_bar(digest, |bar| bar.inc(bytes));
    }

    fn end(&self, digest: &Digest, outcome: Transfer) {
        self.with_bar(digest, |bar| match outcome {
            Transfer::Done => bar.finish(),
            _ => bar.finish_with_message(format!("{} already there", digest.short())),
        });
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some(all) = &self.all {
            // A terminal that is gone needs no clearing.
            let _ = all.clear();
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
