//! What sessions compute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use samara_nn::{Cancellation, Choice, Datatype, Error, ErrorKind, LoadOptions, Model, RunContext, Tensor};
use samara_test::onnx::{self, FP32, ready};

use crate::{Subject, floats, noise, run};

/// Every datatype, its number in ONNX files, and four values of it.
pub(crate) fn samples() -> Vec<(i32, Tensor)> {
    use half::{bf16, f16};
    fn of<T: samara_nn::Element>(number: i32, values: [T; 4]) -> (i32, Tensor) {
        (number, Tensor::from_vec([2, 2], values.to_vec()).unwrap())
    }
    vec![
        (onnx::BOOL, Tensor::from_bools([2, 2], &[true, false, false, true]).unwrap()),
        of(onnx::UINT8, [0u8, 1, 254, 255]),
        of(onnx::UINT16, [0u16, 1, 65_534, 65_535]),
        of(onnx::UINT32, [0u32, 1, u32::MAX - 1, u32::MAX]),
        of(onnx::UINT64, [0u64, 1, u64::MAX - 1, u64::MAX]),
        of(onnx::INT8, [i8::MIN, -1, 0, i8::MAX]),
        of(onnx::INT16, [i16::MIN, -1, 0, i16::MAX]),
        of(onnx::INT32, [i32::MIN, -1, 0, i32::MAX]),
        of(onnx::INT64, [i64::MIN, -1, 0, i64::MAX]),
        of(onnx::FP16, [f16::from_f32(-1.5), f16::ZERO, f16::MAX, f16::from_f32(0.1)]),
        of(onnx::BF16, [bf16::from_f32(-1.5), bf16::ZERO, bf16::MAX, bf16::from_f32(0.1)]),
        of(FP32, [-1.5f32, 0.0, f32::MAX, f32::MIN_POSITIVE]),
        of(onnx::FP64, [-1.5f64, 0.0, f64::MAX, f64::MIN_POSITIVE]),
        (onnx::STRING, Tensor::from_elements([2, 2], ["", "samara", "née", "a b"]).unwrap()),
    ]
}

/// What a backend cannot carry at all.
pub(crate) fn lacks(subject: &Subject, datatype: Datatype) -> bool {
    match subject.backend.name() {
        "tract" => datatype == Datatype::Bf16,
        "wgpu" => matches!(datatype, Datatype::Bf16 | Datatype::Fp64 | Datatype::Bytes),
        _ => false,
    }
}

pub(crate) fn every_datatype_passes_through(subject: &Subject) {
    for (number, sample) in samples() {
        let datatype = sample.datatype();
        if lacks(subject, datatype) {
            continue;
        }
        let model = subject.load(datatype.name(), ready::identity(number)).unwrap();
        assert_eq!(model.signature().inputs[0].datatype, datatype);
        assert_eq!(model.signature().outputs[0].datatype, datatype);
        assert_eq!(run(&*model, std::slice::from_ref(&sample)), std::slice::from_ref(&sample), "{datatype}");
        let empty = Tensor::new(datatype, [0, 3], Vec::new()).unwrap();
        assert_eq!(run(&*model, std::slice::from_ref(&empty)), [empty], "no rows of {datatype}");
        if datatype.size().is_some_and(|size| size > 1) {
            let mut shifted = vec![0u8];
            shifted.extend_from_slice(sample.data());
            let unaligned = Tensor::new(datatype, [2, 2], bytes::Bytes::from(shifted).slice(1..)).unwrap();
            assert_eq!(run(&*model, &[unaligned]), [sample], "unaligned {datatype}");
        }
    }
}

pub(crate) fn datatypes_that_are_lacked_are_named(subject: &Subject) {
    for (number, sample) in samples() {
        if lacks(subject, sample.datatype()) {
            let error = subject.load("lacked", ready::identity(number)).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            let words = error.to_string();
            assert!(words.contains(sample.datatype().name()) && words.contains("`x`"), "{words}");
        }
    }
}

