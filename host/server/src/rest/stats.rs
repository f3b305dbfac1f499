//! The statistics extension: what was counted of each version of a function.
//! Durations are sums in nanoseconds.

use http::Response;
use samara_protocol::rest::path::decoded;
use serde_json::{Value, json};

use super::written;
use crate::app::Server;
use crate::body::Body;
use crate::error::Result;
use crate::functions::Served;

/// The statistics of all functions, or of one, or of one of its versions.
///
/// # Errors
/// A name or version that is not served.
pub(super) fn answer(server: &Server, name: Option<&str>, version: Option<&str>) -> Result<Response<Body>> {
    let (name, version) = (name.map(decoded).transpose()?, version.map(decoded).transpose()?);
    let asked = server.asked(name.as_deref(), version.as_deref())?;
    let stats: Vec<Value> = asked.iter().map(|served| one(served)).collect();
    Ok(written(&json!({ "model_stats": stats })))
}

fn one(served: &Served) -> Value {
    let counted = served.meters.statistics();
    let sum = |count: u64, ns: u64| json!({ "count": count, "ns": ns });
    // Time before the call and time in queues of models are both waiting.
    let queue_ns = counted.queued_ns.saturating_add(counted.runs_queued_ns);
    let memory = served.memory().map(|(kind, bytes)| json!({ "type": kind, "id": 0, "byte_size": bytes }));
    json!({
        "name": served.name,
        "version": served.version,
        "last_inference": counted.last_ms,
        "inference_count": counted.answered_rows,
        "execution_count": counted.runs,
        "inference_stats": {
            "success": sum(counted.answered, counted.answered_ns),
            "fail": sum(counted.failed, counted.failed_ns),
            "queue": sum(counted.queued, queue_ns),
            "compute_input": sum(0, 0),
            "compute_infer": sum(counted.runs, counted.runs_computed_ns),
            "compute_output": sum(0, 0),
            "cache_hit": sum(0, 0),
            "cache_miss": sum(0, 0),
        },
        "response_stats": {},
        "batch_stats": [],
        "memory_usage": memory.collect::<Vec<_>>(),
    })
}
