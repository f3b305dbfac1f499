//! A server of the Open Inference Protocol, reached over gRPC.

mod connection;
mod status;
mod url;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use prost::Message;
use samara_nn::{NamedTensor, Signature, TensorSpec};
use samara_protocol::grpc::client;
use samara_protocol::grpc::proto::model_metadata_response::TensorMetadata;
use samara_protocol::grpc::proto::{
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, ServerMetadataRequest, ServerMetadataResponse,
};

use self::connection::{Connection, Reply};
use self::status::Refusal;
use self::url::GrpcUrl;
pub(super) use self::url::is_meant;
use super::connect::{Connector, Failure, RECONNECT_PAUSE};
use super::drive::Caller;
use super::remote::{Remote, bearer, only, quoted};
use super::request::{Expected, Work};
use super::tally::Answer;
use crate::args::BenchArgs;
use crate::error::Usage;

const SERVICE: &str = "inference.GRPCInferenceService";
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("samara-bench/", env!("CARGO_PKG_VERSION")));
/// Before every message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A function of a server.
pub(super) struct Server {
    url: GrpcUrl,
    connector: Arc<Connector>,
    timeout: Duration,
    /// What every request carries.
    headers: HeaderMap,
    function: String,
    version: Option<String>,
}

/// One connection that sends the same request over and over.
pub(super) struct GrpcCaller {
    connection: Connection,
    request: Prepared,
    expected: Option<Arc<Expected>>,
}

/// A request whose clones share their body.
#[derive(Clone)]
struct Prepared {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Remote for Server {
    const KIND: &'static str = "grpc";
    /// A message with what stands before it.
    type Body = Bytes;
    type Caller = GrpcCaller;

    async fn find(args: &BenchArgs, url: &str) -> Result<Self> {
        let url = GrpcUrl::parse(url).map_err(Usage)?;
        for (flag, is_twice) in [
            ("--function", args.function.is_some() && url.function.is_some()),
            ("--version", args.function_version.is_some() && url.version.is_some()),
        ] {
            if is_twice {
                let usage = format!("the URL says already what `{flag}` says, so it cannot be given");
                return Err(Usage(usage).into());
            }
        }
        let (name, authorities) = (url.server(), &args.registry.ca_files);
        let mut server = Self {
            connector: Arc::new(Connector::new(&url.address, &name, b"h2", authorities).await?),
            timeout: args.timeout,
            headers: headers(args)?,
            function: String::new(),
            version: args.function_version.clone().or_else(|| url.version.clone()),
            url,
        };
        let named = args.function.clone().or_else(|| server.url.function.clone());
        server.function = match named {
            Some(function) => function,
            None => server.only_function().await?,
        };
        Ok(server)
    }

    fn what(&self) -> String {
        self.url.server()
    }

    fn function(&self) -> (&str, Option<&str>) {
        (&self.function, self.version.as_deref())
    }

    async fn signature(&self) -> Result<Signature> {
        let request = ModelMetadataRequest {
            name: self.function.clone(),
            version: self.version.clone().unwrap_or_default(),
        };
        let what = || format!("`{}` of `{}`", self.function, self.url.server());
        let metadata: ModelMetadataResponse = match self.ask("ModelMetadata", &request).await? {
            Ok(metadata) => metadata,
            Err(refusal) if refusal.is(&["UNAUTHENTICATED", "PERMISSION_DENIED"]) => bail!("{refusal}"),
            Err(refusal) if refusal.is(&["NOT_FOUND", "INVALID_ARGUMENT", "UNKNOWN"]) => {
                self.check_protocol().await?;
                let known = self.functions().await.unwrap_or_default();
                let hint = match known.is_empty() {
                    true => String::new(),
                    false => format!("\nhint: the server has {}", quoted(&known)),
                };
                bail!("the server does not know {}: {refusal}{hint}", what());
            }
            Err(refusal) => {
                self.check_protocol().await?;
                bail!("the server says nothing of {}: {refusal}", what());
            }
        };
        let specs = |tensors: Vec<TensorMetadata>| -> Result<Vec<TensorSpec>> {
            let spec = |tensor: TensorMetadata| {
                Ok(TensorSpec::new(tensor.name, tensor.datatype.parse()?, tensor.shape))
            };
            tensors.into_iter().map(spec).collect()
        };
        let signature = || -> Result<Signature> {
            Ok(Signature { inputs: specs(metadata.inputs)?, outputs: specs(metadata.outputs)? })
        };
        signature().with_context(|| format!("cannot use the metadata of {}", what()))
    }

    fn body(&self, work: &Work) -> Result<Bytes> {
        let mut message = client::request(&work.request.inputs, &work.request.outputs);
        message.model_name.clone_from(&self.function);
        message.model_version = self.version.clone().unwrap_or_default();
        message.id = work.request.id.clone().unwrap_or_default();
        framed(&message)
    }

    fn form(&self, body: &Bytes) -> (&'static str, u64) {
        ("raw", body.len() as u64)
    }

    async fn first_answer(&self, body: &Bytes) -> Result<Vec<NamedTensor>> {
        let reply = self.send(&self.prepared("ModelInfer", body.clone())?).await?;
        if let Some(refusal) = Refusal::of(&reply) {
            bail!("the first request was refused: {refusal}");
        }
        outputs(&reply.body).with_context(|| {
            format!(
                "the first answer of `{}` is no response of the Open Inference Protocol",
                self.url.server()
            )
        })
    }

