//! The families of models that people run, whole and small, in FP32 and FP16.

use samara_nn::{Datatype, Tensor};
use samara_test::Random;
use samara_test::onnx::families::{Family, Input, Kind, NAMES, Size, family};

use crate::{Pair, backends, load, run};

/// What a family is fed, of `rows` rows and sequences of `length`.
fn inputs(family: &Family, rows: usize, length: usize, random: &mut Random) -> Vec<Tensor> {
    let tensor = |input: &Input| {
        let is_sequence = input.kind != Kind::Floats;
        let inner = if is_sequence { vec![length] } else { input.shape.clone() };
        let shape = [vec![rows], inner].concat();
        let count: usize = shape.iter().product();
        let ints = |value: &mut dyn FnMut(usize) -> i64| {
            Tensor::from_vec(shape.clone(), (0..count).map(value).collect::<Vec<i64>>()).unwrap()
        };
        match input.kind {
            Kind::Floats => Tensor::from_vec(shape.clone(), random.floats(count)).unwrap(),
            Kind::Words => ints(&mut |_| random.below(50) as i64),
            Kind::Parts => ints(&mut |_| random.below(2) as i64),
            // The later rows are shorter.
            Kind::Mask => {
                ints(&mut |index| i64::from(index % length < length.saturating_sub(index / length).max(1)))
            }
        }
    };
    let mut tensor = tensor;
    family.inputs.iter().map(&mut tensor).collect()
}

fn halves(tensor: &Tensor) -> Tensor {
    match tensor.datatype() {
        Datatype::Fp32 => {
            let values: Vec<half::f16> =
                tensor.elements::<f32>().unwrap().iter().map(|&value| half::f16::from_f32(value)).collect();
            Tensor::from_vec(tensor.shape(), values).unwrap()
        }
        _ => tensor.clone(),
    }
}

/// Whether answers to sequences of several lengths make sense.
fn lengths(family: &Family) -> &'static [usize] {
    match family.inputs[0].kind {
        Kind::Floats => &[1],
        _ => &[1, 5, 12],
    }
}

fn runs_in_whole(name: &str) {
    if backends().is_none() {
        return;
    }
    let family = family(name, Size::Small, false);
    let pair = Pair::load(&family.bytes).unwrap();
    assert_eq!(pair.gpu.elsewhere(), [""; 0]);
    let mut random = Random::new(80);
    for rows in [1, 3] {
        for &length in lengths(&family) {
            pair.agree(&inputs(&family, rows, length, &mut random), 1e-4);
        }
    }
    runs_in_halves(&family, &pair);
}

/// The same model in FP16, against the answer of 32 bits.
fn runs_in_halves(whole: &Family, pair: &Pair) {
    let half = family(whole.name, Size::Small, true);
    let gpu = load("wgpu", &half.bytes).unwrap();
    assert_eq!(gpu.elsewhere(), [""; 0]);
    let mut random = Random::new(81);
    for &length in lengths(whole) {
        let inputs = inputs(whole, 2, length, &mut random);
        let narrow: Vec<Tensor> = inputs.iter().map(halves).collect();
        let (found, expected) = (run(&*gpu, &narrow), run(&*pair.cpu, &inputs));
        assert_eq!((found[0].datatype(), found[0].shape()), (Datatype::Fp16, expected[0].shape()));
        let (found, expected) =
            (found[0].elements::<half::f16>().unwrap(), expected[0].elements::<f32>().unwrap());
        let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        for (index, (found, expected)) in found.iter().zip(expected.iter()).enumerate() {
            let apart = (found.to_f32() - expected).abs();
            assert!(apart <= 0.03 * largest, "element {index} is {found}, not {expected}, in halves");
        }
    }
}

macro_rules! families {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            runs_in_whole(stringify!($name));
        })*

        #[test]
        fn all_of_them_are_tested() {
            assert_eq!(NAMES, [$(stringify!($name)),*]);
        }
    };
}

families!(
    resnet50,
    mobilenet_v2,
    mobilenet_v3,
    efficientnet,
    unet_transposed,
    unet_resized,
    vit,
    bert,
    bert_plain,
    minilm,
    whisper_encoder,
    perceptron
);
