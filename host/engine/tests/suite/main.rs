//! The engine against real guests: programs of `tests/guests`, models made in
//! memory, and the embedded backend.

mod capabilities;
mod functions;
mod hostile;
mod kinds;
mod pipelines;
mod support;
