//! Whole small models.

use samara_test::Random;
use samara_test::onnx::{FP32, Model};

use crate::{Pair, floats};

#[test]
fn layers_with_activations() {
    let mut random = Random::new(10);
    let model = Model::new()
        .input("x", FP32, &["batch", "20"])
        .floats("w0", &[20, 64], &random.floats(20 * 64))
        .floats("b0", &[64], &random.floats(64))
        .floats("w1", &[64, 10], &random.floats(64 * 10))
        .floats("b1", &[10], &random.floats(10))
        .node("Gemm", &["x", "w0", "b0"], &["g0"])
        .node("Relu", &["g0"], &["a0"])
        .node("Gemm", &["a0", "w1", "b1"], &["g1"])
        .node("Tanh", &["g1"], &["y"])
        .output("y", FP32, &["batch", "10"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    assert!(pair.gpu.elsewhere().is_empty());
    for rows in [1, 0, 3, 100] {
        pair.agree(&[floats(&mut random, &[rows, 20])], 1e-5);
    }
}
