//! What a bench found: the table for people, and the JSON for programs, whose
//! names and units are kept.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::drive::{Extent, Step};
use super::tally::{Split, Tally};

/// The version of the JSON's form.
const FORMAT: u32 = 1;

/// All that a bench found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    format: u32,
    pub target: TargetReport,
    pub request: RequestReport,
    pub steps: Vec<StepReport>,
    pub conditions: Vec<ConditionReport>,
    /// No condition holds for any step, and every step has an answer.
    pub passed: bool,
}

/// What was driven.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TargetReport {
    /// `local`, `rest` or `grpc`.
    pub kind: &'static str,
    /// What the user named, or the server's URL.
    pub what: String,
    pub function: String,
    /// `None` where it is unknown or up to the server.
    pub version: Option<String>,
}

/// What was sent.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RequestReport {
    /// `input`, `request`, `test` or `generated`.
    pub source: &'static str,
    /// `tensors` in this process, `json` or `binary` over REST, `raw` over gRPC.
    pub encoding: &'static str,
    pub rows: usize,
    /// Of the body, or of the tensors where there is none.
    pub bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct StepReport {
    /// `closed` or `open`.
    #[serde(rename = "loop")]
    pub kind: &'static str,
    pub connections: usize,
    /// Requests per second that were asked for; open loop only.
    pub rate: Option<f64>,
    /// From the start of the measurement to the last answer.
    pub seconds: f64,
    /// Right answers.
    pub answers: u64,
    pub errors: Errors,
    pub throughput: Throughput,
    /// Of right answers; `None` where there is none.
    pub latency_ms: Option<Latency>,
    pub bytes: Traffic,
    /// Open loop only.
    pub schedule: Option<Punctuality>,
    /// The mean of a call in this process.
    pub split_ms: Option<SplitMs>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Errors {
    pub total: u64,
    pub by_kind: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Throughput {
    pub answers_per_s: f64,
    pub rows_per_s: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Latency {
    pub mean: f64,
    pub min: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// Bytes of bodies.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Traffic {
    pub sent: u64,
    pub received: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Punctuality {
    /// Requests that started more than 1 ms after they were due.
    pub late: u64,
    /// Requests that were never sent.
    pub dropped: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct SplitMs {
    pub queue: f64,
    pub compute: f64,
    pub guest: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct ConditionReport {
    pub condition: String,
    /// The indices of the steps for which it holds.
    pub holds_for: Vec<usize>,
}

impl Report {
    pub(super) fn new(
        target: TargetReport,
        request: RequestReport,
        steps: Vec<StepReport>,
        conditions: Vec<ConditionReport>,
    ) -> Self {
        let passed = conditions.iter().all(|condition| condition.holds_for.is_empty())
            && steps.iter().all(|step| step.answers > 0);
        Self { format: FORMAT, target, request, steps, conditions, passed }
    }
}

impl StepReport {
    pub(super) fn new(step: &Step, tally: &Tally, rows: usize) -> Self {
        let throughput = Throughput {
            answers_per_s: rounded(tally.throughput),
            rows_per_s: rounded(tally.throughput * rows as f64),
        };
        let by_kind: BTreeMap<String, u64> =
            tally.errors.iter().map(|(kind, count)| (kind.to_string(), *count)).collect();
        let is_open = step.rate.is_some();
        Self {
            kind: if is_open { "open" } else { "closed" },
            connections: step.connections,
            rate: step.rate,
            seconds: rounded(tally.measured.as_secs_f64()),
            answers: tally.answers(),
            errors: Errors { total: tally.failures(), by_kind },
            throughput,
            latency_ms: Latency::new(tally),
            bytes: Traffic { sent: tally.sent, received: tally.received },
            schedule: is_open.then_some(Punctuality { late: tally.late, dropped: tally.dropped }),
            split_ms: tally.split.as_ref().map(|split| SplitMs::new(split, tally.answers())),
        }
    }
}

impl Latency {
    fn new(tally: &Tally) -> Option<Self> {
        let latency = &tally.latency;
        if latency.is_empty() {
            return None;
        }
        let quantile = |quantile: f64| milliseconds(latency.value_at_quantile(quantile) as f64);
        Some(Self {
            mean: milliseconds(latency.mean()),
            min: milliseconds(latency.min() as f64),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            max: milliseconds(latency.max() as f64),
        })
    }
}

impl SplitMs {
    fn new(split: &Split, answers: u64) -> Self {
        let mean = |sum: Duration| milliseconds(sum.as_nanos() as f64 / answers.max(1) as f64);
        Self { queue: mean(split.queue), compute: mean(split.compute), guest: mean(split.guest) }
    }
}

/// The words before the table.
pub(super) fn title(target: &TargetReport, request: &RequestReport, extent: Extent) -> String {
    let version = target.version.as_ref().map(|version| format!(" version {version}")).unwrap_or_default();
    let place = match target.kind {
        "local" => "in this process".to_owned(),
        _ => format!("at {}", target.what),
    };
    let rows = if request.rows == 1 { "1 row".to_owned() } else { format!("{} rows", request.rows) };
    let extent = match extent {
        Extent::For(duration) => format!("{duration:?}"),
        Extent::Requests(1) => "1 request".to_owned(),
        Extent::Requests(count) => format!("{count} requests"),
    };
    format!(
        "{}{version} {place}: {rows}, {} bytes as {} per request, {extent} per step; times in ms\n",
        target.function, request.bytes, request.encoding
    )
}

/// The first line of the table.
pub(super) fn header(is_open: bool) -> String {
    let first = if is_open { "    rate/s  connections" } else { "connections" };
    format!(
        "{first} {:>11} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7}\n",
        "answers/s", "rows/s", "mean", "p50", "p90", "p95", "p99", "p99.9", "max", "errors"
    )
}

/// A step's lines of the table.
pub(super) fn row(step: &StepReport) -> String {
    let mut text = step.rate.map(|rate| format!("{rate:>10}  ")).unwrap_or_default();
    let throughput = &step.throughput;
    let _ = write!(
        text,
        "{:>11} {:>11.1} {:>11.1}",
        step.connections, throughput.answers_per_s, throughput.rows_per_s
    );
    let times = step.latency_ms.as_ref().map(|latency| {
        let Latency { mean, p50, p90, p95, p99, p99_9, max, .. } = *latency;
        [mean, p50, p90, p95, p99, p99_9, max]
    });
    for index in 0..7 {
        let time = times.map_or_else(|| "-".to_owned(), |times| format!("{:.3}", times[index]));
        let _ = write!(text, " {time:>9}");
    }
    let _ = writeln!(text, " {:>7}", step.errors.total);
    for (kind, count) in &step.errors.by_kind {
        let _ = writeln!(text, "{:>11} {count} x {kind}", "errors:");
    }
    if let Some(Punctuality { late, dropped }) = step.schedule.as_ref().filter(|it| it.late + it.dropped > 0)
    {
        let _ = writeln!(text, "{:>11} {late} requests started late, {dropped} were never sent", "rate:");
    }
    if let Some(SplitMs { queue, compute, guest }) = step.split_ms {
        let _ = writeln!(
            text,
            "{:>11} {queue:.4} in the queue, {compute:.4} in models, {guest:.4} in the function, on average",
            "of it:"
        );
    }
    text
}

/// Milliseconds of nanoseconds, to the tenth of a microsecond.
fn milliseconds(nanoseconds: f64) -> f64 {
    (nanoseconds / 1e2).round() / 1e4
}

/// To three digits behind the point.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::tally::Answer;
    use super::*;

    fn tally() -> Tally {
        let mut tally = Tally::new().unwrap();
        let second = Duration::from_secs(1);
        for latency in 1..=1000 {
            let split = Split { compute: Duration::from_micros(10), ..Split::default() };
            let answer = Answer { result: Ok(()), sent: 1, received: 2, split: Some(split) };
            tally.record(Duration::from_micros(latency), answer, second);
        }
        let refused = Answer { result: Err("status_503".into()), sent: 1, received: 9, split: None };
        tally.record(second, refused, second);
        tally.throughput = 1000.0;
        tally
    }

    #[test]
    fn percentiles_are_those_of_the_answers() {
        let step = Step { connections: 4, rate: None, warm_up: second(), extent: Extent::For(second()) };
        let report = StepReport::new(&step, &tally(), 3);
        let latency = report.latency_ms.as_ref().unwrap();
        let near = |found: f64, expected: f64| (found - expected).abs() <= expected * 1e-3;
        assert!(near(latency.p50, 0.5) && near(latency.p99, 0.99) && near(latency.p99_9, 0.999));
        assert!(near(latency.mean, 0.5005) && near(latency.max, 1.0) && near(latency.min, 0.001));
        assert_eq!((report.answers, report.errors.by_kind["status_503"]), (1000, 1));
        assert_eq!((report.throughput.answers_per_s, report.throughput.rows_per_s), (1000.0, 3000.0));
        assert_eq!(report.split_ms.as_ref().unwrap().compute, 0.01);
        assert!(report.schedule.is_none());
    }

    #[test]
    fn the_table_stands_in_columns() {
        for rate in [None, Some(1000.0)] {
            let step = Step { connections: 4, rate, warm_up: second(), extent: Extent::For(second()) };
            let text = row(&StepReport::new(&step, &tally(), 1));
            let mut lines = text.lines();
            assert_eq!(lines.next().unwrap().len(), header(rate.is_some()).trim_end_matches('\n').len());
            assert_eq!(lines.next().unwrap(), "    errors: 1 x status_503");
        }
        let step = Step { connections: 4, rate: None, warm_up: second(), extent: Extent::Requests(1) };
        let nothing = row(&StepReport::new(&step, &Tally::new().unwrap(), 1));
        assert!(nothing.contains(" - ") && nothing.lines().count() == 1, "{nothing}");
    }

    fn second() -> Duration {
        Duration::from_secs(1)
    }
}
