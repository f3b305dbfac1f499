//! What is known about a request before anybody reads its body.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use samara_protocol::headers::{self, RequestId};

use crate::error::Result;
use crate::functions::Served;
use crate::trace::Traced;

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

impl RequestContext {
    /// Reads the headers that matter to every protocol, without the deadline.
    pub(crate) fn new(protocol: Protocol, headers: &HeaderMap) -> Self {
        let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        Self {
            protocol,
            id: headers::id(headers).unwrap_or_else(RequestId::next),
            received: Instant::now(),
            patience: None,
            traceparent: traceparent.map(Arc::from),
            trace: None,
        }
    }

    /// Reads the client's deadline.
    ///
    /// # Errors
    /// One that is no number of milliseconds.
    pub(crate) fn read_patience(&mut self, headers: &HeaderMap) -> Result<()> {
        self.patience = headers::patience(headers)?;
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use samara_protocol::headers::ID_HEADER;

    use super::*;

    fn id(name: &'static str, value: &'static str) -> String {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
        RequestContext::new(Protocol::Rest, &headers).id.to_string()
    }

    #[test]
    fn the_clients_id_is_kept_where_it_can_be_logged() {
        assert_eq!(id(ID_HEADER, "a-1"), "a-1");
        let own = format!("{:x}-", std::process::id());
        assert!(id(ID_HEADER, "a 1").starts_with(&own));
        assert_ne!(id("x", ""), id("x", ""));
    }
}
