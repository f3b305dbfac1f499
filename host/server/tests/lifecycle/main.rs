//! The server under load and through its life: what is admitted, what changes
//! while requests run, and how it ends. Models wait at a gate, so that nothing
//! here depends on how fast a machine is.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod admission;
mod bodies;
#[path = "../common/mod.rs"]
mod common;
mod drain;
mod grpc;
mod reload;
mod repository;
mod streams;

use prost::Message;

use crate::common::client::{Client, Reply};
use crate::common::grpc::StreamResponse;
use crate::common::{Item, Server};

/// `y = 2 x`, where a gated model gives `y = x`.
fn doubling(name: &str) -> Item {
    Item::model(name, samara_test::onnx::ready::double())
}

/// A request for one row of two numbers, as a gated model takes them.
fn row(number: usize) -> String {
    body(&[number, number + 1])
}

/// A request for one row of four numbers, as a doubling model takes them.
fn wide_row(number: usize) -> String {
    body(&[number, number, number, number])
}

fn body(row: &[usize]) -> String {
    let tensor = serde_json::json!({ "name": "x", "datatype": "FP32", "shape": [1, row.len()], "data": row });
    serde_json::json!({ "inputs": [tensor] }).to_string()
}

/// Sends a request, and leaves the answer for later.
fn ask(server: &Server, function: &str, number: usize, headers: &str) -> Client {
    let mut client = server.client();
    ask_on(&mut client, function, number, headers);
    client
}

fn ask_on(client: &mut Client, function: &str, number: usize, headers: &str) {
    let body = row(number);
    let head = format!(
        "POST /v2/models/{function}/infer HTTP/1.1\r\nhost: here\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    client.write(head.as_bytes());
    client.write(body.as_bytes());
}

/// The numbers of the only output of an answer.
fn numbers(reply: &Reply) -> Vec<usize> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let outputs = &reply.json()["outputs"];
    let data = outputs[0]["data"].as_array().unwrap_or_else(|| panic!("{outputs}"));
    data.iter().map(|number| number.as_f64().unwrap() as usize).collect()
}

/// What a function that waits at the gate answers to [`row`].
fn expect_row(client: &mut Client, number: usize) {
    assert_eq!(numbers(&client.reply("POST")), [number, number + 1]);
}

/// What a doubling function answers now.
fn expect_doubled(server: &Server, function: &str) {
    let reply = server.post(&format!("/v2/models/{function}/infer"), &wide_row(3));
    assert_eq!(numbers(&reply), [6, 6, 6, 6]);
}

/// Waits until so many requests of a function run, and so many wait.
fn wait_until(server: &Server, function: &str, running: u64, queued: u64) {
    while live(server, function) != (running, queued) {}
}

/// How many requests of a function run, and how many wait.
fn live(server: &Server, function: &str) -> (u64, u64) {
    let live = server.get("/api/live").json();
    let count = |what: &str| live["functions"][function][what].as_u64().unwrap();
    (count("in_flight"), count("queued"))
}

/// An answer of a stream of gRPC.
fn streamed(message: &bytes::Bytes) -> StreamResponse {
    StreamResponse::decode(message.clone()).unwrap()
}
