//! Answers of the digits example on pictures that nobody trained it on, by each
//! backend, beside those of Python's ONNX Runtime for the same pixels.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{command, numbers, ran, root};

/// Of 100 pictures, how many must be right.
const RIGHT: usize = 97;

/// How far a probability may be from Python's.
const TOLERANCE: f64 = 1e-5;

#[test]
fn tract_reads_held_out_digits_and_agrees_with_python() {
    check("tract", None);
}

#[test]
fn onnxruntime_reads_held_out_digits_and_agrees_with_python() {
    if let Some(library) = samara_test::onnxruntime_library() {
        check("onnxruntime", Some(&library));
    }
}

fn check(backend: &str, library: Option<&Path>) {
    let Some(folder) = pictures() else { return };
    let labels: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("labels.json")).unwrap()).unwrap();
    let labels = labels.as_array().unwrap();
    assert_eq!(labels.len(), 100);
    let mut right = 0;
    for label in labels {
        let file = label["file"].as_str().unwrap();
        let response = classify(&folder.join(file), backend, library);
        right += usize::from(numbers(&response, "digit") == [label["digit"].as_f64().unwrap()]);
        let python: Vec<f64> =
            label["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
        for (class, (ours, python)) in numbers(&response, "probabilities").iter().zip(&python).enumerate() {
            let off = (ours - python).abs();
            assert!(off <= TOLERANCE, "{file}, class {class}: {ours} here, {python} in Python");
        }
    }
    assert!(right >= RIGHT, "{right} of 100 are right");
}

fn classify(picture: &Path, backend: &str, library: Option<&Path>) -> Value {
    let mut samara = command(root());
    if let Some(library) = library {
        samara.env("SAMARA_ONNXRUNTIME", library);
    }
    let input = format!("image=@{}", picture.display());
    let arguments = ["run", "examples/digits", "--backend", backend, "--output", "json", "--input", &input];
    ran(samara.args(arguments)).response()
}

/// The pictures, written by `cargo xtask fixtures`.
fn pictures() -> Option<PathBuf> {
    samara_test::python()?;
    let folder = samara_test::target().join("fixtures/digits");
    assert!(folder.join("labels.json").exists(), "{} is empty; run `cargo xtask fixtures`", folder.display());
    Some(folder)
}
