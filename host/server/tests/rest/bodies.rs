//! Compressed bodies.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use samara_test::onnx::{FP32, ready};
use serde_json::json;

use crate::common::{Builder, Item, Server};

fn server() -> Server {
    Builder::new()
        .serve(Item::model("identity", ready::identity(FP32)))
        .config(|config| config.limits.body = 1 << 20)
        .start()
}

fn request(columns: usize) -> Vec<u8> {
    let data: Vec<f32> = (0..columns).map(|index| index as f32 / 7.0).collect();
    let input = json!({"name": "x", "datatype": "FP32", "shape": [1, columns], "data": data});
    json!({ "inputs": [input] }).to_string().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_requests_are_taken() {
    let server = server();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&request(100)).unwrap();
    for (encoding, body) in
        [("gzip", gzip(&request(100))), ("deflate", zlib.finish().unwrap()), ("identity", request(100))]
    {
        let headers = [("content-encoding", encoding)];
        let reply = server.client().send("POST", "/v2/models/identity/infer", &headers, &body);
        assert_eq!(reply.status, 200, "{encoding}: {reply:?}");
    }
    let headers = [("content-encoding", "br")];
    assert_eq!(server.client().send("POST", "/v2/models/identity/infer", &headers, b"x").status, 415);
    let headers = [("content-encoding", "gzip")];
    assert_eq!(server.client().send("POST", "/v2/models/identity/infer", &headers, b"x").status, 400);
}

#[test]
fn a_small_body_that_becomes_a_large_one_is_refused() {
    let server = server();
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let headers = [("content-encoding", "gzip")];
    let reply = server.client().send("POST", "/v2/models/identity/infer", &headers, &bomb);
    assert_eq!(reply.status, 413);
    assert!(reply.error().contains("1048576 bytes"), "{}", reply.error());
}

#[test]
fn large_answers_are_compressed_for_who_wants_it() {
    let server = server();
    let send = |columns: usize, accepted: &str| {
        let headers = [("accept-encoding", accepted)];
        server.client().send("POST", "/v2/models/identity/infer", &headers, &request(columns))
    };
    let large = send(20_000, "gzip, deflate");
    assert_eq!(
        (large.status, large.header("content-encoding"), large.header("vary")),
        (200, Some("gzip"), Some("accept-encoding"))
    );
    let mut text = String::new();
    GzDecoder::new(&large.body[..]).read_to_string(&mut text).unwrap();
    let plain = send(20_000, "identity");
    assert_eq!(plain.header("content-encoding"), None);
    let outputs = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["outputs"].clone();
    assert_eq!(outputs(&text), outputs(&plain.text()));
    assert_eq!(outputs(&text)[0]["data"][7], 1.0);
    assert_eq!(send(10, "gzip").header("content-encoding"), None);
}
