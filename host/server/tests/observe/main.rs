//! What a running server tells about itself: metrics, the last minute, traces.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod collector;
#[path = "../common/mod.rs"]
mod common;
mod metrics;
mod requests;
mod traces;
