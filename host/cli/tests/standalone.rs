//! `samara compile --standalone`: what it writes, and what keeps it from writing.
#![cfg(feature = "tract")]

mod support;

use samara_test::onnx::{Attribute, FP32, Model};
use support::{Place, Run};

/// Runs it with the runner that the tests built.
fn compile(place: &Place, model: &str, more: &[&str]) -> Run {
    let runner = samara_test::standalone_runner().display().to_string();
    let fixed = ["compile", model, "--standalone", "-o", "out.wasm", "--runner", &runner];
    place.samara(&[&fixed[..], more].concat())
}

fn refused(place: &Place, run: &Run, words: &[&str]) {
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    for words in words {
        assert!(run.err.contains(words), "{words}: {}", run.err);
    }
    assert!(!place.path("out.wasm").exists());
}

/// `y`, the softmax of two rows of what the model is given.
fn softmax() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["n", "3"])
        .node_with("Softmax", &["x"], &["y"], &[("axis", Attribute::Int(-1))])
        .output("y", FP32, &["n", "3"])
        .bytes()
}

#[test]
fn a_standalone_model_answers_as_the_model_does() {
    let place = Place::new();
    place.write("soft.onnx", softmax());
    place.write("rows.json", r#"[[0, 0, 1], [5, -5, 0]]"#);
    let made = compile(&place, "soft.onnx", &["--check", "@rows.json", "--output", "json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let told = made.json();
    assert_eq!(told["standalone"], true);
    assert_eq!((&told["checked"]["backend"], &told["checked"]["requests"]), (&"tract".into(), &3.into()));
    assert_eq!(told["signature"]["inputs"][0]["name"], "x");
    let run = |what: &str| {
        let run = place.samara(&["run", what, "--input", "@rows.json", "--output", "json"]);
        assert_eq!(run.code, 0, "{}", run.err);
        run.json()["outputs"][0].clone()
    };
    let (expected, found) = (run("soft.onnx"), run("out.wasm"));
    assert_eq!((&found["name"], &found["shape"]), (&expected["name"], &expected["shape"]));
    for (expected, found) in
        expected["data"].as_array().unwrap().iter().zip(found["data"].as_array().unwrap())
    {
        assert!((expected.as_f64().unwrap() - found.as_f64().unwrap()).abs() < 1e-6, "{expected} {found}");
    }
    let inspected = place.samara(&["inspect", "out.wasm"]);
    assert!(
        inspected.out.contains("x  FP32[-1,3]") && !inspected.out.contains("wasi:nn"),
        "{}",
        inspected.out
    );

    // The same model and runner are the same bytes, and nothing is left over beside them.
    let first = std::fs::read(place.path("out.wasm")).unwrap();
    let again = compile(&place, "soft.onnx", &[]);
    assert!(again.err.contains("Checked answers as tract does to 2 requests"), "{}", again.err);
    assert_eq!(std::fs::read(place.path("out.wasm")).unwrap(), first);

    // A component with a model takes no second one.
    std::fs::rename(place.path("out.wasm"), place.path("full.wasm")).unwrap();
    let full =
        place.samara(&["compile", "soft.onnx", "--standalone", "-o", "out.wasm", "--runner", "full.wasm"]);
    refused(&place, &full, &["the runner is not usable: it has a model already"]);
}

#[test]
fn an_answer_that_differs_is_not_written() {
    let place = Place::new();
    // A vector that only a run knows as one: the engine inside makes a matrix of it.
    let model = Model::new()
        .input("x", FP32, &["n", "2", "3"])
        .input("w", FP32, &["1", "3"])
        .ints("flat", &[1], &[-1])
        .node("Reshape", &["w", "flat"], &["v"])
        .node("MatMul", &["x", "v"], &["y"])
        .output("y", FP32, &["n", "2"]);
    place.write("vector.onnx", model.bytes());
    let run = compile(&place, "vector.onnx", &[]);
    refused(&place, &run, &["does not answer as this host does, so it is not written", "tensor `y`"]);
}

#[test]
fn what_cannot_become_standalone_is_told_before_anything_is_built() {
    let place = Place::new();
    let sign = Model::new().input("x", FP32, &["n"]).node("Sign", &["x"], &["y"]).output("y", FP32, &["n"]);
    place.write("sign.onnx", sign.bytes());
    place.write("soft.onnx", softmax());
    place.write("damaged.onnx", [0x08, 0x09, 0x3a, 0xff]);
    let refusal = compile(&place, "sign.onnx", &[]);
    refused(
        &place,
        &refusal,
        &["cannot make `sign.onnx` standalone", "node `Sign_0` (operator `Sign`): rten"],
    );
    refused(&place, &compile(&place, "damaged.onnx", &[]), &["model `damaged`"]);
    let run = |runner: &str| {
        place.samara(&["compile", "soft.onnx", "--standalone", "-o", "out.wasm", "--runner", runner])
    };
    refused(&place, &run("soft.onnx"), &["the runner is not usable: it does not begin as a runner does"]);
    refused(&place, &run("missing.wasm"), &["cannot read `missing.wasm`"]);
    let alone = place.samara(&["compile", "soft.onnx", "-o", "out.wasm", "--check", "1,2,3"]);
    assert_eq!(alone.code, 2, "{}", alone.err);
    assert!(alone.err.contains("--standalone"), "{}", alone.err);
}

#[test]
fn values_to_check_on_have_to_fit() {
    let place = Place::new();
    place.write("soft.onnx", softmax());
    let run = compile(&place, "soft.onnx", &["--check", "1,2"]);
    refused(&place, &run, &["input `x`"]);
}
