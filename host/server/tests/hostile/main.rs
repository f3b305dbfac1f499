//! Clients that break the rules, against a whole server over real sockets: each
//! is cut off or told off, and the server serves the next one as if nothing had
//! been.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

#[path = "../common/mod.rs"]
mod common;

mod frames;
mod http1;
mod http2;
mod load;
mod paths;
mod slow;
mod tls;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use samara_server::ServeLimits;

use crate::common::client::Reply;
use crate::common::{Builder, Item, Server};

/// A server that does nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a server waits for at most where a test waits for its end.
const SHORT: Duration = Duration::from_millis(300);

/// A request for `wait` that is right.
const GOOD: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}"#;

/// A server of the function `wait`, which gives its input back when the test's
/// gate lets it.
fn server(set: impl FnOnce(&mut ServeLimits)) -> Server {
    Builder::new().serve(Item::gated("wait")).config(|config| set(&mut config.limits)).start()
}

/// Checks that a server is as good as new: it answers, and nothing is left of
/// earlier clients.
fn is_as_new(server: &Server) {
    server.gate.open();
    let answer = patiently(server, "POST", "/v2/models/wait/infer", GOOD);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["outputs"][0]["data"], serde_json::json!([1.0, 2.0]));
    // The last one is the connection that asks.
    wait_for(server, "samara_connections", 1);
    for gauge in ["samara_requests_in_flight", "samara_requests_queued", "samara_instances"] {
        wait_for(server, gauge, 0);
    }
}

/// Asks until there is an answer. A busy machine may be too slow for a server
/// that gives its clients little time.
fn patiently(server: &Server, method: &str, path: &str, body: &str) -> Reply {
    loop {
        match server.client().try_send(method, path, &[], body.as_bytes()) {
            Some(reply) if reply.status != 408 => return reply,
            _ => {}
        }
    }
}

/// Waits until all samples of a gauge together are that.
fn wait_for(server: &Server, gauge: &str, expected: u64) {
    while sum(server, gauge) != expected {
        std::thread::yield_now();
    }
}

fn sum(server: &Server, metric: &str) -> u64 {
    let text = patiently(server, "GET", "/metrics", "").text();
    let samples = text.lines().filter(|line| {
        line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
    });
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything that the server says until it closes the connection.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the server leaves it open"),
        // What was not read yet was in vain: the connection is reset.
        _ => said,
    }
}

/// What the server says to a client that says only this, which has to be the
/// last that it says.
fn says_to(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server.address);
    // It may have enough before it has all.
    let _ = stream.write_all(bytes);
    String::from_utf8_lossy(&rest(&mut stream)).into_owned()
}

/// The status of what is said, if anything is.
fn status(said: &str) -> Option<u16> {
    Some(said.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().unwrap())
}
