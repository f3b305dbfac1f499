//! What a server tells of itself: logs as programs read them, and traces as a
//! collector receives them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use serde_json::Value;

use super::{IRIS, ROW, curled, named_guest, serve};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn logs_and_traces_tell_of_each_request() {
    let collector = Collector::start();
    let url = format!("http://{}", collector.address);
    let log = named_guest("log", "http_routes");
    let trap = named_guest("trap", "http_routes");
    let server =
        serve(&[IRIS, &log, &trap, "--allow-http", "localhost:1", "--log-format", "json", "--otlp", &url]);
    let ask = |id: &str, more: &[&str]| {
        let (id, trace) =
            (format!("x-request-id: {id}"), format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01"));
        curled([&["--header", &id, "--header", &trace, "--include"][..], more].concat())
    };
    let infer = format!("{}/v2/models/iris/infer", server.url());
    let Some(answer) = ask("model-1", &["--json", ROW, &infer]) else { return };
    assert!(answer.to_lowercase().contains("x-request-id: model-1"), "{answer}");
    let answer = ask("guest-1", &[&format!("{}/log", server.url())]).unwrap();
    assert!(answer.ends_with("said"), "{answer}");
    let failed = ask("guest-2", &[&format!("{}/trap", server.url())]).unwrap();
    assert!(failed.contains(" 500 "), "{failed}");

    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |id: &str| lines.iter().filter(|line| line["request_id"] == id).collect::<Vec<_>>();
    let texts: Vec<&str> = of("guest-1").iter().map(|line| line["message"].as_str().unwrap()).collect();
    for text in ["printed", "complained, without an end", "loud"] {
        assert!(texts.contains(&text), "`{text}` is not in {said}");
    }
    assert!(
        of("guest-1").iter().all(|line| line["function"] == "log" && line["target"] == "guest"),
        "{said}"
    );
    let failure = of("guest-2");
    assert!(
        failure.iter().any(|line| line["level"] == "WARN" && line["error"] == "function-failed"),
        "{said}"
    );

    // The server sends what is left before it ends.
    let bodies = collector.bodies();
    let trace: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&TRACE[2 * at..2 * at + 2], 16).unwrap()).collect();
    let holds = |part: &[u8]| bodies.iter().any(|body| body.windows(part.len()).any(|found| found == part));
    assert!(holds(&trace), "the client's trace goes on");
    for words in
        ["POST /v2/models/{name}/infer", "admission", "compute iris", "function log", "model-1", "guest-2"]
    {
        assert!(holds(words.as_bytes()), "`{words}` was not sent in {} requests", bodies.len());
    }
}

/// Takes what is sent to it by OTLP over HTTP, and keeps it as it came.
struct Collector {
    address: SocketAddr,
    bodies: mpsc::Receiver<Vec<u8>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, bodies) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || while take(&stream, &sender).is_some() {});
            }
        });
        Self { address, bodies }
    }

    /// All that came so far.
    fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.try_iter().collect()
    }
}

/// Takes one request; `None` at the end of the connection.
fn take(stream: &TcpStream, sender: &mpsc::Sender<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/traces ") && head.contains("application/x-protobuf"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    sender.send(body).ok()?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}
