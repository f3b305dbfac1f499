//! Models for the engine inside standalone components, rten: what it is known to answer
//! as ONNX says, written as it reads it. What it may answer otherwise without a word is
//! refused here, before there is a component.

use samara_nn::{Error, Format, ModelSource, Result};

use crate::onnx::{Flat, Outline};

mod operators;
mod replace;
mod rewrite;
mod wide;

/// What messages call the engine.
const ENGINE: &str = "rten";

/// A model as the engine inside a standalone component gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandaloneModel {
    /// An ONNX file, whose large weights are elsewhere.
    pub file: Vec<u8>,
    /// The large weights, to be used where they are: they have to begin at a multiple of
    /// 64 bytes.
    pub weights: Vec<u8>,
}

/// Writes a model for the engine inside standalone components.
///
/// # Errors
/// [`Error::InvalidModel`] for an unsound file, and [`Error::Unsupported`] with the node
/// where the engine lacks something or is not known to be right.
pub fn standalone_model(source: &ModelSource) -> Result<StandaloneModel> {
    let refuse = |reason: String| Error::Unsupported { model: source.name.clone(), backend: ENGINE, reason };
    if source.format != Format::Onnx {
        return Err(refuse(format!(
            "it is {}, and only ONNX models become standalone",
            source.format.name()
        )));
    }
    let flat = Flat::of(source, ENGINE)?;
    let source = flat.source.as_ref();
    let outline = Outline::read(source, ENGINE)?;
    if outline.has_external_data() {
        return Err(refuse("its weights lie in other files; save it with its weights inside".to_owned()));
    }
    operators::check(&outline).map_err(refuse)?;
    wide::check(&outline).map_err(refuse)?;
    rewrite::model(source.bytes.as_ref(), &outline).map_err(refuse)
}
