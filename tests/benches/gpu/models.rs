//! The models that are measured, of the sizes that people run, written here with
//! weights that come again with their seed.

use samara_test::Random;
use samara_test::onnx::{Attribute, FP16, FP32, INT64, Model, raw};

/// A model, and what it is fed.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) inputs: Vec<Input>,
}

/// An input, whose first axis is one of rows.
pub(crate) struct Input {
    pub(crate) kind: Kind,
    /// Without the axis of rows.
    pub(crate) shape: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Floats,
    /// Numbers of words.
    Words,
    /// All ones.
    Mask,
}

pub(crate) const NAMES: [&str; 4] = ["resnet50", "mobilenet_v2", "bert_base", "vit_small"];

const WORDS: usize = 30_522;
const WORDS_IN_A_ROW: usize = 128;
const PICTURE: [usize; 3] = [3, 224, 224];

pub(crate) fn of(name: &str, half: bool) -> Option<Measured> {
    let net = Net::new(half);
    let picture = || vec![Input { kind: Kind::Floats, shape: PICTURE.to_vec() }];
    let (name, bytes, inputs) = match name {
        "resnet50" => ("resnet50", resnet(net), picture()),
        "mobilenet_v2" => ("mobilenet_v2", mobilenet(net), picture()),
        "vit_small" => ("vit_small", vit(net), picture()),
        "bert_base" => {
            let input = |kind| Input { kind, shape: vec![WORDS_IN_A_ROW] };
            ("bert_base", bert(net), vec![input(Kind::Words), input(Kind::Mask)])
        }
        _ => return None,
    };
    Some(Measured { name, bytes, inputs })
}

/// A product of matrices of this size: `[m, k]`, of which the rows are open, with
/// `[k, n]`, which is a weight.
pub(crate) fn product(size: usize, half: bool) -> Measured {
    let net = Net::new(half);
    let words = size.to_string();
    let datatype = net.datatype;
    let mut net = net.input("x", datatype, &["n", &words]);
    let y = net.dense("x", size, size, None);
    let bytes = net.finish(&y, &["n", &words]);
    Measured { name: "product", bytes, inputs: vec![Input { kind: Kind::Floats, shape: vec![size] }] }
}

/// A model in the making.
struct Net {
    model: Model,
    random: Random,
    count: usize,
    datatype: i32,
}

impl Net {
    fn new(half: bool) -> Self {
        let datatype = if half { FP16 } else { FP32 };
        Self { model: Model::new(), random: Random::new(1), count: 0, datatype }
    }

    fn input(mut self, name: &str, datatype: i32, shape: &[&str]) -> Self {
        self.model = self.model.input(name, datatype, shape);
        self
    }

