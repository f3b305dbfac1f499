//! Floats as narrow integers, and layers that multiply those.

use samara_nn::{Datatype, Tensor};
use samara_test::Random;
use samara_test::onnx::{FP32, INT8, INT32, Model, UINT8, raw};

use crate::{Pair, floats, run};

/// Bytes of any value.
fn bytes(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| random.below(256) as u8).collect()
}

#[test]
fn floats_become_narrow_integers_and_come_back() {
    let mut random = Random::new(95);
    for (datatype, kind, zero) in [(UINT8, Datatype::Uint8, 121u8), (INT8, Datatype::Int8, 0xf3)] {
        let model = Model::new()
            .input("x", FP32, &["n", "7"])
            .floats("scale", &[], &[0.0173])
            .initializer(raw("zero", datatype, &[], vec![zero]))
            .node("QuantizeLinear", &["x", "scale", "zero"], &["narrow"])
            .node("DequantizeLinear", &["narrow", "scale", "zero"], &["y"])
            .output("narrow", datatype, &["n", "7"])
            .output("y", FP32, &["n", "7"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for rows in [1, 0, 5, 64] {
            let x: Vec<f32> = random.floats(rows * 7).into_iter().map(|value| value * 4.0).collect();
            pair.agree(&[Tensor::from_vec([rows, 7], x).unwrap()], 0.0);
        }
        let extremes = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 0.0, -0.0];
        let found = run(&*pair.gpu, &[Tensor::from_vec([1, 7], extremes).unwrap()]);
        let (least, most) = if kind == Datatype::Uint8 { (0, 255) } else { (0x80, 0x7f) };
        assert_eq!(
            (found[0].datatype(), &found[0].data()[..]),
            (kind, &[zero, most, least, most, least, zero, zero][..])
        );
    }
}

/// A layer as dynamically quantised models have it: the input in 8 bits by its
/// own range, weights in 8 bits, sums in 32.
fn layer(random: &mut Random) -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["n", "33"])
        .initializer(raw("w", INT8, &[33, 9], bytes(random, 33 * 9)))
        .initializer(raw("w_zero", INT8, &[], vec![4]))
        .floats("w_scale", &[], &[0.021])
        .node("DynamicQuantizeLinear", &["x"], &["narrow", "scale", "zero"])
        .node("MatMulInteger", &["narrow", "w", "zero", "w_zero"], &["sums"])
        .node_with("Cast", &["sums"], &["wide"], &[("to", samara_test::onnx::Attribute::Int(FP32.into()))])
        .node("Mul", &["scale", "w_scale"], &["factor"])
        .node("Mul", &["wide", "factor"], &["y"])
        .output("sums", INT32, &["n", "9"])
        .output("y", FP32, &["n", "9"])
        .bytes()
}

#[test]
fn dynamically_quantised_layers() {
    let mut random = Random::new(96);
    let Some(pair) = Pair::load(&layer(&mut random)) else { return };
    assert_eq!(pair.gpu.elsewhere(), [""; 0]);
    for rows in [1, 4, 70] {
        pair.agree(&[floats(&mut random, &[rows, 33])], 1e-5);
    }
    // All zeros have no range.
    pair.agree(&[Tensor::from_vec([2, 33], vec![0f32; 66]).unwrap()], 0.0);
}

#[test]
fn products_of_narrow_integers_are_exact() {
    let mut random = Random::new(97);
    for (left, right) in [(UINT8, UINT8), (INT8, INT8), (UINT8, INT8)] {
        let model = Model::new()
            .input("a", left, &["b", "n", "70"])
            .initializer(raw("w", right, &[70, 40], bytes(&mut random, 70 * 40)))
            .initializer(raw("a_zero", left, &[], vec![17]))
            .initializer(raw("w_zero", right, &[], vec![200]))
            .node("MatMulInteger", &["a", "w", "a_zero", "w_zero"], &["y"])
            .output("y", INT32, &["b", "n", "40"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        let datatype = if left == UINT8 { Datatype::Uint8 } else { Datatype::Int8 };
        for shape in [[1, 1, 70], [3, 5, 70], [1, 90, 70]] {
            let data = bytes(&mut random, shape.iter().product());
            pair.agree(&[Tensor::new(datatype, shape, data).unwrap()], 0.0);
        }
    }
}
