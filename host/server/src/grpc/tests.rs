//! The service as clients meet it, from their bytes to theirs; bodies are in
//! memory instead of on a connection.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use flate2::Compression;
use flate2::read::GzEncoder;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use prost::Message;
use samara_engine::{
    FunctionSource, Grants, GuestOutput, Host, HostOptions, Limits, ModelRequest, Reuse, StageSource, sha256,
};
use samara_nn::{Choice, Compute, Format, LoadOptions, ModelSource, Pool};
use samara_test::onnx;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::proto::*;
use super::{HEALTH, REFLECTION, REFLECTION_ALPHA, SERVICE};
use crate::app::{App, Parts, Phase, Server};
use crate::body::BoxError;
use crate::config::{Config, FunctionConfig, RepositoryControl, Token};
use crate::functions::{Loadable, Source};

/// Models by the names that functions are configured with.
struct Models;

impl Source for Models {
    fn open(&self, function: &FunctionConfig) -> Result<Loadable, String> {
        let name = function.what.as_str();
        let bytes = match name {
            "double" => onnx::ready::double(),
            "identity" => onnx::ready::identity(onnx::FP32),
            "classifier" => onnx::ready::classifier(),
            _ => return Err(format!("there is no model `{name}`")),
        };
        let model = ModelSource {
            name: name.to_owned(),
            identity: sha256(&bytes),
            format: Format::Onnx,
            bytes: bytes.into(),
            beside: samara_nn::Beside::Nothing,
        };
        let model = ModelRequest {
            source: model,
            choice: Choice::default(),
            options: LoadOptions::default(),
            batch: None,
        };
        let stage =
            StageSource::Model { name: name.to_owned(), model: name.to_owned(), rename: BTreeMap::new() };
        let labels = ["yes", "no"].map(str::to_owned).to_vec();
        Ok(Loadable {
            source: FunctionSource {
                name: name.to_owned(),
                stages: vec![stage],
                models: BTreeMap::from([(name.to_owned(), model)]),
                limits: Limits { deadline: Duration::from_secs(60), ..Limits::default() },
                grants: Grants::default(),
                reuse: Reuse::Never,
                output: GuestOutput::Discard,
            },
            version: "3".to_owned(),
            digest: Some("sha256:00".to_owned()),
            description: None,
            tests: Vec::new(),
            labels: BTreeMap::from([("probabilities".to_owned(), labels)]),
        })
    }
}

/// A server without connections.
struct Started {
    server: Arc<Server>,
    stop: watch::Sender<Phase>,
}

impl Deref for Started {
    type Target = Arc<Server>;

    fn deref(&self) -> &Arc<Server> {
        &self.server
    }
}

async fn server_with(change: impl FnOnce(&mut Config)) -> Started {
    let mut config = Config {
        functions: ["double", "identity", "classifier"].map(FunctionConfig::new).to_vec(),
        ..Config::default()
    };
    change(&mut config);
    let backends = samara_backends::registry(&samara_backends::RegistryOptions::default());
    let models = Arc::new(Pool::new(backends, Arc::new(Compute::new(1, 16))));
    let host = Host::new(HostOptions { code_cache: None, code_cache_read_only: false, models, instances: 4 })
        .unwrap();
    let app = App::build(config, Parts { host, source: Arc::new(Models), memory: None }).await.unwrap();
    let (server, stop) = app.into_server();
    Started { server, stop }
}

async fn server() -> Started {
    server_with(|_| {}).await
}

/// What came back: messages, then how it ended.
struct Reply {
    headers: HeaderMap,
    messages: Vec<Bytes>,
    trailers: HeaderMap,
}

