//! The arguments of `samara bench`.

use std::path::PathBuf;
use std::time::Duration;

use super::{GrantArgs, ModelArg, PlaceArgs, RegistryArgs, parse_model};
use crate::commands::bench::Condition;
use crate::input::InputArg;

const BENCH_HELP: &str = "\
Loops:
  closed   Each connection sends its next request when the last one is answered. `--connections 1,2,4,8`
           is one step after the other.
  open     `--rate R` sends R requests per second, evenly spaced, whatever the answers do. Latency counts
           from the moment at which a request was due, so waiting for a free connection is part of it.

Requests: `--input` (as `samara run --help` says) or `--request`, else the first test of a function that is
driven here, else values made up from the signature with a fixed seed.

Conditions of `--fail-if`, each checked on every step:
  p50, p90, p95, p99, p99.9, mean, min, max   with a time: `p99>5ms`, `mean>=300us`
  errors                                      a count or a share: `errors>0`, `errors>1%`
  throughput                                  answers per second: `throughput<1000`

Exit codes: 0 done, 1 a condition holds, nothing was answered, or it could not be run, 2 wrong usage.";

/// The most connections of one step.
const MOST_CONNECTIONS: i64 = 10_000;
/// The most requests per second of one step.
const MOST_RATE: f64 = 10_000_000.0;
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, clap::Args)]
#[command(after_help = BENCH_HELP)]
pub(crate) struct BenchArgs {
    /// What to drive in this process: folder with `samara.toml`, component or bundle (`.wasm`), model
    /// (`.onnx`), or image [default: .]
    #[arg(conflicts_with = "url")]
    pub what: Option<String>,
    /// Drive a server of the Open Inference Protocol: `http(s)://HOST[:PORT][/v2/models/NAME]`, or over gRPC
    /// `grpc(s)://HOST[:PORT][/NAME[/VERSION]]`
    #[arg(long)]
    pub url: Option<String>,
    /// The function (the protocol's model) [default: the URL's, else the only one of the server]
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// The function's version [default: as the server chooses]
    #[arg(long = "version", value_name = "VERSION")]
    pub function_version: Option<String>,
    /// Read the bearer token from this file
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Over REST, send and ask for tensors as bytes behind the JSON, the binary tensor extension
    #[arg(long)]
    pub binary: bool,

    /// A value for an input
    #[arg(short, long = "input", value_name = "[NAME=]VALUE", help_heading = "Request")]
    pub inputs: Vec<InputArg>,
    /// A request of the Open Inference Protocol, JSON
    #[arg(long, value_name = "FILE", conflicts_with = "inputs", help_heading = "Request")]
    pub request: Option<PathBuf>,
    /// Make up requests with so many rows: the size of a free first axis
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["inputs", "request"], help_heading = "Request")]
    pub rows: Option<u32>,
    /// The response that every answer must equal, JSON
    #[arg(long, value_name = "FILE", help_heading = "Request")]
    pub expect: Option<PathBuf>,
    /// The largest difference between floats that passes [default: 1e-5]
    #[arg(long, value_name = "X", requires = "expect", help_heading = "Request")]
    pub tolerance: Option<f64>,

    /// Connections, or callers in this process; a list for one step each [default: 1, 32 with `--rate`]
    #[arg(short, long, value_name = "N[,N]", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MOST_CONNECTIONS), help_heading = "Load")]
    pub connections: Vec<u32>,
    /// Send at this rate, requests per second, instead of as fast as the answers come; a list for one step
    /// each
    #[arg(long, value_name = "R[,R]", value_delimiter = ',', value_parser = parse_rate, help_heading = "Load")]
    pub rate: Vec<f64>,
    /// How long each step measures
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, help_heading = "Load")]
    pub duration: Duration,
    /// Measure so many requests per step instead
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "duration", help_heading = "Load")]
    pub requests: Option<u64>,
    /// How long each step runs before it measures
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration_or_zero, help_heading = "Load")]
    pub warm_up: Duration,
    /// How long a request may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, help_heading = "Load")]
    pub timeout: Duration,
    /// Fail when this holds, see below
    #[arg(long, value_name = "CONDITION", help_heading = "Load")]
    pub fail_if: Vec<Condition>,

    /// Give a `.wasm` a model under this name, and say where that one runs
    #[arg(long = "model", value_name = "NAME=FILE[,target=..][,backend=..]", value_parser = parse_model)]
    pub models: Vec<ModelArg>,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Reads a time with its unit: `250us`, `500ms`, `10s`, `2m`.
///
/// # Errors
/// What a time looks like, when this is none or longer than a day.
pub(crate) fn parse_duration_or_zero(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 6] =
        [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let form = || format!("`{text}` is no time; write e.g. `250us`, `500ms`, `10s` or `2m`");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(form)?;
    let (number, unit) = text.split_at(digits);
    let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
    let value: f64 = number.parse().map_err(|_| form())?;
    match Duration::try_from_secs_f64(value * seconds.ok_or_else(form)?) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(format!("`{text}` is longer than a day")),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse_duration_or_zero(text)? {
        Duration::ZERO => Err("it must be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= MOST_RATE => Ok(rate),
        _ => Err(format!("a rate is a number of requests per second, more than 0 and at most {MOST_RATE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration_or_zero("0s"), Ok(Duration::ZERO));
        for wrong in ["", "10", "s", "-1s", "1x", "1..2s", "25h", "0s", "1e999s", "99999999999999999999h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_positive_numbers() {
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "NaN", "inf", "1e9", "x"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
