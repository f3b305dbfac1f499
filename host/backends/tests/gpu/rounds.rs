//! Sums so long that the loops of one thread would reach what old software
//! drivers stop at.

use samara_nn::{ErrorKind, RunContext};
use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, Model};

use crate::{Pair, floats};

#[test]
fn long_products_are_shared_out() {
    let model = Model::new()
        .input("a", FP32, &["m", "k"])
        .input("b", FP32, &["k", "n"])
        .node("MatMul", &["a", "b"], &["y"])
        .output("y", FP32, &["m", "n"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(110);
    for [m, k, n] in [[1, 510_000, 2], [1, 700_000, 2], [2, 700_000, 1], [5, 1_500_000, 5]] {
        // Sums of so many random numbers are some hundreds.
        pair.agree(&[floats(&mut random, &[m, k]), floats(&mut random, &[k, n])], 2e-3);
    }
}

#[test]
fn convolutions_over_thousands_of_channels() {
    let mut random = Random::new(111);
    let model = Model::new()
        .input("x", FP32, &["n", "2048", "h", "w"])
        .floats("w", &[3, 2048, 7, 7], &random.floats(3 * 2048 * 49))
        .node("Conv", &["x", "w"], &["y"])
        .output("y", FP32, &["n", "3", "oh", "ow"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    pair.agree(&[floats(&mut random, &[1, 2048, 8, 7])], 2e-3);
}

#[test]
fn a_window_that_is_too_large_is_refused() {
    let kernel = Attribute::Ints(vec![300, 300]);
    let model = Model::new()
        .input("x", FP32, &["n", "1", "h", "w"])
        .node_with("MaxPool", &["x"], &["y"], &[("kernel_shape", kernel)])
        .output("y", FP32, &["n", "1", "oh", "ow"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let x = floats(&mut Random::new(112), &[1, 1, 300, 300]);
    let error = pair.gpu.session().unwrap().run(&[x], &RunContext::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("the rounds that a thread makes over a window is 90600"), "{error}");
}
