//! What clients may know of the server and of a function.

use http::{Response, StatusCode};
use samara_nn::TensorSpec;
use samara_protocol::rest::path::decoded;
use serde::Serialize;
use serde_json::{Value, json};

use super::written;
use crate::app::Server;
use crate::body::Body;
use crate::describe::{NAME, VERSION, config_datatype, config_parameters, quantisation};
use crate::error::{Error, Result};
use crate::functions::Served;
use crate::router;

/// Extensions of the protocol, by the names that its clients know.
const EXTENSIONS: [&str; 5] =
    ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"];

#[derive(Serialize)]
pub(super) struct ServerMetadata {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; EXTENSIONS.len()],
}

/// Who this is.
pub(super) fn server() -> ServerMetadata {
    ServerMetadata { name: NAME, version: VERSION, extensions: EXTENSIONS }
}

/// What a function takes and gives, and in which versions it is there.
///
/// # Errors
/// What [`Served::signature`] says.
pub(super) fn metadata(server: &Server, served: &Served) -> Result<Response<Body>> {
    let signature = served.signature()?;
    let tensors = |specs: &[TensorSpec]| specs.iter().map(tensor).collect::<Vec<_>>();
    let mut metadata = json!({
        "name": served.name,
        "versions": server.versions(&served.name),
        "platform": served.platform(),
        "inputs": tensors(&signature.inputs),
        "outputs": tensors(&signature.outputs),
    });
    let elsewhere = served.elsewhere();
    if !elsewhere.is_empty() {
        metadata["parameters"]["on_cpu"] = json!(elsewhere);
    }
    if !served.labels.is_empty() {
        metadata["parameters"]["labels"] = json!(served.labels);
    }
    if let Some(known) = quantisation(signature) {
        metadata["parameters"]["quantization"] = known;
    }
    Ok(written(&metadata))
}

fn tensor(spec: &TensorSpec) -> Value {
    json!({ "name": spec.name, "datatype": spec.datatype.name(), "shape": spec.shape })
}

/// Whether a function answers; one that could be loaded does not yet.
///
/// # Errors
/// [`Error::UnknownFunction`] or [`Error::UnknownVersion`] for what nobody
/// could load.
pub(super) fn readiness(server: &Server, name: &str, version: Option<&str>) -> Result<Response<Body>> {
    let (name, version) = (decoded(name)?, version.map(decoded).transpose()?);
    let is_ready = match server.functions.find(&name, version.as_deref()) {
        Ok(_) => server.is_ready(),
        Err(Error::UnknownFunction { .. }) if server.functions.table().knows(&name) => false,
        Err(error) => return Err(error),
    };
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(router::json(status, json!({ "name": name, "ready": is_ready }).to_string()))
}

/// How a function is served, as clients of the protocol's best-known server
/// read it: where requests are merged, shapes go without their axis of rows.
///
/// # Errors
/// What [`Served::signature`] says.
pub(super) fn config(served: &Served) -> Result<Response<Body>> {
    let signature = served.signature()?;
    let batch = served.batch();
    let tensors = |specs: &[TensorSpec]| {
        let tensor = |spec: &TensorSpec| {
            let dims = &spec.shape[usize::from(batch.is_some())..];
            json!({ "name": spec.name, "data_type": config_datatype(spec.datatype), "dims": dims })
        };
        specs.iter().map(tensor).collect::<Vec<_>>()
    };
    let mut config = json!({
        "name": served.name,
        "platform": served.platform(),
        "backend": served.engines(),
        "max_batch_size": batch.map_or(0, |batch| batch.max_rows),
        "input": tensors(&signature.inputs),
        "output": tensors(&signature.outputs),
        "parameters": parameters(served),
    });
    if let Some(batch) = batch {
        let delay = u64::try_from(batch.delay.as_micros()).unwrap_or(u64::MAX);
        config["dynamic_batching"] = json!({ "max_queue_delay_microseconds": delay });
    }
    Ok(written(&config))
}

fn parameters(served: &Served) -> Value {
    let known = config_parameters(served).into_iter();
    let known = known.map(|(name, value)| (name.to_owned(), json!({ "string_value": value })));
    Value::Object(known.collect())
}
