//! The engine against real guests: programs of `tests/guests`, models made in
//! memory, and the embedded backend.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod batching;
mod capabilities;
mod functions;
mod hostile;
mod http;
mod kinds;
mod observed;
mod pipelines;
mod programs;
mod standalone;
mod support;
