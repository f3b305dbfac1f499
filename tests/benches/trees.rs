//! Ensembles of trees as scikit-learn and LightGBM make them: by tract, whose
//! operators for them are ours, and by ONNX Runtime, each on one thread.

use anyhow::{Context, Result};
use samara_backends::RegistryOptions;
use samara_nn::{Choice, Datatype, Format, LoadOptions, ModelSource, RunContext, Session, Tensor};

use crate::stats::{Pair, show};

const ROUNDS: usize = 31;

/// A forest of 100 trees for ten and for two classes, and boosted models of 200 trees.
const MODELS: [&str; 6] =
    ["forest", "forest_two", "forest_regression", "boosting_two", "lightgbm_two", "xgboost_two"];

/// Rows in a run, and runs in a round.
const BATCHES: [(usize, usize); 2] = [(1, 500), (256, 20)];

pub(crate) fn run() -> Result<()> {
    let Some(library) = samara_test::onnxruntime_library() else { return Ok(()) };
    let folder = samara_test::target().join("fixtures/sklearn");
    let options = RegistryOptions { onnxruntime_libraries: vec![library], ..RegistryOptions::default() };
    let backends = samara_backends::registry(&options);
    let Some(list) = samara_test::fixture(folder.join("cases.json")) else { return Ok(()) };
    let cases: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(list)?)?;
    let data = std::fs::read(folder.join("data.bin"))?;
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
                    beside: samara_nn::Beside::Nothing,
                };
                let options = LoadOptions { threads: 1, ..LoadOptions::default() };
                let (_, model) = backends.load(&source, &Choice::from(backend), &options)?;
                let width = model.signature().inputs[0].shape.last().copied();
                let width = usize::try_from(width.context("it takes no rows")?)?;
                let case = cases.iter().find(|case| case["name"] == name).context("it is no case")?;
                let start = case["inputs"][0]["data"][0].as_u64().context("it has no rows")? as usize;
                let bytes = data.get(start..start + rows * width * 4).context("it has too few rows")?;
                Ok((model.session()?, Tensor::new(Datatype::Fp32, [rows, width], bytes.to_vec())?))
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
