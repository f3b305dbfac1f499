//! Axes that are moved, cut, joined and repeated; slices by index.

use samara_nn::{ErrorKind, RunContext, Tensor};
use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, INT64, Model};

use crate::{Pair, floats};

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

#[test]
fn axes_in_another_order() {
    let mut random = Random::new(50);
    for permutation in [[0, 2, 1], [2, 1, 0], [1, 2, 0]] {
        let model = Model::new()
            .input("x", FP32, &["a", "b", "c"])
            .node_with("Transpose", &["x"], &["t"], &[("perm", ints(&permutation))])
            .node("Exp", &["t"], &["y"])
            .output("y", FP32, &["?", "?", "?"])
            .output("t", FP32, &["?", "?", "?"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for shape in [[1, 1, 1], [2, 3, 4], [5, 40, 7]] {
            pair.agree(&[floats(&mut random, &shape)], 1e-5);
        }
    }
}

#[test]
fn parts_of_axes() {
    let mut random = Random::new(51);
    for (start, end, step) in [(1, 4, 1), (0, 1000, 2), (-3, 1000, 1), (1, -1, 3)] {
        let model = Model::new()
            .input("x", FP32, &["n", "9"])
            .ints("start", &[1], &[start])
            .ints("end", &[1], &[end])
            .ints("axis", &[1], &[1])
            .ints("step", &[1], &[step])
            .node("Slice", &["x", "start", "end", "axis", "step"], &["s"])
            .node("Neg", &["s"], &["y"])
            .output("y", FP32, &["n", "?"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        pair.agree(&[floats(&mut random, &[3, 9])], 0.0);
    }
    let model = Model::new()
        .input("x", FP32, &["n", "10"])
        .ints("sizes", &[3], &[2, 5, 3])
        .node_with("Split", &["x", "sizes"], &["p", "q", "r"], &[("axis", Attribute::Int(1))])
        .node("Relu", &["q"], &["y"])
        .output("p", FP32, &["n", "2"])
        .output("y", FP32, &["n", "5"])
        .output("r", FP32, &["n", "3"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    pair.agree(&[floats(&mut random, &[4, 10])], 0.0);
}

#[test]
fn tensors_one_after_the_other() {
    let mut random = Random::new(52);
    for axis in [0, 1] {
        let shape: [&[&str]; 2] =
            if axis == 0 { [&["a", "m"], &["b", "m"]] } else { [&["m", "a"], &["m", "b"]] };
        let model = Model::new()
            .input("x", FP32, shape[0])
            .input("z", FP32, shape[1])
            .node("Tanh", &["x"], &["t"])
            .node_with("Concat", &["t", "z", "x"], &["c"], &[("axis", Attribute::Int(axis))])
            .node("Abs", &["c"], &["y"])
            .output("y", FP32, &["?", "?"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for [a, b, m] in [[1, 1, 1], [3, 5, 7], [0, 2, 3], [40, 9, 20]] {
            let shapes = if axis == 0 { [[a, m], [b, m]] } else { [[m, a], [m, b]] };
            pair.agree(&shapes.map(|shape| floats(&mut random, &shape)), 1e-5);
        }
    }
}

#[test]
fn slices_by_their_indices() {
    let mut random = Random::new(53);
    for axis in [0, 1] {
        let model = Model::new()
            .input("x", FP32, &["a", "b"])
            .input("i", INT64, &["n"])
            .node_with("Gather", &["x", "i"], &["y"], &[("axis", Attribute::Int(axis))])
            .output("y", FP32, &["?", "?"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for [a, b, n] in [[4, 6, 1], [4, 6, 9], [30, 70, 5], [4, 4, 0]] {
            let size = if axis == 0 { a } else { b } as u64;
            let indices: Vec<i64> = (0..n).map(|_| random.below(2 * size) as i64 - size as i64).collect();
            let indices = Tensor::from_vec([n], indices).unwrap();
            pair.agree(&[floats(&mut random, &[a, b]), indices], 0.0);
        }
        let mut session = pair.gpu.session().unwrap();
        let x = floats(&mut random, &[4, 4]);
        for wrong in [4, -5, i64::MAX, i64::MIN] {
            let inputs = [x.clone(), Tensor::from_vec([2], vec![0, wrong]).unwrap()];
            let error = session.run(&inputs, &RunContext::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
            let words = "wgpu failed: node `Gather_0`: an index is outside of the axis that it counts";
            assert!(error.to_string().contains(words), "{error}");
        }
        let inputs = [x, Tensor::from_vec([1], vec![3i64]).unwrap()];
        pair.agree(&inputs, 0.0);
    }
}

#[test]
fn borders() {
    let mut random = Random::new(54);
    for mode in ["constant", "edge", "reflect"] {
        let model = Model::new()
            .input("x", FP32, &["n", "5", "4"])
            .ints("pads", &[6], &[0, 2, 1, 0, 1, 3])
            .floats("value", &[], &[0.25])
            .node_with("Pad", &["x", "pads", "value"], &["y"], &[("mode", Attribute::Text(mode.to_owned()))])
            .output("y", FP32, &["n", "8", "8"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for n in [1, 3, 0] {
            pair.agree(&[floats(&mut random, &[n, 5, 4])], 0.0);
        }
    }
}

#[test]
fn a_tensor_is_repeated_to_a_shape() {
    let model = Model::new()
        .input("x", FP32, &["n", "1", "3"])
        .ints("shape", &[3], &[1, 4, 3])
        .node("Expand", &["x", "shape"], &["e"])
        .node("Neg", &["e"], &["y"])
        .output("e", FP32, &["n", "4", "3"])
        .output("y", FP32, &["n", "4", "3"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(55);
    for n in [1, 2] {
        pair.agree(&[floats(&mut random, &[n, 1, 3])], 0.0);
    }
}
