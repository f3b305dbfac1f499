//! `samara bench`: how fast a function answers, in this process or at a server
//! of the Open Inference Protocol.
//!
//! What is driven is a [`drive::Caller`]: `local` has one, and so have `rest` and
//! `grpc`, each behind a [`remote::Remote`]. `drive` calls them in closed or open
//! loops and counts, `report` puts the counts into words.

mod codec;
mod condition;
mod connect;
mod drive;
mod generate;
mod grpc;
mod local;
mod remote;
mod report;
mod request;
mod rest;
mod schedule;
mod tally;

use anyhow::{Context, Result};
use samara_nn::Signature;

pub(crate) use self::condition::Condition;
use self::drive::{Caller, Extent, Step, Workers};
use self::local::LocalCaller;
use self::remote::Remote;
use self::report::{ConditionReport, Report, RequestReport, StepReport, TargetReport};
use self::request::Work;
use crate::args::BenchArgs;
use crate::error::{Outcome, Usage};
use crate::printer::Printer;
use crate::settings::Settings;

/// Connections of an open loop where nobody says how many.
const OPEN_CONNECTIONS: u32 = 32;

pub(crate) fn run(args: &BenchArgs, settings: &Settings, printer: &Printer) -> Result<Outcome> {
    let steps = steps(args)?;
    let report = match &args.url {
        Some(url) if grpc::is_meant(url) => drive_server::<grpc::Server>(args, url, &steps, printer)?,
        Some(url) => drive_server::<rest::Server>(args, url, &steps, printer)?,
        None => drive_locally(args, &steps, settings, printer)?,
    };
    if printer.is_json() {
        printer.json(&report)?;
    }
    Ok(conclude(args, &report, printer))
}

/// The steps that the flags ask for.
fn steps(args: &BenchArgs) -> Result<Vec<Step>> {
    if args.connections.len() > 1 && args.rate.len() > 1 {
        let usage = "either `--connections` or `--rate` may be a list, not both";
        return Err(Usage(usage.to_owned()).into());
    }
    match &args.url {
        Some(url) => check_remote(args, url)?,
        None => check_local(args)?,
    }
    let extent = args.requests.map_or(Extent::For(args.duration), Extent::Requests);
    let connections = match args.connections.as_slice() {
        [] if args.rate.is_empty() => &[1][..],
        [] => &[OPEN_CONNECTIONS],
        given => given,
    };
    let rates: Vec<Option<f64>> = match args.rate.as_slice() {
        [] => vec![None],
        rates => rates.iter().copied().map(Some).collect(),
    };
    let step = |connections: u32, rate| {
        let connections = usize::try_from(connections).context("too many connections")?;
        Ok(Step { connections, rate, warm_up: args.warm_up, extent })
    };
    connections.iter().flat_map(|&count| rates.iter().map(move |&rate| step(count, rate))).collect()
}

/// Flags about a server mean nothing without one.
fn check_local(args: &BenchArgs) -> Result<()> {
    let remote = [
        ("--function", args.function.is_some()),
        ("--version", args.function_version.is_some()),
        ("--token-file", args.token_file.is_some()),
        ("--binary", args.binary),
    ];
    match remote.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            let usage = format!("`{flag}` is for a server\nhint: name it with `--url`");
            Err(Usage(usage).into())
        }
        None => Ok(()),
    }
}

/// Flags that say how a function is loaded mean nothing to a server.
fn check_remote(args: &BenchArgs, url: &str) -> Result<()> {
    if args.binary && grpc::is_meant(url) {
        let usage = "over gRPC, tensors always travel as bytes: leave `--binary` out";
        return Err(Usage(usage.to_owned()).into());
    }
    let BenchArgs { models, place, grants, .. } = args;
    let is_local = !models.is_empty()
        || place.target.is_some()
        || place.backend.is_some()
        || place.gpu_memory.is_some()
        || place.precision.is_some()
        || grants.all_requested
        || !(grants.http.is_empty() && grants.directories.is_empty() && grants.environment.is_empty());
    if is_local {
        let usage = "`--model`, `--target`, `--backend`, `--gpu-memory`, `--precision` and grants are for a function in this process; with `--url` the server decides";
        return Err(Usage(usage.to_owned()).into());
    }
    Ok(())
}

