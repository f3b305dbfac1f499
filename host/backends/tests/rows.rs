//! Networks of convolutions on tract, which runs them row by row.

#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::sync::Arc;

use samara_backends::{RegistryOptions, registry};
use samara_nn::{
    Batching, Beside, Choice, Error, ErrorKind, Format, LoadOptions, Mismatch, Model, ModelSource, Result,
    RunContext, Tensor,
};
use samara_test::onnx::{Attribute, FP32, Model as Onnx};

/// `y = conv(a) + conv(b)`, and the sums of the rows of `b`.
fn two_pictures() -> Vec<u8> {
    let conv = [("kernel_shape", Attribute::Ints(vec![2, 2]))];
    Onnx::new()
        .input("a", FP32, &["n", "1", "3", "3"])
        .input("b", FP32, &["n", "1", "3", "3"])
        .floats("kernel", &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node_with("Conv", &["a", "kernel"], &["of_a"], &conv)
        .node_with("Conv", &["b", "kernel"], &["of_b"], &conv)
        .node("Add", &["of_a", "of_b"], &["y"])
        .node_with("Flatten", &["b"], &["flat"], &[("axis", Attribute::Int(1))])
        .output("y", FP32, &["n", "1", "2", "2"])
        .output("flat", FP32, &["n", "9"])
        .bytes()
}

fn load(tensor_limit: u64) -> Arc<dyn Model> {
    let bytes = two_pictures();
    let source = ModelSource {
        name: "pictures".to_owned(),
        identity: "pictures".to_owned(),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: Beside::Nothing,
    };
    let registry = registry(&RegistryOptions { tensor_limit, ..RegistryOptions::default() });
    registry.load(&source, &Choice::from("tract"), &LoadOptions::default()).unwrap().1
}

fn run(model: &dyn Model, a: Tensor, b: Tensor) -> Result<Vec<Tensor>> {
    model.session()?.run(&[a, b], &RunContext::default())
}

/// Pictures whose pixels are all the number of the picture, from `first` on.
fn pictures(first: usize, count: usize) -> Tensor {
    let pixels = (first..first + count).flat_map(|number| [number as f32; 9]).collect();
    Tensor::from_vec([count, 1, 3, 3], pixels).unwrap()
}

#[test]
fn each_row_is_computed_by_itself_and_none_is_lost() {
    let model = load(RegistryOptions::default().tensor_limit);
    assert_eq!(model.batching(), Batching::None);
    assert_eq!(model.signature().inputs[0].shape, [-1, 1, 3, 3]);
    for rows in [0, 1, 2, 5] {
        let outputs = run(&*model, pictures(0, rows), pictures(10, rows)).unwrap();
        assert_eq!(outputs[0].shape(), [rows, 1, 2, 2]);
        let expected: Vec<f32> = (0..rows).flat_map(|row| [10.0 * (row + row + 10) as f32; 4]).collect();
        assert_eq!(*outputs[0].elements::<f32>().unwrap(), expected);
        assert_eq!(outputs[1].shape(), [rows, 9]);
        assert_eq!(outputs[1].data(), pictures(10, rows).data());
    }
}

#[test]
fn inputs_of_unequal_rows_are_refused_by_name() {
    let model = load(RegistryOptions::default().tensor_limit);
    let error = run(&*model, pictures(0, 2), pictures(0, 3)).unwrap_err();
    let Error::Input(Mismatch::Unequal { tensor, axis: 0, found: 3, other, expected: 2, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!((&*tensor, &*other), ("b", "a"));
}

#[test]
fn all_rows_of_an_output_together_keep_within_the_limit() {
    let model = load(36 * 5);
    run(&*model, pictures(0, 5), pictures(0, 5)).unwrap();
    let error = run(&*model, pictures(0, 6), pictures(0, 6)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("is 216, above the limit of 180"), "{error}");
}
