//! What the bodies of all requests may take together, in every form in which
//! they come.

use samara_server::ServeLimits;

use crate::common::grpc::{
    Client, Contents, EXHAUSTED, INFER, INVALID_ARGUMENT, InferRequest, STREAM, Told, expect_row, framed,
    row, typed_row,
};
use crate::common::{Builder, Item, Server};
use crate::{ask, expect_row as expect_rest_row, live, wait_until};

fn server(set: impl FnOnce(&mut ServeLimits)) -> Server {
    Builder::new().serve(Item::gated("slow")).config(|config| set(&mut config.limits)).start()
}

/// Room for so many bytes, of one request or of several.
fn room_for(bytes: usize) -> Server {
    server(|limits| (limits.body, limits.bodies) = (bytes as u64, bytes as u64))
}

fn size(request: &InferRequest) -> usize {
    framed(request).len()
}

#[track_caller]
fn expect_crowded(told: &Told, limit: usize) {
    assert_eq!(told.code, EXHAUSTED, "{}", told.words);
    let words =
        format!("the bodies of all requests together are larger than {limit} bytes now; try again later");
    assert_eq!(told.words, words);
    assert_eq!(told.headers["grpc-retry-pushback-ms"], "1000");
}

/// Asks until nobody else holds too much.
fn patiently(server: &Server, client: &Client, request: &InferRequest) -> Told {
    loop {
        let told = client.call(server, INFER, request);
        if told.code != EXHAUSTED {
            return told;
        }
    }
}

#[test]
fn json_over_rest() {
    let server = room_for(100);
    let mut running = ask(&server, "slow", 1, "");
    server.gate.wait_for(1);
    let refused = server.post("/v2/models/slow/infer", &crate::row(2));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    let words = "the bodies of all requests together are larger than 100 bytes now; try again later";
    assert_eq!(refused.error(), words);
    server.gate.open();
    expect_rest_row(&mut running, 1);
    expect_rest_row(&mut ask(&server, "slow", 3, ""), 3);
}

/// Two bytes of text are eight of a tensor.
#[test]
fn tensors_that_json_becomes() {
    let body = |count: usize| {
        let zeros = vec!["0"; count].join(",");
        format!(r#"{{"inputs":[{{"name":"x","datatype":"FP64","shape":[{count}],"data":[{zeros}]}}]}}"#)
    };
    let server = room_for(4000);
    let infer = |count: usize| server.post("/v2/models/slow/infer", &body(count));
    assert!(body(501).len() < 4000);
    let large = infer(501);
    assert_eq!(large.status, 413, "{}", large.text());
    assert!(large.error().contains("tensors of the request"), "{}", large.error());
    let mut running = ask(&server, "slow", 1, "");
    server.gate.wait_for(1);
    assert_eq!(infer(500).status, 503);
    assert_eq!(infer(50).status, 400);
    server.gate.open();
    expect_rest_row(&mut running, 1);
    assert_eq!(infer(500).status, 400);
}

#[test]
fn messages_of_grpc_raw_and_typed() {
    for make in [row, typed_row] {
        let bytes = size(&make("slow", 1)) * 3 / 2;
        let server = room_for(bytes);
        let client = Client::connect(&server);
        let running = client.ask(&server, INFER, &[], &row("slow", 1));
        server.gate.wait_for(1);
        expect_crowded(&client.call(&server, INFER, &make("slow", 2)), bytes);
        server.gate.open();
        expect_row(&server.block_on(running).unwrap(), 1);
        assert_ne!(patiently(&server, &client, &make("slow", 3)).code, EXHAUSTED);
    }
}

/// A byte of a message is eight of a list.
#[test]
fn lists_that_messages_of_grpc_become() {
    let mut list = typed_row("slow", 1);
    list.inputs[0].contents = Some(Contents { int64s: vec![1; 100], ..Contents::default() });
    let bytes = 800 + size(&row("slow", 1)) - 1;
    assert!(size(&list) < 200);
    let server = room_for(bytes);
    let client = Client::connect(&server);
    let running = client.ask(&server, INFER, &[], &row("slow", 1));
    server.gate.wait_for(1);
    expect_crowded(&client.call(&server, INFER, &list), bytes);
    server.gate.open();
    expect_row(&server.block_on(running).unwrap(), 1);
    // Its datatype is another one.
    assert_eq!(patiently(&server, &client, &list).code, INVALID_ARGUMENT);
}

#[test]
fn requests_of_a_stream_each_until_it_is_answered() {
    let each = size(&row("slow", 1));
    let server = room_for(2 * each);
    let client = Client::connect(&server);
    let (messages, answers) = client.converse(&server, STREAM);
    for number in 1..=2 {
        server.block_on(messages.send(framed(&row("slow", number)))).unwrap();
        // The first is computed alone.
        server.gate.wait_for(1);
        wait_until(&server, "slow", number.into(), 0);
    }
    expect_crowded(&client.call(&server, INFER, &row("slow", 3)), 2 * each);
    server.gate.let_pass(1);
    wait_until(&server, "slow", 1, 0);
    // One is answered, and soon there is room for another beside the one that runs.
    let another = loop {
        let asked = client.ask(&server, INFER, &[], &row("slow", 3));
        while !asked.is_finished() && live(&server, "slow") != (2, 0) {}
        if !asked.is_finished() {
            break asked;
        }
        expect_crowded(&server.block_on(asked).unwrap(), 2 * each);
    };
    server.gate.open();
    expect_row(&server.block_on(another).unwrap(), 3);
    drop(messages);
    let told = server.block_on(answers).unwrap();
    assert_eq!((told.code, told.messages.len()), (0, 2));
}

#[test]
fn a_stream_ends_where_there_is_no_room_for_its_next_request() {
    let each = size(&row("slow", 1));
    let server = room_for(2 * each);
    let client = Client::connect(&server);
    let (messages, answers) = client.converse(&server, STREAM);
    for number in 1..=3 {
        server.block_on(messages.send(framed(&row("slow", number)))).unwrap();
        wait_until(&server, "slow", number.min(2).into(), 0);
    }
    let refused = r#"samara_errors_total{protocol="grpc",kind="overloaded"} 1"#;
    while !server.get("/metrics").text().lines().any(|line| line == refused) {}
    server.gate.open();
    let told = server.block_on(answers).unwrap();
    expect_crowded(&told, 2 * each);
    // What was taken is answered.
    let answers: Vec<_> = told.messages.iter().map(crate::streamed).collect();
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| answer.error.is_empty()));
    expect_row(&patiently(&server, &client, &row("slow", 4)), 4);
}
