//! Engines whose libraries are added: from a wheel as PyPI has it, and from a file.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, samara};

fn in_store(store: &Path, arguments: &[&str]) -> Ran {
    samara(&[&["--store", &store.display().to_string()], arguments].concat())
}

fn added(store: &Path) -> Value {
    listed(store, "onnxruntime")
}

fn listed(store: &Path, name: &str) -> Value {
    let listed = in_store(store, &["backends", "--output", "json"]).response();
    let mut listed = listed["backends"].as_array().unwrap().clone();
    listed.retain(|backend| backend["name"] == name);
    listed.remove(0)
}

#[test]
fn a_library_is_taken_out_of_a_wheel() {
    let Some(library) = samara_test::onnxruntime_library() else { return };
    let Some(python) = samara_test::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    assert_eq!(added(&store)["available"], false);

    // As the package's own wheel is made.
    let capi = folder.path().join("onnxruntime/capi");
    std::fs::create_dir_all(&capi).unwrap();
    std::fs::copy(&library, capi.join(library.file_name().unwrap())).unwrap();
    std::fs::write(capi.join("libonnxruntime_providers_shared.so"), "a provider").unwrap();
    let mut zip = Command::new(python);
    zip.current_dir(folder.path()).args(["-m", "zipfile", "-c", "onnxruntime.whl", "onnxruntime"]);
    assert!(zip.status().unwrap().success());
    let wheel = folder.path().join("onnxruntime.whl").display().to_string();
    let said = in_store(&store, &["backends", "add", "onnxruntime", "--from", &wheel, "--output", "json"]);
    let said = said.response();
    let path = Path::new(said["path"].as_str().unwrap());
    assert!(path.starts_with(&store) && path.is_file(), "{said}");
    assert!(path.with_file_name("libonnxruntime_providers_shared.so").is_file());

    let backend = added(&store);
    assert_eq!((&backend["available"], &backend["version"]), (&true.into(), &said["version"]), "{backend}");
    let pixels = format!("pixels={}", serde_json::to_string(&vec![0.5; 64]).unwrap());
    in_store(&store, &["run", "examples/digits/digits.onnx", "--backend", "onnxruntime", "--input", &pixels])
        .good();
}

#[test]
fn what_does_not_work_is_not_kept() {
    let Some(library) = samara_test::onnxruntime_library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let add = |file: &Path| {
        let file = file.display().to_string();
        in_store(&store, &["backends", "add", "onnxruntime", "--from", &file])
    };
    add(&library).good();
    let before = added(&store);
    assert_eq!(before["available"], true);

    let broken = folder.path().join("libonnxruntime.so.9.9.9");
    std::fs::write(&broken, "\x7fELF and no more").unwrap();
    assert!(add(&broken).bad().contains("cannot be used here: "));
    let other = folder.path().join("notes.txt");
    std::fs::write(&other, "words").unwrap();
    assert!(add(&other).bad().contains("is no library of ONNX Runtime: it is called otherwise"));
    assert_eq!(added(&store), before, "what was there stays");
    assert_eq!(std::fs::read_dir(store.join("lib")).unwrap().count(), 1);
}

#[test]
fn tflite_runs_once_its_library_is_added() {
    let Some(library) = samara_test::litert_library() else { return };
    let fixtures = samara_test::target().join("fixtures/tflite");
    let Some(model) = samara_test::fixture(fixtures.join("mlp.tflite")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    // Known by its bytes, not by its name.
    let renamed = folder.path().join("model.bin");
    std::fs::copy(&model, &renamed).unwrap();
    let input = format!("features={}", serde_json::to_string(&vec![[0.5; 8]; 3]).unwrap());
    let run = |model: &Path| {
        let model = model.display().to_string();
        in_store(&store, &["run", &model, "--input", &input, "--output", "json"])
    };
    assert!(run(&renamed).bad().contains("`samara backends add litert --from WHEEL`"));

    let library = library.display().to_string();
    in_store(&store, &["backends", "add", "litert", "--from", &library]).good();
    let backend = listed(&store, "litert");
    assert_eq!((&backend["available"], &backend["version"]), (&true.into(), &"2.1.6 or newer".into()));
    for model in [&model, &renamed] {
        let answer = run(model).response();
        assert_eq!(answer["outputs"][0]["name"], "scores");
        assert_eq!(answer["outputs"][0]["shape"], serde_json::json!([3, 3]));
    }

    let project = folder.path().join("scorer").display().to_string();
    in_store(&store, &["new", &project, "--model", &renamed.display().to_string()]).good();
    assert!(Path::new(&project).join("model.tflite").is_file());
    in_store(&store, &["run", &project, "--input", &input]).good();
    in_store(&store, &["pack", &project]).good();
    in_store(&store, &["run", "scorer:0.1.0", "--input", &input]).good();
}
