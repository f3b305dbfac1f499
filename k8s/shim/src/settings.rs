//! The settings of a container: environment variables that begin with `SAMARA_`.
//! A pod sets them, or maps annotations to them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use samara_compose::Place;
use samara_package::manifest::{model_variable, parse_size};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// Before the names of all settings.
const PREFIX: &str = "SAMARA_";
/// Before the name of a model, in capitals, with `_` for what is neither letter
/// nor digit: the file to use instead of the image's.
const MODEL: &str = "MODEL_";

/// What the container's environment says.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where it is served; `None`: port 8080 of all addresses.
    pub(crate) listen: Option<String>,
    pub(crate) place: Place,
    pub(crate) allow_software_gpu: bool,
    /// Files of models, by the second half of their variables.
    pub(crate) models: BTreeMap<String, PathBuf>,
    /// Hosts that the function may ask over HTTP.
    pub(crate) allow_http: Vec<String>,
    /// The name it is served under, instead of its own.
    pub(crate) name: Option<String>,
    /// The path of an HTTP function.
    pub(crate) route: Option<String>,
    pub(crate) concurrency: Option<usize>,
    pub(crate) queue: Option<usize>,
    pub(crate) threads: Option<usize>,
    /// From SIGTERM to taking no more connections.
    pub(crate) drain_delay: Duration,
    /// For requests that run to end.
    pub(crate) drain_timeout: Duration,
    /// A sweep, of which the container runs the point of its index.
    pub(crate) sweep: Option<PathBuf>,
    /// A collector of traces.
    pub(crate) otlp: Option<String>,
    pub(crate) log_levels: Targets,
}

/// A setting that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("`{PREFIX}{name}={value}`: {form}")]
pub(crate) struct WrongSetting {
    name: String,
    value: String,
    form: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: None,
            place: Place::default(),
            allow_software_gpu: false,
            models: BTreeMap::new(),
            allow_http: Vec::new(),
            name: None,
            route: None,
            concurrency: None,
            queue: None,
            threads: None,
            drain_delay: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(20),
            sweep: None,
            otlp: None,
            log_levels: usual_levels(),
        }
    }
}

impl Settings {
    /// Reads the container's environment. Variables of other names are not
    /// looked at.
    ///
    /// # Errors
    /// When one is unknown, or is not written as its meaning asks.
    pub(crate) fn read(environment: &[(String, String)]) -> Result<Self, WrongSetting> {
        let mut settings = Self::default();
        for (name, value) in environment {
            let Some(name) = name.strip_prefix(PREFIX) else { continue };
            if is_of_a_service(name, value) {
                continue;
            }
            settings.set(name, value).map_err(|form| WrongSetting {
                name: name.to_owned(),
                value: value.clone(),
                form,
            })?;
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "LISTEN" => self.listen = Some(value.to_owned()),
            "TARGET" => {
                self.place.target = Some(value.parse().map_err(|error| format!("{error}"))?);
            }
            "BACKEND" => self.place.backend = Some(value.to_owned()),
            "GPU_MEMORY" => self.place.gpu_memory = Some(parse_size(value)?),
            "PRECISION" => {
                self.place.precision = Some(value.parse().map_err(|error| format!("{error}"))?);
            }
            "ALLOW_SOFTWARE_GPU" => self.allow_software_gpu = flag(value)?,
            "ALLOW_HTTP" => self.allow_http = list(value),
            "NAME" => self.name = Some(value.to_owned()),
            "ROUTE" => self.route = Some(value.to_owned()),
            "CONCURRENCY" => self.concurrency = Some(count(value)?),
            "QUEUE" => self.queue = Some(number(value)?),
            "THREADS" => self.threads = Some(count(value)?),
            "DRAIN_DELAY" => self.drain_delay = seconds(value)?,
            "DRAIN_TIMEOUT" => self.drain_timeout = seconds(value)?,
            "SWEEP" => self.sweep = Some(value.into()),
            "OTLP" => self.otlp = Some(value.to_owned()),
            "LOG" => self.log_levels = levels(value)?,
            _ => match name.strip_prefix(MODEL) {
                Some(model) => {
                    self.models.insert(model.to_owned(), value.into());
                }
                None => return Err(unknown()),
            },
        }
        Ok(())
    }

    /// The file that is to be used for a model, if one is named.
    pub(crate) fn model(&self, name: &str) -> Option<&PathBuf> {
        self.models.get(model_variable(name).strip_prefix(PREFIX)?.strip_prefix(MODEL)?)
    }
}

