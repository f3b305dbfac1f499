//! The conditions of `--fail-if`: what must not hold, e.g. `p99>5ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::report::{Latency, StepReport};
use crate::args::parse_duration_or_zero;

/// What must not hold for any step.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// As it was written.
    text: String,
    metric: Metric,
    comparison: Comparison,
    /// Milliseconds, a count, a share or a number per second.
    limit: f64,
}

#[derive(Debug, Clone, Copy)]
enum Metric {
    Latency(fn(&Latency) -> f64),
    Errors,
    ErrorShare,
    Throughput,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or_else(|| {
            format!("`{text}` is no condition; write e.g. `p99>5ms`, `errors>0` or `throughput<1000`")
        })?;
        let (name, rest) = text.split_at(at);
        let (comparison, value) = match rest.as_bytes() {
            [b'>', b'=', ..] => (Comparison::AtLeast, &rest[2..]),
            [b'<', b'=', ..] => (Comparison::AtMost, &rest[2..]),
            [b'>', ..] => (Comparison::Above, &rest[1..]),
            _ => (Comparison::Below, &rest[1..]),
        };
        let (metric, limit) = limit(name.trim(), value.trim())?;
        Ok(Self { text: text.to_owned(), metric, comparison, limit })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Condition {
    /// Whether it holds for a step. Where nothing was answered there is no
    /// latency, and a condition on it holds.
    pub(super) fn holds(&self, step: &StepReport) -> bool {
        self.found(step).is_none_or(|found| match self.comparison {
            Comparison::Above => found > self.limit,
            Comparison::AtLeast => found >= self.limit,
            Comparison::Below => found < self.limit,
            Comparison::AtMost => found <= self.limit,
        })
    }

    /// What a step has in place of the condition's limit, for people.
    pub(super) fn found_text(&self, step: &StepReport) -> String {
        match (self.metric, self.found(step)) {
            (_, None) => "nothing was answered".to_owned(),
            (Metric::Latency(_), Some(found)) => format!("it is {found} ms"),
            (Metric::Errors, Some(found)) => format!("there are {found}"),
            (Metric::ErrorShare, Some(found)) => format!("it is {:.3}%", found * 100.0),
            (Metric::Throughput, Some(found)) => format!("it is {found:.1}/s"),
        }
    }

    fn found(&self, step: &StepReport) -> Option<f64> {
        match self.metric {
            Metric::Latency(read) => step.latency_ms.as_ref().map(read),
            Metric::Errors => Some(step.errors.total as f64),
            Metric::ErrorShare => {
                let all = step.answers + step.errors.total;
                Some(step.errors.total as f64 / all.max(1) as f64)
            }
            Metric::Throughput => Some(step.throughput.answers_per_s),
        }
    }
}

fn limit(name: &str, value: &str) -> Result<(Metric, f64), String> {
    let number = |text: &str| match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(format!("`{value}` is no number to compare `{name}` with")),
    };
    let read: fn(&Latency) -> f64 = match name {
        "p50" => |latency| latency.p50,
        "p90" => |latency| latency.p90,
        "p95" => |latency| latency.p95,
        "p99" => |latency| latency.p99,
        "p99.9" => |latency| latency.p99_9,
        "mean" => |latency| latency.mean,
        "min" => |latency| latency.min,
        "max" => |latency| latency.max,
        "errors" => {
            return match value.strip_suffix('%') {
                Some(share) => Ok((Metric::ErrorShare, number(share)? / 100.0)),
                None => Ok((Metric::Errors, number(value)?)),
            };
        }
        "throughput" => return Ok((Metric::Throughput, number(value.trim_end_matches("/s"))?)),
        _ => {
            return Err(format!(
                "`{name}` is not measured; use p50, p90, p95, p99, p99.9, mean, min, max, errors or throughput"
            ));
        }
    };
    let limit: Duration = parse_duration_or_zero(value)?;
    Ok((Metric::Latency(read), limit.as_secs_f64() * 1e3))
}

#[cfg(test)]
mod tests {
    use super::super::drive::{Extent, Step};
    use super::super::tally::{Answer, Tally};
    use super::*;

    /// Nine answers of 1 to 9 ms, and one error.
    fn step() -> StepReport {
        let mut tally = Tally::new().unwrap();
        for latency in 1..=10 {
            let result = if latency == 10 { Err("timeout".into()) } else { Ok(()) };
            let answer = Answer { result, sent: 0, received: 0, split: None };
            tally.record(Duration::from_millis(latency), answer, Duration::from_secs(1));
        }
        tally.throughput = 500.0;
        let step = Step { connections: 1, rate: None, warm_up: Duration::ZERO, extent: Extent::Requests(10) };
        StepReport::new(&step, &tally, 1)
    }

    fn holds(text: &str) -> bool {
        text.parse::<Condition>().unwrap().holds(&step())
    }

    #[test]
    fn conditions_hold_or_not() {
        for text in [
            "p50>4ms",
            "max>8.9ms",
            "max >= 8.9ms",
            "errors>0",
            "errors>=1",
            "errors>9%",
            "throughput<501",
            "min<1.1ms",
            "throughput<=500/s",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in
            ["p50>6ms", "p99>1s", "mean>=6ms", "errors>1", "errors>10%", "throughput<500", "min<500us"]
        {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn without_answers_a_latency_is_no_good() {
        let step_without = StepReport { latency_ms: None, ..step() };
        let condition: Condition = "p99>1h".parse().unwrap();
        assert!(condition.holds(&step_without));
        assert_eq!(condition.found_text(&step_without), "nothing was answered");
    }

    #[test]
    fn other_words_are_no_conditions() {
        let refused = |text: &str| text.parse::<Condition>().unwrap_err();
        assert!(refused("p99").starts_with("`p99` is no condition; write e.g."));
        assert!(refused("p98>1ms").starts_with("`p98` is not measured; use p50"));
        assert!(refused("p99>5").starts_with("`5` is no time; write e.g."));
        assert!(refused("errors>x").starts_with("`x` is no number"));
        assert!(refused("throughput<-1").starts_with("`-1` is no number"));
    }
}
