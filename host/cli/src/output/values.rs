//! The elements of a tensor as numbers to look at.

use half::{bf16, f16};
use samara_nn::{Datatype, Element, Tensor};

/// Elements of any datatype but BYTES.
pub(crate) enum Values {
    Bool(Vec<bool>),
    Unsigned(Vec<u64>),
    Signed(Vec<i64>),
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Values {
    /// The elements, or none for a tensor that holds strings.
    pub(crate) fn of(tensor: &Tensor) -> Self {
        match tensor.datatype() {
            Datatype::Bool => Values::Bool(tensor.data().iter().map(|&byte| byte != 0).collect()),
            Datatype::Uint8 => Values::Unsigned(converted::<u8, _>(tensor)),
            Datatype::Uint16 => Values::Unsigned(converted::<u16, _>(tensor)),
            Datatype::Uint32 => Values::Unsigned(converted::<u32, _>(tensor)),
            Datatype::Uint64 => Values::Unsigned(converted::<u64, _>(tensor)),
            Datatype::Int8 => Values::Signed(converted::<i8, _>(tensor)),
            Datatype::Int16 => Values::Signed(converted::<i16, _>(tensor)),
            Datatype::Int32 => Values::Signed(converted::<i32, _>(tensor)),
            Datatype::Int64 => Values::Signed(converted::<i64, _>(tensor)),
            Datatype::Fp16 => Values::Single(converted::<f16, _>(tensor)),
            Datatype::Bf16 => Values::Single(converted::<bf16, _>(tensor)),
            Datatype::Fp32 => Values::Single(converted::<f32, _>(tensor)),
            Datatype::Fp64 => Values::Double(converted::<f64, _>(tensor)),
            Datatype::Bytes => Values::Bool(Vec::new()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Bool(values) => values.len(),
            Values::Unsigned(values) => values.len(),
            Values::Signed(values) => values.len(),
            Values::Single(values) => values.len(),
            Values::Double(values) => values.len(),
        }
    }

    /// One element, floats with as few digits as bring them back.
    pub(crate) fn text(&self, index: usize) -> String {
        match self {
            Values::Bool(values) => values[index].to_string(),
            Values::Unsigned(values) => values[index].to_string(),
            Values::Signed(values) => values[index].to_string(),
            Values::Single(values) => format!("{:?}", values[index]),
            Values::Double(values) => format!("{:?}", values[index]),
        }
    }

    /// The elements as floats; `true` is 1.
    pub(crate) fn floats(&self) -> Vec<f64> {
        match self {
            Values::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
            Values::Unsigned(values) => values.iter().map(|&value| value as f64).collect(),
            Values::Signed(values) => values.iter().map(|&value| value as f64).collect(),
            Values::Single(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::Double(values) => values.clone(),
        }
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self, Values::Single(_) | Values::Double(_))
    }
}

fn converted<T: Element + Into<U>, U>(tensor: &Tensor) -> Vec<U> {
    // The caller chose `T` by the tensor's own datatype.
    let elements = tensor.elements::<T>().unwrap_or_default();
    elements.iter().map(|&value| value.into()).collect()
}
