//! Tensors behind the JSON.

use samara_test::onnx::ready;
use serde_json::{Value, json};

use crate::common::client::Reply;
use crate::common::{Builder, Item, Server};

fn server() -> Server {
    Builder::new()
        .serve(Item::model("double", ready::double()))
        .serve(Item::model("several", ready::several_outputs()))
        .serve(Item::guest("text", "function_text"))
        .serve(Item::guest("datatypes", "function_datatypes"))
        .start()
}

fn send(server: &Server, function: &str, json: &str, behind: &[u8]) -> Reply {
    let length = json.len().to_string();
    let headers =
        [("content-type", "application/octet-stream"), ("inference-header-content-length", length.as_str())];
    let body = [json.as_bytes(), behind].concat();
    server.client().send("POST", &format!("/v2/models/{function}/infer"), &headers, &body)
}

/// The JSON of an answer and the bytes behind it.
fn parts(reply: &Reply) -> (Value, &[u8]) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    let length: usize = reply.header("inference-header-content-length").unwrap().parse().unwrap();
    (serde_json::from_slice(&reply.body[..length]).unwrap(), &reply.body[length..])
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn request(outputs: Value, parameters: Value) -> String {
    json!({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}],
        "outputs": outputs,
        "parameters": parameters,
    })
    .to_string()
}

#[test]
fn tensors_travel_behind_the_json_both_ways() {
    let server = server();
    let input = bytes(&[1.0, 2.0, 3.0, 4.0]);
    for (outputs, parameters) in [
        (json!([{"name": "y", "parameters": {"binary_data": true}}]), json!({})),
        (json!(null), json!({"binary_data_output": true})),
        (json!([{"name": "y"}]), json!({"binary_data_output": true})),
    ] {
        let reply = send(&server, "double", &request(outputs, parameters), &input);
        let (json, behind) = parts(&reply);
        assert_eq!(behind, bytes(&[2.0, 4.0, 6.0, 8.0]));
        let output =
            json!({"name": "y", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}});
        assert_eq!(json["outputs"], json!([output]));
    }
    let plain = json!([{"name": "y", "parameters": {"binary_data": false}}]);
    let reply = send(&server, "double", &request(plain, json!({"binary_data_output": true})), &input);
    assert_eq!(reply.header("inference-header-content-length"), None);
    assert_eq!(reply.json()["outputs"][0]["data"], json!([2.0, 4.0, 6.0, 8.0]));
}

#[test]
fn some_outputs_may_be_behind_and_some_in_the_json() {
    let server = server();
    let json = json!({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [-1, 2]}],
        "outputs": [{"name": "negative", "parameters": {"binary_data": true}}, {"name": "shape"},
                    {"name": "is_positive", "parameters": {"binary_data": true}}],
    });
    let reply = send(&server, "several", &json.to_string(), b"");
    let (json, behind) = parts(&reply);
    assert_eq!(json["outputs"][1]["data"], json!([1, 2]));
    assert_eq!(json["outputs"][2]["parameters"]["binary_data_size"], 2);
    assert_eq!(behind, [bytes(&[1.0, -2.0]), vec![0, 1]].concat());
}

#[test]
fn every_datatype_travels_as_its_bytes() {
    let server = server();
    let sizes = [
        ("bool", 1),
        ("uint8", 1),
        ("uint16", 2),
        ("uint32", 4),
        ("uint64", 8),
        ("int8", 1),
        ("int16", 2),
        ("int32", 4),
        ("int64", 8),
        ("fp16", 2),
        ("bf16", 2),
        ("fp32", 4),
        ("fp64", 8),
    ];
    let mut inputs = Vec::new();
    let mut behind = Vec::new();
    for (name, size) in sizes {
        let datatype = name.to_uppercase();
        inputs.push(json!({"name": format!("{name}_in"), "datatype": datatype, "shape": [1], "parameters": {"binary_data_size": size}}));
        behind.extend(std::iter::repeat_n(1u8, size));
    }
    inputs.push(json!({"name": "bytes_in", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 10}}));
    behind.extend(b"\x02\0\0\0\xff\x00\0\0\0\0");
    let json = json!({"inputs": inputs, "parameters": {"binary_data_output": true}});
    let reply = send(&server, "datatypes", &json.to_string(), &behind);
    assert_eq!(parts(&reply).1, behind);
}

#[test]
fn a_body_without_json_is_the_only_input() {
    let server = server();
    let headers = [("inference-header-content-length", "0")];
    let input = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let reply = server.client().send("POST", "/v2/models/double/infer", &headers, &input);
    let (json, behind) = parts(&reply);
    assert_eq!(json["outputs"][0]["shape"], json!([2, 4]));
    assert_eq!(behind[28..], bytes(&[16.0]));
    let reply = server.client().send("POST", "/v2/models/double/infer", &headers, &input[1..]);
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("`x FP32[-1,4]`"), "{}", reply.error());
}

#[test]
fn wrong_sizes_are_refused_with_the_tensors_name() {
    let server = server();
    let json = request(json!([]), json!({}));
    let input = bytes(&[1.0, 2.0, 3.0, 4.0]);
    let with_size = |size: i64| json.replace("16", &size.to_string());
    let cases = [
        (json.clone(), &input[..15], "`binary_data_size` is 16, and 15 bytes are left"),
        (with_size(-1), &input, "`binary_data_size` is -1"),
        (with_size(i64::MAX), &input, "`binary_data_size` is 9223372036854775807"),
        (with_size(12), &input[..12], "takes 16 bytes, not 12; the function takes `x FP32[-1,4]`"),
        (with_size(8), &input, "takes 16 bytes, not 8"),
        (json.clone(), &[&input[..], &[0]].concat(), "1 bytes behind the JSON belong to no tensor"),
        (json.replace("\"shape\"", "\"data\":[1,2,3,4],\"shape\""), &input, "has both `data` and"),
    ];
    for (json, behind, words) in cases {
        let reply = send(&server, "double", &json, behind);
        assert_eq!(reply.status, 400);
        assert!(reply.error().contains(words), "{words}: {}", reply.error());
    }
    for (length, words) in [
        ("1000", "is 1000, but the body has"),
        ("x", "is \"x\", not a number"),
        ("-1", "is \"-1\""),
        ("5", "no request"),
    ] {
        let headers = [("inference-header-content-length", length)];
        let reply = server.client().send("POST", "/v2/models/double/infer", &headers, json.as_bytes());
        assert_eq!(reply.status, 400);
        assert!(reply.error().contains(words), "{words}: {}", reply.error());
    }
    let reply = server.post("/v2/models/double/infer", &json);
    assert!(reply.error().contains("Inference-Header-Content-Length"), "{}", reply.error());
}

#[test]
fn text_that_is_none_comes_in_base64() {
    let server = server();
    let json = json!({"inputs": [{"name": "bytes_in", "datatype": "BYTES", "shape": [1], "data": ["/wA="],
        "parameters": {"content_type": "base64"}}]});
    // All other inputs of that function are missing.
    let reply = send(&server, "datatypes", &json.to_string(), b"");
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("`bool_in BOOL[-1]` is missing"), "{}", reply.error());
}
