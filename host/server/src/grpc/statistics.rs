//! What was counted and timed, as the statistics extension tells it.

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
    let asked = server.asked(
        Some(name).filter(|name| !name.is_empty()),
        Some(version).filter(|version| !version.is_empty()),
    )?;
    let model_stats = asked.iter().map(|served| one(served)).collect();
    Ok(ModelStatisticsResponse { model_stats })
}

fn one(served: &Served) -> ModelStatistics {
    let counted = served.meters.statistics();
    let memory =
        served.memory().map(|(kind, byte_size)| MemoryUsage { r#type: kind.to_owned(), id: 0, byte_size });
    let duration = |count, ns| Some(StatisticDuration { count, ns });
    ModelStatistics {
        name: served.name.clone(),
        version: served.version.clone(),
        last_inference: counted.last_ms,
        inference_count: counted.answered_rows,
        execution_count: counted.runs,
        inference_stats: Some(InferStatistics {
            success: duration(counted.answered, counted.answered_ns),
            fail: duration(counted.failed, counted.failed_ns),
            queue: duration(counted.queued, counted.queued_ns.saturating_add(counted.runs_queued_ns)),
            compute_infer: duration(counted.runs, counted.runs_computed_ns),
            ..InferStatistics::default()
        }),
        memory_usage: memory.collect(),
        ..ModelStatistics::default()
    }
}
