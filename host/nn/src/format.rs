//! The formats of model files, told apart by what stands in them.

use std::fmt;

/// A format of model files that some backend reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    Onnx,
    /// TensorFlow Lite's, which LiteRT runs.
    Tflite,
    /// A tar archive with a `graph.nnef`, compressed by gzip or not.
    Nnef,
}

/// What the bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Model(Format),
    /// A model of another kind.
    Foreign(Foreign),
    Unknown,
}

/// A kind of model file that no backend reads, but that others write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    Safetensors,
    Gguf,
    Pickle,
    Hdf5,
    Keras,
    TorchZip,
    SavedModel,
}

/// A file that is no model of a format that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {ACCEPTED}", found(*seen))]
pub struct UnknownFormat {
    /// `None` where nothing about the file is familiar.
    pub seen: Option<Foreign>,
}

const ACCEPTED: &str = "samara reads ONNX (`.onnx`), TFLite (`.tflite`) and NNEF (`.nnef.tgz`, `.nnef.tar`)";

/// How many bytes of a file [`Content::of`] needs to see.
pub const HEAD: usize = 4096;

impl Format {
    pub const fn name(self) -> &'static str {
        match self {
            Format::Onnx => "ONNX",
            Format::Tflite => "TFLite",
            Format::Nnef => "NNEF",
        }
    }

    /// The format that a file of this name claims to have.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".onnx"]) {
            Some(Format::Onnx)
        } else if ends(&[".tflite"]) {
            Some(Format::Tflite)
        } else {
            ends(&[".nnef", ".nnef.tar", ".nnef.tgz", ".nnef.tar.gz"]).then_some(Format::Nnef)
        }
    }

    /// The format of a file, of which `head` is at least the first [`HEAD`] bytes:
    /// what stands in it, and where that says nothing, what its name claims.
    ///
    /// # Errors
    /// What the file is instead, with how to turn it into one that is read.
    pub fn recognise(head: &[u8], name: &str) -> Result<Self, UnknownFormat> {
        match Content::of(head) {
            Content::Model(format) => Ok(format),
            Content::Foreign(foreign) => Err(UnknownFormat { seen: Some(foreign) }),
            Content::Unknown => Self::from_name(name).ok_or(UnknownFormat { seen: None }),
        }
    }
}

impl Content {
    /// What a file is, of which `head` is at least the first [`HEAD`] bytes.
    pub fn of(head: &[u8]) -> Self {
        let starts = |mark: &[u8]| head.starts_with(mark);
        if head.get(4..8) == Some(b"TFL3") {
            Content::Model(Format::Tflite)
        } else if is_tar(head) || starts(b"\x1f\x8b\x08") {
            Content::Model(Format::Nnef)
        } else if starts(b"GGUF") {
            Content::Foreign(Foreign::Gguf)
        } else if starts(b"\x89HDF\r\n\x1a\n") {
            Content::Foreign(Foreign::Hdf5)
        } else if starts(b"PK\x03\x04") {
            of_zip(head)
        } else if is_safetensors(head) {
            Content::Foreign(Foreign::Safetensors)
        } else if matches!(head, [0x80, 2..=5, ..]) {
            Content::Foreign(Foreign::Pickle)
        } else {
            of_protobuf(head)
        }
    }
}

impl Foreign {
    /// What to do with such a file.
    const fn advice(self) -> &'static str {
        match self {
            Foreign::Safetensors => {
                "it holds weights without what is computed with them; export the model that they belong to, with `optimum-cli export onnx` or `torch.onnx.export`"
            }
            Foreign::Gguf => "export the model that it was made from, with `optimum-cli export onnx`",
            Foreign::Pickle => {
                "it is a Python object, which only Python can load; export it with `skl2onnx` (scikit-learn), `onnxmltools` (XGBoost, LightGBM) or `torch.onnx.export` (PyTorch)"
            }
            Foreign::Hdf5 | Foreign::Keras => {
                "load it with Keras and export it with `model.export(\"model.onnx\", format=\"onnx\")`, or convert it with `tf.lite.TFLiteConverter`"
            }
            Foreign::TorchZip => "load it with PyTorch and export it with `torch.onnx.export`",
            Foreign::SavedModel => {
                "convert its folder with `python -m tf2onnx.convert --saved-model` or `tf.lite.TFLiteConverter.from_saved_model`"
            }
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Safetensors => "weights in the format safetensors",
            Foreign::Gguf => "a model in the format GGUF",
            Foreign::Pickle => "a pickle of Python",
            Foreign::Hdf5 => "an HDF5 file, as Keras writes models",
            Foreign::Keras => "a model of Keras",
            Foreign::TorchZip => "a model of PyTorch (TorchScript or a checkpoint)",
            Foreign::SavedModel => "a SavedModel of TensorFlow",
        })
    }
}

