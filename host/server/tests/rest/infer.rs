//! Inference with tensors in JSON.

use samara_test::onnx::{self, ready};
use serde_json::{Value, json};

use crate::common::{Builder, Item, Server};

fn server() -> Server {
    Builder::new()
        .serve(Item::model("double", ready::double()))
        .serve(Item::model("double", ready::double()).version("2"))
        .serve(Item::model("several", ready::several_outputs()))
        .serve(Item::model("scalar", ready::scalar()))
        .serve(Item::guest("datatypes", "function_datatypes"))
        .start()
}

/// One row for `double`.
const ROW: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[[1,2,3,4.5]]}]}"#;

fn infer(server: &Server, path: &str, request: &Value) -> Value {
    let reply = server.post(path, &request.to_string());
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    reply.json()
}

#[test]
fn an_answer_has_the_fields_of_the_protocol() {
    let server = server();
    let answer = server.post("/v2/models/double/infer", ROW).json();
    assert_eq!(answer["model_name"], "double");
    assert_eq!(answer["model_version"], "2", "the last version answers");
    assert_eq!(
        answer["outputs"],
        json!([{"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [2.0, 4.0, 6.0, 9.0]}])
    );
    assert_eq!(answer["parameters"]["backend"], "tract");
    for time in ["total_us", "queue_us", "compute_us"] {
        assert!(answer["parameters"][time].is_u64(), "{answer}");
    }
    assert!(answer.get("id").is_none());
    let answer = server.post("/v2/models/double/versions/1/infer", ROW).json();
    assert_eq!(answer["model_version"], "1");
}

#[test]
fn every_datatype_goes_there_and_back() {
    let server = server();
    let cases = [
        ("bool", "BOOL", json!([true, false])),
        ("uint8", "UINT8", json!([0, 255])),
        ("uint16", "UINT16", json!([0, 65535])),
        ("uint32", "UINT32", json!([0, 4294967295u32])),
        ("uint64", "UINT64", json!([0, 18446744073709551615u64])),
        ("int8", "INT8", json!([-128, 127])),
        ("int16", "INT16", json!([-32768, 32767])),
        ("int32", "INT32", json!([-2147483648, 2147483647])),
        ("int64", "INT64", json!([i64::MIN, i64::MAX])),
        ("fp16", "FP16", json!([0.5, -65504.0])),
        ("bf16", "BF16", json!([0.5, -3.0])),
        ("fp32", "FP32", json!([0.1, -1.5])),
        ("fp64", "FP64", json!([0.1, -1.0e300])),
        ("bytes", "BYTES", json!(["", "sämärä \" \n"])),
    ];
    let inputs: Vec<Value> = cases
        .iter()
        .map(|(name, datatype, data)| {
            json!({"name": format!("{name}_in"), "datatype": datatype, "shape": [2], "data": data})
        })
        .collect();
    let answer = infer(&server, "/v2/models/datatypes/infer", &json!({ "inputs": inputs }));
    for ((name, datatype, data), output) in cases.iter().zip(answer["outputs"].as_array().unwrap()) {
        let expected =
            json!({"name": format!("{name}_out"), "datatype": datatype, "shape": [2], "data": data});
        assert_eq!(*output, expected);
    }
}

#[test]
fn identities_of_every_datatype_that_models_have_keep_their_values() {
    let cases = [
        (onnx::FP32, "FP32", json!([1.5, -2.0])),
        (onnx::FP64, "FP64", json!([0.1, -2.0])),
        (onnx::FP16, "FP16", json!([0.5, 2.0])),
        (onnx::INT8, "INT8", json!([-1, 2])),
        (onnx::INT32, "INT32", json!([-1, 2])),
        (onnx::INT64, "INT64", json!([-1, 2])),
        (onnx::UINT8, "UINT8", json!([1, 255])),
        (onnx::BOOL, "BOOL", json!([true, false])),
    ];
    let mut builder = Builder::new();
    for (datatype, name, _) in &cases {
        builder = builder.serve(Item::model(name, ready::identity(*datatype)));
    }
    let server = builder.start();
    for (_, name, data) in &cases {
        let request = json!({"inputs": [{"name": "x", "datatype": name, "shape": [1, 2], "data": data}]});
        let answer = infer(&server, &format!("/v2/models/{name}/infer"), &request);
        assert_eq!(answer["outputs"][0]["data"], *data, "{name}");
    }
}

#[test]
fn ids_come_back_in_the_answer_and_in_the_header() {
    let server = server();
    let with_id = ROW.replacen('{', r#"{"id":"a-7","#, 1);
    let mut client = server.client();
    let json = [("content-type", "application/json"), ("x-request-id", "other")];
    let reply = client.send("POST", "/v2/models/double/infer", &json, with_id.as_bytes());
    assert_eq!((reply.json()["id"].as_str(), reply.header("x-request-id")), (Some("a-7"), Some("a-7")));
    let reply = client.send("POST", "/v2/models/double/infer", &json, ROW.as_bytes());
    assert_eq!((reply.json().get("id"), reply.header("x-request-id")), (None, Some("other")));
    // One that no log could hold is given back where it came from.
    let odd = ROW.replacen('{', r#"{"id":"ä b","#, 1);
    let reply = client.send("POST", "/v2/models/double/infer", &json, odd.as_bytes());
    assert_eq!((reply.json()["id"].as_str(), reply.header("x-request-id")), (Some("ä b"), Some("other")));
}

#[test]
fn outputs_come_in_the_order_that_is_asked_for() {
    let server = server();
    let inputs = json!([{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [-1, 2]}]);
    let names = |outputs: Value| {
        let request = json!({ "inputs": inputs, "outputs": outputs });
        let answer = infer(&server, "/v2/models/several/infer", &request);
        let names = answer["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|output| output["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(json!([])), ["shape", "is_positive", "negative"]);
    assert_eq!(names(json!(null)), ["shape", "is_positive", "negative"]);
    assert_eq!(names(json!([{"name": "negative"}, {"name": "shape"}])), ["negative", "shape"]);
}

#[test]
fn what_real_clients_add_is_no_hindrance() {
    let server = server();
    let data = json!([1, 2, 3, 4]);
    let input = json!({"name": "x", "datatype": "FP32", "shape": [1, 4], "data": data});
    let mut hinted = input.clone();
    hinted["parameters"] = json!({"content_type": "np", "anything": {"a": [1]}});
    let mut nulls = input.clone();
    nulls["parameters"] = json!(null);
    let requests = [
        json!({"inputs": [input], "parameters": {}, "id": null, "outputs": null}),
        json!({"inputs": [input], "parameters": {"binary_data_output": false, "priority": 3, "x": "y"}}),
        json!({"inputs": [input], "parameters": null, "model_name": "double", "model_version": "1"}),
        json!({"inputs": [input], "parameters": {"sequence_id": 0, "sequence_start": false, "timeout": 0}}),
        json!({"inputs": [input], "parameters": {"sequence_id": ""}, "outputs": [{"name": "y", "parameters": {"classification": 0}}]}),
        json!({"inputs": [hinted], "parameters": {"timeout": 60_000_000}}),
        json!({"inputs": [nulls]}),
    ];
    for request in &requests {
        assert_eq!(
            infer(&server, "/v2/models/double/infer", request)["outputs"][0]["data"],
            json!([2.0, 4.0, 6.0, 8.0])
        );
    }
}

#[test]
fn a_lone_value_may_stand_for_a_scalar() {
    let server = server();
    for shape in [json!([]), json!([1])] {
        let request = json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": [1]}]});
        let answer = infer(&server, "/v2/models/scalar/infer", &request);
        assert_eq!(
            answer["outputs"][0],
            json!({"name": "y", "datatype": "FP32", "shape": [], "data": [2.0]})
        );
    }
}

#[test]
fn a_timeout_ends_a_request_that_waits() {
    let server = Builder::new().serve(Item::gated("slow")).start();
    let input = json!({"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]});
    // A microsecond is over before anything runs.
    let request = json!({"inputs": [input], "parameters": {"timeout": 1}});
    let reply = server.post("/v2/models/slow/infer", &request.to_string());
    assert_eq!(reply.status, 504, "{reply:?}");
    let json = [("x-request-timeout-ms", "1")];
    let body = json!({ "inputs": [input] }).to_string();
    let reply = server.client().send("POST", "/v2/models/slow/infer", &json, body.as_bytes());
    assert_eq!(reply.status, 504, "{reply:?}");
    server.gate.open();
    assert_eq!(server.post("/v2/models/slow/infer", &body).status, 200);
}

#[test]
fn one_connection_carries_many_requests() {
    let server = server();
    let mut client = server.client();
    for _ in 0..50 {
        assert_eq!(client.send("POST", "/v2/models/double/infer", &[], ROW.as_bytes()).status, 200);
        assert_eq!(client.send("GET", "/v2/health/live", &[], b"").status, 200);
    }
    // Two at once.
    let one = format!(
        "POST /v2/models/double/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{ROW}",
        ROW.len()
    );
    client.write(one.repeat(2).as_bytes());
    assert_eq!((client.reply("POST").status, client.reply("POST").status), (200, 200));
    // One in pieces, of unknown length.
    client.write(b"POST /v2/models/double/infer HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in ROW.as_bytes().chunks(20) {
        client.write(format!("{:x}\r\n{}\r\n", piece.len(), str::from_utf8(piece).unwrap()).as_bytes());
    }
    client.write(b"0\r\n\r\n");
    assert_eq!(client.reply("POST").status, 200);
}
