//! The cases as `tests/fixtures/onnx_nodes.py` wrote them.

use std::path::PathBuf;

use samara_nn::{Datatype, NamedTensor, Tensor};
use serde::Deserialize;

use crate::stored::{self, Data, Stored};

/// All cases.
pub(crate) struct Suite {
    cases: Vec<Case>,
    data: Data,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) operator: String,
    /// What it holds that is no tensor of a datatype of ours.
    #[serde(default)]
    left_out: Option<String>,
    #[serde(default)]
    model: [usize; 2],
    /// Empty where it has one input.
    #[serde(default)]
    constant: [usize; 2],
    #[serde(default)]
    inputs: Vec<Stored>,
    #[serde(default)]
    outputs: Vec<Stored>,
}

impl Suite {
    /// `None` where the tests' Python did not write them, which says so.
    pub(crate) fn read() -> Option<Self> {
        let folder: PathBuf = samara_test::target().join("fixtures/onnx-nodes");
        let (cases, data) = stored::read(&folder)?;
        Some(Self { cases, data })
    }

    /// Those that can be fed and compared.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| case.left_out.is_none())
    }

    /// What keeps the others from it, each kind with how many.
    pub(crate) fn left_out(&self) -> Vec<(&str, usize)> {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for kind in self.cases.iter().filter_map(|case| case.left_out.as_deref()) {
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((kind, 1)),
            }
        }
        kinds.sort_unstable();
        kinds
    }

    pub(crate) fn model(&self, case: &Case) -> &[u8] {
        self.data.bytes(case.model)
    }

    /// The model with constants for all inputs but the first, where there are more.
    pub(crate) fn with_constants(&self, case: &Case) -> Option<&[u8]> {
        Some(self.data.bytes(case.constant)).filter(|bytes| !bytes.is_empty())
    }

    pub(crate) fn inputs(&self, case: &Case) -> Vec<NamedTensor> {
        case.inputs.iter().map(|stored| (stored.name.clone(), self.data.tensor(stored))).collect()
    }

    pub(crate) fn outputs(&self, case: &Case) -> Vec<NamedTensor> {
        case.outputs.iter().map(|stored| (stored.name.clone(), self.data.tensor(stored))).collect()
    }

    /// How these outputs differ from those of the case.
    pub(crate) fn difference(&self, case: &Case, found: &[NamedTensor]) -> Option<String> {
        if found.len() != case.outputs.len() {
            return Some(format!("{} outputs, not {}", found.len(), case.outputs.len()));
        }
        case.outputs.iter().zip(found).find_map(|(expected, (_, found))| {
            let difference = difference(found, &self.data.tensor(expected))?;
            Some(format!("output `{}`: {difference}", expected.name))
        })
    }
}

fn difference(found: &Tensor, expected: &Tensor) -> Option<String> {
    let kinds = [found, expected].map(|tensor| (tensor.datatype(), tensor.shape()));
    if kinds[0] != kinds[1] {
        return Some(format!("{:?}, not {:?}", kinds[0], kinds[1]));
    }
    let floats = floats(found).zip(floats(expected));
    let Some((found_floats, expected_floats)) = floats else {
        return (found.data() != expected.data()).then(|| "other values".to_owned());
    };
    // ONNX's own tolerance, and as much more as halves of 16 bits take; what
    // should cancel out leaves a trace of what it was made of.
    let relative = if found.datatype() == Datatype::Fp16 { 4e-3 } else { 1e-3 };
    let largest =
        expected_floats.iter().filter(|value| value.is_finite()).fold(1.0f64, |a, b| a.max(b.abs()));
    let equal = |(&found, &expected): (&f64, &f64)| {
        found == expected
            || (found.is_nan() && expected.is_nan())
            || (found - expected).abs() <= 1e-6 * largest + relative * expected.abs()
    };
    let place = found_floats.iter().zip(&expected_floats).position(|pair| !equal(pair))?;
    Some(format!("element {place} is {}, not {}", found_floats[place], expected_floats[place]))
}

/// The elements of a tensor of floats.
fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.datatype() {
        Datatype::Fp16 => {
            Some(tensor.elements::<half::f16>().unwrap().iter().map(|value| value.to_f64()).collect())
        }
        Datatype::Fp32 => Some(tensor.elements::<f32>().unwrap().iter().copied().map(f64::from).collect()),
        Datatype::Fp64 => Some(tensor.elements::<f64>().unwrap().to_vec()),
        _ => None,
    }
}
