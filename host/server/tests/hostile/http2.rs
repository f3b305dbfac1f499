//! HTTP/2 that breaks the protocol, or floods the server with what is cheap to
//! send.

use crate::frames::{
    ACK, CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, field, frame, request, setting,
};
use crate::{GOOD, SHORT, is_as_new, server, sum, wait_for};

/// RFC 9113, 7.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

#[test]
fn a_preface_may_come_byte_by_byte() {
    let server = server(|_| {});
    let mut client = Connection::silent(server.address);
    for byte in PREFACE {
        assert!(client.write(&[*byte]));
    }
    client.write(&frame(SETTINGS, 0, 0, &[]));
    client.get(1, "/v2/health/live");
    assert_eq!(client.answer(1).unwrap(), (200, br#"{"live":true}"#.to_vec()));
    drop(client);
    is_as_new(&server);
}

#[test]
fn frames_that_break_the_protocol_end_the_connection() {
    let server = server(|_| {});
    let get = request("GET", "/v2/health/live");
    let cases: Vec<(&str, Vec<u8>, u32)> = vec![
        ("data on no stream", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        ("data on a stream that is not open", frame(DATA, 0, 1, b"x"), PROTOCOL_ERROR),
        ("headers on a stream of the server", frame(HEADERS, END_HEADERS, 2, &get), PROTOCOL_ERROR),
        ("headers on no stream", frame(HEADERS, END_HEADERS, 0, &get), PROTOCOL_ERROR),
        ("headers of nothing known", frame(HEADERS, END_HEADERS, 1, &[0xff; 20]), COMPRESSION_ERROR),
        ("an entry that no table has", frame(HEADERS, END_HEADERS, 1, &[0xfe]), COMPRESSION_ERROR),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &get), PROTOCOL_ERROR),
        ("a promise of a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]), PROTOCOL_ERROR),
        ("padding longer than the frame", frame(DATA, 8, 1, &[200, 1]), PROTOCOL_ERROR),
        ("settings of an odd size", frame(SETTINGS, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[]), PROTOCOL_ERROR),
        ("an agreement with content", frame(SETTINGS, ACK, 0, &[0; 6]), FRAME_SIZE_ERROR),
        ("a window beyond all bounds", setting(4, u32::MAX), FLOW_CONTROL_ERROR),
        ("frames smaller than may be", setting(5, 1), PROTOCOL_ERROR),
        ("a ping of an odd size", frame(PING, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        ("a reset of nothing", frame(RST_STREAM, 0, 1, &[0; 4]), PROTOCOL_ERROR),
        ("more room of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), PROTOCOL_ERROR),
        (
            "more room than there can be",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
            FLOW_CONTROL_ERROR,
        ),
        ("a frame that is too large", frame(PING, 0, 0, &[0; 20_000]), FRAME_SIZE_ERROR),
    ];
    for (what, bytes, expected) in cases {
        let mut client = Connection::open(server.address);
        client.write(&bytes);
        let found = client.end();
        // A server may be less exact, but has to end it.
        assert!(found.is_none_or(|found| found == expected || found == PROTOCOL_ERROR), "{what}: {found:?}");
    }
    let mut client = Connection::silent(server.address);
    client.write(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    client.end();
    is_as_new(&server);
}

#[test]
fn what_means_nothing_is_passed_over() {
    let server = server(|_| {});
    let mut client = Connection::open(server.address);
    client.write(&frame(0xaa, 0xff, 1, b"nobody knows this frame"));
    client.write(&frame(PRIORITY, 0, 3, &[0, 0, 0, 5, 1]));
    client.write(&setting(0xabcd, 7));
    client.get(1, "/v2/health/live");
    assert_eq!(client.answer(1).unwrap().0, 200);
    drop(client);
    is_as_new(&server);
}

#[test]
fn requests_without_a_method_or_with_two_are_refused() {
    let server = server(|_| {});
    let get = request("GET", "/v2");
    let cases = [
        [field(":scheme", "http"), field(":path", "/")].concat(),
        [&get[..], &field(":method", "POST")].concat(),
        [&field("a", "b")[..], &get].concat(),
        [&get[..], &field(":status", "200")].concat(),
        [&get[..], &field("Upper", "case")].concat(),
        [&get[..], &field("connection", "close")].concat(),
        [&get[..], &field("transfer-encoding", "chunked")].concat(),
        [&get[..], &field("a", "b\r\nc: d")].concat(),
        [&get[..], &field("a\0", "b")].concat(),
        [&get[..], &field("content-length", "5")].concat(),
        request("GET", ""),
        request("", "/"),
    ];
    for (index, headers) in cases.iter().enumerate() {
        let mut client = Connection::open(server.address);
        client.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, headers));
        let answer = client.answer(1);
        assert!(answer.as_ref().is_none_or(|(status, _)| *status == 400), "{index}: {answer:?}");
    }
    is_as_new(&server);
}

#[test]
fn streams_that_are_opened_to_be_reset_end_the_connection() {
    let server = server(|_| {});
    let mut client = Connection::open(server.address);
    let mut stream = 1;
    let flood = |stream| {
        let headers = frame(HEADERS, END_HEADERS, stream, &request("POST", "/v2/models/wait/infer"));
        [headers, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    while stream < 1_000_000 && client.write(&flood(stream)) {
        stream += 2;
    }
    assert!(stream < 1_000_000, "the server takes all of it");
    is_as_new(&server);
}

#[test]
fn headers_without_an_end_end_the_connection() {
    let server = server(|_| {});
    let mut client = Connection::open(server.address);
    client.write(&frame(HEADERS, END_STREAM, 1, &request("GET", "/v2")));
    let more = frame(CONTINUATION, 0, 1, &field("a", "b").repeat(2000));
    let mut sent = 0;
    while sent < 10_000 && client.write(&more) {
        sent += 1;
    }
    assert!(sent < 10_000, "the server takes all of it");
    // Empty ones are not even large.
    let mut client = Connection::open(server.address);
    client.write(&frame(HEADERS, END_STREAM, 1, &request("GET", "/v2")));
    let mut sent = 0;
    while sent < 1_000_000 && client.write(&frame(CONTINUATION, 0, 1, &[])) {
        sent += 1;
    }
    assert!(sent < 1_000_000, "the server takes all of it");
    is_as_new(&server);
}

/// One entry of the table, named over and over: a few bytes become many.
#[test]
fn headers_that_unpack_to_too_much_are_refused() {
    let server = server(|_| {});
    let mut client = Connection::open(server.address);
    // RFC 7541, 6.2.1: kept in the table, as its first own entry, 62.
    let kept = [&[0x40, 1, b'a', 0x7f, 0x81, 0x1e][..], &[b'b'; 4000]].concat();
    let bomb = [request("GET", "/v2"), kept, vec![0x80 | 62; 10_000]].concat();
    client.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb));
    let answer = client.answer(1);
    assert!(answer.as_ref().is_none_or(|(status, _)| *status != 200), "{answer:?}");
    drop(client);
    is_as_new(&server);
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let server = server(|_| {});
    let mut client = Connection::open(server.address);
    // Open, and never finished.
    for index in 0..400 {
        let headers = request("POST", "/v2/models/wait/infer");
        client.write(&frame(HEADERS, END_HEADERS, 2 * index + 1, &headers));
    }
    let refused = client.next_of(RST_STREAM);
    assert!(refused.stream > 2 * 200, "{refused:?}");
    assert_eq!(refused.error(), REFUSED_STREAM);
    drop(client);
    is_as_new(&server);
}

/// A client that asks for answers of the connection itself, and takes none.
#[test]
fn floods_whose_answers_are_not_taken_end_the_connection() {
    let server = server(|limits| limits.write_timeout = SHORT);
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[]), setting(4, 1000)] {
        let mut client = Connection::open(server.address);
        let flood = flood.repeat(1000);
        while client.write(&flood) {}
    }
    is_as_new(&server);
}

#[test]
fn an_answer_that_is_not_taken_is_given_up_alone() {
    let server = server(|limits| limits.write_timeout = SHORT);
    server.gate.open();
    let mut client = Connection::without_window(server.address);
    client.post(1, "/v2/models/wait/infer", GOOD.as_bytes());
    let reset = client.next_of(RST_STREAM);
    assert_eq!(reset.stream, 1);
    // The connection lives on.
    client.write(&setting(4, 1 << 20));
    client.get(3, "/v2/health/live");
    assert_eq!(client.answer(3).unwrap().0, 200);
    drop(client);
    is_as_new(&server);
}

#[test]
fn a_request_that_is_reset_gives_its_turn_back() {
    let server = server(|limits| limits.function_concurrency = 1);
    let mut client = Connection::open(server.address);
    client.post(1, "/v2/models/wait/infer", GOOD.as_bytes());
    server.gate.wait_for(1);
    client.write(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    wait_for(&server, "samara_requests_in_flight", 0);
    client.post(3, "/v2/models/wait/infer", GOOD.as_bytes());
    server.gate.let_pass(1);
    assert_eq!(client.answer(3).unwrap().0, 200);
    drop(client);
    is_as_new(&server);
}

#[test]
fn grpc_that_is_none_is_answered() {
    let server = server(|limits| limits.body = 1 << 20);
    let path = "/inference.GRPCInferenceService/ModelInfer";
    let cases: [&[u8]; 7] = [
        b"",
        b"\0",
        b"\0\xff\xff\xff\xff",
        b"\x01\0\0\0\x03abc",
        b"\x07\0\0\0\x03abc",
        b"\0\0\0\0\x05\xff\xff\xff\xff\xff",
        b"\0\0\0\0\x10x",
    ];
    for (index, body) in cases.into_iter().enumerate() {
        let mut client = Connection::open(server.address);
        let headers = [request("POST", path), field("content-type", "application/grpc")].concat();
        client.write(&frame(HEADERS, END_HEADERS, 1, &headers));
        client.write(&frame(DATA, END_STREAM, 1, body));
        let (status, _) = client.answer(1).unwrap_or_else(|| panic!("{index}: no answer"));
        assert_eq!(status, 200, "{index}: gRPC tells errors behind a good status");
    }
    assert_eq!(sum(&server, "samara_requests_total"), 0);
    is_as_new(&server);
}
