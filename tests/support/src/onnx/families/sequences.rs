//! Networks over sequences: of words, of patches, of sound; and plain layers.

use super::{Family, Input, Kind, Size};
use crate::onnx::net::{Conv, Net};
use crate::onnx::{Attribute, INT64};

/// Width, heads and layers.
type Extent = (usize, usize, usize);

/// Inputs of `length` words, all of them INT64.
fn words(length: usize) -> Vec<Input> {
    let kinds = [Kind::Words, Kind::Mask, Kind::Parts];
    kinds.into_iter().map(|kind| Input { kind, shape: vec![length] }).collect()
}

/// Words in a row, and words that there are.
fn vocabulary(size: Size) -> (usize, usize) {
    if size == Size::Full { (128, 30_522) } else { (9, 50) }
}

/// Places that have a vector.
const PLACES: usize = 512;

/// The body of a network over words, whose rows and words are open; gives the
/// name of what it makes.
fn words_body(net: &mut Net, (width, heads, layers): Extent, size: Size, least: f32) -> String {
    let (_, known) = vocabulary(size);
    let places = if size == Size::Full { PLACES } else { 40 };
    let table = net.weights(&[known, width], 3);
    let embedded = net.node("Gather", &[&table, "input_ids"], &[("axis", Attribute::Int(0))]);
    let parts = net.weights(&[2, width], 3);
    let part = net.node("Gather", &[&parts, "token_type_ids"], &[("axis", Attribute::Int(0))]);
    // As many places as there are words.
    let shape = net.node("Shape", &["input_ids"], &[]);
    let (zero, one, first) = (net.ints(&[0]), net.ints(&[1]), net.ints_of(&[], &[1]));
    let length = net.node("Gather", &[&shape, &first], &[("axis", Attribute::Int(0))]);
    let length = net.node("Unsqueeze", &[&length, &zero], &[]);
    let all: Vec<i64> = (0..places as i64).collect();
    let all = net.ints_of(&[1, places], &all);
    let taken = net.node("Slice", &[&all, &zero, &length, &one], &[]);
    let vectors = net.weights(&[places, width], 3);
    let place = net.node("Gather", &[&vectors, &taken], &[("axis", Attribute::Int(0))]);
    let sum = net.add(&embedded, &part);
    let sum = net.add(&sum, &place);
    let mut x = net.norm(&sum, width);
    // What is no word gets no attention.
    let axes = net.ints(&[1, 2]);
    let mask = net.node("Unsqueeze", &["attention_mask", &axes], &[]);
    let mask = net.node("Cast", &[&mask], &[("to", Attribute::Int(net.datatype.into()))]);
    let (one, least) = (net.number(1.0), net.number(least));
    let mask = net.node("Sub", &[&one, &mask], &[]);
    let mask = net.node("Mul", &[&mask, &least], &[]);
    for _ in 0..layers {
        let y = net.attention(&x, heads, width, Some(&mask));
        let sum = net.add(&x, &y);
        x = net.norm(&sum, width);
        let y = net.perceptron(&x, width);
        let sum = net.add(&x, &y);
        x = net.norm(&sum, width);
    }
    x
}

fn over_words(half: bool) -> Net {
    let names = ["input_ids", "attention_mask", "token_type_ids"];
    names.iter().fold(Net::new(half), |net, name| net.input_of(name, INT64, &["n", "s"]))
}

/// The least number of the datatype, as exporters take it.
fn least(half: bool) -> f32 {
    if half { -65_504.0 } else { f32::MIN }
}

pub(super) fn bert(size: Size, half: bool) -> Family {
    bert_as("bert", over_words(half), size, half)
}

/// With normalisation written out in simple operators.
pub(super) fn bert_plain(size: Size, half: bool) -> Family {
    let mut net = over_words(half);
    net.plain_norm = true;
    bert_as("bert_plain", net, size, half)
}

fn bert_as(name: &'static str, mut net: Net, size: Size, half: bool) -> Family {
    let extent = if size == Size::Full { (768, 12, 12) } else { (24, 3, 2) };
    let x = words_body(&mut net, extent, size, least(half));
    let bytes = net.finish(&x, &["n", "s", &extent.0.to_string()]);
    Family { name, bytes, inputs: words(vocabulary(size).0) }
}

/// A sentence as one vector of length 1: the mean over its words.
pub(super) fn minilm(size: Size, half: bool) -> Family {
    let extent = if size == Size::Full { (384, 12, 6) } else { (24, 4, 2) };
    let mut net = over_words(half);
    let x = words_body(&mut net, extent, size, least(half));
    let last = net.ints(&[2]);
    let mask = net.node("Unsqueeze", &["attention_mask", &last], &[]);
    let shape = net.node("Shape", &[&x], &[]);
    let mask = net.node("Expand", &[&mask, &shape], &[]);
    let mask = net.node("Cast", &[&mask], &[("to", Attribute::Int(net.datatype.into()))]);
    let masked = net.node("Mul", &[&x, &mask], &[]);
    let axis = net.ints(&[1]);
    let alone = [("keepdims", Attribute::Int(0))];
    let sum = net.node("ReduceSum", &[&masked, &axis], &alone);
    let count = net.node("ReduceSum", &[&mask, &axis], &alone);
    let least = net.number(1e-6);
    let count = net.node("Clip", &[&count, &least], &[]);
    let mean = net.node("Div", &[&sum, &count], &[]);
    let along = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(1))];
    let length = net.node("ReduceL2", &[&mean], &along);
    let length = net.node("Clip", &[&length, &least], &[]);
    let shape = net.node("Shape", &[&mean], &[]);
    let length = net.node("Expand", &[&length, &shape], &[]);
    let y = net.node("Div", &[&mean, &length], &[]);
    let bytes = net.finish(&y, &["n", &extent.0.to_string()]);
    Family { name: "minilm", bytes, inputs: words(vocabulary(size).0) }
}

