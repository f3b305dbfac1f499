//! What a model or a function takes and gives.

use std::collections::BTreeMap;
use std::fmt;

use crate::datatype::Datatype;
use crate::error::Mismatch;
use crate::tensor::{NamedTensor, Tensor};

/// The size of an axis that may have any size.
pub const ANY_SIZE: i64 = -1;

/// Name, datatype and shape of one input or output.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    pub name: String,
    pub datatype: Datatype,
    /// Sizes along each axis, [`ANY_SIZE`] where any size does.
    pub shape: Vec<i64>,
    /// What the bytes hold, e.g. `image/png`.
    pub media_type: Option<String>,
    /// What the places along the last axis stand for, such as a classifier's
    /// classes; empty where the model does not say.
    pub labels: Vec<String>,
    /// What its integers stand for, where the model says so.
    pub quantisation: Option<Quantisation>,
}

/// The numbers that integers of a tensor stand for: `scale * (integer - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    pub scale: f32,
    pub zero_point: i64,
}

impl Quantisation {
    /// The scale with as few digits as bring it back.
    pub fn scale_in_decimals(&self) -> f64 {
        self.scale.to_string().parse().unwrap_or_else(|_| f64::from(self.scale))
    }
}

/// The inputs and outputs of a model or a function, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signature {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
}

impl TensorSpec {
    pub fn new(name: impl Into<String>, datatype: Datatype, shape: impl Into<Vec<i64>>) -> Self {
        Self {
            name: name.into(),
            datatype,
            shape: shape.into(),
            media_type: None,
            labels: Vec::new(),
            quantisation: None,
        }
    }

    /// Takes the labels of a tensor that this one passes on, by the name, datatype and
    /// size of the last axis of both.
    pub fn take_labels(&mut self, from: &TensorSpec) {
        let size = self.shape.last().copied().unwrap_or_default();
        let fits = size == ANY_SIZE || usize::try_from(size) == Ok(from.labels.len());
        if self.labels.is_empty() && self.datatype == from.datatype && fits {
            self.labels.clone_from(&from.labels);
        }
    }

    /// Checks a tensor against this declaration and gives it back, a lone
    /// value's shape `[1]` turned into the declared `[]`.
    ///
    /// # Errors
    /// The first difference in datatype, rank or size.
    pub fn conform(&self, tensor: Tensor) -> Result<Tensor, Mismatch> {
        if tensor.datatype() != self.datatype {
            return Err(Mismatch::Datatype {
                tensor: self.name.clone(),
                expected: self.datatype,
                found: tensor.datatype(),
            });
        }
        if self.accepts_shape(tensor.shape()) {
            return Ok(tensor);
        }
        if self.shape.is_empty() && tensor.shape() == [1] {
            return tensor
                .reshaped([])
                .map_err(|source| Mismatch::Malformed { tensor: self.name.clone(), source });
        }
        Err(Mismatch::Shape {
            tensor: self.name.clone(),
            expected: self.shape.clone(),
            found: tensor.shape().to_vec(),
        })
    }

    /// Whether a tensor of this shape fits the declaration.
    pub fn accepts_shape(&self, shape: &[usize]) -> bool {
        self.shape.len() == shape.len()
            && self
                .shape
                .iter()
                .zip(shape)
                .all(|(&declared, &size)| declared == ANY_SIZE || usize::try_from(declared) == Ok(size))
    }

    /// Whether some tensor could fit both declarations: the same datatype and
    /// rank, and no axis with two different fixed sizes.
    pub fn is_compatible_with(&self, other: &TensorSpec) -> bool {
        self.datatype == other.datatype
            && self.shape.len() == other.shape.len()
            && self.shape.iter().zip(&other.shape).all(|(&a, &b)| a == ANY_SIZE || b == ANY_SIZE || a == b)
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.name, self.datatype, format_shape(&self.shape))?;
        match &self.media_type {
            Some(media_type) => write!(f, " ({media_type})"),
            None => Ok(()),
        }
    }
}

impl Signature {
    /// Checks named tensors against the inputs and gives them back in the
    /// signature's order. A lone tensor with an empty name stands for the
    /// only input.
    ///
    /// # Errors
    /// The first missing, unknown, doubled or unfit tensor.
    pub fn conform_inputs(&self, tensors: Vec<NamedTensor>) -> Result<Vec<Tensor>, Mismatch> {
        conform(&self.inputs, tensors)
    }

    /// Checks what a function returned against the outputs and gives it back
    /// in the signature's order.
    ///
    /// # Errors
    /// The first missing, unknown, doubled or unfit tensor.
    pub fn conform_outputs(&self, tensors: Vec<NamedTensor>) -> Result<Vec<Tensor>, Mismatch> {
        conform(&self.outputs, tensors)
    }

