//! The methods of `inference.GRPCInferenceService`, in the protocol's order.

use std::sync::Arc;

use samara_protocol::grpc::request::{self, Asked};
use samara_protocol::headers::RequestId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::generated::grpc_inference_service_server::GrpcInferenceService;
use super::held::Held;
use super::proto::{
    CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse, CudaSharedMemoryStatusRequest,
    CudaSharedMemoryStatusResponse, CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse,
    LogSettingsRequest, LogSettingsResponse, ModelConfigRequest, ModelConfigResponse, ModelInferRequest,
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
    SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse, SystemSharedMemoryStatusRequest,
    SystemSharedMemoryStatusResponse, SystemSharedMemoryUnregisterRequest,
    SystemSharedMemoryUnregisterResponse, TraceSettingRequest, TraceSettingResponse,
};
use super::status::status;
use super::{describe, repository, response, statistics, stream};
use crate::app::Server;
use crate::context::RequestContext;
use crate::error::Result;
use crate::functions::Served;

type Answer<T> = std::result::Result<Response<T>, Status>;

/// One inference, from its message to its message.
pub(super) async fn infer(
    server: &Server,
    mut context: RequestContext,
    mut message: ModelInferRequest,
) -> Result<ModelInferResponse> {
    let id = std::mem::take(&mut message.id);
    if let Some(given) = RequestId::given(&id) {
        context = context.named(given);
    }
    let served = find(server, &message.model_name, &message.model_version)?;
    context.asks(&served);
    let Asked { inference, form, classes } = request::read(message)?;
    let answered = server.infer(&served, &context, inference).await?;
    response::write(answered, id, form, &classes)
}