pub(crate) fn scalars_and_empty_tensors_pass(subject: &Subject) {
    let model = subject.load("scalar", ready::scalar()).unwrap();
    assert_eq!(model.signature().inputs[0].shape, [0i64; 0]);
    assert_eq!(run(&*model, &[floats(&[], &[41.0])]), [floats(&[], &[42.0])]);

    let model = subject.load("classifier", ready::classifier()).unwrap();
    let outputs = run(&*model, &[floats(&[0, 4], &[])]);
    assert_eq!(outputs[0].shape(), [0, 3]);
    assert_eq!(outputs[1].shape(), [0]);
}

pub(crate) fn one_model_serves_every_size(subject: &Subject) {
    let model = subject.load("cnn", ready::cnn()).unwrap();
    let image = |rows: usize| noise(&[rows, 1, 12, 12]);
    let mut session = model.session().unwrap();
    let many = session.run(&[image(5)], &RunContext::default()).unwrap().remove(0);
    assert_eq!(many.shape(), [5, 5]);
    for rows in [1, 3, 5, 1] {
        let some = session.run(&[image(rows)], &RunContext::default()).unwrap().remove(0);
        let expected = many.elements::<f32>().unwrap()[..rows * 5].to_vec();
        for (found, expected) in some.elements::<f32>().unwrap().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{rows} rows: {found} is not {expected}");
        }
    }
    let model = subject.load("add", ready::add()).unwrap();
    for shape in [[1, 1], [2, 3], [7, 100]] {
        let ones = Tensor::from_vec(shape, vec![1f32; shape[0] * shape[1]]).unwrap();
        let sum = run(&*model, &[ones.clone(), ones]).remove(0);
        assert_eq!(sum.shape(), shape);
        assert!(sum.elements::<f32>().unwrap().iter().all(|&value| value == 2.0));
    }
}

pub(crate) fn outputs_come_in_the_signatures_order(subject: &Subject) {
    let model = subject.load("several", ready::several_outputs()).unwrap();
    let outputs = run(&*model, &[floats(&[1, 2], &[3.0, -4.0])]);
    assert_eq!(outputs[0], Tensor::from_vec([2], vec![1i64, 2]).unwrap());
    assert_eq!(outputs[1], Tensor::from_bools([1, 2], &[true, false]).unwrap());
    assert_eq!(outputs[2], floats(&[1, 2], &[-3.0, 4.0]));
    for (spec, output) in model.signature().outputs.iter().zip(&outputs) {
        assert_eq!(spec.datatype, output.datatype(), "{spec}");
        assert!(spec.accepts_shape(output.shape()), "{spec}");
    }
}

pub(crate) fn inputs_are_told_apart(subject: &Subject) {
    let model = subject.load("subtract", ready::subtract()).unwrap();
    let named = vec![
        ("first".to_owned(), floats(&[2], &[10.0, 20.0])),
        ("second".to_owned(), floats(&[2], &[1.0, 2.0])),
    ];
    let inputs = model.signature().conform_inputs(named).unwrap();
    assert_eq!(run(&*model, &inputs), [floats(&[2], &[9.0, 18.0])]);
}

pub(crate) fn sizes_of_one_name_must_agree(subject: &Subject) {
    let model = subject.load("subtract", ready::subtract()).unwrap();
    let mut session = model.session().unwrap();
    let inputs = [floats(&[3], &[0.0; 3]), floats(&[2], &[0.0; 2])];
    let error = session.run(&inputs, &RunContext::default()).unwrap_err();
    if subject.backend.name() != "onnxruntime" {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let words = "tensor `first`: axis 0 must be as long as axis 0 of `second`, 3, not 2";
        assert_eq!(error.to_string(), words);
    }
    assert!(session.run(&[inputs[0].clone(), inputs[0].clone()], &RunContext::default()).is_ok());
}

pub(crate) fn sizes_that_follow_from_values(subject: &Subject) {
    let model = subject.load("range", ready::range()).unwrap();
    assert_eq!(model.signature().outputs[0].shape, [-1]);
    for limit in [0i64, 1, 5] {
        let counted = run(&*model, &[Tensor::from_vec([], vec![limit]).unwrap()]).remove(0);
        assert_eq!(counted, Tensor::from_vec([limit as usize], (0..limit).collect()).unwrap());
    }
    let model = subject.load("non-zero", ready::non_zero()).unwrap();
    let indices = run(&*model, &[floats(&[4], &[0.0, 1.0, 0.0, 2.0])]).remove(0);
    assert_eq!(indices, Tensor::from_vec([1, 2], vec![1i64, 3]).unwrap());
}

