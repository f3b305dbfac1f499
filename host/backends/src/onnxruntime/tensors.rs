//! Between samara's tensors and ONNX Runtime's.

use std::borrow::Cow;
use std::fmt::Debug;

use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{
    DynSequenceValueType, DynTensorValueType, DynValue, PrimitiveTensorElementType, Tensor as NativeTensor,
    TensorElementType, TensorRef, ValueType,
};
use samara_nn::{Datatype, Element, Tensor, TensorError, TensorSpec};

/// Why a tensor cannot be an input.
pub(super) enum Refusal {
    /// The caller's data are at fault.
    Input(TensorError),
    Native(String),
}

impl From<TensorError> for Refusal {
    fn from(error: TensorError) -> Self {
        Refusal::Input(error)
    }
}

impl From<ort::Error> for Refusal {
    fn from(error: ort::Error) -> Self {
        Refusal::Native(error.message().to_owned())
    }
}

/// The datatype that the library knows under another name, or `None`.
pub(super) fn datatype(native: TensorElementType) -> Option<Datatype> {
    Some(match native {
        TensorElementType::Bool => Datatype::Bool,
        TensorElementType::Uint8 => Datatype::Uint8,
        TensorElementType::Uint16 => Datatype::Uint16,
        TensorElementType::Uint32 => Datatype::Uint32,
        TensorElementType::Uint64 => Datatype::Uint64,
        TensorElementType::Int8 => Datatype::Int8,
        TensorElementType::Int16 => Datatype::Int16,
        TensorElementType::Int32 => Datatype::Int32,
        TensorElementType::Int64 => Datatype::Int64,
        TensorElementType::Float16 => Datatype::Fp16,
        TensorElementType::Bfloat16 => Datatype::Bf16,
        TensorElementType::Float32 => Datatype::Fp32,
        TensorElementType::Float64 => Datatype::Fp64,
        TensorElementType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// An input over the tensor's own memory; text and what lies unaligned is
/// copied.
pub(super) fn to_native(tensor: &Tensor) -> Result<SessionInputValue<'_>, Refusal> {
    match tensor.datatype() {
        Datatype::Bool => bools(tensor),
        Datatype::Uint8 => numbers::<u8>(tensor),
        Datatype::Uint16 => numbers::<u16>(tensor),
        Datatype::Uint32 => numbers::<u32>(tensor),
        Datatype::Uint64 => numbers::<u64>(tensor),
        Datatype::Int8 => numbers::<i8>(tensor),
        Datatype::Int16 => numbers::<i16>(tensor),
        Datatype::Int32 => numbers::<i32>(tensor),
        Datatype::Int64 => numbers::<i64>(tensor),
        Datatype::Fp16 => numbers::<f16>(tensor),
        Datatype::Bf16 => numbers::<bf16>(tensor),
        Datatype::Fp32 => numbers::<f32>(tensor),
        Datatype::Fp64 => numbers::<f64>(tensor),
        Datatype::Bytes => text(tensor),
    }
}

/// A copy of an output: the library's own memory ends with its session, and may
/// be an input's. A sequence of `n` tensors of one shape becomes one tensor of the
/// shape `[n, …]`.
///
/// # Errors
/// In words.
pub(super) fn from_native(value: DynValue, spec: &TensorSpec) -> Result<Tensor, String> {
    let ValueType::Sequence(_) = value.dtype() else { return from_tensor(&value) };
    let words = |error: ort::Error| error.message().to_owned();
    let sequence = value.downcast::<DynSequenceValueType>().map_err(words)?;
    let elements = sequence.try_extract_sequence::<DynTensorValueType>().map_err(words)?;
    let elements: Vec<Tensor> =
        elements.into_iter().map(|element| from_tensor(&element.into_dyn())).collect::<Result<_, _>>()?;
    stack(&elements, spec)
}

/// One tensor of all, or of none as the output is declared: open sizes are 0 then.
fn stack(elements: &[Tensor], spec: &TensorSpec) -> Result<Tensor, String> {
    let declared = spec.shape.iter().skip(1).map(|&size| usize::try_from(size).unwrap_or(0));
    let shape = elements.first().map_or_else(|| declared.collect(), |first| first.shape().to_vec());
    if let Some((place, other)) = elements.iter().enumerate().find(|(_, other)| other.shape() != shape) {
        return Err(format!(
            "its tensors are of several shapes and make no single one: tensor 0 is {shape:?}, tensor {place} is {:?}",
            other.shape()
        ));
    }
    let data: Vec<u8> = elements.iter().flat_map(|element| element.data()).copied().collect();
    let shape: Vec<usize> = std::iter::once(elements.len()).chain(shape).collect();
    Tensor::new(spec.datatype, shape, data).map_err(|error| error.to_string())
}

fn from_tensor(value: &DynValue) -> Result<Tensor, String> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err("it is not a tensor".to_owned());
    };
    let sizes: Vec<usize> = shape
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| format!("it has the shape {shape:?}")))
        .collect::<Result<_, _>>()?;
    let datatype = datatype(*ty).ok_or_else(|| format!("it has the datatype {ty}"))?;
    match datatype {
        Datatype::Bool => {
            let values = if sizes.contains(&0) {
                &[][..]
            } else {
                value.try_extract_tensor::<bool>().map_err(|error| error.message().to_owned())?.1
            };
            Tensor::from_bools(sizes, values).map_err(|error| error.to_string())
        }
        Datatype::Uint8 => copy::<u8>(value, sizes),
        Datatype::Uint16 => copy::<u16>(value, sizes),
        Datatype::Uint32 => copy::<u32>(value, sizes),
        Datatype::Uint64 => copy::<u64>(value, sizes),
        Datatype::Int8 => copy::<i8>(value, sizes),
        Datatype::Int16 => copy::<i16>(value, sizes),
        Datatype::Int32 => copy::<i32>(value, sizes),
        Datatype::Int64 => copy::<i64>(value, sizes),
        Datatype::Fp16 => copy::<f16>(value, sizes),
        Datatype::Bf16 => copy::<bf16>(value, sizes),
        Datatype::Fp32 => copy::<f32>(value, sizes),
        Datatype::Fp64 => copy::<f64>(value, sizes),
        Datatype::Bytes => {
            let (_, strings) = value.try_extract_strings().map_err(|error| error.message().to_owned())?;
            Tensor::from_elements(sizes, strings).map_err(|error| error.to_string())
        }
    }
}

