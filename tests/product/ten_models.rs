//! The models that a new user comes with run as files, with no manifest, and agree with
//! their own runtimes. `cargo xtask ten-models` prints the table, with a BERT of the real
//! one's size.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{command, ran, root};

/// An engine that is a library: its name, the variable that says where it is, and where
/// it is.
type Library = (&'static str, &'static str, Option<PathBuf>);

#[test]
fn models_of_a_new_user_agree_with_their_own_runtimes() {
    let set = std::env::var_os("SAMARA_TEN_MODELS").map(PathBuf::from);
    let folder = set.unwrap_or_else(|| samara_test::target().join("fixtures/ten-models"));
    let Some(cases) = samara_test::fixture(folder.join("cases.json")) else { return };
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(cases).unwrap()).unwrap();
    let libraries = [
        ("onnxruntime", "SAMARA_ONNXRUNTIME", samara_test::onnxruntime_library()),
        ("litert", "SAMARA_LITERT", samara_test::litert_library()),
    ];
    println!("| model | own runtime | engine | agreement |\n|---|---|---|---|");
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        for (engine, tolerance) in case["engines"].as_object().unwrap() {
            if libraries.iter().any(|(name, _, library)| name == engine && library.is_none()) {
                continue;
            }
            let found = answer(&folder, case, engine, &libraries);
            println!("| {name} | {} | {engine} | {} |", case["runtime"].as_str().unwrap(), told(&found));
            // Labels are equal, and other numbers no further apart than this.
            let tolerance = tolerance.as_f64().unwrap();
            if !found.as_ref().is_ok_and(|apart| *apart <= tolerance) {
                wrong.push(format!("{name} by {engine}: {}, not {tolerance:.1e}", told(&found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// How far the engine's answer is from that of the model's own runtime, or its refusal.
fn answer(folder: &Path, case: &Value, engine: &str, libraries: &[Library]) -> Result<f64, String> {
    let file = |key: &str| folder.join(case[key].as_str().unwrap()).display().to_string();
    let inputs = format!("@{}", file("inputs"));
    let mut samara = command(root());
    samara.args(["run", &file("file"), "--backend", engine, "--input", &inputs, "--output", "json"]);
    for (_, variable, library) in libraries {
        samara.envs(library.as_ref().map(|library| (variable, library)));
    }
    let ran = ran(&mut samara);
    if ran.code != Some(0) {
        return Err(ran.bad());
    }
    let ours = ran.response();
    let apart = case["outputs"].as_array().unwrap().iter().map(|theirs| distance(&ours, theirs));
    Ok(apart.fold(0.0, f64::max))
}

/// The largest difference of two numbers, which is infinite where labels differ.
fn distance(ours: &Value, theirs: &Value) -> f64 {
    let outputs = ours["outputs"].as_array().unwrap();
    let ours = outputs.iter().find(|output| output["name"] == theirs["name"]).unwrap();
    for field in ["datatype", "shape"] {
        assert_eq!(ours[field], theirs[field], "{field} of {}", theirs["name"]);
    }
    if theirs["datatype"] != "FP32" {
        return if ours["data"] == theirs["data"] { 0.0 } else { f64::INFINITY };
    }
    let numbers = |output: &Value| -> Vec<f64> {
        output["data"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
    };
    // A number that is none is as far away as can be.
    let apart = |(a, b): (f64, f64)| if (a - b).is_nan() { f64::INFINITY } else { (a - b).abs() };
    numbers(ours).into_iter().zip(numbers(theirs)).map(apart).fold(0.0, f64::max)
}

fn told(found: &Result<f64, String>) -> String {
    match found {
        Ok(apart) => format!("{apart:.1e} apart"),
        Err(error) => format!("refused: {}", error.trim()),
    }
}
