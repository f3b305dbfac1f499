//! Clients that are slow, silent or gone. Every wait here ends with something
//! that the server does.

use std::io::{Read, Write};
use std::time::Duration;

use samara_server::{Drained, FunctionConfig};

use crate::common::{Builder, Item};
use crate::frames::{Connection, GOAWAY, HEADERS, PREFACE, RST_STREAM, frame};
use crate::{GOOD, SHORT, connect, is_as_new, rest, server, status, sum, wait_for};

const LONG: Duration = Duration::from_secs(3600);
/// What even a busy machine sends a request in.
const AMPLE: Duration = Duration::from_secs(2);

#[test]
fn a_connection_on_which_no_request_comes_is_closed() {
    let server = server(|limits| limits.header_timeout = SHORT);
    let beginnings: [&[u8]; 8] = [
        b"",
        b"P",
        b"PRI ",
        b"G",
        b"GET /v2 HTTP/1.1",
        b"GET /v2 HTTP/1.1\r\nhost: x\r\n",
        PREFACE,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0",
    ];
    for beginning in beginnings {
        let mut stream = connect(server.address);
        stream.write_all(beginning).unwrap();
        let said = rest(&mut stream);
        assert_eq!(status(&String::from_utf8_lossy(&said)), None, "{beginning:?}");
    }
    is_as_new(&server);
}

#[test]
fn a_connection_is_closed_some_time_after_its_last_request() {
    let server = server(|limits| limits.header_timeout = SHORT);
    // A busy machine may not ask in time.
    let mut client = loop {
        let mut client = server.client();
        if let Some(answer) = client.try_send("GET", "/v2", &[], b"") {
            assert_eq!(answer.status, 200);
            break client;
        }
    };
    assert!(client.is_closed());
    let mut client = loop {
        let mut client = Connection::open(server.address);
        client.get(1, "/v2");
        if let Some((status, _)) = client.answer(1) {
            assert_eq!(status, 200);
            break client;
        }
    };
    // Answering pings is not asking.
    assert_eq!(client.next_of(GOAWAY).error(), 0);
    assert_eq!(client.end().unwrap_or(0), 0);
    is_as_new(&server);
}

#[test]
fn an_answer_that_takes_long_is_no_idle_connection() {
    let server = server(|limits| limits.header_timeout = AMPLE);
    let mut http1 = server.client();
    let head = format!("POST /v2/models/wait/infer HTTP/1.1\r\ncontent-length: {}\r\n\r\n", GOOD.len());
    http1.write(format!("{head}{GOOD}").as_bytes());
    let mut http2 = Connection::open(server.address);
    http2.post(1, "/v2/models/wait/infer", GOOD.as_bytes());
    wait_for(&server, "samara_requests_in_flight", 2);
    // Connections that came later are closed by now.
    for _ in 0..3 {
        rest(&mut connect(server.address));
    }
    server.gate.open();
    assert_eq!(http1.reply("POST").status, 200);
    assert_eq!(http2.answer(1).unwrap().0, 200);
    drop((http1, http2));
    is_as_new(&server);
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let server = server(|limits| limits.body_timeout = SHORT);
    for body in ["", "{\"inputs\""] {
        for length in ["content-length: 100", "transfer-encoding: chunked"] {
            let chunk = format!("{:x}\r\n{body}\r\n", body.len());
            let body = if length.starts_with('t') && !body.is_empty() { &chunk } else { body };
            let mut stream = connect(server.address);
            write!(stream, "POST /v2/models/wait/infer HTTP/1.1\r\n{length}\r\n\r\n{body}").unwrap();
            let said = String::from_utf8(rest(&mut stream)).unwrap();
            assert_eq!(status(&said), Some(408), "{said}");
            assert!(said.contains("too slowly"), "{said}");
        }
    }
    let mut client = Connection::open(server.address);
    client.write(&frame(1, 4, 1, &crate::frames::request("POST", "/v2/models/wait/infer")));
    let (_, body) = client.answer(1).unwrap();
    assert!(String::from_utf8_lossy(&body).contains("too slowly"));
    drop(client);
    is_as_new(&server);
}

/// Each byte comes in time, the whole does not.
#[test]
fn a_body_byte_by_byte_is_given_up() {
    let server = server(|limits| limits.body_timeout = SHORT);
    let mut stream = connect(server.address);
    write!(stream, "POST /v2/models/wait/infer HTTP/1.1\r\ncontent-length: 1000000000\r\n\r\n").unwrap();
    // 64 MiB are not there yet when the time is over.
    while stream.write_all(b" ").is_ok() {
        std::thread::yield_now();
    }
    rest(&mut stream);
    is_as_new(&server);
}

