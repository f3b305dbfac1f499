//! What a host learns of calls: what guests say, with whose request, and what
//! each part of a call took.

use std::sync::{Arc, Mutex};

use samara_engine::{CallOptions, FunctionSource, GuestLine, GuestOutput, Reuse};

use crate::http::{ask, get, read, routes};
use crate::support::*;

pub(crate) type Heard = Arc<Mutex<Vec<String>>>;

/// Collects every line with all that is known of it.
pub(crate) fn listening(source: FunctionSource) -> (FunctionSource, Heard) {
    let heard = Heard::default();
    let hearing = Arc::clone(&heard);
    let listener = move |line: &GuestLine<'_>| {
        let request = line.request_id.unwrap_or("-");
        let said = format!("{}/{} {request} {:?}: {}", line.function, line.stage, line.source, line.text);
        hearing.lock().unwrap().push(said);
    };
    (FunctionSource { output: GuestOutput::Listener(Arc::new(listener)), ..source }, heard)
}

fn named(request_id: &str) -> CallOptions {
    CallOptions { request_id: Some(request_id.into()), ..CallOptions::default() }
}

#[test]
fn what_a_function_prints_comes_by_line_with_its_request() {
    let host = host();
    let (mut source, heard) = listening(guest("function_stdout"));
    source.reuse = Reuse::Calls(2);
    let function = load(&host, source).unwrap();
    for (request, words) in [("r1", "hello"), ("r2", "two\nlines")] {
        let inputs = vec![("text".to_owned(), text(words))];
        block_on(function.infer(inputs, named(request))).unwrap();
    }
    let of = |stream, request, words| format!("function_stdout/function_stdout {request} {stream}: {words}");
    let mut heard = heard.lock().unwrap().clone();
    heard.sort();
    assert_eq!(
        heard,
        [
            of("Stderr", "r1", "err: hello"),
            of("Stdout", "r1", "out: hello"),
            of("Stderr", "r2", "err: two"),
            of("Stderr", "r2", "lines"),
            of("Stdout", "r2", "lines"),
            of("Stdout", "r2", "out: two"),
        ]
    );
}

#[test]
fn a_stage_of_a_pipeline_is_named_with_what_it_says() {
    let host = host();
    let (mut source, heard) = listening(source("pipe"));
    source.stages.push(guest_stage("function_stdout"));
    source.stages.push(guest_stage("function_text"));
    let Ok(function) = load(&host, source) else {
        panic!("function_stdout and function_text no longer fit each other");
    };
    let input = function.signature().unwrap().inputs[0].name.clone();
    call(&function, vec![(&input, text("hello"))]).unwrap();
    assert!(heard.lock().unwrap().iter().any(|line| line == "pipe/function_stdout - Stdout: out: hello"));
}

#[test]
fn messages_of_wasi_logging_carry_their_level_and_context() {
    let host = host();
    let (source, heard) = listening(routes("http_routes"));
    let function = load(&host, source).unwrap();
    block_on(async {
        let response = ask(&function, get("/log"), named("r7")).await.unwrap();
        assert_eq!(read(response).await.unwrap(), "said");
    });
    let heard = heard.lock().unwrap();
    let said = |source: &str, text: &str| {
        let line = format!("http_routes/http_routes r7 {source}: {text}");
        assert!(heard.contains(&line), "{line}: {heard:?}");
    };
    said("Stdout", "printed");
    said("Stderr", "complained, without an end");
    said("Log { level: Trace, context: \"\" }", "faint");
    said("Log { level: Critical, context: \"part\" }", "loud");
}

#[test]
fn the_parts_of_a_call_add_up() {
    let host = host();
    let mut source = with_model(guest("function_model"), "m", double());
    source.reuse = Reuse::Calls(2);
    let function = load(&host, source).unwrap();
    assert_eq!(function.instances_created(), 0, "the load's own do not count");
    let mut reused = Vec::new();
    for _ in 0..3 {
        let inputs = vec![("x".to_owned(), floats(&[1.0]))];
        let report = block_on(function.infer(inputs, CallOptions::default())).unwrap().report;
        let [stage] = report.stages.as_slice() else { panic!("{report:?}") };
        let [run] = stage.models.as_slice() else { panic!("{report:?}") };
        assert!(stage.began + stage.total <= report.total);
        assert!(stage.began + stage.instantiation <= run.began, "{report:?}");
        assert!(run.began + run.queued + run.computed <= report.total, "{report:?}");
        let parts = stage.instantiation + stage.guest() + run.queued + run.computed;
        assert_eq!(parts, stage.total);
        assert!(!stage.guest().is_zero());
        reused.push(stage.reused);
    }
    assert_eq!(reused, [false, true, false]);
    assert_eq!(function.instances_created(), 2);
    assert_eq!(host.instances_in_use(), 1, "the third is kept");
    drop(function);
    assert_eq!(host.instances_in_use(), 0);
}
