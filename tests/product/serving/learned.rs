//! A pipeline of scikit-learn with columns of words, served by both engines: text
//! goes in and comes out, and the metadata name the classes.

use serde_json::{Value, json};

use super::{Server, curled, serving};

#[test]
fn words_go_in_and_labels_come_out() {
    let folder = samara_test::target().join("fixtures/sklearn");
    let Some(model) = samara_test::fixture(folder.join("columns.onnx")) else { return };
    let mut answers = Vec::new();
    for (backend, library) in [("tract", None), ("onnxruntime", samara_test::onnxruntime_library())] {
        if backend == "onnxruntime" && library.is_none() {
            continue;
        }
        let served = format!("wine={}", model.display());
        let mut command = serving(&["--backend", backend, &served]);
        if let Some(library) = library {
            command.env("SAMARA_ONNXRUNTIME", library);
        }
        let server = Server::start(&mut command);
        let url = format!("{}/v2/models/wine", server.url());
        let Some(answer) = curled([&format!("{url}/infer"), "-d", &request().to_string()]) else { return };
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["parameters"]["backend"], backend);
        assert_eq!(answer["outputs"][0]["data"], json!(["Barolo", "Grignolino"]), "{answer}");
        answers.push(answer["outputs"][1]["data"].as_array().unwrap().clone());
        let mut best = request();
        best["outputs"] = json!([{ "name": "output_probability", "parameters": { "classification": 1 } }]);
        let best = curled([&format!("{url}/infer"), "-d", &best.to_string()]).unwrap();
        let best: Value = serde_json::from_str(&best).unwrap();
        assert!(best["outputs"][0]["data"][0].as_str().unwrap().ends_with(":1:Barolo"), "{best}");
        let metadata: Value = serde_json::from_str(&curled([&url]).unwrap()).unwrap();
        let labels = json!({ "output_probability": ["Barbera", "Barolo", "Grignolino"] });
        assert_eq!(metadata["parameters"]["labels"], labels);
    }
    for pair in answers.windows(2) {
        for (ours, theirs) in pair[0].iter().zip(&pair[1]) {
            let (ours, theirs) = (ours.as_f64().unwrap(), theirs.as_f64().unwrap());
            assert!((ours - theirs).abs() <= 1e-5, "{ours} and {theirs}");
        }
    }
}

/// Two wines: one as the first kind is, one as the second.
fn request() -> Value {
    let column = |name: &str, datatype: &str, data: Value| json!({ "name": name, "datatype": datatype, "shape": [2, 1], "data": data });
    json!({ "inputs": [
        column("f0", "FP32", json!([2.8, 2.0])),
        column("f1", "FP32", json!([3.06, 1.5])),
        column("f2", "FP32", json!([0.28, 0.4])),
        column("f3", "FP32", json!([2.29, 1.4])),
        column("word0", "BYTES", json!(["very high", "low"])),
        column("word1", "BYTES", json!(["middling", "low"])),
        column("word2", "BYTES", json!(["very high", "a word that nobody has seen"])),
    ] })
}
