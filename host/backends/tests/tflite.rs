//! TFLite models by LiteRT, against what LiteRT answers in Python, and files that are
//! none.

#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

#[path = "tflite/case.rs"]
mod case;
#[path = "tflite/hostile.rs"]
mod hostile;
#[path = "tflite/mutations.rs"]
mod mutations;
#[path = "tflite/runs.rs"]
mod runs;
mod stored;

use std::sync::Arc;

use samara_backends::{RegistryOptions, registry};
use samara_nn::{Choice, Format, LoadOptions, Model, ModelSource, Result};

pub(crate) fn source(name: &str, bytes: Vec<u8>) -> ModelSource {
    ModelSource {
        name: name.to_owned(),
        identity: name.to_owned(),
        format: Format::Tflite,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    }
}

/// Loads a model as the host does, `None` where the library is not there.
pub(crate) fn load(name: &str, bytes: Vec<u8>) -> Option<Result<Arc<dyn Model>>> {
    let library = samara_test::litert_library()?;
    let backends =
        registry(&RegistryOptions { litert_libraries: vec![library], ..RegistryOptions::default() });
    let loaded = backends.load(&source(name, bytes), &Choice::Auto, &LoadOptions::default());
    Some(loaded.map(|(backend, model)| {
        assert_eq!(backend, "litert");
        model
    }))
}
