//! Models that are ready to use. All of them are sound.

use super::proto::TensorProto;
use super::{Attribute, BOOL, FP32, INT64, Model, raw, tensor};

/// `y = x` for any shape of two axes, in the given datatype.
pub fn identity(datatype: i32) -> Vec<u8> {
    Model::new()
        .input("x", datatype, &["rows", "columns"])
        .node("Identity", &["x"], &["y"])
        .output("y", datatype, &["rows", "columns"])
        .bytes()
}

/// `y = 2 x` for rows of four numbers.
pub fn double() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["batch", "4"])
        .floats("two", &[1], &[2.0])
        .node("Mul", &["x", "two"], &["y"])
        .output("y", FP32, &["batch", "4"])
        .bytes()
}

/// `sum = a + b` for rows of any number of columns.
pub fn add() -> Vec<u8> {
    Model::new()
        .input("a", FP32, &["batch", "width"])
        .input("b", FP32, &["batch", "width"])
        .node("Add", &["a", "b"], &["sum"])
        .output("sum", FP32, &["batch", "width"])
        .bytes()
}

/// `y = x + 1` for a scalar.
pub fn scalar() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &[])
        .floats("one", &[], &[1.0])
        .node("Add", &["x", "one"], &["y"])
        .output("y", FP32, &[])
        .bytes()
}

