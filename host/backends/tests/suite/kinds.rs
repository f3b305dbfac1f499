//! Values that are no plain tensors, and functions that are no operators.

use samara_nn::{ErrorKind, RunContext, Tensor};
use samara_test::onnx::proto::{
    ElementTypeProto, MapTypeProto, TensorShapeProto, TensorTypeProto, TypeProto,
};
use samara_test::onnx::{self, Attribute, FP32, INT64, Model, ready};

use crate::{Subject, floats, run};

pub(crate) fn scalars_of_every_datatype_pass(subject: &Subject) {
    for (number, sample) in crate::runs::samples() {
        if crate::runs::lacks(subject, sample.datatype()) {
            continue;
        }
        let shape: [&str; 0] = [];
        let model = Model::new().input("x", number, &shape).node("Identity", &["x"], &["y"]);
        let model = subject.load("scalar", model.output("y", number, &shape).bytes()).unwrap();
        assert_eq!(model.signature().inputs[0].shape, [0i64; 0]);
        // The last element, whatever its bytes are.
        let data = match sample.byte_strings() {
            Ok(texts) => Tensor::from_elements([], texts.last()).unwrap(),
            Err(_) => {
                let size = sample.data().len() / 4;
                Tensor::new(sample.datatype(), [], sample.data().slice(3 * size..)).unwrap()
            }
        };
        assert_eq!(run(&*model, std::slice::from_ref(&data)), [data], "{}", sample.datatype());
    }
}

pub(crate) fn functions_of_the_model_are_called_or_refused(subject: &Subject) {
    let body = Model::new().node("Add", &["x", "x"], &["h"]).node("Neg", &["h"], &["y"]);
    let model = Model::new().input("x", FP32, &["2"]).domain("org.example", 1);
    let model = model.node("twice", &["x"], &["a"]).in_domain("org.example");
    let model = model.node("twice", &["a"], &["y"]).in_domain("org.example");
    let bytes = model.output("y", FP32, &["2"]).function("org.example", "twice", body).bytes();
    match subject.load("function", bytes) {
        Ok(model) => assert_eq!(run(&*model, &[floats(&[2], &[1.0, -2.0])]), [floats(&[2], &[4.0, -8.0])]),
        Err(error) => {
            assert_ne!(subject.backend.name(), "onnxruntime", "{error}");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains("org.example.twice"), "{error}");
        }
    }
}

pub(crate) fn inputs_that_are_no_tensors_are_refused(subject: &Subject) {
    let cases = [
        ("SequenceLength", sequence(tensor(FP32, Some(1))), "seq(tensor(FP32))"),
        ("OptionalHasElement", optional(tensor(INT64, Some(1))), "optional(tensor(INT64))"),
        ("Identity", optional(sequence(tensor(FP32, None))), "optional(seq(tensor(FP32)))"),
        ("Identity", map(INT64, tensor(FP32, Some(0))), "map(INT64, tensor(FP32))"),
    ];
    for (operator, kind, words) in cases {
        let model = Model::new().input_of("given", kind).node(operator, &["given"], &["y"]);
        let bytes = model.output("y", INT64, &[]).bytes();
        refused(subject, bytes, &["input `given`", words, "only tensors can be given"]);
    }
}

pub(crate) fn maps_are_refused_with_what_to_do(subject: &Subject) {
    const LEARNED: &str = "ai.onnx.ml";
    let words = ["b", "a"].map(str::to_owned).to_vec();
    let vocabulary = [("string_vocabulary", Attribute::Texts(words))];
    let cases = [
        (
            "DictVectorizer",
            map(onnx::STRING, tensor(FP32, Some(0))),
            "map(BYTES, tensor(FP32))",
            &vocabulary[..],
        ),
        ("DictVectorizer", map(INT64, tensor(FP32, Some(0))), "map(INT64, tensor(FP32))", &[]),
        ("CastMap", map(INT64, tensor(FP32, Some(0))), "map(INT64, tensor(FP32))", &[]),
    ];
    for (operator, kind, words, attributes) in cases {
        let model = Model::new().domain(LEARNED, 3).input_of("given", kind);
        let model = model.node_with(operator, &["given"], &["y"], attributes).in_domain(LEARNED);
        let bytes = model.output("y", FP32, &["1", "2"]).bytes();
        refused(subject, bytes, &["input `given` is", words, "`convert_sklearn(pipeline[1:],"]);
    }
}

pub(crate) fn outputs_that_are_no_tensors_are_refused(subject: &Subject) {
    let maps = sequence(map(INT64, tensor(FP32, Some(0))));
    let cases = [
        (optional(tensor(FP32, Some(1))), "optional(tensor(FP32))", "OptionalGetElement"),
        (maps, "seq(map(INT64, tensor(FP32)))", "only tensors can be answered"),
        (sequence(optional(tensor(FP32, Some(1)))), "seq(optional(tensor(FP32)))", "only tensors"),
        (sequence(tensor(FP32, None)), "seq(tensor(FP32))", ""),
        (TypeProto::default(), "declares no type", ""),
    ];
    for (kind, words, advice) in cases {
        let model = Model::new().input("x", FP32, &["2"]).node("Optional", &["x"], &["answer"]);
        refused(subject, model.output_of("answer", kind).bytes(), &["output `answer`", words, advice]);
    }
}

