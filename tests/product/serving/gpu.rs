//! Models on a GPU, served: what the server tells of them.

use samara_test::onnx::{Attribute, FP32, FP64, Model};
use serde_json::{Value, json};

use super::{IRIS, ROW, curled, serve};
use crate::support::{has_gpu, samara, scratch};

/// A model with a step in 64 bits, which no GPU computes here.
fn served_model() -> String {
    let folder = scratch("served-on-a-gpu");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("wide.onnx");
    let model = Model::new()
        .input("x", FP32, &["n", "3"])
        .node("Tanh", &["x"], &["t"])
        .node_with("Cast", &["t"], &["wide"], &[("to", Attribute::Int(FP64.into()))])
        .node("Exp", &["wide"], &["e"])
        .node_with("Cast", &["e"], &["narrow"], &[("to", Attribute::Int(FP32.into()))])
        .node("Sqrt", &["narrow"], &["y"])
        .output("y", FP32, &["n", "3"]);
    std::fs::write(&path, model.bytes()).unwrap();
    path.display().to_string()
}

#[test]
fn metrics_and_metadata_tell_what_runs_where_and_what_it_takes() {
    if !has_gpu() {
        return;
    }
    let wide = format!("wide={}", served_model());
    let gpu = ["--target", "gpu-or-cpu", "--allow-software-gpu", "--gpu-timings", "--gpu-memory", "64MiB"];
    let server = serve(&[&[IRIS, wide.as_str()], &gpu[..]].concat());
    let models = format!("{}/v2/models", server.url());
    let metadata = |name: &str| -> Option<Value> {
        Some(serde_json::from_str(&curled([format!("{models}/{name}")])?).unwrap())
    };
    let Some(on_gpu) = metadata("iris") else { return };
    assert_eq!((&on_gpu["platform"], &on_gpu["parameters"]), (&json!("wgpu_onnx"), &Value::Null));
    let on_cpu = metadata("wide").unwrap();
    let other = on_cpu["platform"].as_str().unwrap().trim_end_matches("_onnx");
    assert_ne!(other, "wgpu");
    let part = on_cpu["parameters"]["on_cpu"][0].as_str().unwrap_or_else(|| panic!("{on_cpu}"));
    assert!(part.starts_with("model `wide`: all of it: ") && part.contains("F64"), "{part}");
    assert!(server.said().contains("does not run wholly on a GPU"), "{}", server.said());

    let answer = curled(["--json", ROW, &format!("{models}/iris/infer")]).unwrap();
    assert!(answer.contains("\"outputs\""), "{answer}");
    let metrics = curled([format!("{}/metrics", server.url())]).unwrap();
    let value = |series: &str, label: &str| {
        let of = |line: &str| {
            let (labels, value) = line.rsplit_once(' ')?;
            let matches = labels.starts_with(&format!("{series}{{")) && labels.contains(label);
            matches.then(|| value.parse::<f64>().unwrap())
        };
        metrics.lines().find_map(of)
    };
    assert_eq!(value("samara_model_cpu_nodes", &format!("backend=\"{other}\"")), Some(1.0), "{metrics}");
    assert_eq!(value("samara_model_cpu_nodes", "backend=\"wgpu\""), Some(0.0), "{metrics}");
    for memory in ["memory=\"host\"", "memory=\"device\""] {
        assert!(value("samara_model_memory_bytes", memory) > Some(0.0), "{metrics}");
    }
    assert!(value("samara_model_kernel_launches_total", "backend=\"wgpu\"") >= Some(1.0), "{metrics}");
    assert!(value("samara_model_kernel_seconds_total", "backend=\"wgpu\"") > Some(0.0), "{metrics}");
    assert_eq!(value("samara_device_info", "backend=\"wgpu\""), Some(1.0), "{metrics}");
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
}

#[test]
fn a_model_over_its_gpu_memory_is_refused_with_both_numbers() {
    if !has_gpu() {
        return;
    }
    let gpu = ["--target", "gpu", "--allow-software-gpu", "--gpu-memory", "1KiB"];
    let model = "examples/digits/digits.onnx";
    let zeros = format!("--input={}", vec!["0"; 64].join(","));
    let error = samara(&[&["run", model, &zeros], &gpu[..]].concat()).bad();
    assert!(error.contains("GPU memory in bytes of its weights is"), "{error}");
    assert!(error.contains("above the limit of 1024"), "{error}");
}

#[test]
fn a_precision_that_an_engine_does_not_have_is_refused() {
    let model = "examples/digits/digits.onnx";
    let zeros = format!("--input={}", vec!["0"; 64].join(","));
    let error = samara(&["run", model, &zeros, "--precision", "fp16", "--backend", "tract"]).bad();
    assert!(error.contains("tract does not support it"), "{error}");
    assert!(error.contains("leave `precision` out"), "{error}");
    let error = samara(&["run", model, &zeros, "--precision", "half"]).bad_with(2);
    assert!(error.contains("unknown precision `half`; use `exact` or `fp16`"), "{error}");
}

#[test]
fn without_a_gpu_of_its_own_the_machine_says_how_a_software_one_counts() {
    if !has_gpu() {
        return;
    }
    let backends = samara(&["backends"]).good();
    if backends.contains("software adapter") {
        assert!(backends.contains("`--allow-software-gpu`"), "{backends}");
    }
}