/// Whether Kubernetes set it, for a service whose name begins with `samara`. Those
/// hold addresses and numbers of ports, never the path of a model's file.
fn is_of_a_service(name: &str, value: &str) -> bool {
    let ends = ["SERVICE_HOST", "SERVICE_PORT", "PORT", "_TCP", "_UDP", "_PROTO", "_ADDR"];
    let is_named_so = ends.iter().any(|end| name.ends_with(end)) || name.contains("SERVICE_PORT_");
    is_named_so && !value.starts_with('/')
}

fn unknown() -> String {
    "no setting is called so; there are LISTEN, TARGET, BACKEND, GPU_MEMORY, PRECISION, ALLOW_SOFTWARE_GPU, ALLOW_HTTP, \
     NAME, ROUTE, CONCURRENCY, QUEUE, THREADS, DRAIN_DELAY, DRAIN_TIMEOUT, SWEEP, OTLP, LOG and MODEL_ before the \
     name of a model"
        .to_owned()
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" | "" => Ok(false),
        _ => Err("write `true` or `false`".to_owned()),
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn number(value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| "write a number".to_owned())
}

fn count(value: &str) -> Result<usize, String> {
    number(value).ok().filter(|&count| count > 0).ok_or_else(|| "write a number from 1 up".to_owned())
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds: f64 =
        value.trim_end_matches('s').parse().map_err(|_| "write seconds, e.g. `20`".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "write seconds, e.g. `20`".to_owned())
}

fn levels(value: &str) -> Result<Targets, String> {
    // The library would take a word alone for a target, and log nothing else.
    let is_level = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    let wrong = || "write levels, e.g. `info` or `warn,guest=debug`".to_owned();
    if !value.split(',').all(is_level) {
        return Err(wrong());
    }
    value.parse().map_err(|_| wrong())
}

fn usual_levels() -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("samara", LevelFilter::INFO)
        .with_target("access", LevelFilter::WARN)
        .with_target("guest", LevelFilter::INFO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, WrongSetting> {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::read(&variables)
    }

    #[test]
    fn the_environment_sets() {
        let settings = read(&[
            ("PATH", "/bin"),
            ("SAMARA_TARGET", "gpu-or-cpu"),
            ("SAMARA_MODEL_DIGITS_V2", "/models/d.onnx"),
            ("SAMARA_ALLOW_HTTP", "a.example, b.example:8080"),
            ("SAMARA_DRAIN_TIMEOUT", "1.5s"),
        ])
        .unwrap();
        assert_eq!(settings.place.target, Some(samara_nn::Target::GpuOrCpu));
        assert_eq!(settings.model("digits-v2").unwrap(), &PathBuf::from("/models/d.onnx"));
        assert_eq!(settings.allow_http, ["a.example", "b.example:8080"]);
        assert_eq!(settings.drain_timeout, Duration::from_millis(1500));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_form() {
        let wrong = |name, value| read(&[(name, value)]).unwrap_err().to_string();
        assert_eq!(wrong("SAMARA_THREADS", "0"), "`SAMARA_THREADS=0`: write a number from 1 up");
        assert_eq!(wrong("SAMARA_DRAIN_DELAY", "-1"), "`SAMARA_DRAIN_DELAY=-1`: write seconds, e.g. `20`");
        assert_eq!(
            wrong("SAMARA_LOG", "guest"),
            "`SAMARA_LOG=guest`: write levels, e.g. `info` or `warn,guest=debug`"
        );
        assert!(wrong("SAMARA_TARGT", "gpu").contains("there are LISTEN, TARGET"));
        assert!(wrong("SAMARA_TARGET", "cuda").starts_with("`SAMARA_TARGET=cuda`: "));
    }

    #[test]
    fn variables_of_services_are_no_settings() {
        let of_services = [
            ("SAMARA_SERVICE_HOST", "10.0.0.1"),
            ("SAMARA_SERVICE_PORT", "80"),
            ("SAMARA_SERVICE_PORT_HTTP", "80"),
            ("SAMARA_PORT", "tcp://10.0.0.1:80"),
            ("SAMARA_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("SAMARA_PORT_80_TCP_PROTO", "tcp"),
            ("SAMARA_DIGITS_PORT_80_TCP_PORT", "80"),
        ];
        assert!(read(&of_services).is_ok());
        let settings = read(&[("SAMARA_MODEL_TRANSPORT", "/models/t.onnx")]).unwrap();
        assert!(settings.model("transport").is_some());
    }
}
