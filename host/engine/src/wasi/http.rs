//! Outgoing HTTP: only to hosts that are granted.

use std::sync::Arc;

use http::HeaderValue;
use http::uri::Scheme;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use crate::grants::Grants;

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finished)>> + Send>;

const TRACEPARENT: &str = "traceparent";

/// Lets requests out that the grants allow, with the call's trace context.
pub(crate) struct HttpPolicy {
    pub(crate) grants: Arc<Grants>,
    pub(crate) traceparent: Option<Arc<str>>,
}

impl WasiHttpHooks for HttpPolicy {
    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _guest_is_done: Finished,
    ) -> Sending {
        let scheme = request.uri().scheme().cloned().unwrap_or(Scheme::HTTPS);
        let allowed =
            request.uri().authority().is_some_and(|authority| self.grants.allows_http(&scheme, authority));
        if let Some(Ok(own)) = self.traceparent.as_deref().map(HeaderValue::from_str) {
            request.headers_mut().entry(TRACEPARENT).or_insert(own);
        }
        Box::new(async move {
            if !allowed {
                return Err(Error::HttpRequestDenied);
            }
            let (response, connection) = wasmtime_wasi_http::default_send_request(request, options).await?;
            let response = response.map(http_body_util::BodyExt::boxed_unsync);
            Ok((response, Box::new(connection) as Finished))
        })
    }
}
