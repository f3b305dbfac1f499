//! A hundred instances of one function hold one copy of its weights.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use samara_engine::{
    Function, FunctionSource, Grants, GuestOutput, Host, HostOptions, Limits, ModelRequest, Reuse,
    StageSource, sha256,
};
use samara_nn::{Choice, Compute, Format, LoadOptions, ModelSource, Pool, Tensor};
use samara_test::{onnx, resident_bytes};

const WIDTH: usize = 4096;
const WEIGHTS: u64 = (WIDTH * WIDTH * 4) as u64;

#[test]
fn a_hundred_instances_share_one_copy_of_the_weights() {
    let compute = Arc::new(Compute::new(1, 1024));
    let backends = samara_backends::registry(&samara_backends::RegistryOptions::default());
    let models = Arc::new(Pool::new(backends, Arc::clone(&compute)));
    let host =
        Host::new(HostOptions { code_cache: None, code_cache_read_only: false, models, instances: 128 })
            .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let function = runtime.block_on(Function::load(&host, source())).unwrap();

    let one = resident_with(1, &runtime, &function, &compute);
    let hundred = resident_with(100, &runtime, &function, &compute);
    let added = hundred.saturating_sub(one);
    // A copy each would add 99 times the weights.
    assert!(added < 2 * WEIGHTS, "99 more instances add {} MiB", added >> 20);
    assert!(added / 99 < 1 << 20, "each instance adds {} KiB", (added / 99) >> 10);

    drop(function);
    assert!(host.models().resident().is_empty(), "the last function takes the model with it");
    let after = resident_bytes();
    assert!(
        after + WEIGHTS / 2 < hundred,
        "{} MiB are resident after the unload, {} MiB before",
        after >> 20,
        hundred >> 20
    );
}

/// Memory while this many instances are inside a call, all waiting for the
/// model.
fn resident_with(
    instances: usize,
    runtime: &tokio::runtime::Runtime,
    function: &Function,
    compute: &Compute,
) -> u64 {
    let (release, gate) = mpsc::channel::<()>();
    compute
        .submit(move || {
            let _ = gate.recv();
        })
        .unwrap();
    runtime.block_on(async {
        let calls: Vec<_> = (0..instances)
            .map(|_| {
                let function = function.clone();
                let input = Tensor::from_vec([1, WIDTH], vec![1f32; WIDTH]).unwrap();
                tokio::spawn(async move {
                    function.infer(vec![("x".to_owned(), input)], Default::default()).await
                })
            })
            .collect();
        while compute.waiting() < instances {
            tokio::task::yield_now().await;
        }
        let resident = resident_bytes();
        drop(release);
        for call in calls {
            call.await.unwrap().unwrap();
        }
        resident
    })
}

fn source() -> FunctionSource {
    let bytes = onnx::ready::matmul(WIDTH);
    let model = ModelSource {
        name: "m".to_owned(),
        identity: sha256(&bytes),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    };
    let request =
        ModelRequest { source: model, choice: Choice::Auto, options: LoadOptions::default(), batch: None };
    let component = std::fs::read(samara_test::guest("function_rows")).unwrap();
    FunctionSource {
        name: "rows".to_owned(),
        stages: vec![StageSource::Component {
            name: "rows".to_owned(),
            bytes: component.into(),
            rename: BTreeMap::new(),
        }],
        models: BTreeMap::from([("m".to_owned(), request)]),
        limits: Limits { deadline: Duration::from_secs(600), ..Limits::default() },
        grants: Grants::default(),
        reuse: Reuse::Never,
        output: GuestOutput::Discard,
    }
}
