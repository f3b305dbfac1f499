//! What clients may know of the server and its functions.

use samara_test::onnx::ready;
use serde_json::json;

use crate::common::{Builder, Item, Server};

fn server() -> Server {
    Builder::new()
        .serve(Item::model("double", ready::double()))
        .serve(Item::model("double", ready::double()).version("2.1.0"))
        .serve(Item::gated("slow"))
        .serve(Item::guest("text", "function_text"))
        .serve_as("a", Item::model("double", ready::double()), |config| {
            config.name = Some("a/b c".to_owned())
        })
        .start()
}

#[test]
fn the_server_names_what_it_can_do() {
    let server = server();
    for path in ["/v2", "/v2/"] {
        let metadata = server.get(path).json();
        assert_eq!(metadata["name"], "samara");
        assert_eq!(metadata["version"], env!("CARGO_PKG_VERSION"));
        let extensions = metadata["extensions"].as_array().unwrap();
        assert!(
            extensions.contains(&json!("binary_tensor_data"))
                && extensions.contains(&json!("classification"))
        );
        assert!(!extensions.contains(&json!("sequence")));
    }
}

#[test]
fn a_function_says_what_it_takes_and_gives() {
    let server = server();
    let expected = json!({
        "name": "double",
        "versions": ["1", "2.1.0"],
        "platform": "tract_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
    });
    for path in ["/v2/models/double", "/v2/models/double/versions/1", "/v2/models/double/"] {
        assert_eq!(server.get(path).json(), expected, "{path}");
    }
    let text = server.get("/v2/models/text").json();
    assert_eq!(text["platform"], "samara_wasm");
    assert_eq!(text["inputs"][0]["datatype"], "BYTES");
    assert_eq!(server.get("/v2/models/a%2Fb%20c").json()["name"], "a/b c");
    assert_eq!(server.get("/v2/models/double/versions/3").status, 404);
}

#[test]
fn labels_are_the_manifests_or_else_the_models() {
    let server = Builder::new()
        .serve(Item::model("own", ready::labelled()))
        .serve(Item::model("set", ready::labelled()).labels("y", &["off", "on"]))
        .serve(Item::model("none", ready::labelled()).labels("y", &[]))
        .start();
    for (name, labels) in [("own", Some(["no", "yes"])), ("set", Some(["off", "on"])), ("none", None)] {
        let metadata = server.get(&format!("/v2/models/{name}")).json();
        assert_eq!(metadata["parameters"]["labels"]["y"], json!(labels), "{metadata}");
        let config = server.get(&format!("/v2/models/{name}/config")).json();
        let text = config["parameters"]["labels"]["string_value"].as_str();
        let expected = labels.map(|labels| json!({ "y": labels }).to_string());
        assert_eq!(text, expected.as_deref(), "{config}");
    }
}

#[test]
fn readiness_is_told_by_version() {
    let server = server();
    assert_eq!(server.get("/v2/models/double/ready").json(), json!({"name": "double", "ready": true}));
    assert_eq!(server.get("/v2/models/double/versions/2.1.0/ready").status, 200);
    assert_eq!(server.get("/v2/models/double/versions/3/ready").status, 404);
    assert_eq!(server.get("/v2/models/nobody/ready").status, 404);
    server.post("/v2/repository/models/slow/unload", "");
    let reply = server.get("/v2/models/slow/ready");
    assert_eq!((reply.status, reply.json()), (503, json!({"name": "slow", "ready": false})));
}

#[test]
fn configurations_leave_out_the_axis_of_merged_rows() {
    let server = server();
    // The gate's backend says that rows are independent.
    let config = server.get("/v2/models/slow/config").json();
    assert_eq!(config["max_batch_size"], 32);
    assert_eq!(config["dynamic_batching"], json!({"max_queue_delay_microseconds": 0}));
    assert_eq!(config["input"], json!([{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}]));
    assert_eq!((&config["platform"], &config["backend"]), (&json!("gate_onnx"), &json!("gate")));
    let config = server.get("/v2/models/text/config").json();
    assert_eq!((&config["max_batch_size"], config.get("dynamic_batching")), (&json!(0), None));
    assert_eq!(config["input"][0]["data_type"], "TYPE_STRING");
    assert_eq!(config["parameters"]["version"]["string_value"], "1");
    let versioned = server.get("/v2/models/double/versions/2.1.0/config").json();
    assert_eq!(versioned["parameters"]["version"]["string_value"], "2.1.0");
}

#[test]
fn statistics_count_what_was_asked() {
    let server = server();
    let row = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}"#;
    for _ in 0..3 {
        assert_eq!(server.post("/v2/models/double/versions/1/infer", row).status, 200);
    }
    let bad = row.replace("[1,4]", "[2,2]");
    assert_eq!(server.post("/v2/models/double/versions/1/infer", &bad).status, 400);
    let stats = server.get("/v2/models/double/versions/1/stats").json();
    let [one] = stats["model_stats"].as_array().unwrap().as_slice() else { panic!("{stats}") };
    assert_eq!((&one["name"], &one["version"]), (&json!("double"), &json!("1")));
    assert_eq!((&one["inference_count"], &one["execution_count"]), (&json!(3), &json!(3)));
    assert!(one["last_inference"].as_u64().unwrap() > 1_600_000_000_000, "{one}");
    let sums = &one["inference_stats"];
    assert_eq!((&sums["success"]["count"], &sums["fail"]["count"]), (&json!(3), &json!(1)));
    assert!(sums["success"]["ns"].as_u64() >= sums["compute_infer"]["ns"].as_u64(), "{one}");
    let count = |path: &str| server.get(path).json()["model_stats"].as_array().unwrap().len();
    assert_eq!((count("/v2/models/double/stats"), count("/v2/models/stats")), (2, 5));
    assert_eq!(server.get("/v2/models/nobody/stats").status, 404);
    assert_eq!(server.get("/v2/models/double/versions/9/stats").status, 404);
}

#[test]
fn the_interface_is_described_for_programs() {
    let reply = server().get("/openapi.json");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = document["paths"].as_object().unwrap();
    for path in ["/v2/models/{name}/infer", "/v2/repository/index", "/v2/health/live", "/v2"] {
        assert!(paths.contains_key(path), "{path}");
    }
}
