//! The binary with a model: what it prints, and what bad input gets. The model
//! is the one that `samara new --template model` starts with.
#![cfg(feature = "tract")]

mod support;

use support::{Place, Run};

/// A place with a model function in `m`.
fn place() -> Place {
    let place = Place::new();
    let run = place.samara(&["new", "m", "--template", "model"]);
    assert_eq!(run.code, 0, "{}", run.err);
    place
}

fn refused(run: &Run, words: &str) {
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    assert!(run.err.contains(words), "{}", run.err);
}

#[test]
fn probabilities_are_drawn() {
    let run = place().samara(&["run", "m", "--input", "0,0,1"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(
        run.out,
        "probabilities  FP32[1,3]\n  2   57.61%  █████████████████▎\n  0   21.19%  ██████▍\n  1   21.19%  ██████▍\n"
    );
    assert_eq!(run.err, "");
}

#[test]
fn json_is_the_protocols_response() {
    let run = place().samara(&["--output", "json", "run", "m", "--input", "x=[[0,0,0],[0,0,0]]"]);
    let response = run.json();
    assert_eq!(response["model_name"], "m");
    assert_eq!(response["model_version"], "0.1.0");
    assert_eq!(response["parameters"]["backend"], "tract");
    assert!(response["parameters"]["total_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(response["outputs"][0]["name"], "probabilities");
    assert_eq!(response["outputs"][0]["shape"], serde_json::json!([2, 3]));
    assert_eq!(response["outputs"][0]["data"].as_array().unwrap().len(), 6);
}

#[test]
fn requests_come_on_standard_input() {
    let place = place();
    let request =
        r#"{"id": "a1", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0, 0, 0]}]}"#;
    for args in [&["run", "m", "--output", "json"][..], &["run", "m", "--output", "json", "--input", "-"]] {
        let run = place.samara_with(args, request);
        assert_eq!(run.json()["id"], "a1", "{}", run.err);
    }
    refused(
        &place.samara_with(&["run", "m"], r#"{"instances": [1]}"#),
        "cannot use the request on standard input\n  caused by: this is no request of the Open Inference Protocol",
    );
    refused(&place.samara(&["run", "m", "--input", "-"]), "standard input is empty");
    let wrong_output = request.replace("\"inputs\"", "\"outputs\": [{\"name\": \"y\"}], \"inputs\"");
    refused(
        &place.samara_with(&["run", "m"], &wrong_output),
        "the request asks for the output `y`; the function has `probabilities`",
    );
}

#[test]
fn a_model_file_runs_alone() {
    let place = place();
    let run = place.samara(&["run", "m/model.onnx", "--input", "0,0,0", "--output", "json"]);
    assert_eq!(run.json()["model_name"], "model");
    let run = place.samara(&["-v", "run", "m/model.onnx", "--input", "0,0,0"]);
    assert!(
        run.err.contains("model model: loaded by tract in ") && run.err.contains("call: "),
        "{}",
        run.err
    );
}

#[test]
fn inputs_that_do_not_fit_are_refused_before_the_model_sees_them() {
    let place = place();
    let cases = [
        ("1,2", "cannot read input `x`\n  caused by: 2 values do not make up the shape [-1,3]"),
        ("1,2,a", "cannot read input `x`\n  caused by: expected value"),
        ("1,2,1e39", "caused by: element 2: 1000000000000000000000000000000000000000 is outside FP32"),
        ("[[1,2],[3]]", "rows differ in length: 1 where the first has 2"),
        ("y=1,2,3", "unknown input `y`; the signature has `x`"),
        ("@nowhere.npy", "cannot use `nowhere.npy` for input `x`\n  caused by: cannot read `nowhere.npy`"),
    ];
    for (input, words) in cases {
        refused(&place.samara(&["run", "m", "--input", input]), words);
    }
    refused(
        &place.samara_with(
            &["run", "m"],
            r#"{"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 3], "data": [0, 0, 0]}]}"#,
        ),
        "tensor `x`: the signature asks for FP32, got INT64",
    );
}

#[test]
fn without_input_the_form_is_shown() {
    refused(
        &place().samara(&["run", "m/model.onnx"]),
        "error: no input is given; the function takes\n  x FP32[-1,3]\nhint: e.g. `samara run m/model.onnx --input 0,0,0`\n",
    );
}

#[test]
fn flags_that_do_not_go_with_a_function_are_wrong_usage() {
    let place = place();
    let run = place.samara(&["run", "m", "--input", "0,0,0", "--", "argument"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("`m` is a function, which takes no arguments after `--`"), "{}", run.err);
    let run = place.samara(&["run", "m", "--model", "x=m/model.onnx"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("a function with a manifest names its own there"), "{}", run.err);
}

#[test]
fn a_backend_that_does_not_exist_is_an_error() {
    refused(
        &place().samara(&["run", "m", "--backend", "trakt", "--input", "0,0,0"]),
        "no backend is called `trakt`; this build has ",
    );
    let run = place().samara(&["run", "m", "--target", "gpu", "--input", "0,0,0"]);
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
}

#[test]
fn a_damaged_model_is_an_error() {
    let place = place();
    place.write("bad.onnx", [0x08, 0x09, 0x3a, 0xff]);
    refused(&place.samara(&["run", "bad.onnx", "--input", "1"]), "model `bad`");
}

#[test]
fn a_compiled_model_runs_with_its_model() {
    let place = place();
    let run = place.samara(&["compile", "m/model.onnx", "-o", "soft.wasm"]);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
    assert!(run.err.contains("--model model=m/model.onnx"), "{}", run.err);
    let args = ["run", "soft.wasm", "--model", "model=m/model.onnx", "--input", "0,0,1"];
    assert!(place.samara(&args).out.starts_with("probabilities  FP32[1,3]\n  2   57.61%"));
    refused(
        &place.samara(&["run", "soft.wasm", "--input", "0,0,1"]),
        "hint: a `.wasm` is given models by `samara run soft.wasm --model NAME=FILE`",
    );
    refused(&place.samara(&["compile", "m/model.onnx", "-o", "m"]), "error: `m` is a folder\nhint: ");
}

#[test]
fn tests_are_judged() {
    let place = place();
    let manifest = std::fs::read_to_string(place.path("m/samara.toml")).unwrap();
    let case = |name: &str| {
        format!("\n[[test]]\nname = \"{name}\"\ninputs = \"in.json\"\nexpect = \"{name}.json\"\n")
    };
    place.write("m/samara.toml", format!("{manifest}{}{}", case("right"), case("wrong")));
    place.write("m/in.json", "[[0, 0, 0]]");
    let response = |data: &str| {
        format!(
            r#"{{"outputs": [{{"name": "probabilities", "datatype": "FP32", "shape": [1, 3], "data": {data}}}]}}"#
        )
    };
    place.write("m/right.json", response("[0.33333, 0.33333, 0.33333]"));
    place.write("m/wrong.json", response("[0.3, 0.33333, 0.33333]"));
    let run = place.samara(&["test", "m"]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("ok    right"), "{}", run.out);
    assert!(
        run.out.contains("FAIL  wrong\n      output `probabilities`: element 0: expected 0.3"),
        "{}",
        run.out
    );
    assert!(run.out.ends_with("2 passed, 1 failed\n"), "{}", run.out);
    let run = place.samara(&["test", "m", "--output", "json"]);
    assert_eq!((run.code, run.json()["failed"].as_u64()), (1, Some(1)));
    let run = place.samara(&["run", "m"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.err, "note: no input is given, so this is the test `example` of `samara.toml`\n");
}

#[test]
fn inspect_shows_what_there_is() {
    let place = place();
    let facts = place.samara(&["inspect", "m", "--output", "json"]).json();
    assert_eq!(facts["kind"], "function");
    assert_eq!(
        facts["signature"]["inputs"][0],
        serde_json::json!({"name": "x", "datatype": "FP32", "shape": [-1, 3]})
    );
    let model = &facts["models"]["m"];
    assert_eq!((model["format"].as_str(), model["backend"].as_str()), (Some("ONNX"), Some("tract")));
    assert!(model["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(facts["limits"]["deadline_ms"], 30_000);
    assert!(place.samara(&["inspect", "m"]).out.contains("    x  FP32[-1,3]\n"));
}

#[test]
fn backends_are_listed() {
    let run = Place::new().samara(&["backends", "--output", "json"]);
    let backends = run.json();
    let tract =
        backends["backends"].as_array().unwrap().iter().find(|backend| backend["name"] == "tract").unwrap();
    assert_eq!(tract["available"], true);
}

#[test]
fn a_model_that_no_backend_reads_is_not_packed() {
    let place = place();
    place.write("m/model.onnx", b"\x08\x0a\x12\x07pytorch");
    refused(
        &place.samara(&["pack", "m"]),
        "error: cannot pack `[model.m]`\n  caused by: model `m`: samara cannot read it: ",
    );
    assert_eq!(place.samara(&["images", "--output", "json"]).out, "[]\n");
}

/// `y = x + w`, the weights in a file below the folder.
fn nnef(place: &Place, folder: &str) {
    let graph = "version 1.0;\ngraph net( x ) -> ( y ) {\n  x = external<scalar>(shape = [1, 2]);\n  \
                 w = variable<scalar>(shape = [1, 2], label = 'layer/w');\n  y = add(x, w);\n}\n";
    place.write(&format!("{folder}/graph.nnef"), graph);
    let numbers =
        |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let mut weights = [vec![0x4e, 0xef, 1, 0], numbers(&[8, 2, 1, 2, 0, 0, 0, 0, 0, 0, 32])].concat();
    weights.resize(128, 0);
    weights.extend([10f32, 20.0].iter().flat_map(|number| number.to_le_bytes()));
    place.write(&format!("{folder}/layer/w.dat"), weights);
}

#[test]
fn a_folder_with_a_graph_is_a_model() {
    let place = Place::new();
    nnef(&place, "sum.nnef");
    for folder in ["sum.nnef", "./sum.nnef/"] {
        let run = place.samara(&["--output", "json", "run", folder, "--input", "[[1, 2]]"]);
        assert_eq!(run.json()["model_name"], "sum", "{}", run.err);
        assert_eq!(run.json()["outputs"][0]["data"], serde_json::json!([11.0, 22.0]));
    }
    // A manifest may name it, but what travels is one file.
    place.write("f/samara.toml", "[function]\nname = \"f\"\n[model.m]\npath = \"net\"\n");
    nnef(&place, "f/net");
    let run = place.samara(&["run", "f", "--input", "[[1, 2]]"]);
    assert_eq!(run.out, "y  FP32[1,2]  [11.0, 22.0]\n", "{}", run.err);
    refused(&place.samara(&["pack", "f"]), "hint: if it is an NNEF model, make an archive of it: `tar -czf");
    // A function's folder is that, whatever else lies in it.
    place.write("f/graph.nnef", "no graph");
    assert_eq!(place.samara(&["run", "f", "--input", "[[1, 2]]"]).code, 0);
}

#[test]
fn a_folder_of_another_kind_is_named_as_what_it_is() {
    let place = Place::new();
    place.write("saved/saved_model.pb", b"\x08\x01\x12\x90\x02");
    refused(&place.samara(&["run", "saved"]), "`saved` cannot be run: it is a SavedModel of TensorFlow");
}
