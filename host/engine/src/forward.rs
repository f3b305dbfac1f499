//! Makes a component out of a model: one with the model's signature, whose
//! `infer` hands the tensors to `wasi:nn`. No toolchain is needed; any host
//! with `wasi:nn` and the model can run it.

use std::path::Path;

use samara_nn::{Datatype, Signature, TensorSpec};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Resolve, UnresolvedPackageGroup};

const MODULE: &str = include_str!("forward.wat");
const FUNCTION_WIT: &str = include_str!("../../../guest-sdk/wit/function.wit");
const WASI_NN_WIT: &str = include_str!("../../../guest-sdk/wit/deps/wasi-nn/wasi-nn.wit");
const WORLD: &str = "samara-function";

/// A model that no component can be made for.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error("the signature takes {bytes} bytes; 16 MiB are the most")]
    TooLarge { bytes: usize },
    #[error("the component cannot be generated: {0}")]
    Generate(String),
}

/// Generates the component for a model that `wasi:nn` knows as `model`.
///
/// # Errors
/// When the signature is absurdly large.
pub fn component_for_model(model: &str, signature: &Signature) -> Result<Vec<u8>, ForwardError> {
    let mut module = wat::parse_str(module_text(model, signature)?).map_err(generate_error)?;
    let (resolve, world) = contract().map_err(generate_error)?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(generate_error)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).map_err(generate_error)?;
    encoder.encode().map_err(generate_error)
}

fn generate_error(error: impl std::fmt::Display) -> ForwardError {
    ForwardError::Generate(format!("{error:#}"))
}

fn contract() -> Result<(Resolve, wit_parser::WorldId), Box<dyn std::error::Error>> {
    let mut resolve = Resolve::default();
    for (path, text) in [("wasi-nn.wit", WASI_NN_WIT), ("function.wit", FUNCTION_WIT)] {
        let group = UnresolvedPackageGroup::parse(Path::new(path), text)
            .map_err(|error| format!("{path}: {error:?}"))?;
        resolve.push_group(group)?;
    }
    let (world, _) = resolve.worlds.iter().find(|(_, world)| world.name == WORLD).ok_or("no world")?;
    Ok((resolve, world))
}

fn module_text(model: &str, signature: &Signature) -> Result<String, ForwardError> {
    let mut data = Layout::new();
    let kinds = data.put(1, &ERROR_KINDS);
    let name = data.put(1, model.as_bytes());
    let inputs = data.specs(&signature.inputs);
    let outputs = data.specs(&signature.outputs);
    let record = [inputs.0, inputs.1, outputs.0, outputs.1];
    let described = data.put_words(&record);
    let answer = data.put(8, &[0; 16]);
    let scratch = data.put(8, &[0; 16]);
    let heap = data.put(16, &[]);
    // One page is what the module starts with; its data must fit it.
    let bytes = data.bytes.len();
    if bytes > 16 << 20 {
        return Err(ForwardError::TooLarge { bytes });
    }
    let pages = bytes / (64 << 10) + 1;
    let text = MODULE
        .replace("(memory (export \"memory\") 1)", &format!("(memory (export \"memory\") {pages})"))
        .replace("{HEAP}", &heap.to_string())
        .replace("{SIGNATURE}", &described.to_string())
        .replace("{ANSWER}", &answer.to_string())
        .replace("{SCRATCH}", &scratch.to_string())
        .replace("{KINDS}", &kinds.to_string())
        .replace("{NAME}", &name.to_string())
        .replace("{NAME_LENGTH}", &model.len().to_string());
    Ok(text.replace("{DATA}", &escape(&data.bytes)))
}

/// The contract's `error-kind` for each `wasi:nn` `error-code`, by position.
const ERROR_KINDS: [u8; 9] = {
    const INVALID_INPUT: u8 = 0;
    const NOT_FOUND: u8 = 1;
    const UNSUPPORTED: u8 = 2;
    const TIMEOUT: u8 = 3;
    const TOO_LARGE: u8 = 4;
    const INTERNAL: u8 = 5;
    [INVALID_INPUT, UNSUPPORTED, TIMEOUT, INTERNAL, UNSUPPORTED, TOO_LARGE, NOT_FOUND, INTERNAL, INTERNAL]
};

/// The module's initial memory, laid out as the canonical ABI asks.
struct Layout {
    bytes: Vec<u8>,
}

impl Layout {
    /// Address 0 stays unused.
    fn new() -> Self {
        Self { bytes: vec![0; 16] }
    }

    fn put(&mut self, align: usize, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        let address = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        address
    }

    fn put_words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(4, &bytes)
    }

    /// Puts a `list<tensor-spec>` and gives its address and length. A record is
    /// eight words: name (address, length), datatype, shape (address, length),
    /// media type (is it there, address, length).
    fn specs(&mut self, specs: &[TensorSpec]) -> (u32, u32) {
        let mut records = Vec::with_capacity(specs.len() * 8);
        for spec in specs {
            let name = self.put(1, spec.name.as_bytes());
            let sizes: Vec<u8> = spec.shape.iter().flat_map(|size| size.to_le_bytes()).collect();
            let shape = self.put(8, &sizes);
            let media_type = spec.media_type.as_deref().unwrap_or_default();
            let media_address = self.put(1, media_type.as_bytes());
            records.extend([
                name,
                spec.name.len() as u32,
                position(spec.datatype),
                shape,
                spec.shape.len() as u32,
                u32::from(spec.media_type.is_some()),
                media_address,
                media_type.len() as u32,
            ]);
        }
        (self.put_words(&records), specs.len() as u32)
    }
}

/// The place of a datatype in the contract's enum.
fn position(datatype: Datatype) -> u32 {
    Datatype::ALL.iter().position(|&known| known == datatype).map_or(0, |position| position as u32)
}

/// Bytes as the inside of a string of WebAssembly text.
fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_makes_a_small_valid_component() {
        let specs: Vec<TensorSpec> = Datatype::ALL
            .iter()
            .map(|&datatype| TensorSpec {
                media_type: Some("image/png".to_owned()),
                ..TensorSpec::new(format!("tensor-{datatype}"), datatype, [-1, 3, 224])
            })
            .collect();
        let signature = Signature { inputs: specs.clone(), outputs: specs };
        // `validate(true)` has the encoder check the whole component.
        let component = component_for_model("a \"model\"\\ of 数字", &signature).unwrap();
        assert!(component.len() < 16 << 10, "{} bytes", component.len());
        component_for_model("empty", &Signature::default()).unwrap();
    }

    #[test]
    fn more_specs_than_a_page_holds_get_more_pages() {
        let specs: Vec<TensorSpec> = (0..1024)
            .map(|index| TensorSpec::new(format!("x{index}").repeat(20), Datatype::Fp32, [1]))
            .collect();
        let signature = Signature { inputs: specs, outputs: Vec::new() };
        component_for_model("wide", &signature).unwrap();
    }
}
