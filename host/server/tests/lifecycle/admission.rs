//! What is let in, what waits, and what is refused at once.

use crate::common::client::Client;
use crate::common::{Builder, Item, Server};
use crate::{ask, doubling, expect_doubled, expect_row, row, wait_until};

/// A function of which one request runs and one waits.
fn one_and_one() -> Server {
    let narrow = |function: &mut samara_server::FunctionConfig| {
        function.concurrency = Some(1);
        function.queue = Some(1);
    };
    Builder::new().serve_as("slow", Item::gated("slow"), narrow).start()
}

/// Fills it: one request at the gate, one in the queue.
fn filled(server: &Server) -> [Client; 2] {
    let running = ask(server, "slow", 1, "");
    server.gate.wait_for(1);
    let queued = ask(server, "slow", 2, "");
    wait_until(server, "slow", 1, 1);
    [running, queued]
}

#[test]
fn what_cannot_wait_is_refused_at_once_and_the_rest_is_answered_rightly() {
    let server = one_and_one();
    let [mut running, mut queued] = filled(&server);
    let refused = server.post("/v2/models/slow/infer", &row(3));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.error(), "`slow` is full: 1 requests run and 1 wait; try again later");
    server.gate.open();
    expect_row(&mut running, 1);
    expect_row(&mut queued, 2);
    expect_row(&mut ask(&server, "slow", 4, ""), 4);
    let metrics = server.get("/metrics").text();
    let counted = r#"samara_request_errors_total{function="slow",version="1",kind="overloaded"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn where_memory_is_short_requests_go_one_by_one() {
    let server = Builder::new().serve(Item::gated("slow")).memory(100 << 20, 96 << 20).start();
    let mut running = ask(&server, "slow", 1, "");
    server.gate.wait_for(1);
    let refused = server.post("/v2/models/slow/infer", &row(2));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    let told = "out of memory: 96 MiB of the 100 MiB that this server may use are in use; try again later";
    assert!(refused.error().starts_with(told), "{}", refused.error());
    server.gate.open();
    expect_row(&mut running, 1);
    expect_row(&mut ask(&server, "slow", 3, ""), 3);
}

#[test]
fn a_flood_of_one_function_leaves_room_for_another() {
    let narrow = |function: &mut samara_server::FunctionConfig| function.concurrency = Some(1);
    let server = Builder::new()
        .serve_as("slow", Item::gated("slow"), narrow)
        .serve(doubling("quick"))
        .config(|config| config.limits.concurrency = 2)
        .start();
    let mut flood: Vec<Client> = (0..20).map(|number| ask(&server, "slow", number, "")).collect();
    wait_until(&server, "slow", 1, 19);
    expect_doubled(&server, "quick");
    server.gate.open();
    for (number, client) in flood.iter_mut().enumerate() {
        expect_row(client, number);
    }
}

#[test]
fn a_full_server_serves_its_functions_in_turn() {
    let server = Builder::new()
        .serve(Item::gated("slow"))
        .serve(doubling("quick"))
        .config(|config| config.limits.concurrency = 1)
        .start();
    let mut flood: Vec<Client> = (0..8).map(|number| ask(&server, "slow", number, "")).collect();
    server.gate.wait_for(1);
    wait_until(&server, "slow", 1, 7);
    let mut quick = server.client();
    let body = crate::wide_row(5);
    quick.write(
        format!("POST /v2/models/quick/infer HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            .as_bytes(),
    );
    wait_until(&server, "quick", 0, 1);
    // The one that runs and the first in line, and then it is the other's turn.
    server.gate.let_pass(2);
    assert_eq!(crate::numbers(&quick.reply("POST")), [10, 10, 10, 10]);
    server.gate.open();
    for (number, client) in flood.iter_mut().enumerate() {
        expect_row(client, number);
    }
}

#[test]
fn one_who_waits_longer_than_its_deadline_is_told_so_and_gives_up_its_place() {
    let server = one_and_one();
    let mut running = ask(&server, "slow", 1, "");
    server.gate.wait_for(1);
    let late = ask(&server, "slow", 2, "x-request-timeout-ms: 20\r\n").reply("POST");
    assert_eq!((late.status, late.error().as_str()), (504, "the request was not answered within 20ms"));
    let timeout = row(3).replacen('{', r#"{"parameters":{"timeout":15000},"#, 1);
    let late = server.post("/v2/models/slow/infer", &timeout);
    assert_eq!((late.status, late.error().as_str()), (504, "the request was not answered within 15ms"));
    wait_until(&server, "slow", 1, 0);
    // The place is there for the next one.
    let mut next = ask(&server, "slow", 4, "");
    wait_until(&server, "slow", 1, 1);
    server.gate.open();
    expect_row(&mut running, 1);
    expect_row(&mut next, 4);
}

#[test]
fn a_deadline_ends_a_request_that_runs() {
    let server = one_and_one();
    let late = ask(&server, "slow", 1, "x-request-timeout-ms: 20\r\n").reply("POST");
    assert_eq!(late.status, 504, "{}", late.text());
    wait_until(&server, "slow", 0, 0);
}

#[test]
fn clients_that_go_away_give_back_their_places() {
    let server = one_and_one();
    let [running, queued] = filled(&server);
    drop(queued);
    wait_until(&server, "slow", 1, 0);
    let mut behind = ask(&server, "slow", 3, "");
    wait_until(&server, "slow", 1, 1);
    drop(running);
    // Its run is called off, and the next one takes its place at the gate.
    wait_until(&server, "slow", 1, 0);
    server.gate.wait_for(1);
    server.gate.open();
    expect_row(&mut behind, 3);
    wait_until(&server, "slow", 0, 0);
}

#[test]
fn what_is_refused_early_keeps_its_connection() {
    let server = one_and_one();
    let [mut running, mut queued] = filled(&server);
    let mut client = server.client();
    for number in 0..50 {
        let reply = client.send("POST", "/v2/models/slow/infer", &[], row(number).as_bytes());
        assert_eq!(reply.status, 503);
    }
    server.gate.open();
    expect_row(&mut running, 1);
    expect_row(&mut queued, 2);
    crate::ask_on(&mut client, "slow", 7, "");
    expect_row(&mut client, 7);
}