fn found(seen: Option<Foreign>) -> String {
    seen.map_or_else(
        || "it is no model file that is known:".to_owned(),
        |foreign| format!("it is {foreign}: {};", foreign.advice()),
    )
}

/// POSIX's mark in the first header of a tar archive.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// A length of eight bytes, and an object of JSON.
fn is_safetensors(head: &[u8]) -> bool {
    let Some((length, rest)) = head.split_first_chunk::<8>() else { return false };
    (2..1 << 32).contains(&u64::from_le_bytes(*length)) && rest.starts_with(b"{\"")
}

/// By the names of the first files in it.
fn of_zip(head: &[u8]) -> Content {
    let names = |name: &[u8]| head.windows(name.len()).any(|bytes| bytes == name);
    if names(b"data.pkl") || names(b"/version") {
        Content::Foreign(Foreign::TorchZip)
    } else if names(b"config.json") && (names(b"metadata.json") || names(b"model.weights.h5")) {
        Content::Foreign(Foreign::Keras)
    } else {
        Content::Unknown
    }
}

/// ONNX and a SavedModel are both messages that begin with a version. TensorFlow's is
/// 1, and a graph comes next; ONNX's is above 2 since 2017.
fn of_protobuf(head: &[u8]) -> Content {
    match head {
        [0x08, 1, 0x12, ..] => Content::Foreign(Foreign::SavedModel),
        // The producer's name and version, the domain, the model's version and text,
        // the graph, the operator sets or the metadata.
        [0x08, 3..=127, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..] => {
            Content::Model(Format::Onnx)
        }
        _ => Content::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip(name: &str) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend([0; 22]);
        bytes.extend([name.len() as u8, 0, 0, 0]);
        bytes.extend(name.as_bytes());
        bytes
    }

    fn tar() -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[..10].copy_from_slice(b"graph.nnef");
        bytes[257..262].copy_from_slice(b"ustar");
        bytes
    }

    #[test]
    fn models_are_known_by_their_bytes_whatever_their_names() {
        let cases: [(&[u8], Format); 5] = [
            (b"\x1c\0\0\0TFL3", Format::Tflite),
            (&tar(), Format::Nnef),
            (b"\x1f\x8b\x08\0\0", Format::Nnef),
            (b"\x08\x0a\x12\x07pytorch", Format::Onnx),
            (b"\x08\x08\x3a\x05", Format::Onnx),
        ];
        for (head, format) in cases {
            for name in ["m.bin", "m.onnx", "m.tflite", "m"] {
                assert_eq!(Format::recognise(head, name), Ok(format), "{name}");
            }
        }
    }

    #[test]
    fn a_name_decides_where_the_bytes_say_nothing() {
        let cases = [
            ("m.onnx", Some(Format::Onnx)),
            ("M.ONNX", Some(Format::Onnx)),
            ("m.tflite", Some(Format::Tflite)),
            ("m.nnef.tgz", Some(Format::Nnef)),
            ("m.nnef.tar.gz", Some(Format::Nnef)),
            ("m.tgz", None),
            ("onnx", None),
            ("", None),
        ];
        for (name, format) in cases {
            assert_eq!(Format::recognise(b"damaged", name).ok(), format, "{name}");
        }
    }

    #[test]
    fn files_of_others_are_named_with_what_to_do() {
        let mut safetensors = 16u64.to_le_bytes().to_vec();
        safetensors.extend(b"{\"w\":{}}        ");
        let cases: [(&[u8], Foreign, &str); 8] = [
            (&safetensors, Foreign::Safetensors, "optimum-cli"),
            (b"GGUF\x03\0\0\0", Foreign::Gguf, "optimum-cli"),
            (b"\x80\x04\x95", Foreign::Pickle, "skl2onnx"),
            (b"\x89HDF\r\n\x1a\n", Foreign::Hdf5, "model.export"),
            (&zip("archive/data.pkl"), Foreign::TorchZip, "torch.onnx.export"),
            (&[zip("metadata.json"), zip("config.json")].concat(), Foreign::Keras, "model.export"),
            (b"\x08\x01\x12\x90\x02", Foreign::SavedModel, "tf2onnx"),
            (&zip("x/version"), Foreign::TorchZip, "torch.onnx.export"),
        ];
        for (head, foreign, advice) in cases {
            let error = Format::recognise(head, "m.onnx").unwrap_err();
            assert_eq!(error.seen, Some(foreign));
            let words = error.to_string();
            assert!(words.contains(advice) && words.contains("samara reads ONNX"), "{words}");
        }
        let words = Format::recognise(&zip("other"), "m.zip").unwrap_err().to_string();
        assert!(words.starts_with("it is no model file that is known: samara reads ONNX"), "{words}");
    }
}
