//! What a model took is the system's again once nobody holds the model. A test
//! program of its own: it looks at the memory of the whole process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

use samara_backends::{RegistryOptions, registry};
use samara_nn::{Choice, Format, LoadOptions, ModelSource, RunContext, Tensor};
use samara_test::onnx::ready;

const ROWS: usize = 40_000;
const WIDTH: usize = 512;

#[test]
fn memory_is_given_back() {
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
                path: None,
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

/// Bytes of this process that lie in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}
