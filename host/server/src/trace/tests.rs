//! Which requests are traced, and the tree of spans that is made of one.

use std::sync::{Arc, Mutex};

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
    assert_eq!((own.trace.to_string().as_str(), own.span), (&SAMPLED[3..35], place.function));
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
