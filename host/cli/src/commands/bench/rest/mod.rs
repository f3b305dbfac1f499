//! A server of the Open Inference Protocol, reached over REST.

mod connection;
pub(super) mod url;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use samara_nn::{NamedTensor, Signature, TensorSpec};
use serde::Deserialize;

use self::connection::{Connection, Reply};
use self::url::ServerUrl;
use super::codec::{self, Body};
use super::connect::{Connector, Failure, RECONNECT_PAUSE};
use super::drive::Caller;
use super::remote::{Remote, bearer, only, quoted};
use super::request::{Expected, Work};
use super::tally::Answer;
use crate::args::BenchArgs;
use crate::error::Usage;

/// Where the JSON of a body with tensors behind it ends.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");
const BINARY_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("samara-bench/", env!("CARGO_PKG_VERSION")));

/// A function of a server.
pub(super) struct Server {
    url: ServerUrl,
    connector: Arc<Connector>,
    timeout: Duration,
    /// What every request carries.
    headers: HeaderMap,
    /// Whether tensors travel as bytes behind the JSON.
    is_binary: bool,
    function: String,
    version: Option<String>,
}

/// One connection that sends the same request over and over.
pub(super) struct RestCaller {
    connection: Connection,
    request: Prepared,
    expected: Option<Arc<Expected>>,
}

/// A request whose clones share their body.
#[derive(Clone)]
struct Prepared {
    method: Method,
    path: http::Uri,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Deserialize)]
struct Metadata {
    inputs: Vec<TensorMetadata>,
    #[serde(default)]
    outputs: Vec<TensorMetadata>,
}

#[derive(Deserialize)]
struct TensorMetadata {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

#[derive(Deserialize)]
struct Indexed {
    name: String,
    #[serde(default)]
    state: Option<String>,
}

impl Remote for Server {
    const KIND: &'static str = "rest";
    type Body = Body;
    type Caller = RestCaller;

    async fn find(args: &BenchArgs, url: &str) -> Result<Self> {
        let url = ServerUrl::parse(url).map_err(Usage)?;
        if args.function.is_some() && url.function.is_some() {
            return Err(Usage(
                "the URL names a function already, so `--function` cannot be given".to_owned(),
            )
            .into());
        }
        if args.function_version.is_some() && url.version.is_some() {
            return Err(
                Usage("the URL names a version already, so `--version` cannot be given".to_owned()).into()
            );
        }
        let (name, authorities) = (url.server(), &args.registry.ca_files);
        let connector = Connector::new(&url.address, &name, b"http/1.1", authorities).await?;
        let mut server = Self {
            headers: headers(args, &url)?,
            connector: Arc::new(connector),
            timeout: args.timeout,
            is_binary: args.binary,
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
        let reply = self.ask(Method::GET, &self.path(), Bytes::new()).await?;
        let what = || format!("`{}` of `{}`", self.function, self.url.server());
        match reply.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => bail!("{}", self.refused(&reply)),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
                self.check_protocol().await?;
                let known = self.functions().await.unwrap_or_default();
                let hint = match known.is_empty() {
                    true => String::new(),
                    false => format!("\nhint: the server has {}", quoted(&known)),
                };
                bail!("the server does not know {}: {}{hint}", what(), self.refused(&reply));
            }
            _ => bail!("the server says nothing of {}: {}", what(), self.refused(&reply)),
        }
        let metadata: Metadata = serde_json::from_slice(&reply.body).map_err(|error| {
            anyhow!("`{}` is no server of the Open Inference Protocol: what it says of `{}` is no metadata: {error}", self.url.server(), self.function)
        })?;
        let specs = |tensors: Vec<TensorMetadata>| -> Result<Vec<TensorSpec>> {
            tensors
                .into_iter()
                .map(|tensor| Ok(TensorSpec::new(tensor.name, tensor.datatype.parse()?, tensor.shape)))
                .collect()
        };
        let signature = || -> Result<Signature> {
            Ok(Signature { inputs: specs(metadata.inputs)?, outputs: specs(metadata.outputs)? })
        };
        signature().with_context(|| format!("cannot use the metadata of {}", what()))
    }

    fn body(&self, work: &Work) -> Result<Body> {
        work.body(self.is_binary)
    }

    fn form(&self, body: &Body) -> (&'static str, u64) {
        (if self.is_binary { "binary" } else { "json" }, body.bytes.len() as u64)
    }

    fn caller(&self, body: &Body, expected: Option<&Arc<Expected>>) -> Result<RestCaller> {
        Ok(RestCaller {
            connection: Connection::new(Arc::clone(&self.connector), self.timeout),
            request: self.infer(body)?,
            expected: expected.cloned(),
        })
    }

