//! gRPC under load: what is refused at once, and what becomes of the calls of
//! clients that do not wait for them.

use samara_server::FunctionConfig;

use crate::common::grpc::{Client, DEADLINE_EXCEEDED, EXHAUSTED, INFER, STREAM, expect_row, framed, row};
use crate::common::{Builder, Item, Server};
use crate::wait_until;

/// A function of which so many requests run and so many wait. Its model runs
/// one call at a time.
fn narrow(running: usize, queue: usize) -> Server {
    let set = |function: &mut FunctionConfig| {
        (function.concurrency, function.queue) = (Some(running), Some(queue));
    };
    Builder::new().compute_threads(1).serve_as("slow", Item::gated("slow"), set).start()
}

/// Waits until so many calls were told as ended in this way.
fn wait_for_errors(server: &Server, kind: &str, count: usize) {
    let line = format!(r#"samara_request_errors_total{{function="slow",version="1",kind="{kind}"}} {count}"#);
    while !server.get("/metrics").text().lines().any(|told| told == line) {}
}

#[test]
fn what_cannot_wait_is_refused_at_once() {
    let server = narrow(1, 1);
    let client = Client::connect(&server);
    let running = client.ask(&server, INFER, &[], &row("slow", 1));
    server.gate.wait_for(1);
    let queued = client.ask(&server, INFER, &[], &row("slow", 2));
    wait_until(&server, "slow", 1, 1);
    // While those before it go on waiting.
    let refused = client.call(&server, INFER, &row("slow", 3));
    assert_eq!(refused.code, EXHAUSTED, "{}", refused.words);
    assert_eq!(refused.words, "`slow` is full: 1 requests run and 1 wait; try again later");
    assert_eq!(refused.headers["grpc-retry-pushback-ms"], "1000");
    assert!(!running.is_finished() && !queued.is_finished());
    server.gate.open();
    for (number, asked) in [(1, running), (2, queued)] {
        expect_row(&server.block_on(asked).unwrap(), number);
    }
    wait_for_errors(&server, "overloaded", 1);
}

#[test]
fn a_stream_tells_what_is_refused_in_its_turn() {
    let server = narrow(1, 0);
    let client = Client::connect(&server);
    let (messages, answers) = client.converse(&server, STREAM);
    let send = |number| server.block_on(messages.send(framed(&row("slow", number)))).unwrap();
    send(1);
    server.gate.wait_for(1);
    send(2);
    wait_for_errors(&server, "overloaded", 1);
    server.gate.open();
    drop(messages);
    let told = server.block_on(answers).unwrap();
    let answers: Vec<_> = told.messages.iter().map(crate::streamed).collect();
    assert_eq!((answers.len(), answers[0].error.as_str()), (2, ""));
    assert_eq!(answers[1].error, "`slow` is full: 1 requests run and 0 wait; try again later");
}

#[test]
fn a_call_that_is_cancelled_leaves_its_place_and_is_not_computed() {
    let server = narrow(3, 3);
    let client = Client::connect(&server);
    let running = client.ask(&server, INFER, &[], &row("slow", 1));
    server.gate.wait_for(1);
    // They have their turn, and wait for the model.
    let given_up = [2, 3].map(|number| client.ask(&server, INFER, &[], &row("slow", number)));
    wait_until(&server, "slow", 3, 0);
    // And one has not.
    let in_line = client.ask(&server, INFER, &[], &row("slow", 4));
    wait_until(&server, "slow", 3, 1);
    in_line.abort();
    wait_until(&server, "slow", 3, 0);
    given_up.iter().for_each(|call| call.abort());
    wait_until(&server, "slow", 1, 0);
    wait_for_errors(&server, "cancelled", 3);
    let behind = client.ask(&server, INFER, &[], &row("slow", 5));
    wait_until(&server, "slow", 2, 0);
    server.gate.open();
    for (number, asked) in [(1, running), (5, behind)] {
        expect_row(&server.block_on(asked).unwrap(), number);
    }
    // One run for each that was waited for.
    assert_eq!(server.gate.rows(), [1, 1]);
}

#[test]
fn a_call_that_runs_is_stopped_when_it_is_cancelled() {
    let server = narrow(1, 1);
    let client = Client::connect(&server);
    let running = client.ask(&server, INFER, &[], &row("slow", 1));
    server.gate.wait_for(1);
    running.abort();
    wait_until(&server, "slow", 0, 0);
    // The thread that the model runs on is free too, although the gate is closed.
    let next = client.ask(&server, INFER, &[], &row("slow", 2));
    server.gate.wait_for(1);
    wait_for_errors(&server, "cancelled", 1);
    server.gate.open();
    expect_row(&server.block_on(next).unwrap(), 2);
}

#[test]
fn all_calls_of_a_client_that_goes_away_end() {
    let server = narrow(2, 4);
    let other = Client::connect(&server);
    {
        let client = Client::connect(&server);
        let (messages, answers) = client.converse(&server, STREAM);
        for number in 0..3 {
            server.block_on(messages.send(framed(&row("slow", number)))).unwrap();
        }
        let unary = client.ask(&server, INFER, &[], &row("slow", 3));
        wait_until(&server, "slow", 2, 2);
        // With them goes the connection.
        answers.abort();
        unary.abort();
    }
    wait_until(&server, "slow", 0, 0);
    wait_for_errors(&server, "cancelled", 4);
    server.gate.open();
    expect_row(&other.call(&server, INFER, &row("slow", 9)), 9);
}

#[test]
fn a_deadline_ends_a_call_that_waits_and_one_that_runs() {
    let server = narrow(1, 1);
    let client = Client::connect(&server);
    let late = |number| {
        let told = client.ask(&server, INFER, &[("grpc-timeout", "20m")], &row("slow", number));
        let told = server.block_on(told).unwrap();
        assert_eq!(told.code, DEADLINE_EXCEEDED, "{}", told.words);
    };
    late(1);
    wait_until(&server, "slow", 0, 0);
    let running = client.ask(&server, INFER, &[], &row("slow", 2));
    server.gate.wait_for(1);
    late(3);
    server.gate.open();
    expect_row(&server.block_on(running).unwrap(), 2);
    wait_for_errors(&server, "timeout", 2);
}