    fn finish(self, output: &str, shape: &[&str]) -> Vec<u8> {
        let model = self.model.node("Identity", &[output], &["y"]);
        model.output("y", self.datatype, shape).bytes()
    }

    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("t{}", self.count)
    }

    /// A node with one output.
    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        let name = self.fresh();
        let model = std::mem::take(&mut self.model);
        self.model = model.node_with(operator, inputs, &[&name], attributes);
        name
    }

    /// A constant of floats in the model's datatype.
    fn floats(&mut self, shape: &[i64], values: impl Iterator<Item = f32>) -> String {
        let name = self.fresh();
        let bytes = match self.datatype {
            FP16 => values.flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect(),
            _ => values.flat_map(f32::to_le_bytes).collect(),
        };
        let model = std::mem::take(&mut self.model);
        self.model = model.initializer(raw(&name, self.datatype, shape, bytes));
        name
    }

    fn number(&mut self, value: f32) -> String {
        self.floats(&[], std::iter::once(value))
    }

    fn ints(&mut self, values: &[i64]) -> String {
        let name = self.fresh();
        let model = std::mem::take(&mut self.model);
        self.model = model.ints(&name, &[values.len() as i64], values);
        name
    }

    /// Weights that keep the size of what goes through them.
    fn weights(&mut self, shape: &[i64], inputs: usize, gain: f32) -> String {
        let bound = gain * (3.0 / inputs as f32).sqrt();
        let count = shape.iter().product::<i64>() as usize;
        let mut random = self.random.clone();
        let values: Vec<f32> = (0..count).map(|_| random.float() * bound).collect();
        self.random = random;
        self.floats(shape, values.into_iter())
    }

    fn conv(&mut self, x: &str, [from, to]: [usize; 2], kernel: usize, stride: i64, groups: usize) -> String {
        let (side, pad) = (kernel as i64, kernel as i64 / 2);
        let inside = from / groups;
        let w = self.weights(&[to as i64, inside as i64, side, side], inside * kernel * kernel, 1.2);
        let b = self.weights(&[to as i64], 300, 1.0);
        let attributes = [
            ("kernel_shape", Attribute::Ints(vec![side; 2])),
            ("strides", Attribute::Ints(vec![stride; 2])),
            ("pads", Attribute::Ints(vec![pad; 4])),
            ("group", Attribute::Int(groups as i64)),
        ];
        self.node("Conv", &[x, &w, &b], &attributes)
    }

    fn relu(&mut self, x: &str) -> String {
        self.node("Relu", &[x], &[])
    }

    fn relu6(&mut self, x: &str) -> String {
        let (low, high) = (self.number(0.0), self.number(6.0));
        self.node("Clip", &[x, &low, &high], &[])
    }

    fn add(&mut self, a: &str, b: &str) -> String {
        self.node("Add", &[a, b], &[])
    }

    fn dense(&mut self, x: &str, from: usize, to: usize, bias: Option<f32>) -> String {
        let w = self.weights(&[from as i64, to as i64], from, 1.0);
        let y = self.node("MatMul", &[x, &w], &[]);
        match bias {
            None => y,
            Some(gain) => {
                let b = self.weights(&[to as i64], 300, gain);
                self.add(&y, &b)
            }
        }
    }

    fn norm(&mut self, x: &str, width: usize) -> String {
        let scale = self.floats(&[width as i64], std::iter::repeat_n(1.0, width));
        let shift = self.weights(&[width as i64], 300, 1.0);
        let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(1e-5))];
        self.node("LayerNormalization", &[x, &scale, &shift], &attributes)
    }

    fn gelu(&mut self, x: &str) -> String {
        let (root, one, half) = (self.number(std::f32::consts::SQRT_2), self.number(1.0), self.number(0.5));
        let inner = self.node("Div", &[x, &root], &[]);
        let inner = self.node("Erf", &[&inner], &[]);
        let inner = self.node("Add", &[&inner, &one], &[]);
        let outer = self.node("Mul", &[x, &inner], &[]);
        self.node("Mul", &[&outer, &half], &[])
    }

    fn heads(&mut self, x: &str, heads: usize, width: usize, order: [i64; 4]) -> String {
        let shape = self.ints(&[0, -1, heads as i64, (width / heads) as i64]);
        let split = self.node("Reshape", &[x, &shape], &[]);
        self.node("Transpose", &[&split], &[("perm", Attribute::Ints(order.to_vec()))])
    }

    /// Attention over rows of `[n, length, width]`, with what is added to the
    /// scores.
    fn attention(&mut self, x: &str, heads: usize, width: usize, mask: Option<&str>) -> String {
        let [q, k, v] = [0; 3].map(|_| self.dense(x, width, width, Some(1.0)));
        let q = self.heads(&q, heads, width, [0, 2, 1, 3]);
        let k = self.heads(&k, heads, width, [0, 2, 3, 1]);
        let v = self.heads(&v, heads, width, [0, 2, 1, 3]);
        let root = self.number(((width / heads) as f32).sqrt());
        let scores = self.node("MatMul", &[&q, &k], &[]);
        let mut scores = self.node("Div", &[&scores, &root], &[]);
        if let Some(mask) = mask {
            scores = self.add(&scores, mask);
        }
        let shares = self.node("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
        let mixed = self.node("MatMul", &[&shares, &v], &[]);
        let order = Attribute::Ints(vec![0, 2, 1, 3]);
        let mixed = self.node("Transpose", &[&mixed], &[("perm", order)]);
        let shape = self.ints(&[0, -1, width as i64]);
        let joined = self.node("Reshape", &[&mixed, &shape], &[]);
        self.dense(&joined, width, width, Some(1.0))
    }

    fn perceptron(&mut self, x: &str, width: usize) -> String {
        let inner = self.dense(x, width, 4 * width, Some(1.0));
        let inner = self.gelu(&inner);
        self.dense(&inner, 4 * width, width, Some(1.0))
    }

    /// The mean over the picture, and scores of 1,000 classes.
    fn classes(&mut self, x: &str, channels: usize) -> String {
        let mean = self.node("GlobalAveragePool", &[x], &[]);
        let flat = self.node("Flatten", &[&mean], &[("axis", Attribute::Int(1))]);
        self.dense(&flat, channels, 1000, Some(1.0))
    }
}

fn picture(net: Net) -> Net {
    let datatype = net.datatype;
    net.input("x", datatype, &["n", "3", "224", "224"])
}

fn resnet(net: Net) -> Vec<u8> {
    let mut net = picture(net);
    let x = net.conv("x", [3, 64], 7, 2, 1);
    let x = net.relu(&x);
    let pool = [
        ("kernel_shape", Attribute::Ints(vec![3; 2])),
        ("strides", Attribute::Ints(vec![2; 2])),
        ("pads", Attribute::Ints(vec![1; 4])),
    ];
    let mut x = net.node("MaxPool", &[&x], &pool);
    let mut from = 64;
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let (inner, to) = (64 << stage, 256 << stage);
        for block in 0..blocks {
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            let y = net.conv(&x, [from, inner], 1, 1, 1);
            let y = net.relu(&y);
            let y = net.conv(&y, [inner, inner], 3, stride, 1);
            let y = net.relu(&y);
            let y = net.conv(&y, [inner, to], 1, 1, 1);
            let beside = if block == 0 { net.conv(&x, [from, to], 1, stride, 1) } else { x };
            let sum = net.add(&y, &beside);
            x = net.relu(&sum);
            from = to;
        }
    }
    let y = net.classes(&x, from);
    net.finish(&y, &["n", "1000"])
}

