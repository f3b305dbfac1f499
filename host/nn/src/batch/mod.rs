//! Calls of one model merged into one run.
//!
//! Calls wait in the model's [`Queue`], a line for each caller. Whenever a
//! compute thread is free, [`decide`] says from the queue and the time which of
//! them to take. [`run`] lays their rows behind each other, runs the model once
//! and gives each caller its own rows back. What goes wrong with a merged run
//! is each call's own affair again: they run one by one.

mod policy;
mod queue;
mod rows;
mod trust;
mod worker;

#[cfg(test)]
mod tests;

pub use policy::BatchPolicy;
pub(crate) use policy::{Decision, decide};
pub(crate) use queue::{Merge, Queue, due};
pub use rows::split;
pub(crate) use rows::{closed_axis, merge, row_count};
pub(crate) use trust::Trust;
pub(crate) use worker::{Call, run};