fn drive_locally(args: &BenchArgs, steps: &[Step], settings: &Settings, printer: &Printer) -> Result<Report> {
    let most = steps.iter().map(|step| step.connections).max().unwrap_or(1);
    let (what, loaded) = local::load(args, most, settings, printer)?;
    let work = Work::choose(args, loaded.function.signature(), Some(&what), printer)?;
    let first = loaded.infer(work.request.inputs.clone()).context("the first call failed")?;
    work.check_first(&first.outputs)?;
    let target = TargetReport {
        kind: "local",
        what: args.what.clone().unwrap_or_else(|| ".".to_owned()),
        function: loaded.function.name().to_owned(),
        version: Some(loaded.version.clone()).filter(|version| !version.is_empty()),
    };
    let request = RequestReport {
        source: work.source,
        encoding: "tensors",
        rows: work.rows,
        bytes: local::size(&work.request.inputs),
    };
    let caller = || Ok(LocalCaller::new(&loaded.function, &work, args.timeout));
    let steps = measure(steps, &target, &request, caller, Workers::Runtime(loaded.runtime()), printer)?;
    loaded.leave();
    Ok(Report::new(target, request, steps.clone(), judge(args, &steps)))
}

fn drive_server<R: Remote>(args: &BenchArgs, url: &str, steps: &[Step], printer: &Printer) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let server = runtime.block_on(R::find(args, url))?;
    let signature = remote_signature(args, runtime.block_on(server.signature()), printer)?;
    let work = Work::choose(args, signature.as_ref(), None, printer)?;
    let body = server.body(&work)?;
    let first = runtime.block_on(server.first_answer(&body))?;
    work.check_first(&first)?;
    drop(runtime);
    let (function, version) = server.function();
    let target = TargetReport {
        kind: R::KIND,
        what: server.what(),
        function: function.to_owned(),
        version: version.map(str::to_owned),
    };
    let (encoding, bytes) = server.form(&body);
    let request = RequestReport { source: work.source, encoding, rows: work.rows, bytes };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let caller = || server.caller(&body, work.expected.as_ref());
    let steps = measure(steps, &target, &request, caller, Workers::Threads(threads), printer)?;
    Ok(Report::new(target, request, steps.clone(), judge(args, &steps)))
}

/// The signature; a request that is given whole can do without.
fn remote_signature(
    args: &BenchArgs,
    found: Result<Signature>,
    printer: &Printer,
) -> Result<Option<Signature>> {
    match found {
        Ok(signature) => Ok(Some(signature)),
        Err(error) if args.request.is_some() => {
            printer.detail(format_args!("{error:#}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Runs the steps and prints the table as it grows.
fn measure<C: Caller>(
    steps: &[Step],
    target: &TargetReport,
    request: &RequestReport,
    caller: impl Fn() -> Result<C>,
    workers: Workers<'_>,
    printer: &Printer,
) -> Result<Vec<StepReport>> {
    let mut reports = Vec::new();
    for step in steps {
        if !printer.is_json() && reports.is_empty() {
            let title = report::title(target, request, step.extent);
            printer.data(&(title + &report::header(step.rate.is_some())))?;
        }
        let callers = (0..step.connections).map(|_| caller()).collect::<Result<_>>()?;
        let tally = {
            let _spinner = printer.spinner(format!("{} connections", step.connections));
            drive::run(callers, step, workers)?
        };
        let report = StepReport::new(step, &tally, request.rows);
        if !printer.is_json() {
            printer.data(&report::row(&report))?;
        }
        reports.push(report);
    }
    Ok(reports)
}

/// For which steps each condition holds.
fn judge(args: &BenchArgs, steps: &[StepReport]) -> Vec<ConditionReport> {
    let judge = |condition: &Condition| {
        let held = steps.iter().enumerate().filter(|(_, step)| condition.holds(step));
        ConditionReport {
            condition: condition.to_string(),
            holds_for: held.map(|(index, _)| index).collect(),
        }
    };
    args.fail_if.iter().map(judge).collect()
}

fn conclude(args: &BenchArgs, report: &Report, printer: &Printer) -> Outcome {
    for (condition, judged) in args.fail_if.iter().zip(&report.conditions) {
        for &index in &judged.holds_for {
            let step = &report.steps[index];
            let found = condition.found_text(step);
            printer.error(&anyhow::anyhow!("`{condition}` holds {}: {found}", place(step)));
        }
    }
    for step in report.steps.iter().filter(|step| step.answers == 0) {
        printer.error(&anyhow::anyhow!("not one right answer came {}", place(step)));
    }
    if report.passed { Outcome::Done } else { Outcome::Failed }
}

/// Which step it is, for people.
fn place(step: &StepReport) -> String {
    let connections = match step.connections {
        1 => "1 connection".to_owned(),
        count => format!("{count} connections"),
    };
    match step.rate {
        None => format!("at {connections}"),
        Some(rate) => format!("at {rate} requests per second over {connections}"),
    }
}
