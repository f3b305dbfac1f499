//! What a model is doing and has done, counted without a lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts that the threads of a model keep.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) waiting: AtomicUsize,
    pub(crate) running: AtomicUsize,
    pub(crate) sessions: AtomicUsize,
    pub(crate) runs: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) inline_runs: AtomicU64,
}

/// What a model is doing now, and what it has done since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelLoad {
    /// Calls that wait.
    pub waiting: usize,
    /// Runs under way on compute threads.
    pub running: usize,
    /// Sessions that are open.
    pub sessions: usize,
    /// Runs on compute threads; one may serve several calls.
    pub runs: u64,
    /// Calls that these runs served.
    pub calls: u64,
    /// Rows in them; 1 for a call without rows.
    pub rows: u64,
    /// Runs right where they were called, one call each.
    pub inline_runs: u64,
}

impl Counters {
    /// One run on a compute thread.
    pub(crate) fn ran(&self, calls: usize, rows: usize) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(calls as u64, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> ModelLoad {
        ModelLoad {
            waiting: self.waiting.load(Ordering::Relaxed),
            running: self.running.load(Ordering::Relaxed),
            sessions: self.sessions.load(Ordering::Relaxed),
            runs: self.runs.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            inline_runs: self.inline_runs.load(Ordering::Relaxed),
        }
    }
}
