//! The way to a server: its addresses, and TLS where its URL says so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use http::Uri;
use http::uri::Authority;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// The largest body that is kept.
pub(super) const LARGEST_BODY: usize = 256 << 20;
/// How long a caller waits before it connects again.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

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

/// A host and its port, as a URL names them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Address {
    pub is_tls: bool,
    pub authority: Authority,
}

/// How connections to one server are made.
#[derive(Clone)]
pub(super) struct Connector {
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection, in the clear or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

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

impl Address {
    /// That of a URL, which `text` is for messages.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of(uri: &Uri, is_tls: bool, text: &str) -> Result<Self, String> {
        let authority = uri.authority().cloned().ok_or_else(|| format!("`{text}` names no host"))?;
        if authority.host().is_empty() {
            return Err(format!("`{text}` names no host"));
        }
        if authority.as_str().contains('@') {
            return Err(
                "a URL here carries no credentials\nhint: give a token with `--token-file`".to_owned()
            );
        }
        Ok(Self { is_tls, authority })
    }

    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_tls { 443 } else { 80 })
    }

    /// The host without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }
}

impl Connector {
    /// Finds the addresses of the server that messages call `server`, and
    /// prepares TLS for one application protocol, with the system's authorities
    /// and those of `ca_files`.
    ///
    /// # Errors
    /// When the name has no address, or a certificate cannot be read.
    pub(super) async fn new(
        address: &Address,
        server: &str,
        protocol: &[u8],
        ca_files: &[PathBuf],
    ) -> Result<Self> {
        let found = tokio::net::lookup_host((address.host(), address.port())).await;
        let addresses: Vec<SocketAddr> =
            found.with_context(|| format!("cannot reach `{server}`: its address is unknown"))?.collect();
        let tls = match address.is_tls {
            true => Some((tls_connector(protocol, ca_files)?, server_name(address)?)),
            false => None,
        };
        Ok(Self { addresses, tls })
    }

    /// # Errors
    /// Why there is no connection.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, Failure> {
        let connect = |error: std::io::Error| Failure::Connect(error.to_string());
        let stream = TcpStream::connect(self.addresses.as_slice()).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => {
                Box::new(connector.connect(name.clone(), stream).await.map_err(connect)?)
            }
        })
    }
}

fn tls_connector(protocol: &[u8], ca_files: &[PathBuf]) -> Result<TlsConnector> {
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
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The error in words; it is none of the standard library's.
fn readable(error: tokio_rustls::rustls::pki_types::pem::Error) -> anyhow::Error {
    anyhow!("{error}")
}

fn server_name(address: &Address) -> Result<ServerName<'static>> {
    let name = address.host().to_owned();
    ServerName::try_from(name).with_context(|| format!("`{}` is no host's name", address.host()))
}
