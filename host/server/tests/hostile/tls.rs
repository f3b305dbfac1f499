//! Connections to a port of TLS that never become any.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use samara_server::{Config, ServeLimits, TlsFiles};

use crate::common::{Builder, Item};
use crate::{SHORT, connect, rest};

/// A certificate for this machine with its key, or `None` where openssl is
/// missing.
fn certificate(folder: &Path) -> Option<TlsFiles> {
    let openssl = samara_test::program("openssl")?;
    let files = TlsFiles { certificates: folder.join("server.crt"), key: folder.join("server.key") };
    let name = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let made = Command::new(openssl)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &name(&files.key), "-out", &name(&files.certificates)])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(files)
}

/// The first bytes of a handshake that is never finished: a record of 512
/// bytes, of which the greeting begins.
const HALF_A_GREETING: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn a_handshake_that_is_none_ends() {
    let folder = tempfile::tempdir().unwrap();
    let Some(files) = certificate(folder.path()) else { return };
    let set = |config: &mut Config| {
        config.tls = Some(files);
        config.limits = ServeLimits { header_timeout: SHORT, connections: 4, ..ServeLimits::default() };
    };
    let server = Builder::new().serve(Item::gated("wait")).config(set).start();
    // More than there are places: each is given back.
    for _ in 0..3 {
        for bytes in [
            &b""[..],
            HALF_A_GREETING,
            b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\xff\xff",
            b"\x15\x03\x01\x00\x02\x02\x28",
            &[0xff; 4096],
        ] {
            let mut stream = connect(server.address);
            let _ = stream.write_all(bytes);
            let said = rest(&mut stream);
            assert!(!said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));
        }
    }
    let version = server.block_on(handshake(server.address, folder.path()));
    assert_eq!(version, Some(tokio_rustls::rustls::ProtocolVersion::TLSv1_3));
}

/// Greets the server as a client should.
async fn handshake(
    address: std::net::SocketAddr,
    folder: &Path,
) -> Option<tokio_rustls::rustls::ProtocolVersion> {
    use rustls_pki_types::pem::PemObject;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};
    let mut roots = RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_file(folder.join("server.crt")).unwrap()).unwrap();
    let provider = std::sync::Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    // A place may not be back yet.
    loop {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        match connector.connect("localhost".try_into().unwrap(), stream).await {
            Ok(stream) => return stream.get_ref().1.protocol_version(),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::InvalidData, "{error}"),
        }
    }
}
