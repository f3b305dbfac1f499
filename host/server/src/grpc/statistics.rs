//! What was counted and timed, as the statistics extension tells it.

use std::sync::Arc;

use super::proto::{
    InferStatistics, MemoryUsage, ModelStatistics, ModelStatisticsResponse, StatisticDuration,
};
use crate::app::Server;
use crate::error::Result;
use crate::functions::Served;

/// The statistics of one version, of all versions of a name, or of everything.
///
/// # Errors
/// A name or version that is not served.
pub(super) fn of(server: &Server, name: &str, version: &str) -> Result<ModelStatisticsResponse> {
    let model_stats = if !name.is_empty() && !version.is_empty() {
        vec![one(&*server.functions.find(name, Some(version))?)]
    } else {
        if !name.is_empty() {
            server.functions.find(name, None)?;
        }
        let table = server.functions.table();
        let entries = table.ready().filter(|(ready, _)| name.is_empty() || *ready == name);
        entries.flat_map(|(_, entry)| &entry.versions).map(|served: &Arc<Served>| one(served)).collect()
    };
    Ok(ModelStatisticsResponse { model_stats })
}

fn one(served: &Served) -> ModelStatistics {
    let counted = served.meters.statistics();
    let duration = |count, ns| Some(StatisticDuration { count, ns });
    ModelStatistics {
        name: served.name.clone(),
        version: served.version.clone(),
        last_inference: counted.last_ms,
        inference_count: counted.answered,
        execution_count: counted.runs,
        inference_stats: Some(InferStatistics {
            success: duration(counted.answered, counted.answered_ns),
            fail: duration(counted.failed, counted.failed_ns),
            queue: duration(counted.queued, counted.queued_ns.saturating_add(counted.runs_queued_ns)),
            compute_infer: duration(counted.runs, counted.runs_computed_ns),
            ..InferStatistics::default()
        }),
        memory_usage: memory(served),
        ..ModelStatistics::default()
    }
}

fn memory(served: &Served) -> Vec<MemoryUsage> {
    let footprints = served.function.models().values().map(|model| model.footprint());
    let (host, device) = footprints
        .fold((0, 0), |(host, device), footprint| (host + footprint.host, device + footprint.device));
    let kinds = [("CPU", host), ("GPU", device)].into_iter().filter(|(_, bytes)| *bytes > 0);
    kinds.map(|(kind, byte_size)| MemoryUsage { r#type: kind.to_owned(), id: 0, byte_size }).collect()
}
