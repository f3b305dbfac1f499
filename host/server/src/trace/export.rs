//! Where spans go: to a collector, by OTLP over HTTP, on a thread of its own.

use std::io::Read;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};
use ureq::Agent;

use crate::config::Telemetry;
use crate::error::{Error, Result};

/// For one request to the collector.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most of a collector's answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 64 << 10;
/// Where collectors take spans, see
/// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>.
const PATH: &str = "/v1/traces";
/// Between two warnings about one collector.
const QUIET: Duration = Duration::from_secs(60);

/// The queue of finished spans, and the thread that sends them. Spans that the
/// collector does not take in time are dropped.
///
/// # Errors
/// [`Error::Malformed`] for an address that is none.
pub(super) fn processor(collector: &str, settings: &Telemetry) -> Result<BatchSpanProcessor> {
    let wrong = |reason: &dyn std::fmt::Display| {
        let hint = "hint: give it as e.g. `http://localhost:4318`";
        Error::Malformed(format!("`{collector}` is no OTLP collector: {reason}\n{hint}"))
    };
    if !collector.starts_with("http://") && !collector.starts_with("https://") {
        return Err(wrong(&"it begins with neither `http://` nor `https://`"));
    }
    let base = collector.trim_end_matches('/');
    let endpoint = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(collector))
        .with_endpoint(endpoint)
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| wrong(&error))?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let resource = Resource::builder()
        .with_service_name(settings.service.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    processor.set_resource(&resource);
    Ok(processor)
}

/// A client for the thread that sends spans: it blocks.
#[derive(Debug)]
struct Collector {
    agent: Agent,
    address: String,
    /// When somebody was last told that it fails.
    told: Mutex<Option<Instant>>,
}

impl Collector {
    fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Self { agent: config.into(), address: address.to_owned(), told: Mutex::default() }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.agent.run(Request::from_parts(head, body.as_ref()))?;
        let (head, body) = answer.into_parts();
        let mut text = Vec::new();
        body.into_reader().take(LONGEST_ANSWER).read_to_end(&mut text)?;
        Ok(Response::from_parts(head, text.into()))
    }

    fn warn(&self, reason: &dyn std::fmt::Display) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if is_due(*told, now) {
            *told = Some(now);
            tracing::warn!(collector = %self.address, reason = %reason, "spans cannot be sent");
        }
    }
}

/// Whether it is time to warn again.
fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= QUIET)
}

#[tonic::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.warn(&format_args!("it answers {}", answer.status())),
            Err(error) => self.warn(error),
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_by_its_address() {
        let error = processor("localhost:4318", &Telemetry::default()).unwrap_err().to_string();
        assert!(error.contains("`localhost:4318`") && error.contains("hint: "), "{error}");
        assert!(processor("http://exa mple", &Telemetry::default()).is_err());
    }

    #[test]
    fn warnings_come_once_a_minute() {
        let now = Instant::now();
        assert!(is_due(None, now));
        assert!(!is_due(Some(now), now + QUIET / 2));
        assert!(is_due(Some(now), now + QUIET));
    }
}
