//! Models that are to compute in FP16: where they run, and what the engines say
//! that cannot.

use std::sync::Arc;

use samara_backends::{OnnxRuntime, Tract};
use samara_nn::{
    Backend, BackendRegistry, Choice, ErrorKind, Format, LoadOptions, Model, ModelSource, Precision, Result,
    Target,
};
use samara_test::Random;
use samara_test::onnx::ready;

use crate::{assert_close, backends, floats, load, run};

const WIDTH: usize = 128;

fn load_in_fp16(backends: &BackendRegistry, backend: &str, target: Target) -> Result<Arc<dyn Model>> {
    let source = ModelSource {
        name: "model".to_owned(),
        identity: "model".to_owned(),
        format: Format::Onnx,
        bytes: ready::matmul(WIDTH).into(),
        beside: samara_nn::Beside::Nothing,
    };
    let options = LoadOptions { target, precision: Precision::Fp16, ..LoadOptions::default() };
    Ok(backends.load(&source, &Choice::from(backend), &options)?.1)
}

#[test]
fn engines_on_the_cpu_refuse_it() {
    let tract: Arc<dyn Backend> = Arc::new(Tract::new(1 << 30));
    let onnxruntime: Arc<dyn Backend> = Arc::new(OnnxRuntime::new(Vec::new(), None, None, false));
    let backends = BackendRegistry::new(vec![tract, onnxruntime]);
    for backend in ["tract", "onnxruntime"] {
        let error = load_in_fp16(&backends, backend, Target::Cpu).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let expected = format!(
            "model `model`: {backend} does not support it: it computes in the model's own datatypes, not with \
             `precision = \"fp16\"`: leave `precision` out, or run the model by the backend `wgpu` on a GPU \
             (`target = \"gpu\"`)"
        );
        assert_eq!(error.to_string(), expected);
    }
    let error = load_in_fp16(&backends, "auto", Target::Cpu).err().unwrap();
    assert!(error.to_string().contains("not with `precision = \"fp16\"`"), "{error}");
}

#[test]
fn a_gpu_computes_in_it_or_says_why_not() {
    let Some(backends) = backends() else { return };
    match load_in_fp16(backends, "wgpu", Target::Gpu(None)) {
        Ok(fast) => {
            let exact = load("wgpu", &ready::matmul(WIDTH)).unwrap();
            let input = [floats(&mut Random::new(7), &[100, WIDTH])];
            let (found, expected) = (run(&*fast, &input), run(&*exact, &input));
            assert_close(&found[0], &expected[0], WIDTH as f32 / 512.0, "in FP16");
            assert_ne!(found[0].data(), expected[0].data(), "factors were rounded");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            let text = error.to_string();
            assert!(text.starts_with("model `model`: wgpu does not support it: the GPU adapter `"), "{text}");
            assert!(text.contains("does not compute with `precision = \"fp16\"`"), "{text}");
            // No other engine takes it over in silence.
            let error = load_in_fp16(backends, "auto", Target::GpuOrCpu).err().unwrap();
            assert!(error.to_string().contains("does not compute with `precision"), "{error}");
        }
    }
}
