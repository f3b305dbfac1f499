//! Twice as many requests as a server can answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use samara_test::Random;
use samara_test::client::Answer;
use samara_test::onnx::{FP32, Model};
use samara_test::server::Server;

use super::{connect, numbers, post, request, resident_kib, start};

const PATH: &str = "/v2/models/net/infer";
/// Requests that run, and that wait.
const CONCURRENCY: usize = 8;
const QUEUE: usize = 32;
/// More than run and wait together, so that one is always free to send.
const CONNECTIONS: usize = 64;
/// Different requests.
const REQUESTS: usize = 16;
const CAPACITY_TIME: Duration = Duration::from_secs(5);
/// Of the largest number of an answer: calls that are merged are added up in
/// another order.
const TOLERANCE: f32 = 1e-3;
/// The model: so wide, and so many layers. What HTTP costs is little beside it.
const WIDTH: usize = 512;
const LAYERS: usize = 150;
/// A refusal is told within this, 99 of 100 times.
const REFUSED_WITHIN: Duration = Duration::from_millis(10);

/// What clients saw.
#[derive(Default)]
struct Seen {
    answered: u64,
    refused: Vec<Duration>,
}

/// Requests with what an idle server answers to them.
struct Work {
    bodies: Vec<String>,
    right: Vec<Vec<f32>>,
}

pub(super) fn run(seconds: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("net.onnx"), deep())?;
    let (concurrency, queue) = (CONCURRENCY.to_string(), QUEUE.to_string());
    let server = start(folder.path(), &["net=net.onnx", "--concurrency", &concurrency, "--queue", &queue])?;
    let work = Work::new(&server)?;
    closed(&server, &work, Duration::from_secs(1))?;
    let before = closed(&server, &work, CAPACITY_TIME)?;
    let overload = Duration::from_secs(seconds);
    let (seen, memory) = open(&server, &work, 2.0 * before, overload)?;
    let after = closed(&server, &work, CAPACITY_TIME)?;
    report(before, after, seconds, seen, &memory)
}

