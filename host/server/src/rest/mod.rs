//! The Open Inference Protocol over HTTP, with the extensions that its clients
//! use: binary tensors, classification, the repository, configurations and
//! statistics of models. `openapi.json` says all of it to programs.

mod describe;
mod encode;
mod encoding;
mod infer;
mod repository;
mod stats;

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use samara_protocol::rest::path::{MOST_PARTS, decoded, split};
use serde::Serialize;

use crate::app::Server;
use crate::body::Body;
use crate::context::RequestContext;
use crate::error::{Error, Result};
use crate::router::{expect_method, json};
use crate::trace::{Asked, ServerSpan};

/// Answers a request below `/v2`.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn answer(
    server: &Arc<Server>,
    context: &RequestContext,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    let uri = request.uri().clone();
    let mut parts = [""; MOST_PARTS];
    let parts = split(uri.path(), &mut parts).ok_or_else(|| unknown(uri.path()))?;
    // The one that counts comes first.
    match *parts {
        ["models", name, "infer"] => infer::answer(server, context, name, None, request).await,
        ["models", name, "versions", version, "infer"] => {
            infer::answer(server, context, name, Some(version), request).await
        }
        ["repository", ref asked @ ..] => repository::answer(server, asked, request).await,
        _ => {
            expect_method(&request, &Method::GET, "GET")?;
            look(server, parts).unwrap_or_else(|| Err(unknown(uri.path())))
        }
    }
}

/// Begins the server's span of a request of the protocol, where it is traced.
/// Probes are not.
pub(crate) fn begin_span<B>(
    server: &Server,
    context: &mut RequestContext,
    request: &Request<B>,
) -> Option<ServerSpan> {
    let path = request.uri().path();
    let is_protocol = path == "/v2" || path.starts_with("/v2/");
    if !is_protocol || path.starts_with("/v2/health/") {
        return None;
    }
    let asked = || Asked::Http { method: request.method().clone(), route: route(path).map(Cow::Borrowed) };
    server.tracing.begin(context, asked)
}

/// The pattern that a path is of.
fn route(path: &str) -> Option<&'static str> {
    Some(match *split(path, &mut [""; MOST_PARTS])? {
        [] => "/v2",
        ["models", _, "infer"] => "/v2/models/{name}/infer",
        ["models", _, "versions", _, "infer"] => "/v2/models/{name}/versions/{version}/infer",
        ["models", "stats"] => "/v2/models/stats",
        ["models", _] => "/v2/models/{name}",
        ["models", _, "versions", _] => "/v2/models/{name}/versions/{version}",
        ["models", _, "config"] => "/v2/models/{name}/config",
        ["models", _, "ready"] => "/v2/models/{name}/ready",
        ["models", _, "stats"] => "/v2/models/{name}/stats",
        ["models", _, "versions", _, "config"] => "/v2/models/{name}/versions/{version}/config",
        ["models", _, "versions", _, "ready"] => "/v2/models/{name}/versions/{version}/ready",
        ["models", _, "versions", _, "stats"] => "/v2/models/{name}/versions/{version}/stats",
        ["repository", "index"] => "/v2/repository/index",
        ["repository", "models", _, "load"] => "/v2/repository/models/{name}/load",
        ["repository", "models", _, "unload"] => "/v2/repository/models/{name}/unload",
        _ => return None,
    })
}

/// The description of this interface, for programs.
pub(crate) fn openapi() -> Response<Body> {
    json(StatusCode::OK, bytes::Bytes::from_static(include_bytes!("openapi.json")))
}

/// Answers what is only looked at; `None` for what there is not.
fn look(server: &Server, parts: &[&str]) -> Option<Result<Response<Body>>> {
    let function = |name: &str, version: Option<&str>| {
        let version = version.map(decoded).transpose()?;
        server.functions.find(&decoded(name)?, version.as_deref())
    };
    Some(match *parts {
        [] => Ok(written(&describe::server())),
        ["health", "live"] => Ok(json(StatusCode::OK, r#"{"live":true}"#)),
        ["health", "ready"] if server.is_ready() => Ok(json(StatusCode::OK, r#"{"ready":true}"#)),
        ["health", "ready"] => Err(Error::Draining),
        ["models", "stats"] => stats::answer(server, None, None),
        ["models", name] => function(name, None).and_then(|served| describe::metadata(server, &served)),
        ["models", name, "versions", version] => {
            function(name, Some(version)).and_then(|served| describe::metadata(server, &served))
        }
        ["models", name, "stats"] => stats::answer(server, Some(name), None),
        ["models", name, "versions", version, "stats"] => stats::answer(server, Some(name), Some(version)),
        ["models", name, "ready"] => describe::readiness(server, name, None),
        ["models", name, "versions", version, "ready"] => describe::readiness(server, name, Some(version)),
        ["models", name, "config"] => function(name, None).and_then(|served| describe::config(&served)),
        ["models", name, "versions", version, "config"] => {
            function(name, Some(version)).and_then(|served| describe::config(&served))
        }
        _ => return None,
    })
}

fn unknown(path: &str) -> Error {
    Error::NoSuchPath { path: path.to_owned() }
}

/// A successful answer. What it is made of has no form that JSON lacks.
fn written(value: &impl Serialize) -> Response<Body> {
    json(StatusCode::OK, serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_description_is_of_itself() {
        let description: serde_json::Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        let paths = description["paths"].as_object().unwrap().keys();
        for path in paths.filter(|path| path.starts_with("/v2") && !path.starts_with("/v2/health")) {
            assert_eq!(route(path), Some(path.as_str()));
        }
        assert_eq!(route("/v2/models/a/guess"), None);
    }
}