    pub fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|spec| spec.name == name)
    }

    pub fn output(&self, name: &str) -> Option<&TensorSpec> {
        self.outputs.iter().find(|spec| spec.name == name)
    }

    /// What the places along the last axis of outputs stand for: as `set` says, by
    /// their names, and else as the model does. Nothing where a list is empty.
    pub fn labels(&self, mut set: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
        for output in &self.outputs {
            set.entry(output.name.clone()).or_insert_with(|| output.labels.clone());
        }
        set.retain(|_, labels| !labels.is_empty());
        set
    }

    /// Joins output tensors, in the signature's order, with their names.
    pub fn name_outputs(&self, tensors: Vec<Tensor>) -> Vec<NamedTensor> {
        self.outputs.iter().map(|spec| spec.name.clone()).zip(tensors).collect()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |specs: &[TensorSpec]| specs.iter().map(TensorSpec::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "({}) -> ({})", list(&self.inputs), list(&self.outputs))
    }
}

/// Writes a shape as `[1,3,224,224]`.
pub fn format_shape<T: fmt::Display>(shape: &[T]) -> String {
    let sizes: Vec<String> = shape.iter().map(T::to_string).collect();
    format!("[{}]", sizes.join(","))
}

fn conform(specs: &[TensorSpec], tensors: Vec<NamedTensor>) -> Result<Vec<Tensor>, Mismatch> {
    let mut slots: Vec<Option<Tensor>> = vec![None; specs.len()];
    for (name, tensor) in tensors {
        let index = position(specs, &name)?;
        let tensor = specs[index].conform(tensor)?;
        if slots[index].replace(tensor).is_some() {
            return Err(Mismatch::Duplicate { tensor: specs[index].name.clone() });
        }
    }
    slots
        .into_iter()
        .zip(specs)
        .map(|(slot, spec)| slot.ok_or_else(|| Mismatch::Missing { tensor: spec.to_string() }))
        .collect()
}

fn position(specs: &[TensorSpec], name: &str) -> Result<usize, Mismatch> {
    if name.is_empty() && specs.len() == 1 {
        return Ok(0);
    }
    specs.iter().position(|spec| spec.name == name).ok_or_else(|| Mismatch::Unknown {
        tensor: name.to_owned(),
        known: specs.iter().map(|spec| spec.name.clone()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        Signature {
            inputs: vec![
                TensorSpec::new("pixels", Datatype::Fp32, [-1, 2]),
                TensorSpec::new("scale", Datatype::Fp32, []),
            ],
            outputs: vec![TensorSpec::new("sum", Datatype::Fp32, [-1])],
        }
    }

    fn tensor(shape: &[usize]) -> Tensor {
        Tensor::from_vec(shape, vec![0f32; shape.iter().product()]).unwrap()
    }

    fn refusal(tensors: Vec<(&str, Tensor)>) -> String {
        let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
        signature().conform_inputs(tensors).unwrap_err().to_string()
    }

    #[test]
    fn inputs_are_put_in_order_and_a_lone_value_becomes_a_scalar() {
        let tensors = vec![("scale".to_owned(), tensor(&[1])), ("pixels".to_owned(), tensor(&[3, 2]))];
        let ordered = signature().conform_inputs(tensors).unwrap();
        assert_eq!(ordered[0].shape(), [3, 2]);
        assert_eq!(ordered[1].shape(), [0usize; 0]);
    }

    #[test]
    fn every_difference_is_named() {
        assert_eq!(
            refusal(vec![("pixels", tensor(&[3, 3]))]),
            "tensor `pixels`: the signature asks for shape [-1,2], got [3,3]"
        );
        assert_eq!(refusal(vec![("pixels", tensor(&[3, 2]))]), "tensor `scale FP32[]` is missing");
        assert_eq!(
            refusal(vec![("pixel", tensor(&[3, 2]))]),
            "unknown tensor `pixel`; the signature has `pixels`, `scale`"
        );
        assert_eq!(
            refusal(vec![("scale", tensor(&[1])), ("scale", tensor(&[1]))]),
            "tensor `scale` is given twice"
        );
        let integers = Tensor::from_vec([1, 2], vec![1i64, 2]).unwrap();
        assert_eq!(
            refusal(vec![("pixels", integers)]),
            "tensor `pixels`: the signature asks for FP32, got INT64"
        );
    }

    #[test]
    fn compatibility_asks_for_one_common_shape() {
        let a = TensorSpec::new("a", Datatype::Fp32, [-1, 1, 8, 8]);
        assert!(a.is_compatible_with(&TensorSpec::new("b", Datatype::Fp32, [1, 1, -1, 8])));
        assert!(!a.is_compatible_with(&TensorSpec::new("b", Datatype::Fp32, [1, 3, 8, 8])));
        assert!(!a.is_compatible_with(&TensorSpec::new("b", Datatype::Fp16, [1, 1, 8, 8])));
    }
}
