//! Which part of the server answers a request, by its path, and what holds for
//! all of them: tokens, pages of other origins, ids.

use std::sync::Arc;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use samara_protocol::headers::ID_HEADER;

use crate::app::Server;
use crate::body::{self, Body};
use crate::context::{Protocol, RequestContext};
use crate::error::{Error, ErrorKind, Result};
use crate::{api, grpc, guard, http_function, metrics, page, rest};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers one request of HTTP.
pub(crate) async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Response<Body> {
    let is_http1 = request.version() < Version::HTTP_2;
    if grpc::is_spoken(request.headers()) {
        return grpc::answer(&server, request).await;
    }
    let mut context = RequestContext::new(Protocol::Rest, request.headers());
    let span = rest::begin_span(&server, &mut context, &request);
    let mut response = checked(&server, &mut context, request).await;
    // A request may have named itself in its body.
    if !response.headers().contains_key(ID_HEADER)
        && let Some(id) = context.id.header()
    {
        response.headers_mut().insert(ID_HEADER, id);
    }
    if let Some(span) = span {
        span.end(response.status());
    }
    if is_http1 && !server.is_ready() {
        // The client then opens its next connection somewhere else, and no
        // request is under way when this one closes.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Answers within what holds for pages of other origins.
async fn checked(
    server: &Arc<Server>,
    context: &mut RequestContext,
    request: Request<Incoming>,
) -> Response<Body> {
    let origin = guard::allowed_origin(&server.config(), request.headers());
    let mut response = match guard::preflight(&request, origin.as_ref()) {
        Some(allowed) => allowed,
        None => route(server, context, request).await.unwrap_or_else(|error| {
            server.metrics.told(Protocol::Rest, error.kind());
            if let Some(trace) = &context.trace {
                trace.fails(error.kind());
            }
            refusal(&error)
        }),
    };
    if let Some(origin) = origin {
        guard::let_in(&mut response, origin);
    }
    response
}

async fn route(
    server: &Arc<Server>,
    context: &mut RequestContext,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    context.read_patience(request.headers())?;
    let path = request.uri().path();
    // The page is nobody's secret, and asks for a token itself.
    if let Some(asset) = page::asset(path) {
        expect_method(&request, &Method::GET, "GET")?;
        return Ok(page_file(asset, &request));
    }
    // Probes carry no tokens.
    if !path.starts_with("/v2/health/")
        && let Err(error) = guard::check_token(&server.config(), request.headers())
    {
        body::forgo(request.into_body()).await;
        return Err(error);
    }
    if path == "/v2" || path.starts_with("/v2/") {
        return rest::answer(server, context, request).await;
    }
    if path == "/openapi.json" {
        expect_method(&request, &Method::GET, "GET")?;
        return Ok(rest::openapi());
    }
    if path.starts_with("/api/") {
        return api::answer(server, request).await;
    }
    if path == "/metrics" {
        expect_method(&request, &Method::GET, "GET")?;
        return metrics::render(server).await;
    }
    match server.functions.by_route(path) {
        Some(served) => http_function::answer(server, served, context, request).await,
        None => Err(Error::NoSuchPath { path: path.to_owned() }),
    }
}

/// A file of the page, or word that the browser has it.
fn page_file(asset: &'static page::Asset, request: &Request<Incoming>) -> Response<Body> {
    let etag = asset.etag();
    let is_known =
        request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = match is_known {
        true => Response::new(Body::empty()),
        false => Response::new(Body::from(asset.bytes)),
    };
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    for (name, value) in page::HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(ETAG, etag);
    }
    response
}

/// A response with a JSON text.
pub(crate) fn json(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// An error as the protocol tells it: `{"error": WORDS}`.
pub(crate) fn refusal(error: &Error) -> Response<Body> {
    let kind = error.kind();
    let text = serde_json::json!({ "error": error.to_string() }).to_string();
    let mut response = json(kind.http_status(), text);
    let headers = response.headers_mut();
    if kind.is_worth_a_retry() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Error::Method { allowed, .. } = error {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    if kind == ErrorKind::Unauthorized {
        headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Refuses a request whose method is not `allowed`.
///
/// # Errors
/// [`Error::Method`].
pub(crate) fn expect_method(
    request: &Request<Incoming>,
    method: &Method,
    allowed: &'static str,
) -> Result<()> {
    if request.method() == method {
        return Ok(());
    }
    Err(Error::Method {
        path: request.uri().path().to_owned(),
        method: request.method().to_string(),
        allowed,
    })
}
