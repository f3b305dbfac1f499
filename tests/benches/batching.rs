//! Callers at a time of one small model: their calls merged, and each by
//! itself, in turn on the same compute threads. What merging gains depends on
//! what a further row costs a model, so there are three.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use samara_nn::{BatchPolicy, Choice, Compute, LoadOptions, Pool, ResidentModel, RunContext, Tensor};
use samara_test::onnx::ready;
use tokio::runtime::Runtime;

use crate::function::request;
use crate::stats::{median, show};

const ROUNDS: usize = 7;

/// Numbers in a row of input.
const ROW: usize = 512;

/// How long the callers of a round go on.
const ROUND: Duration = Duration::from_millis(400);

const MERGED: BatchPolicy = BatchPolicy::AUTOMATIC;

pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("calls of one row, {ROUNDS} rounds of {} ms", ROUND.as_millis());
    println!(
        "| model, engine, callers | calls/s merged | alone | ratio | at best | p99 merged | alone | ratio | calls in a run |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for engine in ["tract", "onnxruntime"] {
        let library = samara_test::onnxruntime_library();
        if engine == "onnxruntime" && library.is_none() {
            continue;
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let compute = Arc::new(Compute::new(threads, 1024));
        let options = samara_backends::RegistryOptions {
            onnxruntime_libraries: library.into_iter().collect(),
            ..samara_backends::RegistryOptions::default()
        };
        let pool = Pool::new(samara_backends::registry(&options), compute);
        for (name, sizes) in models() {
            let source = request(ready::layers(&sizes)).source;
            let choice = Choice::Named(engine.to_owned());
            let model = pool.acquire(&source, &choice, &LoadOptions::default())?;
            // Measures the model, and checks the merged runs of an engine that proves nothing.
            round(&runtime, &model, 4, MERGED)?;
            for callers in [1, 8, 32] {
                measure(&runtime, name, &model, callers)?;
            }
        }
    }
    println!();
    Ok(())
}

/// Fully connected models: their names and the sizes of their layers.
fn models() -> [(&'static str, Vec<usize>); 3] {
    [
        ("2 layers of 1024", vec![ROW, 1024, 1024, 10]),
        ("32 layers of 128", [vec![ROW], vec![128; 32], vec![10]].concat()),
        ("2 layers of 4096, 76 MB", vec![ROW, 4096, 4096, 10]),
    ]
}

/// What the callers of some rounds saw.
#[derive(Default)]
struct Seen {
    per_second: Vec<f64>,
    p99: Vec<Duration>,
    calls: u64,
    runs: u64,
}

fn measure(runtime: &Runtime, name: &str, model: &Arc<ResidentModel>, callers: usize) -> Result<()> {
    let (mut merged, mut alone) = (Seen::default(), Seen::default());
    for number in 0..ROUNDS {
        let mut ways = [(MERGED, &mut merged), (BatchPolicy::OFF, &mut alone)];
        // Each goes first in turn: what else the machine does may follow a beat.
        ways.rotate_left(number % 2);
        for (policy, seen) in ways {
            let before = model.load();
            let mut times = round(runtime, model, callers, policy)?;
            let after = model.load();
            times.sort();
            seen.per_second.push(times.len() as f64 / ROUND.as_secs_f64());
            seen.p99.extend(times.get(times.len() * 99 / 100));
            seen.calls += after.calls - before.calls;
            seen.runs += after.runs - before.runs;
        }
    }
    let (fast, slow) = (middle(merged.per_second), middle(alone.per_second));
    let best = at_best(model, callers)?;
    let (p99, p99_alone) = (median(merged.p99), median(alone.p99));
    println!(
        "| {name}, {}, {callers} | {fast:.0} | {slow:.0} | {:.2} | {:.2} | {} | {} | {:.2} | {:.1} |",
        model.backend(),
        fast / slow,
        best / slow,
        show(p99),
        show(p99_alone),
        p99.as_secs_f64() / p99_alone.as_secs_f64(),
        merged.calls as f64 / merged.runs as f64
    );
    Ok(())
}

/// Rows per second of a model that is handed this many rows again and again, all
/// by one thread or shared by all of them, whichever is faster: what merging could
/// reach if callers, queue and threads cost nothing.
fn at_best(model: &Arc<ResidentModel>, rows: usize) -> Result<f64> {
    let threads = model.sessions().min(rows);
    let mut best: f64 = 0.0;
    for threads in [1, threads] {
        best = best.max(side_by_side(model, rows.div_ceil(threads), threads)?);
    }
    Ok(best)
}

/// Rows per second of so many threads, each of which runs the model over so many
/// rows at a time.
fn side_by_side(model: &Arc<ResidentModel>, rows: usize, threads: usize) -> Result<f64> {
    let input = [Tensor::from_vec([rows, ROW], vec![0.5f32; rows * ROW])?];
    let end = Instant::now() + ROUND;
    let run = || {
        let mut runs = 0;
        while Instant::now() < end {
            model.run_blocking(&input, &RunContext::default())?;
            runs += 1;
        }
        anyhow::Ok(runs)
    };
    let runs: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let count = |thread: std::thread::ScopedJoinHandle<'_, Result<usize>>| {
            thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
        };
        threads.into_iter().map(count).sum::<Result<usize>>()
    })?;
    Ok((runs * rows) as f64 / ROUND.as_secs_f64())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The time of every call that so many callers make, one after the other each.
fn round(
    runtime: &Runtime,
    model: &Arc<ResidentModel>,
    callers: usize,
    batch: BatchPolicy,
) -> Result<Vec<Duration>> {
    let end = Instant::now() + ROUND;
    let caller = |number: usize| {
        let model = Arc::clone(model);
        async move {
            let input = Tensor::from_vec([1, ROW], vec![number as f32 / callers as f32; ROW])?;
            let mut times = Vec::new();
            while Instant::now() < end {
                let started = Instant::now();
                let context = RunContext { batch, ..RunContext::default() };
                model.run(vec![input.clone()], context).await?;
                times.push(started.elapsed());
            }
            anyhow::Ok(times)
        }
    };
    let mut times = Vec::new();
    let tasks: Vec<_> = (0..callers).map(|number| runtime.spawn(caller(number))).collect();
    for task in tasks {
        times.extend(runtime.block_on(task)??);
    }
    Ok(times)
}
