//! What changes the numbers of a row one by one, or all by one factor.

use super::super::quote;
use super::{Attributes, Fault};

/// `(x - offset) * scale`, each for all features or of one element per feature.
#[derive(Debug)]
pub(crate) struct Scaler {
    pub(crate) offset: Vec<f32>,
    pub(crate) scale: Vec<f32>,
}

/// Divides rows by what they measure.
#[derive(Debug)]
pub(crate) struct Normalizer {
    pub(crate) norm: Norm,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Norm {
    Max,
    L1,
    L2,
}

/// 1 for what is above the threshold, 0 for the rest.
#[derive(Debug)]
pub(crate) struct Binarizer {
    pub(crate) threshold: f32,
}

/// Puts others in the place of values that mark what is missing.
#[derive(Debug)]
pub(crate) struct Imputer {
    pub(crate) values: Imputed,
}

/// The mark, and what takes its place: in all features or in each.
#[derive(Debug)]
pub(crate) enum Imputed {
    Floats { mark: f32, values: Vec<f32> },
    Ints { mark: i64, values: Vec<i64> },
}

/// Puts the features of several tensors side by side.
#[derive(Debug)]
pub(crate) struct FeatureVectorizer {
    /// How many features each input has.
    pub(crate) widths: Vec<usize>,
}

impl Scaler {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let (offset, scale) = (attributes.floats("offset")?.to_vec(), attributes.floats("scale")?.to_vec());
        if scale.is_empty() {
            return Err(attributes.wrong("scale", "is missing"));
        }
        attributes.has_length("offset", offset.len(), scale.len())?;
        Ok(Self { offset, scale })
    }
}

impl Normalizer {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let norm = match attributes.text("norm")?.unwrap_or("MAX") {
            "MAX" => Norm::Max,
            "L1" => Norm::L1,
            "L2" => Norm::L2,
            other => return Err(attributes.wrong("norm", format!("is {}", quote(other)))),
        };
        Ok(Self { norm })
    }
}

impl Binarizer {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        let threshold = attributes.float("threshold").unwrap_or(0.0);
        if threshold.is_nan() {
            return Err(attributes.wrong("threshold", "is not a number"));
        }
        Ok(Self { threshold })
    }
}

impl Imputer {
    pub(super) fn read(attributes: &Attributes<'_>) -> Result<Self, Fault> {
        const FLOATS: &str = "imputed_value_floats";
        const INTS: &str = "imputed_value_int64s";
        let values = match (attributes.floats(FLOATS)?, attributes.ints(INTS)) {
            ([], []) => return Err(attributes.fault(format!("it has neither `{FLOATS}` nor `{INTS}`"))),
            (floats, []) => Imputed::Floats {
                mark: attributes.float("replaced_value_float").unwrap_or(0.0),
                values: floats.to_vec(),
            },
            ([], ints) => Imputed::Ints {
                mark: attributes.int("replaced_value_int64").unwrap_or(0),
                values: ints.to_vec(),
            },
            _ => return Err(attributes.wrong(INTS, format!("is there beside `{FLOATS}`"))),
        };
        Ok(Self { values })
    }
}

impl Imputed {
    pub(crate) fn len(&self) -> usize {
        match self {
            Imputed::Floats { values, .. } => values.len(),
            Imputed::Ints { values, .. } => values.len(),
        }
    }
}

impl FeatureVectorizer {
    pub(super) fn read(attributes: &Attributes<'_>, inputs: usize) -> Result<Self, Fault> {
        const NAME: &str = "inputdimensions";
        let widths = attributes.ints(NAME);
        attributes.has_length(NAME, widths.len(), inputs)?;
        let sizes = widths.iter().map(|&width| u32::try_from(width).ok().map(|width| width as usize));
        let widths = sizes.collect::<Option<Vec<_>>>();
        Ok(Self { widths: widths.ok_or_else(|| attributes.wrong(NAME, "has a size that is none"))? })
    }
}
