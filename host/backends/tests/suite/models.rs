//! What a backend and its loaded models say of themselves.

use samara_nn::{
    Batching, Choice, Datatype, ErrorKind, Format, LoadOptions, Probe, RunContext, Target, Tensor, TensorSpec,
};
use samara_test::onnx::{FP32, Model, ready};

use crate::{Subject, floats, run};

pub(crate) fn the_backend_says_what_it_is(subject: &Subject) {
    let backend = &subject.backend;
    let Probe::Available { version, devices, origin } = backend.probe() else {
        panic!("{} is not available: {:?}", backend.name(), backend.probe());
    };
    assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
    assert!(!origin.is_empty());
    let served =
        |target: Target| backend.serves(target) && devices.iter().any(|device| device.target == target);
    assert!(served(Target::Cpu) || served(Target::Gpu(Some(0))));
    assert_eq!(backend.probe(), backend.probe());
    assert!(backend.formats().contains(&Format::Onnx));
    assert!(backend.serves(Target::GpuOrCpu));
    assert!(backend.serves(Target::Cpu) != backend.serves(Target::Gpu(None)), "never the other in silence");

    let source = crate::source("identity", ready::identity(FP32), None);
    let other = if subject.target == Target::Cpu { Target::Gpu(None) } else { Target::Cpu };
    let options = LoadOptions { target: other, ..LoadOptions::default() };
    let refusal = subject.backends.load(&source, &Choice::from(backend.name()), &options).err().unwrap();
    assert_eq!(refusal.kind(), ErrorKind::Unavailable, "{refusal}");
}

pub(crate) fn signatures_name_order_and_open_sizes(subject: &Subject) {
    let model = subject.load("classifier", ready::classifier()).unwrap();
    let signature = model.signature();
    assert_eq!(signature.inputs, [TensorSpec::new("features", Datatype::Fp32, [-1, 4])]);
    let outputs = [
        TensorSpec::new("probabilities", Datatype::Fp32, [-1, 3]),
        TensorSpec::new("class", Datatype::Int64, [-1]),
    ];
    assert_eq!(signature.outputs, outputs);

    let model = subject.load("subtract", ready::subtract()).unwrap();
    let names: Vec<&str> = model.signature().inputs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["second", "first"]);

    // A constant that is declared as an input too is no input of the model's.
    let bytes = Model::new()
        .input("x", FP32, &["2"])
        .input("w", FP32, &["2"])
        .floats("w", &[2], &[1.0, 2.0])
        .node("Add", &["x", "w"], &["y"])
        .output("y", FP32, &["2"])
        .bytes();
    let model = subject.load("declared-weights", bytes).unwrap();
    assert_eq!(model.signature().inputs.len(), 1);
    let sum = run(&*model, &[floats(&[2], &[10.0, 20.0])]);
    assert_eq!(sum[0], floats(&[2], &[11.0, 22.0]));
}

pub(crate) fn unnamed_sizes_take_any_number(subject: &Subject) {
    let model = subject.load("unnamed", ready::unnamed_sizes()).unwrap();
    assert_eq!(model.signature().inputs[0].shape, [-1, 3]);
    for rows in [1, 2, 5] {
        let values: Vec<f32> = (0..rows * 3).map(|i| i as f32).collect();
        let doubled: Vec<f32> = values.iter().map(|value| value * 2.0).collect();
        let input = floats(&[rows, 3], &values);
        assert_eq!(run(&*model, &[input.clone(), input])[0], floats(&[rows, 3], &doubled));
    }
}

pub(crate) fn unnamed_sizes_may_differ(subject: &Subject) {
    let model = subject.load("concatenate", ready::concatenate()).unwrap();
    let mut session = model.session().unwrap();
    for (a, b) in [(1, 1), (2, 3), (3, 2), (0, 4)] {
        let inputs = [floats(&[a, 3], &vec![1.0; a * 3]), floats(&[b, 3], &vec![2.0; b * 3])];
        let both = session.run(&inputs, &RunContext::default()).unwrap().remove(0);
        assert_eq!(both.shape(), [a + b, 3]);
    }
    let model = subject.load("uneven", ready::uneven_rows()).unwrap();
    assert_eq!(model.signature().outputs, [TensorSpec::new("y", Datatype::Fp32, [-1, 4])]);
    let mut session = model.session().unwrap();
    for rows in [2, 4, 2, 6, 8, 10, 12, 2] {
        let input = crate::noise(&[rows, 6]);
        let output = session.run(std::slice::from_ref(&input), &RunContext::default()).unwrap().remove(0);
        assert_eq!(output, input.reshaped([rows * 6 / 4, 4]).unwrap());
    }
    assert!(session.run(&[crate::noise(&[3, 6])], &RunContext::default()).is_err());
    assert!(session.run(&[crate::noise(&[2, 6])], &RunContext::default()).is_ok());
}

pub(crate) fn trees_are_climbed_at_any_size(subject: &Subject) {
    let model = subject.load("tree", ready::tree()).unwrap();
    let signature = model.signature();
    assert_eq!(signature.inputs, [TensorSpec::new("features", Datatype::Fp32, [-1, 2])]);
    assert_eq!(signature.outputs[1], TensorSpec::new("probabilities", Datatype::Fp32, [-1, 2]));
    let mut session = model.session().unwrap();
    for rows in [1, 3, 2, 5, 6, 7, 1] {
        let inputs = [floats(&[rows, 2], &[0.0, 1.0].repeat(rows))];
        let outputs = session.run(&inputs, &RunContext::default()).unwrap();
        assert_eq!(outputs[0], Tensor::from_vec([rows], vec![1i64; rows]).unwrap());
        assert_eq!(outputs[1], floats(&[rows, 2], &[0.125, 0.875].repeat(rows)));
    }
}

pub(crate) fn footprints_follow_the_weights(subject: &Subject) {
    let total = |width: usize| {
        let footprint = subject.load("matmul", ready::matmul(width)).unwrap().footprint();
        assert_eq!(footprint.device > 0, subject.target != Target::Cpu);
        footprint.host.max(footprint.device) + footprint.per_session
    };
    let weights = 256 * 256 * 4;
    let measured = total(256);
    assert!((weights..weights * 5 / 2).contains(&measured), "{measured} for {weights} bytes of weights");
    assert!(total(512) > measured * 3);
}

pub(crate) fn rows_are_merged_only_when_independent(subject: &Subject) {
    let batching = |name: &str, bytes: Vec<u8>| subject.load(name, bytes).unwrap().batching();
    // Merging is allowed to a backend that can prove it, and never else.
    for (name, bytes) in [
        ("centred rows", ready::centred_rows()),
        ("softmax over rows", ready::softmax_over_rows()),
        ("recurrent", ready::recurrent()),
        ("scalar", ready::scalar()),
        ("shape output", ready::several_outputs()),
        ("range", ready::range()),
    ] {
        if subject.target != Target::Cpu && subject.load(name, bytes.clone()).is_err() {
            // Not all of them run on a GPU.
            continue;
        }
        assert_eq!(batching(name, bytes), Batching::None, "{name}");
    }
    if subject.backend.name() != "onnxruntime" {
        for (name, bytes) in [("classifier", ready::classifier()), ("matmul", ready::matmul(16))] {
            assert_eq!(batching(name, bytes), Batching::Rows, "{name}");
        }
        // Convolutions gain from further rows on a GPU alone.
        let expected = if subject.target == Target::Cpu { Batching::None } else { Batching::Rows };
        assert_eq!(batching("cnn", ready::cnn()), expected);
        assert_eq!(batching("borders", ready::borders()), expected);
    }
}
