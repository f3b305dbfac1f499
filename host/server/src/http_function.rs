//! HTTP functions: a request goes in as it came, the response comes out as the
//! guest writes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use samara_engine::ResponseBody;

use crate::app::Server;
use crate::body::Body;
use crate::context::{Protocol, RequestContext};
use crate::error::{Error, Result};
use crate::functions::{Permit, Served};
use crate::trace::Asked;
use crate::watch::Watch;

/// Tells a function below which path it answers.
const PREFIX_HEADER: &str = "x-forwarded-prefix";

/// Lets an HTTP function answer.
///
/// # Errors
/// What kept it from the head of a response. What goes wrong later ends the
/// body with an error.
pub(crate) async fn answer(
    server: &Arc<Server>,
    served: Arc<Served>,
    context: &RequestContext,
    mut request: Request<Incoming>,
) -> Result<Response<Body>> {
    let mut context = RequestContext { protocol: Protocol::Http, ..context.clone() };
    let asked = || Asked::Http { method: request.method().clone(), route: Some(served.route.clone().into()) };
    let span = server.tracing.begin(&mut context, asked);
    let mut watch = Watch::begin(server, &served, &context).with_span(span);
    // The guest may work on after its answer.
    let guest = server.guests.begin();
    if let Ok(prefix) = HeaderValue::try_from(&served.route) {
        request.headers_mut().insert(PREFIX_HEADER, prefix);
    }
    let answered = ask(server, &served, &context, request, &mut watch).await;
    match answered {
        Ok((head, body, permit)) => {
            watch.set_status(head.status);
            body.on_end(move |ended| {
                let _guest = guest;
                let failed = ended.failure.map(|(kind, reason)| Error::Interrupted {
                    function: served.name.clone(),
                    kind,
                    reason,
                });
                watch.end(failed.as_ref().map_or(Ok(&ended.report), Err));
            });
            Ok(Response::from_parts(head, Body::stream(Admitted { body, _permit: permit })))
        }
        Err(error) => {
            watch.end(Err(&error));
            Err(error)
        }
    }
}

type Head = http::response::Parts;

async fn ask(
    server: &Server,
    served: &Arc<Served>,
    context: &RequestContext,
    request: Request<Incoming>,
    watch: &mut Watch,
) -> Result<(Head, ResponseBody, Permit)> {
    let deadline = server.deadline(context, None);
    let turn = server.turn(served, context, deadline).await?;
    let response = served.function.handle(request, watch.admitted(deadline)).await?;
    let (head, body) = response.into_parts();
    Ok((head, body, turn))
}

/// A body whose request counts as running until it ends.
struct Admitted {
    body: ResponseBody,
    _permit: Permit,
}

impl HttpBody for Admitted {
    type Data = Bytes;
    type Error = samara_engine::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
