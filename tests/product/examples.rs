//! Every example runs as its README says.

use std::process::Command;

use serde_json::Value;

use crate::support::{has_gpu, numbers, ran, root, samara};

#[test]
fn examples_pass_their_own_tests() {
    for example in ["digits", "hello-tensor", "tabular"] {
        let said = samara(&["test", &format!("examples/{example}")]).good();
        assert!(said.trim_end().ends_with(", 0 failed"), "{example}: {said}");
    }
}

#[test]
fn every_sample_picture_of_digits_is_read() {
    for (file, digit) in
        [("zero.png", 0.0), ("three.png", 3.0), ("five.jpg", 5.0), ("seven.png", 7.0), ("eight.png", 8.0)]
    {
        let input = format!("image=@examples/digits/{file}");
        let response = samara(&["run", "examples/digits", "--input", &input, "--output", "json"]).response();
        assert_eq!(numbers(&response, "digit"), [digit], "{file}");
    }
}

#[test]
fn what_is_no_picture_is_told_so() {
    let ran = samara(&["run", "examples/digits", "--input", "image=@examples/digits/samara.toml"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(ran.stderr.contains("`digits/decode` answered: "), "{}", ran.stderr);
}

#[test]
fn a_target_that_is_not_there_is_an_error_and_never_the_cpu() {
    let ran = samara(&[
        "run",
        "examples/digits",
        "--target",
        "gpu:99",
        "--input",
        "image=@examples/digits/three.png",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    // A machine without any GPU says so; others list theirs.
    let reasons = ["no GPU adapter was found: ", "there is no GPU adapter 99; found are 0: "];
    assert!(reasons.iter().any(|reason| ran.stderr.contains(reason)), "{}", ran.stderr);
}

#[test]
fn classify_image_agrees_with_its_reference() {
    let Some(python) = samara_test::python() else { return };
    let folder = root().join("examples/classify-image");
    assert!(folder.join("classifier.onnx").exists(), "the model is missing; run `cargo xtask fixtures`");
    let reference =
        ran(Command::new(python).current_dir(&folder).args(["reference.py", "scene.png", "classifier.onnx"]))
            .response();
    let ours = samara(&[
        "run",
        "examples/classify-image",
        "--input",
        "image=@examples/classify-image/scene.png",
        "--output",
        "json",
    ])
    .response();
    assert_eq!(numbers(&ours, "classes"), numbers(&reference, "classes"));
    for (a, b) in numbers(&ours, "probabilities").iter().zip(numbers(&reference, "probabilities")) {
        assert!((a - b).abs() < 1e-3, "{a} here, {b} in Python");
    }
}

#[test]
fn classify_image_on_a_gpu_gives_the_answer_of_the_cpu() {
    if !has_gpu() {
        return;
    }
    let input = "image=@examples/classify-image/scene.png";
    let run = |target: &str| {
        let place = ["--target", target, "--allow-software-gpu"];
        samara(
            &[&["run", "examples/classify-image", "--input", input, "--output", "json"], &place[..]].concat(),
        )
        .response()
    };
    let (gpu, cpu) = (run("gpu"), run("cpu"));
    assert_eq!(numbers(&gpu, "classes"), numbers(&cpu, "classes"));
    for (gpu, cpu) in numbers(&gpu, "probabilities").iter().zip(numbers(&cpu, "probabilities")) {
        assert!((gpu - cpu).abs() < 1e-4, "{gpu} on the GPU, {cpu} on the CPU");
    }
    let place = ["--target", "gpu", "--allow-software-gpu", "--plan", "--output", "json"];
    let facts = samara(&[&["inspect", "examples/classify-image"], &place[..]].concat()).response();
    let steps = facts["models"]["classifier"]["plan"]["steps"].as_array().unwrap();
    let kernels: Vec<&str> = steps.iter().map(|step| step["kernel"].as_str().unwrap()).collect();
    // 53 convolutions, the mean and the dense layer, each with all that follows; some in two launches.
    assert!((55..=61).contains(&kernels.len()), "{kernels:?}");
    assert!(
        kernels.iter().all(|kernel| !kernel.starts_with("copy") && !kernel.starts_with("map")),
        "{kernels:?}"
    );
}

#[test]
fn score_csv_needs_its_grant_and_then_scores() {
    let expected = std::fs::read_to_string(root().join("examples/score-csv/expected.csv")).unwrap();
    let granted = samara(&[
        "run",
        "examples/score-csv",
        "--allow-dir",
        "examples/score-csv/data::/data",
        "--",
        "/data/in.csv",
    ]);
    assert_eq!(granted.good(), expected);

    let denied = samara(&["run", "examples/score-csv", "--", "/data/in.csv"]);
    assert_eq!(denied.code, Some(1));
    assert!(
        denied.stderr.contains("--allow-dir") || denied.stderr.contains("--allow-all-requested"),
        "{}",
        denied.stderr
    );
    assert!(denied.stdout.is_empty(), "{}", denied.stdout);
}

#[test]
fn inspect_names_the_classes_of_tabular() {
    let facts = samara(&["inspect", "examples/tabular", "--output", "json"]).response();
    let classes = serde_json::json!(["Barbera", "Barolo", "Grignolino"]);
    for signature in [&facts["signature"], &facts["models"]["wine"]["signature"]] {
        assert_eq!(signature["outputs"][1]["name"], "output_probability", "{signature}");
        assert_eq!(signature["outputs"][1]["labels"], classes, "{signature}");
        assert!(signature["outputs"][0].get("labels").is_none(), "{signature}");
        assert!(signature["inputs"][0].get("labels").is_none(), "{signature}");
    }
}

#[test]
fn a_compiled_model_answers_as_the_model_does() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("digits.wasm");
    let component = component.to_str().unwrap();
    samara(&["compile", "examples/digits/digits.onnx", "-o", component]).good();
    let pixels = serde_json::to_string(&vec![0.5; 64]).unwrap();
    let input = format!("pixels={pixels}");
    let grant = ["--model", "digits=examples/digits/digits.onnx"];
    let run = |what: &str, grant: &[&str]| -> Value {
        let arguments = [&["run", what, "--input", &input, "--output", "json"], grant].concat();
        samara(&arguments).response()
    };
    let (model, compiled) = (run("examples/digits/digits.onnx", &[]), run(component, &grant));
    assert_eq!(model["outputs"], compiled["outputs"]);

    let without = samara(&["run", component, "--input", &input]);
    assert_eq!(without.code, Some(1));
    assert!(without.stderr.contains("no model `digits` is granted"), "{}", without.stderr);
}
