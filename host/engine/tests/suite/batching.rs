//! Calls of several functions that share a model.

use std::sync::Arc;
use std::time::Duration;

use samara_engine::{CallOptions, Function, FunctionSource, Host, HostOptions, component_for_model};
use samara_nn::{BatchPolicy, Compute, Pool, Tensor};
use samara_test::onnx::{FP32, Model, ready};

use crate::support::{block_on, component, host, load, model_stage, source, with_model};

fn asking(mut source: FunctionSource, batch: BatchPolicy) -> FunctionSource {
    source.models.values_mut().for_each(|request| request.batch = Some(batch));
    source
}

fn direct(name: &str, bytes: Vec<u8>) -> FunctionSource {
    with_model(FunctionSource { stages: vec![model_stage("m")], ..source(name) }, "m", bytes)
}

fn row() -> Tensor {
    Tensor::from_vec([1, 1024], vec![0.5f32; 1024]).unwrap()
}

#[test]
fn functions_with_different_policies_share_one_model() {
    let host = host();
    let wide = BatchPolicy { max_rows: 64, delay: Duration::from_millis(1) };
    let one = load(&host, asking(direct("one", ready::matmul(64)), wide)).unwrap();
    let other = load(&host, asking(direct("other", ready::matmul(64)), BatchPolicy::OFF)).unwrap();
    let unasked = load(&host, direct("unasked", ready::matmul(64))).unwrap();
    assert_eq!(host.models().resident().len(), 1);
    assert_eq!(one.models()["m"].batch, wide);
    assert_eq!(other.models()["m"].batch, BatchPolicy::OFF);
    assert_eq!(unasked.models()["m"].batch, BatchPolicy::AUTOMATIC, "it is known to keep rows apart");
}

#[test]
fn a_model_without_rows_cannot_be_asked_to_merge() {
    let fixed = Model::new()
        .input("x", FP32, &["1", "2"])
        .node("Relu", &["x"], &["y"])
        .output("y", FP32, &["1", "2"])
        .bytes();
    let host = host();
    let error = load(&host, asking(direct("fixed", fixed.clone()), BatchPolicy::AUTOMATIC)).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("cannot be merged") && message.contains("`x FP32[1,2]` does not"), "{message}");
    assert!(load(&host, direct("fixed", fixed)).is_ok());
}

#[test]
fn guests_and_direct_calls_are_merged_and_say_so() {
    // One compute thread, which is held until all calls wait for it.
    let compute = Arc::new(Compute::new(1, 64));
    let backends = samara_backends::registry(&samara_backends::RegistryOptions::default());
    let models = Arc::new(Pool::new(backends, Arc::clone(&compute)));
    let host = Host::new(HostOptions { code_cache: None, code_cache_read_only: false, models, instances: 8 })
        .unwrap();
    let direct = load(&host, direct("direct", ready::matmul(1024))).unwrap();
    let forward = component_for_model("m", direct.signature().unwrap()).unwrap();
    let guest = with_model(component("guest", forward), "m", ready::matmul(1024));
    let functions = [direct, load(&host, guest).unwrap()];
    let call = |function: &Function| {
        let function = function.clone();
        async move { function.infer(vec![("x".to_owned(), row())], CallOptions::default()).await.unwrap() }
    };
    block_on(async {
        // The first call tells that the model takes long, which merging waits for.
        let alone = call(&functions[0]).await;
        let (release, gate) = std::sync::mpsc::channel::<()>();
        compute.submit(move || _ = gate.recv()).unwrap();
        let calls: Vec<_> = (0..6).map(|index| tokio::spawn(call(&functions[index % 2]))).collect();
        while functions[0].models()["m"].load().waiting < 6 {
            tokio::task::yield_now().await;
        }
        drop(release);
        for waiting in calls {
            let outcome = waiting.await.unwrap();
            let run = outcome.report.model_runs().next().unwrap();
            assert_eq!((run.batch_calls, run.batch_rows), (6, 6));
            let outputs = outcome.outputs[0].1.elements::<f32>().unwrap();
            let expected = alone.outputs[0].1.elements::<f32>().unwrap();
            assert!(outputs.iter().zip(expected.iter()).all(|(one, other)| (one - other).abs() < 1e-4));
        }
    });
}
