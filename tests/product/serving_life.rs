//! `samara serve` through its life: loaded, reloaded and ended while clients
//! ask.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use samara_test::onnx::ready;
use samara_test::server::Server;

use crate::support::Place;

/// Longer than any step here takes: only a server that hangs is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A place with two models: `y = 2 x` of four numbers, and `y = x`.
fn place() -> Place {
    let place = Place::new();
    place.write("double.onnx", ready::double());
    place.write("same.onnx", ready::identity(samara_test::onnx::FP32));
    place
}

fn start(place: &Place, arguments: &[&str]) -> Server {
    Server::start(&mut place.command(&[&["serve", "--backend", "tract"], arguments].concat()))
}

/// What came of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The status, the body, and whether the connection goes on.
    Answered(u16, String, bool),
    /// The connection was closed before the first byte of an answer.
    Closed,
}

/// One connection.
struct Client(samara_test::client::Client);

impl Client {
    fn connect(address: &str) -> Option<Self> {
        samara_test::client::Client::connect(address, PATIENCE).map(Self)
    }

    /// Asks a model for one row of four equal numbers.
    fn infer(&mut self, model: &str, number: usize) -> Outcome {
        let body = format!(
            r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,4],"data":[{number},{number},{number},{number}]}}]}}"#
        );
        self.send("POST", &format!("/v2/models/{model}/infer"), &body)
    }

    /// A broken answer is a failure at once.
    fn send(&mut self, method: &str, path: &str, body: &str) -> Outcome {
        let answer = self.0.send(method, path, body).unwrap();
        answer.map_or(Outcome::Closed, |answer| Outcome::Answered(answer.status, answer.body, answer.goes_on))
    }
}

/// Asks again and again, on connections that are kept, until the server takes no
/// more connections or `is_over`. Every answer has to be right. Gives how many
/// there were.
fn load(address: &str, model: &str, seed: usize, asked: &AtomicUsize, is_over: &AtomicBool) -> usize {
    let mut answers = 0;
    let mut number = seed;
    while let Some(mut client) = Client::connect(address) {
        loop {
            if is_over.load(Ordering::Relaxed) {
                return answers;
            }
            number = (number + 7) % 1000;
            match client.infer(model, number) {
                Outcome::Answered(status, body, goes_on) => {
                    expect_doubled(status, &body, number);
                    answers += 1;
                    asked.fetch_add(1, Ordering::Relaxed);
                    if !goes_on {
                        break;
                    }
                }
                Outcome::Closed => break,
            }
        }
    }
    answers
}

fn expect_doubled(status: u16, body: &str, number: usize) {
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(body).unwrap();
    let twice = (2 * number) as f64;
    assert_eq!(crate::support::numbers(&answer, "y"), [twice; 4], "{body}");
}

fn status(server: &Server, method: &str, path: &str) -> u16 {
    match Client::connect(server.address()).unwrap().send(method, path, "") {
        Outcome::Answered(status, ..) => status,
        Outcome::Closed => panic!("no answer from {path}"),
    }
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what} does not happen");
        std::thread::yield_now();
    }
}

#[test]
fn an_end_under_load_loses_no_request() {
    let place = place();
    let server = start(&place, &["d=double.onnx", "--drain-delay", "200ms"]);
    let (asked, never) = (AtomicUsize::new(0), AtomicBool::new(false));
    let address = server.address().to_owned();
    let (status, said) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|seed| {
                let (address, asked, never) = (&address, &asked, &never);
                scope.spawn(move || load(address, "d", seed, asked, never))
            })
            .collect();
        until("load", || asked.load(Ordering::Relaxed) > 100);
        let ended = server.stop();
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
        ended
    });
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("Stopping") && !said.contains("given up"), "{said}");
    assert!(Client::connect(&address).is_none());
}

#[test]
fn told_twice_it_ends_at_once() {
    let place = place();
    let server = start(&place, &["d=double.onnx", "--drain-delay", "1h"]);
    server.signal("TERM");
    until("the drain", || status(&server, "GET", "/v2/health/ready") == 503);
    server.signal("TERM");
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("requests that were still running were given up"), "{said}");
}