pub(crate) fn a_session_is_used_again_with_equal_bits(subject: &Subject) {
    let model = subject.load("cnn", ready::cnn()).unwrap();
    let inputs = [noise(&[2, 1, 12, 12])];
    let mut session = model.session().unwrap();
    let first = session.run(&inputs, &RunContext::default()).unwrap();
    for _ in 0..5 {
        assert_eq!(session.run(&inputs, &RunContext::default()).unwrap(), first);
    }
    assert_eq!(run(&*model, &inputs), first, "another session gives the same bits");
}

pub(crate) fn sessions_run_side_by_side(subject: &Subject) {
    let model = subject.load("cnn", ready::cnn()).unwrap();
    let expected: Vec<_> = (1..=4).map(|rows| run(&*model, &[noise(&[rows, 1, 12, 12])])).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (model, expected) = (Arc::clone(&model), &expected);
            scope.spawn(move || {
                let mut session = model.session().unwrap();
                for round in 0..8 {
                    let rows = (thread + round) % 4;
                    let inputs = [noise(&[rows + 1, 1, 12, 12])];
                    let outputs = session.run(&inputs, &RunContext::default()).unwrap();
                    assert_eq!(outputs, expected[rows]);
                }
            });
        }
    });
}

pub(crate) fn an_abandoned_call_does_not_start(subject: &Subject) {
    let model = subject.load("double", ready::double()).unwrap();
    let mut session = model.session().unwrap();
    let inputs = [floats(&[1, 4], &[1.0; 4])];
    let late = RunContext::with_deadline(Instant::now());
    assert_eq!(session.run(&inputs, &late).unwrap_err().kind(), ErrorKind::Timeout);
    let abandoned = RunContext::default();
    abandoned.cancellation.cancel();
    assert!(matches!(session.run(&inputs, &abandoned), Err(Error::Cancelled)));
    assert!(session.run(&inputs, &RunContext::default()).is_ok(), "the session works on");
}

pub(crate) fn a_cancelled_run_ends_early(subject: &Subject) {
    const WIDTH: usize = 512;
    let model = subject.load("slow", ready::slow(WIDTH, 400)).unwrap();
    let inputs = [noise(&[WIDTH, WIDTH])];
    let cancellation = Cancellation::default();
    let context = RunContext { cancellation: cancellation.clone(), ..RunContext::default() };
    let started = Instant::now();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(150));
        cancellation.cancel();
    });
    let mut session = model.session().unwrap();
    let result = session.run(&inputs, &context);
    let took = started.elapsed();
    canceller.join().unwrap();
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?} after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");

    let double = subject.load("double", ready::double()).unwrap();
    assert!(double.session().unwrap().run(&[floats(&[1, 4], &[1.0; 4])], &RunContext::default()).is_ok());
}

/// Rounds as many as there are numbers, each of which takes almost no time.
pub(crate) fn a_loop_without_end_is_stopped(subject: &Subject) {
    if subject.backend.name() != "onnxruntime" {
        // The others take the sizes of all rounds from the model.
        return;
    }
    let model = subject.load("loop", ready::counting_loop()).unwrap();
    let rounds = |rounds: i64| [Tensor::from_vec([], vec![rounds]).unwrap(), floats(&[1], &[0.0])];
    let mut session = model.session().unwrap();
    let cancellation = Cancellation::default();
    let context = RunContext { cancellation: cancellation.clone(), ..RunContext::default() };
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        cancellation.cancel();
    });
    let result = session.run(&rounds(i64::MAX), &context);
    canceller.join().unwrap();
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    let deadline = RunContext::with_deadline(Instant::now() + Duration::from_millis(100));
    let error = session.run(&rounds(i64::MAX), &deadline).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let counted = session.run(&rounds(3), &RunContext::default()).unwrap();
    assert_eq!(counted, [floats(&[1], &[3.0])], "the session works on");
}

