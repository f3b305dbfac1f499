//! The families of models that people run, in the sizes that they run and in
//! small ones for tests, written as exporters write them.

mod pictures;
mod sequences;

/// A model, and what it is fed.
pub struct Family {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub inputs: Vec<Input>,
}

/// An input, whose first axis is one of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub kind: Kind,
    /// Without the axis of rows.
    pub shape: Vec<usize>,
}

/// What may be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In the datatype of the model.
    Floats,
    /// Numbers of words below 50, INT64.
    Words,
    /// Ones, and zeros at the end, INT64.
    Mask,
    /// Zeros and ones, INT64.
    Parts,
}

/// How large a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// What people run.
    Full,
    /// A few thousand weights.
    Small,
}

/// Their names.
pub const NAMES: [&str; 12] = [
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3",
    "efficientnet",
    "unet_transposed",
    "unet_resized",
    "vit",
    "bert",
    "bert_plain",
    "minilm",
    "whisper_encoder",
    "perceptron",
];

/// A family by its name, in FP32 or FP16.
///
/// # Panics
/// When it is none of [`NAMES`].
pub fn family(name: &str, size: Size, half: bool) -> Family {
    match name {
        "resnet50" => pictures::resnet(size, half),
        "mobilenet_v2" => pictures::mobilenet_v2(size, half),
        "mobilenet_v3" => pictures::mobilenet_v3(size, half),
        "efficientnet" => pictures::efficientnet(size, half),
        "unet_transposed" => pictures::unet(size, half, true),
        "unet_resized" => pictures::unet(size, half, false),
        "vit" => sequences::vit(size, half),
        "bert" => sequences::bert(size, half),
        "bert_plain" => sequences::bert_plain(size, half),
        "minilm" => sequences::minilm(size, half),
        "whisper_encoder" => sequences::whisper_encoder(size, half),
        "perceptron" => sequences::perceptron(size, half),
        other => panic!("no family of models is called `{other}`"),
    }
}

/// A product of rows, of which there are any number, with a square matrix of
/// this size.
pub fn product(size: usize, half: bool) -> Family {
    let words = size.to_string();
    let mut net = super::net::Net::new(half).input("x", &["n", &words]);
    let y = net.matmul("x", size, size);
    let bytes = net.finish(&y, &["n", &words]);
    Family { name: "product", bytes, inputs: vec![Input { kind: Kind::Floats, shape: vec![size] }] }
}
