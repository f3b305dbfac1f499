//! The cases as `tests/fixtures/tflite_models.py` wrote them.

use std::path::PathBuf;

use samara_nn::{NamedTensor, Tensor};
use serde::Deserialize;

use crate::stored::{self, Data, Stored};

/// All cases.
pub(crate) struct Cases {
    folder: PathBuf,
    cases: Vec<Case>,
    data: Data,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    inputs: Vec<Stored>,
    outputs: Vec<Stored>,
}

impl Cases {
    /// `None` where the tests' Python did not write them, which says so.
    pub(crate) fn read() -> Option<Self> {
        let folder = samara_test::target().join("fixtures/tflite");
        let (cases, data) = stored::read(&folder)?;
        Some(Self { folder, cases, data })
    }

    /// Those with answers.
    pub(crate) fn answered(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| !case.outputs.is_empty())
    }

    pub(crate) fn model(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(format!("{name}.tflite"))).unwrap()
    }

    pub(crate) fn inputs(&self, case: &Case) -> Vec<NamedTensor> {
        case.inputs.iter().map(|stored| self.named(stored)).collect()
    }

    /// What Python's LiteRT answers.
    pub(crate) fn outputs(&self, case: &Case) -> Vec<NamedTensor> {
        case.outputs.iter().map(|stored| self.named(stored)).collect()
    }

    fn named(&self, stored: &Stored) -> NamedTensor {
        (stored.name.clone(), self.data.tensor(stored))
    }
}

/// How a tensor differs from the one that is expected: floats by more than 1e-5 of the
/// largest, all else at all.
pub(crate) fn difference(found: &Tensor, expected: &Tensor) -> Option<String> {
    let kinds = [found, expected].map(|tensor| (tensor.datatype(), tensor.shape()));
    if kinds[0] != kinds[1] {
        return Some(format!("{:?}, not {:?}", kinds[0], kinds[1]));
    }
    let Ok(values) = expected.elements::<f32>() else {
        return (found.data() != expected.data()).then(|| "other values".to_owned());
    };
    let scale = values.iter().fold(1f32, |largest, value| largest.max(value.abs()));
    let found = found.elements::<f32>().unwrap();
    let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5 * scale || a.is_nan();
    let place = found.iter().zip(values.iter()).position(far)?;
    Some(format!("element {place} is {}, not {}", found[place], values[place]))
}
