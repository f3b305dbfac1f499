//! The last minute of each function by seconds, for the page. Requests pay
//! nothing for it: once a second, what the meters have counted is compared with
//! what they had a second ago.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::app::Server;
use crate::body::Body;
use crate::functions::Entry;
use crate::metrics::{Distribution, FINE};
use crate::router;

/// How far back it reaches.
const SECONDS: u64 = 60;
/// The rate is that of so many seconds.
const RATE_SECONDS: u64 = 5;

/// Everything that meters have counted up to a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) times: Distribution<FINE>,
}

/// The last minute of one version.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Seconds>);

#[derive(Debug, Default)]
struct Seconds {
    last: Totals,
    /// The oldest first; seconds without a request have none.
    slots: VecDeque<Second>,
}

#[derive(Debug, Clone)]
struct Second {
    /// Since 1970.
    at: u64,
    seen: Totals,
}

/// Looks at the meters once a second for as long as the server is there.
pub(crate) async fn watch(server: Weak<Server>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Some(server) = server.upgrade() else { return };
        let now_ms = server.metrics.at_ms(Instant::now());
        // Half a second back: what is seen now happened in the second before.
        let second = now_ms.saturating_sub(500) / 1000;
        for (_, entry) in server.functions.table().ready() {
            entry.versions.iter().for_each(|served| served.meters.look(second));
        }
    }
}

/// `GET /api/live`.
pub(crate) fn live(server: &Server) -> Response<Body> {
    let now_ms = server.metrics.at_ms(Instant::now());
    let table = server.functions.table();
    let functions: BTreeMap<&str, Value> =
        table.ready().map(|(name, entry)| (name, function(entry, now_ms / 1000))).collect();
    router::json(StatusCode::OK, json!({ "now_ms": now_ms, "functions": functions }).to_string())
}

fn function(entry: &Entry, now: u64) -> Value {
    let mut slots: BTreeMap<u64, Totals> = BTreeMap::new();
    for served in &entry.versions {
        served.meters.history.read(|second| slots.entry(second.at).or_default().gather(&second.seen));
    }
    let mut told = minute(&slots, now);
    let sum = |count: fn(&crate::functions::Gate) -> usize| {
        entry.versions.iter().map(|served| count(&served.gate)).sum::<usize>()
    };
    told["in_flight"] = sum(crate::functions::Gate::running).into();
    told["queued"] = sum(crate::functions::Gate::waiting).into();
    told
}

/// What is told of a minute that ends with the second before `now`.
fn minute(slots: &BTreeMap<u64, Totals>, now: u64) -> Value {
    let first = now.saturating_sub(SECONDS);
    let mut all = Totals::default();
    slots.range(first..now).for_each(|(_, seen)| all.gather(seen));
    let recent: u64 = slots.range(now.saturating_sub(RATE_SECONDS)..now).map(|(_, seen)| seen.requests).sum();
    let nothing = Totals::default();
    let second = |at: u64| {
        let seen = slots.get(&at).unwrap_or(&nothing);
        json!({
            "t": at,
            "requests": seen.requests,
            "errors": seen.errors,
            "p50": milliseconds(&seen.times, 0.5),
            "p99": milliseconds(&seen.times, 0.99),
        })
    };
    #[expect(clippy::cast_precision_loss, reason = "requests of a few seconds")]
    let per_second = recent as f64 / RATE_SECONDS as f64;
    json!({
        "requests": all.requests,
        "errors": all.errors,
        "per_second": per_second,
        "latency_ms": {
            "p50": milliseconds(&all.times, 0.5),
            "p95": milliseconds(&all.times, 0.95),
            "p99": milliseconds(&all.times, 0.99),
        },
        "history": (first..now).map(second).collect::<Vec<_>>(),
    })
}

/// A quantile in milliseconds, to the microsecond; null where there is none.
fn milliseconds(times: &Distribution<FINE>, share: f64) -> Option<f64> {
    times.quantile(share).map(|seconds| (seconds * 1e6).round() / 1e3)
}

