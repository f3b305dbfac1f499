//! What the page asks for beside the protocol: `/api/…`, for this server's own
//! page, not a promise to others.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use samara_nn::{BatchPolicy, ResidentModel, Signature, TensorSpec};
use samara_protocol::json::Inputs;
use samara_protocol::rest::path::decoded;
use serde_json::{Value, json};

use crate::app::Server;
use crate::body::Body;
use crate::error::{Error, Result};
use crate::functions::{Item, Served, State, Table};
use crate::live;
use crate::router::{expect_method, json};

/// Answers a request below `/api`.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn answer(server: &Arc<Server>, request: Request<Incoming>) -> Result<Response<Body>> {
    expect_method(&request, &Method::GET, "GET")?;
    let path = request.uri().path();
    let parts: Vec<&str> = path.split('/').skip(2).collect();
    match parts.as_slice() {
        ["functions"] => Ok(json(StatusCode::OK, functions(&server.functions.table()).to_string())),
        ["live"] => Ok(live::live(server)),
        ["functions", name, "tests", test] => {
            let served = server.functions.find(&decoded(name)?, None)?;
            test_case(served, &decoded(test)?).await
        }
        _ => Err(Error::NoSuchPath { path: path.to_owned() }),
    }
}

fn functions(table: &Table) -> Value {
    let ready = table.ready().filter_map(|(_, entry)| {
        let versions = entry.versions.iter().map(|served| served.version.as_str()).collect::<Vec<_>>();
        entry.find(None).map(|served| function(served, &versions))
    });
    let missing = table.configured().iter().filter(|item| item.state != State::Ready).map(absent);
    json!({ "functions": ready.chain(missing).collect::<Vec<_>>() })
}

fn function(served: &Served, versions: &[&str]) -> Value {
    json!({
        "name": served.name,
        "version": served.version,
        "versions": versions,
        "kind": served.function.kind().to_string(),
        "digest": served.digest,
        "description": served.description,
        "state": "ready",
        "signature": served.function.signature().map(signature),
        "models": served.function.models().iter().map(|(name, loaded)| model(name, loaded)).collect::<Vec<_>>(),
        "batch": served.function.models().values().map(|model| model.batch).find(BatchPolicy::merges).map(batch),
        "tests": served.tests.iter().map(|test| &test.name).collect::<Vec<_>>(),
        "route": served.is_http().then_some(&served.route),
        "labels": served.labels,
    })
}

fn batch(policy: BatchPolicy) -> Value {
    json!({ "max": policy.max_rows, "delay_us": u64::try_from(policy.delay.as_micros()).unwrap_or(u64::MAX) })
}

/// A function that is configured and does not answer.
fn absent(item: &Item) -> Value {
    let (state, reason) = match &item.state {
        State::Ready => ("ready", None),
        State::Unloaded => ("unloaded", None),
        State::Failed(reason) => ("failed", Some(reason)),
    };
    json!({ "name": item.name, "versions": [], "state": state, "reason": reason, "models": [], "tests": [] })
}

fn signature(signature: &Signature) -> Value {
    let specs = |specs: &[TensorSpec]| specs.iter().map(spec).collect::<Vec<_>>();
    json!({ "inputs": specs(&signature.inputs), "outputs": specs(&signature.outputs) })
}

fn spec(spec: &TensorSpec) -> Value {
    let mut value = json!({ "name": spec.name, "datatype": spec.datatype.name(), "shape": spec.shape });
    if let Some(media_type) = &spec.media_type {
        value["media_type"] = media_type.as_str().into();
    }
    if !spec.labels.is_empty() {
        value["labels"] = spec.labels.as_slice().into();
    }
    value
}

fn model(name: &str, model: &ResidentModel) -> Value {
    let footprint = model.footprint();
    json!({
        "name": name,
        "backend": model.backend(),
        "target": model.target().to_string(),
        "memory": footprint.host + footprint.device,
    })
}

/// The request that a test of the function makes.
async fn test_case(served: Arc<Served>, name: &str) -> Result<Response<Body>> {
    let Some(test) = served.tests.iter().find(|test| test.name == name).cloned() else {
        let known: Vec<&str> = served.tests.iter().map(|test| test.name.as_str()).collect();
        let path = format!("/api/functions/{}/tests/{name}; there is {known:?}", served.name);
        return Err(Error::NoSuchPath { path });
    };
    let signature = served.signature()?.clone();
    let read = tokio::task::spawn_blocking(move || (test.inputs)(&signature)).await;
    let inputs = read
        .map_err(|panic| Error::Internal(format!("reading the test panicked: {panic}")))?
        .map_err(|reason| Error::Internal(format!("the test `{name}` of `{}`: {reason}", served.name)))?;
    let text = serde_json::to_vec(&Inputs { inputs: &inputs })
        .map_err(|error| Error::Internal(error.to_string()))?;
    Ok(json(StatusCode::OK, text))
}
