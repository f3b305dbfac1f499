//! Models of scikit-learn, XGBoost and LightGBM: every backend answers as Python's
//! onnxruntime does and as the model that was converted, whatever the number of
//! rows, and files that learned nothing sound are refused when they are loaded.

#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

#[path = "learned/case.rs"]
mod case;
#[path = "learned/hostile.rs"]
mod hostile;
#[path = "learned/operators.rs"]
mod operators;
#[path = "learned/pair.rs"]
mod pair;
mod stored;

use std::sync::Arc;

use samara_backends::{RegistryOptions, registry};
use samara_nn::{
    BackendRegistry, Batching, Choice, Datatype, Format, LoadOptions, Model, ModelSource, NamedTensor,
    Result, RunContext, Tensor,
};

use case::{Cases, difference};

/// Batches: a lone row, fewer rows than are evaluated side by side, many.
const BATCHES: [usize; 3] = [1, 3, 256];

#[test]
fn tract_answers_as_python_does() {
    answers_as_python_does("tract");
}

#[test]
fn onnxruntime_answers_as_python_does() {
    answers_as_python_does("onnxruntime");
}

#[test]
fn answers_are_those_of_the_models_that_were_converted() {
    let (Some(cases), Some(backends)) = (Cases::read(), backends("tract")) else { return };
    let mut failures = Vec::new();
    for case in cases.all() {
        let model = load(&backends, "tract", &case.name, &cases.model(case)).unwrap();
        let answer = run(&*model, &cases.inputs(case, 256));
        for (trained, (name, found)) in cases.trained(case).iter().zip(&answer) {
            let Some(trained) = trained else { continue };
            // What learned with doubles may put a row on the other side of a
            // float's border.
            let wrong = case::share_of_differences(found, trained);
            if wrong > 0.01 {
                failures.push(format!("{}: output `{name}`: {wrong} of the elements differ", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn maps_are_tensors_with_labels() {
    for backend in ["tract", "onnxruntime"] {
        let (Some(cases), Some(backends)) = (Cases::read(), backends(backend)) else { continue };
        for (name, classes) in
            [("logistic_names", &["setosa", "versicolor", "virginica"][..]), ("boosting_two", &["0", "1"])]
        {
            let case = cases.all().find(|case| case.name == name).unwrap();
            let model = load(&backends, backend, name, &cases.model(case)).unwrap();
            let output = model.signature().outputs[1].clone();
            assert_eq!((output.name.as_str(), output.datatype), ("output_probability", Datatype::Fp32));
            assert_eq!(output.shape, [-1, classes.len() as i64], "{name} by {backend}");
            assert_eq!(output.labels, classes, "{name} by {backend}");
            assert!(model.signature().outputs[0].labels.is_empty());
        }
    }
}

#[test]
fn rows_of_learned_models_are_merged() {
    let (Some(cases), Some(backends)) = (Cases::read(), backends("tract")) else { return };
    for name in ["forest", "columns", "svc_probabilities", "scaled_and_normalised", "one_hot", "lightgbm_two"]
    {
        let case = cases.all().find(|case| case.name == name).unwrap();
        let model = load(&backends, "tract", name, &cases.model(case)).unwrap();
        assert_eq!(model.batching(), Batching::Rows, "{name}");
        assert!(model.footprint().host > 0, "{name}");
    }
}

fn answers_as_python_does(backend: &str) {
    let (Some(cases), Some(backends)) = (Cases::read(), backends(backend)) else { return };
    let mut failures = Vec::new();
    for case in cases.all() {
        let model = match load(&backends, backend, &case.name, &cases.model(case)) {
            Ok(model) => model,
            Err(error) => {
                failures.push(error.to_string());
                continue;
            }
        };
        for rows in BATCHES {
            let answer = run(&*model, &cases.inputs(case, rows));
            let expected = cases.outputs(case, rows).into_iter().zip(cases.scales(case));
            for ((name, found), (expected, scale)) in answer.iter().zip(expected) {
                if let Some(difference) = difference(found, &expected, scale) {
                    failures.push(format!("{}, {rows} rows: output `{name}`: {difference}", case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// A registry where the backend can be used; `None` where the machine lacks it.
pub(crate) fn backends(backend: &str) -> Option<BackendRegistry> {
    let library = if backend == "onnxruntime" { Some(samara_test::onnxruntime_library()?) } else { None };
    let libraries = library.into_iter().collect();
    Some(registry(&RegistryOptions { onnxruntime_libraries: libraries, ..RegistryOptions::default() }))
}

pub(crate) fn load(
    backends: &BackendRegistry,
    backend: &str,
    name: &str,
    bytes: &[u8],
) -> Result<Arc<dyn Model>> {
    let source = ModelSource {
        name: name.to_owned(),
        identity: name.to_owned(),
        format: Format::Onnx,
        bytes: bytes.to_vec().into(),
        beside: samara_nn::Beside::Nothing,
    };
    Ok(backends.load(&source, &Choice::from(backend), &LoadOptions::default())?.1)
}

pub(crate) fn run(model: &dyn Model, inputs: &[NamedTensor]) -> Vec<NamedTensor> {
    let inputs: Vec<Tensor> = model.signature().conform_inputs(inputs.to_vec()).unwrap();
    let outputs = model.session().unwrap().run(&inputs, &RunContext::default()).unwrap();
    let named = model.signature().name_outputs(outputs);
    // What the signature says of the outputs is true.
    model.signature().conform_outputs(named.clone()).unwrap();
    named
}
