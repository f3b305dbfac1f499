//! Models of which a part is left to the CPU, where that is allowed.

use samara_nn::{Choice, ErrorKind, Format, LoadOptions, Model as Loaded, ModelSource, Target, Tensor};
use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, Model, ready};

use crate::{Pair, backends, floats, load, run};

fn either(bytes: Vec<u8>) -> samara_nn::Result<(&'static str, std::sync::Arc<dyn Loaded>)> {
    let source = ModelSource {
        name: "m".to_owned(),
        identity: "m".to_owned(),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    };
    let options = LoadOptions { target: Target::GpuOrCpu, ..LoadOptions::default() };
    backends().unwrap().load(&source, &Choice::Auto, &options)
}

/// Two steps for the GPU, one that it lacks between them.
fn normalised() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["n", "9", "4"])
        .node("Tanh", &["x"], &["t"])
        .node_with("LRN", &["t"], &["l"], &[("size", Attribute::Int(3))])
        .node("Exp", &["l"], &["y"])
        .output("l", FP32, &["n", "9", "4"])
        .output("y", FP32, &["n", "9", "4"])
        .bytes()
}

#[test]
fn a_node_without_a_kernel_runs_on_the_cpu_and_is_named() {
    if backends().is_none() {
        return;
    }
    let error = load("wgpu", &normalised()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let reason = "node `LRN_1` (operator `Lrn`): the GPU has no kernel for it";
    assert!(error.to_string().contains(reason), "{error}");

    let (backend, gpu) = either(normalised()).unwrap();
    assert_eq!(backend, "wgpu");
    assert_eq!(gpu.elsewhere(), [reason]);
    let pair = Pair { gpu, cpu: load("tract", &normalised()).unwrap() };
    let mut random = Random::new(70);
    for rows in [1, 5, 0, 33, 1] {
        pair.agree(&[floats(&mut random, &[rows, 9, 4])], 1e-5);
    }
}

#[test]
fn recurrent_layers_run_on_the_cpu() {
    if backends().is_none() {
        return;
    }
    let (backend, gpu) = either(ready::recurrent()).unwrap();
    assert_eq!((backend, gpu.elsewhere().is_empty()), ("wgpu", false));
    let pair = Pair { gpu, cpu: load("tract", &ready::recurrent()).unwrap() };
    let mut random = Random::new(71);
    for steps in [1, 6] {
        pair.agree(&[floats(&mut random, &[steps, 1, 3])], 1e-6);
    }
}

#[test]
fn a_model_that_fits_has_no_part_elsewhere() {
    if backends().is_none() {
        return;
    }
    let (backend, model) = either(ready::classifier()).unwrap();
    assert_eq!((backend, model.elsewhere()), ("wgpu", Vec::new()));
}

#[test]
fn sizes_that_follow_from_values_leave_the_whole_model_to_the_cpu() {
    if backends().is_none() {
        return;
    }
    let (backend, model) = either(ready::range()).unwrap();
    assert_ne!(backend, "wgpu");
    let counted = run(&*model, &[Tensor::from_vec([], vec![3i64]).unwrap()]);
    assert_eq!(counted, [Tensor::from_vec([3], vec![0i64, 1, 2]).unwrap()]);
}
