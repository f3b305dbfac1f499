//! What takes more than there is, and what happens then.

use samara_backends::{RegistryOptions, registry};
use samara_nn::{Choice, ErrorKind, Format, LoadOptions, ModelSource, RunContext, Target, Tensor};
use samara_test::Random;
use samara_test::onnx::{FP32, Model, ready};

use crate::{Pair, floats, load};

fn outer() -> Vec<u8> {
    Model::new()
        .input("column", FP32, &["n", "1"])
        .input("row", FP32, &["1", "m"])
        .node("Add", &["column", "row"], &["table"])
        .output("table", FP32, &["n", "m"])
        .bytes()
}

#[test]
fn a_tensor_beyond_the_limit_is_refused_before_memory_is_taken() {
    let Some(pair) = Pair::load(&outer()) else { return };
    let mut random = Random::new(60);
    let mut inputs = |size: usize| [floats(&mut random, &[size, 1]), floats(&mut random, &[1, size])];
    let mut session = pair.gpu.session().unwrap();
    pair.agree(&inputs(10), 0.0);
    let error = session.run(&inputs(100_000), &RunContext::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().starts_with("model `model`: the size "), "{error}");
    let error = session.run(&inputs(20_000), &RunContext::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("what node `Add_0` computes"), "{error}");
    pair.agree(&inputs(11), 0.0);
}

#[test]
fn a_model_stays_within_its_quota() {
    if crate::backends().is_none() {
        return;
    }
    let options =
        RegistryOptions { allow_software_gpu: true, gpu_memory_limit: 1 << 20, ..RegistryOptions::default() };
    let backends = registry(&options);
    let load = |bytes: Vec<u8>| {
        let source = ModelSource {
            name: "m".to_owned(),
            identity: "m".to_owned(),
            format: Format::Onnx,
            bytes: bytes.into(),
            beside: samara_nn::Beside::Nothing,
        };
        let options = LoadOptions { target: Target::Gpu(None), ..LoadOptions::default() };
        backends.load(&source, &Choice::from("wgpu"), &options).map(|(_, model)| model)
    };
    let error = load(ready::matmul(1024)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(
        error.to_string().contains("the GPU memory in bytes of its weights is 4194304, above"),
        "{error}"
    );

    let model = load(ready::matmul(64)).unwrap();
    let mut session = model.session().unwrap();
    let input = |rows: usize| Tensor::from_vec([rows, 64], vec![0.5f32; rows * 64]).unwrap();
    let many = session.run(&[input(8192)], &RunContext::default()).unwrap_err();
    assert_eq!(many.kind(), ErrorKind::TooLarge, "{many}");
    // Memory of shapes that are not in use makes room for others.
    for rows in [1, 100, 600, 700, 800, 1, 900] {
        let outputs = session.run(&[input(rows)], &RunContext::default()).unwrap();
        assert_eq!(outputs[0].shape(), [rows, 64]);
    }
}

#[test]
fn many_threads_get_equal_bits() {
    let Some(pair) = Pair::load(&ready::cnn()) else { return };
    let mut random = Random::new(61);
    let inputs: Vec<Tensor> = (1..=4).map(|rows| floats(&mut random, &[rows, 1, 12, 12])).collect();
    let alone: Vec<Vec<Tensor>> =
        inputs.iter().map(|input| crate::run(&*pair.gpu, std::slice::from_ref(input))).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (pair, inputs, alone) = (&pair, &inputs, &alone);
            scope.spawn(move || {
                let mut session = pair.gpu.session().unwrap();
                for round in 0..12 {
                    let which = (thread + round) % 4;
                    let outputs = session.run(&inputs[which..=which], &RunContext::default()).unwrap();
                    assert_eq!(outputs, alone[which]);
                }
            });
        }
    });
}

#[test]
fn an_adapter_that_is_not_there_is_told_with_those_that_are() {
    if crate::backends().is_none() {
        return;
    }
    let source = ModelSource {
        name: "m".to_owned(),
        identity: "m".to_owned(),
        format: Format::Onnx,
        bytes: ready::double().into(),
        beside: samara_nn::Beside::Nothing,
    };
    let options = LoadOptions { target: Target::Gpu(Some(99)), ..LoadOptions::default() };
    let choice = Choice::from("wgpu");
    let error = crate::backends().unwrap().load(&source, &choice, &options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("there is no GPU adapter 99; found are 0: "), "{error}");
    assert!(load("wgpu", &ready::double()).is_ok());
}
