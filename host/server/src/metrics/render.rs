//! `/metrics`: everything that is known, in Prometheus's text format 0.0.4.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily};

use super::families::{self as family, Family};
use super::function::FunctionMeters;
use super::meter::{COARSE, Distribution, row_bounds, seconds, time_bounds};
use super::process::Process;
use super::{COMPILES, MODELS, Metrics, PROTOCOLS};
use samara_nn::{Pool, Probe, ResidentSummary, Target};

use crate::app::Server;
use crate::body::Body;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Served;

/// The format, see <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Tells all metrics as they are now. What the operating system is asked may
/// take a millisecond: a thread for that asks it.
///
/// # Errors
/// [`Error::Internal`], which would be a mistake here.
pub(crate) async fn render(server: &Arc<Server>) -> Result<Response<Body>> {
    let server = Arc::clone(server);
    let text = tokio::task::spawn_blocking(move || Page::of(&server).text()).await;
    let text =
        text.map_err(|error| Error::Internal(format!("the metrics cannot be gathered: {error}")))??;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, FORMAT);
    Ok(response)
}

/// The metrics of one moment.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// By name.
    series: BTreeMap<&'static str, (&'static Family, Vec<Metric>)>,
}

impl Page {
    fn of(server: &Server) -> Self {
        let mut page = Self::default();
        let table = server.functions.table();
        for served in table.ready().flat_map(|(_, entry)| &entry.versions) {
            page.served(served);
        }
        page.server(server);
        page.metrics(&server.metrics);
        page.process();
        page
    }

    /// The text, one family after the other.
    pub(super) fn text(self) -> Result<String> {
        let told = |(family, metrics): (&Family, Vec<Metric>)| {
            let mut told = MetricFamily::default();
            told.set_name(family.name.to_owned());
            told.set_help(family.help.to_owned());
            told.set_field_type(family.kind);
            told.set_metric(metrics);
            told
        };
        let mut series = self.series;
        let in_order = family::ALL.iter().filter_map(|family| series.remove(family.name));
        let families: Vec<MetricFamily> = in_order.map(told).collect();
        TextEncoder::new()
            .encode_to_string(&families)
            .map_err(|error| Error::Internal(format!("the metrics cannot be written: {error}")))
    }

    fn served(&mut self, served: &Served) {
        let names = [served.name.as_str(), served.version.as_str()];
        self.gauge(&family::IN_FLIGHT, &names, count(served.gate.running()));
        self.gauge(&family::QUEUED, &names, count(served.gate.waiting()));
        let (kind, digest) = (served.function.kind().name(), served.digest.as_deref().unwrap_or_default());
        self.gauge(&family::READY, &[names[0], names[1], kind, digest], 1.0);
        self.counter(&family::INSTANTIATIONS, &names, served.function.instances_created());
        self.function(names, &served.meters);
    }

    pub(super) fn function(&mut self, [name, version]: [&str; 2], meters: &FunctionMeters) {
        let names = [name, version];
        for (at, protocol) in PROTOCOLS.iter().enumerate() {
            let answered = meters.shards.sum(|shard| &shard.answered[at]);
            let failed = meters.shards.sum(|shard| &shard.failed[at]);
            self.counter(&family::REQUESTS, &[name, version, protocol.name(), "ok"], answered);
            self.counter(&family::REQUESTS, &[name, version, protocol.name(), "error"], failed);
        }
        for kind in ErrorKind::all() {
            let errors = meters.shards.sum(|shard| shard.errors.of(kind));
            self.some(&family::REQUEST_ERRORS, &[name, version, kind.name()], errors);
        }
        for (compile, starts) in COMPILES.iter().zip(&meters.cold_starts) {
            for (models, starts) in MODELS.iter().zip(starts) {
                self.some(&family::COLD_STARTS, &[name, version, compile, models], starts.get());
            }
        }
        let shards = &meters.shards;
        self.times(&family::REQUEST_TIME, &names, &shards.distribution(|shard| &shard.total).coarse());
        self.times(&family::ADMISSION_TIME, &names, &shards.distribution(|shard| &shard.admission));
        self.some_times(&family::INSTANCE_TIME, &names, &shards.distribution(|shard| &shard.instance));
        self.some_times(&family::GUEST_TIME, &names, &shards.distribution(|shard| &shard.guest));
        for model in meters.models.load().iter() {
            let labels = [name, version, &model.model, model.backend];
            let queue = model.shards.distribution(|shard| &shard.queue);
            self.times(&family::MODEL_QUEUE_TIME, &labels, &queue);
            let compute = model.shards.distribution(|shard| &shard.compute);
            self.times(&family::MODEL_COMPUTE_TIME, &labels, &compute);
            let rows = model.shards.distribution(|shard| &shard.rows);
            self.histogram(&family::MODEL_BATCH_ROWS, &labels, &rows, row_bounds(), whole(rows.sum));
        }
    }