pub(crate) fn sequences_of_tensors_are_stacked(subject: &Subject) {
    let bytes = split(&["n", "3"], &[("axis", Attribute::Int(0)), ("keepdims", Attribute::Int(0))], 1);
    if subject.backend.name() != "onnxruntime" {
        let words = ["output `parts` is seq(tensor(FP32))", "ConcatFromSequence"];
        return refused(subject, bytes, &words);
    }
    let model = subject.load("split", bytes).unwrap();
    assert_eq!(model.signature().outputs[0].shape, [-1, 3]);
    let rows = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(run(&*model, std::slice::from_ref(&rows)), [rows]);
    let none = floats(&[0, 3], &[]);
    assert_eq!(run(&*model, std::slice::from_ref(&none)), [none]);

    let text = Model::new().input("a", onnx::STRING, &["k"]).node("SequenceConstruct", &["a", "a"], &["s"]);
    let text = text.output_of("s", sequence(tensor(onnx::STRING, Some(1)))).bytes();
    let model = subject.load("texts", text).unwrap();
    let word = Tensor::from_elements([1], ["née"]).unwrap();
    assert_eq!(run(&*model, &[word]), [Tensor::from_elements([2, 1], ["née", "née"]).unwrap()]);
}

pub(crate) fn sequences_of_several_shapes_fail_the_run(subject: &Subject) {
    if subject.backend.name() != "onnxruntime" {
        return;
    }
    // Two and two of five leave one.
    let model = Model::new().input("x", FP32, &["n"]).ints("two", &[], &[2]);
    let model = model.node("SplitToSequence", &["x", "two"], &["parts"]);
    let model = subject.load("ragged", model.output_of("parts", sequence(tensor(FP32, Some(1)))).bytes());
    let model = model.unwrap();
    let mut session = model.session().unwrap();
    let error = session.run(&[floats(&[5], &[0.0; 5])], &RunContext::default()).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("`parts`") && words.contains("tensor 2 is [1]"), "{words}");
    let even = session.run(&[floats(&[4], &[1.0, 2.0, 3.0, 4.0])], &RunContext::default()).unwrap();
    assert_eq!(even, [floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0])]);
    let whole = subject.load("sound", ready::double()).unwrap();
    assert_eq!(run(&*whole, &[floats(&[1, 4], &[1.0; 4])]), [floats(&[1, 4], &[2.0; 4])]);
}

fn split(shape: &[&str], attributes: &[(&str, Attribute)], axes: usize) -> Vec<u8> {
    let model = Model::new().input("x", FP32, shape);
    let model = model.node_with("SplitToSequence", &["x"], &["parts"], attributes);
    let sizes = [Some(3)].into_iter().cycle().take(axes);
    model.output_of("parts", sequence(tensor_of(FP32, Some(sizes.collect())))).bytes()
}

/// A type of tensors with so many open sizes, or of any number of them.
fn tensor(datatype: i32, axes: Option<usize>) -> TypeProto {
    tensor_of(datatype, axes.map(|axes| vec![None; axes]))
}

fn tensor_of(datatype: i32, sizes: Option<Vec<Option<i64>>>) -> TypeProto {
    let dim = |dim_value| onnx::proto::DimensionProto { dim_value, dim_param: None };
    let shape = sizes.map(|sizes| TensorShapeProto { dim: sizes.into_iter().map(dim).collect() });
    TypeProto { tensor_type: Some(TensorTypeProto { elem_type: datatype, shape }), ..TypeProto::default() }
}

fn sequence(element: TypeProto) -> TypeProto {
    let element = ElementTypeProto { elem_type: Some(Box::new(element)) };
    TypeProto { sequence_type: Some(Box::new(element)), ..TypeProto::default() }
}

fn optional(element: TypeProto) -> TypeProto {
    let element = ElementTypeProto { elem_type: Some(Box::new(element)) };
    TypeProto { optional_type: Some(Box::new(element)), ..TypeProto::default() }
}

fn map(key_type: i32, value: TypeProto) -> TypeProto {
    let map = MapTypeProto { key_type, value_type: Some(Box::new(value)) };
    TypeProto { map_type: Some(Box::new(map)), ..TypeProto::default() }
}

fn refused(subject: &Subject, bytes: Vec<u8>, words: &[&str]) {
    let error = subject.load("kinds", bytes).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let shown = error.to_string();
    assert!(words.iter().all(|word| shown.contains(word)), "{shown} lacks one of {words:?}");
}
