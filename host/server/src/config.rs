//! The settings of a server, checked before anything is built.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a server is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// In the order in which people see them.
    pub functions: Vec<FunctionConfig>,
    pub limits: ServeLimits,
    pub tls: Option<TlsFiles>,
    /// What a request must carry as `Authorization: Bearer …`; any of them.
    /// Without one, everybody may ask.
    pub tokens: Vec<Token>,
    /// Origins whose pages may call this server, or `*`.
    pub cors: Vec<String>,
    /// Whether clients may load and unload functions.
    pub repository: RepositoryControl,
    pub telemetry: Telemetry,
    pub drain: Drain,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            functions: Vec::new(),
            limits: ServeLimits::default(),
            tls: None,
            tokens: Vec::new(),
            cors: Vec::new(),
            repository: RepositoryControl::Configured,
            telemetry: Telemetry::default(),
            drain: Drain::default(),
        }
    }
}

/// One function to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionConfig {
    /// An image, a folder, a component or a model file.
    pub what: String,
    /// Instead of the function's own name.
    pub name: Option<String>,
    /// Requests that run at a time; more wait.
    pub concurrency: Option<usize>,
    /// Requests that may wait; more are refused.
    pub queue: Option<usize>,
    /// The path below which an HTTP function answers; `/NAME` where it is not
    /// given.
    pub route: Option<String>,
    /// Settings that the source of functions understands, such as grants.
    pub options: BTreeMap<String, Vec<String>>,
}

impl FunctionConfig {
    /// A function with nothing set.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            name: None,
            concurrency: None,
            queue: None,
            route: None,
            options: BTreeMap::new(),
        }
    }
}

/// What clients may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeLimits {
    /// Requests of all functions that run at a time.
    pub concurrency: usize,
    /// Requests of one function that run at a time, unless it says otherwise.
    pub function_concurrency: usize,
    /// Requests of one function that may wait, unless it says otherwise.
    pub function_queue: usize,
    /// Connections at a time; more are closed at once.
    pub connections: usize,
    /// Bytes of one request's body, or of one message of a stream, in each of
    /// its forms: as it comes, unpacked, as tensors.
    pub body: u64,
    /// Bytes of the bodies of all requests that are answered at a time, each in
    /// its largest form, with room for one body at least.
    pub bodies: u64,
    /// Bytes of all headers of a request.
    pub headers: usize,
    /// For the headers of a request to arrive, and between two requests.
    pub header_timeout: Duration,
    /// For the body of a request to arrive.
    pub body_timeout: Duration,
    /// For a client to take more of its answer. One that takes nothing for so
    /// long is cut off.
    pub write_timeout: Duration,
    /// The longest deadline that a client may ask for.
    pub deadline: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            concurrency: 1024,
            function_concurrency: 128,
            function_queue: 512,
            connections: 4096,
            body: 64 << 20,
            bodies: 1 << 30,
            headers: 64 << 10,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(300),
        }
    }
}

/// PEM files of a certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificates: PathBuf,
    pub key: PathBuf,
}

/// A secret that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn secret(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What clients may do with the repository of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryControl {
    /// Look at it only.
    ReadOnly,
    /// Load and unload the functions that the server was configured with.
    Configured,
    /// Also load others, by naming their image.
    Any,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// An OTLP collector, e.g. `http://localhost:4318`; without one, nothing is
    /// traced.
    pub otlp: Option<String>,
    /// The share of requests that are traced where the client does not say,
    /// from 0 to 1.
    pub sample: f64,
    /// What this server is called in traces.
    pub service: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp: None, sample: 1.0, service: "samara".to_owned() }
    }
}

/// How a server ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// From being told to stop to taking no more connections: balancers see
    /// meanwhile that it is not ready.
    pub delay: Duration,
    /// For requests that run to end.
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Duration::ZERO, timeout: Duration::from_secs(30) }
    }
}
