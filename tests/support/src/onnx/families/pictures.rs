//! Networks over pictures.

use super::{Family, Input, Kind, Size};
use crate::onnx::Attribute;
use crate::onnx::net::{Conv, Net};

/// A network over pictures with this many pixels a side.
fn over_pictures(half: bool, side: usize) -> Net {
    let words = side.to_string();
    Net::new(half).input("x", &["n", "3", &words, &words])
}

fn family(name: &'static str, bytes: Vec<u8>, side: usize) -> Family {
    Family { name, bytes, inputs: vec![Input { kind: Kind::Floats, shape: vec![3, side, side] }] }
}

/// Side of the picture, what channels are divided by, and classes.
fn scale(size: Size) -> (usize, usize, usize) {
    match size {
        Size::Full => (224, 1, 1000),
        Size::Small => (40, 8, 12),
    }
}

fn finished(name: &'static str, mut net: Net, x: &str, channels: usize, size: Size) -> Family {
    let (side, _, classes) = scale(size);
    let y = net.classes(x, channels, classes);
    family(name, net.finish(&y, &["n", &classes.to_string()]), side)
}

pub(super) fn resnet(size: Size, half: bool) -> Family {
    let (side, divisor, _) = scale(size);
    let blocks = if size == Size::Full { [3, 4, 6, 3] } else { [2, 1, 2, 1] };
    let mut net = over_pictures(half, side);
    let mut from = 64 / divisor;
    let x = net.conv("x", 3, from, Conv::of(7, 2), 2);
    let x = net.relu(&x);
    let pool = [
        ("kernel_shape", Attribute::Ints(vec![3; 2])),
        ("strides", Attribute::Ints(vec![2; 2])),
        ("pads", Attribute::Ints(vec![1; 4])),
    ];
    let mut x = net.node("MaxPool", &[&x], &pool);
    for (stage, blocks) in blocks.into_iter().enumerate() {
        let inner = (64 << stage) / divisor;
        let to = 4 * inner;
        for block in 0..blocks {
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            let y = net.conv(&x, from, inner, Conv::of(1, 1), 2);
            let y = net.relu(&y);
            let y = net.conv(&y, inner, inner, Conv::of(3, stride), 2);
            let y = net.relu(&y);
            let y = net.conv(&y, inner, to, Conv::of(1, 1), 2);
            let beside = if block == 0 { net.conv(&x, from, to, Conv::of(1, stride), 2) } else { x };
            let sum = net.add(&y, &beside);
            x = net.relu(&sum);
            from = to;
        }
    }
    finished("resnet50", net, &x, from, size)
}

/// A function of single elements that a network has between its layers.
type Activation = fn(&mut Net, &str) -> String;

/// A block that widens, filters each channel by itself, and narrows again.
#[derive(Clone, Copy)]
struct Inverted {
    from: usize,
    inner: usize,
    to: usize,
    kernel: usize,
    stride: i64,
    activation: Activation,
    /// What channels are weighed by, after all of them were looked at.
    gate: Option<(Activation, Activation)>,
}

fn inverted(net: &mut Net, x: &str, block: Inverted) -> String {
    let Inverted { from, inner, to, kernel, stride, activation, gate } = block;
    let mut y = x.to_owned();
    if inner != from {
        y = net.conv(&y, from, inner, Conv::of(1, 1), 2);
        y = activation(net, &y);
    }
    y = net.conv(&y, inner, inner, Conv { kernel, stride, groups: inner }, 2);
    y = activation(net, &y);
    if let Some((first, second)) = gate {
        let squeezed = (inner / 4).max(2);
        let mean = net.node("GlobalAveragePool", &[&y], &[]);
        let weight = net.conv(&mean, inner, squeezed, Conv::of(1, 1), 2);
        let weight = first(net, &weight);
        let weight = net.conv(&weight, squeezed, inner, Conv::of(1, 1), 2);
        let weight = second(net, &weight);
        y = net.node("Mul", &[&y, &weight], &[]);
    }
    y = net.conv(&y, inner, to, Conv::of(1, 1), 2);
    if stride == 1 && from == to { net.add(&y, x) } else { y }
}

