//! What a function costs that is written in another language: to make, to load and to call.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use samara_engine::{CallOptions, Function, Reuse};

use crate::function::{Bench, guest, vector};
use crate::large::{finish, samara};
use crate::stats::{median, show, time};

const ROUNDS: usize = 21;
const CALLS_PER_ROUND: u32 = 50;

/// Hands on what it gets, as the guest in Rust does.
const PYTHON: &str = r#"from samara_sdk import FP32, function


@function(inputs={"x": FP32[-1]}, outputs={"y": FP32[-1]})
def hand_on(x):
    return {"y": x}
"#;

const JS: &str = r#"import * as samara from "samara-sdk";

const { FP32 } = samara;

export default samara.function({ inputs: { x: FP32(-1) }, outputs: { y: FP32(-1) } }, ({ x }) => ({ y: x }));
"#;

pub(crate) fn run() -> Result<()> {
    println!("a function that hands on what it gets, by its language");
    println!("| language | component | made and compiled | compiled | from the cache | fresh | reused |");
    println!("|---|---|---|---|---|---|---|");
    row("Rust", "", &guest("function_echo")?)?;
    for (language, template, file, source) in
        [("Python", "python", "function.py", PYTHON), ("JavaScript", "js", "src/function.js", JS)]
    {
        let folder = tempfile::tempdir()?;
        finish(samara(folder.path())?.current_dir(&folder).args(["new", "f", "--template", template]))?;
        let project = folder.path().join("f");
        let installed = match template {
            "python" => samara_test::install_python(&project),
            _ => samara_test::install_js(&project, &project.join("sdk/js")),
        };
        if installed.is_none() {
            continue;
        }
        std::fs::write(project.join(file), source)?;
        let made = time(&mut || finish(samara(folder.path())?.current_dir(&project).arg("build")))?;
        let component = std::fs::read(project.join("target/function.wasm")).context("nothing was built")?;
        row(language, &show(made), &component)?;
    }
    println!();
    Ok(())
}

fn row(language: &str, made: &str, component: &[u8]) -> Result<()> {
    let cache = tempfile::tempdir()?;
    // A host of its own each time, for one that ran before may hold the code.
    let load = || -> Result<Duration> {
        let bench = Bench::new(Some(cache.path().into()), 16, 1)?;
        time(&mut || bench.load(component, None, Reuse::Never).map(drop))
    };
    let compiled = load()?;
    let loads = (0..ROUNDS).map(|_| load()).collect::<Result<Vec<_>>>()?;
    let mut cells = Vec::new();
    for reuse in [Reuse::Never, Reuse::Calls(u32::MAX)] {
        let bench = Bench::new(Some(cache.path().into()), 16, 1)?;
        let function = bench.load(component, None, reuse)?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(bench.runtime.block_on(calls(&function))?);
        }
        cells.push(show(median(times)));
    }
    let size = component.len() as f64 / 1e6;
    let (compiled, cached) = (show(compiled), show(median(loads)));
    println!("| {language} | {size:.2} MB | {made} | {compiled} | {cached} | {} |", cells.join(" | "));
    Ok(())
}

async fn calls(function: &Function) -> Result<Duration> {
    let started = Instant::now();
    for _ in 0..CALLS_PER_ROUND {
        let answer = function.infer(vec![("x".to_owned(), vector(64)?)], CallOptions::default()).await?;
        if answer.outputs.len() != 1 {
            bail!("it gave {} outputs", answer.outputs.len());
        }
    }
    Ok(started.elapsed() / CALLS_PER_ROUND)
}
