//! Which requests are traced, and the tree of spans that is made of one.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use samara_engine::{ModelRun, StageReport};

use super::spans::Tree;
use super::*;

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<opentelemetry_sdk::trace::SpanData>>>);

impl SpanProcessor for Kept {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: opentelemetry_sdk::trace::SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

#[test]
fn a_client_decides_and_else_chance_does() {
    let never = Tracer::with(Kept::default(), 0.0);
    let always = Tracer::with(Kept::default(), 1.0);
    let place = never.sample(Some(SAMPLED)).unwrap();
    assert_eq!(place.parent.map(|parent| parent.to_string()).as_deref(), Some("00f067aa0ba902b7"));
    let own = Traceparent::parse(&place.traceparent()).unwrap();
    assert_eq!((own.trace.into(), own.span.into()), (place.trace, place.function));
    assert_eq!(place.trace.to_string(), SAMPLED[3..35]);
    assert!(always.sample(Some(&SAMPLED.replace("-01", "-00"))).is_none());
    assert!(never.sample(None).is_none() && never.sample(Some("junk")).is_none());
    assert!(always.sample(None).unwrap().parent.is_none());
}

#[test]
fn a_share_is_a_share() {
    let tracer = Tracer::with(Kept::default(), 0.25);
    let chosen = (0..4000_u128).filter(|&number| {
        // The lower half of a trace's id is random; spread evenly here.
        tracer.is_chosen(((number << 52) | (1 << 100)).into())
    });
    assert_eq!(chosen.count(), 1024);
}

#[test]
fn a_stage_holds_the_waits_and_runs_of_its_models() {
    const MS: Duration = Duration::from_millis(1);
    let kept = Kept::default();
    let tracer = Tracer::with(kept.clone(), 1.0);
    let place = tracer.sample(None).unwrap();
    let call = SystemTime::now();
    let run = ModelRun {
        model: "m".to_owned(),
        backend: "tract",
        began: 3 * MS,
        queued: MS,
        computed: 2 * MS,
        batch_rows: 8,
        batch_calls: 4,
    };
    let stage = StageReport {
        name: "main".to_owned(),
        began: MS,
        total: 9 * MS,
        instantiation: MS,
        reused: true,
        guest_memory: 1,
        models: vec![run],
    };
    Tree { tracer: &tracer, place: &place }.stage(call, &stage);
    let spans = kept.0.lock().unwrap();
    let told: Vec<_> =
        spans.iter().map(|span| (span.name.as_ref(), span.start_time, span.end_time)).collect();
    let at = |milliseconds: u32| call + milliseconds * MS;
    let expected = [("guest main", at(1), at(10)), ("queue m", at(3), at(4)), ("compute m", at(4), at(6))];
    assert_eq!(told, expected);
    assert_eq!(spans[0].parent_span_id, place.function);
    assert_eq!(spans[0].events.events[0].timestamp, at(2));
    for run in &spans[1..] {
        assert_eq!(run.parent_span_id, spans[0].span_context.span_id());
        assert_eq!(run.span_context.trace_id(), place.trace);
    }
    let rows = spans[2].attributes.iter().find(|attribute| attribute.key.as_str() == "samara.batch.rows");
    assert_eq!(rows.unwrap().value, 8.into());
}
