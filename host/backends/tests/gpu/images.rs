//! Convolutions and pooling.

use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, Model};

use crate::{Pair, floats};

/// A convolution of `[n, channels, …]` with a kernel `[outputs, channels / groups, …]`.
struct Conv<'a> {
    channels: usize,
    outputs: usize,
    groups: usize,
    kernel: &'a [usize],
    attributes: Vec<(&'static str, Attribute)>,
    has_bias: bool,
}

impl Conv<'_> {
    fn model(&self, random: &mut Random) -> Model {
        let mut dims = vec![self.outputs, self.channels / self.groups];
        dims.extend(self.kernel);
        let count = dims.iter().product();
        let dims: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
        let channels = self.channels.to_string();
        let outputs = self.outputs.to_string();
        let (mut shape, mut out) = (vec!["n", &channels], vec!["n", &outputs]);
        for (size, out_size) in [("h", "h_out"), ("w", "w_out")].iter().take(self.kernel.len()) {
            shape.push(size);
            out.push(out_size);
        }
        let mut attributes = self.attributes.clone();
        attributes.push(("group", Attribute::Int(self.groups as i64)));
        let model = Model::new().input("x", FP32, &shape).floats("w", &dims, &random.floats(count)).floats(
            "b",
            &[self.outputs as i64],
            &random.floats(self.outputs),
        );
        let inputs: &[&str] = if self.has_bias { &["x", "w", "b"] } else { &["x", "w"] };
        model.node_with("Conv", inputs, &["y"], &attributes).output("y", FP32, &out)
    }
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

#[test]
fn convolutions_of_all_kinds() {
    let pads = ("pads", ints(&[1, 1, 1, 1]));
    let plain =
        Conv { channels: 3, outputs: 20, groups: 1, kernel: &[3, 3], attributes: vec![], has_bias: true };
    let cases = [
        plain,
        Conv {
            channels: 3,
            outputs: 70,
            groups: 1,
            kernel: &[3, 3],
            attributes: vec![pads.clone()],
            has_bias: false,
        },
        Conv {
            channels: 4,
            outputs: 9,
            groups: 1,
            kernel: &[5, 2],
            attributes: vec![("strides", ints(&[2, 3])), ("pads", ints(&[0, 1, 2, 0]))],
            has_bias: true,
        },
        Conv {
            channels: 6,
            outputs: 6,
            groups: 6,
            kernel: &[3, 3],
            attributes: vec![pads.clone(), ("strides", ints(&[2, 2]))],
            has_bias: true,
        },
        Conv { channels: 4, outputs: 8, groups: 2, kernel: &[1, 1], attributes: vec![], has_bias: true },
        Conv {
            channels: 4,
            outputs: 24,
            groups: 2,
            kernel: &[3, 3],
            attributes: vec![pads.clone()],
            has_bias: true,
        },
        Conv {
            channels: 2,
            outputs: 12,
            groups: 1,
            kernel: &[3, 3],
            attributes: vec![
                ("dilations", ints(&[2, 3])),
                ("auto_pad", Attribute::Text("SAME_UPPER".to_owned())),
            ],
            has_bias: true,
        },
        Conv { channels: 40, outputs: 33, groups: 1, kernel: &[1, 1], attributes: vec![], has_bias: true },
        Conv {
            channels: 60,
            outputs: 12,
            groups: 1,
            kernel: &[3, 3],
            attributes: vec![pads],
            has_bias: true,
        },
        Conv {
            channels: 5,
            outputs: 10,
            groups: 1,
            kernel: &[3],
            attributes: vec![("strides", ints(&[2])), ("pads", ints(&[1, 1]))],
            has_bias: true,
        },
    ];
    let mut random = Random::new(20);
    for conv in cases {
        let Some(pair) = Pair::load(&conv.model(&mut random).bytes()) else { return };
        for [n, h, w] in [[1, 12, 12], [2, 7, 15], [0, 9, 9], [3, 20, 8]] {
            let mut shape = vec![n, conv.channels, h];
            if conv.kernel.len() == 2 {
                shape.push(w);
            }
            pair.agree(&[floats(&mut random, &shape)], 1e-4);
        }
    }
}

