//! Programs written for other hosts of `wasi-nn`, as their users run them.

use crate::support::{Place, numbers, root, samara};

#[test]
fn a_program_of_another_host_answers_as_the_model_does() {
    let (program, pixels) = (program(), picture());
    let model = "examples/digits/digits.onnx";
    let direct = samara(&["run", model, "--input", &pixels, "--output", "json"]).response();
    let (input, output) = (format!("f32:1x1x8x8:{pixels}"), "f32:10");

    let named = format!("digits={model},backend=tract");
    let by_name =
        samara(&["run", &program, "--model", &named, "--", "name:digits", &input, "--", output]).good();
    assert_eq!(words(&by_name), numbers(&direct, "probabilities"));
    let file = "file:/models/digits.onnx";
    let grant =
        ["run", &program, "--allow-dir", "examples/digits::/models", "--", file, &input, "--", output];
    assert_eq!(samara(&grant).good(), by_name);

    let missing = samara(&["run", &program, "--", "name:digits", &input, "--", output]).bad();
    assert!(missing.contains("or give it to a `.wasm` with `--model digits=FILE`"), "{missing}");
    let facts = samara(&["inspect", &program]).good();
    assert!(facts.starts_with("nn_run  command (WASI preview 1 module)\n"), "{facts}");
    assert!(facts.contains("nn_run  module, "), "{facts}");
    assert!(facts.contains("imports wasi_ephemeral_nn (load_by_name, load, "), "{facts}");
    let served = samara(&["serve", &program, "--listen", "127.0.0.1:0"]).bad();
    assert!(served.contains("it is a command, which runs to its end"), "{served}");
}

#[test]
fn a_program_can_be_a_project_an_image_and_a_bundle() {
    let place = Place::new();
    place.write(
        "p/samara.toml",
        "[function]\nname = \"old\"\nversion = \"1.0.0\"\ncomponent = \"old.wasm\"\n\
         [model.digits]\npath = \"digits.onnx\"\n",
    );
    place.write("p/old.wasm", std::fs::read(program()).unwrap());
    place.write("p/digits.onnx", std::fs::read(root().join("examples/digits/digits.onnx")).unwrap());
    let input = format!("f32:1x1x8x8:{}", picture());
    let call = ["--", "name:digits", &input, "--", "f32:10"];
    let run = |what: &str| place.samara(&[&["run", what], &call[..]].concat()).good();
    let answer = run("p");
    assert_eq!(words(&answer).len(), 10);
    for form in ["mixed", "tar"] {
        let name = format!("{form}:1");
        place.samara(&["pack", "p", "--form", form, "--tag", &name]).good();
        assert_eq!(run(&name), answer, "{form}");
    }
    place.samara(&["bundle", "p", "--out", "b.wasm"]).good();
    assert_eq!(run("b.wasm"), answer);
}

#[test]
fn a_component_of_the_earlier_interface_runs_unchanged() {
    let place = Place::new();
    place.tiny("tiny", 1);
    let component = samara_test::command("cli_nn_august").display().to_string();
    let ran = place.samara(&["run", &component, "--model", "m=tiny/m.onnx", "--", "1", "2.5"]).good();
    assert!(ran.contains("[2] TensorType::Fp32 [2.0, 5.0]"), "{ran}");
}

fn program() -> String {
    samara_test::module("nn_run").display().to_string()
}

/// A picture as the model of the digits example takes it.
fn picture() -> String {
    let pixels: Vec<String> = (0..64).map(|pixel| (f64::from(pixel * 7 % 17) / 16.0).to_string()).collect();
    pixels.join(",")
}

fn words(line: &str) -> Vec<f64> {
    line.split_whitespace().map(|word| word.parse().unwrap()).collect()
}