fn report(before: f64, after: f64, seconds: u64, mut seen: Seen, memory: &[u64]) -> Result<()> {
    seen.refused.sort_unstable();
    let share = |share: f64| {
        let at = (seen.refused.len() as f64 * share) as usize;
        seen.refused.get(at.min(seen.refused.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let settled = memory[memory.len() / 4];
    let last = memory.last().copied().unwrap_or_default();
    println!(
        "a model of {LAYERS} layers of {WIDTH}, twice its capacity for {seconds} s, {CONCURRENCY} run, {QUEUE} wait"
    );
    println!(
        "| capacity before | sent | answered, all right | refused | refused in p50 | p99 | max | RSS at a quarter | at the end | capacity after |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    println!(
        "| {before:.0}/s | {:.0}/s | {:.0}/s | {:.0}/s | {:.2?} | {:.2?} | {:.2?} | {} MiB | {} MiB | {after:.0}/s |",
        2.0 * before,
        seen.answered as f64 / seconds as f64,
        seen.refused.len() as f64 / seconds as f64,
        share(0.5),
        share(0.99),
        share(1.0),
        settled >> 10,
        last >> 10,
    );
    println!();
    ensure!(!seen.refused.is_empty(), "nothing was refused: this was no overload");
    ensure!(share(0.99) < REFUSED_WITHIN, "refusals take {:?} at the 99th percentile", share(0.99));
    ensure!(last * 20 <= settled * 21, "memory grows from {settled} KiB to {last} KiB");
    ensure!(after > 0.7 * before, "after the overload it answers {after:.0}/s, before it {before:.0}/s");
    Ok(())
}

/// Layers that keep the size of what goes through them, and ten numbers at the
/// end.
fn deep() -> Vec<u8> {
    let mut random = Random::new(1);
    let bound = (6.0 / WIDTH as f32).sqrt();
    let mut weights = |count: usize| -> Vec<f32> {
        (0..count).map(|_| (random.below(2001) as f32 / 1000.0 - 1.0) * bound).collect()
    };
    let (width, classes) = (WIDTH as i64, 10);
    let mut model = Model::new()
        .input("x", FP32, &["batch", &WIDTH.to_string()])
        .floats("w", &[width, width], &weights(WIDTH * WIDTH))
        .floats("last", &[width, classes], &weights(WIDTH * 10));
    let mut from = "x".to_owned();
    for layer in 0..LAYERS {
        let (product, to) = (format!("p{layer}"), format!("h{layer}"));
        model = model.node("MatMul", &[&from, "w"], &[&product]).node("Relu", &[&product], &[&to]);
        from = to;
    }
    model.node("MatMul", &[&from, "last"], &["y"]).output("y", FP32, &["batch", "10"]).bytes()
}

impl Work {
    fn new(server: &Server) -> Result<Self> {
        let row = |seed: usize| -> Vec<f32> {
            (0..WIDTH).map(|column| ((seed * 131 + column * 7) % 200) as f32 / 100.0 - 1.0).collect()
        };
        let bodies: Vec<String> = (0..REQUESTS).map(|seed| request("x", &row(seed))).collect();
        let right = bodies.iter().map(|body| numbers(&post(server, PATH, body)?).context("no numbers"));
        Ok(Self { right: right.collect::<Result<_>>()?, bodies })
    }

    fn check(&self, at: usize, answer: &Answer) -> Result<()> {
        let found = numbers(&answer.body).unwrap_or_default();
        let right = &self.right[at];
        let most = TOLERANCE * right.iter().fold(0.0, |most: f32, number| most.max(number.abs()));
        let is_right = found.len() == right.len()
            && found.iter().zip(right).all(|(found, right)| (found - right).abs() <= most);
        ensure!(is_right, "a wrong answer: {}", answer.body);
        Ok(())
    }
}

/// Answers per second when as many ask as may run, each again when it is
/// answered.
fn closed(server: &Server, work: &Work, time: Duration) -> Result<f64> {
    let (until, answers) = (Instant::now() + time, AtomicU64::new(0));
    on_threads(CONCURRENCY, |thread| {
        let mut client = connect(server.address()).context("no connection")?;
        let mut at = thread;
        while Instant::now() < until {
            at = (at + 1) % REQUESTS;
            let answer = client.post(PATH, &work.bodies[at])?.context("closed")?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            work.check(at, &answer)?;
            answers.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })?;
    Ok(answers.into_inner() as f64 / time.as_secs_f64())
}

/// Sends at a rate, whatever the answers do. Also gives the server's memory,
/// second by second.
fn open(server: &Server, work: &Work, rate: f64, time: Duration) -> Result<(Seen, Vec<u64>)> {
    let (start, next, is_over) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
    let send = |_| {
        let mut seen = Seen::default();
        let mut client = connect(server.address()).context("no connection")?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let due = Duration::from_secs_f64(index as f64 / rate);
            if due >= time {
                return Ok(seen);
            }
            std::thread::sleep((start + due).saturating_duration_since(Instant::now()));
            let at = index as usize % REQUESTS;
            let answer = client.post(PATH, &work.bodies[at])?.context("closed")?;
            match answer.status {
                200 => {
                    work.check(at, &answer)?;
                    seen.answered += 1;
                }
                503 => seen.refused.push(answer.took),
                status => anyhow::bail!("{status} {}", answer.body),
            }
        }
    };
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut memory = vec![resident_kib(server)?];
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_secs(1));
                memory.push(resident_kib(server)?);
            }
            Ok(memory)
        });
        let seen = on_threads(CONNECTIONS, send);
        is_over.store(true, Ordering::Relaxed);
        let memory: Result<Vec<u64>> = watching.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"));
        let mut all = Seen::default();
        for one in seen? {
            all.answered += one.answered;
            all.refused.extend(one.refused);
        }
        Ok((all, memory?))
    })
}

fn on_threads<T: Send>(count: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count).map(|thread| scope.spawn(move || work(thread))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<T>>| {
            thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
        };
        threads.into_iter().map(join).collect()
    })
}
