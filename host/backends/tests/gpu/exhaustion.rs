//! Machines with too little memory, and without a driver: what is said, in a
//! process of its own.

use std::process::{Command, Stdio};

use samara_backends::{RegistryOptions, registry};
use samara_nn::{Choice, Format, LoadOptions, ModelSource, Probe, RunContext, Target, Tensor};
use samara_test::onnx::{FP32, Model, ready};

/// Has a test of this program run in a child, where this names it.
const CHILD: &str = "SAMARA_TEST_CHILD";

/// The test of the same name again, in a shell after `before`.
#[track_caller]
fn child(test: &str, before: &str) {
    let program = std::env::current_exe().unwrap();
    let script = format!("{before} exec \"$0\" --exact {test} --nocapture");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program).env(CHILD, test).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// So many copies of a tensor, each of them an output.
fn copies(count: usize) -> Vec<u8> {
    let names: Vec<String> = (0..count).map(|index| format!("y{index}")).collect();
    let model = Model::new().input("x", FP32, &["n"]);
    let model = names.iter().fold(model, |model, name| model.node("Exp", &["x"], &[name]));
    names.iter().fold(model, |model, name| model.output(name, FP32, &["n"])).bytes()
}

fn load(bytes: Vec<u8>) -> std::sync::Arc<dyn samara_nn::Model> {
    let options = RegistryOptions {
        allow_software_gpu: true,
        gpu_memory_limit: u64::MAX,
        ..RegistryOptions::default()
    };
    let source = ModelSource {
        name: "m".to_owned(),
        identity: "m".to_owned(),
        format: Format::Onnx,
        bytes: bytes.into(),
        beside: samara_nn::Beside::Nothing,
    };
    let target = LoadOptions { target: Target::Gpu(None), ..LoadOptions::default() };
    registry(&options).load(&source, &Choice::from("wgpu"), &target).unwrap().1
}

#[test]
fn a_device_without_memory_says_so_and_serves_on() {
    if !is_child() {
        if crate::backends().is_some() {
            // Address space is what a driver on the CPU takes its memory from.
            child("exhaustion::a_device_without_memory_says_so_and_serves_on", "ulimit -v 6000000;");
        }
        return;
    }
    let (many, small) = (load(copies(200)), load(ready::double()));
    let input = |length: usize| Tensor::from_vec([length], vec![0.5f32; length]).unwrap();
    let mut session = many.session().unwrap();
    // 200 outputs of 100 MB.
    let error = session.run(&[input(25_000_000)], &RunContext::default()).unwrap_err();
    assert!(error.to_string().contains("the GPU has no memory left for "), "{error}");
    for length in [1, 1000] {
        let outputs = session.run(&[input(length)], &RunContext::default()).unwrap();
        assert_eq!(outputs.len(), 200);
        let row = Tensor::from_vec([1, 4], vec![0.5f32; 4]).unwrap();
        assert!(small.session().unwrap().run(&[row], &RunContext::default()).is_ok());
    }
}

#[test]
fn a_machine_without_a_driver_says_so() {
    let test = "exhaustion::a_machine_without_a_driver_says_so";
    if !is_child() {
        return child(test, "export VK_DRIVER_FILES=/nowhere VK_ICD_FILENAMES=/nowhere;");
    }
    let options = RegistryOptions { allow_software_gpu: true, ..RegistryOptions::default() };
    let backends = registry(&options);
    let Probe::Unavailable { reason } = backends.named("wgpu").unwrap().probe() else {
        panic!("a driver was found in /nowhere")
    };
    assert!(reason.starts_with("no GPU adapter was found: "), "{reason}");
    let source = ModelSource {
        name: "m".to_owned(),
        identity: "m".to_owned(),
        format: Format::Onnx,
        bytes: ready::double().into(),
        beside: samara_nn::Beside::Nothing,
    };
    let target = LoadOptions { target: Target::Gpu(None), ..LoadOptions::default() };
    let error = backends.load(&source, &Choice::Auto, &target).err().unwrap();
    assert!(error.to_string().contains(&reason), "{error}");
    let target = LoadOptions { target: Target::GpuOrCpu, ..LoadOptions::default() };
    let (backend, model) = backends.load(&source, &Choice::Auto, &target).unwrap();
    assert_ne!(backend, "wgpu");
    assert!(model.elsewhere().iter().any(|part| part.contains(&reason)), "{:?}", model.elsewhere());
}
