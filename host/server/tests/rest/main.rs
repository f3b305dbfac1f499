//! The Open Inference Protocol over HTTP, against a whole server over real
//! sockets.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

#[path = "../common/mod.rs"]
mod common;

mod binary;
mod bodies;
mod classes;
mod contract;
mod describe;
mod health;
mod infer;
mod refusals;
mod repository;
