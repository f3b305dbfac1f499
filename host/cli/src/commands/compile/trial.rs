//! Whether two functions answer the same: a model in an engine of this host, and the
//! component that was made of it.

use anyhow::{Context, Result, bail};
use samara_nn::{Datatype, NamedTensor, Tensor};

use crate::compare;
use crate::compose::Loaded;
use crate::input::{self, InputArg};

use super::made_up::{self, Asked};

/// How far an answer may be off, as a part of the largest value of its output.
const TOLERANCE: f64 = 1e-4;

/// What a model answered on this host.
pub(super) struct Trial {
    pub(super) backend: &'static str,
    asked: Vec<Asked>,
}

/// Asks the model what is made up, and what the user gives.
///
/// # Errors
/// When it answers nothing that could be compared.
pub(super) fn ask(model: &Loaded, checks: &[InputArg]) -> Result<Trial> {
    let Some(signature) = model.function.signature() else { bail!("the model has no signature") };
    let backend = model.function.models().values().next().map_or("this host", |used| used.model.backend());
    let mut asked = made_up::requests(signature, |inputs| model.infer(inputs).map(|answer| answer.outputs));
    if !checks.is_empty() {
        let Some(request) = input::read(checks, signature)? else { bail!("`--check` gives no inputs") };
        let outputs =
            model.infer(request.inputs.clone()).context("the model does not take what `--check` gives")?;
        asked = Ok(asked.into_iter().flatten().chain([(request.inputs, outputs.outputs)]).collect());
    }
    const HINT: &str = "hint: give some that it does with `--check`";
    let asked = asked.with_context(|| {
        format!("the model takes none of the inputs that were made up to try the component on\n{HINT}")
    })?;
    if asked.is_empty() {
        bail!("the model answers no numbers to the inputs that were made up to try the component on\n{HINT}");
    }
    Ok(Trial { backend, asked })
}

impl Trial {
    pub(super) fn requests(&self) -> usize {
        self.asked.len()
    }

    /// Asks the component the same, and gives the farthest that a value was off, as a part
    /// of the largest of its output.
    ///
    /// # Errors
    /// The first answer that differs or fails.
    pub(super) fn compare(&self, made: &Loaded) -> Result<f64> {
        let mut farthest = 0f64;
        for (inputs, expected) in &self.asked {
            let shapes: Vec<String> =
                inputs.iter().map(|(name, tensor)| format!("`{name}` {:?}", tensor.shape())).collect();
            let place = || format!("on inputs of {}", shapes.join(", "));
            let found = made.infer(inputs.clone()).with_context(place)?.outputs;
            for (name, expected) in expected {
                let off = farthest_off(name, expected, &found).with_context(place)?;
                farthest = farthest.max(off);
            }
        }
        Ok(farthest)
    }
}

/// How far an output is off at the most.
///
/// # Errors
/// Where that is too far, with the place and both values.
fn farthest_off(name: &str, expected: &Tensor, found: &[NamedTensor]) -> Result<f64> {
    let largest = largest(expected);
    let named = [(name.to_owned(), expected.clone())];
    if let Some(difference) = compare::difference(&named, found, TOLERANCE * largest) {
        bail!("{difference}");
    }
    let found = found.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor);
    let (Datatype::Fp32, Some(found)) = (expected.datatype(), found) else { return Ok(0.0) };
    let (expected, found) = (expected.elements::<f32>()?, found.elements::<f32>()?);
    let off = expected.iter().zip(found.iter()).map(|(a, b)| f64::from((a - b).abs()));
    let farthest = off.filter(|off| off.is_finite()).fold(0.0, f64::max);
    Ok(if farthest == 0.0 { 0.0 } else { farthest / largest })
}

/// The largest of the values that are numbers.
fn largest(tensor: &Tensor) -> f64 {
    match tensor.elements::<f32>() {
        Ok(values) => {
            let sizes = values.iter().map(|value| f64::from(value.abs()));
            sizes.filter(|size| size.is_finite()).fold(0.0, f64::max)
        }
        Err(_) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off(expected: &[f32], found: &[f32]) -> Result<f64> {
        let tensor = |values: &[f32]| Tensor::from_vec([values.len()], values.to_vec()).unwrap();
        farthest_off("y", &tensor(expected), &[("y".to_owned(), tensor(found))])
    }

    #[test]
    fn what_is_off_is_measured_by_the_largest_value() {
        assert_eq!(off(&[1.0, f32::NAN, f32::INFINITY], &[1.0, f32::NAN, f32::INFINITY]).unwrap(), 0.0);
        let little = off(&[1000.0, 0.0], &[1000.0, 0.01]).unwrap();
        assert!((little - 1e-5).abs() < 1e-7, "{little}");
        let error = off(&[1000.0, 0.0], &[1000.0, 0.2]).unwrap_err().to_string();
        assert!(error.contains("output `y`: element 1: expected 0, got 0.2"), "{error}");
        assert!(off(&[0.0], &[1e-30]).is_err());
        assert!(off(&[1.0], &[f32::NAN]).is_err());
        assert!(off(&[1.0], &[1.0, 1.0]).unwrap_err().to_string().contains("shape"));
    }
}
