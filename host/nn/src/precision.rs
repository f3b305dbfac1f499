//! How exactly a model computes.

use std::fmt;
use std::str::FromStr;

/// How exactly a model computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// In the model's own datatypes.
    #[default]
    Exact,
    /// Large products of matrices round their operands to FP16, and add up in
    /// FP32.
    Fp16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Precision::Exact => "exact",
            Precision::Fp16 => "fp16",
        })
    }
}

/// A word that names no precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown precision `{0}`; use `exact` or `fp16`")]
pub struct UnknownPrecision(pub String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(word: &str) -> Result<Self, UnknownPrecision> {
        match word {
            "exact" => Ok(Precision::Exact),
            "fp16" => Ok(Precision::Fp16),
            _ => Err(UnknownPrecision(word.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_precisions_round_trip() {
        for precision in [Precision::Exact, Precision::Fp16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "half".parse::<Precision>().unwrap_err();
        assert_eq!(error.to_string(), "unknown precision `half`; use `exact` or `fp16`");
    }
}
