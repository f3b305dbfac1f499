//! How guests come by models: by a name that was granted, or from bytes.

use std::sync::Arc;

use samara_nn::{Choice, Format, LoadOptions, ModelSource, Pool, Target};

use super::{GuestError, errors, graph};
use crate::digest::sha256;
use crate::instance::blocking;
use crate::models::{ModelUse, Models};

/// The model that is granted under a name.
///
/// # Errors
/// `not-found`, with the names that are.
pub(crate) fn granted(models: &Models, name: &str) -> Result<ModelUse, GuestError> {
    if let Some(model) = models.by_name.get(name) {
        return Ok(model.clone());
    }
    let granted: Vec<String> = models.by_name.keys().map(|name| format!("`{name}`")).collect();
    let granted = if granted.is_empty() { "none".to_owned() } else { granted.join(", ") };
    let message = format!(
        "no model `{name}` is granted to this function (granted: {granted}); declare it under `[model.{name}]` in samara.toml, or give it to a `.wasm` with `--model {name}=FILE`"
    );
    Err(GuestError { code: errors::ErrorCode::NotFound, message })
}

/// Loads a model from bytes that a guest brings, on the pool's own threads.
///
/// # Errors
/// What the guest is told: the model is too large, of no format that this host
/// loads, or wrong.
pub(crate) async fn load_from_guest(
    pool: &Arc<Pool>,
    most_bytes: u64,
    mut parts: Vec<Vec<u8>>,
    encoding: graph::GraphEncoding,
    target: graph::ExecutionTarget,
) -> Result<ModelUse, GuestError> {
    use graph::{ExecutionTarget, GraphEncoding};
    let refuse = |code, message: &str| Err(GuestError { code, message: message.to_owned() });
    let target = match target {
        ExecutionTarget::Cpu => Target::Cpu,
        ExecutionTarget::Gpu => Target::Gpu(None),
        ExecutionTarget::Tpu => {
            return refuse(errors::ErrorCode::UnsupportedOperation, "this host runs no model on a TPU");
        }
    };
    let (Some(bytes), true) = (parts.pop(), parts.is_empty()) else {
        return refuse(errors::ErrorCode::InvalidArgument, "a model is exactly one buffer");
    };
    let format = match encoding {
        GraphEncoding::Onnx => Format::Onnx,
        GraphEncoding::Tensorflowlite => Format::Tflite,
        GraphEncoding::Autodetect => match Format::recognise(&bytes, "") {
            Ok(format) => format,
            Err(unknown) => return refuse(errors::ErrorCode::InvalidEncoding, &unknown.to_string()),
        },
        _ => {
            let words = "this host loads models as `onnx`, `tensorflowlite` or `autodetect` only";
            return refuse(errors::ErrorCode::InvalidEncoding, words);
        }
    };
    if bytes.len() as u64 > most_bytes {
        return refuse(errors::ErrorCode::TooLarge, "the model is larger than the tensor-memory limit");
    }
    let source = ModelSource {
        name: "loaded by the guest".to_owned(),
        identity: sha256(&bytes),
        format,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    };
    let pool = Arc::clone(pool);
    let options = LoadOptions { target, ..LoadOptions::default() };
    let loaded =
        blocking(move || pool.acquire(&source, &Choice::Auto, &options).and_then(ModelUse::unasked)).await;
    loaded.map_err(GuestError::from)
}