/// `probabilities` of three classes, and the `class`, for rows of four numbers.
pub fn classifier() -> Vec<u8> {
    let weights: Vec<f32> = (0..12).map(|index| (index as f32 * 0.7).sin()).collect();
    Model::new()
        .input("features", FP32, &["batch", "4"])
        .floats("weights", &[4, 3], &weights)
        .floats("bias", &[3], &[0.1, -0.2, 0.3])
        .node("Gemm", &["features", "weights", "bias"], &["scores"])
        .node_with("Softmax", &["scores"], &["probabilities"], &[("axis", Attribute::Int(-1))])
        .node_with(
            "ArgMax",
            &["probabilities"],
            &["class"],
            &[("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))],
        )
        .output("probabilities", FP32, &["batch", "3"])
        .output("class", INT64, &["batch"])
        .bytes()
}

/// `y = x W` with a square `W` of `width` squared numbers: `4 width²` bytes of
/// weights.
pub fn matmul(width: usize) -> Vec<u8> {
    let size = width.to_string();
    Model::new()
        .input("x", FP32, &["batch", &size])
        .initializer(weights("w", width, width))
        .node("MatMul", &["x", "w"], &["y"])
        .output("y", FP32, &["batch", &size])
        .bytes()
}

/// Probabilities of ten classes for rows of 512 numbers, by two hidden layers of
/// 1024: small, and yet far from free.
pub fn perceptron() -> Vec<u8> {
    layers(&[512, 1024, 1024, 10])
}

/// Probabilities for rows of `sizes[0]` numbers, by fully connected layers of the
/// other sizes with seeded weights.
pub fn layers(sizes: &[usize]) -> Vec<u8> {
    let (first, last_size) = (sizes[0].to_string(), sizes[sizes.len() - 1].to_string());
    let mut model = Model::new().input("x", FP32, &["batch", &first]);
    let mut random = crate::Random::new(512);
    let mut last = "x".to_owned();
    for (layer, size) in sizes.windows(2).enumerate() {
        let [rows, columns] = [size[0], size[1]];
        let bound = (3.0 / rows as f32).sqrt();
        let mut values = |count: usize| -> Vec<f32> {
            (0..count).map(|_| (random.below(2001) as f32 / 1000.0 - 1.0) * bound).collect()
        };
        let (w, b, g, a) =
            (format!("w{layer}"), format!("b{layer}"), format!("g{layer}"), format!("a{layer}"));
        model = model
            .floats(&w, &[rows as i64, columns as i64], &values(rows * columns))
            .floats(&b, &[columns as i64], &values(columns))
            .node("Gemm", &[&last, &w, &b], &[&g]);
        last = if layer + 2 < sizes.len() {
            model = model.node("Relu", &[&g], &[&a]);
            a
        } else {
            g
        };
    }
    model
        .node_with("Softmax", &[&last], &["y"], &[("axis", Attribute::Int(1))])
        .output("y", FP32, &["batch", &last_size])
        .bytes()
}

/// `layers` products of `width` by `width` matrices, one after the other: about
/// `2 layers width³` operations for an input of `width` rows.
pub fn slow(width: usize, layers: usize) -> Vec<u8> {
    let size = width.to_string();
    let mut model = Model::new().input("x", FP32, &["batch", &size]).initializer(weights("w", width, width));
    let mut last = "x".to_owned();
    for layer in 0..layers {
        let next = format!("h{layer}");
        model = model.node("MatMul", &[&last, "w"], &[&next]);
        last = next;
    }
    model.node("Identity", &[&last], &["y"]).output("y", FP32, &["batch", &size]).bytes()
}

/// A small convolutional network over grey images of 12 by 12.
pub fn cnn() -> Vec<u8> {
    let wave =
        |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin() * 0.5).collect::<Vec<f32>>();
    let pool = [("kernel_shape", Attribute::Ints(vec![2, 2])), ("strides", Attribute::Ints(vec![2, 2]))];
    let conv = [("kernel_shape", Attribute::Ints(vec![3, 3])), ("pads", Attribute::Ints(vec![1, 1, 1, 1]))];
    Model::new()
        .input("image", FP32, &["batch", "1", "12", "12"])
        .floats("kernel", &[4, 1, 3, 3], &wave(36, 0.37))
        .floats("offset", &[4], &wave(4, 1.1))
        .floats("weights", &[144, 5], &wave(720, 0.11))
        .floats("bias", &[5], &wave(5, 0.9))
        .node_with("Conv", &["image", "kernel", "offset"], &["c"], &conv)
        .node("Relu", &["c"], &["r"])
        .node_with("MaxPool", &["r"], &["p"], &pool)
        .node_with("Flatten", &["p"], &["f"], &[("axis", Attribute::Int(1))])
        .node("Gemm", &["f", "weights", "bias"], &["g"])
        .node_with("Softmax", &["g"], &["probabilities"], &[("axis", Attribute::Int(1))])
        .output("probabilities", FP32, &["batch", "5"])
        .bytes()
}

/// Every second pixel of pictures of 4 by 4, with a border around, and large again.
pub fn borders() -> Vec<u8> {
    let halved = [("strides", Attribute::Ints(vec![2, 2])), ("kernel_shape", Attribute::Ints(vec![1, 1]))];
    let doubled = [("strides", Attribute::Ints(vec![2, 2])), ("kernel_shape", Attribute::Ints(vec![2, 2]))];
    Model::new()
        .input("picture", FP32, &["n", "1", "4", "4"])
        .floats("one", &[2, 1, 1, 1], &[1.0, 2.0])
        .floats("four", &[2, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
        .ints("border", &[8], &[0, 0, 1, 1, 0, 0, 1, 1])
        .node_with("Conv", &["picture", "one"], &["half"], &halved)
        .node("Pad", &["half", "border"], &["framed"])
        .node_with("ConvTranspose", &["framed", "four"], &["large"], &doubled)
        .output("large", FP32, &["n", "1", "8", "8"])
        .bytes()
}

/// Three outputs of three datatypes from one input, out of alphabetic order.
pub fn several_outputs() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["batch", "2"])
        .floats("zero", &[], &[0.0])
        .node("Neg", &["x"], &["negative"])
        .node("Greater", &["x", "zero"], &["is_positive"])
        .node("Shape", &["x"], &["shape"])
        .output("shape", INT64, &["2"])
        .output("is_positive", BOOL, &["batch", "2"])
        .output("negative", FP32, &["batch", "2"])
        .bytes()
}

/// `difference = first - second`, declared with `second` before `first`.
pub fn subtract() -> Vec<u8> {
    Model::new()
        .input("second", FP32, &["n"])
        .input("first", FP32, &["n"])
        .node("Sub", &["first", "second"], &["difference"])
        .output("difference", FP32, &["n"])
        .bytes()
}

/// Adds two inputs whose sizes nobody named.
pub fn unnamed_sizes() -> Vec<u8> {
    Model::new()
        .input("a", FP32, &["?", "3"])
        .input("b", FP32, &["?", "3"])
        .node("Add", &["a", "b"], &["sum"])
        .output("sum", FP32, &["?", "3"])
        .bytes()
}

/// Two inputs of unnamed, different sizes, one after the other.
pub fn concatenate() -> Vec<u8> {
    Model::new()
        .input("a", FP32, &["?", "3"])
        .input("b", FP32, &["?", "3"])
        .node_with("Concat", &["a", "b"], &["both"], &[("axis", Attribute::Int(0))])
        .output("both", FP32, &["?", "3"])
        .bytes()
}

/// Rows of six numbers as rows of four: there need not be a whole number.
pub fn uneven_rows() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["?", "6"])
        .ints("shape", &[2], &[-1, 4])
        .node("Reshape", &["x", "shape"], &["y"])
        .output("y", FP32, &["?", "4"])
        .bytes()
}