/// Layers that normalise first.
fn layers(net: &mut Net, mut x: String, (width, heads, layers): Extent) -> String {
    for _ in 0..layers {
        let y = net.norm(&x, width);
        let y = net.attention(&y, heads, width, None);
        x = net.add(&x, &y);
        let y = net.norm(&x, width);
        let y = net.perceptron(&y, width);
        x = net.add(&x, &y);
    }
    net.norm(&x, width)
}

pub(super) fn vit(size: Size, half: bool) -> Family {
    let (side, patch, extent, classes): (usize, usize, Extent, usize) = match size {
        Size::Full => (224, 16, (384, 6, 12), 1000),
        Size::Small => (20, 5, (24, 3, 2), 12),
    };
    let (width, patches) = (extent.0, (side / patch).pow(2));
    let words = side.to_string();
    let mut net = Net::new(half).input("x", &["n", "3", &words, &words]);
    let (w, b) = (net.weights(&[width, 3, patch, patch], 3 * patch * patch), net.bias(&[width]));
    let steps = vec![patch as i64; 2];
    let attributes = [("strides", Attribute::Ints(steps.clone())), ("kernel_shape", Attribute::Ints(steps))];
    let x = net.node("Conv", &["x", &w, &b], &attributes);
    let x = net.reshape(&x, &[0, width as i64, -1]);
    let x = net.transpose(&x, &[0, 2, 1]);
    // The token of the class, once for each picture.
    let token = net.weights(&[1, 1, width], 3);
    let (first, rest) = (net.ints(&[0]), net.ints(&[1, width as i64]));
    let rows = net.node("Shape", &["x"], &[]);
    let rows = net.node("Gather", &[&rows, &first], &[("axis", Attribute::Int(0))]);
    let shape = net.node("Concat", &[&rows, &rest], &[("axis", Attribute::Int(0))]);
    let token = net.node("Expand", &[&token, &shape], &[]);
    let x = net.node("Concat", &[&token, &x], &[("axis", Attribute::Int(1))]);
    let places = net.weights(&[1, patches + 1, width], 3);
    let x = net.add(&x, &places);
    let x = layers(&mut net, x, extent);
    let zero = net.ints_of(&[], &[0]);
    let token = net.node("Gather", &[&x, &zero], &[("axis", Attribute::Int(1))]);
    let y = net.dense(&token, width, classes);
    let bytes = net.finish(&y, &["n", &classes.to_string()]);
    Family { name: "vit", bytes, inputs: vec![Input { kind: Kind::Floats, shape: vec![3, side, side] }] }
}

/// Bands of frequencies over time to half as many vectors.
pub(super) fn whisper_encoder(size: Size, half: bool) -> Family {
    let (bands, times, extent): (usize, usize, Extent) = match size {
        Size::Full => (80, 3000, (384, 6, 4)),
        Size::Small => (8, 30, (24, 3, 2)),
    };
    let width = extent.0;
    let mut net = Net::new(half).input("x", &["n", &bands.to_string(), &times.to_string()]);
    let x = net.conv("x", bands, width, Conv::of(3, 1), 1);
    let x = net.gelu(&x);
    let x = net.conv(&x, width, width, Conv::of(3, 2), 1);
    let x = net.gelu(&x);
    let x = net.transpose(&x, &[0, 2, 1]);
    let length = times / 2;
    let wave = (0..length * width).map(|index| {
        let (time, band) = (index / width, index % width);
        let angle = time as f32 / 10_000f32.powf((band / 2 * 2) as f32 / width as f32);
        if band % 2 == 0 { angle.sin() } else { angle.cos() }
    });
    let places = net.floats(&[length, width], wave);
    let x = net.add(&x, &places);
    let y = layers(&mut net, x, extent);
    let bytes = net.finish(&y, &["n", &length.to_string(), &width.to_string()]);
    Family {
        name: "whisper_encoder",
        bytes,
        inputs: vec![Input { kind: Kind::Floats, shape: vec![bands, times] }],
    }
}

pub(super) fn perceptron(size: Size, half: bool) -> Family {
    let widths: &[usize] = if size == Size::Full { &[784, 2048, 2048, 10] } else { &[20, 64, 33, 10] };
    let mut net = Net::new(half).input("x", &["n", &widths[0].to_string()]);
    let mut x = "x".to_owned();
    for (index, pair) in widths.windows(2).enumerate() {
        x = net.dense(&x, pair[0], pair[1]);
        if index + 2 < widths.len() {
            x = net.relu(&x);
        }
    }
    let y = net.node("Softmax", &[&x], &[("axis", Attribute::Int(-1))]);
    let bytes = net.finish(&y, &["n", &widths[widths.len() - 1].to_string()]);
    Family { name: "perceptron", bytes, inputs: vec![Input { kind: Kind::Floats, shape: vec![widths[0]] }] }
}
