//! HTTP/1.1 that is none, or is too much.

use std::io::Write;

use crate::{GOOD, SHORT, connect, is_as_new, rest, says_to, server, status};

/// The beginning of a request for inference, without the end of its headers.
const POST: &str = "POST /v2/models/wait/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";

#[test]
fn what_is_no_http_is_refused() {
    let server = server(|limits| limits.header_timeout = SHORT);
    let cases: [&[u8]; 22] = [
        b"garbage\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v2\r\n\r\n",
        b"GET /v2 HTTP/9.9\r\n\r\n",
        b"GET /v2 HTTP/1.1 x\r\n\r\n",
        b"GET /v2 HTTP/2.0\r\n\r\n",
        b"GET  /v2 HTTP/1.1\r\n\r\n",
        b"G@T /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2\x01 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: \0\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nho\x7fst: x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n: x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nx: a\rb\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/1.1\r\n\r\n",
        b"PRX * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for bytes in cases {
        let said = says_to(&server, bytes);
        let is_refused = status(&said).is_none_or(|status| (400..500).contains(&status));
        assert!(is_refused && !said.contains("200 OK"), "{:?}: {said}", String::from_utf8_lossy(bytes));
    }
    is_as_new(&server);
}

#[test]
fn lengths_that_contradict_are_refused() {
    let server = server(|_| {});
    server.gate.open();
    let cases = [
        "content-length: -1",
        "content-length: +76",
        "content-length: 0x10",
        "content-length: 99999999999999999999999",
        "content-length: 7 6",
        "content-length: 76\r\ncontent-length: 77",
        "content-length: 76, 77",
        "transfer-encoding: identity",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
    ];
    for lengths in cases {
        let said = says_to(&server, format!("{POST}{lengths}\r\n\r\n{GOOD}").as_bytes());
        assert_eq!(status(&said), Some(400), "{lengths}: {said}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{lengths}: {said}");
    }
    let old = "POST /v2/models/wait/infer HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(&says_to(&server, old.as_bytes())), Some(400));
    is_as_new(&server);
}

/// Two lengths, of which a server in front may have believed the other: what
/// follows must not become a request of its own.
#[test]
fn nothing_is_smuggled_behind_a_body() {
    let server = server(|_| {});
    server.gate.open();
    let hidden = "GET /v2/hidden HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = GOOD.len();
    for lengths in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
    ] {
        // By its length, the chunks end before the hidden request.
        let chunks = format!("{length:x}\r\n{GOOD}\r\n0\r\n\r\n");
        let post = POST.replace("connection: close\r\n", "");
        let said = says_to(&server, format!("{post}{lengths}\r\n\r\n{chunks}{hidden}").as_bytes());
        assert_eq!(status(&said), Some(200), "{lengths}: {said}");
        assert!(!said.contains("/v2/hidden"), "{lengths}: {said}");
    }
    is_as_new(&server);
}

#[test]
fn chunks_that_are_none_are_refused() {
    let server = server(|limits| limits.body = 4096);
    server.gate.open();
    let flood = format!("1;{}\r\n{{\r\n", "x".repeat(64 << 10));
    let cases = [
        "zz\r\n",
        "-1\r\n",
        "\r\n",
        "FFFFFFFFFFFFFFFFF\r\n",
        "2\r\n{}garbage\r\n0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        &flood,
        "2\r\n{}\r\n0\r\n\r\n",
    ];
    for chunks in cases {
        let said = says_to(&server, format!("{POST}transfer-encoding: chunked\r\n\r\n{chunks}").as_bytes());
        assert_eq!(status(&said), Some(400), "{chunks:.40}: {said}");
    }
    let large = format!("2000\r\n{}\r\n", " ".repeat(0x2000));
    let said = says_to(&server, format!("{POST}transfer-encoding: chunked\r\n\r\n{large}").as_bytes());
    assert_eq!(status(&said), Some(413), "{said}");
    is_as_new(&server);
}

#[test]
fn floods_of_headers_are_refused() {
    let server = server(|limits| limits.headers = 16 << 10);
    let many: String = (0..1000).map(|number| format!("a{number}: b\r\n")).collect();
    let large = format!("a: {}\r\n", "b".repeat(64 << 10));
    for headers in [many, large] {
        let said = says_to(&server, format!("GET /v2 HTTP/1.1\r\n{headers}\r\n").as_bytes());
        assert_eq!(status(&said), Some(431), "{said}");
    }
    // One without an end.
    let mut stream = connect(server.address);
    let _ = stream.write_all(b"GET /v2 HTTP/1.1\r\n");
    while stream.write_all(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: b\r\n").is_ok() {}
    rest(&mut stream);
    let path = "a".repeat(70_000);
    let said = says_to(&server, format!("GET /{path} HTTP/1.1\r\n\r\n").as_bytes());
    assert!(matches!(status(&said), Some(414 | 431)), "{said}");
    is_as_new(&server);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_comes() {
    let server = server(|limits| limits.body = 1000);
    let mut stream = connect(server.address);
    stream
        .write_all(format!("{POST}expect: 100-continue\r\ncontent-length: 100000000000\r\n\r\n").as_bytes())
        .unwrap();
    let said = String::from_utf8_lossy(&rest(&mut stream)).into_owned();
    assert_eq!(status(&said), Some(413), "{said}");
    assert!(said.contains("larger than 1000 bytes"), "{said}");
    is_as_new(&server);
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let server = server(|_| {});
    let requests: String =
        (0..500).map(|number| format!("GET /v2/{number}/ HTTP/1.1\r\nhost: x\r\n\r\n")).collect();
    let last = "GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let said = says_to(&server, [requests, last.to_owned()].concat().as_bytes());
    let mut rest = said.as_str();
    for number in 0..500 {
        let at = rest.find(&format!("/v2/{number}/")).unwrap_or_else(|| panic!("{number} is missing"));
        rest = &rest[at + 1..];
    }
    is_as_new(&server);
}