fn mobilenet(net: Net) -> Vec<u8> {
    let mut net = picture(net);
    let x = net.conv("x", [3, 32], 3, 2, 1);
    let mut x = net.relu6(&x);
    let mut from = 32;
    // Widening, channels, blocks, first stride.
    let stages = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    for (widening, to, blocks, first) in stages {
        for block in 0..blocks {
            let inner = from * widening;
            let mut y = x.clone();
            if widening > 1 {
                y = net.conv(&y, [from, inner], 1, 1, 1);
                y = net.relu6(&y);
            }
            let y = net.conv(&y, [inner, inner], 3, if block == 0 { first } else { 1 }, inner);
            let y = net.relu6(&y);
            let y = net.conv(&y, [inner, to], 1, 1, 1);
            x = if block > 0 { net.add(&y, &x) } else { y };
            from = to;
        }
    }
    let x = net.conv(&x, [from, 1280], 1, 1, 1);
    let x = net.relu6(&x);
    let y = net.classes(&x, 1280);
    net.finish(&y, &["n", "1000"])
}

fn bert(net: Net) -> Vec<u8> {
    const WIDTH: usize = 768;
    let length = WORDS_IN_A_ROW.to_string();
    let mut net = net.input("input_ids", INT64, &["n", &length]);
    net = net.input("attention_mask", INT64, &["n", &length]);
    let table = net.weights(&[WORDS as i64, WIDTH as i64], 3, 0.05);
    let places = net.weights(&[1, WORDS_IN_A_ROW as i64, WIDTH as i64], 3, 0.05);
    let words = net.node("Gather", &[&table, "input_ids"], &[("axis", Attribute::Int(0))]);
    let x = net.add(&words, &places);
    let mut x = net.norm(&x, WIDTH);
    let axes = net.ints(&[1, 2]);
    let mask = net.node("Unsqueeze", &["attention_mask", &axes], &[]);
    let mask = net.node("Cast", &[&mask], &[("to", Attribute::Int(net.datatype.into()))]);
    let (one, least) = (net.number(1.0), net.number(-10_000.0));
    let mask = net.node("Sub", &[&one, &mask], &[]);
    let mask = net.node("Mul", &[&mask, &least], &[]);
    for _ in 0..12 {
        let y = net.attention(&x, 12, WIDTH, Some(&mask));
        let sum = net.add(&x, &y);
        x = net.norm(&sum, WIDTH);
        let y = net.perceptron(&x, WIDTH);
        let sum = net.add(&x, &y);
        x = net.norm(&sum, WIDTH);
    }
    net.finish(&x, &["n", &length, &WIDTH.to_string()])
}

fn vit(net: Net) -> Vec<u8> {
    const WIDTH: usize = 384;
    const PATCHES: i64 = 196;
    let mut net = picture(net);
    let w = net.weights(&[WIDTH as i64, 3, 16, 16], 768, 1.0);
    let stride = [("strides", Attribute::Ints(vec![16; 2])), ("kernel_shape", Attribute::Ints(vec![16; 2]))];
    let x = net.node("Conv", &["x", &w], &stride);
    let shape = net.ints(&[0, WIDTH as i64, PATCHES]);
    let x = net.node("Reshape", &[&x, &shape], &[]);
    let x = net.node("Transpose", &[&x], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
    // The class token, once for each picture.
    let token = net.weights(&[1, 1, WIDTH as i64], 3, 0.05);
    let (first, rest) = (net.ints(&[0]), net.ints(&[1, WIDTH as i64]));
    let rows = net.node("Shape", &["x"], &[]);
    let rows = net.node("Gather", &[&rows, &first], &[("axis", Attribute::Int(0))]);
    let shape = net.node("Concat", &[&rows, &rest], &[("axis", Attribute::Int(0))]);
    let token = net.node("Expand", &[&token, &shape], &[]);
    let x = net.node("Concat", &[&token, &x], &[("axis", Attribute::Int(1))]);
    let places = net.weights(&[1, PATCHES + 1, WIDTH as i64], 3, 0.05);
    let mut x = net.add(&x, &places);
    for _ in 0..12 {
        let y = net.norm(&x, WIDTH);
        let y = net.attention(&y, 6, WIDTH, None);
        x = net.add(&x, &y);
        let y = net.norm(&x, WIDTH);
        let y = net.perceptron(&y, WIDTH);
        x = net.add(&x, &y);
    }
    let x = net.norm(&x, WIDTH);
    let (zero, axis) = (net.ints(&[0]), ("axis", Attribute::Int(1)));
    let token = net.node("Gather", &[&x, &zero], &[axis]);
    let token = net.node("Flatten", &[&token], &[("axis", Attribute::Int(1))]);
    let y = net.dense(&token, WIDTH, 1000, Some(1.0));
    net.finish(&y, &["n", "1000"])
}
