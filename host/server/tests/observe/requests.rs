//! Every request of a protocol is one span of the server, whatever comes of it.

use std::net::TcpStream;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use samara_server::{Config, FunctionConfig, Token};

use crate::collector::{Collector, attribute, roots};
use crate::common::grpc::{
    Client, EXHAUSTED, INFER, INVALID_ARGUMENT, InferRequest, NOT_FOUND, STREAM, framed, row,
};
use crate::common::{Builder, Item, Server};
use crate::traces::drain;

const GOOD: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}"#;
const INFER_ROUTE: &str = "/v2/models/{name}/infer";

fn traced(collector: &Collector, set: impl FnOnce(&mut Config)) -> Server {
    let url = collector.url();
    let server = Builder::new()
        .serve(Item::gated("f"))
        .config(|config| config.telemetry.otlp = Some(url))
        .config(set)
        .start();
    server.gate.open();
    server
}

/// What a server's span tells: name, status of HTTP or code of gRPC, kind of
/// error, function.
fn told(span: &Span) -> [String; 4] {
    let attribute = |key: &str| attribute(span, key).unwrap_or_default();
    let status = attribute("http.response.status_code") + &attribute("rpc.grpc.status_code");
    [span.name.clone(), status, attribute("error.type"), attribute("samara.function")]
}

/// The one span of the server whose request has this id.
fn of<'a>(spans: &'a [Span], id: &str) -> &'a Span {
    let mine = |span: &&&Span| attribute(span, "samara.request.id").as_deref() == Some(id);
    let found: Vec<&Span> = roots(spans).iter().filter(mine).copied().collect();
    assert_eq!(found.len(), 1, "{id}: {found:?}");
    found[0]
}