    async fn first_answer(&self, body: &Body) -> Result<Vec<NamedTensor>> {
        let reply = self.send(&self.infer(body)?).await?;
        if reply.status != StatusCode::OK {
            bail!("the first request was refused: {}", self.refused(&reply));
        }
        outputs(&reply).with_context(|| {
            format!(
                "the first answer of `{}` is no response of the Open Inference Protocol",
                self.url.server()
            )
        })
    }
}

impl Server {
    /// Asks what the server is; every server of the protocol says so.
    async fn check_protocol(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct ServerMetadata {
            #[serde(rename = "name")]
            _name: String,
        }
        let reply = self.ask(Method::GET, &format!("{}/v2", self.url.base), Bytes::new()).await?;
        if reply.status != StatusCode::OK || serde_json::from_slice::<ServerMetadata>(&reply.body).is_err() {
            bail!(
                "`{0}` is no server of the Open Inference Protocol: `{0}/v2` answers {1}",
                self.url.server(),
                self.refused(&reply)
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
        let path = format!("{}/v2/repository/index", self.url.base);
        let reply = self.ask(Method::POST, &path, Bytes::from_static(b"{}")).await.ok()?;
        let index: Vec<Indexed> = serde_json::from_slice(&reply.body).ok()?;
        let is_ready = |function: &Indexed| function.state.as_deref().is_none_or(|state| state == "READY");
        let mut names: Vec<String> =
            index.into_iter().filter(is_ready).map(|function| function.name).collect();
        names.sort();
        names.dedup();
        Some(names)
    }

    fn path(&self) -> String {
        self.url.path_of(&self.function, self.version.as_deref())
    }

    fn infer(&self, body: &Body) -> Result<Prepared> {
        let mut headers = self.headers.clone();
        headers.insert(header::CONTENT_TYPE, JSON_TYPE);
        if let Some(length) = body.json_length {
            headers.insert(header::CONTENT_TYPE, BINARY_TYPE);
            headers.insert(JSON_LENGTH, length.into());
        }
        let path = format!("{}/infer", self.path());
        Ok(Prepared { method: Method::POST, path: path.parse()?, headers, body: body.bytes.clone() })
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Reply> {
        let mut headers = self.headers.clone();
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, JSON_TYPE);
        }
        self.send(&Prepared { method, path: path.parse()?, headers, body }).await
    }

    /// One request on a connection of its own.
    async fn send(&self, request: &Prepared) -> Result<Reply> {
        let mut connection = Connection::new(Arc::clone(&self.connector), self.timeout);
        let reply = connection.exchange(|| request.build(), true).await;
        reply.with_context(|| format!("cannot reach `{}`", self.url.server()))
    }

    fn refused(&self, reply: &Reply) -> String {
        let said = codec::refusal(&reply.body);
        let hint = match reply.status {
            StatusCode::UNAUTHORIZED => "\nhint: give a token with `--token-file FILE`",
            _ => "",
        };
        format!("{}{}{said}{hint}", reply.status, if said.is_empty() { "" } else { ": " })
    }
}

impl Prepared {
    fn build(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

impl Caller for RestCaller {
    async fn prepare(&mut self) {
        // What is wrong shows in the first call.
        let _ = self.connection.connect().await;
    }

    async fn call(&mut self) -> Answer {
        let sent = self.request.body.len() as u64;
        let reply = self.connection.exchange(|| self.request.build(), self.expected.is_some()).await;
        let (result, received) = match reply {
            Ok(reply) if reply.status != StatusCode::OK => {
                (Err(format!("status_{}", reply.status.as_u16()).into()), reply.length)
            }
            Ok(reply) => match &self.expected {
                Some(expected) if !expected.is_met_by(|| outputs(&reply), &reply.body) => {
                    (Err("wrong_answer".into()), reply.length)
                }
                _ => (Ok(()), reply.length),
            },
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

fn outputs(reply: &Reply) -> Result<Vec<NamedTensor>> {
    let json_length = match reply.headers.get(JSON_LENGTH) {
        None => None,
        Some(length) => {
            let length = length.to_str().ok().and_then(|length| length.parse().ok());
            Some(length.context("its header `Inference-Header-Content-Length` is no number")?)
        }
    };
    codec::read_answer(&Body { bytes: reply.body.clone(), json_length })
}

fn headers(args: &BenchArgs, url: &ServerUrl) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(url.address.authority.as_str())?);
    headers.insert(header::USER_AGENT, AGENT);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(token) = bearer(args)? {
        headers.insert(header::AUTHORIZATION, token);
    }
    Ok(headers)
}
