//! The statistics extension: what was counted of each version of a function.
//! Durations are sums in nanoseconds.

use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use super::written;
use crate::app::Server;
use crate::body::Body;
use crate::error::{Error, Result};
use crate::functions::Served;

/// The statistics of all functions, or of one, or of one of its versions.
///
/// # Errors
/// [`Error::UnknownFunction`] or [`Error::UnknownVersion`].
pub(super) fn answer(server: &Server, name: Option<&str>, version: Option<&str>) -> Result<Response<Body>> {
    let all: Vec<Arc<Served>> = match (name, version) {
        (Some(name), Some(version)) => vec![server.functions.find(name, Some(version))?],
        (name, _) => {
            let table = server.functions.table();
            let asked = table.ready().filter(|(known, _)| name.is_none_or(|name| name == *known));
            asked.flat_map(|(_, entry)| entry.versions.clone()).collect()
        }
    };
    if let (true, Some(name)) = (all.is_empty(), name) {
        let known = server.functions.table().ready().map(|(known, _)| known.to_owned()).collect();
        return Err(Error::UnknownFunction { name: name.to_owned(), known });
    }
    let stats: Vec<Value> = all.iter().map(|served| one(served)).collect();
    Ok(written(&json!({ "model_stats": stats })))
}

fn one(served: &Served) -> Value {
    let counted = served.meters.statistics();
    let sum = |count: u64, ns: u64| json!({ "count": count, "ns": ns });
    // Time before the call and time in queues of models are both waiting.
    let queue_ns = counted.queued_ns.saturating_add(counted.runs_queued_ns);
    json!({
        "name": served.name,
        "version": served.version,
        "last_inference": counted.last_ms,
        "inference_count": counted.answered,
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
        "memory_usage": memory(served),
    })
}

/// Weights of its models, which other functions may share.
fn memory(served: &Served) -> Vec<Value> {
    let models = served.function.models().values();
    let one = |model: &samara_engine::ModelUse| {
        let footprint = model.footprint();
        let used = |place: &str, bytes: u64| {
            (bytes > 0).then(|| json!({ "type": place, "id": 0, "byte_size": bytes }))
        };
        [used("CPU", footprint.host), used("GPU", footprint.device)]
    };
    models.flat_map(one).flatten().collect()
}
