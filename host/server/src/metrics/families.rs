//! Every metric there is: name, type, labels and meaning. `docs/observability.md`
//! has the same table; a test compares them.

use prometheus::proto::MetricType;

/// One metric with all its series.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: MetricType,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

const FUNCTION: &[&str] = &["function", "version"];
const MODEL: &[&str] = &["function", "version", "model", "backend"];
const KERNEL: &[&str] = &["model", "backend", "target", "identity", "kernel"];
const RESIDENT: &[&str] = &["model", "backend", "target", "identity"];

macro_rules! families {
    ($($id:ident: $kind:ident $name:literal $labels:expr, $help:literal;)*) => {
        $(pub(crate) const $id: Family =
            Family { name: $name, kind: MetricType::$kind, labels: $labels, help: $help };)*
        /// In the order in which they are told.
        pub(crate) const ALL: &[&Family] = &[$(&$id),*];
    };
}

families! {
    REQUESTS: COUNTER "samara_requests_total" &["function", "version", "protocol", "outcome"],
        "Requests that a function was asked, by whether they were answered.";
    REQUEST_ERRORS: COUNTER "samara_request_errors_total" &["function", "version", "kind"],
        "Requests that a function was asked and that were not answered, by the kind of error.";
    ERRORS: COUNTER "samara_errors_total" &["protocol", "kind"],
        "Errors that clients were told, whatever they were about.";
    REQUEST_TIME: HISTOGRAM "samara_request_seconds" FUNCTION,
        "From the head of a request to its answer, of requests that were not refused for lack of room.";
    ADMISSION_TIME: HISTOGRAM "samara_admission_seconds" FUNCTION,
        "From the head of a request to the start of its call: reading it and waiting for its turn.";
    INSTANCE_TIME: HISTOGRAM "samara_instance_seconds" FUNCTION,
        "Until a call had its sandboxes.";
    GUEST_TIME: HISTOGRAM "samara_guest_seconds" FUNCTION,
        "In the code of guests, without the models that it ran.";
    MODEL_QUEUE_TIME: HISTOGRAM "samara_model_queue_seconds" MODEL,
        "From a run of a model being asked for to its start.";
    MODEL_COMPUTE_TIME: HISTOGRAM "samara_model_compute_seconds" MODEL,
        "In the engine that runs the model; a merged run counts for each of its callers.";
    MODEL_BATCH_ROWS: HISTOGRAM "samara_model_batch_rows" MODEL,
        "Rows in the run that served a call, of all calls that were merged into it.";
    IN_FLIGHT: GAUGE "samara_requests_in_flight" FUNCTION,
        "Requests that a function works on now.";
    QUEUED: GAUGE "samara_requests_queued" FUNCTION,
        "Requests that wait for their turn now.";
    READY: GAUGE "samara_function_info" &["function", "version", "kind", "digest"],
        "1 for each version of a function that answers now.";
    INSTANTIATIONS: COUNTER "samara_instantiations_total" FUNCTION,
        "Sandboxes that a function's calls created; the rest was served by one that was kept.";
    COLD_STARTS: COUNTER "samara_cold_starts_total" &["function", "version", "compile", "models"],
        "Loads of a function, by where its machine code and its models came from.";
    COLD_START_TIME: HISTOGRAM "samara_cold_start_seconds" &["compile", "models"],
        "What loading a function took.";
    MODEL_LOAD_TIME: HISTOGRAM "samara_model_load_seconds" &["backend"],
        "What loading a model took, where it was not there yet.";
    MODEL_MEMORY: GAUGE "samara_model_memory_bytes" &["model", "backend", "target", "identity", "memory"],
        "Memory of a model that is loaded now: its weights, and on a GPU what its runs take.";
    MODEL_ELSEWHERE: GAUGE "samara_model_cpu_nodes" RESIDENT,
        "Parts of a model that run on the CPU though a GPU was asked for.";
    KERNEL_TIME: COUNTER "samara_model_kernel_seconds_total" KERNEL,
        "On a GPU in one kernel of a model since it was loaded; with `--gpu-timings` only.";
    KERNEL_LAUNCHES: COUNTER "samara_model_kernel_launches_total" KERNEL,
        "Launches of one kernel of a model since it was loaded; with `--gpu-timings` only.";
    DEVICE: GAUGE "samara_device_info" &["backend", "target", "device"],
        "1 for each device that a backend found, of backends that run a model on a GPU now.";
    MODEL_USERS: GAUGE "samara_model_users" RESIDENT,
        "Functions and calls that share a loaded model now.";
    MODEL_QUEUED: GAUGE "samara_model_queued" RESIDENT,
        "Calls that wait for a model now.";
    MODEL_RUNNING: GAUGE "samara_model_running" RESIDENT,
        "Runs of a model on compute threads now.";
    MODEL_SESSIONS: GAUGE "samara_model_sessions" RESIDENT,
        "Sessions of a model that are open now.";
    MODEL_RUNS: COUNTER "samara_model_runs_total" &["model", "backend", "target", "identity", "place"],
        "Runs of a model since it was loaded: on a compute thread, or inline where it was called.";
    MODEL_CALLS: COUNTER "samara_model_calls_total" RESIDENT,
        "Calls of a model since it was loaded.";
    MODEL_ROWS: COUNTER "samara_model_rows_total" RESIDENT,
        "Rows that a model ran on compute threads since it was loaded.";
    COMPUTE_THREADS: GAUGE "samara_compute_threads" &[],
        "Threads that models run on.";
    COMPUTE_QUEUED: GAUGE "samara_compute_queued" &[],
        "Calls of all models that wait for a thread now.";
    INSTANCES: GAUGE "samara_instances" &[],
        "Sandboxes that exist now, those that are kept for the next call included.";
    MOST_INSTANCES: GAUGE "samara_instances_limit" &[],
        "Sandboxes that may exist at a time.";
    CONNECTIONS: GAUGE "samara_connections" &[],
        "Connections that are open now.";
    CONNECTIONS_ACCEPTED: COUNTER "samara_connections_total" &[],
        "Connections that were taken.";
    CONNECTIONS_REJECTED: COUNTER "samara_connections_rejected_total" &[],
        "Connections that were closed at once because there were too many.";
    SERVER_READY: GAUGE "samara_ready" &[],
        "1 while the server takes requests, 0 while it drains.";
    BUILD: GAUGE "samara_build_info" &["version"],
        "1, with the version of the program.";
    MEMORY_USED: GAUGE "samara_memory_used_bytes" &[],
        "Memory that the system cannot take back, where a limit is set for the server.";
    MEMORY_LIMIT: GAUGE "samara_memory_limit_bytes" &[],
        "Memory that the server may use, where a limit is set for it.";
    PROCESS_MEMORY: GAUGE "process_resident_memory_bytes" &[],
        "Memory of the process that is in RAM.";
    PROCESS_CPU: COUNTER "process_cpu_seconds_total" &[],
        "Processor time of the process.";
    PROCESS_THREADS: GAUGE "process_threads" &[],
        "Threads of the process.";
    PROCESS_START: GAUGE "process_start_time_seconds" &[],
        "When the process started, in seconds since 1970.";
    PROCESS_FILES: GAUGE "process_open_fds" &[],
        "Open files and connections of the process.";
    PROCESS_MOST_FILES: GAUGE "process_max_fds" &[],
        "Files and connections that it may open.";
}
