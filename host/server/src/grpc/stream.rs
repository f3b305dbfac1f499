//! `ModelStreamInfer`: requests of one client that run beside each other and
//! are answered in the order in which they came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};

use super::STREAM;

use super::held::Held;
use super::proto::infer_parameter::ParameterChoice;
use super::proto::{InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse};
use super::service;
use super::status::{kind, status};
use crate::app::Server;
use crate::budget::Share;
use crate::context::{Protocol, RequestContext};
use crate::error::{Error, ErrorKind};
use crate::trace::Asked;

/// Requests of one stream that run at a time; the next is read when the first
/// is answered.
const AT_A_TIME: usize = 8;
/// By which clients know that no other answer to their request follows.
const FINAL: &str = "triton_final_response";

/// Answers a stream until the client has sent its last request, or leaves, or
/// the server closes: what runs is then finished, and nothing more is read.
pub(super) async fn converse(
    server: Arc<Server>,
    context: RequestContext,
    mut requests: Streaming<ModelInferRequest>,
    answers: mpsc::Sender<Result<ModelStreamInferResponse, Status>>,
    held: &Arc<Held>,
) {
    let mut running = VecDeque::with_capacity(AT_A_TIME);
    let mut is_open = true;
    let mut ending = None;
    while is_open || !running.is_empty() {
        tokio::select! {
            biased;
            () = answers.closed() => return,
            answer = first(&mut running), if !running.is_empty() => {
                running.pop_front();
                if answers.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
            request = requests.message(), if is_open && running.len() < AT_A_TIME => match request {
                Ok(Some(request)) => {
                    running.push_back(Call::start(&server, &context, request, held.next()));
                }
                Ok(None) => is_open = false,
                Err(error) => {
                    fails(&server, &context, kind(&error));
                    (is_open, ending) = (false, Some(error));
                }
            },
            () = server.closing(), if is_open => {
                (is_open, ending) = (false, Some(status(&Error::Draining)));
            }
        }
    }
    if let Some(ending) = ending {
        let _ = answers.send(Err(ending)).await;
    }
}

/// Tells of an error that no request of the stream is to blame for.
fn fails(server: &Server, context: &RequestContext, kind: ErrorKind) {
    server.metrics.told(Protocol::Grpc, kind);
    let mut context = RequestContext { received: Instant::now(), ..context.clone() };
    if let Some(span) = server.tracing.begin(&mut context, asked) {
        span.fail(kind);
    }
}

fn asked() -> Asked {
    Asked::Grpc { method: STREAM }
}

/// A request that is being answered; dropping it stops that.
struct Call(JoinHandle<ModelStreamInferResponse>);

impl Call {
    /// `share` is what the request holds, until it is answered.
    fn start(
        server: &Arc<Server>,
        context: &RequestContext,
        request: ModelInferRequest,
        share: Share,
    ) -> Self {
        let (server, mut context) = (Arc::clone(server), context.clone());
        // The client's deadline is for the stream, its own for each request.
        let now = Instant::now();
        context.patience =
            context.patience.map(|all| all.saturating_sub(now.duration_since(context.received)));
        context.received = now;
        let span = server.tracing.begin(&mut context, asked);
        Self(tokio::spawn(async move {
            let _share = share;
            let whose = (request.model_name.clone(), request.model_version.clone(), request.id.clone());
            let answered = service::infer(&server, context, request).await;
            let failure = answered.as_ref().err().map(Error::kind);
            if let Some(kind) = failure {
                server.metrics.told(Protocol::Grpc, kind);
            }
            match (span, failure) {
                (Some(span), Some(kind)) => span.fail(kind),
                (Some(span), None) => span.end(StatusCode::OK),
                (None, _) => {}
            }
            told(answered, whose)
        }))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn first(running: &mut VecDeque<Call>) -> ModelStreamInferResponse {
    let Some(call) = running.front_mut() else { return std::future::pending().await };
    match (&mut call.0).await {
        Ok(answer) => answer,
        Err(panic) => told(Err(Error::Internal(format!("the call panicked: {panic}"))), Default::default()),
    }
}

/// An answer, or the error of one request in the place of one.
fn told(
    answered: Result<ModelInferResponse, Error>,
    (model_name, model_version, id): (String, String, String),
) -> ModelStreamInferResponse {
    let (error_message, mut response) = match answered {
        Ok(response) => (String::new(), response),
        Err(error) => {
            let empty = ModelInferResponse { model_name, model_version, id, ..ModelInferResponse::default() };
            (error.to_string(), empty)
        }
    };
    let is_final = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
    response.parameters = BTreeMap::from([(FINAL.to_owned(), is_final)]);
    ModelStreamInferResponse { error_message, infer_response: Some(response) }
}
