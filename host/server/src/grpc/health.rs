//! `grpc.health.v1.Health`: of the whole server under the empty name and the
//! service's, and of each function under its own.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::SERVICE;
use crate::app::Server;

/// How often a watcher looks whether a function came or went.
const LOOK: Duration = Duration::from_secs(1);

/// What a server says of itself.
pub(super) struct Pulse(Arc<Server>);

/// The service for one request.
pub(super) fn service(server: &Arc<Server>) -> HealthServer<Pulse> {
    HealthServer::new(Pulse(Arc::clone(server)))
}

type Watch = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for Pulse {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        match look(&self.0, &name) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found(format!("there is no service and no function `{name}`")))
            }
            status => Ok(Response::new(told(status))),
        }
    }

    type WatchStream = Watch;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(tell(Arc::clone(&self.0), request.into_inner().service, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Tells of every change, until the client leaves or the server closes.
async fn tell(server: Arc<Server>, name: String, sender: mpsc::Sender<Result<HealthCheckResponse, Status>>) {
    let mut phases = server.phases.clone();
    let mut last = None;
    loop {
        let status = look(&server, &name);
        if last.replace(status) != Some(status) && sender.send(Ok(told(status))).await.is_err() {
            return;
        }
        tokio::select! {
            () = server.closing() => return,
            () = sender.closed() => return,
            _ = phases.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn look(server: &Server, name: &str) -> ServingStatus {
    let is_served = match name {
        "" | SERVICE => true,
        name if server.functions.find(name, None).is_ok() => true,
        name if server.functions.table().knows(name) => false,
        _ => return ServingStatus::ServiceUnknown,
    };
    match is_served && server.is_ready() {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    }
}

fn told(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
