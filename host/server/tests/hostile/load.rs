//! Floods as such: nothing of them stays.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use samara_test::resident_bytes;

use crate::frames::Connection;
use crate::{GOOD, SHORT, connect, is_as_new, rest, says_to, server};

/// A server that kept a kilobyte of every connection would keep 8 MiB of the
/// second half.
#[test]
fn floods_leave_no_memory_behind() {
    const KEPT: u64 = 6 << 20;
    let server = server(|limits| limits.headers = 16 << 10);
    let flood = || {
        for round in 0..2000 {
            match round % 5 {
                0 => drop(connect(server.address)),
                1 => drop(says_to(&server, b"garbage\r\n\r\n")),
                2 => drop(says_to(&server, &[b'x'; 20 << 10])),
                3 => {
                    let mut stream = connect(server.address);
                    let _ = stream
                        .write_all(b"POST /v2/models/wait/infer HTTP/1.1\r\ncontent-length: 9\r\n\r\n{");
                }
                _ => drop(Connection::open(server.address).get(1, "/v2")),
            }
        }
        is_as_new(&server);
    };
    // What is made once is made in the first rounds.
    for _ in 0..2 {
        flood();
    }
    let before = resident_bytes();
    for _ in 0..4 {
        flood();
    }
    let after = resident_bytes();
    assert!(after < before + KEPT, "{before} bytes became {after}");
}

#[test]
fn a_function_that_goes_under_load_goes_cleanly() {
    let server = server(|_| {});
    server.gate.open();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = || {
            let mut client = server.client();
            let mut answered = 0;
            while !is_over.load(Ordering::Relaxed) {
                let answer = client.send("POST", "/v2/models/wait/infer", &[], GOOD.as_bytes());
                match answer.status {
                    200 => {
                        assert_eq!(answer.json()["outputs"][0]["data"], serde_json::json!([1.0, 2.0]));
                        answered += 1;
                    }
                    404 | 503 => assert!(!answer.error().is_empty()),
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            answered
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        for _ in 0..20 {
            for what in ["unload", "load"] {
                let answer = server.post(&format!("/v2/repository/models/wait/{what}"), "{}");
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(clients.into_iter().map(|client| client.join().unwrap()).sum::<i32>() > 0);
    });
    is_as_new(&server);
}

#[test]
fn junk_gets_an_answer_or_the_end() {
    let mut random = samara_test::Random::new(5);
    let server = server(|limits| {
        limits.header_timeout = SHORT;
        limits.body_timeout = SHORT;
    });
    let good = format!(
        "POST /v2/models/wait/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    );
    server.gate.open();
    for _ in 0..400 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..=random.below(5) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.insert(at, b"\r\n:0 \"[{"[random.below(8) as usize]),
                _ => drop(bytes.remove(at)),
            }
        }
        let mut stream = connect(server.address);
        let _ = stream.write_all(&bytes);
        let said = String::from_utf8_lossy(&rest(&mut stream)).into_owned();
        let status = crate::status(&said);
        assert!(status.is_none_or(|status| status < 500), "{:?}: {said}", String::from_utf8_lossy(&bytes));
    }
    is_as_new(&server);
}