    fn server(&mut self, server: &Server) {
        let host = server.functions.host();
        self.gauge(&family::COMPUTE_THREADS, &[], count(host.models().compute_threads()));
        self.gauge(&family::COMPUTE_QUEUED, &[], count(host.models().compute_waiting()));
        self.gauge(&family::INSTANCES, &[], whole(host.instances_in_use()));
        self.gauge(&family::MOST_INSTANCES, &[], f64::from(host.instances()));
        self.gauge(&family::SERVER_READY, &[], f64::from(u8::from(server.is_ready())));
        if let Some(memory) = &server.memory {
            self.gauge(&family::MEMORY_LIMIT, &[], whole(memory.limit()));
            self.gauge(&family::MEMORY_USED, &[], whole(memory.used().unwrap_or_default()));
        }
        self.gauge(&family::BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
        // The same bytes may be loaded with different settings: one series.
        let mut models: BTreeMap<[String; 4], Resident> = BTreeMap::new();
        let mut on_gpu: BTreeSet<&'static str> = BTreeSet::new();
        for model in host.models().resident() {
            if model.target != Target::Cpu {
                on_gpu.insert(model.backend);
            }
            let labels =
                [model.name.clone(), model.backend.into(), model.target.to_string(), model.identity.clone()];
            models.entry(labels).or_default().gather(&model);
        }
        for (labels, model) in &models {
            self.model(&labels.each_ref().map(String::as_str), model);
        }
        self.devices(host.models(), on_gpu);
    }

    /// The devices of backends that run a model on a GPU.
    fn devices(&mut self, models: &Pool, backends: BTreeSet<&'static str>) {
        for backend in backends {
            // Probed when the model was loaded: the answer is at hand.
            let Ok(Probe::Available { devices, .. }) =
                models.backends().named(backend).map(|known| known.probe())
            else {
                continue;
            };
            for device in devices.iter().filter(|device| device.target != Target::Cpu) {
                let target = device.target.to_string();
                self.gauge(&family::DEVICE, &[backend, &target, &device.description], 1.0);
            }
        }
    }

    fn model(&mut self, labels: &[&str; 4], model: &Resident) {
        let and = |last: &'static str| [labels[0], labels[1], labels[2], labels[3], last];
        self.gauge(&family::MODEL_MEMORY, &and("host"), whole(model.host));
        self.gauge(&family::MODEL_MEMORY, &and("device"), whole(model.device));
        self.gauge(&family::MODEL_USERS, labels, count(model.users));
        self.gauge(&family::MODEL_ELSEWHERE, labels, count(model.elsewhere));
        for (kernel, (launches, total)) in &model.kernels {
            let labels = [labels[0], labels[1], labels[2], labels[3], kernel.as_str()];
            let seconds = total.as_secs_f64();
            self.add(&family::KERNEL_TIME, &labels, |metric| metric.set_counter(counter_of(seconds)));
            self.counter(&family::KERNEL_LAUNCHES, &labels, *launches);
        }
        self.gauge(&family::MODEL_QUEUED, labels, count(model.waiting));
        self.gauge(&family::MODEL_RUNNING, labels, count(model.running));
        self.gauge(&family::MODEL_SESSIONS, labels, count(model.sessions));
        self.counter(&family::MODEL_RUNS, &and("thread"), model.runs);
        self.counter(&family::MODEL_RUNS, &and("inline"), model.inline_runs);
        self.counter(&family::MODEL_CALLS, labels, model.calls + model.inline_runs);
        self.counter(&family::MODEL_ROWS, labels, model.rows);
    }

    pub(super) fn metrics(&mut self, metrics: &Metrics) {
        for protocol in PROTOCOLS {
            for kind in ErrorKind::all() {
                self.some(&family::ERRORS, &[protocol.name(), kind.name()], metrics.told_of(protocol, kind));
            }
        }
        for (compile, starts) in COMPILES.iter().zip(&metrics.cold_starts) {
            for (models, starts) in MODELS.iter().zip(starts) {
                let all = Distribution::of(starts);
                self.some_times(&family::COLD_START_TIME, &[compile, models], &all);
            }
        }
        let loads = metrics.model_loads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (backend, times) in loads.iter() {
            self.times(&family::MODEL_LOAD_TIME, &[backend], &Distribution::of(times));
        }
        let connections = &metrics.connections;
        self.gauge(&family::CONNECTIONS, &[], whole(connections.open()));
        self.counter(&family::CONNECTIONS_ACCEPTED, &[], connections.accepted.get());
        self.counter(&family::CONNECTIONS_REJECTED, &[], connections.rejected.get());
    }

    fn process(&mut self) {
        let Some(process) = Process::now() else { return };
        self.gauge(&family::PROCESS_MEMORY, &[], process.resident_bytes);
        self.add(&family::PROCESS_CPU, &[], |metric| {
            metric.set_counter(counter_of(process.cpu_seconds));
        });
        self.gauge(&family::PROCESS_THREADS, &[], process.threads);
        self.gauge(&family::PROCESS_START, &[], process.start_seconds);
        self.gauge(&family::PROCESS_FILES, &[], process.open_files);
        self.gauge(&family::PROCESS_MOST_FILES, &[], process.most_files);
    }

    fn counter(&mut self, family: &'static Family, labels: &[&str], value: u64) {
        self.add(family, labels, |metric| metric.set_counter(counter_of(whole(value))));
    }

    /// A counter of many series, of which most stay at zero and are left out.
    fn some(&mut self, family: &'static Family, labels: &[&str], value: u64) {
        if value > 0 {
            self.counter(family, labels, value);
        }
    }

    fn gauge(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        self.add(family, labels, |metric| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        });
    }

