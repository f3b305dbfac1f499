//! Models on narrow integers: tract answers to the last bit what Python's onnxruntime
//! does, and refuses by name what it does not take.

#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

#[path = "quantised/hostile.rs"]
mod hostile;
mod stored;

use std::sync::Arc;

use samara_backends::{RegistryOptions, registry};
use samara_nn::{
    Batching, Beside, Choice, Format, LoadOptions, Model, ModelSource, NamedTensor, Result, RunContext,
    Tensor,
};
use serde::Deserialize;

use stored::{Data, Stored};

/// A case as `tests/fixtures/quantised_models.py` wrote it.
#[derive(Deserialize)]
struct Case {
    name: String,
    model: [usize; 2],
    inputs: Vec<Stored>,
    outputs: Vec<Stored>,
}

#[test]
fn tract_answers_as_python_does() {
    let Some((cases, data)) = stored::read::<Case>(&samara_test::target().join("fixtures/quantised")) else {
        return;
    };
    assert!(cases.len() > 250, "{} cases", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(|case| difference(case, &data)).collect();
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// Scales that are computed from the numbers at hand are those of all rows, and networks of
/// convolutions run row by row.
#[test]
fn rows_are_merged_where_scales_are_constants() {
    let Some((cases, data)) = stored::read::<Case>(&samara_test::target().join("fixtures/quantised")) else {
        return;
    };
    let networks = cases.iter().filter(|case| case.name.starts_with("network_"));
    let mut found = Vec::new();
    for case in networks {
        let alone = case.name.contains("dynamic") || case.name.contains("images");
        let rows = if alone { Batching::None } else { Batching::Rows };
        let model = load(&case.name, data.bytes(case.model)).unwrap();
        assert_eq!(model.batching(), rows, "{}", case.name);
        found.push(rows);
    }
    assert!(found.contains(&Batching::None) && found.contains(&Batching::Rows));
}

/// How an answer differs from the one that is stored.
fn difference(case: &Case, data: &Data) -> Option<String> {
    let inputs = case.inputs.iter().map(|input| (input.name.clone(), data.tensor(input))).collect();
    let answer = match answer(&case.name, data.bytes(case.model), inputs) {
        Ok(answer) => answer,
        Err(error) => return Some(error.to_string()),
    };
    for (found, stored) in answer.iter().zip(&case.outputs) {
        let expected = data.tensor(stored);
        let kinds = [found, &expected].map(|tensor| (tensor.datatype(), tensor.shape()));
        if kinds[0] != kinds[1] {
            return Some(format!("{}: {:?}, not {:?}", case.name, kinds[0], kinds[1]));
        }
        if case.name.starts_with("network_images_dynamic") {
            // Between its steps it computes with floats.
            let [found, expected] = [found, &expected].map(|tensor| tensor.elements::<f32>().unwrap());
            let apart = found.iter().zip(&*expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            if apart > 1e-6 {
                return Some(format!("{}: {apart} apart", case.name));
            }
            continue;
        }
        let size = found.datatype().size().unwrap();
        let pairs = || found.data().chunks(size).zip(expected.data().chunks(size));
        if let Some(place) = pairs().position(|(found, expected)| found != expected) {
            let (count, all) =
                (pairs().filter(|(found, expected)| found != expected).count(), pairs().count());
            let (found, expected) = pairs().nth(place).unwrap();
            let which = format!("{count} elements of {all}, the first at {place}");
            return Some(format!("{}: {which}: {found:?}, not {expected:?}", case.name));
        }
    }
    None
}

pub(crate) fn answer(name: &str, model: &[u8], inputs: Vec<NamedTensor>) -> Result<Vec<Tensor>> {
    let model = load(name, model)?;
    let inputs = model.signature().conform_inputs(inputs)?;
    model.session()?.run(&inputs, &RunContext::default())
}

fn load(name: &str, model: &[u8]) -> Result<Arc<dyn Model>> {
    let source = ModelSource {
        name: name.to_owned(),
        identity: name.to_owned(),
        format: Format::Onnx,
        bytes: model.to_vec().into(),
        beside: Beside::Nothing,
    };
    let backends = registry(&RegistryOptions::default());
    Ok(backends.load(&source, &Choice::from("tract"), &LoadOptions::default())?.1)
}