impl Totals {
    fn gather(&mut self, more: &Self) {
        self.requests += more.requests;
        self.errors += more.errors;
        self.times.merge(&more.times);
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            times: self.times.since(&earlier.times),
        }
    }
}

impl History {
    /// Takes down what came since the last look as the work of one second.
    pub(crate) fn look(&self, second: u64, now: Totals) {
        let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = now.since(&history.last);
        history.last = now;
        while history.slots.front().is_some_and(|oldest| oldest.at + SECONDS < second) {
            history.slots.pop_front();
        }
        if seen.requests == 0 {
            return;
        }
        match history.slots.back_mut().filter(|newest| newest.at >= second) {
            Some(newest) => newest.seen.gather(&seen),
            None => history.slots.push_back(Second { at: second, seen }),
        }
    }

    fn read(&self, each: impl FnMut(&Second)) {
        let history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        history.slots.iter().for_each(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Protocol;
    use crate::error::ErrorKind;
    use crate::metrics::{Ended, FunctionMeters};

    const NOW: u64 = 1_000_000;

    fn ended(milliseconds: u64) -> Ended {
        let total = Duration::from_millis(milliseconds);
        Ended { protocol: Protocol::Rest, total, admission: Some(Duration::ZERO), at_ms: 0, rows: 1 }
    }

    fn told(meters: &FunctionMeters, now: u64) -> Value {
        let mut slots = BTreeMap::new();
        meters.history.read(|second| {
            slots.insert(second.at, second.seen.clone());
        });
        minute(&slots, now)
    }

    #[test]
    fn each_second_holds_what_came_in_it() {
        let meters = FunctionMeters::default();
        (0..10).for_each(|_| meters.answered(ended(4), &samara_engine::CallReport::default()));
        meters.look(NOW - 3);
        meters.answered(ended(80), &samara_engine::CallReport::default());
        meters.failed(ended(80), ErrorKind::Timeout);
        meters.look(NOW - 1);
        let told = told(&meters, NOW);
        assert_eq!((told["requests"].as_u64(), told["errors"].as_u64()), (Some(12), Some(1)));
        assert_eq!(told["per_second"].as_f64(), Some(12.0 / 5.0));
        let history = told["history"].as_array().unwrap();
        assert_eq!(history.len(), 60);
        assert_eq!(history[57]["t"], NOW - 3);
        assert_eq!((&history[57]["requests"], &history[58]["requests"]), (&json!(10), &json!(0)));
        assert!(history[58]["p50"].is_null());
        let (early, late) = (history[57]["p50"].as_f64().unwrap(), history[59]["p50"].as_f64().unwrap());
        assert!((3.0..5.2).contains(&early) && (70.0..90.0).contains(&late), "{early} {late}");
        assert!((3.0..5.2).contains(&told["latency_ms"]["p50"].as_f64().unwrap()));
        assert!(told["latency_ms"]["p99"].as_f64().unwrap() > 70.0);
    }

    #[test]
    fn a_minute_later_nothing_is_left() {
        let meters = FunctionMeters::default();
        for second in NOW..NOW + 1000 {
            meters.answered(ended(1), &samara_engine::CallReport::default());
            meters.look(second);
        }
        assert_eq!(told(&meters, NOW + 1000)["requests"], 60);
        meters.look(NOW + 2000);
        let mut kept = 0;
        meters.history.read(|_| kept += 1);
        assert_eq!(kept, 0);
    }

    #[test]
    fn looks_within_one_second_are_added_up() {
        let meters = FunctionMeters::default();
        for _ in 0..3 {
            meters.answered(ended(1), &samara_engine::CallReport::default());
            meters.look(NOW - 1);
        }
        assert_eq!(told(&meters, NOW)["history"][59]["requests"], 3);
    }
}
