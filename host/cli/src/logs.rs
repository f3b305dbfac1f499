//! Logs of a server: the events of `tracing`, on standard error, as lines for
//! people or as JSON for programs.

use anyhow::{Context, Result};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::args::LogFormat;
use crate::settings::Verbosity;

/// What is logged, instead of what `--quiet` and `--verbose` mean: a level, or
/// levels by target, e.g. `info,guest=debug,access=debug`.
const LEVELS: &str = "SAMARA_LOG";

/// Sends the process's logs to standard error from now on.
///
/// # Errors
/// When `SAMARA_LOG` is no list of levels, or logs go somewhere already.
pub(crate) fn init(format: LogFormat, verbosity: Verbosity) -> Result<()> {
    let levels = match std::env::var(LEVELS) {
        Ok(levels) => named(&levels)?,
        Err(_) => usual(format, verbosity),
    };
    let registry = tracing_subscriber::registry().with(layer(format, std::io::stderr).with_filter(levels));
    registry.try_init().context("logs go somewhere else already")
}

fn layer<W>(format: LogFormat, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        LogFormat::Text => fmt::layer().with_writer(writer).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
    }
}

fn named(levels: &str) -> Result<Targets> {
    let wrong = || {
        format!(
            "{LEVELS} is `{levels}`, which is no list of levels\nhint: write e.g. `info` or `warn,guest=debug`"
        )
    };
    // The library would take a word alone for a target, and log nothing else.
    let is_level = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    anyhow::ensure!(levels.split(',').all(is_level), wrong());
    levels.parse().with_context(wrong)
}

/// The levels where nobody asks for others.
fn usual(format: LogFormat, verbosity: Verbosity) -> Targets {
    // People have read on the terminal already that it listens.
    let server = match format {
        LogFormat::Text => Level::WARN,
        LogFormat::Json => Level::INFO,
    };
    let (server, guest, others) = match verbosity {
        Verbosity::Quiet => (Level::ERROR, Level::ERROR, Level::ERROR),
        Verbosity::Normal => (server, Level::INFO, Level::WARN),
        Verbosity::Verbose => (Level::DEBUG, Level::DEBUG, Level::WARN),
    };
    Targets::new()
        .with_default(LevelFilter::from_level(others))
        .with_target("samara", server)
        .with_target("access", server)
        .with_target("guest", guest)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, levels: Targets) -> String {
        let page = Page::default();
        let writer = page.clone();
        let layer = layer(format, move || writer.clone()).with_filter(levels);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "guest", function = "digits", request_id = "r1", "hello\u{1b}[31m");
            tracing::debug!(target: "access", outcome = "ok");
            tracing::warn!(target: "samara_server", "spans cannot be sent");
            tracing::info!(target: "hyper", "noise");
        });
        let text = page.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn programs_read_an_object_on_each_line() {
        let text = logged(LogFormat::Json, usual(LogFormat::Json, Verbosity::Normal));
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["function"], &lines[0]["request_id"]), (&"digits".into(), &"r1".into()));
        assert_eq!((&lines[0]["level"], &lines[0]["target"]), (&"INFO".into(), &"guest".into()));
        assert_eq!(lines[1]["message"], "spans cannot be sent");
    }

    #[test]
    fn people_read_lines_that_no_guest_can_colour() {
        let text = logged(LogFormat::Text, usual(LogFormat::Text, Verbosity::Verbose));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("hello") && text.contains("function=\"digits\""), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_levels_follow_the_verbosity_and_the_variable() {
        assert_eq!(logged(LogFormat::Text, usual(LogFormat::Text, Verbosity::Quiet)), "");
        assert_eq!(logged(LogFormat::Text, named("error,access=debug").unwrap()).lines().count(), 1);
        let error = format!("{:#}", named("loud").unwrap_err());
        assert!(error.contains("`loud`"), "{error}");
    }
}
