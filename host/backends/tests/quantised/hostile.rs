//! Files that ask for what is not there: refused when they are loaded, by the name of
//! what is wrong.

use samara_nn::{ErrorKind, Tensor};
use samara_test::onnx::{Attribute, FP32, INT8, INT32, Model, UINT8, raw};

use crate::answer;

const OWN: &str = "com.microsoft";

#[test]
fn operators_stand_in_their_own_domain_alone() {
    for operator in ["QLinearAdd", "QGemm", "QLinearSoftmax", "DynamicQuantizeMatMul"] {
        let model = Model::new()
            .input("x", UINT8, &["2"])
            .node(operator, &["x"], &["y"])
            .output("y", UINT8, &["2"])
            .bytes();
        refused(operator, &model, &format!("it lacks the operator `{operator}`"));
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_and_named() {
    for (name, model, words) in [
        ("lacking", pair(&["x", "s", "z", "x", "s", "z"]), "QLinearAdd lacks its input `C_scale`"),
        ("bare", pair(&["x"]), "QLinearAdd lacks its input `B`"),
        ("many", pair(&["x", "s", "z", "x", "s", "z", "s", "z", "z"]), "QLinearAdd has 9 inputs, not 8"),
        ("scales", pair(&["x", "several", "z", "x", "s", "z", "s", "z"]), "one number as `A_scale`, not 2"),
        ("computed", pair(&["x", "given", "z", "x", "s", "z", "s", "z"]), "no `A_scale` that is computed"),
        ("signed", pair(&["x", "s", "signed", "x", "s", "z", "s", "z"]), "no `A_zero_point` of I8 here"),
        ("floats", pair(&["given", "s", "z", "x", "s", "z", "s", "z"]), "no `A` of F32"),
        ("mixed", pair(&["x", "s", "z", "bytes", "s", "z", "s", "z"]), "no `B` of I8 here"),
        ("wide_scale", pair(&["x", "wide", "z", "x", "s", "z", "s", "z"]), "no `A_scale` of I32 here"),
    ] {
        refused(name, &model, words);
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused_and_named() {
    let ends = ["s", "z"];
    for (name, model, words) in [
        ("channels", conv(&[4, 2, 3, 3], 1, &[]), "in 1 groups for 3 channels"),
        ("groups", conv(&[4, 1, 3, 3], 0, &[]), "QLinearConv"),
        ("odd_groups", conv(&[4, 1, 3, 3], 3, &[]), "in 3 groups for 3 channels"),
        ("axes", conv(&[4, 3, 3], 1, &[]), "no weights of 3 axes for 4"),
        ("bias", conv(&[4, 3, 3, 3], 1, &["bias"]), "a bias of 3 numbers for 4 channels"),
        (
            "kernel",
            conv_of(&[4, 3, 2, 3], vec![("kernel_shape", ints(&[3, 3]))], &[]),
            "weights of the shape [4, 3, 2, 3]",
        ),
        ("average", image("QLinearAveragePool", vec![("kernel_shape", ints(&[2]))]), "windows of 1 axes"),
        (
            "last",
            image(
                "QLinearAveragePool",
                vec![("kernel_shape", ints(&[2, 2])), ("channels_last", Attribute::Int(1))],
            ),
            "QLinearAveragePool takes no `channels_last`",
        ),
        (
            "softmax",
            image("QLinearSoftmax", vec![("opset", Attribute::Int(13)), ("axis", Attribute::Int(4))]),
            "has the axis 4 of 4",
        ),
        ("versionless", image("QLinearSoftmax", vec![]), "opset"),
        ("concat", joined(&["s", "z", "x", "s", "z"], -5), "QLinearConcat has the axis -5 of 4"),
        ("torn", joined(&["s", "z", "x", "s"], 1), "takes 3 inputs for each of its tensors"),
        ("nothing", joined(&ends, 1), "takes 3 inputs for each of its tensors"),
        ("matrices", gemm(), "takes matrices, not tensors of [4, 2] axes"),
        ("places", axis(&[0.1, 0.2, 0.3], 1), "has 3 scales for 4 places"),
        ("outside", axis(&[0.1, 0.2, 0.3], 9), "scales lie along axis 9 of 2"),
    ] {
        refused(name, &model, words);
    }
}

/// A byte changed anywhere: refused, or another model, and never a panic.
#[test]
fn changed_bytes_do_no_harm() {
    let models = [
        conv(&[4, 3, 3, 3], 1, &[]),
        pair(&["x", "s", "z", "x", "s", "z", "s", "z"]),
        image("QLinearAveragePool", vec![("kernel_shape", ints(&[2, 2]))]),
        image("QLinearGlobalAveragePool", vec![]),
        image("QLinearSoftmax", vec![("opset", Attribute::Int(13))]),
        joined(&["s", "z", "x", "s", "z"], 1),
    ];
    let mut random = samara_test::Random::new(31);
    for model in models {
        for _ in 0..150 {
            let mut changed = model.clone();
            let place = random.below(changed.len() as u64) as usize;
            changed[place] = random.below(256) as u8;
            let inputs = vec![("x".to_owned(), Tensor::from_vec([1, 3, 4, 4], vec![7u8; 48]).unwrap())];
            // Either is right.
            let _ = answer("changed", &changed, inputs);
        }
    }
}

fn refused(name: &str, model: &[u8], words: &str) {
    let error = answer(name, model, Vec::new()).err().unwrap_or_else(|| panic!("{name} was taken"));
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}");
    assert!(error.to_string().contains(words), "{name}: {error}");
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

/// A model with an image of steps, and parameters.
fn base() -> Model {
    Model::new()
        .domain(OWN, 1)
        .input("x", UINT8, &["1", "3", "4", "4"])
        .floats("s", &[], &[0.1])
        .floats("several", &[2], &[0.1, 0.2])
        .initializer(raw("z", UINT8, &[], vec![3]))
        .initializer(raw("signed", INT8, &[], vec![3]))
        .initializer(raw("wide", INT32, &[], vec![0; 4]))
}

fn pair(inputs: &[&str]) -> Vec<u8> {
    base()
        .input("given", FP32, &[])
        .input("bytes", INT8, &["1", "3", "4", "4"])
        .node("QLinearAdd", inputs, &["y"])
        .in_domain(OWN)
        .output("y", UINT8, &["1", "3", "4", "4"])
        .bytes()
}

fn conv(shape: &[i64], group: i64, more: &[&str]) -> Vec<u8> {
    conv_of(shape, vec![("group", Attribute::Int(group))], more)
}

fn conv_of(shape: &[i64], attributes: Vec<(&'static str, Attribute)>, more: &[&str]) -> Vec<u8> {
    let count = shape.iter().product::<i64>() as usize;
    let inputs = [&["x", "s", "z", "w", "s", "signed", "s", "z"], more].concat();
    base()
        .initializer(raw("w", INT8, shape, vec![5; count]))
        .initializer(raw("bias", INT32, &[3], vec![0; 12]))
        .node_with("QLinearConv", &inputs, &["y"], &attributes)
        .output("y", UINT8, &["a", "b", "c", "d"])
        .bytes()
}

fn image(operator: &str, attributes: Vec<(&'static str, Attribute)>) -> Vec<u8> {
    base()
        .node_with(operator, &["x", "s", "z", "s", "z"], &["y"], &attributes)
        .in_domain(OWN)
        .output("y", UINT8, &["a", "b", "c", "d"])
        .bytes()
}

fn joined(inputs: &[&str], axis: i64) -> Vec<u8> {
    base()
        .node_with("QLinearConcat", inputs, &["y"], &[("axis", Attribute::Int(axis))])
        .in_domain(OWN)
        .output("y", UINT8, &["a", "b", "c", "d"])
        .bytes()
}

fn gemm() -> Vec<u8> {
    base()
        .initializer(raw("w", INT8, &[4, 2], vec![5; 8]))
        .node("QGemm", &["x", "s", "z", "w", "s", "signed"], &["y"])
        .in_domain(OWN)
        .output("y", FP32, &["a", "b"])
        .bytes()
}

fn axis(scales: &[f32], axis: i64) -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["2", "4"])
        .floats("scales", &[scales.len() as i64], scales)
        .node_with("QuantizeLinear", &["x", "scales"], &["y"], &[("axis", Attribute::Int(axis))])
        .output("y", UINT8, &["2", "4"])
        .bytes()
}
