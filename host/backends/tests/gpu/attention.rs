//! Attention as exporters write it, which becomes one kernel where it can.

use samara_nn::{ErrorKind, Model as Loaded, RunContext, Tensor};
use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, Model};

use crate::{Pair, floats};

/// Heads beside words, as layers give them: `[n, words, heads, depth]`.
struct Case {
    heads: usize,
    depth: usize,
    /// Of the values.
    width: usize,
    has_mask: bool,
}

impl Case {
    fn model(&self) -> Model {
        let [heads, depth, width] = [self.heads, self.depth, self.width].map(|size| size.to_string());
        let order = |order: [i64; 4]| [("perm", Attribute::Ints(order.to_vec()))];
        let mut model = Model::new()
            .input("q", FP32, &["n", "rows", &heads, &depth])
            .input("k", FP32, &["n", "keys", &heads, &depth])
            .input("v", FP32, &["n", "keys", &heads, &width])
            .floats("scale", &[], &[1.0 / (self.depth as f32).sqrt()])
            .node_with("Transpose", &["q"], &["qh"], &order([0, 2, 1, 3]))
            .node_with("Transpose", &["k"], &["kh"], &order([0, 2, 3, 1]))
            .node_with("Transpose", &["v"], &["vh"], &order([0, 2, 1, 3]))
            .node("MatMul", &["qh", "kh"], &["products"])
            .node("Mul", &["products", "scale"], &["scaled"]);
        let mut scores = "scaled";
        if self.has_mask {
            model = model.input("mask", FP32, &["n", "1", "rows", "keys"]).node(
                "Add",
                &["scaled", "mask"],
                &["masked"],
            );
            scores = "masked";
        }
        model
            .node_with("Softmax", &[scores], &["shares"], &[("axis", Attribute::Int(-1))])
            .node("MatMul", &["shares", "vh"], &["mixed"])
            .node_with("Transpose", &["mixed"], &["back"], &order([0, 2, 1, 3]))
            .node("Neg", &["back"], &["y"])
            .output("y", FP32, &["n", "rows", &heads, &width])
    }

    fn inputs(&self, random: &mut Random, [n, rows, keys]: [usize; 3]) -> Vec<Tensor> {
        let mut inputs = vec![
            floats(random, &[n, rows, self.heads, self.depth]),
            floats(random, &[n, keys, self.heads, self.depth]),
            floats(random, &[n, keys, self.heads, self.width]),
        ];
        if self.has_mask {
            // No word looks ahead, and of the first batch not at a few others.
            let seen = |index: usize| {
                let (batch, row, key) = (index / (rows * keys), index / keys % rows, index % keys);
                key <= row + keys.saturating_sub(rows) && !(batch == 0 && key > 0 && key % 5 == 3)
            };
            let mask = (0..n * rows * keys).map(|index| if seen(index) { 0.0 } else { f32::NEG_INFINITY });
            inputs.push(Tensor::from_vec([n, 1, rows, keys], mask.collect::<Vec<f32>>()).unwrap());
        }
        inputs
    }
}

fn kernels(model: &dyn Loaded, inputs: &[Tensor]) -> Vec<String> {
    let shapes: Vec<Vec<usize>> = inputs.iter().map(|tensor| tensor.shape().to_vec()).collect();
    let plan = model.as_planned().unwrap().plan(&shapes).unwrap();
    plan.steps.iter().map(|step| step.kernel.clone()).collect()
}

#[track_caller]
fn agrees(case: &Case, is_one_kernel: bool) {
    let Some(pair) = Pair::load(&case.model().bytes()) else { return };
    let mut random = Random::new(100);
    for shape in [[1, 1, 1], [2, 5, 5], [1, 17, 33], [3, 16, 32], [2, 1, 70], [1, 40, 7], [1, 0, 3]] {
        let inputs = case.inputs(&mut random, shape);
        let kernels = kernels(&*pair.gpu, &inputs);
        if shape[1] > 0 {
            let has = |name: &str| kernels.iter().any(|kernel| kernel.starts_with(name));
            assert_eq!((has("attention"), has("softmax")), (is_one_kernel, !is_one_kernel), "{kernels:?}");
        }
        pair.agree(&inputs, 1e-5);
    }
}

#[test]
fn attention_is_one_kernel() {
    for [depth, width] in [[1, 1], [5, 5], [16, 16], [64, 64], [128, 128], [24, 7]] {
        for has_mask in [false, true] {
            agrees(&Case { heads: 3, depth, width, has_mask }, true);
        }
    }
}

#[test]
fn long_vectors_take_three_kernels() {
    agrees(&Case { heads: 2, depth: 130, width: 8, has_mask: false }, false);
}

#[test]
fn a_row_without_a_key_has_no_number() {
    let case = Case { heads: 2, depth: 8, width: 8, has_mask: true };
    let Some(pair) = Pair::load(&case.model().bytes()) else { return };
    let mut random = Random::new(101);
    let mut inputs = case.inputs(&mut random, [1, 3, 40]);
    let mask = (0..120).map(|index| if (40..80).contains(&index) { f32::NEG_INFINITY } else { 0.0 });
    inputs[3] = Tensor::from_vec([1, 1, 3, 40], mask.collect::<Vec<f32>>()).unwrap();
    pair.agree(&inputs, 1e-5);
    // All but the last block of keys.
    let mask = (0..120).map(|index| if index % 40 < 35 { f32::NEG_INFINITY } else { 0.0 });
    inputs[3] = Tensor::from_vec([1, 1, 3, 40], mask.collect::<Vec<f32>>()).unwrap();
    pair.agree(&inputs, 1e-5);
}

#[test]
fn large_scores_do_not_overflow() {
    let case = Case { heads: 1, depth: 4, width: 3, has_mask: false };
    let Some(pair) = Pair::load(&case.model().bytes()) else { return };
    let mut random = Random::new(102);
    let mut inputs = case.inputs(&mut random, [1, 9, 90]);
    let large: Vec<f32> = random.floats(36).into_iter().map(|value| value * 300.0).collect();
    inputs[0] = Tensor::from_vec([1, 9, 1, 4], large).unwrap();
    pair.agree(&inputs, 1e-4);
}

#[test]
fn thousands_of_keys() {
    let case = Case { heads: 1, depth: 128, width: 128, has_mask: false };
    let Some(pair) = Pair::load(&case.model().bytes()) else { return };
    let mut random = Random::new(103);
    pair.agree(&case.inputs(&mut random, [1, 17, 8990]), 1e-5);
    let too_many = case.inputs(&mut random, [1, 1, 9001]);
    let error = pair.gpu.session().unwrap().run(&too_many, &RunContext::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}
