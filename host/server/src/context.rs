//! What is known about a request before anybody reads its body.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};

use crate::error::{Error, Result};
use crate::functions::Served;
use crate::trace::Traced;

/// The header by which a REST client gives a deadline, in milliseconds.
pub(crate) const TIMEOUT_HEADER: &str = "x-request-timeout-ms";
/// The header that carries a request's id, both ways.
pub(crate) const ID_HEADER: &str = "x-request-id";

/// The longest id that is taken over from a client, in bytes.
const LONGEST_ID: usize = 128;

/// The way on which a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Rest,
    Grpc,
    Http,
}

impl Protocol {
    /// Its name in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Rest => "rest",
            Protocol::Grpc => "grpc",
            Protocol::Http => "http",
        }
    }
}

/// One request's circumstances.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) protocol: Protocol,
    /// The client's id for it, or one made here.
    pub(crate) id: RequestId,
    pub(crate) received: Instant,
    /// How long the client is willing to wait.
    pub(crate) patience: Option<Duration>,
    /// The client's W3C trace context, as it came.
    pub(crate) traceparent: Option<Arc<str>>,
    /// Its spans, where it is traced.
    pub(crate) trace: Option<Traced>,
}

/// A request's id: visible ASCII. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    fn next() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:x}-{number}", std::process::id()).into())
    }

    /// The id as text that can be handed on.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The id as the value of [`ID_HEADER`].
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    /// An id of the client's, if it is one that can be logged and sent back.
    pub(crate) fn given(id: &str) -> Option<Self> {
        let is_sound =
            !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        is_sound.then(|| Self(id.into()))
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl RequestContext {
    /// Reads the headers that matter to every protocol, without the deadline.
    pub(crate) fn new(protocol: Protocol, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            protocol,
            id: text(ID_HEADER).and_then(RequestId::given).unwrap_or_else(RequestId::next),
            received: Instant::now(),
            patience: None,
            traceparent: text("traceparent").map(Arc::from),
            trace: None,
        }
    }

    /// Reads the client's deadline.
    ///
    /// # Errors
    /// One that is no number of milliseconds.
    pub(crate) fn read_patience(&mut self, headers: &HeaderMap) -> Result<()> {
        self.patience =
            headers.get(TIMEOUT_HEADER).map(|value| milliseconds(value.as_bytes())).transpose()?;
        Ok(())
    }

    /// The request turns out to ask this function.
    pub(crate) fn asks(&self, served: &Arc<Served>) {
        if let Some(trace) = &self.trace {
            trace.asks(served);
        }
    }

    /// The same request under the id in its body, which goes before that of a
    /// header.
    pub(crate) fn named(&self, id: RequestId) -> Self {
        if let Some(trace) = &self.trace {
            trace.is_named(&id);
        }
        Self { id, ..self.clone() }
    }
}

fn milliseconds(value: &[u8]) -> Result<Duration> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
    number.filter(|&number| number > 0).map(Duration::from_millis).ok_or_else(|| {
        let value = String::from_utf8_lossy(value);
        Error::Malformed(format!(
            "the header `{TIMEOUT_HEADER}` is {value:?}, not a number of milliseconds above 0"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: &'static str, value: &'static str) -> Result<RequestContext> {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
        let mut context = RequestContext::new(Protocol::Rest, &headers);
        context.read_patience(&headers)?;
        Ok(context)
    }

    #[test]
    fn the_clients_id_is_kept_where_it_can_be_logged() {
        assert_eq!(context(ID_HEADER, "a-1").unwrap().id.to_string(), "a-1");
        let own = format!("{:x}-", std::process::id());
        assert!(context(ID_HEADER, "a 1").unwrap().id.to_string().starts_with(&own));
        let one = context("x", "").unwrap().id.to_string();
        assert_ne!(one, context("x", "").unwrap().id.to_string());
    }

    #[test]
    fn a_deadline_is_a_number_above_zero() {
        assert_eq!(context(TIMEOUT_HEADER, "250").unwrap().patience, Some(Duration::from_millis(250)));
        for wrong in ["0", "-1", "1s", "99999999999999999999999"] {
            assert!(context(TIMEOUT_HEADER, wrong).unwrap_err().to_string().contains(wrong));
        }
    }
}
