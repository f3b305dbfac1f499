//! Traces, as a collector receives them.

use std::net::TcpListener;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use samara_test::onnx::{FP32, Model};

use crate::collector::{Collector, attribute};
use crate::common::{Builder, Item, Server};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn server(collector: &str, sample: f64) -> Server {
    let hello = Item::guest("hello", "http_hello");
    Builder::new()
        .serve(hello)
        .config(|config| {
            config.telemetry.otlp = Some(collector.to_owned());
            config.telemetry.sample = sample;
        })
        .start()
}

/// Ends the server, which sends the spans that are left.
pub(crate) fn drain(mut server: Server) {
    let running = server.take_running();
    assert!(server.block_on(running.drain(false)).is_complete);
}

fn ask(server: &Server, headers: &[(&str, &str)]) {
    let before = answered(server);
    let mut client = server.client();
    assert_eq!(client.send("GET", "/hello/there", headers, b"").text(), "hello from GET /hello/there");
    // The guest may end a moment after its answer.
    while answered(server) == before {
        std::thread::yield_now();
    }
}

/// Requests over HTTP that the function has finished.
fn answered(server: &Server) -> String {
    let counter = r#"samara_requests_total{function="hello",version="1",protocol="http",outcome="ok"}"#;
    let metrics = server.get("/metrics").text().to_owned();
    metrics.lines().find(|line| line.starts_with(counter)).unwrap_or_default().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no `{name}` in {names:?}"))
}

fn assert_within(inner: &Span, outer: &Span) {
    assert!(inner.start_time_unix_nano >= outer.start_time_unix_nano, "{} {}", inner.name, outer.name);
    assert!(inner.end_time_unix_nano <= outer.end_time_unix_nano, "{} {}", inner.name, outer.name);
}

#[test]
fn a_request_is_one_tree_below_its_clients_span() {
    let collector = Collector::start();
    let server = server(&collector.url(), 0.0);
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    ask(&server, &[("traceparent", &traceparent), ("x-request-id", "r-7")]);
    drain(server);
    let spans = collector.spans();
    let root = named(&spans, "GET /hello");
    assert_eq!((hex(&root.parent_span_id).as_str(), root.kind), (PARENT, SpanKind::Server as i32));
    assert_eq!(attribute(root, "samara.function").as_deref(), Some("hello"));
    assert_eq!(attribute(root, "samara.request.id").as_deref(), Some("r-7"));
    assert_eq!(attribute(root, "http.route").as_deref(), Some("/hello"));
    let function = named(&spans, "function hello");
    assert_eq!(function.parent_span_id, root.span_id);
    let admission = named(&spans, "admission");
    assert_eq!(admission.parent_span_id, root.span_id);
    assert!(admission.end_time_unix_nano <= function.start_time_unix_nano);
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_within(span, root);
    }
}

#[test]
fn a_request_without_a_client_span_begins_a_trace() {
    let collector = Collector::start();
    let server = server(&collector.url(), 1.0);
    ask(&server, &[]);
    ask(&server, &[]);
    drain(server);
    let requests = collector.requests();
    assert!(requests.iter().all(|(first, _)| first == "POST /v1/traces HTTP/1.1"));
    let resources = requests.into_iter().flat_map(|(_, request)| request.resource_spans);
    let spans: Vec<Span> =
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.name == "GET /hello").collect();
    assert_eq!(roots.len(), 2);
    assert_ne!(roots[0].trace_id, roots[1].trace_id);
    assert!(roots.iter().all(|root| root.parent_span_id.is_empty()));
}

#[test]
fn what_is_not_sampled_is_not_sent() {
    let collector = Collector::start();
    let server = server(&collector.url(), 0.0);
    ask(&server, &[]);
    ask(&server, &[("traceparent", &format!("00-{TRACE}-{PARENT}-00"))]);
    drain(server);
    assert!(collector.requests().is_empty());
}

#[test]
fn a_collector_that_is_gone_costs_no_request_and_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server = server(&format!("http://{address}"), 1.0);
    for _ in 0..20 {
        ask(&server, &[]);
    }
    drain(server);
}

#[test]
fn a_call_shows_its_guest_and_its_models() {
    let collector = Collector::start();
    let double = Model::new()
        .input("x", FP32, &["n"])
        .node("Add", &["x", "x"], &["y"])
        .output("y", FP32, &["n"])
        .bytes();
    let twice = Item::guest("twice", "function_model").with_model("m", double);
    let url = collector.url();
    let server = Builder::new().serve(twice).config(|config| config.telemetry.otlp = Some(url)).start();
    let body = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[1,2]}]}"#;
    let reply = server.post("/v2/models/twice/infer", body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let metrics = server.get("/metrics").text();
    let model = r#"{function="twice",version="1",model="m",backend="tract"}"#;
    for family in ["model_queue_seconds", "model_compute_seconds", "model_batch_rows"] {
        let line = format!("samara_{family}_count{model} 1");
        assert!(metrics.lines().any(|told| told == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains(r#"samara_guest_seconds_count{function="twice",version="1"} 1"#), "{metrics}");
    drain(server);
    let spans = collector.spans();
    let root = named(&spans, "POST /v2/models/{name}/infer");
    assert_eq!(attribute(root, "http.response.status_code").as_deref(), Some("200"));
    let function = named(&spans, "function twice");
    let guest = named(&spans, "guest twice");
    assert_eq!((&function.parent_span_id, &guest.parent_span_id), (&root.span_id, &function.span_id));
    assert_eq!(guest.events[0].name, "instance ready");
    let (queue, compute) = (named(&spans, "queue m"), named(&spans, "compute m"));
    assert_eq!((&queue.parent_span_id, &compute.parent_span_id), (&guest.span_id, &guest.span_id));
    assert_eq!(attribute(compute, "samara.backend").as_deref(), Some("tract"));
    assert_eq!(queue.end_time_unix_nano, compute.start_time_unix_nano);
    for (inner, outer) in [(guest, function), (queue, guest), (compute, guest), (function, root)] {
        assert_within(inner, outer);
    }
}
