//! What the server says about itself and for its guests, as events of
//! `tracing`: whoever runs the server decides where they go and what they look
//! like. Tokens, headers and tensors are never in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use samara_engine::{Compiled, GuestLine, GuestOutput, Level, LineSource};

use crate::context::RequestContext;
use crate::error::{Error, ErrorKind};
use crate::functions::Served;
use crate::metrics::Ended;

/// What guests say.
const GUEST: &str = "guest";
/// One line for each request, at the level `debug`.
const ACCESS: &str = "access";

/// Failures of the server's side that are told in a row.
const BURST: u64 = 10;
/// In how many milliseconds.
const WINDOW_MS: u64 = 10_000;

/// Where the guests of a version speak to.
pub(crate) fn guest_output(name: &str, version: &str) -> GuestOutput {
    let (name, version) = (name.to_owned(), version.to_owned());
    GuestOutput::Listener(Arc::new(move |line| guest_line(&name, &version, line)))
}

fn guest_line(function: &str, version: &str, line: &GuestLine<'_>) {
    let GuestLine { stage, request_id, text, .. } = *line;
    let (stream, context) = match line.source {
        LineSource::Stdout => ("stdout", ""),
        LineSource::Stderr => ("stderr", ""),
        LineSource::Log { context, .. } => ("log", context),
    };
    // The macro wants its level as a constant.
    macro_rules! say {
        ($level:ident) => {
            tracing::event!(
                target: GUEST,
                tracing::Level::$level,
                function,
                version,
                stage,
                request_id,
                stream,
                context,
                "{text}"
            )
        };
    }
    match line.source {
        LineSource::Log { level: Level::Trace, .. } => say!(TRACE),
        LineSource::Log { level: Level::Debug, .. } => say!(DEBUG),
        LineSource::Log { level: Level::Warn, .. } => say!(WARN),
        LineSource::Log { level: Level::Error | Level::Critical, .. } => say!(ERROR),
        LineSource::Log { level: Level::Info, .. } | LineSource::Stdout | LineSource::Stderr => say!(INFO),
    }
}

/// Tells that a request was answered, or why it was not.
pub(crate) fn request(
    served: &Served,
    context: &RequestContext,
    ended: Ended,
    outcome: Result<(), Told<'_>>,
) {
    static FAILURES: Quiet = Quiet::new();
    tracing::debug!(
        target: ACCESS,
        protocol = context.protocol.name(),
        function = served.name,
        version = served.version,
        request_id = %context.id,
        outcome = outcome.as_ref().map_or_else(|told| told.kind.name(), |()| "ok"),
        seconds = ended.total.as_secs_f64(),
    );
    let Err(Told { kind, error: Some(error) }) = outcome else { return };
    if !is_ours(kind) {
        return;
    }
    if let Some(left_out) = FAILURES.may_speak(ended.at_ms) {
        tracing::warn!(
            function = served.name,
            version = served.version,
            request_id = %context.id,
            error = kind.name(),
            left_out,
            "{error}"
        );
    }
}

/// Tells that a function was loaded, and what went wrong meanwhile without
/// being an error.
pub(crate) fn loaded(served: &Served) {
    let report = served.function.load_report();
    for warning in &report.warnings {
        tracing::warn!(function = served.name, version = served.version, "{warning}");
    }
    let compiled = report.components.iter().filter(|(_, how)| matches!(how, Compiled::Now(_))).count();
    let backends: Vec<&str> = report.models.iter().map(|(_, backend, _)| *backend).collect();
    tracing::info!(
        function = served.name,
        version = served.version,
        digest = served.digest,
        seconds = served.load_time.as_secs_f64(),
        compiled,
        backends = backends.join(","),
        "loaded"
    );
}

/// Why a request was not answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) kind: ErrorKind,
    /// Missing where its client went away.
    pub(crate) error: Option<&'a Error>,
}

/// Whether somebody who runs the server should look at it.
fn is_ours(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::FunctionFailed | ErrorKind::LimitExceeded | ErrorKind::Internal | ErrorKind::LoadFailed
    )
}

/// Lets a few through in a while and counts the rest.
#[derive(Debug)]
struct Quiet {
    window: AtomicU64,
    said: AtomicU64,
}

impl Quiet {
    const fn new() -> Self {
        Self { window: AtomicU64::new(0), said: AtomicU64::new(0) }
    }

    /// Whether one more is told at this moment in milliseconds, and then how
    /// many of an earlier time were not.
    fn may_speak(&self, now_ms: u64) -> Option<u64> {
        let window = now_ms / WINDOW_MS;
        let before = self.window.swap(window, Ordering::Relaxed);
        if before != window {
            let said = self.said.swap(1, Ordering::Relaxed);
            return Some(said.saturating_sub(BURST));
        }
        (self.said.fetch_add(1, Ordering::Relaxed) < BURST).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_guest_says_carries_its_function_and_request() {
        let GuestOutput::Listener(listener) = guest_output("digits", "2") else { panic!("nobody listens") };
        let page = Page::default();
        let writer = page.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let line = |source, request_id| GuestLine {
            function: "its-own-name",
            stage: "main",
            source,
            request_id,
            text: "hello",
        };
        tracing::subscriber::with_default(subscriber, || {
            listener(&line(LineSource::Stderr, Some("r-7")));
            listener(&line(LineSource::Log { level: Level::Critical, context: "part" }, None));
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (key, value) in [
            ("level", "INFO"),
            ("target", "guest"),
            ("function", "digits"),
            ("version", "2"),
            ("stage", "main"),
            ("request_id", "r-7"),
            ("stream", "stderr"),
            ("message", "hello"),
        ] {
            assert_eq!(lines[0][key], value, "{key}");
        }
        assert_eq!((&lines[1]["level"], &lines[1]["context"]), (&"ERROR".into(), &"part".into()));
        assert!(lines[1].get("request_id").is_none());
    }

    #[test]
    fn a_flood_of_failures_is_told_in_part() {
        let quiet = Quiet::new();
        let told = |now_ms: u64| (0..25).filter_map(|_| quiet.may_speak(now_ms)).collect::<Vec<_>>();
        assert_eq!(told(WINDOW_MS), [0; BURST as usize]);
        let next = told(2 * WINDOW_MS);
        assert_eq!((next.len() as u64, next[0]), (BURST, 15));
    }
}
