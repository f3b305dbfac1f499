//! A client of gRPC over real HTTP/2, whose messages are written down here once
//! more: only what the tests need, by the numbers of the protocol's fields.

use std::convert::Infallible;

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::Server;

pub const INFER: &str = "ModelInfer";
pub const STREAM: &str = "ModelStreamInfer";

/// `RESOURCE_EXHAUSTED` and others, by their numbers.
pub const OK: i32 = 0;
pub const INVALID_ARGUMENT: i32 = 3;
pub const DEADLINE_EXCEEDED: i32 = 4;
pub const NOT_FOUND: i32 = 5;
pub const EXHAUSTED: i32 = 8;

type Body = BoxBody<Bytes, Infallible>;

/// `ModelInferRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct InferRequest {
    #[prost(string, tag = "1")]
    pub model: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<Input>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub raw: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Input {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    pub contents: Option<Contents>,
}

/// `InferTensorContents`.
#[derive(Clone, PartialEq, Message)]
pub struct Contents {
    #[prost(int64, repeated, tag = "3")]
    pub int64s: Vec<i64>,
    #[prost(float, repeated, tag = "6")]
    pub floats: Vec<f32>,
}

/// `ModelInferResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct InferResponse {
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub raw: Vec<Bytes>,
}

/// `ModelStreamInferResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct StreamResponse {
    #[prost(string, tag = "1")]
    pub error: String,
    #[prost(message, optional, tag = "2")]
    pub response: Option<InferResponse>,
}

/// One connection.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Body>,
}

/// What came back.
#[derive(Debug)]
pub struct Told {
    pub code: i32,
    pub words: String,
    /// Those that the code stands in, and those of the beginning.
    pub headers: HeaderMap,
    pub messages: Vec<Bytes>,
}

impl Client {
    pub fn connect(server: &Server) -> Self {
        let _inside = server.runtime().enter();
        let sender = server.block_on(async {
            let stream = TcpStream::connect(server.address).await.unwrap();
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            // Ends with the last sender and its requests.
            tokio::spawn(connection);
            sender
        });
        Self { sender }
    }

    /// Calls a method with one message, and leaves the answer for later. To
    /// abort the task is to cancel the call.
    pub fn ask(
        &self,
        server: &Server,
        method: &str,
        headers: &[(&str, &str)],
        message: &impl Message,
    ) -> JoinHandle<Told> {
        let body = Full::new(framed(message)).boxed();
        server.runtime().spawn(told(self.sender.clone(), request(method, headers, body)))
    }

    /// Calls a method and waits.
    pub fn call(&self, server: &Server, method: &str, message: &impl Message) -> Told {
        server.block_on(self.ask(server, method, &[], message)).unwrap()
    }

    /// Begins a call whose messages come later; it ends with their sender.
    pub fn converse(&self, server: &Server, method: &str) -> (mpsc::Sender<Bytes>, JoinHandle<Told>) {
        let (sender, messages) = mpsc::channel(64);
        let frames = ReceiverStream::new(messages).map(|bytes| Ok(Frame::data(bytes)));
        let body = BodyExt::boxed(StreamBody::new(frames));
        (sender, server.runtime().spawn(told(self.sender.clone(), request(method, &[], body))))
    }
}

/// A message with its length before it.
pub fn framed(message: &impl Message) -> Bytes {
    let mut bytes = vec![0];
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.into()
}

/// A request for one row of two numbers, as gated models take them.
pub fn row(model: &str, number: u8) -> InferRequest {
    let numbers = [f32::from(number), f32::from(number) + 1.0];
    InferRequest {
        model: model.to_owned(),
        id: number.to_string(),
        inputs: vec![Input {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 2],
            contents: None,
        }],
        raw: vec![numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>().into()],
    }
}

/// The same with its numbers in a list.
pub fn typed_row(model: &str, number: u8) -> InferRequest {
    let mut request = row(model, number);
    let floats = vec![f32::from(number), f32::from(number) + 1.0];
    request.inputs[0].contents = Some(Contents { floats, ..Contents::default() });
    request.raw.clear();
    request
}

/// What a gated model answers to [`row`].
#[track_caller]
pub fn expect_row(told: &Told, number: u8) {
    assert_eq!((told.code, told.messages.len()), (OK, 1), "{told:?}");
    let answer = InferResponse::decode(told.messages[0].clone()).unwrap();
    assert_eq!(answer, InferResponse { id: number.to_string(), raw: row("", number).raw });
}

fn request(method: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let request = Request::post(format!("http://here/inference.GRPCInferenceService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(body).unwrap()
}

async fn told(mut sender: SendRequest<Body>, request: Request<Body>) -> Told {
    sender.ready().await.unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    let mut headers = head.headers;
    let collected = body.collect().await.unwrap();
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    let mut bytes = collected.to_bytes();
    let mut messages = Vec::new();
    while bytes.has_remaining() {
        assert_eq!(bytes.get_u8(), 0);
        let length = bytes.get_u32() as usize;
        messages.push(bytes.split_to(length));
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let words = percent_encoding::percent_decode_str(text("grpc-message")).decode_utf8_lossy().into_owned();
    Told { code: text("grpc-status").parse().unwrap(), words, headers, messages }
}
