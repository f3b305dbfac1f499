//! Traces: one tree of spans for each request that is sampled. The spans are
//! made when the request is over, from the times that its call reports; until
//! then it carries only its ids.

mod export;
mod request;
mod spans;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanProcessor};
use samara_protocol::Traceparent;

pub(crate) use request::{Asked, ServerSpan, Traced};
pub(crate) use spans::CallEnd;

use crate::config::Telemetry;
use crate::context::RequestContext;
use crate::error::Result;

/// For the spans that are left when the server ends.
const FLUSH: Duration = Duration::from_secs(5);

/// Where the traces of a server go, if anywhere.
#[derive(Debug)]
pub(crate) struct Tracing {
    current: ArcSwapOption<Tracer>,
    /// Those that requests which began before still tell their spans to.
    former: Mutex<Vec<Arc<Tracer>>>,
}

/// Samples requests and sends their spans.
#[derive(Debug)]
pub(crate) struct Tracer {
    processor: Box<dyn SpanProcessor>,
    scope: InstrumentationScope,
    ids: RandomIdGenerator,
    /// The share of requests that are traced where the client does not say.
    share: f64,
}

/// The ids of a request that is traced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    trace: TraceId,
    /// The client's span.
    parent: Option<SpanId>,
    /// The server's span for the request.
    server: SpanId,
    /// The span of the function's call, below it.
    function: SpanId,
}

impl Tracing {
    /// # Errors
    /// As [`Tracer::new`].
    pub(crate) fn new(settings: &Telemetry) -> Result<Self> {
        Ok(Self { current: ArcSwapOption::new(Tracer::new(settings)?), former: Mutex::default() })
    }

    /// Begins the server's span of a request, where it is traced.
    pub(crate) fn begin(
        &self,
        context: &mut RequestContext,
        asked: impl FnOnce() -> Asked,
    ) -> Option<ServerSpan> {
        context.trace = None;
        let tracer = self.current.load();
        let tracer = tracer.as_ref()?;
        let place = tracer.sample(context.traceparent.as_deref())?;
        let traced = Traced::new(Arc::clone(tracer), place);
        context.trace = Some(traced.clone());
        Some(ServerSpan::new(traced, asked(), context.received, context.id.clone()))
    }

    /// Requests that begin from now on are told to this tracer.
    pub(crate) fn redirect(&self, tracer: Option<Arc<Tracer>>) {
        let Some(before) = self.current.swap(tracer) else { return };
        self.former.lock().unwrap_or_else(PoisonError::into_inner).push(before);
    }

    /// Sends what is left, in bounded time. Blocks.
    pub(crate) fn finish(&self) {
        let former = std::mem::take(&mut *self.former.lock().unwrap_or_else(PoisonError::into_inner));
        let all = former.into_iter().chain(self.current.load_full());
        all.for_each(|tracer| tracer.finish());
    }
}

impl Tracer {
    /// A tracer that sends to the collector of the settings; `None` where they
    /// name none.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) for an address that is
    /// none.
    pub(crate) fn new(settings: &Telemetry) -> Result<Option<Arc<Self>>> {
        let Some(collector) = &settings.otlp else { return Ok(None) };
        let processor = export::processor(collector, settings)?;
        Ok(Some(Arc::new(Self::with(processor, settings.sample))))
    }

    fn with(processor: impl SpanProcessor + 'static, share: f64) -> Self {
        Self {
            processor: Box::new(processor),
            scope: InstrumentationScope::builder("samara").with_version(env!("CARGO_PKG_VERSION")).build(),
            ids: RandomIdGenerator::default(),
            share,
        }
    }

    /// Whether a request is traced: as its client does it, else by chance.
    pub(crate) fn sample(&self, traceparent: Option<&str>) -> Option<Place> {
        let parent = traceparent.and_then(Traceparent::parse);
        let (trace, is_sampled) = match parent {
            Some(parent) => (parent.trace.into(), parent.is_sampled),
            None => {
                let trace = self.ids.new_trace_id();
                (trace, self.is_chosen(trace))
            }
        };
        is_sampled.then(|| Place {
            trace,
            parent: parent.map(|parent| parent.span.into()),
            server: self.ids.new_span_id(),
            function: self.ids.new_span_id(),
        })
    }

    fn finish(&self) {
        // What the collector did not take was told when it did not.
        let _ = self.processor.shutdown_with_timeout(FLUSH);
    }

    /// The same trace is chosen by everybody who asks for the same share.
    fn is_chosen(&self, trace: TraceId) -> bool {
        let chance = u64::from_be_bytes(trace.to_bytes()[8..].try_into().unwrap_or_default()) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let chance = chance as f64 / (1_u64 << 53) as f64;
        chance < self.share
    }
}

impl Place {
    /// What the guest's own requests carry.
    pub(crate) fn traceparent(&self) -> Arc<str> {
        let trace = u128::from_be_bytes(self.trace.to_bytes());
        let span = u64::from_be_bytes(self.function.to_bytes());
        Traceparent { trace, span, is_sampled: true }.to_string().into()
    }
}

#[cfg(test)]
mod tests;
