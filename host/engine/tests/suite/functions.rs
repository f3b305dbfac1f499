//! Functions that do what they should.

use samara_engine::{Compiled, ErrorKind, Kind, Reuse, component_for_model};
use samara_nn::{Datatype, Tensor};

use crate::support::*;

#[test]
fn tensors_go_in_and_come_out() {
    let host = host();
    let function = load(&host, guest("function_sum")).unwrap();
    assert_eq!(function.kind(), Kind::Function);
    assert_eq!(function.signature().unwrap().to_string(), "(a FP32[-1], b FP32[-1]) -> (sum FP32[-1])");
    let outputs = call(&function, vec![("b", floats(&[10.0, 20.0])), ("a", floats(&[1.0, 2.0]))]).unwrap();
    assert_eq!(outputs[0].0, "sum");
    assert_eq!(as_floats(&outputs), [11.0, 22.0]);
}

#[test]
fn every_datatype_passes_through_a_guest_unchanged() {
    let host = host();
    let function = load(&host, guest("function_datatypes")).unwrap();
    let inputs: Vec<(String, Tensor)> = function
        .signature()
        .unwrap()
        .inputs
        .iter()
        .map(|spec| {
            let tensor = match spec.datatype.size() {
                Some(size) if spec.datatype != Datatype::Bool => {
                    Tensor::new(spec.datatype, [2], (1..=2 * size as u8).collect::<Vec<u8>>()).unwrap()
                }
                Some(_) => Tensor::from_bools([2], &[true, false]).unwrap(),
                None => Tensor::from_elements([2], ["", "samara"]).unwrap(),
            };
            (spec.name.clone(), tensor)
        })
        .collect();
    assert_eq!(inputs.len(), Datatype::ALL.len());
    let given: Vec<(&str, Tensor)> =
        inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let outputs = call(&function, given).unwrap();
    for ((_, sent), (name, received)) in inputs.iter().zip(&outputs) {
        assert_eq!(sent, received, "{name}");
    }
}

#[test]
fn shapes_of_datatypes_that_wasi_nn_does_not_name_survive() {
    let host = host();
    let function = load(&host, guest("function_int16")).unwrap();
    let x = Tensor::from_vec([2, 3], vec![1i16, -2, 3, -4, 5, -6]).unwrap();
    let negate = Tensor::from_bools([6], &[true, true, true, true, false, false]).unwrap();
    let outputs = call(&function, vec![("x", x), ("negate", negate)]).unwrap();
    assert_eq!(outputs[0].1.shape(), [2, 3]);
    assert_eq!(outputs[0].1.elements::<i16>().unwrap().as_ref(), [-1, 2, -3, 4, 5, -6]);
    assert_eq!(outputs[1].1.datatype(), Datatype::Bool);
}

#[test]
fn a_guest_runs_the_models_that_it_is_granted() {
    let host = host();
    let function = load(&host, with_model(guest("function_model"), "m", double())).unwrap();
    assert_eq!(as_floats(&call(&function, vec![("x", floats(&[1.0, 2.5]))]).unwrap()), [2.0, 5.0]);

    let bare = load(&host, guest("function_model")).unwrap();
    let error = call(&bare, vec![("x", floats(&[1.0]))]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("no model `m` is granted to this function (granted: none)"),
        "{error}"
    );
}

#[test]
fn a_guest_brings_a_model_of_its_own() {
    let host = host();
    let function = load(&host, guest("function_model_bytes")).unwrap();
    let model = |bytes: Vec<u8>| Tensor::from_elements([1], [bytes]).unwrap();
    let x = || ("x", floats(&[3.0]));
    assert_eq!(as_floats(&call(&function, vec![("onnx", model(double())), x()]).unwrap()), [6.0]);
    let error = call(&function, vec![("onnx", model(b"no model".to_vec())), x()]).unwrap_err();
    assert!(error.to_string().contains("cannot read it"), "{error}");
}

#[test]
fn a_function_that_is_its_model_needs_no_component() {
    let host = host();
    let mut plain = with_model(source("double"), "double", double());
    plain.stages.push(model_stage("double"));
    let function = load(&host, plain).unwrap();
    assert_eq!(as_floats(&call(&function, vec![("", floats(&[4.0]))]).unwrap()), [8.0]);
}

#[test]
fn a_compiled_model_is_a_component_with_the_models_signature() {
    let host = host();
    let mut plain = with_model(source("double"), "double", double());
    plain.stages.push(model_stage("double"));
    let model = load(&host, plain).unwrap();
    let bytes = component_for_model("double", model.signature().unwrap()).unwrap();

    for reuse in [Reuse::Never, Reuse::Calls(100)] {
        let mut compiled = with_model(component("compiled", bytes.clone()), "double", double());
        compiled.reuse = reuse;
        let compiled = load(&host, compiled).unwrap();
        assert_eq!(compiled.signature(), model.signature());
        for _ in 0..5 {
            assert_eq!(as_floats(&call(&compiled, vec![("x", floats(&[4.0, -1.0]))]).unwrap()), [8.0, -2.0]);
        }
    }

    let without = load(&host, component("compiled", bytes)).unwrap();
    let error = call(&without, vec![("x", floats(&[4.0]))]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no model `double` is granted"), "{error}");
}

#[test]
fn instances_are_fresh_unless_reuse_is_asked_for() {
    let host = host();
    let calls = |function: &samara_engine::Function| {
        let outputs = call(function, vec![]).unwrap();
        outputs[0].1.elements::<i64>().unwrap()[0]
    };
    let fresh = load(&host, guest("function_counter")).unwrap();
    assert_eq!([calls(&fresh), calls(&fresh)], [1, 1]);

    let mut reusing = guest("function_counter");
    reusing.reuse = Reuse::Calls(2);
    let reused = load(&host, reusing).unwrap();
    assert_eq!([calls(&reused), calls(&reused), calls(&reused)], [1, 2, 1]);
}

#[test]
fn compiled_code_is_taken_from_the_cache() {
    let host = host();
    load(&host, guest("function_echo")).unwrap();
    let again = load(&host, guest("function_echo")).unwrap();
    assert!(matches!(again.load_report().components[0].1, Compiled::Cached(_)));
}

#[test]
fn a_model_is_shared_by_functions_and_let_go_of_with_the_last() {
    let host = host();
    let one = load(&host, with_model(guest("function_model"), "m", double())).unwrap();
    let two = load(&host, with_model(guest("function_model"), "m", double())).unwrap();
    assert_eq!(host.models().resident().len(), 1);
    assert_eq!(host.models().resident()[0].users, 2);
    drop((one, two));
    assert!(host.models().resident().is_empty());
}

#[test]
fn many_calls_run_side_by_side() {
    let host = host();
    let function = load(&host, with_model(guest("function_model"), "m", double())).unwrap();
    block_on(async {
        let calls: Vec<_> = (0..12)
            .map(|number| {
                let function = function.clone();
                let inputs = vec![("x".to_owned(), floats(&[number as f32]))];
                tokio::spawn(async move { function.infer(inputs, Default::default()).await })
            })
            .collect();
        for (number, call) in calls.into_iter().enumerate() {
            let outcome = call.await.unwrap().unwrap();
            assert_eq!(as_floats(&outcome.outputs), [2.0 * number as f32]);
        }
    });
}