/// Each row less the mean of all rows: rows that depend on one another.
pub fn centred_rows() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["batch", "2"])
        .node_with("ReduceMean", &["x"], &["mean"], &[("axes", Attribute::Ints(vec![0]))])
        .node("Sub", &["x", "mean"], &["y"])
        .output("y", FP32, &["batch", "2"])
        .bytes()
}

/// Softmax down the columns: rows that depend on one another.
pub fn softmax_over_rows() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["batch", "2"])
        .node_with("Softmax", &["x"], &["y"], &[("axis", Attribute::Int(0))])
        .output("y", FP32, &["batch", "2"])
        .bytes()
}

/// A recurrent network that reads one sequence, its steps along axis 0.
pub fn recurrent() -> Vec<u8> {
    let wave = |count: usize| (0..count).map(|i| (i as f32 * 0.3).cos() * 0.4).collect::<Vec<f32>>();
    Model::new()
        .input("steps", FP32, &["time", "1", "3"])
        .floats("w", &[1, 2, 3], &wave(6))
        .floats("r", &[1, 2, 2], &wave(4))
        .node_with("RNN", &["steps", "w", "r"], &["all"], &[("hidden_size", Attribute::Int(2))])
        .output("all", FP32, &["time", "1", "1", "2"])
        .bytes()
}

/// A decision tree of one question, as scikit-learn's exporter writes them: the
/// `label` and the `probabilities` of two classes for rows of two numbers.
pub fn tree() -> Vec<u8> {
    let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
    let texts = |values: &[&str]| Attribute::Texts(values.iter().map(|&value| value.to_owned()).collect());
    let attributes = [
        ("nodes_treeids", ints(&[0, 0, 0])),
        ("nodes_nodeids", ints(&[0, 1, 2])),
        ("nodes_featureids", ints(&[1, 0, 0])),
        ("nodes_values", Attribute::Floats(vec![0.5, 0.0, 0.0])),
        ("nodes_modes", texts(&["BRANCH_LEQ", "LEAF", "LEAF"])),
        ("nodes_truenodeids", ints(&[1, 0, 0])),
        ("nodes_falsenodeids", ints(&[2, 0, 0])),
        ("nodes_missing_value_tracks_true", ints(&[0, 0, 0])),
        ("nodes_hitrates", Attribute::Floats(vec![1.0, 1.0, 1.0])),
        ("class_treeids", ints(&[0, 0, 0, 0])),
        ("class_nodeids", ints(&[1, 1, 2, 2])),
        ("class_ids", ints(&[0, 1, 0, 1])),
        ("class_weights", Attribute::Floats(vec![0.75, 0.25, 0.125, 0.875])),
        ("classlabels_int64s", ints(&[0, 1])),
        ("post_transform", Attribute::Text("NONE".to_owned())),
    ];
    Model::new()
        .domain("ai.onnx.ml", 3)
        .input("features", FP32, &["?", "2"])
        .node_with("TreeEnsembleClassifier", &["features"], &["label", "probabilities"], &attributes)
        .in_domain("ai.onnx.ml")
        .output("label", INT64, &["?"])
        .output("probabilities", FP32, &["?", "2"])
        .bytes()
}

/// Counts from 0 to `limit`: the size of the output is the input's value.
pub fn range() -> Vec<u8> {
    Model::new()
        .input("limit", INT64, &[])
        .ints("zero", &[], &[0])
        .ints("one", &[], &[1])
        .node("Range", &["zero", "limit", "one"], &["counted"])
        .output("counted", INT64, &["n"])
        .bytes()
}

