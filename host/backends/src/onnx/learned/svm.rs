//! Support vector machines.

use super::super::quote;
use super::{Attributes, Fault, Labels, Transform};

/// How alike two vectors are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kernel {
    Linear,
    Poly { gamma: f32, offset: f32, degree: f32 },
    Rbf { gamma: f32 },
    Sigmoid { gamma: f32, offset: f32 },
}

/// Vectors with which rows are compared.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) kernel: Kernel,
    /// One behind the other; empty where the coefficients are for the features.
    pub(crate) vectors: Vec<f32>,
    pub(crate) coefficients: Vec<f32>,
    pub(crate) rho: Vec<f32>,
    /// How many features a row has.
    pub(crate) width: usize,
}

#[derive(Debug)]
pub(crate) struct SvmClassifier {
    pub(crate) machine: Machine,
    /// `None` where the coefficients are for the features, a row for each class.
    pub(crate) svc: Option<Svc>,
    pub(crate) labels: Labels,
    pub(crate) transform: Transform,
    pub(crate) all_positive: bool,
    /// Whether probabilities can be told.
    pub(crate) has_probabilities: bool,
}

/// One decision for each pair of classes.
#[derive(Debug)]
pub(crate) struct Svc {
    /// How many vectors each class has.
    pub(crate) counts: Vec<usize>,
    /// Empty, or two numbers for each pair.
    pub(crate) probabilities: Vec<(f32, f32)>,
}

#[derive(Debug)]
pub(crate) struct SvmRegressor {
    pub(crate) machine: Machine,
    /// Whether it only tells what belongs from what does not.
    pub(crate) one_class: bool,
}

impl SvmClassifier {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let labels = Labels::read(attributes, "classlabels_ints", "classlabels_strings")?;
        let transform = Transform::read(attributes)?;
        let counts = attributes.ints("vectors_per_class").iter().map(|&count| usize::try_from(count).ok());
        let counts = counts.collect::<Option<Vec<usize>>>();
        let counts = counts.ok_or_else(|| attributes.wrong("vectors_per_class", "has a negative element"))?;
        let total = counts.iter().try_fold(0usize, |total, &count| total.checked_add(count));
        let total =
            total.ok_or_else(|| attributes.wrong("vectors_per_class", "counts more than there can be"))?;
        let machine = Machine::read(attributes, total, labels.len())?;
        let (a, b) = (attributes.floats("prob_a")?, attributes.floats("prob_b")?);
        attributes.has_length("prob_b", b.len(), a.len())?;
        let svc = if total == 0 {
            None
        } else {
            attributes.has_length("vectors_per_class", counts.len(), labels.len())?;
            if counts.len() < 2 {
                return Err(attributes.fault("it tells fewer than two classes from each other"));
            }
            let pairs = counts.len() * (counts.len() - 1) / 2;
            attributes.has_length("coefficients", machine.coefficients.len(), (counts.len() - 1) * total)?;
            attributes.has_length("rho", machine.rho.len(), pairs)?;
            if !a.is_empty() {
                attributes.has_length("prob_a", a.len(), pairs)?;
            }
            if pairs == 1 && a.is_empty() && transform == Transform::Probit {
                return Err(attributes
                    .wrong("post_transform", "is PROBIT, which one score for two classes cannot take"));
            }
            Some(Svc { counts, probabilities: a.iter().copied().zip(b.iter().copied()).collect() })
        };
        let all_positive = machine.coefficients.iter().all(|&coefficient| coefficient >= 0.0);
        Ok(Self { machine, svc, labels, transform, all_positive, has_probabilities: !a.is_empty() })
    }

    pub(super) fn width(&self) -> usize {
        self.machine.width
    }
}

impl SvmRegressor {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let count = attributes.int("n_supports").unwrap_or(0);
        let count = usize::try_from(count).map_err(|_| attributes.wrong("n_supports", "is negative"))?;
        let machine = Machine::read(attributes, count, 1)?;
        if count > 0 {
            attributes.has_length("coefficients", machine.coefficients.len(), count)?;
        }
        Ok(Self { machine, one_class: attributes.int("one_class").unwrap_or(0) != 0 })
    }

    pub(super) fn width(&self) -> usize {
        self.machine.width
    }
}

impl Machine {
    /// With so many vectors, or so many rows of coefficients where there are none.
    fn read(attributes: &Attributes<'_>, vectors: usize, rows: usize) -> Result<Self, Fault> {
        let coefficients = attributes.floats("coefficients")?.to_vec();
        let rho = attributes.floats("rho")?.to_vec();
        for (name, list) in [("coefficients", &coefficients), ("rho", &rho)] {
            if list.is_empty() {
                return Err(attributes.wrong(name, "is missing"));
            }
        }
        if vectors == 0 {
            let (found, width) = (coefficients.len(), coefficients.len() / rows);
            attributes.has_length("coefficients", found, width.max(1) * rows)?;
            return Ok(Self { kernel: Kernel::Linear, vectors: Vec::new(), coefficients, rho, width });
        }
        let support = attributes.floats("support_vectors")?;
        let width = support.len() / vectors;
        let expected = width.max(1).saturating_mul(vectors);
        attributes.has_length("support_vectors", support.len(), expected)?;
        Ok(Self { kernel: Kernel::read(attributes)?, vectors: support.to_vec(), coefficients, rho, width })
    }
}

impl Kernel {
    fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let parameters = attributes.floats("kernel_params")?;
        if !parameters.is_empty() {
            attributes.has_length("kernel_params", parameters.len(), 3)?;
        }
        let (gamma, offset, degree) = match *parameters {
            [gamma, offset, degree] => (gamma, offset, degree),
            _ => (0.0, 0.0, 0.0),
        };
        Ok(match attributes.text("kernel_type")?.unwrap_or("LINEAR") {
            "LINEAR" => Kernel::Linear,
            "POLY" => Kernel::Poly { gamma, offset, degree },
            "RBF" => Kernel::Rbf { gamma },
            "SIGMOID" => Kernel::Sigmoid { gamma, offset },
            other => return Err(attributes.wrong("kernel_type", format!("is {}", quote(other)))),
        })
    }
}
