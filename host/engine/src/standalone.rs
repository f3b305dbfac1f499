//! Makes a component out of a model that needs nothing of its host: the model's file
//! becomes part of the memory that a runner, an engine in a component, starts with.

use samara_nn::{Datatype, Signature, TensorSpec};

mod splice;

/// A runner that no model can be put into.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    #[error("the runner is not usable: {0}")]
    Runner(String),
    #[error("the model takes {bytes} bytes, and a component has room for {most} beside its runner")]
    TooLarge { bytes: usize, most: usize },
}

/// What a component carries.
#[derive(Debug, Clone, Copy)]
pub struct Standalone<'a> {
    /// What answers call the model.
    pub name: &'a str,
    pub signature: &'a Signature,
    /// An ONNX file, which may refer to data in the file `weights.data`.
    pub file: &'a [u8],
    /// What that holds; it is used where it lies.
    pub weights: &'a [u8],
}

/// Puts a model into a runner. The same parts give the same bytes.
///
/// # Errors
/// When the runner is none, has a model already, or has no room.
pub fn standalone_component(runner: &[u8], model: &Standalone<'_>) -> Result<Vec<u8>, StandaloneError> {
    splice::splice(runner, &standalone_payload(model))
}

/// What is put into the runner. One without a model reads these bytes from the file
/// that the variable `SAMARA_STANDALONE_PAYLOAD` names.
pub fn standalone_payload(model: &Standalone<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(model.file.len() + model.weights.len() + 1024);
    put_text(&mut bytes, model.name);
    put_specs(&mut bytes, &model.signature.inputs);
    put_specs(&mut bytes, &model.signature.outputs);
    put_length(&mut bytes, model.file.len());
    bytes.extend_from_slice(model.file);
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes.extend_from_slice(model.weights);
    bytes
}

/// What the weights begin at a multiple of.
const ALIGNMENT: usize = 64;

fn put_specs(bytes: &mut Vec<u8>, specs: &[TensorSpec]) {
    put_length(bytes, specs.len());
    for spec in specs {
        put_text(bytes, &spec.name);
        let place = Datatype::ALL.iter().position(|&known| known == spec.datatype).unwrap_or_default();
        bytes.push(place as u8);
        put_length(bytes, spec.shape.len());
        spec.shape.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Names and lists that were read from a file of less than 2 GiB.
fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend((length as u32).to_le_bytes());
}
