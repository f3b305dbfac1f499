//! The repository extension: what could be served, and changes of what is.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use samara_protocol::json::Object;
use samara_protocol::rest::path::decoded;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{encoding, unknown, written};
use crate::app::Server;
use crate::body::{Body, Bounds};
use crate::error::{Error, Result};
use crate::router::{self, expect_method};

/// The parameter that names the image to load under a name, where the server
/// lets clients do that.
const IMAGE: &str = "samara_image";

/// What is asked for, in the body; nothing is as good as an empty object.
#[derive(Debug, Default, Deserialize)]
struct Index {
    #[serde(default)]
    ready: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
struct Change {
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// Answers a request below `/v2/repository`.
///
/// # Errors
/// What is wrong with it, or what kept a function from loading.
pub(super) async fn answer(
    server: &Arc<Server>,
    parts: &[&str],
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    let what = match *parts {
        ["index"] | ["models", _, "load" | "unload"] => parts,
        _ => return Err(unknown(request.uri().path())),
    };
    expect_method(&request, &Method::POST, "POST")?;
    match *what {
        ["models", name, "load"] => {
            let change: Change = body(server, request).await?;
            let image = image(&change)?;
            server.load(&decoded(name)?, image).await?;
        }
        ["models", name, _] => {
            let _: Change = body(server, request).await?;
            server.unload(&decoded(name)?).await?;
        }
        _ => {
            let index: Index = body(server, request).await?;
            return Ok(listed(server, index.ready.unwrap_or(false)));
        }
    }
    Ok(router::json(StatusCode::OK, "{}"))
}

fn listed(server: &Server, only_ready: bool) -> Response<Body> {
    let one = |item: crate::repository::Listed| json!({ "name": item.name, "version": item.version, "state": item.state, "reason": item.reason });
    written(&server.index(only_ready).into_iter().map(one).collect::<Vec<_>>())
}

/// The image that a load asks for. A function is not configured by its clients.
fn image(change: &Change) -> Result<Option<&str>> {
    let Some(parameters) = &change.parameters else { return Ok(None) };
    let wrong = |words: String| Err(Error::Malformed(words));
    if let Some(name) = parameters.keys().find(|name| *name == "config" || name.starts_with("file:")) {
        return wrong(format!(
            "parameter `{name}`: functions come from images and folders, not from requests\nhint: `{IMAGE}` names an image to load"
        ));
    }
    match parameters.get(IMAGE) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(image)) if !image.is_empty() => Ok(Some(image)),
        Some(other) => wrong(format!("parameter `{IMAGE}` is {other}, not the name of an image")),
    }
}

async fn body<T: DeserializeOwned + Default>(server: &Server, request: Request<Incoming>) -> Result<T> {
    /// More than any sensible change of the repository takes.
    const LIMIT: u64 = 1 << 20;
    let (parts, body) = request.into_parts();
    let timeout = server.config().limits.body_timeout;
    encoding::check_media_type(&parts.headers)?;
    let share = server.bodies.share();
    let bounds = Bounds { limit: LIMIT, timeout, share: Some(&share), tensors_at: 0 };
    let body = crate::body::read(body, bounds).await?;
    let body = encoding::unpacked(&parts.headers, body, LIMIT).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    let object: Result<Object<T>, _> = serde_json::from_slice(&body);
    object
        .map(|Object(value)| value)
        .map_err(|error| Error::Malformed(format!("the body is not as expected: {error}")))
}
