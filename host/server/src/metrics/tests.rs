//! What is counted, and how it is told.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use samara_engine::{CallReport, ModelRun, StageReport};

use super::families::{self, Family};
use super::function::Statistics;
use super::render::Page;
use super::*;

const MS: Duration = Duration::from_millis(1);

fn ended(total: Duration, admission: Option<Duration>) -> Ended {
    Ended { protocol: Protocol::Rest, total, admission, at_ms: 7, rows: 1 }
}

fn report() -> CallReport {
    let run = ModelRun {
        model: "digits".to_owned(),
        backend: "tract",
        began: MS,
        queued: MS,
        computed: 2 * MS,
        batch_rows: 3,
        batch_calls: 2,
    };
    let stage = StageReport {
        name: "main".to_owned(),
        began: Duration::ZERO,
        total: 10 * MS,
        instantiation: MS,
        reused: false,
        guest_memory: 1,
        models: vec![run],
    };
    CallReport { total: 10 * MS, stages: vec![stage] }
}

/// A function that has answered once, failed once and refused once.
fn used(metrics: &Metrics) -> Arc<FunctionMeters> {
    let meters = metrics.function("digits", "1");
    meters.answered(ended(12 * MS, Some(2 * MS)), &report());
    meters.failed(ended(20 * MS, Some(MS)), ErrorKind::FunctionFailed);
    meters.failed(ended(MS, None), ErrorKind::Overloaded);
    meters
}

fn text(metrics: &Metrics, meters: &FunctionMeters) -> String {
    let mut page = Page::default();
    page.function(["digits", "1"], meters);
    page.metrics(metrics);
    page.text().unwrap()
}

#[test]
fn a_request_is_found_again_in_every_series() {
    let metrics = Metrics::default();
    let meters = used(&metrics);
    metrics.told(Protocol::Rest, ErrorKind::Draining);
    let text = text(&metrics, &meters);
    let function = r#"function="digits",version="1""#;
    let model = r#"function="digits",version="1",model="digits",backend="tract""#;
    for line in [
        format!(r#"samara_requests_total{{{function},protocol="rest",outcome="ok"}} 1"#),
        format!(r#"samara_requests_total{{{function},protocol="rest",outcome="error"}} 2"#),
        format!(r#"samara_request_errors_total{{{function},kind="overloaded"}} 1"#),
        r#"samara_errors_total{protocol="rest",kind="draining"} 1"#.to_owned(),
        format!("samara_request_seconds_count{{{function}}} 2"),
        format!(r#"samara_request_seconds_bucket{{{function},le="0.01024"}} 0"#),
        format!(r#"samara_request_seconds_bucket{{{function},le="0.02048"}} 2"#),
        format!("samara_admission_seconds_sum{{{function}}} 0.003"),
        format!("samara_instance_seconds_sum{{{function}}} 0.001"),
        format!("samara_guest_seconds_sum{{{function}}} 0.006"),
        format!("samara_model_queue_seconds_sum{{{model}}} 0.001"),
        format!("samara_model_compute_seconds_sum{{{model}}} 0.002"),
        format!(r#"samara_model_batch_rows_bucket{{{model},le="2"}} 0"#),
        format!(r#"samara_model_batch_rows_bucket{{{model},le="4"}} 1"#),
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn the_statistics_of_the_protocol_are_there() {
    let metrics = Metrics::default();
    let expected = Statistics {
        answered: 1,
        answered_ns: 12_000_000,
        answered_rows: 1,
        failed: 2,
        failed_ns: 21_000_000,
        queued: 2,
        queued_ns: 3_000_000,
        runs: 1,
        runs_queued_ns: 1_000_000,
        runs_computed_ns: 2_000_000,
        last_ms: 7,
    };
    assert_eq!(used(&metrics).statistics(), expected);
}

#[test]
fn promtool_has_nothing_to_say() {
    let Some(promtool) = samara_test::program("promtool") else { return };
    let metrics = Metrics::default();
    let meters = used(&metrics);
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text(&metrics, &meters).as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}

#[test]
fn a_version_that_is_swapped_goes_on_counting_and_one_that_went_is_forgotten() {
    let metrics = Metrics::default();
    let old = metrics.function("f", "1");
    assert!(Arc::ptr_eq(&old, &metrics.function("f", "1")));
    drop(old);
    for cycle in 0..10_000 {
        drop(metrics.function("f", &cycle.to_string()));
    }
    assert!(metrics.functions.lock().unwrap().len() <= 1);
}

#[test]
fn models_that_a_guest_makes_up_are_bounded() {
    let meters = FunctionMeters::default();
    for number in 0..1000 {
        let mut report = report();
        report.stages[0].models[0].model = number.to_string();
        meters.answered(ended(MS, Some(MS)), &report);
    }
    assert_eq!(meters.statistics().runs, 64);
    meters.keep_models(|name| name == "3");
    assert_eq!(meters.statistics().runs, 1);
}

#[test]
fn connections_come_and_go() {
    let connections = Connections::default();
    let one = connections.accepted();
    let _other = connections.accepted();
    drop(one);
    connections.rejected();
    assert_eq!((connections.open(), connections.accepted.get(), connections.rejected.get()), (1, 2, 1));
}

#[test]
fn every_kind_of_error_has_a_counter() {
    assert!(ErrorKind::all().count() < ERROR_KINDS);
}

#[test]
fn the_page_for_people_names_every_metric() {
    let page = include_str!("../../../docs/observability.md");
    let table = page.lines().skip_while(|line| !line.starts_with("| name | type ")).skip(2);
    let told: Vec<&str> = table.take_while(|line| !line.is_empty()).collect();
    let row = |family: &&Family| {
        let kind = format!("{:?}", family.kind).to_lowercase();
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        format!("| `{}` | {kind} | {labels} | {} |", family.name, family.help)
    };
    let expected: Vec<String> = families::ALL.iter().map(row).collect();
    assert_eq!(told, expected, "the table is to be:\n{}", expected.join("\n"));
}