#[tonic::async_trait]
impl GrpcInferenceService for Server {
    async fn server_live(
        self: Arc<Self>,
        _request: Request<ServerLiveRequest>,
    ) -> Answer<ServerLiveResponse> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        self: Arc<Self>,
        _request: Request<ServerReadyRequest>,
    ) -> Answer<ServerReadyResponse> {
        Ok(Response::new(ServerReadyResponse { ready: self.is_ready() }))
    }

    async fn model_ready(self: Arc<Self>, request: Request<ModelReadyRequest>) -> Answer<ModelReadyResponse> {
        let ModelReadyRequest { name, version } = request.into_inner();
        Ok(Response::new(ModelReadyResponse {
            ready: self.is_ready() && find(&self, &name, &version).is_ok(),
        }))
    }

    async fn server_metadata(
        self: Arc<Self>,
        _request: Request<ServerMetadataRequest>,
    ) -> Answer<ServerMetadataResponse> {
        Ok(Response::new(describe::server()))
    }

    async fn model_metadata(
        self: Arc<Self>,
        request: Request<ModelMetadataRequest>,
    ) -> Answer<ModelMetadataResponse> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        answer(find(&self, &name, &version).and_then(|served| describe::metadata(&self, &served)))
    }

    async fn model_infer(
        self: Arc<Self>,
        mut request: Request<ModelInferRequest>,
    ) -> Answer<ModelInferResponse> {
        let context = context(&mut request)?;
        answer(infer(&self, context, request.into_inner()).await)
    }

    type ModelStreamInferStream = ReceiverStream<Result<ModelStreamInferResponse, Status>>;

    async fn model_stream_infer(
        self: Arc<Self>,
        mut request: Request<Streaming<ModelInferRequest>>,
    ) -> Answer<Self::ModelStreamInferStream> {
        let context = context(&mut request)?;
        let (answers, stream) = mpsc::channel(1);
        let Some(held) = Held::here() else { return Err(Status::internal("the stream is not counted")) };
        tokio::spawn(async move {
            held.within(stream::converse(self, context, request.into_inner(), answers, &held)).await;
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn model_config(
        self: Arc<Self>,
        request: Request<ModelConfigRequest>,
    ) -> Answer<ModelConfigResponse> {
        let ModelConfigRequest { name, version } = request.into_inner();
        let config = find(&self, &name, &version).and_then(|served| describe::config(&served));
        answer(config.map(|config| ModelConfigResponse { config: Some(config) }))
    }

    async fn model_statistics(
        self: Arc<Self>,
        request: Request<ModelStatisticsRequest>,
    ) -> Answer<ModelStatisticsResponse> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        answer(statistics::of(&self, &name, &version))
    }

    async fn repository_index(
        self: Arc<Self>,
        request: Request<RepositoryIndexRequest>,
    ) -> Answer<RepositoryIndexResponse> {
        Ok(Response::new(repository::index(&self, request.get_ref())))
    }

    async fn repository_model_load(
        self: Arc<Self>,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Answer<RepositoryModelLoadResponse> {
        answer(repository::load(&self, request.into_inner()).await)
    }

    async fn repository_model_unload(
        self: Arc<Self>,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Answer<RepositoryModelUnloadResponse> {
        answer(repository::unload(&self, request.into_inner()).await)
    }

    async fn system_shared_memory_status(
        self: Arc<Self>,
        _request: Request<SystemSharedMemoryStatusRequest>,
    ) -> Answer<SystemSharedMemoryStatusResponse> {
        Ok(Response::new(SystemSharedMemoryStatusResponse::default()))
    }

    async fn system_shared_memory_register(
        self: Arc<Self>,
        _request: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Answer<SystemSharedMemoryRegisterResponse> {
        Err(no_shared_memory())
    }

    async fn system_shared_memory_unregister(
        self: Arc<Self>,
        _request: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Answer<SystemSharedMemoryUnregisterResponse> {
        // Nothing is registered, before and after.
        Ok(Response::new(SystemSharedMemoryUnregisterResponse::default()))
    }

    async fn cuda_shared_memory_status(
        self: Arc<Self>,
        _request: Request<CudaSharedMemoryStatusRequest>,
    ) -> Answer<CudaSharedMemoryStatusResponse> {
        Ok(Response::new(CudaSharedMemoryStatusResponse::default()))
    }

    async fn cuda_shared_memory_register(
        self: Arc<Self>,
        _request: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Answer<CudaSharedMemoryRegisterResponse> {
        Err(no_shared_memory())
    }

    async fn cuda_shared_memory_unregister(
        self: Arc<Self>,
        _request: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Answer<CudaSharedMemoryUnregisterResponse> {
        Ok(Response::new(CudaSharedMemoryUnregisterResponse::default()))
    }

    async fn trace_setting(
        self: Arc<Self>,
        request: Request<TraceSettingRequest>,
    ) -> Answer<TraceSettingResponse> {
        only_read(request.get_ref().settings.is_empty(), "tracing")?;
        Ok(Response::new(TraceSettingResponse::default()))
    }

    async fn log_settings(
        self: Arc<Self>,
        request: Request<LogSettingsRequest>,
    ) -> Answer<LogSettingsResponse> {
        only_read(request.get_ref().settings.is_empty(), "logs")?;
        Ok(Response::new(LogSettingsResponse::default()))
    }
}

fn find(server: &Server, name: &str, version: &str) -> Result<Arc<Served>> {
    server.functions.find(name, Some(version).filter(|version| !version.is_empty()))
}

fn answer<T>(answered: Result<T>) -> Answer<T> {
    answered.map(Response::new).map_err(|error| status(&error))
}

/// What was read from the headers of this request.
fn context<T>(request: &mut Request<T>) -> Result<RequestContext, Status> {
    let context = request.extensions_mut().remove();
    context.ok_or_else(|| Status::internal("nothing is known of the headers of this request"))
}

fn no_shared_memory() -> Status {
    Status::unimplemented("this server does not use shared memory; send the bytes of tensors instead")
}

fn only_read(is_empty: bool, what: &str) -> Result<(), Status> {
    match is_empty {
        true => Ok(()),
        false => Err(Status::unimplemented(format!("the settings of {what} cannot be changed by clients"))),
    }
}
