//! One request over HTTP and its answer: no login, no redirect, no second
//! try. Nothing waits for ever and nothing is decompressed.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Method, Request as HttpRequest};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, SendBody};

use super::ClientOptions;
use super::error::{Again, ErrorKind, Failure};
use super::url::Url;
use crate::text::tame;

/// Fewer bytes than this within the idle time are as good as none.
const SLOWEST: usize = 1024;
/// A registry that got a large blob may work on it for a while before it answers.
const WORKING_TIME: u32 = 10;
const LONGEST_CERTIFICATES: u64 = 4 << 20;

/// What is asked.
#[derive(Clone)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) payload: Payload<'a>,
}

/// What is sent with it.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// Bytes, and who is told of each piece that goes and can stop it.
    Counted(&'a [u8], &'a dyn Fn(u64) -> std::io::Result<()>),
}

/// What came back. The body is read by who knows how long it may be.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) url: Url,
    body: ureq::Body,
    idle: Duration,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), payload: Payload::Nothing }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn payload(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }
}

impl Payload<'_> {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Nothing => None,
            Self::Bytes(bytes) | Self::Counted(bytes, _) => Some(bytes),
        }
    }
}

impl Answer {
    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length that the registry announced, in bytes.
    pub(super) fn announced(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The body as it comes; a stall is an error of kind `TimedOut`.
    pub(super) fn reader(self) -> impl Read {
        Paced { inner: self.body.into_reader(), idle: self.idle, waited: Duration::ZERO, bytes: 0 }
    }

    /// The whole body, when it is not longer than `limit` bytes.
    pub(super) fn bytes(self, limit: u64) -> Result<Vec<u8>, Failure> {
        let too_large = || {
            Failure::new(
                ErrorKind::TooLarge,
                format!("the answer is larger than the {limit} bytes that are accepted"),
            )
        };
        if self.announced().is_some_and(|announced| announced > limit) {
            return Err(too_large());
        }
        self.not_encoded()?;
        let url = self.url.clone();
        let mut bytes = Vec::new();
        let mut reader = self.reader().take(limit + 1);
        reader.read_to_end(&mut bytes).map_err(|error| broken(error.into(), &url))?;
        if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
    }

    /// Refuses an encoding that was not asked for.
    pub(super) fn not_encoded(&self) -> Result<(), Failure> {
        match self.header("content-encoding") {
            None | Some("identity" | "") => Ok(()),
            Some(encoding) => Err(Failure::new(
                ErrorKind::Protocol,
                format!("the answer is encoded as `{}`, which was not asked for", tame(encoding)),
            )),
        }
    }
}

/// The agent for one registry: its roots of trust and its patience.
pub(super) fn agent(options: &ClientOptions, registry: &str, is_local: bool) -> Result<Agent, Failure> {
    let tls = TlsConfig::builder().root_certs(roots(options, registry)?).build();
    let mut config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("samara/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_resolve(Some(options.idle))
        .timeout_connect(Some(options.idle))
        .timeout_per_read(Some(options.idle))
        .timeout_per_write(Some(options.idle))
        .timeout_recv_response(Some(options.idle * WORKING_TIME))
        .max_idle_connections_per_host(options.transfers.max(1));
    if is_local {
        config = config.proxy(None);
    }
    Ok(Agent::new_with_config(config.build()))
}

/// Asks once.
pub(super) fn exchange(
    agent: &Agent,
    idle: Duration,
    request: &Request<'_>,
    authorization: Option<&str>,
) -> Result<Answer, Failure> {
    let url = &request.url;
    let mut http = HttpRequest::builder().method(request.method.clone()).uri(url.to_request());
    for (name, value) in &request.headers {
        http = http.header(*name, value);
    }
    if let Some(authorization) = authorization {
        http = http.header("authorization", authorization);
    }
    if let Some(bytes) = request.payload.bytes() {
        http = http.header("content-length", bytes.len());
    }
    let unusable = |_| {
        Failure::new(
            ErrorKind::Invalid,
            format!("`{url}` cannot be asked: a header or the address is invalid"),
        )
    };
    let answer = match request.payload {
        Payload::Nothing => agent.run(http.body(()).map_err(unusable)?),
        Payload::Bytes(bytes) => {
            let mut bytes = bytes;
            agent.run(http.body(SendBody::from_reader(&mut bytes)).map_err(unusable)?)
        }
        Payload::Counted(bytes, told) => {
            let mut counted = Counted { bytes, told };
            let http = http.body(SendBody::from_reader(&mut counted)).map_err(unusable)?;
            let patient = agent.configure_request(http).timeout_per_read(Some(idle * WORKING_TIME));
            agent.run(patient.build())
        }
    };
    let answer = answer.map_err(|error| broken(error, url))?;
    let (parts, body) = answer.into_parts();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, url: url.clone(), body, idle })
}

