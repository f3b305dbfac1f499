//! Sums of weighted features.

use super::{Attributes, Fault, Labels, Transform};

/// A class by the largest of some sums.
#[derive(Debug)]
pub(crate) struct LinearClassifier {
    /// One row of weights per sum.
    pub(crate) coefficients: Vec<f32>,
    pub(crate) intercepts: Vec<f32>,
    /// How many features a row has.
    pub(crate) width: usize,
    pub(crate) labels: Labels,
    pub(crate) transform: Transform,
}

/// Some sums.
#[derive(Debug)]
pub(crate) struct LinearRegressor {
    /// One row of weights per sum.
    pub(crate) coefficients: Vec<f32>,
    pub(crate) intercepts: Vec<f32>,
    /// How many features a row has.
    pub(crate) width: usize,
    pub(crate) transform: Transform,
}

impl LinearClassifier {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let labels = Labels::read(attributes, "classlabels_ints", "classlabels_strings")?;
        let transform = Transform::read(attributes)?;
        let mut intercepts = attributes.floats("intercepts")?.to_vec();
        if intercepts.is_empty() {
            intercepts = vec![0.0; labels.len()];
        }
        let sums = intercepts.len();
        if sums != 1 || labels.len() != 2 {
            attributes.has_length("intercepts", sums, labels.len().max(2))?;
        }
        if sums == 1 && transform == Transform::Probit {
            return Err(
                attributes.wrong("post_transform", "is PROBIT, which one sum for two classes cannot take")
            );
        }
        let (coefficients, width) = matrix(attributes, sums)?;
        Ok(Self { coefficients, intercepts, width, labels, transform })
    }
}

impl LinearRegressor {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let targets = attributes.int("targets").unwrap_or(1);
        let most = attributes.floats("coefficients")?.len();
        let targets = usize::try_from(targets).ok().filter(|targets| (1..=most).contains(targets));
        let targets = targets.ok_or_else(|| {
            attributes.wrong("targets", format!("does not fit the {most} elements of `coefficients`"))
        })?;
        let mut intercepts = attributes.floats("intercepts")?.to_vec();
        // As ONNX Runtime does: intercepts of another number do not count.
        if intercepts.len() != targets {
            intercepts = vec![0.0; targets];
        }
        let (coefficients, width) = matrix(attributes, targets)?;
        Ok(Self { coefficients, intercepts, width, transform: Transform::read(attributes)? })
    }
}

/// The coefficients, and how many each sum has.
fn matrix(attributes: &Attributes<'_>, sums: usize) -> Result<(Vec<f32>, usize), Fault> {
    const NAME: &str = "coefficients";
    let coefficients = attributes.floats(NAME)?;
    if coefficients.is_empty() || coefficients.len() % sums != 0 {
        let found = coefficients.len();
        return Err(attributes.wrong(NAME, format!("has {found} elements, which {sums} sums cannot share")));
    }
    Ok((coefficients.to_vec(), coefficients.len() / sums))
}
