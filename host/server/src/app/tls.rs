//! TLS on the listeners, by certificate files.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;

use crate::config::TlsFiles;
use crate::error::{Error, Result};

/// Reads certificates and their key, for HTTP/2 and HTTP/1.1.
///
/// # Errors
/// [`Error::Malformed`] naming the file that cannot be used.
pub(super) fn acceptor(files: Option<&TlsFiles>) -> Result<Option<TlsAcceptor>> {
    let Some(files) = files else { return Ok(None) };
    let certificates = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&files.certificates, &error))?;
    if certificates.is_empty() {
        return Err(unusable(&files.certificates, &"it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| unusable(&files.certificates, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Malformed(format!("cannot use `{}` for TLS: {reason}", path.display()))
}