/// How the standard library begins to tell that a name has no address.
const NO_ADDRESS: &str = "failed to lookup address information";

/// What a broken exchange with `url` means.
pub(super) fn broken(error: ureq::Error, url: &Url) -> Failure {
    use std::io::ErrorKind as Io;
    let host = url.authority();
    let stalled = || {
        Failure::new(ErrorKind::Stalled, format!("nothing came from `{host}` for too long"))
            .again(Again::Soon)
    };
    match error {
        ureq::Error::Timeout(_) => stalled(),
        ureq::Error::Io(error) => match error.kind() {
            Io::TimedOut | Io::WouldBlock => stalled(),
            Io::ConnectionRefused => {
                Failure::new(ErrorKind::Unavailable, format!("`{host}` refuses the connection"))
                    .hint("is the registry running, and is this its port?")
            }
            Io::InvalidData | Io::InvalidInput => untrusted(host, &error.to_string()),
            // The system's resolver gives no kind of its own.
            _ if error.to_string().starts_with(NO_ADDRESS) => no_host(host),
            _ => Failure::new(
                ErrorKind::Unavailable,
                format!("the connection to `{host}` broke: {}", tame(&error.to_string())),
            )
            .again(Again::Soon),
        },
        ureq::Error::HostNotFound => no_host(host),
        ureq::Error::Tls(reason) => untrusted(host, reason),
        ureq::Error::Rustls(error) => untrusted(host, &error.to_string()),
        // Its text has the whole address.
        ureq::Error::BadUri(_) => {
            Failure::new(ErrorKind::Protocol, format!("`{host}` cannot be asked: the address is invalid"))
        }
        error => Failure::new(
            ErrorKind::Protocol,
            format!("`{host}` does not answer as a registry: {}", tame(&error.to_string())),
        ),
    }
}

fn no_host(host: &str) -> Failure {
    Failure::new(ErrorKind::Unavailable, format!("no address is known for the host `{host}`"))
        .hint("check the spelling of the registry, and the network")
}

fn untrusted(host: &str, reason: &str) -> Failure {
    Failure::new(ErrorKind::Untrusted, format!("the secure connection to `{host}` fails: {}", tame(reason)))
        .hint("if a private authority made its certificate, name that authority's file with `--ca-file`")
}

/// The system's roots, and with them those of `ca_files` and of Docker's
/// folder for this registry.
fn roots(options: &ClientOptions, registry: &str) -> Result<RootCerts, Failure> {
    let mut extra = Vec::new();
    for path in &options.ca_files {
        extra.extend(certificates(path)?);
    }
    for path in docker_authorities(&options.certs_folder, registry) {
        extra.extend(certificates(&path)?);
    }
    if extra.is_empty() {
        return Ok(RootCerts::PlatformVerifier);
    }
    let system = rustls_native_certs::load_native_certs().certs;
    let system = system.iter().map(|der| Certificate::from_der(der).to_owned());
    Ok(RootCerts::from(system.chain(extra)))
}

/// `<folder>/<host>/*.crt`, Docker's convention.
fn docker_authorities(folder: &Path, registry: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = folder.join(registry).read_dir() else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "crt")).collect();
    paths.sort();
    paths
}

pub(super) fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let refuse = |reason: String| {
        Failure::new(ErrorKind::Invalid, format!("`{}` names no authority: {reason}", path.display()))
            .hint("it must be a file of certificates in PEM form")
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
    file.take(LONGEST_CERTIFICATES).read_to_end(&mut text).map_err(|error| refuse(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| refuse(tame(&error.to_string())))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(refuse("it has no certificate".to_owned())) } else { Ok(found) }
}

/// Reads that are too slow for too long are a stall, even if a byte comes now
/// and then.
struct Paced<R> {
    inner: R,
    idle: Duration,
    /// Since [`SLOWEST`] bytes last were complete, without the time between reads.
    waited: Duration,
    bytes: usize,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let asked = Instant::now();
        let count = self.inner.read(buffer)?;
        self.waited += asked.elapsed();
        self.bytes += count;
        if self.bytes >= SLOWEST {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        } else if count > 0 && self.waited > self.idle {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        Ok(count)
    }
}

/// Reads bytes and tells how many go.
struct Counted<'a> {
    bytes: &'a [u8],
    told: &'a dyn Fn(u64) -> std::io::Result<()>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        if count > 0 {
            (self.told)(count as u64)?;
        }
        Ok(count)
    }
}
