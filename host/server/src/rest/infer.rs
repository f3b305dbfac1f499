//! Inference over HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use samara_protocol::Inference;
use samara_protocol::headers::{ID_HEADER, RequestId};
use samara_protocol::json::HttpRequest;
use samara_protocol::rest::decode::{self, Decoded, JSON_LENGTH};
use samara_protocol::rest::path::decoded;

use super::encode::{self, Encoded, Form};
use super::encoding;
use crate::app::Server;
use crate::body::{self, Body, Bounds};
use crate::budget::Share;
use crate::context::RequestContext;
use crate::error::{Error, Result};
use crate::functions::Served;
use crate::router::{expect_method, json};

/// Bytes of JSON or of outputs that are read or written where the request came
/// in; more take longer than handing them to another thread.
const SMALL: usize = 64 << 10;

/// Bytes of a body with few of JSON that are read there: of the tensors behind
/// it, most are taken as they lie.
const SMALL_BEHIND: usize = 1 << 20;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Answers a request for the outputs of a function.
///
/// # Errors
/// What is wrong with it, or what ended the call.
pub(super) async fn answer(
    server: &Arc<Server>,
    context: &RequestContext,
    name: &str,
    version: Option<&str>,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    expect_method(&request, &Method::POST, "POST")?;
    let (parts, body) = request.into_parts();
    let served = match wanted(server, name, version, &parts.headers) {
        Ok(served) => served,
        Err(error) => {
            body::forgo(body).await;
            return Err(error);
        }
    };
    context.asks(&served);
    // Held until the answer is written: tensors are slices of the body.
    let share = server.bodies.share();
    let request = read(server, &served, context, &parts.headers, body, &share).await?;
    let HttpRequest { id, inputs, outputs, is_binary, timeout } = request;
    let names = outputs.iter().map(|wanted| wanted.name.clone()).collect();
    let own_context = id.as_deref().and_then(RequestId::given).map(|id| context.named(id));
    let inference = Inference { inputs, outputs: names, timeout };
    let answer = server.infer(&served, own_context.as_ref().unwrap_or(context), inference).await?;
    let form = Form { id, outputs, is_binary };
    let bytes: usize = answer.outputs.iter().map(|(_, tensor)| tensor.data().len()).sum();
    let encoded = match bytes <= SMALL {
        true => encode::response(answer, &form)?,
        false => encoding::on_a_thread(move || encode::response(answer, &form)).await??,
    };
    let mut response = respond(&parts.headers, encoded).await?;
    // The id of the body goes before that of the header.
    if let Some(id) = own_context.and_then(|context| context.id.header()) {
        response.headers_mut().insert(ID_HEADER, id);
    }
    Ok(response)
}

/// The function that is asked, where all is well without the body.
fn wanted(server: &Server, name: &str, version: Option<&str>, headers: &HeaderMap) -> Result<Arc<Served>> {
    let version = version.map(decoded).transpose()?;
    let served = server.functions.find(&decoded(name)?, version.as_deref())?;
    served.signature()?;
    encoding::check_media_type(headers)?;
    Ok(served)
}

/// Reads the body of a request as the function's.
async fn read(
    server: &Server,
    served: &Arc<Served>,
    context: &RequestContext,
    headers: &HeaderMap,
    body: Incoming,
    share: &Share,
) -> Result<HttpRequest> {
    let json_length = decode::json_length(headers)?;
    let (limit, timeout) = {
        let limits = &server.config().limits;
        (limits.body, limits.body_timeout)
    };
    let tensors_at = json_length.unwrap_or(0);
    let body = body::read(body, Bounds { limit, timeout, share: Some(share), tensors_at }).await?;
    server.check_room(served, context)?;
    let packed = body.len();
    let body = encoding::unpacked(headers, body, limit).await?;
    let unpacked = body.len();
    share.take(unpacked.saturating_sub(packed) as u64)?;
    let is_small = json_length.unwrap_or(unpacked) <= SMALL && unpacked <= SMALL_BEHIND;
    let request = match is_small {
        true => decode::request(json_length, body),
        false => encoding::on_a_thread(move || decode::request(json_length, body)).await?,
    };
    let signature = served.signature()?;
    let request = match request.map_err(|wrong| wrong.of(signature))? {
        Decoded::Request(request) => request,
        Decoded::Raw(body) => decode::raw(signature, body)?,
    };
    // In memory, tensors are larger than short numbers in JSON are.
    let tensors: usize = request.inputs.iter().map(|(_, tensor)| tensor.data().len()).sum();
    if tensors as u64 > limit {
        return Err(Error::TooLarge { what: "what the tensors of the request hold, in memory,", limit });
    }
    share.take(tensors.saturating_sub(packed.max(unpacked)) as u64)?;
    Ok(request)
}

async fn respond(headers: &HeaderMap, encoded: Encoded) -> Result<Response<Body>> {
    let Encoded { bytes, json_length } = encoded;
    if let Some(length) = json_length {
        let mut response = json(StatusCode::OK, bytes);
        response.headers_mut().insert(CONTENT_TYPE, OCTETS);
        response.headers_mut().insert(JSON_LENGTH, length.into());
        return Ok(response);
    }
    if !encoding::is_worth_packing(headers, bytes.len()) {
        return Ok(json(StatusCode::OK, bytes));
    }
    let packed: Bytes = encoding::on_a_thread(move || encoding::packed(&bytes)).await??.into();
    let mut response = json(StatusCode::OK, packed);
    let (name, value) = encoding::PACKED;
    response.headers_mut().insert(name, value);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}