pub(super) fn mobilenet_v2(size: Size, half: bool) -> Family {
    let (side, divisor, _) = scale(size);
    let mut net = over_pictures(half, side);
    let mut from = 32 / divisor;
    let x = net.conv("x", 3, from, Conv::of(3, 2), 2);
    let mut x = net.relu6(&x);
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
    for (widening, channels, blocks, first) in stages {
        let to = channels / divisor;
        for block in 0..if size == Size::Full { blocks } else { blocks.min(2) } {
            let stride = if block == 0 { first } else { 1 };
            let inner = from * widening;
            let (activation, gate): (Activation, _) = (Net::relu6, None);
            x = inverted(&mut net, &x, Inverted { from, inner, to, kernel: 3, stride, activation, gate });
            from = to;
        }
    }
    let last = 1280 / divisor;
    let x = net.conv(&x, from, last, Conv::of(1, 1), 2);
    let x = net.relu6(&x);
    finished("mobilenet_v2", net, &x, last, size)
}

fn hard_swish(net: &mut Net, x: &str) -> String {
    net.node("HardSwish", &[x], &[])
}

fn hard_sigmoid(net: &mut Net, x: &str) -> String {
    net.node("HardSigmoid", &[x], &[("alpha", Attribute::Float(1.0 / 6.0)), ("beta", Attribute::Float(0.5))])
}

fn sigmoid(net: &mut Net, x: &str) -> String {
    net.node("Sigmoid", &[x], &[])
}

pub(super) fn mobilenet_v3(size: Size, half: bool) -> Family {
    let (side, divisor, _) = scale(size);
    let mut net = over_pictures(half, side);
    let mut from = 16 / divisor.min(4);
    let x = net.conv("x", 3, from, Conv::of(3, 2), 2);
    let mut x = hard_swish(&mut net, &x);
    let [relu, swish]: [Activation; 2] = [Net::relu, hard_swish];
    // Kernel, inner channels, channels, whether it weighs channels, activation, stride.
    let blocks = [
        (3, 16, 16, true, relu, 2),
        (3, 72, 24, false, relu, 2),
        (3, 88, 24, false, relu, 1),
        (5, 96, 40, true, swish, 2),
        (5, 240, 40, true, swish, 1),
        (5, 120, 48, true, swish, 1),
        (5, 288, 96, true, swish, 2),
        (5, 576, 96, true, swish, 1),
    ];
    for (kernel, inner, to, weighs, activation, stride) in blocks {
        let (inner, to) = (inner / divisor.min(4), to / divisor.min(4));
        let gate = weighs.then_some((relu, hard_sigmoid as Activation));
        x = inverted(&mut net, &x, Inverted { from, inner, to, kernel, stride, activation, gate });
        from = to;
    }
    let last = 576 / divisor;
    let x = net.conv(&x, from, last, Conv::of(1, 1), 2);
    let x = hard_swish(&mut net, &x);
    finished("mobilenet_v3", net, &x, last, size)
}

pub(super) fn efficientnet(size: Size, half: bool) -> Family {
    let (side, divisor, _) = scale(size);
    let mut net = over_pictures(half, side);
    let mut from = 32 / divisor;
    let x = net.conv("x", 3, from, Conv::of(3, 2), 2);
    let mut x = net.silu(&x);
    // Widening, channels, blocks, stride, kernel.
    let stages = [
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ];
    for (widening, channels, blocks, first, kernel) in stages {
        let to = channels / divisor;
        for block in 0..if size == Size::Full { blocks } else { blocks.min(2) } {
            let stride = if block == 0 { first } else { 1 };
            let (activation, gate): (Activation, _) =
                (Net::silu, Some((Net::silu as Activation, sigmoid as Activation)));
            let inner = from * widening;
            x = inverted(&mut net, &x, Inverted { from, inner, to, kernel, stride, activation, gate });
            from = to;
        }
    }
    let last = 1280 / divisor;
    let x = net.conv(&x, from, last, Conv::of(1, 1), 2);
    let x = net.silu(&x);
    finished("efficientnet", net, &x, last, size)
}