impl Reply {
    fn status(&self) -> (Code, String) {
        let found = if self.headers.contains_key("grpc-status") { &self.headers } else { &self.trailers };
        let status = tonic::Status::from_header_map(found).unwrap();
        (status.code(), status.message().to_owned())
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut bytes = vec![0];
    bytes.put_u32(u32::try_from(message.len()).unwrap());
    bytes.extend_from_slice(message);
    bytes.into()
}

fn request(path: &str, headers: &[(&str, &str)]) -> http::request::Builder {
    let request = Request::post(path).header("content-type", "application/grpc");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn send(server: &Arc<Server>, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
    let response = super::answer(server, request(path, headers).body(Full::new(body)).unwrap()).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    let collected = response.into_body().collect().await.map_err(|error| error.to_string()).unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let mut bytes = collected.to_bytes();
    let mut messages = Vec::new();
    while bytes.has_remaining() {
        assert_eq!(bytes.get_u8(), 0);
        let length = bytes.get_u32() as usize;
        messages.push(bytes.split_to(length));
    }
    Reply { headers, messages, trailers }
}

async fn call<A: Message + Default>(
    server: &Arc<Server>,
    method: &str,
    message: &impl Message,
) -> Result<A, (Code, String)> {
    let path = format!("/{SERVICE}/{method}");
    let reply = send(server, &path, &[], framed(&message.encode_to_vec())).await;
    match reply.status() {
        (Code::Ok, _) => Ok(A::decode(reply.messages[0].clone()).unwrap()),
        refused => Err(refused),
    }
}

fn row(model: &str, values: [f32; 4]) -> ModelInferRequest {
    let name = if model == "classifier" { "features" } else { "x" };
    let input = InferInputTensor {
        name: name.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 4],
        ..InferInputTensor::default()
    };
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    ModelInferRequest {
        model_name: model.to_owned(),
        id: "one".to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![raw.into()],
        ..ModelInferRequest::default()
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn int_parameter(name: &str, value: i64) -> BTreeMap<String, InferParameter> {
    let choice = Some(ParameterChoice::Int64Param(value));
    BTreeMap::from([(name.to_owned(), InferParameter { parameter_choice: choice })])
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_tensors_are_answered_raw_and_typed_ones_typed() {
    let server = server().await;
    let raw: ModelInferResponse =
        call(&server, "ModelInfer", &row("double", [1.0, 2.0, 3.0, 4.0])).await.unwrap();
    assert_eq!(
        (raw.model_name.as_str(), raw.model_version.as_str(), raw.id.as_str()),
        ("double", "3", "one")
    );
    assert_eq!((raw.outputs[0].name.as_str(), &raw.outputs[0].shape[..]), ("y", &[1, 4][..]));
    assert_eq!(floats(&raw.raw_output_contents[0]), [2.0, 4.0, 6.0, 8.0]);

    let mut request = row("double", [0.0; 4]);
    request.raw_input_contents.clear();
    request.inputs[0].contents = Some(InferTensorContents {
        fp32_contents: vec![1.0, 2.0, 3.0, 4.0],
        ..InferTensorContents::default()
    });
    let typed: ModelInferResponse = call(&server, "ModelInfer", &request).await.unwrap();
    assert_eq!(typed.outputs[0].contents.as_ref().unwrap().fp32_contents, [2.0, 4.0, 6.0, 8.0]);
    assert!(typed.raw_output_contents.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_chosen_and_ranked() {
    let server = server().await;
    let mut request = row("classifier", [0.1, 0.2, 0.3, 0.4]);
    request.outputs = vec![
        InferRequestedOutputTensor { name: "class".to_owned(), ..InferRequestedOutputTensor::default() },
        InferRequestedOutputTensor {
            name: "probabilities".to_owned(),
            parameters: int_parameter("classification", 2),
        },
    ];
    let answer: ModelInferResponse = call(&server, "ModelInfer", &request).await.unwrap();
    assert_eq!(answer.outputs[0].name, "class");
    let best = i64::from_le_bytes(answer.raw_output_contents[0][..].try_into().unwrap());
    assert_eq!((answer.outputs[1].datatype.as_str(), &answer.outputs[1].shape[..]), ("BYTES", &[1, 2][..]));
    let first = &answer.raw_output_contents[1][4..];
    let first = String::from_utf8_lossy(first).into_owned();
    assert!(first.contains(&format!(":{best}")), "{first}");
    assert!(first.contains(":yes") || first.contains(":no"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_has_a_code_and_a_place() {
    let server = server().await;
    let told = async |request: &ModelInferRequest| {
        call::<ModelInferResponse>(&server, "ModelInfer", request).await.map(drop).unwrap_err()
    };
    let (code, words) = told(&row("triple", [0.0; 4])).await;
    assert_eq!(code, Code::NotFound);
    assert!(words.starts_with("no function is served as `triple`"), "{words}");
    let mut version = row("double", [0.0; 4]);
    version.model_version = "9".to_owned();
    assert_eq!(told(&version).await.0, Code::NotFound);
    let mut shape = row("double", [0.0; 4]);
    shape.inputs[0].shape = vec![2, 2];
    let (code, words) = told(&shape).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(words.contains("`x`"), "{words}");
    let mut short = row("double", [0.0; 4]);
    short.raw_input_contents[0].truncate(15);
    let (code, words) = told(&short).await;
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(words, "input `x`: a FP32 tensor of shape [1,4] takes 16 bytes, not 15");
    let mut output = row("double", [0.0; 4]);
    output.outputs =
        vec![InferRequestedOutputTensor { name: "z".to_owned(), ..InferRequestedOutputTensor::default() }];
    assert_eq!(told(&output).await.0, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_before_it_is_kept() {
    let server = server_with(|config| config.limits.body = 4096).await;
    let infer = format!("/{SERVICE}/ModelInfer");
    let sound = framed(&row("double", [1.0; 4]).encode_to_vec());
    let refused =
        async |headers: &[(&str, &str)], body: Bytes| send(&server, &infer, headers, body).await.status();
    let (code, words) = refused(&[], framed(b"\xff\xff\xff")).await;
    assert_eq!(code, Code::InvalidArgument, "{words}");
    let (code, words) = refused(&[], framed(&vec![0; 5000])).await;
    assert_eq!(code, Code::ResourceExhausted, "{words}");
    assert!(words.contains("larger than 4096 bytes"), "{words}");
    assert_eq!(refused(&[("grpc-encoding", "br")], sound.clone()).await.0, Code::Unimplemented);
    let mut flagged = sound.to_vec();
    flagged[0] = 1;
    let flagged = Bytes::from(flagged);
    assert_eq!(refused(&[], flagged.clone()).await.0, Code::Internal);
    assert_eq!(refused(&[("grpc-encoding", "gzip")], flagged).await.0, Code::InvalidArgument);
    let mut bomb = Vec::new();
    GzEncoder::new(&vec![0; 1 << 20][..], Compression::best()).read_to_end(&mut bomb).unwrap();
    let mut bomb = framed(&bomb).to_vec();
    bomb[0] = 1;
    let (code, words) = refused(&[("grpc-encoding", "gzip")], bomb.into()).await;
    assert_eq!(code, Code::ResourceExhausted, "{words}");
    assert_ne!(refused(&[], sound.slice(..sound.len() - 1)).await.0, Code::Ok);
    assert_ne!(refused(&[], Bytes::new()).await.0, Code::Ok);
    assert_eq!(refused(&[("grpc-timeout", "soon")], sound.clone()).await.0, Code::InvalidArgument);
    assert_eq!(refused(&[], sound).await.0, Code::Ok);
    for path in ["/inference.GRPCInferenceService/Guess", "/other.Service/ModelInfer", "/", "/x"] {
        assert_eq!(send(&server, path, &[], Bytes::new()).await.status().0, Code::Unimplemented, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_requests_are_answered() {
    let server = server().await;
    let plain = row("double", [1.0; 4]).encode_to_vec();
    let mut packed = Vec::new();
    GzEncoder::new(&plain[..], Compression::fast()).read_to_end(&mut packed).unwrap();
    let mut first = framed(&packed).to_vec();
    first[0] = 1;
    // Beside one that is not worth it.
    let body = [&first[..], &framed(&plain)[..]].concat();
    let path = format!("/{SERVICE}/ModelStreamInfer");
    let reply = send(&server, &path, &[("grpc-encoding", "gzip")], body.into()).await;
    assert_eq!((reply.status().0, reply.messages.len()), (Code::Ok, 2));
    for message in reply.messages {
        let answer = ModelStreamInferResponse::decode(message).unwrap().infer_response.unwrap();
        assert_eq!(floats(&answer.raw_output_contents[0]), [2.0; 4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_held_once_all_is_answered() {
    let server = server_with(|config| (config.limits.body, config.limits.bodies) = (4096, 4096)).await;
    let raw = framed(&row("double", [1.0; 4]).encode_to_vec());
    let mut typed = row("double", [0.0; 4]);
    typed.raw_input_contents.clear();
    let floats = InferTensorContents { fp32_contents: vec![1.0; 4], ..InferTensorContents::default() };
    typed.inputs[0].contents = Some(floats);
    let typed = framed(&typed.encode_to_vec());
    let mut packed = Vec::new();
    GzEncoder::new(&raw[5..], Compression::fast()).read_to_end(&mut packed).unwrap();
    let mut packed = framed(&packed).to_vec();
    packed[0] = 1;
    let short = raw.slice(..raw.len() - 1);
    for method in ["ModelInfer", "ModelStreamInfer"] {
        let path = format!("/{SERVICE}/{method}");
        for (body, headers) in [
            (raw.clone(), &[][..]),
            (typed.clone(), &[]),
            (short.clone(), &[]),
            (framed(b"\xff\xff"), &[]),
            (packed.clone().into(), &[("grpc-encoding", "gzip")]),
            (raw.clone(), &[("grpc-encoding", "gzip")]),
        ] {
            // More of them, one after another, than may be held at a time.
            for _ in 0..100 {
                let reply = send(&server, &path, headers, body.clone()).await;
                assert_ne!(reply.status().0, Code::ResourceExhausted, "{method} {headers:?}");
            }
        }
    }
    // Calls of streams end a moment after they are answered.
    while server.bodies.held() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_numbers_are_bounded_as_what_they_become() {
    let server = server_with(|config| config.limits.body = 4096).await;
    let told = async |count: usize| {
        let mut request = row("double", [0.0; 4]);
        request.raw_input_contents.clear();
        // A byte each as they come.
        let numbers =
            InferTensorContents { int64_contents: vec![1; count], ..InferTensorContents::default() };
        request.inputs[0].contents = Some(numbers);
        call::<ModelInferResponse>(&server, "ModelInfer", &request).await.unwrap_err()
    };
    let (code, words) = told(4096 / 8 + 1).await;
    assert_eq!(code, Code::ResourceExhausted, "{words}");
    assert!(words.contains("typed contents") && words.contains("larger than 4096 bytes"), "{words}");
    assert_eq!(told(4096 / 8).await.0, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_back_and_deadlines_hold() {
    let server = server().await;
    let body = framed(&row("double", [1.0; 4]).encode_to_vec());
    let infer = format!("/{SERVICE}/ModelInfer");
    let reply =
        send(&server, &infer, &[("x-request-id", "a-7"), ("grpc-timeout", "60S")], body.clone()).await;
    assert_eq!(reply.status().0, Code::Ok);
    assert_eq!(reply.headers["x-request-id"], "a-7");
    let late = send(&server, &infer, &[("grpc-timeout", "0n")], body).await;
    assert_eq!(late.status().0, Code::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_probes_come_in_without_a_token() {
    let server = server_with(|config| config.tokens = vec![Token::new("secret")]).await;
    let empty = || framed(b"");
    let metadata = format!("/{SERVICE}/ServerMetadata");
    assert_eq!(send(&server, &metadata, &[], empty()).await.status().0, Code::Unauthenticated);
    let known = [("authorization", "Bearer secret")];
    assert_eq!(send(&server, &metadata, &known, empty()).await.status().0, Code::Ok);
    for probe in [format!("/{SERVICE}/ServerLive"), format!("/{HEALTH}/Check")] {
        assert_eq!(send(&server, &probe, &[], empty()).await.status().0, Code::Ok, "{probe}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_and_its_functions_describe_themselves() {
    let server = server().await;
    let live: ServerLiveResponse = call(&server, "ServerLive", &ServerLiveRequest {}).await.unwrap();
    let ready: ServerReadyResponse = call(&server, "ServerReady", &ServerReadyRequest {}).await.unwrap();
    assert!(live.live && ready.ready);
    let of = |name: &str| ModelReadyRequest { name: name.to_owned(), ..ModelReadyRequest::default() };
    for (name, expected) in [("double", true), ("triple", false)] {
        let ready: ModelReadyResponse = call(&server, "ModelReady", &of(name)).await.unwrap();
        assert_eq!(ready.ready, expected, "{name}");
    }
    let asked = ModelMetadataRequest { name: "double".to_owned(), ..ModelMetadataRequest::default() };
    let metadata: ModelMetadataResponse = call(&server, "ModelMetadata", &asked).await.unwrap();
    assert_eq!(metadata.versions, ["3"]);
    assert_eq!((metadata.inputs[0].datatype.as_str(), &metadata.inputs[0].shape[..]), ("FP32", &[-1, 4][..]));
    let asked = ModelConfigRequest { name: "double".to_owned(), ..ModelConfigRequest::default() };
    let config: ModelConfigResponse = call(&server, "ModelConfig", &asked).await.unwrap();
    let config = config.config.unwrap();
    assert_eq!((config.backend.as_str(), config.input[0].data_type()), ("tract", DataType::TypeFp32));
    assert_eq!(config.parameters["digest"].string_value, "sha256:00");
    assert_eq!(config.parameters["labels"].string_value, r#"{"probabilities":["yes","no"]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_function() {
    let server = server().await;
    for request in [row("double", [1.0; 4]), row("double", [2.0; 4]), row("identity", [1.0; 4])] {
        let _: ModelInferResponse = call(&server, "ModelInfer", &request).await.unwrap();
    }
    let of = async |name: &str| {
        let asked = ModelStatisticsRequest { name: name.to_owned(), ..ModelStatisticsRequest::default() };
        let answer = call::<ModelStatisticsResponse>(&server, "ModelStatistics", &asked).await;
        answer.map(|answer| answer.model_stats)
    };
    let double = of("double").await.unwrap();
    assert_eq!((double.len(), double[0].version.as_str()), (1, "3"));
    let success = double[0].inference_stats.unwrap().success.unwrap();
    assert_eq!((double[0].inference_count, success.count), (2, 2));
    assert!(success.ns > 0 && double[0].last_inference > 0);
    assert_eq!(of("").await.unwrap().len(), 3);
    assert_eq!(of("triple").await.unwrap_err().0, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_come_and_go_as_the_settings_allow() {
    let server = server().await;
    let index = async |ready| {
        let asked = RepositoryIndexRequest { ready, ..RepositoryIndexRequest::default() };
        let index: RepositoryIndexResponse = call(&server, "RepositoryIndex", &asked).await.unwrap();
        index.models.into_iter().map(|model| (model.name, model.state)).collect::<Vec<_>>()
    };
    let unload = RepositoryModelUnloadRequest {
        model_name: "double".to_owned(),
        ..RepositoryModelUnloadRequest::default()
    };
    let _: RepositoryModelUnloadResponse = call(&server, "RepositoryModelUnload", &unload).await.unwrap();
    assert_eq!(index(false).await[0], ("double".to_owned(), "UNAVAILABLE".to_owned()));
    assert_eq!(index(true).await.len(), 2);
    let gone = call::<ModelInferResponse>(&server, "ModelInfer", &row("double", [1.0; 4])).await;
    assert_eq!(gone.unwrap_err().0, Code::NotFound);
    // As KServe's clients write it.
    let load = RepositoryModelLoadRequest {
        repository_name: "double".to_owned(),
        ..RepositoryModelLoadRequest::default()
    };
    let loaded: RepositoryModelLoadResponse = call(&server, "RepositoryModelLoad", &load).await.unwrap();
    assert!(loaded.is_loaded && loaded.model_name == "double");
    assert_eq!(index(true).await.len(), 3);

    let server = server_with(|config| config.repository = RepositoryControl::ReadOnly).await;
    let refused = call::<RepositoryModelLoadResponse>(&server, "RepositoryModelLoad", &load).await;
    assert_eq!(refused.unwrap_err().0, Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_says_so() {
    let server = server().await;
    let status: SystemSharedMemoryStatusResponse =
        call(&server, "SystemSharedMemoryStatus", &SystemSharedMemoryStatusRequest::default()).await.unwrap();
    assert!(status.regions.is_empty());
    for method in ["SystemSharedMemoryRegister", "CudaSharedMemoryRegister"] {
        let asked = SystemSharedMemoryRegisterRequest::default();
        let refused = call::<SystemSharedMemoryRegisterResponse>(&server, method, &asked).await;
        assert_eq!(refused.unwrap_err().0, Code::Unimplemented, "{method}");
    }
    let setting = log_settings_request::SettingValue::default();
    let change = LogSettingsRequest { settings: BTreeMap::from([("log_info".to_owned(), setting)]) };
    let refused = call::<LogSettingsResponse>(&server, "LogSettings", &change).await;
    assert_eq!(refused.unwrap_err().0, Code::Unimplemented);
    let read: LogSettingsResponse =
        call(&server, "LogSettings", &LogSettingsRequest::default()).await.unwrap();
    assert!(read.settings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_by_function_and_reflection_lists_the_services() {
    let server = server().await;
    let check = async |service: &str| {
        let asked = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        send(&server, &format!("/{HEALTH}/Check"), &[], framed(&asked.encode_to_vec())).await
    };
    for service in ["", SERVICE, "double"] {
        let reply = check(service).await;
        let answer = tonic_health::pb::HealthCheckResponse::decode(reply.messages[0].clone()).unwrap();
        assert_eq!(answer.status, 1, "{service}");
    }
    assert_eq!(check("triple").await.status().0, Code::NotFound);
    // `list_services`, an empty text.
    let list = framed(&[0x3a, 0]);
    for reflection in [REFLECTION, REFLECTION_ALPHA] {
        let reply = send(&server, &format!("/{reflection}/ServerReflectionInfo"), &[], list.clone()).await;
        let text = String::from_utf8_lossy(&reply.messages[0]).into_owned();
        for service in [SERVICE, HEALTH, reflection] {
            assert!(text.contains(service), "{service} is not in {text:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_in_order_and_survives_a_wrong_request() {
    let server = server().await;
    let mut body = Vec::new();
    for index in 0..20u8 {
        let mut request = row(if index == 7 { "triple" } else { "double" }, [f32::from(index); 4]);
        request.id = index.to_string();
        body.extend_from_slice(&framed(&request.encode_to_vec()));
    }
    let reply = send(&server, &format!("/{SERVICE}/ModelStreamInfer"), &[], body.into()).await;
    assert_eq!(reply.status().0, Code::Ok);
    assert_eq!(reply.messages.len(), 20);
    for (index, message) in reply.messages.into_iter().enumerate() {
        let answer = ModelStreamInferResponse::decode(message).unwrap();
        let response = answer.infer_response.unwrap();
        assert_eq!(response.id, index.to_string());
        let last = response.parameters["triton_final_response"].parameter_choice.clone();
        assert_eq!(last, Some(ParameterChoice::BoolParam(true)));
        match index {
            7 => assert!(answer.error_message.starts_with("no function is served as `triple`")),
            _ => assert_eq!(floats(&response.raw_output_contents[0]), [2.0 * index as f32; 4]),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_has_answered_what_came_before() {
    let server = server().await;
    let good = framed(&row("double", [1.0; 4]).encode_to_vec());
    let body = [&good[..], &framed(b"\xff\xff")[..]].concat();
    let reply = send(&server, &format!("/{SERVICE}/ModelStreamInfer"), &[], body.into()).await;
    assert_eq!(reply.messages.len(), 1);
    assert_eq!(reply.status().0, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_a_conversation_that_ends_when_nobody_listens() {
    let server = server().await;
    let (client, frames) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    let body = StreamBody::new(ReceiverStream::new(frames));
    let path = format!("/{SERVICE}/ModelStreamInfer");
    let response = super::answer(&server, request(&path, &[]).body(body).unwrap()).await;
    let mut answers = response.into_body();
    for _ in 0..3 {
        let message = framed(&row("double", [1.0; 4]).encode_to_vec());
        client.send(Ok(Frame::data(message))).await.unwrap();
        assert!(answers.frame().await.unwrap().unwrap().is_data());
    }
    drop(answers);
    // The server lets go of the requests too: nobody reads them any more.
    client.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_does_not_hold_up_the_end() {
    let server = server().await;
    let (client, frames) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    let body = StreamBody::new(ReceiverStream::new(frames));
    let path = format!("/{SERVICE}/ModelStreamInfer");
    let response = super::answer(&server, request(&path, &[]).body(body).unwrap()).await;
    server.stop.send_replace(Phase::Closing);
    let collected = response.into_body().collect().await.map_err(|error| error.to_string()).unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "14");
    drop(client);
}
