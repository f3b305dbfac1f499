//! Functions of which every bit is right: remainders, whole powers, and what
//! numbers are.

use samara_nn::{Element, Tensor};
use samara_test::Random;
use samara_test::onnx::{Attribute, BOOL, FP16, FP32, INT32, INT64, Model};

use crate::{Pair, assert_close, run};

fn model(operator: &str, inputs: &[i32], output: i32, attributes: &[(&str, Attribute)]) -> Vec<u8> {
    let names = ["a", "b"];
    let mut model = Model::new();
    for (name, datatype) in names.iter().zip(inputs) {
        model = model.input(name, *datatype, &["n"]);
    }
    model.node_with(operator, &names[..inputs.len()], &["y"], attributes).output("y", output, &["n"]).bytes()
}

fn vector<T: Element>(values: Vec<T>) -> Tensor {
    Tensor::from_vec([values.len()], values).unwrap()
}

#[test]
fn remainders_of_floats() {
    let mut random = Random::new(110);
    let fmod = [("fmod", Attribute::Int(1))];
    let Some(pair) = Pair::load(&model("Mod", &[FP32; 2], FP32, &fmod)) else { return };
    // Whatever bits: far apart, without end, too small to be normal, no numbers.
    let any = |random: &mut Random| f32::from_bits(random.below(1 << 32) as u32);
    for count in [1, 0, 3000] {
        let [a, b] = [0; 2].map(|_| vector((0..count).map(|_| any(&mut random)).collect()));
        pair.agree(&[a, b], 0.0);
    }
    let notable = [0.0, -0.0, 1.0, -1.5, 1e-45, -3e-42, 1.2e-38, f32::MAX, f32::INFINITY, f32::NAN, 0.1, 7.0];
    let (a, b): (Vec<f32>, Vec<f32>) = notable.iter().flat_map(|&a| notable.map(|b| (a, b))).unzip();
    pair.agree(&[vector(a), vector(b)], 0.0);

    let Some(pair) = Pair::load(&model("Mod", &[FP16; 2], FP16, &fmod)) else { return };
    let half = |random: &mut Random| half::f16::from_f32(random.float() * 60.0);
    let [a, b] = [0; 2].map(|_| vector((0..500).map(|_| half(&mut random)).collect()));
    let (found, expected) = (run(&*pair.gpu, &[a.clone(), b.clone()]), run(&*pair.cpu, &[a, b]));
    assert_close(&found[0], &expected[0], 0.0, "halves");
}

#[test]
fn whole_powers() {
    let mut random = Random::new(111);
    let Some(pair) = Pair::load(&model("Pow", &[INT32; 2], INT32, &[])) else { return };
    let base = vector((0..200).map(|_| random.below(9) as i32 - 4).collect());
    let exponent = vector((0..200).map(|_| random.below(15) as i32).collect());
    pair.agree(&[base, exponent], 0.0);
    let Some(pair) = Pair::load(&model("Pow", &[INT64; 2], INT64, &[])) else { return };
    let base = vector((0..200).map(|_| random.below(9) as i64 - 4).collect());
    let exponent = vector((0..200).map(|_| random.below(30) as i64).collect());
    pair.agree(&[base, exponent], 0.0);
}

#[test]
fn signs_of_integers() {
    let mut random = Random::new(112);
    for function in ["Abs", "Neg"] {
        let Some(pair) = Pair::load(&model(function, &[INT64], INT64, &[])) else { return };
        pair.agree(&[vector((0..90).map(|_| random.below(1 << 40) as i64 - (1 << 39)).collect())], 0.0);
    }
}

#[test]
fn what_is_no_number() {
    let numbers =
        [0.0, -1.0, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, 1e-45];
    let whole = vector(numbers.to_vec());
    let halves = vector(numbers.map(half::f16::from_f32).to_vec());
    for (name, input) in [(FP32, whole), (FP16, halves)] {
        let Some(pair) = Pair::load(&model("IsNaN", &[name], BOOL, &[])) else { return };
        pair.agree(std::slice::from_ref(&input), 0.0);
        for (positive, negative) in [(1, 1), (1, 0), (0, 1)] {
            let attributes = [
                ("detect_positive", Attribute::Int(positive)),
                ("detect_negative", Attribute::Int(negative)),
            ];
            let model = Model::new()
                .opset(20)
                .input("a", name, &["n"])
                .node_with("IsInf", &["a"], &["y"], &attributes)
                .output("y", BOOL, &["n"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            pair.agree(std::slice::from_ref(&input), 0.0);
        }
    }
}