    fn caller(&self, body: &Bytes, expected: Option<&Arc<Expected>>) -> Result<GrpcCaller> {
        Ok(GrpcCaller {
            connection: Connection::new(Arc::clone(&self.connector), self.timeout),
            request: self.prepared("ModelInfer", body.clone())?,
            expected: expected.cloned(),
        })
    }
}

impl Server {
    /// Asks what the server is; every server of the protocol says so.
    async fn check_protocol(&self) -> Result<()> {
        let answered =
            self.ask::<ServerMetadataResponse>("ServerMetadata", &ServerMetadataRequest {}).await?;
        if let Err(refusal) = answered {
            let server = self.url.server();
            bail!(
                "`{server}` is no server of the Open Inference Protocol: it answers `{SERVICE}` with {refusal}"
            );
        }
        Ok(())
    }

    /// The function of a server that has only one.
    async fn only_function(&self) -> Result<String> {
        let functions = self.functions().await;
        if functions.is_none() {
            self.check_protocol().await?;
        }
        only(&self.url.server(), functions)
    }

    /// The names of the functions that are ready, where the server lists them
    /// (the protocol's model repository extension).
    async fn functions(&self) -> Option<Vec<String>> {
        let request = RepositoryIndexRequest { ready: true, ..RepositoryIndexRequest::default() };
        let index: RepositoryIndexResponse = self.ask("RepositoryIndex", &request).await.ok()?.ok()?;
        let is_ready = |state: &str| matches!(state, "" | "READY");
        let ready = index.models.into_iter().filter(|model| is_ready(&model.state));
        let mut names: Vec<String> = ready.map(|model| model.name).collect();
        names.sort();
        names.dedup();
        Some(names)
    }

    /// Calls a method, on a connection of its own.
    async fn ask<A: Message + Default>(
        &self,
        method: &str,
        message: &impl Message,
    ) -> Result<Result<A, Refusal>> {
        let reply = self.send(&self.prepared(method, framed(message)?)?).await?;
        match Refusal::of(&reply) {
            Some(refusal) => Ok(Err(refusal)),
            None => Ok(Ok(read(&reply.body)?)),
        }
    }

    async fn send(&self, request: &Prepared) -> Result<Reply> {
        let mut connection = Connection::new(Arc::clone(&self.connector), self.timeout);
        let reply = connection.exchange(|| request.build(), true).await;
        reply.with_context(|| format!("cannot reach `{}` over gRPC", self.url.server()))
    }

    fn prepared(&self, method: &str, body: Bytes) -> Result<Prepared> {
        let scheme = if self.url.address.is_tls { "https" } else { "http" };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(self.url.address.authority.clone())
            .path_and_query(format!("/{SERVICE}/{method}"))
            .build()?;
        Ok(Prepared { uri, headers: self.headers.clone(), body })
    }
}

impl Prepared {
    fn build(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

impl Caller for GrpcCaller {
    async fn prepare(&mut self) {
        // What is wrong shows in the first call.
        let _ = self.connection.connect().await;
    }

    async fn call(&mut self) -> Answer {
        let sent = self.request.body.len() as u64;
        let reply = self.connection.exchange(|| self.request.build(), self.expected.is_some()).await;
        let (result, received) = match reply {
            Ok(reply) => (self.judge(&reply), reply.length),
            Err(failure) => {
                if matches!(failure, Failure::Connect(_)) {
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
                (Err(failure.kind().into()), 0)
            }
        };
        Answer { result, sent, received, split: None }
    }
}

impl GrpcCaller {
    fn judge(&self, reply: &Reply) -> Result<(), std::borrow::Cow<'static, str>> {
        if let Some(refusal) = Refusal::of(reply) {
            return Err(refusal.kind().into());
        }
        match &self.expected {
            Some(expected) if !expected.is_met_by(|| outputs(&reply.body), &reply.body) => {
                Err("wrong_answer".into())
            }
            _ => Ok(()),
        }
    }
}

/// A message with its length before it.
fn framed(message: &impl Message) -> Result<Bytes> {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).context("the request is larger than a message can be")?);
    message.encode(&mut bytes)?;
    Ok(bytes.freeze())
}

/// The only message of a body.
fn read<M: Message + Default>(body: &Bytes) -> Result<M> {
    let mut message = body.clone();
    if message.len() < PREFIX {
        bail!("it has {} bytes, and no message", body.len());
    }
    if message.get_u8() != 0 {
        bail!("it is compressed, which was not asked for");
    }
    let length = message.get_u32() as usize;
    if length != message.len() {
        bail!("its message should have {length} bytes, and {} are there", message.len());
    }
    M::decode(message).context("it is not the message of this method")
}

fn outputs(body: &Bytes) -> Result<Vec<NamedTensor>> {
    Ok(client::outputs(read::<ModelInferResponse>(body)?)?)
}

fn headers(args: &BenchArgs) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::TE, TRAILERS);
    headers.insert(header::USER_AGENT, AGENT);
    // Answers as they are: unpacking them is not to be measured.
    headers.insert(HeaderName::from_static("grpc-accept-encoding"), HeaderValue::from_static("identity"));
    if let Some(token) = bearer(args)? {
        headers.insert(header::AUTHORIZATION, token);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_message() {
        let message = ServerMetadataResponse { name: "s".to_owned(), ..ServerMetadataResponse::default() };
        let body = framed(&message).unwrap();
        assert_eq!(read::<ServerMetadataResponse>(&body).unwrap(), message);
        let refused = |bytes: &[u8]| {
            format!("{:#}", read::<ServerMetadataResponse>(&Bytes::copy_from_slice(bytes)).unwrap_err())
        };
        assert_eq!(refused(b""), "it has 0 bytes, and no message");
        assert_eq!(refused(b"\x01\0\0\0\0"), "it is compressed, which was not asked for");
        assert_eq!(refused(b"\0\0\0\0\x02x"), "its message should have 2 bytes, and 1 are there");
        assert!(refused(b"\0\0\0\0\x01\xff").starts_with("it is not the message of this method"));
    }
}
