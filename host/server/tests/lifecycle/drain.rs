//! How a server ends.

use std::net::TcpStream;
use std::time::Duration;

use samara_server::Drained;
use tokio::task::JoinHandle;

use crate::common::{Builder, Item, Server};
use crate::{ask, ask_on, expect_row, row, wait_until};

/// Longer than any test runs.
const AGES: Duration = Duration::from_secs(3600);

fn server(delay: Duration, timeout: Duration) -> Server {
    let drain = samara_server::Drain { delay, timeout };
    Builder::new().serve(Item::gated("slow")).config(|config| config.drain = drain).start()
}

fn drain(server: &mut Server, balancers_notice: bool) -> JoinHandle<Drained> {
    let running = server.take_running();
    server.runtime().spawn(running.drain(balancers_notice))
}

#[test]
fn balancers_see_first_that_it_is_not_ready_while_all_is_answered() {
    let mut server = server(AGES, AGES);
    server.gate.open();
    let mut before = server.client();
    assert_eq!(before.send("GET", "/v2/health/ready", &[], b"").header("connection"), None);
    let leaving = drain(&mut server, true);
    let told = loop {
        let told = server.get("/v2/health/ready");
        if told.status != 200 {
            break told;
        }
    };
    assert_eq!((told.status, told.header("retry-after")), (503, Some("1")));
    assert_eq!(told.error(), "the server is shutting down");
    assert_eq!(server.get("/v2/health/live").status, 200);
    // Those who are connected are answered, and asked to go.
    ask_on(&mut before, "slow", 1, "");
    let reply = before.reply("POST");
    assert_eq!(crate::numbers(&reply), [1, 2]);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(before.is_closed());
    // So are those who come now.
    expect_row(&mut ask(&server, "slow", 2, ""), 2);
    assert!(!leaving.is_finished());
}

#[test]
fn what_runs_and_what_waits_is_finished_and_nothing_new_is_taken() {
    let mut server = server(AGES, AGES);
    let mut idle = server.client();
    assert_eq!(idle.send("GET", "/v2/health/live", &[], b"").status, 200);
    let mut running: Vec<_> = (0..4).map(|number| ask(&server, "slow", number, "")).collect();
    wait_until(&server, "slow", 4, 0);
    let drained = drain(&mut server, false);
    assert!(idle.is_closed());
    while TcpStream::connect(server.address).is_ok() {}
    assert!(!drained.is_finished());
    server.gate.open();
    for (number, client) in running.iter_mut().enumerate() {
        let reply = client.reply("POST");
        assert_eq!(crate::numbers(&reply), [number, number + 1]);
        assert_eq!(reply.header("connection"), Some("close"));
    }
    assert!(server.block_on(drained).unwrap().is_complete);
}

#[test]
fn the_end_is_not_later_than_its_timeout() {
    let mut server = server(Duration::ZERO, Duration::from_millis(20));
    let _running = ask(&server, "slow", 1, "");
    server.gate.wait_for(1);
    let drained = drain(&mut server, true);
    assert!(!server.block_on(drained).unwrap().is_complete);
}

#[test]
fn those_who_have_said_nothing_do_not_hold_it_up() {
    let mut server = server(Duration::ZERO, AGES);
    let mut silent = server.client();
    let mut halting = server.client();
    // As the preface of HTTP/2 begins.
    halting.write(b"PR");
    // Both are accepted once a later one is.
    assert_eq!(server.get("/v2/health/live").status, 200);
    let drained = drain(&mut server, true);
    assert!(server.block_on(drained).unwrap().is_complete);
    assert!(silent.is_closed() && halting.is_closed());
}

#[test]
fn whoever_has_sent_a_request_is_answered_however_new_its_connection_is() {
    let mut server = server(AGES, AGES);
    server.gate.open();
    let running = server.take_running();
    let mut clients: Vec<_> = (0..40).map(|number| ask(&server, "slow", number, "")).collect();
    let drained = server.runtime().spawn(running.drain(false));
    for (number, client) in clients.iter_mut().enumerate() {
        expect_row(client, number);
    }
    assert!(server.block_on(drained).unwrap().is_complete);
}

#[test]
fn a_request_that_is_half_sent_may_be_finished() {
    let mut server = server(Duration::ZERO, AGES);
    server.gate.open();
    let mut slow = server.client();
    assert_eq!(slow.send("GET", "/v2/health/live", &[], b"").status, 200);
    let body = row(5);
    let head = format!("POST /v2/models/slow/infer HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
    slow.write(head.as_bytes());
    slow.write(b"{");
    let mut idle = server.client();
    assert_eq!(idle.send("GET", "/v2/health/live", &[], b"").status, 200);
    let drained = drain(&mut server, true);
    assert!(idle.is_closed());
    slow.write(&body.as_bytes()[1..]);
    expect_row(&mut slow, 5);
    assert!(server.block_on(drained).unwrap().is_complete);
}
