//! Reductions, softmax and normalisation.

use samara_nn::{ErrorKind, RunContext, Tensor};
use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, INT32, INT64, Model};

use crate::{Pair, floats, run};

#[test]
fn reductions_over_any_axes() {
    let mut random = Random::new(30);
    let kinds =
        ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL2"];
    for kind in kinds {
        for axes in [vec![2], vec![0], vec![1, 2], vec![0, 2], vec![0, 1, 2]] {
            let attributes = [("axes", Attribute::Ints(axes.clone())), ("keepdims", Attribute::Int(1))];
            // Axes were an attribute of all of them then.
            let model = Model::new()
                .opset(11)
                .input("x", FP32, &["a", "b", "c"])
                .node_with(kind, &["x"], &["y"], &attributes)
                .output("y", FP32, &["?", "?", "?"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            for shape in [[1, 1, 1], [2, 5, 3], [4, 33, 70], [3, 2, 1000]] {
                pair.agree(&[floats(&mut random, &shape)], 1e-4);
            }
        }
    }
}

#[test]
fn sums_of_nothing_and_of_much() {
    let model = Model::new()
        .opset(11)
        .input("x", FP32, &["a", "b"])
        .node_with("ReduceSum", &["x"], &["y"], &[("axes", Attribute::Ints(vec![1]))])
        .output("y", FP32, &["a", "1"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(31);
    let nothing = run(&*pair.gpu, &[floats(&mut random, &[3, 0])]);
    assert_eq!(nothing, [Tensor::from_vec([3, 1], vec![0f32; 3]).unwrap()]);
    for shape in [[0, 3], [2, 100_000], [5000, 40]] {
        pair.agree(&[floats(&mut random, &shape)], 1e-4);
    }
}

#[test]
fn places_of_extremes() {
    let mut random = Random::new(32);
    for (kind, last) in [("ArgMax", 0), ("ArgMax", 1), ("ArgMin", 0), ("ArgMin", 1)] {
        for axis in [0, 1] {
            let attributes = [("axis", Attribute::Int(axis)), ("select_last_index", Attribute::Int(last))];
            let model = Model::new()
                .input("x", FP32, &["a", "b"])
                .node_with(kind, &["x"], &["y"], &attributes)
                .output("y", INT64, &["?", "?"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            for shape in [[1, 1], [3, 7], [200, 90]] {
                // Few different values: many are equal.
                let count = shape[0] * shape[1];
                let values: Vec<f32> = (0..count).map(|_| random.below(5) as f32).collect();
                pair.agree(&[Tensor::from_vec(shape, values).unwrap()], 0.0);
            }
        }
    }
}

#[test]
fn reductions_of_integers() {
    let mut random = Random::new(33);
    for kind in ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"] {
        let model = Model::new()
            .opset(11)
            .input("x", INT32, &["a", "b"])
            .node_with(kind, &["x"], &["y"], &[("axes", Attribute::Ints(vec![1]))])
            .output("y", INT32, &["a", "1"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for shape in [[2usize, 3usize], [4, 50]] {
            let values: Vec<i32> = (0..shape[0] * shape[1]).map(|_| random.below(7) as i32 - 3).collect();
            pair.agree(&[Tensor::from_vec(shape, values).unwrap()], 0.0);
        }
    }
}

#[test]
fn softmax_along_any_axis() {
    let mut random = Random::new(34);
    for kind in ["Softmax", "LogSoftmax"] {
        for axis in [0, 1, 2] {
            let model = Model::new()
                .input("x", FP32, &["a", "b", "c"])
                .node_with(kind, &["x"], &["y"], &[("axis", Attribute::Int(axis))])
                .output("y", FP32, &["a", "b", "c"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            for shape in [[1, 1, 1], [2, 3, 5], [0, 2, 3], [3, 40, 9], [1, 2, 1003]] {
                pair.agree(&[floats(&mut random, &shape)], 1e-5);
            }
        }
    }
}

#[test]
fn softmax_of_extreme_values() {
    let model = Model::new()
        .input("x", FP32, &["a", "b"])
        .node_with("Softmax", &["x"], &["y"], &[("axis", Attribute::Int(1))])
        .output("y", FP32, &["a", "b"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let rows = [[1000.0, 999.0, -1000.0], [f32::NEG_INFINITY, 0.0, 1.0], [3e38, -3e38, 0.0]];
    pair.agree(&[Tensor::from_vec([3, 3], rows.concat()).unwrap()], 1e-6);
}

#[test]
fn layer_normalisation() {
    let mut random = Random::new(35);
    let model = Model::new()
        .input("x", FP32, &["n", "s", "24"])
        .floats("scale", &[24], &random.floats(24))
        .floats("shift", &[24], &random.floats(24))
        .node_with("LayerNormalization", &["x", "scale", "shift"], &["y"], &[("axis", Attribute::Int(-1))])
        .output("y", FP32, &["n", "s", "24"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    for shape in [[1, 1, 24], [2, 7, 24]] {
        pair.agree(&[floats(&mut random, &shape)], 1e-4);
    }
}

#[test]
fn sizes_as_values() {
    let model = Model::new()
        .input("x", FP32, &["n", "m"])
        .node("Shape", &["x"], &["shape"])
        .node("Size", &["x"], &["size"])
        .node_with("Cast", &["size"], &["count"], &[("to", Attribute::Int(1))])
        .node("Div", &["x", "count"], &["y"])
        .output("shape", INT64, &["2"])
        .output("y", FP32, &["n", "m"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(36);
    for shape in [[2, 3], [5, 1], [2, 3]] {
        pair.agree(&[floats(&mut random, &shape)], 1e-6);
    }
}

#[test]
fn a_row_of_millions() {
    let model = Model::new()
        .input("x", FP32, &["n"])
        .node_with("Softmax", &["x"], &["y"], &[("axis", Attribute::Int(0))])
        .output("y", FP32, &["n"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let row = |length: usize| {
        let x: Vec<f32> = (0..length).map(|index| (index % 1000) as f32 / 100.0).collect();
        Tensor::from_vec([length], x).unwrap()
    };
    pair.agree(&[row(256 * 20_900)], 1e-9);
    let longer = pair.gpu.session().unwrap().run(&[row(256 * 30_000)], &RunContext::default());
    assert_eq!(longer.unwrap_err().kind(), ErrorKind::TooLarge);
}
