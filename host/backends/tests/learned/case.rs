//! The cases as `tests/fixtures/sklearn_models.py` wrote them.

use std::path::PathBuf;

use samara_nn::{Datatype, NamedTensor, Tensor};
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
    trained: Vec<Option<Stored>>,
}

impl Cases {
    /// `None` where the tests' Python did not write them, which says so.
    pub(crate) fn read() -> Option<Self> {
        let folder = samara_test::target().join("fixtures/sklearn");
        let (cases, data) = stored::read(&folder)?;
        Some(Self { folder, cases, data })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter()
    }

    pub(crate) fn model(&self, case: &Case) -> Vec<u8> {
        std::fs::read(self.folder.join(format!("{}.onnx", case.name))).unwrap()
    }

    /// The first rows of the inputs.
    pub(crate) fn inputs(&self, case: &Case, rows: usize) -> Vec<NamedTensor> {
        case.inputs.iter().map(|stored| (stored.name.clone(), self.rows(stored, rows))).collect()
    }

    /// The first rows of what Python's onnxruntime answers.
    pub(crate) fn outputs(&self, case: &Case, rows: usize) -> Vec<Tensor> {
        case.outputs.iter().map(|stored| self.rows(stored, rows)).collect()
    }

    /// The largest number of each output, over all rows.
    pub(crate) fn scales(&self, case: &Case) -> Vec<f64> {
        let largest = |tensor: &Tensor| numbers(tensor).iter().fold(1e-3f64, |a, b| a.max(b.abs()));
        let scale = |tensor: &Tensor| if tensor.datatype().is_float() { largest(tensor) } else { 0.0 };
        self.outputs(case, 256).iter().map(scale).collect()
    }

    /// What the model that was converted answers, where it does.
    pub(crate) fn trained(&self, case: &Case) -> Vec<Option<Tensor>> {
        let all = |stored: &Stored| self.rows(stored, stored.shape[0]);
        case.trained.iter().map(|stored| stored.as_ref().map(all)).collect()
    }

    fn rows(&self, stored: &Stored, rows: usize) -> Tensor {
        let whole = self.data.tensor(stored);
        let datatype = whole.datatype();
        let mut shape = stored.shape.clone();
        shape[0] = rows;
        let count: usize = shape.iter().product();
        match datatype.size() {
            Some(size) => Tensor::new(datatype, shape, whole.data()[..count * size].to_vec()).unwrap(),
            None => Tensor::from_elements(shape, &whole.byte_strings().unwrap()[..count]).unwrap(),
        }
    }
}

/// How a tensor differs from the one that is expected: numbers by more than 1e-5
/// of the scale, all else at all.
pub(crate) fn difference(found: &Tensor, expected: &Tensor, scale: f64) -> Option<String> {
    let kinds = [found, expected].map(|tensor| (tensor.datatype(), tensor.shape()));
    if kinds[0] != kinds[1] {
        return Some(format!("{:?}, not {:?}", kinds[0], kinds[1]));
    }
    if !expected.datatype().is_float() {
        return (found.data() != expected.data()).then(|| "other values".to_owned());
    }
    let (found, expected) = (numbers(found), numbers(expected));
    let differs = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-5 * scale;
    let place = found.iter().zip(&expected).position(|pair| differs(pair) || pair.0.is_nan())?;
    Some(format!("element {place} is {}, not {}", found[place], expected[place]))
}

/// How many of the elements differ, numbers by more than a hair: 0 for none, 1 for
/// all. Whole numbers may be of another type.
pub(crate) fn share_of_differences(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.len(), expected.len());
    let differing = if expected.datatype() == Datatype::Bytes {
        let pairs = found.byte_strings().unwrap().into_iter().zip(expected.byte_strings().unwrap());
        pairs.filter(|(a, b)| a != b).count()
    } else {
        let (found, expected) = (numbers(found), numbers(expected));
        let differs = |(a, b): &(&f64, &f64)| a.is_nan() || (*a - *b).abs() > 1e-5 * b.abs().max(1.0);
        found.iter().zip(&expected).filter(differs).count()
    };
    differing as f64 / found.len() as f64
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    match tensor.datatype() {
        Datatype::Fp32 => tensor.elements::<f32>().unwrap().iter().copied().map(f64::from).collect(),
        Datatype::Int64 => tensor.elements::<i64>().unwrap().iter().map(|&number| number as f64).collect(),
        _ => tensor.elements::<f64>().unwrap().to_vec(),
    }
}
