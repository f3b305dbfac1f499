//! Outgoing HTTP: only to hosts that are granted.

use std::sync::Arc;

use http::uri::Scheme;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use crate::grants::Grants;

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finished)>> + Send>;

/// Lets requests out that the grants allow.
pub(crate) struct HttpPolicy(pub(crate) Arc<Grants>);

impl WasiHttpHooks for HttpPolicy {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _guest_is_done: Finished,
    ) -> Sending {
        let scheme = request.uri().scheme().cloned().unwrap_or(Scheme::HTTPS);
        let allowed =
            request.uri().authority().is_some_and(|authority| self.0.allows_http(&scheme, authority));
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