fn numbers<T>(tensor: &Tensor) -> Result<SessionInputValue<'_>, Refusal>
where
    T: Element + PrimitiveTensorElementType + Debug,
{
    Ok(match tensor.elements::<T>()? {
        Cow::Borrowed(values) => TensorRef::from_array_view((tensor.shape(), values))?.into(),
        Cow::Owned(values) => NativeTensor::from_array((tensor.shape(), values))?.into(),
    })
}

fn bools(tensor: &Tensor) -> Result<SessionInputValue<'_>, Refusal> {
    if let Ok(values) = bytemuck::checked::try_cast_slice::<u8, bool>(tensor.data()) {
        return Ok(TensorRef::from_array_view((tensor.shape(), values))?.into());
    }
    let values: Vec<bool> = tensor.data().iter().map(|&byte| byte != 0).collect();
    Ok(NativeTensor::from_array((tensor.shape(), values))?.into())
}

fn text(tensor: &Tensor) -> Result<SessionInputValue<'_>, Refusal> {
    let strings = tensor.byte_strings()?.into_iter().enumerate();
    let strings = strings.map(|(element, bytes)| match std::str::from_utf8(bytes) {
        // The library takes text that ends with a zero.
        Ok(string) if !bytes.contains(&0) => Ok(string.to_owned()),
        _ => Err(TensorError::NotUtf8 { element }),
    });
    let strings = strings.collect::<Result<Vec<String>, _>>()?;
    Ok(NativeTensor::from_string_array((tensor.shape(), &strings[..]))?.into())
}

fn copy<T>(value: &DynValue, shape: Vec<usize>) -> Result<Tensor, String>
where
    T: Element + PrimitiveTensorElementType,
{
    let values = if shape.contains(&0) {
        Vec::new()
    } else {
        value.try_extract_tensor::<T>().map_err(|error| error.message().to_owned())?.1.to_vec()
    };
    Tensor::from_vec(shape, values).map_err(|error| error.to_string())
}
