//! Watches one request from its arrival to its end, and tells all who want to
//! know: metrics, traces, logs.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use samara_engine::{CallOptions, CallReport};

use crate::app::Server;
use crate::context::RequestContext;
use crate::error::{Error, ErrorKind};
use crate::functions::Served;
use crate::logs::{self, Told};
use crate::metrics::{Ended, Metrics};
use crate::trace::{CallEnd, ServerSpan};

/// A request that is being answered. One that is dropped before its end was
/// given up by its client.
#[derive(Debug)]
pub(crate) struct Watch {
    metrics: Arc<Metrics>,
    served: Arc<Served>,
    context: RequestContext,
    rows: u64,
    /// When its call started.
    admitted: Option<Instant>,
    /// Of a request for an HTTP function: it ends with the call.
    span: Option<ServerSpan>,
    /// Of the response that such a function began.
    status: StatusCode,
    is_over: bool,
}

impl Watch {
    /// Begins to watch a request.
    pub(crate) fn begin(server: &Server, served: &Arc<Served>, context: &RequestContext) -> Self {
        context.asks(served);
        Self {
            metrics: Arc::clone(&server.metrics),
            served: Arc::clone(served),
            context: context.clone(),
            rows: 1,
            admitted: None,
            span: None,
            status: StatusCode::OK,
            is_over: false,
        }
    }

    /// The server's span of the request is over when its call is.
    pub(crate) fn with_span(mut self, span: Option<ServerSpan>) -> Self {
        self.span = span;
        self
    }

    /// The head of the response is there.
    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// The rows that a request asks about, where it is not one.
    pub(crate) fn set_rows(&mut self, rows: usize) {
        self.rows = rows as u64;
    }

    /// The request has its turn; its call starts now, and this is how it is to
    /// be made.
    pub(crate) fn admitted(&mut self, deadline: Option<Instant>) -> CallOptions {
        let now = Instant::now();
        self.admitted = Some(now);
        let own = self.context.trace.as_ref().map(|traced| traced.place().traceparent());
        CallOptions {
            deadline: deadline.map(|at| at.saturating_duration_since(now)),
            request_id: Some(self.context.id.shared()),
            // A request that is not traced here belongs to its client's trace.
            traceparent: own.or_else(|| self.context.traceparent.clone()),
        }
    }

    /// Tells what came of it.
    pub(crate) fn end(mut self, outcome: Result<&CallReport, &Error>) {
        self.is_over = true;
        self.tell(outcome.map_err(|error| Told { kind: error.kind(), error: Some(error) }));
    }

    fn tell(&mut self, outcome: Result<&CallReport, Told<'_>>) {
        let now = Instant::now();
        let since = |moment: Instant| moment.saturating_duration_since(self.context.received);
        let ended = Ended {
            protocol: self.context.protocol,
            total: since(now),
            admission: self.admitted.map(since),
            at_ms: self.metrics.at_ms(now),
            rows: self.rows,
        };
        // The trace first: who sees the count may look for it.
        self.trace(now, outcome.map_err(|told| told.kind));
        match outcome {
            Ok(report) => self.served.meters.answered(ended, report),
            Err(Told { kind, .. }) => self.served.meters.failed(ended, kind),
        }
        logs::request(&self.served, &self.context, ended, outcome.map(|_| ()));
    }

    fn trace(&mut self, ended: Instant, outcome: Result<&CallReport, ErrorKind>) {
        let Some(traced) = &self.context.trace else { return };
        let call = CallEnd {
            served: &self.served,
            received: self.context.received,
            admitted: self.admitted,
            ended,
            outcome,
        };
        traced.tracer().tell_call(traced.place(), &call);
        match (self.span.take(), outcome) {
            (Some(span), Ok(_)) => span.end(self.status),
            (Some(span), Err(kind)) => span.fail(kind),
            (None, _) => {}
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(Err(Told { kind: ErrorKind::Cancelled, error: None }));
        }
    }
}
