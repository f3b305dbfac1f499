//! The arguments of `samara serve`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use samara_package::manifest::{parse_duration, parse_size};

use super::{GrantArgs, ModelArg, PlaceArgs, RegistryArgs};

const SERVE_HELP: &str = "\
A function is served under its own name, or as NAME with `NAME=WHAT`. Several versions of one
name are served side by side; the last one answers where a request names no version.

  GET  /                               a page for people
  POST /v2/models/NAME/infer           the Open Inference Protocol, over REST and gRPC
  GET  /metrics, /openapi.json

SIGTERM and Ctrl-C drain: not ready first, then what runs is finished. SIGHUP reads the
configuration, and every function, again without dropping a request.";

#[derive(Debug, clap::Args)]
#[command(after_help = SERVE_HELP)]
pub(crate) struct ServeArgs {
    /// Folders with `samara.toml`, components or bundles (`.wasm`), models (`.onnx`), or images
    #[arg(value_name = "[NAME=]WHAT")]
    pub what: Vec<String>,
    /// File with settings and functions; flags go before it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen for REST, gRPC and everything else; may be given again [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "SAMARA_LISTEN")]
    pub listen: Vec<String>,
    /// A further place to listen, for clients that expect gRPC on a port of its own
    #[arg(long, value_name = "ADDR")]
    pub grpc_listen: Vec<String>,
    /// Give a `.wasm` a model under this name, and say where that one runs
    #[arg(long = "model", value_name = "NAME=FILE[,target=..][,backend=..]", value_parser = super::parse_model)]
    pub models: Vec<ModelArg>,
    /// The path below which an HTTP function answers [default: /NAME]
    #[arg(long = "route", value_name = "NAME=PATH", value_parser = parse_route)]
    pub routes: Vec<(String, String)>,
    #[command(flatten)]
    pub security: SecurityArgs,
    #[command(flatten)]
    pub load: LoadLimitArgs,
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Who may ask.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Security")]
pub(crate) struct SecurityArgs {
    /// Certificate chain (PEM) for TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) for TLS
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// File with bearer tokens, one in a line; a request must carry one of them
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Let pages of this origin call the server, or of all with `*`
    #[arg(long = "cors", value_name = "ORIGIN")]
    pub cors: Vec<String>,
    /// What clients may do to the functions that are served [default: configured]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub repository: Option<Repository>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Repository {
    /// Look only
    ReadOnly,
    /// Load and unload what is configured
    Configured,
    /// Also load other images
    Any,
}

/// How much at a time.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadLimitArgs {
    /// Requests of one function that run at a time [default: 128]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<NonZeroUsize>,
    /// Requests of one function that may wait; more are refused at once [default: 512]
    #[arg(long, value_name = "N")]
    pub queue: Option<usize>,
    /// Sandboxes at a time, of all functions [default: 1024]
    #[arg(long, value_name = "N")]
    pub instances: Option<u32>,
    /// Threads that models run on [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// The largest body of a request, e.g. `64MiB` [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_body: Option<u64>,
    /// Time for requests that run to end when the server is stopped [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub drain_timeout: Option<Duration>,
    /// Time between saying that it is not ready and closing, on SIGTERM [default: 500ms]
    #[arg(long, value_name = "TIME", value_parser = parse_delay)]
    pub drain_delay: Option<Duration>,
}

/// What is told of requests.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Telemetry")]
pub(crate) struct TelemetryArgs {
    /// Send traces to this OTLP collector, e.g. `http://localhost:4318`
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp: Option<String>,
    /// The share of requests that are traced, 0 to 1 [default: 1]
    #[arg(long, value_name = "SHARE")]
    pub trace_sample: Option<f64>,
    /// The form of logs [default: text]
    #[arg(long, value_enum, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Reads a time that may be none at all, `0s`.
///
/// # Errors
/// How a time is written.
pub(crate) fn parse_delay(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { parse_duration(text) }
}

fn parse_route(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && path.starts_with('/') => {
            Ok((name.to_owned(), path.to_owned()))
        }
        _ => Err("write `NAME=/PATH`, e.g. `hello=/hello`".to_owned()),
    }
}
