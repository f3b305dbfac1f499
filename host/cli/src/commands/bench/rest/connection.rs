//! One HTTP/1.1 connection that is kept open, driven by the task that uses it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::url::ServerUrl;

/// The largest body that is kept.
const LARGEST_BODY: usize = 256 << 20;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the connection broke: {0}")]
    Lost(hyper::Error),
    #[error("no answer came within {0:?}")]
    Timeout(Duration),
    #[error("its answer is larger than {LARGEST_BODY} bytes")]
    TooLarge,
}

/// How connections to one server are made.
#[derive(Clone)]
pub(super) struct Connector {
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection, or the way to one.
pub(super) struct Connection {
    connector: Arc<Connector>,
    timeout: Duration,
    open: Option<Open>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Empty where it was only to be counted.
    pub body: Bytes,
    /// Bytes of the body.
    pub length: u64,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it is over: what it held is dropped then, which tells the
    /// sender.
    driver: Option<Pin<Box<Driver>>>,
}

/// What moves the bytes of a connection.
type Driver = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Failure {
    /// The name under which it is counted.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Failure::Connect(_) => "connect",
            Failure::Lost(_) => "connection_lost",
            Failure::Timeout(_) => "timeout",
            Failure::TooLarge => "too_large",
        }
    }
}

impl Connector {
    /// Finds the server's addresses and prepares TLS, with the system's
    /// authorities and those of `ca_files`.
    ///
    /// # Errors
    /// When the name has no address, or a certificate cannot be read.
    pub(super) async fn new(url: &ServerUrl, ca_files: &[PathBuf]) -> Result<Self> {
        let found = tokio::net::lookup_host((url.host(), url.port())).await;
        let addresses: Vec<SocketAddr> = found
            .with_context(|| format!("cannot reach `{}`: its address is unknown", url.server()))?
            .collect();
        let tls = match url.is_tls {
            true => Some((tls_connector(ca_files)?, server_name(url)?)),
            false => None,
        };
        Ok(Self { addresses, tls })
    }

    async fn connect(&self) -> Result<Open, Failure> {
        let connect = |error: std::io::Error| Failure::Connect(error.to_string());
        let stream = TcpStream::connect(self.addresses.as_slice()).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => {
                Box::new(connector.connect(name.clone(), stream).await.map_err(connect)?)
            }
        };
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::Lost)?;
        Ok(Open { sender, driver: Some(Box::pin(driver)) })
    }
}

impl Connection {
    pub(super) fn new(connector: Arc<Connector>, timeout: Duration) -> Self {
        Self { connector, timeout, open: None }
    }

    /// Connects, unless it is connected.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) async fn connect(&mut self) -> Result<(), Failure> {
        let timeout = self.timeout;
        let connecting = async {
            if self.open.is_none() {
                self.open = Some(self.connector.connect().await?);
            }
            Ok(())
        };
        tokio::time::timeout(timeout, connecting).await.unwrap_or(Err(Failure::Timeout(timeout)))
    }

    /// Sends a request and reads the answer, whose body is only counted
    /// unless it is to be kept. Connects first where need be.
    ///
    /// # Errors
    /// When no whole answer came in time; the connection is then given up.
    pub(super) async fn exchange(
        &mut self,
        request: impl Fn() -> Request<Full<Bytes>>,
        keep: bool,
    ) -> Result<Reply, Failure> {
        let timeout = self.timeout;
        let result = tokio::time::timeout(timeout, self.try_exchange(&request, keep)).await;
        let result = result.unwrap_or(Err(Failure::Timeout(timeout)));
        if result.is_err() || self.open.as_ref().is_some_and(|open| open.sender.is_closed()) {
            self.open = None;
        }
        result
    }

    async fn try_exchange(
        &mut self,
        request: &impl Fn() -> Request<Full<Bytes>>,
        keep: bool,
    ) -> Result<Reply, Failure> {
        if let Some(open) = &mut self.open {
            match open.exchange(request(), keep).await {
                // The server had closed a connection that lay idle, and saw
                // nothing of the request.
                Err(Failure::Lost(error)) if error.is_canceled() || error.is_closed() => self.open = None,
                result => return result,
            }
        }
        let open = self.open.insert(self.connector.connect().await?);
        open.exchange(request(), keep).await
    }
}

impl Open {
    /// One request and its answer, while the connection's own work is done
    /// between the steps: no other task, so no hop between tasks.
    async fn exchange(&mut self, request: Request<Full<Bytes>>, keep: bool) -> Result<Reply, Failure> {
        let Self { sender, driver } = self;
        let mut exchange = pin!(async {
            sender.ready().await.map_err(Failure::Lost)?;
            read(sender.send_request(request).await.map_err(Failure::Lost)?, keep).await
        });
        poll_fn(|context| {
            if let Poll::Ready(result) = exchange.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
                *driver = None;
            }
            exchange.as_mut().poll(context)
        })
        .await
    }
}

async fn read(response: http::Response<Incoming>, keep: bool) -> Result<Reply, Failure> {
    let (head, mut body) = response.into_parts();
    let (mut kept, mut length) = (BytesMut::new(), 0u64);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failure::Lost)?.into_data() else { continue };
        length += data.len() as u64;
        if keep {
            if kept.len() + data.len() > LARGEST_BODY {
                return Err(Failure::TooLarge);
            }
            kept.extend_from_slice(&data);
        }
    }
    Ok(Reply { status: head.status, headers: head.headers, body: kept.freeze(), length })
}

fn tls_connector(ca_files: &[PathBuf]) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in ca_files {
        let failed = || format!("cannot use the certificates in `{}`", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(readable).with_context(failed)? {
            roots.add(certificate.map_err(readable).with_context(failed)?).with_context(failed)?;
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The error in words; it is none of the standard library's.
fn readable(error: tokio_rustls::rustls::pki_types::pem::Error) -> anyhow::Error {
    anyhow!("{error}")
}

fn server_name(url: &ServerUrl) -> Result<ServerName<'static>> {
    ServerName::try_from(url.host().to_owned()).with_context(|| format!("`{}` is no host's name", url.host()))
}
