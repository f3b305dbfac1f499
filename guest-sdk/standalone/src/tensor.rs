//! Tensors as callers have them, and as the engine does: 64-bit integers and truth
//! values are integers of 32 bits there.

use std::fmt;

use rten::Value;
use rten_tensor::{Layout, Tensor as Array};

use crate::contract::{Datatype, Tensor, TensorSpec};

/// Every datatype with its name in the protocol.
const NAMES: [(Datatype, &str); 14] = [
    (Datatype::Bool, "BOOL"),
    (Datatype::Uint8, "UINT8"),
    (Datatype::Uint16, "UINT16"),
    (Datatype::Uint32, "UINT32"),
    (Datatype::Uint64, "UINT64"),
    (Datatype::Int8, "INT8"),
    (Datatype::Int16, "INT16"),
    (Datatype::Int32, "INT32"),
    (Datatype::Int64, "INT64"),
    (Datatype::Fp16, "FP16"),
    (Datatype::Bf16, "BF16"),
    (Datatype::Fp32, "FP32"),
    (Datatype::Fp64, "FP64"),
    (Datatype::Bytes, "BYTES"),
];

pub(crate) fn datatype_name(datatype: Datatype) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == datatype).map_or("", |(_, name)| name)
}

pub(crate) fn datatype_of(name: &str) -> Option<Datatype> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(datatype, _)| *datatype)
}

/// Name, datatype and shape, e.g. `` `x` FP32 [-1, 4] ``.
pub(crate) fn describe(spec: &TensorSpec) -> String {
    format!("`{}` {} {}", spec.name, datatype_name(spec.datatype), Shape(&spec.shape))
}

/// Writes `[2, -1]`.
pub(crate) struct Shape<'a, T>(pub &'a [T]);

impl<T: fmt::Display> fmt::Display for Shape<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", sizes.join(", "))
    }
}

/// Hands a tensor to the engine.
///
/// # Errors
/// In words, where its bytes are not what its datatype and shape ask for.
pub(crate) fn into_value(tensor: Tensor) -> Result<Value, String> {
    let name = &tensor.name;
    let shape: Option<Vec<usize>> = tensor.shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    let shape = shape.ok_or_else(|| format!("input `{name}` has more elements than memory can hold"))?;
    let data = tensor.data.as_slice();
    let value = match tensor.datatype {
        Datatype::Fp32 => value(shape, numbers(data, f32::from_le_bytes)),
        Datatype::Int32 => value(shape, numbers(data, i32::from_le_bytes)),
        Datatype::Int64 => value(shape, narrow(name, numbers(data, i64::from_le_bytes))?),
        Datatype::Int8 => value(shape, numbers(data, i8::from_le_bytes)),
        Datatype::Uint8 => value(shape, Some(tensor.data)),
        Datatype::Bool if data.iter().all(|&byte| byte < 2) => {
            value(shape, Some(data.iter().map(|&byte| i32::from(byte)).collect()))
        }
        Datatype::Bool => return Err(format!("input `{name}`: a BOOL is a byte of 0 or 1")),
        other => {
            return Err(format!("input `{name}` is {}, which this runner has not", datatype_name(other)));
        }
    };
    value.ok_or_else(|| {
        let (datatype, shape) = (datatype_name(tensor.datatype), Shape(&tensor.shape));
        format!("input `{name}` brings not as many bytes as {datatype} {shape} takes")
    })
}

/// Takes an output from the engine, as the signature declares it.
pub(crate) fn from_value(spec: &TensorSpec, value: Value) -> Result<Tensor, String> {
    let (shape, data) = match (spec.datatype, value) {
        (Datatype::Fp32, Value::FloatTensor(tensor)) => {
            (tensor.shape().to_vec(), bytes(tensor.into_data(), f32::to_le_bytes))
        }
        (Datatype::Int32, Value::Int32Tensor(tensor)) => {
            (tensor.shape().to_vec(), bytes(tensor.into_data(), i32::to_le_bytes))
        }
        (Datatype::Int64, Value::Int32Tensor(tensor)) => {
            (tensor.shape().to_vec(), bytes(tensor.into_data(), |value| i64::from(value).to_le_bytes()))
        }
        (Datatype::Bool, Value::Int32Tensor(tensor)) => {
            (tensor.shape().to_vec(), bytes(tensor.into_data(), |value| [u8::from(value != 0)]))
        }
        (Datatype::Int8, Value::Int8Tensor(tensor)) => {
            (tensor.shape().to_vec(), bytes(tensor.into_data(), i8::to_le_bytes))
        }
        (Datatype::Uint8, Value::UInt8Tensor(tensor)) => (tensor.shape().to_vec(), tensor.into_data()),
        (_, value) => {
            return Err(format!("output {} came as {:?}", describe(spec), value.dtype()));
        }
    };
    let shape = shape.into_iter().map(|size| size as u64).collect();
    Ok(Tensor { name: spec.name.clone(), datatype: spec.datatype, shape, data })
}

fn value<T>(shape: Vec<usize>, elements: Option<Vec<T>>) -> Option<Value>
where
    Value: From<Array<T>>,
{
    Value::from_shape(shape, elements?).ok()
}

fn numbers<T, const SIZE: usize>(bytes: &[u8], read: fn([u8; SIZE]) -> T) -> Option<Vec<T>> {
    let (chunks, rest) = bytes.as_chunks();
    rest.is_empty().then(|| chunks.iter().map(|&chunk| read(chunk)).collect())
}

fn narrow(name: &str, elements: Option<Vec<i64>>) -> Result<Option<Vec<i32>>, String> {
    let Some(elements) = elements else { return Ok(None) };
    let element = |(place, &element): (usize, &i64)| {
        i32::try_from(element).map_err(|_| {
            format!(
                "input `{name}`, element {place}: {element} does not fit the 32 bits that integers have here"
            )
        })
    };
    elements.iter().enumerate().map(element).collect::<Result<_, _>>().map(Some)
}

fn bytes<T, const SIZE: usize>(elements: Vec<T>, write: impl Fn(T) -> [u8; SIZE]) -> Vec<u8> {
    elements.into_iter().flat_map(write).collect()
}