#[test]
fn pooling_of_all_kinds() {
    let mut random = Random::new(21);
    let kinds = ["MaxPool", "AveragePool"];
    let kernel = |size: &[i64]| ("kernel_shape", ints(size));
    let mut cases = vec![
        vec![kernel(&[2, 2]), ("strides", ints(&[2, 2]))],
        vec![kernel(&[3, 3]), ("pads", ints(&[1, 1, 1, 1]))],
        vec![kernel(&[3, 2]), ("strides", ints(&[2, 1])), ("pads", ints(&[1, 0, 0, 1]))],
    ];
    let mut averages = cases.clone();
    averages.iter_mut().for_each(|case| case.push(("count_include_pad", Attribute::Int(1))));
    for (index, kind) in kinds.iter().enumerate() {
        for attributes in cases.iter().chain(if index == 1 { &averages[..] } else { &[] }) {
            let model = Model::new()
                .input("x", FP32, &["n", "3", "h", "w"])
                .node_with(kind, &["x"], &["y"], attributes)
                .output("y", FP32, &["n", "3", "h_out", "w_out"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            for [n, h, w] in [[1, 8, 8], [2, 7, 11], [0, 5, 5]] {
                pair.agree(&[floats(&mut random, &[n, 3, h, w])], 1e-5);
            }
        }
    }
    cases = vec![vec![kernel(&[3, 3]), ("strides", ints(&[2, 2])), ("ceil_mode", Attribute::Int(1))]];
    cases.push(vec![
        kernel(&[3, 3]),
        ("strides", ints(&[2, 2])),
        ("ceil_mode", Attribute::Int(1)),
        ("pads", ints(&[1, 1, 1, 1])),
    ]);
    for kind in kinds {
        for attributes in &cases {
            let model = Model::new()
                .input("x", FP32, &["n", "2", "10", "8"])
                .node_with(kind, &["x"], &["y"], attributes)
                .output("y", FP32, &["n", "2", "?", "?"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            pair.agree(&[floats(&mut random, &[2, 2, 10, 8])], 1e-5);
        }
    }
}

#[test]
fn pooling_over_volumes() {
    let mut random = Random::new(24);
    let kernel = |size: &[i64]| ("kernel_shape", ints(size));
    let cases = [
        vec![kernel(&[2, 2, 2]), ("strides", ints(&[2, 2, 2]))],
        vec![kernel(&[3, 2, 3]), ("pads", ints(&[1, 0, 1, 1, 1, 1])), ("strides", ints(&[1, 2, 1]))],
        vec![kernel(&[2, 3, 2]), ("dilations", ints(&[2, 1, 2]))],
    ];
    let including = ("count_include_pad", Attribute::Int(1));
    for attributes in &cases {
        for (kind, more) in
            [("MaxPool", None), ("AveragePool", None), ("AveragePool", Some(including.clone()))]
        {
            let attributes: Vec<_> = attributes.iter().cloned().chain(more).collect();
            let model = Model::new()
                .input("x", FP32, &["n", "3", "d", "h", "w"])
                .node_with(kind, &["x"], &["y"], &attributes)
                .output("y", FP32, &["n", "3", "od", "oh", "ow"]);
            let Some(pair) = Pair::load(&model.bytes()) else { return };
            for [n, d, h, w] in [[1, 4, 4, 4], [2, 5, 7, 6], [0, 4, 5, 5]] {
                pair.agree(&[floats(&mut random, &[n, 3, d, h, w])], 1e-5);
            }
        }
    }
}

#[test]
fn the_mean_over_an_image() {
    let model = Model::new()
        .input("x", FP32, &["n", "5", "h", "w"])
        .node("GlobalAveragePool", &["x"], &["p"])
        .node_with("Flatten", &["p"], &["y"], &[("axis", Attribute::Int(1))])
        .output("y", FP32, &["n", "5"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(22);
    for [n, h, w] in [[1, 7, 7], [3, 1, 1], [2, 30, 41]] {
        pair.agree(&[floats(&mut random, &[n, 5, h, w])], 1e-5);
    }
}

#[test]
fn normalisation_and_activations_join_the_convolution() {
    let mut random = Random::new(23);
    let model = Model::new()
        .input("x", FP32, &["n", "3", "h", "w"])
        .floats("w", &[16, 3, 3, 3], &random.floats(16 * 27))
        .floats("scale", &[16], &random.floats(16))
        .floats("shift", &[16], &random.floats(16))
        .floats("mean", &[16], &random.floats(16))
        .floats("variance", &[16], &[0.7; 16])
        .node_with("Conv", &["x", "w"], &["c"], &[("pads", ints(&[1, 1, 1, 1]))])
        .node("BatchNormalization", &["c", "scale", "shift", "mean", "variance"], &["b"])
        .node("Sigmoid", &["b"], &["s"])
        .node("Mul", &["b", "s"], &["m"])
        .node("Clip", &["m"], &["y"])
        .output("y", FP32, &["n", "16", "h", "w"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    for [n, h, w] in [[1, 6, 6], [2, 9, 13]] {
        pair.agree(&[floats(&mut random, &[n, 3, h, w])], 1e-5);
    }
}