pub(crate) fn weights_that_are_no_numbers_are_computed_with(subject: &Subject) {
    let weights = [f32::NAN, 1.0, f32::INFINITY, f32::NEG_INFINITY];
    let model = onnx::Model::new().input("x", FP32, &["n", "4"]).floats("w", &[4], &weights);
    let model = model.node("Mul", &["x", "w"], &["y"]).output("y", FP32, &["n", "4"]).bytes();
    let output = run(&*subject.load("nan", model).unwrap(), &[floats(&[1, 4], &[2.0; 4])]).remove(0);
    let values = output.elements::<f32>().unwrap();
    assert!(values[0].is_nan(), "{values:?}");
    assert_eq!(values[1..], [2.0, f32::INFINITY, f32::NEG_INFINITY]);
}

pub(crate) fn text_that_is_not_text_is_refused(subject: &Subject) {
    if lacks(subject, Datatype::Bytes) {
        return;
    }
    let model = subject.load("text", ready::identity(onnx::STRING)).unwrap();
    let input = Tensor::from_elements([1, 2], [&b"good"[..], b"\xff\xfe"]).unwrap();
    let error = model.session().unwrap().run(&[input], &RunContext::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let words = error.to_string();
    assert!(words.contains("`x`") && words.contains("element 1"), "{words}");
}

pub(crate) fn threads_do_not_change_the_answer(subject: &Subject) {
    let load = |threads| -> Arc<dyn Model> {
        let source = crate::source("matmul", ready::matmul(256), None);
        let options = LoadOptions { threads, ..subject.options() };
        let choice = Choice::from(subject.backend.name());
        subject.backends.load(&source, &choice, &options).unwrap().1
    };
    let inputs = [noise(&[64, 256])];
    let (one, two) = (run(&*load(1), &inputs), run(&*load(2), &inputs));
    let (one, two) = (one[0].elements::<f32>().unwrap(), two[0].elements::<f32>().unwrap());
    assert!(one.iter().zip(two.iter()).all(|(one, two)| (one - two).abs() < 1e-5));
}

/// A convolution of each channel alone, of images of any size: as one that knows its size.
pub(crate) fn images_of_every_size_are_convolved(subject: &Subject) {
    use samara_test::onnx::{Attribute, Model};
    let model = |shape: &[&str]| {
        let weights = noise(&[6, 1, 3, 3]);
        let attributes = [
            ("group", Attribute::Int(6)),
            ("pads", Attribute::Ints(vec![1; 4])),
            ("strides", Attribute::Ints(vec![2, 1])),
        ];
        Model::new()
            .input("x", FP32, shape)
            .floats("w", &[6, 1, 3, 3], &weights.elements::<f32>().unwrap())
            .floats("b", &[6], &[1.0, -1.0, 0.5, 0.0, 2.0, -0.5])
            .node_with("Conv", &["x", "w", "b"], &["convolved"], &attributes)
            .node("Relu", &["convolved"], &["y"])
            .output("y", FP32, &["n", "6", "high", "wide"])
            .bytes()
    };
    let open = subject.load("open", model(&["n", "6", "h", "w"])).unwrap();
    let mut session = open.session().unwrap();
    // More of them than plans are kept for, and some that come again.
    for (rows, height, width) in
        [(1, 9, 8), (2, 9, 8), (1, 9, 8), (3, 5, 20), (1, 1, 1), (4, 9, 8), (2, 30, 7), (1, 9, 8)]
    {
        let shape = [rows, 6, height, width];
        let sizes = shape.map(|size| size.to_string());
        let fixed = subject.load("fixed", model(&sizes.each_ref().map(String::as_str))).unwrap();
        let images = noise(&shape);
        let expected = run(&*fixed, std::slice::from_ref(&images)).remove(0);
        let found = session.run(&[images], &RunContext::default()).unwrap().remove(0);
        assert_eq!(found.shape(), expected.shape());
        let (found, expected) = (found.elements::<f32>().unwrap(), expected.elements::<f32>().unwrap());
        let apart = found.iter().zip(&*expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(apart < 1e-5, "{shape:?}: {apart} apart");
    }
}
