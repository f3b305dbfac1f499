//! What a function takes and gives.

use std::borrow::Cow;
use std::fmt;

use crate::{Datatype, Error, Result, Tensor};

/// The name, datatype and shape of one input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorSpec {
    /// Unique among the inputs, or among the outputs.
    pub name: Cow<'static, str>,
    /// What the elements are.
    pub datatype: Datatype,
    /// Sizes along each axis, outermost first; `-1` is any size.
    pub shape: Cow<'static, [i64]>,
    /// What the bytes hold, e.g. `image/png`: a hint for people and tools.
    pub media_type: Option<Cow<'static, str>>,
}

impl TensorSpec {
    /// A tensor of this name, datatype and shape (`-1` is any size).
    ///
    /// ```
    /// # use samara_sdk::{Datatype, TensorSpec};
    /// let spec = TensorSpec::new("pixels", Datatype::Fp32, &[-1, 64]);
    /// assert_eq!(spec.to_string(), "`pixels` FP32 [-1, 64]");
    /// ```
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        datatype: Datatype,
        shape: impl Into<Cow<'static, [i64]>>,
    ) -> TensorSpec {
        TensorSpec { name: name.into(), datatype, shape: shape.into(), media_type: None }
    }

    /// The same with a media type.
    pub fn media_type(self, media_type: impl Into<Cow<'static, str>>) -> TensorSpec {
        TensorSpec { media_type: Some(media_type.into()), ..self }
    }

    /// True if a tensor of this shape (sizes along each axis) fits.
    pub fn accepts_shape(&self, shape: &[usize]) -> bool {
        let fits = |(want, &size): (&i64, &usize)| *want == -1 || usize::try_from(*want) == Ok(size);
        self.shape.len() == shape.len() && self.shape.iter().zip(shape).all(fits)
    }

    /// Checks datatype and shape.
    ///
    /// # Errors
    ///
    /// `invalid-input` that says what the tensor is and what is declared.
    pub fn check(&self, tensor: &Tensor) -> Result<()> {
        if tensor.is(self.datatype) && self.accepts_shape(tensor.shape()) {
            return Ok(());
        }
        Err(Error::invalid_input(format!(
            "is {tensor}, but {} {} is declared",
            self.datatype,
            Shape(&self.shape)
        )))
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} {}", self.name, self.datatype, Shape(&self.shape))
    }
}

/// The inputs and outputs of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it takes.
    pub inputs: Cow<'static, [TensorSpec]>,
    /// What it gives.
    pub outputs: Cow<'static, [TensorSpec]>,
}

impl Signature {
    /// A signature from lists of specs.
    pub fn new(
        inputs: impl Into<Cow<'static, [TensorSpec]>>,
        outputs: impl Into<Cow<'static, [TensorSpec]>>,
    ) -> Signature {
        Signature { inputs: inputs.into(), outputs: outputs.into() }
    }
}

/// Writes `[2, -1]` without the cost of `Debug` for lists in the guest.
pub(crate) struct Shape<'a, T>(pub &'a [T]);

impl<T: fmt::Display> fmt::Display for Shape<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, size) in self.0.iter().enumerate() {
            f.write_str(if axis == 0 { "" } else { ", " })?;
            size.fmt(f)?;
        }
        f.write_str("]")
    }
}

/// Writes the names as `a`, `b`, or says that there are none.
pub(crate) struct Names<'a>(pub &'a [TensorSpec]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, spec) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "`" } else { ", `" })?;
            f.write_str(&spec.name)?;
            f.write_str("`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_with_free_axes() {
        let spec = TensorSpec::new("x", Datatype::Fp32, &[-1, 2]);
        assert!(spec.accepts_shape(&[7, 2]) && spec.accepts_shape(&[0, 2]));
        assert!(!spec.accepts_shape(&[7, 3]) && !spec.accepts_shape(&[2]));
        assert!(TensorSpec::new("x", Datatype::Fp32, &[]).accepts_shape(&[]));
    }

    #[test]
    fn the_check_names_both_sides() {
        let spec = TensorSpec::new("x", Datatype::Fp32, &[-1, 2]);
        let error = spec.check(&Tensor::from_vec([3], vec![1i64, 2, 3]).unwrap()).unwrap_err();
        assert_eq!(error.message(), "is INT64 [3], but FP32 [-1, 2] is declared");
    }
}
