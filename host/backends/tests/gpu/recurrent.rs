//! Recurrent layers over sequences of a length that the model says.

use samara_nn::Tensor;
use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, Model};

use crate::{Pair, floats, load};

/// A layer over sequences of `steps`, three numbers each, with five of its own.
fn layer(operator: &str, gates: i64, direction: &str, steps: &str, random: &mut Random) -> Vec<u8> {
    let ways: i64 = if direction == "bidirectional" { 2 } else { 1 };
    let (hidden, inputs) = (5, 3);
    let mut weights = |dims: &[i64]| random.floats(dims.iter().product::<i64>() as usize);
    let attributes =
        [("hidden_size", Attribute::Int(hidden)), ("direction", Attribute::Text(direction.to_owned()))];
    let both = ways.to_string();
    Model::new()
        .opset(14)
        .input("x", FP32, &[steps, "2", "3"])
        .floats("w", &[ways, gates * hidden, inputs], &weights(&[ways, gates * hidden, inputs]))
        .floats("r", &[ways, gates * hidden, hidden], &weights(&[ways, gates * hidden, hidden]))
        .floats("b", &[ways, 2 * gates * hidden], &weights(&[ways, 2 * gates * hidden]))
        .node_with(operator, &["x", "w", "r", "b"], &["all", "last"], &attributes)
        .node("Tanh", &["last"], &["t"])
        .output("all", FP32, &[steps, &both, "2", "5"])
        .output("t", FP32, &[&both, "2", "5"])
        .bytes()
}

#[test]
fn layers_of_known_length() {
    let mut random = Random::new(130);
    for (operator, gates) in [("RNN", 1), ("GRU", 3), ("LSTM", 4)] {
        for direction in ["forward", "reverse", "bidirectional"] {
            for steps in [1, 2, 7] {
                println!("{operator} {direction} {steps}");
                let model = layer(operator, gates, direction, &steps.to_string(), &mut random);
                let Some(pair) = Pair::load(&model) else { return };
                pair.agree(&[floats(&mut random, &[steps, 2, 3])], 1e-5);
                // A run begins anew: nothing is kept of the one before.
                let zeros = Tensor::from_vec([steps, 2, 3], vec![0.0f32; steps * 6]).unwrap();
                pair.agree(&[zeros], 1e-5);
            }
        }
    }
}

#[test]
fn layers_of_open_or_too_great_a_length_are_refused() {
    let mut random = Random::new(131);
    if crate::backends().is_none() {
        return;
    }
    for steps in ["s", "20000"] {
        let error = load("wgpu", &layer("LSTM", 4, "forward", steps, &mut random)).err().unwrap();
        assert!(error.to_string().contains("(operator `Scan`)"), "{error}");
    }
}

#[test]
fn long_sequences() {
    let mut random = Random::new(132);
    let model = layer("LSTM", 4, "bidirectional", "250", &mut random);
    let Some(pair) = Pair::load(&model) else { return };
    pair.agree(&[floats(&mut random, &[250, 2, 3])], 1e-5);
}
