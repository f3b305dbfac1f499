//! Tensors that grow: transposed convolutions and resizing.

use samara_test::Random;
use samara_test::onnx::{Attribute, FP32, Model};

use crate::{Pair, floats};

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

fn text(words: &str) -> Attribute {
    Attribute::Text(words.to_owned())
}

/// Names for so many axes.
fn open(axes: usize, prefix: &str) -> Vec<String> {
    (0..axes).map(|axis| format!("{prefix}{axis}")).collect()
}

/// A transposed convolution of `[n, channels, …]` with a kernel `[channels,
/// outputs / groups, …]`, compared on pictures of several sizes.
#[track_caller]
fn transposed(
    [channels, outputs, groups]: [usize; 3],
    kernel: &[usize],
    sizes: &[&[usize]],
    attributes: &[(&str, Attribute)],
) {
    let mut random = Random::new(90);
    let dims = [vec![channels, outputs / groups], kernel.to_vec()].concat();
    let weights = random.floats(dims.iter().product());
    let dims: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
    let bias = random.floats(outputs);
    for &size in sizes {
        // Its output has no size where the picture's is open.
        let words: Vec<String> = size.iter().map(usize::to_string).collect();
        let shape = [vec!["n".to_owned(), channels.to_string()], words].concat();
        let shape: Vec<&str> = shape.iter().map(String::as_str).collect();
        let out = [vec!["n".to_owned(), outputs.to_string()], open(kernel.len(), "o")].concat();
        let out: Vec<&str> = out.iter().map(String::as_str).collect();
        let attributes = [attributes, &[("group", Attribute::Int(groups as i64))]].concat();
        let model = Model::new()
            .input("x", FP32, &shape)
            .floats("w", &dims, &weights)
            .floats("b", &[outputs as i64], &bias)
            .node_with("ConvTranspose", &["x", "w", "b"], &["t"], &attributes)
            .node("Tanh", &["t"], &["y"])
            .output("y", FP32, &out);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        for rows in [1, 3] {
            pair.agree(&[floats(&mut random, &[vec![rows, channels], size.to_vec()].concat())], 1e-5);
        }
    }
}

#[test]
fn transposed_convolutions_of_all_kinds() {
    let pictures: &[&[usize]] = &[&[1, 1], &[5, 7], &[9, 4]];
    transposed([3, 5, 1], &[2, 2], pictures, &[("strides", ints(&[2, 2]))]);
    transposed([4, 6, 1], &[3, 3], pictures, &[]);
    transposed([4, 6, 2], &[3, 4], pictures, &[("strides", ints(&[2, 3])), ("pads", ints(&[1, 1, 1, 2]))]);
    transposed([3, 3, 3], &[3, 3], pictures, &[("dilations", ints(&[2, 1]))]);
    let adjusted = [("strides", ints(&[3, 2])), ("output_padding", ints(&[1, 1]))];
    transposed([2, 4, 1], &[3, 3], pictures, &adjusted);
    transposed([2, 4, 2], &[5], &[&[1], &[8]], &[("strides", ints(&[2]))]);
    transposed([2, 3, 1], &[2, 3, 2], &[&[2, 3, 4], &[1, 1, 1]], &[("strides", ints(&[1, 2, 2]))]);
}

/// Resizes `[n, c, h, w]` by factors, or to sizes where those are whole numbers.
#[track_caller]
fn resized(scales: Option<[f32; 4]>, sizes: [i64; 2], attributes: &[(&str, &str)], tolerance: f32) {
    let mut random = Random::new(91);
    let attributes: Vec<(&str, Attribute)> =
        attributes.iter().map(|&(key, value)| (key, text(value))).collect();
    for [height, width] in [[4usize, 6], [1, 1], [7, 5]] {
        let model = Model::new().input("x", FP32, &["2", "3", &height.to_string(), &width.to_string()]);
        let (model, inputs) = match scales {
            Some(scales) => (model.floats("scales", &[4], &scales), vec!["x", "", "scales"]),
            None => (model.ints("sizes", &[4], &[2, 3, sizes[0], sizes[1]]), vec!["x", "", "", "sizes"]),
        };
        let model = model.node_with("Resize", &inputs, &["t"], &attributes).node("Abs", &["t"], &["y"]);
        let model = model.output("y", FP32, &["2", "3", "oh", "ow"]);
        let Some(pair) = Pair::load(&model.bytes()) else { return };
        pair.agree(&[floats(&mut random, &[2, 3, height, width])], tolerance);
    }
}

#[test]
fn resizing_of_all_kinds() {
    let places = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"];
    for place in places {
        let place = ("coordinate_transformation_mode", place);
        for mode in ["linear", "cubic"] {
            let attributes = [("mode", mode), place];
            resized(Some([1.0, 1.0, 2.0, 3.0]), [0, 0], &attributes, 1e-5);
            resized(Some([1.0, 1.0, 1.5, 1.0]), [0, 0], &attributes, 1e-5);
            resized(None, [9, 4], &attributes, 1e-5);
        }
    }
    for nearest in ["floor", "round_prefer_ceil"] {
        for place in ["asymmetric", "half_pixel"] {
            let attributes =
                [("mode", "nearest"), ("coordinate_transformation_mode", place), ("nearest_mode", nearest)];
            resized(Some([1.0, 1.0, 2.0, 3.0]), [0, 0], &attributes, 0.0);
            resized(None, [9, 4], &attributes, 0.0);
        }
    }
}

#[test]
fn open_pictures_are_doubled() {
    let attributes = [("mode", text("linear")), ("coordinate_transformation_mode", text("half_pixel"))];
    let nearest = [
        ("mode", text("nearest")),
        ("coordinate_transformation_mode", text("asymmetric")),
        ("nearest_mode", text("floor")),
    ];
    let model = Model::new()
        .input("x", FP32, &["n", "2", "h", "w"])
        .floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0])
        .node_with("Resize", &["x", "", "scales"], &["t"], &attributes)
        .node_with("Resize", &["t", "", "scales"], &["y"], &nearest)
        .output("y", FP32, &["n", "2", "oh", "ow"]);
    let Some(pair) = Pair::load(&model.bytes()) else { return };
    let mut random = Random::new(92);
    for shape in [[1, 2, 3, 4], [2, 2, 1, 1], [3, 2, 8, 5], [1, 2, 30, 31]] {
        pair.agree(&[floats(&mut random, &shape)], 1e-5);
    }
}
