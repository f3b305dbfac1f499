//! The configuration file of `samara serve`, and how flags go before it.
//!
//! ```toml
//! listen = ["0.0.0.0:8080"]
//! token-file = "/etc/samara/tokens"
//! [tls]
//! certificates = "server.pem"
//! key = "server.key"
//! [limits]
//! body = "16MiB"
//! [[function]]
//! what = "registry.example.com/digits:1"
//! concurrency = 8
//! allow-http = ["api.example.com"]
//! ```

#[cfg(test)]
mod documented;
#[cfg(test)]
mod hostile;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use samara_package::manifest::{parse_duration, parse_size};
use samara_server::{Config, FunctionConfig, RepositoryControl, Telemetry, TlsFiles, Token};
use serde::{Deserialize, Deserializer};

use crate::args::{GrantArgs, LogFormat, PlaceArgs, Repository, ServeArgs, parse_delay};
use crate::error::Usage;

/// Where a server listens that is not told where.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// A whole server as flags and file ask for it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) fixed: Fixed,
}

/// What holds from the start of a server to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fixed {
    /// Where it answers everything, and then where it answers gRPC too.
    pub(super) listen: Vec<String>,
    pub(super) instances: u32,
    pub(super) threads: Option<usize>,
    pub(super) log_format: LogFormat,
}

