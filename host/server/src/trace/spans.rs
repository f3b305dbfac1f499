//! The tree of spans of one request: the server's, below it the queue and the
//! function's call, below that each stage and the runs of its models.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use http::{Method, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, SpanData, SpanEvents, SpanLinks};
use samara_engine::{CallReport, ModelRun, StageReport};

use super::{Place, Tracer};
use crate::context::{Protocol, RequestContext};
use crate::error::ErrorKind;
use crate::functions::Served;

/// A request that is over.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    pub(crate) served: &'a Served,
    pub(crate) context: &'a RequestContext,
    /// Where the context does not say it: of a request for an HTTP function.
    pub(crate) method: Option<&'a Method>,
    /// When its call started.
    pub(crate) admitted: Option<Instant>,
    pub(crate) ended: Instant,
    pub(crate) outcome: Result<&'a CallReport, ErrorKind>,
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

impl Tracer {
    /// Makes and hands over the spans of a request.
    pub(crate) fn tell(&self, place: &Place, finished: &Finished<'_>) {
        let clock = Clock { now: Instant::now(), system: SystemTime::now() };
        let tree = Tree { tracer: self, place };
        let received = clock.system(finished.context.received);
        let ended = clock.system(finished.ended);
        let admitted = finished.admitted.map(|moment| clock.system(moment));
        tree.queue(Span { start: received, end: admitted.unwrap_or(ended) });
        if let Some(start) = admitted {
            tree.function(finished, Span { start, end: ended });
            for stage in finished.outcome.iter().flat_map(|report| &report.stages) {
                tree.stage(start, stage);
            }
        }
        tree.server(finished, Span { start: received, end: ended });
    }
}

/// The spans of one request, in the making.
pub(super) struct Tree<'a> {
    pub(super) tracer: &'a Tracer,
    pub(super) place: &'a Place,
}

impl Tree<'_> {
    fn server(&self, finished: &Finished<'_>, span: Span) {
        let Finished { served, context, outcome, .. } = finished;
        let status = outcome.as_ref().map_or_else(|kind| kind.http_status(), |_| StatusCode::OK);
        let (name, mut attributes) = protocol(finished, status);
        attributes.push(KeyValue::new("samara.function", served.name.clone()));
        attributes.push(KeyValue::new("samara.version", served.version.clone()));
        attributes.push(KeyValue::new("samara.request.id", context.id.to_string()));
        if let Err(kind) = outcome {
            attributes.push(KeyValue::new("error.type", kind.name()));
        }
        let mut made = self.span(self.place.server, self.place.parent, name, span, attributes);
        made.span_kind = SpanKind::Server;
        made.parent_span_is_remote = self.place.parent.is_some();
        // What the client did wrong is no failure of the server.
        if status.is_server_error() {
            made.status = failure(outcome);
        }
        self.send(made);
    }

    fn queue(&self, span: Span) {
        let id = self.tracer.ids.new_span_id();
        self.send(self.span(id, Some(self.place.server), "admission", span, Vec::new()));
    }

    fn function(&self, finished: &Finished<'_>, span: Span) {
        let mut attributes = vec![
            KeyValue::new("samara.function", finished.served.name.clone()),
            KeyValue::new("samara.version", finished.served.version.clone()),
        ];
        let digest = finished.served.digest.clone();
        attributes.extend(digest.map(|digest| KeyValue::new("samara.digest", digest)));
        if let Err(kind) = finished.outcome {
            attributes.push(KeyValue::new("error.type", kind.name()));
        }
        let name = format!("function {}", finished.served.name);
        let mut made = self.span(self.place.function, Some(self.place.server), name, span, attributes);
        made.status = failure(&finished.outcome);
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
fn protocol(finished: &Finished<'_>, status: StatusCode) -> (Cow<'static, str>, Vec<KeyValue>) {
    let served = finished.served;
    let status = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
    match finished.context.protocol {
        Protocol::Rest => {
            const ROUTE: &str = "/v2/models/{name}/infer";
            let attributes = vec![
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("http.route", ROUTE),
                status,
            ];
            (format!("POST {ROUTE}").into(), attributes)
        }
        Protocol::Grpc => {
            let code = finished.outcome.as_ref().map_or_else(|kind| kind.grpc_code(), |_| 0);
            let attributes = vec![
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", "inference.GRPCInferenceService"),
                KeyValue::new("rpc.method", "ModelInfer"),
                KeyValue::new("rpc.grpc.status_code", i64::from(code)),
            ];
            ("inference.GRPCInferenceService/ModelInfer".into(), attributes)
        }
        Protocol::Http => {
            let method = finished.method.map_or("HTTP", Method::as_str).to_owned();
            let name = format!("{method} {}", served.route);
            let attributes = vec![
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.route", served.route.clone()),
            ];
            (name.into(), attributes)
        }
    }
}

fn failure(outcome: &Result<&CallReport, ErrorKind>) -> Status {
    match outcome {
        Ok(_) => Status::Unset,
        Err(kind) => Status::error(kind.name()),
    }
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
