//! The tree of spans of one request: the server's, below it the queue and the
//! function's call, below that each stage and the runs of its models.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use http::{Method, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, SpanData, SpanEvents, SpanLinks};
use samara_engine::{CallReport, ModelRun, StageReport};
use samara_protocol::headers::RequestId;

use super::request::Asked;
use super::{Place, Tracer};
use crate::error::ErrorKind;
use crate::functions::Served;

/// A function's call that is over, or that did not come to its turn.
#[derive(Debug)]
pub(crate) struct CallEnd<'a> {
    pub(crate) served: &'a Served,
    /// When its request came.
    pub(crate) received: Instant,
    /// When the call started.
    pub(crate) admitted: Option<Instant>,
    pub(crate) ended: Instant,
    pub(crate) outcome: Result<&'a CallReport, ErrorKind>,
}

/// A request whose answer is there.
#[derive(Debug)]
pub(super) struct ServerEnd<'a> {
    pub(super) asked: &'a Asked,
    pub(super) received: Instant,
    /// The function that it asked, where it came to that.
    pub(super) served: Option<&'a Served>,
    pub(super) id: &'a RequestId,
    pub(super) outcome: Result<StatusCode, ErrorKind>,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Clock {
    now: Instant,
    system: SystemTime,
}

impl Clock {
    fn system(self, moment: Instant) -> SystemTime {
        self.system - self.now.saturating_duration_since(moment)
    }
}

/// From when to when a span lasts.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: SystemTime,
    end: SystemTime,
}

impl Span {
    fn of(start: SystemTime, length: Duration) -> Self {
        Self { start, end: start + length }
    }
}

impl Clock {
    fn now() -> Self {
        Self { now: Instant::now(), system: SystemTime::now() }
    }
}

impl Tracer {
    /// Makes and hands over the spans of a call.
    pub(crate) fn tell_call(&self, place: &Place, call: &CallEnd<'_>) {
        let clock = Clock::now();
        let tree = Tree { tracer: self, place };
        let ended = clock.system(call.ended);
        let admitted = call.admitted.map(|moment| clock.system(moment));
        tree.queue(Span { start: clock.system(call.received), end: admitted.unwrap_or(ended) });
        if let Some(start) = admitted {
            tree.function(call, Span { start, end: ended });
            for stage in call.outcome.iter().flat_map(|report| &report.stages) {
                tree.stage(start, stage);
            }
        }
    }

    /// Makes and hands over the server's span of a request that ends now.
    pub(super) fn tell_server(&self, place: &Place, end: &ServerEnd<'_>) {
        let clock = Clock::now();
        let span = Span { start: clock.system(end.received), end: clock.system };
        Tree { tracer: self, place }.server(end, span);
    }
}

/// The spans of one request, in the making.
pub(super) struct Tree<'a> {
    pub(super) tracer: &'a Tracer,
    pub(super) place: &'a Place,
}

