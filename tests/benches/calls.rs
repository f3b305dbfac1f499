//! What a sandboxed call adds to the model: the same session called directly,
//! through a fresh instance, and through a reused one.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use samara_engine::{CallOptions, Function, Reuse, component_for_model};
use samara_nn::RunContext;

use crate::function::{Bench, guest, tiny_model, vector};
use crate::stats::{median, show};

const ROUNDS: usize = 40;
const CALLS_PER_ROUND: u32 = 200;

pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bench = Bench::new(Some(folder.path().into()), 64, 1)?;
    let written = guest("function_model")?;
    let reuse = Reuse::Calls(u32::MAX);
    let fresh = bench.load(&written, Some(tiny_model()), Reuse::Never)?;
    let reused = bench.load(&written, Some(tiny_model()), reuse)?;
    let resident = fresh.models().get("m").context("the model is not loaded")?;
    let compiled = component_for_model("m", resident.signature())?;
    let compiled_fresh = bench.load(&compiled, Some(tiny_model()), Reuse::Never)?;
    let compiled_reused = bench.load(&compiled, Some(tiny_model()), reuse)?;
    let functions = [
        ("guest in Rust, fresh instance", &fresh, 40.0),
        ("guest in Rust, reused instance", &reused, 6.0),
        ("`samara compile`, fresh instance", &compiled_fresh, 40.0),
        ("`samara compile`, reused instance", &compiled_reused, 6.0),
    ];

    let mut direct = Vec::new();
    let mut through: Vec<Vec<Duration>> = vec![Vec::new(); functions.len()];
    for round in 0..=ROUNDS {
        let inputs = [vector(64)?];
        let each = repeat(|| {
            resident.run_blocking(&inputs, &RunContext::default())?;
            Ok(())
        })?;
        let mut measured = Vec::new();
        for (_, function, _) in functions {
            measured.push(bench.runtime.block_on(calls(function))?);
        }
        // The first round lets the host learn how short the model is.
        if round > 0 {
            direct.push(each);
            through.iter_mut().zip(measured).for_each(|(times, time)| times.push(time));
        }
    }

    let direct = median(direct);
    println!("one call of a tiny model, {} medians of {CALLS_PER_ROUND} calls", ROUNDS);
    println!("| way | a call | added to the session | budget | ratio to it |");
    println!("|---|---|---|---|---|");
    println!("| the session, called directly | {} | | | |", show(direct));
    for ((name, _, budget), times) in functions.into_iter().zip(through) {
        let time = median(times);
        let added = time.saturating_sub(direct);
        let ratio = added.as_secs_f64() * 1e6 / budget;
        println!("| {name} | {} | {} | {budget} us | {ratio:.2} |", show(time), show(added));
    }
    println!();
    Ok(())
}

/// The calls of a round, as a task of a running process makes them.
async fn calls(function: &Function) -> Result<Duration> {
    let started = Instant::now();
    for _ in 0..CALLS_PER_ROUND {
        function.infer(vec![("x".to_owned(), vector(64)?)], CallOptions::default()).await?;
    }
    Ok(started.elapsed() / CALLS_PER_ROUND)
}

fn repeat(mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    for _ in 0..CALLS_PER_ROUND {
        work()?;
    }
    Ok(started.elapsed() / CALLS_PER_ROUND)
}