/// Normalises groups of channels, as exporters write it.
fn group_norm(net: &mut Net, x: &str, channels: usize, groups: usize) -> String {
    let shape = net.node("Shape", &[x], &[]);
    let grouped = net.reshape(x, &[0, groups as i64, -1]);
    let (ones, zeros) = (net.floats(&[groups], std::iter::repeat_n(1.0, groups)), net.bias(&[groups]));
    let even =
        net.node("InstanceNormalization", &[&grouped, &ones, &zeros], &[("epsilon", Attribute::Float(1e-5))]);
    let even = net.node("Reshape", &[&even, &shape], &[]);
    let (scale, shift) = (net.weights(&[channels, 1, 1], 3), net.bias(&[channels, 1, 1]));
    let scaled = net.node("Mul", &[&even, &scale], &[]);
    net.add(&scaled, &shift)
}

/// Down and up again, with what was seen on the way down beside it; `transposed`
/// goes up by transposed convolutions, else by resizing.
pub(super) fn unet(size: Size, half: bool, transposed: bool) -> Family {
    let (side, first) = if size == Size::Full { (256, 64) } else { (24, 8) };
    let mut net = over_pictures(half, side);
    let double = |net: &mut Net, x: &str, from: usize, to: usize| {
        let y = net.conv(x, from, to, Conv::of(3, 1), 2);
        let y = group_norm(net, &y, to, 4);
        let y = net.silu(&y);
        let y = net.conv(&y, to, to, Conv::of(3, 1), 2);
        net.relu(&y)
    };
    let mut beside = Vec::new();
    let mut x = double(&mut net, "x", 3, first);
    let mut from = first;
    for _ in 0..3 {
        let pool = [("kernel_shape", Attribute::Ints(vec![2; 2])), ("strides", Attribute::Ints(vec![2; 2]))];
        let down = net.node("MaxPool", &[&x], &pool);
        beside.push((x, from));
        x = double(&mut net, &down, from, 2 * from);
        from *= 2;
    }
    while let Some((seen, channels)) = beside.pop() {
        let up = if transposed {
            let (w, b) = (net.weights(&[from, channels, 2, 2], from), net.bias(&[channels]));
            let twice =
                [("kernel_shape", Attribute::Ints(vec![2; 2])), ("strides", Attribute::Ints(vec![2; 2]))];
            net.node("ConvTranspose", &[&x, &w, &b], &twice)
        } else {
            let scales = net.scales(&[1.0, 1.0, 2.0, 2.0]);
            let (mode, place) = match channels == first {
                true => ("linear", "half_pixel"),
                false => ("nearest", "asymmetric"),
            };
            let attributes = [
                ("mode", Attribute::Text(mode.to_owned())),
                ("coordinate_transformation_mode", Attribute::Text(place.to_owned())),
                ("nearest_mode", Attribute::Text("floor".to_owned())),
            ];
            let up = net.node("Resize", &[&x, "", &scales], &attributes);
            net.conv(&up, from, channels, Conv::of(1, 1), 2)
        };
        let joined = net.node("Concat", &[&seen, &up], &[("axis", Attribute::Int(1))]);
        x = double(&mut net, &joined, 2 * channels, channels);
        from = channels;
    }
    let y = net.conv(&x, from, 2, Conv::of(1, 1), 2);
    let words = side.to_string();
    let name = if transposed { "unet_transposed" } else { "unet_resized" };
    family(name, net.finish(&y, &["n", "2", &words, &words]), side)
}
