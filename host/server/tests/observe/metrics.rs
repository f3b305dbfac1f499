//! `/metrics` and `/api/live` of a server that works.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{Builder, Item, Server};

fn metrics(server: &Server) -> String {
    let reply = server.get("/metrics");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    reply.text()
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn requests_errors_and_connections_are_counted() {
    let server = Builder::new().serve(Item::guest("hello", "http_hello")).start();
    for _ in 0..3 {
        assert_eq!(server.get("/hello/x").status, 200);
    }
    assert_eq!(server.get("/nowhere").status, 404);
    let text = metrics(&server);
    let function = r#"function="hello",version="1""#;
    assert_eq!(
        value(&text, &format!(r#"samara_requests_total{{{function},protocol="http",outcome="ok"}}"#)),
        3.0
    );
    assert_eq!(value(&text, r#"samara_errors_total{protocol="rest",kind="not-found"}"#), 1.0);
    assert_eq!(value(&text, &format!("samara_request_seconds_count{{{function}}}")), 3.0);
    assert_eq!(value(&text, &format!("samara_instantiations_total{{{function}}}")), 3.0);
    assert_eq!(value(&text, &format!("samara_requests_in_flight{{{function}}}")), 0.0);
    assert!(value(&text, "samara_connections_total") >= 5.0);
    assert_eq!(value(&text, "samara_ready"), 1.0);
    assert!(value(&text, "process_resident_memory_bytes") > 1e6);
    let live = server.get("/api/live").json();
    assert_eq!(live["functions"]["hello"]["history"].as_array().unwrap().len(), 60);
    assert_eq!(live["functions"]["hello"]["in_flight"], 0);
}

#[test]
fn a_models_memory_and_backend_are_there_while_it_is_loaded() {
    let server = Builder::new().serve(Item::gated("slow")).start();
    let text = metrics(&server);
    for family in ["samara_model_users", "samara_model_sessions", "samara_model_calls_total"] {
        let prefix = format!(r#"{family}{{model="slow",backend="gate",target="cpu",identity="sha256:"#);
        assert!(text.contains(&prefix), "{prefix}\n{text}");
    }
    let cold = r#"samara_cold_starts_total{function="slow",version="1",compile="none",models="loaded"}"#;
    assert_eq!(value(&text, cold), 1.0);
}

#[test]
fn promtool_finds_nothing_wrong_with_the_whole_page() {
    let Some(promtool) = samara_test::program("promtool") else { return };
    let server = Builder::new().serve(Item::guest("hello", "http_hello")).serve(Item::gated("slow")).start();
    assert_eq!(server.get("/hello/x").status, 200);
    let text = metrics(&server);
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}