impl Tree<'_> {
    fn server(&self, end: &ServerEnd<'_>, span: Span) {
        let status = end.outcome.unwrap_or_else(ErrorKind::http_status);
        let (name, mut attributes) = protocol(end, status);
        if let Some(served) = end.served {
            attributes.push(KeyValue::new("samara.function", served.name.clone()));
            attributes.push(KeyValue::new("samara.version", served.version.clone()));
        }
        attributes.push(KeyValue::new("samara.request.id", end.id.to_string()));
        if let Err(kind) = end.outcome {
            attributes.push(KeyValue::new("error.type", kind.name()));
        }
        let mut made = self.span(self.place.server, self.place.parent, name, span, attributes);
        made.span_kind = SpanKind::Server;
        made.parent_span_is_remote = self.place.parent.is_some();
        // What the client did wrong is no failure of the server.
        if status.is_server_error() {
            let reason = end.outcome.map_or_else(ErrorKind::name, |_| "the function answers so");
            made.status = Status::error(reason);
        }
        self.send(made);
    }

    fn queue(&self, span: Span) {
        let id = self.tracer.ids.new_span_id();
        self.send(self.span(id, Some(self.place.server), "admission", span, Vec::new()));
    }

    fn function(&self, call: &CallEnd<'_>, span: Span) {
        let mut attributes = vec![
            KeyValue::new("samara.function", call.served.name.clone()),
            KeyValue::new("samara.version", call.served.version.clone()),
        ];
        let digest = call.served.digest.clone();
        attributes.extend(digest.map(|digest| KeyValue::new("samara.digest", digest)));
        let name = format!("function {}", call.served.name);
        let mut made = self.span(self.place.function, Some(self.place.server), name, span, attributes);
        if let Err(kind) = call.outcome {
            made.attributes.push(KeyValue::new("error.type", kind.name()));
            made.status = Status::error(kind.name());
        }
        self.send(made);
    }

    /// A stage of a call that started at `call`.
    pub(super) fn stage(&self, call: SystemTime, stage: &StageReport) {
        let id = self.tracer.ids.new_span_id();
        let is_guest = stage.guest_memory > 0;
        let mut attributes = vec![KeyValue::new("samara.stage", stage.name.clone())];
        let start = call + stage.began;
        let name = if is_guest { format!("guest {}", stage.name) } else { format!("model {}", stage.name) };
        if is_guest {
            attributes.push(KeyValue::new("samara.instance.reused", stage.reused));
            attributes.push(KeyValue::new("samara.guest.memory", int(stage.guest_memory)));
        }
        let mut made =
            self.span(id, Some(self.place.function), name, Span::of(start, stage.total), attributes);
        if is_guest {
            let ready = Event::new("instance ready", start + stage.instantiation, Vec::new(), 0);
            made.events.events.push(ready);
        }
        self.send(made);
        stage.models.iter().for_each(|run| self.run(call, id, run));
    }

    /// A run of a model: its wait, and its computation.
    fn run(&self, call: SystemTime, stage: SpanId, run: &ModelRun) {
        let asked = call + run.began;
        let model = || {
            vec![
                KeyValue::new("samara.model", run.model.clone()),
                KeyValue::new("samara.backend", run.backend),
            ]
        };
        let queue = Span::of(asked, run.queued);
        let id = self.tracer.ids.new_span_id();
        self.send(self.span(id, Some(stage), format!("queue {}", run.model), queue, model()));
        let mut attributes = model();
        attributes.push(KeyValue::new("samara.batch.rows", int(run.batch_rows as u64)));
        attributes.push(KeyValue::new("samara.batch.calls", int(run.batch_calls as u64)));
        let compute = Span::of(queue.end, run.computed);
        let id = self.tracer.ids.new_span_id();
        self.send(self.span(id, Some(stage), format!("compute {}", run.model), compute, attributes));
    }

    fn span(
        &self,
        id: SpanId,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        Span { start, end }: Span,
        attributes: Vec<KeyValue>,
    ) -> SpanData {
        let state = TraceState::default();
        SpanData {
            span_context: SpanContext::new(self.place.trace, id, TraceFlags::SAMPLED, false, state),
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: start,
            end_time: end,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.tracer.scope.clone(),
        }
    }

    fn send(&self, span: SpanData) {
        self.tracer.processor.on_end(span);
    }
}

/// The name and attributes of the server's span, as OpenTelemetry's conventions
/// for HTTP and RPC have them.
fn protocol(end: &ServerEnd<'_>, status: StatusCode) -> (Cow<'static, str>, Vec<KeyValue>) {
    const SERVICE: &str = "inference.GRPCInferenceService";
    match end.asked {
        Asked::Http { method, route } => {
            let method = known(method);
            let mut attributes = vec![
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            ];
            attributes.extend(route.clone().map(|route| KeyValue::new("http.route", route)));
            // A path that anybody may write is no name.
            let name = route.as_ref().map_or(method.into(), |route| format!("{method} {route}").into());
            (name, attributes)
        }
        Asked::Grpc { method } => {
            let code = end.outcome.map_or_else(ErrorKind::grpc_code, |_| 0);
            let attributes = vec![
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", SERVICE),
                KeyValue::new("rpc.method", *method),
                KeyValue::new("rpc.grpc.status_code", i64::from(code)),
            ];
            (format!("{SERVICE}/{method}").into(), attributes)
        }
    }
}

/// Methods have few names; what else clients call them is one more.
fn known(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::CONNECT,
        Method::PATCH,
        Method::TRACE,
    ];
    const NAMES: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE"];
    KNOWN.iter().position(|known| known == method).map_or("_OTHER", |at| NAMES[at])
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