impl Fixed {
    /// The keys that would have other values by a newer plan.
    pub(super) fn changed(&self, newer: &Self) -> Vec<&'static str> {
        let keys = [
            ("listen", self.listen != newer.listen),
            ("instances", self.instances != newer.instances),
            ("threads", self.threads != newer.threads),
            ("log-format", self.log_format != newer.log_format),
        ];
        keys.into_iter().filter_map(|(key, is_other)| is_other.then_some(key)).collect()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    listen: Vec<String>,
    grpc_listen: Vec<String>,
    token_file: Option<PathBuf>,
    cors: Vec<String>,
    repository: Option<Repository>,
    instances: Option<u32>,
    threads: Option<usize>,
    log_format: Option<LogFormat>,
    tls: Option<Tls>,
    limits: Limits,
    telemetry: TelemetryFile,
    drain: DrainFile,
    function: Vec<FunctionFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Tls {
    certificates: PathBuf,
    key: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Limits {
    concurrency: Option<NonZeroUsize>,
    function_concurrency: Option<NonZeroUsize>,
    function_queue: Option<usize>,
    connections: Option<NonZeroUsize>,
    #[serde(deserialize_with = "size")]
    body: Option<u64>,
    #[serde(deserialize_with = "size")]
    bodies: Option<u64>,
    #[serde(deserialize_with = "size")]
    headers: Option<u64>,
    #[serde(deserialize_with = "duration")]
    header_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    body_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    write_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    deadline: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct TelemetryFile {
    otlp: Option<String>,
    sample: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct DrainFile {
    #[serde(deserialize_with = "delay")]
    delay: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FunctionFile {
    what: String,
    name: Option<String>,
    concurrency: Option<NonZeroUsize>,
    queue: Option<usize>,
    route: Option<String>,
    target: Option<String>,
    backend: Option<String>,
    gpu_memory: Option<String>,
    precision: Option<String>,
    #[serde(default)]
    allow_http: Vec<String>,
    #[serde(default)]
    allow_dir: Vec<String>,
    #[serde(default)]
    allow_env: Vec<String>,
    #[serde(default)]
    allow_all_requested: bool,
}

/// Reads the file, where one is named, and puts the flags before it.
///
/// # Errors
/// Everything that is wrong with the file or the flags.
pub(super) fn plan(args: &ServeArgs) -> Result<Plan> {
    let (file, folder) = match &args.config {
        Some(path) => (read(path)?, path.parent().unwrap_or(Path::new("")).to_owned()),
        None => (File::default(), PathBuf::new()),
    };
    let mut functions: Vec<FunctionConfig> =
        file.function.iter().map(|function| function.as_config(&folder)).collect();
    functions.extend(args.what.iter().map(|what| named(what)));
    if functions.is_empty() {
        let usage = "there is nothing to serve\nhint: name a folder, an image or a model, e.g. `samara serve digits:1`";
        return Err(Usage(usage.to_owned()).into());
    }
    set_routes(&mut functions, args)?;
    let inside = |path: &PathBuf| folder.join(path);
    let tls = match (&args.security.tls_cert, &args.security.tls_key, &file.tls) {
        (Some(certificates), Some(key), _) => {
            Some(TlsFiles { certificates: certificates.clone(), key: key.clone() })
        }
        (_, _, Some(tls)) => {
            Some(TlsFiles { certificates: inside(&tls.certificates), key: inside(&tls.key) })
        }
        _ => None,
    };
    let token_file = args.security.token_file.clone().or(file.token_file.as_ref().map(inside));
    let cors = [args.security.cors.as_slice(), &file.cors].concat();
    let repository = args.security.repository.or(file.repository);
    let config = Config {
        functions,
        limits: limits(args, &file.limits),
        tls,
        tokens: token_file.as_deref().map(tokens).transpose()?.unwrap_or_default(),
        cors,
        repository: repository.map_or(RepositoryControl::Configured, RepositoryControl::from),
        telemetry: telemetry(args, &file.telemetry)?,
        drain: drain(args, &file.drain),
    };
    let listen = match (args.listen.is_empty(), file.listen.is_empty()) {
        (false, _) => args.listen.clone(),
        (true, false) => file.listen.clone(),
        (true, true) => vec![DEFAULT_LISTEN.to_owned()],
    };
    let grpc_listen = if args.grpc_listen.is_empty() { &file.grpc_listen } else { &args.grpc_listen };
    let fixed = Fixed {
        listen: [listen.as_slice(), grpc_listen].concat(),
        instances: args.load.instances.or(file.instances).unwrap_or(1024).max(1),
        threads: args.load.threads.or(file.threads),
        log_format: args.telemetry.log_format.or(file.log_format).unwrap_or_default(),
    };
    Ok(Plan { config, fixed })
}

/// Where the models of a function run: by its own settings, else by the flags.
///
/// # Errors
/// When the file names no known target or precision, or no size of memory.
pub(super) fn place(flags: &PlaceArgs, function: &FunctionConfig) -> Result<PlaceArgs> {
    let target = match option(function, TARGET) {
        Some(target) => Some(target.parse()?),
        None => flags.target,
    };
    let gpu_memory = match option(function, GPU_MEMORY) {
        Some(size) => Some(parse_size(size).map_err(|form| anyhow!("`{GPU_MEMORY} = \"{size}\"`: {form}"))?),
        None => flags.gpu_memory,
    };
    let precision = match option(function, PRECISION) {
        Some(precision) => Some(precision.parse()?),
        None => flags.precision,
    };
    let backend = option(function, BACKEND).cloned().or_else(|| flags.backend.clone());
    Ok(PlaceArgs { target, backend, gpu_memory, precision })
}

/// What a function may reach: by the flags, and by its own settings.
///
/// # Errors
/// When a directory or variable of the file is not written as one.
pub(super) fn grants(flags: &GrantArgs, function: &FunctionConfig) -> Result<GrantArgs> {
    let all = |key| function.options.get(key).into_iter().flatten();
    let mut grants = flags.clone();
    grants.http.extend(all(HTTP).cloned());
    for directory in all(DIRECTORY) {
        grants
            .directories
            .push(crate::args::parse_directory(directory).map_err(|form| anyhow!("`{directory}`: {form}"))?);
    }
    for variable in all(ENVIRONMENT) {
        grants
            .environment
            .push(crate::args::parse_variable(variable).map_err(|form| anyhow!("`{variable}`: {form}"))?);
    }
    grants.all_requested |= function.options.contains_key(ALL_REQUESTED);
    Ok(grants)
}

/// The keys under which a function's own settings travel through the server.
const TARGET: &str = "target";
const BACKEND: &str = "backend";
const GPU_MEMORY: &str = "gpu-memory";
const PRECISION: &str = "precision";
const HTTP: &str = "allow-http";
const DIRECTORY: &str = "allow-dir";
const ENVIRONMENT: &str = "allow-env";
const ALL_REQUESTED: &str = "allow-all-requested";

fn option<'f>(function: &'f FunctionConfig, key: &str) -> Option<&'f String> {
    function.options.get(key)?.first()
}

impl FunctionFile {
    fn as_config(&self, folder: &Path) -> FunctionConfig {
        let beside = folder.join(&self.what);
        // Files are found beside the configuration, images by their name.
        let what = if beside.exists() { beside.display().to_string() } else { self.what.clone() };
        let one = |value: &Option<String>| value.iter().cloned().collect::<Vec<_>>();
        let flag = if self.allow_all_requested { vec![String::new()] } else { Vec::new() };
        let options = [
            (TARGET, one(&self.target)),
            (BACKEND, one(&self.backend)),
            (GPU_MEMORY, one(&self.gpu_memory)),
            (PRECISION, one(&self.precision)),
            (HTTP, self.allow_http.clone()),
            (DIRECTORY, self.allow_dir.clone()),
            (ENVIRONMENT, self.allow_env.clone()),
            (ALL_REQUESTED, flag),
        ];
        FunctionConfig {
            what,
            name: self.name.clone(),
            concurrency: self.concurrency.map(NonZeroUsize::get),
            queue: self.queue,
            route: self.route.clone(),
            options: options
                .into_iter()
                .filter(|(_, values)| !values.is_empty())
                .map(|(key, values)| (key.to_owned(), values))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

impl From<Repository> for RepositoryControl {
    fn from(repository: Repository) -> Self {
        match repository {
            Repository::ReadOnly => RepositoryControl::ReadOnly,
            Repository::Configured => RepositoryControl::Configured,
            Repository::Any => RepositoryControl::Any,
        }
    }
}

fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    toml::from_str(&text).map_err(|error| anyhow!("`{}`: {}", path.display(), error.to_string().trim_end()))
}

/// `NAME=WHAT`, or `WHAT` alone. A path may hold `=` behind its first `/`.
fn named(text: &str) -> FunctionConfig {
    match text.split_once('=') {
        Some((name, what)) if !name.is_empty() && !name.contains(['/', '.', ':']) && !what.is_empty() => {
            FunctionConfig { name: Some(name.to_owned()), ..FunctionConfig::new(what) }
        }
        _ => FunctionConfig::new(text),
    }
}

/// Routes are given by name, so they need functions that are named.
fn set_routes(functions: &mut [FunctionConfig], args: &ServeArgs) -> Result<()> {
    for (name, route) in &args.routes {
        let only = functions.len() == 1;
        let function = functions
            .iter_mut()
            .find(|function| function.name.as_ref() == Some(name) || (only && function.name.is_none()));
        let Some(function) = function else {
            let usage = format!(
                "`--route {name}={route}`: no function is named `{name}` here\nhint: name it: `samara serve {name}=WHAT --route {name}={route}`"
            );
            return Err(Usage(usage).into());
        };
        function.route = Some(route.clone());
    }
    Ok(())
}

fn tokens(path: &Path) -> Result<Vec<Token>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the tokens in `{}`", path.display()))?;
    let tokens: Vec<Token> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Token::new).collect();
    if tokens.is_empty() {
        bail!("`{}` holds no token: write one in a line", path.display());
    }
    Ok(tokens)
}

fn limits(args: &ServeArgs, file: &Limits) -> samara_server::ServeLimits {
    let default = samara_server::ServeLimits::default();
    let some = |asked: Option<NonZeroUsize>, default| asked.map_or(default, NonZeroUsize::get);
    samara_server::ServeLimits {
        concurrency: some(file.concurrency, default.concurrency),
        function_concurrency: some(
            args.load.concurrency.or(file.function_concurrency),
            default.function_concurrency,
        ),
        function_queue: args.load.queue.or(file.function_queue).unwrap_or(default.function_queue),
        connections: some(file.connections, default.connections),
        body: args.load.max_body.or(file.body).unwrap_or(default.body),
        bodies: file.bodies.unwrap_or(default.bodies),
        headers: file.headers.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(default.headers),
        header_timeout: file.header_timeout.unwrap_or(default.header_timeout),
        body_timeout: file.body_timeout.unwrap_or(default.body_timeout),
        write_timeout: file.write_timeout.unwrap_or(default.write_timeout),
        deadline: file.deadline.unwrap_or(default.deadline),
    }
}

fn telemetry(args: &ServeArgs, file: &TelemetryFile) -> Result<Telemetry> {
    let sample = args.telemetry.trace_sample.or(file.sample).unwrap_or(1.0);
    if !(0.0..=1.0).contains(&sample) {
        return Err(
            Usage(format!("a share of {sample} of the requests cannot be traced; write 0 to 1")).into()
        );
    }
    Ok(Telemetry {
        otlp: args.telemetry.otlp.clone().or_else(|| file.otlp.clone()),
        sample,
        ..Telemetry::default()
    })
}

fn drain(args: &ServeArgs, file: &DrainFile) -> samara_server::Drain {
    let default = samara_server::Drain::default();
    samara_server::Drain {
        delay: args.load.drain_delay.or(file.delay).unwrap_or(Duration::from_millis(500)),
        timeout: args.load.drain_timeout.or(file.timeout).unwrap_or(default.timeout),
    }
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text).map(Some).map_err(serde::de::Error::custom)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

fn delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_delay(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_what_it_names() {
        assert_eq!(named("a=b:1").name.as_deref(), Some("a"));
        assert_eq!(named("a=b:1").what, "b:1");
        for plain in ["digits:1", "./a=b.onnx", "host/x=y", "=b", "a="] {
            assert_eq!((named(plain).name, named(plain).what.as_str()), (None, plain));
        }
    }

    #[test]
    fn what_only_a_start_takes_over_is_named() {
        let fixed = Fixed {
            listen: vec![DEFAULT_LISTEN.to_owned()],
            instances: 8,
            threads: None,
            log_format: LogFormat::default(),
        };
        assert!(fixed.changed(&fixed.clone()).is_empty());
        let newer = Fixed { threads: Some(2), listen: Vec::new(), ..fixed.clone() };
        assert_eq!(fixed.changed(&newer), ["listen", "threads"]);
    }

    #[test]
    fn a_file_is_read_whole_and_wrong_keys_are_named() {
        let file: File = toml::from_str(
            "listen = [\"[::1]:0\"]\n[limits]\nbody = \"1MiB\"\nheader-timeout = \"2s\"\n\
             [[function]]\nwhat = \"f:1\"\nallow-http = [\"a\"]\nallow-all-requested = true\n",
        )
        .unwrap();
        assert_eq!(file.limits.body, Some(1 << 20));
        assert_eq!(file.limits.header_timeout, Some(Duration::from_secs(2)));
        let function = file.function[0].as_config(Path::new("/nowhere"));
        let grants = grants(&GrantArgs::default(), &function).unwrap();
        assert!(grants.all_requested);
        assert_eq!(grants.http, ["a"]);
        let error = toml::from_str::<File>("[limits]\nbdy = \"1MiB\"").unwrap_err().to_string();
        assert!(error.contains("bdy") && error.contains("body"), "{error}");
    }
}
