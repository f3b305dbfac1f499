//! What a model took is the system's again once nobody holds the model. A test
//! program of its own: it looks at the memory of the whole process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::sync::{Mutex, PoisonError};

use samara_backends::{RegistryOptions, registry};
use samara_nn::{Choice, Format, LoadOptions, ModelSource, RunContext, Tensor};
use samara_test::onnx::ready;

const ROWS: usize = 40_000;
const WIDTH: usize = 512;

#[test]
fn memory_is_given_back() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let libraries = samara_test::onnxruntime_library();
    let names = if libraries.is_some() { vec!["tract", "onnxruntime"] } else { vec!["tract"] };
    let backends = registry(&RegistryOptions {
        onnxruntime_libraries: libraries.into_iter().collect(),
        onnxruntime_memory_limit: Some(1 << 30),
        ..RegistryOptions::default()
    });
    for name in names {
        // What a backend takes once is not what is measured.
        let once = |rows: usize| {
            let source = ModelSource {
                name: "wide".to_owned(),
                identity: "wide".to_owned(),
                format: Format::Onnx,
                bytes: ready::slow(WIDTH, 6).into(),
                beside: samara_nn::Beside::Nothing,
            };
            let (_, model) = backends.load(&source, &Choice::from(name), &LoadOptions::default()).unwrap();
            let input = Tensor::from_vec([rows, WIDTH], vec![0.5f32; rows * WIDTH]).unwrap();
            model.session().unwrap().run(&[input], &RunContext::default()).unwrap();
        };
        once(1);
        let before = resident();
        once(ROWS);
        let left = resident().saturating_sub(before);
        assert!(left < 32 << 20, "{name} still holds {} MiB", left >> 20);
    }
}

/// Sessions that run one thread each take the weights once, all of them together.
#[test]
fn weights_are_there_once_however_many_sessions() {
    const SESSIONS: usize = 8;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(library) = samara_test::onnxruntime_library() else { return };
    let backends =
        registry(&RegistryOptions { onnxruntime_libraries: vec![library], ..RegistryOptions::default() });
    let source = ModelSource {
        name: "matmul".to_owned(),
        identity: "matmul".to_owned(),
        format: Format::Onnx,
        bytes: ready::matmul(WEIGHTS).into(),
        beside: samara_nn::Beside::Nothing,
    };
    let (_, model) = backends.load(&source, &Choice::from("onnxruntime"), &LoadOptions::default()).unwrap();
    let input = [Tensor::from_vec([1, WEIGHTS], vec![0.5f32; WEIGHTS]).unwrap()];
    let open = || {
        let mut session = model.session().unwrap();
        session.run(&input, &RunContext::default()).unwrap();
        session
    };
    let first = open();
    let before = resident();
    let others: Vec<_> = (1..SESSIONS).map(|_| open()).collect();
    let more = resident().saturating_sub(before);
    let weights = (WEIGHTS * WEIGHTS * 4) as u64;
    assert!(more < weights / 2, "{SESSIONS} sessions take {} MiB more than one", more >> 20);
    drop((first, others));
}

/// What one test takes, another would count.
static ALONE: Mutex<()> = Mutex::new(());

/// A square matrix of this width is 16 MiB of weights.
const WEIGHTS: usize = 2048;

/// Bytes of this process that lie in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}