    /// A time that not every function has.
    fn some_times(&mut self, family: &'static Family, labels: &[&str], all: &Distribution<COARSE>) {
        if all.count() > 0 {
            self.times(family, labels, all);
        }
    }

    fn times(&mut self, family: &'static Family, labels: &[&str], all: &Distribution<COARSE>) {
        self.histogram(family, labels, all, time_bounds(), seconds(all.sum));
    }

    fn histogram<const N: usize>(
        &mut self,
        family: &'static Family,
        labels: &[&str],
        all: &Distribution<N>,
        bounds: impl Iterator<Item = f64>,
        sum: f64,
    ) {
        let mut below = 0;
        let bucket = |(bound, inside): (f64, &u64)| {
            below += inside;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(below);
            bucket
        };
        let buckets = bounds.zip(&all.buckets).map(bucket).collect();
        self.add(family, labels, |metric| {
            let mut histogram = Histogram::default();
            histogram.set_bucket(buckets);
            histogram.set_sample_count(all.count());
            histogram.set_sample_sum(sum);
            metric.set_histogram(histogram);
        });
    }

    fn add(&mut self, family: &'static Family, values: &[&str], set: impl FnOnce(&mut Metric)) {
        debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut metric = Metric::from_label(family.labels.iter().zip(values).map(pair).collect());
        set(&mut metric);
        self.series.entry(family.name).or_insert_with(|| (family, Vec::new())).1.push(metric);
    }
}

/// What is told of a loaded model.
#[derive(Debug, Default)]
struct Resident {
    host: u64,
    device: u64,
    users: usize,
    waiting: usize,
    running: usize,
    sessions: usize,
    runs: u64,
    inline_runs: u64,
    calls: u64,
    rows: u64,
    elsewhere: usize,
    /// Launches and time by kernel.
    kernels: BTreeMap<String, (u64, Duration)>,
}

impl Resident {
    fn gather(&mut self, model: &ResidentSummary) {
        let load = model.load;
        self.host += model.footprint.host;
        self.device += model.footprint.device;
        self.users += model.users;
        self.waiting += load.waiting;
        self.running += load.running;
        self.sessions += load.sessions;
        self.runs += load.runs;
        self.inline_runs += load.inline_runs;
        self.calls += load.calls;
        self.rows += load.rows;
        self.elsewhere += model.elsewhere;
        for time in &model.kernels {
            let kernel = self.kernels.entry(time.kernel.clone()).or_default();
            kernel.0 += time.launches;
            kernel.1 += time.total;
        }
    }
}

fn counter_of(value: f64) -> Counter {
    let mut counter = Counter::default();
    counter.set_value(value);
    counter
}

fn count(number: usize) -> f64 {
    whole(number as u64)
}

#[expect(clippy::cast_precision_loss, reason = "the format has only numbers of this kind")]
fn whole(number: u64) -> f64 {
    number as f64
}
