//! A server of gRPC with one function, `double`, which answers what a test tells
//! it to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use samara_nn::{NamedTensor, Tensor};
use samara_protocol::grpc::proto::model_metadata_response::TensorMetadata;
use samara_protocol::grpc::proto::repository_index_response::ModelIndex;
use samara_protocol::grpc::proto::{
    ModelInferRequest, ModelInferResponse, ModelMetadataResponse, RepositoryIndexResponse,
    ServerMetadataResponse,
};
use samara_protocol::grpc::request::Form;
use samara_protocol::grpc::response;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// An answer, or a code and words.
pub(crate) type Told = Result<Bytes, (u8, &'static str)>;

/// An inference as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub headers: HeaderMap,
    pub message: ModelInferRequest,
}

/// A server that ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _runtime: Runtime,
}

/// A right answer: `y` FP32[1,2], twice 1 and 2.
pub(crate) fn right(form: Form) -> Told {
    answer(vec![("y".to_owned(), Tensor::from_vec([1, 2], vec![2.0f32, 4.0]).unwrap())], form)
}

pub(crate) fn answer(outputs: Vec<NamedTensor>, form: Form) -> Told {
    let message = response::write(outputs, form).unwrap();
    Ok(ModelInferResponse { model_name: "double".to_owned(), ..message }.encode_to_vec().into())
}

impl Server {
    /// A server whose function answers by `infer`, which is given the number
    /// of the request, from 0.
    pub(crate) fn start(infer: impl Fn(usize) -> Told + Send + Sync + 'static) -> Self {
        Self::with(infer, other)
    }

    /// A server that answers all but inferences by `other`.
    pub(crate) fn with(
        infer: impl Fn(usize) -> Told + Send + Sync + 'static,
        other: impl Fn(&str) -> Told + Send + Sync + 'static,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let kept = Arc::clone(&asked);
        let answer = Arc::new(move |method: &str, headers: HeaderMap, message: Bytes| {
            if method != "ModelInfer" {
                return other(method);
            }
            let number = {
                let mut kept = kept.lock().unwrap();
                kept.push(Asked { headers, message: ModelInferRequest::decode(message).unwrap() });
                kept.len() - 1
            };
            infer(number)
        });
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                let service = service_fn(move |request| serve(request, Arc::clone(&answer)));
                let connection = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, asked, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("grpc://{}", self.address)
    }

    /// The inferences that were asked for.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// What a server of one function says of itself.
pub(crate) fn other(method: &str) -> Told {
    let tensor = |name: &str| TensorMetadata {
        name: name.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![-1, 2],
    };
    let model = |name: &str, state: &str| ModelIndex {
        name: name.to_owned(),
        state: state.to_owned(),
        ..ModelIndex::default()
    };
    Ok(match method {
        "ServerMetadata" => ServerMetadataResponse::default().encode_to_vec(),
        "ModelMetadata" => ModelMetadataResponse {
            inputs: vec![tensor("x")],
            outputs: vec![tensor("y")],
            ..ModelMetadataResponse::default()
        }
        .encode_to_vec(),
        "RepositoryIndex" => {
            RepositoryIndexResponse { models: vec![model("double", "READY"), model("old", "UNAVAILABLE")] }
                .encode_to_vec()
        }
        _ => return Err((12, "there is no such method")),
    }
    .into())
}

async fn serve<A>(request: Request<Incoming>, answer: Arc<A>) -> Result<Response<Body>, Infallible>
where
    A: Fn(&str, HeaderMap, Bytes) -> Told + Send + Sync + 'static,
{
    let (head, body) = request.into_parts();
    let method = head.uri.path().strip_prefix("/inference.GRPCInferenceService/").unwrap_or("?").to_owned();
    let mut message = body.collect().await.unwrap().to_bytes();
    message.advance(5);
    // A test may hold an answer back.
    let told = tokio::task::spawn_blocking(move || answer(&method, head.headers, message)).await.unwrap();
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(match told {
        Ok(message) => {
            let mut body = BytesMut::from(&[0u8][..]);
            body.put_u32(u32::try_from(message.len()).unwrap());
            body.extend_from_slice(&message);
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
            let body = Full::new(body.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
            response.body(body.boxed()).unwrap()
        }
        Err((code, words)) => {
            let response = response.header("grpc-status", u16::from(code)).header("grpc-message", words);
            response.body(Full::default().boxed()).unwrap()
        }
    })
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;
