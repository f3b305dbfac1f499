//! What a model costs that is compiled into its component: a call of it beside one of the
//! same model in tract on the host, through the component of `samara compile`.

use anyhow::{Context, Result};
use samara_engine::{CallOptions, Function, Reuse, Standalone, component_for_model, standalone_component};
use samara_nn::Tensor;
use samara_test::Random;
use samara_test::onnx::families::{Size, family};

use crate::function::{Bench, request};
use crate::stats::{Pair, show};

/// A family of models, how often it is called, and how many rows at a time.
const CONTESTS: [(&str, usize, usize); 3] =
    [("perceptron", 40, 1), ("perceptron", 40, 64), ("mobilenet_v2", 15, 1)];

pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bench = Bench::new(Some(folder.path().into()), 8, 1)?;
    println!("one call of a model inside its component, and of tract on the host, each on one thread");
    println!(
        "| model | rows | inside, reused instance | inside, fresh instance | tract on the host | tract is faster than reused |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, rounds, rows) in CONTESTS {
        contest(&bench, name, rounds, rows)?;
    }
    println!();
    Ok(())
}

fn contest(bench: &Bench, name: &str, rounds: usize, rows: usize) -> Result<()> {
    let model = family(name, Size::Full, false);
    let source = request(model.bytes.clone()).source;
    let standalone = samara_backends::standalone_model(&source)?;
    let loaded =
        bench.host.models().acquire(&source, &samara_nn::Choice::Auto, &samara_nn::LoadOptions::default())?;
    let signature = loaded.signature().clone();
    let runner = std::fs::read(samara_test::standalone_runner())?;
    let parts =
        Standalone { name, signature: &signature, file: &standalone.file, weights: &standalone.weights };
    let inside = standalone_component(&runner, &parts)?;
    let outside = component_for_model("m", &signature)?;
    let reuse = Reuse::Calls(u32::MAX);
    let fresh = bench.load(&inside, None, Reuse::Never)?;
    let reused = bench.load(&inside, None, reuse)?;
    let on_host = bench.load(&outside, Some(model.bytes.clone()), reuse)?;

    let input = model.inputs.first().context("the model has no inputs")?;
    let shape: Vec<usize> = [rows].into_iter().chain(input.shape.iter().copied()).collect();
    let values = Random::new(1).floats(shape.iter().product());
    let tensor = Tensor::from_vec(shape, values)?;
    let input = signature.inputs.first().context("the model has no inputs")?.name.clone();
    let call = |function: &Function| -> Result<()> {
        let inputs = vec![(input.clone(), tensor.clone())];
        bench.runtime.block_on(function.infer(inputs, CallOptions::default()))?;
        Ok(())
    };
    let pair = Pair::measure(rounds, || call(&on_host), || call(&reused))?;
    let alone = Pair::measure(rounds.min(10), || call(&fresh), || Ok(()))?;
    println!(
        "| {name} | {rows} | {} | {} | {} | {:.2}x |",
        show(pair.theirs),
        show(alone.ours),
        show(pair.ours),
        pair.times_faster()
    );
    Ok(())
}