#[test]
fn over_rest() {
    let collector = Collector::start();
    let server = traced(&collector, |config| config.limits.body = 500);
    let large = format!("{GOOD}{}", " ".repeat(500));
    let cases: [(&str, &str, &str, &str, [&str; 4]); 11] = [
        ("good", "POST", "/v2/models/f/infer", GOOD, [INFER_ROUTE, "200", "", "f"]),
        ("name", "POST", "/v2/models/g/infer", GOOD, [INFER_ROUTE, "404", "not-found", ""]),
        ("json", "POST", "/v2/models/f/infer", "{", [INFER_ROUTE, "400", "invalid-input", "f"]),
        (
            "input",
            "POST",
            "/v2/models/f/infer",
            r#"{"inputs":[]}"#,
            [INFER_ROUTE, "400", "invalid-input", "f"],
        ),
        ("large", "POST", "/v2/models/f/infer", &large, [INFER_ROUTE, "413", "too-large", "f"]),
        ("method", "PUT", "/v2/models/f/infer", "", [INFER_ROUTE, "405", "method-not-allowed", ""]),
        ("look", "GET", "/v2/models/f", "", ["/v2/models/{name}", "200", "", ""]),
        (
            "version",
            "GET",
            "/v2/models/f/versions/9/ready",
            "",
            ["/v2/models/{name}/versions/{version}/ready", "404", "not-found", ""],
        ),
        (
            "load",
            "POST",
            "/v2/repository/models/g/load",
            "{}",
            ["/v2/repository/models/{name}/load", "404", "not-found", ""],
        ),
        ("path", "GET", "/v2/some/thing", "", ["", "404", "not-found", ""]),
        ("other", "GUESS", "/v2", "", ["/v2", "405", "method-not-allowed", ""]),
    ];
    for (id, method, path, body, _) in cases {
        server.client().send(method, path, &[("x-request-id", id)], body.as_bytes());
    }
    let late = [("x-request-id", "late"), ("x-request-timeout-ms", "soon")];
    assert_eq!(server.client().send("POST", "/v2/models/f/infer", &late, GOOD.as_bytes()).status, 400);
    // A request that names itself in its body.
    server.post("/v2/models/f/infer", &GOOD.replacen('{', r#"{"id":"own","#, 1));
    for probe in ["/v2/health/live", "/v2/health/ready", "/metrics", "/", "/api/live", "/nothing"] {
        server.get(probe);
    }
    drain(server);
    let spans = collector.spans();
    assert_eq!(roots(&spans).len(), cases.len() + 2);
    for (id, method, _, _, [route, rest @ ..]) in cases {
        let method = if method == "GUESS" { "_OTHER" } else { method };
        let name = format!("{method} {route}");
        let expected = [&[name.trim_end()][..], &rest].concat();
        assert_eq!(told(of(&spans, id)), *expected, "{id}");
    }
    let post = format!("POST {INFER_ROUTE}");
    assert_eq!(told(of(&spans, "late")), [&post, "400", "invalid-input", ""]);
    assert_eq!(told(of(&spans, "own")), [&post, "200", "", "f"]);
    // What the client did wrong is no failure of the server.
    assert!(roots(&spans).iter().all(|span| span.status.as_ref().is_none_or(|status| status.code == 0)));
}

#[test]
fn over_grpc() {
    let collector = Collector::start();
    let server = traced(&collector, |config| config.limits.body = 500);
    let client = Client::connect(&server);
    let ask = |id: &str, method: &str, headers: &[(&str, &str)], request: &InferRequest| {
        let headers = [headers, &[("x-request-id", id)]].concat();
        server.block_on(client.ask(&server, method, &headers, request)).unwrap().code
    };
    let named = |model: &str, id: &str| {
        let mut request = row(model, 1);
        request.id = id.to_owned();
        request
    };
    assert_eq!(ask("good", INFER, &[], &named("f", "")), 0);
    assert_eq!(ask("name", INFER, &[], &named("g", "")), NOT_FOUND);
    let mut wrong = named("f", "");
    wrong.inputs[0].shape = vec![2, 2];
    assert_eq!(ask("shape", INFER, &[], &wrong), INVALID_ARGUMENT);
    let mut large = named("f", "");
    large.raw = vec![vec![0; 600].into()];
    assert_eq!(ask("large", INFER, &[], &large), EXHAUSTED);
    assert_eq!(ask("late", INFER, &[("grpc-timeout", "soon")], &named("f", "")), INVALID_ARGUMENT);
    assert_eq!(ask("guess", "Guess", &[], &named("f", "")), 12);
    // Each request of a stream by itself, and what ends the stream.
    let (messages, answers) = client.converse(&server, STREAM);
    for (model, id) in [("f", "first"), ("g", "second")] {
        server.block_on(messages.send(framed(&named(model, id)))).unwrap();
    }
    server.block_on(messages.send(framed(&large))).unwrap();
    assert_eq!(server.block_on(answers).unwrap().code, EXHAUSTED);
    drain(server);
    let spans = collector.spans();
    let service = |method: &str| format!("inference.GRPCInferenceService/{method}");
    for (id, method, rest) in [
        ("good", INFER, ["0", "", "f"]),
        ("name", INFER, ["5", "not-found", ""]),
        ("shape", INFER, ["3", "invalid-input", "f"]),
        ("large", INFER, ["8", "too-large", ""]),
        ("late", INFER, ["3", "invalid-input", ""]),
        ("guess", "_OTHER", ["12", "unsupported", ""]),
        ("first", STREAM, ["0", "", "f"]),
        ("second", STREAM, ["5", "not-found", ""]),
    ] {
        let name = service(method);
        let expected = [&[name.as_str()][..], &rest].concat();
        assert_eq!(told(of(&spans, id)), *expected, "{id}");
    }
    let of_the_stream: Vec<_> =
        roots(&spans).into_iter().map(told).filter(|told| told[0] == service(STREAM)).collect();
    assert_eq!(of_the_stream.len(), 3);
    assert!(of_the_stream.contains(&[service(STREAM).as_str(), "8", "too-large", ""].map(str::to_owned)));
    assert_eq!(roots(&spans).len(), 9);
}

#[test]
fn of_those_who_may_not_ask_or_do_not_wait() {
    let collector = Collector::start();
    let server = traced(&collector, |config| config.tokens = vec![Token::new("secret")]);
    server.gate.close();
    let id = |id| ("x-request-id", id);
    let may = ("authorization", "Bearer secret");
    let stranger = server.client().send("POST", "/v2/models/f/infer", &[id("stranger")], GOOD.as_bytes());
    assert_eq!(stranger.status, 401);
    let client = Client::connect(&server);
    let refused = client.ask(&server, INFER, &[id("unknown")], &row("f", 1));
    assert_eq!(server.block_on(refused).unwrap().code, 16);
    let mut gone = server.client();
    let head = "POST /v2/models/f/infer HTTP/1.1\r\nx-request-id: gone\r\nauthorization: Bearer secret\r\n";
    gone.write(format!("{head}content-length: {}\r\n\r\n{GOOD}", GOOD.len()).as_bytes());
    server.gate.wait_for(1);
    drop(gone);
    let counted = |kind: &str| {
        let line = format!(r#"samara_request_errors_total{{function="f",version="1",kind="{kind}"}} 1"#);
        while !server.client().send("GET", "/metrics", &[may], b"").text().lines().any(|told| told == line) {}
    };
    counted("cancelled");
    let mut request = row("f", 1);
    request.id.clear();
    let cancelled = client.ask(&server, INFER, &[id("cancelled"), may, ("grpc-timeout", "20m")], &request);
    assert_eq!(server.block_on(cancelled).unwrap().code, 4);
    counted("timeout");
    drain(server);
    let spans = collector.spans();
    let kind = |id: &str| attribute(of(&spans, id), "error.type").unwrap();
    assert_eq!(kind("stranger"), "unauthorized");
    assert_eq!(kind("unknown"), "unauthorized");
    assert_eq!(kind("gone"), "cancelled");
    assert_eq!(kind("cancelled"), "timeout");
    let status = of(&spans, "cancelled").status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (StatusCode::Error as i32, "timeout"));
    assert_eq!(roots(&spans).len(), 4);
}

#[test]
fn a_guest_that_works_on_after_its_answer_is_waited_for() {
    let collector = Collector::start();
    let later = Item::guest("model-later", "http_routes").may_ask("nobody.example").with_gated_model("m");
    let url = collector.url();
    let mut server = Builder::new().serve(later).config(|config| config.telemetry.otlp = Some(url)).start();
    assert_eq!(server.get("/model-later").text(), "answered");
    server.gate.wait_for(1);
    let running = server.take_running();
    let drained = server.runtime().spawn(running.drain(false));
    while TcpStream::connect(server.address).is_ok() {}
    assert!(!drained.is_finished());
    server.gate.open();
    assert!(server.block_on(drained).unwrap().is_complete);
    let spans = collector.spans();
    assert_eq!(roots(&spans).len(), 1);
    assert_eq!(told(roots(&spans)[0]), ["GET /model-later", "200", "", "model-later"]);
    for name in ["function model-later", "guest model-later", "compute m"] {
        assert!(spans.iter().any(|span| span.name == name), "{name}");
    }
}

#[test]
fn a_guest_that_does_not_end_is_not_waited_for_forever() {
    let later = Item::guest("model-later", "http_routes").may_ask("nobody.example").with_gated_model("m");
    let mut server = Builder::new()
        .serve(later)
        .config(|config| config.drain.timeout = std::time::Duration::from_millis(20))
        .start();
    assert_eq!(server.get("/model-later").text(), "answered");
    server.gate.wait_for(1);
    let running = server.take_running();
    assert!(!server.block_on(running.drain(false)).is_complete);
}

#[test]
fn traces_go_where_the_settings_say_from_then_on() {
    let [before, after] = [Collector::start(), Collector::start()];
    let server = traced(&before, |_| {});
    server.gate.close();
    let functions = vec![FunctionConfig::new("f:")];
    let to = |collector: Option<&Collector>| {
        let mut config = Config { functions: functions.clone(), ..Config::default() };
        config.telemetry.otlp = collector.map(Collector::url);
        server.block_on(server.running().reload(config)).unwrap();
    };
    let ask = |id: &str| {
        let mut client = server.client();
        let head = format!("POST /v2/models/f/infer HTTP/1.1\r\nx-request-id: {id}\r\n");
        client.write(format!("{head}content-length: {}\r\n\r\n{GOOD}", GOOD.len()).as_bytes());
        client
    };
    let mut old = ask("old");
    server.gate.wait_for(1);
    to(Some(&after));
    server.gate.open();
    let mut new = ask("new");
    for client in [&mut old, &mut new] {
        assert_eq!(client.reply("POST").status, 200);
    }
    to(None);
    assert_eq!(ask("untold").reply("POST").status, 200);
    drain(server);
    let (before, after) = (before.spans(), after.spans());
    of(&before, "old");
    of(&after, "new");
    assert_eq!((roots(&before).len(), roots(&after).len()), (1, 1));
}
