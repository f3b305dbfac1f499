//! The Open Inference Protocol over HTTP.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::app::Server;
use crate::body::Body;
use crate::context::RequestContext;
use crate::error::{Error, Result};
use crate::router::{expect_method, json};

/// Answers a request below `/v2`.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn answer(
    server: &Arc<Server>,
    _context: &RequestContext,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    match request.uri().path().trim_start_matches("/v2").trim_end_matches('/') {
        "/health/live" => {
            expect_method(&request, &Method::GET, "GET")?;
            Ok(json(StatusCode::OK, r#"{"live":true}"#))
        }
        "/health/ready" => {
            expect_method(&request, &Method::GET, "GET")?;
            if server.is_ready() {
                Ok(json(StatusCode::OK, r#"{"ready":true}"#))
            } else {
                Err(Error::Draining)
            }
        }
        _ => Err(Error::NoSuchPath { path: request.uri().path().to_owned() }),
    }
}