/// The indices of what is not zero: how many there are is known after the run.
pub fn non_zero() -> Vec<u8> {
    Model::new()
        .input("x", FP32, &["n"])
        .node("NonZero", &["x"], &["indices"])
        .output("indices", INT64, &["1", "found"])
        .bytes()
}

/// Adds 1 to `x` in each of `rounds` rounds.
pub fn counting_loop() -> Vec<u8> {
    let body = Model::new()
        .input("round", INT64, &[])
        .input("before", BOOL, &[])
        .input("last", FP32, &["1"])
        .floats("one", &[1], &[1.0])
        .node("Identity", &["before"], &["again"])
        .node("Add", &["last", "one"], &["next"])
        .output("again", BOOL, &[])
        .output("next", FP32, &["1"]);
    Model::new()
        .input("rounds", INT64, &[])
        .input("x", FP32, &["1"])
        .node_with("Loop", &["rounds", "", "x"], &["y"], &[("body", Attribute::Graph(body.into_graph()))])
        .output("y", FP32, &["1"])
        .bytes()
}

/// `y = x + w` with the weights in the file `location` beside the model.
pub fn external(location: &str, offset: usize, length: usize) -> Vec<u8> {
    let size = (length / 4).to_string();
    Model::new()
        .input("x", FP32, &[&size])
        .initializer(outside("w", location, offset, length))
        .node("Add", &["x", "w"], &["y"])
        .output("y", FP32, &[&size])
        .bytes()
}

/// The same, with the weights a constant of a node.
pub fn external_constant(location: &str, offset: usize, length: usize) -> Vec<u8> {
    let size = (length / 4).to_string();
    let data = Attribute::Tensor(outside("w", location, offset, length));
    Model::new()
        .input("x", FP32, &[&size])
        .node_with("Constant", &[], &["w"], &[("value", data)])
        .node("Add", &["x", "w"], &["y"])
        .output("y", FP32, &[&size])
        .bytes()
}

/// Two numbers are added, which ones a condition says: each two lie in the file
/// `location`, from the offset on.
pub fn external_branches(location: &str, offset: usize) -> Vec<u8> {
    let branch = |name: &str, offset| {
        let sum = format!("{name}_sum");
        let branch = Model::new().initializer(outside(name, location, offset, 8));
        Attribute::Graph(branch.node("Add", &["x", name], &[&sum]).output(&sum, FP32, &["2"]).into_graph())
    };
    let branches = [("then_branch", branch("a", offset)), ("else_branch", branch("b", offset + 8))];
    Model::new()
        .input("condition", BOOL, &[])
        .input("x", FP32, &["2"])
        .node_with("If", &["condition"], &["y"], &branches)
        .output("y", FP32, &["2"])
        .bytes()
}

fn outside(name: &str, location: &str, offset: usize, length: usize) -> TensorProto {
    let mut data = raw(name, FP32, &[(length / 4) as i64], Vec::new());
    data.data_location = 1;
    for (key, value) in
        [("location", location), ("offset", &offset.to_string()), ("length", &length.to_string())]
    {
        let (key, value) = (key.to_owned(), value.to_owned());
        data.external_data.push(super::proto::StringStringEntryProto { key, value });
    }
    data
}

/// Gives two columns as they are, called `no` and `yes`.
pub fn labelled() -> Vec<u8> {
    let classes = ["no", "yes"].map(str::to_owned).to_vec();
    Model::new()
        .domain("ai.onnx.ml", 3)
        .input("x", FP32, &["n", "2"])
        .node_with("ZipMap", &["x"], &["y"], &[("classlabels_strings", Attribute::Texts(classes))])
        .in_domain("ai.onnx.ml")
        .output("y", FP32, &["n", "2"])
        .bytes()
}

/// A table of small, distinct numbers.
fn weights(name: &str, rows: usize, columns: usize) -> TensorProto {
    let scale = 1.0 / rows as f32;
    let values: Vec<f32> =
        (0..rows * columns).map(|i| ((i * 31 % 101) as f32 - 50.0) * scale * 0.02).collect();
    tensor(name, &[rows as i64, columns as i64], &values)
}
