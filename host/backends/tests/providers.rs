//! GPUs by ONNX Runtime's providers, where the library or the machine has none:
//! what is said, and that nothing else runs instead.

#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::PathBuf;

use samara_backends::{Provider, RegistryOptions, registry};
use samara_nn::{
    BackendRegistry, Choice, ErrorKind, Format, LoadOptions, ModelSource, Probe, RunContext, Target, Tensor,
};
use samara_test::onnx::ready;

/// The backends with a provider; `None` where there is no ONNX Runtime.
fn with(provider: Provider) -> Option<BackendRegistry> {
    Some(registry(&RegistryOptions {
        onnxruntime_libraries: vec![samara_test::onnxruntime_library()?],
        onnxruntime_provider: Some(provider),
        ..RegistryOptions::default()
    }))
}

fn load(
    backends: &BackendRegistry,
    target: Target,
) -> samara_nn::Result<std::sync::Arc<dyn samara_nn::Model>> {
    let source = ModelSource {
        name: "m".to_owned(),
        identity: "m".to_owned(),
        format: Format::Onnx,
        bytes: ready::classifier().into(),
        beside: samara_nn::Beside::Nothing,
    };
    let options = LoadOptions { target, ..LoadOptions::default() };
    Ok(backends.load(&source, &Choice::from("onnxruntime"), &options)?.1)
}

/// Loads for a GPU, which must fail, and says why; the CPU works on.
fn refusal(provider: Provider) -> Option<String> {
    let backends = with(provider)?;
    let error = load(&backends, Target::Gpu(None)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let Probe::Unavailable { reason } = backends.named("onnxruntime").unwrap().probe() else {
        panic!("a provider that is not there is not told")
    };
    assert_eq!(error.to_string(), format!("target `gpu`: {reason}"));
    let model = load(&backends, Target::Cpu).unwrap();
    assert!(model.elsewhere().is_empty());
    let row = Tensor::from_vec([1, 4], vec![0.5f32; 4]).unwrap();
    assert!(model.session().unwrap().run(&[row], &RunContext::default()).is_ok());
    Some(reason)
}

#[test]
fn a_provider_that_the_library_lacks_is_named() {
    for (provider, name) in [(Provider::Cuda, "cuda"), (Provider::TensorRt, "tensorrt")] {
        let Some(reason) = refusal(provider) else { return };
        assert_eq!(reason, format!("this build of ONNX Runtime has no provider `{name}`"));
    }
}

#[test]
fn a_plugin_that_is_none_is_refused() {
    let Some(library) = samara_test::onnxruntime_library() else { return };
    let missing = PathBuf::from("/nowhere/libprovider.so");
    let reason = refusal(Provider::Plugin(missing)).unwrap();
    assert!(reason.starts_with("`/nowhere/libprovider.so` cannot be read: "), "{reason}");
    let reason = refusal(Provider::Plugin(library)).unwrap();
    assert!(reason.contains(" cannot be used: "), "{reason}");
}

#[test]
fn a_gpu_without_a_provider_is_refused() {
    let Some(library) = samara_test::onnxruntime_library() else { return };
    let options = RegistryOptions { onnxruntime_libraries: vec![library], ..RegistryOptions::default() };
    let error = load(&registry(&options), Target::Gpu(None)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.to_string(), "target `gpu`: backend `onnxruntime` does not run models there");
}
