//! The highest values of an output in place of all.

use samara_test::onnx::{FP32, ready};
use serde_json::{Value, json};

use crate::common::client::Reply;
use crate::common::{Builder, Item, Server};

fn server() -> Server {
    Builder::new()
        .serve(Item::model("identity", ready::identity(FP32)).labels("y", &["cat", "dog"]))
        .serve(Item::model("several", ready::several_outputs()))
        .serve(Item::guest("text", "function_text"))
        .start()
}

fn classify(server: &Server, data: &Value, shape: &Value, parameters: &Value) -> Reply {
    let request = json!({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": data}],
        "outputs": [{"name": "y", "parameters": parameters}],
    });
    server.post("/v2/models/identity/infer", &request.to_string())
}

#[test]
fn the_highest_values_come_with_index_and_label() {
    let server = server();
    let output = |count: u64| {
        let data = json!([[0.25, 4, 1.5], [7, 7, -1]]);
        classify(&server, &data, &json!([2, 3]), &json!({"classification": count})).json()["outputs"][0]
            .clone()
    };
    assert_eq!(
        output(2),
        json!({"name": "y", "datatype": "BYTES", "shape": [2, 2], "data": ["4:1:dog", "1.5:2", "7:0:cat", "7:1:dog"]})
    );
    assert_eq!(output(u64::from(u32::MAX))["shape"], json!([2, 3]));
}

#[test]
fn classes_may_come_behind_the_json() {
    let reply = classify(
        &server(),
        &json!([1, 2]),
        &json!([1, 2]),
        &json!({"classification": 1, "binary_data": true}),
    );
    let length: usize = reply.header("inference-header-content-length").unwrap().parse().unwrap();
    assert_eq!(&reply.body[length..], b"\x07\0\0\x002:1:dog");
}

#[test]
fn what_has_no_order_has_no_classes() {
    let request = json!({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, -1]}],
        "outputs": [{"name": "is_positive", "parameters": {"classification": 1}}],
    });
    let reply = server().post("/v2/models/several/infer", &request.to_string());
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("output `is_positive` is BOOL"), "{}", reply.error());
}
