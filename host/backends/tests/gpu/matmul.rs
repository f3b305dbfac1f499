//! Products of matrices, with what follows them.

use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, Model};

use crate::{Pair, floats};

#[test]
fn products_of_any_size() {
    let model = Model::new()
        .input("a", FP32, &["m", "k"])
        .input("b", FP32, &["k", "n"])
        .node("MatMul", &["a", "b"], &["y"])
        .output("y", FP32, &["m", "n"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(1);
    let sizes = [
        [1, 1, 1],
        [0, 3, 2],
        [3, 0, 2],
        [3, 2, 0],
        [1, 300, 7],
        [4, 65, 129],
        [5, 2, 33],
        [64, 64, 64],
        [65, 63, 17],
        [70, 2000, 40],
        [130, 700, 3],
        [200, 100, 200],
    ];
    for [m, k, n] in sizes {
        pair.agree(&[floats(&mut random, &[m, k]), floats(&mut random, &[k, n])], 1e-4);
    }
}

#[test]
fn transposed_matrices() {
    for (trans_a, trans_b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let shape = |transposed: i64, rows: &'static str, columns: &'static str| {
            if transposed == 1 { [columns, rows] } else { [rows, columns] }
        };
        let attributes = [
            ("transA", Attribute::Int(trans_a)),
            ("transB", Attribute::Int(trans_b)),
            ("alpha", Attribute::Float(0.5)),
        ];
        let model = Model::new()
            .input("a", FP32, &shape(trans_a, "m", "k"))
            .input("b", FP32, &shape(trans_b, "k", "n"))
            .node_with("Gemm", &["a", "b"], &["y"], &attributes)
            .output("y", FP32, &["m", "n"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        let mut random = Random::new(2);
        for [m, k, n] in [[3, 5, 70], [70, 33, 9], [90, 80, 70], [80, 70, 2]] {
            let size = |transposed: i64, rows: usize, columns: usize| {
                if transposed == 1 { [columns, rows] } else { [rows, columns] }
            };
            let inputs =
                [floats(&mut random, &size(trans_a, m, k)), floats(&mut random, &size(trans_b, k, n))];
            pair.agree(&inputs, 1e-5);
        }
    }
}

#[test]
fn many_products_at_once() {
    let model = Model::new()
        .input("a", FP32, &["n", "h", "m", "k"])
        .input("b", FP32, &["1", "h", "k", "p"])
        .node("MatMul", &["a", "b"], &["y"])
        .output("y", FP32, &["n", "h", "m", "p"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(3);
    for [n, h, m, k, p] in [[2, 3, 5, 7, 6], [1, 4, 70, 33, 65], [3, 1, 1, 20, 12], [2, 2, 30, 20, 1]] {
        pair.agree(&[floats(&mut random, &[n, h, m, k]), floats(&mut random, &[1, h, k, p])], 1e-5);
    }
}

#[test]
fn heads_that_are_split_and_joined_again() {
    let split = [0, 0, 4, 8];
    let model = Model::new()
        .input("q", FP32, &["n", "s", "32"])
        .input("k", FP32, &["n", "s", "32"])
        .ints("split", &[4], &split)
        .ints("join", &[3], &[0, 0, 32])
        .node("Reshape", &["q", "split"], &["q4"])
        .node("Reshape", &["k", "split"], &["k4"])
        .node_with("Transpose", &["q4"], &["qt"], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))])
        .node_with("Transpose", &["k4"], &["kt"], &[("perm", Attribute::Ints(vec![0, 2, 3, 1]))])
        .node("MatMul", &["qt", "kt"], &["scores"])
        .node("MatMul", &["scores", "qt"], &["mixed"])
        .node_with("Transpose", &["mixed"], &["back"], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))])
        .node("Reshape", &["back", "join"], &["y"])
        .output("y", FP32, &["n", "s", "32"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(4);
    for [n, s] in [[1, 1], [2, 7], [3, 20]] {
        pair.agree(&[floats(&mut random, &[n, s, 32]), floats(&mut random, &[n, s, 32])], 1e-4);
    }
}