/// Rows whose answer is larger than what the system keeps for a connection.
fn large() -> (String, Vec<u8>) {
    const ROWS: usize = 2 << 20;
    let json = format!(
        r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[{ROWS},2],"parameters":{{"binary_data_size":{}}}}}]}}"#,
        8 * ROWS
    );
    let head = format!(
        "POST /v2/models/wait/infer HTTP/1.1\r\ninference-header-content-length: {}\r\ncontent-length: {}\r\n\r\n{json}",
        json.len(),
        json.len() + 8 * ROWS
    );
    (head, vec![0; 8 * ROWS])
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let server = server(|limits| limits.write_timeout = SHORT);
    server.gate.open();
    let (head, body) = large();
    let mut stuck = connect(server.address);
    stuck.write_all(head.as_bytes()).unwrap();
    stuck.write_all(&body).unwrap();
    while sum(&server, "samara_requests_total") == 0 {
        std::thread::yield_now();
    }
    wait_for(&server, "samara_connections", 1);
    // What it reads now is not all.
    assert!(rest(&mut stuck).len() < body.len());
    is_as_new(&server);
}

/// A guest waits with its answer for a client that takes none of it. Neither
/// may keep others from the function for long.
#[test]
fn a_client_that_does_not_read_what_a_guest_writes_gives_back_its_place() {
    let narrow = |function: &mut FunctionConfig| function.concurrency = Some(1);
    let server = Builder::new()
        .serve(Item::gated("wait"))
        .serve_as("large", Item::guest("large", "http_routes").may_ask("nobody.example"), narrow)
        .config(|config| config.limits.write_timeout = SHORT)
        .start();
    let answers = || assert_eq!(server.get("/large?10").body, b"xxxxxxxxxx");
    answers();
    let mut stuck = connect(server.address);
    stuck.write_all(b"GET /large?1000000000 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // Its place is taken once the answer has begun.
    stuck.read_exact(&mut [0]).unwrap();
    answers();
    drop(stuck);
    // Over HTTP/2, a client may leave the connection alive.
    let mut stuck = Connection::without_window(server.address);
    stuck.get(1, "/large?1000000000");
    stuck.next_of(HEADERS);
    answers();
    assert_eq!(stuck.next_of(RST_STREAM).stream, 1);
    drop(stuck);
    is_as_new(&server);
}

#[test]
fn requests_of_clients_that_vanish_are_cancelled() {
    let server = server(|limits| {
        limits.function_concurrency = 4;
        limits.header_timeout = LONG;
    });
    let head = format!("POST /v2/models/wait/infer HTTP/1.1\r\ncontent-length: {}\r\n\r\n", GOOD.len());
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.client();
            client.write(format!("{head}{GOOD}").as_bytes());
            client
        })
        .collect();
    let mut other = Connection::open(server.address);
    other.post(1, "/v2/models/wait/infer", GOOD.as_bytes());
    wait_for(&server, "samara_requests_queued", 5);
    drop((clients, other));
    wait_for(&server, "samara_requests_queued", 0);
    wait_for(&server, "samara_requests_in_flight", 0);
    is_as_new(&server);
}

#[test]
fn one_connection_too_many_is_closed_at_once() {
    let server = server(|limits| {
        limits.connections = 2;
        limits.header_timeout = LONG;
    });
    let mut kept: Vec<_> = (0..2).map(|_| server.client()).collect();
    for client in &mut kept {
        assert_eq!(client.send("GET", "/v2", &[], b"").status, 200);
    }
    for _ in 0..10 {
        assert_eq!(rest(&mut connect(server.address)), b"");
    }
    assert_eq!(kept[0].send("GET", "/v2", &[], b"").status, 200);
    let text = kept[0].send("GET", "/metrics", &[], b"").text();
    assert!(text.contains("samara_connections_rejected_total 10\n"), "{text}");
    drop(kept);
    // Their places come back.
    loop {
        let mut stream = connect(server.address);
        let _ = stream.write_all(b"GET /v2 HTTP/1.1\r\nconnection: close\r\n\r\n");
        if status(&String::from_utf8_lossy(&rest(&mut stream))) == Some(200) {
            break;
        }
    }
}

#[test]
fn connections_without_a_request_do_not_hold_up_the_end() {
    let mut server = server(|limits| limits.header_timeout = LONG);
    let mut silent = connect(server.address);
    let mut begun = connect(server.address);
    begun.write_all(b"PR").unwrap();
    let mut idle = server.client();
    assert_eq!(idle.send("GET", "/v2", &[], b"").status, 200);
    let mut other = Connection::open(server.address);
    other.get(1, "/v2");
    assert_eq!(other.answer(1).unwrap().0, 200);
    wait_for(&server, "samara_connections", 5);
    let running = server.take_running();
    // It hears that no more requests are taken, and agrees.
    let hearing = std::thread::spawn(move || other.end());
    assert_eq!(server.block_on(running.drain(false)), Drained { is_complete: true });
    assert_eq!(hearing.join().unwrap(), Some(0));
    assert!(idle.is_closed());
    for stream in [&mut silent, &mut begun] {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
}
