//! Ensembles of trees as scikit-learn and LightGBM make them: by tract, whose
//! operators for them are ours, and by ONNX Runtime, each on one thread.

use anyhow::{Context, Result};
use samara_backends::RegistryOptions;
use samara_nn::{Choice, Format, LoadOptions, ModelSource, RunContext, Session, Tensor};

use crate::stats::{Pair, show};

const ROUNDS: usize = 31;

/// A forest of 100 trees for ten and for two classes, and boosted models of 200 trees.
const MODELS: [&str; 5] = ["forest", "forest_two", "forest_regression", "boosting_two", "lightgbm_two"];

/// Rows in a run, and runs in a round.
const BATCHES: [(usize, usize); 2] = [(1, 500), (256, 20)];

pub(crate) fn run() -> Result<()> {
    let (Some(library), folder) =
        (samara_test::onnxruntime_library(), samara_test::target().join("fixtures/sklearn"))
    else {
        return Ok(());
    };
    let options = RegistryOptions { onnxruntime_libraries: vec![library], ..RegistryOptions::default() };
    let backends = samara_backends::registry(&options);
    println!("ensembles of trees, one thread, {ROUNDS} rounds");
    println!("| model, rows | tract | onnxruntime | ratio |");
    println!("|---|---|---|---|");
    for name in MODELS {
        let Some(file) = samara_test::fixture(folder.join(format!("{name}.onnx"))) else { continue };
        let bytes = std::fs::read(file)?;
        for (rows, runs) in BATCHES {
            let session = |backend: &str| -> Result<(Box<dyn Session>, Tensor)> {
                let source = ModelSource {
                    name: name.to_owned(),
                    identity: name.to_owned(),
                    format: Format::Onnx,
                    bytes: bytes.clone().into(),
                    path: None,
                };
                let options = LoadOptions { threads: 1, ..LoadOptions::default() };
                let (_, model) = backends.load(&source, &Choice::from(backend), &options)?;
                let width = model.signature().inputs[0].shape.last().copied();
                let width = usize::try_from(width.context("it takes no rows")?)?;
                let values = (0..rows * width).map(|i| (i * 7919 % 1009) as f32 / 63.0).collect();
                Ok((model.session()?, Tensor::from_vec([rows, width], values)?))
            };
            let repeat = |(session, input): &mut (Box<dyn Session>, Tensor)| -> Result<()> {
                for _ in 0..runs {
                    session.run(std::slice::from_ref(input), &RunContext::default())?;
                }
                Ok(())
            };
            let (mut ours, mut theirs) = (session("tract")?, session("onnxruntime")?);
            let pair = Pair::measure(ROUNDS, || repeat(&mut ours), || repeat(&mut theirs))?;
            let each = |time: std::time::Duration| show(time / u32::try_from(runs).unwrap_or(1));
            let ratio = 1.0 / pair.times_faster();
            println!("| {name}, {rows} | {} | {} | {ratio:.2} |", each(pair.ours), each(pair.theirs));
        }
    }
    println!();
    Ok(())
}
