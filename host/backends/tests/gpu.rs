//! What the GPU computes against what tract computes of the same model, on
//! shapes and values that come again with their seed.

#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]

#[path = "gpu/attention.rs"]
mod attention;
#[path = "gpu/elements.rs"]
mod elements;
#[path = "gpu/exact.rs"]
mod exact;
#[path = "gpu/exhaustion.rs"]
mod exhaustion;
#[path = "gpu/families.rs"]
mod families;
#[path = "gpu/images.rs"]
mod images;
#[path = "gpu/indexing.rs"]
mod indexing;
#[path = "gpu/limits.rs"]
mod limits;
#[path = "gpu/matmul.rs"]
mod matmul;
#[path = "gpu/mixed.rs"]
mod mixed;
#[path = "gpu/models.rs"]
mod models;
#[path = "gpu/ordering.rs"]
mod ordering;
#[path = "gpu/precision.rs"]
mod precision;
#[path = "gpu/quantised.rs"]
mod quantised;
#[path = "gpu/recurrent.rs"]
mod recurrent;
#[path = "gpu/resampling.rs"]
mod resampling;
#[path = "gpu/rounds.rs"]
mod rounds;
#[path = "gpu/rows.rs"]
mod rows;
#[path = "gpu/shapes.rs"]
mod shapes;
#[path = "gpu/signals.rs"]
mod signals;

use std::sync::{Arc, OnceLock};

use samara_backends::{RegistryOptions, registry};
use samara_nn::{
    BackendRegistry, Batching, Choice, Format, LoadOptions, Model, ModelSource, Probe, Result, RunContext,
    Target, Tensor,
};
use samara_test::Random;

/// The backends of this build; `None` where no GPU is, not even a software one.
pub(crate) fn backends() -> Option<&'static BackendRegistry> {
    static BACKENDS: OnceLock<BackendRegistry> = OnceLock::new();
    let backends = BACKENDS.get_or_init(|| {
        registry(&RegistryOptions { allow_software_gpu: true, ..RegistryOptions::default() })
    });
    let probe = backends.named("wgpu").unwrap().probe();
    let missing = if let Probe::Unavailable { reason } = &probe { Some(reason.as_str()) } else { None };
    samara_test::has_gpu(missing).then_some(backends)
}

/// Loads with a backend, or says what it says.
pub(crate) fn load(backend: &str, bytes: &[u8]) -> Result<Arc<dyn Model>> {
    let target = if backend == "wgpu" { Target::Gpu(None) } else { Target::Cpu };
    let source = ModelSource {
        name: "model".to_owned(),
        identity: "model".to_owned(),
        format: Format::Onnx,
        bytes: bytes.to_vec().into(),
        beside: samara_nn::Beside::Nothing,
    };
    let options = LoadOptions { target, ..LoadOptions::default() };
    Ok(backends().unwrap().load(&source, &Choice::from(backend), &options)?.1)
}

/// One model on both sides.
pub(crate) struct Pair {
    pub(crate) gpu: Arc<dyn Model>,
    pub(crate) cpu: Arc<dyn Model>,
}

impl Pair {
    /// `None` where there is no GPU.
    pub(crate) fn load(bytes: &[u8]) -> Option<Self> {
        backends()?;
        let (gpu, cpu) = (load("wgpu", bytes).unwrap(), load("tract", bytes).unwrap());
        assert_eq!(gpu.signature(), cpu.signature());
        // What gains nothing on the CPU is not merged there.
        assert!(cpu.batching() == Batching::None || gpu.batching() == Batching::Rows);
        Some(Self { gpu, cpu })
    }

    /// Runs both and compares every element.
    pub(crate) fn agree(&self, inputs: &[Tensor], tolerance: f32) {
        let (found, expected) = (run(&*self.gpu, inputs), run(&*self.cpu, inputs));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            let shapes: Vec<&[usize]> = inputs.iter().map(Tensor::shape).collect();
            assert_close(found, expected, tolerance, &format!("for inputs of {shapes:?}"));
        }
    }
}

pub(crate) fn run(model: &dyn Model, inputs: &[Tensor]) -> Vec<Tensor> {
    model.session().unwrap().run(inputs, &RunContext::default()).unwrap()
}

/// Floats within a tolerance relative to the larger of 1 and the expected value;
/// all else equal.
pub(crate) fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f32, what: &str) {
    assert_eq!((found.datatype(), found.shape()), (expected.datatype(), expected.shape()), "{what}");
    let (Ok(one), Ok(other)) = (found.elements::<f32>(), expected.elements::<f32>()) else {
        assert_eq!(found.data(), expected.data(), "{what}");
        return;
    };
    for (index, (&found, &expected)) in one.iter().zip(other.iter()).enumerate() {
        let equal = found == expected || (found.is_nan() && expected.is_nan());
        let bound = tolerance * expected.abs().max(1.0);
        assert!(
            equal || (found - expected).abs() <= bound,
            "element {index} is {found}, not {expected}, {what}"
        );
    }
}

pub(crate) fn floats(random: &mut Random, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_vec(shape, random.floats(count)).unwrap()
}
