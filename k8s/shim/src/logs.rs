//! Logs of a container: JSON, a line per event, on standard output, where those
//! who gather the logs of pods expect them.

use anyhow::{Context, Result};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::settings::Settings;

/// Sends the process's events to standard output from now on.
///
/// # Errors
/// When they go somewhere already.
pub(crate) fn init(settings: &Settings) -> Result<()> {
    let levels: Targets = settings.log_levels.clone();
    let layer = fmt::layer().json().flatten_event(true).with_writer(std::io::stdout).with_filter(levels);
    tracing_subscriber::registry().with(layer).try_init().context("logs go somewhere else already")
}
