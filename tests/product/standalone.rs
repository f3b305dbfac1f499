//! Models that are compiled into components, from the sources of their engine on.

use serde_json::Value;

use crate::support::{command, numbers, ran, root};

#[test]
fn an_engine_is_built_once_and_takes_model_after_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (store, digits, iris) = (path("store"), path("digits.wasm"), path("iris.wasm"));
    let compile = |model: &str, out: &str| {
        let mut samara = command(root());
        // As of the other guests: what its dependencies compile to is shared.
        samara.env("CARGO_BUILD_BUILD_DIR", samara_test::target().join("guests-build"));
        samara.args(["compile", model, "--standalone", "-o", out, "--store", &store]);
        let made = ran(&mut samara);
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        made.stderr
    };
    let first = compile("examples/digits/digits.onnx", &digits);
    assert!(first.contains("Building the engine of standalone models, once"), "{first}");
    assert!(first.contains("Checked answers as tract does to 2 requests"), "{first}");
    let second = compile("examples/score-csv/iris.onnx", &iris);
    assert!(!second.contains("Building"), "{second}");
    // The engine, and nothing of what it was built in.
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("store/standalone")).unwrap().collect();
    assert_eq!(kept.len(), 1, "{kept:?}");

    let run = |what: &str, input: &str| -> Value {
        ran(command(root()).args(["run", what, "--input", input, "--output", "json", "--store", &store]))
            .response()
    };
    let pixels = vec!["0.5"; 64].join(",");
    for (model, component, input, output) in [
        ("examples/digits/digits.onnx", &digits, pixels.as_str(), "probabilities"),
        ("examples/score-csv/iris.onnx", &iris, "5.1,3.5,1.4,0.2", "probabilities"),
    ] {
        let (expected, found) = (run(model, input), run(component, input));
        let (expected, found) = (numbers(&expected, output), numbers(&found, output));
        assert_eq!(expected.len(), found.len());
        for (expected, found) in expected.iter().zip(&found) {
            assert!((expected - found).abs() < 1e-5, "{model}: {expected} {found}");
        }
    }
}