#[test]
fn one_who_presses_ctrl_c_does_not_wait_for_balancers() {
    let place = place();
    let server = start(&place, &["d=double.onnx", "--drain-delay", "1h"]);
    let mut idle = Client::connect(server.address()).unwrap();
    assert!(matches!(idle.infer("d", 1), Outcome::Answered(200, ..)));
    server.signal("INT");
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(idle.infer("d", 2), Outcome::Closed);
}

#[test]
fn what_does_not_end_in_time_is_given_up() {
    let place = place();
    let server = start(&place, &["d=double.onnx", "--drain-delay", "0s", "--drain-timeout", "50ms"]);
    let mut slow = Client::connect(server.address()).unwrap();
    let head = "POST /v2/models/d/infer HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n{";
    slow.0.write(head.as_bytes()).unwrap();
    until("the request", || {
        let metrics = Client::connect(server.address()).unwrap().send("GET", "/metrics", "");
        // This one, and the slow one, which was accepted before.
        matches!(metrics, Outcome::Answered(200, text, _) if text.contains("samara_connections 2"))
    });
    let (status, said) = server.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("given up"), "{said}");
}

#[test]
fn a_reload_swaps_functions_and_drops_no_request() {
    let place = place();
    let functions = |names: &[(&str, &str)]| {
        let function = |(name, what)| format!("[[function]]\nname = \"{name}\"\nwhat = \"{what}\"\n");
        place.write("serve.toml", names.iter().copied().map(function).collect::<String>());
    };
    functions(&[("d", "double.onnx"), ("old", "same.onnx")]);
    let server = start(&place, &["--config", "serve.toml", "--drain-delay", "0s"]);
    let ready = |name: &str| status(&server, "GET", &format!("/v2/models/{name}"));
    let (asked, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let more = |requests: usize| {
        let before = asked.load(Ordering::Relaxed);
        until("load", || asked.load(Ordering::Relaxed) > before + requests);
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|seed| {
                let (address, asked, is_over) = (server.address(), &asked, &is_over);
                scope.spawn(move || load(address, "d", seed, asked, is_over))
            })
            .collect();
        more(50);
        functions(&[("d", "double.onnx"), ("new", "same.onnx")]);
        server.signal("HUP");
        until("the reload", || server.said().contains("Reloaded"));
        assert_eq!((ready("old"), ready("new"), ready("d")), (404, 200, 200));
        more(50);
        place.append("serve.toml", b"concurency = 3\n");
        server.signal("HUP");
        until("the refusal", || server.said().contains("nothing was changed"));
        let said = server.said();
        assert!(said.contains("serve.toml") && said.contains("concurency"), "{said}");
        assert_eq!((ready("new"), ready("d")), (200, 200));
        more(50);
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
    let (status, said) = server.stop();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn a_reload_takes_over_limits_and_names_what_it_cannot() {
    let place = place();
    let settings = |top: &str, connections: usize| {
        let limits = format!("[limits]\nconnections = {connections}\n");
        place.write(
            "serve.toml",
            format!("{top}{limits}[[function]]\nname = \"d\"\nwhat = \"double.onnx\"\n"),
        );
    };
    settings("threads = 1\n", 1);
    let server = start(&place, &["--config", "serve.toml", "--drain-delay", "0s"]);
    let mut only = Client::connect(server.address()).unwrap();
    assert!(matches!(only.infer("d", 1), Outcome::Answered(200, ..)));
    let another =
        || Client::connect(server.address()).and_then(|mut client| client.0.send("GET", "/v2", "").ok());
    assert!(another().flatten().is_none());
    settings("threads = 2\nlog-format = \"json\"\n", 2);
    server.signal("HUP");
    until("the reload", || server.said().contains("Reloaded"));
    assert!(another().flatten().is_some_and(|answer| answer.status == 200));
    let said = server.said();
    for key in ["threads", "log-format"] {
        assert!(said.contains(&format!("`{key}` stays as it was")), "{said}");
    }
    assert!(!said.contains("`instances`") && !said.contains("`listen`"), "{said}");
    drop(only);
    let (status, said) = server.stop();
    assert_eq!(status.code(), Some(0), "{said}");
}
