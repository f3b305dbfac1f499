//! A request on its way to a guest.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError};
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use super::clock::Clock;
use crate::call::Call;
use crate::error::{Error, Result};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Where a request goes to that names no host, as those of HTTP/1.0 may.
const NO_HOST: &str = "localhost";

/// Boxes a request's body, and makes the rest of it what a guest is to see.
///
/// # Errors
/// [`Error::BadRequest`] for a header `host` that names no host.
pub(super) fn prepare<B>(
    function: &str,
    request: http::Request<B>,
    call: &Call,
    clock: &Arc<Clock>,
) -> Result<http::Request<WasiBody>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut parts, body) = request.into_parts();
    parts.uri = whole_uri(&parts.uri, &parts.headers)
        .map_err(|reason| Error::BadRequest { function: function.to_owned(), reason })?;
    remove_connection_headers(&mut parts.headers);
    if let Some(Ok(own)) = call.traceparent.as_deref().map(HeaderValue::from_str) {
        parts.headers.insert(TRACEPARENT, own);
    }
    let inner = body.map_err(|error| body_error(error.into())).boxed_unsync();
    let body = RequestBody { inner, clock: Arc::clone(clock) }.boxed_unsync();
    Ok(http::Request::from_parts(parts, body))
}

/// The request's URI with a scheme and an authority.
fn whole_uri(uri: &Uri, headers: &HeaderMap) -> Result<Uri, String> {
    let authority = match (uri.authority(), headers.get(HOST)) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) if !host.is_empty() => Authority::try_from(host.as_bytes())
            .map_err(|_| format!("its header `host` is {host:?}, which is no host"))?,
        (None, _) => Authority::from_static(NO_HOST),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(uri.scheme().cloned().unwrap_or(Scheme::HTTP));
    parts.authority = Some(authority);
    parts.path_and_query =
        Some(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|error| error.to_string())
}

/// Takes out what is said of the connection and not of the request. Those that
/// are always so, `host` among them, never reach a guest anyway.
fn remove_connection_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.into_iter().chain([TE]) {
        headers.remove(name);
    }
}

/// What a guest is told of a request's body that cannot be read on.
fn body_error(error: Box<dyn std::error::Error + Send + Sync>) -> WasiError {
    match error.downcast::<LengthLimitError>() {
        Ok(_) => WasiError::HttpRequestBodySize(None),
        Err(_) => WasiError::ConnectionTerminated,
    }
}

/// A request's body, each piece of which gives the guest more time.
struct RequestBody {
    inner: WasiBody,
    clock: Arc<Clock>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if polled.is_ready() {
            self.clock.moved();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn whole(uri: &str, pairs: &[(&'static str, &'static str)]) -> Result<String, String> {
        whole_uri(&uri.parse().unwrap(), &headers(pairs)).map(|uri| uri.to_string())
    }

    #[test]
    fn a_guest_sees_a_whole_uri() {
        assert_eq!(whole("/a?b=c", &[("host", "h:1")]).unwrap(), "http://h:1/a?b=c");
        assert_eq!(whole("https://u/a", &[("host", "h")]).unwrap(), "https://u/a");
        assert_eq!(whole("/", &[]).unwrap(), "http://localhost/");
        assert_eq!(whole("*", &[("host", "h")]).unwrap(), "http://h*");
        assert!(whole("/", &[("host", "no host")]).unwrap_err().contains("`host` is \"no host\""));
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = headers(&[
            ("connection", "close, X-Hop"),
            ("connection", "other"),
            ("x-hop", "1"),
            ("other", "2"),
            ("te", "trailers"),
            ("x-kept", "3"),
        ]);
        remove_connection_headers(&mut headers);
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["connection", "x-kept"]);
    }
}
